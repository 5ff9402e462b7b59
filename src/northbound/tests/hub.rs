//! edgeHub's end of a session, packet by packet.

use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use mqtt::{Delivery, Packet, PacketId, Publish, decode, encode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::time::timeout;

pub const PATIENCE: Duration = Duration::from_secs(20);

/// What the module's end of a session said, as far as these tests look.
#[derive(Debug, PartialEq)]
pub enum Said {
    Subscribe(PacketId),
    Telemetry {
        id: PacketId,
        topic: String,
        payload: Bytes,
    },
    Control {
        topic: String,
        payload: Bytes,
    },
    Acknowledged(PacketId),
    Disconnect,
    Closed,
}

/// edgeHub's end of a session: says and hears single packets.
pub struct Hub {
    pub stream: DuplexStream,
    pub read: BytesMut,
}

impl Hub {
    pub async fn say(&mut self, packet: Packet<'_>) {
        let mut bytes = BytesMut::new();
        encode(&packet, &mut bytes).unwrap();
        self.stream.write_all(&bytes).await.unwrap();
    }

    pub async fn publish(&mut self, topic: &str, payload: &[u8]) {
        let delivery = Delivery::AtLeastOnce {
            id: PacketId::MIN,
            dup: false,
        };
        self.say(Packet::Publish(Publish {
            topic,
            payload,
            delivery,
            retain: false,
        }))
        .await;
    }

    pub async fn hear(&mut self) -> Said {
        timeout(PATIENCE, self.next())
            .await
            .expect("the module says something")
    }

    async fn next(&mut self) -> Said {
        loop {
            if let Some((said, used)) = decode(&self.read, 1 << 20)
                .unwrap()
                .map(|(packet, used)| (said(packet), used))
            {
                self.read.advance(used);
                if let Some(said) = said {
                    return said;
                }
            } else if self.stream.read_buf(&mut self.read).await.unwrap() == 0 {
                return Said::Closed;
            }
        }
    }

    pub async fn hear_telemetry(&mut self) -> (PacketId, Bytes) {
        match self.hear().await {
            Said::Telemetry { id, payload, .. } => (id, payload),
            other => panic!("telemetry, not {other:?}"),
        }
    }

    pub async fn hear_control(&mut self) -> (String, Bytes) {
        match self.hear().await {
            Said::Control { topic, payload } => (topic, payload),
            other => panic!("a control message, not {other:?}"),
        }
    }

    pub async fn answer_twin(&mut self, status: u16, body: &str) {
        let (topic, _) = self.hear_control().await;
        let rid = topic
            .strip_prefix("$iothub/twin/GET/?$rid=")
            .expect("a GET");
        self.publish(
            &format!("$iothub/twin/res/{status}/?$rid={rid}"),
            body.as_bytes(),
        )
        .await;
        assert_eq!(self.hear().await, Said::Acknowledged(PacketId::MIN));
    }
}

fn said(packet: Packet<'_>) -> Option<Said> {
    Some(match packet {
        Packet::Subscribe(subscribe) => Said::Subscribe(subscribe.id),
        Packet::PubAck(id) => Said::Acknowledged(id),
        Packet::Disconnect => Said::Disconnect,
        Packet::Publish(publish) => {
            let (topic, payload) = (
                publish.topic.to_owned(),
                Bytes::copy_from_slice(publish.payload),
            );
            match publish.delivery.id() {
                Some(id) => Said::Telemetry { id, topic, payload },
                None => Said::Control { topic, payload },
            }
        }
        _ => return None,
    })
}
