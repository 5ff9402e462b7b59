//! Ranges of a template's own bytes in which nothing can ever be.

use super::Part;
use super::hole::{Hole, What};
use crate::notation::{NotationError, Span};

/// The column of the range in the text of a hole that begins at `column`; that of the hole where it
/// has none.
pub(super) fn column(hole: &str, column: usize) -> usize {
    let before = hole.split_once("..").map_or("", |(before, _)| before);
    let before = before.rfind(' ').and_then(|at| before.get(..=at));
    column.saturating_add(before.map_or(0, |before| before.chars().count()))
}

/// Refuses ranges that are empty, or outside, whatever the holes are filled with; `columns` has those
/// of all holes.
pub(super) fn check(parts: &[Part], columns: &[usize]) -> Result<(), NotationError> {
    let sum = |sum: usize, part: &Part| sum.checked_add(part.width()?);
    let total = parts.iter().try_fold(0, sum);
    let mut place = Some(0);
    let mut columns = columns.iter();
    for part in parts {
        if let Part::Hole(hole) = part {
            let column = columns.next().copied().unwrap_or(1);
            if let Some(message) = hole.covers_nothing(place, total) {
                return Err(NotationError::new(column, message));
            }
        }
        place = place.and_then(|place| sum(place, part));
    }
    Ok(())
}

impl Part {
    /// How many bytes it takes, where that is always the same.
    fn width(&self) -> Option<usize> {
        match self {
            Part::Bytes(bytes) => Some(bytes.len()),
            Part::Hole(hole) => hole.width(),
        }
    }
}

impl Hole {
    /// Why the range of a length or checksum has nothing in it, for a hole at `place` in `total`
    /// bytes, as far as these are always the same. A range that ends somewhere may well be empty:
    /// so is the content that it is the length of.
    fn covers_nothing(&self, place: Option<usize>, total: Option<usize>) -> Option<String> {
        let (span, end) = match &self.what {
            What::Length(span) => (span, "0..-1 + 1"),
            What::Checksum(algorithm, _) if algorithm.has_marks() => return None,
            What::Checksum(_, span) | What::OwnChecksum(span) => (span, "over 4..-1"),
            _ => return None,
        };
        if let Span { to: Some(_), .. } = span {
            let total = total.filter(|total| span.resolve(*total).is_none())?;
            return Some(format!(
                "`{span}` does not fit: there are {total} bytes, those of the holes included"
            ));
        }
        let place = place?;
        let covered = span.resolve(place).unwrap_or_default();
        covered.is_empty().then(|| {
            format!(
                "an open end is the place of the hole, and nothing of `{span}` stands before it. Say where it ends, as in `{end}`"
            )
        })
    }
}
