//! What the log says of connections.

use std::io;
use std::sync::Mutex;

use jiff::Timestamp;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::DefaultGuard;

use super::outbound::{Device, Dialling, hasty};
use super::*;
use crate::ops::logging::subscriber;

/// The lines of this test.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Lines from that level on, while the guard lives.
    fn begin(level: LevelFilter) -> (Self, DefaultGuard) {
        let log = Log::default();
        let writer = log.clone();
        let lines = subscriber(level, || Timestamp::UNIX_EPOCH, move || writer.clone());
        (log, tracing::subscriber::set_default(lines))
    }

    /// The lines that have these words.
    fn lines(&self, words: &str) -> Vec<String> {
        let bytes = self.0.lock().unwrap();
        let text = String::from_utf8_lossy(&bytes);
        let lines = text.lines().filter(|line| line.contains(words));
        lines.map(str::to_owned).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn that_a_device_is_connected_stands_in_the_log_and_after_a_failure_again() {
    let (log, _guard) = Log::begin(LevelFilter::INFO);
    let device = Device::new().await;
    let (address, addresses) = (device.address.clone(), json!({"m-1": device.address}));
    let dialling = Dialling::start(&addresses, &json!({}), hasty());
    let stream = device.accept().await;
    let said = |words: &str| {
        let (log, words) = (log.clone(), words.to_owned());
        move |_: &Bench| !log.lines(&words).is_empty()
    };
    dialling.bench.until("the line", said("connected")).await;
    let first = log.lines("connected").swap_remove(0);
    let expected =
        format!("[INF] - connected outbound=meters device=m-1 peer={address} held_back=0");
    assert!(first.ends_with(&expected), "{first}");

    drop((device, stream));
    let bench = &dialling.bench;
    bench.until("its end", said("the connection ended")).await;
    let socket = TcpListener::bind(&address).await.unwrap();
    let device = Device { socket, address };
    let _stream = device.accept().await;
    bench.until("the line", said("connected, after ")).await;
    let again = log.lines("connected, after ").swap_remove(0);
    let words = [
        "[INF]",
        " s without a connection",
        "outbound=meters",
        "device=m-1",
        "peer=",
    ];
    for word in words {
        assert!(again.contains(word), "{word}: {again}");
    }
}

/// All are on this machine, as devices behind one address would be.
#[tokio::test]
async fn of_ten_silent_devices_each_has_its_line() {
    let (log, _guard) = Log::begin(LevelFilter::WARN);
    let mut devices = Vec::new();
    for _ in 0..10 {
        devices.push(Device::new().await);
    }
    let addresses = devices.iter().zip('a'..);
    let addresses: serde_json::Map<_, _> = addresses
        .map(|(device, name)| (name.to_string(), json!(device.address)))
        .collect();
    let poll = json!({"send": "{unit}\n", "everyMs": 20, "withinMs": 20});
    let changes = json!({
        "outbound": {"meters": {"units": [1, 2]}},
        "protocols": {"lines": {"polls": {"w": poll}}}
    });
    let dialling = Dialling::start(&addresses.into(), &changes, hasty());
    let mut streams = Vec::new();
    for device in &devices {
        streams.push(device.accept().await);
    }
    for device in &devices {
        for unit in [1, 2] {
            let about = |line: &String| line.contains(&format!("peer={} ", device.address));
            let words = format!("poll w of unit {unit} ");
            let has_line = |_: &Bench| log.lines(&words).iter().any(about);
            dialling.bench.until("its line", has_line).await;
        }
    }
    let failed = "polls_total{outbound=\"meters\",outcome=\"failed\"}";
    assert!(dialling.bench.sample(failed) >= 20.0);
}

#[tokio::test]
async fn polls_are_counted_by_what_became_of_them() {
    let device = Device::new().await;
    let poll =
        json!({"send": "w\n", "everyMs": 20, "withinMs": 200, "refused": "^no", "retries": 0});
    let changes = json!({"protocols": {"lines": {"replies": null, "polls": {"w": poll}}}});
    let dialling = Dialling::start(&json!({"m-1": device.address}), &changes, hasty());
    let mut stream = device.accept().await;
    let count = |outcome: &str| {
        let polls = format!("polls_total{{outbound=\"meters\",outcome=\"{outcome}\"}}");
        dialling.bench.sample(&polls)
    };
    for answer in ["yes\n", "no\n", "yes\n"] {
        let mut question = [0; 2];
        stream.read_exact(&mut question).await.unwrap();
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
    dialling
        .bench
        .until("a failure", |_| count("failed") > 0.0)
        .await;
    assert_eq!((count("answered"), count("refused")), (2.0, 1.0));
}

#[tokio::test]
async fn a_line_says_once_where_the_device_is_at_every_level() {
    for level in [LevelFilter::WARN, LevelFilter::DEBUG] {
        let (log, _guard) = Log::begin(level);
        let bench = bench(json!({}), 10);
        let mut device = bench.connect().await;
        let long = [b'x'; 100];
        device.write_all(&long).await.unwrap();
        let is_there = |_: &Bench| !log.lines("longer than maxBytes").is_empty();
        bench.until("its line", is_there).await;
        let line = log.lines("longer than maxBytes").swap_remove(0);
        for word in ["listener=lines", "peer=127.0.0.1:"] {
            assert_eq!(line.matches(word).count(), 1, "{level}: {line}");
        }
    }
}
