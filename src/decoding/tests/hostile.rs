//! Any fields on any bytes: nothing panics, nothing grows.

#![expect(clippy::arithmetic_side_effects, reason = "numbers of tests are small")]

use proptest::prelude::*;
use serde_json::json;

use crate::decoding::fuzz::fuzz_documents;
use crate::decoding::{Frame, Problems, Section, fuzz, fuzz_fields, read};

fn field() -> impl Strategy<Value = String> {
    let kind = prop_oneof![
        "([ui]|sm)(8|16|24|32|40|48|56|64)(le|be)?",
        "varint|zigzag|mac|ipv4|cp56|cp24|dmyhms",
        "f(32|64)(le)?",
        "(ascii|utf8|hex|bcd|bytes|latin1|gbk|utf16|utf16le) ([0-9]{1,3}|rest|rest -[0-9]|until [,;x]|a)",
        "(decimal|hexadecimal) ([1-9]|until ,)",
        "ymdhms|bcdtime|const [a0]|join a b",
    ];
    let step = prop_oneof![
        "[*+-] -?[0-9]{1,18}",
        "/ -?[1-9][0-9]{0,9}",
        "& [0-9]{1,9}|>> [0-9]|round [0-9]|null [0-9]|enum 1=a 2=3",
        "bits x@[0-9] y@[0-9]:[1-9]|neg !?a|neg !?a = [0-9]|text|trim 0|unix|unixms|drop|if u8 at [0-9] = 1\\.\\.99",
        "null 1\\|2|abs|radians|dm|dm 2|luhn|until 0|prefix x|upper|lower|unhex|number|integer|hexadecimal|bool",
        "epoch 2000-01-01|epoch 2000-01-01 ms|zone \\+01:00|with pair|with members|time %H%M%S",
    ];
    let at = prop_oneof!["", "", " at [0-9]{1,2}"];
    let steps = proptest::collection::vec(step, 0..3);
    ("[a-c]", kind, at, steps)
        .prop_map(|(name, kind, at, steps)| format!("{name}: {kind}{at} {}", steps.join(" ")))
}

proptest! {
    #[test]
    fn any_layout_on_any_frame(
        fields in proptest::collection::vec(field(), 1..8), frame in proptest::collection::vec(any::<u8>(), 0..80), body in 0usize..4
    ) {
        let mut fields = fields;
        fields.insert(0, "a: u8".to_owned());
        let decode = json!({"type": "binary", "fields": fields});
        let mut problems = Problems::new();
        let layouts = json!({"pair": {"fields": ["a: u8", "c: varint neg b"]}, "members": {"type": "json"}});
        if let Some(decoder) = read(Some(&Section::root(&decode)), Some(&Section::root(&layouts)), &mut problems) {
            let reading = decoder.decode(Frame { bytes: &frame, body: body.into() });
            for (_, value) in reading.fields.iter() {
                let size = match value {
                    crate::message::Value::Integer(value) => {
                        prop_assert!((i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&value.get()));
                        0
                    }
                    crate::message::Value::Text(text) => text.len(),
                    crate::message::Value::Bytes(bytes) => bytes.len(),
                    _ => 0,
                };
                prop_assert!(size <= 16 * frame.len() + 256, "{size} bytes of a frame of {}", frame.len());
            }
        } else {
            prop_assert!(!problems.is_empty());
        }
    }

    #[test]
    fn any_text_as_field_strings(text in "([a-c]: |u8|i16le|ascii |bcd |rest|until |at |-?[0-9]|neg |= |enum |join |const |with a|dm|=|'| |bits |@|:|if |\n|\0|\\PC)*") {
        fuzz_fields(text.as_bytes());
    }

    #[test]
    fn any_bytes_as_frames(data: Vec<u8>) {
        fuzz(&data);
    }
}

#[test]
fn every_decoder_of_the_fuzz_function_is_one() {
    let (documents, layouts) = fuzz_documents();
    for document in &documents {
        let mut problems = Problems::new();
        let (document, layouts) = (Section::root(document), Section::root(&layouts));
        read(Some(&document), Some(&layouts), &mut problems);
        assert!(problems.is_empty(), "{problems:?}");
    }
}
