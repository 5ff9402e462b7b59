//! What the steps behind a field's type do: `* / + - & >>`, `enum`, `bits`, `trim` and the others, left to right.

use std::sync::Arc;

use compact_str::{ToCompactString, format_compact};
use jiff::Timestamp;
use jiff::tz::Offset;

use super::degrees;
use super::texts::{luhn, trim, unhex};
use super::textual::Kind;
use super::times::{since, time};
use crate::message::{Label, Name, Text, Value};
use crate::notation::{Condition, Literal, NotationError, Values, Word, Words};

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
    pub name: Label,
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
    pub field: Label,
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
    pub negate: Option<Arc<Negation>>,
    pub zone: Option<Offset>,
    pub dropped: bool,
    /// The layout that reads the value's bytes.
    pub with: Option<usize>,
    /// For lists only.
    pub collect: Option<Collect>,
    /// Whether one of the steps is `null`, which is for the value as it comes.
    pub nulls: bool,
}

const NOT_WHOLE: &str = "is not a whole number";

/// A number that is not yet a value: to make one of what is between two steps takes longer than the step.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Integer(i128),
    Float(f64),
}

impl Number {
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Integer(number) => Some(Number::Integer(number.get())),
            Value::Bool(flag) => Some(Number::Integer(i128::from(*flag))),
            Value::Float(number) => Some(Number::Float(*number)),
            _ => None,
        }
    }

    fn float(self) -> f64 {
        match self {
            Number::Integer(number) => as_float(number),
            Number::Float(number) => number,
        }
    }

    /// The number behind steps up to the first that makes something else of it, and what is left.
    #[inline]
    pub fn behind(mut self, steps: &[Step]) -> Result<(Self, &[Step]), String> {
        let mut left = steps;
        while let Some((step, rest)) = left.split_first() {
            match step.on_number(self) {
                Some(number) => self = number?,
                None => break,
            }
            left = rest;
        }
        Ok((self, left))
    }
}

impl From<Number> for Value {
    #[inline]
    fn from(number: Number) -> Self {
        match number {
            Number::Integer(number) => Value::integer(number),
            Number::Float(number) => Value::Float(number),
        }
    }
}

impl Steps {
    /// Whether the value behind its steps is set and nothing else is done with it.
    pub fn are_all(&self) -> bool {
        let plain = self.bits.is_empty() && self.negate.is_none();
        plain && self.with.is_none() && !self.dropped
    }
}

impl Steps {
    /// Refuses `bits` that a number of so many bits never has; `written` has the steps in it. Where
    /// a step makes another number of it, nobody knows.
    pub fn check_bits(&self, width: Option<u32>, written: &str) -> Result<(), NotationError> {
        let Some(width) = width.filter(|_| !self.bits.is_empty()) else {
            return Ok(());
        };
        let mut left = width;
        for step in &self.steps {
            match step {
                Step::Shift(count) => left = left.saturating_sub(*count),
                Step::Mask(_) | Step::Null(_) => {}
                _ => return Ok(()),
            }
        }
        let end = |bits: &Bits| bits.at.saturating_add(bits.width.unwrap_or(1));
        let Some(wrong) = self.bits.iter().find(|bits| end(bits) > left) else {
            return Ok(());
        };
        let named = |word: &Word<'_>| {
            let name = word.split('@').map(|(name, _)| name.text);
            name.is_some_and(|name| *name == **wrong.name)
        };
        let column = Words::new(written)?
            .find(named)
            .map_or(1, |word| word.column);
        let bit = end(wrong).saturating_sub(1);
        Err(NotationError::new(
            column,
            format!("bit {bit} is none of the {left} bits of the number, which begin with 0"),
        ))
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
        match (self, value) {
            (Step::DegreesMinutes { decimals }, value) => {
                degrees::of_minutes(&text(value)?, *decimals).map(Value::Float)
            }
            (Step::Convert(kind), value) => kind.convert(value),
            (Step::Round(_), value @ Value::Bool(_)) => Ok(value),
            (Step::Since { start, per_second }, value) => since(*start, &value, *per_second),
            (step, value) => match Number::of(&value) {
                Some(number) => match step.on_number(number) {
                    Some(done) => done.map(Value::from),
                    None => step.apply_text(value),
                },
                None => step.apply_other(value),
            },
        }
    }

    /// What it makes of a number, where that is a number again.
    #[inline]
    pub fn on_number(&self, number: Number) -> Option<Result<Number, String>> {
        let whole = || match number {
            Number::Integer(number) => Ok(number),
            Number::Float(_) => Err(NOT_WHOLE.to_owned()),
        };
        let checked = |number: Option<i128>| {
            let number = number.map(Number::Integer);
            number.ok_or_else(|| "is too large".to_owned())
        };
        Some(match (self, number) {
            (Step::Divide(divisor), number) => Ok(Number::Float(number.float() / divisor)),
            (Step::Multiply(Factor::Integer(factor)), Number::Integer(number)) => {
                checked(number.checked_mul(*factor))
            }
            (Step::Multiply(Factor::Integer(factor)), Number::Float(number)) => {
                Ok(Number::Float(number * *factor as f64))
            }
            (Step::Multiply(Factor::Float(factor)), number) => {
                Ok(Number::Float(number.float() * factor))
            }
            (Step::Add(addend), Number::Integer(number)) => checked(number.checked_add(*addend)),
            (Step::Add(addend), Number::Float(number)) => {
                Ok(Number::Float(number + *addend as f64))
            }
            (Step::Mask(mask), _) => whole().map(|number| Number::Integer(number & mask)),
            (Step::Shift(count), _) => {
                whole().and_then(|number| checked(number.checked_shr(*count)))
            }
            (Step::Round(decimals), Number::Float(number)) => {
                Ok(Number::Float(round(number, *decimals)))
            }
            (Step::Round(_), whole) => Ok(whole),
            (Step::Absolute, Number::Integer(number)) => checked(number.checked_abs()),
            (Step::Absolute, Number::Float(number)) => Ok(Number::Float(number.abs())),
            (Step::Degrees, number) => Ok(Number::Float(number.float().to_degrees())),
            _ => return None,
        })
    }

    /// What it makes of what is no number.
    fn apply_other(&self, value: Value) -> Result<Value, String> {
        match self {
            Step::Round(_) => Ok(value),
            Step::Divide(_) | Step::Degrees | Step::Multiply(Factor::Float(_)) => {
                Err("is not a number".to_owned())
            }
            Step::Multiply(Factor::Integer(_))
            | Step::Add(_)
            | Step::Mask(_)
            | Step::Shift(_)
            | Step::Absolute => Err(NOT_WHOLE.to_owned()),
            _ => self.apply_text(value),
        }
    }

    fn apply_text(&self, value: Value) -> Result<Value, String> {
        let text = match (self, value) {
            (Step::Text, value) => return text(value).map(Value::Text),
            (Step::Prefix(prefix), value) => {
                return text(value).map(|text| Value::text(format!("{prefix}{text}")));
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
            Step::Until(end) => Ok(Value::text(
                text.split_once(end.as_str())
                    .map_or(text.as_str(), |(before, _)| before),
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
                Value::integer(shifted & mask)
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
        Value::Integer(number) => number.get() != 0,
        Value::Float(number) => *number != 0.0,
        Value::Text(text) => !text.is_empty(),
        Value::Null | Value::Bytes(_) | Value::List(_) | Value::Object(_) => false,
    }
}

/// A value as an integer, or why it is none.
pub(super) fn integer(value: &Value) -> Result<i128, String> {
    match value {
        Value::Integer(value) => Ok(value.get()),
        Value::Bool(value) => Ok(i128::from(*value)),
        _ => Err(NOT_WHOLE.to_owned()),
    }
}

/// The nearest float. Wide integers are slow to convert, and few are so large.
pub(super) fn as_float(value: i128) -> f64 {
    /// Apart, so that the two ways are not made one again.
    #[cold]
    #[inline(never)]
    fn wide(value: i128) -> f64 {
        value as f64
    }
    i64::try_from(value).map_or_else(|_| wide(value), |small| small as f64)
}

fn round(number: f64, decimals: i32) -> f64 {
    let scale = 10f64.powi(decimals);
    let rounded = (number * scale).round() / scale;
    if rounded.is_finite() { rounded } else { number }
}

/// A number, flag or text as text.
pub(super) fn text(value: Value) -> Result<Text, String> {
    Ok(match value {
        Value::Text(text) => text,
        Value::Integer(value) => value.to_compact_string(),
        Value::Float(value) => float_text(value),
        Value::Bool(value) => value.to_compact_string(),
        _ => return Err("cannot be a text".to_owned()),
    })
}

/// A float as text, with an exponent where it would have hundreds of digits.
pub(super) fn float_text(value: f64) -> Text {
    if value == 0.0 || (1e-7..1e21).contains(&value.abs()) {
        return format_compact!("{value}");
    }
    format_compact!("{value:e}")
}
