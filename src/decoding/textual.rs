//! Field strings of the text decoders: `weight: number`, `stable: enum S=true D=false`.

use std::borrow::Cow;

use compact_str::ToCompactString;
use schemars::JsonSchema;
use serde::Deserialize;

use super::made::Made;
use super::run::{EMPTY, NOT_WANTED, Run};
use super::shapes::Shape;
use super::steps::{Collect, Number, Step, Steps, Subject, float_text};
use super::{Inherited, Use};
use crate::message::{Label, Name, Part, Text, Value};
use crate::notation::{NotationError, Word, Words};

/// A field whose value comes as text, or as what JSON has.
#[derive(Clone, Debug)]
pub(super) struct Field {
    /// The field string.
    pub written: Name,
    pub name: Label,
    /// Where it is made of other fields and has no source.
    pub made: Option<Made>,
    kind: Kind,
    pub steps: Steps,
}

/// A field, and where its source has it; under its name, where the field string does not say.
#[derive(Clone, Debug)]
pub(super) struct Keyed {
    pub key: String,
    pub field: Field,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// As it comes.
    Plain,
    Text,
    Number,
    Integer,
    Hexadecimal,
    Bool,
    /// What the source has, whether or not it is text.
    Bytes,
}

/// What bytes are as text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub(super) enum Encoding {
    /// What is not valid is replaced, and the message says so.
    #[default]
    Utf8,
    /// Each byte is the character of its number.
    Latin1,
}

impl Encoding {
    /// Bytes as text; what is not valid is replaced, which `replaced` then says.
    pub fn text<'b>(self, bytes: &'b [u8], replaced: &mut bool) -> Cow<'b, str> {
        if self == Encoding::Latin1 && !bytes.is_ascii() {
            return bytes.iter().map(|byte| char::from(*byte)).collect();
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => {
                *replaced = true;
                String::from_utf8_lossy(bytes)
            }
        }
    }
}

/// Reads `at PLACE`, if it stands there.
pub(super) fn place_by<P>(
    words: &mut Words<'_>,
    place: impl FnOnce(&Word<'_>) -> Result<P, NotationError>,
) -> Result<Option<P>, NotationError> {
    match words.accept("at") {
        Some(_) => place(&words.require("the place")?).map(Some),
        None => Ok(None),
    }
}

impl Keyed {
    /// Reads `NAME[: [TYPE] [at 'KEY'] [steps]]`, where the source is text.
    pub fn parse(text: &str, inherited: &Inherited<'_>) -> Result<Self, NotationError> {
        Self::read(text, inherited, Subject::Value)
    }

    /// [`Keyed::parse`] where the source may have lists.
    pub fn parse_structured(text: &str, inherited: &Inherited<'_>) -> Result<Self, NotationError> {
        Self::read(text, inherited, Subject::Either)
    }

    fn read(
        text: &str,
        inherited: &Inherited<'_>,
        subject: Subject,
    ) -> Result<Self, NotationError> {
        let mut words = Words::new(text)?;
        let name = Field::name(&mut words)?;
        let key = |word: &Word<'_>| Ok(word.text.clone().into_owned());
        let own = inherited.label(&name.text);
        let (field, key) = Field::read(own, &mut words, inherited, subject, key)?;
        let key = key.unwrap_or_else(|| name.text.into_owned());
        Ok(Keyed { key, field })
    }
}

impl Field {
    /// Reads `NAME[: [TYPE] [steps]]`, where the source has one text.
    pub fn parse(text: &str, inherited: &Inherited<'_>) -> Result<Self, NotationError> {
        let mut words = Words::new(text)?;
        let name = Self::name(&mut words)?;
        let nowhere = |word: &Word<'_>| -> Result<(), NotationError> {
            Err(word.error("there is one text and no place in it: `at` says nothing here"))
        };
        let name = inherited.label(&name.text);
        let read = Self::read(name, &mut words, inherited, Subject::Value, nowhere);
        read.map(|(field, _)| field)
    }

    /// Goes over the name. What follows it stands behind a colon.
    pub fn name<'t>(words: &mut Words<'t>) -> Result<Word<'t>, NotationError> {
        let named = words.name();
        let alone = named.is_none();
        let name = named.map_or_else(|| words.require("the field's name"), Ok)?;
        if name.text.is_empty() {
            return Err(name.error("expected a name before `:`"));
        }
        match words.peek().filter(|_| alone) {
            Some(next) => Err(next.error("expected `name: type`")),
            None => Ok(name),
        }
    }

    /// Reads what follows the name; `place` reads what `at` says.
    pub fn read<P>(
        name: Label,
        words: &mut Words<'_>,
        inherited: &Inherited<'_>,
        subject: Subject,
        place: impl FnOnce(&Word<'_>) -> Result<P, NotationError>,
    ) -> Result<(Self, Option<P>), NotationError> {
        let first = words.peek();
        let written = words.whole().into();
        if let Some(made) = Self::read_made(&name, words, inherited)? {
            return Ok((Field { written, ..made }, None));
        }
        let kind = Kind::parse(words)?;
        let place = place_by(words, place)?;
        let plain = match subject {
            Subject::Either => Shape::Any,
            Subject::Value | Subject::List => Shape::Text,
        };
        let shape = Shape::of_kind(kind, plain);
        let steps = Steps::parse(words, inherited, subject, Some(shape))?;
        if let (Some(word), true) = (first, kind != Kind::Plain && steps.collect.is_some()) {
            return Err(word.error(format!("a list is no `{}`", word.raw)));
        }
        let field = Field {
            written,
            name,
            made: None,
            kind,
            steps,
        };
        Ok((field, place))
    }

    /// A field that has no source, if the next word says so.
    fn read_made(
        name: &Label,
        words: &mut Words<'_>,
        inherited: &Inherited<'_>,
    ) -> Result<Option<Self>, NotationError> {
        let mut ahead = words.clone();
        let Some(first) = ahead.next() else {
            return Ok(None);
        };
        let made = Made::parse(name, &first, &mut ahead, inherited)?;
        Ok(made.map(|(made, steps)| Field {
            made: Some(made),
            steps,
            ..Field::plain(name.clone())
        }))
    }

    /// A field that takes its value as it comes.
    pub fn plain(name: Label) -> Self {
        Field {
            written: Name::clone(&name),
            name,
            made: None,
            kind: Kind::Plain,
            steps: Steps::default(),
        }
    }

    /// What it sets and needs.
    pub fn uses(&self, at: Option<usize>) -> Use<'_> {
        Use {
            at,
            sets: self.names().map(|name| &**name).collect(),
            before: super::read_before(&self.steps).collect(),
            needs: super::needs(&self.steps)
                .chain(self.made.iter().flat_map(Made::needs))
                .collect(),
            with: self.steps.with,
            late: self.made.as_ref().is_some_and(Made::is_late),
        }
    }

    /// The names that it sets.
    fn names(&self) -> impl Iterator<Item = &Name> {
        let bits = self.steps.bits.iter().map(|bits| &*bits.name);
        std::iter::once(&*self.name).chain(bits)
    }

    /// Sets the field from bytes that are text unless it wants them as they are.
    pub fn decode_bytes(
        &self,
        bytes: &[u8],
        encoding: Encoding,
        run: &mut Run<'_>,
    ) -> Result<(), String> {
        if self.made.is_none() {
            run.source(bytes);
        }
        let note = run.begin_field(&self.name, &self.written);
        let read = self.read_bytes(bytes, encoding, run);
        run.end(note, &read);
        read
    }

    /// [`Field::decode_bytes`] for what is noted already.
    pub fn read_bytes(
        &self,
        bytes: &[u8],
        encoding: Encoding,
        run: &mut Run<'_>,
    ) -> Result<(), String> {
        if self.made.is_some() {
            return self.read_value(Value::Null, run);
        }
        if bytes.is_empty() {
            run.leave_out(&self.name, EMPTY);
            return Ok(());
        }
        if !run.wants(self.steps.condition.as_ref()) {
            run.leave_out(&self.name, NOT_WANTED);
            return Ok(());
        }
        if self.kind == Kind::Bytes {
            return self.convert(Value::Bytes(bytes.into()), run);
        }
        if self.kind.is_text() || self.steps.nulls {
            let text = encoding.text(bytes, &mut run.reading.replaced);
            if let Some((value, left)) = self.first_step(&text, run) {
                let value = value.map_err(|why| format!("{} {why}", self.name))?;
                return run.set_by(&self.name, &self.steps, left, value);
            }
            let plain = self.kind.is_text() && !self.steps.nulls && self.steps.collect.is_none();
            if plain {
                return run.set(&self.name, &self.steps, Value::text(text));
            }
            return self.convert(Value::text(text), run);
        }
        // Most columns are numbers: nothing is allocated for them. Bytes that are no text are none.
        let text = std::str::from_utf8(bytes).unwrap_or("?");
        let number = match self.kind {
            Kind::Number => finite(trimmed(text)).map(Number::Float),
            Kind::Integer => whole(trimmed(text)).map(Number::Integer),
            _ => None,
        };
        if let Some(number) = number {
            return run.set_number(&self.name, &self.steps, number);
        }
        let value = self.kind.read_text(trimmed(text));
        let value = value.map_err(|why| format!("{} {why}", self.name))?;
        run.set(&self.name, &self.steps, value)
    }

    /// The value behind the first step, and the steps that are left, where that step can do with a
    /// text that stays where it is.
    fn first_step(&self, text: &str, run: &Run<'_>) -> Option<(Result<Value, String>, &[Step])> {
        let (first, left) = self.steps.steps.split_first()?;
        if self.steps.nulls || run.is_traced() || self.steps.collect.is_some() {
            return None;
        }
        Some((first.of_borrowed(text)?, left))
    }

    /// Sets the field from its source.
    pub fn decode(&self, value: Value, run: &mut Run<'_>) -> Result<(), String> {
        let note = run.begin_field(&self.name, &self.written);
        let read = self.read_value(value, run);
        run.end(note, &read);
        read
    }

    fn read_value(&self, value: Value, run: &mut Run<'_>) -> Result<(), String> {
        if !run.wants(self.steps.condition.as_ref()) {
            run.leave_out(&self.name, NOT_WANTED);
            return Ok(());
        }
        if let Some(made) = &self.made {
            return made.decode(&self.name, &self.steps, run);
        }
        if matches!(&value, Value::Text(text) if text.is_empty()) {
            run.leave_out(&self.name, EMPTY);
            return Ok(());
        }
        self.convert(value, run)
    }

    fn convert(&self, value: Value, run: &mut Run<'_>) -> Result<(), String> {
        // `null` names the text as it comes: `-` is no number.
        let mut steps = self.steps.steps.iter();
        if self.steps.nulls && steps.any(|step| step.is_null(&value)) {
            return run.set(&self.name, &self.steps, Value::Null);
        }
        let value = self
            .kind
            .convert(value)
            .map_err(|why| format!("{} {why}", self.name))?;
        match &self.steps.collect {
            None => run.set(&self.name, &self.steps, value),
            Some(collect) => {
                let parts = self.parts(value, run)?;
                run.collect(&self.name, &self.steps, collect, parts)
            }
        }
    }

    /// The elements of a list.
    fn parts(&self, value: Value, run: &mut Run<'_>) -> Result<Vec<Part>, String> {
        let Value::List(list) = value else {
            return Err(format!("{} is not a list", self.name));
        };
        let message = self.steps.collect == Some(Collect::Split);
        let mut parts = Vec::new();
        for element in list {
            run.count_value()?;
            parts.push(run.element(message, |run| match element {
                Value::Object(fields) => {
                    for _ in 0..fields.len() {
                        run.count_value()?;
                    }
                    run.put_all(*fields)
                }
                bare => run.put(&self.name, bare),
            })?);
        }
        Ok(parts)
    }
}

impl Kind {
    fn parse(words: &mut Words<'_>) -> Result<Self, NotationError> {
        let kind = match words.peek() {
            Some(word) if word.quoted => Kind::Plain,
            Some(word) => match word.raw {
                "text" => Kind::Text,
                "number" => Kind::Number,
                "integer" => Kind::Integer,
                "hexadecimal" => Kind::Hexadecimal,
                "bool" => Kind::Bool,
                "bytes" => Kind::Bytes,
                "repeat" | "skip" => {
                    return Err(word.error(format!(
                        "`{}` is for what stands in a row: use it in `binary` or `csv`",
                        word.raw
                    )));
                }
                _ => Kind::Plain,
            },
            None => Kind::Plain,
        };
        if kind != Kind::Plain {
            words.next();
        }
        Ok(kind)
    }

    fn is_text(self) -> bool {
        matches!(self, Kind::Plain | Kind::Text)
    }

    /// The value as this kind says; an `Err` says why it cannot be.
    pub fn convert(self, value: Value) -> Result<Value, String> {
        match (self, value) {
            (Kind::Plain, value) | (_, value @ Value::Null) => Ok(value),
            (Kind::Text, value) => Ok(Value::Text(as_text(value)?)),
            (Kind::Number, Value::Integer(value)) => Ok(Value::Float(value.get() as f64)),
            (Kind::Number, value @ Value::Float(_)) => Ok(value),
            (Kind::Integer, value @ Value::Integer(_)) => Ok(value),
            (Kind::Bool, value @ Value::Bool(_)) => Ok(value),
            (Kind::Bytes, value @ Value::Bytes(_)) => Ok(value),
            (Kind::Bytes, value) => Ok(Value::Bytes(as_text(value)?.as_bytes().into())),
            (kind, value) => kind.read_text(as_text(value)?.trim()),
        }
    }

    fn read_text(self, text: &str) -> Result<Value, String> {
        let (value, what) = match self {
            Kind::Number => (finite(text).map(Value::Float), "number"),
            Kind::Integer => (whole(text).map(Value::integer), "whole number"),
            Kind::Hexadecimal => (hexadecimal(text).map(Value::integer), "hexadecimal number"),
            Kind::Bool => (flag(text).map(Value::Bool), "flag (true, false, 1 or 0)"),
            Kind::Plain | Kind::Text | Kind::Bytes => (Some(Value::text(text)), "text"),
        };
        value.ok_or_else(|| format!("is no {what}"))
    }
}

fn as_text(value: Value) -> Result<Text, String> {
    match value {
        Value::Text(text) => Ok(text),
        Value::Integer(value) => Ok(value.to_compact_string()),
        Value::Float(value) => Ok(float_text(value)),
        Value::Bool(value) => Ok(value.to_compact_string()),
        Value::Null | Value::Bytes(_) | Value::List(_) | Value::Object(_) => {
            Err("is no text".to_owned())
        }
    }
}

/// A text without blanks at its ends; most have none, which the ends say.
fn trimmed(text: &str) -> &str {
    match text.as_bytes() {
        [only] if only.is_ascii_graphic() => text,
        [first, .., last] if first.is_ascii_graphic() && last.is_ascii_graphic() => text,
        _ => text.trim(),
    }
}

fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Wide numbers are slow to read, and few are so large.
fn whole(text: &str) -> Option<i128> {
    let small = text.parse::<i64>().map(i128::from);
    small.or_else(|_| text.parse()).ok()
}

fn hexadecimal(text: &str) -> Option<i128> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let digits =
        Some(digits).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
    i128::from_str_radix(digits, 16).ok()
}

fn flag(text: &str) -> Option<bool> {
    match text {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}
