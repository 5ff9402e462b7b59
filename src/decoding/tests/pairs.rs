//! `key-value`, and groups of `regex`.

use serde_json::{Value as Json, json};

use super::{decoder, values};
use crate::decoding::{Decoder, Frame};

fn read(decoder: &Decoder, line: &[u8]) -> Result<Json, String> {
    let reading = decoder.decode(Frame {
        bytes: line,
        body: 0.into(),
    });
    reading
        .undecoded
        .clone()
        .map_or_else(|| Ok(values(&reading)), Err)
}

#[test]
fn pairs_are_fields_and_all_others_texts() {
    for (decode, line, expected) in [
        (
            json!({"separator": ";", "fields": ["speed: number at 'Speed'", "course: integer"]}),
            &b"Speed=12.5;course=90;Fuel=7"[..],
            json!({"speed": 12.5, "course": 90, "Fuel": "7"}),
        ),
        (json!({}), b"a=1,b=x=y", json!({"a": "1", "b": "x=y"})),
        (
            json!({"separator": "\n", "equals": ":"}),
            b" a : 1 \r\nb:\r\n\r\nc: x y\r\n",
            json!({"a": "1", "c": "x y"}),
        ),
        // The last counts, as a field and as a text.
        (
            json!({"fields": ["a: integer"]}),
            b"a=1,b=1,a=2,b=2",
            json!({"a": 2, "b": "2"}),
        ),
        (
            json!({"fields": ["a", "k: const 5", "ab: join a b"]}),
            b"a=1,b=2,ab=9",
            json!({"a": "1", "k": 5, "b": "2", "ab": "12"}),
        ),
        // What is no pair says nothing.
        (
            json!({"fields": ["a: integer"]}),
            b"$HEAD,a=1,,=5,tail",
            json!({"a": 1}),
        ),
        (
            json!({"fields": ["x: at a drop", "y: integer if x = on"]}),
            b"y=4,a=on",
            json!({"y": 4}),
        ),
        // A member that a field takes its name from is not set twice.
        (
            json!({"fields": ["b: at a"]}),
            b"a=1,b=2",
            json!({"b": "1"}),
        ),
        (
            json!({"encoding": "latin1"}),
            b"\xfc=\xe9",
            json!({"ü": "é"}),
        ),
    ] {
        let mut decode = decode;
        decode["type"] = json!("key-value");
        assert_eq!(
            read(&decoder(decode.clone(), json!({})), line),
            Ok(expected),
            "{decode}"
        );
    }
}

#[test]
fn pairs_select_a_layout_and_say_the_time() {
    let decoder = decoder(
        json!({"type": "key-value", "fields": ["kind: integer at 'T'"],
            "select": {"by": "kind", "cases": [["1|2", "position"]]}}),
        json!({"position": {"fields": ["speed: number", "time: at 'at' time %Y%m%d%H%M%S"]}}),
    );
    let reading = decoder.decode(Frame {
        bytes: b"T=2,speed=4,at=20240105120000,x=1",
        body: 0.into(),
    });
    assert_eq!(reading.kind.as_deref(), Some("position"));
    assert_eq!(reading.time.unwrap().to_string(), "2024-01-05T12:00:00Z");
    // The first decoder has kept as text what the layout reads; the layout's counts.
    let shown = values(&reading);
    assert_eq!(
        (&shown["speed"], &shown["x"], &shown["kind"]),
        (&json!(4.0), &json!("1"), &json!(2))
    );
}

#[test]
fn foreign_keys_are_bounded() {
    let decoder = decoder(json!({"type": "key-value"}), json!({}));
    let long = format!("{}=1", "k".repeat(129));
    assert!(
        read(&decoder, long.as_bytes())
            .unwrap_err()
            .contains("129 bytes")
    );
    let many: String = (0..10_001).map(|key| format!("{key}=1,")).collect();
    assert!(
        read(&decoder, many.as_bytes())
            .unwrap_err()
            .contains("more than 10000 values")
    );
    assert!(read(&decoder, &many.as_bytes()[..50_000]).is_ok());
}

#[test]
fn groups_that_took_no_part_leave_their_fields_out() {
    let decoder = decoder(
        json!({"type": "regex", "encoding": "latin1", "fields": ["n: integer", "m: number"],
            "pattern": "(?m)^(?:A(?P<n>\\d+)|B(?P<m>[\\d.]+))(?P<rest>\\s.*)?$"}),
        json!({}),
    );
    for (line, expected) in [
        (&b"A12"[..], json!({"n": 12})),
        (b"x\nB1.5", json!({"m": 1.5})),
        (b"A1 \xe9\ny", json!({"n": 1, "rest": " é\ny"})),
    ] {
        assert_eq!(read(&decoder, line), Ok(expected), "{line:?}");
    }
}

/// Names that a frame brings stand beside those of field strings, whichever come first.
#[test]
fn what_stays_as_it_comes_leaves_other_fields_as_they_are() {
    for (decode, layout, frame, expected) in [
        (
            json!({"type": "json", "select": {"by": "k", "cases": [[1, "next"]]}}),
            json!({"fields": ["speed: number at 's'", "both: join k speed"]}),
            &br#"{"k":1,"s":2}"#[..],
            json!({"k": 1, "s": 2, "speed": 2.0, "both": "12"}),
        ),
        (
            json!({"type": "key-value", "fields": ["a: integer", "both: join b b"]}),
            json!({}),
            b"b=1",
            json!({"b": "1", "both": "11"}),
        ),
    ] {
        let read = read(&decoder(decode.clone(), json!({"next": layout})), frame);
        assert_eq!(read, Ok(expected), "{decode}");
    }
}
