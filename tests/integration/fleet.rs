//! Devices that send numbered lines, wait for replies, connect again and send again what was not
//! answered: what a good device does.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
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
    devices: JoinSet<(String, Log)>,
    answered: Arc<AtomicU64>,
    stop: CancellationToken,
}

/// What a device did: how often it began to send each of its lines. All of them are answered.
#[derive(Clone, Debug, Default)]
pub struct Log {
    pub sends: BTreeMap<u64, usize>,
}

/// What a fleet did, by the name of the device.
pub type Logs = BTreeMap<String, Log>;

impl Fleet {
    /// Devices whose names begin so.
    pub fn start(port: u16, prefix: &str, count: usize) -> Fleet {
        let (answered, stop) = (Arc::new(AtomicU64::new(0)), CancellationToken::new());
        let mut devices = JoinSet::new();
        for n in 0..count {
            let device = Device {
                name: format!("{prefix}{n}"),
                port,
                sent: 0,
                unanswered: VecDeque::new(),
                log: Log::default(),
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

    /// Waits until so many more lines are answered, of all devices together.
    pub async fn answered(&self, more: u64) {
        let count = self.answers() + more;
        let mut look = tokio::time::interval(Duration::from_millis(1));
        let waited = tokio::time::timeout(crate::rig::PATIENCE, async {
            while self.answers() < count {
                look.tick().await;
            }
        });
        waited.await.expect("answered in time");
    }

    pub fn answers(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// No more new lines; what each device did, when it has its last answer.
    pub async fn finish(self) -> Logs {
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
    log: Log,
    answered: Arc<AtomicU64>,
}

impl Device {
    /// Until it is told to stop and everything is answered.
    async fn run(mut self, stop: CancellationToken) -> (String, Log) {
        while !(stop.is_cancelled() && self.unanswered.is_empty()) {
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", self.port)).await {
                // Whatever ends the connection: it is tried again.
                drop(self.talk(stream, &stop).await);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        (self.name, self.log)
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

    /// A line that is about to be sent.
    fn line(&mut self, n: u64) -> String {
        *self.log.sends.entry(n).or_default() += 1;
        format!("{{\"id\":\"{}\",\"n\":{n}}}\n", self.name)
    }
}

/// One line as it arrived: a message, or an element of a batch.
struct Arrival {
    id: String,
    device: String,
    n: u64,
    body: Value,
}

/// Every line of every device of these is there, first arrivals in order. An id always has the same
/// body, and a line has at most one id for each time that its device sent it: what the module sends
/// again bears the id of the first time. Gives how many arrivals were repeats.
pub fn nothing_lost(messages: &[Arc<UpstreamMessage>], logs: &Logs) -> usize {
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    let mut bodies = BTreeMap::new();
    let mut ids: BTreeMap<(String, u64), BTreeSet<String>> = BTreeMap::new();
    let mut repeats = 0;
    for arrival in messages.iter().flat_map(|message| arrivals(message)) {
        let Arrival {
            id,
            device,
            n,
            body,
        } = arrival;
        if !logs.contains_key(&device) {
            continue;
        }
        if let Some(before) = bodies.insert(id.clone(), body.clone()) {
            assert_eq!(before, body, "a repeat is the same message");
            repeats += 1;
        }
        ids.entry((device.clone(), n)).or_default().insert(id);
        let last = last.entry(device).or_default();
        if n > *last {
            assert_eq!(n, *last + 1, "first arrivals are in order: {body}");
            *last = n;
        }
    }
    for (device, log) in logs {
        for (n, sends) in &log.sends {
            let ids = ids.remove(&(device.clone(), *n)).unwrap_or_default();
            assert!(!ids.is_empty(), "line {n} of {device} is lost");
            assert!(
                ids.len() <= *sends,
                "{device} sent line {n} {sends} times, and it arrived as {ids:?}"
            );
        }
    }
    assert!(ids.is_empty(), "nobody sent these: {ids:?}");
    repeats
}

fn arrivals(message: &UpstreamMessage) -> Vec<Arrival> {
    let body = message.json().expect("JSON");
    let elements = match body {
        Value::Array(elements) => elements,
        body => vec![body],
    };
    assert_eq!(elements[0]["id"].as_str(), message.message_id());
    elements.into_iter().map(arrival).collect()
}

fn arrival(body: Value) -> Arrival {
    let text = |name: &str| body[name].as_str().expect("a text").to_owned();
    Arrival {
        id: text("id"),
        device: text("device"),
        n: body["values"]["n"].as_u64().expect("a number"),
        body,
    }
}
