//! How a framing understood a frame, in words and places.

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
    rule.push_str(&format!("; {what} {}{off}", written(bytes)));
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::document::{Problems, Section};
    use crate::framing::{More, Step, read};

    /// The rules and marks of the last of the frames that the bytes are.
    fn explain(document: &Value, bytes: &[u8]) -> Explanation {
        let mut problems = Problems::new();
        let framing = read(&Section::root(document), &mut problems);
        let framing = framing.unwrap_or_else(|| panic!("{document}: {problems:?}"));
        let (mut framer, mut rest) = (framing.framer(), bytes);
        let (mut explained, mut first) = (None, true);
        while !rest.is_empty() {
            let count = match framer.next(rest, More::Closed) {
                Step::Frame { take, frame, .. } => {
                    let taken = Taken {
                        wire: &rest[..take],
                        frame: &frame,
                        first,
                    };
                    explained = Some(framing.explain(taken));
                    first = false;
                    take
                }
                Step::Skip { count, .. } => count,
                step => panic!("{document}: {step:?}"),
            };
            framer.consumed(count);
            rest = &rest[count..];
        }
        explained.unwrap()
    }

    #[test]
    fn each_kind_says_what_counted() {
        for (document, bytes, rules, marks) in [
            (
                json!({"type": "delimiter", "start": "$", "end": ["\n", "\r\n"], "keep": true}),
                &b"$ab\r\n"[..],
                "delimiter: start 0x24 (\"$\"); end 0x0d0a (\"\\r\\n\")",
                vec![(0..1, "start"), (3..5, "end")],
            ),
            (
                json!({"type": "length", "start": "0x68", "length": "u8 at 1 & 0x7f", "plus": "u8 at 2", "multiply": 2, "add": -1, "end": "0x16"}),
                b"\x68\x82\x01\x00\x16",
                "length: u8 at 1 & 0x7f = 2, plus u8 at 2 = 1; 3 x 2 - 1 = 5 bytes; end 0x16",
                vec![
                    (1..2, "length = 2"),
                    (2..3, "plus = 1"),
                    (4..5, "end"),
                    (0..1, "start"),
                ],
            ),
            (
                json!({"type": "length", "length": "decimal until ' '"}),
                b"2 ab",
                "length: decimal until ' ' = 2; 2 + 2 up to behind the field = 4 bytes",
                vec![(0..2, "length = 2")],
            ),
            (
                json!({"type": "fixed", "bytes": 3, "start": "a"}),
                b"abc",
                "fixed: 3 bytes",
                vec![(0..1, "start")],
            ),
            (
                json!({"type": "stuffed", "start": "0x02", "end": "0x03", "escapes": [["0x1b02", "0x02"]], "keep": true}),
                b"\x02a\x1b\x02\x03",
                "stuffed: start 0x02; end 0x03; 5 bytes with escapes, 4 without",
                vec![(0..1, "start"), (3..4, "end")],
            ),
            (
                json!({"type": "slip"}),
                b"ab\xc0",
                "stuffed: end 0xc0, taken off; nothing was escaped",
                vec![],
            ),
            (
                json!({"type": "cobs"}),
                b"\x02a\x02b\x00",
                "cobs: end 0x00, taken off; 5 bytes on the wire, 3 decoded",
                vec![],
            ),
            (
                json!({"type": "balanced", "open": "(", "close": ")"}),
                b"(a)",
                "balanced: up to the 0x29 (\")\") that closes the first 0x28 (\"(\")",
                vec![],
            ),
            (
                json!({"type": "regex", "end": "[0-9];"}),
                b"a1;",
                "regex: end \"[0-9];\" matches",
                vec![],
            ),
            (
                json!({"type": "idle", "ms": 50}),
                b"ab",
                "idle: up to 50 ms without a byte, or the end of the stream",
                vec![],
            ),
            (
                json!({"type": "header", "length": "^n: (\\d+)", "end": "0x00"}),
                b"A\r\nn: 2\r\n\r\nab\0",
                "header: the head has 11 bytes, it says a body of 2; end 0x00",
                vec![(13..14, "end"), (9..11, "end of the head")],
            ),
            (
                json!({"type": "walk", "header": 1, "record": {"size": "u8 at 0", "add": 1}, "count": "u8 at 0", "trailer": 1}),
                b"\x02\x01a\x00z",
                "walk: 1 bytes of header, 2 records by u8 at 0; trailer of 1",
                vec![(0..1, "count = 2")],
            ),
            (
                json!({"type": "first", "first": {"type": "fixed", "bytes": 1}, "then": {"type": "fixed", "bytes": 2}}),
                b"abc",
                "first: \"then\" | fixed: 2 bytes",
                vec![],
            ),
            (
                json!({"type": "switch", "cases": [{"start": "x", "type": "fixed", "bytes": 2},
                    {"when": "u8 at 1 = 7", "type": "fixed", "bytes": 2}, {"type": "fixed", "bytes": 3}]}),
                b"a\x07",
                "switch: case 1, when u8 at 1 = 7 | fixed: 2 bytes",
                vec![],
            ),
        ] {
            let explained = explain(&document, bytes);
            assert_eq!(explained.rules.join(" | "), rules, "{document}");
            let marked = explained.marks.iter();
            let marked: Vec<_> = marked
                .map(|(place, what)| (place.clone(), what.as_str()))
                .collect();
            assert_eq!(marked, marks, "{document}");
        }
    }
}
