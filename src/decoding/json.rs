//! `json`: the members of an object.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};

use super::binary::List;
use super::run::Run;
use super::textual::Field;
use crate::document::{Problems, Section};
use crate::message::{Fields, Name, Value};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Options {
    /// What members are, and other names for them; all others stay as they come.
    #[serde(default)]
    fields: Vec<String>,
}

/// Members of a JSON object.
#[derive(Clone, Debug)]
pub(super) struct JsonDecoder {
    fields: Box<[Field]>,
}

impl JsonDecoder {
    /// Builds it.
    pub fn read(section: &Section<'_>, without: &[&str], problems: &mut Problems) -> Option<Self> {
        let options: Options = section.read(without, problems)?;
        let fields = super::each_field(section, &options.fields, problems, Field::parse_structured);
        Some(JsonDecoder {
            fields: fields.into(),
        })
    }

    /// Sets a field for each member.
    pub fn decode<'a>(&'a self, run: &mut Run<'a>) -> Result<(), String> {
        let body = run.body();
        let text = match std::str::from_utf8(body) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => String::from_utf8_lossy(body),
        };
        run.reading.replaced |= matches!(text, Cow::Owned(_));
        let source = serde_json::from_str::<Tree>(&text);
        let Tree(source @ Value::Object(_)) =
            source.map_err(|error| format!("not JSON: {error}"))?
        else {
            return Err("not a JSON object".to_owned());
        };
        for field in &self.fields {
            if let Some(member) = member(&source, &field.key) {
                field.decode(member.clone(), run)?;
            }
        }
        self.set_others(source, run)
    }

    /// Members that no field string names stay as they come.
    fn set_others(&self, source: Value, run: &mut Run<'_>) -> Result<(), String> {
        let Value::Object(members) = source else {
            return Ok(());
        };
        if self.fields.is_empty() {
            return run.put_all(members);
        }
        for (name, member) in members {
            if self
                .fields
                .iter()
                .any(|field| *field.key == *name || field.name == name)
            {
                continue;
            }
            run.put(&name, member, None)?;
        }
        Ok(())
    }

    /// The lists that something is made of.
    pub fn lists(&self) -> impl Iterator<Item = (usize, List<'_>)> {
        let fields = self.fields.iter().enumerate();
        fields.filter_map(|(at, field)| {
            let collect = field.steps.collect.as_ref()?;
            let list = List {
                name: &field.name,
                layout: None,
                collect: Some(collect),
            };
            Some((at, list))
        })
    }

    /// The field strings.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter()
    }
}

/// A member by its key, or deeper by a JSON pointer.
fn member<'v>(source: &'v Value, key: &str) -> Option<&'v Value> {
    child(source, key).or_else(|| {
        let mut tokens = key.strip_prefix('/')?.split('/');
        tokens.try_fold(source, |value, token| {
            child(value, &token.replace("~1", "/").replace("~0", "~"))
        })
    })
}

fn child<'v>(value: &'v Value, key: &str) -> Option<&'v Value> {
    match value {
        Value::Object(members) => members.get(key),
        Value::List(elements) => elements.get(index(key)?),
        _ => None,
    }
}

/// RFC 6901: digits without a leading zero.
fn index(token: &str) -> Option<usize> {
    let plain = token == "0" || token.starts_with(|first: char| matches!(first, '1'..='9'));
    token.parse().ok().filter(|_| plain)
}

/// Any JSON text as a value; a member that stands there twice counts as it was said last.
struct Tree(Value);

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Trees).map(Tree)
    }
}

struct Trees;

impl<'de> Visitor<'de> for Trees {
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
        Ok(Value::Integer(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Tree(value)) = elements.next_element()? {
            values.push(value);
        }
        Ok(Value::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut values = Vec::with_capacity(8);
        while let Some((Key(name), Tree(value))) = members.next_entry()? {
            values.push((name, value));
        }
        Ok(Value::Object(Fields::from(values)))
    }
}

/// The name of a member.
struct Key(Name);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Keys).map(Key)
    }
}

struct Keys;

impl Visitor<'_> for Keys {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Name, E> {
        Ok(name.into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value as Json;

    use super::*;

    /// JSON as another reader has it.
    fn expected(json: &Json) -> Value {
        match json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::String(text) => Value::Text(text.clone()),
            Json::Array(values) => Value::List(values.iter().map(expected).collect()),
            Json::Object(members) => {
                let members = members.iter();
                let members =
                    members.map(|(name, member)| (Name::from(name.as_str()), expected(member)));
                Value::Object(members.collect())
            }
            Json::Number(number) => match number.as_i128() {
                Some(value) => Value::Integer(value),
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
        fn every_json_text_is_read_as_others_read_it(text in any_json(), pointer in "(/[a-e0-2]{0,2}){0,3}") {
            let json: Json = serde_json::from_str(&text).unwrap();
            let Tree(value) = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&value, &expected(&json));
            if !pointer.is_empty() {
                let found = json.get(&pointer).or_else(|| json.pointer(&pointer));
                prop_assert_eq!(member(&value, &pointer).cloned(), found.map(expected));
            }
        }
    }
}
