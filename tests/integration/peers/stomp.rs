//! The library stomp.py as a client of STOMP.

use serde_json::{Value, json};

use super::Peer;
use crate::disk::TrialDisk;
use crate::rig::{Rig, free_port};

const SECRET: &str = "a passcode: {}";

/// A module for clients that are called `press-7` or `press-8`; with the listener's port.
async fn module() -> (Rig, TrialDisk, u16) {
    let port = free_port();
    let mut rig = Rig::new().await;
    let disk = TrialDisk::default();
    rig.disk = Some(disk.clone());
    rig.start();
    let press = json!({"secret": SECRET});
    // The heart-beats are those of the pack, only faster.
    let connected = "CONNECTED\nversion:{version}\nheart-beat:2000,300\n\n{0x00}";
    let outcome = rig
        .set(json!({
            "listeners": {"clients": {"port": port, "protocol": "stomp"}},
            "protocols": {"stomp": {
                "preset": "stomp@1",
                "session": {"heartbeat": {"seconds": 1}, "silentSeconds": 3},
                "replies": {"connected": {"send": connected}}
            }},
            "devices": {"press-7": press, "press-8": press}
        }))
        .await;
    assert_eq!(outcome["ac"], 200, "{outcome}");
    (rig, disk, port)
}

fn client(port: u16) -> Peer {
    Peer::script("stomp_client.py", &[&port.to_string()])
}

fn login(name: &str, passcode: &str) -> Value {
    json!({"do": "connect", "username": name, "passcode": passcode})
}

/// With heart-beats of both sides.
fn lively_login(name: &str) -> Value {
    let mut login = login(name, SECRET);
    login["heartbeats"] = json!([300, 1000]);
    login
}

/// Connects, and has been told so.
async fn connected(port: u16, login: Value) -> Peer {
    let mut client = client(port);
    client.tell(&login).await;
    let event = json!({"event": "connected", "version": "1.2"});
    assert_eq!(client.hear().await, event);
    client
}

/// The next event that is no heart-beat, and how many were before it.
async fn past_heartbeats(client: &mut Peer) -> (usize, Value) {
    let mut beats = 0;
    loop {
        let event = client.hear().await;
        if event["event"] != "heartbeat" {
            return (beats, event);
        }
        beats += 1;
    }
}

fn receipt(id: &str) -> Value {
    json!({"event": "receipt", "receipt": id})
}

#[tokio::test]
async fn stomp_py_logs_in_with_either_word_sends_bodies_of_any_bytes_and_leaves() {
    for word in ["STOMP", "CONNECT"] {
        let (rig, _disk, port) = module().await;
        let mut login = login("press-7", SECRET);
        login["with_connect_command"] = json!(word == "CONNECT");
        let mut client = connected(port, login).await;
        let rows = [
            ("text/plain", "a\0b\nc\0", "a\0b\nc\0"),
            ("application/octet-stream", "\0\u{ff}\n\0", "AP8KAA=="),
            ("application/json", "{\"bar\": 17}", "{\"bar\": 17}"),
        ];
        for (kind, body, _) in rows {
            let send = json!({
                "do": "send", "destination": "/queue/press", "content_type": kind, "body": body,
                // What a header line cannot hold travels escaped, there and back.
                "headers": {"receipt": format!("{kind}: \\\r\n"), "line": "A: 7"}
            });
            client.tell(&send).await;
        }
        for (kind, _, _) in rows {
            assert_eq!(client.hear().await, receipt(&format!("{kind}: \\\r\n")));
        }
        client
            .tell(&json!({"do": "disconnect", "receipt": "bye"}))
            .await;
        // In this order: it closes the connection as soon as it sees this receipt.
        assert_eq!(client.hear().await, json!({"event": "disconnected"}));
        assert_eq!(client.hear().await, receipt("bye"));
        client.finish().await;

        let messages = rig.messages(rows.len()).await;
        for (message, (kind, _, body)) in messages.iter().zip(rows) {
            let said = message.json().expect("JSON");
            let values = json!({"destination": "/queue/press", "contentType": kind, "body": body});
            assert_eq!(said["values"], values);
            assert_eq!(said["device"], "press-7");
        }
    }
}

#[tokio::test]
async fn stomp_py_gets_a_receipt_when_the_message_is_on_disk_and_not_before() {
    let (rig, disk, port) = module().await;
    let mut client = connected(port, lively_login("press-7")).await;
    rig.hub.faults().hold_pubacks();
    disk.hold_syncs(true);
    let send = json!({
        "do": "send", "destination": "a", "body": "b", "headers": {"receipt": "r"}
    });
    client.tell(&send).await;
    rig.messages(1).await;
    // What the module had to say before them would have come before them.
    for _ in 0..2 {
        assert_eq!(client.hear().await, json!({"event": "heartbeat"}));
    }
    disk.hold_syncs(false);
    let (_, event) = past_heartbeats(&mut client).await;
    assert_eq!(event, receipt("r"));
    rig.hub.faults().release_pubacks();
}

#[tokio::test]
async fn stomp_py_and_the_module_hear_each_others_heart_beats() {
    let (rig, _disk, port) = module().await;
    let mut lively = connected(port, lively_login("press-7")).await;
    let mut silent = connected(port, login("press-8", SECRET)).await;
    let (_, event) = past_heartbeats(&mut silent).await;
    assert_eq!(event, json!({"event": "disconnected"}));

    // Nothing but heart-beats has come from this one for as long.
    let send = json!({
        "do": "send", "destination": "a", "body": "still here", "headers": {"receipt": "r"}
    });
    lively.tell(&send).await;
    let (beats, event) = past_heartbeats(&mut lively).await;
    assert_eq!(event, receipt("r"));
    assert!(beats > 1, "{beats} heart-beats of the module");
    rig.value("body", "still here").await;
}

#[tokio::test]
async fn stomp_py_is_told_that_its_passcode_is_wrong_and_cut_off() {
    let (rig, _disk, port) = module().await;
    let mut bound = connected(port, lively_login("press-7")).await;
    let mut wrong = client(port);
    wrong.tell(&login("press-7", "another")).await;
    let event = wrong.hear().await;
    assert_eq!(event["event"], "error", "{event}");
    let why = event["message"].as_str().expect("a text");
    assert!(why.contains("passcode"), "{why}");
    assert_eq!(wrong.hear().await, json!({"event": "disconnected"}));
    rig.trouble("clients", "denied", 1.0).await;

    // The device whose name it used is still there.
    let send = json!({
        "do": "send", "destination": "a", "body": "b", "headers": {"receipt": "r"}
    });
    bound.tell(&send).await;
    let (_, event) = past_heartbeats(&mut bound).await;
    assert_eq!(event, receipt("r"));
}
