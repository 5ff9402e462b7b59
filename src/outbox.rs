//! Where a connection hands its messages over: it waits for room, and nothing else.
//!
//! Room is counted in messages and bytes over the whole process and given in the order of asking,
//! so that a flooding device waits behind its own messages and not in front of everybody's. A
//! message has its room until it is done; while there is none, the connection does not read.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use crate::message::{Message, Progress, Ticket};
use crate::ops::metrics::Metrics;

/// Takes what is said of a ticket back to its conversation; must not wait.
pub type ProgressSink = Arc<dyn Fn(Ticket, Progress) + Send + Sync>;

/// How much the process holds before it stops reading from devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Messages that are not done.
    pub messages: usize,
    /// Bytes of these messages.
    pub bytes: usize,
}

impl Bounds {
    /// Within what can be counted.
    fn clamped(self) -> Self {
        Bounds {
            messages: self.messages.clamp(1, CHANNEL),
            bytes: self.bytes.clamp(1, MOST_BYTES),
        }
    }
}

/// The forwarder has ended; nothing can be handed over any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the module is shutting down")]
pub struct Closed;

/// Submissions on their way to the forwarder, more than any [`Bounds`] give room for.
const CHANNEL: usize = 1 << 24;

/// What a semaphore can count on 32 bits.
const MOST_BYTES: usize = (u32::MAX >> 3) as usize;

/// Makes the way from all outboxes to the forwarder. It ends when every submitter and outbox is dropped.
pub fn channel(bounds: Bounds, metrics: Metrics) -> (Submitter, mpsc::Receiver<Submission>) {
    // A submission needs room before it is sent, so the channel itself is never full.
    let (submissions, receiver) = mpsc::channel(CHANNEL);
    (
        Submitter {
            room: Arc::new(Room::new(bounds)),
            submissions,
            metrics,
        },
        receiver,
    )
}

/// Makes outboxes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Submitter {
    room: Arc<Room>,
    submissions: mpsc::Sender<Submission>,
    metrics: Metrics,
}

impl Submitter {
    /// An outbox for one connection, whose tickets' progress goes to `sink`.
    pub fn outbox(&self, sink: ProgressSink) -> Outbox {
        Outbox {
            submitter: self.clone(),
            sink,
            waiting: VecDeque::new(),
            line: None,
        }
    }

    /// Changes how much is held. What is held already keeps its room until it is done.
    pub fn resize(&self, bounds: Bounds) {
        self.room.resize(bounds);
    }
}

/// One connection's way into the spool.
pub struct Outbox {
    submitter: Submitter,
    sink: ProgressSink,
    waiting: VecDeque<(Message, Arc<Claim>)>,
    /// The place in the line for room, kept when `flush` is dropped and called again.
    line: Option<Line>,
}

type Line = Pin<Box<dyn Future<Output = Result<Permit, Closed>> + Send>>;

impl Outbox {
    /// Puts a frame's messages behind those that wait for room. Without messages it does nothing.
    pub fn queue(&mut self, ticket: Ticket, messages: Vec<Message>) {
        let claim = Arc::new(Claim {
            ticket,
            remaining: AtomicUsize::new(messages.len()),
            lost: AtomicBool::new(false),
            sink: Arc::clone(&self.sink),
        });
        self.waiting.extend(
            messages
                .into_iter()
                .map(|message| (message, Arc::clone(&claim))),
        );
    }

    /// Whether nothing waits for room.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Waits until everything has been taken over. May be dropped and called again at any time.
    ///
    /// # Errors
    /// When the forwarder has ended.
    pub async fn flush(&mut self) -> Result<(), Closed> {
        while let Some((message, _)) = self.waiting.front() {
            let size = message.size();
            let line = self
                .line
                .get_or_insert_with(|| Box::pin(Arc::clone(&self.submitter.room).permit(size)));
            let permit = line.await;
            self.line = None;
            let permit = permit?;
            let Some((message, claim)) = self.waiting.pop_front() else {
                break;
            };
            let output = Arc::clone(&message.output);
            let submission = Submission {
                message,
                claim,
                permit,
            };
            if self.submitter.submissions.try_send(submission).is_err() {
                self.submitter.metrics.abandoned(&output);
                return Err(Closed);
            }
        }
        Ok(())
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        for (message, _) in &self.waiting {
            self.submitter.metrics.abandoned(&message.output);
        }
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox")
            .field("waiting", &self.waiting.len())
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Room {
    messages: Gate,
    bytes: Gate,
    bounds: watch::Sender<Bounds>,
}

impl Room {
    fn new(bounds: Bounds) -> Self {
        let bounds = bounds.clamped();
        Room {
            messages: Gate::new(bounds.messages),
            bytes: Gate::new(bounds.bytes),
            bounds: watch::Sender::new(bounds),
        }
    }

    fn resize(&self, bounds: Bounds) {
        let bounds = bounds.clamped();
        let before = self.bounds.send_replace(bounds);
        self.messages.resize(before.messages, bounds.messages);
        self.bytes.resize(before.bytes, bounds.bytes);
    }

    /// Waits for room for one message. One larger than all room takes all of it.
    async fn permit(self: Arc<Self>, size: usize) -> Result<Permit, Closed> {
        // Whoever waits for bytes holds one message and no bytes, so the holders of bytes always get on.
        let message = self.messages.pass(1).await?;
        let mut bounds = self.bounds.subscribe();
        let bytes = loop {
            let most = bounds.borrow_and_update().bytes;
            tokio::select! {
                bytes = self.bytes.pass(size.min(most)) => break bytes?,
                // What is asked for may have become more than there is.
                Ok(()) = bounds.changed() => {}
            }
        };
        Ok(Permit {
            room: self,
            message,
            bytes,
        })
    }
}

/// Room of one kind, given in the order of asking.
#[derive(Debug)]
struct Gate {
    free: Arc<Semaphore>,
    /// What a smaller bound takes from the room that is given back.
    owed: AtomicUsize,
}

impl Gate {
    fn new(size: usize) -> Self {
        Gate {
            free: Arc::new(Semaphore::new(size)),
            owed: AtomicUsize::new(0),
        }
    }

    async fn pass(&self, size: usize) -> Result<OwnedSemaphorePermit, Closed> {
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.free).acquire_many_owned(size).await;
        permit.map_err(|_| Closed)
    }

    fn resize(&self, before: usize, size: usize) {
        let grown = size.saturating_sub(before);
        self.free.add_permits(grown - self.settle(grown));
        let shrunk = before.saturating_sub(size);
        let taken = self.free.forget_permits(shrunk);
        self.owed.fetch_add(shrunk - taken, Ordering::AcqRel);
    }

    /// Takes what is owed, at most `size`; gives how much that was.
    fn settle(&self, size: usize) -> usize {
        let pay = |owed: usize| Some(owed - owed.min(size));
        let owed = self
            .owed
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, pay);
        owed.unwrap_or_default().min(size)
    }

    fn give_back(&self, permit: &mut OwnedSemaphorePermit) {
        let settled = self.settle(permit.num_permits());
        if let Some(settled) = permit.split(settled) {
            settled.forget();
        }
    }
}

/// The room of one message; dropping it makes room for another.
#[derive(Debug)]
pub struct Permit {
    room: Arc<Room>,
    message: OwnedSemaphorePermit,
    bytes: OwnedSemaphorePermit,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.room.messages.give_back(&mut self.message);
        self.room.bytes.give_back(&mut self.bytes);
    }
}

/// One message on its way into the spool.
#[derive(Debug)]
pub struct Submission {
    /// The message.
    pub message: Message,
    /// Who waits for it.
    pub claim: Arc<Claim>,
    /// Its room, to be kept until it is done.
    pub permit: Permit,
}

/// A frame's ticket, shared by all messages of the frame: progress is said once, with the last of them.
pub struct Claim {
    ticket: Ticket,
    remaining: AtomicUsize,
    lost: AtomicBool,
    sink: ProgressSink,
}

impl Claim {
    /// One message of the frame was acknowledged by edgeHub, and so is safe too.
    pub fn delivered(&self) {
        self.ended();
    }

    /// One message of the frame will never arrive.
    pub fn lost(&self) {
        self.lost.store(true, Ordering::Relaxed);
        self.ended();
    }

    fn ended(&self) {
        if self.remaining.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        if self.lost.load(Ordering::Relaxed) {
            (self.sink)(self.ticket, Progress::Lost);
        } else {
            (self.sink)(self.ticket, Progress::Stored);
            (self.sink)(self.ticket, Progress::Delivered);
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

#[cfg(test)]
mod tests {
    use tokio::task::yield_now;

    use super::*;

    async fn free(room: &Arc<Room>, size: usize) -> Option<Permit> {
        let mut permit = None;
        tokio::select! {
            biased;
            given = Arc::clone(room).permit(size) => permit = given.ok(),
            () = yield_now() => {}
        }
        permit
    }

    fn bounds(messages: usize, bytes: usize) -> Bounds {
        Bounds { messages, bytes }
    }

    #[tokio::test]
    async fn smaller_room_is_taken_from_what_is_given_back() {
        let room = Arc::new(Room::new(bounds(3, 100)));
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(free(&room, 20).await.expect("room for three"));
        }
        room.resize(bounds(2, 50));
        held.pop();
        assert!(free(&room, 1).await.is_none(), "two hold all room");
        held.pop();
        assert!(free(&room, 31).await.is_none(), "20 of 50 bytes are held");
        held.push(free(&room, 30).await.expect("room for one"));
        room.resize(bounds(4, 60));
        held.push(free(&room, 10).await.expect("more room at once"));
        assert!(free(&room, 1).await.is_none(), "60 bytes are held");
        held.clear();
        assert_eq!(room.messages.free.available_permits(), 4);
        assert_eq!(room.bytes.free.available_permits(), 60);
    }

    #[tokio::test]
    async fn whoever_waits_for_more_than_there_still_is_takes_all() {
        let room = Arc::new(Room::new(bounds(3, 100)));
        let held = free(&room, 10).await.expect("room");
        let large = Arc::clone(&room).permit(100);
        tokio::pin!(large);
        tokio::select! {
            biased;
            _ = &mut large => panic!("10 bytes are held"),
            () = yield_now() => {}
        }
        room.resize(bounds(3, 50));
        drop(held);
        let permit = large.await.expect("all room");
        assert_eq!(permit.bytes.num_permits(), 50);
    }
}
