//! Bytes out of text, fields and checksums: replies, commands, message ids.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use thiserror::Error;

use crate::checksum::Algorithm;
use crate::cursor::Endian;
use crate::message::{Fields, Value};
use crate::notation::{
    IntegerKind, NotationError, Span, Word, Words, bytes, unknown_word, write_bcd,
};
use crate::script::{Call, Caller, First};

/// Text or hex with holes `{WHAT [steps] [: TYPE]}`; `{{` is a brace.
#[derive(Clone, Debug)]
pub struct Template {
    parts: Vec<Part>,
}

/// What a template is filled with.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The fields of the frame that is answered.
    pub fields: &'a Fields,
    /// That frame.
    pub frame: &'a [u8],
    /// The device's name, once it is known.
    pub device: Option<&'a str>,
    /// The arguments of a command.
    pub arguments: &'a Fields,
    /// The connection that a script is called for.
    pub caller: Option<&'a Caller>,
}

/// A hole that nothing can fill.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{name} is missing or does not fit")]
pub struct MissingField {
    /// What stands in the hole.
    pub name: String,
}

#[derive(Clone, Debug)]
enum Part {
    Bytes(Vec<u8>),
    Hole(Hole),
}

#[derive(Clone, Debug)]
struct Hole {
    what: What,
    /// Whole-number steps, left to right.
    steps: Vec<(Operator, i128)>,
    /// The part of a text.
    span: Option<Span>,
    form: Form,
}

#[derive(Clone, Debug)]
enum What {
    Field(String),
    Argument(String),
    Device,
    Raw(Span),
    Length(Span),
    Checksum(Algorithm, Span),
    Script(String),
}

#[derive(Clone, Copy, Debug)]
enum Operator {
    Add,
    Subtract,
    Multiply,
    Mask,
}

#[derive(Clone, Copy, Debug)]
enum Form {
    /// Text as it is written; bytes as they are.
    Plain,
    Integer(IntegerKind),
    /// Digits, two to a byte.
    Bcd(usize),
    /// Lower-case hex digits.
    Hex,
}

impl Template {
    /// Reads a template.
    pub fn parse(text: &str) -> Result<Self, NotationError> {
        let (mut rest, hex) = match (text.strip_prefix("text:"), text.strip_prefix("0x")) {
            (Some(rest), _) => (rest, false),
            (None, Some(rest)) => (rest, true),
            (None, None) => (text, false),
        };
        let column = |rest: &str| {
            let before = text.chars().count().saturating_sub(rest.chars().count());
            before.saturating_add(1)
        };
        let mut parts = Vec::new();
        while let Some((before, behind)) = rest.split_once('{') {
            parts.push(literal(before, hex, column(rest))?);
            if let (false, Some(behind)) = (hex, behind.strip_prefix('{')) {
                parts.push(Part::Bytes(b"{".to_vec()));
                rest = behind;
                continue;
            }
            let end = hole_end(behind).ok_or_else(|| {
                let place = column(behind).saturating_sub(1);
                NotationError::new(
                    place,
                    "this `{` is not closed; a brace in text is written `{{`",
                )
            })?;
            let (hole, behind_hole) = behind.split_at_checked(end).unwrap_or((behind, ""));
            parts.push(read_hole(hole).map_err(|error| error.inside(column(behind)))?);
            rest = behind_hole.strip_prefix('}').unwrap_or_default();
        }
        parts.push(literal(rest, hex, column(rest))?);
        Ok(Template { parts })
    }

    /// Fills the holes.
    pub fn render(&self, context: &Context<'_>) -> Result<Vec<u8>, MissingField> {
        let mut out = Vec::new();
        let mut waiting = Vec::new();
        for part in &self.parts {
            match part {
                Part::Bytes(bytes) => out.extend_from_slice(bytes),
                Part::Hole(hole) => {
                    if let Some(width) = hole.waits() {
                        waiting.push((out.len(), width, hole));
                        out.resize(out.len().saturating_add(width), 0);
                    } else {
                        hole.fill(context, &mut out)?;
                    }
                }
            }
        }
        // A checksum may cover a length, never the other way round.
        waiting.sort_by_key(|(_, _, hole)| matches!(hole.what, What::Checksum(..)));
        for (at, width, hole) in waiting {
            hole.mend(at, width, &mut out)?;
        }
        Ok(out)
    }

    /// The fields it names.
    pub fn field_names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Hole(Hole {
                what: What::Field(name),
                ..
            }) => Some(name.as_str()),
            Part::Hole(_) | Part::Bytes(_) => None,
        })
    }

    /// The functions of the script that it names.
    pub fn function_names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Hole(Hole {
                what: What::Script(name),
                ..
            }) => Some(name.as_str()),
            Part::Hole(_) | Part::Bytes(_) => None,
        })
    }

    /// The arguments it names.
    pub fn argument_names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Hole(Hole {
                what: What::Argument(name),
                ..
            }) => Some(name.as_str()),
            Part::Hole(_) | Part::Bytes(_) => None,
        })
    }
}

impl Hole {
    /// The bytes to keep free, where the value depends on what follows.
    fn waits(&self) -> Option<usize> {
        let (What::Length(span) | What::Checksum(_, span)) = &self.what else {
            return None;
        };
        let Form::Integer(kind) = self.form else {
            return None;
        };
        span.to.and(kind.width())
    }

    fn fill(&self, context: &Context<'_>, out: &mut Vec<u8>) -> Result<(), MissingField> {
        let own;
        let value = match &self.what {
            What::Field(name) => context.fields.get(name).ok_or_else(|| self.missing())?,
            What::Argument(name) => context.arguments.get(name).ok_or_else(|| self.missing())?,
            What::Device => {
                own = Value::Text(context.device.ok_or_else(|| self.missing())?.to_owned());
                &own
            }
            What::Raw(span) => {
                let bytes = span
                    .resolve(context.frame.len())
                    .and_then(|range| context.frame.get(range));
                own = Value::Bytes(bytes::Bytes::copy_from_slice(
                    bytes.ok_or_else(|| self.missing())?,
                ));
                &own
            }
            What::Script(name) => {
                own = ask(name, context).ok_or_else(|| self.missing())?;
                &own
            }
            What::Length(_) | What::Checksum(..) => {
                own = Value::Integer(self.measure(out).ok_or_else(|| self.missing())?);
                &own
            }
        };
        self.write(value, out).ok_or_else(|| self.missing())
    }

    /// Writes the value over the bytes that were kept free.
    fn mend(&self, at: usize, width: usize, out: &mut [u8]) -> Result<(), MissingField> {
        let mut written = Vec::new();
        let value = self.measure(out).map(Value::Integer);
        let value = value.ok_or_else(|| self.missing())?;
        self.write(&value, &mut written)
            .ok_or_else(|| self.missing())?;
        let free = out.get_mut(at..at.saturating_add(width));
        match free {
            Some(free) if free.len() == written.len() => free.copy_from_slice(&written),
            _ => return Err(self.missing()),
        }
        Ok(())
    }

    /// A length or checksum over the template's own bytes.
    fn measure(&self, out: &[u8]) -> Option<i128> {
        match &self.what {
            What::Length(span) => i128::try_from(span.resolve(out.len())?.len()).ok(),
            What::Checksum(algorithm, span) => {
                let covered = out.get(span.resolve(out.len())?)?;
                Some(i128::from(algorithm.compute(covered)))
            }
            _ => None,
        }
    }

    fn write(&self, value: &Value, out: &mut Vec<u8>) -> Option<()> {
        let worked;
        let value = if self.steps.is_empty() {
            value
        } else {
            worked = Value::Integer(self.worked(whole(value)?)?);
            &worked
        };
        match self.form {
            Form::Integer(kind) => kind.write(whole(value)?, out),
            Form::Bcd(count) => write_bcd(&String::from_utf8(self.plain(value)?).ok()?, count, out),
            Form::Plain => {
                out.extend_from_slice(&self.plain(value)?);
                Some(())
            }
            Form::Hex => {
                for byte in self.plain(value)? {
                    out.extend_from_slice(format!("{byte:02x}").as_bytes());
                }
                Some(())
            }
        }
    }

    fn worked(&self, value: i128) -> Option<i128> {
        self.steps
            .iter()
            .try_fold(value, |value, (operator, number)| match operator {
                Operator::Add => value.checked_add(*number),
                Operator::Subtract => value.checked_sub(*number),
                Operator::Multiply => value.checked_mul(*number),
                Operator::Mask => Some(value & number),
            })
    }

    fn plain(&self, value: &Value) -> Option<Vec<u8>> {
        let text = match value {
            Value::Bytes(bytes) => return self.part(bytes),
            Value::Text(text) => text.clone(),
            Value::Integer(value) => value.to_string(),
            Value::Float(value) => value.to_string(),
            Value::Bool(value) => value.to_string(),
            Value::Null | Value::List(_) | Value::Object(_) => return None,
        };
        let Some(span) = self.span else {
            return Some(text.into_bytes());
        };
        let range = span.clamp(text.chars().count());
        let part: String = text.chars().skip(range.start).take(range.len()).collect();
        Some(part.into_bytes())
    }

    fn part(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let part = match self.span {
            Some(span) => bytes.get(span.clamp(bytes.len()))?,
            None => bytes,
        };
        Some(part.to_vec())
    }

    fn missing(&self) -> MissingField {
        let name = match &self.what {
            What::Field(name) => name.clone(),
            What::Argument(name) => format!("arg {name}"),
            What::Device => "device".to_owned(),
            What::Raw(_) => "raw".to_owned(),
            What::Length(_) => "length".to_owned(),
            What::Script(name) => format!("script {name}"),
            What::Checksum(algorithm, _) => algorithm.name().to_owned(),
        };
        MissingField { name }
    }
}

/// What a function of the script says.
fn ask(function: &str, context: &Context<'_>) -> Option<Value> {
    context.caller?.call_or_note(&Call {
        function,
        first: First::Fields(context.fields),
        frame: Some(context.frame),
        device: context.device,
    })
}

fn whole(value: &Value) -> Option<i128> {
    match value {
        Value::Integer(value) => Some(*value),
        Value::Bool(value) => Some(i128::from(*value)),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    }
}

fn literal(text: &str, hex: bool, column: usize) -> Result<Part, NotationError> {
    if !hex {
        return Ok(Part::Bytes(text.as_bytes().to_vec()));
    }
    // Two columns less: the `0x` that is put in front.
    let read = bytes(&format!("0x{text}"));
    let read = read
        .map_err(|error| NotationError::new(error.column.saturating_sub(2).max(1), error.message));
    read.map(Part::Bytes).map_err(|error| error.inside(column))
}

/// Where the hole's `}` stands, outside quotes.
fn hole_end(text: &str) -> Option<usize> {
    let mut quoted = false;
    text.char_indices().find_map(|(at, character)| {
        quoted ^= character == '\'';
        (!quoted && character == '}').then_some(at)
    })
}

fn read_hole(text: &str) -> Result<Part, NotationError> {
    if text.trim_start().starts_with("0x") {
        return bytes(text.trim_start()).map(Part::Bytes);
    }
    let (what_text, type_text) = split_type(text);
    let form = match type_text {
        Some((type_text, column)) => form(type_text).map_err(|error| error.inside(column))?,
        None => Form::Plain,
    };
    let mut words = Words::new(what_text)?;
    let first = words.require(
        "a field, a checksum, `raw A..B`, `length A..B`, `script NAME`, `arg NAME` or `device`",
    )?;
    let what = what(&first, &mut words)?;
    let (steps, span) = steps(&mut words)?;
    let form = default_form(&what, form, &first)?;
    Ok(Part::Hole(Hole {
        what,
        steps,
        span,
        form,
    }))
}

/// The text before and behind the `:` outside quotes, with the column of what is behind.
fn split_type(text: &str) -> (&str, Option<(&str, usize)>) {
    let mut quoted = false;
    let colon = text.char_indices().find(|(_, character)| {
        quoted ^= *character == '\'';
        !quoted && *character == ':'
    });
    let Some((what, behind)) = colon.and_then(|(at, _)| text.split_at_checked(at)) else {
        return (text, None);
    };
    let column = what.chars().count().saturating_add(2);
    (
        what,
        behind.strip_prefix(':').map(|behind| (behind, column)),
    )
}

fn what(first: &Word<'_>, words: &mut Words<'_>) -> Result<What, NotationError> {
    if first.quoted {
        return Ok(What::Field(first.text.clone().into_owned()));
    }
    Ok(match first.raw {
        "device" => What::Device,
        "arg" => What::Argument(words.require("the argument's name")?.text.into_owned()),
        "script" => What::Script(words.require("the function's name")?.text.into_owned()),
        "raw" => What::Raw(Span::parse(&words.require("a range such as 4..22")?)?),
        "length" => What::Length(Span::parse(&words.require("a range such as 4..-2")?)?),
        "now" | "count" => {
            return Err(first.error(format!("`{}` is not available in this version", first.raw)));
        }
        name => {
            let over = words.accept("over").is_some();
            match Algorithm::by_name(name) {
                Ok(algorithm) if over => What::Checksum(
                    algorithm,
                    Span::parse(&words.require("a range such as 2..")?)?,
                ),
                Ok(algorithm) => What::Checksum(algorithm, Span { from: 0, to: None }),
                Err(message) if over => return Err(first.error(message)),
                Err(_) => What::Field(name.to_owned()),
            }
        }
    })
}

type Steps = (Vec<(Operator, i128)>, Option<Span>);

fn steps(words: &mut Words<'_>) -> Result<Steps, NotationError> {
    let (mut steps, mut span) = (Vec::new(), None);
    while let Some(word) = words.next() {
        let operator = match word.raw {
            "+" => Operator::Add,
            "-" => Operator::Subtract,
            "*" => Operator::Multiply,
            "&" => Operator::Mask,
            _ if Span::is_like(&word) => {
                span = Some(Span::parse(&word)?);
                continue;
            }
            _ => {
                return Err(word.error(unknown_word(
                    "step",
                    word.raw,
                    &["+", "-", "*", "&", "A..B"],
                )));
            }
        };
        steps.push((operator, words.require("a number")?.number("a number")?));
    }
    Ok((steps, span))
}

fn form(text: &str) -> Result<Form, NotationError> {
    let mut words = Words::new(text)?;
    let first = words.require("a type such as `u16`")?;
    let form = match first.raw {
        "bcd" => Form::Bcd(
            words
                .require("how many bytes")?
                .count("the number of bytes", 64)?,
        ),
        "hex" => Form::Hex,
        "text" => Form::Plain,
        _ => match IntegerKind::parse(&first, &mut words, Endian::Big)? {
            Some(kind) => Form::Integer(kind),
            None => {
                let known = [
                    "u8",
                    "u16",
                    "u32",
                    "u64",
                    "decimal",
                    "hexadecimal",
                    "bcd",
                    "hex",
                    "text",
                ];
                return Err(first.error(unknown_word("type", first.raw, &known)));
            }
        },
    };
    words.end()?;
    Ok(form)
}

/// A checksum without a type is written as wide as it is; a length that waits must have a width.
fn default_form(what: &What, form: Form, first: &Word<'_>) -> Result<Form, NotationError> {
    match (what, form) {
        (What::Checksum(algorithm, _), Form::Plain) => Ok(Form::Integer(IntegerKind::Binary {
            width: u8::try_from(algorithm.width()).unwrap_or(8),
            signed: false,
            endian: Endian::Big,
        })),
        (What::Length(Span { to: Some(_), .. }) | What::Checksum(..), Form::Integer(kind))
            if kind.width().is_none() =>
        {
            Err(first.error("this hole needs a type of a fixed width, such as `decimal 4`"))
        }
        (What::Length(Span { to: Some(_), .. }), Form::Plain) => {
            Err(first.error("this hole needs a type, such as `u16` or `decimal 4`"))
        }
        (_, form) => Ok(form),
    }
}

/// Any bytes as a template, and as the frame that it answers.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(template) = Template::parse(&text) else {
        return;
    };
    let fields: Fields = template
        .field_names()
        .map(|name| (name.into(), Value::Text(name.to_owned())))
        .collect();
    let context = Context {
        fields: &fields,
        frame: data,
        device: Some("d"),
        arguments: &fields,
        caller: None,
    };
    drop(template.render(&context));
}

#[cfg(test)]
mod tests;
