//! What goes wrong around the running module: nothing that was acknowledged is lost, and nothing
//! is acknowledged that was not earned.

use std::collections::BTreeMap;
use std::time::Duration;

use edge_tcp_gateway::clock::Clock;
use serde_json::json;

use crate::rig::{Device, MODULE, PATIENCE, Rig, free_port, lines};

fn answered_lines(port: u16) -> serde_json::Value {
    let mut protocol = lines();
    protocol["replies"] = json!({"ok": {"send": "{n}\n", "when": "n"}});
    protocol["acknowledge"] = json!({"after": "delivered"});
    json!({
        "listeners": {"a": {"port": port, "protocol": "lines"}},
        "protocols": {"lines": protocol},
        "devices": {"scale-1": {"match": {"address": "127.0.0.1"}}}
    })
}

#[tokio::test]
async fn a_stream_through_three_restarts_of_edgehub_arrives_whole_and_in_order() {
    const LINES: u64 = 3_000;
    let port = free_port();
    let rig = Rig::with(answered_lines(port)).await;
    let mut device = Device::connect(port).await;
    let stream: String = (1..=LINES).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    let replies: String = (1..=LINES).map(|n| format!("{n}\n")).collect();
    let (mut from_module, mut to_module) = device.0.split();
    let writing = tokio::io::AsyncWriteExt::write_all(&mut to_module, stream.as_bytes());
    let mut answers = vec![0; replies.len()];
    let reading = tokio::io::AsyncReadExt::read_exact(&mut from_module, &mut answers);
    let restarting = async {
        for quarter in 1..=3 {
            let past = |n: u64| n >= quarter * LINES / 4;
            rig.message(|message| {
                message
                    .json()
                    .and_then(|body| body["values"]["n"].as_u64())
                    .is_some_and(past)
            })
            .await;
            rig.hub.faults().restart().await.expect("restarts");
        }
    };
    let all = async { tokio::join!(writing, reading, restarting) };
    let (written, read, ()) = tokio::time::timeout(PATIENCE, all)
        .await
        .expect("answered in time");
    written.expect("written");
    read.expect("read");
    assert_eq!(answers, replies.as_bytes());

    let mut ids: BTreeMap<u64, String> = BTreeMap::new();
    for message in rig.hub.upstream().messages() {
        let body = message.json().expect("JSON");
        let number = body["values"]["n"].as_u64().expect("a number");
        let id = message.message_id().expect("an id").to_owned();
        assert_eq!(body["id"], id);
        let next = ids.len() as u64 + 1;
        let known = ids.entry(number).or_insert_with(|| {
            assert_eq!(number, next, "first deliveries are in order");
            id.clone()
        });
        assert_eq!(*known, id, "a repeat has the id of the first");
    }
    assert_eq!(ids.len() as u64, LINES);
}

/// edgeHub closes the session instead of storing, again and again: each session meets that once, the
/// pauses between them double although each connect succeeds, and nothing is lost.
#[tokio::test]
async fn a_lasting_store_limit_upstream_is_tried_again_ever_more_rarely() {
    const LINES: u64 = 300;
    const FAILURES: u32 = 10;
    let port = free_port();
    let mut rig = Rig::new().await;
    rig.link.first_retry = Duration::from_millis(4);
    rig.link.longest_retry = Duration::from_secs(4);
    rig.start();
    let outcome = rig.set(answered_lines(port)).await;
    assert_eq!(outcome["ac"], 200, "{outcome}");
    let before = rig.hub.counters();
    let clock = Clock::system();
    let began = clock.now().monotonic;
    rig.hub.faults().fail_stores(FAILURES as usize);
    let mut device = Device::connect(port).await;
    let stream: String = (1..=LINES).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    device.send(stream).await;
    let replies: String = (1..=LINES).map(|n| format!("{n}\n")).collect();
    assert_eq!(device.receive(replies.len()).await, replies.as_bytes());
    let took = clock.now().monotonic - began;
    let after = rig.hub.counters();
    let failures = u64::from(FAILURES);
    assert_eq!(after.store_failed, failures);
    assert_eq!(after.connected - before.connected, failures);
    // The window is all that a session has under way.
    assert!(after.publishes - before.publishes <= failures * 100 + LINES);
    // Each pause but the first is at least half of what has doubled so often.
    let least: Duration = (1..FAILURES)
        .map(|times| rig.link.first_retry * 2_u32.pow(times) / 2)
        .sum();
    assert!(took >= least, "{took:?} for pauses of at least {least:?}");
    let numbers = rig.hub.upstream().messages();
    let numbers = numbers
        .iter()
        .filter_map(|message| message.json()?["values"]["n"].as_u64());
    assert!(numbers.eq(1..=LINES), "each once and in order");
}

#[tokio::test]
async fn a_stop_ends_connections_with_fin_and_no_reply_that_was_not_earned() {
    let port = free_port();
    let mut rig = Rig::with(answered_lines(port)).await;
    let mut device = Device::connect(port).await;
    device.send("{\"n\":1}\n").await;
    assert_eq!(device.receive(2).await, b"1\n");
    rig.hub.faults().hold_pubacks();
    device.send("{\"n\":2}\n").await;
    rig.value("n", 2).await;
    rig.ask_to_stop();
    assert_eq!(device.until_fin().await, b"");
    rig.stop().await.expect("asked to stop");
}

#[tokio::test]
async fn it_listens_from_the_last_good_settings_while_edgehub_and_workload_are_away() {
    let port = free_port();
    let mut rig = Rig::with(answered_lines(port)).await;
    assert_eq!(
        rig.patch(json!({"listeners": {"a": {"prot": 1}}})).await["ac"],
        400
    );
    rig.stop().await.expect("asked to stop");
    rig.hub.faults().stop_workload();
    rig.hub.faults().stop_listening().await;
    let refused = "link_connects_total{result=\"credentials\"}";
    let before = rig.sample(refused);
    rig.start();
    rig.counted(refused, |count| count > before).await;
    let mut device = connected(port).await;
    device.send("{\"n\":1}\n").await;
    rig.counted("messages_spooled{output=\"telemetry\"}", |count| {
        count == 1.0
    })
    .await;
    assert!(device.nothing_came());
    rig.hub.faults().start_workload().expect("starts");
    rig.hub.faults().listen_again().await.expect("listens");
    assert_eq!(device.receive(2).await, b"1\n");
    assert_eq!(
        rig.outcome().await["ac"],
        400,
        "still refused, still reported"
    );
}

/// Connects as soon as the module listens.
async fn connected(port: u16) -> Device {
    let mut look = tokio::time::interval(Duration::from_millis(5));
    let connecting = async {
        loop {
            if let Ok(stream) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await {
                return Device(stream);
            }
            look.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, connecting)
        .await
        .expect("listens in time")
}

#[tokio::test]
async fn the_method_send_reaches_the_device_and_says_what_became_of_it() {
    let port = free_port();
    let rig = Rig::with(answered_lines(port)).await;
    let call = |device: &str| {
        let payload = json!({"device": device, "bytes": "T\r\n", "withinMs": 5000});
        rig.hub
            .invoke_method(MODULE, "send", Some(payload), PATIENCE)
    };
    let answer = call("scale-1").await.expect("answered");
    assert_eq!(
        (answer.status, &answer.payload["outcome"]),
        (409, &json!("notConnected"))
    );
    let mut device = Device::connect(port).await;
    device.send("{\"n\":1}\n").await;
    assert_eq!(device.receive(2).await, b"1\n");
    let answer = call("scale-1").await.expect("answered");
    assert_eq!(
        (answer.status, &answer.payload["written"]),
        (200, &json!(3))
    );
    assert_eq!(device.receive(3).await, b"T\r\n");
    let answer = call("scale-2").await.expect("answered");
    assert_eq!(
        (answer.status, &answer.payload["outcome"]),
        (404, &json!("unknownDevice"))
    );
    drop(device);
    rig.counted("connections{listener=\"a\"}", |count| count == 0.0)
        .await;
    let answer = call("scale-1").await.expect("answered");
    assert_eq!(answer.status, 409);
}

#[tokio::test]
async fn mistakes_that_an_earlier_run_reported_are_taken_back() {
    let port = free_port();
    let mut rig = Rig::with(answered_lines(port)).await;
    let outcome = rig.patch(json!({"listeners": {"a": {"prot": 1}}})).await;
    assert_eq!(
        (&outcome["ac"], &outcome["errorCount"]),
        (&json!(400), &json!(1))
    );
    rig.stop().await.expect("asked to stop");
    let mended = json!({"listeners": {"a": {"prot": null}}});
    rig.hub.patch_desired(MODULE, mended).expect("an object");
    rig.start();
    let outcome = rig.outcome().await;
    assert_eq!(outcome["ac"], 200);
    assert!(outcome.get("errors").is_none(), "{outcome}");
    assert!(outcome.get("errorCount").is_none(), "{outcome}");
}
