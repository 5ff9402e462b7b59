//! Settings of the archived Modbus module, converted by the program and run by it against a server
//! of pymodbus: what the old module read at each address is read.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it waited for by panicking"
)]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

#[path = "../../tests/integration/peers/peer.rs"]
mod peer;

use peer::Peer;

const PATIENCE: Duration = Duration::from_secs(60);

/// What the units hold, one address after the other.
fn units() -> Value {
    let words = |table: &str, values: &[u16]| {
        let words = values.iter().enumerate();
        words
            .map(|(address, value)| json!([table, address, "UINT16", "abcd", value]))
            .collect::<Vec<_>>()
    };
    let bits = |table: &str, values: &[bool]| {
        let bits = values.iter().enumerate();
        bits.map(|(address, value)| json!([table, address, "BIT", "abcd", value]))
            .collect::<Vec<_>>()
    };
    let meter = [
        words("holding", &[2301, 2298, 2305, 65_535]),
        words("input", &[0, 17, 40_000]),
        bits("coil", &[true, false, false, true, true]),
        bits("discrete", &[false, true, true]),
        vec![json!(["holding", 9_999, "UINT16", "abcd", 4_711])],
    ];
    let drive = [
        vec![
            json!(["holding", 0, "INT16", "abcd", -5]),
            json!(["holding", 1, "INT32", "cdab", -70_000]),
            json!(["holding", 3, "INT32", "cdab", 70_001]),
            json!(["holding", 5, "FLOAT32", "badc", -12.375]),
            json!(["holding", 7, "FLOAT32", "dcba", 0.5]),
        ],
        words("input", &[1]),
    ];
    let old = [
        vec![
            json!(["holding", 0, "FLOAT32", "dcba", 1234.5625]),
            json!(["holding", 2, "INT32", "dcba", -123_456_789]),
        ],
        words("input", &[1]),
    ];
    json!({"1": meter.concat(), "2": drive.concat(), "3": drive.concat(), "7": old.concat()})
}

/// A whole configuration of the old module, in the forms of its versions.
fn old(port: u16) -> Value {
    let operation = |unit: &str, start: &str, count: &str, name: &str| json!({"PollingInterval": "300", "UnitId": unit, "StartAddress": start, "Count": count, "DisplayName": name});
    let typed = |unit: &str, start: &str, count: &str, name: &str, data: &str, swap: &str| {
        let mut operation = operation(unit, start, count, name);
        operation["DataType"] = json!(data);
        operation["SwapMode"] = json!(swap);
        operation
    };
    let mut voltage = operation("1", "40001", "3", "Voltage L1");
    voltage["CorrelationId"] = json!("electrical");
    let mut far = operation("1", "410000", "1", "Far");
    far["CorrelationId"] = json!("electrical");
    let mut float = operation("7", "40001", "2", "Power");
    float["ValueType"] = json!("Float");
    let mut int = operation("7", "40003", "2", "Energy");
    int["ValueType"] = json!("Int32");
    let drive = |unit: &str| {
        [
            typed(unit, "40001", "1", "Torque", "Int16", "None"),
            typed(unit, "40002", "2", "Position", "Int32", "Words"),
            typed(unit, "40006", "1", "Speed", "Float", "Bytes"),
            typed(unit, "40008", "1", "Load", "Float", "BytesAndWords"),
        ]
    };
    let drives = drive("2").into_iter().chain(drive("3"));
    let drives: serde_json::Map<String, Value> = drives
        .enumerate()
        .map(|(at, operation)| (format!("Op{at:02}"), operation))
        .collect();
    json!({"modulesContent": {"$edgeAgent": {"properties.desired": {}}, "modbus": {"properties.desired": {
        "PublishInterval": "400",
        "Version": "2",
        "SlaveConfigs": {
            "Slave01": {
                "SlaveConnection": "127.0.0.1", "TcpPort": port.to_string(), "HwId": "PowerMeter-0a:01:01:01:01:01",
                "RetryCount": "10", "RetryInterval": "50",
                "Operations": {
                    "Op01": voltage,
                    "Op02": operation("1", "40004", "1", "Current: L1"),
                    "Op03": operation("1", "30002", "2", "Count"),
                    "Op04": operation("1", "00001", "5", "Relay"),
                    "Op05": operation("1", "10002", "2", "Door"),
                    "Op06": far
                }
            },
            "Slave02": {"SlaveConnection": "127.0.0.1", "TcpPort": port, "HwId": "Drives", "Operations": drives},
            // Its units are asked different things.
            "Slave04": {
                "SlaveConnection": "127.0.0.1", "TcpPort": port, "HwId": "Mixed",
                "Operations": {"a": operation("1", "40002", "1", "Voltage"), "b": operation("2", "40001", "1", "Torque")}
            },
            "Slave03": {
                "SlaveConnection": "127.0.0.1", "TcpPort": port, "HwId": "Older",
                "Operations": {"Op01": float, "Op02": int}
            }
        }
    }}}})
}

/// What the old module's messages had: device, address, and the value as a text.
fn old_values() -> BTreeMap<(String, String), String> {
    let meter = [
        ("40001", "2301"),
        ("40002", "2298"),
        ("40003", "2305"),
        ("40004", "65535"),
        ("30002", "17"),
        ("30003", "40000"),
        ("00001", "1"),
        ("00002", "0"),
        ("00003", "0"),
        ("00004", "1"),
        ("00005", "1"),
        ("10002", "1"),
        ("10003", "1"),
        ("410000", "4711"),
    ];
    let drive = [
        ("40001", "-5"),
        ("40002", "-70000"),
        ("40004", "70001"),
        ("40006", "-12.375"),
        ("40008", "0.5"),
    ];
    let older = [("40001", "1234.563"), ("40003", "-123456789")];
    let of = |device: &str, values: &[(&str, &str)]| -> Vec<_> {
        let values = values.iter();
        values
            .map(|(address, value)| {
                (
                    (device.to_owned(), (*address).to_owned()),
                    (*value).to_owned(),
                )
            })
            .collect()
    };
    let all = [
        of("PowerMeter-0a-01-01-01-01-01/1", &meter),
        of("Drives/2", &drive),
        of("Drives/3", &drive),
        of("Older/7", &older),
        of("Mixed/1", &[("40002", "2298")]),
        of("Mixed/2", &[("40001", "65531")]),
    ];
    all.into_iter().flatten().collect()
}

/// The address of each register, by its name, of the protocol of each device.
fn addresses(settings: &Value) -> BTreeMap<(String, String), String> {
    let mut addresses = BTreeMap::new();
    for entry in settings["outbound"].as_object().expect("entries").values() {
        let protocol = entry["protocol"].as_str().expect("a name");
        let registers = settings["protocols"][protocol]["registers"].as_array();
        for register in registers.expect("a list") {
            let (name, rest) = register
                .as_str()
                .and_then(|text| text.rsplit_once(": "))
                .expect("a register");
            let name = name.trim_matches('\'').to_owned();
            let address = rest.split_once("at ").expect("a place").1;
            let address = address.split(' ').next().expect("an address");
            for unit in entry["units"].as_array().expect("a list") {
                let device = format!("{}/{unit}", entry["device"].as_str().expect("a name"));
                addresses.insert((device, name.clone()), address.to_owned());
            }
        }
    }
    addresses
}

/// The values of a line that `up` has printed, by device and address.
fn read(
    line: &str,
    addresses: &BTreeMap<(String, String), String>,
) -> Vec<((String, String), String)> {
    let message: Value = serde_json::from_str(line).unwrap_or_default();
    let bodies = message["body"].as_array().into_iter().flatten();
    let mut read = Vec::new();
    for body in bodies.filter(|_| message["output"] == "modbusOutput") {
        let device = body["device"].as_str().unwrap_or_default();
        for (name, value) in body["values"].as_object().into_iter().flatten() {
            let place = (device.to_owned(), name.clone());
            let address = addresses.get(&place).unwrap_or(name).clone();
            let value = match value {
                Value::Bool(flag) => u8::from(*flag).to_string(),
                value => value.to_string(),
            };
            read.push(((place.0, address), value));
        }
    }
    read
}

async fn converted(folder: &std::path::Path, old: &Value) -> Value {
    let file = folder.join("old.json");
    std::fs::write(&file, old.to_string()).expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_workbench"))
        .args(["convert", "modbus"])
        .arg(file)
        .kill_on_drop(true)
        .output();
    let output = timeout(PATIENCE, output).await.expect("ends in time");
    let output = output.expect("it runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[tokio::test]
async fn a_converted_configuration_reads_the_values_of_the_old_messages() {
    let folder = tempfile::tempdir().expect("a folder");
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let mut server = Peer::script("modbus_units.py", &[&port.to_string(), "socket"]);
    assert_eq!(server.ask(units()).await, true);
    let settings = converted(folder.path(), &old(port)).await;
    let addresses = addresses(&settings);
    let file = folder.path().join("settings.json");
    std::fs::write(&file, settings.to_string()).expect("written");

    let mut up = Command::new(env!("CARGO_BIN_EXE_workbench"))
        .args(["up", "--json", "--settings"])
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(up.stdout.take().expect("a pipe")).lines();
    let expected = old_values();
    let mut values = BTreeMap::new();
    let waited = timeout(PATIENCE, async {
        while values != expected
            && let Ok(Some(line)) = lines.next_line().await
        {
            values.extend(read(&line, &addresses));
        }
    });
    let waited = waited.await;
    // Behind nothing that may panic: the module is a process of its own.
    let id = up.id().and_then(|id| i32::try_from(id).ok());
    let id = id.and_then(Pid::from_raw).expect("it runs");
    kill_process(id, Signal::TERM).expect("ours");
    drop(lines);
    let ended = timeout(PATIENCE, up.wait()).await.expect("ends in time");
    ended.expect("its status");
    assert_eq!(values, expected, "{waited:?}");
    server.finish().await;
}
