//! `simulate`, alone and against a module that runs.

use std::collections::BTreeMap;

use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

use super::{Desk, PATIENCE, free_port, send, trackers};

/// `simulate`, to its end: its totals, and what it told.
async fn simulate(pack: &str, port: u16, more: &[&str]) -> (Value, String) {
    let to = format!("localhost:{port}");
    let output = Command::new(env!("CARGO_BIN_EXE_workbench"))
        .args(["simulate", pack, "--to", &to, "--json"])
        .args(more)
        .kill_on_drop(true)
        .output();
    let output = timeout(PATIENCE, output).await.expect("ends in time");
    let output = output.expect("it runs");
    let told = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.success(), "{told}");
    (serde_json::from_slice(&output.stdout).expect("JSON"), told)
}

/// How many messages of each device arrive, until there are so many.
async fn arrived(desk: &mut Desk, count: u64) -> BTreeMap<String, u64> {
    let mut arrived = BTreeMap::new();
    for _ in 0..count {
        let message = desk.message().await;
        let device = message["body"]["device"].as_str().expect("a device");
        *arrived.entry(device.to_owned()).or_default() += 1;
    }
    arrived
}

/// How many messages come of what each device said.
fn said(totals: &Value) -> BTreeMap<String, u64> {
    let devices = totals["byDevice"].as_object().expect("devices").iter();
    let said = devices.map(|(name, played)| {
        let messages = played["messages"].as_u64().expect("a number");
        (name.clone(), messages)
    });
    said.collect()
}

#[tokio::test]
async fn what_simulated_devices_say_arrives_under_their_names_whatever_goes_wrong() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("settings.json");
    let port = free_port();
    std::fs::write(&file, trackers(port)).expect("written");
    let mut desk = Desk::start(&["up", "--json", "--settings", &file.display().to_string()]);
    desk.told(": applied").await;
    let faults = "split,garbage,drop,silent,bad-checksum,reset";
    let how = format!(
        "--devices 50 --every 20ms --jitter 50% --frames 20 --faults {faults} --fault-rate 25% --seed 7"
    );
    let how: Vec<&str> = how.split(' ').collect();
    let (totals, told) = simulate("gt06", port, &how).await;
    let said = said(&totals);
    assert_eq!(said.len(), 50, "{told}");
    let count = said.values().sum();
    assert_eq!(arrived(&mut desk, count).await, said, "{totals:#}");
    for fault in faults.split(',') {
        let times = totals["faults"][fault].as_u64();
        assert!(times.is_some_and(|times| times > 0), "{fault}: {totals:#}");
    }
    assert_eq!(totals["unanswered"], 0, "{totals:#}");
    kill_process(desk.id(), Signal::TERM).expect("ours");
    let end = format!("{count} messages arrived upstream");
    assert_eq!(desk.told("messages arrived upstream").await, end);
    assert!(desk.ended().await.success());
}

#[tokio::test]
async fn simulated_devices_of_each_protocol_have_names_of_their_own() {
    const PACKS: [&str; 10] = [
        "dc09",
        "gt06",
        "h02",
        "hl7",
        "jt808",
        "meitrack",
        "queclink",
        "ruptela",
        "teltonika",
        "wialon-ips",
    ];
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("settings.json");
    let (mut listeners, mut protocols) = (json!({}), json!({}));
    let ports = PACKS.map(|pack| (pack, free_port()));
    for (pack, port) in ports {
        listeners[pack] = json!({"port": port, "protocol": pack});
        protocols[pack] = json!({"preset": format!("{pack}@1")});
    }
    let settings = json!({"listeners": listeners, "protocols": protocols});
    std::fs::write(&file, settings.to_string()).expect("written");
    let mut desk = Desk::start(&["up", "--json", "--settings", &file.display().to_string()]);
    desk.told(": applied").await;
    for (pack, port) in ports {
        let frames = ["--devices", "3", "--every", "10ms", "--frames", "5"];
        let (totals, told) = simulate(pack, port, &frames).await;
        let said = said(&totals);
        assert_eq!(said.len(), 3, "{pack}: {told}");
        let arrived = arrived(&mut desk, said.values().sum()).await;
        assert_eq!(arrived, said, "{pack}");
    }
    assert!(desk.asked_to_stop().await.success());
}

#[tokio::test]
async fn devices_that_find_nobody_are_told() {
    let arguments = [
        "simulate",
        "gt06",
        "--to",
        "localhost:1",
        "--devices",
        "2",
        "--for",
        "1s",
    ];
    let mut desk = Desk::start(&arguments);
    desk.told("2 of 2 devices never got a connection").await;
    assert_eq!(desk.ended().await.code(), Some(1));
}

#[tokio::test]
async fn devices_that_find_nobody_say_why() {
    let to = "no-such-machine.invalid:5000";
    let arguments = [
        "simulate", "gt06", "--to", to, "--every", "10ms", "--for", "2s",
    ];
    let mut desk = Desk::start(&arguments);
    let never = format!("1 of 1 devices never got a connection to {to}: ");
    let told = desk.told(&never).await;
    assert!(told.contains("lookup"), "{told}");
    assert_eq!(desk.ended().await.code(), Some(1));
}

#[tokio::test]
async fn called_devices_are_called_until_they_are_stopped() {
    let mut desk = Desk::start(&[
        "simulate",
        "mt-sics",
        "--listen",
        "127.0.0.1:0",
        "--ports",
        "2",
    ]);
    for device in ["mt-sics-1", "mt-sics-2"] {
        let line = desk.told("listens on 127.0.0.1:").await;
        let port = line.rsplit(':').next().and_then(|port| port.parse().ok());
        let (sent, printed) = send(port.expect("a port"), &["--text", "I4\\r\\nSI\\r\\n"]).await;
        assert!(sent, "{printed}");
        assert!(printed.contains(&format!("I4 A \"{device}\"")), "{printed}");
    }
    let lines = desk.out.take();
    assert!(desk.asked_to_stop().await.success());
    let mut lines = lines.expect("a pipe");
    let last = lines.next_line().await.expect("text").expect("a line");
    assert_eq!(
        last,
        "2 devices, 4 requests, 4 answered, 0 faults, 0 errors"
    );
}
