use super::*;
use crate::conversation::Reason;
use crate::inbox::Origin;

/// A connection of that entry, and of that device if there is one.
fn standing(bench: &Bench, entry: &str, dialled: bool, device: Option<&str>) -> Inbox {
    let origin = Origin {
        entry: entry.into(),
        dialled,
        ..Inbox::default().origin().clone()
    };
    let inbox = bench.registry.connections().open(origin);
    if let Some(device) = device {
        bench.registry.bind(&device.into(), &inbox);
    }
    inbox
}

#[tokio::test]
async fn devices_and_connections_are_listed_in_pages() {
    let mut bench = Bench::new();
    let one = standing(&bench, "scales", false, Some("a"));
    bench.registry.bind(&"c".into(), &one);
    let gone = bench.connect("b");
    bench.registry.unbind(&"b".into(), &gone, None);
    let first = one.id().0;
    let second = standing(&bench, "meters", true, None).id().0;
    let (status, answer) = bench.ask("devices", json!({"limit": 2})).await;
    assert_eq!(status, 200);
    let expected = json!({"outcome": "listed", "devices": [
        {"device": "a", "connected": true, "connection": first},
        {"device": "b", "connected": false}
    ], "next": "b"});
    assert_eq!(answer, expected);
    let (_, answer) = bench.ask("devices", json!({"after": "b"})).await;
    let expected = json!({"outcome": "listed", "devices": [
        {"device": "c", "connected": true, "connection": first}
    ]});
    assert_eq!(answer, expected);
    let (_, answer) = bench.ask("connections", json!({"limit": 1})).await;
    let expected = json!({"outcome": "listed", "connections": [{
        "connection": first, "listener": "scales", "peer": "10.0.0.7:4000",
        "since": "1970-01-01T00:00:00.000Z", "devices": ["a", "c"], "deviceCount": 2
    }], "next": first});
    assert_eq!(answer, expected);
    let (_, answer) = bench.ask("connections", json!({"after": first})).await;
    assert_eq!(answer["connections"][0]["outbound"], "meters");
    assert_eq!(answer["connections"][0]["connection"], second);
    assert_eq!(answer.get("next"), None);
    // Nothing at all is asked for in these ways.
    for payload in ["", "null", "{}"] {
        bench.call("1", "devices", payload).await;
        assert_eq!(bench.answered().await.1, 200, "{payload}");
    }
}

#[tokio::test]
async fn a_list_stays_small_whatever_names_devices_have() {
    let mut bench = Bench::new();
    for n in 0..120 {
        bench.connect(&format!("{n:03}{}", "x".repeat(3000)));
    }
    let mut after = json!("");
    let mut seen = 0;
    loop {
        let (_, answer) = bench.ask("devices", json!({"after": after})).await;
        assert!(answer.to_string().len() < 70_000);
        seen += answer["devices"].as_array().unwrap().len();
        match answer.get("next") {
            Some(next) => after = next.clone(),
            None => break,
        }
    }
    assert_eq!(seen, 120);
}

#[tokio::test]
async fn a_connection_ends_by_its_device_or_its_number() {
    let mut bench = Bench::new();
    let inbox = standing(&bench, "scales", false, Some("a"));
    let id = inbox.id().0;
    for target in [json!({"device": "a"}), json!({"connection": id})] {
        let answer = bench.ask("disconnect", target).await;
        assert_eq!(
            answer,
            (200, json!({"outcome": "disconnected", "connections": 1}))
        );
        assert_eq!(inbox.take().await.stop, Some(Reason::Asked));
    }
    let (status, answer) = bench.ask("disconnect", json!({"connection": 99})).await;
    assert_eq!(
        (status, answer),
        (409, json!({"outcome": "notConnected", "connection": 99}))
    );
    assert_eq!(bench.ask("disconnect", json!({"device": "b"})).await.0, 404);
    bench.registry.unbind(&"a".into(), &inbox, None);
    assert_eq!(bench.ask("disconnect", json!({"device": "a"})).await.0, 409);
}

#[tokio::test]
async fn the_status_says_what_is_reported_and_what_stands_and_nothing_empty() {
    let mut bench = Bench::new();
    let report = json!({
        "module": {"version": "1.2.3"},
        "settings": {"ac": 200, "av": 7, "errors": null},
        "listeners": {"scales": {"port": 5000, "state": "listening", "error": null}, "idle": {"port": 5001}},
        "spool": {"state": "good"}
    });
    bench.told.report.store(Arc::new(report));
    standing(&bench, "scales", false, Some("a"));
    standing(&bench, "scales", false, None);
    standing(&bench, "meters", true, None);
    let (status, mut answer) = bench.ask("status", json!(null)).await;
    assert_eq!(status, 200);
    assert!(answer["uptimeSeconds"].is_u64());
    answer["uptimeSeconds"] = json!(0);
    let expected = json!({
        "outcome": "told", "version": "1.2.3", "uptimeSeconds": 0,
        "settings": {"ac": 200, "av": 7},
        "listeners": {"scales": {"port": 5000, "state": "listening", "connections": 2}, "idle": {"port": 5001}},
        "outbound": {"meters": 1},
        "connections": 3, "devicesConnected": 1, "messagesWaiting": 0,
        "spool": {"state": "good"}
    });
    assert_eq!(answer, expected);
}
