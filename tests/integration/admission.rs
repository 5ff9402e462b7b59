//! Who may speak: unknown devices in quarantine, secrets in mounted files, units as devices of their own.

use std::fs;

use serde_json::{Value, json};

use crate::rig::{Device, MODULE, PATIENCE, Rig, free_port, lines};

/// Lines that say who they are from, answered once their messages are safe.
fn tracker() -> Value {
    let mut protocol = lines();
    protocol["identity"] = json!({"field": "id", "scope": "connection"});
    protocol["replies"] = json!({"ok": {"send": "{n}\n", "when": "n"}});
    protocol
}

fn waiting(reported: &Value) -> &Value {
    &reported["quarantine"]["a%2E1"]
}

#[tokio::test]
async fn who_waits_in_quarantine_is_reported_and_goes_on_when_added() {
    let port = free_port();
    let rig = Rig::with(json!({
        "listeners": {"a": {"port": port, "protocol": "lines", "unknownDevices": "quarantine"}},
        "protocols": {"lines": tracker()}
    }))
    .await;
    let mut device = Device::connect(port).await;
    device.send("{\"id\":\"a.1\",\"n\":1}\n").await;
    let reported = rig.reported(|reported| waiting(reported).is_object()).await;
    let frame: String = "{\"id\":\"a.1\",\"n\":1}"
        .bytes()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(
        *waiting(&reported),
        json!({"id": "a.1", "listener": "a", "address": "127.0.0.1", "frames": 1, "lastFrame": frame})
    );
    assert!(device.nothing_came());
    let outcome = rig
        .patch(json!({"devices": {"truck": {"match": {"id": "a.1"}}}}))
        .await;
    assert_eq!(outcome["ac"], 200, "{outcome}");
    rig.reported(|reported| reported.get("quarantine").is_none_or(Value::is_null))
        .await;
    device.send("{\"n\":2}\n").await;
    assert_eq!(device.receive(2).await, b"2\n");
    let message = rig.messages(1).await.swap_remove(0);
    let body = message.json().expect("JSON");
    assert_eq!(
        (&body["device"], &body["values"]["n"]),
        (&json!("truck"), &json!(2))
    );
    rig.counted(
        "frame_troubles_total{listener=\"a\",trouble=\"quarantined\"}",
        |count| count == 1.0,
    )
    .await;
}

#[tokio::test]
async fn a_secret_in_a_mounted_file_opens_the_connection() {
    let port = free_port();
    let mut rig = Rig::new().await;
    let folder = rig.storage.path().join("protocols");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("truck.secret"), "open sesame\n").expect("a file");
    rig.start();
    let mut protocol = tracker();
    protocol["identity"]["secret"] = json!("pass");
    protocol["replies"]["denied"] = json!("no\n");
    let mut settings = json!({
        "listeners": {"a": {"port": port, "protocol": "lines"}},
        "protocols": {"lines": protocol},
        "devices": {"truck": {"secret": "file:lorry.secret"}}
    });
    let outcome = rig.set(settings.clone()).await;
    assert_eq!(
        outcome["errors"][0]["pointer"], "/devices/truck/secret",
        "{outcome}"
    );
    settings["devices"]["truck"]["secret"] = json!("file:truck.secret");
    let outcome = rig.set(settings).await;
    assert_eq!(outcome["ac"], 200, "{outcome}");

    let mut device = Device::connect(port).await;
    device
        .send("{\"id\":\"truck\",\"pass\":\"open sesame\",\"n\":1}\n")
        .await;
    assert_eq!(device.receive(2).await, b"1\n");
    let mut other = Device::connect(port).await;
    other
        .send("{\"id\":\"truck\",\"pass\":\"open\",\"n\":2}\n")
        .await;
    assert_eq!(other.until_fin().await, b"no\n");
    device.send("{\"n\":3}\n").await;
    assert_eq!(
        device.receive(2).await,
        b"3\n",
        "the older connection stays"
    );
    let messages = rig.messages(2).await;
    for message in messages {
        let body = message.json().expect("JSON");
        assert_eq!(body["values"].get("pass"), None, "{body}");
    }
    rig.counted(
        "connections_closed_total{listener=\"a\",reason=\"denied\"}",
        |count| count == 1.0,
    )
    .await;
}

#[tokio::test]
async fn heartbeats_go_out_and_units_are_reached_by_name() {
    let port = free_port();
    let mut protocol = lines();
    protocol["identity"] = json!({"from": "listener", "sub": "unit"});
    protocol["session"] =
        json!({"heartbeat": {"seconds": 1, "send": "beat\n"}, "silentSeconds": 3600});
    let rig = Rig::with(json!({
        "listeners": {"bus": {"port": port, "protocol": "lines"}},
        "protocols": {"lines": protocol}
    }))
    .await;
    let mut device = Device::connect(port).await;
    device.send("{\"unit\":3}\n").await;
    rig.messages(1).await;
    assert_eq!(device.receive(5).await, b"beat\n");
    let call = json!({"device": "bus/3", "bytes": "go\n"});
    let answer = rig
        .hub
        .invoke_method(MODULE, "send", Some(call), PATIENCE)
        .await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.status, 200, "{answer:?}");
    // A beat may come first.
    let mut received = device.receive(3).await;
    while !received.ends_with(b"go\n") {
        received.extend(device.receive(1).await);
    }
    assert!(
        [&b"go\n"[..], b"beat\ngo\n"].contains(&&*received),
        "{received:?}"
    );
}
