//! Frames that end with certain bytes, and may start with certain bytes.

use std::borrow::Cow;

use serde::Deserialize;

use super::bounded::Common;
use super::needles::{Found, Needles};
use super::{Framer, More, Resync, Skipped, Step};
use crate::document::{Problems, Section};

/// Members of kind `delimiter`, beside the common ones and `end`: one byte sequence or a list of
/// them, of which the longest that fits ends the frame.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DelimiterOptions {
    /// Hand on start and end with what is between them.
    #[serde(default)]
    keep: bool,
}

/// The kind, read.
#[derive(Clone, Debug)]
pub(super) struct Delimiter {
    start: Option<Needles>,
    end: Needles,
    keep: bool,
}

/// Reads the kind's members.
pub(super) fn read(
    section: &Section<'_>,
    without: &[&str],
    common: &Common,
    problems: &mut Problems,
) -> Option<Delimiter> {
    let without: Vec<&str> = without.iter().copied().chain(["end"]).collect();
    let options: Option<DelimiterOptions> = section.read(&without, problems);
    if section.member("end").is_none() {
        problems.add(
            section,
            "\"end\" is missing: the bytes with which a frame ends",
        );
    }
    let end = Needles::read(section, "end", problems)?;
    Some(Delimiter {
        start: common.start.clone(),
        end,
        keep: options?.keep,
    })
}

impl Delimiter {
    pub fn framer(&self) -> DelimiterFramer {
        DelimiterFramer {
            kind: self.clone(),
            scanned: 0,
        }
    }

    pub fn lookahead(&self) -> usize {
        self.end.longest().len()
    }

    pub fn wrap(&self, body: &[u8]) -> Vec<u8> {
        let start = self.start.as_ref().map_or(&[][..], Needles::longest);
        if self.keep {
            return body.to_vec();
        }
        [start, body, self.end.longest()].concat()
    }
}

/// Remembers how far it has looked, so that a frame that comes byte by byte is looked at once.
#[derive(Debug)]
pub(super) struct DelimiterFramer {
    kind: Delimiter,
    /// No end begins before this offset, but for the bytes of the start.
    scanned: usize,
}

impl DelimiterFramer {
    fn frame<'b>(&self, bytes: &'b [u8], start: usize, end: usize, take: usize) -> Step<'b> {
        let content = bytes.get(start..end).unwrap_or_default();
        if content.is_empty() {
            return Step::Skip {
                count: take,
                why: Skipped::Empty,
            };
        }
        let frame = if self.kind.keep {
            bytes.get(..take).unwrap_or_default()
        } else {
            content
        };
        Step::Frame {
            take,
            frame: Cow::Borrowed(frame),
            body: 0,
        }
    }
}

impl Framer for DelimiterFramer {
    fn next<'b>(&mut self, bytes: &'b [u8], more: More) -> Step<'b> {
        let start = super::needles::length_at(self.kind.start.as_ref(), bytes);
        let waits = more == More::Yes;
        match self.kind.end.find(bytes, self.scanned.max(start), waits) {
            Found::At(end, length) => self.frame(bytes, start, end, end.saturating_add(length)),
            found => {
                if waits {
                    self.scanned = if let Found::Maybe(place) = found {
                        place
                    } else {
                        bytes.len()
                    };
                }
                Step::Need(bytes.len().saturating_add(1))
            }
        }
    }

    fn consumed(&mut self, count: usize) {
        self.scanned = self.scanned.saturating_sub(count);
    }

    fn resync(&self) -> Resync {
        Resync::End
    }

    fn drop_broken(&self, bytes: &[u8]) -> (usize, bool) {
        match self.kind.end.find(bytes, self.scanned, true) {
            Found::At(end, length) => (end.saturating_add(length), true),
            Found::Maybe(place) => (place, false),
            Found::Nowhere => (bytes.len(), false),
        }
    }
}
