//! Replies that wait: for their promise, and for the replies of earlier frames.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use super::actions::Counted;
use super::protocol::Promise;
use crate::message::{Fields, Progress, Ticket};

/// A reply in its place in the row.
#[derive(Debug)]
pub(super) struct Due {
    /// The promise it waits for; `None` when there is nothing to wait for.
    waits: Option<Waits>,
    /// The reply's bytes.
    reply: Bytes,
    /// What follows instead when the promise is not kept.
    refusal: Refusal,
    /// Whether the connection closes when its turn has come.
    closes: bool,
    /// What the frame said that templates show when it has been answered.
    said: Fields,
}

/// What follows when a promise is not kept.
#[derive(Debug, Default)]
pub(super) struct Refusal {
    /// What is written.
    pub(super) bytes: Bytes,
    /// Whether the connection closes behind it.
    pub(super) closes: bool,
}

impl Due {
    /// A reply that waits for nothing but its turn.
    pub(super) fn now(reply: Bytes) -> Self {
        Due {
            waits: None,
            reply,
            refusal: Refusal::default(),
            closes: false,
            said: Fields::new(),
        }
    }

    /// A reply that waits for a promise.
    pub(super) fn waiting(waits: Waits, reply: Bytes, refusal: Refusal) -> Self {
        Due {
            waits: Some(waits),
            reply,
            refusal,
            closes: false,
            said: Fields::new(),
        }
    }

    /// With what the frame said that templates show when it has been answered.
    pub(super) fn of(self, said: Fields) -> Self {
        Due { said, ..self }
    }

    fn size(&self) -> usize {
        self.reply.len() + self.refusal.bytes.len()
    }
}

/// What a reply waits for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    /// Whose messages.
    pub(super) ticket: Ticket,
    /// Until when.
    pub(super) until: Option<Instant>,
}

/// What is done when a reply's turn has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The bytes go out; none if nothing follows from a missed promise.
    Write(Bytes),
    /// The bytes go out, and the connection closes behind them.
    Close(Bytes),
}

/// Replies in the order of their frames.
#[derive(Debug)]
pub(super) struct DueReplies {
    row: VecDeque<Due>,
    bytes: usize,
    promise: Promise,
}

impl DueReplies {
    pub(super) fn new(promise: Promise) -> Self {
        DueReplies {
            row: VecDeque::new(),
            bytes: 0,
            promise,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.row.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.row.is_empty()
    }

    /// Forgets all replies.
    pub(super) fn clear(&mut self) {
        self.row.clear();
        self.bytes = 0;
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn push(&mut self, due: Due) {
        self.bytes += due.size();
        self.row.push_back(due);
    }

    /// Takes note that a ticket has got somewhere; what is counted if that breaks a promise.
    pub(super) fn progress(&mut self, ticket: Ticket, progress: Progress) -> Option<Counted> {
        let kept = match (progress, self.promise) {
            (Progress::Lost, _) => false,
            (Progress::Stored, Promise::Delivered) => return None,
            (Progress::Stored | Progress::Delivered, _) => true,
        };
        let at = self
            .row
            .iter()
            .position(|due| due.waits.is_some_and(|waits| waits.ticket == ticket))?;
        self.settle(at, kept);
        (!kept).then_some(Counted::PromiseLost(ticket))
    }

    /// How far the messages of the frame must get whose reply came last, if it waits for that.
    pub(super) fn awaits(&self, ticket: Ticket) -> Option<Progress> {
        let waits = self.row.back()?.waits?;
        (waits.ticket == ticket).then_some(match self.promise {
            Promise::Received | Promise::Stored => Progress::Stored,
            Promise::Delivered => Progress::Delivered,
        })
    }

    /// Gives up the first promise whose time is over.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Counted> {
        let late = |due: &Due| {
            due.waits
                .and_then(|waits| waits.until)
                .is_some_and(|until| until <= now)
        };
        let at = self.row.iter().position(late)?;
        let ticket = self.row.get(at)?.waits?.ticket;
        self.settle(at, false);
        Some(Counted::PromiseLate(ticket))
    }

    /// The earliest time at which a promise is late.
    pub(super) fn deadline(&self) -> Option<Instant> {
        // All of a connection wait equally long, so the first that waits is the first that is late.
        self.row.iter().find_map(|due| due.waits)?.until
    }

    /// The first reply of the row, if it waits for nothing any more, and what its frame said.
    pub(super) fn next(&mut self) -> Option<(Turn, Fields)> {
        if self.row.front()?.waits.is_some() {
            return None;
        }
        let due = self.row.pop_front()?;
        self.bytes -= due.size();
        let turn = if due.closes {
            Turn::Close(due.reply)
        } else {
            Turn::Write(due.reply)
        };
        Some((turn, due.said))
    }

    fn settle(&mut self, at: usize, kept: bool) {
        let Some(due) = self.row.get_mut(at) else {
            return;
        };
        self.bytes -= due.size();
        due.waits = None;
        let refusal = std::mem::take(&mut due.refusal);
        if !kept {
            due.reply = refusal.bytes;
            due.closes = refusal.closes;
            due.said = Fields::new();
        }
        self.bytes += due.size();
    }
}
