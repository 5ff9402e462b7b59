//! How the steps behind a type are written: `* 10 round 1`, `enum 1=on`, `split`.

use jiff::tz::Offset;

use super::steps::{Bits, Collect, Factor, Step, Steps, Subject};
use crate::cursor::Endian;
use crate::message::Value;
use crate::notation::{Condition, Literal, NotationError, Word, Words, bytes, unknown_word};

const STEPS: [&str; 20] = [
    "*", "/", "+", "-", "&", ">>", "round", "neg", "null", "enum", "bits", "unit", "zone", "if",
    "trim", "ltrim", "rtrim", "text", "drop", "unix",
];
const LATER: [&str; 4] = ["with", "unhex", "epoch", "rename"];
/// Steps on a list.
const LIST_STEPS: [&str; 5] = ["split", "map", "if", "drop", "unit"];

impl Steps {
    /// Reads all steps up to the end of the field string.
    pub fn parse(
        words: &mut Words<'_>,
        endian: Endian,
        subject: Subject,
    ) -> Result<Self, NotationError> {
        let mut steps = Steps::default();
        while let Some(word) = words.next() {
            subject.check(&word)?;
            steps.read_one(&word, words, endian)?;
        }
        let zone = steps.zone.unwrap_or(Offset::UTC);
        for step in &mut steps.steps {
            if let Step::Time { zone: own, .. } = step {
                *own = zone;
            }
        }
        Ok(steps)
    }

    fn read_one(
        &mut self,
        word: &Word<'_>,
        words: &mut Words<'_>,
        endian: Endian,
    ) -> Result<(), NotationError> {
        if word.quoted {
            return Err(word.error(format!("expected a step, found `{}`", word.raw)));
        }
        match word.raw {
            "if" => self.condition = Some(Condition::read(words, endian)?),
            "drop" => self.dropped = true,
            "neg" => self.negate = Some(negation(words)?),
            "zone" => self.zone = Some(offset(&words.require("an offset such as +08:00")?)?),
            "bits" => self.bits = read_bits(words)?,
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
            let mut name = |what| Ok(words.require(what)?.text.as_ref().into());
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
        "null" => Step::Null(Literal::new(
            &words.require("the value that means none")?.text,
        )),
        "enum" => Step::Enum(pairs(words)?.into()),
        "trim" => trimming(words, true, true)?,
        "ltrim" => trimming(words, true, false)?,
        "rtrim" => trimming(words, false, true)?,
        "text" => Step::Text,
        "unix" => Step::Unix { per_second: 1 },
        "unixms" => Step::Unix { per_second: 1000 },
        "time" => Step::Time {
            format: words
                .require("a format such as %Y%m%d%H%M%S")?
                .text
                .into_owned(),
            zone: Offset::UTC,
        },
        later if LATER.contains(&later) => {
            return Err(word.error(format!("`{later}` is not available in this version")));
        }
        other => return Err(word.error(unknown_word("step", other, &STEPS))),
    })
}

fn factor(word: &Word<'_>) -> Result<Factor, NotationError> {
    match Literal::new(&word.text).value() {
        Value::Integer(value) => Ok(Factor::Integer(value)),
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

fn negation(words: &mut Words<'_>) -> Result<(String, bool), NotationError> {
    let missing = words.require("the field that negates")?;
    match missing.text.strip_prefix('!') {
        Some("") => Err(missing.error("expected a field behind `!`")),
        Some(name) => Ok((name.to_owned(), true)),
        None => Ok((missing.text.into_owned(), false)),
    }
}

/// An offset from UTC: `+08:00`, `-0330`, `Z`.
fn offset(word: &Word<'_>) -> Result<Offset, NotationError> {
    let wrong = || {
        word.error(format!(
            "expected an offset such as +08:00, found `{}`",
            word.raw
        ))
    };
    if word.raw == "Z" {
        return Ok(Offset::UTC);
    }
    let (sign, rest) = match (word.raw.strip_prefix('+'), word.raw.strip_prefix('-')) {
        (Some(rest), _) => (1, rest),
        (None, Some(rest)) => (-1, rest),
        (None, None) => return Err(wrong()),
    };
    let digits: String = rest.chars().filter(|character| *character != ':').collect();
    let number: i32 = digits.parse().map_err(|_| wrong())?;
    let (hours, minutes) = match digits.len() {
        1 | 2 => (number, 0),
        4 => (number / 100, number % 100),
        _ => return Err(wrong()),
    };
    if hours > 18 || minutes > 59 {
        return Err(wrong());
    }
    let minutes = hours.saturating_mul(60).saturating_add(minutes);
    Offset::from_seconds(minutes.saturating_mul(60).saturating_mul(sign)).map_err(|_| wrong())
}

/// The pairs `A=x` that follow.
fn pairs(words: &mut Words<'_>) -> Result<Vec<(Literal, Value)>, NotationError> {
    let mut pairs = Vec::new();
    while let Some((from, to)) = words.peek().and_then(|word| word.split('=')) {
        words.next();
        pairs.push((Literal::new(&from.text), Literal::new(&to.text).value()));
    }
    if pairs.is_empty() {
        return Err(NotationError::new(
            words.end_column(),
            "expected pairs such as A=open B=closed",
        ));
    }
    Ok(pairs)
}

/// The parts `a@0`, `b@1:10` that follow.
fn read_bits(words: &mut Words<'_>) -> Result<Vec<Bits>, NotationError> {
    let mut all = Vec::new();
    while let Some((name, place)) = words.peek().and_then(|word| word.split('@')) {
        words.next();
        let (at, width) = match place.split(':') {
            None => (place, None),
            Some((at, width)) => (at, Some(small(&width, 64)?.max(1))),
        };
        all.push(Bits {
            name: name.text.as_ref().into(),
            at: small(&at, 63)?,
            width,
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
