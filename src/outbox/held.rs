//! What a message holds while it is kept.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use super::room::{Share, Space};
use crate::message::{Message, Progress, Ticket};
use crate::spool::Hold;

/// One message on its way into the spool.
#[derive(Debug)]
pub struct Submission {
    /// The message.
    pub message: Message,
    /// What it holds until it is done.
    pub held: Held,
}

/// What a message holds: room in memory until it is on disk, and its frame's claim until its
/// promise is kept.
#[derive(Debug, Default)]
pub struct Held {
    space: Option<Space>,
    claim: Option<Arc<Claim>>,
}

impl Held {
    pub(super) fn new(space: Space, claim: Option<Arc<Claim>>) -> Self {
        Held {
            space: Some(space),
            claim,
        }
    }

    /// edgeHub has acknowledged the message, and so it is safe too.
    pub fn delivered(self) {
        if let Some(claim) = self.claim {
            claim.ended(false);
        }
    }

    /// The message will never arrive.
    pub fn lost(self) {
        if let Some(claim) = self.claim {
            claim.ended(true);
        }
    }

    /// The message will never arrive, and is kept among the dead letters.
    pub fn buried(mut self) {
        self.safe();
        self.lost();
    }
}

impl Hold for Held {
    fn written(&mut self) {
        self.space = None;
    }

    fn safe(&mut self) {
        let stored = |claim: &mut Arc<Claim>| claim.awaits == Progress::Stored;
        if let Some(claim) = self.claim.take_if(stored) {
            claim.ended(false);
        }
    }

    fn waits(&self) -> bool {
        self.claim.as_ref().is_some_and(|claim| claim.is_awaited())
    }

    fn is_wanted(&self) -> bool {
        self.space.as_ref().is_some_and(Space::is_wanted)
    }

    fn waits_for_edgehub(&self, disk: bool) -> bool {
        let claim = self.claim.as_ref().filter(|claim| claim.is_awaited());
        claim.is_some_and(|claim| !disk || claim.awaits == Progress::Delivered)
    }
}

/// A frame's ticket, shared by all messages of the frame: progress is said once, with the last of them.
pub(super) struct Claim {
    ticket: Ticket,
    awaits: Progress,
    remaining: AtomicUsize,
    lost: AtomicBool,
    sink: Sink,
    share: Arc<Share>,
}

/// Gone when the connection is.
type Sink = Weak<dyn Fn(Ticket, Progress) + Send + Sync>;

impl Claim {
    pub(super) fn new(
        ticket: Ticket,
        awaits: Progress,
        messages: usize,
        (sink, share): (Sink, Arc<Share>),
    ) -> Self {
        Claim {
            ticket,
            awaits,
            remaining: AtomicUsize::new(messages),
            lost: AtomicBool::new(false),
            sink,
            share,
        }
    }

    /// Whether somebody is left who waits for it.
    fn is_awaited(&self) -> bool {
        self.sink.strong_count() > 0 && !self.share.has_forgotten(self.ticket)
    }

    fn ended(&self, lost: bool) {
        if lost {
            self.lost.store(true, Ordering::Relaxed);
        }
        if self.remaining.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        let progress = match self.lost.load(Ordering::Relaxed) {
            true => Progress::Lost,
            false => self.awaits,
        };
        if let Some(sink) = self.sink.upgrade() {
            sink(self.ticket, progress);
        }
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("ticket", &self.ticket)
            .finish_non_exhaustive()
    }
}
