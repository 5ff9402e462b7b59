//! Reading and writing by name.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

use super::device::Device;
use super::{asked, registers};
use crate::modbus::{Registers, Transport};

const LIST: [&str; 14] = [
    "setpoint: i16 at 40001 / 10 unit °C",
    "pressure: f32 cdab at 40010",
    "counter: u32 at 40012",
    "mode: u16 at 40020 enum 0=off 1=on",
    "flags: u16 at 40021 bits alarm@0 drop",
    "part: u16 at 40022 & 15",
    "serial: ascii 8 at 40100 rtrim ' '",
    "odd: ascii 3 at 40110",
    "pump: bool at 00001",
    "valve: bool at 00010 enum true=open false=closed",
    "door: bool at 10001",
    "level: u16 at 30001",
    "code: bcd 2 at 40030 integer",
    "raw: u16 at 40031",
];

fn arguments(json: Json) -> Map<String, Json> {
    let Json::Object(arguments) = json else {
        panic!("{json}");
    };
    arguments
}

fn both() -> [(Transport, Registers); 2] {
    [Transport::Tcp, Transport::Rtu].map(|transport| (transport, registers(&LIST, transport)))
}

#[test]
fn what_is_written_is_read_back() {
    for (transport, registers) in both() {
        for (name, value, memory, answered) in [
            (
                "setpoint",
                json!(21.5),
                &[((4, 0), 215)][..],
                json!({"setpoint": 21.5}),
            ),
            (
                "setpoint",
                json!(-4),
                &[((4, 0), 0xffd8)],
                json!({"setpoint": -4.0}),
            ),
            (
                "pressure",
                json!(1.5),
                &[((4, 9), 0), ((4, 10), 0x3fc0)],
                json!({"pressure": 1.5}),
            ),
            (
                "counter",
                json!(65538),
                &[((4, 11), 1), ((4, 12), 2)],
                json!({"counter": 65538}),
            ),
            ("mode", json!("on"), &[((4, 19), 1)], json!({"mode": "on"})),
            (
                "serial",
                json!("AB12"),
                &[((4, 99), 0x4142), ((4, 102), 0x2020)],
                json!({"serial": "AB12"}),
            ),
            ("pump", json!(true), &[((0, 0), 1)], json!({"pump": true})),
            ("pump", json!(false), &[((0, 0), 0)], json!({"pump": false})),
            (
                "valve",
                json!("open"),
                &[((0, 9), 1)],
                json!({"valve": "open"}),
            ),
            ("code", json!(42), &[((4, 29), 0x0042)], json!({"code": 42})),
            (
                "raw",
                json!(65535),
                &[((4, 30), 65535)],
                json!({"raw": 65535}),
            ),
        ] {
            let mut device = Device::of(5);
            let write = arguments(json!({"register": name, "value": value}));
            let question = registers.command("write", &write).unwrap();
            let (values, kind) = asked(&question, transport, &mut device);
            assert_eq!(
                (values, kind.as_deref()),
                (answered, Some("written")),
                "{name}"
            );
            for (place, word) in memory {
                assert_eq!(device.memory.get(place), Some(word), "{name} {value}");
            }
            let read = arguments(json!({ "register": name }));
            let question = registers.command("read", &read).unwrap();
            let (values, _) = asked(&question, transport, &mut device);
            let read = &values[name];
            let same = read == &value || read.as_f64() == value.as_f64() && read.is_number();
            assert!(same, "{name} {value}: {values}");
        }
    }
}

#[test]
fn an_echo_of_another_value_is_no_answer() {
    let registers = registers(&LIST, Transport::Tcp);
    let arguments = arguments(json!({"register": "raw", "value": 7}));
    let question = registers.command("write", &arguments).unwrap();
    let condition = super::filled(&question, Transport::Tcp).answer;
    for (echo, good) in [
        ("0107 0000 0006 03 06 001e 0007", true),
        ("0107 0000 0006 03 06 001e 0008", false),
        ("0107 0000 0006 03 06 001f 0007", false),
        ("0108 0000 0006 03 06 001e 0007", false),
        ("0107 0000 0006 04 06 001e 0007", false),
    ] {
        let bytes = crate::notation::bytes(&format!("0x{echo}")).unwrap();
        let reading = super::reading(&question, Transport::Tcp, &bytes);
        assert_eq!(condition.holds(&reading.fields, &bytes), good, "{echo}");
    }
}

#[test]
fn what_the_device_did_not_confirm_is_not_told() {
    let registers = registers(&LIST, Transport::Tcp);
    let arguments = arguments(json!({"register": "counter", "value": 10002}));
    let question = registers.command("write", &arguments).unwrap();
    let condition = super::filled(&question, Transport::Tcp).answer;
    for (answer, values) in [
        ("000b 0002", json!({ "counter": 10002 })),
        ("000c 0002", json!({})),
        ("000b 0001", json!({})),
    ] {
        let answer = format!("0x 0107 0000 0006 03 10 {answer}");
        let bytes = crate::notation::bytes(&answer).unwrap();
        let reading = super::reading(&question, Transport::Tcp, &bytes);
        let good = values != json!({});
        assert_eq!(condition.holds(&reading.fields, &bytes), good, "{answer}");
        assert_eq!(reading.undecoded.is_none(), good, "{answer}");
        let shown = reading.fields.without_hidden();
        assert_eq!(serde_json::to_value(&shown).unwrap(), values, "{answer}");
    }
}

#[test]
fn exceptions_are_named() {
    for (code, name) in [
        (1, json!("illegal function")),
        (2, json!("illegal data address")),
        (3, json!("illegal data value")),
        (4, json!("server device failure")),
        (5, json!("acknowledge")),
        (6, json!("server device busy")),
        (7, json!(7)),
        (8, json!("memory parity error")),
        (10, json!("gateway path unavailable")),
        (11, json!("gateway target device failed to respond")),
    ] {
        for (transport, registers) in both() {
            let mut device = Device {
                exception: Some(code),
                ..Device::of(1)
            };
            for (command, all) in [
                ("read", json!({"register": "door"})),
                ("write", json!({"register": "pump", "value": true})),
                ("write", json!({"register": "counter", "value": 1})),
            ] {
                let question = registers.command(command, &arguments(all.clone())).unwrap();
                let (values, kind) = asked(&question, transport, &mut device);
                let values_of_refusal = json!({ "exception": name, "registers": all["register"] });
                let expected = (values_of_refusal, Some("refused"));
                assert_eq!((values, kind.as_deref()), expected);
            }
        }
    }
}

#[test]
fn arguments_that_do_not_fit() {
    let registers = registers(&LIST, Transport::Tcp);
    for (command, all, why) in [
        ("rite", json!({}), "did you mean \"write\"?"),
        ("read", json!({}), "`register` is missing"),
        (
            "read",
            json!({"register": 3}),
            "must be the name of a register, found the number 3",
        ),
        (
            "read",
            json!({"register": "levle"}),
            "did you mean \"level\"?",
        ),
        (
            "read",
            json!({"register": "level", "value": 1}),
            "unknown argument \"value\"",
        ),
        (
            "write",
            json!({}),
            "`register` is missing; `value` is missing",
        ),
        ("write", json!({"register": "raw"}), "`value` is missing"),
        (
            "write",
            json!({"register": "raw", "value": 70000}),
            "`value` must be from 0 to 65535",
        ),
        (
            "write",
            json!({"register": "raw", "valeu": 7}),
            "did you mean \"value\"?",
        ),
        (
            "write",
            json!({"register": "raw", "value": [1]}),
            "found an array",
        ),
        (
            "write",
            json!({"register": "raw", "value": "on"}),
            "`value` must be a number",
        ),
        (
            "write",
            json!({"register": "setpoint", "value": 3276.8}),
            "`value` must be from -3276.8 to 3276.7",
        ),
        (
            "write",
            json!({"register": "setpoint", "value": 21.53}),
            "would be read back as 21.5",
        ),
        (
            "write",
            json!({"register": "mode", "value": "open"}),
            "`value` must be one of off, on",
        ),
        (
            "write",
            json!({"register": "flags", "value": 1}),
            "`flags` cannot be written: `bits`",
        ),
        (
            "write",
            json!({"register": "part", "value": 1}),
            "`part` cannot be written: `&` cannot be undone",
        ),
        (
            "write",
            json!({"register": "odd", "value": "abc"}),
            "half of its last register",
        ),
        (
            "write",
            json!({"register": "door", "value": true}),
            "it is a discrete input, which is only read",
        ),
        (
            "write",
            json!({"register": "level", "value": 1}),
            "it is an input register, which is only read",
        ),
        (
            "write",
            json!({"register": "pump", "value": 1}),
            "`value` must be true or false",
        ),
        (
            "write",
            json!({"register": "valve", "value": true}),
            "`value` must be one of open, closed",
        ),
        (
            "write",
            json!({"register": "serial", "value": "123456789"}),
            "must have 8 characters",
        ),
    ] {
        let found = registers
            .command(command, &arguments(all.clone()))
            .unwrap_err();
        assert!(found.contains(why), "{command} {all}: {found}");
    }
}

static BOTH: LazyLock<[(Transport, Registers); 2]> = LazyLock::new(both);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn numbers_come_back_as_they_were_written(word: i16, pressure: f32, counter: u32, rtu: bool) {
        let (transport, registers) = &BOTH[usize::from(rtu)];
        let transport = *transport;
        let mut device = Device::of(9);
        prop_assume!(pressure.is_finite());
        for (name, value) in [
            ("setpoint", json!(f64::from(word) / 10.0)),
            ("pressure", json!(pressure)),
            ("counter", json!(counter)),
        ] {
            let write = arguments(json!({"register": name, "value": value}));
            let question = registers.command("write", &write).unwrap();
            asked(&question, transport, &mut device);
            let read = arguments(json!({"register": name}));
            let (values, _) = asked(&registers.command("read", &read).unwrap(), transport, &mut device);
            prop_assert_eq!(values[name].as_f64(), value.as_f64(), "{}", name);
        }
    }
}
