//! Settings that change while devices are connected.

use std::net::{Ipv6Addr, TcpListener};

use edge_tcp_gateway::settings::{Presets, Settings};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::rig::{Device, MODULE, Rig, free_port, lines};

/// Two listeners of lines.
fn settings(a: u16, b: u16) -> Value {
    json!({
        "listeners": {"a": {"port": a, "protocol": "lines"}, "b": {"port": b, "protocol": "other"}},
        "protocols": {"lines": lines(), "other": lines()},
        "devices": {"known": {"match": {"address": "10.0.0.1"}, "properties": {"line": "A"}}}
    })
}

/// The JSON pointers of everything in a document.
fn places(document: &Value, at: &str, found: &mut Vec<String>) {
    if let Value::Object(members) = document {
        for (name, member) in members {
            let place = format!("{at}/{name}");
            places(member, &place, found);
            found.push(place);
        }
    }
}

/// Documents that are wrong in one place.
fn mutated(document: Value) -> impl Strategy<Value = Value> {
    let mut all = Vec::new();
    places(&document, "", &mut all);
    let wrong = prop_oneof![
        Just(json!(-1)),
        Just(json!(70_000)),
        Just(json!([])),
        Just(json!("(")),
        Just(json!({"tpye": "delimiter"})),
        Just(json!({"": 1})),
        "[ -~]{1,8}".prop_map(Value::from),
    ];
    (proptest::sample::select(all), wrong).prop_filter_map("valid", move |(place, wrong)| {
        let mut document = document.clone();
        *document.pointer_mut(&place)? = wrong;
        Settings::parse(&document, &Presets::built_in())
            .is_err()
            .then_some(document)
    })
}

#[tokio::test]
async fn two_hundred_wrong_documents_stop_no_listener_and_each_is_reported() {
    let (a, b) = (free_port(), free_port());
    let good = settings(a, b);
    let rig = Rig::with(good.clone()).await;
    let mut device = Device::connect(a).await;
    let mut runner = TestRunner::deterministic();
    let documents = mutated(good.clone());
    for round in 0..200 {
        let wrong = documents
            .new_tree(&mut runner)
            .expect("a document")
            .current();
        let outcome = rig.set(wrong.clone()).await;
        assert_eq!(outcome["ac"], 400, "{wrong}: {outcome}");
        assert!(outcome["errorCount"].as_u64() >= Some(1), "{outcome}");
        if round % 20 == 0 {
            device.send(format!("{{\"round\":{round}}}\n")).await;
            rig.value("round", round).await;
        }
    }
    rig.counted("settings_total{result=\"refused\"}", |count| count >= 200.0)
        .await;
    let outcome = rig.set(good).await;
    assert_eq!(
        (&outcome["ac"], &outcome["errorCount"]),
        (&json!(200), &Value::Null)
    );
    device.send("{\"round\":200}\n").await;
    rig.value("round", 200).await;
}

#[tokio::test]
async fn a_changed_listener_leaves_the_connections_of_the_others_alone() {
    let (a, b) = (free_port(), free_port());
    let rig = Rig::with(settings(a, b)).await;
    let mut devices = [Device::connect(a).await, Device::connect(b).await];
    for (number, device) in devices.iter_mut().enumerate() {
        device.send(format!("{{\"before\":{number}}}\n")).await;
        rig.value("before", number).await;
    }
    let [kept, changed] = &mut devices;
    changed.send("{\"half\":").await;
    let changes = json!({"protocols": {"other": {"framing": {"end": "\r\n"}}}});
    assert_eq!(rig.patch(changes).await["ac"], 200);
    changed.send("1}\n").await;
    assert!(changed.until_fin().await.is_empty());
    rig.value("half", 1).await;
    kept.send("{\"after\":1}\n").await;
    rig.value("after", 1).await;
    let mut again = Device::connect(b).await;
    again.send("{\"again\":1}\r\n").await;
    rig.value("again", 1).await;

    let moved = free_port();
    let outcome = rig
        .patch(json!({"listeners": {"b": {"port": moved}}}))
        .await;
    assert_eq!(outcome["ac"], 200);
    assert!(again.until_fin().await.is_empty());
    Device::connect(moved).await.send("{\"moved\":1}\r\n").await;
    rig.value("moved", 1).await;
    kept.send("{\"still\":1}\n").await;
    rig.value("still", 1).await;
}

#[tokio::test]
async fn a_device_added_by_a_patch_is_known_to_an_open_connection() {
    let (a, b) = (free_port(), free_port());
    let rig = Rig::with(settings(a, b)).await;
    let mut device = Device::connect(a).await;
    device.send("{\"n\":1}\n").await;
    let before = rig.value("n", 1).await;
    assert_eq!(before.property("device"), Some("127.0.0.1"));
    assert_eq!(before.property("unknownDevice"), Some("true"));
    let added =
        json!({"scale-1": {"match": {"address": "127.0.0.1"}, "properties": {"line": "B"}}});
    assert_eq!(rig.patch(json!({ "devices": added })).await["ac"], 200);
    device.send("{\"n\":2}\n").await;
    let after = rig.value("n", 2).await;
    assert_eq!(after.property("device"), Some("scale-1"));
    assert_eq!(after.property("line"), Some("B"));
    assert_eq!(after.property("unknownDevice"), None);
}

#[tokio::test]
async fn a_patch_onto_a_refused_document_mends_it() {
    let (a, b) = (free_port(), free_port());
    let rig = Rig::with(settings(a, b)).await;
    let c = free_port();
    let refused = json!({"listeners": {
        "a": null,
        "c": {"port": c, "protocol": "linse"}
    }});
    let outcome = rig.patch(refused).await;
    assert_eq!(outcome["ac"], 400);
    assert_eq!(outcome["errors"][0]["pointer"], "/listeners/c/protocol");
    assert!(
        outcome["errors"][0]["message"]
            .as_str()
            .is_some_and(|text| text.contains("\"lines\""))
    );
    Device::connect(a).await.send("{\"a\":1}\n").await;
    rig.value("a", 1).await;

    let outcome = rig
        .patch(json!({"listeners": {"c": {"protocol": "lines"}}}))
        .await;
    assert_eq!(outcome["ac"], 200, "{outcome}");
    Device::connect(c).await.send("{\"c\":1}\n").await;
    rig.value("c", 1).await;
    let gone = |reported: &Value| reported["listeners"].get("a").is_none();
    rig.reported(gone).await;
    assert!(TcpStream::connect(("127.0.0.1", a)).await.is_err());
}

#[tokio::test]
async fn a_taken_port_degrades_its_listener_alone_until_it_is_free() {
    let (a, b) = (free_port(), free_port());
    let taken = TcpListener::bind((Ipv6Addr::UNSPECIFIED, b)).expect("a free port");
    let rig = Rig::with(settings(a, b)).await;
    let state = |reported: &Value, name: &str| reported["listeners"][name]["state"].clone();
    let reported = rig
        .reported(|reported| state(reported, "b") == "degraded")
        .await;
    assert_eq!(state(&reported, "a"), "listening");
    assert!(
        reported["listeners"]["b"]["error"]
            .as_str()
            .is_some_and(|text| text.contains("in use"))
    );
    Device::connect(a).await.send("{\"a\":1}\n").await;
    rig.value("a", 1).await;
    drop(taken);
    rig.reported(|reported| state(reported, "b") == "listening")
        .await;
    Device::connect(b).await.send("{\"b\":1}\n").await;
    rig.value("b", 1).await;
}

#[tokio::test]
async fn changed_bounds_of_the_spool_hold_at_once() {
    let (a, b) = (free_port(), free_port());
    let rig = Rig::with(settings(a, b)).await;
    let full = json!({"spool": {"minFreeBytes": 1_099_511_627_776_u64}});
    assert_eq!(rig.patch(full).await["ac"], 200);
    rig.hub.faults().hold_pubacks();
    let mut device = Device::connect(a).await;
    let lines: String = (1..=500).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    device.send(lines).await;
    let held = |count: f64| {
        rig.counted("messages_spooled{output=\"telemetry\"}", move |now| {
            now == count
        })
    };
    held(256.0).await;
    // While nothing is acknowledged the module cannot report either.
    let patch = json!({"spool": {"minFreeBytes": 0}});
    rig.hub.patch_desired(MODULE, patch).expect("an object");
    held(500.0).await;
    rig.hub.faults().release_pubacks();
    rig.value("n", 500).await;
    held(0.0).await;
    assert_eq!(rig.messages(500).await.len(), 500);
}
