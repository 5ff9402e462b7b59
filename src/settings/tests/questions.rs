//! What protocols ask: mistakes, and what is taken where nothing is said.

use std::time::Duration;

use serde_json::{Value, json};

use super::{changed, check, parsed};
use crate::document::merge_patch;
use crate::settings::{Presets, Settings};

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
            (
                "/protocols/lines/commands/c/send",
                None,
                "`arg a` is not declared: add it to \"arguments\"",
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

/// Settings whose protocol "p" reads these fields, with members of it changed.
fn asking(members: &Value) -> Value {
    let mut protocol = json!({
        "framing": {"type": "delimiter", "end": "\n"},
        "decode": {"type": "binary", "fields": ["kind: u8", "unit: u8"]}
    });
    merge_patch(&mut protocol, members);
    json!({"listeners": {"l": {"port": 1, "protocol": "p", "units": [1]}}, "protocols": {"p": protocol}})
}

/// Place in the protocol, column and message of every mistake.
fn told(members: &Value) -> Vec<(String, Option<usize>, String)> {
    let problems = Settings::parse(&asking(members), &Presets::built_in()).err();
    let problems = problems.unwrap_or_default();
    let told = problems.as_slice().iter().map(|problem| {
        let place = problem.pointer.strip_prefix("/protocols/p");
        let place = place.unwrap_or(&problem.pointer);
        (place.to_owned(), problem.column, problem.message.clone())
    });
    told.collect()
}

#[test]
fn one_mistake_is_one_text_at_its_place() {
    let command = |command: Value| json!({"commands": {"c": command}});
    let poll = |members: Value| {
        let mut poll = json!({"everyMs": 100, "send": "a"});
        merge_patch(&mut poll, &members);
        json!({"polls": {"x": poll}})
    };
    let said = |send: &str, declaration: &str| {
        command(json!({"send": send, "arguments": {"r": declaration}}))
    };
    let unknown = "unknown field \"knd\", did you mean \"kind\"?";
    let next = "unknown word \"Next\", did you mean \"next\"? As a pattern it is written \"^Next\"";
    let none = "\"none\" is no word here: where the device does not answer, leave \"answer\" out, or say false beside a preset. As a pattern it is written \"^none\"";
    let empty = "it is empty: expected the bytes to send";
    for (members, place, column, message) in [
        // A declaration with a mistake in it is one.
        (
            said("{arg r}", "int 0..7"),
            "/commands/c/arguments/r",
            Some(1),
            "unknown kind of argument \"int\", did you mean \"integer\"?",
        ),
        (
            said("a", "integer 0..7"),
            "/commands/c/arguments/r",
            None,
            "nothing says `arg r`",
        ),
        (
            said("{arg r: u17}", "integer 0..7"),
            "/commands/c/send",
            Some(9),
            "`u17` has no whole number of bytes from 8 to 64 bits",
        ),
        (
            json!({"modbus": "ascii", "registers": ["a: u16 at 40001"], "polls": {"x": {"everyMs": 20, "registers": "all"}}}),
            "/modbus",
            None,
            "unknown word \"ascii\", expected one of tcp, rtu",
        ),
        // Fields of conditions.
        (
            poll(json!({"answer": {"where": "unit = 1 and knd = 3"}})),
            "/polls/x/answer/where",
            Some(14),
            unknown,
        ),
        (
            poll(json!({"answer": "^a", "refused": {"where": "!knd"}})),
            "/polls/x/refused/where",
            Some(2),
            unknown,
        ),
        (
            json!({"session": {"open": [""]}}),
            "/session/open/0",
            None,
            "expected an object, found the text \"\"",
        ),
        (
            json!({"session": {"open": [{"send": "a", "answer": {"where": "knd = {unit}"}}]}}),
            "/session/open/0/answer/where",
            Some(1),
            unknown,
        ),
        (
            json!({"replies": {"ok": {"send": "a", "when": "unit = 1 and knd"}}}),
            "/replies/ok/when",
            Some(14),
            unknown,
        ),
        (
            json!({"commands": {"c": "a{last knd}"}}),
            "/commands/c",
            None,
            unknown,
        ),
        (
            poll(json!({"answer": {"layout": "nope"}})),
            "/polls/x/answer/layout",
            None,
            "unknown layout \"nope\": there is none",
        ),
        (
            poll(json!({"answer": {"wher": "kind = 3"}})),
            "/polls/x/answer/wher",
            None,
            "unknown member \"wher\", did you mean \"where\"?",
        ),
        // Words that look like patterns.
        (
            poll(json!({"answer": "Next"})),
            "/polls/x/answer",
            None,
            next,
        ),
        (
            command(json!({"send": "a", "answer": "none", "refused": "^E", "retries": 1})),
            "/commands/c/answer",
            None,
            none,
        ),
        // What sends nothing.
        (
            command(json!({"send": ""})),
            "/commands/c/send",
            None,
            empty,
        ),
        (
            command(json!({"send": "0x"})),
            "/commands/c/send",
            None,
            empty,
        ),
        (command(json!("")), "/commands/c", None, empty),
        (poll(json!({"send": ""})), "/polls/x/send", None, empty),
        (
            json!({"session": {"open": [{"send": ""}]}}),
            "/session/open/0/send",
            None,
            empty,
        ),
        // JSON as a command.
        (
            command(json!("{\"a\":1}")),
            "/commands/c",
            Some(6),
            "unknown type \"1\", expected one of u8, u16, u24, u32, u64, i8, i16, i24, i32, i64, f32, f64, decimal, hexadecimal, bcd, hex, ascii, utf8, ymdhms, bcdtime; a brace in text is written `{{`",
        ),
        // Numbers.
        (
            poll(json!({"everyMs": "10s"})),
            "/polls/x/everyMs",
            None,
            "found the text \"10s\", expected a whole number from 20 to 86400000",
        ),
        (
            poll(json!({"withinMs": -1})),
            "/polls/x/withinMs",
            None,
            "found the number `-1`, expected a whole number from 1 to 300000",
        ),
    ] {
        let expected = (place.to_owned(), column, message.to_owned());
        assert_eq!(told(&members), [expected], "{members}");
    }
    for right in [
        command(json!({"send": "", "answer": "next"})),
        command(json!({"send": "", "frame": true})),
        poll(json!({"send": "", "frame": true})),
        poll(json!({"answer": "^Next"})),
        json!({"session": {"open": [{"answer": "next"}]}}),
        command(json!("{{\"a\":1}")),
    ] {
        assert_eq!(told(&right), [], "{right}");
    }
}

#[test]
fn what_callers_may_say_fits_where_it_is_written() {
    let byte = ": expected a whole number from 0 to 255";
    for (hole, declaration, wrong) in [
        ("{arg r: u8}", "integer 0..255", None),
        ("{arg r: u8}", "integer", None),
        ("{arg r}", "integer 0..1000", None),
        ("{arg r: u8}", "integer 0..1000", Some((9, format!("1000 does not fit `{{arg r: u8}}`{byte}")))),
        ("{arg r: u8}", "integer -1..7", Some((9, format!("-1 does not fit `{{arg r: u8}}`{byte}")))),
        ("{arg r - 1: u8}", "integer 0..7", Some((9, "0 does not fit `{arg r - 1: u8}`".to_owned()))),
        ("{arg r & 0xff: u8}", "integer 0..1000", None),
        ("{arg r: f32}", "number 0..99.5", None),
        ("{arg r: u8}", "number 0..200", None),
        ("{arg r: u8}", "number 0..99.5", Some((8, format!("99.5 does not fit `{{arg r: u8}}`{byte}")))),
        ("{arg r: ascii 8}", "text 1..8", None),
        ("{arg r: ascii 8}", "text", None),
        ("{arg r: ymdhms}", "text 19", None),
        ("{arg r: ascii 8}", "text 1..20", Some((6, "a text of 20 characters does not fit `{arg r: ascii 8}`: expected a text of ASCII, at most 8 bytes".to_owned()))),
        ("{arg r: bcd 2}", "text 5", Some((6, "a text of 5 characters does not fit `{arg r: bcd 2}`: expected 1 to 4 digits".to_owned()))),
        ("{arg r: u8}", "enum on=1 off=256 default on", Some((11, format!("off does not fit `{{arg r: u8}}`{byte}")))),
        ("{arg r: u8}", "boolean", None),
    ] {
        let members = json!({"commands": {"c": {"send": format!("0x {hole}"), "arguments": {"r": declaration}}}});
        let wrong = wrong.map(|(column, message)| {
            ("/commands/c/arguments/r".to_owned(), Some(column), message)
        });
        let expected: Vec<_> = wrong.into_iter().collect();
        assert_eq!(told(&members), expected, "{hole} {declaration}");
    }
}

#[test]
fn all_mistakes_of_a_question_are_told_at_once() {
    let members = json!({
        "polls": {
            "x": {"everyMs": 5, "answer": {"where": "knd = 3", "layout": "no"}, "send": "{unt}"},
            "y": {"answer": {"where": "knd = 3"}, "send": "{last knd}", "withinMs": 0}
        },
        "commands": {"c": {"send": "{", "answer": {"where": "knd = 3"}, "retries": 99, "arguments": {"r": "integer 7..0"}}},
        "session": {"open": [7, {"send": "a", "answer": {"where": "knd = 3"}}]}
    });
    let places: Vec<String> = told(&members)
        .into_iter()
        .map(|(place, ..)| place)
        .collect();
    let mut sorted = places.clone();
    sorted.sort();
    assert_eq!(
        sorted,
        [
            "/commands/c/answer/where",
            "/commands/c/arguments/r",
            "/commands/c/retries",
            "/commands/c/send",
            "/polls/x/answer/layout",
            "/polls/x/answer/where",
            "/polls/x/everyMs",
            "/polls/x/send",
            "/polls/y",
            "/polls/y/answer/where",
            "/polls/y/send",
            "/polls/y/withinMs",
            "/session/open/0",
            "/session/open/1/answer/where",
        ]
    );
}

#[test]
fn what_is_hardly_meant_is_worth_a_warning() {
    let found = |members: Value| {
        let (_, warnings) = Settings::parse(&asking(&members), &Presets::built_in()).unwrap();
        let found = warnings.iter().map(ToString::to_string);
        found.collect::<Vec<_>>()
    };
    let meant = |letter: char, is: &str, escape: &str| {
        format!(
            "a backslash and `{letter}` are the bytes here, as JSON's two backslashes say: {is} is \"{escape}\" in JSON, with one"
        )
    };
    let cr = meant('r', "a carriage return", "\\r");
    assert_eq!(
        found(json!({
            "framing": {"type": "switch", "end": null, "cases": [
                {"start": ["A", "B\\0"], "type": "delimiter", "end": "\\n"},
                {"start": "C", "type": "regex", "end": "\\r"}
            ]},
            "polls": {"x": {"everyMs": 100, "send": "SI\\r\\n", "answer": "^\\r", "withinMs": 200}},
            "commands": {"c": "T\\t", "d": {"send": "{{\\x\\r"}, "e": "\r\n"},
            "replies": {"nak": "no\\r", "ok": {"send": "ok\\r", "when": "kind"}},
            "session": {"heartbeat": {"seconds": 9, "send": "P\\r"}, "open": [{"send": "H\\r"}]}
        })),
        [
            "/protocols/p/polls/x/withinMs: an answer that takes these 200 ms comes behind the next poll, which is due after 100 ms (\"everyMs\") and is left out then".to_owned(),
            format!("/protocols/p/replies/nak column 3: {cr}"),
            format!("/protocols/p/replies/ok/send column 3: {cr}"),
            format!("/protocols/p/polls/x/send column 3: {cr}"),
            format!("/protocols/p/commands/c column 2: {}", meant('t', "a tab", "\\t")),
            format!("/protocols/p/commands/d/send column 5: {cr}"),
            format!("/protocols/p/session/open/0/send column 2: {cr}"),
            format!("/protocols/p/session/heartbeat/send column 2: {cr}"),
            format!("/protocols/p/framing/cases/0/start/1 column 2: {}", meant('0', "a zero byte", "\\u0000")),
            format!("/protocols/p/framing/cases/0/end column 1: {}", meant('n', "a line feed", "\\n")),
        ]
    );
    assert!(found(json!({"polls": {"x": {"everyMs": 100, "send": "SI\r\n"}}})).is_empty());
}
