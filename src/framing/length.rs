//! Frames that say their length.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Deserialize;

use super::bounded::{Body, Common};
use super::explain::written;
use super::needles::{self, Needles};
use super::{Broken, Explanation, Framer, More, Resync, Step, Taken, WrapError, saturated};
use crate::document::{Problems, Section, optional_object};
use crate::notation::{Endian, IntegerRead, PartAt, ReadError, bytes};
use crate::schema::{Bytes, LengthField};

/// Frames that say their length: `add` + `multiply` × (`length` + `plus`) bytes from the first one,
/// or from behind a field without a fixed width; with `blocks` and what these add.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct LengthOptions {
    /// The length field; without `at` it stands behind `start`.
    #[schemars(with = "LengthField")]
    length: String,
    /// A second field, which is added to the first. It says its place.
    #[schemars(with = "Option<LengthField>")]
    plus: Option<String>,
    /// Bytes of the frame that the field does not count.
    #[serde(default)]
    add: i64,
    /// Bytes that one unit of the fields stands for.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    multiply: u32,
    /// Bytes that each block has and the length field does not count.
    #[serde(default, deserialize_with = "optional_object")]
    blocks: Option<Blocks>,
    /// Bytes with which every frame ends; they are part of the length, checked and not searched.
    #[serde(default)]
    #[schemars(with = "Bytes")]
    end: String,
}

fn one() -> u32 {
    1
}

/// Bytes in blocks, each of which is followed by bytes that the length field does not count, such
/// as the check values of DNP3.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "blocks")]
struct Blocks {
    /// Counted bytes of a block; the last may have fewer.
    #[schemars(range(min = 1))]
    bytes: u32,
    /// Bytes behind each block.
    #[schemars(range(min = 1))]
    extra: u32,
    /// Offset in the frame at which the first block begins.
    #[serde(default)]
    from: u32,
}

/// The kind, read: total = add + multiply × (field + plus), from the frame's first byte, or from
/// behind the field where that has no fixed width; and `extra` for every block begun.
#[derive(Clone, Debug)]
pub(super) struct Length {
    start: Option<Needles>,
    field: PartAt,
    plus: Option<PartAt>,
    add: i64,
    multiply: u32,
    blocks: Option<Blocks>,
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
    let field = field(section, "length", &options.length, problems);
    let second = options.plus.as_deref();
    let plus = second.map(|text| placed_field(section, "plus", text, problems));
    let end = bytes(&options.end)
        .map_err(|error| problems.notation(section, "end", error))
        .ok();
    if options.multiply == 0 {
        problems.member(section, "multiply", "must be at least 1");
    }
    if let Some((blocks, own)) = options.blocks.zip(section.member("blocks")) {
        for (name, value) in [("bytes", blocks.bytes), ("extra", blocks.extra)] {
            if value == 0 {
                problems.member(&own, name, "must be at least 1");
            }
        }
    }
    Some(Length {
        start: common.start.clone(),
        field: field?,
        plus: match plus {
            Some(plus) => Some(plus?),
            None => None,
        },
        add: options.add,
        multiply: options.multiply,
        blocks: options.blocks,
        end: end?,
    })
}

/// Reads the notation of a field that is needed before the frame's end is known.
pub(super) fn field(
    section: &Section<'_>,
    member: &str,
    text: &str,
    problems: &mut Problems,
) -> Option<PartAt> {
    let field = PartAt::parse(text, Endian::Big)
        .map_err(|error| problems.notation(section, member, error))
        .ok()?;
    if field.place.at.is_some_and(|at| at < 0) {
        let why = "such a field has its place from the first byte: the end is not known yet";
        problems.member(section, member, why);
    }
    Some(field)
}

/// [`field`] for one that must say its place.
pub(super) fn placed_field(
    section: &Section<'_>,
    member: &str,
    text: &str,
    problems: &mut Problems,
) -> Option<PartAt> {
    let field = field(section, member, text, problems)?;
    if field.place.at.is_none() {
        problems.member(section, member, format!("needs a place: `{text} at N`"));
    }
    Some(field)
}

impl Blocks {
    /// All bytes of a frame of which so many are counted; `None` if it ends before its blocks begin.
    fn with(&self, counted: i128) -> Option<i128> {
        let inside = counted.checked_sub(self.from.into())?;
        let bytes = i128::from(self.bytes);
        let begun = inside
            .checked_add(bytes.checked_sub(1)?)?
            .checked_div(bytes)?;
        let all = counted.checked_add(begun.checked_mul(self.extra.into())?)?;
        (inside >= 0).then_some(all)
    }

    /// The counted bytes of a frame of so many; `None` if there is no such frame.
    fn without(&self, all: i128) -> Option<i128> {
        let inside = all.checked_sub(self.from.into())?;
        let block = i128::from(self.bytes).checked_add(self.extra.into())?;
        let begun = inside
            .checked_add(block.checked_sub(1)?)?
            .checked_div(block)?;
        let counted = all.checked_sub(begun.checked_mul(self.extra.into())?)?;
        (self.with(counted) == Some(all)).then_some(counted)
    }
}

impl Length {
    fn read_fields(&self, bytes: &[u8], behind_start: usize) -> Result<Fields, ReadError> {
        let first = self.field.read(bytes, behind_start)?;
        let second = match &self.plus {
            Some(plus) => Some(plus.read(bytes, behind_start)?),
            None => None,
        };
        Ok(Fields { first, second })
    }

    /// The frame's bytes if its fields are these.
    fn total(&self, fields: &Fields) -> Option<usize> {
        let base = match self.field.place.kind.width() {
            None => fields.first.end,
            Some(_) => 0,
        };
        let sum = fields.sum();
        let counted = sum
            .saturating_mul(self.multiply.into())
            .saturating_add(self.add.into())
            .saturating_add(i128::try_from(base).ok()?);
        let all = match &self.blocks {
            Some(blocks) => blocks.with(counted)?,
            None => counted,
        };
        let least = fields.end().saturating_add(self.end.len());
        let possible = sum >= 0 && all >= i128::try_from(least).ok()?;
        possible.then(|| saturated(all))
    }

    /// Says which fields say the length, and how.
    pub fn explain(&self, taken: Taken<'_>, into: &mut Explanation) {
        let frame = taken.frame;
        let behind_start = needles::length_at(self.start.as_ref(), frame);
        let Ok(fields) = self.read_fields(frame, behind_start) else {
            return;
        };
        let first = fields.first;
        let mut rule = format!("length: {} = {}", self.field, first.value);
        into.mark(first.start..first.end, format!("length = {}", first.value));
        if let Some((plus, second)) = self.plus.zip(fields.second) {
            rule.push_str(&format!(", plus {plus} = {}", second.value));
            into.mark(second.start..second.end, format!("plus = {}", second.value));
        }
        rule.push_str(&self.sum(&fields, frame.len()));
        if !self.end.is_empty() {
            rule.push_str(&format!("; end {}", written(&self.end)));
            into.mark_end(&self.end, frame.len());
        }
        into.say(rule);
    }

    /// How the fields' values make the frame's length.
    fn sum(&self, fields: &Fields, total: usize) -> String {
        let mut terms = Vec::new();
        if self.multiply > 1 {
            terms.push(format!("{} x {}", fields.sum(), self.multiply));
        } else {
            terms.push(fields.sum().to_string());
        }
        if self.add != 0 {
            terms.push(self.add.to_string());
        }
        if self.field.place.kind.width().is_none() {
            terms.push(format!("{} up to behind the field", fields.first.end));
        }
        if let Some(blocks) = &self.blocks {
            terms.push(format!(
                "{} behind every {} from {}",
                blocks.extra, blocks.bytes, blocks.from
            ));
        }
        format!("; {} = {total} bytes", terms.join(" + ")).replace("+ -", "- ")
    }

    /// Puts start and length field before the bytes and `end` behind them. A second field that
    /// stands beside the first and before the `body` is zero; elsewhere it is what the bytes say.
    /// Other bytes before the length field, or between it and the `body`, are not known.
    pub fn wrap(&self, body: &[u8], common: &Common) -> Result<Vec<u8>, WrapError> {
        let mut frame = self.before_field()?;
        let behind = self.behind_field(frame.len(), common);
        let content = [behind.as_slice(), body, &self.end].concat();
        let value = self.value(&frame, &content).ok_or(WrapError::Length)?;
        self.field
            .write(value, &mut frame)
            .ok_or(WrapError::Length)?;
        let header = frame.len().saturating_add(behind.len());
        if matches!(common.body, Body::At(offset) if offset > header) {
            return Err(WrapError::Header);
        }
        frame.extend_from_slice(&content);
        Ok(frame)
    }

    /// The start, and the second field where that stands between start and length field.
    fn before_field(&self) -> Result<Vec<u8>, WrapError> {
        let start = self.start.as_ref().map_or(&[][..], Needles::longest);
        let mut before = start.to_vec();
        if self.stands_at(&self.field, before.len()) {
            return Ok(before);
        }
        let second = self.plus.filter(|plus| self.stands_at(plus, before.len()));
        second.and_then(|plus| plus.write(0, &mut before));
        if self.stands_at(&self.field, before.len()) {
            Ok(before)
        } else {
            Err(WrapError::Header)
        }
    }

    /// The second field, where that stands behind the one at `at` and before the `body`.
    fn behind_field(&self, at: usize, common: &Common) -> Vec<u8> {
        let mut behind = Vec::new();
        let end = at.saturating_add(self.field.place.kind.width().unwrap_or(0));
        if matches!(common.body, Body::At(offset) if offset > end) {
            let second = self.plus.filter(|plus| self.stands_at(plus, end));
            second.and_then(|plus| plus.write(0, &mut behind));
        }
        behind
    }

    fn stands_at(&self, field: &PartAt, offset: usize) -> bool {
        match field.place.at {
            Some(at) => usize::try_from(at) == Ok(offset),
            None => true,
        }
    }

    /// What the length field must hold between these bytes; `None` if no number is right.
    fn value(&self, before: &[u8], content: &[u8]) -> Option<i128> {
        let width = self.field.place.kind.width();
        if width.is_none() && (self.plus.is_some() || self.blocks.is_some()) {
            return None;
        }
        let zero = [before, &vec![0; width.unwrap_or(0)], content].concat();
        let counted_from = if width.is_some() { 0 } else { before.len() };
        let all = i128::try_from(zero.len().checked_sub(counted_from)?).ok()?;
        let counted = match &self.blocks {
            Some(blocks) => blocks.without(all)?,
            None => all,
        };
        let counted = counted.checked_sub(self.add.into())?;
        let multiply = i128::from(self.multiply);
        if counted.checked_rem(multiply)? != 0 {
            return None;
        }
        let second = match &self.plus {
            Some(plus) => plus.read(&zero, 0).ok()?.value,
            None => 0,
        };
        let value = counted.checked_div(multiply)?.checked_sub(second)?;
        (value >= 0).then_some(value)
    }
}

/// The fields that say the length.
struct Fields {
    first: IntegerRead,
    second: Option<IntegerRead>,
}

impl Fields {
    fn sum(&self) -> i128 {
        let second = self.second.map_or(0, |second| second.value);
        self.first.value.saturating_add(second)
    }

    fn end(&self) -> usize {
        let second = self.second.map_or(0, |second| second.end);
        self.first.end.max(second)
    }
}

impl Framer for Length {
    fn next<'b>(&mut self, bytes: &'b [u8], _more: More) -> Step<'b> {
        let behind_start = needles::length_at(self.start.as_ref(), bytes);
        let fields = match self.read_fields(bytes, behind_start) {
            Ok(fields) => fields,
            Err(ReadError::Short { needed }) => return Step::Need(needed),
            Err(ReadError::Invalid(_)) => return Step::Broken(Broken::Length),
        };
        let Some(take) = self.total(&fields) else {
            return Step::Broken(Broken::Length);
        };
        match bytes.get(..take) {
            None => Step::Need(take),
            Some(frame) if !frame.ends_with(&self.end) => Step::Broken(Broken::End),
            Some(frame) => Step::Frame {
                take,
                frame: Cow::Borrowed(frame),
                body: fields.first.end,
            },
        }
    }

    fn resync(&self) -> Resync {
        Resync::Never
    }
}
