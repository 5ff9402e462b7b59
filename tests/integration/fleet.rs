//! Devices that send numbered lines, wait for replies, connect again and send again what was not
//! answered: what a good device does.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dev_hub::UpstreamMessage;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Lines that a device sends without having been answered.
const AHEAD: usize = 30;

/// Settings for such devices: `promise` is what a reply waits for.
pub fn settings(port: u16, promise: &str) -> Value {
    json!({
        "listeners": {"a": {"port": port, "protocol": "lines"}},
        "protocols": {"lines": {
            "framing": {"type": "delimiter", "end": "\n", "maxBytes": 80},
            "decode": {"type": "json"},
            "identity": {"field": "id", "scope": "connection"},
            "replies": {"ok": {"send": "{n}\n", "when": "n"}},
            "acknowledge": {"after": promise}
        }}
    })
}

/// The devices, while they run.
pub struct Fleet {
    devices: JoinSet<(String, u64)>,
    answered: Arc<AtomicU64>,
    stop: CancellationToken,
}

impl Fleet {
    pub fn start(port: u16, count: usize) -> Fleet {
        let (answered, stop) = (Arc::new(AtomicU64::new(0)), CancellationToken::new());
        let mut devices = JoinSet::new();
        for n in 0..count {
            let device = Device {
                name: format!("d{n}"),
                port,
                sent: 0,
                unanswered: VecDeque::new(),
                answered: Arc::clone(&answered),
            };
            devices.spawn(device.run(stop.clone()));
        }
        Fleet {
            devices,
            answered,
            stop,
        }
    }

    /// Waits until so many lines are answered, of all devices together and from the start on.
    pub async fn answered(&self, count: u64) {
        let mut look = tokio::time::interval(Duration::from_millis(1));
        let waited = tokio::time::timeout(crate::rig::PATIENCE, async {
            while self.answered.load(Ordering::Relaxed) < count {
                look.tick().await;
            }
        });
        waited.await.expect("answered in time");
    }

    pub fn answers(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// No more new lines; each device's last answered number.
    pub async fn finish(self) -> BTreeMap<String, u64> {
        self.stop.cancel();
        let all = self.devices.join_all();
        let all = tokio::time::timeout(crate::rig::PATIENCE, all).await;
        all.expect("all answered in time").into_iter().collect()
    }
}

struct Device {
    name: String,
    port: u16,
    sent: u64,
    unanswered: VecDeque<u64>,
    answered: Arc<AtomicU64>,
}

impl Device {
    /// Until it is told to stop and everything is answered.
    async fn run(mut self, stop: CancellationToken) -> (String, u64) {
        while !(stop.is_cancelled() && self.unanswered.is_empty()) {
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", self.port)).await {
                // Whatever ends the connection: it is tried again.
                drop(self.talk(stream, &stop).await);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        (self.name, self.sent)
    }

    async fn talk(
        &mut self,
        mut stream: TcpStream,
        stop: &CancellationToken,
    ) -> std::io::Result<()> {
        let (read, mut write) = stream.split();
        let (mut replies, mut reply) = (BufReader::new(read), String::new());
        let again: Vec<u64> = self.unanswered.iter().copied().collect();
        for n in again {
            write.write_all(self.line(n).as_bytes()).await?;
        }
        loop {
            let stopped = stop.is_cancelled();
            if stopped && self.unanswered.is_empty() {
                return Ok(());
            }
            if !stopped && self.unanswered.len() < AHEAD {
                self.sent += 1;
                self.unanswered.push_back(self.sent);
                write.write_all(self.line(self.sent).as_bytes()).await?;
                continue;
            }
            reply.clear();
            replies.read_line(&mut reply).await?;
            // Half a reply is none.
            let Some(reply) = reply.strip_suffix('\n') else {
                return Ok(());
            };
            let first = self.unanswered.pop_front();
            assert_eq!(reply.parse().ok(), first, "replies come in order");
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn line(&self, n: u64) -> String {
        format!("{{\"id\":\"{}\",\"n\":{n}}}\n", self.name)
    }
}

/// Every answered number of every device is there, first arrivals in order, an id always with the same body.
pub fn nothing_lost(messages: &[Arc<UpstreamMessage>], answered: &BTreeMap<String, u64>) {
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    let mut ids = BTreeMap::new();
    for message in messages {
        let body = message.json().expect("JSON");
        let id = message.message_id().expect("an id").to_owned();
        assert_eq!(body["id"], id);
        let device = body["device"].as_str().expect("a device").to_owned();
        let n = body["values"]["n"].as_u64().expect("a number");
        if let Some(before) = ids.insert(id, body.clone()) {
            assert_eq!(before, body, "a repeat is the same message");
        }
        let last = last.entry(device).or_default();
        if n > *last {
            assert_eq!(n, *last + 1, "first arrivals are in order: {body}");
            *last = n;
        }
    }
    for (device, answered) in answered {
        let arrived = last.get(device).copied().unwrap_or(0);
        assert!(
            arrived >= *answered,
            "{device}: {answered} answered, {arrived} arrived"
        );
    }
}
