//! Checksums of frames: named algorithms, ranges, positions, policies.
//!
//! `crc-16/ibm-sdlc over 2..-4 at -4 [le] [as TYPE] [if CONDITION]`. Without `over` all bytes before
//! the check value are covered; without `at` it stands in the frame's last bytes; the most
//! significant byte comes first unless `le` says otherwise. `& MASK` behind the range says which
//! bits count; `per N from A [removed]` stands in the place of a range for a value behind each block.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod algorithm;
mod blocks;
mod catalogue;
mod crc;
mod custom;
mod explain;
pub mod schema;
mod sums;
mod write;

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

pub use self::algorithm::Algorithm;
pub use self::explain::{Check, Explanation};
use crate::document::{Problems, Section, name_of};
use crate::message::Fields;
use crate::notation::{
    Condition, Endian, IntegerAt, IntegerKind, NotationError, Span, Words, unknown_word,
};
use blocks::Blocks;

/// What happens to a frame whose checksum is wrong. It is always counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
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
    /// The bits that count.
    mask: u64,
    /// How the value is written.
    kind: IntegerKind,
    scope: Scope,
    condition: Option<Condition>,
}

#[derive(Clone, Debug, PartialEq)]
enum Scope {
    /// One value at a place; without a range it covers what stands before.
    Place { over: Option<Span>, at: i64 },
    /// The value stands behind the mark that ends what it covers.
    Marks,
    /// One behind each block.
    Blocks(Blocks),
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
    if !found.value.is_array() {
        return one(&found, problems).into_iter().collect();
    }
    let read: Vec<Checksum> = found
        .elements()
        .filter_map(|element| one(&element, problems))
        .collect();
    if read.iter().filter(|checksum| checksum.removes()).count() > 1 {
        let message = "the check values of only one checksum can be `removed`";
        problems.add(&found, message);
    }
    read
}

fn one(section: &Section<'_>, problems: &mut Problems) -> Option<Checksum> {
    match section.value {
        Value::String(text) => Checksum::parse(text)
            .map_err(|error| problems.notation_here(section, error))
            .ok(),
        Value::Object(_) => custom::read(section, problems),
        other => {
            let found = name_of(other);
            let message = format!("expected a checksum as a text or an object, found {found}");
            problems.add(section, message);
            None
        }
    }
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
        let over = over(&algorithm, &mut words)?;
        let mask = match words.accept("&") {
            Some(_) => mask(&mut words)?,
            None => u64::MAX,
        };
        let at = match words.accept("at") {
            Some(word) if algorithm.has_marks() => return Err(word.error(HAS_MARKS)),
            Some(_) => Some(words.require("an offset")?.offset("the offset")?),
            None => None,
        };
        let kind = kind(&algorithm, &mut words)?;
        let scope = match words.accept("per") {
            Some(word) if over.is_some() || at.is_some() || algorithm.has_marks() => {
                let message =
                    "`per` says where the values stand: `over`, `at` and marks do not go with it";
                return Err(word.error(message));
            }
            Some(_) => Scope::Blocks(Blocks::parse(&mut words)?),
            None if algorithm.has_marks() => Scope::Marks,
            None => Scope::place(over, at, kind),
        };
        let condition = condition(&mut words)?;
        rest(&mut words)?;
        Ok(Checksum {
            algorithm,
            mask,
            kind,
            scope,
            condition,
        })
    }

    /// What the check value is computed with.
    pub fn algorithm(&self) -> &Algorithm {
        &self.algorithm
    }

    /// Checks a frame. A frame for which the checksum's condition does not hold is good.
    ///
    /// # Errors
    /// Both values, if they differ or cannot be had.
    pub fn verify(&self, frame: &[u8]) -> Result<(), Mismatch> {
        if !self.applies(frame) {
            return Ok(());
        }
        self.each(frame, &mut |covered, at| self.compare(frame, covered, at))
    }

    /// Hands what each check value covers, and where it stands, to `check`, up to its first error.
    fn each(
        &self,
        frame: &[u8],
        check: &mut dyn FnMut(Option<Range<usize>>, i64) -> Result<(), Mismatch>,
    ) -> Result<(), Mismatch> {
        let nothing = Mismatch {
            expected: None,
            found: None,
        };
        match &self.scope {
            Scope::Place { over, at } => {
                let before = Span {
                    from: 0,
                    to: Some(*at),
                };
                let covered = over.unwrap_or(before).resolve(frame.len());
                check(covered, *at)
            }
            Scope::Marks => {
                let covered = self.algorithm.covers(frame).ok_or(nothing)?;
                let behind = i64::try_from(covered.end.saturating_add(1));
                check(Some(covered), behind.map_err(|_| nothing)?)
            }
            Scope::Blocks(blocks) => {
                let width = self.kind.width().unwrap_or(0);
                let blocks = blocks.of(frame.len(), width).ok_or(nothing)?;
                blocks.into_iter().try_for_each(|(data, at)| {
                    let at = i64::try_from(at).map_err(|_| nothing)?;
                    check(Some(data), at)
                })
            }
        }
    }

    /// The frame without its check values, and where its body begins then; `None` where they stay.
    pub fn remove(&self, frame: &[u8], body: usize) -> Option<(Vec<u8>, usize)> {
        let Scope::Blocks(blocks @ Blocks { removed: true, .. }) = &self.scope else {
            return None;
        };
        if !self.applies(frame) {
            return None;
        }
        let (bytes, before) = blocks.without(frame, body, self.kind.width()?)?;
        Some((bytes, body.saturating_sub(before)))
    }

    /// Bytes of the frame from the check value on, where its place is counted from the end.
    pub fn tail(&self, frame: &[u8]) -> usize {
        match self.scope {
            Scope::Place { at, .. } if at < 0 && self.applies(frame) => {
                usize::try_from(at.unsigned_abs()).unwrap_or(usize::MAX)
            }
            _ => 0,
        }
    }

    fn removes(&self) -> bool {
        matches!(&self.scope, Scope::Blocks(blocks) if blocks.removed)
    }

    fn applies(&self, frame: &[u8]) -> bool {
        let condition = self.condition.as_ref();
        condition.is_none_or(|condition| condition.holds(&Fields::new(), frame))
    }

    fn compare(
        &self,
        frame: &[u8],
        covered: Option<Range<usize>>,
        at: i64,
    ) -> Result<(), Mismatch> {
        let found = self.found(frame, at).map(|(found, _)| found);
        match (self.expected(frame, covered), found) {
            (Some(expected), Some(found)) if expected == found => Ok(()),
            (expected, found) => Err(Mismatch { expected, found }),
        }
    }

    /// The value that is computed; `None` of a frame that is too short for it.
    fn expected(&self, frame: &[u8], covered: Option<Range<usize>>) -> Option<u64> {
        let covered = covered.and_then(|covered| frame.get(covered));
        let expected = covered.and_then(|bytes| self.algorithm.compute(bytes));
        expected.map(|value| self.visible(value & self.mask))
    }

    /// The value that stands there, and where.
    fn found(&self, frame: &[u8], at: i64) -> Option<(u64, Range<usize>)> {
        let (found, place) = self.stands(frame, at)?;
        Some((found & self.mask, place))
    }

    /// The number that stands there, with the bits that do not count, and where.
    fn stands(&self, frame: &[u8], at: i64) -> Option<(u64, Range<usize>)> {
        let place = IntegerAt {
            kind: self.kind,
            at: Some(at),
        };
        let read = place.read(frame, 0).ok()?;
        Some((u64::try_from(read.value).ok()?, read.start..read.end))
    }

    /// As much of the value as its place can hold.
    fn visible(&self, value: u64) -> u64 {
        u64::try_from(self.kind.wrap(value.into())).unwrap_or(value)
    }
}

impl Scope {
    /// At that offset, or else in the last bytes.
    fn place(over: Option<Span>, at: Option<i64>, kind: IntegerKind) -> Self {
        let width = i64::try_from(kind.width().unwrap_or(1)).unwrap_or(1);
        Scope::Place {
            over,
            at: at.unwrap_or_else(|| width.saturating_neg()),
        }
    }
}

const HAS_MARKS: &str = "the sentence itself says what it covers, from `$` or `!` to `*`, and its value stands behind that";

fn over(algorithm: &Algorithm, words: &mut Words<'_>) -> Result<Option<Span>, NotationError> {
    match words.accept("over") {
        Some(word) if algorithm.has_marks() => Err(word.error(HAS_MARKS)),
        Some(_) => Span::parse(&words.require("a range such as `2..-4`")?).map(Some),
        None => Ok(None),
    }
}

fn mask(words: &mut Words<'_>) -> Result<u64, NotationError> {
    let word = words.require("a mask")?;
    let mask = u64::try_from(word.number("a mask")?).ok();
    let wrong = || word.error(format!("the mask `{}` lets nothing through", word.raw));
    mask.filter(|mask| *mask != 0).ok_or_else(wrong)
}

/// How the value is written: `[le|be] [as TYPE]`.
fn kind(algorithm: &Algorithm, words: &mut Words<'_>) -> Result<IntegerKind, NotationError> {
    let order = words.accept("le").or_else(|| words.accept("be"));
    let endian = match &order {
        Some(word) if word.is("le") => Endian::Little,
        _ => Endian::Big,
    };
    let kind = match words.accept("as") {
        Some(_) => type_of_value(words, endian)?,
        None => algorithm.usual_kind(endian),
    };
    match order {
        Some(word) if !matches!(kind, IntegerKind::Binary { .. }) => {
            Err(word.error(format!("`{}` is for bytes; digits have no order", word.raw)))
        }
        _ => Ok(kind),
    }
}

/// The type of a check value: an integer of a fixed width, without a sign.
fn type_of_value(words: &mut Words<'_>, endian: Endian) -> Result<IntegerKind, NotationError> {
    let word = words.require("a type such as `hexadecimal 2` or `u32`")?;
    let Some(kind) = IntegerKind::parse(&word, words, endian)? else {
        return Err(word.error(unknown_word("type", word.raw, &TYPES)));
    };
    if matches!(kind, IntegerKind::Binary { signed: true, .. }) || kind.width().is_none() {
        return Err(word.error("a check value has a fixed width and no sign"));
    }
    Ok(kind)
}

const TYPES: [&str; 7] = ["u8", "u16", "u32", "u64", "decimal", "hexadecimal", "bcd"];

fn condition(words: &mut Words<'_>) -> Result<Option<Condition>, NotationError> {
    let Some(word) = words.accept("if") else {
        return Ok(None);
    };
    let condition = Condition::read(words, Endian::Big)?;
    no_fields(&condition, word.column)?;
    Ok(Some(condition))
}

fn no_fields(condition: &Condition, column: usize) -> Result<(), NotationError> {
    condition.field_names().next().map_or(Ok(()), |name| {
        let message = format!(
            "a checksum is checked before fields are read: write `TYPE at N` instead of `{name}`"
        );
        Err(NotationError::new(column, message))
    })
}

/// Nothing may follow; a word of the notation is out of its order.
fn rest(words: &mut Words<'_>) -> Result<(), NotationError> {
    match words.next() {
        None => Ok(()),
        Some(word) if ORDER.contains(&word.raw) => Err(word.error(format!(
            "`{}` is out of its order, which is: NAME, over, &, at, le, as, per, if",
            word.raw
        ))),
        Some(word) => Err(word.error(unknown_word("word", word.raw, &ORDER))),
    }
}

const ORDER: [&str; 8] = ["over", "&", "at", "le", "be", "as", "per", "if"];

#[cfg(test)]
mod tests;
