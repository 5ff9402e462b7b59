//! Where members stand in a JSON text that has been read, for who wants to see.

use super::json::tokens;

/// The text of a member by its key, or deeper by a JSON pointer, as [`super::json::member`] finds
/// its value.
pub(super) fn find<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    child(text, key).or_else(|| {
        let path = tokens(key)?;
        let mut path = path.iter();
        path.try_fold(text, |text, token| child(text, token))
    })
}

/// Of those with one name the last counts.
fn child<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    let members = members(text);
    let mut latest = members.into_iter().rev();
    latest
        .find(|(known, _)| known == key)
        .map(|(_, value)| value)
}

/// The names and texts of an object's members, or an array's elements by their numbers.
pub(super) fn members(text: &str) -> Vec<(String, &str)> {
    let text = text.trim_start();
    let named = text.starts_with('{');
    let mut rest = match text.strip_prefix(['{', '[']) {
        Some(rest) => rest.trim_start(),
        None => "",
    };
    let mut members = Vec::new();
    while !rest.is_empty() && !rest.starts_with(['}', ']']) {
        let Some((member, behind)) = member(rest, named, members.len()) else {
            break;
        };
        members.push(member);
        let behind = behind.trim_start();
        rest = behind.strip_prefix(',').unwrap_or("").trim_start();
    }
    members
}

/// A member, and what follows it.
fn member(text: &str, named: bool, number: usize) -> Option<((String, &str), &str)> {
    if !named {
        let (value, behind) = text.split_at_checked(length(text))?;
        return Some(((number.to_string(), value), behind));
    }
    let (name, behind) = text.split_at_checked(length(text))?;
    let name: String = serde_json::from_str(name).ok()?;
    let value = behind.trim_start().strip_prefix(':')?.trim_start();
    let (value, behind) = value.split_at_checked(length(value))?;
    Some(((name, value), behind))
}

/// Bytes of the value that the text begins with.
fn length(text: &str) -> usize {
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        let behind = at.saturating_add(1);
        if quoted {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            quoted = !ends;
            if ends && depth == 0 {
                return behind;
            }
            continue;
        }
        match byte {
            b'"' => quoted = true,
            b'{' | b'[' => depth = depth.saturating_add(1),
            b'}' | b']' if depth <= 1 => return if depth == 0 { at } else { behind },
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' | b' ' | b'\t' | b'\r' | b'\n' if depth == 0 => return at,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_where_they_stand() {
        let text =
            r#" { "a" : 1 , "b\"}": {"c": [ true, "x,]" ]}, "a":"\\" , "e/f": [], "g": [{}]}"#;
        for (key, expected) in [
            ("a", Some(r#""\\""#)),
            ("b\"}", Some(r#"{"c": [ true, "x,]" ]}"#)),
            ("/b\"}/c/0", Some("true")),
            ("/b\"}/c/1", Some(r#""x,]""#)),
            ("/b\"}/c/2", None),
            ("e/f", Some("[]")),
            ("/e~1f", Some("[]")),
            ("/g/0", Some("{}")),
            ("c", None),
        ] {
            assert_eq!(find(text, key), expected, "{key}");
        }
        for text in ["", "7", "\"a\"", "{", "{\"a\"", "[1", "[,", "{\"a\":"] {
            let _ = members(text);
        }
    }
}
