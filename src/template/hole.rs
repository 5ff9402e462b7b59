//! One hole of a template: what stands in it, and how it is filled.

use std::borrow::Cow;
use std::ops::Range;

use super::forms::{Form, write_date, write_float, write_text};
use super::steps::{Steps, whole};
use super::{Context, MissingField};
use crate::checksum::Algorithm;
use crate::message::Value;
use crate::notation::{Endian, Literal, NotationError, Span, Word, Words, bytes, write_bcd};
use crate::script::{Call, First};

#[derive(Clone, Debug)]
pub(super) struct Hole {
    /// What stands between the braces.
    pub written: String,
    pub what: What,
    steps: Steps,
    form: Form,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    Field(String),
    Argument(String),
    Device,
    Now,
    Count(String),
    /// What a field said in the last frame that had it, and what is taken before there was one.
    Last(String, Option<Value>),
    /// The same of the last frame whose reply has left.
    Answered(String, Option<Value>),
    Raw(Span),
    Length(Span),
    Checksum(Algorithm, Span),
    /// With the algorithm of the protocol's first checksum.
    OwnChecksum(Span),
    /// What a function says.
    Script(String),
}

/// What a text between braces is.
pub(super) enum Braced {
    Bytes(Vec<u8>),
    Hole(Hole),
}

impl Braced {
    /// Reads `WHAT [steps] [: TYPE]`, or `0x…`.
    pub fn parse(text: &str) -> Result<Self, NotationError> {
        if text.trim_start().starts_with("0x") {
            return bytes(text.trim_start()).map(Braced::Bytes);
        }
        let (what_text, type_text) = split_type(text);
        let form = match type_text {
            Some((text, column)) => Form::parse(text).map_err(|error| error.inside(column))?,
            None => Form::Plain,
        };
        let mut words = Words::new(what_text)?;
        let first = words.require(
            "a field, a checksum, `raw A..B`, `length A..B`, `count NAME`, `last NAME`, `answered NAME`, `now`, `script NAME`, `arg NAME` or `device`",
        )?;
        let what = What::parse(&first, &mut words)?;
        let mut steps = Steps::parse(&mut words)?;
        let form = what.checked_form(form, &mut steps, &first)?;
        Ok(Braced::Hole(Hole {
            written: text.trim().to_owned(),
            what,
            steps,
            form,
        }))
    }
}

impl What {
    fn parse(first: &Word<'_>, words: &mut Words<'_>) -> Result<Self, NotationError> {
        if first.quoted {
            return Ok(What::Field(first.text.clone().into_owned()));
        }
        Ok(match first.raw {
            "device" => What::Device,
            "now" => What::Now,
            "arg" => What::Argument(words.require("the argument's name")?.text.into_owned()),
            "count" => What::Count(counter(words)?),
            word @ ("last" | "answered")
                if words
                    .peek()
                    .is_some_and(|word| word.quoted || is_name(word.raw)) =>
            {
                What::earlier(word, words)?
            }
            "script" => What::Script(words.require("the function's name")?.text.into_owned()),
            "raw" => What::Raw(Span::parse(&words.require("a range such as 4..22")?)?),
            "length" => What::Length(Span::parse(&words.require("a range such as 4..-2")?)?),
            name => What::checksum(name, first, words)?,
        })
    }

    fn earlier(word: &str, words: &mut Words<'_>) -> Result<Self, NotationError> {
        let name = words.require("the field's name")?.text.into_owned();
        let first = match words.accept("else") {
            Some(_) => Some(Literal::new(&words.require("a value")?.text).value()),
            None => None,
        };
        Ok(match word {
            "last" => What::Last(name, first),
            _ => What::Answered(name, first),
        })
    }

    /// A checksum, or else a field. An alias that is a plain word needs `over`: fields have names
    /// such as `usb` too.
    fn checksum(
        name: &str,
        first: &Word<'_>,
        words: &mut Words<'_>,
    ) -> Result<Self, NotationError> {
        let over = words.accept("over");
        let all = Span { from: 0, to: None };
        let span = match &over {
            Some(_) => Span::parse(&words.require("a range such as 2..")?)?,
            None => all,
        };
        match (Algorithm::by_name(name), over) {
            (_, Some(_)) if name == "checksum" => Ok(What::OwnChecksum(span)),
            (Ok(algorithm), Some(word)) if algorithm.has_marks() => {
                Err(word.error("the sentence itself says what it covers, from `$` or `!` to `*`"))
            }
            (Ok(algorithm), Some(_)) => Ok(What::Checksum(algorithm, span)),
            (Err(message), Some(_)) => Err(first.error(message)),
            (Ok(algorithm), None) if algorithm.name() == name || name.contains(['-', '/']) => {
                Ok(What::Checksum(algorithm, all))
            }
            (_, None) => Ok(What::Field(name.to_owned())),
        }
    }

    /// The type, which some have without its being said and others must have.
    fn checked_form(
        &self,
        form: Form,
        steps: &mut Steps,
        first: &Word<'_>,
    ) -> Result<Form, NotationError> {
        let date = matches!(form, Form::Date { .. });
        if matches!(self, What::Now) && form == Form::Plain && !steps.ends_time() {
            steps.in_full();
        }
        if steps.zone.is_some() && !date && !steps.ends_time() {
            return Err(first.error("`zone` is for `time FORMAT`, `ymdhms` and `bcdtime`"));
        }
        if date && steps.ends_time() {
            return Err(first.error("`ymdhms` and `bcdtime` write a time as it is, without steps"));
        }
        match (self, form) {
            (What::Checksum(algorithm, _), Form::Plain) => {
                Ok(Form::Integer(algorithm.usual_kind(Endian::Big)))
            }
            (
                What::Checksum(..) | What::OwnChecksum(_) | What::Length(Span { to: Some(_), .. }),
                _,
            ) if !form.is_number() => {
                let message =
                    "this hole needs a type of a fixed width, such as `u16` or `hexadecimal 4`";
                Err(first.error(message))
            }
            (What::Count(_), Form::Hex) => {
                Err(first.error("a number is written with `hexadecimal N`"))
            }
            _ => Ok(form),
        }
    }
}

fn counter(words: &mut Words<'_>) -> Result<String, NotationError> {
    let what = "the counter's name (a field of the name `count` is written `'count'`)";
    let name = words.require(what)?;
    let named = |character: char| character.is_alphanumeric() || "_-".contains(character);
    if !name.quoted && !name.raw.starts_with(char::is_alphabetic) || !name.text.chars().all(named) {
        return Err(name.error(format!("expected {what}, found `{}`", name.raw)));
    }
    Ok(name.text.into_owned())
}

/// The text before and behind the `:` outside quotes, with the column of what is behind. The one
/// of an offset such as +08:00 parts nothing.
fn split_type(text: &str) -> (&str, Option<(&str, usize)>) {
    let mut quoted = false;
    let colon = text.char_indices().find(|(at, character)| {
        quoted ^= *character == '\'';
        !quoted && *character == ':' && !is_in_offset(text, *at)
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

fn is_in_offset(text: &str, colon: usize) -> bool {
    let (before, behind) = text.split_at_checked(colon).unwrap_or((text, ""));
    let hours = before.rsplit(' ').next().unwrap_or_default();
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    hours.strip_prefix(['+', '-']).is_some_and(digits) && behind.get(1..3).is_some_and(digits)
}

impl Hole {
    /// The bytes to keep free, where the value depends on what is written later.
    pub fn waits(&self) -> Option<usize> {
        match &self.what {
            What::Length(span) => span.to.and(self.form.width()),
            What::Checksum(..) | What::OwnChecksum(_) => self.form.width(),
            _ => None,
        }
    }

    /// How many bytes it takes, where that is always the same.
    pub fn width(&self) -> Option<usize> {
        self.form.width()
    }

    pub fn is_checksum(&self) -> bool {
        matches!(self.what, What::Checksum(..) | What::OwnChecksum(_))
    }

    pub fn fill(&self, context: &Context<'_>, out: &mut Vec<u8>) -> Result<(), MissingField> {
        let value = self.value(context, out);
        let written = value.and_then(|value| self.write(value, out));
        written.ok_or_else(|| self.missing())
    }

    /// Writes the value over the bytes that were kept free, for a hole at that place.
    pub fn mend(
        &self,
        context: &Context<'_>,
        at: usize,
        out: &mut [u8],
    ) -> Result<(), MissingField> {
        self.try_mend(context, at, out)
            .ok_or_else(|| self.missing())
    }

    fn try_mend(&self, context: &Context<'_>, at: usize, out: &mut [u8]) -> Option<()> {
        let covered = self.covers(context, at, out)?;
        let value = match self.algorithm(context) {
            None => i128::try_from(covered.len()).ok()?,
            Some(algorithm) => algorithm.compute(out.get(covered)?)?.into(),
        };
        let mut written = Vec::new();
        self.write(Cow::Owned(Value::integer(value)), &mut written)?;
        let free = out.get_mut(at..at.checked_add(written.len())?)?;
        free.copy_from_slice(&written);
        Some(())
    }

    /// What a length or checksum covers of the template's own bytes; an open end is the hole's place.
    pub fn covers(&self, context: &Context<'_>, at: usize, out: &[u8]) -> Option<Range<usize>> {
        let (What::Length(span) | What::Checksum(_, span) | What::OwnChecksum(span)) = &self.what
        else {
            return None;
        };
        let marks = self.algorithm(context).filter(|found| found.has_marks());
        match (marks, span.to) {
            (Some(algorithm), _) => algorithm.covers(out.get(..at)?),
            (None, None) => span.resolve(at),
            (None, Some(_)) => span.resolve(out.len()),
        }
    }

    fn algorithm<'a>(&'a self, context: &Context<'a>) -> Option<&'a Algorithm> {
        match &self.what {
            What::Checksum(algorithm, _) => Some(algorithm),
            What::OwnChecksum(_) => context.checksum,
            _ => None,
        }
    }

    fn value<'a>(&self, context: &Context<'a>, out: &[u8]) -> Option<Cow<'a, Value>> {
        let own = match &self.what {
            What::Field(name) => return context.fields.get(name).map(Cow::Borrowed),
            What::Argument(name) => return context.arguments.get(name).map(Cow::Borrowed),
            What::Device => Value::text(context.device?),
            What::Now => Value::text(context.now?.to_string()),
            What::Count(name) => Value::integer(context.memory.next(name)),
            What::Last(name, first) => {
                let said = context.memory.last(name).map(Cow::Borrowed);
                return said.or_else(|| first.clone().map(Cow::Owned));
            }
            What::Raw(span) => {
                let range = span.resolve(context.frame.len())?;
                Value::Bytes(context.frame.get(range)?.into())
            }
            What::Answered(name, first) => {
                let said = context.memory.answered(name).map(Cow::Borrowed);
                return said.or_else(|| first.clone().map(Cow::Owned));
            }
            What::Length(span) => {
                Value::integer(i128::try_from(span.resolve(out.len())?.len()).ok()?)
            }
            What::Script(name) => ask(name, context)?,
            What::Checksum(..) | What::OwnChecksum(_) => return None,
        };
        Some(Cow::Owned(own))
    }

    fn write(&self, value: Cow<'_, Value>, out: &mut Vec<u8>) -> Option<()> {
        let value = self.steps.apply(value)?;
        let value = match self.what {
            What::Count(_) | What::Checksum(..) | What::OwnChecksum(_) => {
                Cow::Owned(Value::integer(self.form.wrap(whole(&value)?)))
            }
            _ => value,
        };
        match self.form {
            Form::Integer(kind) => kind.write(whole(&value)?, out),
            Form::Float { double, endian } => write_float(&value, double, endian, out),
            Form::Bcd(count) => {
                write_bcd(&String::from_utf8(self.plain(&value)?).ok()?, count, out)
            }
            Form::Text { bytes, ascii } => write_text(&self.plain(&value)?, bytes, ascii, out),
            Form::Date { bcd } => write_date(self.steps.civil(&value)?, bcd, out),
            Form::Plain => {
                out.extend_from_slice(&self.plain(&value)?);
                Some(())
            }
            Form::Hex => {
                for byte in self.plain(&value)? {
                    out.extend_from_slice(format!("{byte:02x}").as_bytes());
                }
                Some(())
            }
        }
    }

    fn plain(&self, value: &Value) -> Option<Vec<u8>> {
        let text = match value {
            Value::Bytes(bytes) => return self.part(bytes),
            Value::Text(text) => text.to_string(),
            Value::Integer(value) => value.to_string(),
            Value::Float(value) => value.to_string(),
            Value::Bool(value) => value.to_string(),
            Value::Null | Value::List(_) | Value::Object(_) => return None,
        };
        let Some(span) = self.steps.span else {
            return Some(text.into_bytes());
        };
        let range = span.clamp(text.chars().count());
        let part: String = text.chars().skip(range.start).take(range.len()).collect();
        Some(part.into_bytes())
    }

    fn part(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let part = match self.steps.span {
            Some(span) => bytes.get(span.clamp(bytes.len()))?,
            None => bytes,
        };
        Some(part.to_vec())
    }

    /// Whether it can write the value.
    pub fn holds(&self, value: &Value) -> bool {
        self.write(Cow::Borrowed(value), &mut Vec::new()).is_some()
    }

    /// Whether it can write texts, or runs of bytes, of that length.
    pub fn holds_length(&self, length: usize) -> bool {
        match (&self.form, self.steps.span) {
            (Form::Text { bytes, .. }, None) => length <= *bytes,
            (Form::Bcd(bytes), None) => length <= bytes.saturating_mul(2),
            _ => true,
        }
    }

    /// What it writes, in words, where its type alone says it.
    pub fn expected(&self) -> Option<String> {
        if self.steps.change_the_value() {
            return None;
        }
        self.form.expected()
    }

    /// The number that a counter's hole writes next.
    pub fn count(&self, context: &Context<'_>) -> Option<i128> {
        let value = self.steps.apply(self.value(context, &[])?)?;
        Some(self.form.wrap(whole(&value)?))
    }

    pub fn missing(&self) -> MissingField {
        let name = match &self.what {
            What::Field(name) => name.clone(),
            What::Argument(name) => format!("arg {name}"),
            What::Device => "device".to_owned(),
            What::Now => "now".to_owned(),
            What::Count(name) => format!("count {name}"),
            What::Last(name, _) => format!("last {name}"),
            What::Answered(name, _) => format!("answered {name}"),
            What::Raw(_) => "raw".to_owned(),
            What::Length(_) => "length".to_owned(),
            What::Checksum(algorithm, _) => algorithm.name().to_owned(),
            What::OwnChecksum(_) => "checksum".to_owned(),
            What::Script(name) => format!("script {name}"),
        };
        MissingField { name }
    }
}

/// Whether a word is no step, so that `last` or `answered` in front of it is no field of that name.
fn is_name(word: &str) -> bool {
    word.starts_with(|first: char| first.is_alphabetic() || first == '_')
        && !super::steps::STEPS.contains(&word)
}

fn ask(function: &str, context: &Context<'_>) -> Option<Value> {
    context.caller?.call_or_note(&Call {
        function,
        first: First::Fields(context.fields),
        frame: Some(context.frame).filter(|_| !context.confidential),
        device: context.device,
    })
}
