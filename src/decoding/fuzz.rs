//! What a fuzzer runs.

use std::sync::LazyLock;

use super::{Decoder, KINDS, read};
use crate::document::{Problems, Section};
use crate::message::{Extent, Frame};

/// Any bytes as field strings, then as the frames they decode: nothing may panic or grow.
#[doc(hidden)]
pub fn fuzz_fields(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (fields, frame) = text.split_once('\0').unwrap_or((&text, ""));
    let fields: Vec<&str> = fields.lines().collect();
    for kind in KINDS {
        let document = match kind {
            "regex" => {
                serde_json::json!({"type": kind, "pattern": fields.first(), "fields": fields})
            }
            "tlv" => {
                let cases: Vec<_> = fields.iter().enumerate().collect();
                serde_json::json!({"type": kind, "tag": "u8", "size": "varint", "cases": cases})
            }
            _ => serde_json::json!({"type": kind, "fields": fields}),
        };
        let layouts = serde_json::json!({"a": {"type": "binary", "fields": ["a: u8", "b: bytes rest with a if a > 1"]}});
        let (document, layouts) = (Section::root(&document), Section::root(&layouts));
        if let Some(decoder) = read(Some(&document), Some(&layouts), &mut Problems::new()) {
            decoder.decode(Frame {
                bytes: frame.as_bytes(),
                body: 0.into(),
            });
        }
    }
}

/// Any bytes as frames of decoders that use most of what there is.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    // Built once: a run has thousands of inputs.
    static DECODERS: LazyLock<Vec<Decoder>> = LazyLock::new(fuzz_decoders);
    let first = data.first().copied().map_or(0, usize::from);
    let body = Extent {
        start: first & 7,
        tail: first >> 3 & 3,
    };
    for decoder in DECODERS.iter() {
        decoder.decode(Frame { bytes: data, body });
    }
}

fn fuzz_decoders() -> Vec<Decoder> {
    let (documents, layouts) = fuzz_documents();
    let layouts = Section::root(&layouts);
    let documents = documents.iter().map(Section::root);
    documents
        .filter_map(|decode| read(Some(&decode), Some(&layouts), &mut Problems::new()))
        .collect()
}

/// Decoders, and the layouts that they share.
pub(super) fn fuzz_documents() -> (Vec<serde_json::Value>, serde_json::Value) {
    let tags = serde_json::json!({"type": "tlv", "tag": "varint", "size": "u8", "add": -1, "unknown": "others", "cases": [
        [1, "k: varint"], [2, "tags"], [3, "l: gbk rest with members drop"], [4, "list"]]});
    let layouts = serde_json::json!({
        "tags": tags,
        "members": {"type": "json"},
        "list": {"type": "binary", "fields": ["m: repeat rest numbered map id v"]},
        "numbered": {"type": "binary", "fields": ["id: zigzag", "v: bytes id with tags drop if id = 1..9", "v: join id id"]},
        "pair": {"type": "csv", "quote": "'", "fields": ["id: text", "value: integer", "nested: repeat 2 'hexadecimal'"]},
        "line": {"type": "csv", "fields": ["skip 1", "last: at -2 round 1", "list: repeat rest -1 'number null -'"]},
        "pairs": {"type": "key-value", "separator": ";;", "encoding": "latin1", "fields": ["a: integer", "b: number at 'B'"]}
    });
    let documents = [
        serde_json::json!({"type": "binary", "endian": "little", "fields": [
            "size: u8", "id: ascii size if size > 3", "c: u24 bits a@0 b@1:10 drop", "d: ymdhms", "e: bcd 2 le rtrim f",
            "f: utf8 until ,", "g: decimal until ; * 1000000", "h: f32 cdab round 2 neg a", "i: i64 badc at -8 * 3", "j: hex rest -1"
        ]}),
        serde_json::json!({"type": "binary", "fields": [
            "n: varint null 0", "a: sm24le abs neg n", "t: cp56", "u: utf16le 4 until a", "more: bytes rest -3 with tags drop",
            "x: hex 2 luhn if n", "y: join a u t", "z: u8 epoch 2000-01-01 ms"
        ]}),
        tags,
        serde_json::json!({"type": "json"}),
        serde_json::json!({"type": "text", "fields": ["a: dm", "b: unhex with tags drop"]}),
        serde_json::json!({"type": "key-value"}),
        serde_json::json!({"type": "csv", "quote": "'", "fields": [
            "n: integer", "io: repeat n pair map id value", "more: with pairs drop", "all: join n more"]}),
        serde_json::json!({"type": "csv", "quote": "'", "fields": ["io: repeat rest -2 pair split"]}),
        serde_json::json!({"type": "csv", "fields": ["kind"],
            "select": {"by": "kind", "cases": [["0..9", "line"]], "default": "pairs"}}),
    ];
    (documents.into(), layouts)
}
