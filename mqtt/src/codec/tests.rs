//! Each packet as the standard writes it, and each way to break its rules.

use bytes::BytesMut;
use proptest::prelude::*;

use super::{DecodeError, EncodeError, decode, encode, fuzz};
use crate::packet::{
    ConnAck, Connect, Delivery, Packet, PacketId, Password, Publish, QoS, Refusal, SubAck,
    Subscribe, Unsubscribe, Will,
};

const MAX: usize = 262_144;

fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

fn publish(delivery: Delivery) -> Packet<'static> {
    Packet::Publish(Publish {
        topic: "a/b",
        payload: b"hi",
        delivery,
        retain: false,
    })
}

fn connect() -> Connect<'static> {
    Connect {
        client_id: "c",
        clean_session: false,
        keep_alive: 300,
        will: None,
        username: None,
        password: None,
    }
}

fn will(topic: &'static str) -> Option<Will<'static>> {
    Some(Will {
        topic,
        payload: b"x",
        qos: QoS::AtLeastOnce,
        retain: true,
    })
}

/// The bytes were written by hand from chapter 3 of the standard.
fn examples() -> Vec<(Packet<'static>, &'static [u8])> {
    let full = Connect {
        clean_session: true,
        will: will("w"),
        username: Some("u"),
        password: Some(Password(b"\xff\x00")),
        ..connect()
    };
    let name_only = Connect {
        username: Some(""),
        ..connect()
    };
    vec![
        (
            Packet::Connect(connect()),
            b"\x10\x0d\x00\x04MQTT\x04\x00\x01\x2c\x00\x01c",
        ),
        (
            Packet::Connect(name_only),
            b"\x10\x0f\x00\x04MQTT\x04\x80\x01\x2c\x00\x01c\x00\x00",
        ),
        (
            Packet::Connect(full),
            b"\x10\x1a\x00\x04MQTT\x04\xee\x01\x2c\x00\x01c\x00\x01w\x00\x01x\x00\x01u\x00\x02\xff\x00",
        ),
        (
            Packet::ConnAck(ConnAck::Accepted {
                session_present: false,
            }),
            b"\x20\x02\x00\x00",
        ),
        (
            Packet::ConnAck(ConnAck::Accepted {
                session_present: true,
            }),
            b"\x20\x02\x01\x00",
        ),
        (
            Packet::ConnAck(ConnAck::Refused(Refusal::ProtocolLevel)),
            b"\x20\x02\x00\x01",
        ),
        (
            Packet::ConnAck(ConnAck::Refused(Refusal::ClientId)),
            b"\x20\x02\x00\x02",
        ),
        (
            Packet::ConnAck(ConnAck::Refused(Refusal::Unavailable)),
            b"\x20\x02\x00\x03",
        ),
        (
            Packet::ConnAck(ConnAck::Refused(Refusal::Credentials)),
            b"\x20\x02\x00\x04",
        ),
        (
            Packet::ConnAck(ConnAck::Refused(Refusal::NotAuthorized)),
            b"\x20\x02\x00\x05",
        ),
        (publish(Delivery::AtMostOnce), b"\x30\x07\x00\x03a/bhi"),
        (
            publish(Delivery::AtLeastOnce {
                id: id(10),
                dup: false,
            }),
            b"\x32\x09\x00\x03a/b\x00\x0ahi",
        ),
        (
            publish(Delivery::ExactlyOnce {
                id: id(0xffff),
                dup: true,
            }),
            b"\x3c\x09\x00\x03a/b\xff\xffhi",
        ),
        (
            Packet::Publish(Publish {
                topic: "/",
                payload: b"",
                delivery: Delivery::AtMostOnce,
                retain: true,
            }),
            b"\x31\x03\x00\x01/",
        ),
        (Packet::PubAck(id(1)), b"\x40\x02\x00\x01"),
        (Packet::PubRec(id(2)), b"\x50\x02\x00\x02"),
        (Packet::PubRel(id(3)), b"\x62\x02\x00\x03"),
        (Packet::PubComp(id(0x1234)), b"\x70\x02\x12\x34"),
        (
            Packet::Subscribe(Subscribe {
                id: id(10),
                filters: vec![("a/b", QoS::AtLeastOnce), ("#", QoS::ExactlyOnce)],
            }),
            b"\x82\x0c\x00\x0a\x00\x03a/b\x01\x00\x01#\x02",
        ),
        (
            Packet::SubAck(SubAck {
                id: id(10),
                granted: vec![
                    Some(QoS::AtMostOnce),
                    Some(QoS::AtLeastOnce),
                    Some(QoS::ExactlyOnce),
                    None,
                ],
            }),
            b"\x90\x06\x00\x0a\x00\x01\x02\x80",
        ),
        (
            Packet::Unsubscribe(Unsubscribe {
                id: id(10),
                filters: vec!["a/b", "c/+"],
            }),
            b"\xa2\x0c\x00\x0a\x00\x03a/b\x00\x03c/+",
        ),
        (Packet::UnsubAck(id(10)), b"\xb0\x02\x00\x0a"),
        (Packet::PingReq, b"\xc0\x00"),
        (Packet::PingResp, b"\xd0\x00"),
        (Packet::Disconnect, b"\xe0\x00"),
    ]
}

#[test]
fn both_directions() {
    for (packet, bytes) in examples() {
        let mut buffer = BytesMut::new();
        encode(&packet, &mut buffer).unwrap();
        assert_eq!(buffer, bytes, "{packet:?}");
        let decoded = decode(bytes, MAX);
        assert_eq!(decoded, Ok(Some((packet, bytes.len()))));
    }
}

#[test]
fn a_packet_is_read_once_it_is_whole_and_no_further() {
    for (packet, bytes) in examples() {
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut], MAX), Ok(None), "{packet:?} at {cut}");
        }
        let followed = [bytes, b"\xff\xff"].concat();
        let decoded = decode(&followed, MAX);
        assert_eq!(decoded, Ok(Some((packet, bytes.len()))));
    }
}

#[test]
fn what_the_standard_forbids_is_refused() {
    use DecodeError as E;
    let rows: &[(&[u8], DecodeError)] = &[
        (b"\x00\x00", E::UnknownType(0)),
        (b"\xf0", E::UnknownType(15)),
        (b"\x11", E::Flags { kind: 1, flags: 1 }),
        (b"\x60", E::Flags { kind: 6, flags: 0 }),
        (b"\x80", E::Flags { kind: 8, flags: 0 }),
        (b"\xa0", E::Flags { kind: 10, flags: 0 }),
        (b"\xa3", E::Flags { kind: 10, flags: 3 }),
        (b"\xc2", E::Flags { kind: 12, flags: 2 }),
        (b"\x30\xff\xff\xff\xff", E::RemainingLength),
        (b"\x30\x80\x80\x80\x80\x01", E::RemainingLength),
        // CONNECT
        (b"\x10\x00", E::Truncated),
        (
            b"\x10\x0d\x00\x04MQXT\x04\x00\x00\x00\x00\x01c",
            E::ProtocolName,
        ),
        (
            b"\x10\x0f\x00\x06MQIsdp\x03\x00\x00\x00\x00\x01c",
            E::ProtocolName,
        ),
        (
            b"\x10\x0d\x00\x04MQTT\x05\x00\x00\x00\x00\x01c",
            E::ProtocolLevel(5),
        ),
        (
            b"\x10\x0d\x00\x04MQTT\x04\x01\x00\x00\x00\x01c",
            E::ConnectFlags(0x01),
        ),
        (
            b"\x10\x0d\x00\x04MQTT\x04\x08\x00\x00\x00\x01c",
            E::ConnectFlags(0x08),
        ),
        (
            b"\x10\x0d\x00\x04MQTT\x04\x20\x00\x00\x00\x01c",
            E::ConnectFlags(0x20),
        ),
        (
            b"\x10\x0d\x00\x04MQTT\x04\x40\x00\x00\x00\x01c",
            E::ConnectFlags(0x40),
        ),
        (
            b"\x10\x13\x00\x04MQTT\x04\x1c\x00\x00\x00\x01c\x00\x01w\x00\x01x",
            E::QoS(3),
        ),
        (
            b"\x10\x13\x00\x04MQTT\x04\x04\x00\x00\x00\x01c\x00\x01#\x00\x01x",
            E::TopicName,
        ),
        (
            b"\x10\x0d\x00\x04MQTT\x04\x80\x00\x00\x00\x01c",
            E::Truncated,
        ),
        (
            b"\x10\x0e\x00\x04MQTT\x04\x00\x00\x00\x00\x01cc",
            E::TrailingBytes,
        ),
        (b"\x10\x0d\x00\x04MQTT\x04\x00\x00\x00\x00\x01\x00", E::Text),
        (b"\x10\x0d\x00\x04MQTT\x04\x00\x00\x00\x00\x01\xff", E::Text),
        (
            b"\x10\x0d\x00\x04MQTT\x04\x00\x00\x00\x00\x02c",
            E::Truncated,
        ),
        // CONNACK
        (b"\x20\x02\x02\x00", E::ConnAckFlags(2)),
        (b"\x20\x02\x01\x05", E::ConnAckFlags(1)),
        (b"\x20\x02\x00\x06", E::ReturnCode(6)),
        (b"\x20\x01\x00", E::Truncated),
        (b"\x20\x03\x00\x00\x00", E::TrailingBytes),
        // PUBLISH
        (b"\x36\x05\x00\x01a\x00\x01", E::QoS(3)),
        (b"\x38\x03\x00\x01a", E::Flags { kind: 3, flags: 8 }),
        (b"\x32\x05\x00\x01a\x00\x00", E::PacketIdZero),
        (b"\x32\x04\x00\x01a\x00", E::Truncated),
        (b"\x30\x02\x00\x00", E::TopicName),
        (b"\x30\x05\x00\x03a/+", E::TopicName),
        (b"\x30\x05\x00\x03a/#", E::TopicName),
        (b"\x30\x03\x00\x01\x00", E::Text),
        (b"\x30\x05\x00\x03\xed\xa0\x80", E::Text),
        (b"\x30\x03\x00\x02a", E::Truncated),
        (b"\x30\x01\x00", E::Truncated),
        (b"\x30\x00", E::Truncated),
        // acknowledgements
        (b"\x40\x02\x00\x00", E::PacketIdZero),
        (b"\x40\x01\x00", E::Truncated),
        (b"\x40\x03\x00\x01\x00", E::TrailingBytes),
        (b"\x50\x02\x00\x00", E::PacketIdZero),
        (b"\x62\x02\x00\x00", E::PacketIdZero),
        (b"\x70\x02\x00\x00", E::PacketIdZero),
        (b"\xb0\x02\x00\x00", E::PacketIdZero),
        (b"\xb0\x00", E::Truncated),
        // SUBSCRIBE, SUBACK, UNSUBSCRIBE
        (b"\x82\x02\x00\x01", E::EmptyList),
        (b"\x82\x06\x00\x00\x00\x01a\x00", E::PacketIdZero),
        (b"\x82\x06\x00\x01\x00\x01a\x03", E::QoS(3)),
        (b"\x82\x06\x00\x01\x00\x01a\x04", E::QoS(4)),
        (b"\x82\x05\x00\x01\x00\x01a", E::Truncated),
        (b"\x82\x05\x00\x01\x00\x00\x00", E::TopicFilter),
        (b"\x82\x07\x00\x01\x00\x02a#\x00", E::TopicFilter),
        (b"\x90\x02\x00\x01", E::EmptyList),
        (b"\x90\x03\x00\x00\x00", E::PacketIdZero),
        (b"\x90\x03\x00\x01\x03", E::ReturnCode(3)),
        (b"\x90\x03\x00\x01\x81", E::ReturnCode(0x81)),
        (b"\xa2\x02\x00\x01", E::EmptyList),
        (b"\xa2\x05\x00\x00\x00\x01a", E::PacketIdZero),
        (b"\xa2\x06\x00\x01\x00\x02+a", E::TopicFilter),
        // packets without a body
        (b"\xc0\x01\x00", E::TrailingBytes),
        (b"\xd0\x01\x00", E::TrailingBytes),
        (b"\xe0\x01\x00", E::TrailingBytes),
    ];
    for (bytes, error) in rows {
        assert_eq!(decode(bytes, MAX), Err(*error), "{bytes:02x?}");
    }
}

#[test]
fn the_bound_counts_the_whole_packet_and_strikes_before_it_arrives() {
    let packet = b"\x30\x07\x00\x03a/bhi";
    assert!(decode(packet, 9).unwrap().is_some());
    let too_large = Err(DecodeError::TooLarge { length: 9, max: 8 });
    assert_eq!(decode(packet, 8), too_large);
    assert_eq!(decode(&packet[..2], 8), too_large);
    let longest = decode(b"\x30\xff\xff\xff\x7f", MAX);
    let length = 268_435_460;
    assert_eq!(longest, Err(DecodeError::TooLarge { length, max: MAX }));
    assert_eq!(decode(b"\x30\xff\xff\xff\x7f", usize::MAX), Ok(None));
}

#[test]
fn every_size_of_the_remaining_length() {
    for (payload, header) in [
        (124, &[0x30, 127][..]),
        (125, &[0x30, 0x80, 1]),
        (16_380, &[0x30, 0xff, 0x7f]),
        (16_381, &[0x30, 0x80, 0x80, 1]),
        (2_097_148, &[0x30, 0xff, 0xff, 0x7f]),
        (2_097_149, &[0x30, 0x80, 0x80, 0x80, 1]),
    ] {
        let payload = vec![b'x'; payload];
        let packet = Packet::Publish(Publish {
            topic: "t",
            payload: &payload,
            delivery: Delivery::AtMostOnce,
            retain: false,
        });
        let mut buffer = BytesMut::new();
        encode(&packet, &mut buffer).unwrap();
        assert_eq!(&buffer[..header.len()], header);
        let length = buffer.len();
        assert_eq!(decode(&buffer, length), Ok(Some((packet, length))));
    }
}

#[test]
fn what_could_not_be_read_is_not_written() {
    let long = "x".repeat(65_536);
    let huge = vec![0; 268_435_455];
    let subscribe = |filters| {
        let id = id(1);
        Packet::Subscribe(Subscribe { id, filters })
    };
    let publish = |topic, payload| {
        Packet::Publish(Publish {
            topic,
            payload,
            delivery: Delivery::AtMostOnce,
            retain: false,
        })
    };
    let connect = |change: fn(&mut Connect<'static>)| {
        let mut packet = connect();
        change(&mut packet);
        Packet::Connect(packet)
    };
    let long_id = Packet::Connect(Connect {
        client_id: &long,
        ..self::connect()
    });
    let granted = vec![];
    for (packet, error) in [
        (long_id, EncodeError::FieldTooLong(65_536)),
        (connect(|it| it.client_id = "a\0"), EncodeError::Text),
        (connect(|it| it.will = will("+")), EncodeError::TopicName),
        (
            connect(|it| it.password = Some(Password(b"p"))),
            EncodeError::PasswordAlone,
        ),
        (publish("", b""), EncodeError::TopicName),
        (publish("a/#", b""), EncodeError::TopicName),
        (publish(&long, b""), EncodeError::TopicName),
        (
            publish("a", &huge),
            EncodeError::PacketTooLarge(268_435_458),
        ),
        (subscribe(vec![]), EncodeError::EmptyList),
        (
            subscribe(vec![("a", QoS::AtMostOnce), ("#a", QoS::AtMostOnce)]),
            EncodeError::TopicFilter,
        ),
        (
            Packet::SubAck(SubAck { id: id(1), granted }),
            EncodeError::EmptyList,
        ),
        (
            Packet::Unsubscribe(Unsubscribe {
                id: id(1),
                filters: vec![],
            }),
            EncodeError::EmptyList,
        ),
    ] {
        let mut buffer = BytesMut::from(&b"before"[..]);
        assert_eq!(encode(&packet, &mut buffer), Err(error));
        assert_eq!(buffer, &b"before"[..], "{error}");
    }
}

#[test]
fn a_password_is_not_shown() {
    let connect = Connect {
        username: Some("u"),
        password: Some(Password(b"secret")),
        ..connect()
    };
    let shown = format!("{connect:?}");
    assert!(shown.contains("Password(…)"), "{shown}");
    assert!(
        !shown.contains("secret") && !shown.contains("115"),
        "{shown}"
    );
}

proptest! {
    #[test]
    fn any_bytes_keep_the_promises(data in proptest::collection::vec(any::<u8>(), 0..300)) {
        fuzz(&data);
    }

    #[test]
    fn damaged_packets_keep_the_promises(
        order in proptest::collection::vec(any::<prop::sample::Index>(), 1..6),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)
    ) {
        let examples = examples();
        let mut stream: Vec<u8> = order.iter().flat_map(|at| at.get(&examples).1.to_vec()).collect();
        for (place, value) in damage {
            let place = place.index(stream.len());
            stream[place] = value;
        }
        fuzz(&stream);
    }
}
