//! `json`: the members of an object.

use serde::Deserialize;
use serde_json::Value as Json;

use super::binary::List;
use super::run::Run;
use super::textual::Field;
use crate::document::{Problems, Section};
use crate::message::Value;

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
        let text = String::from_utf8_lossy(run.body());
        run.reading.replaced |= matches!(text, std::borrow::Cow::Owned(_));
        let read = serde_json::from_str(&text);
        let Json::Object(object) = read.map_err(|error| format!("not JSON: {error}"))? else {
            return Err("not a JSON object".to_owned());
        };
        let source = Json::Object(object);
        for field in &self.fields {
            if let Some(member) = member(&source, &field.key) {
                field.decode(value(member.clone()), run)?;
            }
        }
        self.set_others(source, run)
    }

    /// Members that no field string names stay as they come.
    fn set_others(&self, source: Json, run: &mut Run<'_>) -> Result<(), String> {
        let Json::Object(object) = source else {
            return Ok(());
        };
        for (name, member) in object {
            if self
                .fields
                .iter()
                .any(|field| field.key == name || *field.name == *name)
            {
                continue;
            }
            run.put(&name.into(), value(member), None)?;
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
fn member<'j>(source: &'j Json, key: &str) -> Option<&'j Json> {
    source.get(key).or_else(|| source.pointer(key))
}

fn value(json: Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(value),
        Json::String(text) => Value::Text(text),
        Json::Array(values) => Value::List(values.into_iter().map(value).collect()),
        Json::Object(members) => {
            let fields = members
                .into_iter()
                .map(|(name, member)| (name.into(), value(member)));
            Value::Object(fields.collect())
        }
        Json::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(value), _) => Value::Integer(value.into()),
            (None, Some(value)) => Value::Integer(value.into()),
            (None, None) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
    }
}
