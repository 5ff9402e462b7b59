//! What is polled is what stands in the device.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

use super::device::Device;
use super::{asked, filled, reading, registers};
use crate::decoding;
use crate::document::{Problems, Section};
use crate::message::Frame;
use crate::modbus::{Question, Registers, Transport};

const BOTH: [Transport; 2] = [Transport::Tcp, Transport::Rtu];

#[test]
fn the_registers_of_a_meter() {
    let list = [
        "temperature: i16 at 40001 / 10 unit °C",
        "pressure: f32 cdab at 40010",
        "energy: u64 at 300100",
        "pump: bool at 00001",
        "valve: bool at 00010 enum true=open false=closed",
        "door: bool at 10001",
        "serial: ascii 8 at 40100 rtrim ' '",
        "state: u16 at 40020 enum 0=off 1=on",
        "flags: u16 at 40021 bits alarm@0 mode@1:2 drop",
        "'Flow rate': u16le at holding 21",
        "level: u32 dcba at input 0",
    ];
    let words = [
        ((4, 0), 0xff29),
        ((4, 9), 0x0000),
        ((4, 10), 0x3fc0),
        ((3, 99), 0),
        ((3, 100), 0),
        ((3, 101), 1),
        ((3, 102), 2),
        ((0, 0), 1),
        ((0, 9), 0),
        ((1, 0), 0),
        ((4, 99), 0x4142),
        ((4, 100), 0x3132),
        ((4, 101), 0x2020),
        ((4, 102), 0x2020),
        ((4, 19), 1),
        ((4, 20), 0b101),
        ((4, 21), 0x0100),
        ((3, 0), 0x0400),
        ((3, 1), 0x0000),
    ];
    for transport in BOTH {
        let mut device = Device {
            memory: words.into(),
            ..Device::of(1)
        };
        let registers = registers(&list, transport);
        let names: Vec<_> = registers.names().cloned().collect();
        let mut found = Vec::new();
        for question in registers.questions(&names) {
            let (values, kind) = asked(&question, transport, &mut device);
            found.push(json!([&*question.name, kind, values]));
        }
        let expected = json!([
            ["pump and 1 more", "bits", {"pump": true, "valve": "closed"}],
            ["door", "bits", {"door": false}],
            ["level", "registers", {"level": 4}],
            ["energy", "registers", {"energy": 65538}],
            ["temperature and 4 more", "registers", {"temperature": -21.5, "pressure": 1.5,
                "state": "on", "alarm": true, "mode": 2, "Flow rate": 1}],
            ["serial", "registers", {"serial": "AB12"}],
        ]);
        assert_eq!(Json::from(found), expected);
    }
}

#[test]
fn requests_in_the_notation() {
    let list = ["a: i32 at 40001", "b: bool at coil 3"];
    let tcp = registers(&list, Transport::Tcp).questions(&["b", "a"]);
    let said = |question: &Question| {
        [&question.send, &question.answer, &question.refused].map(|text| text.to_owned())
    };
    assert_eq!(
        tcp.iter().map(said).collect::<Vec<_>>(),
        [
            [
                "0x {count transaction: u16} 0000 0006 {unit: u8} 01 00030001",
                "transaction = {count transaction} and unit = {unit} and function = 1",
                "transaction = {count transaction} and unit = {unit} and function = 129",
            ],
            [
                "0x {count transaction: u16} 0000 0006 {unit: u8} 03 00000002",
                "transaction = {count transaction} and unit = {unit} and function = 3",
                "transaction = {count transaction} and unit = {unit} and function = 131",
            ],
        ]
    );
    let rtu = registers(&list, Transport::Rtu).questions(&["a"]);
    assert_eq!(
        said(&rtu[0]),
        [
            "0x {unit: u8} 03 00000002 {crc-16/modbus over 0..: u16le}",
            "unit = {unit} and function = 3 and u8 at 2 = 4 and length = 9",
            "unit = {unit} and function = 131",
        ]
    );
}

#[test]
fn neighbours_are_read_together_within_the_limits() {
    let plan = |list: &[&str]| {
        let registers = registers(list, Transport::Tcp);
        let names: Vec<_> = registers.names().cloned().collect();
        let questions = registers.questions(&names);
        let body = |question: &Question| {
            question
                .send
                .split_once("{unit: u8} ")
                .unwrap()
                .1
                .to_owned()
        };
        questions.iter().map(body).collect::<Vec<_>>()
    };
    for (list, expected) in [
        (
            &["a: u16 at 40001", "b: u16 at 40010"][..],
            &["03 0000000a"][..],
        ),
        (
            &["a: u16 at 40001", "b: u16 at 40011"],
            &["03 00000001", "03 000a0001"],
        ),
        (&["b: u16 at 40002", "a: u32 at 40001"], &["03 00000002"]),
        (
            &["a: ascii 248 at 40001", "b: u16 at 40125"],
            &["03 0000007d"],
        ),
        (
            &["a: ascii 248 at 40001", "b: u32 at 40125"],
            &["03 0000007c", "03 007c0002"],
        ),
        (
            &["a: u16 at 40001", "b: u16 at 30001"],
            &["04 00000001", "03 00000001"],
        ),
        (&["a: bool at 00001", "b: bool at 00034"], &["01 00000022"]),
        (
            &["a: bool at 00001", "b: bool at 00035"],
            &["01 00000001", "01 00220001"],
        ),
        (
            &["a: ascii 5 at 40001", "b: u16 at 465536"],
            &["03 00000003", "03 ffff0001"],
        ),
    ] {
        assert_eq!(plan(list), expected, "{list:?}");
    }
    let coils: Vec<String> = (0..2001)
        .map(|at| format!("c{at}: bool at coil {at}"))
        .collect();
    let coils: Vec<&str> = coils.iter().map(String::as_str).collect();
    assert_eq!(plan(&coils), ["01 000007d0", "01 07d00001"]);
    let registers = registers(&["a: u16 at 40001"], Transport::Tcp);
    assert_eq!(registers.questions(&["a", "a", "b"]).len(), 1);
    assert_eq!(registers.questions::<&str>(&[]).len(), 0);
}

/// An answer of another length, function or count than was asked for says nothing.
#[test]
fn other_answers_are_not_decoded() {
    for (transport, answer, good) in [
        (Transport::Tcp, "0107 0000 0005 03 03 02 0001", true),
        (Transport::Tcp, "0107 0000 0005 03 03 04 0001", false),
        (Transport::Tcp, "0107 0000 0007 03 03 02 0001 0002", false),
        (Transport::Tcp, "0107 0000 0007 03 03 04 0001 0002", false),
        (Transport::Tcp, "0107 0000 0004 03 03 02 00", false),
        (Transport::Tcp, "0107 0000 0005 03 04 02 0001", false),
        (Transport::Tcp, "0107 0000 0003 03 83 02", true),
        (Transport::Tcp, "0107 0000 0005 03 83 02 0000", false),
        (Transport::Tcp, "0107 0000 0002 03 03", false),
        (Transport::Tcp, "", false),
        (Transport::Rtu, "03 03 02 0001 ffff", true),
        (Transport::Rtu, "03 03 04 0001 ffff", false),
        (Transport::Rtu, "03 03 04 0001 0002 ffff", false),
        (Transport::Rtu, "03 83 02 ffff", true),
    ] {
        let registers = registers(&["a: u16 at 40001"], transport);
        let question = &registers.questions(&["a"])[0];
        let bytes = crate::notation::bytes(&format!("0x{answer}")).unwrap();
        let reading = reading(question, transport, &bytes);
        assert_eq!(reading.undecoded.is_none(), good, "{answer} {reading:?}");
        // In RTU such a frame is no answer; in TCP it is one that is undecoded.
        let counts = filled(question, transport)
            .answer
            .holds(&reading.fields, &bytes);
        let refusal = answer.contains(" 83 ");
        if transport == Transport::Rtu {
            assert_eq!(counts, good && !refusal, "{answer}");
        }
    }
}

const TYPES: [&str; 16] = [
    "u16",
    "i16 / 10",
    "u16le",
    "u32",
    "i32 cdab * 2",
    "f32 badc",
    "f32 dcba",
    "u64 cdab",
    "i64 badc",
    "f64",
    "hex 5",
    "hex 2",
    "u16 bits one{n}@0 two{n}@3:4",
    "u16 & 255",
    "sm16",
    "u48 cdab",
];

/// A register of each kind: table, address, type.
fn any_register() -> impl Strategy<Value = (u8, u32, &'static str)> {
    let table = prop::sample::select(vec![0u8, 1, 3, 4]);
    // Near each other, at the ends, and anywhere.
    let address = prop_oneof![0u32..300, 65_400u32..65_532, 0u32..65_532];
    (table, address, prop::sample::select(&TYPES[..]))
}

fn written(at: usize, (table, address, kind): (u8, u32, &str)) -> (String, String) {
    let place = match (table, at % 2) {
        (_, 0) => format!("{table}{:05}", address + 1),
        (0, _) => format!("coil {address}"),
        (1, _) => format!("discrete {address}"),
        (3, _) => format!("input {address}"),
        _ => format!("holding {address}"),
    };
    if table < 2 {
        return (format!("r{at}: bool at {place}"), String::new());
    }
    let kind = kind.replace("{n}", &at.to_string());
    let words: Vec<&str> = kind.split(' ').collect();
    let two = words.get(1).is_some_and(|word| {
        word.len() == 4 && word.contains("cd")
            || word.contains("ba")
            || *word == "5"
            || *word == "2"
    });
    let (typed, steps) = words.split_at(if two && words[0] != "i16" { 2 } else { 1 });
    let register = format!("r{at}: {} at {place} {}", typed.join(" "), steps.join(" "));
    (register, format!("r{at}: {kind}"))
}

/// What the device's memory says, read without any request.
fn direct(
    device: &Device,
    name: &str,
    (table, address, kind): (u8, u32, &str),
    field: &str,
) -> Json {
    if table < 2 {
        return json!({ name: device.word(table, address) == 1 });
    }
    let words = (address..(address + 4).min(65_536)).map(|at| device.word(table, at));
    let bytes: Vec<u8> = words.flat_map(u16::to_be_bytes).collect();
    let document = json!({"type": "binary", "fields": [field]});
    let mut problems = Problems::new();
    let decoder = decoding::read(Some(&Section::root(&document)), None, &mut problems).unwrap();
    let reading = decoder.decode(Frame {
        bytes: &bytes,
        body: 0.into(),
    });
    assert_eq!(reading.undecoded, None, "{kind}");
    serde_json::to_value(&reading.fields).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn polled_values_are_those_of_the_memory(
        kinds in prop::collection::vec(any_register(), 1..24),
        seed: u32,
        rtu: bool,
    ) {
        let transport = if rtu { Transport::Rtu } else { Transport::Tcp };
        let mut device = Device::of(seed);
        let all: Vec<(String, String)> = kinds.iter().enumerate().map(|(at, kind)| written(at, *kind)).collect();
        let list: Vec<&str> = all.iter().map(|(register, _)| register.as_str()).collect();
        let registers: Registers = registers(&list, transport);
        let names: Vec<_> = registers.names().cloned().collect();
        let mut polled = Map::new();
        let mut requests = BTreeSet::new();
        for question in registers.questions(&names) {
            prop_assert!(requests.insert(question.send.clone()), "asked twice");
            let (values, _) = asked(&question, transport, &mut device);
            let Json::Object(values) = values else { panic!("{values}") };
            for (name, value) in values {
                prop_assert!(polled.insert(name, value).is_none(), "a value of two requests");
            }
        }
        let mut expected = Map::new();
        for (at, kind) in kinds.iter().enumerate() {
            let Json::Object(values) = direct(&device, &format!("r{at}"), *kind, &all[at].1) else { panic!() };
            expected.extend(values);
        }
        prop_assert_eq!(polled, expected);
    }

}

/// A question for each transport.
static QUESTIONS: LazyLock<[Question; 2]> = LazyLock::new(|| {
    BOTH.map(|transport| {
        let registers = registers(&["a: u32 at 40001", "b: hex 7 at 40003"], transport);
        registers.questions(&["a", "b"]).remove(0)
    })
});

proptest! {
    /// Whatever a device answers: no panic, and only what was asked for has values.
    #[test]
    fn any_answer_is_borne(bytes in prop::collection::vec(any::<u8>(), 0..40), rtu: bool) {
        let at = usize::from(rtu);
        let reading = reading(&QUESTIONS[at], BOTH[at], &bytes);
        let right = reading.undecoded.is_none() && reading.kind.as_deref() == Some("registers");
        let head = if rtu { 3 } else { 9 };
        let tail = if rtu { 2 } else { 0 };
        prop_assert!(!right || bytes.len() == head + 12 + tail && bytes[head - 1] == 12);
    }
}
