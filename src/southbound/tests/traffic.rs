//! What passes between a device and the forwarder, and who is let in.

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{bench, rest};

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
    let mut place = [0; 16];
    assert!(
        device
            .try_read(&mut place)
            .is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    );
    submission.held.delivered();
    assert_eq!(device.read(&mut place).await.unwrap(), 3);
}

#[tokio::test]
async fn without_room_nothing_is_read_and_nothing_is_lost() {
    let mut bench = bench(json!({}), 1);
    let mut device = bench.connect().await;
    for n in 0..200 {
        device.write_all(format!("{n}\n").as_bytes()).await.unwrap();
    }
    for n in 0..200 {
        assert!(
            bench.deliver().await.contains(&format!("\"{n}\"")),
            "in order, each once"
        );
    }
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
