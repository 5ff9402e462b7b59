//! `json`: the members of an object.

use std::borrow::Cow;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Inherited;
use super::binary::List;
use super::run::Run;
use super::textual::Field;
use super::tree::KnownNames;
use crate::document::{Problems, Section};
use crate::message::Value;
use crate::schema::TextField;

/// The members of a JSON object become fields.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Options {
    /// What members are, and other names for them (`at 'KEY'`, or a JSON pointer); all others stay as they come.
    #[serde(default)]
    #[schemars(with = "Vec<TextField>")]
    fields: Vec<String>,
}

/// Members of a JSON object.
#[derive(Clone, Debug)]
pub(super) struct JsonDecoder {
    fields: Box<[Field]>,
    names: Arc<KnownNames>,
}

impl JsonDecoder {
    /// Builds it.
    pub fn read(
        section: &Section<'_>,
        without: &[&str],
        inherited: Inherited<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let options: Options = section.read(without, problems)?;
        let fields = super::each_field(section, &options.fields, problems, |text| {
            Field::parse_structured(text, &inherited)
        });
        Some(JsonDecoder {
            fields: fields.into(),
            names: Arc::default(),
        })
    }

    /// Sets a field for each member.
    pub fn decode(&self, run: &mut Run<'_>) -> Result<(), String> {
        let body = run.body();
        let text = match std::str::from_utf8(body) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => String::from_utf8_lossy(body),
        };
        run.reading.replaced |= matches!(text, Cow::Owned(_));
        let source = self.names.read(&text);
        let source = source.map_err(|error| format!("not JSON: {error}"))?;
        let Value::Object(_) = source else {
            return Err("not a JSON object".to_owned());
        };
        for field in &self.fields {
            match member(&source, &field.key) {
                _ if field.made.is_some() => field.decode(Value::Null, run)?,
                Some(member) => field.decode(member.clone(), run)?,
                None => {}
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
pub(super) fn member<'v>(source: &'v Value, key: &str) -> Option<&'v Value> {
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
