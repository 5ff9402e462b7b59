//! `repeat`, `split` and `map`.

#![expect(clippy::arithmetic_side_effects, reason = "numbers of tests are small")]

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{bytes_of, decoder, values};
use crate::decoding::{Decoder, Frame, Problems, Section, read};
use crate::message::{Part, Reading, Value};

/// Layouts that the rows below read elements by.
fn layouts() -> Json {
    json!({
        "pair": {"fields": ["id: u8", "value: u16"]},
        "time": {"fields": ["time: u32 unix", "n: u8", "hidden: u8 drop"]},
        "group": {"fields": ["n: u8", "list: repeat n pair"]},
        "tree": {"fields": ["n: u8", "nodes: repeat n tree"]},
        "sign": {"fields": ["a: u8 neg west", "west: u8 drop"]},
        "kinds": {"fields": ["kind: u8"], "select": {"by": "kind", "cases": [[1, "one"], [2, "two"]]}},
        "one": {"fields": ["a: u8"]},
        "two": {"fields": ["b: u16"]},
        "empty": {"fields": ["a: u8 if length = 0"]},
        "text": {"fields": ["skip 1", "text: ascii 10000 at 0"]},
        "again": {"fields": ["list: repeat 100 'u8' at 0", "skip 1"]},
    })
}

fn binary(fields: &[&str]) -> Decoder {
    decoder(json!({"type": "binary", "fields": fields}), layouts())
}

fn decode(fields: &[&str], frame: &[u8]) -> Reading {
    binary(fields).decode(Frame {
        bytes: frame,
        body: 0.into(),
    })
}

fn check(fields: &[&str], frame: &str, expected: Json) {
    let reading = decode(fields, &bytes_of(frame));
    assert_eq!(reading.undecoded, None, "{fields:?}");
    assert_eq!(values(&reading), expected, "{fields:?}");
}

#[test]
fn lists_are_objects_of_a_layout_or_bare_values() {
    for (fields, frame, expected) in [
        (
            &["n: u8 drop", "list: repeat n pair", "end: u8"][..],
            "02 01 0002 03 0004 ff",
            json!({"list": [{"id": 1, "value": 2}, {"id": 3, "value": 4}], "end": 255}),
        ),
        (
            &["list: repeat rest -2 'i16 / 10'"],
            "00eb fff6 ffff",
            json!({"list": [23.5, -1.0]}),
        ),
        (
            &["list: repeat rest 'v: u8 null 255'"],
            "01 ff",
            json!({"list": [1, null]}),
        ),
        (
            &["list: repeat 2 'u16le'"],
            "0100 0200",
            json!({"list": [1, 2]}),
        ),
        (
            &["list: repeat 2 u8s", "end: u8"],
            "01 02 03",
            json!({"list": [{"v": 1}, {"v": 2}], "end": 3}),
        ),
        (
            &["list: repeat 2 'repeat 2 ''u8'''"],
            "01 02 03 04",
            json!({"list": [[1, 2], [3, 4]]}),
        ),
        (
            &["list: repeat rest group"],
            "01 05 0006 00",
            json!({"list": [{"n": 1, "list": [{"id": 5, "value": 6}]}, {"n": 0, "list": []}]}),
        ),
        (
            &["list: repeat rest tree"],
            "02 01 00 00",
            json!({"list": [{"n": 2, "nodes": [{"n": 1, "nodes": [{"n": 0, "nodes": []}]}, {"n": 0, "nodes": []}]}]}),
        ),
        (
            &["list: repeat rest kinds"],
            "01 07 02 0008",
            json!({"list": [{"kind": 1, "a": 7}, {"kind": 2, "b": 8}]}),
        ),
        (
            &["list: repeat 2 sign", "west: u8"],
            "05 00 05 01 00",
            json!({"list": [{"a": 5}, {"a": -5}], "west": 0}),
        ),
        (
            &["list: repeat 1 time"],
            "6597efc0 09 07",
            json!({"list": [{"time": "2024-01-05T12:02:08Z", "n": 9}]}),
        ),
        (
            &["n: u8", "list: repeat 2 'u8' at -2", "b: u8"],
            "01 02 03 04",
            json!({"n": 1, "list": [3, 4], "b": 2}),
        ),
        (
            &["k: u8", "list: repeat 2 'u8' if k = 2"],
            "01 02",
            json!({"k": 1}),
        ),
    ] {
        let mut layouts = layouts();
        layouts["u8s"] = json!({"fields": ["v: u8"]});
        let decoder = decoder(json!({"type": "binary", "fields": fields}), layouts);
        let frame = bytes_of(frame);
        let reading = decoder.decode(Frame {
            bytes: &frame,
            body: 0.into(),
        });
        assert_eq!(reading.undecoded, None, "{fields:?}");
        assert_eq!(values(&reading), expected, "{fields:?}");
        assert_eq!((reading.time, reading.parts), (None, None));
    }
}

#[test]
fn an_element_sees_the_fields_around_it_and_keeps_its_own() {
    let layouts = json!({
        "io": {"fields": ["id: u8 if wide = 0", "id: u16 if wide = 1", "kind: u8"]},
    });
    let fields = [
        "wide: u8",
        "kind: u8",
        "list: repeat 1 io",
        "last: u8 if kind = 3",
    ];
    let decoder = decoder(json!({"type": "binary", "fields": fields}), layouts);
    for (frame, id) in [("00 03 05 09 01", 5), ("01 03 0005 09 01", 5)] {
        let frame = bytes_of(frame);
        let reading = decoder.decode(Frame {
            bytes: &frame,
            body: 0.into(),
        });
        assert_eq!(values(&reading)["list"], json!([{"id": id, "kind": 9}]));
        assert_eq!(
            (&values(&reading)["kind"], &values(&reading)["last"]),
            (&json!(3), &json!(1)),
            "what an element reads is not the frame's"
        );
    }
}

#[test]
fn maps_are_keyed_by_a_field_and_merge() {
    check(
        &[
            "io: repeat 2 pair map id value",
            "n: u8 drop",
            "io: repeat n pair map id value",
        ],
        "01 000a 02 000b 02 02 000c 03 000d",
        json!({"io": {"1": 10, "2": 12, "3": 13}}),
    );
    check(
        &["list: repeat 1 group", "list: repeat 1 pair map value id"],
        "00 01 0002",
        json!({"list": {"2": 1}}),
    );
}

/// What a message of this element has beside the frame's fields.
fn part(part: &Part) -> (Json, Option<String>) {
    let fields = part.fields.clone().without_hidden();
    let time = part.time.map(|time| time.to_string());
    (serde_json::to_value(fields).unwrap(), time)
}

#[test]
fn a_split_list_makes_parts() {
    let reading = decode(
        &["head: u8", "list: repeat 2 time split", "end: u8"],
        &bytes_of("08 6597efc0 09 07 6597efc1 0a 07 ff"),
    );
    assert_eq!(reading.undecoded, None);
    assert_eq!(values(&reading), json!({"head": 8, "end": 255}));
    assert_eq!(reading.time, None, "an element's time is not the frame's");
    let parts: Vec<_> = reading.parts.unwrap().iter().map(part).collect();
    let time = |seconds| Some(format!("2024-01-05T12:02:{seconds}Z"));
    let expected = [
        (json!({"n": 9}), time("08")),
        (json!({"n": 10}), time("09")),
    ];
    assert_eq!(parts, expected);

    let reading = decode(&["list: repeat rest 'u8' split"], b"\x01\x02");
    let parts: Vec<_> = reading.parts.unwrap().iter().map(part).collect();
    assert_eq!(parts, [1, 2].map(|n| (json!({"list": n}), None)));
    let reading = decode(&["n: u8", "list: repeat n pair split"], b"\0");
    assert_eq!(reading.parts, Some(vec![]));

    let reading = decode(&["list: repeat 1 pair split", "b: u8"], b"\x01\0\x02");
    assert!(reading.undecoded.is_some() && reading.parts.is_none());
}

#[test]
fn lists_of_json_split_and_map_too() {
    let fields = ["a: at '/x/list' split", "io: map id v"];
    let decoder = decoder(json!({"type": "json", "fields": fields}), json!({}));
    let frame = br#"{"x":{"list":[{"time":"2024-01-05T12:00:00Z","t":1},5]},"io":[{"id":1,"v":true},{"id":"b"}],"n":1}"#;
    let reading = decoder.decode(Frame {
        bytes: frame,
        body: 0.into(),
    });
    assert_eq!(reading.undecoded, None);
    assert_eq!(
        reading.fields.get("io"),
        Some(&Value::Object(Box::new(
            [("1".into(), Value::Bool(true))].into_iter().collect()
        )))
    );
    assert_eq!(reading.fields.get("n"), Some(&Value::integer(1)));
    let parts: Vec<_> = reading.parts.unwrap().iter().map(part).collect();
    let time = Some("2024-01-05T12:00:00Z".to_owned());
    assert_eq!(parts, [(json!({"t": 1}), time), (json!({"a": 5}), None)]);
    for frame in [&br#"{"x":{"list":3}}"#[..], br#"{"io":[{"v":1}]}"#] {
        let reading = decoder.decode(Frame {
            bytes: frame,
            body: 0.into(),
        });
        assert!(reading.undecoded.is_some());
    }
}

#[test]
fn foreign_counts_are_held_against_what_is_there() {
    let long = vec![1; 20_000];
    let deep = [1; 64];
    for (fields, frame, why) in [
        (
            &["n: u64", "list: repeat n pair"][..],
            &[0x7f; 32][..],
            "list has 9187201950435737471 elements, 24 bytes are left",
        ),
        (
            &["n: i8", "list: repeat n pair"],
            &[0xff; 8],
            "list cannot have -1 elements",
        ),
        (
            &["n: ascii 1", "list: repeat n pair"],
            b"2....",
            "list has no count: `n`",
        ),
        (
            &["list: repeat 3 pair"],
            &[1; 8],
            "list 3: value needs 9 bytes",
        ),
        (
            &["list: repeat rest pair"],
            &[1; 4],
            "list 2: value needs 6 bytes",
        ),
        (
            &["list: repeat rest -2 pair"],
            &[1; 4],
            "list 1 reaches into the last 2 bytes",
        ),
        (
            &["list: repeat rest -2 pair"],
            &[1; 1],
            "list must end 2 bytes",
        ),
        (
            &["list: repeat rest empty"],
            &[1; 4],
            "list 1 takes no bytes",
        ),
        (
            &["list: repeat rest 'u8 at 0'"],
            &[1; 4],
            "list 1 takes no bytes",
        ),
        (&["list: repeat rest tree"], &deep, "more than 8 deep"),
        (&["list: repeat rest 'u8'"], &long, "more than 10000 values"),
        (
            &["list: repeat rest again"],
            &long[..200],
            "more than 10000 values",
        ),
        (
            &["list: repeat rest text"],
            &long[..10_000],
            "too much text is made",
        ),
        (
            &["a: ascii 5000 at 0", "list: repeat rest 'u8' split"],
            &long[..9_000],
            "5000 bytes are too much to copy to 9000 messages",
        ),
    ] {
        let reading = decode(fields, frame);
        let found = reading
            .undecoded
            .unwrap_or_else(|| panic!("{fields:?} was decoded"));
        assert!(found.contains(why), "{fields:?}: {found}");
        assert!(reading.parts.is_none());
    }
    let most = decode(&["list: repeat rest 'u8'"], &long[..9_999]);
    assert_eq!(most.undecoded, None);
}

#[test]
fn mistakes_in_lists() {
    let decode = json!({"type": "binary", "fields": [
        "a: repeat", "b: repeat 0 one", "c: repeat 2 'u17'", "d: repeat 2 'u8 drop'", "e: repeat 2 'u8' map a b",
        "f: repeat 2 one * 2", "g: repeat 2 one split drop", "h: u8 split", "i: repeat 2 one split map a b",
        "j: repeat 2 onne", "k: repeat 2 one map a"]});
    let columns = [10, 11, 14, 14, 4, 17, 23, 7, 23, 13, 22];
    let mut problems = Problems::new();
    assert!(
        read(
            Some(&Section::root(&decode)),
            Some(&Section::root(&layouts())),
            &mut problems
        )
        .is_none()
    );
    let found: Vec<_> = problems
        .as_slice()
        .iter()
        .map(|problem| (problem.pointer.clone(), problem.column.unwrap()))
        .collect();
    let expected: Vec<_> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| (format!("/fields/{at}"), *column))
        .collect();
    assert_eq!(found, expected, "{problems:#?}");
}

pub(super) fn pointers(decode: &Json, layouts: &Json) -> Vec<(String, String)> {
    let mut problems = Problems::new();
    let read = read(
        Some(&Section::root(decode)),
        Some(&Section::root(layouts)),
        &mut problems,
    );
    assert_eq!(read.is_none(), !problems.is_empty());
    let found = problems.as_slice().iter();
    found
        .map(|problem| (problem.pointer.clone(), problem.message.clone()))
        .collect()
}

#[test]
fn lists_that_fit_no_frame_are_mistakes() {
    let select = json!({"by": "k", "cases": [[1, "b"], [2, "c"]]});
    for (decode, layouts, pointer, part) in [
        (
            json!({"fields": ["list: repeat rest a"]}),
            json!({"a": {"type": "json"}}),
            "/fields/0",
            "\"a\" reads the whole body",
        ),
        (
            json!({"fields": ["list: repeat rest a"]}),
            json!({"a": {"fields": ["x: u8", "y: repeat rest 'u8' split"]}}),
            "/a/fields/1",
            "not of an element",
        ),
        (
            json!({"fields": ["x: repeat 2 'u8' split", "y: repeat 2 'u8' split"]}),
            json!({}),
            "/fields/0",
            "only one list",
        ),
        (
            json!({"fields": ["k: u8", "x: repeat 2 'u8' split"], "select": select}),
            json!({"b": {"fields": ["y: repeat 2 'u8' split"]}, "c": {}}),
            "/fields/1",
            "`y` is",
        ),
        (
            json!({"fields": ["x: repeat 2 a map id valu"]}),
            json!({"a": {"fields": ["id: u8", "value: u8"]}}),
            "/fields/0",
            "did you mean \"value\"",
        ),
        (
            json!({"fields": ["x: repeat 2 a"]}),
            json!({"a": {"fields": ["id: u8"], "publish": false}}),
            "/a/publish",
            "list's elements only",
        ),
        (
            json!({"fields": ["x: repeat 2 a", "y: u8 if id = 1"]}),
            json!({"a": {"fields": ["id: u8"]}}),
            "/fields/1",
            "\"id\"",
        ),
        (
            json!({"fields": ["x: repeat m a"]}),
            json!({"a": {"fields": ["m: u8"]}}),
            "/fields/0",
            "\"m\"",
        ),
    ] {
        let mut decode = decode;
        decode["type"] = json!("binary");
        let found = pointers(&decode, &layouts);
        let hit = found
            .iter()
            .any(|(at, message)| at == pointer && message.contains(part));
        assert!(hit, "{pointer} {part} in {found:?}");
    }
    let fine = json!({"type": "binary", "fields": ["k: u8"], "select": select});
    let layouts = json!({
        "b": {"fields": ["x: repeat k e split"]}, "c": {"fields": ["y: repeat 2 'u8' split"]},
        "e": {"fields": ["v: u8 if k = 1", "w: u8 if v = 2"]}
    });
    assert_eq!(pointers(&fine, &layouts), []);
    let decoder = decoder(fine, layouts);
    assert_eq!(decoder.field_names().unwrap(), ["k"]);
    assert_eq!(
        decoder.split_lists().unwrap(),
        [("x", vec!["v", "w"]), ("y", vec!["y"])]
    );
}

fn size(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len() + 1,
        Value::Bytes(bytes) => bytes.len() + 1,
        Value::List(values) => values.iter().map(size).sum::<usize>() + 1,
        Value::Object(fields) => fields.iter().map(|(_, value)| size(value)).sum::<usize>() + 1,
        _ => 1,
    }
}

fn list() -> impl Strategy<Value = String> {
    let times = prop_oneof!["[1-9]", "n", "u8", "rest", "rest -[0-9]"];
    let element = prop_oneof![
        "pair",
        "time",
        "group",
        "tree",
        "kinds",
        "again",
        "'u8'",
        "'ascii n at 0'",
        "'repeat n group'",
        "map u8 'ascii n at 0'"
    ];
    let rest = prop_oneof!["", "", " at [0-9]", " if n = 1\\.\\.99"];
    let collect = prop_oneof!["", "", " split", " map id value", " drop"];
    ("[a-c]", times, element, rest, collect).prop_map(|(name, times, element, rest, collect)| {
        format!("{name}: repeat {times} {element}{rest}{collect}")
    })
}

proptest! {
    #[test]
    fn any_lists_on_any_frame(
        lists in prop::collection::vec(list(), 1..4),
        frame in prop::collection::vec(prop_oneof![0u8..5, any::<u8>()], 0..400),
    ) {
        let mut fields = vec!["n: u8".to_owned()];
        fields.extend(lists);
        let decode = json!({"type": "binary", "fields": fields});
        let mut problems = Problems::new();
        let layouts = layouts();
        let read = read(Some(&Section::root(&decode)), Some(&Section::root(&layouts)), &mut problems);
        if let Some(decoder) = read {
            let reading = decoder.decode(Frame { bytes: &frame, body: 0.into() });
            let parts = reading.parts.iter().flatten();
            let all = parts.map(|part| &part.fields).chain([&reading.fields]).flat_map(|fields| fields.iter());
            let size: usize = all.map(|(_, value)| size(value)).sum();
            prop_assert!(size <= 11_000 + (1 << 20) + 4 * frame.len(), "{size} of {}", frame.len());
        }
    }
}

/// A frame chooses how many members it has beside its list, and how many elements that has.
#[test]
fn members_that_a_frame_brings_are_not_copied_without_bounds() {
    let decoder = decoder(
        json!({"type": "json", "fields": ["list: split"]}),
        json!({}),
    );
    let frame = |members: usize, elements: usize| {
        let members: String = (0..members).map(|at| format!("\"m{at}\":1,")).collect();
        let elements = vec!["1"; elements].join(",");
        format!("{{{members}\"list\":[{elements}]}}")
    };
    for (members, elements, taken) in [(5_000, 9_000, false), (5_000, 1, true), (30, 9_000, true)] {
        let reading = decoder.decode(Frame {
            bytes: frame(members, elements).as_bytes(),
            body: 0.into(),
        });
        let why = reading.undecoded.unwrap_or_default();
        assert_eq!(why.is_empty(), taken, "{members} {elements}: {why}");
        assert!(taken || why.contains("too much to copy"), "{why}");
    }
}
