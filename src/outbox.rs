//! Where a connection hands its messages over: it waits for room in memory, and nothing else.
//!
//! Room is counted in bytes over the whole process and given in the order of asking. A message has
//! its room until it is done or on disk; while there is none, the connection does not read. Besides,
//! one connection has at most [`MOST_OF_ONE`] messages in memory, so that a flooding device waits
//! behind its own messages and not in front of everybody's.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use thiserror::Error;
use tokio::sync::{Notify, Semaphore, mpsc, watch};

use crate::message::{Message, Progress, Ticket};
use crate::ops::metrics::Metrics;
use crate::spool::Hold;

/// Takes what is said of a ticket back to its conversation; must not wait.
pub type ProgressSink = Arc<dyn Fn(Ticket, Progress) + Send + Sync>;

/// Messages of one connection in memory at most.
pub const MOST_OF_ONE: usize = 256;
/// What a message costs in memory beside what it says.
const OVERHEAD: usize = 512;
/// Bytes for which room is asked at once, but for one long message.
const TOGETHER: usize = 64 * 1024;
/// Submissions on their way to the forwarder: each has room, so there are never so many.
const CHANNEL: usize = 1 << 20;
/// What a semaphore can count on 32 bits.
const MOST_BYTES: usize = (u32::MAX >> 3) as usize;

/// The forwarder has ended; nothing can be handed over any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the module is shutting down")]
pub struct Closed;

/// Makes the way from all outboxes to the forwarder, with so many bytes of room. It ends when every
/// submitter and outbox is dropped.
pub fn channel(bytes: usize, metrics: Metrics) -> (Submitter, mpsc::Receiver<Vec<Submission>>) {
    let (submissions, receiver) = mpsc::channel(CHANNEL);
    (
        Submitter {
            room: Arc::new(Room::new(bytes)),
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
    submissions: mpsc::Sender<Vec<Submission>>,
    metrics: Metrics,
}

impl Submitter {
    /// An outbox for one connection, whose tickets' progress goes to `sink`.
    pub fn outbox(&self, sink: ProgressSink) -> Outbox {
        Outbox {
            share: Arc::new(Share {
                room: Arc::clone(&self.room),
                held: AtomicUsize::new(0),
                freed: Notify::new(),
            }),
            submitter: self.clone(),
            sink,
            waiting: VecDeque::new(),
            line: None,
        }
    }

    /// Changes how many bytes are held. What is held already keeps its room until it is done.
    pub fn resize(&self, bytes: usize) {
        self.room.resize(bytes);
    }

    /// What tells how much room is taken; holds no submitter.
    pub fn level(&self) -> Level {
        Level(Arc::clone(&self.room))
    }
}

/// Tells how much room is taken.
#[derive(Clone, Debug)]
pub struct Level(Arc<Room>);

impl Level {
    /// Bytes of room that are taken, and bytes that there are.
    pub fn read(&self) -> (usize, usize) {
        let bound = *self.0.bound.borrow();
        (bound.saturating_sub(self.0.free.available_permits()), bound)
    }
}

/// One connection's way into the spool.
pub struct Outbox {
    submitter: Submitter,
    share: Arc<Share>,
    sink: ProgressSink,
    waiting: VecDeque<(Message, Option<Arc<Claim>>)>,
    /// The place in the line for room, kept when `flush` is dropped and called again.
    line: Option<(usize, Line)>,
}

type Line = Pin<Box<dyn Future<Output = Result<(), Closed>> + Send>>;

impl Outbox {
    /// Puts a frame's messages behind those that wait for room. Without messages it does nothing.
    /// Progress is said once, when the last of them has got as far as `awaits` says.
    pub fn queue(&mut self, ticket: Ticket, messages: Vec<Message>, awaits: Option<Progress>) {
        let claim = awaits.map(|awaits| {
            Arc::new(Claim {
                ticket,
                awaits,
                remaining: AtomicUsize::new(messages.len()),
                lost: AtomicBool::new(false),
                sink: Arc::clone(&self.sink),
            })
        });
        self.waiting
            .extend(messages.into_iter().map(|message| (message, claim.clone())));
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
        while !self.waiting.is_empty() {
            let count = match &mut self.line {
                Some((count, line)) => {
                    let count = *count;
                    let room = line.await;
                    self.line = None;
                    room?;
                    count
                }
                None => {
                    let quota = self.share.quota().await;
                    let (count, bytes) = self.next_group(quota);
                    let room = &self.share.room;
                    if !room
                        .free
                        .try_acquire_many(permits(bytes))
                        .is_ok_and(|permit| {
                            permit.forget();
                            true
                        })
                    {
                        let line = Box::pin(Arc::clone(room).take(bytes));
                        self.line = Some((count, line));
                        continue;
                    }
                    count
                }
            };
            self.hand_over(count)?;
        }
        Ok(())
    }

    /// How many of the first waiting messages go together, and their bytes.
    fn next_group(&self, most: usize) -> (usize, usize) {
        let (mut count, mut bytes) = (0, 0);
        let together = TOGETHER.min(*self.share.room.bound.borrow() / 4);
        for (message, _) in self.waiting.iter().take(most) {
            let size = cost(message);
            if count > 0 && bytes + size > together {
                break;
            }
            count += 1;
            bytes += size;
        }
        (count, bytes)
    }

    fn hand_over(&mut self, count: usize) -> Result<(), Closed> {
        self.share.held.fetch_add(count, Ordering::AcqRel);
        let share = &self.share;
        let submissions = self.waiting.drain(..count).map(|(message, claim)| {
            let space = Space {
                share: Arc::clone(share),
                bytes: permits(cost(&message)),
            };
            let held = Held {
                space: Some(space),
                claim,
            };
            Submission { message, held }
        });
        let group: Vec<_> = submissions.collect();
        self.submitter.submissions.try_send(group).map_err(|error| {
            for lost in error.into_inner() {
                self.submitter.metrics.abandoned(&lost.message.output);
            }
            Closed
        })
    }
}

fn cost(message: &Message) -> usize {
    message.size().saturating_add(OVERHEAD)
}

/// One larger than all room takes all of it.
fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes.min(MOST_BYTES)).unwrap_or(u32::MAX)
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

/// Bytes in memory, given in the order of asking.
#[derive(Debug)]
struct Room {
    free: Semaphore,
    /// What a smaller bound takes from the room that is given back, and what was given without being there.
    owed: AtomicUsize,
    bound: watch::Sender<usize>,
}

impl Room {
    fn new(bytes: usize) -> Self {
        let bytes = bytes.clamp(1, MOST_BYTES);
        Room {
            free: Semaphore::new(bytes),
            owed: AtomicUsize::new(0),
            bound: watch::Sender::new(bytes),
        }
    }

    /// Waits for so many bytes. More than there are at all are given when nobody else has any.
    async fn take(self: Arc<Self>, bytes: usize) -> Result<(), Closed> {
        let mut bound = self.bound.subscribe();
        loop {
            let most = *bound.borrow_and_update();
            // Who waited for more has given back what it had so far.
            self.settle();
            tokio::select! {
                permit = self.free.acquire_many(permits(bytes.min(most))) => {
                    permit.map_err(|_| Closed)?.forget();
                    self.owed.fetch_add(bytes.saturating_sub(most), Ordering::AcqRel);
                    return Ok(());
                }
                // What is asked for may have become more than there is.
                Ok(()) = bound.changed() => {}
            }
        }
    }

    fn resize(&self, bytes: usize) {
        let bytes = bytes.clamp(1, MOST_BYTES);
        let before = self.bound.send_replace(bytes);
        self.give_back(bytes.saturating_sub(before));
        let shrunk = before.saturating_sub(bytes);
        let taken = self.free.forget_permits(shrunk);
        self.owed.fetch_add(shrunk - taken, Ordering::AcqRel);
    }

    fn settle(&self) {
        let owed = self.owed.swap(0, Ordering::AcqRel);
        let taken = self.free.forget_permits(owed);
        self.owed.fetch_add(owed - taken, Ordering::AcqRel);
    }

    fn give_back(&self, bytes: usize) {
        let pay = |owed: usize| Some(owed - owed.min(bytes));
        let owed = self
            .owed
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, pay)
            .unwrap_or_default();
        self.free.add_permits(bytes - owed.min(bytes));
    }
}

/// One connection's part of the room.
#[derive(Debug)]
struct Share {
    room: Arc<Room>,
    /// Messages in memory.
    held: AtomicUsize,
    freed: Notify,
}

impl Share {
    /// How many more messages may come; waits until there is one.
    async fn quota(&self) -> usize {
        loop {
            let freed = self.freed.notified();
            let left = MOST_OF_ONE.saturating_sub(self.held.load(Ordering::Acquire));
            if left > 0 {
                return left;
            }
            freed.await;
        }
    }
}

/// The room of one message; dropping it makes room for another.
#[derive(Debug)]
struct Space {
    share: Arc<Share>,
    bytes: u32,
}

impl Drop for Space {
    fn drop(&mut self) {
        let share = &self.share;
        share
            .room
            .give_back(usize::try_from(self.bytes).unwrap_or(0));
        if share.held.fetch_sub(1, Ordering::AcqRel) >= MOST_OF_ONE {
            share.freed.notify_one();
        }
    }
}

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

    fn waits_for_edgehub(&self, disk: bool) -> bool {
        let claim = self.claim.as_ref();
        claim.is_some_and(|claim| !disk || claim.awaits == Progress::Delivered)
    }
}

/// A frame's ticket, shared by all messages of the frame: progress is said once, with the last of them.
struct Claim {
    ticket: Ticket,
    awaits: Progress,
    remaining: AtomicUsize,
    lost: AtomicBool,
    sink: ProgressSink,
}

impl Claim {
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

#[cfg(test)]
mod tests {
    use tokio::task::yield_now;

    use super::*;
    use crate::message::Body;

    fn message(text: &str) -> Message {
        Message {
            output: "telemetry".into(),
            device: "scale-1".into(),
            id: None,
            body: Body::Raw(text.to_owned().into()),
            properties: Vec::new(),
        }
    }

    async fn gets(room: &Arc<Room>, bytes: usize) -> bool {
        tokio::select! {
            biased;
            given = Arc::clone(room).take(bytes) => given.is_ok(),
            () = yield_now() => false,
        }
    }

    #[tokio::test]
    async fn smaller_room_is_taken_from_what_is_given_back() {
        let room = Arc::new(Room::new(100));
        assert!(gets(&room, 90).await);
        room.resize(50);
        room.give_back(30);
        assert!(!gets(&room, 1).await, "60 of 50 bytes are held");
        room.give_back(30);
        assert!(gets(&room, 20).await);
        assert!(!gets(&room, 1).await);
        room.resize(60);
        assert!(gets(&room, 10).await, "more room at once");
        room.give_back(60);
        assert_eq!(room.free.available_permits(), 60);
    }

    #[tokio::test]
    async fn whoever_wants_more_than_there_is_gets_it_alone() {
        let room = Arc::new(Room::new(100));
        assert!(gets(&room, 10).await);
        let large = Arc::clone(&room).take(300);
        tokio::pin!(large);
        tokio::select! {
            biased;
            _ = &mut large => panic!("10 bytes are held"),
            () = yield_now() => {}
        }
        room.resize(50);
        room.give_back(10);
        large.await.unwrap();
        assert!(!gets(&room, 1).await);
        room.give_back(300);
        assert_eq!(room.free.available_permits(), 50);
    }

    #[tokio::test]
    async fn one_connection_has_its_share_of_messages_and_no_more() {
        let (submitter, mut submissions) = channel(1 << 24, Metrics::default());
        let mut outbox = submitter.outbox(Arc::new(|_, _| {}));
        let messages = (0..MOST_OF_ONE + 3).map(|n| message(&n.to_string()));
        outbox.queue(Ticket(1), messages.collect(), None);
        assert!(pending(outbox.flush()).await);
        let mut taken: Vec<Submission> = submissions.recv().await.unwrap();
        while taken.len() < MOST_OF_ONE {
            taken.extend(submissions.recv().await.unwrap());
        }
        assert!(submissions.try_recv().is_err());
        taken.truncate(MOST_OF_ONE - 3);
        outbox.flush().await.unwrap();
        assert_eq!(submissions.recv().await.unwrap().len(), 3);
    }

    #[tokio::test]
    async fn without_room_an_outbox_keeps_its_place_in_the_line() {
        let (submitter, mut submissions) = channel(2 * cost(&message("x1")), Metrics::default());
        let outboxes = ["f", "h"].map(|name| {
            let mut outbox = submitter.outbox(Arc::new(|_, _| {}));
            for n in 0..3 {
                outbox.queue(Ticket(1), vec![message(&format!("{name}{n}"))], None);
            }
            outbox
        });
        let [mut flood, mut honest] = outboxes;
        assert!(pending(flood.flush()).await);
        assert!(pending(honest.flush()).await);
        assert!(pending(flood.flush()).await, "asking again keeps the place");
        let first = submissions.try_recv().unwrap();
        assert!(submissions.try_recv().unwrap().len() + first.len() == 2);
        drop(first);
        let all = async { tokio::join!(flood.flush(), honest.flush()) };
        let mut order = Vec::new();
        let drain = async {
            while order.len() < 4 {
                let group = submissions.recv().await.unwrap();
                order.extend(group.into_iter().map(|submission| submission.message.body));
            }
        };
        let ((flooded, served), ()) = tokio::join!(all, drain);
        flooded.unwrap();
        served.unwrap();
    }

    #[tokio::test]
    async fn what_nobody_took_over_is_counted_as_abandoned() {
        let metrics = Metrics::default();
        let (submitter, submissions) = channel(1, metrics.clone());
        let mut outbox = submitter.outbox(Arc::new(|_, _| {}));
        outbox.queue(
            Ticket(1),
            vec![message("a"), message("b"), message("c")],
            None,
        );
        assert!(pending(outbox.flush()).await);
        drop(outbox);
        drop(submissions);
        assert_eq!(
            metrics.sample("edge_tcp_gateway_messages_abandoned_total{output=\"telemetry\"}"),
            2.0
        );
    }

    /// Whether a future is still waiting after it was asked once.
    async fn pending(future: impl Future) -> bool {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(future.as_mut().poll(context).is_pending())
        })
        .await
    }
}
