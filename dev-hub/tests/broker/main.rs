//! What edgeHub does on the wire, seen with raw packets.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what goes wrong in a test fails it"
)]

mod client;
mod clocks;
mod faults;
mod workload;

use client::{CLIENT_ID, Client, EVENTS, Got, PATIENCE, USERNAME, good_token, hub, token};
use dev_hub::DevHub;
use mqtt::{Connect, Delivery, Packet, PacketId, Password, Publish, QoS, Will};
use serde_json::json;

#[tokio::test]
async fn who_gets_which_connack() {
    let hub = hub().await;
    let good = good_token(&hub);
    let long_ago = token(&hub, 1_000_000_000);
    let rows = [
        (CLIENT_ID, USERNAME, good.as_str(), Got::ConnAck(0, false)),
        ("edge/other", USERNAME, &good, Got::ConnAck(5, false)),
        ("Edge/gateway", USERNAME, &good, Got::ConnAck(5, false)),
        (CLIENT_ID, USERNAME, &long_ago, Got::ConnAck(5, false)),
        (CLIENT_ID, USERNAME, "", Got::ConnAck(5, false)),
        (CLIENT_ID, "hub/edge/gateway", &good, Got::ConnAck(3, false)),
        (
            CLIENT_ID,
            "hub/edge/gateway?api-version=2021-04-12",
            &good,
            Got::ConnAck(3, false),
        ),
        (CLIENT_ID, "", &good, Got::ConnAck(3, false)),
        (
            "edge/stranger",
            "hub/edge/stranger/?api-version=1",
            &good,
            Got::ConnAck(5, false),
        ),
    ];
    for (client_id, username, password, expected) in rows {
        let mut client = Client::dial(&hub).await;
        client.connect(client_id, username, password).await;
        assert_eq!(client.got().await, expected, "{client_id} {username}");
        if expected != Got::ConnAck(0, false) {
            assert_eq!(client.got().await, Got::Closed);
        }
    }
    hub.stop().await;
}

#[tokio::test]
async fn another_protocol_level_is_refused_and_anything_else_closed() {
    let hub = hub().await;
    let mut old = Client::dial(&hub).await;
    old.send_bytes(&[
        0x10, 0x0d, 0, 4, b'M', b'Q', b'T', b'T', 5, 2, 0, 60, 0, 1, b'a',
    ])
    .await;
    assert_eq!(old.got().await, Got::ConnAck(1, false));
    let mut early = Client::dial(&hub).await;
    early.send(&Packet::PingReq).await;
    assert_eq!(early.got().await, Got::Closed);
    hub.stop().await;
}

#[tokio::test]
async fn telemetry_is_stored_then_acknowledged_in_order() {
    let hub = hub().await;
    let mut client = Client::connected(&hub).await;
    for id in 1..=50 {
        client
            .publish(id, &format!("{EVENTS}%24.mid=m{id}&a=b%20c"), "{}")
            .await;
    }
    for id in 1..=50 {
        assert_eq!(client.got().await, Got::PubAck(id));
    }
    let messages = hub.upstream().messages();
    let ids: Vec<_> = messages
        .iter()
        .map(|message| message.message_id().unwrap().to_owned())
        .collect();
    assert_eq!(ids, (1..=50).map(|id| format!("m{id}")).collect::<Vec<_>>());
    assert_eq!(messages[0].property("a"), Some("b c"));
    assert_eq!(hub.counters().silent_losses(), 0);
    hub.stop().await;
}

#[tokio::test]
async fn what_came_before_a_goodbye_is_stored() {
    let hub = hub().await;
    let mut client = Client::connected(&hub).await;
    let publish = Publish {
        topic: EVENTS,
        payload: b"{}",
        delivery: Delivery::AtMostOnce,
        retain: false,
    };
    let mut bytes = bytes::BytesMut::new();
    mqtt::encode(&Packet::Publish(publish), &mut bytes).unwrap();
    mqtt::encode(&Packet::Disconnect, &mut bytes).unwrap();
    client.send_bytes(&bytes).await;
    assert_eq!(client.got().await, Got::Closed);
    assert_eq!(hub.upstream().count(), 1);
    hub.stop().await;
}

#[tokio::test]
async fn what_is_lost_in_silence_is_acknowledged_and_counted() {
    let hub = DevHub::builder().edge_device("edge").module("gateway");
    let hub = hub
        .route(
            "up",
            "FROM /messages/modules/gateway/outputs/up INTO $upstream",
        )
        .start()
        .await
        .unwrap();
    let mut client = Client::connected(&hub).await;
    let topics = [
        "weather".to_owned(),
        format!("{EVENTS}a=1&"),
        format!("{EVENTS}a=1&A=2"),
        format!("{EVENTS}%24.on=%20"),
        format!("{EVENTS}%24.on=elsewhere"),
        format!("{EVENTS}%24.on=up&deviceId=truck"),
        format!("{EVENTS}%24.on=up&%24.ctime=2026-01-31T12:00:00.123Z"),
    ];
    for (topic, id) in topics.iter().zip(1..) {
        client.publish(id, topic, "x").await;
        assert_eq!(client.got().await, Got::PubAck(id), "{topic}");
    }
    let counters = hub.counters();
    let one_each = [
        counters.dropped_topic,
        counters.dropped_bag,
        counters.dropped_same_name,
        counters.dropped_blank_output,
        counters.dropped_no_route,
        counters.upstream_out_of_scope,
        counters.upstream_bad_creation_time,
        counters.sender_overwritten,
    ];
    assert_eq!((one_each, counters.silent_losses()), ([1; 8], 7));
    assert_eq!(hub.upstream().count(), 0);
    hub.stop().await;
}

#[tokio::test]
async fn what_closes_the_connection() {
    let hub = hub().await;
    let qos_2 = Delivery::ExactlyOnce {
        id: PacketId::MIN,
        dup: false,
    };
    let large = "x".repeat(262_144);
    let rows: [(&str, &str, Delivery); 4] = [
        (EVENTS, "x", qos_2),
        (EVENTS, &large, Delivery::AtMostOnce),
        ("$iothub/twin/GET/?$rid=", "", Delivery::AtMostOnce),
        (
            "devices/edge/modules/other/messages/events/",
            "",
            Delivery::AtMostOnce,
        ),
    ];
    for (topic, payload, delivery) in rows {
        let mut client = Client::connected(&hub).await;
        let publish = Publish {
            topic,
            payload: payload.as_bytes(),
            delivery,
            retain: false,
        };
        client.send(&Packet::Publish(publish)).await;
        assert_eq!(client.got().await, Got::Closed, "{topic}");
    }
    let counters = hub.counters();
    assert_eq!(
        (
            counters.qos_2,
            counters.protocol_error,
            counters.bad_twin_topic,
            counters.foreign_topic
        ),
        (1, 1, 1, 1)
    );
    assert_eq!(hub.upstream().count(), 1, "QoS 2 is processed, then closed");
    hub.stop().await;
}

#[tokio::test]
async fn subscriptions_are_granted_and_come_back_with_the_session() {
    let hub = hub().await;
    hub.set_desired("gateway", json!({ "a": 1 })).unwrap();
    let mut client = Client::connected(&hub).await;
    client
        .subscribe(&[
            "$iothub/twin/res/#",
            "anything/+",
            "$iothub/twin/PATCH/properties/desired/#",
        ])
        .await;
    assert_eq!(client.got().await, Got::SubAck(vec![1, 1, 1]));
    client.publish(1, "$iothub/twin/GET/?$rid=7", " ").await;
    let payload = r#"{"desired":{"a":1,"$version":2},"reported":{"$version":1}}"#.to_owned();
    let topic = "$iothub/twin/res/200/?$rid=7".to_owned();
    assert_eq!(
        client.got().await,
        Got::Message {
            topic,
            payload,
            id: Some(1),
            dup: false
        }
    );
    assert_eq!(client.got().await, Got::PubAck(1));
    drop(client);
    hub.wait_for_counters(PATIENCE, |counters| counters.closed == 1)
        .await
        .unwrap();

    hub.patch_desired("gateway", json!({ "b": 2 })).unwrap();
    hub.patch_desired("gateway", json!({ "a": null })).unwrap();
    let mut again = Client::dial(&hub).await;
    again.connect(CLIENT_ID, USERNAME, &good_token(&hub)).await;
    assert_eq!(again.got().await, Got::ConnAck(0, true), "session present");
    let topic = "$iothub/twin/PATCH/properties/desired/?$version=4".to_owned();
    let payload = r#"{"b":2,"a":null,"$version":4}"#.to_owned();
    let missed = Got::Message {
        topic,
        payload,
        id: Some(1),
        dup: false,
    };
    assert_eq!(
        again.got().await,
        missed,
        "what was missed, as one patch, before any SUBSCRIBE"
    );
    hub.stop().await;
}

#[tokio::test]
async fn reported_patches_are_answered_without_version() {
    let hub = hub().await;
    let mut client = Client::connected(&hub).await;
    client.subscribe(&["$iothub/twin/res/#"]).await;
    client.got().await;
    for (payload, status) in [(r#"{"a":1}"#, 204), (r#"{"a.b":1}"#, 400), ("{", 500)] {
        client
            .publish(9, "$iothub/twin/PATCH/properties/reported/?$rid=3", payload)
            .await;
        let topic = format!("$iothub/twin/res/{status}/?$rid=3");
        assert_eq!(
            client.got().await,
            Got::Message {
                topic,
                payload: String::new(),
                id: Some(1),
                dup: false
            }
        );
        assert_eq!(client.got().await, Got::PubAck(9));
    }
    assert_eq!(hub.reported("gateway").unwrap(), json!({ "a": 1 }));
    hub.stop().await;
}

#[tokio::test]
async fn inputs_go_one_at_a_time_and_again_after_a_reconnect() {
    let hub = hub().await;
    let mut client = Client::connected(&hub).await;
    client
        .subscribe(&["devices/edge/modules/gateway/inputs/#"])
        .await;
    client.got().await;
    hub.send_input("gateway", "one", &[("k", "a b")], "first")
        .unwrap();
    hub.send_input("gateway", "two", &[], "second").unwrap();
    let first = || Got::Message {
        topic: "devices/edge/modules/gateway/inputs/one/k=a%20b&%24.cdid=edge&%24.cmid=sender"
            .into(),
        payload: "first".into(),
        id: Some(1),
        dup: false,
    };
    assert_eq!(client.got().await, first());
    // The answer to a ping shows that nothing else was on its way before it.
    client.send(&Packet::PingReq).await;
    assert_eq!(
        client.got().await,
        Got::Other,
        "the second waits for the first one's PUBACK"
    );
    drop(client);
    hub.wait_for_counters(PATIENCE, |counters| counters.closed == 1)
        .await
        .unwrap();

    let mut again = Client::connected(&hub).await;
    assert_eq!(
        again.got().await,
        first(),
        "not acknowledged, so again, and not as DUP"
    );
    again.acknowledge().await;
    assert!(matches!(again.got().await, Got::Message { payload, .. } if payload == "second"));
    again.acknowledge().await;
    let counters = hub
        .wait_for_counters(PATIENCE, |counters| counters.inputs_consumed == 2)
        .await
        .unwrap();
    assert_eq!((counters.inputs_queued, counters.inputs_sent), (2, 3));
    hub.stop().await;
}

#[tokio::test]
async fn an_input_without_a_matching_filter_is_lost() {
    let hub = hub().await;
    let mut client = Client::connected(&hub).await;
    client
        .subscribe(&["devices/edge/modules/gateway/inputs/one/#"])
        .await;
    client.got().await;
    hub.send_input("gateway", "two", &[], "lost").unwrap();
    hub.wait_for_counters(PATIENCE, |counters| counters.inputs_dropped_no_filter == 1)
        .await
        .unwrap();
    hub.stop().await;
}

#[tokio::test]
async fn methods_go_to_who_subscribed() {
    let hub = hub().await;
    let mut client = Client::connected(&hub).await;
    let nobody = hub.invoke_method("gateway", "go", None, PATIENCE).await;
    assert_eq!(nobody, Err(dev_hub::MethodError::NotConnected));
    client.subscribe(&["$iothub/methods/POST/#"]).await;
    client.got().await;
    let answering = async {
        let Got::Message {
            topic, payload, id, ..
        } = client.got().await
        else {
            panic!("no method")
        };
        let rid = topic
            .strip_prefix("$iothub/methods/POST/go/?$rid=")
            .unwrap()
            .to_uppercase();
        assert_eq!(
            (payload.as_str(), id),
            ("", Some(1)),
            "without payload not a byte"
        );
        client
            .publish(1, &format!("$iothub/methods/res/207/?$rid={rid}"), "[1]")
            .await;
    };
    let (answer, ()) = tokio::join!(
        hub.invoke_method("gateway", "go", None, PATIENCE),
        answering
    );
    let answer = answer.unwrap();
    assert_eq!((answer.status, answer.payload), (207, json!([1])));
    hub.stop().await;
}

#[tokio::test]
async fn the_newer_connection_of_an_identity_wins() {
    let hub = hub().await;
    let mut older = Client::connected(&hub).await;
    let mut newer = Client::connected(&hub).await;
    assert_eq!(older.got().await, Got::Closed);
    newer.publish(1, EVENTS, "x").await;
    assert_eq!(newer.got().await, Got::PubAck(1));
    assert_eq!(hub.counters().taken_over, 1);
    hub.stop().await;
}

#[tokio::test]
async fn a_will_goes_out_when_the_client_vanishes_and_not_when_it_says_goodbye() {
    let hub = hub().await;
    let token = good_token(&hub);
    for goodbye in [true, false] {
        let mut client = Client::dial(&hub).await;
        let will = Will {
            topic: EVENTS,
            payload: b"gone",
            qos: QoS::AtLeastOnce,
            retain: false,
        };
        let connect = Connect {
            client_id: CLIENT_ID,
            clean_session: true,
            keep_alive: 60,
            will: Some(will),
            username: Some(USERNAME),
            password: Some(Password(token.as_bytes())),
        };
        client.send(&Packet::Connect(connect)).await;
        assert_eq!(client.got().await, Got::ConnAck(0, false));
        if goodbye {
            client.send(&Packet::Disconnect).await;
            assert_eq!(client.got().await, Got::Closed);
        }
    }
    let will = hub.upstream().wait_for_count(1, PATIENCE).await.unwrap();
    assert_eq!(
        (&*will[0].body, will[0].property("MessageType")),
        (&b"gone"[..], Some("Will"))
    );
    hub.wait_for_counters(PATIENCE, |counters| counters.closed == 2)
        .await
        .unwrap();
    assert_eq!(hub.counters().wills, 1);
    hub.stop().await;
}

#[tokio::test]
async fn flags_become_properties() {
    let hub = hub().await;
    let mut client = Client::connected(&hub).await;
    let delivery = Delivery::AtLeastOnce {
        id: PacketId::MIN,
        dup: true,
    };
    client
        .send(&Packet::Publish(Publish {
            topic: EVENTS,
            payload: b"x",
            delivery,
            retain: true,
        }))
        .await;
    assert_eq!(client.got().await, Got::PubAck(1));
    let message = &hub.upstream().messages()[0];
    assert_eq!(
        (
            message.property("mqtt-dup"),
            message.property("mqtt-retain")
        ),
        (Some("true"), Some("true"))
    );
    assert_eq!(
        (hub.counters().dup_received, hub.counters().retain_received),
        (1, 1)
    );
    hub.stop().await;
}

#[tokio::test]
async fn a_route_leads_to_the_input_of_a_module() {
    let hub = DevHub::builder().edge_device("edge").module("gateway");
    let route = r#"FROM /messages/modules/gateway/outputs/* WHERE $body.level > 3 INTO BrokeredEndpoint("/modules/gateway/inputs/back")"#;
    let hub = hub.route("back", route).start().await.unwrap();
    let mut client = Client::connected(&hub).await;
    client.subscribe(&["devices/edge/modules/gateway/#"]).await;
    client.got().await;
    let topic = format!("{EVENTS}%24.on=o&%24.ct=application%2Fjson&%24.ce=utf-8");
    client.publish(1, &topic, r#"{"level":3}"#).await;
    assert_eq!(client.got().await, Got::PubAck(1));
    client.publish(2, &topic, r#"{"level":4}"#).await;
    let mut came = [client.got().await, client.got().await];
    came.sort_by_key(|got| matches!(got, Got::PubAck(_)));
    let topic = "devices/edge/modules/gateway/inputs/back/%24.ce=utf-8&%24.ct=application%2Fjson&%24.cdid=edge&%24.cmid=gateway";
    let message = Got::Message {
        topic: topic.into(),
        payload: r#"{"level":4}"#.into(),
        id: Some(1),
        dup: false,
    };
    assert_eq!(came, [message, Got::PubAck(2)]);
    assert_eq!(hub.counters().dropped_no_route, 1);
    hub.stop().await;
}
