//! Spans of bytes or characters: `2..-4`, `2..`.

use std::fmt;
use std::ops::Range;

use super::NotationError;
use super::words::{Word, number};

/// From one offset up to, and without, another; negative offsets count back from the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first offset inside.
    pub from: i64,
    /// The first offset behind; `None` is the end.
    pub to: Option<i64>,
}

impl Span {
    /// Reads `A..B` or `A..`.
    pub fn parse(word: &Word<'_>) -> Result<Self, NotationError> {
        let wrong = || {
            word.error(format!(
                "expected a range such as `2..-4` or `2..`, found `{}`",
                word.raw
            ))
        };
        let (from, to) = word.text.split_once("..").ok_or_else(wrong)?;
        let to = match to {
            "" => None,
            to => Some(offset(to).ok_or_else(wrong)?),
        };
        let from = offset(from).ok_or_else(wrong)?;
        let from_one_side = |to: &i64| (*to < 0) == (from < 0);
        if to.filter(from_one_side).is_some_and(|to| to <= from) {
            return Err(word.error(format!(
                "`{}` is always empty: a range goes from its first offset up to, and without, its second",
                word.raw
            )));
        }
        Ok(Span { from, to })
    }

    /// Whether a word looks like a span.
    pub fn is_like(word: &Word<'_>) -> bool {
        word.text.contains("..")
    }

    /// The offsets in a frame of that length; `None` if they are not inside it or in the wrong order.
    pub fn resolve(&self, length: usize) -> Option<Range<usize>> {
        let from = place(self.from, length)?;
        let to = self.to.map_or(Some(length), |to| place(to, length))?;
        (from <= to && to <= length).then_some(from..to)
    }

    /// The offsets that a text of that length has of the span: `-6..` of a shorter text is all of it.
    pub fn clamp(&self, length: usize) -> Range<usize> {
        let clamped = |offset: i64| place(offset, length).unwrap_or(0).min(length);
        let from = clamped(self.from);
        let to = self.to.map_or(length, clamped);
        from..to.max(from)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to {
            Some(to) => write!(f, "{}..{to}", self.from),
            None => write!(f, "{}..", self.from),
        }
    }
}

fn offset(text: &str) -> Option<i64> {
    i32::try_from(number(text)?).ok().map(i64::from)
}

/// An offset from the beginning.
fn place(offset: i64, length: usize) -> Option<usize> {
    match usize::try_from(offset) {
        Ok(offset) => Some(offset),
        Err(_) => length.checked_sub(usize::try_from(offset.unsigned_abs()).ok()?),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Words;
    use super::*;
    use proptest::prelude::*;

    fn span(text: &str) -> Result<Span, NotationError> {
        Span::parse(&Words::new(text)?.require("a range")?)
    }

    #[test]
    fn offsets_count_from_both_ends() {
        for (text, length, expected, clamped) in [
            ("2..-4", 10, Some(2..6), 2..6),
            ("2..", 10, Some(2..10), 2..10),
            ("0..3", 3, Some(0..3), 0..3),
            ("-6..", 4, None, 0..4),
            ("-6..-2", 4, None, 0..2),
            ("2..12", 10, None, 2..10),
            ("4..-8", 10, None, 4..4),
            ("0x2..", 4, Some(2..4), 2..4),
        ] {
            let span = span(text).unwrap();
            assert_eq!(span.resolve(length), expected, "{text}");
            assert_eq!(span.clamp(length), clamped, "{text}");
            let written = span.to_string();
            assert_eq!(
                self::span(&written),
                Ok(span),
                "{text} is written {written}"
            );
        }
        for text in [
            "2", "..", "a..", "1..b", "..4", "1...4", "4..2", "4..4", "-2..-2", "-2..-3",
        ] {
            assert!(span(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn spans_stay_inside(from: i64, to: Option<i64>, length in 0usize..100) {
            let span = Span { from, to };
            for range in span.resolve(length).into_iter().chain([span.clamp(length)]) {
                prop_assert!(range.start <= range.end && range.end <= length);
            }
        }
    }
}
