//! Devices that send more than edgeHub takes: they wait, nothing is dropped, and what the module
//! needs of memory and disk stays within its bounds.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use dev_hub::DevHub;
use edge_tcp_gateway::conversation::AHEAD;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

use crate::disk::TrialDisk;
use crate::gateway::Gateway;
use crate::rig::{Device, MODULE, PATIENCE, RECORD, Rig, free_port, lines};
use crate::scrape;

const DEVICES: u64 = 1_000;
const SPOOL_BYTES: u64 = 4 << 20;
const MEMORY_BYTES: u64 = 1 << 20;
const FRAME_BYTES: u64 = 2 << 10;
/// As the documentation says under "Spool": what the module needs of memory for itself,
const BASE_BYTES: u64 = 32 << 20;
/// and for a connection that waits for room: itself; what was read last behind a frame that is half
/// there, in a buffer that doubles when it grows; messages of so much room, and those of one frame more.
const CONNECTION_BYTES: u64 =
    (4 << 10) + 2 * ((16 << 10) + FRAME_BYTES) + AHEAD as u64 + FRAME_BYTES;
/// Lines of 200 bytes for a first read. Long ones behind them fill the kernel with few messages.
const SHORT_LINES: u64 = 81;

fn settings(port: u16) -> Value {
    let mut protocol = lines();
    protocol["identity"] = json!({"field": "id"});
    protocol["framing"]["maxBytes"] = json!(FRAME_BYTES);
    json!({
        "listeners": {"a": {"port": port, "protocol": "lines", "maxConnections": DEVICES}},
        "protocols": {"lines": protocol},
        "spool": {"maxBytes": SPOOL_BYTES, "maxMemoryBytes": MEMORY_BYTES}
    })
}

fn line(device: u64, n: u64, pad: usize) -> String {
    let pad = "x".repeat(pad);
    format!("{{\"id\":\"d{device}\",\"n\":{n},\"pad\":\"{pad}\"}}\n")
}

/// What the devices share.
#[derive(Debug, Default)]
struct Flood {
    accepted: AtomicU64,
    enough: AtomicBool,
}

impl Flood {
    /// Writes line after line until it is enough; gives how many, and the open connection.
    async fn device(self: Arc<Self>, port: u16, device: u64) -> (u64, TcpStream) {
        let socket = TcpSocket::new_v4().expect("a socket");
        // The kernel is to hold little: what it holds must be delivered in the end.
        socket.set_send_buffer_size(4096).expect("a small buffer");
        let address = ([127, 0, 0, 1], port).into();
        let mut stream = socket.connect(address).await.expect("accepted");
        let mut n = 0;
        while !self.enough.load(Ordering::Relaxed) {
            let pad = if n < SHORT_LINES { 170 } else { 1_900 };
            let line = line(device, n, pad);
            let mut rest = line.as_bytes();
            while !rest.is_empty() {
                let count = stream.write(rest).await.expect("an open connection");
                rest = &rest[count..];
                self.accepted.fetch_add(count as u64, Ordering::Relaxed);
            }
            n += 1;
        }
        (n, stream)
    }

    /// Until the module has taken nothing more for many turns of its loop.
    async fn stands_still(&self, metrics: u16) -> String {
        let (mut still, mut before) = (0, 0);
        let mut look = interval(Duration::from_millis(10));
        loop {
            look.tick().await;
            let text = scrape::until(metrics, "it answers", |_| true).await;
            scrape::adds_up(&text);
            let accepted = self.accepted.load(Ordering::Relaxed);
            still = if accepted == before { still + 1 } else { 0 };
            before = accepted;
            let full = scrape::sample(&text, "spool_bytes") > SPOOL_BYTES as f64 * 0.9;
            if full && still > 50 {
                return text;
            }
        }
    }
}

#[tokio::test]
async fn with_edgehub_away_a_thousand_devices_wait_within_the_bounds_and_then_all_get_on() {
    edge_tcp_gateway::southbound::raise_open_files().expect("enough files");
    let (port, metrics) = (free_port(), free_port());
    let storage = TempDir::new().expect("a folder");
    let hub = DevHub::builder()
        .module(MODULE)
        .route("up", "FROM /messages/* INTO $upstream")
        .record(RECORD);
    let hub = hub.start().await.expect("the stand-in starts");
    hub.set_desired(MODULE, settings(port)).expect("an object");
    let module = Gateway::start(&hub, storage.path(), metrics);
    let applied = |text: &str| scrape::sample(text, "settings_total{result=\"applied\"}") >= 1.0;
    scrape::until(metrics, "the settings are applied", applied).await;
    hub.faults().stop_listening().await;

    let flood = Arc::new(Flood::default());
    let mut devices = JoinSet::new();
    for device in 0..DEVICES {
        let flood = Arc::clone(&flood);
        devices.spawn(async move { (device, flood.device(port, device).await) });
    }
    let still = timeout(PATIENCE * 2, flood.stands_still(metrics)).await;
    let text = still.expect("all wait in time");
    assert!(devices.try_join_next().is_none(), "all of them have more");
    assert_eq!(
        scrape::sample(&text, "connections{listener=\"a\"}"),
        DEVICES as f64
    );
    assert!(bytes_in(&storage.path().join("spool")) <= SPOOL_BYTES + 65_536);
    let bound = BASE_BYTES + MEMORY_BYTES + DEVICES * CONNECTION_BYTES;
    let peak = module.peak_memory();
    assert!(
        peak <= bound,
        "{peak} bytes of memory, the bound is {bound}"
    );

    flood.enough.store(true, Ordering::Relaxed);
    hub.faults().listen_again().await.expect("listens");
    let sent = timeout(PATIENCE * 10, devices.join_all()).await;
    let sent = sent.expect("all get on in time");
    let all: u64 = sent.iter().map(|(_, (count, _))| count).sum();
    let text = all_delivered(metrics, all).await;
    let account = &scrape::accounts(&text)["telemetry"];
    assert_eq!((account["dropped"], account["dead_lettered"]), (0, 0));
    let abandoned = "messages_abandoned_total{output=\"telemetry\"}";
    assert_eq!(scrape::sample(&text, abandoned), 0.0);
    let expected = sent
        .iter()
        .map(|(device, (count, _))| (format!("d{device}"), *count));
    assert_eq!(arrived_in_order(&hub), expected.collect());
    assert!(module.peak_memory() <= bound, "nor later");
}

fn bytes_in(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).expect("a folder");
    let sizes = files.map(|file| file.and_then(|file| file.metadata()).expect("a file").len());
    sizes.sum()
}

/// Waits as long as there is progress.
async fn all_delivered(metrics: u16, all: u64) -> String {
    let delivered = |text: &str| {
        let accounts = scrape::accounts(text);
        accounts
            .get("telemetry")
            .map_or(0, |account| account["delivered"])
    };
    let mut before = 0;
    loop {
        let text = scrape::until(metrics, "more is delivered", |text| {
            delivered(text) > before || delivered(text) == all
        })
        .await;
        before = delivered(&text);
        if before == all {
            return text;
        }
    }
}

/// How many lines of each device have arrived, each once and in order.
fn arrived_in_order(hub: &DevHub) -> BTreeMap<String, u64> {
    let mut next: BTreeMap<String, u64> = BTreeMap::new();
    for message in hub.upstream().messages() {
        let body = message.json().expect("JSON");
        let device = body["device"].as_str().expect("a device").to_owned();
        let next = next.entry(device).or_default();
        assert_eq!(body["values"]["n"], *next, "in order");
        *next += 1;
    }
    next
}

/// The idle clock watches the device, and stands still while it is us who do not read.
#[tokio::test]
async fn a_device_that_we_keep_waiting_is_not_idle_and_a_silent_one_beside_it_is() {
    const LINES: u64 = 200;
    let port = free_port();
    let mut rig = Rig::new().await;
    let disk = TrialDisk::default();
    rig.disk = Some(disk.clone());
    rig.start();
    let mut settings = settings(port);
    settings["listeners"]["a"]["idleTimeoutSeconds"] = json!(1);
    settings["protocols"]["lines"]["framing"]["maxBytes"] = json!(9_000);
    let outcome = rig.set(settings).await;
    assert_eq!(outcome["ac"], 200, "{outcome}");
    disk.set_free(0);
    rig.hub.faults().stop_listening().await;
    let mut sending = JoinSet::new();
    sending.spawn(async move {
        let mut blocked = Device::connect(port).await;
        for n in 0..LINES {
            blocked.send(line(0, n, 8_000)).await;
        }
        blocked
    });
    let full = MEMORY_BYTES as f64 * 0.95;
    rig.counted("memory_bytes", |bytes| bytes > full).await;
    // The second one is heard a whole time-out after the one that waits: did the clock of that one
    // run, it would have ended before.
    for _ in 0..2 {
        let mut silent = Device::connect(port).await;
        assert_eq!(silent.until_fin().await, b"");
    }
    let idle = "connections_closed_total{listener=\"a\",reason=\"idle\"}";
    rig.counted(idle, |count| count >= 2.0).await;
    assert_eq!(rig.sample(idle), 2.0);
    assert_eq!(rig.sample("connections{listener=\"a\"}"), 1.0);
    disk.set_free(u64::MAX);
    rig.hub.faults().listen_again().await.expect("listens");
    sending.join_all().await;
    rig.value("n", LINES - 1).await;
    assert_eq!(rig.hub.upstream().count(), LINES);
}
