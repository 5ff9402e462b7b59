//! The sink's MQTT: all that was read is acknowledged in one write.

use std::sync::{Mutex, PoisonError};

use anyhow::bail;
use bytes::{Buf as _, BytesMut};
use mqtt::{ConnAck, Delivery, Packet, Publish, SubAck, decode, encode};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::line::monotonic;
use super::tally::Tally;

const READ: usize = 64 * 1024;
const LARGEST: usize = 1024 * 1024;
const TELEMETRY: &str = "devices/";
const TWIN_GET: &str = "$iothub/twin/GET/?$rid=";
const REPORTED: &str = "$iothub/twin/PATCH/properties/reported/?$rid=";

/// What all connections of the sink share.
#[derive(Debug)]
pub struct Broker {
    twin: Vec<u8>,
    /// What arrived.
    pub tally: Tally,
}

impl Broker {
    /// A broker whose one twin desires these settings.
    pub fn new(mut desired: Value) -> Self {
        desired["$version"] = json!(1);
        let twin = json!({"desired": desired, "reported": {"$version": 1}});
        Broker {
            twin: twin.to_string().into_bytes(),
            tally: Tally::default(),
        }
    }

    /// Answers all packets that are whole; gives the bytes they took.
    fn answer_all(&mut self, input: &[u8], output: &mut BytesMut) -> anyhow::Result<usize> {
        let (mut taken, now) = (0, monotonic());
        while let Some(rest) = input.get(taken..) {
            let Some((packet, size)) = decode(rest, LARGEST)? else {
                break;
            };
            self.answer(&packet, now, output)?;
            taken += size;
        }
        Ok(taken)
    }

    fn answer(
        &mut self,
        packet: &Packet<'_>,
        now: u64,
        output: &mut BytesMut,
    ) -> anyhow::Result<()> {
        let answer = match packet {
            Packet::Publish(publish) => return self.publish(publish, now, output),
            Packet::Connect(_) => Packet::ConnAck(ConnAck::Accepted {
                session_present: false,
            }),
            Packet::Subscribe(subscribe) => Packet::SubAck(SubAck {
                id: subscribe.id,
                granted: subscribe
                    .filters
                    .iter()
                    .map(|(_, qos)| Some(*qos))
                    .collect(),
            }),
            Packet::Unsubscribe(unsubscribe) => Packet::UnsubAck(unsubscribe.id),
            Packet::PingReq => Packet::PingResp,
            Packet::PubAck(_) => return Ok(()),
            Packet::Disconnect => bail!("the client has said that it goes"),
            _ => bail!("the client has sent what no module sends"),
        };
        Ok(encode(&answer, output)?)
    }

    fn publish(
        &mut self,
        publish: &Publish<'_>,
        now: u64,
        output: &mut BytesMut,
    ) -> anyhow::Result<()> {
        if let Some(id) = publish.delivery.id() {
            encode(&Packet::PubAck(id), output)?;
        }
        if publish.topic.starts_with(TELEMETRY) {
            self.tally.message(publish.payload, now);
        } else if let Some(request) = publish.topic.strip_prefix(TWIN_GET) {
            twin_answer(200, request, &self.twin, output)?;
        } else if let Some(request) = publish.topic.strip_prefix(REPORTED) {
            self.tally.reported(publish.payload);
            twin_answer(204, request, &[], output)?;
        }
        Ok(())
    }
}

fn twin_answer(
    status: u16,
    request: &str,
    payload: &[u8],
    output: &mut BytesMut,
) -> anyhow::Result<()> {
    let answer = Packet::Publish(Publish {
        topic: &format!("$iothub/twin/res/{status}/?$rid={request}"),
        payload,
        delivery: Delivery::AtMostOnce,
        retain: false,
    });
    Ok(encode(&answer, output)?)
}

/// Serves one connection to its end.
///
/// # Errors
/// When the client breaks the protocol, leaves, or vanishes.
pub async fn serve<S>(mut stream: S, broker: &Mutex<Broker>) -> anyhow::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    loop {
        input.reserve(READ);
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
        let taken = broker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .answer_all(&input, &mut output)?;
        input.advance(taken);
        if !output.is_empty() {
            stream.write_all(&output).await?;
            stream.flush().await?;
            output.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll};

    use tokio::io::{DuplexStream, ReadBuf, duplex};

    use super::*;

    /// A connection that counts its writes.
    struct Counted(DuplexStream, Arc<AtomicUsize>);

    impl AsyncRead for Counted {
        fn poll_read(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<std::io::Result<()>> {
            Pin::new(&mut self.0).poll_read(context, buffer)
        }
    }

    impl AsyncWrite for Counted {
        fn poll_write(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<std::io::Result<usize>> {
            self.1.fetch_add(1, Ordering::Relaxed);
            Pin::new(&mut self.0).poll_write(context, bytes)
        }

        fn poll_flush(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<std::io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(context)
        }

        fn poll_shutdown(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<std::io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(context)
        }
    }

    fn publishes(ids: std::ops::RangeInclusive<u16>) -> Vec<u8> {
        let mut bytes = BytesMut::new();
        for id in ids {
            let publish = Publish {
                topic: "devices/edge-device/modules/m/messages/events/",
                payload: b"{}",
                delivery: Delivery::AtLeastOnce {
                    id: mqtt::PacketId::new(id).unwrap(),
                    dup: false,
                },
                retain: false,
            };
            encode(&Packet::Publish(publish), &mut bytes).unwrap();
        }
        bytes.to_vec()
    }

    #[tokio::test]
    async fn all_that_was_read_is_acknowledged_in_one_write() {
        let (mut client, served) = duplex(READ);
        let writes = Arc::new(AtomicUsize::new(0));
        let broker = Mutex::new(Broker::new(json!({})));
        let sent = publishes(1..=20);
        let half = sent.len() - 10;
        let script = async {
            for (part, acknowledged) in [(&sent[..half], 1..=19_u8), (&sent[half..], 20..=20)] {
                client.write_all(part).await.unwrap();
                for id in acknowledged {
                    let mut acknowledgement = [0; 4];
                    client.read_exact(&mut acknowledgement).await.unwrap();
                    assert_eq!(acknowledgement, [0x40, 2, 0, id]);
                }
            }
            drop(client);
        };
        let serving = serve(Counted(served, Arc::clone(&writes)), &broker);
        let (served, ()) = tokio::join!(serving, script);
        served.unwrap();
        assert_eq!(writes.load(Ordering::Relaxed), 2);
        assert_eq!(broker.into_inner().unwrap().tally.report().messages, 20);
    }
}
