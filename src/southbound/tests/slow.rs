//! Devices that do not read, stop in the middle, or say nothing.

use std::io::ErrorKind;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

use super::{Bench, Setup, Timeouts, bench};

const REQUEST: &[u8] = b"please\n";
const REPLY: usize = 4000;

/// Every request is answered at once with much.
fn talkative(write: Duration) -> Bench {
    let mut bench = Setup {
        protocol: json!({
            "acknowledge": {"after": "received"},
            "replies": {"ok": {"send": "x".repeat(REPLY), "when": "length > 0"}},
        }),
        timeouts: Timeouts {
            write,
            ..Timeouts::default()
        },
        ..Setup::default()
    }
    .start();
    let mut submissions = std::mem::replace(&mut bench.submissions, mpsc::channel(1).1);
    let drain = async move { while submissions.recv().await.is_some() {} };
    bench.tasks.spawn(drain);
    bench
}

#[tokio::test]
async fn who_takes_no_reply_is_read_no_further_and_the_others_do_not_notice() {
    let bench = talkative(Duration::from_secs(3600));
    let mut slow = bench.connect_small().await;
    // More than all buffers on the way hold: it ends only because reading has stopped.
    let flood = async {
        loop {
            slow.write_all(&REQUEST.repeat(1000)).await.unwrap();
        }
    };
    let other = async {
        bench
            .until("the bound", |bench| {
                bench.sample("frames_total{listener=\"lines\"}") >= 15.0
            })
            .await;
        let mut device = bench.connect().await;
        for _ in 0..200 {
            device.write_all(REQUEST).await.unwrap();
            device.read_exact(&mut [0; REPLY]).await.unwrap();
        }
    };
    tokio::select! {
        () = flood => {}
        () = other => {}
    }
    let frames = bench.sample("frames_total{listener=\"lines\"}");
    let received = bench.sample("received_bytes_total{listener=\"lines\"}");
    let sent = bench.sample("sent_bytes_total{listener=\"lines\"}");
    let held = frames * REPLY as f64 - sent;
    assert!(
        held <= 65_536.0 + REPLY as f64,
        "{held} bytes of replies are held"
    );
    let unframed = received - frames * REQUEST.len() as f64;
    assert!(
        unframed <= 16_384.0,
        "{unframed} bytes of requests are held"
    );
}

#[tokio::test]
async fn a_write_time_out_resets_so_that_the_kernel_keeps_nothing() {
    let bench = talkative(Duration::from_millis(200));
    let mut slow = bench.connect_small().await;
    slow.write_all(&REQUEST.repeat(40)).await.unwrap();
    bench
        .until("the end", |bench| bench.closed("reset") == 1.0)
        .await;
    assert_eq!(bench.trouble("write_timeout"), 1.0);
    let ended = slow.read_to_end(&mut Vec::new()).await;
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn half_a_frame_then_silence_is_given_up_and_counted_and_the_connection_works_on() {
    let mut bench = Setup {
        protocol: json!({"framing": {"incompleteTimeoutMs": 50}}),
        ..Setup::default()
    }
    .start();
    let mut device = bench.connect().await;
    device.write_all(b"hal").await.unwrap();
    bench
        .until("the time limit", |bench| {
            bench.trouble("incomplete_timeout") == 1.0
        })
        .await;
    device.write_all(b"f\nwhole\n").await.unwrap();
    assert!(
        bench.deliver().await.contains("whole"),
        "its rest is no frame"
    );
}

#[tokio::test]
async fn who_says_nothing_is_closed_with_a_fin_and_counted() {
    let bench = bench(json!({"idleTimeoutSeconds": 1}), 100);
    let device = bench.connect().await;
    assert_eq!(super::rest(device).await, "");
    bench
        .until("the count", |bench| bench.closed("idle") == 1.0)
        .await;
}
