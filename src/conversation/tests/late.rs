//! Answers that come late, or may: who has the line until then, and whose they are not.

use serde_json::json;

use super::asking::lines;
use super::tables::check;

#[test]
fn raw_bytes_keep_the_line_no_longer_than_their_time_once_more() {
    check(
        lines(json!({})),
        json!({}),
        &[
            ("open", "bind 10.0.0.7"),
            ("raw 1 900 next X?", "write X?"),
            ("written", ""),
            ("after 900", "answer 1 timed out 2"),
            ("ask 2 9000 10.0.0.7 tare", ""),
            ("after 900", "write tare|"),
        ],
    );
}

#[test]
fn an_answer_that_lies_unread_is_not_the_next_questions() {
    // Reading stops while nothing can be kept, and while something is written.
    let replies = json!({"replies": {"ok": {"send": "r\n", "when": "kind = news"}},
        "acknowledge": {"after": "received"}});
    for (stop, stopped, go) in [
        ("paused", "", "taken"),
        (
            "data news|",
            "count unknown_device; submit 1 10.0.0.7; write r|",
            "written",
        ),
    ] {
        let rows = [
            ("open", "bind 10.0.0.7"),
            ("raw 1 500 ^ok X?", "write X?"),
            ("written", ""),
            ("after 500", "answer 1 timed out 2"),
            (stop, stopped),
            ("after 2000", ""),
            ("ask 2 9000 10.0.0.7 tare", ""),
            (go, ""),
            ("data ok 1|", "count late_answer; write tare|"),
        ];
        check(lines(replies.clone()), json!({}), &rows);
    }
}

#[test]
fn every_try_is_answered_until_its_time_limit_has_passed_twice() {
    check(
        lines(json!({})),
        json!({}),
        &[
            ("open", "bind 10.0.0.7"),
            ("ask 1 9000 10.0.0.7 tare", "write tare|"),
            ("written", ""),
            ("after 1000", "write tare|"),
            ("written", ""),
            (
                "data ok 1|",
                "answer 1 answered {\"kind\":\"ok\",\"seq\":1}",
            ),
            ("ask 2 9000 10.0.0.7 tare", ""),
            ("after 1900", ""),
            ("data ok 2|", "count late_answer; write tare|"),
        ],
    );
}

#[test]
fn a_question_that_was_given_up_before_its_limit_may_be_answered_as_late_as_any() {
    check(
        lines(json!({})),
        json!({}),
        &[
            ("open", "bind 10.0.0.7"),
            ("ask 1 100 10.0.0.7 tare", "write tare|"),
            ("written", ""),
            ("after 100", "answer 1 timed out 5"),
            ("ask 2 9000 10.0.0.7 tare", ""),
            ("after 1800", ""),
            ("data ok 1|", "count late_answer; write tare|"),
        ],
    );
}

#[test]
fn a_try_waits_too_until_its_answer_can_be_told_apart() {
    let commands = json!({"commands": {
        "few": {"send": "few {count f & 1}\n", "answer": {"where": "seq = {count f}"},
            "withinMs": 1000, "retries": 1},
        "skip": "skip {count f}\n"}});
    check(
        lines(commands),
        json!({}),
        &[
            ("open", "bind 10.0.0.7"),
            ("ask 1 9000 10.0.0.7 few", "write few 0|"),
            ("written", ""),
            ("after 500", ""),
            ("ask 2 9000 10.0.0.7 few", "write few 1|"),
            ("written", ""),
            (
                "data ok 0|",
                "answer 1 answered {\"kind\":\"ok\",\"seq\":0}",
            ),
            ("ask 3 9000 10.0.0.7 few", "write few 0|"),
            ("written", ""),
            ("after 1000", "write few 1|"),
            ("written", "write few 0|"),
            ("written", ""),
            (
                "data ok 1|",
                "answer 2 answered {\"kind\":\"ok\",\"seq\":1}",
            ),
        ],
    );
    let commands = json!({"commands": {
        "few": {"send": "few {count f & 1}\n", "answer": {"where": "seq = {count f}"},
            "withinMs": 1000, "retries": 1},
        "skip": "skip {count f}\n"}});
    check(
        lines(commands),
        json!({"waitingCommands": 3}),
        &[
            ("open", "bind 10.0.0.7"),
            ("ask 1 9000 10.0.0.7 few", "write few 0|"),
            ("written", ""),
            ("after 500", ""),
            ("ask 2 9000 10.0.0.7 few", "write few 1|"),
            ("written", ""),
            ("ask 3 9000 10.0.0.7 skip", "write skip 2|"),
            ("written", "answer 3 sent 7"),
            ("after 500", ""),
            (
                "data ok 1|",
                "answer 2 answered {\"kind\":\"ok\",\"seq\":1}; write few 1|",
            ),
        ],
    );
}

#[test]
fn half_duplex_waits_for_the_answer_that_its_caller_does_not_wait_for() {
    check(
        lines(json!({"session": {"halfDuplex": true}})),
        json!({}),
        &[
            ("open", "bind 10.0.0.7"),
            (
                "ask 1 9000 10.0.0.7 set! {\"to\":\"up\"}",
                "write set 0 up|",
            ),
            ("written", "answer 1 sent 9"),
            ("ask 2 9000 10.0.0.7 set! {\"to\":\"up\"}", ""),
            ("data ok 0|", "count late_answer; write set 1 up|"),
            ("written", "answer 2 sent 9"),
            ("ask 3 9000 10.0.0.7 set {\"to\":\"up\"}", ""),
            ("after 1000", "write set 2 up|"),
        ],
    );
}

#[test]
fn a_try_that_cannot_be_filled_ends_its_question_and_the_connection_that_waited_for_it() {
    let go = json!({"commands": {"go": {"send": "{last seq: u8}go\n", "answer": "^ok",
        "withinMs": 3000, "retries": 1}, "tare": {"send": "tare\n", "answer": "^ok"}}});
    let mut rows = vec![
        ("open", "bind 10.0.0.7"),
        ("data hello 65|", "count unknown_device; submit 1 10.0.0.7"),
        ("ask 1 9000 10.0.0.7 go", "write Ago|"),
        ("written", ""),
        ("data hello 300|", "count unknown_device; submit 2 10.0.0.7"),
    ];
    let next = [
        ("ask 2 9000 10.0.0.7 tare", ""),
        ("after 3000", "count retry_not_sent; answer 1 timed out 4"),
        ("data ok 1|", "count late_answer; write tare|"),
    ];
    check(lines(go.clone()), json!({}), &[&rows[..], &next].concat());
    rows.push(("stop", ""));
    rows.push((
        "after 3000",
        "count retry_not_sent; answer 1 timed out 4; close shutdown",
    ));
    check(lines(go), json!({}), &rows);
}
