//! What the steps behind a field's type do: `* / + - & >>`, `enum`, `bits`, `trim` and the others, left to right.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::types::time_text;
use crate::message::{Name, Value};
use crate::notation::{Condition, Literal};

/// One step on a value.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Multiply(Factor),
    Divide(f64),
    Add(i128),
    Mask(i128),
    Shift(u32),
    Round(i32),
    Null(Literal),
    Enum(Box<[(Literal, Value)]>),
    Trim {
        characters: Box<[char]>,
        left: bool,
        right: bool,
    },
    Text,
    /// Seconds, or thousandths of them, since 1970.
    Unix {
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
    /// The flag that negates the value, and whether it does so when it is not set.
    pub negate: Option<(String, bool)>,
    pub zone: Option<Offset>,
    pub dropped: bool,
    /// For lists only.
    pub collect: Option<Collect>,
}

impl Step {
    /// Whether it says that this value means none.
    pub fn is_null(&self, value: &Value) -> bool {
        matches!(self, Step::Null(literal) if literal.equals(value))
    }

    /// The value after the step; an `Err` says why it cannot be.
    pub fn apply(&self, value: Value) -> Result<Value, String> {
        if value == Value::Null {
            return Ok(value);
        }
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
            Step::Null(literal) if literal.equals(&value) => Ok(Value::Null),
            Step::Null(_) => Ok(value),
            Step::Enum(pairs) => Ok(pairs
                .iter()
                .find(|(literal, _)| literal.equals(&value))
                .map_or(value, |(_, named)| named.clone())),
            Step::Trim {
                characters,
                left,
                right,
            } => trim(value, characters, *left, *right),
            Step::Text => text(value).map(Value::Text),
            Step::Unix { per_second } => unix(&value, *per_second),
            Step::Time { format, zone } => time(&value, format, *zone),
        }
    }
}

impl Bits {
    /// The part of the integer.
    pub fn of(&self, value: i128) -> Value {
        let shifted = value.checked_shr(self.at).unwrap_or(0);
        match self.width {
            None => Value::Bool(shifted & 1 == 1),
            Some(width) => {
                let mask = 1i128.checked_shl(width).unwrap_or(0).wrapping_sub(1);
                Value::Integer(shifted & mask)
            }
        }
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
            .map(|value| value as f64)
            .map_err(|_| "is not a number".to_owned()),
    }
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

fn trim(value: Value, characters: &[char], left: bool, right: bool) -> Result<Value, String> {
    let Value::Text(text) = value else {
        return Err("is not a text, which `trim` needs".to_owned());
    };
    let mut trimmed = text.as_str();
    if left {
        trimmed = trimmed.trim_start_matches(characters);
    }
    if right {
        trimmed = trimmed.trim_end_matches(characters);
    }
    if trimmed.len() == text.len() {
        return Ok(Value::Text(text));
    }
    Ok(Value::Text(trimmed.to_owned()))
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

fn unix(value: &Value, per_second: i64) -> Result<Value, String> {
    let wrong = || "is not a time".to_owned();
    let count = i64::try_from(integer(value)?).map_err(|_| wrong())?;
    let stamp = if per_second == 1 {
        Timestamp::from_second(count)
    } else {
        Timestamp::from_millisecond(count)
    };
    stamp.map(time_text).map_err(|_| wrong())
}

fn time(value: &Value, format: &str, zone: Offset) -> Result<Value, String> {
    let Value::Text(text) = value else {
        return Err("is not a text, which `time` needs".to_owned());
    };
    let wrong = |_| format!("is not a time of the form {format}");
    let civil = DateTime::strptime(format, text).map_err(wrong)?;
    zone.to_timestamp(civil).map(time_text).map_err(wrong)
}
