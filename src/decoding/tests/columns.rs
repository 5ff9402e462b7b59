//! `csv`: columns, lists of them, and layouts that read on.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{decoder, values};
use crate::decoding::fuzz::fuzz_documents;
use crate::decoding::{Decoder, Frame};
use crate::document::{Problems, Section};
use crate::message::Reading;

pub(super) fn decode(decoder: &Decoder, line: &str) -> Reading {
    decoder.decode(Frame {
        bytes: line.as_bytes(),
        body: 0.into(),
    })
}

/// Values of a line, or the reason why it has none.
pub(super) fn read(decoder: &Decoder, line: &str) -> Result<Json, String> {
    let reading = decode(decoder, line);
    reading
        .undecoded
        .clone()
        .map_or_else(|| Ok(values(&reading)), Err)
}

fn check(fields: &[&str], line: &str, expected: Json) {
    let decoder = decoder(json!({"type": "csv", "fields": fields}), layouts());
    assert_eq!(read(&decoder, line), Ok(expected), "{fields:?} {line:?}");
}

/// Layouts that the rows below read elements by.
fn layouts() -> Json {
    json!({
        "point": {"fields": ["x: integer", "y: integer"]},
        "timed": {"fields": ["time: time %H%M%S-%Y%m%d", "speed: number"]},
        "group": {"fields": ["n: integer", "list: repeat n 'integer'"]},
        "kinds": {"fields": ["kind"], "select": {"by": "kind", "cases": [["A", "one"], ["B", "two"]]}},
        "one": {"fields": ["a: integer"]},
        "two": {"fields": ["b", "c"]},
    })
}

#[test]
fn columns_stand_one_behind_the_other() {
    for (fields, line, expected) in [
        (
            &["a", "b: integer", "c: number * 2"][..],
            "x,-7,1.5",
            json!({"a": "x", "b": -7, "c": 3.0}),
        ),
        (
            &["a", "skip 2", "b"],
            "1,2,3,4,5",
            json!({"a": "1", "b": "4"}),
        ),
        (
            &["a", "b: at -1", "c: at 3", "d"],
            "1,2,3,4,5",
            json!({"a": "1", "b": "5", "c": "4", "d": "2"}),
        ),
        (
            &["a: integer", "b: integer", "c"],
            "1,,z",
            json!({"a": 1, "c": "z"}),
        ),
        // Devices send shorter lines: what is not there is left out.
        (
            &["a", "b: integer", "c: at 9", "d: at -9"],
            "1",
            json!({"a": "1"}),
        ),
        (&["a", "b"], "", json!({})),
        (&["skip 9", "a"], "1,2", json!({})),
        (
            &["a: hexadecimal", "b: bool", "c: text"],
            "00fF,1,07",
            json!({"a": 255, "b": true, "c": "07"}),
        ),
        (
            &["a: integer"],
            "18446744073709551615",
            json!({"a": u64::MAX}),
        ),
        (
            &["a: number null -", "b: enum A=true V=false"],
            "-,V",
            json!({"a": null, "b": false}),
        ),
        // What is not read takes no column.
        (
            &["k", "a: integer if k = x", "b: integer"],
            "y,5",
            json!({"k": "y", "b": 5}),
        ),
        (
            &["k", "skip 1 if k = x", "b: integer"],
            "x,4,5",
            json!({"k": "x", "b": 5}),
        ),
        (
            &["k", "skip 1 if k = x", "b: integer"],
            "y,4,5",
            json!({"k": "y", "b": 4}),
        ),
        (
            &["flags: hexadecimal bits a@0 b@1:3 drop"],
            "b",
            json!({"a": true, "b": 5}),
        ),
        // What is made takes none either, and is there where the line has ended.
        (
            &[
                "a",
                "both: join a b",
                "k: const x",
                "b",
                "end: const y",
                "c",
            ],
            "1,2",
            json!({"a": "1", "both": "12", "k": "x", "b": "2", "end": "y"}),
        ),
        (&["skip: text"], "x", json!({"skip": "x"})),
        (
            &["a: number neg west", "west: enum W=true E=false drop"],
            "9,W",
            json!({"a": -9.0}),
        ),
    ] {
        check(fields, line, expected);
    }
}

#[test]
fn columns_are_lists_too() {
    for (fields, line, expected) in [
        (
            &["a", "v: repeat 2 'number'", "b"][..],
            "x,1,2,y",
            json!({"a": "x", "v": [1.0, 2.0], "b": "y"}),
        ),
        (
            &["n: integer drop", "p: repeat n point", "b"],
            "2,1,2,3,4,y",
            json!({"p": [{"x": 1, "y": 2}, {"x": 3, "y": 4}], "b": "y"}),
        ),
        (
            &["v: repeat rest 'integer'"],
            "1,,3",
            json!({"v": [1, null, 3]}),
        ),
        // An empty column at the end is no element, but where their number says so.
        (&["v: repeat rest 'integer'"], "1,2,", json!({"v": [1, 2]})),
        (
            &["v: repeat 3 'integer'"],
            "1,2,",
            json!({"v": [1, 2, null]}),
        ),
        (&["v: repeat rest 'integer'"], "", json!({"v": []})),
        (
            &["v: repeat rest -2 'integer'", "b", "c"],
            "1,2,x,y",
            json!({"v": [1, 2], "b": "x", "c": "y"}),
        ),
        (
            &["p: repeat rest -1 point", "b"],
            "1,2,x",
            json!({"p": [{"x": 1, "y": 2}], "b": "x"}),
        ),
        (
            &["p: repeat rest point map x y"],
            "1,2,3,4",
            json!({"p": {"1": 2, "3": 4}}),
        ),
        (
            &["g: repeat rest group"],
            "2,1,2,0,1,7",
            json!({"g": [{"n": 2, "list": [1, 2]}, {"n": 0, "list": []}, {"n": 1, "list": [7]}]}),
        ),
        (
            &["g: repeat 2 'repeat 2 ''integer'''"],
            "1,2,3,4",
            json!({"g": [[1, 2], [3, 4]]}),
        ),
        (
            &["k: repeat rest kinds"],
            "A,1,B,2,3",
            json!({"k": [{"kind": "A", "a": 1}, {"kind": "B", "b": "2", "c": "3"}]}),
        ),
        (
            &["a", "v: repeat 2 'integer' at -2", "b"],
            "x,y,1,2",
            json!({"a": "x", "v": [1, 2], "b": "y"}),
        ),
        (&["v: repeat 2 'integer' at 9"], "1,2", json!({})),
    ] {
        check(fields, line, expected);
    }
}

#[test]
fn lists_that_the_line_does_not_hold_are_undecoded() {
    for (fields, line, why) in [
        (
            &["v: repeat 3 'integer'"][..],
            "1,2",
            "v 3 takes no columns",
        ),
        (&["v: repeat 4 'integer'"], "1,2,", "v 3 takes no columns"),
        (
            &["n: integer", "v: repeat n point"],
            "9999,1,2",
            "v has 9999 elements",
        ),
        (
            &["n: integer", "v: repeat n point"],
            "-1,1,2",
            "v cannot have -1",
        ),
        (
            &["v: repeat rest -3 'text'"],
            "1,2",
            "v must end 3 columns before the end",
        ),
        (
            &["a", "v: repeat rest -2 'text'"],
            "1,2",
            "v must end 2 columns before the end",
        ),
        (
            &["p: repeat rest -1 point"],
            "1,2,3,4",
            "p 2 reaches into the last 1 columns",
        ),
        (
            &["p: repeat rest point"],
            "1,2,x",
            "p 2: x is no whole number",
        ),
        (&["p: repeat rest kinds"], "C", "no layout for this kind"),
    ] {
        let decoder = decoder(json!({"type": "csv", "fields": fields}), layouts());
        let found = read(&decoder, line).unwrap_err();
        assert!(found.contains(why), "{fields:?} {line:?}: {found}");
    }
}

#[test]
fn a_list_of_columns_is_split_into_messages() {
    let decoder = decoder(
        json!({"type": "csv", "fields": ["id", "points: repeat rest timed split"]}),
        layouts(),
    );
    let reading = decode(&decoder, "7,120000-20240105,3.5,120010-20240105,4");
    assert_eq!(values(&reading), json!({"id": "7"}));
    let parts = reading.parts.unwrap();
    let times: Vec<_> = parts
        .iter()
        .map(|part| part.time.unwrap().to_string())
        .collect();
    assert_eq!(times, ["2024-01-05T12:00:00Z", "2024-01-05T12:00:10Z"]);
}

#[test]
fn separators_quotes_and_encodings() {
    for (decode, line, expected) in [
        (
            json!({"separator": ";", "fields": ["a", "b"]}),
            &b"1,5;2"[..],
            json!({"a": "1,5", "b": "2"}),
        ),
        (
            json!({"separator": "0x09", "fields": ["a", "b"]}),
            b"1\t2",
            json!({"a": "1", "b": "2"}),
        ),
        (
            json!({"separator": "::", "fields": ["a", "b: at -1"]}),
            b"1::2:::3",
            json!({"a": "1", "b": ":3"}),
        ),
        (
            json!({"quote": "\"", "fields": ["a", "b: integer", "c: at -1"]}),
            b"\"x, \"\"y\"\"\",\"12\",z",
            json!({"a": "x, \"y\"", "b": 12, "c": "z"}),
        ),
        (
            json!({"encoding": "latin1", "fields": ["a"]}),
            b"Stra\xdfe",
            json!({"a": "Straße"}),
        ),
        (
            json!({"fields": ["a"]}),
            b"Stra\xdfe",
            json!({"a": "Stra\u{fffd}e"}),
        ),
    ] {
        let mut decode = decode;
        decode["type"] = json!("csv");
        let reading = decoder(decode.clone(), json!({})).decode(Frame {
            bytes: line,
            body: 0.into(),
        });
        assert_eq!(
            (values(&reading), &reading.undecoded),
            (expected, &None),
            "{decode}"
        );
        assert_eq!(
            reading.replaced,
            values(&reading)["a"].as_str().unwrap().contains('\u{fffd}')
        );
    }
}

#[test]
fn layouts_read_on_and_take_what_they_do_not_say() {
    let decode = json!({"type": "csv", "separator": ";", "encoding": "latin1", "fields": ["kind"],
        "select": {"by": "kind", "cases": [["A|B", "on"], ["C", "whole"], ["D", "pairs"], ["10..19", "other"]]}});
    let layouts = json!({
        "on": {"fields": ["x", "sub"], "select": {"by": "sub", "cases": [["1", "deep"]], "default": "plain"}},
        "deep": {"fields": ["y", "z: at 0"]},
        "plain": {},
        "whole": {"type": "regex", "pattern": "^(?P<whole>.*)$"},
        "pairs": {"type": "key-value"},
        "other": {"separator": ",", "fields": ["a", "b"]},
    });
    let decoder = decoder(decode, layouts);
    for (line, kind, expected) in [
        (
            &b"A;\xe9;1;9"[..],
            "deep",
            json!({"kind": "A", "x": "é", "sub": "1", "y": "9", "z": "A"}),
        ),
        (
            b"B;5;2",
            "plain",
            json!({"kind": "B", "x": "5", "sub": "2"}),
        ),
        (b"C;\xe9", "whole", json!({"kind": "C", "whole": "C;é"})),
        (
            b"D;x=1,y=\xe9",
            "pairs",
            json!({"kind": "D", "D;x": "1", "y": "é"}),
        ),
        (
            b"12;3;4,5",
            "other",
            json!({"kind": "12", "a": "3;4", "b": "5"}),
        ),
    ] {
        let reading = decoder.decode(Frame {
            bytes: line,
            body: 0.into(),
        });
        assert_eq!(
            (values(&reading), reading.kind.as_deref()),
            (expected, Some(kind))
        );
    }
}

#[test]
fn the_body_begins_where_the_framing_says() {
    let decoder = decoder(
        json!({"type": "csv", "fields": ["b: at 1", "a"]}),
        json!({}),
    );
    let reading = decoder.decode(Frame {
        bytes: b"0,0,7,8",
        body: 4.into(),
    });
    assert_eq!(values(&reading), json!({"b": "8", "a": "7"}));
}

#[test]
fn the_decoders_of_the_fuzz_are_without_mistakes() {
    let (documents, layouts) = fuzz_documents();
    for document in documents {
        let mut problems = Problems::new();
        let decode = Section::root(&document);
        crate::decoding::read(Some(&decode), Some(&Section::root(&layouts)), &mut problems);
        assert_eq!(problems.as_slice(), [], "{document}");
    }
}

#[test]
fn long_lines_are_bounded() {
    let decoder = decoder(
        json!({"type": "csv", "fields": ["v: repeat rest 'text'", "last: at -1"]}),
        json!({}),
    );
    let long = "1,".repeat(20_000);
    assert!(
        read(&decoder, &long)
            .unwrap_err()
            .contains("more than 10000 values")
    );
}

proptest! {
    #[test]
    fn columns_are_what_others_split(texts in prop::collection::vec("[a-z ]{1,4}", 1..6), separator in "[,;|]|::") {
        let fields: Vec<String> = (0..texts.len()).map(|at| format!("c{at}")).collect();
        let decoder = decoder(json!({"type": "csv", "separator": separator, "fields": fields}), json!({}));
        let expected: serde_json::Map<_, _> = fields.into_iter().zip(texts.iter().map(|text| json!(text))).collect();
        prop_assert_eq!(read(&decoder, &texts.join(&separator)), Ok(Json::Object(expected)));
    }

    #[test]
    fn numbers_are_read_as_others_read_them(number: f64, whole: i64) {
        prop_assume!(number.is_finite());
        let decoder = decoder(json!({"type": "csv", "fields": ["a: number", "b: integer"]}), json!({}));
        prop_assert_eq!(read(&decoder, &format!("{number:e}, {whole} ")), Ok(json!({"a": number, "b": whole})));
    }
}
