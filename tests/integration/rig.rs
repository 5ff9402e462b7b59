//! The whole module in this process, against the stand-in, with devices on real sockets.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use crate::disk::TrialDisk;
use crate::proxy::Proxy;
use crate::scrape;
use dev_hub::{DevHub, UpstreamMessage};
use edge_tcp_gateway::app::{self, Environment, Timeouts};
use edge_tcp_gateway::clock::Clock;
use edge_tcp_gateway::edge::{Identity, twin::Pace};
use edge_tcp_gateway::northbound;
use edge_tcp_gateway::ops::metrics::Metrics;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;

/// How long a test waits for what must happen.
pub const PATIENCE: Duration = Duration::from_secs(30);
pub const MODULE: &str = "gateway";
/// Messages that the stand-in remembers: more than the longest soak delivers.
pub const RECORD: usize = 2_000_000;

/// The link's limits, short where a test would have to wait for them.
pub fn quick_link() -> northbound::Timeouts {
    let millis = Duration::from_millis;
    northbound::Timeouts {
        first_retry: millis(5),
        longest_retry: millis(50),
        twin: Pace {
            answer: PATIENCE,
            first: millis(5),
            longest: millis(50),
        },
        ..northbound::Timeouts::default()
    }
}

/// A port that nothing listens on, and that no other test of this program gets. Below the ports
/// that the system gives to outgoing connections, and apart from those of another such program.
pub fn free_port() -> u16 {
    static COUNT: AtomicU16 = AtomicU16::new(0);
    let block = u16::try_from(std::process::id() % 200).unwrap_or(0) * 100;
    loop {
        let port = 10_000 + block + COUNT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).is_ok() {
            return port;
        }
    }
}

/// A protocol of lines, each a JSON object.
pub fn lines() -> Value {
    json!({
        "framing": {"type": "delimiter", "end": "\n", "maxBytes": 80},
        "decode": {"type": "json"},
        "identity": {"from": "address"}
    })
}

/// The stand-in, the storage, and the module while it runs.
pub struct Rig {
    pub hub: DevHub,
    pub metrics: Metrics,
    /// Through what the module reaches edgeHub, if not directly.
    pub proxy: Option<Proxy>,
    /// The link's limits.
    pub link: northbound::Timeouts,
    /// How often the twin is told at most of devices that come and go.
    pub tell_again: Duration,
    /// Port of the metrics; none unless a test wants it.
    pub metrics_port: Option<u16>,
    /// In place of the spool's folder.
    pub disk: Option<TrialDisk>,
    /// What tells the module the time.
    pub clock: Clock,
    pub storage: TempDir,
    shutdown: CancellationToken,
    module: JoinSet<anyhow::Result<()>>,
}

impl Rig {
    /// A stand-in that sends everything upstream, and no module yet.
    pub async fn new() -> Rig {
        let hub = DevHub::builder()
            .module(MODULE)
            .route("up", "FROM /messages/* INTO $upstream")
            .record(RECORD);
        Rig {
            hub: hub.start().await.expect("the stand-in starts"),
            metrics: Metrics::default(),
            proxy: None,
            link: quick_link(),
            tell_again: Duration::from_millis(20),
            metrics_port: None,
            disk: None,
            clock: Clock::system(),
            storage: TempDir::new().expect("a folder"),
            shutdown: CancellationToken::new(),
            module: JoinSet::new(),
        }
    }

    /// A running module that has applied these settings.
    pub async fn with(settings: Value) -> Rig {
        let mut rig = Rig::new().await;
        rig.start();
        let outcome = rig.set(settings).await;
        assert_eq!(outcome["ac"], 200, "{outcome}");
        rig
    }

    /// Starts the module over the storage of its earlier runs.
    pub fn start(&mut self) {
        let mut variables: BTreeMap<_, _> = self
            .hub
            .module_env(MODULE)
            .expect("a module")
            .into_iter()
            .collect();
        if let Some(proxy) = &self.proxy {
            let gateway = variables
                .get_mut("IOTEDGE_GATEWAYHOSTNAME")
                .expect("a host");
            let host = gateway.split(':').next().unwrap_or_default();
            *gateway = format!("{host}:{}", proxy.port());
        }
        let environment = Environment {
            identity: Identity::from_environment(&|name| variables.get(name).cloned())
                .expect("an identity"),
            storage: self.storage.path().to_owned(),
            protocols: self.storage.path().join("protocols"),
            level: LevelFilter::INFO,
            metrics_port: self.metrics_port,
            disk: self.disk.as_ref().map(TrialDisk::plugged),
        };
        let timeouts = Timeouts {
            bind_again: Duration::from_millis(20),
            tell_again: self.tell_again,
            link: self.link,
            ..Timeouts::default()
        };
        self.shutdown = CancellationToken::new();
        let run = app::run(
            environment,
            self.metrics.clone(),
            timeouts,
            self.clock,
            self.shutdown.clone(),
        );
        self.module.spawn(run);
    }

    /// Ends the module as SIGKILL would: nothing of it is done any more.
    pub async fn kill(&mut self) {
        self.module.shutdown().await;
        // A thread that is at the disk goes on until it is done, and keeps the folder.
        let lock = self.storage.path().join("spool/lock");
        let kept = || File::open(&lock).is_ok_and(|lock| lock.try_lock().is_err());
        let mut look = interval(Duration::from_millis(5));
        let left = timeout(PATIENCE, async {
            while kept() {
                look.tick().await;
            }
        });
        left.await.expect("the folder is free in time");
    }

    /// Asks the module to stop.
    pub fn ask_to_stop(&self) {
        self.shutdown.cancel();
    }

    /// Stops the module; its outcome is that of the process.
    pub async fn stop(&mut self) -> anyhow::Result<()> {
        self.ask_to_stop();
        let ended = timeout(PATIENCE, self.module.join_next()).await;
        ended
            .expect("ends in time")
            .expect("runs")
            .expect("no panic")
    }

    /// Sets the desired properties; gives what the module reports of them.
    pub async fn set(&self, desired: Value) -> Value {
        self.hub.set_desired(MODULE, desired).expect("an object");
        self.outcome().await
    }

    /// Patches the desired properties; gives what the module reports of them.
    pub async fn patch(&self, patch: Value) -> Value {
        self.hub.patch_desired(MODULE, patch).expect("an object");
        self.outcome().await
    }

    /// What the module reports of the desired properties as they are now.
    pub async fn outcome(&self) -> Value {
        let desired = self.hub.desired(MODULE).expect("a module");
        let version = &desired["$version"];
        let about_this = |reported: &Value| {
            reported["settings"]["av"] == *version && reported["settings"]["ac"] != 202
        };
        let reported = self.reported(about_this).await;
        reported["settings"].clone()
    }

    /// The reported properties, once they are as wanted.
    pub async fn reported(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        self.hub
            .wait_for_reported(MODULE, PATIENCE, wanted)
            .await
            .expect("reported in time")
    }

    /// The first message that is as wanted.
    pub async fn message(
        &self,
        wanted: impl FnMut(&UpstreamMessage) -> bool,
    ) -> Arc<UpstreamMessage> {
        self.hub
            .upstream()
            .wait_for(PATIENCE, wanted)
            .await
            .expect("arrives in time")
    }

    /// The first message whose value of that name is this one.
    pub async fn value(&self, name: &str, value: impl Into<Value>) -> Arc<UpstreamMessage> {
        let value = value.into();
        self.message(|message| {
            message
                .json()
                .is_some_and(|body| body["values"][name] == value)
        })
        .await
    }

    /// So many messages, in the order of arrival.
    pub async fn messages(&self, count: usize) -> Vec<Arc<UpstreamMessage>> {
        self.hub
            .upstream()
            .wait_for_count(count, PATIENCE)
            .await
            .expect("arrive in time")
    }

    /// Waits until a counter or gauge is as wanted; the name is without prefix.
    pub async fn counted(&self, name: &str, wanted: impl Fn(f64) -> bool) {
        let mut look = interval(Duration::from_millis(5));
        let waited = timeout(PATIENCE, async {
            while !wanted(self.sample(name)) {
                look.tick().await;
            }
        });
        let text = || self.metrics.text().unwrap_or_default();
        waited
            .await
            .unwrap_or_else(|_| panic!("{name} is not as wanted:\n{}", text()));
    }

    /// A counter or gauge as it is now; the name is without prefix.
    pub fn sample(&self, name: &str) -> f64 {
        scrape::sample(&self.metrics.text().expect("text"), name)
    }

    /// Waits until a listener has counted such a trouble at least so often.
    pub async fn trouble(&self, listener: &str, trouble: &str, least: f64) {
        let name = format!("frame_troubles_total{{listener=\"{listener}\",trouble=\"{trouble}\"}}");
        self.counted(&name, |count| count >= least).await;
    }
}

/// A device's end of a connection.
pub struct Device(pub TcpStream);

impl Device {
    pub async fn connect(port: u16) -> Device {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await;
        Device(stream.expect("the listener accepts"))
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0
            .write_all(bytes.as_ref())
            .await
            .expect("the connection takes it");
    }

    /// Exactly so many bytes.
    pub async fn receive(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        timeout(PATIENCE, self.0.read_exact(&mut bytes))
            .await
            .expect("answered in time")
            .expect("an open connection");
        bytes
    }

    /// All that comes until the module's FIN; a reset is a failure.
    pub async fn until_fin(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        timeout(PATIENCE, self.0.read_to_end(&mut bytes))
            .await
            .expect("closed in time")
            .expect("FIN, not RST");
        bytes
    }

    /// Whether nothing has come so far.
    pub fn nothing_came(&self) -> bool {
        let error = self.0.try_read(&mut [0; 1]).map_err(|error| error.kind());
        error == Err(std::io::ErrorKind::WouldBlock)
    }
}
