use edge_tcp_gateway::document::{Problems, Section};
use edge_tcp_gateway::modbus::{Registers, Transport};
use serde_json::{Value, json};

use super::modbus;
use super::{Converted, mistakes};

/// Converts, and holds what comes out against all that the module checks of its settings.
fn convert(document: &Value) -> anyhow::Result<Converted> {
    let converted = modbus::convert(document)?;
    let mistakes = mistakes(&converted.settings);
    assert!(
        mistakes.is_empty(),
        "{mistakes:#?}: {:#}",
        converted.settings
    );
    Ok(converted)
}

/// What the page of the old module shows, with the forms of its later versions beside it.
fn sample() -> Value {
    json!({
        "PublishInterval": "2000",
        "Version": "2",
        "IoTCentralConnectionString": "",
        "SlaveConfigs": {
            "Slave01": {
                "SlaveConnection": "192.168.0.1",
                "HwId": "PowerMeter-0a:01",
                "RetryCount": "10",
                "RetryInterval": "50",
                "Operations": {
                    "Op01": { "PollingInterval": "1000", "UnitId": "1", "StartAddress": "400001", "Count": "2", "DisplayName": "Voltage", "CorrelationId": "MessageType1" },
                    "Op02": { "PollingInterval": "1000", "UnitId": "1", "StartAddress": "400003", "Count": "1", "DisplayName": "Current L1", "CorrelationId": "MessageType1" },
                    "Op03": { "PollingInterval": 5000, "UnitId": "1", "StartAddress": "00017", "Count": "1", "DisplayName": "Relay" }
                }
            },
            "Slave02": {
                "SlaveConnection": "ttyS0",
                "HwId": "PowerMeter-0a:02",
                "BaudRate": "9600",
                "Operations": {
                    "Op01": { "PollingInterval": "2000", "UnitId": "1", "StartAddress": "40001", "Count": "1", "DisplayName": "Power" }
                }
            }
        }
    })
}

#[test]
fn the_settings_of_the_old_page() {
    let Converted {
        settings,
        notes,
        refused,
    } = convert(&sample()).unwrap();
    let expected = json!({
        "schemaVersion": 1,
        "outbound": {
            "Slave01": { "address": "192.168.0.1:502", "protocol": "Slave01", "device": "PowerMeter-0a-01", "units": [1], "output": "modbusOutput" }
        },
        "protocols": {
            "Slave01": {
                "preset": "modbus-tcp@1",
                "registers": [
                    "Voltage_400001: u16 at 400001",
                    "Voltage_400002: u16 at 400002",
                    "'Current L1': u16 at 400003",
                    "Relay: bool at 00017"
                ],
                "polls": {
                    "MessageType1": { "registers": ["Voltage_400001", "Voltage_400002", "Current L1"], "everyMs": 1000 },
                    "every-5000-ms": { "registers": ["Relay"], "everyMs": 5000 }
                }
            }
        },
        "outputs": { "modbusOutput": { "batch": { "maxDelayMs": 2000 } } }
    });
    assert_eq!(settings, expected);
    let [serial] = &refused[..] else {
        panic!("{refused:?}")
    };
    assert!(
        serial.starts_with("SlaveConfigs.Slave02: ttyS0 is a serial port"),
        "{serial}"
    );
    assert!(serial.contains("serial device server"), "{serial}");
    for part in [
        "SlaveConfigs.Slave01: the device is PowerMeter-0a-01",
        "SlaveConfigs.Slave01.RetryCount: has no equivalent",
        "Op01: its 2 values are Voltage_ADDRESS",
        "Op01.CorrelationId: it is the name of the poll",
        "Version: messages have one form",
        "IoTCentralConnectionString: has no equivalent",
        "PublishInterval: messages are held for up to 2000 ms",
        "{\"device\":\"PowerMeter-0a-01/1\",\"command\":\"write\",\"arguments\":{\"register\":\"Voltage_400001\",\"value\":1}}",
    ] {
        assert!(
            notes.iter().any(|note| note.contains(part)),
            "{part} in {notes:#?}"
        );
    }
}

/// The settings stand in a twin or in a manifest, in any capitals.
#[test]
fn every_document_that_holds_them() {
    let bare = convert(&sample()).unwrap().settings;
    let modules = json!({ "$edgeAgent": { "properties.desired": {} }, "modbus": { "properties.desired": sample() } });
    let lower = sample()
        .to_string()
        .replace("SlaveConfigs", "slaveConfigs")
        .replace("UnitId", "unitid");
    for (document, place) in [
        (
            json!({ "modulesContent": modules }),
            Some("/modulesContent/modbus/properties.desired"),
        ),
        (
            json!({ "moduleContent": modules }),
            Some("/moduleContent/modbus/properties.desired"),
        ),
        (
            json!({ "content": { "modulesContent": modules } }),
            Some("/content/modulesContent/modbus/properties.desired"),
        ),
        (
            json!({ "properties": { "desired": sample(), "reported": sample() } }),
            Some("/properties/desired"),
        ),
        (serde_json::from_str(&lower).unwrap(), None),
    ] {
        let converted = convert(&document).unwrap();
        assert_eq!(converted.settings, bare, "{document}");
        if let Some(place) = place {
            assert_eq!(converted.notes[0], format!("read from {place}"));
        }
    }
    let two = json!({ "a": sample(), "b": sample() });
    for (document, part) in [
        (json!({}), "no SlaveConfigs here"),
        (json!([]), "no SlaveConfigs here"),
        (two, "several modules have SlaveConfigs: /a, /b"),
        (json!({"SlaveConfigs": {}}), "none of the slaves"),
    ] {
        let error = convert(&document).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

fn one(slave: Value) -> Result<Value, String> {
    let mut slave = slave;
    slave["SlaveConnection"] = slave
        .get("SlaveConnection")
        .cloned()
        .unwrap_or(json!("10.0.0.1"));
    let converted = convert(&json!({ "SlaveConfigs": { "s": slave } }));
    converted
        .map(|converted| converted.settings)
        .map_err(|error| error.to_string())
}

fn registers(slave: Value) -> Vec<String> {
    let settings = one(slave).unwrap();
    let list = settings
        .pointer("/protocols/s/registers")
        .unwrap()
        .as_array()
        .unwrap();
    list.iter()
        .map(|register| register.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn types_and_orders_of_the_later_versions() {
    for (data, swap, expected) in [
        ("Int16", None, "a: i16 at 40001"),
        ("Int16", Some("Bytes"), "a: i16le at 40001"),
        ("Int16", Some("Words"), "a: i16 at 40001"),
        ("Int32", Some("None"), "a: i32 at 40001"),
        ("Int32", Some("Words"), "a: i32 cdab at 40001"),
        ("Int32", Some("BytesAndWords"), "a: i32 dcba at 40001"),
        ("Float", Some("Bytes"), "a: f32 badc at 40001"),
        (
            "Float",
            Some("LittleEndianByteSwap"),
            "a: f32 cdab at 40001",
        ),
        ("float", Some("LittleEndian"), "a: f32 dcba at 40001"),
    ] {
        let mut operation =
            json!({"StartAddress": "40001", "Count": 1, "DisplayName": "a", "DataType": data});
        if let Some(swap) = swap {
            operation["SwapMode"] = json!(swap);
        }
        assert_eq!(
            registers(json!({ "Operations": { "o": operation } })),
            [expected]
        );
    }
    for (whole, words, expected) in [
        (true, false, "a: f32 at 40001 round 3"),
        (true, true, "a: f32 badc at 40001 round 3"),
        (false, true, "a: f32 cdab at 40001 round 3"),
        (false, false, "a: f32 dcba at 40001 round 3"),
    ] {
        let operation =
            json!({"StartAddress": "40001", "Count": 2, "DisplayName": "a", "ValueType": "Float"});
        let slave =
            json!({"EndianSwap": whole, "MidEndianSwap": words, "Operations": { "o": operation }});
        assert_eq!(registers(slave), [expected]);
    }
    let wide =
        json!({"StartAddress": "40001", "Count": 2, "DisplayName": "a", "DataType": "Int32"});
    assert_eq!(
        registers(json!({ "Operations": { "o": wide } })),
        ["a_40001: i32 at 40001", "a_40003: i32 at 40003"]
    );
}

/// Names are those of the old messages as far as they can be told apart.
#[test]
fn names_stay_recognisable() {
    let operation = |start: &str, count: u32, name: &str| json!({"StartAddress": start, "Count": count, "DisplayName": name});
    let slave = |operations: &[Value]| {
        let operations: serde_json::Map<String, Value> = operations
            .iter()
            .enumerate()
            .map(|(at, operation)| (format!("o{at}"), operation.clone()))
            .collect();
        json!({ "Operations": operations })
    };
    assert_eq!(
        registers(slave(&[
            operation("40001", 1, "a"),
            operation("30001", 1, "a")
        ])),
        ["a_40001: u16 at 40001", "a_30001: u16 at 30001"]
    );
    assert_eq!(
        registers(slave(&[
            operation("40001", 1, "a"),
            operation("40001", 1, "a")
        ])),
        ["a: u16 at 40001"]
    );
    assert_eq!(
        registers(slave(&[operation("40001", 1, "unit")])),
        ["unit_40001: u16 at 40001"]
    );
    assert_eq!(
        registers(slave(&[operation("40001", 1, "it's: x")])),
        ["'it''s: x': u16 at 40001"]
    );
    assert_eq!(
        registers(slave(&[operation("10001", 2, "d")])),
        ["d_10001: bool at 10001", "d_10002: bool at 10002"]
    );
}

#[test]
fn units_and_slaves_that_are_asked_the_same_share_it() {
    let operation = |unit: u8, name: &str| json!({"UnitId": unit, "StartAddress": "40001", "DisplayName": name, "PollingInterval": 500});
    let same = json!({"SlaveConnection": "10.0.0.1", "Operations": {"a": operation(1, "x"), "b": operation(2, "x")}});
    let other = json!({"SlaveConnection": "plc.local", "TcpPort": 1502, "HwId": "P", "Operations": {"a": operation(7, "x")}});
    let mixed = json!({"SlaveConnection": "fe80::1", "Operations": {"a": operation(1, "x"), "b": operation(2, "y")}});
    let document = json!({"SlaveConfigs": {"one": same, "two": other, "three": mixed}});
    let Converted {
        settings, notes, ..
    } = convert(&document).unwrap();
    let expected = json!({
        "one": {"address": "10.0.0.1:502", "protocol": "one", "device": "one", "units": [1, 2], "output": "modbusOutput"},
        "two": {"address": "plc.local:1502", "protocol": "one", "device": "P", "units": [7], "output": "modbusOutput"},
        "three-unit1": {"address": "[fe80::1]:502", "protocol": "one", "device": "three", "units": [1], "output": "modbusOutput"},
        "three-unit2": {"address": "[fe80::1]:502", "protocol": "three-unit2", "device": "three", "units": [2], "output": "modbusOutput"},
    });
    assert_eq!(settings["outbound"], expected);
    assert_eq!(settings.get("outputs"), None);
    assert!(
        notes
            .iter()
            .any(|note| note.starts_with("SlaveConfigs.three: its units are not asked the same"))
    );
}

/// Names that differ stay apart, and what was one device stays one.
#[test]
fn devices_have_names_of_their_own() {
    let slave = |hardware: &str, unit: u8| {
        json!({"SlaveConnection": "10.0.0.1", "HwId": hardware, "Operations":
        {"a": {"UnitId": unit, "StartAddress": "40001", "DisplayName": "x", "PollingInterval": 500}}})
    };
    let slaves = json!({"1": slave("m:1", 1), "2": slave("m 1", 1), "3": slave("m:1", 2), "4": slave("", 1)});
    let settings = convert(&json!({ "SlaveConfigs": slaves }))
        .unwrap()
        .settings;
    let devices = ["1", "2", "3", "4"].map(|name| settings["outbound"][name]["device"].clone());
    assert_eq!(devices, ["m-1", "m-1-2", "m-1", "unnamed"]);
}

#[test]
fn what_cannot_be_converted_says_why() {
    let operation = |member: &str, value: Value| {
        let mut operation = json!({"StartAddress": "40001", "DisplayName": "a"});
        operation[member] = value;
        json!({"Operations": {"o": operation}})
    };
    for (slave, part) in [
        (json!({"SlaveConnection": "COM3"}), "COM3 is a serial port"),
        (json!({"TcpPort": 0}), "TcpPort 0 is no port"),
        (json!({}), "it has no Operations"),
        (
            operation("StartAddress", json!("20001")),
            "Operations.o: StartAddress 20001",
        ),
        (
            operation("StartAddress", json!("40000")),
            "StartAddress 40000",
        ),
        (
            operation("StartAddress", json!("4é01")),
            "StartAddress 4é01",
        ),
        (operation("StartAddress", json!(null)), "no StartAddress"),
        (operation("Count", json!("many")), "Count"),
        (operation("Count", json!(0)), "Count"),
        (operation("UnitId", json!(300)), "UnitId"),
        (
            operation("PollingInterval", json!("often")),
            "PollingInterval",
        ),
        (operation("ValueType", json!("Double")), "ValueType double"),
        (operation("DataType", json!("Bool")), "DataType bool"),
    ] {
        let error = one(slave.clone()).unwrap_err();
        assert!(
            error.contains("SlaveConfigs.s: ") && error.contains(part),
            "{slave}: {error}"
        );
    }
}

/// Each with what is said of it.
#[test]
fn what_gets_another_name_is_told() {
    let operation = |start: &str, name: &str| json!({"StartAddress": start, "DisplayName": name});
    let slave =
        |operations: Value| json!({"SlaveConnection": "10.0.0.1", "Operations": operations});
    let names = json!({
        "a": operation("400001", "unit"),
        "b": operation("400002", "v"), "c": operation("300002", "v"),
        "d": operation("400003", "w")
    });
    let one = json!({"o": operation("400001", "x")});
    let slaves = json!({"S 4": slave(names), "S-4": slave(one)});
    let document = json!({"PublishInterval": "abc", "SlaveConfigs": slaves});
    let Converted {
        settings, notes, ..
    } = convert(&document).unwrap();
    let entries = settings["outbound"].as_object().unwrap();
    assert_eq!(entries.keys().collect::<Vec<_>>(), ["S-4", "S-4-2"]);
    assert_eq!(settings.get("outputs"), None);
    for part in [
        "SlaveConfigs.S 4: unit at 400001 is the register unit_400001: every answer has a field",
        "SlaveConfigs.S 4: v at 400002 is the register v_400002: another value has that name",
        "SlaveConfigs.S 4: v at 300002 is the register v_300002: another value has that name",
        "SlaveConfigs.S 4: its entry of `outbound` is S-4: ",
        "SlaveConfigs.S-4: its entry of `outbound` is S-4-2: ",
        "PublishInterval: \"abc\" is no number of milliseconds",
    ] {
        let said = notes.iter().filter(|note| note.starts_with(part));
        assert_eq!(said.count(), 1, "{part} in {notes:#?}");
    }
    let renamed = notes
        .iter()
        .filter(|note| note.contains(" is the register "));
    assert_eq!(renamed.count(), 3, "{notes:#?}");
}

/// And nothing else of it.
#[test]
fn everything_that_is_wrong_with_a_slave_is_told() {
    let good =
        json!({"SlaveConnection": "10.0.0.1", "Operations": {"o": {"StartAddress": "40001"}}});
    let bad = json!({"SlaveConnection": "COM1", "RetryCount": 3, "Operations": {
        "a": {"StartAddress": "20001", "Count": 0, "UnitId": 300, "PollingInterval": "often", "DataType": "Bool"},
        "b": {"StartAddress": "40001", "Odd": 1},
        "c": {"StartAddress": "49999", "Count": 2}
    }});
    let document = json!({"SlaveConfigs": {"good": good, "bad": bad}});
    let Converted { refused, notes, .. } = convert(&document).unwrap();
    let [refused] = &refused[..] else {
        panic!("{refused:?}")
    };
    for part in [
        "SlaveConfigs.bad: COM1 is a serial port",
        "; Operations.a: StartAddress 20001 is no address",
        "its DataType bool",
        "its Count is",
        "its UnitId is",
        "its PollingInterval is",
        "; Operations.c: it reads behind the last address",
    ] {
        assert!(refused.contains(part), "{part} in {refused}");
    }
    assert!(
        !notes.iter().any(|note| note.contains(".bad")),
        "{notes:#?}"
    );
}

#[test]
fn serial_ports_are_told_from_hosts() {
    for (connection, is_serial) in [
        ("COM1", true),
        ("com12", true),
        (r"\\.\COM10", true),
        ("ttyS0", true),
        ("/dev/ttyUSB0", true),
        ("/dev/serial/by-id/usb-1", true),
        ("COMPRESSOR-1", false),
        ("COM", false),
        ("COM1.plant.local", false),
        ("ttyserver", false),
        ("tty1.local", false),
        ("plc-COM1", false),
        ("10.0.0.1", false),
    ] {
        let operations = json!({"o": {"StartAddress": "40001"}});
        let slave = one(json!({"SlaveConnection": connection, "Operations": operations}));
        match slave {
            Ok(settings) => {
                let address = settings.pointer("/outbound/s/address").unwrap();
                assert_eq!(*address, json!(format!("{connection}:502")));
                assert!(!is_serial, "{connection}");
            }
            Err(why) => {
                assert!(
                    is_serial && why.contains("is a serial port"),
                    "{connection}: {why}"
                );
            }
        }
    }
}

/// What comes out is read by the module's own code.
#[test]
fn the_registers_are_right() {
    let operations = json!({
        "a": {"StartAddress": "40001", "Count": 20, "DisplayName": "Line 'A': x", "DataType": "Float", "SwapMode": "Words"},
        "b": {"StartAddress": "365530", "Count": 7, "DisplayName": "time", "PollingInterval": 100},
        "c": {"StartAddress": "000001", "Count": 2000, "DisplayName": "unit"},
        "d": {"StartAddress": "40001", "Count": 1, "DisplayName": "é"},
    });
    let slave = json!({ "SlaveConnection": "10.0.0.1", "Operations": operations });
    let document = json!({ "SlaveConfigs": { "s": slave } });
    let settings = modbus::convert(&document).unwrap().settings;
    // That many are more than a twin holds, which is all that is wrong with them.
    let [size] = &mistakes(&settings)[..] else {
        panic!("{settings:#}")
    };
    assert!(size.message.contains("a twin holds 32768"), "{size}");
    let protocol = settings.pointer("/protocols/s").unwrap();
    let mut problems = Problems::new();
    let list = Section::root(&protocol["registers"]);
    let registers = Registers::read(&list, Transport::Tcp, &mut problems);
    assert!(problems.is_empty(), "{problems:?}");
    let registers = registers.unwrap();
    let mut asked = 0;
    for poll in protocol["polls"].as_object().unwrap().values() {
        let names = registers.chosen(&Section::root(&poll["registers"]), &mut problems);
        asked += names.len();
        assert!(!registers.questions(&names).is_empty());
    }
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(asked, 20 + 7 + 2000 + 1);
}
