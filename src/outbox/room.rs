//! Room in memory: bytes for all, and a share of messages for each connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use tokio::sync::{Notify, Semaphore, watch};

use super::Closed;
use crate::message::Ticket;

/// Messages of one connection in memory at most.
pub const MOST_OF_ONE: usize = 256;
/// A connection that waits for its share is content when it has no more.
const CONTENT: usize = MOST_OF_ONE / 4 * 3;
/// What a semaphore can count on 32 bits.
const MOST_BYTES: usize = (u32::MAX >> 3) as usize;

/// Tells how much room is taken.
#[derive(Clone, Debug)]
pub struct Level(Arc<Room>);

impl Level {
    pub(super) fn of(room: Arc<Room>) -> Self {
        Level(room)
    }

    /// Bytes of room that are taken, and bytes that there are.
    pub fn read(&self) -> (usize, usize) {
        let bound = *self.0.bound.borrow();
        (bound.saturating_sub(self.0.free.available_permits()), bound)
    }

    /// Waits until a connection has begun to wait for its share; may be dropped and called again.
    pub async fn wanted(&self) {
        self.0.wanted.notified().await;
    }
}

/// Bytes in memory, given in the order of asking.
#[derive(Debug)]
pub(super) struct Room {
    free: Semaphore,
    /// What a smaller bound takes from the room that is given back, and what was given without being there.
    owed: AtomicUsize,
    bound: watch::Sender<usize>,
    /// A connection waits for its share.
    wanted: Notify,
}

impl Room {
    pub(super) fn new(bytes: usize) -> Self {
        let bytes = bytes.clamp(1, MOST_BYTES);
        Room {
            free: Semaphore::new(bytes),
            owed: AtomicUsize::new(0),
            bound: watch::Sender::new(bytes),
            wanted: Notify::new(),
        }
    }

    /// How many bytes there are.
    pub(super) fn bound(&self) -> usize {
        *self.bound.borrow()
    }

    /// Waits for so many bytes. More than there are at all are given when nobody else has any.
    pub(super) async fn take(self: &Arc<Self>, bytes: usize) -> Result<Granted, Closed> {
        let mut bound = self.bound.subscribe();
        loop {
            let most = *bound.borrow_and_update();
            // Who waited for more has given back what it had so far.
            self.settle();
            tokio::select! {
                permit = self.free.acquire_many(permits(bytes.min(most))) => {
                    permit.map_err(|_| Closed)?.forget();
                    self.owed.fetch_add(bytes.saturating_sub(most), Ordering::AcqRel);
                    return Ok(self.granted(bytes));
                }
                // What is asked for may have become more than there is.
                Ok(()) = bound.changed() => {}
            }
        }
    }

    /// Takes bytes if nobody waits for them and they are there.
    pub(super) fn takes_at_once(self: &Arc<Self>, bytes: usize) -> Option<Granted> {
        self.free.try_acquire_many(permits(bytes)).ok()?.forget();
        Some(self.granted(bytes))
    }

    fn granted(self: &Arc<Self>, bytes: usize) -> Granted {
        Granted {
            room: Arc::clone(self),
            bytes,
        }
    }

    pub(super) fn resize(&self, bytes: usize) {
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

/// Room for a group that is not handed over yet; given back if it never is.
#[derive(Debug)]
pub(super) struct Granted {
    room: Arc<Room>,
    bytes: usize,
}

impl Granted {
    /// The messages have it now, each its part.
    pub(super) fn into_use(mut self) {
        self.bytes = 0;
    }
}

impl Drop for Granted {
    fn drop(&mut self) {
        self.room.give_back(self.bytes);
    }
}

/// One connection's part of the room.
#[derive(Debug)]
pub(super) struct Share {
    room: Arc<Room>,
    /// Messages in memory.
    held: AtomicUsize,
    freed: Notify,
    /// Whether its connection waits for it.
    waits: AtomicBool,
    /// The last ticket for which nobody waits any more.
    forgotten: AtomicU64,
}

impl Share {
    pub(super) fn of(room: Arc<Room>) -> Self {
        Share {
            room,
            held: AtomicUsize::new(0),
            freed: Notify::new(),
            waits: AtomicBool::new(false),
            forgotten: AtomicU64::new(0),
        }
    }

    pub(super) fn forget(&self, ticket: Ticket) {
        self.forgotten.fetch_max(ticket.0, Ordering::AcqRel);
    }

    pub(super) fn has_forgotten(&self, ticket: Ticket) -> bool {
        ticket.0 <= self.forgotten.load(Ordering::Acquire)
    }

    pub(super) fn room(&self) -> Arc<Room> {
        Arc::clone(&self.room)
    }

    /// The room of one message, of bytes that were taken before.
    pub(super) fn space(self: &Arc<Self>, bytes: usize) -> Space {
        self.held.fetch_add(1, Ordering::AcqRel);
        Space {
            share: Arc::clone(self),
            bytes: permits(bytes),
        }
    }

    /// How many more messages may come.
    pub(super) fn quota(&self) -> usize {
        MOST_OF_ONE.saturating_sub(self.held.load(Ordering::Acquire))
    }

    /// Waits until one more may come.
    pub(super) async fn freed(&self) {
        loop {
            let freed = self.freed.notified();
            if self.quota() > 0 {
                return;
            }
            let _waits = Waits::of(self);
            freed.await;
        }
    }
}

/// Says that a connection waits for its share, as long as it does.
struct Waits<'a>(&'a Share);

impl<'a> Waits<'a> {
    fn of(share: &'a Share) -> Self {
        share.waits.store(true, Ordering::Release);
        share.room.wanted.notify_one();
        Waits(share)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.waits.store(false, Ordering::Release);
    }
}

/// The room of one message; dropping it makes room for another.
#[derive(Debug)]
pub(super) struct Space {
    share: Arc<Share>,
    bytes: u32,
}

impl Space {
    /// Whether its connection waits for its share and has much of it.
    pub(super) fn is_wanted(&self) -> bool {
        let share = &self.share;
        share.waits.load(Ordering::Acquire) && share.held.load(Ordering::Acquire) > CONTENT
    }
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

/// One larger than all room takes all of it.
fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes.min(MOST_BYTES)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use tokio::task::yield_now;

    use super::*;

    async fn gets(room: &Arc<Room>, bytes: usize) -> bool {
        tokio::select! {
            biased;
            given = room.take(bytes) => given.map(Granted::into_use).is_ok(),
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
        let large = room.take(300);
        tokio::pin!(large);
        tokio::select! {
            biased;
            _ = &mut large => panic!("10 bytes are held"),
            () = yield_now() => {}
        }
        room.resize(50);
        room.give_back(10);
        large.await.unwrap().into_use();
        assert!(!gets(&room, 1).await);
        room.give_back(300);
        assert_eq!(room.free.available_permits(), 50);
        drop(room.take(20).await.unwrap());
        assert_eq!(
            room.free.available_permits(),
            50,
            "what is not used comes back"
        );
    }
}
