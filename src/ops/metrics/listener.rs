//! What is counted by listener, and by entry of `outbound`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::metrics::counter::Counter;

use super::labels::{Dialled, OfEntry, Polled, Reasoned, Troubled};
use super::room::{Fill, Fills};
use super::{Count, Registered};
use crate::message::Name;

/// The label of a listener.
pub(super) const LISTENER: &str = "listener";
/// The label of an entry of `outbound`.
pub(super) const OUTBOUND: &str = "outbound";
/// The result of an attempt after which there is a connection.
pub const CONNECTED: &str = "connected";

/// The counts of all listeners and entries of `outbound`.
#[derive(Debug)]
pub(super) struct Listeners {
    connections: Fills,
    replies: Fills,
    commands: Fills,
    bytes: Fills,
    messages: Fills,
    accepted: Count<OfEntry>,
    accept_pauses: Count<OfEntry>,
    panics: Count<OfEntry>,
    received_bytes: Count<OfEntry>,
    sent_bytes: Count<OfEntry>,
    frames: Count<OfEntry>,
    refused: Count<Reasoned>,
    dialled: Count<Dialled>,
    closed: Count<Reasoned>,
    troubles: Count<Troubled>,
    polls: Count<Polled>,
    /// Looked up once for each connection, so kept as they were made.
    known: Mutex<BTreeMap<(&'static str, Name), ListenerMetrics>>,
}

impl Listeners {
    pub(super) fn registered(all: &mut Registered) -> Self {
        Listeners {
            connections: Fills::registered(all,
                (
                    "connections",
                    "Open connections; at connections_bound a listener refuses more: raise maxConnections, or see which devices connect twice. Of outbound below it: see why (reported properties)",
                ),
                ("connections_bound", "maxConnections of the listener; outbound the devices that are dialled"),
            ),
            replies: Fills::registered(all,
                (
                    "replies_waiting",
                    "Replies of all connections that wait for their promise; when they stay, edgeHub (link_up) or the disk is slow",
                ),
                (
                    "replies_waiting_bound",
                    "Replies that may wait; a connection with its part of them is not read",
                ),
            ),
            commands: Fills::registered(all,
                (
                    "commands_waiting",
                    "Commands that are not written to their devices yet; when they stay, devices do not read",
                ),
                (
                    "commands_waiting_bound",
                    "Commands that may wait; beyond its part of them a connection is answered 429",
                ),
            ),
            bytes: Fills::registered(all,
                (
                    "waiting_bytes",
                    "Bytes of replies and commands that are not written yet; when they stay, devices do not read what they are sent",
                ),
                (
                    "waiting_bound_bytes",
                    "Bytes that may wait, but for one reply or command of each connection; a connection with its part of them is not read",
                ),
            ),
            messages: Fills::registered(all,
                (
                    "messages_waiting_bytes",
                    "Bytes of messages that have no room in memory yet; when they stay, see whether edgeHub (link_up) and the disk keep up",
                ),
                (
                    "messages_waiting_bound_bytes",
                    "Bytes that may wait, but for one frame of each connection; a connection with its part of them is not read",
                ),
            ),
            accepted: all.add(("connections_accepted", "Connections accepted")),
            accept_pauses: all.add((
                    "accept_pauses",
                    "Times a listener paused because no file could be opened: raise the container's limit of open files",
                ),
            ),
            panics: all.add((
                    "connection_panics",
                    "Connections ended by a defect in the module: please report it",
                ),
            ),
            received_bytes: all.add(("received_bytes", "Bytes from devices")),
            sent_bytes: all.add(("sent_bytes", "Bytes to devices")),
            frames: all.add(("frames", "Frames found, those of unknown or rejected devices too")),
            refused: all.add((
                    "connections_refused",
                    "Connections closed at once, by reason",
                ),
            ),
            dialled: all.add((
                    "outbound_attempts",
                    "Attempts to connect to devices that are dialled, by result",
                ),
            ),
            closed: all.add((
                    "connections_closed",
                    "Connections ended, by reason; not_opened: a step of the open sequence failed",
                ),
            ),
            troubles: all.add((
                    "frame_troubles",
                    "What was wrong with the bytes of devices, frames not passed on, and replies, polls and open sequences that failed; docs/settings.md says what to do about each word",
                ),
            ),
            polls: all.add((
                    "polls",
                    "Polls that were asked, by what became of them: answered, refused, failed (not answered in time, retries included)",
                ),
            ),
            known: Mutex::default(),
        }
    }

    /// The counts of the entry that such a label names: `listener` or `outbound`.
    pub(super) fn of(&self, label: &'static str, name: &Name) -> ListenerMetrics {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let metrics = known
            .entry((label, Name::clone(name)))
            .or_insert_with(|| self.make(label, name));
        metrics.clone()
    }

    fn make(&self, label: &'static str, name: &Name) -> ListenerMetrics {
        let entry = OfEntry {
            label,
            name: name.to_string(),
        };
        let count = |family: &Count<OfEntry>| family.get_or_create_owned(&entry);
        // Nothing is accepted where devices are dialled.
        let accepting = |family: &Count<OfEntry>| match label {
            LISTENER => count(family),
            _ => Counter::default(),
        };
        ListenerMetrics(Arc::new(Counts {
            connections: self.connections.of(&entry),
            replies: self.replies.of(&entry),
            commands: self.commands.of(&entry),
            bytes: self.bytes.of(&entry),
            messages: self.messages.of(&entry),
            accepted: accepting(&self.accepted),
            accept_pauses: accepting(&self.accept_pauses),
            panics: count(&self.panics),
            received_bytes: count(&self.received_bytes),
            sent_bytes: count(&self.sent_bytes),
            frames: count(&self.frames),
            refused: self.refused.clone(),
            dialled: self.dialled.clone(),
            closed: self.closed.clone(),
            troubles: self.troubles.clone(),
            polls: self.polls.clone(),
            entry,
        }))
    }
}

/// The counts of one listener, or of one entry of `outbound`. Cheap to clone: every connection has one.
#[derive(Clone)]
pub struct ListenerMetrics(Arc<Counts>);

struct Counts {
    entry: OfEntry,
    connections: Fill,
    replies: Fill,
    commands: Fill,
    bytes: Fill,
    messages: Fill,
    accepted: Counter,
    accept_pauses: Counter,
    panics: Counter,
    received_bytes: Counter,
    sent_bytes: Counter,
    frames: Counter,
    refused: Count<Reasoned>,
    dialled: Count<Dialled>,
    closed: Count<Reasoned>,
    troubles: Count<Troubled>,
    polls: Count<Polled>,
}

/// What waits on one connection, or may wait on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Replies that wait for their promise.
    pub replies: u32,
    /// Commands without outcome.
    pub commands: u32,
    /// Bytes of both that are not written yet.
    pub bytes: u32,
    /// Bytes of messages that have no room in memory yet.
    pub messages: u32,
}

impl ListenerMetrics {
    /// A connection was accepted and is open.
    pub fn accepted(&self) {
        self.0.accepted.inc();
        self.0.connections.level.inc();
    }

    /// A connection was closed at once: `limit` or `address`.
    pub fn refused(&self, reason: &'static str) {
        self.0.refused.get_or_create(&self.reasoned(reason)).inc();
    }

    /// A device was dialled: `connected`, or why it is not.
    pub fn dialled(&self, result: &'static str) {
        let labels = Dialled {
            entry: self.0.entry.clone(),
            result,
        };
        self.0.dialled.get_or_create(&labels).inc();
        if result == CONNECTED {
            self.0.connections.level.inc();
        }
    }

    /// An open connection ended.
    pub fn closed(&self, reason: &'static str) {
        self.0.connections.level.dec();
        self.0.closed.get_or_create(&self.reasoned(reason)).inc();
    }

    /// An open connection's task panicked.
    pub fn panicked(&self) {
        self.0.connections.level.dec();
        self.0.panics.inc();
    }

    /// Says how many connections there may be, and what may wait on each.
    pub fn bounds(&self, connections: usize, each: Backlog) {
        let all = |one: u32| {
            u64::try_from(connections)
                .unwrap_or(u64::MAX)
                .saturating_mul(one.into())
        };
        self.0.connections.bound(connections);
        self.0.replies.bound(all(each.replies));
        self.0.commands.bound(all(each.commands));
        self.0.bytes.bound(all(each.bytes));
        self.0.messages.bound(all(each.messages));
    }

    /// What waits on a connection is no longer what it was before.
    pub fn backlog(&self, before: &mut Backlog, now: Backlog) {
        if *before == now {
            return;
        }
        let change = |fill: &Fill, before: u32, now: u32| {
            fill.level.inc_by(i64::from(now) - i64::from(before));
        };
        change(&self.0.replies, before.replies, now.replies);
        change(&self.0.commands, before.commands, now.commands);
        change(&self.0.bytes, before.bytes, now.bytes);
        change(&self.0.messages, before.messages, now.messages);
        *before = now;
    }

    /// Accepting paused because the process may not open another file.
    pub fn accept_paused(&self) {
        self.0.accept_pauses.inc();
    }

    /// Bytes came from a device.
    pub fn bytes_received(&self, bytes: u64) {
        self.0.received_bytes.inc_by(bytes);
    }

    /// Bytes went to a device.
    pub fn bytes_sent(&self, bytes: u64) {
        self.0.sent_bytes.inc_by(bytes);
    }

    /// A frame was accepted.
    pub fn frame(&self) {
        self.0.frames.inc();
    }

    /// A poll was asked: `answered`, `refused` or `failed`.
    pub fn poll(&self, outcome: &'static str) {
        let labels = Polled {
            entry: self.0.entry.clone(),
            outcome,
        };
        self.0.polls.get_or_create(&labels).inc();
    }

    /// Something was wrong with foreign bytes, a frame was not passed on, or what the module asks or
    /// answers failed.
    pub fn trouble(&self, trouble: &'static str, times: u64) {
        let labels = Troubled {
            entry: self.0.entry.clone(),
            trouble,
        };
        self.0.troubles.get_or_create(&labels).inc_by(times);
    }

    fn reasoned(&self, reason: &'static str) -> Reasoned {
        Reasoned {
            entry: self.0.entry.clone(),
            reason,
        }
    }
}

impl fmt::Debug for ListenerMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ListenerMetrics")
            .field(&self.0.entry)
            .finish()
    }
}
