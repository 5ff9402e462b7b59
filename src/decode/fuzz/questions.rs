//! Any commands, polls and open sequence.

use serde_json::{Value, json};

use super::choices::Choices;

const SENDS: [&str; 5] = [
    "ask",
    "{count q: u8}{last n else 0: u16}",
    "0x 01 {count q: u16le} {length 0..2: u8}",
    "{now} {device}",
    "{count q & 7}",
];

/// Lets a protocol ask.
pub fn ask(protocol: &mut Value, choices: &mut Choices<'_>) {
    let layouts = protocol["layouts"].as_object();
    let layout = layouts.and_then(|layouts| layouts.keys().next()).cloned();
    let question = |choices: &mut Choices<'_>| question(layout.as_deref(), choices);
    if choices.once_in(3) {
        let steps = [question(choices), question(choices)];
        protocol["session"]["open"] = json!(steps.get(..choices.below(3)));
    }
    if choices.once_in(2) {
        protocol["session"]["halfDuplex"] = choices.once_in(2).into();
        protocol["session"]["backoffSeconds"] = 2.into();
    }
    if choices.once_in(2) {
        let mut poll = question(choices);
        poll["everyMs"] = choices.of(&[20, 100, 1000]).into();
        protocol["polls"] = json!({ "poll": poll });
    }
    if choices.once_in(4) {
        read_registers(protocol, choices);
    }
    let mut command = question(choices);
    if choices.once_in(3) {
        command["publish"] = true.into();
    }
    if choices.once_in(2) {
        let kind = choices.of(&[
            "integer 0..9",
            "text 1..3 default a",
            "enum a=1 b=2 default a",
        ]);
        command["arguments"] = json!({ "to": kind });
        command["send"] = "{count q}{arg to}".into();
    }
    protocol["commands"] = json!({ "go": command, "beep": "beep" });
}

/// Of Modbus, whatever the frames are like.
fn read_registers(protocol: &mut Value, choices: &mut Choices<'_>) {
    protocol["modbus"] = choices.of(&["tcp", "rtu"]).into();
    protocol["registers"] = json!([
        "u: u16 at 40001",
        "w: i32 cdab at 40004 / 10",
        "c: bool at coil 3"
    ]);
    protocol["polls"]["registers"] = match choices.once_in(2) {
        true => json!({"everyMs": 50, "registers": "all"}),
        false => json!({"everyMs": 50, "registers": ["w"], "withinMs": 30, "retries": 1}),
    };
}

fn question(layout: Option<&str>, choices: &mut Choices<'_>) -> Value {
    let send = choices.of(&SENDS);
    let mut question = json!({ "send": send });
    if choices.once_in(6) {
        question["frame"] = true.into();
    }
    if choices.once_in(5) {
        return question;
    }
    question["answer"] = match choices.below(6) {
        0 => "next".into(),
        1 => "[a-m]".into(),
        2 if send.contains("count q") => json!({ "where": "n = {count q} and length > 1" }),
        3 => json!({ "where": "n" }),
        4 if layout.is_some() => json!({ "where": "length > 1", "layout": layout }),
        _ => json!({ "where": "length = 2..9" }),
    };
    if choices.once_in(3) {
        question["refused"] = match choices.once_in(2) {
            true => "[0-3]".into(),
            false => json!({ "where": "n = 3" }),
        };
    }
    if choices.once_in(2) {
        question["withinMs"] = choices.of(&[50, 700]).into();
    }
    if choices.once_in(3) {
        question["retries"] = choices.of(&[1, 2]).into();
    }
    question
}
