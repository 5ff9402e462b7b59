//! Checksums of frames: named algorithms, ranges, positions, policies.
//!
//! `crc-16/ibm-sdlc over 2..-4 at -4 [le|be] [as hexadecimal N] [if CONDITION]`. Without `over` all
//! bytes before the check value are covered; without `at` it stands in the frame's last bytes; the
//! most significant byte comes first unless `le` says otherwise.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod algorithm;
mod catalogue;

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

pub use self::algorithm::Algorithm;
use crate::document::{Problems, Section, name_of};
use crate::message::Fields;
use crate::notation::{
    Condition, Digits, Endian, IntegerAt, IntegerKind, NotationError, Span, Words,
};

/// What happens to a frame whose checksum is wrong. It is always counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnBadChecksum {
    /// The frame is dropped.
    #[default]
    Reject,
    /// The frame is passed on, marked.
    Flag,
    /// The frame is dropped and the reply named `nak` is sent.
    Nak,
    /// The connection is closed.
    Close,
}

/// A checksum of a frame: which, over what, and where its value stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Checksum {
    algorithm: Algorithm,
    over: Option<Span>,
    place: IntegerAt,
    condition: Option<Condition>,
}

/// A frame whose check value is not the computed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("checksum should be {expected:x?}, is {found:x?}")]
pub struct Mismatch {
    /// Computed; `None` if the frame is too short for the range.
    pub expected: Option<u64>,
    /// Found; `None` if the frame is too short or holds no number there.
    pub found: Option<u64>,
}

/// Reads a member that is one checksum or a list of them; absent means none.
pub fn read(section: &Section<'_>, member: &str, problems: &mut Problems) -> Vec<Checksum> {
    let Some(found) = section.member(member) else {
        return Vec::new();
    };
    let Value::Array(list) = found.value else {
        return one(section, member, found.value, problems)
            .into_iter()
            .collect();
    };
    let indexed = list.iter().enumerate();
    let read =
        indexed.filter_map(|(index, value)| one(&found, &index.to_string(), value, problems));
    read.collect()
}

fn one(
    section: &Section<'_>,
    member: &str,
    value: &Value,
    problems: &mut Problems,
) -> Option<Checksum> {
    let Value::String(text) = value else {
        problems.member(
            section,
            member,
            format!("expected a checksum as a text, found {}", name_of(value)),
        );
        return None;
    };
    let parsed = Checksum::parse(text);
    parsed
        .map_err(|error| problems.notation(section, member, error))
        .ok()
}

/// The names of all algorithms, each once, without aliases.
pub fn names() -> Vec<&'static str> {
    let own =
        |name: &&'static str| Algorithm::by_name(name).is_ok_and(|found| found.name() == *name);
    catalogue::names().into_iter().filter(own).collect()
}

impl Checksum {
    /// Reads the notation.
    ///
    /// # Errors
    /// The first mistake with its column.
    pub fn parse(text: &str) -> Result<Self, NotationError> {
        let mut words = Words::new(text)?;
        let name = words.require("the name of a checksum")?;
        let algorithm = Algorithm::by_name(&name.text).map_err(|message| name.error(message))?;
        let over = match words.accept("over") {
            Some(_) => Some(Span::parse(&words.require("a range such as `2..-4`")?)?),
            None => None,
        };
        let at = match words.accept("at") {
            Some(_) => Some(words.require("an offset")?.offset("the offset")?),
            None => None,
        };
        let kind = kind(&mut words, algorithm.width())?;
        let place = IntegerAt {
            kind,
            at: Some(at.unwrap_or_else(|| last(kind))),
        };
        let condition = condition(&mut words)?;
        words.end()?;
        Ok(Checksum {
            algorithm,
            over,
            place,
            condition,
        })
    }

    /// Checks a frame. A frame for which the checksum's condition does not hold is good.
    ///
    /// # Errors
    /// Both values, if they differ or cannot be had.
    pub fn verify(&self, frame: &[u8]) -> Result<(), Mismatch> {
        let condition = self.condition.as_ref();
        if condition.is_some_and(|condition| !condition.holds(&Fields::new(), frame)) {
            return Ok(());
        }
        let read = self.place.read(frame, 0).ok();
        let found = read.and_then(|read| u64::try_from(read.value).ok());
        let expected = self
            .covered(frame)
            .map(|bytes| self.visible(self.algorithm.compute(bytes)));
        match (expected, found) {
            (Some(expected), Some(found)) if expected == found => Ok(()),
            (expected, found) => Err(Mismatch { expected, found }),
        }
    }

    fn covered<'a>(&self, frame: &'a [u8]) -> Option<&'a [u8]> {
        let before = Span {
            from: 0,
            to: self.place.at,
        };
        frame.get(self.over.unwrap_or(before).resolve(frame.len())?)
    }

    /// As much of the value as the digits can hold.
    fn visible(&self, value: u64) -> u64 {
        match self.place.kind {
            IntegerKind::Hexadecimal(Digits::Count(digits @ 1..16)) => {
                let bits = u32::try_from(digits.saturating_mul(4)).unwrap_or(64);
                value & u64::MAX.wrapping_shr(64u32.saturating_sub(bits))
            }
            _ => value,
        }
    }
}

/// Offset at which the value is the frame's end.
fn last(kind: IntegerKind) -> i64 {
    let width = i64::try_from(kind.width().unwrap_or(1)).unwrap_or(1);
    width.saturating_neg()
}

fn kind(words: &mut Words<'_>, width: usize) -> Result<IntegerKind, NotationError> {
    let endian = match (words.accept("le"), words.accept("be")) {
        (Some(_), _) => Endian::Little,
        (None, _) => Endian::Big,
    };
    if words.accept("as").is_none() {
        let width = u8::try_from(width).unwrap_or(8);
        return Ok(IntegerKind::Binary {
            width,
            signed: false,
            endian,
        });
    }
    let form = words.require("`hexadecimal N`")?;
    if !form.is("hexadecimal") {
        return Err(form.error(format!("expected `hexadecimal N`, found `{}`", form.raw)));
    }
    let digits = words
        .require("how many digits")?
        .count("the number of digits", 16)?;
    Ok(IntegerKind::Hexadecimal(Digits::Count(digits)))
}

fn condition(words: &mut Words<'_>) -> Result<Option<Condition>, NotationError> {
    let Some(word) = words.accept("if") else {
        return Ok(None);
    };
    let condition = Condition::read(words, Endian::Big)?;
    if let Some(name) = condition.field_names().next() {
        return Err(word.error(format!(
            "a checksum is checked before fields are read: write `TYPE at N` instead of `{name}`"
        )));
    }
    Ok(Some(condition))
}

#[cfg(test)]
mod tests;
