//! How messages leave: together, in their turn, and with bounds.

use std::collections::BTreeMap;

use serde_json::json;

use crate::disk::TrialDisk;
use crate::rig::{Device, Rig, free_port, lines};
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
            units * 100 <= least * 105 + 100,
            "{units} units for {bytes} bytes, which need {least}"
        );
        assert_eq!(
            rig.sample("metering_units_total"),
            units as f64
        );
        let refused = rig.metrics.accounts()["telemetry"];
        assert_eq!((refused.dead_lettered, refused.dropped), (0, 0));
        assert_eq!(rig.hub.counters().silent_losses(), 0);
    }
}

/// Between the arrival of an honest device's line and its delivery, at most as many messages of a
/// flooding one are delivered as one connection may have submitted, and those on their way.
#[tokio::test]
async fn a_flooding_device_does_not_hold_up_an_honest_one() {
    let port = free_port();
    let mut protocol = lines();
    protocol["identity"] = json!({"field": "id"});
    let rig = Rig::with(json!({
        "listeners": {"a": {"port": port, "protocol": "lines"}},
        "protocols": {"lines": protocol}
    }))
    .await;
    let flood = async {
        let mut device = Device::connect(port).await;
        let block = "{\"id\":\"flood\"}\n".repeat(500);
        loop {
            device.send(&block).await;
        }
    };
    let honest = async {
        let mut device = Device::connect(port).await;
        let mut between = Vec::new();
        rig.messages(1_000).await;
        for n in 0..20 {
            let before = rig.hub.upstream().count();
            device
                .send(format!("{{\"id\":\"honest\",\"n\":{n}}}\n"))
                .await;
            let arrived = rig.value("n", n).await;
            between.push(arrived.sequence - before);
        }
        between
    };
    let between = tokio::select! {
        () = flood => unreachable!("it floods for ever"),
        between = honest => between,
    };
    // What one connection may have in memory, what is outstanding, and what the socket hides.
    let most = 256 + 200 + 500;
    assert!(
        between.iter().all(|count| *count <= most),
        "{between:?} of the flood came before the honest one"
    );
}

/// edgeHub away, many devices flat out: nothing is dropped, memory and disk stay within their
/// bounds, and when it is back all get on.
#[tokio::test]
async fn with_edgehub_away_devices_wait_and_nothing_is_dropped() {
    const DEVICES: u32 = 200;
    const LINES: u32 = 300;
    let port = free_port();
    let mut protocol = lines();
    protocol["identity"] = json!({"field": "id"});
    let mut rig = Rig::new().await;
    let disk = TrialDisk::default();
    rig.disk = Some(disk.clone());
    rig.start();
    let bound = 4_194_304_u32;
    let outcome = rig
        .set(json!({
            "listeners": {"a": {"port": port, "protocol": "lines", "maxConnections": DEVICES}},
            "protocols": {"lines": protocol},
            "spool": {"maxBytes": bound, "maxMemoryBytes": 1_048_576}
        }))
        .await;
    assert_eq!(outcome["ac"], 200, "{outcome}");
    rig.hub.faults().stop_listening().await;
    let mut sending = tokio::task::JoinSet::new();
    for device in 0..DEVICES {
        sending.spawn(async move {
            let mut connection = Device::connect(port).await;
            let stream: String = (0..LINES)
                .map(|n| format!("{{\"id\":\"d{device}\",\"n\":{n}}}\n"))
                .collect();
            connection.send(stream).await;
            connection
        });
    }
    // Until the disk has its fill, and memory too.
    rig.counted("spool_bytes", |bytes| bytes > f64::from(bound) * 0.9)
        .await;
    rig.counted("memory_bytes", |bytes| bytes > 900_000.0).await;
    let text = rig.metrics.text().expect("text");
    scrape::adds_up(&text);
    let on_disk: usize = disk.files().values().map(Vec::len).sum();
    assert!(
        on_disk < (bound as usize) + 65_536,
        "{on_disk} bytes on disk"
    );
    assert!(rig.sample("memory_bytes") <= 1_048_576.0);
    rig.hub.faults().listen_again().await.expect("listens");
    let devices = sending.join_all().await;
    let all = f64::from(DEVICES * LINES);
    rig.counted("messages_delivered_total{output=\"telemetry\"}", |count| {
        count == all
    })
    .await;
    let account = rig.metrics.accounts()["telemetry"];
    assert_eq!(
        (account.dropped, account.dead_lettered, account.spooled),
        (0, 0, 0)
    );
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    for message in rig.hub.upstream().messages() {
        let body = message.json().expect("JSON");
        let n = body["values"]["n"].as_u64().expect("a number");
        let next = last.entry(body["device"].to_string()).or_default();
        assert_eq!(n, *next, "in order");
        *next += 1;
    }
    assert_eq!(last.len(), devices.len());
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
