//! What the guide shows.

use serde_json::Value as Json;

use crate::document::{Problems, Section};
use crate::modbus::{Registers, Transport};

const GUIDE: &str = include_str!("../../../docs/modbus.md");

#[test]
fn the_samples_of_the_guide_are_right() {
    let blocks = GUIDE.split("```json\n").skip(1);
    let samples = blocks.map(|block| block.split("```").next().unwrap());
    let samples: Vec<Json> = samples
        .map(|text| serde_json::from_str(text).unwrap())
        .collect();
    let [settings, command] = &samples[..] else {
        panic!("{samples:?}");
    };
    let protocol = settings.pointer("/protocols/boiler").unwrap();
    let mut problems = Problems::new();
    let list = Section::root(&protocol["registers"]);
    let registers = Registers::read(&list, Transport::Tcp, &mut problems).unwrap();
    let polls = protocol["polls"].as_object().unwrap();
    for (poll, count) in polls.values().zip([1, 5]) {
        let names = registers.chosen(&Section::root(&poll["registers"]), &mut problems);
        assert_eq!(registers.questions(&names).len(), count, "{poll}");
    }
    assert!(problems.is_empty(), "{problems:?}");
    let arguments = command["arguments"].as_object().unwrap();
    let name = command["command"].as_str().unwrap();
    registers.command(name, arguments).unwrap();
}
