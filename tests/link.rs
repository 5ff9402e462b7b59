//! The link, the forwarder and edgeHub's stand-in over real sockets: whatever goes wrong, every
//! message arrives, and what arrives twice bears the same id.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it waited for by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use dev_hub::{DevHub, UpstreamMessage};
use edge_tcp_gateway::clock::Clock;
use edge_tcp_gateway::edge::{Identity, twin::Pace};
use edge_tcp_gateway::forwarder::Forwarder;
use edge_tcp_gateway::message::{Body, Message, Progress, Ticket};
use edge_tcp_gateway::northbound::{
    Inbound, Link, LinkChannels, LinkEnded, LinkSettings, Outgoing, Timeouts,
};
use edge_tcp_gateway::ops::metrics::Metrics;
use edge_tcp_gateway::outbox::{self, Bounds, Outbox};
use edge_tcp_gateway::spool::Spool;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const MODULE: &str = "gateway";
const PATIENCE: Duration = Duration::from_secs(30);

fn quick() -> Timeouts {
    let millis = Duration::from_millis;
    Timeouts {
        first_retry: millis(5),
        longest_retry: millis(50),
        twin: Pace {
            answer: PATIENCE,
            first: millis(5),
            longest: millis(50),
        },
        ..Timeouts::default()
    }
}

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
    let bounds = Bounds {
        messages: 10_000,
        bytes: 1 << 24,
    };
    let (submitter, submissions) = outbox::channel(bounds, metrics.clone());
    let (forwarder, reports) = mpsc::channel(256);
    let (inbound_end, inbound) = mpsc::channel(64);
    let (outgoing, outgoing_end) = mpsc::channel(64);
    let (progress, delivered) = mpsc::channel(10_000);
    let mut settings = LinkSettings::new(identity, None);
    settings.timeouts = timeouts;
    let channels = LinkChannels {
        forwarder,
        inbound: inbound_end,
        outgoing: outgoing_end,
    };
    let link_run = Link::new(settings, channels, metrics.clone(), Clock::system());
    let stop = CancellationToken::new();
    let (mut link, mut _forwarder) = (JoinSet::new(), JoinSet::new());
    link.spawn(link_run.run(stop.clone()));
    let mut forwarding = Forwarder::new(Spool::new("s".into()), submissions, reports, metrics);
    _forwarder.spawn(async move {
        forwarding.run().await;
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
            self.outbox
                .queue(Ticket(self.sent), vec![message(self.sent)]);
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
        properties: vec![("device".into(), "scale 1".to_owned())],
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

#[tokio::test]
async fn telemetry_arrives_as_the_contract_says_by_the_workload_api() {
    let hub = start_hub().await;
    arrives_whole(&hub, by_workload(&hub)).await;
}

#[tokio::test]
async fn telemetry_arrives_as_the_contract_says_by_connection_string() {
    let hub = start_hub().await;
    arrives_whole(&hub, by_connection_string(&hub)).await;
}

async fn arrives_whole(hub: &DevHub, identity: Identity) {
    let mut north = start(identity, quick());
    north.send(1).await;
    north.all_delivered().await;
    let arrived = hub.upstream().messages();
    let message = arrived.first().expect("one message");
    assert_eq!(
        (message.device.as_str(), message.module.as_deref()),
        ("edge", Some(MODULE))
    );
    assert_eq!(message.output.as_deref(), Some("telemetry"));
    assert_eq!(message.property("device"), Some("scale 1"));
    assert_eq!(
        message.system.get("$.ct").map(String::as_str),
        Some("application/json")
    );
    assert_eq!(
        message.system.get("$.ce").map(String::as_str),
        Some("utf-8")
    );
    nothing_lost(hub, 1);
    assert!(north.stopped().await.is_ok());
}

#[tokio::test]
async fn a_restart_of_edge_hub_loses_nothing() {
    let hub = start_hub().await;
    let mut north = start(by_workload(&hub), quick());
    for _ in 0..3 {
        north.send(200).await;
        hub.faults().restart().await.expect("restarts on its port");
    }
    north.send(100).await;
    north.all_delivered().await;
    nothing_lost(&hub, 700);
}

#[tokio::test]
async fn acknowledgements_lost_on_the_way_make_repeats_that_can_be_told() {
    let hub = start_hub().await;
    let mut north = start(by_workload(&hub), quick());
    hub.faults().lose_pubacks(3);
    north.send(300).await;
    north.all_delivered().await;
    assert!(hub.upstream().count() > 300, "something was repeated");
    nothing_lost(&hub, 300);
}

#[tokio::test]
async fn a_lost_session_is_subscribed_anew() {
    let hub = start_hub().await;
    let mut north = start(by_workload(&hub), quick());
    north.connected().await;
    hub.faults().lose_sessions();
    hub.faults().close_connections();
    north.connected().await;
    hub.patch_desired(MODULE, json!({"after": true}))
        .expect("a module");
    while north.desired().await.0 != json!({"after": true}) {}
    north.send(10).await;
    north.all_delivered().await;
    nothing_lost(&hub, 10);
}

#[tokio::test]
async fn refused_connects_and_expired_tokens_are_tried_again_with_new_ones() {
    let hub = start_hub().await;
    hub.faults().refuse_connects(2, 5);
    hub.faults().refuse_connects(1, 3);
    let mut north = start(by_workload(&hub), quick());
    north.connected().await;
    hub.faults().expire_tokens();
    north.send(50).await;
    north.all_delivered().await;
    nothing_lost(&hub, 50);
}

#[tokio::test]
async fn withheld_acknowledgements_are_waited_for_and_repeated_in_the_next_session() {
    let hub = start_hub().await;
    let mut north = start(by_workload(&hub), quick());
    north.connected().await;
    hub.faults().hold_pubacks();
    north.send(20).await;
    let upstream = hub.upstream();
    upstream
        .wait_for_count(1, PATIENCE)
        .await
        .expect("the first is stored");
    assert!(
        north.delivered.try_recv().is_err(),
        "nothing is delivered without PUBACK"
    );
    hub.faults().release_pubacks();
    hub.faults().close_connections();
    north.all_delivered().await;
    nothing_lost(&hub, 20);
}

#[tokio::test]
async fn a_connack_that_never_comes_is_given_up() {
    let hub = start_hub().await;
    hub.faults().withhold_connacks(1);
    let timeouts = Timeouts {
        connack: Duration::from_millis(300),
        ..quick()
    };
    let mut north = start(by_workload(&hub), timeouts);
    north.send(1).await;
    north.all_delivered().await;
    nothing_lost(&hub, 1);
}

#[tokio::test]
async fn a_late_connack_is_waited_for() {
    let hub = start_hub().await;
    hub.faults().delay_connacks(1, Duration::from_millis(500));
    let mut north = start(by_workload(&hub), quick());
    north.send(1).await;
    north.all_delivered().await;
    assert_eq!(hub.counters().connected, 1, "one attempt was enough");
}

#[tokio::test]
async fn a_token_is_renewed_by_a_planned_reconnect() {
    let hub = start_hub().await;
    let timeouts = Timeouts {
        renew_after: Duration::from_millis(200),
        ..quick()
    };
    let mut north = start(by_workload(&hub), timeouts);
    for _ in 0..3 {
        north.connected().await;
        north.send(100).await;
    }
    north.all_delivered().await;
    let arrived = hub.upstream().count();
    assert_eq!(arrived, 300, "a planned reconnect repeats nothing");
    nothing_lost(&hub, 300);
}

#[tokio::test]
async fn two_with_one_identity_fight_slower_and_slower_and_lose_nothing() {
    let hub = start_hub().await;
    let timeouts = Timeouts {
        longest_retry: Duration::from_secs(1),
        ..quick()
    };
    let mut one = start(by_workload(&hub), timeouts);
    one.send(50).await;
    one.all_delivered().await;
    let _other = start(by_workload(&hub), timeouts);
    hub.wait_for_counters(PATIENCE, |counters| counters.taken_over >= 4)
        .await
        .expect("they fight");
    one.send(50).await;
    one.all_delivered().await;
    nothing_lost(&hub, 100);
    assert!(hub.counters().connected < 200, "no busy loop");
}

#[tokio::test]
async fn the_twin_comes_whole_through_gaps_and_an_edge_hub_that_knows_nothing() {
    let hub = start_hub().await;
    hub.set_desired(MODULE, json!({"a": 1})).expect("a module");
    let mut north = start(by_workload(&hub), quick());
    let (document, version) = north.desired().await;
    assert_eq!(document, json!({"a": 1}));
    hub.faults().lose_desired_patches(1);
    hub.patch_desired(MODULE, json!({"b": 2}))
        .expect("a module");
    hub.patch_desired(MODULE, json!({"c": {"d": 3}}))
        .expect("a module");
    let (document, later) = north.desired().await;
    assert_eq!(document, json!({"a": 1, "b": 2, "c": {"d": 3}}));
    assert!(later > version);
    hub.faults().empty_twins(true);
    hub.faults().close_connections();
    north.connected().await;
    hub.faults().empty_twins(false);
    hub.patch_desired(MODULE, json!({"a": null}))
        .expect("a module");
    let (document, _) = north.desired().await;
    assert_eq!(document, json!({"b": 2, "c": {"d": 3}}));
}

#[tokio::test]
async fn methods_and_reported_properties_go_round() {
    let hub = start_hub().await;
    let mut north = start(by_workload(&hub), quick());
    north
        .outgoing
        .send(Outgoing::Reported(json!({"state": "up"})))
        .await
        .expect("the link lives");
    let reported = hub
        .wait_for_reported(MODULE, PATIENCE, |reported| reported["state"] == "up")
        .await;
    assert!(reported.is_ok());
    let answering = async {
        loop {
            if let Inbound::Method { name, answer, .. } = north.news().await {
                let payload = json!({ "called": name });
                let response = Outgoing::MethodResponse {
                    rid: answer,
                    status: 201,
                    payload,
                };
                return north.outgoing.send(response).await.expect("the link lives");
            }
        }
    };
    let (answer, ()) = tokio::join!(
        hub.invoke_method(MODULE, "send", Some(json!({})), PATIENCE),
        answering
    );
    let answer = answer.expect("an answer");
    assert_eq!(
        (answer.status, answer.payload),
        (201, json!({"called": "send"}))
    );
}

#[tokio::test]
async fn a_workload_api_away_at_boot_is_waited_for_and_a_stale_socket_is_not() {
    let hub = start_hub().await;
    hub.faults().stop_workload();
    let mut north = start(by_workload(&hub), quick());
    north.send(5).await;
    hub.faults().start_workload().expect("starts again");
    north.all_delivered().await;
    nothing_lost(&hub, 5);

    hub.faults().leave_stale_socket();
    let impatient = Timeouts {
        stale_socket: Duration::from_millis(50),
        shortest_life: Duration::from_millis(100),
        ..quick()
    };
    let mut doomed = start(by_workload(&hub), impatient);
    let ended = timeout(PATIENCE, doomed.link.join_next())
        .await
        .expect("ends by itself");
    assert!(matches!(ended, Some(Ok(Err(LinkEnded::WorkloadStale(_))))));
}

#[tokio::test]
async fn a_rolled_root_certificate_is_read_again() {
    let hub = start_hub().await;
    let mut north = start(by_workload(&hub), quick());
    north.connected().await;
    hub.faults()
        .replace_certificates()
        .expect("new certificates");
    hub.faults().close_connections();
    north.connected().await;
    north.send(5).await;
    north.all_delivered().await;
    nothing_lost(&hub, 5);
}
