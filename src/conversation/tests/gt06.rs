//! A tracker's stream through the whole conversation, however TCP cuts it.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::script::{Play, read_protocol};
use crate::conversation::{Action, Input};
use crate::message::{Progress, Ticket};
use crate::notation;

const LOGIN: &str = "0x 7878 0d 01 0123456789012345 0001 8cdd 0d0a";
const POSITION: &str =
    "0x 7878 1f 12 110616091835 d0 024bb930 07d3fb78 3d d4c5 01940500f2006c85 04a6 e037 0d0a";
const REPLY: &str = "0x 7878 05 01 0001 d9dc 0d0a";

fn stream() -> Vec<u8> {
    [LOGIN, POSITION]
        .iter()
        .flat_map(|frame| notation::bytes(frame).unwrap())
        .collect()
}

fn tracker(changes: &[(&str, Value)]) -> Play {
    let mut document: Value =
        serde_json::from_str(include_str!("../../../protocols/gt06/protocol.json")).unwrap();
    for (name, value) in changes {
        document[name] = value.clone();
    }
    let mut play = Play::new(read_protocol(&document), &json!({}));
    play.play("open");
    play
}

/// What follows from the stream in pieces of that size, every write taken whole.
fn run(size: usize) -> Vec<Action> {
    let mut play = tracker(&[]);
    let mut actions = Vec::new();
    for piece in stream().chunks(size) {
        actions.extend(play.step(Input::Bytes(piece)));
        if play.outstanding > 0 {
            actions.extend(play.act("written"));
        }
    }
    actions
}

#[test]
fn the_way_tcp_cuts_the_stream_never_matters() {
    let whole = run(usize::MAX);
    let writes: Vec<_> = whole
        .iter()
        .filter_map(|action| match action {
            Action::Write(bytes) => Some(bytes.to_vec()),
            _ => None,
        })
        .collect();
    assert_eq!(writes, [notation::bytes(REPLY).unwrap()]);
    let bodies = whole.iter().filter_map(|action| match action {
        Action::Submit(_, messages, _) => Some(messages[0].body.bytes().to_vec()),
        _ => None,
    });
    let body = String::from_utf8(bodies.flatten().collect()).unwrap();
    for part in [
        r#""device":"123456789012345""#,
        r#""time":"2017-06-22T09:24:53Z""#,
        r#""type":"position""#,
        r#""latitude":21.398355555555554"#,
    ] {
        assert_eq!(body.matches(part).count(), 1, "{part} in {body}");
    }
    for size in 1..stream().len() {
        assert_eq!(
            without_writes(run(size)),
            without_writes(run(usize::MAX)),
            "pieces of {size}"
        );
        assert!(run(size).contains(&Action::Write(notation::bytes(REPLY).unwrap().into())));
    }
}

/// The login's reply may leave before the position has come, so its place among the rest varies.
fn without_writes(actions: Vec<Action>) -> Vec<Action> {
    actions
        .into_iter()
        .filter(|action| !matches!(action, Action::Write(_)))
        .collect()
}

#[test]
fn a_position_is_answered_when_edgehub_has_it() {
    let mut play = tracker(&[
        ("acknowledge", json!({"after": "delivered"})),
        (
            "replies",
            json!({
                "ok": "0x 7878 05 {type: u8} {seq: u16} {crc-16/ibm-sdlc over 2..: u16} 0d0a",
                "seen": {"send": "0x 7878 05 {type: u8} {seq: u16} {crc-16/ibm-sdlc over 2..: u16} 0d0a", "when": "type = 18"}
            }),
        ),
    ]);
    play.step(Input::Bytes(&stream()));
    play.act("written");
    assert_eq!(play.step(Input::Progress(Ticket(2), Progress::Stored)), []);
    let actions = play.step(Input::Progress(Ticket(2), Progress::Delivered));
    let [Action::Write(reply)] = actions.as_slice() else {
        panic!("{actions:?}")
    };
    assert_eq!(&reply[..6], notation::bytes("0x 7878 05 12 04a6").unwrap());
}

proptest! {
    #[test]
    fn foreign_bytes_cost_no_more_than_the_connection(
        noise in prop::collection::vec(prop_oneof![any::<u8>(), Just(0x78), Just(0x0d), Just(0x0a)], 0..200),
        cut in 1..50_usize,
    ) {
        let mut play = tracker(&[]);
        for piece in noise.iter().copied().chain(stream()).collect::<Vec<_>>().chunks(cut) {
            play.step(Input::Bytes(piece));
            if play.outstanding > 0 {
                play.act("written");
            }
        }
        let actions = play.act("reset");
        prop_assert!(matches!(actions.as_slice(), [] | [Action::Close(_)]));
    }
}
