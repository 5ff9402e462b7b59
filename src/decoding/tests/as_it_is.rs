//! `bytes` in text decoders: what stands there, whether or not it is text.

use serde_json::{Value as Json, json};

use super::{decoder, values};
use crate::decoding::{Frame, Reading};

fn decode(decode: Json, bytes: &[u8]) -> Reading {
    let layouts = json!({"number": {"type": "binary", "fields": ["n: u16"]}});
    let reading = decoder(decode, layouts).decode(Frame {
        bytes,
        body: 0.into(),
    });
    assert_eq!(reading.undecoded, None);
    reading
}

#[test]
fn a_group_is_bytes_where_its_field_says_so() {
    let fields = ["body: if kind = t", "body: bytes if kind = b"];
    let pattern =
        json!({"type": "regex", "pattern": "^(?P<kind>.):(?P<body>.*)", "fields": fields});
    for (frame, expected, replaced) in [
        (
            &b"b:\xff\x00a"[..],
            json!({"kind": "b", "body": "/wBh"}),
            false,
        ),
        (b"b:", json!({"kind": "b"}), false),
        (b"t:\xffa", json!({"kind": "t", "body": "\u{fffd}a"}), true),
        (b"x:\xffa", json!({"kind": "x"}), false),
    ] {
        let reading = decode(pattern.clone(), frame);
        assert_eq!(values(&reading), expected, "{frame:?}");
        assert_eq!(reading.replaced, replaced, "{frame:?}");
    }
}

#[test]
fn parts_of_bytes_are_read_as_they_are() {
    let fields = ["body: bytes with number drop"];
    for kind in [
        json!({"type": "text", "fields": fields}),
        json!({"type": "regex", "pattern": "(?P<body>..)", "fields": fields}),
    ] {
        let reading = decode(kind, b"\xff\xfe");
        assert_eq!(values(&reading), json!({"n": 0xfffe}));
        assert!(!reading.replaced);
    }
    let reading = decode(
        json!({"type": "json", "fields": ["a: bytes"]}),
        br#"{"a":"AB"}"#,
    );
    assert_eq!(values(&reading), json!({"a": "QUI="}));
}
