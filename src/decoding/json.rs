//! `json`: the members of an object.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Inherited;
use super::binary::List;
use super::places;
use super::run::Run;
use super::textual::Keyed;
use super::tree::KnownNames;
use crate::document::{Problems, Section};
use crate::message::{Fields, Value};
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
    fields: Box<[Keyed]>,
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
            Keyed::parse_structured(text, &inherited)
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
        run.own(body, || "JSON".to_owned());
        self.set(source, &text, run)
    }

    /// Sets a field for each member of an object; its JSON text, where it has one, says where they
    /// stand.
    pub fn set(&self, source: Value, text: &str, run: &mut Run<'_>) -> Result<(), String> {
        for Keyed { key, field } in &self.fields {
            match member(&source, key) {
                _ if field.made.is_some() => field.decode(Value::Null, run)?,
                Some(member) => {
                    if run.is_traced() {
                        let place = places::find(text, key);
                        run.source(place.unwrap_or_default().as_bytes());
                    }
                    field.decode(member.clone(), run)?;
                }
                None => {}
            }
        }
        self.set_others(source, text, run)
    }

    /// Members that no field string names stay as they come.
    fn set_others(&self, source: Value, text: &str, run: &mut Run<'_>) -> Result<(), String> {
        let Value::Object(members) = source else {
            return Ok(());
        };
        if self.fields.is_empty() {
            note(&members, text, run);
            return run.put_all(*members);
        }
        let others = members.into_iter().filter(|(name, _)| {
            let mut fields = self.fields.iter();
            !fields.any(|of| *of.key == **name || *of.field.name == *name)
        });
        let others = Fields::from(others.collect::<Vec<_>>());
        note(&others, text, run);
        run.put_all(others)
    }

    /// The lists that something is made of.
    pub fn lists(&self) -> impl Iterator<Item = (usize, List<'_>)> {
        let fields = self.fields.iter().enumerate();
        fields.filter_map(|(at, field)| {
            let collect = field.field.steps.collect.as_ref()?;
            let list = List {
                name: &field.field.name,
                layout: None,
                collect: Some(collect),
            };
            Some((at, list))
        })
    }

    /// The field strings.
    pub fn fields(&self) -> impl Iterator<Item = &Keyed> {
        self.fields.iter()
    }
}

/// Notes members that stay as they come.
fn note(members: &Fields, text: &str, run: &mut Run<'_>) {
    if !run.is_traced() {
        return;
    }
    let places: HashMap<String, &str> = places::members(text).into_iter().collect();
    for (name, value) in members.iter() {
        let place = places.get(&**name).copied().unwrap_or_default();
        run.source(place.as_bytes());
        run.found(name, value);
    }
}

/// A member by its key, or deeper by a JSON pointer.
pub(super) fn member<'v>(source: &'v Value, key: &str) -> Option<&'v Value> {
    child(source, key).or_else(|| {
        let path = tokens(key)?;
        let mut path = path.iter();
        path.try_fold(source, |value, token| child(value, token))
    })
}

/// The steps of a JSON pointer; `None` of what is none.
pub(super) fn tokens(key: &str) -> Option<Vec<String>> {
    let tokens = key.strip_prefix('/')?.split('/');
    let plain = |token: &str| token.replace("~1", "/").replace("~0", "~");
    Some(tokens.map(plain).collect())
}

fn child<'v>(value: &'v Value, key: &str) -> Option<&'v Value> {
    match value {
        Value::Object(members) => members.get(key),
        Value::List(elements) => elements.get(index(key)?),
        _ => None,
    }
}

/// RFC 6901: digits without a leading zero.
pub(super) fn index(token: &str) -> Option<usize> {
    let plain = token == "0" || token.starts_with(|first: char| matches!(first, '1'..='9'));
    token.parse().ok().filter(|_| plain)
}
