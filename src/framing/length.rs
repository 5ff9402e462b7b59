//! Frames that say their length.

use std::borrow::Cow;

use serde::Deserialize;

use super::bounded::{Body, Common};
use super::needles::Needles;
use super::{Broken, Framer, More, Resync, Step, WrapError, saturated};
use crate::document::{Problems, Section};
use crate::notation::{Digits, Endian, IntegerAt, IntegerKind, ReadError, bytes};

/// Members of kind `length`, beside the common ones.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LengthOptions {
    /// The length field, `TYPE [at N]`; without a place it stands behind the start marker.
    length: String,
    /// Bytes of the frame that the field does not count.
    #[serde(default)]
    add: i64,
    /// Bytes that one unit of the field stands for.
    #[serde(default = "one")]
    multiply: u32,
    /// Bytes with which every frame ends; they are part of the length, checked and not searched.
    #[serde(default)]
    end: String,
}

fn one() -> u32 {
    1
}

/// The kind, read: total = add + multiply × value, from the frame's first byte, or from behind
/// the field where that goes `until` a byte.
#[derive(Clone, Debug)]
pub(super) struct Length {
    start: Option<Needles>,
    field: IntegerAt,
    add: i64,
    multiply: u32,
    end: Vec<u8>,
}

/// Reads the kind's members.
pub(super) fn read(
    section: &Section<'_>,
    without: &[&str],
    common: &Common,
    problems: &mut Problems,
) -> Option<Length> {
    let options: LengthOptions = section.read(without, problems)?;
    let field = IntegerAt::parse(&options.length, Endian::Big);
    let field = field
        .map_err(|error| problems.notation(section, "length", error))
        .ok();
    let end = bytes(&options.end)
        .map_err(|error| problems.notation(section, "end", error))
        .ok();
    if options.multiply == 0 {
        problems.member(section, "multiply", "must be at least 1");
    }
    let field = field?;
    if field.at.is_some_and(|at| at < 0) {
        problems.member(
            section,
            "length",
            "a length field has its place from the frame's first byte",
        );
    }
    let start = common.start.clone();
    Some(Length {
        start,
        field,
        add: options.add,
        multiply: options.multiply,
        end: end?,
    })
}

impl Length {
    fn counts_from_field(&self) -> bool {
        use IntegerKind::{Decimal, Hexadecimal};
        matches!(
            self.field.kind,
            Decimal(Digits::Until(_)) | Hexadecimal(Digits::Until(_))
        )
    }

    /// The frame's bytes if the field that ends at `field_end` holds `value`.
    fn total(&self, value: i128, field_end: usize) -> Result<usize, Broken> {
        let base = if self.counts_from_field() {
            field_end
        } else {
            0
        };
        let counted = value
            .saturating_mul(i128::from(self.multiply))
            .saturating_add(i128::from(self.add));
        let total = counted.saturating_add(i128::try_from(base).unwrap_or(i128::MAX));
        let least = field_end.saturating_add(self.end.len());
        if value < 0 || total < i128::try_from(least).unwrap_or(i128::MAX) {
            return Err(Broken::Length);
        }
        Ok(saturated(total))
    }

    /// Puts start and length field before the bytes and `end` behind them. With a numeric `body`
    /// behind the field, the bytes between are not known.
    pub fn wrap(&self, body: &[u8], common: &Common) -> Result<Vec<u8>, WrapError> {
        let start = self.start.as_ref().map_or(&[][..], Needles::longest);
        let at = self.field.at.map_or(start.len(), |at| saturated(at.into()));
        if at != start.len() {
            return Err(WrapError::Header);
        }
        let content = body.len().saturating_add(self.end.len());
        let header = self.header(start, content)?;
        if matches!(common.body, Body::At(offset) if offset > header.len()) {
            return Err(WrapError::Header);
        }
        Ok([&header, body, &self.end].concat())
    }

    /// Start and length field of a frame with so many bytes behind the field.
    fn header(&self, start: &[u8], content: usize) -> Result<Vec<u8>, WrapError> {
        let mut header = start.to_vec();
        let width = match self.counts_from_field() {
            true => 0,
            false => start
                .len()
                .saturating_add(self.field.kind.width().unwrap_or(0)),
        };
        let total = i128::try_from(content.saturating_add(width)).unwrap_or(i128::MAX);
        let counted = total.saturating_sub(i128::from(self.add));
        let multiply = i128::from(self.multiply);
        let value = counted
            .checked_div(multiply)
            .filter(|_| counted.checked_rem(multiply) == Some(0));
        let written = value
            .filter(|value| *value >= 0)
            .and_then(|value| self.field.kind.write(value, &mut header));
        written.map(|()| header).ok_or(WrapError::Length)
    }
}

impl Framer for Length {
    fn next<'b>(&mut self, bytes: &'b [u8], _more: More) -> Step<'b> {
        let read = match self
            .field
            .read(bytes, super::needles::length_at(self.start.as_ref(), bytes))
        {
            Ok(read) => read,
            Err(ReadError::Short { needed }) => return Step::Need(needed),
            Err(ReadError::Invalid(_)) => return Step::Broken(Broken::Length),
        };
        let take = match self.total(read.value, read.end) {
            Ok(take) => take,
            Err(broken) => return Step::Broken(broken),
        };
        match bytes.get(..take) {
            None => Step::Need(take),
            Some(frame) if !frame.ends_with(&self.end) => Step::Broken(Broken::End),
            Some(frame) => Step::Frame {
                take,
                frame: Cow::Borrowed(frame),
                body: read.end,
            },
        }
    }

    fn resync(&self) -> Resync {
        Resync::Never
    }
}
