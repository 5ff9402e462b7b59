//! Frames that answer nothing, where registers say all that is asked.

use serde_json::{Value, json};

use super::script::{Play, read_protocol};

/// As the preset of Modbus TCP, but that unit 0 says something else.
fn document(registers: bool) -> Value {
    let mut document = json!({
        "framing": {"type": "length", "length": "u16 at 4", "add": 6},
        "decode": {"type": "binary",
            "fields": ["transaction: u16", "skip 4", "unit: u8", "function: u8 if unit"],
            "select": {"by": "unit", "cases": [[0, "hello"]], "default": "registers"}},
        "layouts": {"registers": {"fields": ["skip 1", "values: repeat rest 'u16'"]},
            "hello": {"fields": ["name: ascii rest"]}},
        "identity": {"from": "address", "sub": "unit"},
        "modbus": "tcp"
    });
    if registers {
        document["registers"] = json!(["level: i16 at 40001 / 10"]);
    }
    document
}

fn play(registers: bool) -> Play {
    let mut play = Play::new(
        read_protocol(&document(registers)),
        &json!({"units": ["1"]}),
    );
    assert_eq!(play.play("open"), "bind 10.0.0.7; bind 10.0.0.7/1");
    play
}

#[test]
fn what_answers_nothing_makes_no_message_and_no_unit() {
    let mut play = play(true);
    // Before anything is asked; another transaction, unit, function; a refusal; half an answer.
    let strays = [
        "0000 0000 0005 01 03 02 00d7",
        "0007 0000 0005 01 03 02 00d7",
        "0000 0000 0005 02 03 02 00d7",
        "0000 0000 0005 01 04 02 00d7",
        "0001 0000 0003 01 83 02",
        "0000 0000 0002 01 06",
    ];
    assert_eq!(play.play(&format!("hex {}", strays[0])), "count unasked");
    let asked = play.play("ask 1 9000 10.0.0.7/1 read {\"register\":\"level\"}");
    assert!(asked.starts_with("write "), "{asked}");
    assert_eq!(play.play("written"), "");
    for stray in &strays[1..] {
        assert_eq!(
            play.play(&format!("hex {stray}")),
            "count unasked",
            "{stray}"
        );
    }
    let answer = format!("hex {}", strays[0]);
    assert_eq!(play.play(&answer), "answer 1 answered {\"level\":21.5}");
    assert_eq!(play.play(&answer), "count unasked");
}

#[test]
fn what_is_no_frame_of_modbus_is_what_it_always_was() {
    let hello = "hex 0000 0000 0003 00 4142";
    assert_eq!(
        play(true).play(hello),
        "count unknown_device; bind 10.0.0.7/0; submit 1 10.0.0.7/0"
    );
}

#[test]
fn without_registers_everything_that_passes_is_published() {
    assert_eq!(
        play(false).play("hex 0007 0000 0005 02 03 02 00d7"),
        "count unknown_device; bind 10.0.0.7/2; submit 1 10.0.0.7/2"
    );
}
