//! Byte sequences that mark the beginning or the end of frames.

use crate::document::{Problems, Section, name_of};
use crate::notation::bytes;
use serde_json::Value;

/// One or several byte sequences of which the longest that fits counts.
#[derive(Clone, Debug)]
pub(super) struct Needles {
    /// Longest first.
    all: Vec<Vec<u8>>,
    first: Vec<u8>,
}

/// What stands at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Match {
    /// A sequence of that length.
    Full(usize),
    /// The beginning of a sequence; more bytes are needed to know.
    Partial,
    /// None of them.
    No,
}

/// The first place where a sequence stands or may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A sequence of that length begins there.
    At(usize, usize),
    /// A sequence may begin there; more bytes are needed to know.
    Maybe(usize),
    /// Nowhere.
    Nowhere,
}

impl Needles {
    /// `None` without any sequence, or if one is empty.
    pub fn new(mut all: Vec<Vec<u8>>) -> Option<Self> {
        all.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
        let firsts: Option<Vec<u8>> = all.iter().map(|needle| needle.first().copied()).collect();
        let mut first = firsts.filter(|first| !first.is_empty())?;
        first.sort_unstable();
        first.dedup();
        Some(Needles { all, first })
    }

    /// Reads a member that is one sequence or a list of them. A mistake is noted and gives `None`.
    pub fn read(section: &Section<'_>, member: &str, problems: &mut Problems) -> Option<Self> {
        let found = section.member(member)?;
        let mut all = Vec::new();
        let list = match found.value {
            Value::Array(list) => list.as_slice(),
            one => std::slice::from_ref(one),
        };
        for value in list {
            match value.as_str().map(bytes) {
                Some(Ok(needle)) => all.push(needle),
                Some(Err(error)) => problems.notation(section, member, error),
                None => problems.member(
                    section,
                    member,
                    format!("expected bytes as a text, found {}", name_of(value)),
                ),
            }
        }
        let needles = (all.len() == list.len()).then(|| Needles::new(all))?;
        if needles.is_none() {
            problems.member(
                section,
                member,
                "expected at least one byte in every sequence",
            );
        }
        needles
    }

    /// The sequence to write: the only one, or the longest.
    pub fn longest(&self) -> &[u8] {
        self.all.first().map_or(&[], Vec::as_slice)
    }

    /// The sequences, longest first.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.all.iter().map(Vec::as_slice)
    }

    /// The bytes with which the sequences begin.
    pub fn first_bytes(&self) -> &[u8] {
        &self.first
    }

    /// What the bytes begin with. Without `more` to come, the beginning of a sequence is none.
    pub fn at(&self, bytes: &[u8], more: bool) -> Match {
        for needle in &self.all {
            if bytes.starts_with(needle) {
                return Match::Full(needle.len());
            }
            if more && needle.starts_with(bytes) {
                return Match::Partial;
            }
        }
        Match::No
    }

    /// The first place from `from` on where a sequence begins. Looks at each byte about once.
    pub fn find(&self, bytes: &[u8], from: usize, more: bool) -> Found {
        let mut place = from;
        while let Some(rest) = bytes.get(place..) {
            let Some(ahead) = self.candidate(rest) else {
                return Found::Nowhere;
            };
            place = place.saturating_add(ahead);
            match self.at(bytes.get(place..).unwrap_or_default(), more) {
                Match::Full(length) => return Found::At(place, length),
                Match::Partial => return Found::Maybe(place),
                Match::No => place = place.saturating_add(1),
            }
        }
        Found::Nowhere
    }

    fn candidate(&self, bytes: &[u8]) -> Option<usize> {
        let candidate = self.first_of(bytes);
        #[cfg(test)]
        work::add(candidate.map_or(bytes.len(), |at| at.saturating_add(1)));
        candidate
    }

    fn first_of(&self, bytes: &[u8]) -> Option<usize> {
        match *self.first.as_slice() {
            [a] => memchr::memchr(a, bytes),
            [a, b] => memchr::memchr2(a, b, bytes),
            [a, b, c] => memchr::memchr3(a, b, c, bytes),
            _ => bytes.iter().position(|byte| self.first.contains(byte)),
        }
    }
}

/// Length of the start marker with which the bytes begin; 0 if there is none.
pub(super) fn length_at(start: Option<&Needles>, bytes: &[u8]) -> usize {
    match start.map(|start| start.at(bytes, false)) {
        Some(Match::Full(length)) => length,
        _ => 0,
    }
}

/// How many bytes were looked at, for tests that nothing is looked at again and again.
#[cfg(test)]
pub(crate) mod work {
    use std::cell::Cell;

    thread_local!(static LOOKED_AT: Cell<usize> = const { Cell::new(0) });

    pub(in crate::framing) fn add(count: usize) {
        LOOKED_AT.set(LOOKED_AT.get().saturating_add(count));
    }

    /// Bytes looked at on this thread since the last call.
    pub(crate) fn take() -> usize {
        LOOKED_AT.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_place_and_there_the_longest() {
        let needles = |all: &[&str]| {
            Needles::new(
                all.iter()
                    .map(|needle| needle.as_bytes().to_vec())
                    .collect(),
            )
        };
        for (all, bytes, more, expected) in [
            (&["\r\n"][..], "a\r\nb", true, Found::At(1, 2)),
            (&["\r\n"], "a\r", true, Found::Maybe(1)),
            (&["\r\n"], "a\r", false, Found::Nowhere),
            (&["\r", "\r\n"], "a\r", true, Found::Maybe(1)),
            (&["\r", "\r\n"], "a\r", false, Found::At(1, 1)),
            (&["\r", "\r\n"], "a\r\n", true, Found::At(1, 2)),
            (&["\r", "\r\n"], "a\rb", true, Found::At(1, 1)),
            (&["a", "b", "c", "dd"], "xxxdxdd", true, Found::At(5, 2)),
            (&["ab"], "aab", true, Found::At(1, 2)),
            (&["ab"], "", true, Found::Nowhere),
        ] {
            assert_eq!(
                needles(all).unwrap().find(bytes.as_bytes(), 0, more),
                expected,
                "{all:?} {bytes:?}"
            );
        }
        assert!(needles(&[]).is_none() && needles(&["a", ""]).is_none());
    }
}
