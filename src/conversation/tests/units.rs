//! Units behind a device: who is meant by a command, and what becomes of one that is taken out.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::asking::lines;
use super::script::{Play, protocol, read_protocol};
use super::tables::check;
use crate::conversation::{Action, Counted};

#[test]
fn a_command_for_a_unit_names_it() {
    let unit =
        json!({"commands": {"set": {"send": "set {unit}\n", "answer": {"where": "seq = {unit}"}}}});
    check(
        lines(unit),
        json!({"units": ["4", "5"]}),
        &[
            ("open", "bind 10.0.0.7; bind 10.0.0.7/4; bind 10.0.0.7/5"),
            ("ask 1 9000 10.0.0.7/5 set", "write set 5|"),
            ("written", ""),
            (
                "data ok 5|",
                "answer 1 answered {\"kind\":\"ok\",\"seq\":5}",
            ),
            (
                "ask 2 9000 10.0.0.7 set",
                "answer 2 invalid the command is for a unit: name it behind the device, `10.0.0.7/UNIT`",
            ),
        ],
    );
}

#[test]
fn a_unit_that_was_taken_out_of_the_settings_has_no_commands_and_no_other_gets_them() {
    let unit = json!({"identity": {"from": "address", "sub": "seq"},
        "commands": {"set": {"send": "set {unit}\n", "answer": {"where": "seq = {unit}"}}},
        "polls": {"level": {"send": "level {unit}\n", "everyMs": 100000, "withinMs": 90000, "answer": {"where": "seq = {unit}"}}}});
    let seed = json!({"units": ["4", "5"]});
    check(
        lines(unit),
        seed,
        &[
            ("open", "bind 10.0.0.7; bind 10.0.0.7/4; bind 10.0.0.7/5"),
            (
                "settings {\"units\":[\"4\"]}",
                "unbind 10.0.0.7/5; bind 10.0.0.7/4",
            ),
            ("ask 1 9000 10.0.0.7/5 set", "answer 1 not connected 0"),
            ("ask 2 9000 10.0.0.7 set", "write set 4|"),
            ("written", ""),
            (
                "data ok 4|",
                "answer 2 answered {\"kind\":\"ok\",\"seq\":4}",
            ),
            (
                "data ok 5|",
                "count unknown_device; bind 10.0.0.7/5; submit 2 10.0.0.7/5",
            ),
            ("settings {\"units\":[\"5\",\"4\"]}", "bind 10.0.0.7/4"),
            (
                "settings {\"units\":[\"5\"]}",
                "unbind 10.0.0.7/4; bind 10.0.0.7/5",
            ),
        ],
    );
}

#[test]
fn the_answer_of_a_unit_that_was_taken_out_meanwhile_does_not_bind_it() {
    let polls = json!({"identity": {"from": "address", "sub": "seq"},
        "polls": {"level": {"send": "level {unit}\n", "everyMs": 100, "answer": {"where": "seq = {unit}"}}}});
    let mut play = Play::new(protocol(&lines(polls)), &json!({"units": ["5"]}));
    play.play("open");
    while !play.play("after 1").contains("write level 5|") {}
    play.play("written");
    assert_eq!(play.play("settings {\"units\":[]}"), "unbind 10.0.0.7/5");
    assert_eq!(
        play.play("data ok 5|"),
        "count unknown_device; bind 10.0.0.7/5; submit 1 10.0.0.7/5; unbind 10.0.0.7/5"
    );
}

#[test]
fn what_a_device_refuses_is_told_by_name() {
    let mut document: Value =
        serde_json::from_str(include_str!("../../../protocols/modbus-tcp/protocol.json")).unwrap();
    document["modbus"] = json!("tcp");
    document["registers"] = json!(["near: u16 at 40001", "far: u16 at 41000"]);
    document["polls"] = json!({"all": {"registers": "all", "everyMs": 1000}});
    let mut play = Play::new(read_protocol(&document), &json!({"units": ["1"]}));
    play.play("open");
    let mut told = BTreeSet::new();
    let mut actions = Vec::new();
    for _ in 0..1000 {
        let mut next = play.act("after 1");
        for action in actions.drain(..) {
            match action {
                Action::Write(bytes) => {
                    play.play("written");
                    let transaction = format!("{:02x}{:02x}", bytes[0], bytes[1]);
                    next.extend(play.act(&format!("hex {transaction} 0000 0003 01 83 02")));
                }
                Action::Count(counted @ Counted::PollRefused(..)) => {
                    told.insert(counted.to_string());
                }
                _ => {}
            }
        }
        actions = next;
    }
    let refused = |of: &str| {
        format!(
            "poll all ({of}) of unit 1 refused: {{\"exception\":\"illegal data address\",\"registers\":\"{of}\"}}"
        )
    };
    assert_eq!(told, ["near", "far"].map(refused).into());
}
