//! Any framing.

use serde_json::{Value, json};

use super::choices::Choices;

const STARTS: [&str; 5] = ["*", "0x7878", "$", "<", "0x02"];
const ENDS: [&str; 5] = ["#", "\n", "\r\n", "##", "0x0d"];
const LENGTHS: [&str; 10] = [
    "u8 at 1",
    "u8 at 0",
    "u16 at 2",
    "u16le at 1 & 0x0fff",
    "i8 at 1 >> 1",
    "decimal 2 at 1",
    "hexadecimal 2 at 1",
    "bcd 1 at 1",
    "varint",
    "decimal until ' '",
];
const WHENS: [&str; 4] = [
    "u8 at 0 = 42",
    "u8 at 0 < 50",
    "u8 at 1 & 0x80",
    "u16 at 0 != 0x7878",
];

/// A whole framing.
pub fn framing(choices: &mut Choices<'_>) -> Value {
    let mut framing = match choices.below(8) {
        6 => switch(choices),
        7 => json!({"type": "first", "first": part(choices), "then": part(choices)}),
        _ => simple(choices),
    };
    framing["maxBytes"] = choices.of(&[64, 16, 33, 200, 300]).into();
    if choices.once_in(8) {
        framing["onTooLong"] = choices.of(&["close", "close", "resync"]).into();
    }
    if choices.once_in(8) {
        framing["ignore"] = choices.of(&["0x00", " \r", "0xff"]).into();
    }
    if choices.once_in(8) {
        framing["incompleteTimeoutMs"] = 500.into();
    }
    framing
}

fn part(choices: &mut Choices<'_>) -> Value {
    match choices.once_in(6) {
        true => switch(choices),
        false => simple(choices),
    }
}

fn switch(choices: &mut Choices<'_>) -> Value {
    let count = choices.below(3) + 1;
    let mut cases: Vec<Value> = (0..=count).map(|_| simple(choices)).collect();
    let last = cases.len().saturating_sub(1);
    for (at, case) in cases.iter_mut().enumerate() {
        if case["start"].is_null() && (at < last || choices.once_in(2)) {
            case["when"] = choices.of(&WHENS).into();
        }
        if choices.once_in(8) {
            case["maxBytes"] = 16.into();
        }
    }
    json!({"type": "switch", "cases": cases})
}

/// One that has no others in it.
fn simple(choices: &mut Choices<'_>) -> Value {
    let (mut framing, has_start) = match choices.below(16) {
        0 | 1 => (delimiter(choices), true),
        2..=4 => (length(choices), true),
        5 => (
            json!({"type": "fixed", "bytes": choices.below(12) + 1}),
            true,
        ),
        6 => (header(choices), true),
        7 => (walk(choices), true),
        8 | 9 => (stuffed(choices), false),
        10 => (json!({"type": choices.of(&["slip", "cobs"])}), false),
        11 => (json!({"type": "json"}), false),
        12 => (balanced(choices), false),
        13 => {
            let end = choices.of(&["\n", "[0-9]+#", "ab?$", "#.", ">"]);
            (json!({"type": "regex", "end": end}), true)
        }
        14 => match choices.below(3) {
            0 => (json!({"type": "connection"}), false),
            1 => (json!({"type": "script"}), false),
            _ => (json!({"type": "idle", "ms": 50}), true),
        },
        _ => (json!({"type": "cobs", "end": "0x01"}), false),
    };
    if has_start && choices.once_in(2) {
        framing["start"] = match choices.once_in(4) {
            true => json!([choices.of(&STARTS), "ab"]),
            false => choices.of(&STARTS).into(),
        };
    }
    if choices.once_in(8) {
        framing["body"] = choices.below(4).into();
    }
    framing
}

fn delimiter(choices: &mut Choices<'_>) -> Value {
    let end = choices.of(&ENDS);
    let mut framing = json!({"type": "delimiter", "end": end});
    if choices.once_in(4) {
        framing["end"] = json!([end, "\n\n"]);
    }
    for (member, value) in [
        ("keep", json!(true)),
        ("nth", json!(2)),
        ("after", json!(2)),
        ("quote", json!("'")),
        ("notBefore", json!("=")),
    ] {
        if choices.once_in(8) {
            framing[member] = value;
        }
    }
    framing
}

fn length(choices: &mut Choices<'_>) -> Value {
    let mut framing =
        json!({"type": "length", "length": choices.of(&LENGTHS), "add": choices.of(&[4, 0, 2, 6])});
    for (member, value) in [
        ("multiply", json!(2)),
        ("plus", json!("u8 at 3")),
        ("blocks", json!({"bytes": 4, "extra": 2, "from": 2})),
        ("end", json!("#")),
        ("body", json!("after")),
    ] {
        if choices.once_in(8) {
            framing[member] = value;
        }
    }
    framing
}

fn header(choices: &mut Choices<'_>) -> Value {
    let mut framing = json!({"type": "header", "body": "after"});
    if choices.once_in(2) {
        framing["length"] = choices.of(&["^(\\d+)$", "length: *(\\d+)"]).into();
    }
    if choices.once_in(2) {
        framing["end"] = choices.of(&ENDS).into();
    }
    framing
}

fn walk(choices: &mut Choices<'_>) -> Value {
    let sizes = json!({"tag": "u8", "sizes": [[1, 2], [35, 1], [49, 3]]});
    let record = match choices.below(4) {
        0 => json!({"size": "u8", "add": 1}),
        1 => json!(3),
        2 => sizes.clone(),
        _ => json!({"size": "decimal until ' '"}),
    };
    let header = match choices.below(3) {
        0 => json!(2),
        1 => json!({"size": "u8 at 1 & 0x0f", "add": 2}),
        _ => sizes,
    };
    let mut framing =
        json!({"type": "walk", "header": header, "record": record, "trailer": choices.below(3)});
    match choices.once_in(2) {
        true => framing["until"] = choices.of(&ENDS).into(),
        false => framing["count"] = "u8 at 1 & 0x0f".into(),
    }
    framing
}

fn stuffed(choices: &mut Choices<'_>) -> Value {
    let mut framing = match choices.below(4) {
        0 => {
            json!({"start": "0x7e", "end": "0x7e", "escapes": [["0x7d01", "0x7d"], ["0x7d02", "0x7e"]]})
        }
        1 => json!({"start": "<", "end": ">", "escape": "*", "xor": 32}),
        2 => {
            json!({"start": "0x10", "escape": "0x11", "subtract": 1, "length": "u8 at 1", "add": 2})
        }
        _ => json!({"end": "#", "escapes": [["*1", "*"], ["*2", "#"]]}),
    };
    framing["type"] = "stuffed".into();
    if choices.once_in(6) {
        framing["keep"] = true.into();
    }
    if choices.once_in(6) {
        framing["after"] = 1.into();
    }
    framing
}

fn balanced(choices: &mut Choices<'_>) -> Value {
    let mut framing = json!({"type": "balanced", "open": "<", "close": ">"});
    if choices.once_in(2) {
        framing["quote"] = "'".into();
        framing["escape"] = "\\".into();
    }
    framing
}
