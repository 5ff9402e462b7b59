//! What a message holds while it is kept.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::ProgressSink;
use super::room::Space;
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
        self.claim.is_some()
    }

    fn is_wanted(&self) -> bool {
        self.space.as_ref().is_some_and(Space::is_wanted)
    }

    fn waits_for_edgehub(&self, disk: bool) -> bool {
        let claim = self.claim.as_ref();
        claim.is_some_and(|claim| !disk || claim.awaits == Progress::Delivered)
    }
}

/// A frame's ticket, shared by all messages of the frame: progress is said once, with the last of them.
pub(super) struct Claim {
    ticket: Ticket,
    awaits: Progress,
    remaining: AtomicUsize,
    lost: AtomicBool,
    sink: ProgressSink,
}

impl Claim {
    pub(super) fn new(
        ticket: Ticket,
        awaits: Progress,
        messages: usize,
        sink: ProgressSink,
    ) -> Self {
        Claim {
            ticket,
            awaits,
            remaining: AtomicUsize::new(messages),
            lost: AtomicBool::new(false),
            sink,
        }
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
        (self.sink)(self.ticket, progress);
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim")
            .field("ticket", &self.ticket)
            .finish_non_exhaustive()
    }
}
