//! What passes between a device and the forwarder, and who is let in.

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Bench, bench, rest};
use crate::conversation::AHEAD;

#[tokio::test]
async fn after_the_devices_fin_its_frames_are_delivered_and_answered_and_half_a_frame_is_counted() {
    let mut bench = bench(json!({}), 100);
    let mut device = bench.connect().await;
    device.write_all(b"one\ntwo\nhal").await.unwrap();
    device.shutdown().await.unwrap();
    assert!(bench.deliver().await.contains("one"));
    assert!(bench.deliver().await.contains("two"));
    assert_eq!(rest(device).await, "ok\nok\n", "both replies, then a FIN");
    bench.shutdown.cancel();
    bench.tasks.join_all().await;
    let half = "frame_troubles_total{listener=\"lines\",trouble=\"half_frame\"}";
    assert_eq!(
        bench
            .south
            .metrics
            .sample(&format!("edge_tcp_gateway_{half}")),
        1.0
    );
    assert!(
        bench.submissions.try_recv().is_err(),
        "half a frame is never passed on"
    );
}

#[tokio::test]
async fn no_reply_leaves_before_its_message_is_delivered() {
    let mut bench = bench(json!({}), 100);
    let mut device = bench.connect().await;
    device.write_all(b"one\n").await.unwrap();
    let submission = bench.submission().await;
    // Whatever the module would have done by itself, it has done once another device has its answer.
    let mut other = bench.connect().await;
    other.write_all(b"two\n").await.unwrap();
    bench.deliver().await;
    other.read_exact(&mut [0; 3]).await.unwrap();
    let mut place = [0; 16];
    assert!(
        device
            .try_read(&mut place)
            .is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    );
    submission.held.delivered();
    assert_eq!(device.read(&mut place).await.unwrap(), 3);
}

/// Bytes of messages that have no room.
fn waiting(bench: &Bench) -> usize {
    bench.sample("messages_waiting_bytes{listener=\"lines\"}") as usize
}

#[tokio::test]
async fn without_room_nothing_is_read_and_nothing_is_lost() {
    let mut bench = bench(json!({}), 1);
    let mut device = bench.connect().await;
    let read = |bench: &Bench| bench.sample("received_bytes_total{listener=\"lines\"}");
    for n in 0..10 {
        device.write_all(format!("{n}\n").as_bytes()).await.unwrap();
    }
    bench.until("no room", |bench| waiting(bench) > 0).await;
    let before = read(&bench);
    for n in 10..200 {
        device.write_all(format!("{n}\n").as_bytes()).await.unwrap();
    }
    let _other = bench.connect().await;
    let two = "connections{listener=\"lines\"}";
    bench
        .until("another", |bench| bench.sample(two) == 2.0)
        .await;
    assert_eq!(read(&bench), before, "nothing is read");
    for n in 0..200 {
        assert!(
            bench.deliver().await.contains(&format!("\"{n}\"")),
            "in order, each once"
        );
    }
}

#[tokio::test]
async fn what_waits_outside_of_the_room_is_bounded_for_each_connection() {
    let mut bench = bench(json!({}), 1);
    let mut devices = Vec::new();
    for _ in 0..50 {
        let mut device = bench.connect().await;
        device.write_all(&b"ab\n".repeat(300)).await.unwrap();
        devices.push(device);
    }
    // A message of such a line needs less than 1000 bytes.
    let (least, most) = (50 * AHEAD, 50 * (AHEAD + 1000));
    bench
        .until("all wait", |bench| waiting(bench) + 10_000 > least)
        .await;
    let another = bench.connect().await;
    bench
        .until("another", |bench| {
            bench.sample("connections{listener=\"lines\"}") == 51.0
        })
        .await;
    assert!(waiting(&bench) <= most, "{} bytes wait", waiting(&bench));
    for _ in 0..50 * 300 {
        assert!(bench.deliver().await.contains("ab"));
        assert!(waiting(&bench) <= most, "{} bytes wait", waiting(&bench));
    }
    drop((devices, another));
}

#[tokio::test]
async fn a_thousand_connections_over_the_limit_are_closed_and_the_others_work_on() {
    let mut bench = bench(json!({"maxConnections": 100}), 1000);
    let mut inside = Vec::new();
    for _ in 0..100 {
        let mut device = bench.connect().await;
        device.write_all(b"hello\n").await.unwrap();
        bench.deliver().await;
        inside.push(device);
    }
    for _ in 0..1000 {
        let mut outside = bench.connect().await;
        assert!(
            matches!(outside.read(&mut [0; 1]).await, Ok(0) | Err(_)),
            "closed at once"
        );
    }
    assert_eq!(
        bench.sample("connections_refused_total{listener=\"lines\",reason=\"limit\"}"),
        1000.0
    );
    for mut device in inside {
        device.write_all(b"still here\n").await.unwrap();
        assert!(bench.deliver().await.contains("still here"));
    }
}

#[tokio::test]
async fn a_removed_listener_frees_its_port_and_ends_its_connections_with_a_fin() {
    let mut bench = bench(json!({}), 100);
    let mut device = bench.connect().await;
    device.write_all(b"one\n").await.unwrap();
    bench.deliver().await;
    let mut place = [0; 3];
    device.read_exact(&mut place).await.unwrap();
    bench.handle.take().unwrap().stop().await;
    assert!(TcpStream::connect(bench.address).await.is_err());
    assert_eq!(rest(device).await, "");
    bench.tasks.join_all().await;
    assert_eq!(
        bench.south.metrics.sample("edge_tcp_gateway_connections_closed_total{listener=\"lines\",reason=\"listener_removed\"}"),
        1.0
    );
}

#[tokio::test]
async fn who_is_not_allowed_is_closed_at_once_and_counted() {
    let bench = bench(json!({"allow": ["10.0.0.0/8"]}), 100);
    let mut device = bench.connect().await;
    assert!(matches!(device.read(&mut [0; 1]).await, Ok(0) | Err(_)));
    assert_eq!(
        bench.sample("connections_refused_total{listener=\"lines\",reason=\"address\"}"),
        1.0
    );
}
