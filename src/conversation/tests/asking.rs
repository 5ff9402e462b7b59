//! Questions and their answers: commands, polls, the open sequence.

use serde_json::{Value, json};

use super::script::{Play, protocol};
use super::tables::check;

/// Lines such as `ok 3 up`: kind, number, text; a line `no …` refuses.
pub fn lines(changes: Value) -> Value {
    let mut document = json!({
        "framing": {"type": "delimiter", "end": "\n"},
        "decode": {"type": "regex", "pattern": "^(?P<kind>\\w+)(?: (?P<seq>\\d+))?(?: (?P<text>\\w+))?$",
            "fields": ["kind", "seq: integer", "text"]},
        "layouts": {},
        "identity": {"from": "address"},
        "replies": {},
        "commands": {
            "set": {"send": "set {count seq} {arg to}\n", "arguments": {"to": "enum up=up down=down"},
                "answer": {"where": "kind = ok and seq = {count seq}"},
                "refused": {"where": "kind = no"}, "withinMs": 1000},
            "tare": {"send": "tare\n", "answer": "^ok", "refused": "^no", "withinMs": 1000, "retries": 1},
            "beep": "beep\n"
        }
    });
    for (name, value) in changes.as_object().unwrap() {
        document[name] = value.clone();
    }
    document
}

#[test]
fn an_answer_is_the_outcome_and_makes_no_message() {
    check(
        lines(json!({})),
        json!({}),
        &[
            ("open", "bind 10.0.0.7"),
            ("ask 1 9000 10.0.0.7 set {\"to\":\"up\"}", "write set 0 up|"),
            ("written", ""),
            ("data hello|", "count unknown_device; submit 1 10.0.0.7"),
            ("data ok 7|", "count unknown_device; submit 2 10.0.0.7"),
            (
                "data ok 0 done|",
                "answer 1 answered {\"kind\":\"ok\",\"seq\":0,\"text\":\"done\"}",
            ),
            (
                "ask 2 9000 10.0.0.7 set {\"to\":\"down\"}",
                "write set 1 down|",
            ),
            ("written", ""),
            ("data no 1|", "answer 2 refused no 1"),
            ("ask 3 9000 10.0.0.7 beep", "write beep|"),
            ("written", "answer 3 sent 5"),
        ],
    );
}

#[test]
fn what_is_wrong_with_a_command_is_told_and_nothing_is_written() {
    let mut play = Play::new(protocol(&lines(json!({}))), &json!({}));
    play.play("open");
    for (ask, part) in [
        ("ask 1 100 10.0.0.7 sett", "did you mean \"set\"?"),
        (
            "ask 1 100 10.0.0.7 set {\"to\":\"left\"}",
            "one of up, down",
        ),
        ("ask 1 100 10.0.0.7 set {\"too\":1}", "\"too\""),
        ("ask 1 100 10.0.0.7 set 5", "must be an object"),
    ] {
        let said = play.play(ask);
        assert!(
            said.starts_with("answer 1 invalid") && said.contains(part),
            "{ask}: {said}"
        );
    }
}

#[test]
fn answers_that_can_be_told_apart_may_come_in_any_order() {
    check(
        lines(json!({})),
        json!({}),
        &[
            ("open", "bind 10.0.0.7"),
            ("ask 1 9000 10.0.0.7 set {\"to\":\"up\"}", "write set 0 up|"),
            ("ask 2 9000 10.0.0.7 set {\"to\":\"down\"}", ""),
            ("written", "write set 1 down|"),
            ("written", ""),
            (
                "data ok 1|",
                "answer 2 answered {\"kind\":\"ok\",\"seq\":1}",
            ),
            (
                "data ok 0|",
                "answer 1 answered {\"kind\":\"ok\",\"seq\":0}",
            ),
        ],
    );
}

#[test]
fn answers_that_cannot_be_told_apart_are_waited_for_one_by_one() {
    check(
        lines(json!({})),
        json!({}),
        &[
            ("open", "bind 10.0.0.7"),
            ("ask 1 9000 10.0.0.7 tare", "write tare|"),
            ("ask 2 9000 10.0.0.7 tare", ""),
            ("written", ""),
            (
                "data ok 1|",
                "answer 1 answered {\"kind\":\"ok\",\"seq\":1}; write tare|",
            ),
            ("written", ""),
            (
                "data ok 2|",
                "answer 2 answered {\"kind\":\"ok\",\"seq\":2}",
            ),
        ],
    );
}

#[test]
fn half_duplex_lets_one_question_out_at_a_time_and_says_who_never_had_the_line() {
    let half = json!({"session": {"halfDuplex": true}});
    check(
        lines(half),
        json!({}),
        &[
            ("open", "bind 10.0.0.7"),
            ("ask 1 9000 10.0.0.7 set {\"to\":\"up\"}", "write set 0 up|"),
            ("ask 2 500 10.0.0.7 set {\"to\":\"down\"}", ""),
            ("written", ""),
            ("after 500", "answer 2 busy"),
            ("ask 3 9000 10.0.0.7 beep", ""),
            (
                "data ok 0|",
                "answer 1 answered {\"kind\":\"ok\",\"seq\":0}; write beep|",
            ),
            ("written", "answer 3 sent 5"),
        ],
    );
}

#[test]
fn a_question_is_asked_again_as_often_as_it_may_and_every_try_may_be_answered() {
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
            // The other try may be answered too, and nothing could tell that answer apart.
            ("ask 2 9000 10.0.0.7 tare", ""),
            ("data ok 2|", "count late_answer; write tare|"),
            ("written", ""),
            (
                "data ok 3|",
                "answer 2 answered {\"kind\":\"ok\",\"seq\":3}",
            ),
        ],
    );
    check(
        lines(json!({})),
        json!({}),
        &[
            ("open", "bind 10.0.0.7"),
            ("ask 1 9000 10.0.0.7 tare", "write tare|"),
            ("written", ""),
            ("after 1000", "write tare|"),
            ("written", ""),
            ("after 1000", "answer 1 timed out 10"),
            ("ask 2 9000 10.0.0.7 tare", ""),
            ("data ok 1|", "count late_answer"),
            // Nothing came for the other try: after one more time limit nothing is expected.
            ("after 1000", "write tare|"),
            ("written", ""),
            (
                "data ok 3|",
                "answer 2 answered {\"kind\":\"ok\",\"seq\":3}",
            ),
        ],
    );
}

#[test]
fn a_late_answer_that_can_be_told_apart_keeps_nobody_back() {
    check(
        lines(json!({})),
        json!({}),
        &[
            ("open", "bind 10.0.0.7"),
            ("ask 1 300 10.0.0.7 set {\"to\":\"up\"}", "write set 0 up|"),
            ("written", ""),
            ("after 300", "answer 1 timed out 9"),
            (
                "ask 2 9000 10.0.0.7 set {\"to\":\"down\"}",
                "write set 1 down|",
            ),
            ("written", ""),
            ("data ok 0|", "count late_answer"),
            (
                "data ok 1|",
                "answer 2 answered {\"kind\":\"ok\",\"seq\":1}",
            ),
        ],
    );
}

#[test]
fn a_caller_may_wait_for_no_answer_and_the_answer_is_nobody_elses() {
    check(
        lines(json!({})),
        json!({}),
        &[
            ("open", "bind 10.0.0.7"),
            ("ask 1 9000 10.0.0.7 tare!", "write tare|"),
            ("written", "answer 1 sent 5"),
            ("ask 2 9000 10.0.0.7 tare", ""),
            ("data ok 1|", "count late_answer; write tare|"),
            ("written", ""),
            (
                "data ok 2|",
                "answer 2 answered {\"kind\":\"ok\",\"seq\":2}",
            ),
        ],
    );
}

#[test]
fn raw_bytes_may_have_an_answer() {
    check(
        lines(json!({})),
        json!({}),
        &[
            ("open", "bind 10.0.0.7"),
            ("raw 1 900 ^W W?", "write W?"),
            ("written", ""),
            ("data hello|", "count unknown_device; submit 1 10.0.0.7"),
            ("data W 5|", "answer 1 answered {\"kind\":\"W\",\"seq\":5}"),
            ("raw 2 900 next X?", "write X?"),
            ("written", ""),
            ("after 900", "answer 2 timed out 2"),
            // Its answer may come for as long again, and nothing could tell it apart.
            ("raw 3 5000 next Y?", ""),
            ("after 899", ""),
            ("after 1", "write Y?"),
        ],
    );
}

#[test]
fn while_nothing_is_read_only_what_has_no_answer_leaves() {
    check(
        lines(json!({})),
        json!({}),
        &[
            ("open", "bind 10.0.0.7"),
            ("paused", ""),
            ("ask 1 9000 10.0.0.7 beep", "write beep|"),
            ("written", "answer 1 sent 5"),
            ("ask 2 9000 10.0.0.7 tare", ""),
            ("ask 3 9000 10.0.0.7 beep", ""),
            ("taken", "write tare|"),
            ("written", "write beep|"),
        ],
    );
}

#[test]
fn the_end_of_a_connection_is_an_outcome() {
    let rows = |end: &'static str, one: &'static str, two: &'static str| {
        let both: &'static str = format!("answer 2 {two}; answer 1 {one}; close").leak();
        (end, both)
    };
    for (end, expected) in [rows("reset", "not connected 5", "not connected 0")] {
        let mut play = Play::new(protocol(&lines(json!({}))), &json!({}));
        for row in [
            "open",
            "ask 1 9000 10.0.0.7 tare",
            "written",
            "ask 2 9000 10.0.0.7 tare",
        ] {
            play.play(row);
        }
        let said = play.play(end);
        assert!(said.starts_with(expected), "{end}: {said}");
    }
    // A stop lets the answer come that is under way, and tells the others at once.
    check(
        lines(json!({})),
        json!({}),
        &[
            ("open", "bind 10.0.0.7"),
            ("ask 1 9000 10.0.0.7 tare", "write tare|"),
            ("written", ""),
            ("ask 2 9000 10.0.0.7 tare", ""),
            ("stop", "answer 2 interrupted 0"),
            ("ask 3 9000 10.0.0.7 tare", "answer 3 interrupted 0"),
            (
                "data ok 1|",
                "answer 1 answered {\"kind\":\"ok\",\"seq\":1}; close shutdown",
            ),
        ],
    );
    check(
        lines(json!({})),
        json!({}),
        &[
            ("open", "bind 10.0.0.7"),
            ("ask 1 9000 10.0.0.7 tare", "write tare|"),
            ("written", ""),
            ("stop", ""),
            ("reset", "answer 1 interrupted 5; close shutdown"),
        ],
    );
}

/// Polls of one unit or several, whose first times lie anywhere in the first interval.
fn polls(changes: Value) -> Value {
    let mut document = lines(json!({
        "commands": {},
        "session": {"halfDuplex": true, "backoffSeconds": 8},
        "polls": {"level": {"send": "level {unit}\n", "everyMs": 1000, "withinMs": 200,
            "answer": {"where": "kind = level and seq = {unit}"}}}
    }));
    for (name, value) in changes.as_object().unwrap() {
        document[name] = value.clone();
    }
    document
}

/// Plays a device that answers those units, for so many milliseconds; what it was asked, and when.
fn answering(play: &mut Play, milliseconds: u64, answers: &[&str]) -> Vec<(u64, String)> {
    let mut asked = Vec::new();
    let mut pending: Vec<String> = Vec::new();
    for at in 0..milliseconds {
        let said = match pending.pop() {
            Some(line) => play.play(&line),
            None => play.play("after 1"),
        };
        for part in said.split("; ") {
            if let Some(line) = part.strip_prefix("write ") {
                let line = line.trim_end_matches('|');
                asked.push((at, line.to_owned()));
                let unit = line.rsplit(' ').next().unwrap();
                if answers.contains(&unit) {
                    pending.push(format!("data {line} ok|"));
                }
                pending.push("written".to_owned());
            }
        }
    }
    asked
}

fn times(asked: &[(u64, String)], unit: &str) -> Vec<u64> {
    let of_unit = |line: &str| line.ends_with(&format!(" {unit}"));
    asked
        .iter()
        .filter(|(_, line)| of_unit(line))
        .map(|(at, _)| *at)
        .collect()
}

/// While the late answer of one may still come, the others are asked.
#[test]
fn a_unit_that_does_not_answer_keeps_the_line_no_longer_than_its_time_limit() {
    let units = json!({"units": ["1", "2"]});
    let mut document = polls(json!({}));
    document["polls"]["level"]["withinMs"] = json!(3000);
    let mut play = Play::new(protocol(&document), &units);
    play.play("open");
    let asked = answering(&mut play, 30_000, &["1"]);
    let (one, two) = (times(&asked, "1"), times(&asked, "2"));
    assert!(two.len() >= 3, "{two:?}");
    let longest = one.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert!(longest <= Some(4000), "{one:?}, and the other {two:?}");
}

#[test]
fn every_unit_is_polled_at_its_interval() {
    let units = json!({"units": ["1", "2", "3"]});
    let mut play = Play::new(protocol(&polls(json!({}))), &units);
    play.play("open");
    let asked = answering(&mut play, 10_000, &["1", "2", "3"]);
    for unit in ["1", "2", "3"] {
        let times = times(&asked, unit);
        assert!((9..=10).contains(&times.len()), "unit {unit}: {times:?}");
        let apart = times.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(
            apart.clone().all(|apart| (900..=1100).contains(&apart)),
            "{times:?}"
        );
    }
}

#[test]
fn a_silent_unit_is_asked_less_and_less_and_the_others_keep_their_intervals() {
    let units = json!({"units": ["1", "2", "3"]});
    let mut play = Play::new(protocol(&polls(json!({}))), &units);
    play.play("open");
    let asked = answering(&mut play, 60_000, &["1", "3"]);
    for unit in ["1", "3"] {
        assert!(times(&asked, unit).len() >= 58, "unit {unit}");
    }
    let silent = times(&asked, "2");
    assert!((7..=14).contains(&silent.len()), "{silent:?}");
    let last = silent[silent.len() - 1] - silent[silent.len() - 2];
    assert!((8000..=9500).contains(&last), "{silent:?}");
    // It answers again: at its interval from then on.
    let asked = answering(&mut play, 30_000, &["1", "2", "3"]);
    assert!(times(&asked, "2").len() >= 20, "{:?}", times(&asked, "2"));
}

#[test]
fn other_units_are_polled_whatever_becomes_of_what_was_asked_before() {
    let mut play = Play::new(protocol(&polls(json!({}))), &json!({"units": ["1"]}));
    play.play("open");
    while !play.play("after 1").contains("write level 1|") {}
    play.play("written");
    play.play("settings {\"units\":[\"2\"]}");
    let mut waited = 0;
    while !play.play("after 1").contains("write level 2|") {
        waited += 1;
        assert!(waited < 1000, "unit 2 is left alone for what unit 1 did");
    }
}

#[test]
fn a_unit_that_falls_silent_or_answers_again_is_told_once() {
    let units = json!({"units": ["1"]});
    let mut play = Play::new(protocol(&polls(json!({}))), &units);
    play.play("open");
    let mut told = Vec::new();
    let mut answers = false;
    for at in 0..20_000 {
        let mut said = play.play("after 1");
        if said.contains("write") {
            said = play.play("written");
            if answers {
                said = play.play("data level 1 ok|");
            }
        }
        answers = at > 9000;
        told.extend(
            said.split("; ")
                .filter(|part| part.starts_with("silent") || part.starts_with("heard"))
                .map(str::to_owned),
        );
    }
    assert_eq!(told, ["silent 10.0.0.7/1", "heard 10.0.0.7/1"]);
}

#[test]
fn the_answer_to_a_poll_is_a_message_and_the_polls_stop_while_nothing_can_be_kept() {
    let mut play = Play::new(protocol(&polls(json!({}))), &json!({"units": ["1"]}));
    assert_eq!(play.play("open"), "bind 10.0.0.7; bind 10.0.0.7/1");
    let mut asked = 0;
    while !play.play("after 1").contains("write") {
        asked += 1;
        assert!(asked < 1001);
    }
    play.play("written");
    play.play("full");
    assert_eq!(
        play.play("data level 1 7|"),
        "count unknown_device; submit 1 10.0.0.7"
    );
    play.play("paused");
    assert_eq!(play.play("after 5000"), "");
    let said = play.play("taken");
    assert!(
        said.contains("count polls_missed; write level 1|"),
        "{said}"
    );
}

#[test]
fn the_open_sequence_goes_before_everything_and_ends_a_connection_on_which_it_fails() {
    let open = json!({"session": {"open": [
        {"answer": "^hello", "withinMs": 500},
        {"send": "key {last seq + 1}\n", "answer": "^ok", "refused": "^no", "withinMs": 500}]}});
    check(
        lines(open.clone()),
        json!({}),
        &[
            ("open", "bind 10.0.0.7"),
            ("ask 1 9000 10.0.0.7 beep", ""),
            (
                "data hello 41|",
                "count unknown_device; submit 1 10.0.0.7; write key 42|",
            ),
            ("written", ""),
            (
                "data ok 1|",
                "count unknown_device; submit 2 10.0.0.7; write beep|",
            ),
            ("written", "answer 1 sent 5"),
        ],
    );
    check(
        lines(open.clone()),
        json!({}),
        &[
            ("open", "bind 10.0.0.7"),
            ("after 500", "count open_failed; close not_opened"),
        ],
    );
    check(
        lines(open),
        json!({}),
        &[
            ("open", "bind 10.0.0.7"),
            (
                "data hello 41|",
                "count unknown_device; submit 1 10.0.0.7; write key 42|",
            ),
            ("written", ""),
            (
                "data no 1|",
                "count unknown_device; submit 2 10.0.0.7; count open_failed; close not_opened",
            ),
        ],
    );
}

#[test]
fn what_a_frame_said_is_answered_when_its_reply_has_left_and_not_before() {
    let changes = json!({
        "replies": {"seen": {"when": "seq", "send": "seen {seq}\n"}},
        "commands": {"set": "set {answered seq else 0} {last seq else 0}\n"}
    });
    check(
        lines(changes),
        json!({}),
        &[
            ("open", "bind 10.0.0.7"),
            ("ask 1 9000 10.0.0.7 set", "write set 0 0|"),
            ("written", "answer 1 sent 8"),
            ("data ok 7|", "count unknown_device; submit 1 10.0.0.7"),
            ("ask 2 9000 10.0.0.7 set", "write set 0 7|"),
            ("written", "answer 2 sent 8"),
            ("stored 1", "write seen 7|"),
            ("written", ""),
            ("ask 3 9000 10.0.0.7 set", "write set 7 7|"),
            ("written", "answer 3 sent 8"),
        ],
    );
}
