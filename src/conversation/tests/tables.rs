//! The table of the machine, line by line.

use serde_json::{Value, json};

use super::script::{Play, protocol};

pub(super) fn check(changes: Value, listener: Value, rows: &[(&str, &str)]) {
    let mut play = Play::new(protocol(&changes), &listener);
    for (at, (input, expected)) in rows.iter().enumerate() {
        assert_eq!(play.play(input), *expected, "row {at}: {input}");
    }
}

pub(super) const A1: &str = "data {'id':'a','seq':1}|";
const A2: &str = "data {'id':'a','seq':2}|";

#[test]
fn a_reply_waits_for_its_promise() {
    check(
        json!({"acknowledge": {"after": "delivered"}}),
        json!({}),
        &[
            ("open", ""),
            (A1, "count unknown_device; bind a; submit 1 a"),
            ("stored 1", ""),
            ("delivered 1", "write ok 1|"),
            ("written", ""),
        ],
    );
    check(
        json!({"acknowledge": {"after": "stored"}}),
        json!({}),
        &[
            ("open", ""),
            (A1, "count unknown_device; bind a; submit 1 a"),
            ("stored 1", "write ok 1|"),
        ],
    );
    check(
        json!({"acknowledge": {"after": "received"}}),
        json!({}),
        &[
            ("open", ""),
            (A1, "count unknown_device; bind a; submit 1 a; write ok 1|"),
        ],
    );
}

#[test]
fn replies_leave_in_the_order_of_their_frames() {
    let quiet = "data {'id':'a','seq':2,'kind':'quiet'}|";
    check(
        json!({}),
        json!({"devices": {"a": {"match": {"id": "a"}}}}),
        &[
            ("open", ""),
            (A1, "bind a; submit 1 a"),
            (quiet, ""),
            ("data {'id':'a','seq':3}|", "submit 3 a"),
            ("delivered 3", ""),
            ("delivered 1", "write ok 1|ok 2|ok 3|"),
            ("written 5", ""),
            ("written", ""),
            (quiet, "write ok 2|"),
        ],
    );
}

#[test]
fn a_missed_promise_is_followed_by_else() {
    let late = |otherwise: &str| json!({"acknowledge": {"withinMs": 1000, "else": otherwise}});
    let begin = [("open", ""), (A1, "bind a; submit 1 a"), (A2, "submit 2 a")];
    let known = || json!({"devices": {"a": {"match": {"id": "a"}}}});
    let run = |otherwise: &str, rows: &[(&str, &str)]| {
        let rows: Vec<_> = begin.iter().chain(rows).copied().collect();
        check(late(otherwise), known(), &rows);
    };
    run(
        "nothing",
        &[
            ("after 999", ""),
            ("lost 1", "count promise_lost"),
            ("delivered 2", "write ok 2|"),
            ("after 9", ""),
        ],
    );
    run(
        "nothing",
        &[
            (
                "after 1000",
                "forget 1; count promise_late; forget 2; count promise_late",
            ),
            ("delivered 1", ""),
        ],
    );
    run(
        "nak",
        &[
            ("lost 2", "count promise_lost"),
            ("delivered 1", "write ok 1|nak|"),
        ],
    );
    run(
        "nak",
        &[(
            "after 1000",
            "forget 1; count promise_late; forget 2; count promise_late; write nak|nak|",
        )],
    );
    run(
        "close",
        &[
            ("lost 2", "count promise_lost"),
            ("data {'id':'a','seq':3}|", "submit 3 a"),
            ("delivered 1", "write ok 1|"),
            ("written", "close promise_not_kept"),
            (A1, ""),
        ],
    );
}

#[test]
fn a_reply_that_lacks_a_field_is_not_sent() {
    check(
        json!({"replies": {"ok": {"send": "{nothing}\n", "when": "seq"}}}),
        json!({"devices": {"a": {"match": {"id": "a"}}}}),
        &[
            ("open", ""),
            (A1, "bind a; submit 1 a; count reply_not_sent"),
            (A2, "submit 2 a; count reply_not_sent"),
        ],
    );
}

#[test]
fn a_reply_may_end_the_connection() {
    check(
        json!({"replies": {"bye": {"send": "bye\n", "when": "seq = 2", "close": true}}}),
        json!({"devices": {"a": {"match": {"id": "a"}}}}),
        &[
            ("open", ""),
            (
                "data {'id':'a','seq':1}|{'id':'a','seq':2}|{'id':'a','seq':3}|",
                "bind a; submit 1 a; submit 2 a",
            ),
            ("stored 2", "write bye|"),
            ("written", "close reply"),
        ],
    );
}

#[test]
fn undecoded_frames_follow_their_rule() {
    let known = || json!({"devices": {"x": {"match": {"address": "10.0.0.7"}}}});
    let address = |rule: &str| json!({"onUndecoded": rule, "identity": {"from": "address"}});
    let begin = ("open", "bind x");
    check(
        address("publish"),
        known(),
        &[begin, ("data nonsense|", "count undecoded; submit 1 x")],
    );
    check(
        address("drop"),
        known(),
        &[begin, ("data nonsense|", "count undecoded")],
    );
    check(
        address("close"),
        known(),
        &[
            begin,
            ("data nonsense|", "count undecoded; close undecoded"),
        ],
    );
}

#[test]
fn one_login_is_for_the_whole_connection() {
    let login = || json!({"identity": {"field": "id", "scope": "connection"}});
    let devices =
        || json!({"devices": {"truck": {"match": {"id": "a"}}}, "unknownDevices": "reject"});
    check(
        login(),
        devices(),
        &[
            ("open", ""),
            (
                "data {'id':'a'}|{'kind':'x'}|",
                "bind truck alone; submit 1 truck; submit 2 truck",
            ),
            (
                r#"settings {"devices": {"lorry": {"match": {"id": "a"}}}}"#,
                "bind lorry alone",
            ),
            (
                r#"settings {"unknownDevices": "reject"}"#,
                "count rejected_device; close device_rejected",
            ),
        ],
    );
    check(
        login(),
        devices(),
        &[
            ("open", ""),
            (
                "data {'id':'b'}|",
                "count rejected_device; close device_rejected",
            ),
        ],
    );
    check(
        login(),
        devices(),
        &[
            ("open", ""),
            (
                "data {'seq':1}|",
                "count unidentified; count rejected_device; close device_rejected",
            ),
        ],
    );
    check(
        login(),
        devices(),
        &[
            ("open", ""),
            ("data {'seq':1,'kind':'quiet'}|", "write ok 1|"),
            ("written", ""),
        ],
    );
    check(
        login(),
        json!({}),
        &[
            ("open", ""),
            (
                "data {'seq':1}|",
                "count unidentified; count unknown_device; submit 1 10.0.0.7",
            ),
            (
                "data {'id':'b'}|",
                "count unknown_device; bind b alone; submit 2 b",
            ),
        ],
    );
}

#[test]
fn each_frame_may_be_of_another_device() {
    check(
        json!({}),
        json!({"devices": {"a": {"match": {"id": "a"}}, "b": {"match": {"id": "b"}}}, "unknownDevices": "reject"}),
        &[
            ("open", ""),
            (
                "data {'id':'a'}|{'id':'a'}|{'id':'b'}|",
                "bind a; submit 1 a; submit 2 a; bind b; submit 3 b",
            ),
            ("data {'id':'c'}|", "count rejected_device"),
            ("data {'id':'a'}|", "bind a; submit 5 a"),
        ],
    );
}

#[test]
fn the_address_or_the_listener_says_who_it_is() {
    let address = || json!({"identity": {"from": "address"}});
    check(
        address(),
        json!({"devices": {"press": {"match": {"address": "10.0.0.7"}}}}),
        &[
            ("open", "bind press"),
            (
                r#"settings {"devices": {"mill": {"match": {"address": "10.0.0.7"}}}}"#,
                "bind mill",
            ),
            (
                r#"settings {"devices": {"mill": {"match": {"address": "10.0.0.7"}}}}"#,
                "",
            ),
        ],
    );
    check(
        address(),
        json!({"unknownDevices": "reject"}),
        &[
            ("open", "count rejected_device; close device_rejected"),
            (A1, ""),
        ],
    );
    check(
        json!({}),
        json!({"device": "fixed", "unknownDevices": "reject"}),
        &[
            ("open", "bind fixed"),
            ("data {'id':'a'}|", "submit 1 fixed"),
        ],
    );
}

#[test]
fn after_the_devices_fin_frames_and_replies_are_finished() {
    check(
        json!({}),
        json!({"devices": {"a": {"match": {"id": "a"}}}}),
        &[
            ("open", ""),
            ("data {'id':'a','seq':1}|{'id':", "bind a; submit 1 a"),
            ("fin", "count half_frame"),
            ("command 1 100 x", "answer 1 not connected 0"),
            ("stored 1", "write ok 1|"),
            ("written", "close fin"),
            ("fin", ""),
        ],
    );
    check(json!({}), json!({}), &[("open", ""), ("fin", "close fin")]);
    check(
        json!({"acknowledge": {"after": "delivered"}}),
        json!({"devices": {"a": {"match": {"id": "a"}}}}),
        &[
            ("open", ""),
            (A1, "bind a; submit 1 a"),
            ("fin", ""),
            ("after 59999", ""),
            ("after 1", "close fin"),
        ],
    );
}

#[test]
fn a_stop_waits_for_the_frame_in_progress() {
    let known = || json!({"devices": {"a": {"match": {"id": "a"}}}});
    check(
        json!({}),
        known(),
        &[
            ("open", ""),
            ("data {'id':'a',", ""),
            ("stop", ""),
            (
                "data 'seq':1}|{'id':'a','seq':2}|{'id'",
                "bind a; submit 1 a; submit 2 a; count half_frame",
            ),
            ("stored 1", "write ok 1|"),
            ("written", ""),
            ("stored 2", "write ok 2|"),
            ("written", "close shutdown"),
        ],
    );
    check(
        json!({}),
        known(),
        &[("open", ""), ("stop", "close shutdown")],
    );
    check(
        json!({}),
        known(),
        &[
            ("open", ""),
            ("data {'id'", ""),
            ("stop", ""),
            ("after 1999", ""),
            ("after 1", "count half_frame; close shutdown"),
        ],
    );
    check(
        json!({}),
        known(),
        &[
            ("open", ""),
            (A1, "bind a; submit 1 a"),
            ("stop", ""),
            ("reset", "close shutdown"),
        ],
    );
}

#[test]
fn every_command_gets_one_outcome() {
    check(
        json!({}),
        json!({}),
        &[
            ("command 1 100 x", "answer 1 not connected 0"),
            ("open", ""),
            ("command 2 100 on", "write on"),
            ("written 1", ""),
            ("written 1", "answer 2 sent 2"),
            ("command 3 100 first", "write first"),
            ("command 4 100 second", ""),
            ("command 5 100 third", "answer 5 busy"),
            (
                "after 100",
                "withdraw; answer 3 timed out 0; answer 4 timed out 0",
            ),
            ("command 6 100 half", "write half"),
            ("command 7 900 next", ""),
            ("written 1", ""),
            ("after 100", "answer 6 timed out 1"),
            ("written 3", "write next"),
            ("written 2", ""),
            ("command 8 900 more", ""),
            (
                "reset",
                "answer 7 not connected 2; answer 8 not connected 0; close reset",
            ),
            ("command 9 100 x", "answer 9 not connected 0"),
        ],
    );
}

#[test]
fn commands_go_between_replies() {
    check(
        json!({}),
        json!({"devices": {"a": {"match": {"id": "a"}}}}),
        &[
            ("open", ""),
            (
                "data {'id':'a','seq':1}|{'id':'a','seq':2}|",
                "bind a; submit 1 a; submit 2 a",
            ),
            ("stored 1", "write ok 1|"),
            ("command 1 100 go", ""),
            ("stored 2", ""),
            ("written", "write go"),
            ("written", "answer 1 sent 2; write ok 2|"),
        ],
    );
}

#[test]
fn at_its_bounds_a_conversation_takes_no_more() {
    let listener = json!({"devices": {"a": {"match": {"id": "a"}}}});
    let mut play = Play::new(protocol(&json!({})), &listener);
    assert!(!play.conversation.wants_input());
    play.play("open");
    let four = format!("{A1}{}", "{'id':'a','seq':2}|".repeat(3));
    assert_eq!(
        play.play(&four),
        "bind a; submit 1 a; submit 2 a; submit 3 a"
    );
    assert!(!play.conversation.wants_input());
    assert_eq!(
        play.conversation.deadline(),
        None,
        "the idle clock stands still"
    );
    assert_eq!(play.play("stored 1"), "submit 4 a; write ok 1|");
    assert!(!play.conversation.wants_input());
    assert_eq!(play.play("written"), "");
    assert!(!play.conversation.wants_input());
    play.play("stored 2");
    play.play("written");
    assert!(play.conversation.wants_input());
}

#[test]
fn the_idle_clock_runs_only_while_we_read() {
    check(
        json!({}),
        json!({}),
        &[("open", ""), ("after 59999", ""), ("after 1", "close idle")],
    );
    check(
        json!({}),
        json!({}),
        &[
            ("open", ""),
            ("after 59999", ""),
            ("data x", ""),
            ("paused", ""),
            ("after 90000", ""),
            ("taken", ""),
            (
                "data |",
                "count undecoded; count unidentified; count unknown_device; submit 1 10.0.0.7",
            ),
            ("after 59999", ""),
            ("after 1", "close idle"),
        ],
    );
}

#[test]
fn a_frame_ends_when_the_line_is_quiet() {
    let framing = json!({"framing": {"type": "idle", "ms": 50}});
    let message = "count undecoded; count unidentified; count unknown_device; submit 1 10.0.0.7";
    let next = "count undecoded; count unidentified; count unknown_device; submit 2 10.0.0.7";
    let script = [
        ("open", ""),
        ("data a", ""),
        ("after 49", ""),
        ("data b", ""),
        ("after 49", ""),
        ("after 1", message),
        ("data c", ""),
        // Nobody listens meanwhile.
        ("paused", ""),
        ("after 500", ""),
        ("taken", ""),
        ("after 49", ""),
        ("after 1", next),
    ];
    check(framing, json!({}), &script);
}
