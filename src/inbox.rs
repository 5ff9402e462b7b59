//! What reaches a connection from inside the process: progress, commands, settings, the word to stop.
//!
//! One `Notify` and queues that are allocated when used, so that an idle connection stays small.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use thiserror::Error;
use tokio::sync::{Notify, oneshot};

use crate::conversation::{ConversationSettings, Outcome, Reason, Request};
use crate::message::{ConnectionId, Name, Progress, Ticket};

/// Commands that may wait for one connection.
const MOST_COMMANDS: usize = 32;

/// The sending side. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Inbox(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    notify: Notify,
    id: ConnectionId,
    origin: Origin,
    /// How often the device was heard.
    beats: AtomicU64,
}

/// Where a connection comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The entry of the settings that it belongs to.
    pub entry: Name,
    /// Whether we have called the device, and the entry is one of `outbound`.
    pub dialled: bool,
    /// The other end.
    pub peer: SocketAddr,
    /// When it was opened.
    pub since: Timestamp,
}

impl Origin {
    /// What its entry is: `outbound` or `listener`.
    pub fn kind(&self) -> &'static str {
        match self.dialled {
            true => "outbound",
            false => "listener",
        }
    }
}

/// Everything that waits for the connection.
#[derive(Debug, Default)]
pub struct Waiting {
    /// Tickets and how far they have got, in the order in which it was said. Bounded by the
    /// tickets that the conversation has outstanding, each of which says one thing.
    pub progress: VecDeque<(Ticket, Progress)>,
    /// Commands and where their outcomes go.
    pub commands: VecDeque<(Request, oneshot::Sender<Outcome>)>,
    /// The latest settings.
    pub settings: Option<Arc<ConversationSettings>>,
    /// The word to stop.
    pub stop: Option<Reason>,
    ended: bool,
}

/// Why a command was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotTaken {
    /// As many commands wait as may.
    #[error("too many commands wait for this connection")]
    Full,
    /// The connection has ended.
    #[error("the connection has ended")]
    Ended,
}

impl Inbox {
    /// Of the connection with that number.
    pub fn new(id: ConnectionId, origin: Origin) -> Self {
        Inbox(Arc::new(Shared {
            waiting: Mutex::default(),
            notify: Notify::new(),
            id,
            origin,
            beats: AtomicU64::new(0),
        }))
    }

    /// The connection's number.
    pub fn id(&self) -> ConnectionId {
        self.0.id
    }

    /// Where the connection comes from.
    pub fn origin(&self) -> &Origin {
        &self.0.origin
    }

    /// Bytes came from the device.
    pub fn beat(&self) {
        self.0.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// How often bytes have come.
    pub fn beats(&self) -> u64 {
        self.0.beats.load(Ordering::Relaxed)
    }

    /// Says how far a ticket has got. Never waits and is never lost while the connection lives.
    pub fn progress(&self, ticket: Ticket, progress: Progress) {
        self.put(|waiting| waiting.progress.push_back((ticket, progress)));
    }

    /// Asks for a command to be written; its outcome comes through `answer`.
    ///
    /// # Errors
    /// When too many wait, or the connection has ended.
    pub fn command(
        &self,
        request: Request,
        answer: oneshot::Sender<Outcome>,
    ) -> Result<(), NotTaken> {
        let mut waiting = self.lock();
        if waiting.ended {
            return Err(NotTaken::Ended);
        }
        if waiting.commands.len() >= MOST_COMMANDS {
            return Err(NotTaken::Full);
        }
        waiting.commands.push_back((request, answer));
        drop(waiting);
        self.0.notify.notify_one();
        Ok(())
    }

    /// Gives new settings; only the latest count.
    pub fn settings(&self, settings: Arc<ConversationSettings>) {
        self.put(|waiting| waiting.settings = Some(settings));
    }

    /// Asks the connection to end.
    pub fn stop(&self, reason: Reason) {
        self.put(|waiting| waiting.stop = Some(reason));
    }

    /// Takes all that waits, or waits until there is something. For the connection alone; may be dropped.
    pub async fn take(&self) -> Waiting {
        loop {
            // In a scope of its own: what lives across the wait is part of every idle connection.
            {
                let waiting = std::mem::take(&mut *self.lock());
                if !waiting.is_empty() {
                    return waiting;
                }
            }
            self.0.notify.notified().await;
        }
    }

    /// The connection has ended: what still waits is dropped, and commands get their outcome.
    pub fn end(&self) {
        let ended = Waiting {
            ended: true,
            ..Waiting::default()
        };
        let waiting = std::mem::replace(&mut *self.lock(), ended);
        for (_, answer) in waiting.commands {
            // A caller that has gone does not want to know.
            answer
                .send(Outcome::NotConnected { written: 0 })
                .unwrap_or(());
        }
    }

    /// Whether both are the same connection's.
    pub fn is(&self, other: &Inbox) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// A number that all ends of one connection have, and no other connection while they are there.
    pub fn key(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    fn put(&self, change: impl FnOnce(&mut Waiting)) {
        let mut waiting = self.lock();
        if waiting.ended {
            return;
        }
        change(&mut waiting);
        drop(waiting);
        self.0.notify.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.progress.is_empty()
            && self.commands.is_empty()
            && self.settings.is_none()
            && self.stop.is_none()
    }
}

/// Of a connection that stands alone.
#[cfg(test)]
impl Default for Inbox {
    fn default() -> Self {
        let origin = Origin {
            entry: "scales".into(),
            dialled: false,
            peer: "10.0.0.7:4000".parse().unwrap(),
            since: Timestamp::UNIX_EPOCH,
        };
        Inbox::new(ConnectionId(0), origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[expect(
        clippy::disallowed_methods,
        reason = "an instant can only be had from the clock"
    )]
    fn request() -> Request {
        Request {
            device: "d".into(),
            what: crate::conversation::Asked::Raw {
                bytes: "T".into(),
                answer: None,
            },
            deadline: Instant::now() + Duration::from_secs(1),
        }
    }

    #[tokio::test]
    async fn everything_comes_in_order_and_only_the_latest_settings() {
        let inbox = Inbox::default();
        inbox.progress(Ticket(1), Progress::Stored);
        inbox.progress(Ticket(1), Progress::Delivered);
        inbox.stop(Reason::Shutdown);
        let waiting = inbox.take().await;
        assert_eq!(
            waiting.progress,
            [
                (Ticket(1), Progress::Stored),
                (Ticket(1), Progress::Delivered)
            ]
        );
        assert_eq!(waiting.stop, Some(Reason::Shutdown));
        let (late, ()) = tokio::join!(inbox.take(), async {
            inbox.progress(Ticket(2), Progress::Lost)
        });
        assert_eq!(late.progress, [(Ticket(2), Progress::Lost)]);
    }

    #[tokio::test]
    async fn a_command_that_no_connection_took_was_not_written() {
        let inbox = Inbox::default();
        let (answer, outcome) = oneshot::channel();
        inbox.command(request(), answer).unwrap();
        inbox.end();
        assert_eq!(outcome.await, Ok(Outcome::NotConnected { written: 0 }));
    }

    #[test]
    fn commands_are_bounded_and_refused_after_the_end() {
        let inbox = Inbox::default();
        for _ in 0..MOST_COMMANDS {
            assert_eq!(inbox.command(request(), oneshot::channel().0), Ok(()));
        }
        assert_eq!(
            inbox.command(request(), oneshot::channel().0),
            Err(NotTaken::Full)
        );
        inbox.end();
        assert_eq!(
            inbox.command(request(), oneshot::channel().0),
            Err(NotTaken::Ended)
        );
    }
}
