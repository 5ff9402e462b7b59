//! `tlv`: tags, sizes and values.

#![expect(clippy::arithmetic_side_effects, reason = "numbers of tests are small")]

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{bytes_of, decoder, values};
use crate::decoding::{Frame, Problems, Section, read};

fn tlv(members: Json) -> Json {
    let mut decode = json!({"type": "tlv", "tag": "u8", "size": "u8"});
    for (name, member) in members.as_object().unwrap() {
        decode[name] = member.clone();
    }
    decode
}

#[test]
fn tags_choose_fields_and_layouts() {
    let layouts = json!({
        "point": {"fields": ["x: u8", "y: u8 neg south"]},
        "list": {"fields": ["list: repeat rest 'u8'"]},
        "inner": tlv(json!({"cases": [[1, "deep: u8"]], "unknown": "other"})),
    });
    let cases = json!([
        [1, "a: u16 * 2"],
        ["0x02", "point"],
        [3, "south: u8"],
        [4, "text: ascii rest"],
        [5, "list"],
        [6, "inner"],
        [7, "more: bytes rest with point drop"],
        [8, "b: u8 if length = 1"]
    ]);
    for (members, frame, expected) in [
        (
            json!({"cases": cases}),
            "01 02 0005 04 02 6869",
            json!({"a": 10, "text": "hi"}),
        ),
        (
            json!({"cases": cases}),
            "02 02 0102 03 01 01 02 02 0304",
            json!({"x": 3, "y": -4, "south": 1}),
        ),
        (
            json!({"cases": cases}),
            "05 02 0102 06 06 01 01 07 09 01 ff 04 00",
            json!({"list": [1, 2], "deep": 7, "other": {"9": "ff"}}),
        ),
        (
            json!({"cases": cases}),
            "01 03 000500 ff 01 00 07 02 0102 08 02 0102 03 01 00",
            json!({"a": 10, "x": 1, "y": 2, "south": 0}),
        ),
        (
            json!({"cases": cases, "unknown": "others"}),
            "63 02 0102 64 00 63 01 0a",
            json!({"others": {"99": "0a", "100": ""}}),
        ),
        (
            json!({"tag": "u16le", "size": "u16le", "add": -4}),
            "0100 0500 ff",
            json!({}),
        ),
        (
            json!({"tag": "varint", "size": "varint", "cases": [[300, "a: u8"]]}),
            "ac02 01 09",
            json!({"a": 9}),
        ),
        (
            json!({"tag": "ascii 2", "size": "decimal 2", "cases": [["AB", "a: ascii rest"]]}),
            "4142 3033 787978 5858 3030",
            json!({"a": "xyx"}),
        ),
        (
            json!({"endian": "little", "cases": [[1, "a: u16"]]}),
            "01 02 0100",
            json!({"a": 1}),
        ),
        (
            json!({"cases": [[1, 2, "a: u16"]], "sizes": [[9, 1]]}),
            "01 0005 09 ff 03 01 07",
            json!({"a": 5}),
        ),
        (json!({"cases": cases}), "", json!({})),
    ] {
        let members_shown = members.to_string();
        let whole = members.get("cases") == Some(&cases);
        let shown = if whole { layouts.clone() } else { json!({}) };
        let reading = decoder(tlv(members), shown).decode(Frame {
            bytes: &bytes_of(frame),
            body: 0.into(),
        });
        assert_eq!(reading.undecoded, None, "{members_shown} {frame}");
        assert_eq!(values(&reading), expected, "{members_shown} {frame}");
    }
}

#[test]
fn what_does_not_fit_is_undecoded() {
    let cases = json!([[1, "a: u16"], [2, "nested"]]);
    let layouts = json!({"nested": tlv(json!({"cases": [[2, "nested"]]}))});
    let nested = bytes_of("02 12 02 10 02 0e 02 0c 02 0a 02 08 02 06 02 04 02 02 02 00");
    let many: Vec<u8> = std::iter::repeat_n([9, 0], 10_001).flatten().collect();
    for (members, frame, why) in [
        (
            json!({"cases": cases}),
            &[1, 1, 0][..],
            "tag 1: a needs 2 bytes",
        ),
        (
            json!({"cases": cases}),
            &[1, 2, 0],
            "tag 1 needs 2 bytes, 1 are left",
        ),
        (
            json!({"cases": cases}),
            &[1],
            "tag 1 needs 2 bytes of the frame",
        ),
        (
            json!({"size": "i8"}),
            &[1, 0xff],
            "tag 1 cannot have the size -1",
        ),
        (json!({"add": -2}), &[1, 1], "tag 1 cannot have the size 1"),
        (json!({"size": "u64"}), &[0xff; 12], "are left"),
        (
            json!({"size": "u64", "add": 16_777_216}),
            &[0xff; 12],
            "tag 255",
        ),
        (json!({"tag": "u16"}), &[1], "a tag needs 2 bytes"),
        (json!({"cases": cases}), &nested, "more than 8 deep"),
        (
            json!({"unknown": "others"}),
            &many,
            "more than 10000 values",
        ),
        (
            json!({"size": false, "sizes": [[1, 1]]}),
            &[1, 0, 2, 0],
            "tag 2 has no size",
        ),
    ] {
        let mut decode = tlv(members);
        if decode["size"] == json!(false) {
            decode.as_object_mut().unwrap().remove("size");
        }
        let reading = decoder(decode, layouts.clone()).decode(Frame {
            bytes: frame,
            body: 0.into(),
        });
        let found = reading
            .undecoded
            .unwrap_or_else(|| panic!("{why}: decoded"));
        assert!(found.contains(why), "{why}: {found}");
    }
}

#[test]
fn cookbook_frames_with_tags() {
    let jt808 = json!({"type": "binary",
        "fields": ["msgId: u16", "attributes: u16 bits split@13 v2019@14 drop", "skip 1 if v2019",
            "phone: bcd 10 if v2019", "phone: bcd 6 if !v2019", "seq: u16"],
        "select": {"by": "msgId", "cases": [[512, "position"]]}});
    let jt808_layouts = json!({
        "position": {"fields": ["alarm: u32", "status: u32 bits acc@0 valid@1 south@2 west@3 drop",
            "latitude: u32 / 1000000 neg south", "longitude: u32 / 1000000 neg west", "altitude: i16", "speed: u16 / 10",
            "course: u16", "time: bcdtime zone +08:00", "more: bytes rest -1 with extras drop"]},
        "extras": tlv(json!({"cases": [[1, "odometer: u32 * 100"], [48, "rssi: u8"], [49, "satellites: u8"]]}))});
    let galileosky = json!({"type": "binary", "endian": "little", "fields": ["skip 3", "tags: bytes rest -2 with tags drop"]});
    let galileosky_layouts = json!({
        "tags": {"type": "tlv", "tag": "u8",
            "cases": [[3, 15, "imei: ascii 15"], [4, 2, "deviceId: u16"], ["0x20", 4, "time: u32 unix"], ["0x30", 9, "position"],
                ["0x33", 4, "motion"], ["0x34", 2, "altitude: i16"], ["0x41", 2, "power: u16 / 1000"]],
            "sizes": [[1, 1], [2, 1], [16, 2], ["0x35", 1], ["0x40", 2]]},
        "position": {"fields": ["satellites: u8 & 15", "latitude: i32 / 1000000", "longitude: i32 / 1000000"]},
        "motion": {"fields": ["speed: u16 / 10", "course: u16 / 10"]}});
    let teltonika =
        json!({"type": "binary", "fields": ["n: u16 drop", "io: repeat n element map id v"]});
    let element = json!({"element": {"fields": ["id: u16", "size: u16", "v: hex size"]}});
    for (decode, layouts, frame, expected, time) in [
        (
            jt808,
            jt808_layouts,
            "0200002c013912345678007e000000000000000301567d4006ca12f000320064005a24010512301001040000303930011f31010c27",
            json!({"msgId": 512, "split": false, "v2019": false, "phone": "013912345678", "seq": 126, "alarm": 0, "acc": true,
                "valid": true, "south": false, "west": false, "latitude": 22.445376, "longitude": 113.906416, "altitude": 50,
                "speed": 10.0, "course": 90, "odometer": 1_234_500, "rssi": 31, "satellites": 12}),
            Some("2024-01-05T04:30:10Z"),
        ),
        (
            galileosky.clone(),
            galileosky_layouts.clone(),
            "011380033836383230343030313534393038370432008590",
            json!({"imei": "868204001549087", "deviceId": 50}),
            None,
        ),
        (
            galileosky,
            galileosky_layouts,
            "0114002080d096653009005d3403a0e6ca06336801840359b5",
            json!({"satellites": 9, "latitude": 53.763328, "longitude": 113.960608, "speed": 36.0, "course": 90.0}),
            Some("2024-01-04T15:36:32Z"),
        ),
        (
            teltonika,
            element,
            "0002 0001 0001 05 00ff 0003 010203",
            json!({"io": {"1": "05", "255": "010203"}}),
            None,
        ),
    ] {
        let reading = decoder(decode, layouts).decode(Frame {
            bytes: &bytes_of(frame),
            body: 0.into(),
        });
        assert_eq!(reading.undecoded, None, "{frame}");
        assert_eq!(values(&reading), expected);
        assert_eq!(reading.time.map(|time| time.to_string()).as_deref(), time);
    }
}

#[test]
fn a_frame_selects_a_layout_of_tags() {
    let decode = json!({"type": "binary", "fields": ["k: u8"], "select": {"by": "k", "cases": [[1, "tags"]]}});
    let layouts = json!({"tags": {"type": "tlv", "tag": "u8", "size": "u8", "cases": [[1, "a: u8"]], "reply": "ok"}});
    let decoder = decoder(decode, layouts);
    let reading = decoder.decode(Frame {
        bytes: &[1, 1, 1, 7],
        body: 0.into(),
    });
    assert_eq!(
        (reading.kind.as_deref(), values(&reading)),
        (Some("tags"), json!({"k": 1, "a": 7}))
    );
    assert_eq!(decoder.field_names().unwrap(), ["k", "a"]);
}

#[test]
fn mistakes_in_tags() {
    let decode = json!({"type": "tlv", "tag": "u17", "size": "ascii 2", "add": 99_999_999, "cases": [
        [1, "a: u8"], ["0x01", "b: u8"], ["x", "c: u8"], [2, "pare"], [3, "d: u8 enun 1=2"], [4], [5, -1, "e: u8"], [6, "f: u8 if nothing"],
        "text"], "sizes": [[1, 1], [null, 2]], "vnknown": "x"});
    let layouts = json!({"pair": {"fields": ["id: u8"]}});
    let found = |decode: &Json| {
        let mut problems = Problems::new();
        let read = read(
            Some(&Section::root(decode)),
            Some(&Section::root(&layouts)),
            &mut problems,
        );
        assert!(read.is_none());
        let found = problems.as_slice().iter();
        found
            .map(|problem| {
                (
                    problem.pointer.clone(),
                    problem.column,
                    problem.message.clone(),
                )
            })
            .collect::<Vec<_>>()
    };
    let check = |decode: &Json, rows: &[(&str, Option<usize>, &str)]| {
        let found = found(decode);
        for (pointer, column, part) in rows {
            let hit = found
                .iter()
                .any(|(p, c, m)| p == pointer && c == column && m.contains(part));
            assert!(hit, "{pointer} {column:?} {part} in {found:#?}");
        }
    };
    check(
        &decode,
        &[
            ("/tag", Some(1), "whole number of bytes"),
            ("/size", Some(1), "such as u8"),
            ("/add", None, "too many"),
            ("/cases/3/1", Some(1), "did you mean \"pair\""),
            ("/cases/4/1", Some(7), "did you mean \"enum\""),
            ("/cases/5", None, "expected [tag, field]"),
            ("/cases/6/1", None, "0 to 65535"),
            ("/cases/8", None, "expected [tag, field]"),
            ("/sizes/1/0", None, "null"),
            ("/vnknown", None, "did you mean"),
        ],
    );
    check(
        &json!({"type": "tlv", "tag": "u8", "cases": [[1, 1, "a: u8"], ["0x01", 1, "b: u8"], ["x", 1, "c: u8"], [2, "pair"]]}),
        &[
            ("/cases/1", None, "the same tag"),
            ("/cases/2", None, "a number as tag"),
            ("/cases/3", None, "[tag, bytes, field]"),
        ],
    );
    check(
        &json!({"type": "tlv", "tag": "u8", "size": "u8", "cases": [[1, "a: u8"], [2, "b: u8 if nothing"], [3, "l: repeat n pair"]]}),
        &[
            ("/cases/1", None, "\"nothing\""),
            ("/cases/2", None, "\"n\""),
        ],
    );
    check(&json!({"type": "tlv", "size": "u8"}), &[("", None, "tag")]);
}

proptest! {
    #[test]
    fn every_element_is_found(elements in prop::collection::vec((any::<u16>(), prop::collection::vec(any::<u8>(), 0..9)), 0..40)) {
        let mut frame = Vec::new();
        let mut expected = serde_json::Map::new();
        for (tag, value) in &elements {
            frame.extend(tag.to_be_bytes());
            frame.push(u8::try_from(value.len()).unwrap() + 3);
            frame.extend(value);
            let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
            expected.insert(tag.to_string(), json!(hex));
        }
        let decode = json!({"type": "tlv", "tag": "u16", "size": "u8", "add": -3, "unknown": "all"});
        let reading = decoder(decode, json!({})).decode(Frame { bytes: &frame, body: 0.into() });
        prop_assert_eq!(&reading.undecoded, &None);
        let expected = if elements.is_empty() { json!({}) } else { json!({"all": expected}) };
        prop_assert_eq!(values(&reading), expected);
    }

    #[test]
    fn any_tags_on_any_frame(
        tag in "u8|u16le|varint|ascii 1|hexadecimal 2|bcd 1", size in "u8|i8|u64|zigzag|decimal until ,", add in -4i64..5, again in "last|split",
        frame in prop::collection::vec(prop_oneof![0u8..6, any::<u8>(), Just(b',')], 0..300),
    ) {
        let decode = json!({"type": "tlv", "tag": tag, "size": size, "add": add, "again": again, "unknown": "others", "cases": [
            [1, "pairs"], [2, "self"], [3, "a: ascii rest with self drop"], [4, 3, "l: repeat rest 'u8'"]]});
        let mut own = decode.clone();
        own["unknown"] = json!("inner");
        let layouts = json!({"pairs": {"fields": ["list: repeat rest pair map k v"]}, "pair": {"fields": ["k: u8", "v: hex 2"]}, "self": own});
        let mut problems = Problems::new();
        let decoder = read(Some(&Section::root(&decode)), Some(&Section::root(&layouts)), &mut problems);
        if let Some(decoder) = decoder {
            let reading = decoder.decode(Frame { bytes: &frame, body: 0.into() });
            prop_assert!(serde_json::to_string(&reading.fields).unwrap().len() < 40 * frame.len() + 500);
        }
    }
}
