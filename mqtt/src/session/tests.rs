use super::*;
use tokio::io::{DuplexStream, duplex};

/// The server's end, driven by the test.
struct Server {
    stream: DuplexStream,
    read: BytesMut,
}

impl Server {
    async fn send(&mut self, packet: &Packet<'_>) {
        let mut bytes = BytesMut::new();
        encode(packet, &mut bytes).unwrap();
        self.stream.write_all_buf(&mut bytes).await.unwrap();
    }

    /// The next packet of the client, looked at by `look`.
    async fn expect<R>(&mut self, look: impl Fn(&Packet<'_>) -> R) -> R {
        loop {
            if let Some((packet, used)) = decode(&self.read, 1 << 20).unwrap() {
                let seen = look(&packet);
                self.read.advance(used);
                return seen;
            }
            assert_ne!(
                self.stream.read_buf(&mut self.read).await.unwrap(),
                0,
                "the client closed"
            );
        }
    }

    async fn expect_publish(&mut self) -> (PacketId, String, bool) {
        self.expect(|packet| match packet {
            Packet::Publish(publish) => {
                let payload = String::from_utf8(publish.payload.to_vec()).unwrap();
                (
                    publish.delivery.id().unwrap(),
                    payload,
                    publish.delivery.dup(),
                )
            }
            other => panic!("expected PUBLISH, got {other:?}"),
        })
        .await
    }
}

async fn open(options: ConnectOptions) -> (Session<DuplexStream, &'static str>, Server) {
    let (client, stream) = duplex(1 << 16);
    let mut server = Server {
        stream,
        read: BytesMut::new(),
    };
    let serve = async {
        assert!(
            server
                .expect(|packet| matches!(packet, Packet::Connect(_)))
                .await
        );
        server
            .send(&Packet::ConnAck(ConnAck::Accepted {
                session_present: true,
            }))
            .await;
    };
    let (session, ()) = tokio::join!(Session::connect(client, &options), serve);
    (session.unwrap(), server)
}

fn options() -> ConnectOptions {
    ConnectOptions {
        client_id: "edge/gateway".into(),
        ..ConnectOptions::default()
    }
}

async fn delivered(session: &mut Session<DuplexStream, &'static str>) -> &'static str {
    loop {
        match session.next().await {
            Event::Delivered(tag) => return tag,
            Event::Room => {}
            other => panic!("expected Delivered, got {other:?}"),
        }
    }
}

#[tokio::test]
async fn what_is_not_acknowledged_is_handed_back_in_send_order() {
    let (mut session, mut server) = open(options()).await;
    assert!(session.session_present());
    for tag in ["a", "b", "c", "d"] {
        session.publish("topic", tag.as_bytes(), tag).unwrap();
    }
    let script = async {
        let mut ids = Vec::new();
        for expected in ["a", "b", "c", "d"] {
            let (id, payload, dup) = server.expect_publish().await;
            assert_eq!((payload.as_str(), dup), (expected, false));
            ids.push(id);
        }
        server
            .send(&Packet::PubAck(PacketId::new(999).unwrap()))
            .await;
        server.send(&Packet::PubAck(ids[2])).await;
        server.send(&Packet::PubAck(ids[0])).await;
        drop(server);
    };
    let client = async {
        assert_eq!(delivered(&mut session).await, "c");
        assert_eq!(delivered(&mut session).await, "a");
        assert!(matches!(
            session.next().await,
            Event::Closed(Closed::ByServer)
        ));
        assert_eq!(session.unknown_acknowledgements(), 1);
        session.into_unacknowledged()
    };
    let ((), left) = tokio::join!(script, client);
    assert_eq!(left, ["b", "d"]);
}

#[tokio::test]
async fn next_may_be_dropped_at_any_time() {
    let (mut session, mut server) = open(options()).await;
    let text = "x".repeat(200_000);
    session.publish("topic", text.as_bytes(), "large").unwrap();
    // The pipe is smaller than the publish, so it stands half written whenever `next` is dropped.
    for _ in 0..5 {
        tokio::select! {
            biased;
            event = session.next() => panic!("unexpected {event:?}"),
            () = tokio::task::yield_now() => {}
        }
    }
    let script = async {
        let (id, payload, _) = server.expect_publish().await;
        assert_eq!(payload.len(), text.len());
        server.send(&Packet::PubAck(id)).await;
    };
    let ((), tag) = tokio::join!(script, delivered(&mut session));
    assert_eq!(tag, "large");
}

#[tokio::test]
async fn messages_are_acknowledged_by_the_caller_also_when_ids_repeat() {
    let (mut session, mut server) = open(options()).await;
    for text in [&b"1"[..], b"2"] {
        let delivery = Delivery::AtLeastOnce {
            id: PacketId::MIN,
            dup: false,
        };
        server
            .send(&Packet::Publish(Publish {
                topic: "t",
                payload: text,
                delivery,
                retain: false,
            }))
            .await;
    }
    for expected in [&b"1"[..], b"2"] {
        match session.next().await {
            Event::Message {
                payload,
                id: Some(id),
                ..
            } => {
                assert_eq!(payload, expected);
                session.acknowledge(id);
            }
            other => panic!("expected a message, got {other:?}"),
        }
    }
    let (mut one, mut two) = (false, false);
    tokio::select! {
        event = session.next() => panic!("unexpected {event:?}"),
        () = async {
            one = server.expect(|packet| matches!(packet, Packet::PubAck(id) if *id == PacketId::MIN)).await;
            two = server.expect(|packet| matches!(packet, Packet::PubAck(id) if *id == PacketId::MIN)).await;
        } => {}
    }
    assert!(one && two);
}

#[tokio::test]
async fn refusals_are_told_by_their_code() {
    for refusal in [Refusal::NotAuthorized, Refusal::Unavailable] {
        let (client, stream) = duplex(1 << 16);
        let mut server = Server {
            stream,
            read: BytesMut::new(),
        };
        server
            .send(&Packet::ConnAck(ConnAck::Refused(refusal)))
            .await;
        let result = Session::<_, ()>::connect(client, &options()).await;
        assert!(matches!(result, Err(ConnectError::Refused(found)) if found == refusal));
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_is_given_up() {
    let (client, _server) = duplex(1 << 16);
    let result = Session::<_, ()>::connect(client, &options()).await;
    assert!(matches!(result, Err(ConnectError::Silent)), "no CONNACK");

    let (mut session, mut server) = open(options()).await;
    let (event, pinged) = tokio::join!(
        session.next(),
        server.expect(|packet| matches!(packet, Packet::PingReq))
    );
    assert!(pinged);
    assert!(
        matches!(event, Event::Closed(Closed::Silent)),
        "no PINGRESP: {event:?}"
    );
}

#[tokio::test]
async fn the_window_is_bounded() {
    let (mut session, _server) = open(ConnectOptions {
        window: 3,
        ..options()
    })
    .await;
    for left in [3, 2, 1] {
        assert_eq!(session.room(), left);
        session.publish("t", b"x", "x").unwrap();
    }
    assert_eq!(session.room(), 0);
}

/// Pings every two seconds and waits three for a sign of life.
fn impatient() -> ConnectOptions {
    ConnectOptions {
        keep_alive: Duration::from_secs(4),
        pingresp: Duration::from_secs(3),
        ..options()
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_a_server_sends_is_a_sign_of_life() {
    let (mut session, mut server) = open(impatient()).await;
    let message = Publish {
        topic: "a",
        payload: b"",
        delivery: Delivery::AtMostOnce,
        retain: false,
    };
    for _ in 0..20 {
        server.send(&Packet::Publish(message)).await;
        assert!(matches!(session.next().await, Event::Message { .. }));
        let quiet = timeout(Duration::from_secs(2), session.next()).await;
        assert!(quiet.is_err(), "{quiet:?}");
    }
    let silent = timeout(Duration::from_secs(6), session.next()).await;
    assert!(
        matches!(silent, Ok(Event::Closed(Closed::Silent))),
        "{silent:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn who_did_not_look_for_long_takes_no_server_for_silent() {
    let (mut session, mut server) = open(impatient()).await;
    let pinged = timeout(Duration::from_millis(2100), session.next()).await;
    assert!(pinged.is_err());
    server.send(&Packet::PingResp).await;
    tokio::time::advance(Duration::from_secs(60)).await;
    let quiet = timeout(Duration::from_secs(1), session.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
}

#[tokio::test]
async fn a_subscription_has_the_id_of_no_publish() {
    let (mut session, _server) = open(options()).await;
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..1000 {
        assert!(ids.insert(session.subscribe(&["a"]).unwrap()) || ids.len() >= 535);
    }
    let mut window: Window<()> = Window::new(usize::MAX, usize::MAX);
    while window.room() > 0 {
        assert!(!ids.contains(&window.next_id()));
        window.push(1, ());
    }
}

#[tokio::test]
async fn what_was_acknowledged_is_told_before_a_write_that_fails() {
    let (mut session, mut server) = open(options()).await;
    session.publish("t", b"1", "first").unwrap();
    let (id, ..) = tokio::select! {
        event = session.next() => panic!("{event:?}"),
        published = server.expect_publish() => published,
    };
    server.send(&Packet::PubAck(id)).await;
    drop(server);
    session.publish("t", b"2", "second").unwrap();
    assert_eq!(delivered(&mut session).await, "first");
    assert!(matches!(session.next().await, Event::Closed(_)));
    assert_eq!(session.into_unacknowledged(), ["second"]);
}

#[tokio::test]
async fn a_long_publish_that_is_written_makes_room_without_an_acknowledgement() {
    let (mut session, mut server) = open(options()).await;
    let long = "x".repeat(2 * WRITE_BUFFER);
    let client = async {
        for tag in ["a", "b", "c"] {
            session.publish("t", long.as_bytes(), tag).unwrap();
            assert_eq!(session.room(), 0);
            let event = session.next().await;
            assert!(matches!(event, Event::Room), "{event:?}");
            assert!(session.room() > 0);
        }
        session.next().await
    };
    let heard = async {
        for _ in 0..3 {
            assert_eq!(server.expect_publish().await.1, long);
        }
    };
    let both = async {
        tokio::select! {
            event = client => panic!("{event:?}"),
            () = heard => {}
        }
    };
    timeout(Duration::from_secs(20), both).await.unwrap();
    assert_eq!(session.in_flight(), 3);
}
