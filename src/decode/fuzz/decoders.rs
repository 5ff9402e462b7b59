//! Any decoder, and the layouts that it names.

use serde_json::{Map, Value, json};

use super::choices::Choices;
use super::fields::{From, field};

/// A decoder, and its layouts.
pub fn decoder(choices: &mut Choices<'_>) -> (Value, Value) {
    let kind = kind(choices);
    let mut decode = body(kind, ["a", "b", "c"], true, choices);
    let mut layouts = Map::new();
    layouts.insert("item".to_owned(), item(kind, choices));
    let part = choices.of(&["json", "binary", "csv", "key-value", "regex", "text", "tlv"]);
    layouts.insert(
        "part".to_owned(),
        body(part, ["e", "f", "g"], false, choices),
    );
    layouts.insert("tags".to_owned(), tags(["e", "f", "g"], choices));
    let selects = !matches!(kind, "raw" | "tlv");
    if selects && choices.once_in(2) {
        decode["select"] = select(kind, choices);
        for name in ["one", "two", "other"] {
            layouts.insert(name.to_owned(), selected(kind, choices));
        }
    }
    if choices.once_in(24) {
        decode["script"] = "change".into();
    }
    (decode, Value::Object(layouts))
}

fn kind(choices: &mut Choices<'_>) -> &'static str {
    match choices.below(16) {
        0..=5 => "binary",
        6 | 7 => "csv",
        8 => "key-value",
        9 => "regex",
        10 | 11 => "json",
        12 => "text",
        13 => "tlv",
        14 => "raw",
        _ => choices.of(&["tlv", "script"]),
    }
}

/// The members of a decoder of that kind; with `whole` it reads `n` and `id` first.
fn body(kind: &str, names: [&str; 3], whole: bool, choices: &mut Choices<'_>) -> Value {
    let from = match kind {
        "binary" => From::Bytes,
        "csv" => From::Columns,
        "tlv" => return tags(names, choices),
        "raw" => return json!({ "type": kind }),
        _ => From::Texts,
    };
    let mut fields: Vec<String> = match from {
        _ if !whole => Vec::new(),
        From::Bytes => vec!["n: u8".to_owned(), "id: ascii 2".to_owned()],
        _ if kind == "text" => vec!["id".to_owned()],
        _ => vec!["n: integer".to_owned(), "id".to_owned()],
    };
    let most = if kind == "text" { 1 } else { names.len() };
    let room = most.saturating_sub(if kind == "text" { fields.len() } else { 0 });
    let count = choices.below(room + 1);
    fields.extend(
        names
            .iter()
            .take(count)
            .map(|name| field(name, from, choices)),
    );
    if from != From::Texts && whole && choices.once_in(3) {
        // What stands behind a list seldom fits what is left of a frame.
        fields.truncate(2 + choices.of(&[0, 0, most]));
        fields.insert(2, "l: repeat n item split".to_owned());
    }
    if from != From::Texts && choices.once_in(8) {
        fields.push("skip 1".to_owned());
    }
    let mut body = json!({"type": kind, "fields": fields});
    members(kind, names, &mut body, choices);
    body
}

fn members(kind: &str, names: [&str; 3], body: &mut Value, choices: &mut Choices<'_>) {
    match kind {
        "binary" if choices.once_in(2) => body["endian"] = choices.of(&["little", "big"]).into(),
        "regex" => {
            let [a, b, c] = names;
            body["pattern"] = format!(
                "(?P<n>\\d+)[ ,]?(?P<id>[^,]*)(?:,(?P<{a}>[^,]*))?(?:,(?P<{b}>.))?(?P<{c}>x)?"
            )
            .into();
        }
        "csv" | "key-value" if choices.once_in(3) => {
            body["separator"] = choices.of(&[";", "||", "&"]).into();
        }
        _ => {}
    }
    if kind == "csv" && choices.once_in(3) {
        body["quote"] = "'".into();
    }
    if kind == "key-value" && choices.once_in(3) {
        body["equals"] = ":".into();
    }
    if matches!(kind, "csv" | "key-value" | "regex" | "text") && choices.once_in(4) {
        body["encoding"] = choices.of(&["latin1", "utf8"]).into();
    }
}

/// The elements of lists.
fn item(kind: &str, choices: &mut Choices<'_>) -> Value {
    match kind {
        "csv" => json!({"type": "csv", "fields": ["k: text", "v: number"]}),
        _ => {
            let mut fields = vec!["k: u8".to_owned(), "v: u8".to_owned()];
            if choices.once_in(3) {
                fields.push(field("w", From::Bytes, choices));
            }
            json!({"type": "binary", "fields": fields})
        }
    }
}

fn tags(names: [&str; 3], choices: &mut Choices<'_>) -> Value {
    let tag = choices.of(&["u8", "u16le", "varint", "hexadecimal 2"]);
    let [a, b, c] = names;
    let mut tags = json!({"type": "tlv", "tag": tag, "cases": [
        [1, "n: u8"], [2, "id: ascii rest"], [3, field(a, From::Bytes, choices)], [4, format!("{b}: u16")]]});
    if choices.once_in(8) {
        tags["cases"] = json!([
            [1, 1, "n: u8"],
            [2, 3, "id: ascii rest"],
            [49, 0, format!("{c}: const 1")]
        ]);
    } else {
        tags["size"] = choices.of(&["u8", "u16le", "varint", "decimal 2"]).into();
    }
    for (member, value) in [
        ("add", json!(-1)),
        ("sizes", json!([[9, 1], [50, 2]])),
        ("unknown", json!("others")),
        ("again", json!("split")),
        ("endian", json!("little")),
    ] {
        if choices.once_in(6) {
            tags[member] = value;
        }
    }
    tags
}

fn select(kind: &str, choices: &mut Choices<'_>) -> Value {
    let mut select = match kind {
        "text" => json!({"by": "id", "cases": [["A|AB", "one"], ["1..9", "two"]]}),
        _ => json!({"by": "n", "cases": [[1, "one"], ["2|3..60", "two"]]}),
    };
    if choices.once_in(2) {
        select["default"] = "other".into();
    }
    select
}

/// A layout that is selected.
fn selected(kind: &str, choices: &mut Choices<'_>) -> Value {
    let own = match choices.below(6) {
        0 => "json",
        1 => "regex",
        2 => "tlv",
        _ => kind,
    };
    let mut layout = body(own, ["a", "b", "d"], false, choices);
    if own == kind {
        layout.as_object_mut().map(|members| members.remove("type"));
    }
    for (member, value) in [
        ("publish", json!(false)),
        ("reply", json!("ok")),
        ("reply", json!(["more", "ok"])),
        ("output", json!("o")),
    ] {
        if choices.once_in(4) {
            layout[member] = value;
        }
    }
    if own == kind && choices.once_in(4) {
        layout["type"] = "{n}-kind".into();
    }
    layout
}
