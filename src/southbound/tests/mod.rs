//! Real sockets on one side, the test in the place of the forwarder on the other.

mod commands;
mod ending;
mod log;
mod outbound;
mod slow;
mod traffic;

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use socket2::SockRef;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::message::Name;
use crate::outbox::Submission;
use crate::settings::{Presets, Settings};

/// A condition that does not hold after so long never will.
const PATIENCE: Duration = Duration::from_secs(60);

struct Setup {
    /// Merged onto the listener.
    listener: Value,
    /// Merged onto the protocol.
    protocol: Value,
    /// Messages that fit the spool.
    room: usize,
    timeouts: Timeouts,
}

impl Default for Setup {
    fn default() -> Self {
        Setup {
            listener: json!({}),
            protocol: json!({}),
            room: 1000,
            timeouts: Timeouts::default(),
        }
    }
}

struct Bench {
    address: SocketAddr,
    south: Arc<South>,
    terms: Terms,
    handle: Option<ListenerHandle>,
    submissions: mpsc::Receiver<Vec<Submission>>,
    arrived: VecDeque<Submission>,
    shutdown: CancellationToken,
    tasks: JoinSet<()>,
}

/// A listener of lines that are answered `ok` once edgeHub has them; `room` messages fit the spool.
fn bench(listener: Value, room: usize) -> Bench {
    Setup {
        listener,
        room,
        ..Setup::default()
    }
    .start()
}

impl Setup {
    fn start(self) -> Bench {
        let mut listener = json!({"port": 5000, "protocol": "lines"});
        crate::document::merge_patch(&mut listener, &self.listener);
        let mut protocol = json!({
            "framing": {"type": "delimiter", "end": "\n", "maxBytes": 64},
            "decode": {"type": "text"},
            "replies": {"ok": {"send": "ok\n", "when": "length > 0"}}
        });
        crate::document::merge_patch(&mut protocol, &self.protocol);
        let document = json!({"listeners": {"lines": listener}, "protocols": {"lines": protocol}});
        let settings = Settings::parse(&document, &Presets::built_in())
            .map_err(|p| format!("{p:?}"))
            .unwrap()
            .0;
        let metrics = Metrics::default();
        // Between one message's bytes and those of two.
        let (submitter, submissions) = crate::outbox::channel(self.room * 1000, metrics.clone());
        let south = Arc::new(South {
            registry: Registry::default(),
            quarantine: Quarantine::default(),
            lookups: Lookups::default(),
            submitter,
            metrics,
            throttle: Throttle::default(),
            clock: Clock::system(),
            timeouts: self.timeouts,
        });
        let socket = bind(Some(Ipv4Addr::LOCALHOST.into()), 0).unwrap();
        // Accepted sockets inherit it: little is enough to fill them.
        SockRef::from(&socket).set_send_buffer_size(4096).unwrap();
        let address = socket.local_addr().unwrap();
        let terms = Terms::of(&settings, &Name::from("lines")).unwrap();
        let (handle, task) = ListenerTask::new(socket, terms.clone(), Arc::clone(&south));
        let shutdown = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(task.run(shutdown.clone()));
        Bench {
            address,
            south,
            terms,
            handle: Some(handle),
            submissions,
            arrived: VecDeque::new(),
            shutdown,
            tasks,
        }
    }
}

impl Bench {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A device whose side of the connection holds little that it has not read.
    async fn connect_small(&self) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    async fn deliver(&mut self) -> String {
        let submission = self.submission().await;
        submission.held.delivered();
        String::from_utf8(submission.message.body.bytes().to_vec()).unwrap()
    }

    async fn submission(&mut self) -> Submission {
        while self.arrived.is_empty() {
            self.arrived.extend(self.submissions.recv().await.unwrap());
        }
        self.arrived.pop_front().unwrap()
    }

    fn sample(&self, name: &str) -> f64 {
        self.south
            .metrics
            .sample(&format!("edge_tcp_gateway_{name}"))
    }

    fn trouble(&self, trouble: &str) -> f64 {
        self.sample(&format!(
            "frame_troubles_total{{listener=\"lines\",trouble=\"{trouble}\"}}"
        ))
    }

    fn closed(&self, reason: &str) -> f64 {
        self.sample(&format!(
            "connections_closed_total{{listener=\"lines\",reason=\"{reason}\"}}"
        ))
    }

    /// Waits until a condition of the counters holds.
    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let condition = async {
            while !holds(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, condition).await;
        waited.unwrap_or_else(|_| panic!("never came: {what}"));
    }
}

/// What the device still reads up to a FIN; a reset is an error.
async fn rest(mut stream: TcpStream) -> String {
    let mut text = String::new();
    let read = stream.read_to_string(&mut text);
    tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
    text
}
