//! `tlv` with `again`: records that begin with a tag that comes again.

use serde_json::{Value as Json, json};

use super::lists::pointers;
use super::{bytes_of, decoder, values};
use crate::decoding::{Frame, Reading};

fn decode(again: &str, fields: &[&str], frame: &str) -> Reading {
    let layouts = json!({
        "tags": {"type": "tlv", "tag": "u8", "size": "u8", "again": again, "unknown": "others", "cases": [
            [1, "n: u8"], [2, "time: u32 unix"], [3, "a: u8 neg west"], [4, "west: u8 drop"], [5, "id: ascii rest"]]},
        "item": {"fields": ["size: u8", "body: bytes size drop"]},
    });
    let decoder = decoder(json!({"type": "binary", "fields": fields}), layouts);
    decoder.decode(Frame {
        bytes: &bytes_of(frame),
        body: 0.into(),
    })
}

/// The values and times of the messages.
fn messages(reading: &Reading) -> Vec<Json> {
    let parts = reading.parts.iter().flatten();
    let shown = parts.map(|part| {
        let fields = part.fields.clone().without_hidden();
        json!([part.time.map(|time| time.to_string()), fields])
    });
    shown.collect()
}

const FIELDS: [&str; 2] = ["head: u8", "tags: bytes rest with tags drop"];
const TWO: &str = "09 0101 01 0204 00000001 0301 05 6301 aa  0101 02 0204 00000002 0301 06 0401 01";

#[test]
fn a_tag_that_comes_again_begins_a_record() {
    let reading = decode("split", &FIELDS, TWO);
    assert_eq!(
        reading.undecoded.as_deref(),
        Some("tags: a needs `west` to know its sign, which is missing")
    );
    let both = TWO.replace("0301 05", "0301 05 0401 00");
    let reading = decode("split", &FIELDS, &both);
    assert_eq!(reading.undecoded, None);
    assert_eq!(values(&reading), json!({"head": 9}));
    assert_eq!(reading.time, None);
    let expected = [
        json!(["1970-01-01T00:00:01Z", {"n": 1, "a": 5, "others": {"99": "aa"}}]),
        json!(["1970-01-01T00:00:02Z", {"n": 2, "a": -6}]),
    ];
    assert_eq!(messages(&reading), expected);
    let reading = decode("last", &FIELDS, &both);
    assert_eq!(reading.parts, None);
    assert_eq!(
        values(&reading),
        json!({"head": 9, "n": 2, "a": -6, "others": {"99": "aa"}})
    );
}

#[test]
fn tags_that_no_case_names_begin_records_too() {
    let reading = decode("split", &FIELDS, "00 6300 0101 01 6300 6300 0101 02");
    let expected = [
        json!([null, {"n": 1, "others": {"99": ""}}]),
        json!([null, {"others": {"99": ""}}]),
        json!([null, {"n": 2, "others": {"99": ""}}]),
    ];
    assert_eq!(messages(&reading), expected);
}

#[test]
fn one_record_is_the_frame_itself() {
    for frame in ["07", "07 0101 01 0501 41 0204 00000001"] {
        let (split, last) = (
            decode("split", &FIELDS, frame),
            decode("last", &FIELDS, frame),
        );
        assert_eq!(split.parts, None);
        assert_eq!(split.time, last.time);
        assert_eq!(values(&split), values(&last));
    }
}

#[test]
fn what_cannot_be_split_is_undecoded() {
    for (fields, frame, why) in [
        (&FIELDS[..], "00 0101 01 0101 02 0109", "needs 9 bytes"),
        (
            &["l: repeat 1 'u8' split", "tags: bytes rest with tags drop"],
            "00 0101 01 0101 02",
            "another list",
        ),
    ] {
        let reading = decode("split", fields, frame);
        let found = reading.undecoded.unwrap_or_default();
        assert!(found.contains(why), "{found}");
        assert!(reading.parts.is_none());
    }
}

#[test]
fn elements_of_lists_have_no_records() {
    let tags = json!({"type": "tlv", "tag": "u8", "size": "u8", "again": "split", "cases": [[1, "n: u8"], [2, "more"]]});
    let last = json!({"type": "tlv", "tag": "u8", "size": "u8", "cases": [[1, "deep: bytes rest with tags"]]});
    let wrong = "`split` is for tags of the frame, not of a list's element".to_owned();
    for (fields, item, found) in [
        ("items: repeat rest item", "body: u8", false),
        ("all: bytes rest with tags drop", "body: u8", false),
        ("items: repeat rest item", "body: bytes 2 with tags", true),
        ("items: repeat rest item", "body: bytes 2 with last", true),
    ] {
        let decode = json!({"type": "binary", "fields": [fields]});
        let layouts = json!({"tags": tags, "last": last, "more": {"fields": ["m: u8"]}, "item": {"fields": [item]}});
        let expected: Vec<_> = found
            .then(|| ("/tags/again".to_owned(), wrong.clone()))
            .into_iter()
            .collect();
        assert_eq!(pointers(&decode, &layouts), expected, "{fields} {item}");
    }
}

#[test]
fn what_records_add_to_messages_is_known() {
    let layouts = json!({"tags": {"type": "tlv", "tag": "u8", "size": "u8", "again": "split", "cases": [[1, "n: u8"], [2, "more"]]},
        "more": {"fields": ["m: u8"]}});
    let decode =
        json!({"type": "binary", "fields": ["head: u8", "all: bytes rest with tags drop"]});
    let decoder = decoder(decode, layouts.clone());
    assert!(decoder.splits());
    assert_eq!(decoder.split_lists().unwrap(), [("tags", vec!["n", "m"])]);
    let decoder = self::decoder(
        layouts["tags"].clone(),
        json!({"more": {"fields": ["m: u8"]}}),
    );
    assert_eq!(decoder.split_lists().unwrap(), [("decode", vec!["n", "m"])]);
}
