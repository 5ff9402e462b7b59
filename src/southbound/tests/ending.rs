//! Ends that are ours: frames in progress are finished, replies that are due are sent, FIN not RST.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Bench, PATIENCE, Setup, Timeouts, rest};

/// Lines of `DEVICE NUMBER`; a device has one connection.
fn login() -> Value {
    json!({
        "decode": {"type": "regex", "pattern": "(?P<id>\\w+) (?P<n>\\d+)", "fields": ["id", "n: integer"]},
        "identity": {"field": "id", "scope": "connection"},
    })
}

/// A connection that waits for room, half a frame in its hands and much unread in its socket.
async fn stuck() -> (Bench, TcpStream) {
    let bench = Setup {
        protocol: login(),
        room: 1,
        timeouts: Timeouts {
            half_frame: PATIENCE,
            superseded: PATIENCE,
            linger: PATIENCE,
            ..Timeouts::default()
        },
        ..Setup::default()
    }
    .start();
    let mut device = bench.connect().await;
    let first = b"press 1\npress 2\npress 3\npre";
    device.write_all(first).await.unwrap();
    bench
        .until("the first bytes", |bench| {
            bench.sample("received_bytes_total{listener=\"lines\"}") >= first.len() as f64
        })
        .await;
    device.write_all(b"ss 4\n").await.unwrap();
    device.write_all(&b"press 5\n".repeat(5000)).await.unwrap();
    (bench, device)
}

/// Delivers everything until the old connection has ended; what its device read then.
async fn end_of(mut bench: Bench, mut device: TcpStream, reason: &str) {
    let (mut delivered, mut replies) = (Vec::new(), String::new());
    let ended = async {
        let leave = device.read_to_string(&mut replies);
        tokio::pin!(leave);
        loop {
            tokio::select! {
                read = &mut leave => break read.unwrap(),
                message = bench.deliver() => delivered.push(message),
            }
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.unwrap();
    // Behind a FIN a reset is no error of reading any more.
    assert!(
        device.take_error().unwrap().is_none(),
        "reset behind the FIN"
    );
    drop(device);
    let of = |number: u32| {
        let number = format!("\"n\":{number}}}");
        delivered
            .iter()
            .filter(|message| message.contains(&number))
            .count()
    };
    assert_eq!([of(1), of(2), of(3), of(4)], [1; 4], "{delivered:?}");
    assert!(of(5) < 5000, "the rest is not ours any more");
    assert_eq!(
        replies,
        "ok\n".repeat(4 + of(5)),
        "a reply for each, then a FIN"
    );
    bench
        .until("the count", |bench| bench.closed(reason) == 1.0)
        .await;
}

#[tokio::test]
async fn the_older_connection_of_a_device_finishes_its_frames_and_gets_a_fin() {
    let (bench, old) = stuck().await;
    let mut new = bench.connect().await;
    new.write_all(b"press 9\n").await.unwrap();
    bench
        .until("the newer one", |bench| {
            bench.sample("received_bytes_total{listener=\"lines\"}") >= 34.0
        })
        .await;
    end_of(bench, old, "superseded").await;
}

/// Nothing is acknowledged, and a device connects again and again: its older connections make room.
#[tokio::test]
async fn a_device_that_connects_again_and_again_does_not_use_up_the_places() {
    let mut bench = Setup {
        listener: json!({"maxConnections": 2}),
        protocol: login(),
        room: 3,
        timeouts: Timeouts {
            superseded: Duration::from_millis(20),
            linger: Duration::from_millis(20),
            ..Timeouts::default()
        },
    }
    .start();
    let (mut blocked, mut silent) = (Vec::new(), Vec::new());
    for n in 1..=10 {
        let mut device = bench.connect().await;
        device
            .write_all(format!("press {n}\n").as_bytes())
            .await
            .unwrap();
        let accepted = f64::from(n);
        bench
            .until("it is taken", |bench| {
                bench.sample("frames_total{listener=\"lines\"}") == accepted
            })
            .await;
        silent.push(device);
        if n <= 3 {
            blocked.push(bench.submission().await);
        }
        bench
            .until("the one before has made room", |bench| {
                bench.sample("connections{listener=\"lines\"}") == 1.0
            })
            .await;
    }
    let refused = bench.sample("connections_refused_total{listener=\"lines\",reason=\"limit\"}");
    assert_eq!(refused, 0.0);
    assert_eq!(bench.closed("superseded"), 9.0);
    // Those that found no room are counted; their devices were not answered.
    let abandoned = bench.sample("messages_abandoned_total{output=\"telemetry\"}");
    assert!(abandoned >= 5.0, "{abandoned}");
}

#[tokio::test]
async fn a_changed_protocol_ends_connections_behind_the_frame_in_progress() {
    let (bench, device) = stuck().await;
    let handle = bench.handle.as_ref().unwrap();
    handle.update(bench.terms.clone(), true);
    end_of(bench, device, "protocol_changed").await;
}

#[tokio::test]
async fn what_finds_no_room_behind_a_close_is_dropped_in_the_end_and_counted() {
    let bench = Setup {
        room: 1,
        protocol: json!({"replies": null}),
        timeouts: Timeouts {
            room: Duration::from_millis(50),
            ..Timeouts::default()
        },
        ..Setup::default()
    }
    .start();
    let mut device = bench.connect().await;
    device.write_all(b"one\ntwo\nthree\n").await.unwrap();
    bench
        .until("the frames", |bench| {
            bench.sample("frames_total{listener=\"lines\"}") == 3.0
        })
        .await;
    let inbox = bench.south.registry.find("127.0.0.1").unwrap();
    inbox.stop(crate::conversation::Reason::Superseded);
    assert_eq!(rest(device).await, "");
    bench
        .until("the end", |bench| bench.closed("superseded") == 1.0)
        .await;
    let abandoned = bench.sample("messages_abandoned_total{output=\"telemetry\"}");
    assert_eq!(abandoned, 2.0);
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_promises_that_are_not_kept() {
    let mut bench = Setup {
        timeouts: Timeouts {
            shutdown: Duration::from_millis(50),
            ..Timeouts::default()
        },
        ..Setup::default()
    }
    .start();
    let mut device = bench.connect().await;
    device.write_all(b"one\n").await.unwrap();
    let unacknowledged = bench.submission().await;
    bench.shutdown.cancel();
    assert_eq!(
        rest(device).await,
        "",
        "a FIN, and no reply that was not earned"
    );
    let tasks = std::mem::take(&mut bench.tasks);
    tokio::time::timeout(PATIENCE, tasks.join_all())
        .await
        .unwrap();
    assert_eq!(bench.closed("shutdown"), 1.0);
    drop(unacknowledged);
}

/// A log that panics at the first half frame it is told of, and keeps the rest.
#[derive(Clone, Default)]
struct Log {
    text: Arc<Mutex<String>>,
    broken: Arc<AtomicBool>,
}

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let told = text.contains("bytes of a frame");
        assert!(
            !told || self.broken.swap(true, Ordering::Relaxed),
            "the log is broken"
        );
        self.text.lock().unwrap().push_str(&text);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_panic_ends_its_connection_only_and_is_counted_and_logged() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let mut bench = Setup {
        listener: json!({"idleTimeoutSeconds": 3600}),
        ..Setup::default()
    }
    .start();
    let mut well = bench.connect().await;
    let mut ill = bench.connect().await;
    ill.write_all(b"half").await.unwrap();
    ill.shutdown().await.unwrap();
    bench
        .until("the count", |bench| {
            bench.sample("connection_panics_total{listener=\"lines\"}") == 1.0
        })
        .await;
    assert_eq!(rest(ill).await, "", "closed");
    assert_eq!(bench.sample("connections{listener=\"lines\"}"), 1.0);
    assert!(log.text.lock().unwrap().contains("please report it"));
    well.write_all(b"one\n").await.unwrap();
    assert!(bench.deliver().await.contains("one"));
}
