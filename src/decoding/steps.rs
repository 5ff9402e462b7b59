//! What the steps behind a field's type do: `* / + - & >>`, `enum`, `bits`, `trim` and the others, left to right.

use jiff::Timestamp;
use jiff::tz::Offset;

use super::degrees;
use super::texts::{luhn, trim, unhex};
use super::textual::Kind;
use super::times::{since, time};
use crate::message::{Name, Value};
use crate::notation::{Condition, Literal, Values};

/// One step on a value.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Multiply(Factor),
    Divide(f64),
    Add(i128),
    Mask(i128),
    Shift(u32),
    Round(i32),
    Absolute,
    /// Radians as degrees.
    Degrees,
    /// Degrees and minutes as degrees; a number in one piece has so many decimals of a minute.
    DegreesMinutes {
        decimals: u32,
    },
    Null(Box<[Literal]>),
    Enum(Box<[(Literal, Value)]>),
    Trim {
        characters: Box<[char]>,
        left: bool,
        right: bool,
    },
    /// A text up to this one, or the whole of it.
    Until(String),
    Prefix(String),
    Upper,
    Lower,
    /// The check digit behind digits (ISO/IEC 7812).
    Luhn,
    Unhex,
    Text,
    /// As the type of that name in text decoders.
    Convert(Kind),
    /// Seconds, or thousandths of them, since a moment.
    Since {
        start: Timestamp,
        per_second: i64,
    },
    /// A text in this `strftime` form, in that zone.
    Time {
        format: String,
        zone: Offset,
    },
}

/// What a number is multiplied with.
#[derive(Clone, Copy, Debug)]
pub(super) enum Factor {
    Integer(i128),
    Float(f64),
}

/// A named part of an integer.
#[derive(Clone, Debug)]
pub(super) struct Bits {
    pub name: Name,
    pub at: u32,
    /// How many bits; `None` is one bit as a flag.
    pub width: Option<u32>,
    /// Names for its values.
    pub names: Box<[(Literal, Value)]>,
}

/// What the steps of a field string are done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// A single value.
    Value,
    /// A list.
    List,
    /// What the frame itself says.
    Either,
}

/// When a number is negative: `neg west`, `neg !north`, `neg ns = S`.
#[derive(Clone, Debug)]
pub(super) struct Negation {
    /// The field that says so.
    pub field: Name,
    /// Negative where it does not say so.
    pub inverted: bool,
    /// The values that say so; without them it is a flag.
    pub values: Option<Values>,
}

/// What is made of the elements of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Collect {
    /// A message each.
    Split,
    /// One object: each element's field `id` names its field `value`.
    Map { id: Name, value: Name },
}

/// Everything behind the type of a field string.
#[derive(Clone, Debug, Default)]
pub(super) struct Steps {
    pub steps: Vec<Step>,
    pub bits: Vec<Bits>,
    pub condition: Option<Condition>,
    pub negate: Option<Negation>,
    pub zone: Option<Offset>,
    pub dropped: bool,
    /// The layout that reads the value's bytes.
    pub with: Option<usize>,
    /// For lists only.
    pub collect: Option<Collect>,
}

impl Steps {
    /// Whether the value behind its steps is set and nothing else is done with it.
    pub fn are_all(&self) -> bool {
        let plain = self.bits.is_empty() && self.negate.is_none();
        plain && self.with.is_none() && !self.dropped
    }
}

impl Step {
    /// Whether it says that this value means none.
    pub fn is_null(&self, value: &Value) -> bool {
        matches!(self, Step::Null(none) if none.iter().any(|literal| literal.equals(value)))
    }

    /// The value after the step; an `Err` says why it cannot be. What is empty stays so: it leaves
    /// its field out.
    pub fn apply(&self, value: Value) -> Result<Value, String> {
        match (self, &value) {
            (_, Value::Null) => Ok(value),
            (Step::Enum(pairs), _) => Ok(named(pairs, value)),
            (Step::Null(_), _) if self.is_null(&value) => Ok(Value::Null),
            (Step::Null(_), _) => Ok(value),
            (_, Value::Text(text)) if text.is_empty() => Ok(value),
            _ => self.apply_number(value),
        }
    }

    /// [`Step::apply`] in the value's place: values are large, and most numbers have a step.
    pub fn apply_to(&self, value: &mut Value) -> Result<(), String> {
        match (self, &*value) {
            (Step::Divide(divisor), Value::Integer(number)) => {
                *value = Value::Float(as_float(*number) / divisor);
            }
            (Step::Divide(divisor), Value::Float(number)) => {
                *value = Value::Float(number / divisor);
            }
            _ => *value = self.apply(std::mem::replace(value, Value::Null))?,
        }
        Ok(())
    }

    /// What it makes of a text that it need not have as its own; `None` where it needs that.
    pub fn of_borrowed(&self, text: &str) -> Option<Result<Value, String>> {
        match self {
            Step::Enum(pairs) => {
                let mut pairs = pairs.iter();
                let pair = pairs.find(|(literal, _)| literal.equals_text(text));
                pair.map(|(_, name)| Ok(name.clone()))
            }
            Step::DegreesMinutes { decimals } => {
                Some(degrees::of_minutes(text, *decimals).map(Value::Float))
            }
            _ => None,
        }
    }

    fn apply_number(&self, value: Value) -> Result<Value, String> {
        match self {
            Step::Multiply(factor) => multiply(value, *factor),
            Step::Divide(divisor) => Ok(Value::Float(float(&value)? / divisor)),
            Step::Add(addend) => match value {
                Value::Float(value) => Ok(Value::Float(value + *addend as f64)),
                value => checked(integer(&value)?.checked_add(*addend)),
            },
            Step::Mask(mask) => Ok(Value::Integer(integer(&value)? & mask)),
            Step::Shift(count) => checked(integer(&value)?.checked_shr(*count)),
            Step::Round(decimals) => Ok(round(value, *decimals)),
            Step::Absolute => match value {
                Value::Float(value) => Ok(Value::Float(value.abs())),
                value => checked(integer(&value)?.checked_abs()),
            },
            Step::Degrees => Ok(Value::Float(float(&value)?.to_degrees())),
            Step::DegreesMinutes { decimals } => {
                degrees::of_minutes(&text(value)?, *decimals).map(Value::Float)
            }
            Step::Convert(kind) => kind.convert(value),
            Step::Since { start, per_second } => since(*start, &value, *per_second),
            _ => self.apply_text(value),
        }
    }

    fn apply_text(&self, value: Value) -> Result<Value, String> {
        let text = match (self, value) {
            (Step::Text, value) => return text(value).map(Value::Text),
            (Step::Prefix(prefix), value) => {
                return text(value).map(|text| Value::Text(format!("{prefix}{text}")));
            }
            (_, Value::Text(text)) => text,
            _ => return Err("is not a text, which the step needs".to_owned()),
        };
        match self {
            Step::Trim {
                characters,
                left,
                right,
            } => Ok(trim(text, characters, *left, *right)),
            Step::Until(end) => Ok(Value::Text(
                text.split_once(end.as_str())
                    .map_or(text.as_str(), |(before, _)| before)
                    .to_owned(),
            )),
            Step::Upper => Ok(Value::Text(text.to_ascii_uppercase())),
            Step::Lower => Ok(Value::Text(text.to_ascii_lowercase())),
            Step::Luhn => luhn(text).map(Value::Text),
            Step::Unhex => unhex(&text).map(Value::Bytes),
            Step::Time { format, zone } => time(&text, format, *zone),
            _ => Ok(Value::Text(text)),
        }
    }
}

impl Bits {
    /// The part of the integer.
    pub fn of(&self, value: i128) -> Value {
        let shifted = value.checked_shr(self.at).unwrap_or(0);
        let part = match self.width {
            None => Value::Bool(shifted & 1 == 1),
            Some(width) => {
                let mask = 1i128.checked_shl(width).unwrap_or(0).wrapping_sub(1);
                Value::Integer(shifted & mask)
            }
        };
        named(&self.names, part)
    }
}

/// The name that a value has among pairs; without one it stays.
fn named(pairs: &[(Literal, Value)], value: Value) -> Value {
    let mut pairs = pairs.iter();
    let pair = pairs.find(|(literal, _)| literal.equals(&value));
    pair.map_or(value, |(_, name)| name.clone())
}

impl Negation {
    /// Whether the field's value makes the number negative.
    pub fn applies(&self, value: &Value) -> bool {
        let says_so = match &self.values {
            Some(values) => values.hold(value),
            None => is_set(value),
        };
        says_so != self.inverted
    }
}

fn is_set(value: &Value) -> bool {
    match value {
        Value::Bool(set) => *set,
        Value::Integer(number) => *number != 0,
        Value::Float(number) => *number != 0.0,
        Value::Text(text) => !text.is_empty(),
        Value::Null | Value::Bytes(_) | Value::List(_) | Value::Object(_) => false,
    }
}

/// A value as an integer, or why it is none.
pub(super) fn integer(value: &Value) -> Result<i128, String> {
    match value {
        Value::Integer(value) => Ok(*value),
        Value::Bool(value) => Ok(i128::from(*value)),
        _ => Err("is not a whole number".to_owned()),
    }
}

fn float(value: &Value) -> Result<f64, String> {
    match value {
        Value::Float(value) => Ok(*value),
        value => integer(value)
            .map(as_float)
            .map_err(|_| "is not a number".to_owned()),
    }
}

/// The nearest float. Wide integers are slow to convert, and few are so large.
pub(super) fn as_float(value: i128) -> f64 {
    i64::try_from(value).map_or_else(|_| value as f64, |small| small as f64)
}

fn checked(value: Option<i128>) -> Result<Value, String> {
    value
        .map(Value::Integer)
        .ok_or_else(|| "is too large".to_owned())
}

fn multiply(value: Value, factor: Factor) -> Result<Value, String> {
    match (value, factor) {
        (Value::Float(value), Factor::Integer(factor)) => Ok(Value::Float(value * factor as f64)),
        (value, Factor::Integer(factor)) => checked(integer(&value)?.checked_mul(factor)),
        (value, Factor::Float(factor)) => Ok(Value::Float(float(&value)? * factor)),
    }
}

fn round(value: Value, decimals: i32) -> Value {
    let Value::Float(number) = value else {
        return value;
    };
    let scale = 10f64.powi(decimals);
    let rounded = (number * scale).round() / scale;
    Value::Float(if rounded.is_finite() { rounded } else { number })
}

/// A number, flag or text as text.
pub(super) fn text(value: Value) -> Result<String, String> {
    Ok(match value {
        Value::Text(text) => text,
        Value::Integer(value) => value.to_string(),
        Value::Float(value) => float_text(value),
        Value::Bool(value) => value.to_string(),
        _ => return Err("cannot be a text".to_owned()),
    })
}

/// A float as text, with an exponent where it would have hundreds of digits.
pub(super) fn float_text(value: f64) -> String {
    if value == 0.0 || (1e-7..1e21).contains(&value.abs()) {
        return value.to_string();
    }
    format!("{value:e}")
}
