//! What protocols ask: mistakes, and what is taken where nothing is said.

use std::time::Duration;

use serde_json::json;

use super::{changed, check, parsed};

#[test]
fn every_mistake_is_told_once_and_where_it_is() {
    check(
        &changed(json!({"protocols": {"lines": {
            "modbus": "tcp",
            "registers": ["a: u16 at 50001"],
            "polls": {
                "p": {"everyMs": 10, "send": "{x}", "retires": 1},
                "r": {"everyMs": 100, "registers": ["b"]}
            },
            "commands": {"c": {"send": "{arg a}{count n}", "answer": {"where": "text = {count m}"}, "retires": 1}},
            "session": {"open": [{"withinMs": 5}], "halfDuplx": true}
        }}})),
        &[
            (
                "/protocols/lines/session/halfDuplx",
                None,
                "unknown member \"halfDuplx\", did you mean \"halfDuplex\"?",
            ),
            (
                "/protocols/lines/registers/0",
                Some(11),
                "an address begins with 0 (coils), 1 (discrete inputs), 3 (input registers) or 4 (holding registers)",
            ),
            (
                "/protocols/lines/session/open/0",
                None,
                "expected `send`, `answer`, or both",
            ),
            (
                "/protocols/lines/polls/p/retires",
                None,
                "unknown member \"retires\", did you mean \"retries\"?",
            ),
            (
                "/protocols/lines/polls/p/everyMs",
                None,
                "10 is outside of 20 to 86400000",
            ),
            (
                "/protocols/lines/polls/p/send",
                None,
                "a question answers no frame, which could have `x`: `{unit}` is the unit that is asked, `{arg NAME}` an argument, `{last NAME}` what an earlier frame said",
            ),
            (
                "/protocols/lines/commands/c/retires",
                None,
                "unknown member \"retires\", did you mean \"retries\"?",
            ),
            (
                "/protocols/lines/commands/c/answer",
                None,
                "`count m` is not in `send`, so no answer repeats it",
            ),
        ],
    );
}

#[test]
fn polls_have_a_second_for_their_answers_and_commands_five() {
    let settings = parsed(&changed(json!({"protocols": {"lines": {
        "polls": {"p": {"everyMs": 100, "send": "a"}, "q": {"everyMs": 100, "send": "a", "withinMs": 7}},
        "commands": {"c": {"send": "a", "answer": "next"}}
    }}})));
    let questions = &settings.protocols["lines"].questions;
    let within: Vec<Duration> = questions.iter().map(|asks| asks.within).collect();
    assert_eq!(within, [1000, 7, 5000].map(Duration::from_millis));
}
