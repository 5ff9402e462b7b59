//! One session, from CONNACK to its end.

use std::future::Future;
use std::pin::pin;
use std::time::Instant;

use bytes::Bytes;
use mqtt::{Event, PacketId, Session};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::{sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::credentials::LinkEnded;
use super::notices::Notices;
use super::receipts::Receipts;
use super::{
    DeliveryId, Inbound, InputMessage, LinkReport, MOST_OUTSTANDING, Outgoing, Parcel, ParcelId,
    Timeouts,
};
use crate::clock::Clock;
use crate::edge::reported::{Reply, Reported};
use crate::edge::topics::{self, Incoming};
use crate::edge::twin::{Answered, Twin};
use crate::edge::{Identity, Secret};
use crate::ops::metrics::Metrics;

/// What a method is answered for which the module has no room, and which comes when it has ended.
const BUSY: &[u8] = br#"{"outcome":"busy","detail":"too many commands are under way"}"#;
const STOPPING: &[u8] = br#"{"outcome":"interrupted","detail":"the module stops"}"#;
/// The longest method answer that edgeHub takes.
const MAX_ANSWER_BYTES: usize = 128 * 1024;

/// Why a session ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The link is to stop.
    Stopped,
    /// On purpose: the next session starts with this token.
    Renewed(Secret),
    /// Not by us, or because edgeHub was silent.
    Closed(String),
    /// The link cannot go on.
    Fatal(LinkEnded),
}

/// What outlives a session: the twin, and the channels to the rest of the process.
#[derive(Debug)]
pub(super) struct Serving {
    pub twin: Twin,
    pub reported: Reported,
    pub forwarder: mpsc::Sender<LinkReport>,
    pub inbound: mpsc::Sender<Inbound>,
    pub inputs: Inputs,
    pub outgoing: mpsc::Receiver<Outgoing>,
    pub notices: Notices,
    pub metrics: Metrics,
    pub clock: Clock,
    pub timeouts: Timeouts,
}

/// Where messages to inputs go.
#[derive(Debug)]
pub(super) struct Inputs {
    pub filter: String,
    pub door: mpsc::Sender<InputMessage>,
    /// The number of the last delivery.
    pub last: u64,
}

impl Inputs {
    pub fn of(identity: &Identity, door: mpsc::Sender<InputMessage>) -> Self {
        Inputs {
            filter: topics::inputs(&identity.device_id, &identity.module_id),
            door,
            last: 0,
        }
    }
}

/// One session's own state.
struct Running<S> {
    session: Session<S, ParcelId>,
    /// Where messages come from, once the subscriptions stand.
    parcels: Option<mpsc::Receiver<Parcel>>,
    /// What the module owes edgeHub.
    receipts: Receipts,
    /// The last acknowledgement, or when it began to be awaited.
    progress: Instant,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Running<S> {
    /// Says the PUBACKs whose turn it is.
    fn acknowledge(&mut self) {
        while let Some(id) = self.receipts.next() {
            self.session.acknowledge(id);
        }
    }
}

impl Serving {
    /// Serves a session until it ends; says `Up` and `Down` around it.
    pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        mut session: Session<S, ParcelId>,
        renewal: impl Future<Output = Result<Secret, LinkEnded>>,
        stop: &CancellationToken,
    ) -> Ended {
        let subscriptions = [
            topics::TWIN_RESPONSES,
            topics::DESIRED_PATCHES,
            topics::METHODS,
            &self.inputs.filter,
        ];
        if let Err(error) = session.subscribe(&subscriptions) {
            return Ended::Closed(error.to_string());
        }
        let progress = self.clock.now().monotonic;
        let mut running = Running {
            session,
            parcels: None,
            receipts: Receipts::default(),
            progress,
        };
        let ended = self.until_ended(&mut running, renewal, stop).await;
        // From here on the forwarder keeps what it has.
        running.parcels = None;
        match ended {
            Ended::Stopped | Ended::Renewed(_) => self.take_leave(running, stop).await,
            Ended::Closed(_) | Ended::Fatal(_) => drop(running),
        }
        self.down().await;
        ended
    }

    /// Between sessions: reports wait, method answers have nobody to go to.
    pub async fn while_away<T>(&mut self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                Some(outgoing) = self.outgoing.recv() => if let Outgoing::Reported(patch) = outgoing {
                    self.reported.push(patch);
                },
            }
        }
    }

    async fn until_ended<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        running: &mut Running<S>,
        renewal: impl Future<Output = Result<Secret, LinkEnded>>,
        stop: &CancellationToken,
    ) -> Ended {
        let mut renewal = pin!(renewal);
        loop {
            if let Some(silent) = self.due(running) {
                return Ended::Closed(silent.to_owned());
            }
            let wake = self.deadline(running);
            tokio::select! {
                () = stop.cancelled() => return Ended::Stopped,
                event = running.session.next() => if let Some(ended) = self.happened(running, event).await {
                    return ended;
                },
                Some(parcel) = next_parcel(&mut running.parcels), if running.session.room() > 0 => {
                    self.publish_all(running, parcel).await;
                }
                Some(outgoing) = self.outgoing.recv() => self.send(running, outgoing),
                renewed = &mut renewal => return match renewed {
                    Ok(token) => Ended::Renewed(token),
                    Err(ended) => Ended::Fatal(ended),
                },
                () = sleep_until(wake.into()) => {}
            }
        }
    }

    /// Does what the clock asks for; gives the reason when edgeHub was silent for too long.
    fn due<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        running: &mut Running<S>,
    ) -> Option<&'static str> {
        let now = self.clock.now().monotonic;
        let waited = now.saturating_duration_since(running.progress);
        if running.parcels.is_none() {
            return (waited >= self.timeouts.suback).then_some("edgeHub did not answer SUBSCRIBE");
        }
        if running.session.in_flight() > 0 && waited >= self.timeouts.puback {
            return Some("edgeHub acknowledged nothing for too long: is its disk full?");
        }
        if let Some(rid) = self.twin.request(now) {
            say(&mut running.session, &topics::twin_get(&rid), b"");
        }
        if let Some((rid, patch)) = self.reported.request(now) {
            say(
                &mut running.session,
                &topics::reported_patch(&rid),
                patch.to_string().as_bytes(),
            );
        }
        None
    }

    fn deadline<S: AsyncRead + AsyncWrite + Unpin>(&self, running: &Running<S>) -> Instant {
        let timeouts = &self.timeouts;
        let silent = match (&running.parcels, running.session.in_flight()) {
            (None, _) => running.progress + timeouts.suback,
            (Some(_), 0) => self.clock.now().monotonic + timeouts.puback,
            (Some(_), _) => running.progress + timeouts.puback,
        };
        if running.parcels.is_none() {
            return silent;
        }
        let clocks = [self.twin.deadline(), self.reported.deadline()];
        clocks.into_iter().flatten().fold(silent, Instant::min)
    }

    async fn happened<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        running: &mut Running<S>,
        event: Event<ParcelId>,
    ) -> Option<Ended> {
        let mut delivered = Vec::new();
        let mut next = Some(event);
        let mut ended = None;
        // Whatever has come together is told together.
        while let Some(event) = next.take() {
            match event {
                Event::Delivered(id) => delivered.push(id),
                Event::Message { topic, payload, id } => {
                    if let Err(why) = self.arrived(running, &topic, (payload, id)) {
                        ended = Some(Ended::Closed(why.to_owned()));
                        break;
                    }
                }
                Event::Subscribed(_) => self.up(running).await,
                // The next turn looks for parcels again.
                Event::Room => {}
                Event::Closed(reason) => {
                    ended = Some(Ended::Closed(reason.to_string()));
                    break;
                }
            }
            next = running.session.ready();
        }
        if !delivered.is_empty() {
            running.progress = self.clock.now().monotonic;
            self.report(LinkReport::Delivered(delivered)).await;
        }
        ended
    }

    async fn up<S>(&mut self, running: &mut Running<S>) {
        let now = self.clock.now().monotonic;
        let (sender, parcels) = mpsc::channel(MOST_OUTSTANDING);
        running.parcels = Some(parcels);
        running.progress = now;
        self.twin.connected(now);
        self.metrics.link_up(true);
        self.report(LinkReport::Up(sender)).await;
        self.notices.add(Inbound::Connected);
    }

    async fn down(&mut self) {
        self.twin.disconnected();
        self.reported.disconnected();
        self.metrics.link_up(false);
        self.report(LinkReport::Down).await;
        self.notices.add(Inbound::Disconnected);
    }

    /// The process ends when the forwarder does: nobody is left to be told.
    async fn report(&self, report: LinkReport) {
        drop(self.forwarder.send(report).await);
    }

    /// Publishes a parcel and those that wait behind it, as far as there is room.
    async fn publish_all<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        running: &mut Running<S>,
        first: Parcel,
    ) {
        let mut next = Some(first);
        while let Some(Parcel { id, topic, payload }) = next {
            if running.session.in_flight() == 0 {
                running.progress = self.clock.now().monotonic;
            }
            if let Err(error) = running.session.publish(&topic, &payload, id) {
                self.report(LinkReport::Refused(id, error.to_string()))
                    .await;
            }
            next = match (&mut running.parcels, running.session.room()) {
                (Some(parcels), 1..) => parcels.try_recv().ok(),
                _ => None,
            };
        }
    }

    /// Takes a message; why the session cannot go on after it.
    fn arrived<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        running: &mut Running<S>,
        topic: &str,
        (payload, id): (Bytes, Option<PacketId>),
    ) -> Result<(), &'static str> {
        let incoming = topics::parse(topic);
        if let Some(Incoming::Input { name, bag }) = incoming {
            return self.deliver(running, (name, bag), (payload, id));
        }
        running.receipts.owe(id, None)?;
        running.acknowledge();
        let now = self.clock.now().monotonic;
        match incoming {
            Some(Incoming::TwinResponse { status, rid }) => self.answered(rid, status, &payload),
            Some(Incoming::DesiredPatch { version }) => {
                if let Some(desired) = self.twin.patch(now, version, &payload) {
                    self.notices.add(Inbound::Desired(desired));
                }
            }
            Some(Incoming::Method { name, rid }) => {
                self.call(&mut running.session, name, rid, payload);
            }
            Some(Incoming::Input { .. }) | None => {
                tracing::debug!(topic, "a message on a topic that this version does not use");
            }
        }
        Ok(())
    }

    /// Hands a message to the command door; its PUBACK is owed until the door says so.
    fn deliver<S>(
        &mut self,
        running: &mut Running<S>,
        (name, bag): (&str, &str),
        (payload, id): (Bytes, Option<PacketId>),
    ) -> Result<(), &'static str> {
        self.inputs.last += 1;
        let delivery = DeliveryId(self.inputs.last);
        running.receipts.owe(id, Some(delivery))?;
        let properties = topics::decode_bag(bag).unwrap_or_else(|error| {
            tracing::warn!(input = name, %error, "the properties of a message to an input cannot be read; it is taken without them");
            Vec::new()
        });
        let message = InputMessage {
            delivery,
            input: name.to_owned(),
            properties,
            payload,
        };
        // A door that has ended takes nothing: edgeHub keeps the message for the next start.
        match self.inputs.door.try_send(message) {
            Err(TrySendError::Full(_)) => {
                Err("edgeHub sent more messages to inputs than it may before they are acknowledged")
            }
            Err(TrySendError::Closed(_)) | Ok(()) => Ok(()),
        }
    }

    fn answered(&mut self, rid: &str, status: u16, body: &[u8]) {
        let now = self.clock.now().monotonic;
        match self.twin.response(now, rid, status, body) {
            Answered::Changed(desired) => self.notices.add(Inbound::Desired(desired)),
            Answered::Unknown => tracing::warn!(
                "edgeHub does not know this module's twin yet (was it ever online?); the settings stay as they are"
            ),
            Answered::Failed => tracing::warn!(status, "edgeHub gave no twin; it is asked again"),
            Answered::Same => {}
            Answered::NotOurs => match self.reported.response(now, rid, status) {
                Reply::GivenUp => tracing::error!(
                    status,
                    "edgeHub refused reported properties; they are not sent again"
                ),
                Reply::Again => tracing::warn!(
                    status,
                    "edgeHub did not take reported properties; they are sent again"
                ),
                Reply::Taken | Reply::NotOurs => {}
            },
        }
    }

    /// A module that does not keep up says so instead of holding up the session.
    fn call<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        session: &mut Session<S, ParcelId>,
        name: &str,
        rid: &str,
        payload: Bytes,
    ) {
        let call = Inbound::Method {
            name: name.to_owned(),
            payload,
            answer: rid.to_owned(),
        };
        let (status, body): (_, &[u8]) = match self.inbound.try_send(call) {
            Ok(()) => return,
            Err(TrySendError::Full(_)) => (429, BUSY),
            Err(TrySendError::Closed(_)) => (503, STOPPING),
        };
        say(session, &topics::method_response(status, rid), body);
    }

    fn send<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        running: &mut Running<S>,
        outgoing: Outgoing,
    ) {
        let session = &mut running.session;
        match outgoing {
            Outgoing::Acknowledge(delivery) => {
                running.receipts.paid(delivery);
                running.acknowledge();
            }
            Outgoing::Reported(patch) => self.reported.push(patch),
            Outgoing::MethodResponse {
                rid,
                status,
                payload,
            } => {
                let body = payload.to_string();
                if body.len() > MAX_ANSWER_BYTES {
                    let too_long = br#"{"error":"the answer is longer than 128 KiB"}"#;
                    return say(session, &topics::method_response(500, &rid), too_long);
                }
                say(
                    session,
                    &topics::method_response(status, &rid),
                    body.as_bytes(),
                );
            }
        }
    }

    /// Waits for acknowledgements that are still to come, within bounds, and says goodbye.
    async fn take_leave<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        mut running: Running<S>,
        stop: &CancellationToken,
    ) {
        // What the module had to say when it was told to leave.
        while let Ok(outgoing) = self.outgoing.try_recv() {
            self.send(&mut running, outgoing);
        }
        let timeouts = self.timeouts;
        let drained = async {
            while running.session.in_flight() > 0 {
                tokio::select! {
                    event = running.session.next() => if self.happened_late(&mut running, event).await {
                        return;
                    },
                    Some(outgoing) = self.outgoing.recv() => self.send(&mut running, outgoing),
                }
            }
        };
        // A process that ends has less time than a session that makes way for the next one.
        let too_late = async {
            let stopped = timeout(timeouts.drain, stop.cancelled()).await;
            if stopped.is_ok() {
                sleep(timeouts.last_drain).await;
            }
        };
        // What is not acknowledged by then, the forwarder sends again.
        tokio::select! {
            () = drained => {}
            () = too_late => {}
        }
        drop(running.session.disconnect(timeouts.disconnect).await);
    }

    /// Takes what still comes while taking leave; whether it was the end.
    async fn happened_late<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        running: &mut Running<S>,
        event: Event<ParcelId>,
    ) -> bool {
        match event {
            Event::Delivered(id) => self.report(LinkReport::Delivered(vec![id])).await,
            // Nobody is left to act on it: the next session asks for the twin anew, and gets what
            // was sent to an input again, because it is not acknowledged.
            Event::Message { topic, id, .. } => {
                let input = matches!(topics::parse(&topic), Some(Incoming::Input { .. }));
                let nobody = input.then_some(DeliveryId(0));
                if running.receipts.owe(id, nobody).is_err() {
                    return true;
                }
                running.acknowledge();
            }
            Event::Subscribed(_) | Event::Room => {}
            Event::Closed(_) => return true,
        }
        false
    }
}

async fn next_parcel(parcels: &mut Option<mpsc::Receiver<Parcel>>) -> Option<Parcel> {
    match parcels {
        Some(parcels) => parcels.recv().await,
        None => std::future::pending().await,
    }
}

/// QoS 0 for what has an answer of its own, or nobody waiting after a reconnect.
fn say<S: AsyncRead + AsyncWrite + Unpin>(
    session: &mut Session<S, ParcelId>,
    topic: &str,
    payload: &[u8],
) {
    if let Err(error) = session.publish_at_most_once(topic, payload) {
        tracing::warn!(topic, %error, "could not be said to edgeHub");
    }
}
