//! Devices that are dialled.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::*;
use crate::report::Reached;

/// An entry `meters`, and the test as its devices.
pub(super) struct Dialling {
    pub(super) bench: Bench,
    handle: Option<OutboundHandle>,
}

pub(super) struct Device {
    pub(super) socket: TcpListener,
    pub(super) address: String,
}

impl Device {
    pub(super) async fn new() -> Self {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = socket.local_addr().unwrap().to_string();
        Device { socket, address }
    }

    pub(super) async fn accept(&self) -> TcpStream {
        let accepted = timeout(PATIENCE, self.socket.accept()).await;
        accepted.expect("dialled in time").unwrap().0
    }
}

/// Pauses from 20 ms on, which no connection is too short to end.
pub(super) fn hasty() -> Timeouts {
    Timeouts {
        first_retry: Duration::from_millis(20),
        steady: Duration::ZERO,
        ..Timeouts::default()
    }
}

fn settings(addresses: &Value, changes: &Value) -> Settings {
    let mut document = json!({
        "outbound": {"meters": {"addresses": addresses, "protocol": "lines"}},
        "protocols": {"lines": {
            "framing": {"type": "delimiter", "end": "\n", "maxBytes": 64},
            "decode": {"type": "text"},
            "replies": {"ok": {"send": "ok\n", "when": "length > 0"}}
        }}
    });
    crate::document::merge_patch(&mut document, changes);
    let (settings, _) = Settings::parse(&document, &Presets::built_in())
        .map_err(|problems| format!("{problems:?}"))
        .unwrap();
    settings
}

fn terms(addresses: &Value, changes: &Value) -> OutboundTerms {
    OutboundTerms::of(&settings(addresses, changes), &"meters".into()).unwrap()
}

impl Dialling {
    pub(super) fn start(addresses: &Value, changes: &Value, timeouts: Timeouts) -> Self {
        let mut bench = Setup {
            timeouts,
            ..Setup::default()
        }
        .start();
        let south = Arc::clone(&bench.south);
        let (handle, task) = OutboundTask::new(terms(addresses, changes), south, Arc::default());
        bench.tasks.spawn(task.run(bench.shutdown.clone()));
        Dialling {
            bench,
            handle: Some(handle),
        }
    }

    fn update(&self, addresses: &Value, changes: &Value, protocol_changed: bool) {
        let handle = self.handle.as_ref().unwrap();
        handle.update(terms(addresses, changes), protocol_changed);
    }

    fn reached(&self) -> Reached {
        self.handle.as_ref().unwrap().reached()
    }

    pub(super) async fn until_reached(
        &self,
        what: &str,
        wanted: impl Fn(&Reached) -> bool,
    ) -> Reached {
        self.bench.until(what, |_| wanted(&self.reached())).await;
        self.reached()
    }

    fn attempts(&self, result: &str) -> f64 {
        self.bench.sample(&format!(
            "outbound_attempts_total{{outbound=\"meters\",result=\"{result}\"}}"
        ))
    }

    fn of_entry(&self, name: &str) -> f64 {
        self.bench.sample(&format!("{name}{{outbound=\"meters\"}}"))
    }

    fn closed(&self, reason: &str) -> f64 {
        self.bench.sample(&format!(
            "connections_closed_total{{outbound=\"meters\",reason=\"{reason}\"}}"
        ))
    }
}

#[tokio::test]
async fn a_device_that_comes_later_dies_and_comes_back_is_reached_each_time() {
    let device = Device::new().await;
    let (address, addresses) = (device.address.clone(), json!({"m-1": device.address}));
    drop(device);
    let mut dialling = Dialling::start(&addresses, &json!({}), hasty());
    let reached = dialling
        .until_reached("a failure", |reached| reached.error.is_some())
        .await;
    assert_eq!((reached.connected, reached.of), (0, 1));
    let error = reached.error.unwrap();
    assert!(
        error.contains("m-1") && error.contains("refuses the connection"),
        "{error}"
    );

    let socket = TcpListener::bind(&address).await.unwrap();
    let device = Device { socket, address };
    let mut stream = device.accept().await;
    stream.write_all(b"one\n").await.unwrap();
    let body: Value = serde_json::from_str(&dialling.bench.deliver().await).unwrap();
    assert_eq!(
        (&body["device"], &body["outbound"], &body["listener"]),
        (&json!("m-1"), &json!("meters"), &Value::Null),
        "{body}"
    );
    let mut place = [0; 3];
    stream.read_exact(&mut place).await.unwrap();
    assert_eq!(&place, b"ok\n");
    let reached = dialling
        .until_reached("it", |reached| reached.connected == 1)
        .await;
    assert_eq!(reached.error, None);
    assert_eq!(
        (
            dialling.of_entry("connections"),
            dialling.of_entry("connections_bound")
        ),
        (1.0, 1.0)
    );

    stream.set_zero_linger().unwrap();
    drop(stream);
    let mut stream = device.accept().await;
    stream.write_all(b"two\n").await.unwrap();
    assert!(dialling.bench.deliver().await.contains("two"));
    assert_eq!(dialling.closed("reset"), 1.0);
    assert_eq!(dialling.attempts("connected"), 2.0);
    assert!(dialling.attempts("refused") >= 1.0);
}

#[tokio::test]
async fn a_name_without_an_address_is_told_with_what_to_do() {
    let addresses = json!({"m-1": "no-such-machine.invalid:502"});
    let dialling = Dialling::start(&addresses, &json!({}), hasty());
    let reached = dialling
        .until_reached("a failure", |reached| reached.error.is_some())
        .await;
    let error = reached.error.unwrap();
    assert!(
        error.contains("no-such-machine.invalid cannot be looked up"),
        "{error}"
    );
    dialling
        .bench
        .until("it is tried again", |_| {
            dialling.attempts("unresolved") >= 2.0
        })
        .await;
}

#[tokio::test]
async fn the_name_of_a_machine_is_as_good_as_its_address() {
    let device = Device::new().await;
    let port = device.socket.local_addr().unwrap().port();
    let addresses = json!({"m-1": format!("localhost:{port}")});
    let dialling = Dialling::start(&addresses, &json!({}), hasty());
    let _stream = device.accept().await;
    dialling
        .until_reached("it", |reached| reached.connected == 1)
        .await;
}

/// Each attempt is connected and closed at once; the pauses grow all the same.
#[tokio::test]
async fn who_closes_at_once_is_dialled_less_and_less_often() {
    let device = Device::new().await;
    let addresses = json!({"m-1": device.address});
    let timeouts = Timeouts {
        steady: PATIENCE,
        ..hasty()
    };
    let begun = Clock::system().now().monotonic;
    let dialling = Dialling::start(&addresses, &json!({}), timeouts);
    for _ in 0..7 {
        drop(device.accept().await);
    }
    // Any part of 20 ms, then at least the half of 40, 80, 160, 320 and 640.
    let took = Clock::system().now().monotonic.duration_since(begun);
    assert!(took >= Duration::from_millis(620), "{took:?}");
    let reached = dialling
        .until_reached("why", |reached| reached.error.is_some())
        .await;
    assert!(
        reached
            .error
            .unwrap()
            .contains("the connection ended after 0 s: fin")
    );
    assert!(dialling.attempts("connected") <= 8.0);
}

#[tokio::test]
async fn a_reload_touches_the_addresses_that_changed_and_no_other() {
    let devices = [
        Device::new().await,
        Device::new().await,
        Device::new().await,
        Device::new().await,
    ];
    let [a, b, c, moved] = &devices;
    let before = json!({"a": a.address, "b": b.address});
    let dialling = Dialling::start(&before, &json!({}), hasty());
    let (mut of_a, of_b) = (a.accept().await, b.accept().await);
    dialling
        .until_reached("both", |reached| reached.connected == 2)
        .await;

    let added = json!({"a": a.address, "b": b.address, "c": c.address});
    dialling.update(&added, &json!({}), false);
    let of_c = c.accept().await;
    let all = dialling
        .until_reached("all", |reached| reached.connected == 3)
        .await;
    assert_eq!(all.of, 3);

    let changed = json!({"a": a.address, "b": moved.address});
    dialling.update(&changed, &json!({}), false);
    let _of_moved = moved.accept().await;
    assert_eq!(rest(of_b).await, "");
    assert_eq!(rest(of_c).await, "");
    let bench = &dialling.bench;
    bench
        .until("both ends", |_| dialling.closed("outbound_removed") == 2.0)
        .await;
    dialling
        .until_reached("two", |reached| (reached.connected, reached.of) == (2, 2))
        .await;

    dialling.update(
        &changed,
        &json!({"outbound": {"meters": {"output": "other"}}}),
        false,
    );
    of_a.write_all(b"one\n").await.unwrap();
    let mut dialling = dialling;
    let submission = dialling.bench.submission().await;
    assert_eq!(&*submission.message.output, "other");
    assert_eq!(
        dialling.attempts("connected"),
        4.0,
        "nobody was dialled twice"
    );
}

#[tokio::test]
async fn a_changed_protocol_dials_again() {
    let device = Device::new().await;
    let addresses = json!({"m-1": device.address});
    let dialling = Dialling::start(&addresses, &json!({}), hasty());
    let old = device.accept().await;
    dialling
        .until_reached("it", |reached| reached.connected == 1)
        .await;
    let changes = json!({"protocols": {"lines": {"framing": {"end": ";"}}}});
    dialling.update(&addresses, &changes, true);
    assert_eq!(rest(old).await, "");
    let mut new = device.accept().await;
    new.write_all(b"one;").await.unwrap();
    let mut dialling = dialling;
    assert!(dialling.bench.deliver().await.contains("one"));
    assert_eq!(dialling.closed("protocol_changed"), 1.0);
}

/// A socket that takes no more connections: its backlog is full.
async fn deaf() -> (Device, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let socket = socket.listen(1).unwrap();
    let address = socket.local_addr().unwrap();
    let mut filling = Vec::new();
    while let Ok(stream) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        filling.push(stream.unwrap());
    }
    let address = address.to_string();
    (Device { socket, address }, filling)
}

#[tokio::test]
async fn an_attempt_ends_at_its_limit_and_a_stop_does_not_wait_for_it() {
    let (device, filling) = deaf().await;
    let addresses = json!({"m-1": device.address});
    let limit = json!({"outbound": {"meters": {"connectMs": 100}}});
    let dialling = Dialling::start(&addresses, &limit, hasty());
    let reached = dialling
        .until_reached("the limit", |reached| reached.error.is_some())
        .await;
    let error = reached.error.unwrap();
    assert!(error.contains("within 100ms (connectMs)"), "{error}");
    assert!(dialling.attempts("timed_out") >= 1.0);

    let patient = json!({"outbound": {"meters": {"connectMs": 120_000}}});
    let dialling = Dialling::start(&addresses, &patient, hasty());
    let (_, port) = device.address.rsplit_once(':').unwrap();
    let sent = format!(":{:04X} 02 ", port.parse::<u16>().unwrap());
    let hangs = || {
        std::fs::read_to_string("/proc/net/tcp")
            .unwrap()
            .contains(&sent)
    };
    dialling.bench.until("an attempt hangs", |_| hangs()).await;
    dialling.bench.shutdown.cancel();
    let ended = timeout(PATIENCE, dialling.bench.tasks.join_all()).await;
    ended.expect("nothing waits for the attempt");
    drop(filling);
}

#[tokio::test]
async fn an_entry_that_is_gone_and_a_shutdown_end_connections_with_a_fin() {
    let device = Device::new().await;
    let addresses = json!({"m-1": device.address});
    let mut dialling = Dialling::start(&addresses, &json!({}), hasty());
    let stream = device.accept().await;
    dialling
        .until_reached("it", |reached| reached.connected == 1)
        .await;
    drop(dialling.handle.take());
    assert_eq!(rest(stream).await, "");
    dialling
        .bench
        .until("the end", |_| dialling.closed("outbound_removed") == 1.0)
        .await;

    let dialling = Dialling::start(&addresses, &json!({}), hasty());
    let stream = device.accept().await;
    dialling
        .until_reached("it", |reached| reached.connected == 1)
        .await;
    dialling.bench.shutdown.cancel();
    assert_eq!(rest(stream).await, "");
    let metrics = dialling.bench.south.metrics.clone();
    timeout(PATIENCE, dialling.bench.tasks.join_all())
        .await
        .unwrap();
    let shutdown =
        "edge_tcp_gateway_connections_closed_total{outbound=\"meters\",reason=\"shutdown\"}";
    assert_eq!(metrics.sample(shutdown), 1.0);
}

#[test]
fn first_attempts_of_many_are_spread_over_five_seconds_at_most() {
    for (count, expected) in [(1, 5), (100, 500), (1000, 5000), (1400, 5000)] {
        let addresses: BTreeMap<String, String> = (0..count)
            .map(|number| (format!("m{number}"), "1.1.1.1:1".to_owned()))
            .collect();
        let spread = terms(&json!(addresses), &json!({})).spread;
        assert_eq!(spread, Duration::from_millis(expected), "{count}");
    }
}
