//! What goes to a client, and what it acknowledges.

use std::time::Duration;

use bytes::BytesMut;
use mqtt::{Delivery as Mark, Packet, PacketId, Publish, QoS};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{Connection, InFlight};
use crate::clock;
use crate::counters::Count;
use crate::topics::Purpose;

/// Wait before an unacknowledged input message is sent again; doubled each time, up to 64 s.
const FIRST_RETRY: Duration = Duration::from_secs(1);

impl Connection {
    pub(super) fn acknowledged(&mut self, id: PacketId) {
        if id.get() != 1 {
            self.hub.count(Count::pubacks_wrong_id);
        }
        let Some(what) = self.sent.pop_front() else {
            return self.hub.count(Count::pubacks_unexpected);
        };
        let Some(number) = what else { return };
        if self.hub.inputs.finish(&self.client.id, number) {
            self.hub.count(Count::inputs_consumed);
            self.in_flight = None;
        }
    }

    /// Sends the PUBACKs whose time has come, in order.
    pub(super) fn release_acks(&mut self, held: bool) {
        let now = clock::monotonic();
        while !held && self.acks.front().is_some_and(|ack| ack.due <= now) {
            let Some(ack) = self.acks.pop_front() else {
                return;
            };
            self.hub.count(Count::pubacks);
            self.send(&Packet::PubAck(ack.id));
        }
    }

    /// Sends the next input message if none is on its way.
    pub(super) fn offer_input(&mut self) {
        let now = clock::monotonic();
        if self.dead
            || self
                .in_flight
                .as_ref()
                .is_some_and(|input| input.retry_at > now)
        {
            return;
        }
        if !self.hub.sessions.has(&self.client.id, Purpose::Inputs) {
            return;
        }
        let tries = self.in_flight.as_ref().map_or(0, |input| input.tries);
        if let Some(input) = self.in_flight.as_mut().filter(|input| input.waiting) {
            self.hub.count(Count::inputs_timed_out);
            input.waiting = false;
            input.retry_at = now + FIRST_RETRY * 2_u32.pow(tries.min(6));
            return;
        }
        while let Some(message) = self.hub.inputs.first(&self.client.id) {
            let granted = self
                .hub
                .sessions
                .granted(&self.client.id, &message.topic, message.made);
            let Some(granted) = granted else {
                self.hub.inputs.finish(&self.client.id, message.number);
                self.hub.count(Count::inputs_dropped_no_filter);
                continue;
            };
            self.publish_with(granted, &message.topic, &message.body, Some(message.number));
            self.hub.count(Count::inputs_sent);
            if granted == QoS::AtMostOnce {
                self.hub.inputs.finish(&self.client.id, message.number);
                continue;
            }
            let retry_at = now + self.hub.options.input_ack_within;
            self.in_flight = Some(InFlight {
                retry_at,
                waiting: true,
                tries: tries + 1,
            });
            return;
        }
        self.in_flight = None;
    }

    /// Publishes to the client, if it has a subscription for it.
    pub(super) fn publish(&mut self, topic: &str, payload: &[u8], input: Option<u64>) {
        match self
            .hub
            .sessions
            .granted(&self.client.id, topic, clock::monotonic())
        {
            Some(granted) if !self.dead => self.publish_with(granted, topic, payload, input),
            _ => self.hub.count(Count::rejected_no_filter),
        }
    }

    /// Every message of QoS 1 carries packet id 1, and none is ever sent again.
    fn publish_with(&mut self, granted: QoS, topic: &str, payload: &[u8], input: Option<u64>) {
        let delivery = match granted {
            QoS::AtMostOnce => Mark::AtMostOnce,
            _ => Mark::AtLeastOnce {
                id: PacketId::MIN,
                dup: false,
            },
        };
        if granted != QoS::AtMostOnce {
            self.sent.push_back(input);
        }
        self.active_at = clock::monotonic();
        self.send(&Packet::Publish(Publish {
            topic,
            payload,
            delivery,
            retain: false,
        }));
    }

    pub(super) fn send(&mut self, packet: &Packet<'_>) {
        if let Err(error) = mqtt::encode(packet, &mut self.output) {
            tracing::warn!(%error, "the stand-in cannot write a packet");
        }
    }
}

/// Writes what is there and flushes. Whatever was written is gone from `output`, so that the
/// future may be dropped at any time.
pub(super) async fn write<W: AsyncWrite + Unpin>(
    writer: &mut W,
    output: &mut BytesMut,
    unflushed: &mut bool,
) -> std::io::Result<()> {
    while !output.is_empty() {
        *unflushed = true;
        if writer.write_buf(output).await? == 0 {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
    }
    writer.flush().await?;
    *unflushed = false;
    Ok(())
}
