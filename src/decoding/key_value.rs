//! `key-value`: pairs such as `speed=12;course=90`.

use std::borrow::Cow;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Inherited;
use super::columns::{Line, Separator};
use super::run::Run;
use super::textual::{Encoding, Keyed};
use super::tree::KnownNames;
use crate::cursor::Cursor;
use crate::document::{Problems, Section};
use crate::message::{Fields, Value};
use crate::schema::{Marker, TextField};

/// Bytes of a key at most: keys that no field string names become names of values.
const MOST_KEY: usize = 128;

/// Pairs of a key and a value become fields.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Options {
    /// What stands between two pairs; that of the decoder above, else a comma.
    #[schemars(with = "Option<Marker>")]
    separator: Option<String>,
    /// What stands between a key and its value; that of the decoder above, else `=`.
    #[schemars(with = "Option<Marker>")]
    equals: Option<String>,
    /// What bytes are as text; that of the decoder above, else `utf8`.
    encoding: Option<Encoding>,
    /// What the values are, and other names for them (`at 'KEY'`); all others stay as texts.
    #[serde(default)]
    #[schemars(with = "Vec<TextField>")]
    fields: Vec<String>,
}

/// Pairs of a key and a value.
#[derive(Clone, Debug)]
pub(super) struct KeyValue {
    pairs: Line,
    equals: Separator,
    fields: Box<[Keyed]>,
    names: Arc<KnownNames>,
}

/// A key and the bytes of its value.
type Pair<'f> = (Cow<'f, str>, &'f [u8]);

impl KeyValue {
    /// Builds it; a layout takes what it does not say from a decoder of its kind above it.
    pub fn read(
        section: &Section<'_>,
        without: &[&str],
        inherited: Inherited<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let options: Options = section.read(without, problems)?;
        let fields = super::each_field(section, &options.fields, problems, |text| {
            Keyed::parse(text, &inherited)
        });
        let mut bytes =
            |member, default| Separator::of(section, &inherited, member, default, problems);
        let separator = bytes(("separator", options.separator.as_deref()), ",");
        let equals = bytes(("equals", options.equals.as_deref()), "=");
        Some(KeyValue {
            pairs: Line {
                separator: separator?,
                quote: None,
                encoding: inherited.encoding(options.encoding),
            },
            equals: equals?,
            fields: fields.into(),
            names: Arc::default(),
        })
    }

    /// Sets a field for each pair; of those with the same key the last counts.
    pub fn decode(&self, run: &mut Run<'_>) -> Result<(), String> {
        let pairs = self.pairs(run)?;
        for Keyed { key, field } in &self.fields {
            let mut latest = pairs.iter().rev();
            match latest.find(|(known, _)| known == key) {
                _ if field.made.is_some() => field.decode(Value::Null, run)?,
                Some((_, value)) => field.decode_bytes(value, self.pairs.encoding, run)?,
                None => {}
            }
        }
        let named = |key: &str| {
            let mut fields = self.fields.iter();
            fields.any(|field| field.key == key || **field.field.name == *key)
        };
        let mut names = self.names.session();
        let mut others = Vec::new();
        for (key, value) in pairs {
            if !named(&key) && !value.is_empty() {
                let text = self.pairs.encoding.text(value, &mut run.reading.replaced);
                let other = (names.next(&key), Value::text(text));
                run.source(value);
                run.found(&other.0, &other.1);
                others.push(other);
            }
        }
        self.names.learn(names);
        run.put_all(Fields::from(others))
    }

    /// The field strings.
    pub fn fields(&self) -> impl Iterator<Item = &Keyed> {
        self.fields.iter()
    }

    fn pairs<'f>(&self, run: &mut Run<'f>) -> Result<Vec<Pair<'f>>, String> {
        let mut cursor = Cursor::new(run.body());
        let mut pairs = Vec::new();
        let mut begins = cursor;
        while let Some(piece) = self.pairs.take(&mut cursor) {
            let taken = begins.remaining().saturating_sub(cursor.remaining());
            let whole = begins.take(taken).unwrap_or_default();
            // What is no pair, such as a word in front of them, says nothing.
            let Some((key, value)) = self.equals.split(piece) else {
                continue;
            };
            let key = key.trim_ascii();
            if key.is_empty() {
                continue;
            }
            if key.len() > MOST_KEY {
                return Err(format!(
                    "a key has {} bytes, more than {MOST_KEY}",
                    key.len()
                ));
            }
            run.count_value()?;
            let key = self.pairs.encoding.text(key, &mut run.reading.replaced);
            run.own(whole, || "pair".to_owned());
            pairs.push((key, value.trim_ascii()));
        }
        Ok(pairs)
    }
}
