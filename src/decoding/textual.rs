//! Field strings of the text decoders: `weight: number`, `stable: enum S=true D=false`.

use super::Inherited;
use super::made::Made;
use super::run::Run;
use super::steps::{Collect, Steps, Subject, float_text};
use super::types::utf8;
use crate::message::{Name, Part, Value};
use crate::notation::{NotationError, Words};

/// A field whose value comes as text, or as what JSON has.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub name: Name,
    /// Where the source has it; the name, where the field string does not say.
    pub key: String,
    /// Where it is made of other fields and has no source.
    pub made: Option<Made>,
    kind: Kind,
    pub steps: Steps,
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

impl Field {
    /// Reads `NAME[: [TYPE] [at 'KEY'] [steps]]`, where the source is text.
    pub fn parse(text: &str, inherited: &Inherited<'_>) -> Result<Self, NotationError> {
        Self::read(text, inherited, Subject::Value)
    }

    /// [`Field::parse`] where the source may have lists.
    pub fn parse_structured(text: &str, inherited: &Inherited<'_>) -> Result<Self, NotationError> {
        Self::read(text, inherited, Subject::Either)
    }

    fn read(
        text: &str,
        inherited: &Inherited<'_>,
        subject: Subject,
    ) -> Result<Self, NotationError> {
        let mut words = Words::new(text)?;
        let name = match words.name() {
            Some(name) => name,
            None => words.require("the field's name")?,
        };
        if name.text.is_empty() {
            return Err(name.error("expected a name before `:`"));
        }
        let first = words.peek();
        if let Some(made) = Self::read_made(&name.text, &mut words, inherited)? {
            return Ok(made);
        }
        let kind = Kind::parse(&mut words)?;
        let key = match words.accept("at") {
            Some(_) => words.require("the key")?.text.into_owned(),
            None => name.text.clone().into_owned(),
        };
        let steps = Steps::parse(&mut words, inherited, subject)?;
        if let (Some(word), true) = (first, kind != Kind::Plain && steps.collect.is_some()) {
            return Err(word.error(format!("a list is no `{}`", word.raw)));
        }
        let name = name.text.as_ref().into();
        Ok(Field {
            name,
            key,
            made: None,
            kind,
            steps,
        })
    }

    /// A field that has no source, if the next word says so.
    fn read_made(
        name: &str,
        words: &mut Words<'_>,
        inherited: &Inherited<'_>,
    ) -> Result<Option<Self>, NotationError> {
        let mut ahead = words.clone();
        let Some(first) = ahead.next() else {
            return Ok(None);
        };
        let made = Made::parse(&name.into(), &first, &mut ahead, inherited)?;
        Ok(made.map(|(made, steps)| Field {
            made: Some(made),
            steps,
            ..Field::plain(name)
        }))
    }

    /// The names that it sets.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        std::iter::once(&self.name).chain(self.steps.bits.iter().map(|bits| &bits.name))
    }

    /// The names that it needs.
    pub fn needs(&self) -> impl Iterator<Item = &str> {
        let made = self.made.iter().flat_map(Made::needs);
        super::needs(&self.steps).chain(made)
    }

    /// A field that takes its value as it comes.
    pub fn plain(name: &str) -> Self {
        Field {
            name: name.into(),
            key: name.to_owned(),
            made: None,
            kind: Kind::Plain,
            steps: Steps::default(),
        }
    }

    /// Sets the field from bytes that are text unless it wants them as they are.
    pub fn decode_bytes(&self, bytes: &[u8], run: &mut Run<'_>) -> Result<(), String> {
        // Text that nobody reads is not mended.
        if !run.wants(self.steps.condition.as_ref()) {
            return Ok(());
        }
        let value = if self.kind == Kind::Bytes && !bytes.is_empty() {
            Value::Bytes(bytes.to_vec().into())
        } else {
            Value::Text(utf8(bytes, &mut run.reading.replaced))
        };
        self.decode(value, run)
    }

    /// Sets the field from its source.
    pub fn decode(&self, value: Value, run: &mut Run<'_>) -> Result<(), String> {
        if !run.wants(self.steps.condition.as_ref()) {
            return Ok(());
        }
        if let Some(made) = &self.made {
            return made.decode(&self.name, &self.steps, run);
        }
        if matches!(&value, Value::Text(text) if text.is_empty()) {
            return Ok(());
        }
        // `null` names the text as it comes: `-` is no number.
        if self.steps.steps.iter().any(|step| step.is_null(&value)) {
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
                    for (name, value) in fields {
                        run.count_value()?;
                        run.put(&name, value, None)?;
                    }
                    Ok(())
                }
                bare => run.put(&self.name, bare, None),
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
                "repeat" => return Err(word.error("`repeat` reads bytes: use it in `binary`")),
                _ => Kind::Plain,
            },
            None => Kind::Plain,
        };
        if kind != Kind::Plain {
            words.next();
        }
        Ok(kind)
    }

    /// The value as this kind says; an `Err` says why it cannot be.
    pub fn convert(self, value: Value) -> Result<Value, String> {
        match (self, value) {
            (Kind::Plain, value) | (_, value @ Value::Null) => Ok(value),
            (Kind::Text, value) => Ok(Value::Text(as_text(value)?)),
            (Kind::Number, Value::Integer(value)) => Ok(Value::Float(value as f64)),
            (Kind::Number, value @ Value::Float(_)) => Ok(value),
            (Kind::Integer, value @ Value::Integer(_)) => Ok(value),
            (Kind::Bool, value @ Value::Bool(_)) => Ok(value),
            (Kind::Bytes, value @ Value::Bytes(_)) => Ok(value),
            (Kind::Bytes, value) => Ok(Value::Bytes(as_text(value)?.into_bytes().into())),
            (kind, value) => kind.read_text(as_text(value)?.trim()),
        }
    }

    fn read_text(self, text: &str) -> Result<Value, String> {
        let (value, what) = match self {
            Kind::Number => (finite(text).map(Value::Float), "number"),
            Kind::Integer => (text.parse().ok().map(Value::Integer), "whole number"),
            Kind::Hexadecimal => (hexadecimal(text).map(Value::Integer), "hexadecimal number"),
            Kind::Bool => (flag(text).map(Value::Bool), "flag (true, false, 1 or 0)"),
            Kind::Plain | Kind::Text | Kind::Bytes => (Some(Value::Text(text.to_owned())), "text"),
        };
        value.ok_or_else(|| format!("is no {what}"))
    }
}

fn as_text(value: Value) -> Result<String, String> {
    match value {
        Value::Text(text) => Ok(text),
        Value::Integer(value) => Ok(value.to_string()),
        Value::Float(value) => Ok(float_text(value)),
        Value::Bool(value) => Ok(value.to_string()),
        Value::Null | Value::Bytes(_) | Value::List(_) | Value::Object(_) => {
            Err("is no text".to_owned())
        }
    }
}

fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
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
