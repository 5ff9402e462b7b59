//! JSON text to a document, with what JSON readers usually swallow: a member written twice.

use std::cell::RefCell;
use std::fmt;

use serde::de::{Deserializer as _, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::{Problem, Problems, child_pointer};

/// Reads JSON text. Text that is no JSON gives nothing and one problem with line and column;
/// of a member written twice the last value stands, and the pointer is noted.
pub fn parse(text: &str, problems: &mut Problems) -> Option<Value> {
    let twice = RefCell::new(Vec::new());
    let mut reader = serde_json::Deserializer::from_str(text.trim_start_matches('\u{feff}'));
    let read = Node {
        pointer: String::new(),
        twice: &twice,
    }
    .read(&mut reader)
    .and_then(|value| {
        reader.end()?;
        Ok(value)
    });
    for pointer in twice.into_inner() {
        problems.push(Problem {
            pointer,
            column: None,
            message: "written twice; only the last would count".into(),
        });
    }
    match read {
        Ok(value) => Some(value),
        Err(error) => {
            problems.push(Problem {
                pointer: String::new(),
                column: None,
                message: format!("this is not JSON: {error}"),
            });
            None
        }
    }
}

struct Node<'a> {
    pointer: String,
    twice: &'a RefCell<Vec<String>>,
}

impl Node<'_> {
    fn read<'de, R: serde_json::de::Read<'de>>(
        self,
        reader: &mut serde_json::Deserializer<R>,
    ) -> Result<Value, serde_json::Error> {
        reader.deserialize_any(self)
    }

    fn child(&self, name: &str) -> Self {
        Node {
            pointer: child_pointer(&self.pointer, name),
            twice: self.twice,
        }
    }
}

impl<'de> serde::de::DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(element) =
            elements.next_element_seed(self.child(&array.len().to_string()))?
        {
            array.push(element);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let child = self.child(&name);
            if object.contains_key(&name) {
                self.twice.borrow_mut().push(child.pointer.clone());
            }
            let value = members.next_value_seed(child)?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(text: &str, value: Option<Value>, expected: &[(&str, &str)]) {
        let mut problems = Problems::new();
        assert_eq!(parse(text, &mut problems), value, "{text}");
        let found: Vec<_> = problems
            .as_slice()
            .iter()
            .map(|p| (p.pointer.as_str(), p.message.as_str()))
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn members_written_twice_and_text_that_is_no_json_are_noted() {
        check(
            r#"{"a": [1, -2, 2.5, "x", true, null, {}]}"#,
            Some(json!({"a": [1, -2, 2.5, "x", true, null, {}]})),
            &[],
        );
        check("\u{feff}{}", Some(json!({})), &[]);
        check(
            r#"{"l": {"a/b": 1, "a/b": 2}, "x": [{"y": 1, "y": 1}]}"#,
            Some(json!({"l": {"a/b": 2}, "x": [{"y": 1}]})),
            &[
                ("/l/a~1b", "written twice; only the last would count"),
                ("/x/0/y", "written twice; only the last would count"),
            ],
        );
        check(
            "{\"a\":\n1,}",
            None,
            &[("", "this is not JSON: trailing comma at line 2 column 3")],
        );
        check(
            "{} x",
            None,
            &[(
                "",
                "this is not JSON: trailing characters at line 1 column 4",
            )],
        );
        check(
            &"[".repeat(1000),
            None,
            &[(
                "",
                "this is not JSON: recursion limit exceeded at line 1 column 128",
            )],
        );
    }
}
