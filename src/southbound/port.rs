//! What all connections of one listener, or of one entry of `outbound`, share.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::TcpStream;
use tokio::task::{Id, JoinSet};
use tracing::Instrument as _;

use super::connection::Connection;
use super::{South, socket};
use crate::conversation::{AHEAD, Action, Conversation, ConversationSettings, Protocol, Reason};
use crate::identity::Peer;
use crate::inbox::{Inbox, Origin};
use crate::message::Name;
use crate::ops::metrics::{Backlog, ListenerMetrics};

/// Actions for which a place is kept.
const MOST_KEPT: usize = 256;

/// What the connections share.
#[derive(Debug)]
pub(super) struct Port {
    /// The listener, or the entry of `outbound`.
    pub(super) entry: Name,
    dialled: bool,
    pub(super) south: Arc<South>,
    pub(super) metrics: ListenerMetrics,
    /// Place for what follows from one step of a conversation; a place of each its own would stay
    /// in every idle connection.
    place: Mutex<Vec<Action>>,
}

impl Port {
    /// Of a listener.
    pub(super) fn accepting(listener: &Name, south: Arc<South>) -> Self {
        let metrics = south.metrics.listener(listener);
        Self::new(listener, false, south, metrics)
    }

    /// Of an entry of `outbound`.
    pub(super) fn dialling(outbound: &Name, south: Arc<South>) -> Self {
        let metrics = south.metrics.outbound(outbound);
        Self::new(outbound, true, south, metrics)
    }

    fn new(entry: &Name, dialled: bool, south: Arc<South>, metrics: ListenerMetrics) -> Self {
        Port {
            entry: Name::clone(entry),
            dialled,
            south,
            metrics,
            place: Mutex::default(),
        }
    }

    /// Runs a connection on a stream that stands; says its task and its inbox.
    pub(super) fn run(
        self: &Arc<Self>,
        stream: TcpStream,
        peer: Peer,
        (protocol, settings): (&Arc<Protocol>, &Arc<ConversationSettings>),
        tasks: &mut JoinSet<Reason>,
    ) -> (Id, Inbox) {
        if let Err(error) = socket::prepare(&stream) {
            tracing::debug!(%error, "the connection was gone at once");
        }
        let conversation = Conversation::new(Arc::clone(protocol), Arc::clone(settings))
            .with_half_frame(self.south.timeouts.half_frame);
        let origin = Origin {
            entry: Name::clone(&self.entry),
            dialled: self.dialled,
            peer: peer.address,
            since: self.south.clock.now().utc,
        };
        let inbox = self.south.registry.connections().open(origin);
        let (entry, address) = (&self.entry, peer.address);
        let span = match self.dialled {
            true => tracing::debug_span!("connection", outbound = %entry, peer = %address),
            false => tracing::debug_span!("connection", listener = %entry, peer = %address),
        };
        let port = Arc::clone(self);
        let connection = Connection::new(stream, peer, conversation, port, inbox.clone());
        // A span has its place in the task, also one that the log leaves out.
        let task = match span.is_disabled() {
            true => tasks.spawn(connection.run()),
            false => tasks.spawn(Box::pin(connection.run().instrument(span))),
        };
        (task.id(), inbox)
    }

    pub(super) fn take_place(&self) -> Vec<Action> {
        std::mem::take(&mut self.place.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn give_place(&self, place: Vec<Action>) {
        if place.capacity() <= MOST_KEPT {
            *self.place.lock().unwrap_or_else(PoisonError::into_inner) = place;
        }
    }

    /// Shows how many connections there may be, and what may wait on each.
    pub(super) fn show_bounds(&self, connections: usize, settings: &ConversationSettings) {
        let bounds = &settings.bounds;
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let each = Backlog {
            replies: count(bounds.waiting_replies),
            commands: count(bounds.waiting_commands),
            bytes: count(bounds.waiting_bytes),
            messages: count(AHEAD),
        };
        self.metrics.bounds(connections, each);
    }

    pub(super) fn count_end(&self, ended: Result<Reason, String>) {
        match ended {
            Ok(reason) => self.metrics.closed(reason.word()),
            Err(error) => {
                self.metrics.panicked();
                tracing::error!(
                    error,
                    "a connection ended by a defect of the module; please report it"
                );
            }
        }
    }

    /// A line about a peer that an operator should read; so many were held back before it.
    pub(super) fn warn(&self, peer: SocketAddr, held_back: u64, text: &dyn fmt::Display) {
        let entry = &self.entry;
        match self.dialled {
            _ if has_span() => tracing::warn!(held_back, "{text}"),
            true => tracing::warn!(outbound = %entry, %peer, held_back, "{text}"),
            false => tracing::warn!(listener = %entry, %peer, held_back, "{text}"),
        }
    }

    /// Messages are lost because the connection had to end.
    pub(super) fn lost_messages(&self, peer: SocketAddr) {
        const TEXT: &str = "messages found no room before the connection had to end, and are lost";
        let entry = &self.entry;
        match self.dialled {
            _ if has_span() => tracing::error!("{TEXT}"),
            true => tracing::error!(outbound = %entry, %peer, "{TEXT}"),
            false => tracing::error!(listener = %entry, %peer, "{TEXT}"),
        }
    }
}

/// Whether a line is in a connection's span, which says the entry and the peer.
fn has_span() -> bool {
    !tracing::Span::current().is_disabled()
}
