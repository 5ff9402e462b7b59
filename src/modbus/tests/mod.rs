//! Registers against a device that is written down here by itself.
#![expect(clippy::arithmetic_side_effects, reason = "numbers of tests are small")]

mod commands;
mod device;
mod mistakes;
mod page;
mod polls;

use serde_json::{Value as Json, json};

use self::device::Device;
use super::{Question, Registers, Transport};
use crate::cursor::Endian;
use crate::document::{Problems, Section};
use crate::message::{Extent, Frame, Reading};
use crate::notation::Condition;

/// The registers of the list, which is right.
fn registers(list: &[&str], transport: Transport) -> Registers {
    let (registers, problems) = tried(&json!(list), transport);
    assert!(problems.is_empty(), "{problems:?}");
    registers.unwrap()
}

fn tried(list: &Json, transport: Transport) -> (Option<Registers>, Problems) {
    let mut problems = Problems::new();
    let registers = Registers::read(&Section::root(list), transport, &mut problems);
    (registers, problems)
}

/// What a question says, its holes filled.
struct Filled {
    request: Vec<u8>,
    answer: Condition,
    refused: Condition,
}

fn filled(question: &Question, transport: Transport) -> Filled {
    crate::template::Template::parse(&question.send).unwrap();
    let hex = question.send.replace("{count transaction: u16}", "0107");
    let hex = hex.replace("{unit: u8}", "03");
    let (hex, has_check) = match hex.strip_suffix(" {crc-16/modbus over 0..: u16le}") {
        Some(hex) => (hex.to_owned(), true),
        None => (hex, false),
    };
    assert_eq!(has_check, transport == Transport::Rtu);
    let mut request = crate::notation::bytes(&hex).unwrap();
    if has_check {
        request.extend(device::crc(&request));
    }
    let condition = |text: &str| {
        let text = text
            .replace("{count transaction}", "0x107")
            .replace("{unit}", "3");
        Condition::parse(&text, Endian::Big).unwrap()
    };
    Filled {
        request,
        answer: condition(&question.answer),
        refused: condition(&question.refused),
    }
}

/// The reading of an answer.
fn reading(question: &Question, transport: Transport, answer: &[u8]) -> Reading {
    let tail = if transport == Transport::Rtu { 2 } else { 0 };
    question.decoder.decode(Frame {
        bytes: answer,
        body: Extent { start: 0, tail },
    })
}

/// Asks the device, and says what its answer is.
fn asked(question: &Question, transport: Transport, device: &mut Device) -> (Json, Option<String>) {
    let filled = filled(question, transport);
    let answer = device.answer(transport, &filled.request);
    let reading = reading(question, transport, &answer);
    assert_eq!(reading.undecoded, None, "{question:?} {answer:02x?}");
    let is = |condition: &Condition| condition.holds(&reading.fields, &answer);
    let kind = reading.kind.as_deref().map(str::to_owned);
    let refused = kind.as_deref() == Some("refused");
    assert_eq!(
        (is(&filled.answer), is(&filled.refused)),
        (!refused, refused),
        "{question:?}"
    );
    let shown = reading.fields.clone().without_hidden();
    (serde_json::to_value(&shown).unwrap(), kind)
}
