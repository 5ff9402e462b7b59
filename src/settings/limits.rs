//! What a module twin can hold. A document that breaks a limit never gets into the twin, so it is
//! refused here with the place and the number.
//!
//! Sources: IoT Hub's developer guide on device twins, and edgeHub's `ReportedPropertiesValidator`.

use serde_json::{Number, Value};

use crate::document::{Problems, Section};

/// Bytes of a section: keys and values, a number 8, a boolean 4.
pub const MAX_BYTES: usize = 32 * 1024;
/// Bytes of one text.
pub const MAX_TEXT_BYTES: usize = 4096;
/// Bytes of one key.
pub const MAX_KEY_BYTES: usize = 1024;
/// Objects and arrays inside one another, not counting the section itself.
pub const MAX_DEPTH: usize = 10;
/// The smallest and the largest whole number.
pub const INTEGERS: std::ops::RangeInclusive<i64> = -4_503_599_627_370_496..=4_503_599_627_370_495;

const NUMBER_BYTES: usize = 8;
const BOOLEAN_BYTES: usize = 4;

/// Notes everything a twin would refuse; gives the bytes a twin counts for the document.
///
/// `$version` and `$metadata` at the top are the twin's own and count nothing.
pub fn check(document: &Section<'_>, problems: &mut Problems) -> usize {
    let mut bytes = 0;
    let mut members = Vec::new();
    for (name, member) in settings_of(document) {
        check_key(name, &member, problems);
        let size = name.len() + measure(&member, 1, problems);
        members.push((size, member.pointer));
        bytes += size;
    }
    if bytes > MAX_BYTES {
        problems.add(document, too_large(bytes, members));
    }
    bytes
}

/// The members of a desired document without what the twin adds itself.
pub fn settings_of<'a>(
    document: &'a Section<'_>,
) -> impl Iterator<Item = (&'a str, Section<'a>)> + 'a {
    document
        .members()
        .filter(|(name, _)| !matches!(*name, "$version" | "$metadata"))
}

fn too_large(bytes: usize, mut members: Vec<(usize, String)>) -> String {
    members.sort_by(|a, b| b.cmp(a));
    let largest: Vec<_> = members
        .iter()
        .take(2)
        .map(|(size, pointer)| format!("{pointer} {size}"))
        .collect();
    format!(
        "{bytes} bytes, a twin holds {MAX_BYTES}; largest: {} (protocols can come from a preset or a file, devices from deviceRules)",
        largest.join(", ")
    )
}

fn measure(section: &Section<'_>, depth: usize, problems: &mut Problems) -> usize {
    match section.value {
        Value::Null => {
            problems.add(
                section,
                "null only deletes in a patch; leave the member out",
            );
            0
        }
        Value::Bool(_) => BOOLEAN_BYTES,
        Value::Number(number) => {
            check_number(number, section, problems);
            NUMBER_BYTES
        }
        Value::String(text) => {
            if text.len() > MAX_TEXT_BYTES {
                let message = format!(
                    "a text of {} bytes, a twin allows {MAX_TEXT_BYTES}",
                    text.len()
                );
                problems.add(section, message);
            }
            text.len()
        }
        Value::Array(_) | Value::Object(_) if depth > MAX_DEPTH => {
            problems.add(
                section,
                format!("nested {depth} deep, a twin allows {MAX_DEPTH}"),
            );
            0
        }
        Value::Array(_) => section
            .elements()
            .map(|element| match element.value {
                Value::Null => {
                    problems.add(
                        &element,
                        "null inside an array, which a twin does not allow",
                    );
                    0
                }
                _ => measure(&element, depth + 1, problems),
            })
            .sum(),
        Value::Object(_) => section
            .members()
            .map(|(name, member)| {
                check_key(name, &member, problems);
                name.len() + measure(&member, depth + 1, problems)
            })
            .sum(),
    }
}

fn check_number(number: &Number, section: &Section<'_>, problems: &mut Problems) {
    let exact = number
        .as_i64()
        .map_or(number.is_u64(), |value| !INTEGERS.contains(&value));
    if exact {
        let (low, high) = (INTEGERS.start(), INTEGERS.end());
        problems.add(
            section,
            format!("{number} is outside of {low} to {high}, which a twin allows"),
        );
    }
}

fn check_key(key: &str, member: &Section<'_>, problems: &mut Problems) {
    if let Some(wrong) = wrong_key(key) {
        problems.add(member, wrong);
    }
}

/// Why a twin does not take a key, if it does not.
pub(super) fn wrong_key(key: &str) -> Option<String> {
    if key.len() > MAX_KEY_BYTES {
        return Some(format!(
            "a key of {} bytes, a twin allows {MAX_KEY_BYTES}",
            key.len()
        ));
    }
    let mut characters = key.chars();
    if let Some(wrong) =
        characters.find(|c| ".$#".contains(*c) || c.is_whitespace() || c.is_control())
    {
        return Some(format!(
            "the key has {wrong:?}; a twin allows no . $ # space or control character in keys"
        ));
    }
    key.is_empty().then(|| "the key is empty".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check_document(document: &Value, bytes: Option<usize>, expected: &[(&str, &str)]) {
        let mut problems = Problems::new();
        let counted = check(&Section::root(document), &mut problems);
        if let Some(bytes) = bytes {
            assert_eq!(counted, bytes, "{document}");
        }
        let found: Vec<_> = problems
            .as_slice()
            .iter()
            .map(|p| (p.pointer.as_str(), p.message.as_str()))
            .collect();
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for ((pointer, message), (place, part)) in found.iter().zip(expected) {
            assert_eq!(pointer, place, "{document}");
            assert!(message.contains(part), "{message}");
        }
    }

    fn nested(depth: usize) -> Value {
        (0..depth).fold(json!("x"), |value, _| json!({ "k": value }))
    }

    #[test]
    fn bytes_are_counted_as_a_twin_counts_them() {
        check_document(
            &json!({"ab": 1, "c": true, "d": "xyz", "e": [1, "é"]}),
            Some(2 + 8 + 1 + 4 + 1 + 3 + 1 + 8 + 2),
            &[],
        );
        check_document(
            &json!({"$version": 7, "$metadata": {"$x": null}}),
            Some(0),
            &[],
        );
    }

    #[test]
    fn every_limit_is_named_with_its_number() {
        check_document(&json!({"a": "x".repeat(4096)}), None, &[]);
        check_document(
            &json!({"a": "x".repeat(4097)}),
            None,
            &[("/a", "4097 bytes, a twin allows 4096")],
        );
        check_document(&nested(11), None, &[]);
        check_document(
            &nested(12),
            None,
            &[("/k/k/k/k/k/k/k/k/k/k/k", "nested 11 deep, a twin allows 10")],
        );
        for key in ["a.b", "$a", "a#", "a b", "a\u{7}", "a\u{85}"] {
            let pointer = format!("/x/{key}");
            check_document(
                &json!({"x": {key: 1}}),
                None,
                &[(&pointer, "allows no . $ # space")],
            );
        }
        check_document(
            &json!({"k".repeat(1025): 1}),
            None,
            &[(
                &format!("/{}", "k".repeat(1025)),
                "1025 bytes, a twin allows 1024",
            )],
        );
        check_document(
            &json!({"a": [1, null]}),
            None,
            &[("/a/1", "null inside an array")],
        );
        check_document(&json!({"a": null}), None, &[("/a", "null only deletes")]);
        let low = -4_503_599_627_370_496_i64;
        check_document(
            &json!({"a": low, "b": 4_503_599_627_370_495_i64, "c": 1e300}),
            None,
            &[],
        );
        check_document(
            &json!({"a": low - 1}),
            None,
            &[("/a", "-4503599627370497 is outside")],
        );
        check_document(
            &json!({"a": u64::MAX}),
            None,
            &[("/a", "18446744073709551615 is outside")],
        );
    }

    #[test]
    fn a_document_that_is_too_large_names_its_largest_parts() {
        let text = "x".repeat(4000);
        let fits: Value = (0..8).map(|n| (format!("k{n}"), json!(text))).collect();
        check_document(&fits, Some(8 * 4002), &[]);
        let large = json!({"devices": fits, "protocols": {"p": text}});
        check_document(
            &large,
            None,
            &[(
                "",
                "36033 bytes, a twin holds 32768; largest: /devices 32023, /protocols 4010",
            )],
        );
    }
}
