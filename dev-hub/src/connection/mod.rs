//! One client's connection after CONNACK: publications in, one after the other; messages out.

mod incoming;
mod outgoing;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mqtt::{Delivery as Mark, PacketId};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::admission::Admitted;
use crate::clients::Delivery;
use crate::clock;
use crate::counters::Count;
use crate::hub::Hub;
use crate::topics::{self, Inbound};
use outgoing::write;

/// Publications that wait; while there are so many the socket is not read.
const MAX_QUEUED: usize = 100;
/// PUBACKs that are held back; while there are so many nothing is processed.
const MAX_HELD_ACKS: usize = 16;
const MAX_OUTPUT_BYTES: usize = 1024 * 1024;
const MAX_KEEP_ALIVE: Duration = Duration::from_secs(600);

/// Why a connection ends; none: the client or the network ended it, or the hub was asked to.
type End = Option<Count>;

/// What a connection is reached by.
#[derive(Debug)]
pub(crate) struct Lines {
    pub(crate) close: CancellationToken,
    pub(crate) outbox: mpsc::Receiver<Delivery>,
    pub(crate) inputs: Arc<Notify>,
    pub(crate) held: watch::Receiver<bool>,
}

struct Publication {
    topic: String,
    body: Bytes,
    mark: Mark,
    retain: bool,
}

struct HeldAck {
    id: PacketId,
    due: Instant,
}

/// The input message on its way, or waiting for its next try.
struct InFlight {
    retry_at: Instant,
    waiting: bool,
    tries: u32,
}

/// State of a connection.
pub(crate) struct Connection {
    hub: Arc<Hub>,
    client: Admitted,
    number: u64,
    dead: bool,
    input: BytesMut,
    output: BytesMut,
    unflushed: bool,
    queue: VecDeque<Publication>,
    acks: VecDeque<HeldAck>,
    /// What was sent with QoS 1, in order; an input message with its number.
    sent: VecDeque<Option<u64>>,
    in_flight: Option<InFlight>,
    active_at: Instant,
    said_goodbye: bool,
}

impl Connection {
    pub(crate) fn new(
        hub: Arc<Hub>,
        client: Admitted,
        number: u64,
        dead: bool,
        input: BytesMut,
    ) -> Self {
        Connection {
            hub,
            client,
            number,
            dead,
            input,
            output: BytesMut::new(),
            unflushed: false,
            queue: VecDeque::new(),
            acks: VecDeque::new(),
            sent: VecDeque::new(),
            in_flight: None,
            active_at: clock::monotonic(),
            said_goodbye: false,
        }
    }

    /// Serves the client until one side has enough.
    pub(crate) async fn run<S: AsyncRead + AsyncWrite + Unpin>(
        mut self,
        stream: &mut S,
        mut lines: Lines,
    ) {
        self.tell_missed_desired();
        let (mut reader, mut writer) = tokio::io::split(stream);
        let end = loop {
            let held = *lines.held.borrow_and_update();
            if let Err(end) = self.work(held) {
                break end;
            }
            let wake_at = self.wake_at(held);
            tokio::select! {
                () = lines.close.cancelled() => break None,
                written = write(&mut writer, &mut self.output, &mut self.unflushed),
                    if !self.output.is_empty() || self.unflushed => match written {
                        Ok(()) => {}
                        Err(_) => break None,
                    },
                read = reader.read_buf(&mut self.input), if self.wants_input() => match read {
                    Ok(0) | Err(_) => break None,
                    Ok(_) => {}
                },
                Some(delivery) = lines.outbox.recv(), if self.output.len() < MAX_OUTPUT_BYTES => {
                    self.publish(&delivery.topic, &delivery.payload, None);
                }
                () = lines.inputs.notified() => {}
                _ = lines.held.changed() => {}
                () = tokio::time::sleep_until(wake_at) => {}
            }
        };
        if let Some(count) = end {
            self.hub.count(count);
        }
        let server_side = end.is_some() || lines.close.is_cancelled();
        self.finish(server_side || self.said_goodbye);
    }

    /// The will goes out when the client vanished, not when either side said so.
    fn finish(&mut self, orderly: bool) {
        self.hub.clients.remove(&self.client.id, self.number);
        let Some((topic, body)) = self.client.will.take().filter(|_| !orderly) else {
            return;
        };
        self.hub.count(Count::wills);
        if let Ok(Inbound::Telemetry { sender, bag }) = topics::inbound(&topic) {
            let body = Bytes::from(body);
            self.telemetry(&sender, bag, &body, &[("MessageType", "Will")]);
        }
    }

    fn wants_input(&self) -> bool {
        self.queue.len() < MAX_QUEUED
            && self.acks.len() < MAX_HELD_ACKS
            && self.output.len() < MAX_OUTPUT_BYTES
    }

    /// Everything that can be done without waiting.
    fn work(&mut self, held: bool) -> Result<(), End> {
        loop {
            self.read_packets()?;
            let before = self.queue.len();
            while self.acks.len() < MAX_HELD_ACKS && self.output.len() < MAX_OUTPUT_BYTES {
                let Some(publication) = self.queue.pop_front() else {
                    break;
                };
                self.process(&publication)?;
                self.release_acks(held);
            }
            self.release_acks(held);
            if self.queue.len() == before || !self.wants_input() {
                break;
            }
        }
        self.offer_input();
        if self.active_at + self.keep_alive() <= clock::monotonic() {
            return Err(Some(Count::keep_alive_missed));
        }
        Ok(())
    }

    fn wake_at(&self, held: bool) -> Instant {
        let silent = self.active_at + self.keep_alive();
        let ack = self.acks.front().filter(|_| !held).map(|ack| ack.due);
        let input = self.in_flight.as_ref().map(|input| input.retry_at);
        [ack, input]
            .into_iter()
            .flatten()
            .fold(silent, Instant::min)
    }

    fn keep_alive(&self) -> Duration {
        match self.client.keep_alive {
            0 => MAX_KEEP_ALIVE,
            seconds => Duration::from_millis(u64::from(seconds) * 1500).min(MAX_KEEP_ALIVE),
        }
    }
}
