//! Reads typed options out of a JSON document and collects every mistake with its JSON pointer.
//!
//! serde stops at the first mistake. Here a mistake is noted, its member taken out, and the
//! section read again, so that one pass shows an author everything that is wrong.

mod bounds;
mod json;
mod patch;

use std::fmt;
use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::notation::NotationError;
pub use crate::notation::{nearest, unknown_word};

pub use json::parse;
pub use patch::merge_patch;

/// A mistake in a document.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// JSON pointer (RFC 6901) to the wrong place; empty for the document itself.
    pub pointer: String,
    /// Column inside the string at that place, in characters from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// What is wrong and what was expected.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.pointer.is_empty() {
            "/"
        } else {
            &self.pointer
        };
        match self.column {
            Some(column) => write!(f, "{place} column {column}: {}", self.message),
            None => write!(f, "{place}: {}", self.message),
        }
    }
}

/// All mistakes found so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes a mistake at a place.
    pub fn add(&mut self, section: &Section<'_>, message: impl Into<String>) {
        self.0.push(Problem {
            pointer: section.pointer.clone(),
            column: None,
            message: message.into(),
        });
    }

    /// Notes a mistake inside the notation string that is the member `name` of the section.
    pub fn notation(&mut self, section: &Section<'_>, name: &str, error: NotationError) {
        self.0.push(Problem {
            pointer: child_pointer(&section.pointer, name),
            column: Some(error.column),
            message: error.message,
        });
    }

    /// Notes a mistake inside the notation string that the section itself is.
    pub fn notation_here(&mut self, section: &Section<'_>, error: NotationError) {
        self.0.push(Problem {
            pointer: section.pointer.clone(),
            column: Some(error.column),
            message: error.message,
        });
    }

    /// Notes a mistake at the member `name` of the section.
    pub fn member(&mut self, section: &Section<'_>, name: &str, message: impl Into<String>) {
        self.0.push(Problem {
            pointer: child_pointer(&section.pointer, name),
            column: None,
            message: message.into(),
        });
    }

    /// Takes over a mistake that was found elsewhere.
    pub fn push(&mut self, problem: Problem) {
        self.0.push(problem);
    }

    /// Leaves out the mistakes that need not be told.
    pub fn retain(&mut self, keep: impl FnMut(&Problem) -> bool) {
        self.0.retain(keep);
    }

    /// The mistakes, in the order of finding.
    pub fn as_slice(&self) -> &[Problem] {
        &self.0
    }

    /// Whether the document is without mistakes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many mistakes.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// A place in a document: the value there and the pointer to it.
#[derive(Clone, Debug)]
pub struct Section<'a> {
    /// The value.
    pub value: &'a Value,
    /// JSON pointer to it.
    pub pointer: String,
}

impl<'a> Section<'a> {
    /// The whole document.
    pub fn root(value: &'a Value) -> Self {
        Section {
            value,
            pointer: String::new(),
        }
    }

    /// The member of that name, if the section is an object that has it.
    pub fn member(&self, name: &str) -> Option<Section<'a>> {
        let value = self.value.as_object()?.get(name)?;
        Some(Section {
            value,
            pointer: child_pointer(&self.pointer, name),
        })
    }

    /// The element at that place, if the section is an array that has it.
    pub fn element(&self, index: usize) -> Option<Section<'a>> {
        let value = self.value.as_array()?.get(index)?;
        Some(Section {
            value,
            pointer: format!("{}/{index}", self.pointer),
        })
    }

    /// All members with their names; none if the section is not an object.
    pub fn members(&self) -> impl Iterator<Item = (&'a str, Section<'a>)> + '_ {
        let object = self.value.as_object();
        object.into_iter().flatten().map(|(name, value)| {
            (
                name.as_str(),
                Section {
                    value,
                    pointer: child_pointer(&self.pointer, name),
                },
            )
        })
    }

    /// All elements; none if the section is not an array.
    pub fn elements(&self) -> impl Iterator<Item = Section<'a>> + '_ {
        let array = self.value.as_array();
        array
            .into_iter()
            .flatten()
            .enumerate()
            .map(|(index, value)| Section {
                value,
                pointer: format!("{}/{index}", self.pointer),
            })
    }

    /// The member `type` that says which kind of section this is; one of `known`, or a problem.
    pub fn kind(&self, known: &[&'static str], problems: &mut Problems) -> Option<&'static str> {
        let Some(object) = self.value.as_object() else {
            problems.add(
                self,
                format!(
                    "expected an object with \"type\", found {}",
                    name_of(self.value)
                ),
            );
            return None;
        };
        let Some(value) = object.get("type") else {
            problems.add(
                self,
                format!("\"type\" is missing: one of {}", known.join(", ")),
            );
            return None;
        };
        let Some(text) = value.as_str() else {
            problems.member(
                self,
                "type",
                format!(
                    "expected one of {}, found {}",
                    known.join(", "),
                    name_of(value)
                ),
            );
            return None;
        };
        if let Some(kind) = known.iter().find(|kind| **kind == text) {
            return Some(kind);
        }
        problems.member(self, "type", unknown_word("type", text, known));
        None
    }

    /// Reads an object as `T`, noting every mistake. `without` names members that others read.
    ///
    /// With mistakes it may still give a value, in which the wrong members have their defaults:
    /// good for finding more mistakes, not for running (the problems are not empty then).
    pub fn read<T: DeserializeOwned>(
        &self,
        without: &[&str],
        problems: &mut Problems,
    ) -> Option<T> {
        self.read_knowing(without, &|_| None, problems)
    }

    /// [`Section::read`] where the schema of `T` says bounds of numbers: what is no number is told
    /// these, and not those of the integer that keeps it.
    pub fn read_in_bounds<T: DeserializeOwned + JsonSchema>(
        &self,
        without: &[&str],
        problems: &mut Problems,
    ) -> Option<T> {
        self.read_knowing(without, &bounds::of::<T>, problems)
    }

    fn read_knowing<T: DeserializeOwned>(
        &self,
        without: &[&str],
        bounds: &dyn Fn(&[String]) -> Option<String>,
        problems: &mut Problems,
    ) -> Option<T> {
        let mut value = self.value.clone();
        let Some(object) = value.as_object_mut() else {
            problems.add(
                self,
                format!("expected an object, found {}", name_of(self.value)),
            );
            return None;
        };
        for name in without {
            object.shift_remove(*name);
        }
        let mut removed = Vec::new();
        loop {
            let error = match serde_path_to_error::deserialize::<_, T>(&value) {
                Ok(read) => return Some(read),
                Err(error) => error,
            };
            let inner = error.inner().to_string();
            let path: Vec<String> = error.path().iter().filter_map(path_step).collect();
            // What was taken out is missing now; that is no mistake of the author's.
            if quoted(&inner, "missing field `")
                .is_some_and(|name| removed.contains(&step(&path, &name)))
            {
                return None;
            }
            let pointer = path.iter().fold(self.pointer.clone(), |pointer, name| {
                child_pointer(&pointer, name)
            });
            let mut message = reworded(&inner);
            if let Some((found, _)) = message.split_once(WHOLE_NUMBER)
                && let Some(bounds) = bounds(&path)
            {
                message = format!("{found}{WHOLE_NUMBER}{bounds}");
            }
            problems.push(Problem {
                pointer,
                column: None,
                message,
            });
            if path.is_empty() || !remove(&mut value, &path) {
                return None;
            }
            removed.push(path);
        }
    }
}

/// How serde's sentences about numbers end here.
const WHOLE_NUMBER: &str = "expected a whole number";

/// Reads an object inside of a section: a list of its members' values is none.
///
/// # Errors
/// What serde says.
pub fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    deserializer.deserialize_map(Object(PhantomData))
}

/// [`object`] for a member that may be left out.
///
/// # Errors
/// What serde says.
pub fn optional_object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    object(deserializer).map(Some)
}

struct Object<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members))
    }
}

/// What a JSON value is, in words.
pub fn name_of(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => format!("{value}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) if text.chars().count() <= 40 => format!("the text \"{text}\""),
        Value::String(_) => "a text".into(),
        Value::Array(_) => "an array".into(),
        Value::Object(_) => "an object".into(),
    }
}

/// Pointer to a member: `~` and `/` in names are escaped (RFC 6901).
pub fn child_pointer(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn path_step(segment: &serde_path_to_error::Segment) -> Option<String> {
    use serde_path_to_error::Segment;
    match segment {
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Map { key } => Some(key.clone()),
        Segment::Enum { .. } | Segment::Unknown => None,
    }
}

fn step(path: &[String], name: &str) -> Vec<String> {
    path.iter().cloned().chain([name.to_owned()]).collect()
}

fn remove(value: &mut Value, path: &[String]) -> bool {
    let Some((last, parents)) = path.split_last() else {
        return false;
    };
    let mut at = value;
    for name in parents {
        let next = match at {
            Value::Object(object) => object.get_mut(name),
            Value::Array(array) => name
                .parse()
                .ok()
                .and_then(|index: usize| array.get_mut(index)),
            _ => None,
        };
        let Some(next) = next else { return false };
        at = next;
    }
    match at {
        Value::Object(object) => object.shift_remove(last).is_some(),
        // Taking an element out would shift the pointers of those behind it.
        _ => false,
    }
}

fn quoted(text: &str, before: &str) -> Option<String> {
    let rest = text.strip_prefix(before)?;
    Some(rest.split('`').next()?.to_owned())
}

/// serde's sentence in the words of the settings.
fn reworded(inner: &str) -> String {
    if let Some(word) = quoted(inner, "unknown field `") {
        let known: Vec<&str> = inner.split('`').skip(3).step_by(2).collect();
        return unknown_word("member", &word, &known);
    }
    if let Some(word) = quoted(inner, "unknown variant `") {
        let known: Vec<&str> = inner.split('`').skip(3).step_by(2).collect();
        return unknown_word("word", &word, &known);
    }
    if let Some(word) = quoted(inner, "missing field `") {
        return format!("\"{word}\" is missing");
    }
    let words = [
        ("invalid type: ", "found "),
        ("invalid value: ", "found "),
        ("integer `", "the number `"),
        ("string \"", "the text \""),
        ("boolean `", "`"),
        ("expected u8", "expected a whole number from 0 to 255"),
        ("expected u16", "expected a whole number from 0 to 65535"),
        (
            "expected u32",
            "expected a whole number from 0 to 4294967295",
        ),
        (
            "expected a nonzero u32",
            "expected a whole number from 1 to 4294967295",
        ),
        ("expected u64", "expected a whole number of 0 or more"),
        ("expected usize", "expected a whole number of 0 or more"),
        ("expected i64", "expected a whole number"),
        ("expected a string", "expected a text"),
        ("expected a boolean", "expected true or false"),
        ("expected a map", "expected an object"),
        ("expected a sequence", "expected an array"),
    ];
    words.iter().fold(inner.to_owned(), |text, (from, to)| {
        text.replacen(from, to, 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    #[expect(dead_code, reason = "only the reading is under test")]
    struct Sample {
        port: u16,
        protocol: String,
        #[serde(default)]
        max_bytes: u32,
        #[serde(default)]
        allow: Vec<String>,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "camelCase", deny_unknown_fields)]
    #[expect(dead_code, reason = "only the reading is under test")]
    struct Bounded {
        #[schemars(range(min = 20, max = 500))]
        every_ms: u32,
        #[schemars(range(min = 1))]
        least: Option<u32>,
        free: u32,
        inner: Option<Inner>,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[expect(dead_code, reason = "only the reading is under test")]
    struct Inner {
        #[schemars(range(min = 1, max = 9))]
        seconds: u32,
    }

    #[test]
    fn what_is_no_number_is_told_the_bounds_of_the_member() {
        let document =
            json!({"everyMs": "10s", "least": -1, "free": -1, "inner": {"seconds": true}});
        let mut problems = Problems::new();
        let read: Option<Bounded> = Section::root(&document).read_in_bounds(&[], &mut problems);
        assert!(read.is_none());
        let mut found: Vec<_> = problems
            .as_slice()
            .iter()
            .map(ToString::to_string)
            .collect();
        found.sort();
        assert_eq!(
            found,
            [
                "/everyMs: found the text \"10s\", expected a whole number from 20 to 500",
                "/free: found the number `-1`, expected a whole number from 0 to 4294967295",
                "/inner/seconds: found `true`, expected a whole number from 1 to 9",
                "/least: found the number `-1`, expected a whole number from 0 to 4294967295",
            ]
        );
    }

    fn check(document: Value, expected: &[(&str, &str)]) {
        let mut problems = Problems::new();
        let _: Option<Sample> = Section {
            value: &document,
            pointer: "/listeners/a".into(),
        }
        .read(&[], &mut problems);
        let found: Vec<_> = problems
            .as_slice()
            .iter()
            .map(|p| (p.pointer.as_str(), p.message.as_str()))
            .collect();
        assert_eq!(found, expected, "{document}");
    }

    #[test]
    fn all_mistakes_of_a_section_are_found_at_once() {
        check(json!({"port": 5000, "protocol": "x"}), &[]);
        check(
            json!({"port": 70000, "protokol": "x", "maxBytes": "much", "allow": ["a", 3]}),
            &[
                (
                    "/listeners/a/port",
                    "found the number `70000`, expected a whole number from 0 to 65535",
                ),
                (
                    "/listeners/a/protokol",
                    "unknown member \"protokol\", did you mean \"protocol\"?",
                ),
                (
                    "/listeners/a/maxBytes",
                    "found the text \"much\", expected a whole number from 0 to 4294967295",
                ),
                (
                    "/listeners/a/allow/1",
                    "found the number `3`, expected a text",
                ),
            ],
        );
        check(
            json!({"protocol": "x"}),
            &[("/listeners/a", "\"port\" is missing")],
        );
        check(
            json!([1]),
            &[("/listeners/a", "expected an object, found an array")],
        );
    }
}
