//! The method `send`, from the call to the device's socket and back.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Bench, Setup, bench};
use crate::commands::{Channels, Commands, MethodCall, Told};
use crate::northbound::Outgoing;

struct Door {
    calls: mpsc::Sender<MethodCall>,
    answers: mpsc::Receiver<Outgoing>,
    _tasks: JoinSet<()>,
}

impl Door {
    fn of(bench: &Bench) -> Self {
        let south = &bench.south;
        let commands = Commands::new(
            south.registry.clone(),
            Arc::new(Told::default()),
            south.metrics.clone(),
            south.throttle.clone(),
            south.clock,
        );
        let ((calls, receiver), (sender, answers)) = (mpsc::channel(8), mpsc::channel(8));
        let channels = Channels {
            calls: receiver,
            inputs: mpsc::channel(1).1,
            outgoing: sender,
            submitter: south.submitter.clone(),
            shutdown: CancellationToken::new(),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(commands.run(channels, None, "gateway".into()));
        Door {
            calls,
            answers,
            _tasks: tasks,
        }
    }

    async fn ask(&self, arguments: Value) {
        let call = MethodCall {
            name: "send".into(),
            payload: arguments.to_string().into(),
            rid: "1".into(),
        };
        self.calls.send(call).await.unwrap();
    }

    async fn answer(&mut self) -> (u16, Value) {
        match self.answers.recv().await.unwrap() {
            Outgoing::MethodResponse {
                status, payload, ..
            } => (status, payload),
            other => panic!("{other:?}"),
        }
    }

    async fn send(&mut self, bytes: &str, within_ms: u32) -> (u16, Value) {
        self.ask(json!({"device": "127.0.0.1", "bytes": bytes, "withinMs": within_ms}))
            .await;
        self.answer().await
    }
}

#[tokio::test]
async fn a_command_reaches_its_device_and_one_that_left_or_never_came_gets_nothing() {
    let bench = bench(json!({}), 100);
    let mut door = Door::of(&bench);
    assert_eq!(door.send("T\r\n", 60_000).await.0, 404);
    let mut device = bench.connect().await;
    bench
        .until("the binding", |bench| {
            bench.south.registry.find("127.0.0.1").is_some()
        })
        .await;
    let (status, payload) = door.send("T\r\n", 60_000).await;
    assert_eq!(
        (status, &payload["outcome"], &payload["written"]),
        (200, &json!("sent"), &json!(3))
    );
    let mut place = [0; 3];
    device.read_exact(&mut place).await.unwrap();
    assert_eq!(&place, b"T\r\n");
    drop(device);
    bench
        .until("the end", |bench| bench.closed("fin") == 1.0)
        .await;
    let (status, payload) = door.send("T\r\n", 60_000).await;
    assert_eq!((status, &payload["outcome"]), (409, &json!("notConnected")));
}

#[tokio::test]
async fn a_socket_that_takes_no_more_times_out_with_what_was_written_and_a_reset_says_so() {
    let bench = bench(json!({}), 100);
    let mut door = Door::of(&bench);
    let mut device = bench.connect_small().await;
    bench
        .until("the binding", |bench| {
            bench.south.registry.find("127.0.0.1").is_some()
        })
        .await;
    let long = "a".repeat(60_000);
    let (status, payload) = door.send(&long, 300).await;
    let written = payload["written"].as_u64().unwrap();
    assert_eq!((status, &payload["outcome"]), (504, &json!("timedOut")));
    assert!(0 < written && written < 60_000, "{written}");
    let (status, payload) = door.send("bbb", 50).await;
    assert_eq!((status, &payload["written"]), (504, &json!(0)));
    let mut text = vec![0; long.len()];
    device.read_exact(&mut text).await.unwrap();
    assert_eq!(
        text,
        long.as_bytes(),
        "a command cut short would garble the next"
    );
    let (status, payload) = door.send("c", 60_000).await;
    assert_eq!((status, &payload["written"]), (200, &json!(1)));
    device.read_exact(&mut text[..1]).await.unwrap();
    assert_eq!(text[0], b'c', "of what timed out unwritten nothing comes");

    door.ask(json!({"device": "127.0.0.1", "bytes": long, "withinMs": 60_000}))
        .await;
    let sent = bench.sample("sent_bytes_total{listener=\"lines\"}");
    bench
        .until("a part of it", |bench| {
            bench.sample("sent_bytes_total{listener=\"lines\"}") > sent
        })
        .await;
    drop(device);
    let (status, payload) = door.answer().await;
    let written = payload["written"].as_u64().unwrap();
    assert_eq!((status, &payload["outcome"]), (409, &json!("notConnected")));
    assert!(0 < written && written < 60_000, "{written}");
}

#[tokio::test]
async fn commands_reach_a_thousand_devices_over_one_connection_and_one_more_is_counted() {
    let mut bench = Setup {
        protocol: json!({
            "decode": {"type": "regex", "pattern": "(?P<id>\\w+)", "fields": ["id"]},
            "identity": {"field": "id", "scope": "message"},
        }),
        room: 2000,
        ..Setup::default()
    }
    .start();
    let mut device = bench.connect().await;
    let lines: String = (0..1001).map(|n| format!("d{n}\n")).collect();
    let (mut reading, mut writing) = device.split();
    let write = async { writing.write_all(lines.as_bytes()).await.unwrap() };
    let deliver = async {
        let mut place = [0; 3];
        for _ in 0..1001 {
            bench.deliver().await;
            reading.read_exact(&mut place).await.unwrap();
        }
    };
    tokio::join!(write, deliver);
    assert_eq!(bench.trouble("too_many_devices"), 1.0);
    assert!(bench.south.registry.find("d999").is_some());
    assert!(bench.south.registry.find("d1000").is_none());
}
