//! `repeat N map KEY VALUE`, and counts in front of elements.

use serde_json::{Value as Json, json};

use super::{bytes_of, decoder, values};
use crate::decoding::{Frame, Problems, Section, read};

fn layouts() -> Json {
    json!({
        "pair": {"fields": ["id: u8", "value: u16"]},
        "record": {"fields": ["n: u8", "io: repeat n map u8 u8"]},
    })
}

#[test]
fn keys_and_values_become_an_object() {
    for (fields, frame, expected) in [
        (
            &["n: u8 drop", "io: repeat n map u8 u16", "end: u8"][..],
            "02 01 000a ff 000b 07",
            json!({"io": {"1": 10, "255": 11}, "end": 7}),
        ),
        (
            &["io: repeat rest -1 map u16le 'i16 null -1 / 10'", "end: u8"],
            "0100 000f 0200 ffff 09",
            json!({"io": {"1": 1.5, "2": null}, "end": 9}),
        ),
        (
            &["io: repeat 2 map 'ascii 2 rtrim 0x20' 'ascii 1 trim -'"],
            "41 20 78 42 43 2d",
            json!({"io": {"A": "x"}}),
        ),
        (
            &["io: repeat 1 map 'u8 enum 1=door' 'u8 enum 0=open'"],
            "01 00",
            json!({"io": {"door": "open"}}),
        ),
        (
            &["n: u8", "io: repeat n map u8 'hex n'"],
            "02 07 abcd 08 ef01",
            json!({"n": 2, "io": {"7": "abcd", "8": "ef01"}}),
        ),
        (
            &["io: repeat 1 map u8 'repeat 2 map u8 u8'"],
            "01 02 03 04 05",
            json!({"io": {"1": {"2": 3, "4": 5}}}),
        ),
        (
            &[
                "io: repeat u8 map u8 u16",
                "io: repeat u16le map u8 u8",
                "list: repeat decimal 2 'u8'",
                "n: u8",
            ],
            "01 05 0006 0100 07 08 3032 01 02 03",
            json!({"io": {"5": 6, "7": 8}, "list": [1, 2], "n": 3}),
        ),
        (
            &[
                "u8: u8",
                "list: repeat 'u8' 'u8'",
                "far: repeat u8 pair at 1",
                "none: repeat u8 pair",
            ],
            "02 01 02 00 05",
            json!({"u8": 2, "list": [1, 2], "far": [{"id": 2, "value": 5}], "none": []}),
        ),
        (
            &[
                "io: repeat 1 map u8 u8",
                "io: repeat 1 pair map id value",
                "io: repeat 1 map u8 u32",
            ],
            "01 01 02 0002 01 00000003",
            json!({"io": {"1": 3, "2": 2}}),
        ),
        (
            &["list: repeat 2 record"],
            "01 05 06 00",
            json!({"list": [{"n": 1, "io": {"5": 6}}, {"n": 0, "io": {}}]}),
        ),
        (
            &[
                "n: u8",
                "io: repeat 1 map u8 u8 if n = 1",
                "x: repeat 1 map u8 u8 drop",
            ],
            "00 01 02",
            json!({"n": 0}),
        ),
        (
            &[
                "time: repeat 1 map u8 u8 if length = 9",
                "a: repeat 1 map u8 u8 at 1",
            ],
            "00 01 02",
            json!({"a": {"1": 2}}),
        ),
    ] {
        let frame = bytes_of(frame);
        let decoder = decoder(json!({"type": "binary", "fields": fields}), layouts());
        let reading = decoder.decode(Frame {
            bytes: &frame,
            body: 0.into(),
        });
        assert_eq!(reading.undecoded, None, "{fields:?}");
        assert_eq!(values(&reading), expected, "{fields:?}");
    }
}

#[test]
fn a_pair_that_is_cut_off_is_undecoded() {
    for (field, frame) in [
        ("io: repeat 2 map u8 u8", "01 02 03"),
        ("io: repeat rest map u8 u16", "01 02"),
        ("io: repeat 9 map u8 u8", "01"),
        ("io: repeat u8 map u8 u8", "02 01 02 03"),
        ("io: repeat u16 map u8 u8", "00"),
        ("io: repeat i8 'u8'", "ff 01"),
        ("io: repeat decimal 1 'u8'", "2f 01"),
        ("io: repeat u64 'u8'", "ffffffffffffffff 01"),
        ("io: repeat rest -1 map u8 u8", "01 02"),
        ("io: repeat 1 map 'u8 null 1' u8", "01 02"),
    ] {
        let frame = bytes_of(frame);
        let decoder = decoder(json!({"type": "binary", "fields": [field]}), layouts());
        let reading = decoder.decode(Frame {
            bytes: &frame,
            body: 0.into(),
        });
        assert!(reading.undecoded.is_some(), "{field}");
    }
}

#[test]
fn mistakes_stand_at_their_column() {
    let rows = [
        ("a: repeat u17 map u8 u8", 11, "whole number of bytes"),
        ("a: repeat 2 map", 16, "the type of the keys"),
        ("a: repeat 2 map u8", 19, "the type of the values"),
        ("a: repeat 2 map u17 u8", 17, "whole number of bytes"),
        ("a: repeat 2 map u8 u17", 20, "whole number of bytes"),
        ("a: repeat 2 map u8 'u8 * x'", 26, "number"),
        ("a: repeat 2 map u8 'u8 drop'", 21, "use a layout"),
        ("a: repeat 2 map u8 u8 map id v", 4, "nothing else is made"),
        ("a: repeat 2 map u8 u8 split", 4, "nothing else is made"),
        ("a: repeat 2 map u8 u8 * 2", 23, ""),
    ];
    for (field, column, part) in rows {
        let decode = json!({"type": "binary", "fields": [field]});
        let mut problems = Problems::new();
        let read = read(Some(&Section::root(&decode)), None, &mut problems);
        assert!(read.is_none(), "{field}");
        let found = &problems.as_slice()[0];
        assert_eq!(found.column, Some(column), "{field}: {}", found.message);
        assert!(found.message.contains(part), "{field}: {}", found.message);
    }
    let decode = json!({"type": "binary", "fields": ["a: repeat 2 map u8 'u8 if m = 1'", "b: repeat 2 map 'ascii n' u8"]});
    let mut problems = Problems::new();
    assert!(read(Some(&Section::root(&decode)), None, &mut problems).is_none());
    let found: Vec<_> = problems.as_slice().iter().map(|p| &*p.pointer).collect();
    assert_eq!(found, ["/fields/0", "/fields/1"], "{problems:#?}");
}
