//! The codec against `mqttbytes`, which others wrote: both say and understand the same.

#![expect(clippy::expect_used, reason = "a test says what differs by panicking")]

use bytes::BytesMut;
use mqtt::{
    ConnAck, Connect, Delivery, Packet, PacketId, Password, Publish, QoS, Refusal, SubAck,
    Subscribe, Unsubscribe, Will, decode, encode,
};
use mqttbytes::v4::{self, ConnectReturnCode, SubscribeReasonCode};
use mqttbytes::{Protocol, QoS as Level};
use proptest::prelude::*;

const MAX: usize = 1 << 20;

fn levels() -> impl Strategy<Value = Level> {
    prop_oneof![
        Just(Level::AtMostOnce),
        Just(Level::AtLeastOnce),
        Just(Level::ExactlyOnce)
    ]
}

fn topics() -> impl Strategy<Value = String> {
    "[a-zé/ $%]{1,20}"
}

fn filters() -> impl Strategy<Value = String> {
    prop_oneof![topics(), Just("#".into()), Just("+/a/#".into())]
}

fn payloads() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        (120_usize..140).prop_map(|length| vec![7; length]),
        (16_370_usize..16_390).prop_map(|length| vec![7; length]),
    ]
}

/// `mqttbytes` writes an empty name or password as none, so there is none empty.
fn connects() -> impl Strategy<Value = v4::Packet> {
    let will = (topics(), payloads(), levels(), any::<bool>());
    let will = will
        .prop_map(|(topic, message, qos, retain)| v4::LastWill::new(topic, message, qos, retain));
    let login = ("[a-z/=?]{1,40}", "[ -~]{1,40}");
    let login = login.prop_map(|(name, password)| v4::Login::new(name, password));
    let whole = (
        any::<u16>(),
        "[a-z/]{1,20}",
        any::<bool>(),
        proptest::option::of(will),
        proptest::option::of(login),
    );
    whole.prop_map(|(keep_alive, client_id, clean_session, last_will, login)| {
        v4::Packet::Connect(v4::Connect {
            protocol: Protocol::V4,
            keep_alive,
            client_id,
            clean_session,
            last_will,
            login,
        })
    })
}

fn publishes() -> impl Strategy<Value = v4::Packet> {
    let whole = (
        topics(),
        payloads(),
        levels(),
        1..=u16::MAX,
        any::<[bool; 2]>(),
    );
    whole.prop_map(|(topic, payload, qos, id, [dup, retain])| {
        let mut publish = v4::Publish::new(topic, qos, payload);
        publish.retain = retain;
        if qos != Level::AtMostOnce {
            (publish.pkid, publish.dup) = (id, dup);
        }
        v4::Packet::Publish(publish)
    })
}

fn subscriptions() -> impl Strategy<Value = v4::Packet> {
    let wanted = proptest::collection::vec((filters(), levels()), 1..5);
    let granted = prop_oneof![
        levels().prop_map(SubscribeReasonCode::Success),
        Just(SubscribeReasonCode::Failure)
    ];
    prop_oneof![
        (1..=u16::MAX, wanted).prop_map(|(id, wanted)| {
            let wanted = wanted.into_iter();
            let mut subscribe = v4::Subscribe::new_many(
                wanted.map(|(path, qos)| v4::SubscribeFilter::new(path, qos)),
            );
            subscribe.pkid = id;
            v4::Packet::Subscribe(subscribe)
        }),
        (1..=u16::MAX, proptest::collection::vec(granted, 1..5))
            .prop_map(|(id, granted)| v4::Packet::SubAck(v4::SubAck::new(id, granted))),
        (1..=u16::MAX, proptest::collection::vec(filters(), 1..5)).prop_map(|(id, topics)| {
            v4::Packet::Unsubscribe(v4::Unsubscribe { pkid: id, topics })
        }),
    ]
}

fn short() -> impl Strategy<Value = v4::Packet> {
    use ConnectReturnCode as Code;
    let codes = prop_oneof![
        Just(Code::RefusedProtocolVersion),
        Just(Code::BadClientId),
        Just(Code::ServiceUnavailable),
        Just(Code::BadUserNamePassword),
        Just(Code::NotAuthorized)
    ];
    prop_oneof![
        codes.prop_map(|code| v4::Packet::ConnAck(v4::ConnAck::new(code, false))),
        any::<bool>()
            .prop_map(|present| v4::Packet::ConnAck(v4::ConnAck::new(Code::Success, present))),
        (1..=u16::MAX).prop_map(|id| v4::Packet::PubAck(v4::PubAck::new(id))),
        (1..=u16::MAX).prop_map(|id| v4::Packet::PubRec(v4::PubRec::new(id))),
        (1..=u16::MAX).prop_map(|id| v4::Packet::PubRel(v4::PubRel::new(id))),
        (1..=u16::MAX).prop_map(|id| v4::Packet::PubComp(v4::PubComp::new(id))),
        (1..=u16::MAX).prop_map(|id| v4::Packet::UnsubAck(v4::UnsubAck::new(id))),
        Just(v4::Packet::PingReq),
        Just(v4::Packet::PingResp),
        Just(v4::Packet::Disconnect),
    ]
}

fn packets() -> impl Strategy<Value = v4::Packet> {
    prop_oneof![connects(), publishes(), subscriptions(), short()]
}

/// Their packet as ours.
fn ours(packet: &v4::Packet) -> Packet<'_> {
    match packet {
        v4::Packet::Connect(connect) => Packet::Connect(ours_connect(connect)),
        v4::Packet::ConnAck(answer) => Packet::ConnAck(ours_connack(answer)),
        v4::Packet::Publish(publish) => Packet::Publish(Publish {
            topic: &publish.topic,
            payload: &publish.payload,
            delivery: delivery(publish),
            retain: publish.retain,
        }),
        v4::Packet::PubAck(packet) => Packet::PubAck(id(packet.pkid)),
        v4::Packet::PubRec(packet) => Packet::PubRec(id(packet.pkid)),
        v4::Packet::PubRel(packet) => Packet::PubRel(id(packet.pkid)),
        v4::Packet::PubComp(packet) => Packet::PubComp(id(packet.pkid)),
        v4::Packet::Subscribe(packet) => Packet::Subscribe(Subscribe {
            id: id(packet.pkid),
            filters: (packet.filters.iter())
                .map(|filter| (filter.path.as_str(), level(filter.qos)))
                .collect(),
        }),
        v4::Packet::SubAck(packet) => Packet::SubAck(SubAck {
            id: id(packet.pkid),
            granted: packet.return_codes.iter().map(granted).collect(),
        }),
        v4::Packet::Unsubscribe(packet) => Packet::Unsubscribe(Unsubscribe {
            id: id(packet.pkid),
            filters: packet.topics.iter().map(String::as_str).collect(),
        }),
        v4::Packet::UnsubAck(packet) => Packet::UnsubAck(id(packet.pkid)),
        v4::Packet::PingReq => Packet::PingReq,
        v4::Packet::PingResp => Packet::PingResp,
        v4::Packet::Disconnect => Packet::Disconnect,
    }
}

fn ours_connect(connect: &v4::Connect) -> Connect<'_> {
    let login = connect.login.as_ref();
    Connect {
        client_id: &connect.client_id,
        clean_session: connect.clean_session,
        keep_alive: connect.keep_alive,
        will: connect.last_will.as_ref().map(|will| Will {
            topic: &will.topic,
            payload: &will.message,
            qos: level(will.qos),
            retain: will.retain,
        }),
        username: login.map(|login| login.username.as_str()),
        password: login.map(|login| Password(login.password.as_bytes())),
    }
}

fn ours_connack(answer: &v4::ConnAck) -> ConnAck {
    let refusal = match answer.code {
        ConnectReturnCode::Success => {
            return ConnAck::Accepted {
                session_present: answer.session_present,
            };
        }
        ConnectReturnCode::RefusedProtocolVersion => Refusal::ProtocolLevel,
        ConnectReturnCode::BadClientId => Refusal::ClientId,
        ConnectReturnCode::ServiceUnavailable => Refusal::Unavailable,
        ConnectReturnCode::BadUserNamePassword => Refusal::Credentials,
        ConnectReturnCode::NotAuthorized => Refusal::NotAuthorized,
    };
    ConnAck::Refused(refusal)
}

fn delivery(publish: &v4::Publish) -> Delivery {
    let dup = publish.dup;
    match publish.qos {
        Level::AtMostOnce => Delivery::AtMostOnce,
        Level::AtLeastOnce => Delivery::AtLeastOnce {
            id: id(publish.pkid),
            dup,
        },
        Level::ExactlyOnce => Delivery::ExactlyOnce {
            id: id(publish.pkid),
            dup,
        },
    }
}

fn level(level: Level) -> QoS {
    QoS::from_bits(level as u8).expect("three levels")
}

fn granted(code: &SubscribeReasonCode) -> Option<QoS> {
    match code {
        SubscribeReasonCode::Success(qos) => Some(level(*qos)),
        SubscribeReasonCode::Failure => None,
    }
}

fn id(id: u16) -> PacketId {
    PacketId::new(id).expect("an id")
}

fn written(packet: &v4::Packet) -> BytesMut {
    let mut bytes = BytesMut::new();
    let result = match packet {
        v4::Packet::Connect(packet) => packet.write(&mut bytes),
        v4::Packet::ConnAck(packet) => packet.write(&mut bytes),
        v4::Packet::Publish(packet) => packet.write(&mut bytes),
        v4::Packet::PubAck(packet) => packet.write(&mut bytes),
        v4::Packet::PubRec(packet) => packet.write(&mut bytes),
        v4::Packet::PubRel(packet) => packet.write(&mut bytes),
        v4::Packet::PubComp(packet) => packet.write(&mut bytes),
        v4::Packet::Subscribe(packet) => packet.write(&mut bytes),
        v4::Packet::SubAck(packet) => packet.write(&mut bytes),
        v4::Packet::Unsubscribe(packet) => packet.write(&mut bytes),
        v4::Packet::UnsubAck(packet) => packet.write(&mut bytes),
        v4::Packet::PingReq => v4::PingReq.write(&mut bytes),
        v4::Packet::PingResp => v4::PingResp.write(&mut bytes),
        v4::Packet::Disconnect => v4::Disconnect.write(&mut bytes),
    };
    result.expect("they can write it");
    bytes
}

/// What the two say differently on purpose: `mqttbytes` takes an empty name or password for none,
/// and a password for text, which in MQTT it is not.
fn said_differently(packet: &Packet<'_>) -> bool {
    let Packet::Connect(connect) = packet else {
        return false;
    };
    let password = connect.password.map(|Password(bytes)| bytes);
    connect.username.is_some_and(str::is_empty)
        || connect.username.is_some() != password.is_some()
        || password.is_some_and(|bytes| bytes.is_empty() || std::str::from_utf8(bytes).is_err())
}

proptest! {
    #[test]
    fn they_read_what_we_write(packet in packets()) {
        let mut bytes = BytesMut::new();
        encode(&ours(&packet), &mut bytes).expect("we can write it");
        prop_assert_eq!(v4::read(&mut bytes, MAX).expect("they can read it"), packet);
        prop_assert!(bytes.is_empty());
    }

    #[test]
    fn we_read_what_they_write(packet in packets()) {
        let bytes = written(&packet);
        let (read, used) = decode(&bytes, MAX).expect("no mistake").expect("whole");
        prop_assert_eq!(used, bytes.len());
        prop_assert_eq!(read, ours(&packet));
    }

    /// We may refuse more than they do, never understand something else.
    #[test]
    fn of_damaged_bytes_we_read_nothing_that_they_read_otherwise(
        packet in packets(), place in any::<prop::sample::Index>(), value in any::<u8>()
    ) {
        let mut bytes = written(&packet);
        let place = place.index(bytes.len());
        bytes[place] = value;
        if let Ok(Some((read, used))) = decode(&bytes, MAX)
            && !said_differently(&read)
        {
            let mut whole = BytesMut::from(&bytes[..used]);
            let theirs = v4::read(&mut whole, MAX).expect("they can read it");
            prop_assert_eq!(read, ours(&theirs));
        }
    }
}
