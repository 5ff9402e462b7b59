//! What the decoders make of frames: the cookbook's and the corners'.

mod as_it_is;
mod columns;
mod ends;
mod hostile;
mod inverse;
mod lines;
mod lists;
mod mistakes;
mod order;
mod pairs;
mod parts;
mod records;
mod repeats;
mod swaps;
mod tlv;
mod types;

use serde_json::{Value as Json, json};

use super::*;

fn decoder(decode: Json, layouts: Json) -> Decoder {
    let mut problems = Problems::new();
    let read = read(
        Some(&Section::root(&decode)),
        Some(&Section::root(&layouts)),
        &mut problems,
    );
    assert!(problems.is_empty(), "{problems:?}");
    read.unwrap()
}

fn gt06() -> Decoder {
    decoder(
        json!({
            "type": "binary", "fields": ["type: u8", "seq: u16 at -6"],
            "select": {"by": "type", "cases": [
                [1, "login"], [16, "position"], [18, "position"], [34, "position"], [19, "status"]]}
        }),
        json!({
            "login": {"fields": ["imei: bcd 8 ltrim 0"], "publish": false, "reply": "ok"},
            "position": {"fields": [
                "time: ymdhms", "satellites: u8 & 15", "latitude: u32 / 1800000 neg !north",
                "longitude: u32 / 1800000 neg west", "speed: u8 unit km/h",
                "flags: u16 bits course@0:10 north@10 west@11 valid@12 drop"]},
            "status": {"fields": ["flags: u8 bits ignition@1 charge@2 drop", "voltageLevel: u8", "gsm: u8"],
                "publish": false, "reply": "ok"}
        }),
    )
}

fn bytes_of(hex: &str) -> Vec<u8> {
    crate::notation::bytes(&format!("0x{hex}")).unwrap()
}

/// The values as a message has them: without what is dropped.
fn values(reading: &Reading) -> Json {
    let shown = reading.fields.clone().without_hidden();
    serde_json::to_value(&shown).unwrap()
}

#[test]
fn gt06_login_and_position() {
    let login = bytes_of("78780d01012345678901234500018cdd0d0a");
    let reading = gt06().decode(Frame {
        bytes: &login,
        body: 3.into(),
    });
    assert_eq!(
        values(&reading),
        json!({"type": 1, "seq": 1, "imei": "123456789012345"})
    );
    assert_eq!(reading.kind.as_deref(), Some("login"));
    assert_eq!(
        (reading.publish, &*reading.replies),
        (false, &["ok".into()][..])
    );

    let position =
        bytes_of("78781f12110616091835d0024bb93007d3fb783dd4c501940500f2006c8504a6e0370d0a");
    let reading = gt06().decode(Frame {
        bytes: &position,
        body: 3.into(),
    });
    assert_eq!(reading.undecoded, None);
    assert_eq!(
        values(&reading),
        json!({
            "type": 18, "seq": 1190, "satellites": 0, "latitude": 21.398355555555554, "longitude": 72.96276888888889,
            "speed": 61, "course": 197, "north": true, "west": false, "valid": true
        })
    );
    assert_eq!(reading.time.unwrap().to_string(), "2017-06-22T09:24:53Z");
    assert!(reading.publish && reading.fields.get("flags").is_some());
}

#[test]
fn gt06_south_and_west_are_negative() {
    let mut position =
        bytes_of("78781f12110616091835d0024bb93007d3fb783dd8c501940500f2006c8504a6e0370d0a");
    let reading = gt06().decode(Frame {
        bytes: &position,
        body: 3.into(),
    });
    assert_eq!(
        values(&reading)["latitude"],
        json!(-21.398355555555554),
        "north is not set"
    );
    assert_eq!(
        values(&reading)["longitude"],
        json!(-72.96276888888889),
        "west is set"
    );
    position.truncate(18);
    let reading = gt06().decode(Frame {
        bytes: &position,
        body: 3.into(),
    });
    assert!(reading.undecoded.unwrap().starts_with("longitude "));
    assert_eq!(reading.kind.as_deref(), Some("undecoded"));
    assert!(
        reading.fields.get("latitude").is_some(),
        "what was read stays"
    );
}

#[test]
fn syslog_lines_with_and_without_a_count() {
    let pattern = r"(?:\d+ )?<(?P<pri>\d+)>1 (?P<time>\S+) (?P<host>\S+) (?P<app>\S+) (?P<proc>\S+) (?P<mid>\S+) (?:-|\[.*?\]) ?(?P<text>.*)";
    let decoder = decoder(
        json!({"type": "regex", "pattern": pattern, "fields": ["pri: integer", "proc: null '-'"]}),
        json!({}),
    );
    let frame = b"43 <13>1 2024-01-05T12:00:00Z h1 app - - - a\nb";
    let reading = decoder.decode(Frame {
        bytes: frame,
        body: 0.into(),
    });
    assert_eq!(reading.undecoded, None);
    let expected =
        json!({"pri": 13, "host": "h1", "app": "app", "proc": null, "mid": "-", "text": "a\nb"});
    assert_eq!(values(&reading), expected);
    assert_eq!(reading.time.unwrap().to_string(), "2024-01-05T12:00:00Z");

    let frame = b"<14>1 2024-01-05T12:00:01.5+01:00 h\xff app - - - ";
    let reading = decoder.decode(Frame {
        bytes: frame,
        body: 0.into(),
    });
    assert_eq!(values(&reading)["host"], json!("h\u{fffd}"));
    assert!(reading.replaced, "invalid text is flagged");
    assert_eq!(
        reading.fields.get("text"),
        None,
        "an empty text leaves its field out"
    );
    assert_eq!(reading.time.unwrap().to_string(), "2024-01-05T11:00:01.5Z");
    let reading = decoder.decode(Frame {
        bytes: b"hello",
        body: 0.into(),
    });
    assert_eq!(
        reading.undecoded.as_deref(),
        Some("the pattern does not match")
    );
}

#[test]
fn a_scale_says_its_weight() {
    let decoder = decoder(
        json!({"type": "regex", "pattern": r"S (?P<stable>[SD])\s+(?P<weight>-?[\d.]+) (?P<unit>\w+)",
            "fields": ["stable: enum S=true D=false", "weight: number"]}),
        json!({}),
    );
    for (line, expected) in [
        (
            "S S      12.34 kg",
            json!({"stable": true, "weight": 12.34, "unit": "kg"}),
        ),
        (
            "S D      -0.02 kg",
            json!({"stable": false, "weight": -0.02, "unit": "kg"}),
        ),
    ] {
        let reading = decoder.decode(Frame {
            bytes: line.as_bytes(),
            body: 0.into(),
        });
        assert_eq!(values(&reading), expected);
    }
    let reading = decoder.decode(Frame {
        bytes: b"S S 1.2.3 kg",
        body: 0.into(),
    });
    assert_eq!(reading.undecoded.as_deref(), Some("weight is no number"));
}

fn check_field(fields: &[&str], frame: &[u8], expected: Result<Json, &str>) {
    let decoder = decoder(json!({"type": "binary", "fields": fields}), json!({}));
    let reading = decoder.decode(Frame {
        bytes: frame,
        body: 0.into(),
    });
    match expected {
        Ok(expected) => {
            assert_eq!(reading.undecoded, None, "{fields:?}");
            assert_eq!(values(&reading), expected, "{fields:?}");
        }
        Err(part) => {
            let why = reading
                .undecoded
                .unwrap_or_else(|| panic!("{fields:?} was decoded"));
            assert!(why.contains(part), "{fields:?}: {why}");
        }
    }
}

#[test]
fn types_of_binary_fields() {
    let cases: [(&[&str], &[u8], Json); 22] = [
        (
            &["a: u16", "b: u16le"],
            b"\x01\x02\x01\x02",
            json!({"a": 258, "b": 513}),
        ),
        (
            &["a: i24", "b: i8"],
            b"\xff\xff\xfe\x80",
            json!({"a": -2, "b": -128}),
        ),
        (&["a: u64"], &[0xff; 8], json!({"a": u64::MAX})),
        (
            &["a: f32", "b: f64le"],
            b"\x3f\xc0\0\0\0\0\0\0\0\0\xf8\x3f",
            json!({"a": 1.5, "b": 1.5}),
        ),
        (&["a: f32"], b"\x7f\xc0\0\0", json!({"a": null})),
        (
            &["a: hex 2", "b: bcd 2 rtrim f"],
            b"\xab\x01\x12\x3f",
            json!({"a": "ab01", "b": "123"}),
        ),
        (
            &["n: u8", "a: ascii n", "b: utf8 rest"],
            b"\x02hi\xc3\xa9",
            json!({"n": 2, "a": "hi", "b": "é"}),
        ),
        (
            &["a: ascii until ,", "b: ascii rest -1"],
            b"x,yz#",
            json!({"a": "x", "b": "yz"}),
        ),
        (
            &["a: decimal 3", "b: hexadecimal until ;"],
            b" 42ff;",
            json!({"a": 42, "b": 255}),
        ),
        (
            &["skip 2", "a: u8", "b: u8 at 0"],
            b"\x09\x08\x07",
            json!({"a": 7, "b": 9}),
        ),
        (&["a: bytes 2"], b"\x01\x02", json!({"a": "AQI="})),
        (&["a: ascii 4 rtrim 0x00"], b"ab\0\0", json!({"a": "ab"})),
        (
            &["a: ascii 2 trim ' '", "b: u8"],
            b"  \x01",
            json!({"b": 1}),
        ),
        (
            &["a: u8 enum 1=on 2='half on'", "b: u8 enum 1=on"],
            b"\x02\x03",
            json!({"a": "half on", "b": 3}),
        ),
        (
            &["a: u8 null 255 * 2", "b: u8 null 255 * 2"],
            b"\xff\x02",
            json!({"a": null, "b": 4}),
        ),
        (
            &[
                "a: u8 * 0.1 round 1",
                "b: u8 - 40 text",
                "c: u16 >> 4 & 0xff",
            ],
            b"\x03\x0a\x12\x34",
            json!({"a": 0.3, "b": "-30", "c": 35}),
        ),
        (
            &["k: u8", "a: u8 if k = 2", "b: u8 if k = 1"],
            b"\x01\x05",
            json!({"k": 1, "b": 5}),
        ),
        (
            &["a: u8 neg f", "f: u8"],
            b"\x05\x01",
            json!({"a": -5, "f": 1}),
        ),
        // What is read last has no sign of what was read before.
        (
            &["a: u8 neg f", "f: u8 bits a@0:4"],
            b"\x05\x01",
            json!({"a": 1, "f": 1}),
        ),
        (
            &["a: u8 bits x@0 y@1:3"],
            b"\x0b",
            json!({"a": 11, "x": true, "y": 5}),
        ),
        (
            &["t: ymdhms zone +08:00", "u: bcdtime"],
            b"\x11\x06\x16\x09\x18\x35\x17\x06\x22\x09\x24\x53",
            json!({"t": "2017-06-22T01:24:53Z", "u": "2017-06-22T09:24:53Z"}),
        ),
        (&["a: u8", "a: u8"], b"\x01\x02", json!({"a": 2})),
    ];
    for (fields, frame, expected) in cases {
        check_field(fields, frame, Ok(expected));
    }
}

#[test]
fn what_cannot_be_read_is_undecoded() {
    let cases: [(&[&str], &[u8], &str); 13] = [
        (&["a: u16"], b"\x01", "a needs 2 bytes"),
        (&["a: u8 at -3"], b"\x01", "a is at -3"),
        (&["a: u8", "b: ascii a"], b"\xff", "b needs 255 bytes"),
        (&["a: i8", "b: ascii a"], b"\xff", "b cannot be -1"),
        (&["a: ascii until ,"], b"abc", "a needs a byte 0x2c"),
        (&["a: hex rest -2"], b"a", "a must end 2 bytes"),
        (&["a: decimal 2"], b"xx", "a is not a number"),
        (&["a: bcd 1"], b"\xab", "a is not made of decimal digits"),
        (
            &["a: ymdhms"],
            b"\x11\x0d\x16\x09\x18\x35",
            "a is not a time",
        ),
        (&["a: u64 * 2"], &[0xff; 8], "a is too large"),
        (
            &["a: u8 neg b", "b: u8 if a = 9"],
            b"\x01\x01",
            "a needs `b`",
        ),
        (&["time: u8"], b"\x01", "time is not a text"),
        (
            &["a: ascii 1 enum y=1 * 3"],
            b"x",
            "a is not a whole number",
        ),
    ];
    for (fields, frame, why) in cases {
        check_field(fields, frame, Err(why));
    }
}

#[test]
fn times_of_other_forms() {
    let fields = ["time: u32 unix"];
    let decoder = decoder(json!({"type": "binary", "fields": fields}), json!({}));
    let reading = decoder.decode(Frame {
        bytes: b"\x65\x97\xef\xc0",
        body: 0.into(),
    });
    assert_eq!(reading.time.unwrap().to_string(), "2024-01-05T12:02:08Z");
    check_field(
        &["t: ascii rest time %Y%m%d%H%M%S zone +01:00"],
        b"20240105120000",
        Ok(json!({"t": "2024-01-05T11:00:00Z"})),
    );
    // A zone in the text goes before one in the settings.
    check_field(
        &["t: ascii rest time %Y%m%d%H%M%S%.f%z zone +01:00"],
        b"20240105120001.25-0330",
        Ok(json!({"t": "2024-01-05T15:30:01.25Z"})),
    );
    check_field(
        &["t: ascii rest time %Y%m%d%H%M%z"],
        b"202401051200+2560",
        Err("t is not a time"),
    );
    check_field(
        &["t: ascii rest time %Y%m%d"],
        b"2024-01-05",
        Err("t is not a time"),
    );
}

#[test]
fn a_time_in_digits_goes_as_far_as_they_go() {
    for (text, expected) in [
        ("2024", Ok("2024-01-01T00:00:00Z")),
        ("202403", Ok("2024-03-01T00:00:00Z")),
        ("20240305", Ok("2024-03-05T00:00:00Z")),
        ("2024030512", Ok("2024-03-05T12:00:00Z")),
        ("202403051230", Ok("2024-03-05T12:30:00Z")),
        ("20240305123001", Ok("2024-03-05T12:30:01Z")),
        ("20240305123001.25-0330", Ok("2024-03-05T16:00:01.25Z")),
        ("202403051230+0200", Ok("2024-03-05T10:30:00Z")),
        ("202", Err("t is not a time in digits")),
        ("20240", Err("t is not a time in digits")),
        ("202413", Err("t is not a time in digits")),
        ("202403051230011", Err("t is not a time in digits")),
        ("2024-03-05", Err("t is not a time in digits")),
        ("20240305 12", Err("t is not a time in digits")),
    ] {
        let expected = expected.map(|time| json!({"t": time}));
        check_field(&["t: ascii rest time digits"], text.as_bytes(), expected);
    }
    check_field(
        &["t: ascii rest time digits zone +01:00"],
        b"20240305",
        Ok(json!({"t": "2024-03-04T23:00:00Z"})),
    );
}

#[test]
fn json_members_stay_exact() {
    let decoder = decoder(
        json!({"type": "json", "fields": ["temp: number", "where: at '/pos/name'"]}),
        json!({}),
    );
    let frame = br#"{"temp":"21.5","n":18446744073709551615,"pos":{"name":"a"},"l":[1,null],"time":"2024-01-05T12:00:00"}"#;
    let reading = decoder.decode(Frame {
        bytes: frame,
        body: 0.into(),
    });
    assert_eq!(reading.undecoded, None);
    let expected =
        json!({"temp": 21.5, "where": "a", "n": u64::MAX, "pos": {"name": "a"}, "l": [1, null]});
    assert_eq!(values(&reading), expected);
    assert_eq!(reading.time.unwrap().to_string(), "2024-01-05T12:00:00Z");
    for (frame, why) in [
        (&b"[1]"[..], "not a JSON object"),
        (b"{", "not JSON"),
        (b"{\"time\":3}", "time"),
    ] {
        let reading = decoder.decode(Frame {
            bytes: frame,
            body: 0.into(),
        });
        assert!(reading.undecoded.unwrap().contains(why), "{frame:?}");
    }
}

#[test]
fn text_and_raw() {
    let text = decoder(json!({"type": "text"}), json!({}));
    let reading = text.decode(Frame {
        bytes: b"..hi\xff",
        body: 2.into(),
    });
    assert_eq!(
        (values(&reading), reading.replaced),
        (json!({"text": "hi\u{fffd}"}), true)
    );
    let number = decoder(
        json!({"type": "text", "fields": ["weight: number unit kg"]}),
        json!({}),
    );
    assert_eq!(
        values(&number.decode(Frame {
            bytes: b" 12.5 ",
            body: 0.into()
        })),
        json!({"weight": 12.5})
    );
    let raw = read(None, None, &mut Problems::new()).unwrap();
    let reading = raw.decode(Frame {
        bytes: b"\x01\x02",
        body: 1.into(),
    });
    assert_eq!(
        (values(&reading), reading.kind, reading.publish),
        (json!({"raw": "Ag=="}), None, true)
    );
    assert!(
        raw.decode(Frame {
            bytes: b"",
            body: 1.into()
        })
        .undecoded
        .is_some()
    );
}

#[test]
fn select_goes_on_to_a_default_or_is_undecoded() {
    let layouts = json!({
        "v1": {"type": "{head}-{n}", "output": "alarms", "reply": ["a", "b"]},
        "rest": {"type": "json"},
        "named": {"type": "other"},
    });
    let decode = json!({"type": "regex", "pattern": "^(?P<head>[A-Z]\\d?)(?P<n>\\d)",
        "select": {"by": "head", "cases": [["V1", "v1"], ["X", "rest"], ["Y", "named"]]}});
    let with = decoder(decode.clone(), layouts.clone());
    let reading = with.decode(Frame {
        bytes: b"V12",
        body: 0.into(),
    });
    assert_eq!(
        (reading.kind.as_deref(), reading.output.as_deref()),
        (Some("V1-2"), Some("alarms"))
    );
    assert_eq!(&*reading.replies, &["a".into(), "b".into()]);
    assert_eq!(
        with.decode(Frame {
            bytes: b"Y1",
            body: 0.into()
        })
        .kind
        .as_deref(),
        Some("other")
    );
    let reading = with.decode(Frame {
        bytes: b"Z1",
        body: 0.into(),
    });
    assert_eq!(
        reading.undecoded.as_deref(),
        Some("no layout for this head")
    );
    assert_eq!(values(&reading), json!({"head": "Z", "n": "1"}));
    let mut decode = decode;
    decode["select"]["default"] = json!("named");
    let reading = decoder(decode, layouts).decode(Frame {
        bytes: b"Z1",
        body: 0.into(),
    });
    assert_eq!(reading.kind.as_deref(), Some("other"));
}
