//! No file is left to the process: accepting pauses, what is open works on, and accepting resumes.
//!
//! The limit of open files is the process's, so this is a program of its own with one test.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it waited for by panicking"
)]

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use edge_tcp_gateway::clock::Clock;
use edge_tcp_gateway::message::Name;
use edge_tcp_gateway::ops::{logging::Throttle, metrics::Metrics};
use edge_tcp_gateway::outbox::{self, Submission};
use edge_tcp_gateway::quarantine::Quarantine;
use edge_tcp_gateway::registry::Registry;
use edge_tcp_gateway::settings::{Presets, Settings};
use edge_tcp_gateway::southbound::{
    ListenerHandle, ListenerTask, Lookups, South, Terms, Timeouts, bind,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(60);

struct Bench {
    address: SocketAddr,
    metrics: Metrics,
    handle: ListenerHandle,
    tasks: JoinSet<()>,
}

fn start(timeouts: Timeouts) -> Bench {
    let document = json!({
        "listeners": {"lines": {"port": 5000, "protocol": "lines"}},
        "protocols": {"lines": {
            "framing": {"type": "delimiter", "end": "\n"},
            "decode": {"type": "text"},
            "replies": {"ok": {"send": "ok\n", "when": "length > 0"}},
        }},
    });
    let (settings, _) = Settings::parse(&document, &Presets::built_in()).expect("valid settings");
    let metrics = Metrics::default();
    let (submitter, submissions) = outbox::channel(1 << 20, metrics.clone());
    let south = South {
        registry: Registry::default(),
        quarantine: Quarantine::default(),
        lookups: Lookups::default(),
        submitter,
        metrics: metrics.clone(),
        throttle: Throttle::default(),
        clock: Clock::system(),
        timeouts,
    };
    let socket = bind(Some(Ipv4Addr::LOCALHOST.into()), 0).expect("a port");
    let address = socket.local_addr().expect("its address");
    let terms = Terms::of(&settings, &Name::from("lines")).expect("the listener");
    let (handle, listener) = ListenerTask::new(socket, terms, Arc::new(south));
    let mut tasks = JoinSet::new();
    tasks.spawn(listener.run(CancellationToken::new()));
    tasks.spawn(deliver(submissions));
    Bench {
        address,
        metrics,
        handle,
        tasks,
    }
}

async fn deliver(mut submissions: mpsc::Receiver<Vec<Submission>>) {
    while let Some(group) = submissions.recv().await {
        for submission in group {
            submission.held.delivered();
        }
    }
}

impl Bench {
    fn pauses(&self) -> f64 {
        self.sample("accept_pauses_total{listener=\"lines\"}")
    }

    fn sample(&self, name: &str) -> f64 {
        self.metrics.sample(&format!("edge_tcp_gateway_{name}"))
    }

    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let condition = async {
            while !holds(self) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, condition).await;
        waited.unwrap_or_else(|_| panic!("never came: {what}"));
    }

    /// A socket now, a connection when there is no file any more.
    fn prepared(&self) -> impl Future<Output = TcpStream> + use<> {
        let socket = TcpSocket::new_v4().expect("a socket");
        let address = self.address;
        async move { socket.connect(address).await.expect("the kernel accepts") }
    }
}

async fn ask(device: &mut TcpStream) {
    let mut place = [0; 3];
    device.write_all(b"hello\n").await.expect("a request");
    let answer = tokio::time::timeout(PATIENCE, device.read_exact(&mut place)).await;
    answer.expect("in time").expect("a reply");
    assert_eq!(&place, b"ok\n");
}

/// Takes every file that is left.
fn exhaust() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

async fn works_on_and_resumes() {
    let bench = start(Timeouts::default());
    let mut inside = bench.prepared().await;
    ask(&mut inside).await;
    let waiting: Vec<_> = (0..5).map(|_| bench.prepared()).collect();
    let files = exhaust();
    let mut outside = Vec::new();
    for device in waiting {
        outside.push(device.await);
    }
    bench.until("a pause", |bench| bench.pauses() >= 1.0).await;
    for _ in 0..1000 {
        ask(&mut inside).await;
    }
    // Between 0.1 s and 5 s each: a listener that spun would have tried at least once a request.
    let pauses = bench.pauses();
    assert!(pauses < 100.0, "{pauses} attempts");
    assert_eq!(bench.sample("connections{listener=\"lines\"}"), 1.0);
    drop(files);
    for device in &mut outside {
        ask(device).await;
    }
}

async fn hears_ends_and_stops() {
    let bench = start(Timeouts {
        first_pause: Duration::from_secs(3600),
        longest_pause: Duration::from_secs(3600),
        ..Timeouts::default()
    });
    let mut inside = bench.prepared().await;
    ask(&mut inside).await;
    let waiting = bench.prepared();
    let files = exhaust();
    let outside = waiting.await;
    bench
        .until("the pause", |bench| bench.pauses() == 1.0)
        .await;
    drop(inside);
    let ended = "connections_closed_total{listener=\"lines\",reason=\"fin\"}";
    bench
        .until("the end of a connection", |bench| {
            bench.sample(ended) == 1.0
        })
        .await;
    let Bench { handle, tasks, .. } = bench;
    tokio::time::timeout(PATIENCE, handle.stop())
        .await
        .expect("the stop is heard");
    tokio::time::timeout(PATIENCE, tasks.join_all())
        .await
        .expect("everything ends");
    drop((files, outside));
}

#[tokio::test]
async fn without_files_accepting_pauses_and_nothing_else_suffers() {
    let few = Rlimit {
        current: Some(128),
        maximum: getrlimit(Resource::Nofile).maximum,
    };
    setrlimit(Resource::Nofile, few).expect("a lower limit");
    works_on_and_resumes().await;
    hears_ends_and_stops().await;
}
