//! Boxes without a battery begin in 1970 and step by years when they learn the time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};

use edge_tcp_gateway::clock::Clock;
use edge_tcp_gateway::message::Now;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::rig::{Device, PATIENCE, Rig, free_port, lines};

const YEAR: i64 = 365 * 86_400;

/// By how many seconds the module of each test is ahead.
static AHEAD: [AtomicI64; 2] = [const { AtomicI64::new(0) }; 2];

/// The clock of a test's module: what never steps does not.
fn stepped<const TEST: usize>() -> Now {
    let now = Clock::system().now();
    let ahead = SignedDuration::from_secs(AHEAD[TEST].load(Ordering::Relaxed));
    let utc = now.utc.checked_add(ahead).expect("a time");
    Now { utc, ..now }
}

fn step<const TEST: usize>(ahead: i64) {
    AHEAD[TEST].store(ahead, Ordering::Relaxed);
}

/// What a clock has to be ahead by to say this time.
fn ahead_of_now(time: &str) -> i64 {
    let time: Timestamp = time.parse().expect("a time");
    time.as_second() - Clock::system().now().utc.as_second()
}

fn answered_lines(port: u16) -> Value {
    let mut protocol = lines();
    protocol["replies"] = json!({"ok": {"send": "{n}\n", "when": "n"}});
    protocol["acknowledge"] = json!({"after": "delivered", "withinMs": 25_000});
    json!({
        "listeners": {"a": {"port": port, "protocol": "lines"}},
        "protocols": {"lines": protocol},
        "spool": {"maxAgeSeconds": 60}
    })
}

#[tokio::test]
async fn a_module_that_starts_in_1970_connects_as_soon_as_the_clock_is_set() {
    let port = free_port();
    let mut rig = Rig::with(answered_lines(port)).await;
    let mut device = Device::connect(port).await;
    device.send("{\"n\":1}\n").await;
    let before = rig.value("n", 1).await;
    drop(device);
    rig.stop().await.expect("asked to stop");

    rig.clock = Clock::new(stepped::<0>);
    step::<0>(ahead_of_now("1970-01-01T00:00:10Z"));
    rig.start();
    rig.counted("link_connects_total{result=\"tls\"}", |count| count >= 2.0)
        .await;
    let mut device = Device::connect(port).await;
    device.send("{\"n\":2}\n").await;
    rig.counted("messages_spooled{output=\"telemetry\"}", |count| {
        count == 1.0
    })
    .await;
    // The certificate is good by now; the token has expired years ago.
    step::<0>(ahead_of_now("1980-01-01T00:00:00Z"));
    rig.counted("link_connects_total{result=\"not_authorized\"}", |count| {
        count >= 2.0
    })
    .await;
    assert!(device.nothing_came());
    step::<0>(0);
    assert_eq!(device.receive(2).await, b"2\n");
    let after = rig.value("n", 2).await;
    assert_ne!(before.message_id(), after.message_id());
    let received = after.json().expect("JSON")["received"].clone();
    let received = received.as_str().expect("a time");
    assert!(received.starts_with("1970-01-01"), "{received}");
    device.send("{\"n\":3}\n").await;
    assert_eq!(device.receive(2).await, b"3\n");
}

#[tokio::test]
async fn steps_of_years_under_load_lose_nothing_and_end_nothing() {
    const LINES: u64 = 4_000;
    let port = free_port();
    let mut rig = Rig::new().await;
    rig.clock = Clock::new(stepped::<1>);
    rig.start();
    let outcome = rig.set(answered_lines(port)).await;
    assert_eq!(outcome["ac"], 200, "{outcome}");
    let mut device = Device::connect(port).await;
    let stream: String = (1..=LINES).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    let replies: String = (1..=LINES).map(|n| format!("{n}\n")).collect();
    let mut answers = vec![0; replies.len()];
    let (mut from_module, mut to_module) = device.0.split();
    let all = async {
        tokio::join!(
            to_module.write_all(stream.as_bytes()),
            from_module.read_exact(&mut answers),
            steps(&rig, LINES),
        )
    };
    let (written, read, ()) = tokio::time::timeout(PATIENCE, all)
        .await
        .expect("answered in time");
    written.expect("written");
    read.expect("an open connection");
    assert_eq!(answers, replies.as_bytes(), "in order, none given up");

    let mut ids: BTreeMap<String, u64> = BTreeMap::new();
    let mut last = 0;
    for message in rig.hub.upstream().messages() {
        let number = message.json().expect("JSON")["values"]["n"]
            .as_u64()
            .expect("a number");
        let id = message.message_id().expect("an id").to_owned();
        let known = *ids.entry(id).or_insert(number);
        assert_eq!(known, number, "no id is given twice");
        assert!(number <= last + 1, "{number} comes after {last}");
        last = last.max(number);
    }
    assert_eq!(ids.len() as u64, LINES);
    let account = rig.metrics.accounts()["telemetry"];
    assert_eq!((account.dropped, account.dead_lettered), (0, 0));
}

/// The clock steps while the lines arrive; the link ends where edgeHub ends it, and nowhere else.
async fn steps(rig: &Rig, lines: u64) {
    let arrived = |eighths: u64| async move {
        rig.message(|message| {
            let body = message.json();
            body.and_then(|body| body["values"]["n"].as_u64())
                .is_some_and(|n| n >= eighths * lines / 8)
        })
        .await;
    };
    let sessions = |count: f64| async move {
        rig.counted("link_connects_total{result=\"accepted\"}", |accepted| {
            accepted == count
        })
        .await;
    };
    let refused = "edge_tcp_gateway_link_connects_total{result=\"not_authorized\"}";
    arrived(1).await;
    step::<1>(10 * YEAR);
    arrived(2).await;
    sessions(1.0).await;
    // The next token is minted at the time that it is now.
    rig.hub.faults().expire_tokens();
    sessions(2.0).await;
    assert_eq!(rig.metrics.sample(refused), 0.0);
    arrived(3).await;
    step::<1>(-10 * YEAR);
    arrived(5).await;
    sessions(2.0).await;
    rig.hub.faults().restart().await.expect("restarts");
    rig.counted("link_connects_total{result=\"not_authorized\"}", |count| {
        count >= 2.0
    })
    .await;
    step::<1>(0);
    sessions(3.0).await;
}
