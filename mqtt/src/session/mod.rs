//! One connection of a client, from CONNACK to its end.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Interval, MissedTickBehavior, Sleep, interval, sleep, timeout};

use crate::window::{FIRST_SUBSCRIBE, Window};
use crate::{
    ConnAck, Connect, DecodeError, Delivery, EncodeError, Packet, PacketId, Password, Publish, QoS,
    Refusal, SubAck, Subscribe, decode, encode,
};

/// More waiting bytes than this, and no further publish is taken.
const WRITE_BUFFER: usize = 48 * 1024;
/// Room made for each read.
const READ_BUFFER: usize = 16 * 1024;

/// What a session is opened with.
#[derive(Clone)]
pub struct ConnectOptions {
    /// Client identifier.
    pub client_id: String,
    /// User name; empty for none.
    pub username: String,
    /// Password; empty for none.
    pub password: String,
    /// Whether the server forgets what it knows of this client.
    pub clean_session: bool,
    /// The server may close after one and a half times this without a sign of life. At least 2 s.
    pub keep_alive: Duration,
    /// How long the server may take to answer CONNECT.
    pub connack: Duration,
    /// How long it may be silent after PINGREQ.
    pub pingresp: Duration,
    /// Publishes in flight at most.
    pub window: usize,
    /// Bytes of publishes in flight at most.
    pub window_bytes: usize,
    /// The largest packet taken from the server.
    pub max_packet: usize,
}

impl fmt::Debug for ConnectOptions {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("client_id", &self.client_id)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

impl Default for ConnectOptions {
    fn default() -> Self {
        ConnectOptions {
            client_id: String::new(),
            username: String::new(),
            password: String::new(),
            clean_session: false,
            keep_alive: Duration::from_secs(60),
            connack: Duration::from_secs(120),
            pingresp: Duration::from_secs(30),
            window: 100,
            window_bytes: 1 << 20,
            max_packet: 1 << 20,
        }
    }
}

/// Why there is no session.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The server said no.
    #[error("the server refused the connection: {0:?}")]
    Refused(Refusal),
    /// It said nothing.
    #[error("the server did not answer CONNECT in time")]
    Silent,
    /// It said something else.
    #[error("the server did not answer CONNECT with CONNACK")]
    Protocol,
    /// The options cannot be said in a CONNECT.
    #[error(transparent)]
    Options(#[from] EncodeError),
    /// What it said is no MQTT.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
}

/// Why a session is over.
#[derive(Debug, Error)]
pub enum Closed {
    /// The server closed the connection.
    #[error("the server closed the connection")]
    ByServer,
    /// The server did not answer PINGREQ in time.
    #[error("the server did not answer a ping in time")]
    Silent,
    /// The server broke the protocol.
    #[error("the server broke the protocol: {0}")]
    Protocol(&'static str),
    /// What it sent is no MQTT.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
}

/// What happens in a session.
#[derive(Debug)]
pub enum Event<T> {
    /// The server acknowledged the publish of that tag.
    Delivered(T),
    /// A message for this client.
    Message {
        /// Topic name.
        topic: String,
        /// Payload.
        payload: Bytes,
        /// To be given to [`Session::acknowledge`] when the message is taken care of, in order;
        /// ids may repeat. `None` for QoS 0.
        id: Option<PacketId>,
    },
    /// A SUBSCRIBE was answered.
    Subscribed(SubAck),
    /// So much has been written that [`Session::room`] is not 0 any more for want of it.
    Room,
    /// The session is over; from here on `next` gives nothing else.
    Closed(Closed),
}

/// An open session over the stream `S`; publishes carry tags of type `T`.
#[derive(Debug)]
pub struct Session<S, T> {
    stream: S,
    read: BytesMut,
    write: BytesMut,
    unflushed: bool,
    /// A publish filled the write buffer.
    crowded: bool,
    window: Window<T>,
    session_present: bool,
    next_subscribe: PacketId,
    unknown_acknowledgements: u64,
    max_packet: usize,
    ping: Interval,
    ping_answer: Duration,
    ping_deadline: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin, T> Session<S, T> {
    /// Sends CONNECT and waits for CONNACK.
    ///
    /// # Errors
    /// When the server refuses, is silent or the connection breaks.
    pub async fn connect(mut stream: S, options: &ConnectOptions) -> Result<Self, ConnectError> {
        let mut write = BytesMut::new();
        encode(&connect_packet(options), &mut write)?;
        let mut read = BytesMut::new();
        let answered = async {
            stream.write_all_buf(&mut write).await?;
            stream.flush().await?;
            read_connack(&mut stream, &mut read, options.max_packet).await
        };
        let session_present = timeout(options.connack, answered)
            .await
            .map_err(|_| ConnectError::Silent)??;
        let mut ping = interval((options.keep_alive / 2).max(Duration::from_secs(1)));
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick of an interval is due at once.
        ping.tick().await;
        Ok(Session {
            stream,
            read,
            write,
            unflushed: false,
            crowded: false,
            window: Window::new(options.window, options.window_bytes),
            session_present,
            next_subscribe: FIRST_SUBSCRIBE,
            unknown_acknowledgements: 0,
            max_packet: options.max_packet,
            ping,
            ping_answer: options.pingresp,
            ping_deadline: None,
        })
    }

    /// Whether the server remembers an earlier session of this client.
    pub fn session_present(&self) -> bool {
        self.session_present
    }

    /// How many publishes may be added now.
    pub fn room(&self) -> usize {
        if is_full(&self.write) {
            0
        } else {
            self.window.room()
        }
    }

    /// Publishes not acknowledged yet.
    pub fn in_flight(&self) -> usize {
        self.window.len()
    }

    /// Acknowledgements of nothing that was in flight.
    pub fn unknown_acknowledgements(&self) -> u64 {
        self.unknown_acknowledgements
    }

    /// Adds a publish of QoS 1. It is sent while `next` is awaited.
    ///
    /// # Errors
    /// When it cannot be said in MQTT; nothing is sent then and the tag is dropped.
    pub fn publish(&mut self, topic: &str, payload: &[u8], tag: T) -> Result<(), EncodeError> {
        let delivery = Delivery::AtLeastOnce {
            id: self.window.next_id(),
            dup: false,
        };
        let before = self.write.len();
        encode(
            &Packet::Publish(Publish {
                topic,
                payload,
                delivery,
                retain: false,
            }),
            &mut self.write,
        )?;
        self.window
            .push(self.write.len().saturating_sub(before), tag);
        self.crowded |= is_full(&self.write);
        Ok(())
    }

    /// Adds a publish of QoS 0.
    ///
    /// # Errors
    /// When it cannot be said in MQTT.
    pub fn publish_at_most_once(&mut self, topic: &str, payload: &[u8]) -> Result<(), EncodeError> {
        let publish = Publish {
            topic,
            payload,
            delivery: Delivery::AtMostOnce,
            retain: false,
        };
        encode(&Packet::Publish(publish), &mut self.write)
    }

    /// Adds a SUBSCRIBE of QoS 1; gives the id that its answer will have.
    ///
    /// # Errors
    /// When a filter is none.
    pub fn subscribe(&mut self, filters: &[&str]) -> Result<PacketId, EncodeError> {
        let id = self.next_subscribe;
        let filters = filters
            .iter()
            .map(|filter| (*filter, QoS::AtLeastOnce))
            .collect();
        encode(
            &Packet::Subscribe(Subscribe { id, filters }),
            &mut self.write,
        )?;
        self.next_subscribe = id.checked_add(1).unwrap_or(FIRST_SUBSCRIBE);
        Ok(id)
    }

    /// Acknowledges a message.
    pub fn acknowledge(&mut self, id: PacketId) {
        // Two bytes of id fit every buffer.
        encode(&Packet::PubAck(id), &mut self.write).unwrap_or(());
    }

    /// Does all reading, writing and pinging, and gives what happens next. May be dropped and called again.
    pub async fn next(&mut self) -> Event<T> {
        loop {
            match self.take() {
                Ok(Some(event)) => return event,
                Ok(None) => {}
                Err(closed) => return Event::Closed(closed),
            }
            if self.crowded && !is_full(&self.write) {
                self.crowded = false;
                return Event::Room;
            }
            if let Err(closed) = self.exchange().await {
                return Event::Closed(closed);
            }
        }
    }

    /// The next event that the bytes read so far hold; without any I/O. An end comes from `next` alone.
    pub fn ready(&mut self) -> Option<Event<T>> {
        self.take().ok().flatten()
    }

    /// What was sent and not acknowledged, in send order: to be sent first in the next session.
    pub fn into_unacknowledged(self) -> Vec<T> {
        self.window.into_tags()
    }

    /// Says goodbye. What is unacknowledged by now is handed back.
    pub async fn disconnect(mut self, within: Duration) -> Vec<T> {
        // Two fixed bytes fit every buffer.
        encode(&Packet::Disconnect, &mut self.write).unwrap_or(());
        let last = async {
            self.stream.write_all_buf(&mut self.write).await?;
            self.stream.flush().await?;
            self.stream.shutdown().await?;
            // Bytes that nobody reads would turn the end into a reset.
            while self.stream.read_buf(&mut self.read).await? > 0 {
                self.read.clear();
            }
            io::Result::Ok(())
        };
        // The session is over either way; what the server does not know it is sent again.
        drop(timeout(within, last).await);
        self.window.into_tags()
    }

    /// The next event that the bytes read so far hold.
    fn take(&mut self) -> Result<Option<Event<T>>, Closed> {
        while let Some((packet, used)) = decode(&self.read, self.max_packet)? {
            let event = match packet {
                Packet::PubAck(id) => match self.window.acknowledged(id) {
                    Some(tag) => Some(Event::Delivered(tag)),
                    None => {
                        self.unknown_acknowledgements =
                            self.unknown_acknowledgements.saturating_add(1);
                        None
                    }
                },
                Packet::Publish(publish) => Some(message(&publish)?),
                Packet::SubAck(answer) => Some(Event::Subscribed(answer)),
                // Its bytes were a sign of life already.
                Packet::PingResp => None,
                _ => return Err(Closed::Protocol("a server does not send this packet")),
            };
            self.read.advance(used);
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    /// Waits until bytes came or went, or a clock is due.
    async fn exchange(&mut self) -> Result<(), Closed> {
        let Session {
            stream,
            read,
            write,
            unflushed,
            crowded,
            ping,
            ping_answer,
            ping_deadline,
            ..
        } = self;
        let crowded = *crowded;
        tokio::select! {
            biased;
            _ = ping.tick() => {
                if ping_deadline.is_none() {
                    // Two fixed bytes fit every buffer.
                    encode(&Packet::PingReq, write).unwrap_or(());
                    *ping_deadline = Some(Box::pin(sleep(*ping_answer)));
                }
                Ok(())
            }
            // Before the deadline: who did not look for long must not take a server for silent.
            done = poll_fn(|context| match poll_io(stream, read, write, unflushed, context) {
                Poll::Pending if crowded && !is_full(write) => Poll::Ready(Ok(None)),
                done => done.map_ok(Some),
            }) => match done? {
                None => Ok(()),
                Some(0) => Err(Closed::ByServer),
                Some(_) => {
                    // Whoever speaks is there.
                    *ping_deadline = None;
                    Ok(())
                }
            },
            () = due(ping_deadline) => Err(Closed::Silent),
        }
    }
}

fn is_full(write: &BytesMut) -> bool {
    write.len() > WRITE_BUFFER
}

async fn due(deadline: &mut Option<Pin<Box<Sleep>>>) {
    match deadline {
        Some(deadline) => deadline.await,
        None => std::future::pending().await,
    }
}

/// Writes what waits, flushes, and reads; ready with the number of bytes read, 0 at the end.
fn poll_io<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    read: &mut BytesMut,
    write: &mut BytesMut,
    unflushed: &mut bool,
    context: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let written = poll_write(stream, write, unflushed, context);
    read.reserve(READ_BUFFER);
    let received = pin!(stream.read_buf(read)).poll(context);
    match (written, received) {
        // What the server still said may be acknowledgements; the error comes again.
        (Err(_), Poll::Ready(Ok(count @ 1..))) => Poll::Ready(Ok(count)),
        (Err(error), _) => Poll::Ready(Err(error)),
        (Ok(()), received) => received,
    }
}

fn poll_write<S: AsyncWrite + Unpin>(
    stream: &mut S,
    write: &mut BytesMut,
    unflushed: &mut bool,
    context: &mut Context<'_>,
) -> io::Result<()> {
    while !write.is_empty() {
        match Pin::new(&mut *stream).poll_write(context, write)? {
            Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(count) => {
                write.advance(count);
                *unflushed = true;
            }
            Poll::Pending => break,
        }
    }
    if *unflushed && Pin::new(stream).poll_flush(context)?.is_ready() {
        *unflushed = false;
    }
    Ok(())
}

fn connect_packet(options: &ConnectOptions) -> Packet<'_> {
    Packet::Connect(Connect {
        client_id: &options.client_id,
        clean_session: options.clean_session,
        keep_alive: u16::try_from(options.keep_alive.as_secs()).unwrap_or(u16::MAX),
        will: None,
        username: (!options.username.is_empty()).then_some(options.username.as_str()),
        password: (!options.password.is_empty()).then_some(Password(options.password.as_bytes())),
    })
}

async fn read_connack<S: AsyncRead + Unpin>(
    stream: &mut S,
    read: &mut BytesMut,
    max_packet: usize,
) -> Result<bool, ConnectError> {
    loop {
        if let Some((packet, used)) = decode(read, max_packet)? {
            let answer = match packet {
                Packet::ConnAck(ConnAck::Accepted { session_present }) => session_present,
                Packet::ConnAck(ConnAck::Refused(refusal)) => {
                    return Err(ConnectError::Refused(refusal));
                }
                _ => return Err(ConnectError::Protocol),
            };
            read.advance(used);
            return Ok(answer);
        }
        if stream.read_buf(read).await? == 0 {
            return Err(ConnectError::Io(io::ErrorKind::UnexpectedEof.into()));
        }
    }
}

fn message<T>(publish: &Publish<'_>) -> Result<Event<T>, Closed> {
    if publish.delivery.qos() == QoS::ExactlyOnce {
        return Err(Closed::Protocol("QoS 2 was never granted"));
    }
    Ok(Event::Message {
        topic: publish.topic.to_owned(),
        payload: Bytes::copy_from_slice(publish.payload),
        id: publish.delivery.id(),
    })
}

#[cfg(test)]
mod tests;
