//! The orders of the words of a number, against bytes that were packed by hand.

use serde_json::{Value as Json, json};

use super::{bytes_of, check_field};
use crate::document::{Problems, Section};

#[test]
fn words_and_bytes_in_every_order() {
    // 0x0a0b0c0d, -2, 1.5 and 3.75 (of which 0x3fc00000 and 0x400e000000000000 are the bits).
    for (kind, frame, expected) in [
        ("u32 abcd", "0a0b0c0d", json!(0x0a0b_0c0d)),
        ("u32 badc", "0b0a0d0c", json!(0x0a0b_0c0d)),
        ("u32 cdab", "0c0d0a0b", json!(0x0a0b_0c0d)),
        ("u32 dcba", "0d0c0b0a", json!(0x0a0b_0c0d)),
        ("i32 abcd", "fffffffe", json!(-2)),
        ("i32 badc", "fffffeff", json!(-2)),
        ("i32 cdab", "fffeffff", json!(-2)),
        ("i32 dcba", "feffffff", json!(-2)),
        ("f32 abcd", "3fc00000", json!(1.5)),
        ("f32 badc", "c03f0000", json!(1.5)),
        ("f32 cdab", "00003fc0", json!(1.5)),
        ("f32 dcba", "0000c03f", json!(1.5)),
        ("u48 cdab", "050603040102", json!(0x0102_0304_0506_u64)),
        ("u48 badc", "020104030605", json!(0x0102_0304_0506_u64)),
        (
            "u64 abcd",
            "0102030405060708",
            json!(0x0102_0304_0506_0708_u64),
        ),
        (
            "u64 badc",
            "0201040306050807",
            json!(0x0102_0304_0506_0708_u64),
        ),
        (
            "u64 cdab",
            "0708050603040102",
            json!(0x0102_0304_0506_0708_u64),
        ),
        (
            "u64 dcba",
            "0807060504030201",
            json!(0x0102_0304_0506_0708_u64),
        ),
        ("i64 cdab", "fffeffffffffffff", json!(-2)),
        ("i64 badc", "fffffffffffffeff", json!(-2)),
        ("f64 cdab", "000000000000400e", json!(3.75)),
        ("f64 badc", "0e40000000000000", json!(3.75)),
        ("f64 dcba", "0000000000000e40", json!(3.75)),
        ("sm32 cdab", "00058000", json!(-5)),
        ("u32 cdab / 10", "00140001", json!(6555.6)),
        ("i32 badc at -4", "ff 00000100", json!(1)),
    ] {
        let field = format!("a: {kind}");
        check_field(&[&field], &bytes_of(frame), Ok(json!({ "a": expected })));
    }
    let behind = &["a: u32 cdab", "b: u8"];
    check_field(
        behind,
        &bytes_of("00010000 07"),
        Ok(json!({"a": 1, "b": 7})),
    );
    let short = Err("a needs 4 bytes, 3 are left");
    check_field(&["a: f32 badc"], &bytes_of("000100"), short);
}

/// The order of the decoder is that of types that say none.
#[test]
fn an_order_that_is_written_counts() {
    for (kind, frame) in [
        ("u32 abcd", "00000001"),
        ("u32 cdab", "00010000"),
        ("u32 badc", "00000100"),
        ("u32", "01000000"),
    ] {
        let document =
            json!({"type": "binary", "endian": "little", "fields": [format!("a: {kind}")]});
        let mut problems = Problems::new();
        let decoder = super::read(Some(&Section::root(&document)), None, &mut problems).unwrap();
        let bytes = bytes_of(frame);
        let reading = decoder.decode(super::Frame {
            bytes: &bytes,
            body: 0.into(),
        });
        assert_eq!(super::values(&reading), json!({"a": 1}), "{kind}");
    }
}

#[test]
fn orders_that_say_nothing_are_mistakes() {
    for (kind, column, part) in [
        ("u16 badc", 8, "`u16le` has the lowest byte first"),
        ("i8 abcd", 7, "has not several"),
        ("u24 cdab", 8, "has not several"),
        ("u32le cdab", 10, "says its order already"),
        ("ascii 4 cdab", 12, "an order of numbers"),
        ("decimal 4 abcd", 14, "an order of numbers"),
        ("varint dcba", 11, "an order of numbers"),
        ("u32 cdba", 8, "expected one of abcd, badc, cdab, dcba"),
        ("u32 cdab badc", 13, "right behind its type"),
    ] {
        let document: Json = json!({"type": "binary", "fields": [format!("a: {kind}")]});
        let mut problems = Problems::new();
        super::read(Some(&Section::root(&document)), None, &mut problems);
        let [problem] = problems.as_slice() else {
            panic!("{kind}: {problems:?}");
        };
        assert_eq!(problem.column, Some(column), "{kind}: {problem}");
        assert!(problem.message.contains(part), "{kind}: {problem}");
    }
}
