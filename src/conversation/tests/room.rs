//! What is taken out of the stream while there is no room for messages.

use serde_json::{Value, json};

use super::script::{Play, protocol};
use super::tables::{A1, check};
use crate::conversation::{Action, Input};

/// Numbered frames of a known device, each with so many more bytes.
fn frames(numbers: std::ops::Range<u32>, more: usize) -> String {
    let more = "x".repeat(more);
    let frame = |n| format!("{{'id':'a','n':{n},'more':'{more}'}}|");
    numbers.map(frame).collect()
}

fn known() -> Value {
    json!({"devices": {"a": {"match": {"id": "a"}}}})
}

fn submits(shown: &str) -> usize {
    shown.matches("submit ").count()
}

#[test]
fn what_is_submitted_without_room_is_bounded_and_the_rest_stays_in_the_stream() {
    let mut play = Play::new(protocol(&json!({})), &known());
    play.play("open");
    play.play("full");
    let mut taken = submits(&play.play(&format!("data {}", frames(0..300, 0))));
    assert!((15..40).contains(&taken), "{taken} frames at once");
    assert!(!play.conversation.wants_input());
    for row in ["after 59000", "paused", "settings {}", "after 90000", "fin"] {
        assert_eq!(play.play(row), "", "{row}");
    }
    while taken < 300 {
        assert_eq!(play.play("full"), "");
        let mut actions = Vec::new();
        let input = Input::TakenOver;
        play.conversation.step(play.now, input, &mut actions);
        let submitted = |action: &&Action| matches!(action, Action::Submit(..));
        let more = actions.iter().filter(submitted).count();
        assert!((1..40).contains(&more), "{more} frames at once");
        taken += more;
    }
    assert_eq!((taken, play.play("taken").as_str()), (300, ""));
}

#[test]
fn sixteen_frames_of_200_bytes_go_in_one_step() {
    let mut play = Play::new(protocol(&json!({})), &known());
    play.play("open");
    play.play("full");
    let shown = play.play(&format!("data {}", frames(0..16, 175)));
    assert_eq!(submits(&shown), 16);
}

#[test]
fn an_end_without_room_says_what_it_leaves() {
    check(
        json!({}),
        known(),
        &[
            ("open", ""),
            (A1, "bind a; submit 1 a"),
            ("paused", ""),
            ("data {'id':'a','seq':2}|", ""),
            ("stop", ""),
            ("after 5000", ""),
            ("reset", "count not_taken; close shutdown"),
        ],
    );
}
