//! `with`: parts of a frame that a layout reads.

use serde_json::{Value as Json, json};

use super::{bytes_of, decoder, values};
use crate::decoding::{Frame, Problems, Section, read};
use crate::message::Reading;

fn decode(fields: &[&str], layouts: &Json, frame: &[u8]) -> Reading {
    let decoder = decoder(json!({"type": "binary", "fields": fields}), layouts.clone());
    decoder.decode(Frame {
        bytes: frame,
        body: 0.into(),
    })
}

fn layouts() -> Json {
    json!({
        "pair": {"fields": ["id: u8", "v: u16"]},
        "ends": {"fields": ["first: u8 at 0", "last: u8 at -1", "n: u8 if length > 2"]},
        "list": {"fields": ["list: repeat rest -1 pair"]},
        "split": {"fields": ["n: u8", "records: repeat n pair split"]},
        "moment": {"fields": ["time: u32 unix", "a: u8 neg west"]},
        "line": {"type": "regex", "pattern": "(?P<k>\\w+)=(?P<w>\\w+)", "fields": ["w: number"]},
        "members": {"type": "json"},
        "nested": {"fields": ["n: u8", "more: bytes rest with nested drop if n > 0"]},
        "chosen": {"fields": ["k: u8"], "select": {"by": "k", "cases": [[1, "pair"], [false, "line"]]}},
        "holder": {"fields": ["size: u8 drop", "raw: bytes size with pair drop"]},
    })
}

#[test]
fn the_fields_of_a_part_join_the_frames() {
    for (fields, frame, expected) in [
        (
            &["more: bytes 3 with pair drop", "end: u8"][..],
            "01 0002 ff",
            json!({"id": 1, "v": 2, "end": 255}),
        ),
        (
            &["more: bytes 3 with pair"],
            "01 0002",
            json!({"more": "AQAC", "id": 1, "v": 2}),
        ),
        (
            &["x: u8", "more: bytes rest -1 with ends drop"],
            "09 01 02 03 08",
            json!({"x": 9, "first": 1, "last": 3, "n": 1}),
        ),
        (
            &["more: bytes 2 with ends drop"],
            "01 02 03",
            json!({"first": 1, "last": 2}),
        ),
        (
            &["more: bytes 7 with list drop"],
            "01 0002 03 0004 99",
            json!({"list": [{"id": 1, "v": 2}, {"id": 3, "v": 4}]}),
        ),
        (
            &["t: ascii 6 unhex with pair drop"],
            "303130303032",
            json!({"id": 1, "v": 2}),
        ),
        (
            &["t: ascii rest with line drop"],
            "613d3432",
            json!({"k": "a", "w": 42.0}),
        ),
        (
            &["t: ascii rest with members drop"],
            "7b2261223a5b315d7d",
            json!({"a": [1]}),
        ),
        (
            &["more: bytes rest with nested drop"],
            "03 02 01 00",
            json!({"n": 0}),
        ),
        (
            &["more: bytes 4 with chosen drop"],
            "01 07 0008",
            json!({"k": 1, "id": 7, "v": 8}),
        ),
        (
            &["list: repeat rest holder"],
            "03 01 0002 04 05 0006 ff",
            json!({"list": [{"id": 1, "v": 2}, {"id": 5, "v": 6}]}),
        ),
        (
            &["t: ascii 2 null '--' with pair"],
            "2d2d",
            json!({"t": null}),
        ),
    ] {
        let reading = decode(fields, &layouts(), &bytes_of(frame));
        assert_eq!(reading.undecoded, None, "{fields:?}");
        assert_eq!(values(&reading), expected, "{fields:?}");
    }
}

#[test]
fn times_signs_and_messages_of_a_part_are_the_frames() {
    let frame = bytes_of("6597f6d2 05 01");
    let reading = decode(
        &["more: bytes 5 with moment drop", "west: u8"],
        &layouts(),
        &frame,
    );
    assert_eq!(
        (reading.undecoded.as_deref(), values(&reading)),
        (None, json!({"a": -5, "west": 1}))
    );
    assert_eq!(reading.time.unwrap().to_string(), "2024-01-05T12:32:18Z");
    let reading = decode(
        &["more: bytes rest with split drop"],
        &layouts(),
        &bytes_of("02 01 0002 03 0004"),
    );
    assert_eq!(reading.parts.unwrap().len(), 2);
}

#[test]
fn parts_are_held_against_what_is_there() {
    let deep = vec![1; 40];
    let long = vec![1; 30_000];
    let mut layouts = layouts();
    layouts["again"] =
        json!({"fields": ["a: bytes rest at 0 with again", "b: bytes rest at 0 with again"]});
    layouts["big"] = json!({"fields": ["a: u8", "x: bytes 20000 at 0 with empty"]});
    layouts["empty"] = json!({"fields": ["y: ascii rest"]});
    let wide: Vec<_> = (0..50)
        .map(|at| format!("t{at}: ascii rest at 0"))
        .collect();
    layouts["wide"] = json!({"fields": wide});
    for (fields, frame, why) in [
        (
            &["more: bytes 2 with pair"][..],
            &[1, 2][..],
            "more: v needs 3 bytes",
        ),
        (&["more: bytes rest with nested"], &deep, "more than 8 deep"),
        (&["more: bytes rest with again"], &deep, "more than 8 deep"),
        (&["list: repeat rest big"], &long, "too much text is made"),
        (
            &["more: bytes rest with wide"],
            &long,
            "too much text is made",
        ),
        (
            &["more: u8 enum 9=x with pair"],
            &[1],
            "more is neither bytes nor text",
        ),
        (
            &["more: ascii rest with members"],
            b"[1]",
            "more: not a JSON object",
        ),
    ] {
        let reading = decode(fields, &layouts, frame);
        let found = reading
            .undecoded
            .unwrap_or_else(|| panic!("{fields:?} was decoded"));
        assert!(found.contains(why), "{fields:?}: {found}");
    }
    let reading = decode(&["n: u8", "more: bytes 2 with pair"], &layouts, &[7, 1, 2]);
    assert_eq!(values(&reading)["id"], json!(1), "what was read stays");
}

#[test]
fn mistakes_in_parts() {
    for (fields, layouts, pointer, part) in [
        (
            json!(["a: bytes 2 with pear"]),
            layouts(),
            "/fields/0",
            "did you mean \"pair\"",
        ),
        (
            json!(["a: bytes 2 with"]),
            layouts(),
            "/fields/0",
            "a layout",
        ),
        (
            json!(["l: repeat 2 'bytes 2 with pair'"]),
            layouts(),
            "/fields/0",
            "use a layout",
        ),
        (
            json!(["l: repeat 2 pair with pair"]),
            layouts(),
            "/fields/0",
            "step of a list",
        ),
        (
            json!(["l: repeat 2 'const 1'"]),
            layouts(),
            "/fields/0",
            "an element is read",
        ),
        (
            json!(["a: bytes 2 with x", "b: u8 if typo"]),
            json!({"x": {"fields": ["type: u8"]}}),
            "/fields/1",
            "\"type\"",
        ),
        (
            json!(["a: bytes 2 with x"]),
            json!({"x": {"fields": [], "reply": "ok"}}),
            "/x/reply",
            "a part of frames",
        ),
        (
            json!(["l: repeat 2 x"]),
            json!({"x": {"fields": ["a: bytes 2 with y"]}, "y": {"fields": ["z: repeat 2 'u8' split"]}}),
            "/y/fields/0",
            "not of an element",
        ),
        (
            json!(["a: bytes 2 with x", "l: repeat 2 'u8' split"]),
            json!({"x": {"fields": ["z: repeat 2 'u8' split"]}}),
            "/fields/1",
            "`z` is",
        ),
        (
            json!(["a: join b c", "b: u8"]),
            json!({}),
            "/fields/0",
            "\"c\"",
        ),
    ] {
        let decode = json!({"type": "binary", "fields": fields});
        let mut problems = Problems::new();
        let read = read(
            Some(&Section::root(&decode)),
            Some(&Section::root(&layouts)),
            &mut problems,
        );
        assert!(read.is_none(), "{fields}");
        let hit = |problem: &crate::document::Problem| {
            problem.pointer == pointer && problem.message.contains(part)
        };
        assert!(
            problems.as_slice().iter().any(hit),
            "{pointer} {part} in {problems:?}"
        );
    }
    let decode = json!({"type": "binary", "fields": ["a: bytes 2 with pair", "b: u8 if v = 1"]});
    let fine = decoder(decode, json!({"pair": {"fields": ["id: u8", "v: u16"]}}));
    assert_eq!(fine.field_names().unwrap(), ["a", "b", "id", "v"]);
}

#[test]
fn cookbook_frames_of_the_plant() {
    let mbus = json!({"type": "binary", "endian": "little", "fields": [
        "skip 4", "c: u8", "a: u8", "ci: u8", "id: bcd 4 le", "man: u16", "ver: u8", "medium: u8"]});
    let iec104 = json!({"type": "binary", "endian": "little",
        "fields": ["skip 2", "control: u8 bits unnumbered@0 drop", "skip 3"],
        "select": {"by": "unnumbered", "cases": [[false, "information"]], "default": "other"}});
    let iec104_layouts = json!({
        "information": {"fields": ["sent: u16 at 2 >> 1", "kind: u8", "qualifier: u8 bits count@0:7 drop",
            "cause: u8 & 63", "skip 1", "station: u16"],
            "select": {"by": "kind", "cases": [[13, "floats"], [36, "timed"]]}},
        "floats": {"fields": ["points: repeat count float"]},
        "timed": {"fields": ["points: repeat count timedFloat"]},
        "float": {"fields": ["address: u24", "value: f32", "quality: u8"]},
        "timedFloat": {"fields": ["address: u24", "value: f32 round 3", "quality: u8", "time: cp56"]},
        "other": {}
    });
    let gbt = json!({"type": "binary", "fields": ["skip 2", "command: u8", "skip 1", "vin: ascii 17", "skip 1", "size: u16 drop"],
        "select": {"by": "command", "cases": [[2, "live"]]}});
    let live = json!({"live": {"fields": ["time: ymdhms", "items: bytes rest -1 with items drop"]},
        "items": {"fields": ["item: u8", "state: u8", "charge: u8", "mode: u8", "speed: u16 null 0xffff / 10",
            "odometer: u32 / 10", "voltage: u16 / 10", "current: u16 / 10 - 1000", "soc: u8 null 0xff|0xfe"]}});
    for (decode, layouts, frame, expected) in [
        (
            mbus,
            json!({}),
            "681f1f680802727856341224400107550000000313153100da023b13018b60043718021816",
            json!({"c": 8, "a": 2, "ci": 114, "id": "12345678", "man": 16420, "ver": 1, "medium": 7}),
        ),
        (
            iec104.clone(),
            iec104_layouts.clone(),
            "680443000000",
            json!({"unnumbered": true}),
        ),
        (
            iec104.clone(),
            iec104_layouts.clone(),
            "6812000000000d0103000a00e903006666a64100",
            json!({"unnumbered": false, "sent": 0, "kind": 13, "count": 1, "cause": 3, "station": 10,
                "points": [{"address": 1001, "value": 20.799999237060547, "quality": 0}]}),
        ),
        (
            iec104,
            iec104_layouts,
            "6819020000002401 03000a00 e90300 6666a641 00 1027 1e 0c a5 01 18",
            json!({"unnumbered": false, "sent": 1, "kind": 36, "count": 1, "cause": 3, "station": 10,
                "points": [{"address": 1001, "value": 20.8, "quality": 0, "time": "2024-01-05T12:30:10Z"}]}),
        ),
        (
            gbt,
            live,
            "232302fe4c5356414134394a3133323034373337310100151801050c1e0a0101030102260001e2400ea6277455ff",
            json!({"command": 2, "vin": "LSVAA49J132047371", "item": 1, "state": 1, "charge": 3, "mode": 1, "speed": 55.0,
                "odometer": 12345.6, "voltage": 375.0, "current": 10.0, "soc": 85}),
        ),
    ] {
        let reading = decoder(decode, layouts).decode(Frame {
            bytes: &bytes_of(frame),
            body: 0.into(),
        });
        assert_eq!(reading.undecoded, None, "{frame}");
        assert_eq!(values(&reading), expected);
    }
}
