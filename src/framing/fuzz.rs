//! What foreign bytes could break.

use serde_json::json;

use super::{Framing, More, Resync, Step, read};
use crate::document::{Problems, Section};

/// Frames any bytes by a framing that the first two bytes choose, and checks what every framer promises.
///
/// # Panics
/// When a promise is broken.
pub fn fuzz(data: &[u8]) {
    let [kind, size, stream @ ..] = data else {
        return;
    };
    if let Some(framing) = sample(*kind, *size) {
        for last in [More::Yes, More::Idle, More::Closed] {
            walk(&framing, stream, last);
        }
        if let Ok(wrapped) = framing.wrap(stream) {
            assert!(wrapped.len() >= stream.len(), "wrapping lost bytes");
        }
    }
}

/// How many framings [`sample`] makes.
const SAMPLES: u8 = 16;

fn sample(kind: u8, size: u8) -> Option<Framing> {
    let maximum = u16::from(size).saturating_add(8);
    let width = u16::from(size & 7).saturating_add(1).saturating_mul(8);
    let document = match kind % SAMPLES {
        0 => json!({"type": "delimiter", "end": ["\r", "\r\n", "\n"], "maxBytes": maximum}),
        1 => {
            json!({"type": "delimiter", "start": ["*", "**"], "end": "#", "ignore": " ", "maxBytes": maximum})
        }
        2 => {
            json!({"type": "length", "length": format!("i{width}le at 1"), "add": size, "maxBytes": maximum})
        }
        3 => {
            json!({"type": "length", "start": "0x01", "length": format!("u{width}"), "multiply": maximum, "end": "#"})
        }
        4 => {
            json!({"type": "length", "length": "decimal until ' '", "body": "after", "maxBytes": maximum})
        }
        5 => json!({"type": "fixed", "bytes": 3, "start": ["a", "ab"]}),
        6 => {
            json!({"type": "switch", "cases": [{"start": "0x7878", "type": "length", "length": "u8 at 2", "add": 5},
            {"start": "*", "type": "delimiter", "end": "#", "maxBytes": maximum}]})
        }
        8 => {
            json!({"type": "length", "start": ["*", "**"], "length": "u16 at 1 & 0x7ff0 >> 3", "plus": "i8 at 4", "multiply": 3,
                "blocks": {"bytes": maximum, "extra": 2, "from": 6}, "maxBytes": 3000})
        }
        9 => {
            json!({"type": "length", "length": "varint", "body": "after", "end": "#", "maxBytes": maximum})
        }
        10 => {
            json!({"type": "header", "length": "^(\\d+)$", "end": "#", "ignore": " ", "maxBytes": maximum})
        }
        11 => {
            json!({"type": "header", "start": ["*", "<"], "length": "a(.*)", "body": "after", "maxBytes": maximum})
        }
        12 => {
            json!({"type": "first", "first": {"type": "delimiter", "end": ["#", "##"]}, "then": {"type": "switch", "cases": [
                {"start": "*", "type": "header"}, {"type": "length", "length": "u8 at 1", "add": 2, "maxBytes": maximum}]}})
        }
        13 => {
            json!({"type": "walk", "header": {"size": "u8 at 1 & 0x0f", "add": 2}, "count": "u8 & 0x0f", "record": {"size": "decimal until ' '"}, "trailer": 1})
        }
        14 => {
            json!({"type": "walk", "start": "*", "header": 1, "until": "##", "trailer": size, "maxBytes": 700,
                "record": {"tag": "u8", "sizes": [[35, 1], [42, 0], [48, maximum], [97, 2]]}})
        }
        15 => {
            json!({"type": "walk", "header": 0, "until": "#", "record": {"size": "i8 at 1", "add": size}, "maxBytes": maximum})
        }
        16 => json!({"type": "delimiter", "end": ["#", "##"], "nth": size, "maxBytes": 300}),
        17 => {
            json!({"type": "delimiter", "end": "\r", "notBefore": ["\n", "\n\n"], "quote": "*", "after": size & 3, "maxBytes": maximum})
        }
        18 => {
            json!({"type": "stuffed", "start": "0x7e", "end": "0x7e", "escapes": [["0x7d01", "0x7d"], ["0x7d02", "0x7e"]], "maxBytes": maximum})
        }
        19 => {
            json!({"type": "stuffed", "start": ["<", "<<"], "end": ">", "escape": "*", "xor": 1, "after": size & 3, "keep": true, "maxBytes": maximum})
        }
        20 => {
            json!({"type": "stuffed", "start": "0xc0", "escapes": [["0xdbdc", "0xc0"], ["0xdbdd", "0xdb"]], "length": "u8 at 2", "add": 1, "maxBytes": maximum})
        }
        21 => json!({"type": "slip", "maxBytes": maximum}),
        22 => json!({"type": "cobs", "end": "#", "maxBytes": maximum}),
        23 => json!({"type": "json", "maxBytes": maximum}),
        24 => {
            json!({"type": "balanced", "open": "<", "close": ">", "quote": "#", "escape": "*", "maxBytes": maximum})
        }
        25 => json!({"type": "regex", "end": "[0-9]+#|ab?$", "start": "a", "maxBytes": maximum}),
        26 => json!({"type": "idle", "ms": 50, "start": "*", "maxBytes": maximum}),
        27 => json!({"type": "connection", "maxBytes": maximum}),
        28 => {
            json!({"type": "switch", "cases": [
            {"start": "<", "type": "stuffed", "end": "<", "escapes": [["*1", "*"], ["*2", "<"]], "maxBytes": maximum},
            {"start": "#", "type": "delimiter", "end": "\n", "nth": 2, "maxBytes": maximum},
            {"start": "a", "type": "idle", "ms": 9}]})
        }
        _ => {
            json!({"type": "switch", "cases": [{"when": "u8 at 1 < 50", "type": "fixed", "bytes": 2},
            {"start": "<", "type": "switch", "cases": [{"type": "delimiter", "end": ">"}]},
            {"type": "delimiter", "end": "\n", "maxBytes": maximum}]})
        }
    };
    read(&Section::root(&document), &mut Problems::new())
}

fn walk(framing: &Framing, mut stream: &[u8], more: More) {
    let mut framer = framing.framer();
    while !stream.is_empty() {
        let mut dropped = 0;
        let count = match framer.next(stream, more) {
            Step::Frame { take, body, frame } => {
                assert!(
                    body <= frame.len() && (1..=stream.len()).contains(&take),
                    "a frame is within what there is"
                );
                take
            }
            Step::Skip { count, .. } => count,
            Step::Need(needed) => {
                assert!(needed > stream.len(), "more is needed than there is");
                return;
            }
            Step::Broken(_) if framer.resync() == Resync::Never => return,
            Step::Broken(_) => {
                dropped = framer.drop_broken(stream).0;
                dropped
            }
        };
        assert!(
            (1..=stream.len()).contains(&count) || dropped == 0 && count == 0,
            "a step goes forward"
        );
        if count == 0 {
            return;
        }
        framer.consumed(count);
        stream = stream.get(count..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_choice_is_a_valid_framing() {
        for choice in 0..=u16::MAX {
            let [kind, size] = choice.to_be_bytes();
            if kind < SAMPLES && size > 0 {
                assert!(sample(kind, size).is_some(), "{kind} {size}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn any_bytes(kind: u8, size: u8, stream: Vec<u8>) {
            fuzz(&[&[kind, size], stream.as_slice()].concat());
        }

        #[test]
        fn bytes_like_frames(kind: u8, size: u8, stream in "[\r\n*#0-9 <>xab{}~\\[\\]\"\\\\\0\u{1}]{0,60}") {
            fuzz(&[&[kind, size], stream.as_bytes()].concat());
        }
    }
}
