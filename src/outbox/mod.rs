//! Where a connection hands its messages over: it waits for room in memory, and nothing else.
//!
//! Room is counted in bytes over the whole process and given in the order of asking. A message has
//! its room until it is done or on disk; while there is none, the connection does not read. Besides,
//! one connection has at most [`MOST_OF_ONE`] messages in memory, so that a flooding device waits
//! behind its own messages and not in front of everybody's.

mod held;
mod room;

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use thiserror::Error;
use tokio::sync::mpsc;

use crate::message::{Message, Progress, Ticket};
use crate::ops::metrics::Metrics;

pub use held::{Held, Submission};
pub use room::{Level, MOST_OF_ONE};

use held::Claim;
use room::{Granted, Room, Share};

/// Takes what is said of a ticket back to its conversation; must not wait.
pub type ProgressSink = Arc<dyn Fn(Ticket, Progress) + Send + Sync>;

/// Places for waiting messages that an outbox keeps while nothing waits.
const KEPT: usize = 4;
/// Bytes for which room is asked at once, but for one long message.
const TOGETHER: usize = 64 * 1024;
/// Groups on their way to the forwarder. So few, because it and the link get their turns between
/// those of the connections: what is read must not outrun what could be delivered.
const CHANNEL: usize = 4;
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
            share: Arc::new(Share::of(Arc::clone(&self.room))),
            submitter: self.clone(),
            sink,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            line: None,
        }
    }

    /// Changes how many bytes are held. What is held already keeps its room until it is done.
    pub fn resize(&self, bytes: usize) {
        self.room.resize(bytes);
    }

    /// What tells how much room is taken; holds no submitter.
    pub fn level(&self) -> Level {
        Level::of(Arc::clone(&self.room))
    }
}

/// A message that waits for room.
struct Waiting {
    message: Message,
    claim: Option<Arc<Claim>>,
    cost: usize,
}

/// One connection's way into the spool.
pub struct Outbox {
    submitter: Submitter,
    share: Arc<Share>,
    /// Claims lose it with the outbox: then nobody waits for anything any more.
    sink: ProgressSink,
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    /// The place in the line, kept when `flush` is dropped and called again.
    line: Option<(usize, Line)>,
}

/// What a group needs: its room, then a place in the channel. `None` when there may be quota again.
/// A box, because an idle connection would carry its place otherwise.
type Line = Pin<Box<dyn Future<Output = Result<Option<(Granted, Slot)>, Closed>> + Send>>;
type Slot = mpsc::OwnedPermit<Vec<Submission>>;

impl Outbox {
    /// Puts a frame's messages behind those that wait for room. Without messages it does nothing.
    /// Progress is said once, when the last of them has got as far as `awaits` says.
    pub fn queue(&mut self, ticket: Ticket, messages: Vec<Message>, awaits: Option<Progress>) {
        let claim = awaits.map(|awaits| {
            let sink = Arc::downgrade(&self.sink);
            let share = Arc::clone(&self.share);
            Arc::new(Claim::new(ticket, awaits, messages.len(), (sink, share)))
        });
        if self.waiting.capacity() == 0 && !messages.is_empty() {
            self.waiting.reserve(16);
        }
        for message in messages {
            let cost = message.cost();
            self.waiting_bytes += cost;
            self.waiting.push_back(Waiting {
                message,
                claim: claim.clone(),
                cost,
            });
        }
    }

    /// Nobody waits any more for what becomes of a ticket and those before it.
    pub fn forget(&self, ticket: Ticket) {
        self.share.forget(ticket);
    }

    /// Bytes of what waits for room.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
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
            let Some((count, line)) = &mut self.line else {
                self.line_up();
                continue;
            };
            let count = *count;
            let granted = line.await;
            self.line = None;
            if let Some((room, slot)) = granted? {
                self.hand_over(count, room, slot);
            }
        }
        if self.waiting.capacity() > KEPT {
            self.waiting = VecDeque::new();
        }
        Ok(())
    }

    /// How many of the first waiting messages go together, and their bytes.
    fn next_group(&self, most: usize) -> (usize, usize) {
        let (mut count, mut bytes) = (0, 0);
        let together = TOGETHER.min(self.share.room().bound() / 4);
        for waiting in self.waiting.iter().take(most) {
            if count > 0 && bytes + waiting.cost > together {
                break;
            }
            count += 1;
            bytes += waiting.cost;
        }
        (count, bytes)
    }

    /// Hands a group over if it has all it needs; else gets into the line.
    fn line_up(&mut self) {
        let quota = self.share.quota();
        if quota == 0 {
            let share = Arc::clone(&self.share);
            let line = async move {
                share.freed().await;
                Ok(None)
            };
            self.line = Some((0, Box::pin(line)));
            return;
        }
        let (count, bytes) = self.next_group(quota);
        let submissions = self.submitter.submissions.clone();
        let room = self.share.room();
        let granted = match room.takes_at_once(bytes) {
            Some(granted) => match submissions.clone().try_reserve_owned() {
                Ok(slot) => return self.hand_over(count, granted, slot),
                Err(_) => Some(granted),
            },
            None => None,
        };
        let line = async move {
            let granted = match granted {
                Some(granted) => granted,
                None => room.take(bytes).await?,
            };
            let slot = submissions.reserve_owned().await.map_err(|_| Closed)?;
            Ok(Some((granted, slot)))
        };
        self.line = Some((count, Box::pin(line)));
    }

    fn hand_over(&mut self, count: usize, room: Granted, slot: Slot) {
        let share = &self.share;
        let mut bytes = 0;
        let submissions = self.waiting.drain(..count).map(|waiting| {
            bytes += waiting.cost;
            Submission {
                message: waiting.message,
                held: Held::new(share.space(waiting.cost), waiting.claim),
            }
        });
        slot.send(submissions.collect());
        room.into_use();
        self.waiting_bytes -= bytes;
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        for waiting in &self.waiting {
            self.submitter.metrics.abandoned(&waiting.message.output);
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

#[cfg(test)]
mod tests {
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
        let (submitter, mut submissions) = channel(2 * message("x1").cost(), Metrics::default());
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
                let bodies = group.into_iter().map(|submission| submission.message.body);
                order.extend(bodies.map(|body| String::from_utf8(body.bytes().to_vec()).unwrap()));
            }
        };
        let ((flooded, served), ()) = tokio::join!(all, drain);
        flooded.unwrap();
        served.unwrap();
        assert_eq!(order, ["f2", "h0", "h1", "h2"]);
    }

    #[tokio::test]
    async fn what_waits_for_room_is_told() {
        let (submitter, mut submissions) = channel(1, Metrics::default());
        let mut outbox = submitter.outbox(Arc::new(|_, _| {}));
        for _ in 0..20 {
            outbox.queue(Ticket(1), vec![message("a")], None);
        }
        assert_eq!(outbox.waiting_bytes(), 20 * message("a").cost());
        assert!(pending(outbox.flush()).await);
        assert_eq!(outbox.waiting_bytes(), 19 * message("a").cost());
        let drain = async { while submissions.recv().await.is_some_and(|_| true) {} };
        tokio::select! {
            flushed = outbox.flush() => flushed.unwrap(),
            () = drain => unreachable!("the outbox is there"),
        }
        assert_eq!(outbox.waiting_bytes(), 0);
        assert!(outbox.waiting.capacity() <= KEPT);
    }

    #[tokio::test]
    async fn nobody_waits_for_a_ticket_that_was_forgotten_or_whose_connection_is_gone() {
        use crate::spool::Hold as _;
        let (submitter, mut submissions) = channel(1 << 20, Metrics::default());
        let mut outbox = submitter.outbox(Arc::new(|_, _| {}));
        for n in 1..=3 {
            outbox.queue(Ticket(n), vec![message("a")], Some(Progress::Delivered));
        }
        outbox.flush().await.unwrap();
        let taken = submissions.recv().await.unwrap();
        let waits = || taken.iter().map(|one| one.held.waits()).collect::<Vec<_>>();
        assert_eq!(waits(), [true, true, true]);
        outbox.forget(Ticket(2));
        assert_eq!(waits(), [false, false, true]);
        drop(outbox);
        assert_eq!(waits(), [false, false, false]);
        assert!(!taken[2].held.waits_for_edgehub(true));
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
