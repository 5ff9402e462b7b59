//! Types and steps beyond the plain integers and texts.

#![expect(clippy::arithmetic_side_effects, reason = "numbers of tests are small")]

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{bytes_of, check_field, decoder, values};
use crate::decoding::Frame;
use crate::message::{Fields, Value};
use crate::template::{Context, Memory, Template};

#[test]
fn integers_that_processors_do_not_have() {
    for (fields, frame, expected) in [
        (
            &["a: varint", "b: u8"][..],
            "ac02 07",
            json!({"a": 300, "b": 7}),
        ),
        (
            &["a: varint"],
            "ffffffffffffffffff01",
            json!({"a": u64::MAX}),
        ),
        (&["a: varint"], "8000", json!({"a": 0})),
        (
            &["a: zigzag", "b: zigzag", "c: zigzag"],
            "00 01 04",
            json!({"a": 0, "b": -1, "c": 2}),
        ),
        (
            &["a: zigzag"],
            "ffffffffffffffffff01",
            json!({"a": i64::MIN}),
        ),
        (
            &["a: sm16", "b: sm16le"],
            "8005 0580",
            json!({"a": -5, "b": -5}),
        ),
        (
            &["a: sm32", "b: sm8", "c: sm24le"],
            "7fffffff 81 010080",
            json!({"a": i32::MAX, "b": -1, "c": -1}),
        ),
        (&["a: sm16"], "8000", json!({"a": 0})),
        (
            &["a: bcd 4 le", "b: bcd 2 integer", "c: bcd 2 number / 10"],
            "78563412 0042 0425",
            json!({"a": "12345678", "b": 42, "c": 42.5}),
        ),
    ] {
        check_field(fields, &bytes_of(frame), Ok(expected));
    }
    for (field, frame, why) in [
        (
            "a: varint",
            "ffffffffffffffffff02",
            "a is more than 64 bits",
        ),
        ("a: varint", "8080808080808080808080", "a is too many bytes"),
        ("a: varint", "ff", "a needs 2 bytes"),
        ("a: sm32", "ffff", "a needs 4 bytes, 2 are left"),
        ("a: bcd 1 integer", "ff", "a is no whole number"),
    ] {
        check_field(&[field], &bytes_of(frame), Err(why));
    }
}

#[test]
fn texts_and_addresses() {
    for (fields, frame, expected) in [
        (&["a: latin1 3"][..], "e9 41 ff", json!({"a": "éAÿ"})),
        (
            &["a: gbk 4", "b: gbk until 0x00"],
            "bea9 4131 d4c1 00",
            json!({"a": "京A1", "b": "粤"}),
        ),
        (
            &["a: utf16 4", "b: utf16le rest"],
            "00e9 4eac ac4e 3dd8 00de",
            json!({"a": "é京", "b": "京😀"}),
        ),
        (
            &["a: mac", "b: ipv4"],
            "001a2b3c4dff 0a000007",
            json!({"a": "00:1a:2b:3c:4d:ff", "b": "10.0.0.7"}),
        ),
        (
            &["a: mac at -6", "n: u8", "b: latin1 n"],
            "01 78 000000000000",
            json!({"a": "00:00:00:00:00:00", "n": 1, "b": "x"}),
        ),
    ] {
        check_field(fields, &bytes_of(frame), Ok(expected));
    }
    for (field, frame) in [
        ("a: gbk 1", "81"),
        ("a: utf16 3", "0041 00"),
        ("a: utf16 2", "d800"),
    ] {
        let decoder = decoder(json!({"type": "binary", "fields": [field]}), json!({}));
        let reading = decoder.decode(Frame {
            bytes: &bytes_of(frame),
            body: 0.into(),
        });
        assert!(
            reading.replaced && reading.undecoded.is_none(),
            "{field} {frame}"
        );
    }
}

#[test]
fn times_in_bytes_and_counts() {
    let noon = "2024-01-05T12:30:10Z";
    for (fields, frame, expected) in [
        (&["t: cp56"][..], "1027 1e 0c a5 01 18", json!(noon)),
        (
            &["t: cp56"],
            "1127 1e 8c 05 01 18",
            json!("2024-01-05T12:30:10.001Z"),
        ),
        (&["t: cp56"], "1027 9e 0c a5 01 18", json!(null)),
        (&["t: cp24"], "1027 1e", json!(1_810_000)),
        (&["t: cp24"], "1027 9e", json!(null)),
        (&["t: dmyhms"], "05 01 18 0c 1e 0a", json!(noon)),
        (&["t: dmyhms zone +01:00"], "05 01 18 0d 1e 0a", json!(noon)),
        (
            &["t: bcd 6 time %d%m%y%H%M%S"],
            "050124 123010",
            json!(noon),
        ),
        (&["t: u32 epoch 2000-01-01"], "2d2ab2d2", json!(noon)),
        (
            &["t: u32 epoch 2000-01-01 zone +02:00"],
            "2d2acef2",
            json!(noon),
        ),
        (&["t: u32 unix zone -01:00"], "6597e842", json!(noon)),
        (
            &["t: u64 epoch 2000-01-01 ms"],
            "000000b06eca8451",
            json!("2024-01-05T12:30:10.001Z"),
        ),
        (
            &["t: i32 epoch 2010-01-01T00:00:05"],
            "fffffffb",
            json!("2010-01-01T00:00:00Z"),
        ),
        (
            &["t: f64 unix"],
            "41d965fd94a00000",
            json!("2024-01-05T12:30:10.5Z"),
        ),
        (
            &["t: ascii rest number unix"],
            "313338353035333836322e333037",
            json!("2013-11-21T17:11:02.307Z"),
        ),
        (
            &["t: u64 / 1000 unixms"],
            "00060a2418202240",
            json!("2023-11-14T22:13:20.123456Z"),
        ),
        (
            &["t: decimal 13 unixms"],
            "31373034343537383130303030",
            json!(noon),
        ),
    ] {
        check_field(fields, &bytes_of(frame), Ok(json!({"t": expected})));
    }
    for (field, frame) in [
        ("t: cp56", "1027 1e 0c 00 01 18"),
        ("t: cp56", "ffff 1e 0c a5 01 18"),
        ("t: dmyhms", "18 0d 05 0c 1e 0a"),
        ("t: u64 epoch 2000-01-01", "7fffffffffffffff"),
        ("t: f64 unix", "7ff0000000000000"),
    ] {
        check_field(&[field], &bytes_of(frame), Err("t is not a time"));
    }
}

#[test]
fn steps_on_numbers() {
    for (fields, frame, expected) in [
        (
            &["a: u16 null 0xffff|0x7fff", "b: u16 null 0xffff|0x7fff"][..],
            "7fff 7ffe",
            json!({"a": null, "b": 0x7ffe}),
        ),
        (
            &["a: u8 null 255 bits x@0", "b: u8 null 255 bits y@0 drop"],
            "ff 03",
            json!({"a": null, "y": true}),
        ),
        (
            &["a: i16 abs", "b: f32 abs"],
            "fffb bfc00000",
            json!({"a": 5, "b": 1.5}),
        ),
        (&["a: f64 radians"], "400921fb54442d18", json!({"a": 180.0})),
        (
            &["a: u32 dm 4", "b: bcd 4 dm 4", "c: ascii rest dm"],
            "0154a557 22324567 343830372e303338",
            json!({"a": 22.540945, "b": 22.540945, "c": 48.1173}),
        ),
        (
            &["a: u8 bits gps@0:2 0=none 1='2 d' 2='3 d' door@2 true=open false=closed hot@3 drop"],
            "0a",
            json!({"gps": "3 d", "door": "closed", "hot": true}),
        ),
        (
            &["a: u8 bool", "b: ascii 4 bool"],
            "01 74727565",
            json!({"a": true, "b": true}),
        ),
        (
            &["a: ascii 4 hexadecimal & 0xff"],
            "30316666",
            json!({"a": 255}),
        ),
    ] {
        check_field(fields, &bytes_of(frame), Ok(expected));
    }
    // What is read again is negated as it was said last, and once.
    check_field(
        &["a: u8 neg f", "a: u8 neg f", "f: u8"],
        b"\x01\x02\x01",
        Ok(json!({"a": -2, "f": 1})),
    );
    check_field(
        &["a: u8 neg f", "a: u8", "f: u8"],
        b"\x01\x02\x01",
        Ok(json!({"a": 2, "f": 1})),
    );
    for (negation, of, expected) in [
        ("neg f = 2", 2, -1),
        ("neg f=2", 3, 1),
        ("neg f = 0", 0, -1),
        ("neg f = 2|4..6", 5, -1),
        ("neg !f = 2", 2, 1),
        ("neg !f=2", 0, -1),
        ("neg f = 2 * 3", 2, -3),
    ] {
        check_field(
            &[&format!("a: u8 {negation}"), "f: u8 drop"],
            &[1, of],
            Ok(json!({"a": expected})),
        );
    }
    check_field(
        &["a: u8 neg f = S", "f: ascii rest"],
        b"\x01",
        Err("a needs `f` to know its sign"),
    );
    check_field(
        &["a: ascii rest dm"],
        b"4867.038",
        Err("a is not degrees and minutes"),
    );
    check_field(&["a: i8 dm"], b"\xff", Ok(json!({"a": -1.0 / 60.0})));
    check_field(
        &["a: ascii rest dm"],
        b"18100.0",
        Err("a is not degrees and minutes"),
    );
    check_field(
        &["a: ascii rest dm"],
        b"-12+0.5",
        Err("a is not degrees and minutes"),
    );
    check_field(
        &["a: i64 at 0 abs"],
        b"\x80\0\0\0\0\0\0\0",
        Ok(json!({"a": 1u64 << 63})),
    );
}

#[test]
fn steps_on_texts() {
    for (steps, text, expected) in [
        ("luhn", "49015420323751", json!("490154203237518")),
        ("luhn", "", json!(null)),
        ("prefix 'dev ' upper", "1a2b", json!("DEV 1A2B")),
        ("lower", "AB", json!("ab")),
        ("prefix x", "", json!(null)),
        ("until ,", "ab,cd,", json!("ab")),
        ("until ,", "abcd", json!("abcd")),
        ("until 0x00", "ab\0\u{1}", json!("ab")),
        ("rtrim '\u{0}'", "ab\0\0", json!("ab")),
        ("trim 0x00", "\0ab\0", json!("ab")),
        ("rtrim 0x000d0a", "ab\r\n\0", json!("ab")),
        ("trim ' ' number", "   ", json!(null)),
        ("trim ' ' dm", " ", json!(null)),
        ("number", "-1.5", json!(-1.5)),
        ("integer", "18446744073709551615", json!(u64::MAX)),
        ("unhex", "0aFF", json!("Cv8=")),
        ("null '-'|n/a", "n/a", json!(null)),
    ] {
        let field = format!("a: ascii rest {steps}");
        let expected = match (&expected, steps.starts_with("null")) {
            (Json::Null, false) => json!({}),
            _ => json!({"a": expected}),
        };
        check_field(&[&field], text.as_bytes(), Ok(expected));
    }
    for (steps, text, why) in [
        ("luhn", "12a", "not made of decimal digits"),
        ("unhex", "abc", "pairs of hex digits"),
        ("unhex", "+1", "pairs of hex digits"),
        ("number", "1.2.3", "no number"),
        ("hexadecimal", "fffffffffffffffff", "too large"),
    ] {
        check_field(
            &[&format!("a: ascii rest {steps}")],
            text.as_bytes(),
            Err(why),
        );
    }
    check_field(&["a: u8 enum 9=x upper"], b"\x01", Err("a is not a text"));
}

#[test]
fn fields_that_are_made() {
    for (fields, frame, expected) in [
        (
            &["kind: const scale", "n: const 5", "on: const true", "a: u8"][..],
            "07",
            json!({"kind": "scale", "n": 5, "on": true, "a": 7}),
        ),
        (
            &[
                "all: join a b 'text' text",
                "a: u8",
                "b: ascii 1",
                "text: u8 drop",
            ],
            "07 78 05",
            json!({"a": 7, "b": "x", "all": "7x5"}),
        ),
        (
            &["all: join a b", "a: u8", "b: u8 if a = 1"],
            "07",
            json!({"a": 7}),
        ),
        (
            &["all: join a a integer neg b", "a: u8", "b: const true"],
            "07",
            json!({"a": 7, "b": true, "all": -77}),
        ),
        (&["a: u8", "all: join a if a = 8"], "07", json!({"a": 7})),
        (
            &["a: u8", "copy: join a if a = 8"],
            "08",
            json!({"a": 8, "copy": "8"}),
        ),
        (
            &["list: repeat 2 pair", "n: u8"],
            "01 02 09",
            json!({"list": [{"v": 1, "both": "19"}, {"v": 2, "both": "29"}], "n": 9}),
        ),
    ] {
        let layouts = json!({"pair": {"fields": ["both: join v n", "v: u8", "n: u8 at -1 drop"]}});
        let decoder = decoder(json!({"type": "binary", "fields": fields}), layouts);
        let reading = decoder.decode(Frame {
            bytes: &bytes_of(frame),
            body: 0.into(),
        });
        assert_eq!(reading.undecoded, None, "{fields:?}");
        assert_eq!(values(&reading), expected, "{fields:?}");
    }
}

#[test]
fn texts_that_double_with_each_join_end() {
    let mut fields = vec!["f0: ascii rest".to_owned()];
    fields.extend((1..40).map(|at| format!("f{at}: join f{0} f{0}", at - 1)));
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    check_field(&fields, b"abcdefgh", Err("too much text is made"));
}

#[test]
fn text_decoders_make_fields_too() {
    let pattern = r"(?P<hms>\d{6}),(?P<lat>[\d.]*),(?P<ns>[NS]),(?P<dmy>\d{6})";
    let fields = [
        "time: join dmy hms time %d%m%y%H%M%S",
        "dmy: drop",
        "hms: drop",
        "ns: enum S=true N=false drop",
        "lat: dm neg ns",
        "model: const X1",
    ];
    let regex = decoder(
        json!({"type": "regex", "pattern": pattern, "fields": fields}),
        json!({}),
    );
    for (frame, latitude) in [
        ("012945,5231.79283,S,170217", Some(-52.5298805)),
        ("012945,,S,170217", None),
    ] {
        let reading = regex.decode(Frame {
            bytes: frame.as_bytes(),
            body: 0.into(),
        });
        assert_eq!(reading.undecoded, None);
        let mut expected = json!({"model": "X1"});
        if let Some(latitude) = latitude {
            expected["lat"] = json!(latitude);
        }
        assert_eq!(values(&reading), expected);
        assert_eq!(reading.time.unwrap().to_string(), "2017-02-17T01:29:45Z");
    }
    let json = decoder(
        json!({"type": "json", "fields": ["id: join site 'unit'", "model: const X1"]}),
        json!({}),
    );
    let reading = json.decode(Frame {
        bytes: br#"{"site":"a","unit":7,"id":"?"}"#,
        body: 0.into(),
    });
    assert_eq!(
        values(&reading),
        json!({"site": "a", "unit": 7, "id": "a7", "model": "X1"})
    );
}

fn number_type() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ui](8|16|24|32|40|48|56|64)(le|be)?",
        "(decimal|hexadecimal) ([1-9]|1[0-6]|until ,)",
    ]
}

proptest! {
    #[test]
    fn what_a_template_writes_a_type_reads(kind in number_type(), value in prop_oneof![-300i128..300, any::<i64>().prop_map(i128::from), any::<u64>().prop_map(i128::from)]) {
        let template = Template::parse(&format!("{{a: {kind}}}")).unwrap();
        let fields: Fields = [("a".into(), Value::integer(value))].into_iter().collect();
        let counters = Memory::default();
        let arguments = Fields::new();
        let context = Context { fields: &fields, frame: &[], device: None, arguments: &arguments, now: None, memory: &counters, checksum: None, caller: None, confidential: false };
        let Ok(bytes) = template.render(&context) else { return Ok(()) };
        let decoder = decoder(json!({"type": "binary", "fields": [format!("a: {kind}")]}), json!({}));
        let reading = decoder.decode(Frame { bytes: &bytes, body: 0.into() });
        prop_assert_eq!(reading.undecoded, None);
        prop_assert_eq!(reading.fields.get("a"), Some(&Value::integer(value)));
    }

    #[test]
    fn digits_of_a_template_come_back(value: u32) {
        let fields: Fields = [("a".into(), Value::integer(value))].into_iter().collect();
        let counters = Memory::default();
        let arguments = Fields::new();
        let context = Context { fields: &fields, frame: &[], device: None, arguments: &arguments, now: None, memory: &counters, checksum: None, caller: None, confidential: false };
        let bytes = Template::parse("{a: bcd 5}").unwrap().render(&context).unwrap();
        check_field(&["a: bcd 5 integer"], &bytes, Ok(json!({"a": value})));
    }

    #[test]
    fn seven_bits_to_a_byte_come_back(value: u64, behind in prop::collection::vec(any::<u8>(), 0..3)) {
        let mut bytes = Vec::new();
        let mut rest = value;
        while rest > 0x7f {
            bytes.push(rest.to_le_bytes()[0] | 0x80);
            rest >>= 7;
        }
        bytes.push(rest.to_le_bytes()[0]);
        let own = bytes.len();
        bytes.extend(&behind);
        check_field(&["a: varint", "b: bytes rest drop"], &bytes, Ok(json!({"a": value})));
        for cut in 0..own {
            check_field(&["a: varint"], &bytes[..cut], Err("of the frame, which is shorter"));
        }
        let unfolded = if value & 1 == 0 { i128::from(value >> 1) } else { -i128::from(value >> 1) - 1 };
        check_field(&["a: zigzag"], &bytes[..own], Ok(json!({"a": i64::try_from(unfolded).unwrap()})));
    }

    #[test]
    fn magnitudes_keep_their_sign(value in -0x7f_ffffi64..0x7f_ffff, little: bool) {
        let sign = if value < 0 { 0x80_0000 } else { 0 };
        let mut bytes = (value.unsigned_abs() | sign).to_be_bytes()[5..].to_vec();
        if little {
            bytes.reverse();
        }
        let field = if little { "a: sm24le" } else { "a: sm24" };
        check_field(&[field], &bytes, Ok(json!({"a": value})));
    }

    #[test]
    fn degrees_and_minutes_are_the_nearest_double(degrees in 0u64..180, minutes in 0u64..60, fraction in 0u64..100_000) {
        let text = format!("{degrees}{minutes:02}.{fraction:05}");
        let exact = (degrees * 6_000_000 + minutes * 100_000 + fraction) as f64 / 6_000_000.0;
        check_field(&["a: ascii rest dm"], text.as_bytes(), Ok(json!({"a": exact})));
        let digits = text.replace('.', "");
        check_field(&["a: ascii rest dm 5"], digits.as_bytes(), Ok(json!({"a": exact})));
    }

    #[test]
    fn a_luhn_digit_completes_digits(digits in "[0-9]{1,18}") {
        let decoder = decoder(json!({"type": "binary", "fields": ["a: ascii rest luhn"]}), json!({}));
        let reading = decoder.decode(Frame { bytes: digits.as_bytes(), body: 0.into() });
        let Some(Value::Text(whole)) = reading.fields.get("a") else { panic!("no text") };
        prop_assert!(whole.starts_with(&digits));
        let sum: u32 = whole.bytes().rev().enumerate().map(|(place, digit)| {
            let digit = u32::from(digit - b'0') * if place % 2 == 1 { 2 } else { 1 };
            digit / 10 + digit % 10
        }).sum();
        prop_assert_eq!(sum % 10, 0);
    }
}
