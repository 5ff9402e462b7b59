//! How messages leave: together, in their turn, and with bounds.

use edge_tcp_gateway::outbox::MOST_OF_ONE;
use serde_json::json;
use tokio::time::timeout;

use crate::disk::TrialDisk;
use crate::rig::{Device, PATIENCE, Rig, free_port, lines};
use crate::scrape;

/// A reading of some 100 bytes.
fn reading(n: u32) -> String {
    format!(
        "{{\"n\":{n},\"temperature\":21.375,\"humidity\":48.25,\"pressure\":1013.2,\"serial\":\"A4C1380F21{n:06}\"}}\n"
    )
}

#[tokio::test]
async fn batches_cost_hardly_more_units_than_their_bytes() {
    const READINGS: u32 = 2_000;
    for max_bytes in [4096, 16_384, 261_632] {
        let port = free_port();
        let mut protocol = lines();
        protocol["framing"]["maxBytes"] = json!(200);
        let rig = Rig::with(json!({
            "listeners": {"a": {"port": port, "protocol": "lines"}},
            "protocols": {"lines": protocol},
            "outputs": {"telemetry": {"batch": {"maxBytes": max_bytes, "maxDelayMs": 300}}}
        }))
        .await;
        let mut device = Device::connect(port).await;
        let stream: String = (0..READINGS).map(reading).collect();
        device.send(stream).await;
        let delivered = "messages_delivered_total{output=\"telemetry\"}";
        rig.counted(delivered, |count| count == f64::from(READINGS))
            .await;
        let messages = rig.hub.upstream().messages();
        let mut numbers = Vec::new();
        for message in &messages {
            let elements = message.json().expect("JSON");
            let elements = elements.as_array().expect("an array").clone();
            assert_eq!(message.message_id(), elements[0]["id"].as_str());
            assert!(message.size() <= max_bytes, "{} bytes", message.size());
            numbers.extend(
                elements
                    .iter()
                    .map(|element| element["values"]["n"].clone()),
            );
        }
        let expected: Vec<_> = (0..READINGS).map(|n| json!(n)).collect();
        assert_eq!(numbers, expected, "each once and in order");
        let bytes: usize = messages.iter().map(|message| message.size()).sum();
        let units: usize = messages
            .iter()
            .map(|message| message.metering_units())
            .sum();
        let least = bytes.div_ceil(4096);
        assert!(
            units * 100 <= least * 105,
            "{units} units for {bytes} bytes, which need {least}"
        );
        assert_eq!(rig.sample("metering_units_total"), units as f64);
        let refused = rig.metrics.accounts()["telemetry"];
        assert_eq!((refused.dead_lettered, refused.dropped), (0, 0));
        assert_eq!(rig.hub.counters().silent_losses(), 0);
    }
}

/// A message of a flooding device that is delivered between the arrival of an honest device's line
/// and its delivery had room in memory before that line: messages leave in the order in which they
/// got room, what is on its way to edgeHub keeps its room until it is acknowledged, and the honest
/// device has room to itself, as the flood's share is far from all. So they are at most the share of
/// one connection. What stands in the kernel has no room yet, and comes behind. The disk is full, as
/// a message that goes there makes room for another before it is delivered.
#[tokio::test]
async fn a_flooding_device_does_not_hold_up_an_honest_one() {
    let (port, honest_port) = (free_port(), free_port());
    let mut protocol = lines();
    protocol["identity"] = json!({"field": "id"});
    let disk = TrialDisk::default();
    disk.set_free(0);
    let mut rig = Rig::new().await;
    rig.disk = Some(disk);
    rig.start();
    let outcome = rig
        .set(json!({
            "listeners": {
                "flood": {"port": port, "protocol": "lines"},
                "honest": {"port": honest_port, "protocol": "lines"}
            },
            "protocols": {"lines": protocol}
        }))
        .await;
    assert_eq!(outcome["ac"], 200, "{outcome}");
    let flood = async {
        let mut device = Device::connect(port).await;
        let block = "{\"id\":\"flood\"}\n".repeat(500);
        loop {
            device.send(&block).await;
        }
    };
    let honest = async {
        let mut device = Device::connect(honest_port).await;
        let mut between = Vec::new();
        rig.messages(1_000).await;
        for n in 1..=20 {
            let line = format!("{{\"id\":\"honest\",\"n\":{n}}}\n");
            device.send(line).await;
            while rig.sample("frames_total{listener=\"honest\"}") < f64::from(n) {
                tokio::task::yield_now().await;
            }
            let before = rig.hub.upstream().count();
            let arrived = rig.value("n", n).await;
            between.push(arrived.sequence.saturating_sub(before + 1));
        }
        between
    };
    let both = async {
        tokio::select! {
            () = flood => unreachable!("it floods for ever"),
            between = honest => between,
        }
    };
    let between = timeout(PATIENCE, both).await.expect("in time");
    assert!(between.iter().any(|count| *count > 0), "there was no flood");
    assert!(
        between.iter().all(|count| *count <= MOST_OF_ONE as u64),
        "{between:?} of the flood came before the honest one"
    );
}

#[tokio::test]
async fn metrics_and_health_are_told_over_http_and_to_nobody_who_asks_badly() {
    let port = free_port();
    let mut rig = Rig::new().await;
    rig.metrics_port = Some(port);
    rig.start();
    let outcome = rig.set(json!({"listeners": {}})).await;
    assert_eq!(outcome["ac"], 200, "{outcome}");
    let get = |what: &str| {
        let request = format!("{what} HTTP/1.1\r\nHost: gateway\r\n\r\n");
        async move { scrape::get(port, &request).await.expect("an answer") }
    };
    let (head, body) = get("GET /metrics").await;
    assert!(
        head.starts_with("HTTP/1.1 200") && head.contains("openmetrics-text"),
        "{head}"
    );
    assert!(
        body.contains("edge_tcp_gateway_link_up 1") && body.ends_with("# EOF\n"),
        "{body}"
    );
    let (head, body) = get("GET /healthz").await;
    assert!(
        head.starts_with("HTTP/1.1 200") && body == "ok\n",
        "{head} {body}"
    );
    assert!(get("GET /").await.1.contains("/healthz"));
    assert!(get("POST /metrics").await.0.starts_with("HTTP/1.1 405"));
    assert!(get("nonsense").await.0.starts_with("HTTP/1.1 400"));
    // Those who connect and say nothing take all places; one more is closed at once.
    let mut silent = Vec::new();
    for _ in 0..16 {
        silent.push(Device::connect(port).await);
    }
    assert_eq!(Device::connect(port).await.until_fin().await, b"");
    // Their time to ask is limited.
    for mut device in silent {
        device.until_fin().await;
    }
    assert!(get("GET /healthz").await.0.starts_with("HTTP/1.1 200"));
}
