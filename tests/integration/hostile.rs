//! Foreign bytes and documents that are wrong: each gets its answer and its counter, and nothing
//! else suffers.

use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::rig::{Device, PATIENCE, Rig, free_port, lines};

/// A listener `under` a protocol, and a neighbour that must not notice.
struct Attacked {
    rig: Rig,
    port: u16,
    neighbour: Device,
    sent: u32,
}

impl Attacked {
    async fn by(protocol: Value, limits: Value) -> Attacked {
        let (port, steady) = (free_port(), free_port());
        let mut listener = json!({"port": port, "protocol": "attacked"});
        for (name, limit) in limits.as_object().expect("limits") {
            listener[name] = limit.clone();
        }
        let rig = Rig::with(json!({
            "listeners": {"attacked": listener, "steady": {"port": steady, "protocol": "steady"}},
            "protocols": {"attacked": protocol, "steady": lines()}
        }))
        .await;
        let neighbour = Device::connect(steady).await;
        Attacked {
            rig,
            port,
            neighbour,
            sent: 0,
        }
    }

    /// The neighbour's next message arrives on its old connection.
    async fn neighbour_goes_on(&mut self) {
        self.sent += 1;
        let line = format!("{{\"steady\":{}}}\n", self.sent);
        self.neighbour.send(line).await;
        self.rig.value("steady", self.sent).await;
    }
}

/// Two bytes of start, one of length, content, one of checksum.
fn blocks() -> Value {
    json!({
        "framing": {
            "type": "length", "start": "0xAA55", "length": "u8 at 2", "add": 4,
            "maxBytes": 64, "incompleteTimeoutMs": 50
        },
        "checksum": "xor over 2..-1 at -1",
        "decode": {"type": "binary", "fields": ["skip 3", "n: u16"]},
        "identity": {"from": "address"},
        "replies": {"ok": {"send": "0x06", "when": "length > 0"}}
    })
}

/// A block with that number, as [`blocks`] reads it.
fn block(number: u16) -> Vec<u8> {
    let [high, low] = number.to_be_bytes();
    vec![0xaa, 0x55, 2, high, low, 2 ^ high ^ low]
}

#[tokio::test]
async fn garbage_before_and_between_frames_is_counted_and_costs_no_frame() {
    let mut attacked = Attacked::by(blocks(), json!({})).await;
    let mut device = Device::connect(attacked.port).await;
    let garbage: Vec<u8> = (0..5_000_u32).map(|n| (n % 160) as u8).collect();
    for number in 1..=3 {
        device.send(&garbage).await;
        device.send(block(number)).await;
        attacked.rig.value("n", number).await;
    }
    assert_eq!(device.receive(3).await, [6; 3]);
    attacked.rig.trouble("attacked", "skipped", 3.0).await;
    attacked.neighbour_goes_on().await;
}

#[tokio::test]
async fn a_wrong_checksum_is_counted_and_neither_sent_nor_answered() {
    let mut attacked = Attacked::by(blocks(), json!({})).await;
    let mut device = Device::connect(attacked.port).await;
    let mut wrong = block(1);
    wrong[4] ^= 1;
    device.send(&wrong).await;
    device.send(block(2)).await;
    attacked.rig.value("n", 2).await;
    assert_eq!(device.receive(1).await, [6]);
    attacked.rig.trouble("attacked", "bad_checksum", 1.0).await;
    assert_eq!(attacked.rig.messages(1).await.len(), 1);
    assert!(device.nothing_came());
    attacked.neighbour_goes_on().await;
}

#[tokio::test]
async fn an_oversize_frame_is_counted_and_the_next_one_is_found() {
    let mut attacked = Attacked::by(lines(), json!({})).await;
    let mut device = Device::connect(attacked.port).await;
    for _ in 0..100 {
        device.send(vec![b'x'; 10_000]).await;
    }
    device.send("\n{\"n\":1}\n").await;
    attacked.rig.value("n", 1).await;
    attacked.rig.trouble("attacked", "too_long", 1.0).await;
    attacked.neighbour_goes_on().await;
}

#[tokio::test]
async fn half_a_frame_and_then_silence_is_timed_out_and_a_half_frame_at_the_end_is_no_message() {
    let mut attacked = Attacked::by(blocks(), json!({})).await;
    let mut device = Device::connect(attacked.port).await;
    device.send(&block(1)[..4]).await;
    attacked
        .rig
        .trouble("attacked", "incomplete_timeout", 1.0)
        .await;
    device.send(block(2)).await;
    attacked.rig.value("n", 2).await;
    device.send(&block(3)[..5]).await;
    tokio::io::AsyncWriteExt::shutdown(&mut device.0)
        .await
        .expect("FIN");
    assert_eq!(device.until_fin().await, [6]);
    attacked.rig.trouble("attacked", "half_frame", 1.0).await;
    assert_eq!(attacked.rig.messages(1).await.len(), 1);
    attacked.neighbour_goes_on().await;
}

#[tokio::test]
async fn a_thousand_connections_on_a_limit_of_a_hundred_cost_the_neighbour_nothing() {
    let mut attacked = Attacked::by(lines(), json!({"maxConnections": 100})).await;
    let mut open = Vec::new();
    for _ in 0..1000 {
        let stream = TcpStream::connect(("127.0.0.1", attacked.port)).await;
        open.push(stream.expect("the system accepts it"));
    }
    let refused = "connections_refused_total{listener=\"attacked\",reason=\"limit\"}";
    attacked.rig.counted(refused, |count| count == 900.0).await;
    let gauge = "connections{listener=\"attacked\"}";
    attacked.rig.counted(gauge, |count| count == 100.0).await;
    let mut last = open.pop().expect("a connection");
    let read = timeout(PATIENCE, last.read(&mut [0; 1])).await;
    assert!(!matches!(read.expect("closed at once"), Ok(1..)));
    attacked.neighbour_goes_on().await;
    drop(open);
    attacked.rig.counted(gauge, |count| count == 0.0).await;
    Device::connect(attacked.port)
        .await
        .send("{\"n\":1}\n")
        .await;
    attacked.rig.value("n", 1).await;
}

#[tokio::test]
async fn a_twin_over_its_limits_is_refused_with_the_number() {
    let mut attacked = Attacked::by(lines(), json!({})).await;
    let text = "x".repeat(3_900);
    let devices = (0..9).map(|n| {
        let properties = json!({"note": text});
        (format!("d{n}"), json!({"properties": properties}))
    });
    let large = json!({"devices": devices.collect::<serde_json::Map<_, _>>()});
    let outcome = attacked.rig.patch(large).await;
    assert_eq!(outcome["ac"], 400);
    let errors = outcome["errors"].to_string();
    assert!(errors.contains("a twin holds 32768"), "{errors}");
    attacked
        .rig
        .counted("settings_total{result=\"refused\"}", |count| count == 1.0)
        .await;
    attacked.neighbour_goes_on().await;
}
