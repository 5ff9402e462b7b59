//! The door, with the test in the place of connections, link and forwarder.

mod inputs;
mod methods;
mod operate;

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::*;
use crate::conversation::{Outcome, Request};
use crate::inbox::Inbox;
use crate::journal::Store;
use crate::northbound::DeliveryId;
use crate::outbox::{Submission, channel};

/// A condition that does not hold after so long never will.
const PATIENCE: Duration = Duration::from_secs(30);

struct Bench {
    registry: Registry,
    told: Arc<Told>,
    metrics: Metrics,
    calls: Option<mpsc::Sender<MethodCall>>,
    inputs: mpsc::Sender<InputMessage>,
    outgoing: mpsc::Receiver<Outgoing>,
    submissions: mpsc::Receiver<Vec<Submission>>,
    shutdown: CancellationToken,
    tasks: JoinSet<()>,
}

impl Bench {
    /// Without a journal.
    fn new() -> Self {
        Bench::over(None)
    }

    /// With the journal in that folder.
    fn with_journal(folder: &Path) -> Self {
        Bench::over(Some(Store::open(folder, "me").unwrap()))
    }

    fn over(journal: Option<(Store, Found)>) -> Self {
        let (registry, told, metrics) = (
            Registry::default(),
            Arc::new(Told::default()),
            Metrics::default(),
        );
        let (submitter, submissions) = channel(1 << 20, metrics.clone());
        let (calls, received) = mpsc::channel(MOST_COMMANDS + 10);
        let (inputs, messages) = mpsc::channel(16);
        let (answers, outgoing) = mpsc::channel(16);
        let shutdown = CancellationToken::new();
        let channels = Channels {
            calls: received,
            inputs: messages,
            outgoing: answers,
            submitter,
            shutdown: shutdown.clone(),
        };
        let commands = Commands::new(
            registry.clone(),
            Arc::clone(&told),
            metrics.clone(),
            Throttle::default(),
            Clock::system(),
        );
        let mut tasks = JoinSet::new();
        tasks.spawn(commands.run(channels, journal, "gateway".into()));
        Bench {
            registry,
            told,
            metrics,
            calls: Some(calls),
            inputs,
            outgoing,
            submissions,
            shutdown,
            tasks,
        }
    }

    fn connect(&self, device: &str) -> Inbox {
        let inbox = Inbox::default();
        self.registry.bind(&device.into(), &inbox);
        inbox
    }

    async fn call(&self, rid: &str, name: &str, payload: impl Into<Bytes>) {
        let call = MethodCall {
            name: name.to_owned(),
            payload: payload.into(),
            rid: rid.to_owned(),
        };
        let calls = self.calls.as_ref().unwrap();
        calls.send(call).await.unwrap();
    }

    async fn outgoing(&mut self) -> Outgoing {
        let outgoing = timeout(PATIENCE, self.outgoing.recv()).await;
        outgoing.expect("something comes").expect("an open channel")
    }

    /// The next answer to a method: its call, its status, its payload.
    async fn answered(&mut self) -> (String, u16, Value) {
        match self.outgoing().await {
            Outgoing::MethodResponse {
                rid,
                status,
                payload,
            } => (rid, status, payload),
            other => panic!("an answer, not {other:?}"),
        }
    }

    /// Calls a method; its status and payload.
    async fn ask(&mut self, name: &str, payload: Value) -> (u16, Value) {
        self.call("1", name, payload.to_string()).await;
        let (_, status, payload) = self.answered().await;
        (status, payload)
    }

    /// A message to the input `commands`.
    async fn send(&self, delivery: u64, id: Option<&str>, body: impl Into<Bytes>) {
        let id = id.map(|id| ("$.mid".to_owned(), Some(id.to_owned())));
        let message = InputMessage {
            delivery: DeliveryId(delivery),
            input: INPUT.to_owned(),
            properties: id.into_iter().collect(),
            payload: body.into(),
        };
        self.inputs.send(message).await.unwrap();
    }

    async fn acknowledged(&mut self) -> u64 {
        match self.outgoing().await {
            Outgoing::Acknowledge(delivery) => delivery.0,
            other => panic!("an acknowledgement, not {other:?}"),
        }
    }

    /// The next message of the output of results; it is safe then.
    async fn result(&mut self) -> (crate::message::Message, Value) {
        let group = timeout(PATIENCE, self.submissions.recv()).await;
        let mut group = group.expect("a result").expect("an open channel");
        assert_eq!(group.len(), 1);
        let submission = group.remove(0);
        submission.held.delivered();
        let body = serde_json::from_slice(submission.message.body.bytes()).unwrap();
        (submission.message, body)
    }

    fn counted(&self, name: &str) -> f64 {
        self.metrics.sample(&format!("edge_tcp_gateway_{name}"))
    }

    /// Ends the door as a stop of the module does.
    async fn stop(&mut self) {
        self.shutdown.cancel();
        self.calls = None;
        let ended = timeout(PATIENCE, self.tasks.join_next()).await;
        ended.expect("ends").expect("runs").expect("no panic");
    }
}

/// The next command that came to a connection.
async fn taken(inbox: &Inbox) -> (Request, oneshot::Sender<Outcome>) {
    let waiting = timeout(PATIENCE, inbox.take()).await;
    let mut waiting = waiting.expect("a command comes");
    waiting.commands.pop_front().expect("a command")
}

fn tare() -> Value {
    json!({"device": "scale-1", "command": "tare"})
}
