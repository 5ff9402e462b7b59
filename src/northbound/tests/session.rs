use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mqtt::{ConnAck, ConnectOptions, Packet, PacketId, Session, SubAck};
use serde_json::json;
use tokio::io::duplex;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::hub::{Hub, PATIENCE, Said};
use crate::clock::Clock;
use crate::edge::Secret;
use crate::edge::reported::Reported;
use crate::edge::twin::Twin;
use crate::northbound::notices::Notices;
use crate::northbound::session::{Ended, Inputs, Serving};
use crate::northbound::{
    DeliveryId, DesiredDocument, Inbound, InputMessage, LinkReport, Outgoing, Parcel, ParcelId,
    Timeouts,
};
use crate::ops::metrics::Metrics;

fn parcel(id: u64) -> Parcel {
    Parcel {
        id: ParcelId(id),
        topic: "devices/dev/modules/gw/messages/events/".into(),
        payload: Bytes::from(format!("p-{id}")),
    }
}

/// A session being served, edgeHub's end of it, and the channels' other ends.
struct Bench {
    hub: Hub,
    reports: mpsc::Receiver<LinkReport>,
    inbound: mpsc::Receiver<Inbound>,
    inputs: mpsc::Receiver<InputMessage>,
    outgoing: mpsc::Sender<Outgoing>,
    stop: CancellationToken,
    served: JoinHandle<Ended>,
    _notices: JoinHandle<Infallible>,
}

#[derive(Clone, Copy)]
struct Given {
    timeouts: Timeouts,
    inbound: usize,
    renewed: bool,
}

impl Default for Given {
    fn default() -> Self {
        Given {
            timeouts: Timeouts::default(),
            inbound: 16,
            renewed: false,
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the bench joins what it starts where it matters, the runtime ends the rest"
)]
async fn bench(given: Given) -> Bench {
    let (client, server) = duplex(1 << 16);
    let mut hub = Hub {
        stream: server,
        read: BytesMut::new(),
    };
    let options = ConnectOptions {
        client_id: "dev/gw".to_owned(),
        ..ConnectOptions::default()
    };
    let (session, ()) = tokio::join!(
        Session::connect(client, &options),
        hub.say(Packet::ConnAck(ConnAck::Accepted {
            session_present: false
        }))
    );
    let (forwarder, reports) = mpsc::channel(64);
    let (inbound_end, inbound) = mpsc::channel(given.inbound);
    let (outgoing, outgoing_end) = mpsc::channel(16);
    let notices = Notices::default();
    let (door, inputs) = mpsc::channel(2);
    let mut serving = Serving {
        twin: Twin::new(None, given.timeouts.twin),
        reported: Reported::new(given.timeouts.twin),
        forwarder,
        inbound: inbound_end.clone(),
        inputs: Inputs {
            filter: "devices/dev/modules/gw/inputs/#".to_owned(),
            door,
            last: 0,
        },
        outgoing: outgoing_end,
        notices: notices.clone(),
        metrics: Metrics::default(),
        clock: Clock::system(),
        timeouts: given.timeouts,
    };
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    let served = tokio::spawn(async move {
        let renewal = async move {
            match given.renewed {
                true => Ok(Secret::new(*b"next")),
                false => pending().await,
            }
        };
        serving.serve(session.unwrap(), renewal, &stopping).await
    });
    let _notices = tokio::spawn(async move { notices.run(inbound_end).await });
    Bench {
        hub,
        reports,
        inbound,
        inputs,
        outgoing,
        stop,
        served,
        _notices,
    }
}

impl Bench {
    /// Takes the subscription and gives the channel for messages.
    async fn up(&mut self) -> mpsc::Sender<Parcel> {
        let Said::Subscribe(id) = self.hub.hear().await else {
            panic!("the first word is SUBSCRIBE");
        };
        let granted = vec![Some(mqtt::QoS::AtLeastOnce); 4];
        self.hub.say(Packet::SubAck(SubAck { id, granted })).await;
        let LinkReport::Up(parcels) = self.report().await else {
            panic!("the first report is Up");
        };
        assert_eq!(self.news().await, Inbound::Connected);
        parcels
    }

    async fn with_twin(given: Given) -> (Bench, mpsc::Sender<Parcel>) {
        let mut bench = bench(given).await;
        let parcels = bench.up().await;
        bench
            .hub
            .answer_twin(200, r#"{"desired":{"a":1,"$version":4},"reported":{}}"#)
            .await;
        let expected = DesiredDocument {
            document: json!({"a": 1}),
            version: Some(4),
        };
        assert_eq!(bench.news().await, Inbound::Desired(expected));
        (bench, parcels)
    }

    async fn report(&mut self) -> LinkReport {
        timeout(PATIENCE, self.reports.recv())
            .await
            .expect("a report")
            .expect("an open channel")
    }

    async fn news(&mut self) -> Inbound {
        timeout(PATIENCE, self.inbound.recv())
            .await
            .expect("news")
            .expect("an open channel")
    }

    async fn reports_until_down(&mut self) -> Vec<u64> {
        let mut delivered = Vec::new();
        loop {
            match self.report().await {
                LinkReport::Delivered(ids) => delivered.extend(ids.iter().map(|id| id.0)),
                LinkReport::Down => return delivered,
                other => panic!("{other:?} at the end of a session"),
            }
        }
    }

    async fn ended(self) -> Ended {
        timeout(PATIENCE, self.served)
            .await
            .expect("the session ends")
            .unwrap()
    }
}

#[tokio::test]
async fn messages_go_out_in_order_and_come_back_as_delivered() {
    let (mut bench, parcels) = Bench::with_twin(Given::default()).await;
    for sequence in 1..=3 {
        parcels.send(parcel(sequence)).await.unwrap();
    }
    for sequence in 1..=3u64 {
        let (id, payload) = bench.hub.hear_telemetry().await;
        assert_eq!(payload, format!("p-{sequence}"));
        bench.hub.say(Packet::PubAck(id)).await;
        assert!(
            matches!(bench.report().await, LinkReport::Delivered(ids) if ids == [ParcelId(sequence)])
        );
    }
}

#[tokio::test]
async fn long_parcels_do_not_wait_for_the_acknowledgement_of_those_before() {
    let (mut bench, parcels) = Bench::with_twin(Given::default()).await;
    for id in 1..=4 {
        let long = Parcel {
            payload: Bytes::from(vec![b'x'; 100_000]),
            ..parcel(id)
        };
        parcels.send(long).await.unwrap();
    }
    for _ in 0..4 {
        assert_eq!(bench.hub.hear_telemetry().await.1.len(), 100_000);
    }
}

#[tokio::test]
async fn what_cannot_be_said_in_mqtt_is_refused_and_holds_up_nothing() {
    let (mut bench, parcels) = Bench::with_twin(Given::default()).await;
    let wrong = Parcel {
        topic: "a/#".into(),
        ..parcel(1)
    };
    parcels.send(wrong).await.unwrap();
    parcels.send(parcel(2)).await.unwrap();
    assert!(matches!(
        bench.report().await,
        LinkReport::Refused(ParcelId(1), _)
    ));
    let (_, payload) = bench.hub.hear_telemetry().await;
    assert_eq!(payload, "p-2");
}

#[tokio::test]
async fn a_session_that_breaks_reports_down_and_takes_no_more() {
    let (mut bench, parcels) = Bench::with_twin(Given::default()).await;
    parcels.send(parcel(1)).await.unwrap();
    bench.hub.hear_telemetry().await;
    let (stream, _kept) = duplex(1);
    bench.hub.stream = stream;
    assert!(bench.reports_until_down().await.is_empty());
    assert!(parcels.is_closed());
    assert_eq!(bench.news().await, Inbound::Disconnected);
    assert!(matches!(bench.ended().await, Ended::Closed(_)));
}

#[tokio::test]
async fn stopping_waits_for_what_is_in_flight_and_says_goodbye() {
    let (mut bench, parcels) = Bench::with_twin(Given::default()).await;
    parcels.send(parcel(1)).await.unwrap();
    let (id, _) = bench.hub.hear_telemetry().await;
    bench.stop.cancel();
    parcels.closed().await;
    bench.hub.say(Packet::PubAck(id)).await;
    assert_eq!(bench.reports_until_down().await, [1]);
    assert_eq!(bench.hub.hear().await, Said::Disconnect);
    assert!(matches!(bench.ended().await, Ended::Stopped));
}

#[tokio::test]
async fn a_withheld_acknowledgement_does_not_hold_up_the_end() {
    let timeouts = Timeouts {
        drain: Duration::from_millis(20),
        ..Timeouts::default()
    };
    let (mut bench, parcels) = Bench::with_twin(Given {
        timeouts,
        ..Given::default()
    })
    .await;
    parcels.send(parcel(1)).await.unwrap();
    bench.hub.hear_telemetry().await;
    bench.stop.cancel();
    assert!(bench.reports_until_down().await.is_empty());
    assert!(matches!(bench.ended().await, Ended::Stopped));
}

#[tokio::test]
async fn withheld_acknowledgements_end_the_session_at_last() {
    let timeouts = Timeouts {
        puback: Duration::from_millis(20),
        ..Timeouts::default()
    };
    let (mut bench, parcels) = Bench::with_twin(Given {
        timeouts,
        ..Given::default()
    })
    .await;
    parcels.send(parcel(1)).await.unwrap();
    bench.hub.hear_telemetry().await;
    assert!(bench.reports_until_down().await.is_empty());
    assert!(
        matches!(bench.ended().await, Ended::Closed(reason) if reason.contains("acknowledged nothing"))
    );
}

#[tokio::test]
async fn an_unanswered_subscription_ends_the_session() {
    let timeouts = Timeouts {
        suback: Duration::from_millis(20),
        ..Timeouts::default()
    };
    let bench = bench(Given {
        timeouts,
        ..Given::default()
    })
    .await;
    assert!(matches!(bench.ended().await, Ended::Closed(reason) if reason.contains("SUBSCRIBE")));
}

#[tokio::test]
async fn a_new_token_is_a_planned_end() {
    let mut bench = bench(Given {
        renewed: true,
        ..Given::default()
    })
    .await;
    assert!(matches!(bench.report().await, LinkReport::Down));
    assert!(matches!(bench.ended().await, Ended::Renewed(token) if token.expose() == b"next"));
}

#[tokio::test]
async fn patches_reach_the_module_as_the_whole_document_and_a_gap_asks_again() {
    let (mut bench, _parcels) = Bench::with_twin(Given::default()).await;
    let topic = |version: i64| format!("$iothub/twin/PATCH/properties/desired/?$version={version}");
    bench
        .hub
        .publish(&topic(5), br#"{"b":2,"$version":5}"#)
        .await;
    let expected = DesiredDocument {
        document: json!({"a": 1, "b": 2}),
        version: Some(5),
    };
    assert_eq!(bench.news().await, Inbound::Desired(expected));
    assert_eq!(bench.hub.hear().await, Said::Acknowledged(PacketId::MIN));
    bench
        .hub
        .publish(&topic(9), br#"{"c":3,"$version":9}"#)
        .await;
    assert_eq!(bench.hub.hear().await, Said::Acknowledged(PacketId::MIN));
    bench
        .hub
        .answer_twin(200, r#"{"desired":{"c":3,"$version":9}}"#)
        .await;
    let expected = DesiredDocument {
        document: json!({"c": 3}),
        version: Some(9),
    };
    assert_eq!(bench.news().await, Inbound::Desired(expected));
}

#[tokio::test]
async fn a_method_is_acknowledged_handed_over_and_answered() {
    let (mut bench, _parcels) = Bench::with_twin(Given::default()).await;
    bench
        .hub
        .publish("$iothub/methods/POST/send/?$rid=7a&x", b"{}")
        .await;
    assert_eq!(bench.hub.hear().await, Said::Acknowledged(PacketId::MIN));
    let Inbound::Method {
        name,
        payload,
        answer,
    } = bench.news().await
    else {
        panic!("a method call");
    };
    assert_eq!(
        (name.as_str(), &payload[..], answer.as_str()),
        ("send", &b"{}"[..], "7a&x")
    );
    let response = Outgoing::MethodResponse {
        rid: answer,
        status: 200,
        payload: json!({"sent": 3}),
    };
    bench.outgoing.send(response).await.unwrap();
    let (topic, payload) = bench.hub.hear_control().await;
    assert_eq!(topic, "$iothub/methods/res/200/?$rid=7a&x");
    assert_eq!(payload, r#"{"sent":3}"#);
}

#[tokio::test]
async fn a_module_that_does_not_keep_up_answers_busy() {
    let (mut bench, _parcels) = Bench::with_twin(Given {
        inbound: 1,
        ..Given::default()
    })
    .await;
    for rid in ["1", "2"] {
        bench
            .hub
            .publish(&format!("$iothub/methods/POST/send/?$rid={rid}"), b"")
            .await;
        assert_eq!(bench.hub.hear().await, Said::Acknowledged(PacketId::MIN));
    }
    let (topic, body) = bench.hub.hear_control().await;
    assert_eq!(topic, "$iothub/methods/res/429/?$rid=2");
    assert!(body.starts_with(br#"{"outcome":"busy""#), "{body:?}");
    bench.inbound.close();
    bench
        .hub
        .publish("$iothub/methods/POST/send/?$rid=3", b"")
        .await;
    assert_eq!(bench.hub.hear().await, Said::Acknowledged(PacketId::MIN));
    let (topic, body) = bench.hub.hear_control().await;
    assert_eq!(topic, "$iothub/methods/res/503/?$rid=3");
    assert!(body.starts_with(br#"{"outcome":"interrupted""#), "{body:?}");
}

const INPUT: &str = "devices/dev/modules/gw/inputs/commands/a=b&%24.mid=m%201&%24.cid=c";

#[tokio::test]
async fn an_input_is_acknowledged_when_the_door_says_so_and_nothing_behind_it_before() {
    let (mut bench, _parcels) = Bench::with_twin(Given::default()).await;
    bench.hub.publish(INPUT, b"{}").await;
    bench
        .hub
        .publish("$iothub/methods/POST/status/?$rid=1", b"")
        .await;
    let message = bench.inputs.recv().await.unwrap();
    assert_eq!(message.input, "commands");
    assert_eq!(message.payload, "{}");
    assert_eq!(message.message_id(), Some("m 1"));
    assert_eq!(message.correlation_id(), Some("c"));
    let called = bench.news().await;
    assert!(
        matches!(called, Inbound::Method { .. }),
        "it is not held up"
    );
    let answer = Outgoing::MethodResponse {
        rid: "1".to_owned(),
        status: 200,
        payload: json!({}),
    };
    bench.outgoing.send(answer).await.unwrap();
    let other = DeliveryId(message.delivery.0 + 7);
    let others = Outgoing::Acknowledge(other);
    bench.outgoing.send(others).await.unwrap();
    bench.hub.hear_control().await;
    let acknowledge = Outgoing::Acknowledge(message.delivery);
    bench.outgoing.send(acknowledge).await.unwrap();
    for _ in 0..2 {
        assert_eq!(bench.hub.hear().await, Said::Acknowledged(PacketId::MIN));
    }
}

#[tokio::test]
async fn more_inputs_than_edge_hub_ever_sends_end_the_session_and_one_that_comes_late_is_left_to_it()
 {
    let (mut bench, _parcels) = Bench::with_twin(Given::default()).await;
    for _ in 0..3 {
        bench.hub.publish(INPUT, b"{}").await;
    }
    assert!(
        matches!(bench.ended().await, Ended::Closed(reason) if reason.contains("messages to inputs"))
    );

    let (mut bench, parcels) = Bench::with_twin(Given::default()).await;
    parcels.send(parcel(1)).await.unwrap();
    let (id, _) = bench.hub.hear_telemetry().await;
    bench.stop.cancel();
    parcels.closed().await;
    bench.hub.publish(INPUT, b"{}").await;
    bench.hub.say(Packet::PubAck(id)).await;
    assert_eq!(bench.reports_until_down().await, [1]);
    assert_eq!(bench.hub.hear().await, Said::Disconnect);
}

#[tokio::test]
async fn what_was_answered_before_the_end_is_said_before_the_goodbye() {
    let (mut bench, _parcels) = Bench::with_twin(Given::default()).await;
    for rid in 0..10 {
        let answer = Outgoing::MethodResponse {
            rid: rid.to_string(),
            status: 503,
            payload: json!({}),
        };
        bench.outgoing.send(answer).await.unwrap();
    }
    bench.stop.cancel();
    for rid in 0..10 {
        let (topic, _) = bench.hub.hear_control().await;
        assert_eq!(topic, format!("$iothub/methods/res/503/?$rid={rid}"));
    }
    assert_eq!(bench.hub.hear().await, Said::Disconnect);
}

#[tokio::test]
async fn reported_properties_go_one_after_the_other() {
    let (mut bench, _parcels) = Bench::with_twin(Given::default()).await;
    for n in 1..=2 {
        bench
            .outgoing
            .send(Outgoing::Reported(json!({ "n": n })))
            .await
            .unwrap();
    }
    for n in 1..=2 {
        let (topic, payload) = bench.hub.hear_control().await;
        assert_eq!(payload, json!({ "n": n }).to_string());
        let rid = topic
            .strip_prefix("$iothub/twin/PATCH/properties/reported/?$rid=")
            .unwrap();
        bench
            .hub
            .publish(&format!("$iothub/twin/res/204/?$rid={rid}"), b"")
            .await;
        assert_eq!(bench.hub.hear().await, Said::Acknowledged(PacketId::MIN));
    }
}
