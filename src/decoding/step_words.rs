//! How the steps behind a type are written: `* 10 round 1`, `enum 1=on`, `split`.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use super::shapes::{Need, Shape};
use super::steps::{Bits, Collect, Factor, Negation, Step, Steps, Subject};
use super::swaps;
use super::textual::Kind;
use super::{Inherited, layout_index};
use crate::message::Name;
use crate::message::Value;
use crate::notation::{
    Condition, Literal, NotationError, Values, Word, Words, bytes, unknown_word, zone,
};

pub(super) const STEPS: [&str; 39] = [
    "*",
    "/",
    "+",
    "-",
    "&",
    ">>",
    "round",
    "abs",
    "neg",
    "null",
    "enum",
    "bits",
    "unit",
    "zone",
    "if",
    "trim",
    "ltrim",
    "rtrim",
    "until",
    "prefix",
    "upper",
    "lower",
    "luhn",
    "text",
    "number",
    "integer",
    "hexadecimal",
    "bool",
    "dm",
    "radians",
    "unix",
    "unixms",
    "epoch",
    "time",
    "unhex",
    "with",
    "drop",
    "split",
    "map",
];
/// Steps on a list.
const LIST_STEPS: [&str; 5] = ["split", "map", "if", "drop", "unit"];

impl Steps {
    /// Reads all steps up to the end of the field string. A step that can never do with the value,
    /// which is of that shape, is a mistake; without a shape that is not looked at.
    pub fn parse(
        words: &mut Words<'_>,
        inherited: &Inherited<'_>,
        subject: Subject,
        mut shape: Option<Shape>,
    ) -> Result<Self, NotationError> {
        let mut steps = Steps::default();
        // `bits` and `with` take the value behind all steps.
        let mut behind = Vec::new();
        while let Some(word) = words.next() {
            subject.check(&word)?;
            let before = steps.steps.len();
            steps.read_one(&word, words, inherited)?;
            match (shape, steps.steps.get(before)) {
                (Some(known), Some(step)) => shape = Some(known.behind(step, &word)?),
                (_, None) if word.is("bits") => behind.push((Need::Whole, word)),
                (_, None) if word.is("with") => behind.push((Need::Part, word)),
                _ => {}
            }
        }
        for (need, word) in behind {
            shape.map_or(Ok(()), |shape| shape.check(need, &word))?;
        }
        let is_null = |step: &Step| matches!(step, Step::Null(..));
        steps.nulls = steps.steps.iter().any(is_null);
        if let Some(zone) = steps.zone {
            steps.steps.iter_mut().for_each(|step| step.move_to(zone));
        }
        Ok(steps)
    }

    fn read_one(
        &mut self,
        word: &Word<'_>,
        words: &mut Words<'_>,
        inherited: &Inherited<'_>,
    ) -> Result<(), NotationError> {
        if word.quoted {
            return Err(word.error(format!("expected a step, found `{}`", word.raw)));
        }
        match word.raw {
            "if" => self.condition = Some(Condition::read(words, inherited.endian)?),
            "drop" => self.dropped = true,
            "neg" => self.negate = Some(Arc::new(negation(words, inherited)?)),
            "zone" => self.zone = Some(zone(&words.require("an offset such as +08:00")?)?),
            "bits" => self.bits = read_bits(words, inherited)?,
            "with" => {
                self.with = Some(layout_index(&words.require("a layout")?, inherited)?);
            }
            "split" | "map" => self.read_collect(word, words)?,
            "unit" => {
                words.require("the unit")?;
            }
            _ => self.steps.push(step(word, words)?),
        }
        if self.dropped && self.collect == Some(Collect::Split) {
            let message =
                "a split list is in no message as a whole; its elements' fields may have `drop`";
            return Err(word.error(message));
        }
        if self.collect.is_some() && !self.are_for_lists() {
            return Err(word.error("`split` and `map` go with `if`, `drop` and `unit` only"));
        }
        Ok(())
    }

    fn are_for_lists(&self) -> bool {
        self.steps.is_empty()
            && self.bits.is_empty()
            && self.negate.is_none()
            && self.zone.is_none()
            && self.with.is_none()
    }

    /// Whether they need nothing but the value and touch nothing else.
    pub(super) fn change_the_value_alone(&self) -> bool {
        self.bits.is_empty()
            && self.negate.is_none()
            && self.condition.is_none()
            && self.collect.is_none()
            && !self.dropped
    }

    fn read_collect(
        &mut self,
        word: &Word<'_>,
        words: &mut Words<'_>,
    ) -> Result<(), NotationError> {
        if self.collect.is_some() {
            return Err(word.error("only one of `split` and `map` can be done with a list"));
        }
        self.collect = Some(if word.raw == "split" {
            Collect::Split
        } else {
            let mut name = |what| Ok(Name::from(words.require(what)?.text));
            Collect::Map {
                id: name("the elements' field that names")?,
                value: name("the elements' field that is named")?,
            }
        });
        Ok(())
    }
}

impl Subject {
    fn check(self, step: &Word<'_>) -> Result<(), NotationError> {
        let of_lists = matches!(step.raw, "split" | "map");
        if self == Subject::Value && of_lists {
            let message = format!("`{}` is for lists: those of `repeat` and of json", step.raw);
            return Err(step.error(message));
        }
        if self == Subject::List && !LIST_STEPS.contains(&step.raw) {
            return Err(step.error(unknown_word("step of a list", step.raw, &LIST_STEPS)));
        }
        Ok(())
    }
}

/// Whether a word begins a step.
pub(super) fn is_step(word: &Word<'_>) -> bool {
    !word.quoted && STEPS.contains(&word.raw)
}

impl Step {
    /// What has no zone is of this one.
    fn move_to(&mut self, zone: Offset) {
        match self {
            Step::Time { zone: own, .. } => *own = zone,
            Step::Since { start, .. } => {
                let moved = zone.to_timestamp(Offset::UTC.to_datetime(*start));
                *start = moved.unwrap_or(*start);
            }
            _ => {}
        }
    }
}

fn step(word: &Word<'_>, words: &mut Words<'_>) -> Result<Step, NotationError> {
    Ok(match word.raw {
        "*" => Step::Multiply(factor(&words.require("a number")?)?),
        "/" => Step::Divide(divisor(&words.require("a number")?)?),
        "+" => Step::Add(words.require("a number")?.number("a number")?),
        "-" => {
            let number = words.require("a number")?;
            let subtracted = number.number("a number")?.checked_neg();
            Step::Add(subtracted.ok_or_else(|| number.error("the number is too large"))?)
        }
        "&" => Step::Mask(words.require("a mask")?.number("a mask")?),
        ">>" => Step::Shift(small(&words.require("how many bits")?, 63)?),
        "round" => Step::Round(small(&words.require("how many decimals")?, 15)?.cast_signed()),
        "abs" => Step::Absolute,
        "null" => Step::Null(alternatives(words.require("the value that means none")?)),
        "enum" => Step::Enum(pairs(words)?),
        "trim" => trimming(words, true, true)?,
        "ltrim" => trimming(words, true, false)?,
        "rtrim" => trimming(words, false, true)?,
        "dm" => Step::DegreesMinutes {
            decimals: minute_decimals(words)?,
        },
        "radians" => Step::Degrees,
        "unix" => unix(1),
        "unixms" => unix(1000),
        "epoch" => epoch(words)?,
        "time" => Step::Time {
            format: words
                .require("a format such as %Y%m%d%H%M%S")?
                .text
                .into_owned(),
            zone: Offset::UTC,
        },
        _ => return text_step(word, words),
    })
}

fn text_step(word: &Word<'_>, words: &mut Words<'_>) -> Result<Step, NotationError> {
    Ok(match word.raw {
        "until" => Step::Until(written(words, "the text up to which it goes")?),
        "prefix" => Step::Prefix(written(words, "the text to put in front")?),
        "upper" => Step::Upper,
        "lower" => Step::Lower,
        "luhn" => Step::Luhn,
        "unhex" => Step::Unhex,
        "text" => Step::Text,
        "number" => Step::Convert(Kind::Number),
        "integer" => Step::Convert(Kind::Integer),
        "hexadecimal" => Step::Convert(Kind::Hexadecimal),
        "bool" => Step::Convert(Kind::Bool),
        _ => return Err(unknown(word)),
    })
}

fn unknown(word: &Word<'_>) -> NotationError {
    if word.raw.starts_with(['!', '=', '<', '>', '|']) {
        return word.error(format!(
            "`{}` is part of a condition, and what stands before it is none or has ended: conditions stand behind `if`, such as `if valid`, `if !valid`, `if kind != 3`",
            word.raw
        ));
    }
    if let Some(message) = swaps::misplaced(word.raw) {
        return word.error(message);
    }
    word.error(unknown_word("step", word.raw, &STEPS))
}

/// Seconds, or thousandths of them, since 1970.
fn unix(per_second: i64) -> Step {
    Step::Since {
        start: Timestamp::UNIX_EPOCH,
        per_second,
    }
}

/// `DATE [ms]`.
fn epoch(words: &mut Words<'_>) -> Result<Step, NotationError> {
    let word = words.require("a date such as 2000-01-01")?;
    let start = word.text.parse::<DateTime>();
    let start = start.and_then(|start| Offset::UTC.to_timestamp(start));
    let start = start.map_err(|_| {
        word.error(format!(
            "expected a date such as 2000-01-01, found `{}`",
            word.raw
        ))
    })?;
    let per_second = if words.accept("ms").is_some() {
        1000
    } else {
        1
    };
    Ok(Step::Since { start, per_second })
}

/// The number behind `dm`, where there is one.
fn minute_decimals(words: &mut Words<'_>) -> Result<u32, NotationError> {
    let number = |word: &Word<'_>| word.raw.starts_with(|first: char| first.is_ascii_digit());
    let Some(word) = words.peek().filter(number) else {
        return Ok(0);
    };
    words.next();
    small(&word, 9)
}

/// `A|B`.
fn alternatives(word: Word<'_>) -> Box<[Literal]> {
    let mut literals = Vec::new();
    let mut rest = word;
    while let Some((first, behind)) = rest.split('|') {
        literals.push(Literal::new(&first.text));
        rest = behind;
    }
    literals.push(Literal::new(&rest.text));
    literals.into()
}

/// A text in byte notation.
fn written(words: &mut Words<'_>, what: &str) -> Result<String, NotationError> {
    let word = words.require(what)?;
    let read = bytes(&word.text).map_err(|error| error.inside(word.column))?;
    if read.is_empty() {
        return Err(word.error(format!("expected {what}, found nothing")));
    }
    Ok(String::from_utf8_lossy(&read).into_owned())
}

fn factor(word: &Word<'_>) -> Result<Factor, NotationError> {
    match Literal::new(&word.text).value() {
        Value::Integer(value) => Ok(Factor::Integer(value.get())),
        Value::Float(value) => Ok(Factor::Float(value)),
        _ => Err(word.error(format!("expected a number, found `{}`", word.raw))),
    }
}

fn divisor(word: &Word<'_>) -> Result<f64, NotationError> {
    let divisor = match factor(word)? {
        Factor::Integer(value) => value as f64,
        Factor::Float(value) => value,
    };
    if divisor == 0.0 {
        return Err(word.error("nothing can be divided by 0"));
    }
    Ok(divisor)
}

fn small(word: &Word<'_>, most: u32) -> Result<u32, NotationError> {
    let number = u32::try_from(word.number("a number")?).ok();
    let wrong = || {
        word.error(format!(
            "expected a number from 0 to {most}, found `{}`",
            word.raw
        ))
    };
    number.filter(|number| *number <= most).ok_or_else(wrong)
}

/// `[!]FIELD [= VALUES]`.
fn negation(words: &mut Words<'_>, inherited: &Inherited<'_>) -> Result<Negation, NotationError> {
    const FIELD: &str = "the field that negates";
    let end = words.end_column();
    let mut next = || {
        let missing = || NotationError::new(end, format!("expected {FIELD} here"));
        words.next_with_operators().ok_or_else(missing)
    };
    let first = next()?;
    let inverted = first.is("!");
    let field = if inverted { next()? } else { first };
    if field.text.is_empty() || field.raw.starts_with(['=', '!', '<', '>', '&', '|']) {
        return Err(field.error(format!("expected {FIELD}, found `{}`", field.raw)));
    }
    let equals = words.peek_with_operators().is_some_and(|word| word.is("="));
    let values = equals.then(|| {
        words.next_with_operators();
        Values::read(words)
    });
    Ok(Negation {
        field: inherited.label(&field.text),
        inverted,
        values: values.transpose()?,
    })
}

/// The pairs `A=x` that follow, at least one.
fn pairs(words: &mut Words<'_>) -> Result<Box<[(Literal, Value)]>, NotationError> {
    let pairs = any_pairs(words);
    if pairs.is_empty() {
        return Err(NotationError::new(
            words.end_column(),
            "expected pairs such as A=open B=closed",
        ));
    }
    Ok(pairs)
}

fn any_pairs(words: &mut Words<'_>) -> Box<[(Literal, Value)]> {
    let mut pairs = Vec::new();
    while let Some((from, to)) = words.peek().and_then(|word| word.split('=')) {
        words.next();
        pairs.push((Literal::new(&from.text), Literal::new(&to.text).value()));
    }
    pairs.into()
}

/// The parts `a@0`, `b@1:2 0=off 1=on` that follow.
fn read_bits(words: &mut Words<'_>, inherited: &Inherited<'_>) -> Result<Vec<Bits>, NotationError> {
    let mut all = Vec::new();
    while let Some((name, place)) = words.peek().and_then(|word| word.split('@')) {
        words.next();
        let (at, width) = match place.split(':') {
            None => (place, None),
            Some((at, width)) => (at, Some(small(&width, 64)?.max(1))),
        };
        all.push(Bits {
            name: inherited.label(&name.text),
            at: small(&at, 63)?,
            width,
            names: any_pairs(words),
        });
    }
    if all.is_empty() {
        return Err(NotationError::new(
            words.end_column(),
            "expected bits such as on@0 level@1:3",
        ));
    }
    Ok(all)
}

fn trimming(words: &mut Words<'_>, left: bool, right: bool) -> Result<Step, NotationError> {
    let word = words.require("the character to trim")?;
    let read = bytes(&word.text).map_err(|error| error.inside(word.column))?;
    let characters: Vec<char> = String::from_utf8_lossy(&read).chars().collect();
    Ok(Step::Trim {
        characters: characters.into(),
        left,
        right,
    })
}
