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
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

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

/// The forwarder has ended; nothing can be handed over any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the module is shutting down")]
pub struct Closed;

/// Makes the way from all outboxes to the forwarder. It ends when every submitter and outbox is dropped.
pub fn channel(bounds: Bounds, metrics: Metrics) -> (Submitter, mpsc::Receiver<Submission>) {
    let messages = bounds.messages.clamp(1, Semaphore::MAX_PERMITS);
    let bytes = bounds.bytes.clamp(1, u32::MAX as usize);
    let room = Room {
        messages: Arc::new(Semaphore::new(messages)),
        bytes: Arc::new(Semaphore::new(bytes)),
        most_bytes: bytes,
    };
    // A submission needs room before it is sent, so the channel itself is never full.
    let (submissions, receiver) = mpsc::channel(messages);
    (
        Submitter {
            room: Arc::new(room),
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
    messages: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    most_bytes: usize,
}

impl Room {
    /// Waits for room for one message. One larger than all room takes all of it.
    async fn permit(self: Arc<Self>, size: usize) -> Result<Permit, Closed> {
        let size = u32::try_from(size.min(self.most_bytes)).unwrap_or(u32::MAX);
        // Whoever waits for bytes holds one message and no bytes, so the holders of bytes always get on.
        let message = Arc::clone(&self.messages)
            .acquire_owned()
            .await
            .map_err(|_| Closed)?;
        let bytes = Arc::clone(&self.bytes)
            .acquire_many_owned(size)
            .await
            .map_err(|_| Closed)?;
        Ok(Permit {
            _message: message,
            _bytes: bytes,
        })
    }
}

/// The room of one message; dropping it makes room for another.
#[derive(Debug)]
pub struct Permit {
    _message: OwnedSemaphorePermit,
    _bytes: OwnedSemaphorePermit,
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
