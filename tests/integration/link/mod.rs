//! The link, the forwarder and edgeHub's stand-in over real sockets: whatever goes wrong, every
//! message arrives, and what arrives twice bears the same id.

mod delivery;
mod twin;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dev_hub::{DevHub, UpstreamMessage};
use edge_tcp_gateway::clock::Clock;
use edge_tcp_gateway::edge::Identity;
use edge_tcp_gateway::forwarder::{self, Forwarder};
use edge_tcp_gateway::gateway;
use edge_tcp_gateway::message::{Body, Message, Progress, Ticket};
use edge_tcp_gateway::northbound::dialect::Dialect;
use edge_tcp_gateway::northbound::{
    Inbound, Link, LinkChannels, LinkEnded, LinkSettings, Outgoing, Timeouts,
};
use edge_tcp_gateway::ops::{health::Health, logging::Throttle, metrics::Metrics};
use edge_tcp_gateway::outbox::{self, Outbox};
use edge_tcp_gateway::settings::SpoolSettings;
use edge_tcp_gateway::spool::{Condition, Whose};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::disk::TrialDisk;
use crate::rig::{MODULE, PATIENCE, quick_link};

async fn start_hub() -> DevHub {
    let hub = DevHub::builder().edge_device("edge").module(MODULE);
    hub.start().await.expect("the stand-in starts")
}

fn by_workload(hub: &DevHub) -> Identity {
    let variables: BTreeMap<_, _> = hub
        .module_env(MODULE)
        .expect("a module")
        .into_iter()
        .collect();
    Identity::from_environment(&|name| variables.get(name).cloned()).expect("an identity")
}

fn by_connection_string(hub: &DevHub) -> Identity {
    let text = hub.module_connection_string(MODULE).expect("a module");
    let file = hub.trust_bundle_path().display().to_string();
    Identity::from_environment(&|name| match name {
        "EdgeHubConnectionString" => Some(text.clone()),
        "EdgeModuleCACertificateFile" => Some(file.clone()),
        _ => None,
    })
    .expect("an identity")
}

/// The module's north half: what connections hand in on one side, edgeHub on the other.
struct North {
    outbox: Outbox,
    delivered: mpsc::Receiver<(Ticket, Progress)>,
    inbound: mpsc::Receiver<Inbound>,
    outgoing: mpsc::Sender<Outgoing>,
    stop: CancellationToken,
    link: JoinSet<Result<(), LinkEnded>>,
    _forwarder: JoinSet<()>,
    sent: u64,
    done: BTreeSet<Ticket>,
}

fn start(identity: Identity, timeouts: Timeouts) -> North {
    let metrics = Metrics::default();
    let (submitter, submissions) = outbox::channel(1 << 24, metrics.clone());
    let (forwarder, reports) = mpsc::channel(256);
    let (inbound_end, inbound) = mpsc::channel(64);
    let (outgoing, outgoing_end) = mpsc::channel(64);
    let (progress, delivered) = mpsc::channel(10_000);
    let dialect = Dialect::new(&identity);
    let delivery = gateway::delivery(SpoolSettings::default(), &BTreeMap::new());
    let terms = watch::channel(Arc::new(delivery));
    let mut settings = LinkSettings::new(identity, None);
    settings.timeouts = timeouts;
    let channels = LinkChannels {
        forwarder,
        inbound: inbound_end,
        inputs: mpsc::channel(16).0,
        outgoing: outgoing_end,
    };
    let link_run = Link::new(settings, channels, metrics.clone(), Clock::system());
    let stop = CancellationToken::new();
    let (mut link, mut _forwarder) = (JoinSet::new(), JoinSet::new());
    link.spawn(link_run.run(stop.clone()));
    let parts = forwarder::Parts {
        disk: Ok(TrialDisk::default().plugged()),
        whose: Whose {
            hub: "hub".to_owned(),
            device: "edge".to_owned(),
            module: MODULE.to_owned(),
        },
        terms: terms.1,
        dialect,
        level: submitter.level(),
        submissions,
        reports,
        condition: watch::channel(Condition::Good).0,
        metrics,
        health: Health::new(Clock::system().now().monotonic),
        throttle: Throttle::default(),
        clock: Clock::system(),
    };
    _forwarder.spawn(async move {
        let mut forwarding = Forwarder::new(parts).await.expect("a forwarder");
        forwarding.run().await.expect("a working disk");
        drop(terms.0);
    });
    let outbox = submitter.outbox(Arc::new(move |ticket, reached| {
        progress
            .try_send((ticket, reached))
            .expect("room for every ticket");
    }));
    North {
        outbox,
        delivered,
        inbound,
        outgoing,
        stop,
        link,
        _forwarder,
        sent: 0,
        done: BTreeSet::new(),
    }
}

impl North {
    /// Hands in so many messages, numbered on.
    async fn send(&mut self, count: u64) {
        for _ in 0..count {
            self.sent += 1;
            self.outbox.queue(
                Ticket(self.sent),
                vec![message(self.sent)],
                Some(Progress::Delivered),
            );
        }
        self.outbox.flush().await.expect("the forwarder lives");
    }

    /// Waits until everything handed in so far is delivered.
    async fn all_delivered(&mut self) {
        while self.done.len() < usize::try_from(self.sent).unwrap_or(usize::MAX) {
            let said = timeout(PATIENCE, self.delivered.recv())
                .await
                .expect("delivered in time");
            match said.expect("an open channel") {
                (ticket, Progress::Delivered) => drop(self.done.insert(ticket)),
                (_, Progress::Stored) => {}
                (ticket, Progress::Lost) => panic!("{ticket:?} was lost"),
            }
        }
    }

    async fn news(&mut self) -> Inbound {
        timeout(PATIENCE, self.inbound.recv())
            .await
            .expect("news in time")
            .expect("an open channel")
    }

    /// The next desired document, whatever else comes before it.
    async fn desired(&mut self) -> (Value, Option<i64>) {
        loop {
            if let Inbound::Desired(desired) = self.news().await {
                return (desired.document, desired.version);
            }
        }
    }

    async fn connected(&mut self) {
        while self.news().await != Inbound::Connected {}
    }

    async fn stopped(mut self) -> Result<(), LinkEnded> {
        self.stop.cancel();
        let ended = timeout(PATIENCE, self.link.join_next())
            .await
            .expect("stops in time");
        ended.expect("one task").expect("no panic")
    }
}

fn message(number: u64) -> Message {
    Message {
        output: "telemetry".into(),
        device: "scale".into(),
        id: None,
        body: Body::Contract(format!("{{\"n\":{number}}}").into()),
        properties: vec![("device".into(), "scale 1".into())],
    }
}

fn number(message: &UpstreamMessage) -> u64 {
    message
        .json()
        .and_then(|body| body["n"].as_u64())
        .expect("a numbered message")
}

/// Everything arrived, first arrivals in order, repeats under the id they had before.
fn nothing_lost(hub: &DevHub, sent: u64) {
    let mut ids: BTreeMap<u64, String> = BTreeMap::new();
    let mut first = Vec::new();
    for message in hub.upstream().messages() {
        let (number, id) = (
            number(&message),
            message.message_id().expect("an id").to_owned(),
        );
        assert_eq!(message.json().expect("JSON")["id"], id.as_str());
        match ids.insert(number, id.clone()) {
            None => first.push(number),
            Some(before) => assert_eq!(before, id, "a repeat bears its id"),
        }
    }
    assert_eq!(first, (1..=sent).collect::<Vec<_>>());
    assert_eq!(
        ids.values().collect::<BTreeSet<_>>().len(),
        ids.len(),
        "ids are unique"
    );
    assert_eq!(hub.counters().silent_losses(), 0);
}
