//! How a framing understood a frame, in words and places.

use std::fmt::Write as _;
use std::ops::Range;

use super::bounded::Common;
use super::needles::{Needles, length_at};
use super::{Framing, Kind};
use crate::notation::write_bytes;

/// The rule by which a frame was cut, and which of its bytes were the framing's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// What counted, the outermost framing first.
    pub rules: Vec<String>,
    /// Bytes of the frame as it is handed on, and what they are to the framing; in any order.
    pub marks: Vec<(Range<usize>, String)>,
    /// Whether the frame is handed on otherwise than it came: offsets are not those of the wire.
    pub unescaped: bool,
}

/// One frame that was cut.
#[derive(Clone, Copy, Debug)]
pub struct Taken<'b> {
    /// The bytes of the stream that it took.
    pub wire: &'b [u8],
    /// The frame as it was handed on.
    pub frame: &'b [u8],
    /// Whether it was the first of its connection.
    pub first: bool,
}

impl Framing {
    /// Says how a frame was understood that this framing has cut.
    pub fn explain(&self, taken: Taken<'_>) -> Explanation {
        let mut explanation = Explanation::default();
        self.explain_in(taken, &mut explanation);
        explanation
    }

    pub(super) fn explain_in(&self, taken: Taken<'_>, into: &mut Explanation) {
        let super::Parts { common, kind } = &*self.0;
        match kind {
            Kind::Delimiter(kind) => kind.explain(taken, into),
            Kind::Length(kind) => kind.explain(taken, into),
            Kind::Fixed(kind) => kind.explain(into),
            Kind::Stuffed(kind) => kind.explain(taken, into),
            Kind::Cobs(kind) => kind.explain(taken, into),
            Kind::Nested(kind) => kind.explain(into),
            Kind::Regex(kind) => kind.explain(into),
            Kind::Idle(kind) => kind.explain(into),
            Kind::Connection(_) => into.say("connection: all that came until the device closed"),
            Kind::Script(_) => into.say(format!("script: it says {} bytes", taken.wire.len())),
            Kind::Switch(kind) => return kind.explain(taken, into),
            Kind::First(kind) => return kind.explain(taken, into),
            Kind::Header(kind) => kind.explain(taken, into),
            Kind::Walk(kind) => kind.explain(taken, into),
        }
        if kind.hands_on_the_start() {
            common.explain_start(taken, into);
        }
    }
}

impl Kind {
    /// Whether a start before the frame's own bytes stands in what is handed on, and the kind has
    /// not said so itself.
    fn hands_on_the_start(&self) -> bool {
        match self {
            Kind::Delimiter(_) | Kind::Stuffed(_) | Kind::Cobs(_) | Kind::Nested(_) => false,
            Kind::Connection(_) | Kind::Switch(_) | Kind::First(_) => false,
            Kind::Length(_) | Kind::Fixed(_) | Kind::Regex(_) => true,
            Kind::Idle(_) | Kind::Header(_) | Kind::Walk(_) | Kind::Script(_) => true,
        }
    }
}

impl Common {
    fn explain_start(&self, taken: Taken<'_>, into: &mut Explanation) {
        into.mark_start(self.start.as_ref(), taken.frame);
    }
}

impl Explanation {
    pub(super) fn say(&mut self, rule: impl Into<String>) {
        self.rules.push(rule.into());
    }

    /// Notes what bytes of the frame are; of none, nothing.
    pub(super) fn mark(&mut self, place: Range<usize>, what: impl Into<String>) {
        if !place.is_empty() {
            self.marks.push((place, what.into()));
        }
    }

    /// Notes the start with which the frame begins.
    pub(super) fn mark_start(&mut self, start: Option<&Needles>, frame: &[u8]) {
        self.mark(0..length_at(start, frame), "start");
    }

    /// Notes what the frame ends with, where it is not empty.
    pub(super) fn mark_end(&mut self, end: &[u8], before: usize) {
        self.mark(before.saturating_sub(end.len())..before, "end");
    }
}

/// Bytes in hex, and as text where they are one.
pub(super) fn written(bytes: &[u8]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    match write_bytes(bytes) {
        text if text.starts_with("0x") => format!("0x{hex}"),
        text => format!("0x{hex} ({text:?})"),
    }
}

/// Bytes that were taken off a frame.
pub(super) fn taken_off(what: &str, bytes: &[u8], kept: bool, rule: &mut String) {
    if bytes.is_empty() {
        return;
    }
    let off = if kept { "" } else { ", taken off" };
    // Writing to a text cannot fail.
    let _ = write!(rule, "; {what} {}{off}", written(bytes));
}
