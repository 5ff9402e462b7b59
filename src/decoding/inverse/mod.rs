//! The way back from a value to the bytes that a field string reads it from.

mod bytes;

use jiff::tz::Offset;

use super::Inherited;
use super::forms::Form;
use super::steps::{Factor, Number, Step, Steps, Subject, as_float, text};
use super::textual::Kind;
use super::types::{Size, Type};
use crate::cursor::{Cursor, Endian};
use crate::message::{Fields, Labels, Value};
use crate::notation::{Literal, NotationError, Words};

/// How far what is read back may be from what was asked, by its size: whole numbers that are
/// scaled, and floats of four bytes, which have some seven digits.
const EXACT: f64 = 1e-9;
const SINGLE: f64 = 1e-6;

/// `TYPE [steps]` of a binary field string, and how a value of it is written.
#[derive(Clone, Debug)]
pub struct Inverse {
    kind: Type,
    steps: Steps,
}

/// What fills up a text that is shorter than its place.
#[derive(Clone, Copy, Debug)]
struct Fill {
    character: char,
    /// Whether it stands in front of the text.
    left: bool,
}

impl Inverse {
    /// Reads the notation; numbers have their highest byte first where they say no order.
    ///
    /// # Errors
    /// What is no type of a number or a text, and steps that are none.
    pub fn parse(notation: &str) -> Result<Self, NotationError> {
        let alone = Inherited {
            kind: "binary",
            endian: Endian::Big,
            layouts: &[],
            decode: &serde_json::Value::Null,
            labels: &Labels::default(),
        };
        let mut words = Words::new(notation)?;
        let first = words.require("a type such as `u16`")?;
        let kind = Type::parse(&first, &mut words, Endian::Big)?;
        if let Type::Sized {
            form: Form::Skip, ..
        } = kind
        {
            return Err(first.error("`skip` has no value"));
        }
        let steps = Steps::parse(&mut words, &alone, Subject::Value, Some(kind.shape()))?;
        steps.check_bits(kind.bits(), notation)?;
        let inverse = Inverse { kind, steps };
        match inverse.names_without_number() {
            None => Ok(inverse),
            Some(name) => {
                let step = Words::new(notation)?.find(|word| word.is("enum"));
                let message = format!(
                    "`{name}` is no number that is read here; what a number is called stands behind it: `enum 0=off 1=on`"
                );
                Err(step.unwrap_or(first).error(message))
            }
        }
    }

    /// What `enum` looks for in a number and never finds: its pairs were written the other way.
    fn names_without_number(&self) -> Option<String> {
        let first = self.steps.steps.iter().find(|step| {
            let number = step.on_number(Number::Integer(1));
            number.is_none() && !matches!(step, Step::Null(_))
        });
        let Some(Step::Enum(pairs)) = first.filter(|_| self.is_number()) else {
            return None;
        };
        let mut values = pairs.iter().map(|(literal, _)| literal.value());
        let text = values.find(|value| matches!(value, Value::Text(_)));
        text.map(|text| shown(&text))
    }

    /// Whether a type must say how many bytes it has.
    pub fn needs_count(kind: &str) -> bool {
        Form::named(kind, Endian::Big).is_some_and(|form| form.width().is_none())
    }

    /// What is wrong with an order of bytes that does not stand behind its type.
    pub fn misplaced_order(word: &str) -> Option<String> {
        super::swaps::misplaced(word)
    }

    /// How many bytes it has, where that is always the same.
    pub fn width(&self) -> Option<usize> {
        self.kind.width()
    }

    /// Whether it is a number of bytes, not a text.
    pub fn is_number(&self) -> bool {
        !matches!(self.kind, Type::Sized { .. } | Type::Stamp(_))
    }

    /// The step that needs more of a frame than this value, if there is one.
    pub fn needs_others(&self) -> Option<&'static str> {
        let steps = &self.steps;
        let found = [
            (steps.condition.is_some(), "if"),
            (steps.negate.is_some(), "neg"),
            (steps.with.is_some(), "with"),
        ];
        let found = found.into_iter().find(|(there, _)| *there);
        found.map(|(_, word)| word)
    }

    /// The bytes that are read as this value.
    ///
    /// # Errors
    /// Why there are none: a step that cannot be undone, a value that does not fit, or that would
    /// be read back as another one. Said of the value: "must be from 0 to 65535".
    pub fn bytes(&self, value: &Value) -> Result<Vec<u8>, String> {
        if !self.steps.bits.is_empty() {
            return Err("cannot be written: `bits` says a part of it only".to_owned());
        }
        if let Some(word) = self.needs_others() {
            return Err(cannot_undo(word));
        }
        let mut fill = None;
        let mut steps = self.steps.steps.iter().rev();
        let raw = steps.try_fold(value.clone(), |value, step| {
            self.undo(step, value, &mut fill)
        })?;
        let bytes = bytes::of(&self.kind, &raw, fill).map_err(|why| self.reworded(why))?;
        let back = self.read(&bytes)?;
        if !self.is_near(value, &back) {
            let back = shown(&back);
            return Err(format!(
                "cannot be written as it is: it would be read back as {back}"
            ));
        }
        Ok(bytes)
    }

    /// What a step made its value of.
    fn undo(&self, step: &Step, value: Value, fill: &mut Option<Fill>) -> Result<Value, String> {
        Ok(match (step, value) {
            (Step::Null(none), Value::Null) => none.first().map_or(Value::Null, Literal::value),
            // What is empty passed all other steps.
            (_, Value::Null) => Value::Null,
            (Step::Enum(pairs), value) => self.unnamed(pairs, value)?,
            (Step::Null(_) | Step::Round(_), value) => value,
            (
                Step::Trim {
                    characters, left, ..
                },
                value,
            ) => {
                let first = characters.first().copied();
                *fill = first.map(|character| Fill {
                    character,
                    left: *left,
                });
                value
            }
            (Step::Convert(Kind::Bool), Value::Bool(flag)) => Value::integer(i32::from(flag)),
            (Step::Convert(Kind::Bool), _) => return Err("must be true or false".to_owned()),
            (Step::Convert(Kind::Integer), Value::Float(number)) => {
                whole(number.round()).map_or(Value::Float(number), Value::integer)
            }
            (Step::Convert(Kind::Integer | Kind::Number), value) => value,
            (Step::Text, Value::Text(text)) => Literal::new(&text).value(),
            (step, value) => undo_number(step, value)?,
        })
    }

    /// The value that `enum` named; one without a name stays as it is.
    fn unnamed(&self, pairs: &[(Literal, Value)], value: Value) -> Result<Value, String> {
        let mut named = pairs.iter().filter(|(_, name)| *name == value);
        if let Some((literal, _)) = named.next() {
            return Ok(literal.value());
        }
        if self.is_number() && matches!(value, Value::Text(_) | Value::Bool(_)) {
            let names: Vec<String> = pairs.iter().map(|(_, name)| shown(name)).collect();
            return Err(format!("must be one of {}", names.join(", ")));
        }
        Ok(value)
    }

    /// What the bytes say.
    fn read(&self, bytes: &[u8]) -> Result<Value, String> {
        let zone = self.steps.zone.unwrap_or(Offset::UTC);
        let mut cursor = Cursor::new(bytes);
        let read = self
            .kind
            .read(&mut cursor, &Fields::new(), zone, &mut false)?;
        self.behind_steps(read.unwrap_or(Value::Null))
    }

    fn behind_steps(&self, value: Value) -> Result<Value, String> {
        let mut steps = self.steps.steps.iter();
        steps.try_fold(value, |value, step| step.apply(value))
    }

    fn is_near(&self, asked: &Value, back: &Value) -> bool {
        match (asked, back) {
            (Value::Integer(asked), Value::Integer(back)) => asked == back,
            _ => match (float(asked), float(back)) {
                (Some(asked), Some(back)) => {
                    let part = if self.kind.is_single() { SINGLE } else { EXACT };
                    (asked - back).abs() <= part * asked.abs().max(back.abs()).max(part)
                }
                _ => asked == back,
            },
        }
    }

    /// The ends of a range as values, where a number is too small or too large.
    fn reworded(&self, why: bytes::Unfit) -> String {
        let (least, most) = match why {
            bytes::Unfit::Other(why) => return why,
            bytes::Unfit::Outside(least, most) => (least, most),
        };
        let end = |raw: Value| match self.behind_steps(raw.clone()) {
            Ok(value) if float(&value).is_some() => value,
            _ => raw,
        };
        let (mut least, mut most) = (end(least), end(most));
        if float(&least) > float(&most) {
            std::mem::swap(&mut least, &mut most);
        }
        format!("must be from {} to {}", shown(&least), shown(&most))
    }
}

/// The number that a step was done with.
fn undo_number(step: &Step, value: Value) -> Result<Value, String> {
    let too_large = || "is too large".to_owned();
    let word = match step {
        Step::Divide(divisor) => {
            let whole = whole(*divisor).zip(integer(&value));
            let product = whole.and_then(|(divisor, value)| value.checked_mul(divisor));
            return match product {
                Some(product) => Ok(Value::integer(product)),
                None => Ok(Value::Float(number(&value)? * divisor)),
            };
        }
        Step::Multiply(Factor::Integer(0)) => "*",
        Step::Multiply(Factor::Integer(factor)) => {
            let exact = integer(&value).filter(|value| value.checked_rem(*factor) == Some(0));
            return match exact.and_then(|value| value.checked_div(*factor)) {
                Some(quotient) => Ok(Value::integer(quotient)),
                None => Ok(Value::Float(number(&value)? / as_float(*factor))),
            };
        }
        Step::Multiply(Factor::Float(factor)) => {
            return Ok(Value::Float(number(&value)? / factor));
        }
        Step::Add(addend) => {
            return match integer(&value) {
                Some(value) => {
                    let difference = value.checked_sub(*addend).ok_or_else(too_large)?;
                    Ok(Value::integer(difference))
                }
                None => Ok(Value::Float(number(&value)? - as_float(*addend))),
            };
        }
        other => word(other),
    };
    Err(cannot_undo(word))
}

fn cannot_undo(word: &str) -> String {
    format!("cannot be written: `{word}` cannot be undone")
}

/// How a step is written that is not undone.
fn word(step: &Step) -> &'static str {
    match step {
        Step::Multiply(_) => "*",
        Step::Divide(_) => "/",
        Step::Add(_) => "+",
        Step::Mask(_) => "&",
        Step::Shift(_) => ">>",
        Step::Round(_) => "round",
        Step::Absolute => "abs",
        Step::Degrees => "radians",
        Step::DegreesMinutes { .. } => "dm",
        Step::Null(_) => "null",
        Step::Enum(_) => "enum",
        Step::Trim { .. } => "trim",
        Step::Until(_) => "until",
        Step::Prefix(_) => "prefix",
        Step::Upper => "upper",
        Step::Lower => "lower",
        Step::Luhn => "luhn",
        Step::Unhex => "unhex",
        Step::Text => "text",
        Step::Convert(Kind::Hexadecimal) => "hexadecimal",
        Step::Convert(_) => "bytes",
        Step::Since { .. } => "unix",
        Step::Time { .. } => "time",
    }
}

fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::Integer(value) => Some(value.get()),
        _ => None,
    }
}

/// A float that is a whole number which it says exactly.
fn whole(number: f64) -> Option<i128> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let exact = number.fract() == 0.0 && number.abs() < EXACT;
    exact.then_some(number as i128)
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(value) => Some(as_float(value.get())),
        Value::Float(value) => Some(*value),
        _ => None,
    }
}

fn number(value: &Value) -> Result<f64, String> {
    float(value).ok_or_else(|| "must be a number".to_owned())
}

/// A value for somebody to read.
fn shown(value: &Value) -> String {
    text(value.clone()).map_or_else(|_| "null".to_owned(), Into::into)
}
