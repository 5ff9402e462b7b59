//! Where reading in order ends: before the check value at the end of a frame.

use serde_json::{Value as Json, json};

use super::{decoder, values};
use crate::decoding::Frame;
use crate::message::Extent;

fn read(decode: Json, frame: &[u8], tail: usize) -> Result<Json, String> {
    let layouts = json!({
        "part": {"type": "binary", "fields": ["p: hex rest"]},
        "item": {"type": "binary", "fields": ["v: u8", "w: u8"]},
        "more": {"type": "binary", "fields": ["m: u8"]},
        "line": {"type": "csv", "fields": ["x", "y"]}
    });
    let body = Extent { start: 0, tail };
    let reading = decoder(decode, layouts).decode(Frame { bytes: frame, body });
    match &reading.undecoded {
        None => Ok(values(&reading)),
        Some(why) => Err(why.clone()),
    }
}

#[test]
fn a_check_value_at_the_end_is_no_field_unless_its_place_is_asked_for() {
    let binary = |fields: Json| json!({"type": "binary", "fields": fields});
    for (fields, frame, expected) in [
        (
            json!(["a: u16", "b: u8"]),
            &b"\0\x01\x02\xcc\xdd"[..],
            Ok(json!({"a": 1, "b": 2})),
        ),
        (
            json!(["a: u16", "b: u8"]),
            b"\0\x01\xcc\xdd",
            Err("b needs 3 bytes of the frame, which has fewer before its check value"),
        ),
        (
            json!(["a: u16", "b: f32"]),
            b"\0\x01\x02\x03\xcc\xdd",
            Err("b needs 4 bytes, 2 are left before the check value"),
        ),
        (
            json!(["a: ascii 4"]),
            b"abc\xcc\xdd",
            Err("a needs 4 bytes, 3 are left before the check value"),
        ),
        (
            json!(["a: u8", "b: hex rest"]),
            b"\x01\x02\xcc\xdd",
            Ok(json!({"a": 1, "b": "02"})),
        ),
        (
            json!(["a: u8", "b: hex rest -2"]),
            b"\x01\x02\xcc\xdd",
            Ok(json!({"a": 1, "b": "02"})),
        ),
        (
            json!(["b: hex rest -3"]),
            b"\x01\x02\xcc\xdd",
            Ok(json!({"b": "01"})),
        ),
        (
            json!(["c: u16 at -2", "a: u8"]),
            b"\x01\xcc\xdd",
            Ok(json!({"c": 0xccdd, "a": 1})),
        ),
        (
            json!(["c: u16 at -3"]),
            b"\x01\xcc\xdd",
            Err("c needs 2 bytes of the frame, which has fewer before its check value"),
        ),
        (
            json!(["b: hex rest at 1"]),
            b"\x01\x02\xcc\xdd",
            Ok(json!({"b": "02"})),
        ),
        (
            json!(["b: hex rest at -2"]),
            b"\x01\x02\xcc\xdd",
            Ok(json!({"b": "ccdd"})),
        ),
        (
            json!(["l: repeat rest 'u8'"]),
            b"\x01\x02\xcc\xdd",
            Ok(json!({"l": [1, 2]})),
        ),
        (
            json!(["l: repeat rest -2 'u8'"]),
            b"\x01\x02\xcc\xdd",
            Ok(json!({"l": [1, 2]})),
        ),
        (
            json!(["l: repeat rest -3 'u8'"]),
            b"\x01\x02\xcc\xdd",
            Ok(json!({"l": [1]})),
        ),
        (
            json!(["l: repeat 2 item"]),
            b"\x01\x02\x03\xcc\xdd",
            Err("l 2: w needs 4 bytes of the frame, which has fewer before its check value"),
        ),
        (
            json!(["a: bytes rest with part drop"]),
            b"\x01\x02\xcc\xdd",
            Ok(json!({"p": "0102"})),
        ),
        (
            json!(["a: u8"]),
            b"\xcc",
            Err("a needs 1 bytes of the frame, which has fewer before its check value"),
        ),
    ] {
        let read = read(binary(fields.clone()), frame, 2);
        assert_eq!(read, expected.map_err(str::to_owned), "{fields}");
    }
}

#[test]
fn layouts_and_tags_end_there_and_texts_do_not() {
    let select = json!({"by": "k", "cases": [[1, "more"], [2, "line"]]});
    let selected = json!({"type": "binary", "fields": ["k: u8"], "select": select});
    let missing = "m needs 2 bytes of the frame, which has fewer before its check value";
    assert_eq!(
        read(selected.clone(), b"\x01\xcc\xdd", 2),
        Err(missing.to_owned())
    );
    let line = read(selected, b"\x02a,bcd", 2);
    assert_eq!(line, Ok(json!({"k": 2, "x": "a", "y": "bcd"})));
    let tags = json!({"type": "tlv", "tag": "u8", "size": "u8", "cases": [[1, "t: u8"]]});
    let frame = b"\x01\x01\x07\xcc\xdd";
    assert_eq!(read(tags.clone(), frame, 2), Ok(json!({"t": 7})));
    assert!(read(tags, frame, 0).is_err());
    let text = json!({"type": "text", "fields": ["all"]});
    assert_eq!(read(text, b"a*47", 2), Ok(json!({"all": "a*47"})));
}
