//! JSON texts as values, and names that frames bring.

use std::cell::RefCell;
use std::fmt;
use std::sync::OnceLock;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::message::{Fields, Name, Value};

/// Names in the order in which the first text had them: devices say the same ones again and
/// again, and who is known is not copied.
#[derive(Debug, Default)]
pub(super) struct KnownNames(OnceLock<Box<[Name]>>);

impl KnownNames {
    /// Reads a text.
    pub fn read(&self, text: &str) -> serde_json::Result<Value> {
        let names = RefCell::new(self.session());
        let mut reader = serde_json::Deserializer::from_str(text);
        let value = Tree(&names).deserialize(&mut reader)?;
        reader.end()?;
        self.learn(names.into_inner());
        Ok(value)
    }

    /// The names for one text.
    pub fn session(&self) -> Names<'_> {
        Names {
            known: self.0.get().map_or(&[], |names| names),
            count: 0,
            new: Vec::new(),
        }
    }

    /// Keeps the names of the first text.
    pub fn learn(&self, names: Names<'_>) {
        if !names.new.is_empty() {
            self.0.get_or_init(|| names.new.into());
        }
    }
}

/// How many names are learned from the first frame.
const MOST_NAMES: usize = 64;

/// Names of members, one after the other as the text has them.
#[derive(Debug)]
pub(super) struct Names<'n> {
    known: &'n [Name],
    count: usize,
    /// Learned, while none are known.
    new: Vec<Name>,
}

impl Names<'_> {
    /// The next name.
    pub fn next(&mut self, text: &str) -> Name {
        let known = self.known.get(self.count).filter(|name| ***name == *text);
        self.count = self.count.saturating_add(1);
        if let Some(name) = known {
            return Name::clone(name);
        }
        let name = Name::from(text);
        if self.known.is_empty() && self.new.len() < MOST_NAMES {
            self.new.push(Name::clone(&name));
        }
        name
    }
}

/// Any JSON text as a value; a member that stands there twice counts as it was said last.
#[derive(Clone, Copy)]
struct Tree<'a, 'n>(&'a RefCell<Names<'n>>);

impl<'de> DeserializeSeed<'de> for Tree<'_, '_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_, '_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::integer(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::integer(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = elements.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Value::List(values.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(name) = members.next_key_seed(Key(self.0))? {
            values.push((name, members.next_value_seed(self)?));
        }
        Ok(Value::Object(Box::new(Fields::from(values))))
    }
}

/// The name of a member.
struct Key<'a, 'n>(&'a RefCell<Names<'n>>);

impl<'de> DeserializeSeed<'de> for Key<'_, '_> {
    type Value = Name;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Name, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_, '_> {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Name, E> {
        Ok(self.0.borrow_mut().next(name))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value as Json;

    use super::*;
    use crate::decoding::json::member;

    /// JSON as another reader has it.
    fn expected(json: &Json) -> Value {
        match json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::String(text) => Value::text(&**text),
            Json::Array(values) => Value::List(values.iter().map(expected).collect()),
            Json::Object(members) => {
                let members = members.iter();
                let members =
                    members.map(|(name, member)| (Name::from(name.as_str()), expected(member)));
                Value::Object(Box::new(members.collect()))
            }
            Json::Number(number) => match number.as_i128() {
                Some(value) => Value::integer(value),
                None => Value::Float(number.as_f64().unwrap()),
            },
        }
    }

    fn any_json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            any::<bool>().prop_map(|value| value.to_string()),
            any::<i64>().prop_map(|value| value.to_string()),
            any::<u64>().prop_map(|value| value.to_string()),
            any::<f64>()
                .prop_filter("JSON has no others", |value| value.is_finite())
                .prop_map(|value| format!("{value:e}")),
            ".{0,6}".prop_map(|text| Json::from(text).to_string()),
        ];
        leaf.prop_recursive(4, 60, 20, |inner| {
            let member = ("[a-e~/]{0,2}", inner.clone())
                .prop_map(|(name, value)| format!("{}:{value}", Json::from(name)));
            prop_oneof![
                prop::collection::vec(inner, 0..6)
                    .prop_map(|values| format!("[{}]", values.join(","))),
                prop::collection::vec(member, 0..20)
                    .prop_map(|members| format!("{{{}}}", members.join(","))),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_json_text_is_read_as_others_read_it(
            texts in prop::collection::vec(any_json(), 1..4),
            pointer in "(/[a-e0-2]{0,2}){0,3}",
        ) {
            let names = KnownNames::default();
            for text in texts {
                let json: Json = serde_json::from_str(&text).unwrap();
                let value = names.read(&text).unwrap();
                prop_assert_eq!(&value, &expected(&json));
                if !pointer.is_empty() {
                    let found = json.get(&pointer).or_else(|| json.pointer(&pointer));
                    prop_assert_eq!(member(&value, &pointer).cloned(), found.map(expected));
                }
            }
        }
    }

    #[test]
    fn what_stands_behind_the_value_or_deeper_than_all_sense_is_an_error() {
        let names = KnownNames::default();
        let deep = "[".repeat(100_000);
        for text in ["{} x", "{\"a\":}", "", "{\"a\":1,}", &deep] {
            assert!(names.read(text).is_err(), "{text:.20}");
        }
    }
}
