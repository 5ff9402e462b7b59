//! What is done with the value of a hole before it is written: `+ 1`, `& 0xff`, `unix`, `time '%H:%M'`.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::{Offset, TimeZone};

use super::forms::Form;
use crate::message::Value;
use crate::notation::{NotationError, Span, Word, Words, unknown_word, zone};

pub(super) const STEPS: [&str; 9] = ["+", "-", "*", "&", "unix", "unixms", "zone", "time", "A..B"];

/// Everything between what stands in a hole and its type.
#[derive(Clone, Debug, Default)]
pub(super) struct Steps {
    steps: Vec<Step>,
    /// The part of a text.
    pub span: Option<Span>,
    pub zone: Option<Offset>,
}

#[derive(Clone, Debug)]
enum Step {
    Add(i128),
    Subtract(i128),
    Multiply(i128),
    Mask(i128),
    /// A time as seconds, or thousandths of them, since 1970.
    Unix {
        milliseconds: bool,
    },
    /// A time as text.
    Time(String),
}

impl Steps {
    /// Reads all steps up to the end of the words.
    pub fn parse(words: &mut Words<'_>) -> Result<Self, NotationError> {
        let mut steps = Steps::default();
        while let Some(word) = words.next() {
            match word.raw {
                "zone" => {
                    let offset = words.require("an offset such as +08:00")?;
                    steps.zone = Some(zone(&offset)?);
                }
                _ if Span::is_like(&word) => steps.span = Some(Span::parse(&word)?),
                _ => steps.steps.push(step(&word, words)?),
            }
        }
        Ok(steps)
    }

    /// Whether it makes a text or a number of a time.
    pub fn ends_time(&self) -> bool {
        let ends = |step: &Step| matches!(step, Step::Unix { .. } | Step::Time(_));
        self.steps.iter().any(ends)
    }

    /// Whether what is written is not the value as it comes.
    pub fn change_the_value(&self) -> bool {
        !self.steps.is_empty() || self.span.is_some()
    }

    /// The time as RFC 3339 has it.
    pub fn in_full(&mut self) {
        let format = match self.zone {
            None => "%Y-%m-%dT%H:%M:%SZ",
            Some(_) => "%Y-%m-%dT%H:%M:%S%:z",
        };
        self.steps.push(Step::Time(format.to_owned()));
    }

    pub fn apply<'a>(&self, value: Cow<'a, Value>) -> Option<Cow<'a, Value>> {
        self.steps.iter().try_fold(value, |value, step| {
            step.apply(&value, self.offset()).map(Cow::Owned)
        })
    }

    /// A time where the clocks of its zone are.
    pub fn civil(&self, value: &Value) -> Option<DateTime> {
        Some(self.offset().to_datetime(timestamp(value)?))
    }

    fn offset(&self) -> Offset {
        self.zone.unwrap_or(Offset::UTC)
    }
}

impl Step {
    fn apply(&self, value: &Value, offset: Offset) -> Option<Value> {
        let number = match self {
            Step::Add(number) => whole(value)?.checked_add(*number)?,
            Step::Subtract(number) => whole(value)?.checked_sub(*number)?,
            Step::Multiply(number) => whole(value)?.checked_mul(*number)?,
            Step::Mask(mask) => whole(value)? & mask,
            Step::Unix { milliseconds: true } => timestamp(value)?.as_millisecond().into(),
            Step::Unix { .. } => timestamp(value)?.as_second().into(),
            Step::Time(format) => {
                return formatted(timestamp(value)?, offset, format).map(Value::text);
            }
        };
        Some(Value::integer(number))
    }
}

/// A value as a whole number.
pub(super) fn whole(value: &Value) -> Option<i128> {
    match value {
        Value::Integer(value) => Some(value.get()),
        Value::Bool(value) => Some(i128::from(*value)),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    }
}

/// A decoded time, which is UTC where it says no zone.
fn timestamp(value: &Value) -> Option<Timestamp> {
    let Value::Text(text) = value else {
        return None;
    };
    let civil = || Offset::UTC.to_timestamp(text.parse().ok()?).ok();
    text.parse().ok().or_else(civil)
}

fn formatted(time: Timestamp, offset: Offset, format: &str) -> Option<String> {
    let zoned = time.to_zoned_datetime(TimeZone::fixed(offset));
    strtime::format(format, &zoned).ok()
}

fn step(word: &Word<'_>, words: &mut Words<'_>) -> Result<Step, NotationError> {
    let mut number = || words.require("a number")?.number("a number");
    Ok(match word.raw {
        "+" => Step::Add(number()?),
        "-" => Step::Subtract(number()?),
        "*" => Step::Multiply(number()?),
        "&" => Step::Mask(number()?),
        "unix" => Step::Unix {
            milliseconds: false,
        },
        "unixms" => Step::Unix { milliseconds: true },
        "time" => {
            let format = words.require("a format such as %Y%m%d%H%M%S")?;
            if formatted(Timestamp::UNIX_EPOCH, Offset::UTC, &format.text).is_none() {
                let message = format!("`{}` is no format of a time", format.raw);
                return Err(format.error(message));
            }
            Step::Time(format.text.into_owned())
        }
        _ => return Err(unknown(word)),
    })
}

fn unknown(word: &Word<'_>) -> NotationError {
    if Form::is_type(word.raw) {
        return word.error(format!(
            "`{0}` is a type: how the value is written stands behind a colon, `: {0}`",
            word.raw
        ));
    }
    word.error(unknown_word("step", word.raw, &STEPS))
}
