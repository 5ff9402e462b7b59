//! Units behind an identity, quarantine, and signs of life, line by line.

use serde_json::{Value, json};

use super::login::{known, login};
use super::script::{Play, protocol};
use super::tables::check;
use crate::conversation::{Action, Counted};

#[test]
fn units_speak_behind_their_identity() {
    let unit = |identity: Value| json!({"identity": identity});
    check(
        unit(json!({"from": "address", "sub": "unit"})),
        json!({"devices": {"plc": {"match": {"address": "10.0.0.7"}}, "pump": {"match": {"id": "10.0.0.7/3"}}}}),
        &[
            ("open", "bind plc"),
            (
                "data {'unit':2}|{'unit':2}|",
                "bind plc/2; submit 1 plc/2; submit 2 plc/2",
            ),
            ("data {'unit':3}|", "bind pump; submit 3 pump"),
            ("data {'n':1}|", "submit 4 plc"),
            (
                r#"settings {"devices": {"box": {"match": {"address": "10.0.0.7"}}}}"#,
                "bind box",
            ),
            ("data {'unit':3}|", "bind box/3; submit 5 box/3"),
        ],
    );
    check(
        unit(json!({"field": "id", "scope": "connection", "sub": "unit"})),
        json!({"deviceRules": {"r": {"match": {"listener": "line1"}, "name": "{id}"}}}),
        &[
            ("open", ""),
            (
                "data {'id':'a','unit':1}|",
                "bind a alone; bind a/1; submit 1 a/1",
            ),
            (
                "data {'unit':2}|{'n':1}|",
                "bind a/2; submit 2 a/2; submit 3 a",
            ),
            ("data {'id':'b'}|", "bind b alone; submit 4 b"),
            ("data {'unit':2}|", "bind b/2; submit 5 b/2"),
        ],
    );
    check(
        unit(json!({"field": "id", "sub": "unit"})),
        json!({}),
        &[
            ("open", ""),
            (
                "data {'id':'a','unit':1}|",
                "count unknown_device; bind a/1; submit 1 a/1",
            ),
            (
                "data {'id':'a','unit':'x/y'}|",
                "count unknown_device; bind a/x_y; submit 2 a/x_y",
            ),
            (
                "data {'id':'a'}|",
                "count unknown_device; bind a; submit 3 a",
            ),
        ],
    );
}

#[test]
fn of_units_only_the_unknown_are_rejected() {
    check(
        json!({"identity": {"from": "address", "sub": "unit"}}),
        json!({"devices": {"pump": {"match": {"id": "10.0.0.7/3"}}}, "unknownDevices": "reject"}),
        &[
            ("open", ""),
            ("data {'unit':3}|", "bind pump; submit 1 pump"),
            ("data {'unit':4}|", "count rejected_device"),
            ("data {'n':1}|", "count rejected_device"),
            ("data {'unit':3}|", "submit 4 pump"),
        ],
    );
}

#[test]
fn the_listener_is_the_identity_where_the_protocol_says_so() {
    check(
        json!({"identity": {"from": "listener", "sub": "unit"}}),
        json!({"devices": {"x": {"match": {"id": "line1"}}}}),
        &[
            ("open", "bind x"),
            ("data {'n':1}|", "submit 1 x"),
            (
                "data {'unit':1}|",
                "count unknown_device; bind line1/1; submit 2 line1/1",
            ),
        ],
    );
}

#[test]
fn an_unknown_device_waits_in_quarantine() {
    let listener = || json!({"devices": {"b": {}}, "unknownDevices": "quarantine"});
    check(
        login(json!({})),
        listener(),
        &[
            ("open", ""),
            (
                "data {'id':'a','seq':1,'kind':'quiet'}|",
                "count quarantined; write ok 1|",
            ),
            ("written", ""),
            ("data {'id':'a','seq':2}|", "count quarantined"),
            (
                r#"settings {"devices": {"truck": {"match": {"id": "a"}}}, "unknownDevices": "quarantine"}"#,
                "bind truck alone",
            ),
            ("data {'seq':3}|", "submit 3 truck"),
            ("stored 3", "write ok 3|"),
        ],
    );
    check(
        json!({}),
        listener(),
        &[
            ("open", ""),
            ("data {'id':'a','seq':1}|", "count quarantined"),
            ("data {'id':'b','seq':2}|", "bind b; submit 2 b"),
        ],
    );
    check(
        json!({"identity": {"from": "address"}}),
        listener(),
        &[("open", ""), ("data {'seq':1}|", "count quarantined")],
    );
}

#[test]
fn a_sample_says_who_and_what() {
    let mut play = Play::new(
        protocol(&json!({})),
        &json!({"unknownDevices": "quarantine"}),
    );
    play.play("open");
    let actions = play.act("data {'id':'a'}|");
    let expected = Counted::Quarantined("a".into(), "{\"id\":\"a\"}".into());
    assert!(actions.contains(&Action::Count(expected)), "{actions:?}");
}

fn beating(more: Value) -> Value {
    let mut session = json!({"heartbeat": {"seconds": 20, "send": "beat\n"}});
    session
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({"session": session})
}

#[test]
fn a_heartbeat_follows_what_was_written_last() {
    check(
        beating(json!({})),
        known(),
        &[
            ("open", ""),
            ("after 19999", ""),
            ("after 1", "write beat|"),
            // While it is not written, no other one is due.
            ("after 25000", ""),
            ("written", ""),
            ("data {'seq':1,'kind':'quiet'}|", "write ok 1|"),
            ("after 5000", ""),
            ("written", ""),
            ("after 19999", ""),
            ("after 1", "write beat|"),
            ("written 3", ""),
            ("written 2", ""),
            ("fin", "close fin"),
        ],
    );
}

#[test]
fn a_heartbeat_does_not_wait_for_promises_nor_go_between_the_bytes_of_a_write() {
    check(
        beating(json!({})),
        known(),
        &[
            ("open", ""),
            ("data {'id':'a','seq':1}|", "bind a; submit 1 a"),
            ("after 20000", "write beat|"),
            ("stored 1", ""),
            ("written", "write ok 1|"),
            ("after 20000", ""),
            ("data {'id':'a','seq':2}|", "submit 2 a"),
            ("written", ""),
            ("stored 2", "write ok 2|"),
            ("written", ""),
            ("command 1 100000 go", "write go"),
            ("after 20000", ""),
            ("written", "answer 1 sent 2"),
            ("after 20000", "write beat|"),
        ],
    );
    check(
        beating(json!({})),
        known(),
        &[
            ("open", ""),
            ("data {'id':'a','seq':1}|", "bind a; submit 1 a"),
            ("fin", ""),
            ("after 20000", ""),
        ],
    );
}

#[test]
fn a_heartbeat_may_be_framed_and_name_the_device() {
    let session = json!({"heartbeat": {"seconds": 20, "send": "{device}", "frame": true}});
    check(
        json!({"session": session, "identity": {"from": "address"}}),
        json!({"device": "press"}),
        &[("open", "bind press"), ("after 20000", "write press|")],
    );
    check(
        json!({"session": session}),
        known(),
        &[
            ("open", ""),
            ("after 20000", "count reply_not_sent"),
            ("after 19999", ""),
            ("after 1", "count reply_not_sent"),
        ],
    );
}

#[test]
fn a_device_that_is_silent_for_too_long_is_closed() {
    check(
        beating(json!({"silentSeconds": 30})),
        known(),
        &[
            ("open", ""),
            ("after 20000", "write beat|"),
            ("written", ""),
            ("after 9999", ""),
            ("data {", ""),
            ("after 10001", "count incomplete_timeout; write beat|"),
            ("written", ""),
            ("after 19998", ""),
            ("after 1", "close silent"),
        ],
    );
    check(
        json!({"session": {"silentSeconds": 90}}),
        known(),
        &[("open", ""), ("after 60000", "close idle")],
    );
    check(
        json!({"session": {"silentSeconds": 30}}),
        known(),
        &[
            ("open", ""),
            ("paused", ""),
            ("after 90000", ""),
            ("taken", ""),
            ("after 29999", ""),
            ("after 1", "close silent"),
        ],
    );
}
