//! Checksums that are wrong, and replies with checksums, counters and the time.

use serde_json::json;

use super::script::{Play, protocol, read_protocol};
use super::tables::check;
use crate::conversation::{Action, Input};
use crate::notation::bytes;

const DNP3: &str = "0x 05641944030000045fab 000102030405060708090a0b0c0d0e0fec10 10111213ddbb";
const KNOWN: &str = r#"{"devices": {"a": {"match": {"id": "a"}}}}"#;

fn known() -> serde_json::Value {
    serde_json::from_str(KNOWN).unwrap()
}

/// A line is its JSON and a check digit that nobody of them has: all that is said is wrong.
#[test]
fn each_rule_for_a_wrong_checksum() {
    let wrong = "data {'id':'a','seq':1}|";
    let rule = |rule: &str, close: bool| {
        json!({"checksum": "xor", "onBadChecksum": rule,
            "replies": {"ok": {"send": "ok {seq}\n", "when": "seq"}, "nak": {"send": "nak {seq}\n", "close": close}}})
    };
    check(
        rule("reject", false),
        known(),
        &[("open", ""), (wrong, "count bad_checksum")],
    );
    check(
        rule("flag", false),
        known(),
        &[
            ("open", ""),
            (wrong, "count bad_checksum; bind a; submit 1 a"),
            ("stored 1", "write ok 1|"),
        ],
    );
    check(
        rule("nak", false),
        known(),
        &[
            ("open", ""),
            (wrong, "count bad_checksum; write nak 1|"),
            ("written", ""),
            ("data nonsense|", "count bad_checksum; count reply_not_sent"),
        ],
    );
    check(
        rule("nak", true),
        known(),
        &[
            ("open", ""),
            (wrong, "count bad_checksum; write nak 1|"),
            ("written", "close reply"),
        ],
    );
    check(
        rule("close", false),
        known(),
        &[
            ("open", ""),
            (wrong, "count bad_checksum; close bad_checksum"),
        ],
    );
}

/// The row of the replies holds: a refusal leaves behind the replies of earlier frames.
#[test]
fn a_refusal_has_its_place_in_the_row() {
    check(
        json!({"checksum": "sum8 as decimal 3 if u8 at -1 != 0x7d", "onBadChecksum": "nak"}),
        known(),
        &[
            ("open", ""),
            (
                "data {'id':'a','seq':1}|{'id':'a'}000|",
                "bind a; submit 1 a; count bad_checksum",
            ),
            ("stored 1", "write ok 1|nak|"),
        ],
    );
}

#[test]
fn the_first_reply_whose_condition_holds_is_sent() {
    check(
        json!({"replies": {
            "a": {"send": "low\n", "when": "seq < 10", "order": 2},
            "b": {"send": "one\n", "when": "seq = 1", "order": 1},
            "c": {"send": "other\n", "when": "length > 0", "order": 3}}}),
        known(),
        &[
            ("open", ""),
            (
                "data {'id':'a','seq':1}|{'id':'a','seq':2}|{'id':'a','seq':20}|",
                "bind a; submit 1 a; submit 2 a; submit 3 a",
            ),
            ("stored 1", "write one|"),
            ("written", ""),
            ("stored 2", "write low|"),
            ("written", ""),
            ("stored 3", "write other|"),
        ],
    );
}

/// Each reply takes the next number. Of a reply and its refusal only one is written, so they have
/// the same, and both are taken then; what cannot be rendered takes none.
#[test]
fn counters_belong_to_the_connection() {
    let changes = json!({
        "checksum": "sum8 as decimal 3 if u8 at -1 != 0x7d", "onBadChecksum": "nak",
        "acknowledge": {"else": "nak"},
        "replies": {
            "ok": {"send": "{count tx} {count own} {seq}\n", "when": "id"},
            "nak": "{count tx} {count no} nak\n"}});
    let mut play = Play::new(protocol(&changes), &known());
    play.play("open");
    for (input, expected) in [
        ("data {'id':'a','seq':7}|", "bind a; submit 1 a"),
        ("stored 1", "write 0 0 7|"),
        ("written", ""),
        ("data {'id':'a'}|", "submit 2 a; count reply_not_sent"),
        ("data {'id':'a','seq':8}|", "submit 3 a"),
        ("lost 3", "count promise_lost; write 1 1 nak|"),
        ("written", ""),
        ("data {'id':'a'}000|", "count bad_checksum; write 2 2 nak|"),
        ("written", ""),
        ("data {'id':'a','seq':9}|", "submit 4 a"),
        ("stored 4", "write 3 2 9|"),
    ] {
        assert_eq!(play.play(input), expected, "{input}");
    }
    let mut another = Play::new(protocol(&changes), &known());
    another.play("open");
    another.play("data {'id':'a','seq':7}|");
    assert_eq!(another.play("stored 1"), "write 0 0 7|");
}

#[test]
fn a_reply_says_the_time_of_its_frame() {
    check(
        json!({"replies": {"ok": {"send": "{now zone +08:00 time %Y%m%d%H%M%S}\n", "when": "seq"}}}),
        known(),
        &[
            ("open", ""),
            ("data {'id':'a','seq':1}|", "bind a; submit 1 a"),
            ("after 500", ""),
            ("stored 1", "write 20260131200000|"),
        ],
    );
}

/// What the framing puts around is not covered, and offsets count what the template itself says.
#[test]
fn a_framed_reply_has_the_checksum_of_what_is_inside() {
    let document = json!({
        "framing": {"type": "delimiter", "start": "0x02", "end": "0x03"},
        "checksum": {"crc": {"width": 16, "polynomial": "0x1021"}},
        "decode": {"type": "binary", "fields": ["seq: u8"]},
        "replies": {"ok": {"send": "0x {seq: u8} 41 {checksum over 0..: u16}", "when": "seq", "frame": true}},
        "acknowledge": {"after": "received"}
    });
    let mut play = Play::new(read_protocol(&document), &json!({}));
    play.play("open");
    let actions = play.step(Input::Bytes(
        &bytes("0x02 3132333435363738 39 31c3 03").unwrap(),
    ));
    let written = actions.iter().find_map(|action| match action {
        Action::Write(bytes) => Some(bytes.to_vec()),
        _ => None,
    });
    let expected = crc::Crc::<u16>::new(&crc::CRC_16_XMODEM).checksum(b"1A");
    let expected = [b"\x021A", &expected.to_be_bytes()[..], b"\x03"].concat();
    assert_eq!(written, Some(expected));
}

/// DNP3: header and blocks are checked, and decoding sees the data in one piece.
#[test]
fn the_check_values_of_blocks_are_not_decoded() {
    let document = json!({
        "framing": {"type": "fixed", "bytes": 34, "start": "0x0564"},
        "checksum": ["crc-16/dnp over 0..8 at 8 le", "crc-16/dnp le per 16 from 10 removed"],
        "decode": {"type": "binary", "endian": "little",
            "fields": ["skip 4", "destination: u16", "source: u16", "skip 2", "data: hex rest"]},
        "identity": {"field": "source"}
    });
    let body = |frame: &[u8], piece: usize| {
        let mut play = Play::new(read_protocol(&document), &json!({}));
        play.play("open");
        let actions: Vec<Action> = frame
            .chunks(piece)
            .flat_map(|piece| play.step(Input::Bytes(piece)))
            .collect();
        actions.into_iter().find_map(|action| match action {
            Action::Submit(_, messages, _) => Some(messages[0].body.bytes().to_vec()),
            _ => None,
        })
    };
    let frame = bytes(DNP3).unwrap();
    let whole = String::from_utf8(body(&frame, 34).unwrap()).unwrap();
    let values = r#""values":{"destination":3,"source":1024,"data":"000102030405060708090a0b0c0d0e0f10111213"}"#;
    assert!(whole.contains(values), "{whole}");
    assert_eq!(body(&frame, 1), Some(whole.into_bytes()));
    for at in 0..frame.len() {
        let mut wrong = frame.clone();
        wrong[at] ^= 4;
        assert_eq!(body(&wrong, 34), None, "{at}");
    }
}

#[test]
fn a_refusal_that_closes_does_so_for_a_missed_promise_too() {
    let changes = json!({"acknowledge": {"withinMs": 1000, "else": "nak"},
        "replies": {"ok": {"send": "ok {seq}\n", "when": "seq"}, "nak": {"send": "nak {seq}\n", "close": true}}});
    let run = |rows: &[(&str, &str)]| {
        let three = "data {'id':'a','seq':1}|{'id':'a','seq':2}|{'id':'a','seq':3}|";
        let begin = [
            ("open", ""),
            (three, "bind a; submit 1 a; submit 2 a; submit 3 a"),
        ];
        let rows: Vec<_> = begin.iter().chain(rows).copied().collect();
        check(changes.clone(), known(), &rows);
    };
    run(&[
        ("lost 2", "count promise_lost"),
        ("stored 1", "write ok 1|nak 2|"),
        ("written", "close promise_not_kept"),
    ]);
    run(&[
        ("stored 1", "write ok 1|"),
        ("written", ""),
        (
            "after 1000",
            "forget 2; count promise_late; forget 3; count promise_late; write nak 2|",
        ),
        ("data {'id':'a','seq':4}|", ""),
        ("written", "close promise_not_kept"),
    ]);
    let lacking = json!({"acknowledge": {"else": "nak"},
        "replies": {"ok": {"send": "ok\n", "when": "seq"}, "nak": {"send": "{nothing}", "close": true}}});
    check(
        lacking,
        known(),
        &[
            ("open", ""),
            (
                "data {'id':'a','seq':1}|",
                "bind a; submit 1 a; count reply_not_sent",
            ),
            ("lost 1", "count promise_lost; close promise_not_kept"),
        ],
    );
}
