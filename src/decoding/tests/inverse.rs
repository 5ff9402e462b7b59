//! Values to the bytes that they are read from.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{bytes_of, decoder, values};
use crate::decoding::{Frame, Inverse};
use crate::message::Value;

fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(number) => match number.as_i128() {
            Some(whole) => Value::integer(whole),
            None => Value::Float(number.as_f64().unwrap()),
        },
        Json::String(text) => Value::text(text.as_str()),
        other => panic!("{other}"),
    }
}

#[test]
fn bytes_of_values() {
    for (notation, written, bytes) in [
        ("u16", json!(65535), "ffff"),
        ("i16", json!(-2), "fffe"),
        ("i16", json!(3.0), "0003"),
        ("u16le", json!(1), "0100"),
        ("i16 / 10", json!(-21.5), "ff29"),
        ("i16 / 10 unit °C", json!(4), "0028"),
        ("i16 / 3 round 1", json!(21.7), "0041"),
        ("u16 * 10", json!(120), "000c"),
        ("u16 * 0.1", json!(21.5), "00d7"),
        ("u16 / 10 - 40", json!(-40), "0000"),
        ("u16 - 40 / 10", json!(1.5), "0037"),
        ("u16 + 5 * 2", json!(16), "0003"),
        ("u16 enum 0=off 1=on", json!("on"), "0001"),
        ("u16 enum 0=off 1=on", json!(7), "0007"),
        ("u16 enum 0=false 0xff00=true", json!(true), "ff00"),
        ("u16 null 0x8000 / 10", json!(null), "8000"),
        ("u16 text", json!("12"), "000c"),
        ("u8 bool", json!(true), "01"),
        ("u8 bool enum true=open false=closed", json!("closed"), "00"),
        ("u32 abcd", json!(0x0a0b_0c0d), "0a0b0c0d"),
        ("u32 badc", json!(0x0a0b_0c0d), "0b0a0d0c"),
        ("u32 cdab", json!(0x0a0b_0c0d), "0c0d0a0b"),
        ("u32 dcba", json!(0x0a0b_0c0d), "0d0c0b0a"),
        ("i64 cdab", json!(-2), "fffeffffffffffff"),
        ("f32", json!(1.5), "3fc00000"),
        ("f32 cdab", json!(20.8), "666641a6"),
        ("f32 dcba / 10", json!(0.15), "0000c03f"),
        ("f64 badc", json!(3.75), "0e40000000000000"),
        ("sm16", json!(-5), "8005"),
        ("sm32 cdab", json!(-5), "00058000"),
        ("ascii 4", json!("AB12"), "41423132"),
        ("ascii 4 rtrim ' '", json!("AB"), "41422020"),
        ("ascii 4 rtrim 0x00", json!("AB"), "41420000"),
        ("ascii 4 ltrim 0", json!("7"), "30303037"),
        ("hex 2", json!("0aff"), "0aff"),
        ("bcd 2", json!("0042"), "0042"),
        ("bcd 2 integer", json!(42), "0042"),
        ("bcd 2 integer / 10", json!(4.2), "0042"),
        ("bcd 2 le ltrim 0", json!("123"), "2301"),
        ("decimal 4", json!(42), "30303432"),
    ] {
        let inverse = Inverse::parse(notation).unwrap();
        let found = inverse.bytes(&value(&written));
        assert_eq!(found, Ok(bytes_of(bytes)), "{notation} {written}");
        assert_eq!(inverse.width(), Some(bytes.len() / 2), "{notation}");
    }
}

#[test]
fn values_that_have_no_bytes() {
    for (notation, written, why) in [
        ("u16", json!(70000), "must be from 0 to 65535"),
        ("u16", json!(-1), "must be from 0 to 65535"),
        ("i16", json!(1e30), "must be from -32768 to 32767"),
        ("i16 / 10", json!(3276.8), "must be from -3276.8 to 3276.7"),
        ("u8 * -2", json!(1), "must be from -510 to 0"),
        ("u64", json!(-1), "must be from 0 to 18446744073709551615"),
        ("sm16", json!(32768), "must be from -32767 to 32767"),
        ("f32", json!(1e39), "must be from -3.40282346"),
        ("u16", json!("12"), "must be a number"),
        ("u16", json!(true), "must be a number"),
        ("u16 / 2", json!("x"), "must be a number"),
        ("u16", json!(null), "must be a number"),
        ("u8 bool", json!(1), "must be true or false"),
        ("u16", json!(1.5), "would be read back as 2"),
        ("i16 / 10", json!(21.53), "would be read back as 21.5"),
        ("u16 * 10", json!(125), "would be read back as 130"),
        ("u16 null 65535", json!(65535), "would be read back as null"),
        ("u16 enum 0=off 1=on", json!("of"), "must be one of off, on"),
        ("u16 enum 0=off 1=on", json!(1), "would be read back as on"),
        ("u16 & 15", json!(1), "`&` cannot be undone"),
        ("u16 >> 4", json!(1), "`>>` cannot be undone"),
        ("i16 abs", json!(1), "`abs` cannot be undone"),
        ("u16 bits a@0", json!(1), "`bits` says a part of it only"),
        ("u16 if x", json!(1), "`if` cannot be undone"),
        ("i16 neg x", json!(1), "`neg` cannot be undone"),
        ("u16 * 0", json!(0), "`*` cannot be undone"),
        (
            "u32 unix",
            json!("2026-01-01T00:00:00Z"),
            "`unix` cannot be undone",
        ),
        (
            "ymdhms",
            json!("2026-01-01T00:00:00Z"),
            "times are only read",
        ),
        ("ascii 2", json!("ABC"), "must have 2 characters"),
        ("ascii 2", json!("A"), "must have 2 characters"),
        ("ascii 2", json!("é"), "cannot be written"),
        ("ascii 2 rtrim ' '", json!("A "), "would be read back as A"),
        ("ascii 2", json!(true), "must be a text"),
        ("hex 1", json!("zz"), "not made of digits"),
        ("bcd 1", json!("1a"), "not made of digits"),
        ("bcd 1 integer", json!(100), "must have 2 digits"),
        ("bcd 1 integer", json!(-1), "not made of digits"),
        ("zigzag", json!(1), "its length depends"),
        ("decimal 2", json!(100), "has more digits"),
    ] {
        let inverse = Inverse::parse(notation).unwrap();
        let found = inverse.bytes(&value(&written)).unwrap_err();
        assert!(found.contains(why), "{notation} {written}: {found}");
    }
    for (notation, column) in [
        ("skip 2", 1),
        ("u17", 1),
        ("repeat 2 'u8'", 1),
        ("u16 foo", 5),
    ] {
        assert_eq!(
            Inverse::parse(notation).unwrap_err().column,
            column,
            "{notation}"
        );
    }
}

const TYPES: [&str; 18] = [
    "u8",
    "i16",
    "u16le",
    "u24",
    "i32 badc",
    "u32 cdab",
    "i48 cdab",
    "i64",
    "u64 dcba",
    "sm16",
    "sm64 badc",
    "f32",
    "f32 cdab",
    "f64 badc",
    "hex 3",
    "latin1 3",
    "ascii 2",
    "bcd 2 integer",
];
const STEPS: [&str; 9] = [
    "",
    "* 3",
    "/ 10",
    "+ 7",
    "- 40",
    "* -2 + 1",
    "/ 8 round 3",
    "null 5",
    "enum 1=one 2=two",
];

proptest! {
    /// What is written is read back as what was asked, and what is read is written back.
    #[test]
    fn what_is_read_can_be_written(
        kind in prop::sample::select(&TYPES[..]),
        step in prop::sample::select(&STEPS[..]),
        bytes in prop::collection::vec(any::<u8>(), 8),
    ) {
        let notation = format!("{kind} {step}");
        let Ok(inverse) = Inverse::parse(&notation) else { return Ok(()) };
        let bytes = &bytes[..inverse.width().unwrap()];
        let decoder = decoder(json!({"type": "binary", "fields": [format!("a: {notation}")]}), json!({}));
        let read = |bytes: &[u8]| {
            let reading = decoder.decode(Frame { bytes, body: 0.into() });
            reading.undecoded.is_none().then(|| (reading.fields.get("a").cloned(), values(&reading)))
        };
        let Some((Some(value), shown)) = read(bytes) else { return Ok(()) };
        // NaN, and a name that another number has by itself, are not what they were.
        let same = matches!(&value, Value::Float(number) if !number.is_finite());
        prop_assume!(!same && shown["a"] != json!("\u{fffd}"));
        match inverse.bytes(&value) {
            Ok(written) => prop_assert_eq!(near(&read(&written).unwrap().1), near(&shown), "{}", notation),
            Err(why) => prop_assert!(shown["a"].to_string().contains('\u{fffd}') || why.contains("cannot be written: texts"), "{} {:?}: {}", notation, value, why),
        }
    }
}

/// Floats to nine digits: steps and their undoing round.
fn near(values: &Json) -> String {
    match values["a"].as_f64() {
        Some(number) if values["a"].is_f64() => format!("{number:.6e}"),
        _ => values.to_string(),
    }
}
