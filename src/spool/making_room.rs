//! What is given up: messages that are too old, and with `drop_oldest` those that are in the way of
//! newer ones.

use std::time::{Duration, Instant};

use super::log::Log;
use super::{Condition, Dropped, FIRST_RETRY, Hold, LONGEST_RETRY, Spool};
use crate::message::Priority;

/// Age is looked at so often in the time that a message may get old.
const LOOKS_AT_AGE: u32 = 8;
/// Those of normal priority go first.
const DROP_ORDER: [Priority; 2] = [Priority::Normal, Priority::High];

/// Bytes that are missing, and where.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lack {
    /// In the spool. What is set aside does not belong to it any more.
    Spool(u64),
    /// On the disk.
    Disk(u64),
}

/// What is known of room that is missing.
#[derive(Clone, Copy, Debug)]
pub(super) struct MakingRoom {
    /// What was missing when a batch was to be written just now.
    pub(super) lacks: Option<Lack>,
    /// Nothing is dropped before, because the last time did not help.
    again: Option<Instant>,
    pause: Duration,
}

impl Default for MakingRoom {
    fn default() -> Self {
        MakingRoom {
            lacks: None,
            again: None,
            pause: FIRST_RETRY,
        }
    }
}

impl MakingRoom {
    fn pauses(&self, now: Instant) -> bool {
        self.again.is_some_and(|again| again > now)
    }

    /// Something was dropped: should that not help, the next time is later.
    fn dropped(&mut self, now: Instant) {
        self.again = now.checked_add(self.pause);
        self.pause = (self.pause * 2).min(LONGEST_RETRY);
    }
}

impl<H: Hold> Spool<H> {
    /// Hands over what was given up since the last time.
    pub fn given_up(&mut self) -> Dropped<H> {
        let dropped = std::mem::take(&mut self.dropped);
        for (output, count) in &dropped.outputs {
            self.forget(output, *count);
        }
        dropped
    }

    /// Somebody waits for room in memory.
    pub fn want_memory(&mut self) {
        self.wanted = true;
    }

    /// Whether messages in memory are dropped for those who wait for their room.
    pub fn drops_in_memory(&self) -> bool {
        let room_comes = self.answers() && self.room_comes();
        self.limits.drop_oldest && !self.is_good() && !room_comes
    }

    /// Whether segments are being deleted, as far as is known with success.
    pub(super) fn room_comes(&self) -> bool {
        let comes = |log: &Log<H>| log.is_deleting() && !log.cannot_delete();
        self.logs.iter().any(comes)
    }

    pub(super) fn is_deleting(&self) -> bool {
        self.logs.iter().any(Log::is_deleting)
    }

    /// Gives up what is too old.
    pub(super) fn expire(&mut self, now: Instant) {
        let Some(age) = self.limits.max_age else {
            return;
        };
        if self.age_again.is_some_and(|again| again > now) {
            return;
        }
        let step = (age / LOOKS_AT_AGE).max(Duration::from_millis(10));
        self.age_again = now.checked_add(step);
        let Some(before) = now.checked_sub(age) else {
            return;
        };
        for log in &mut self.logs {
            log.roll(step, now);
            while let Some(dropped) = log.expire_segment(before) {
                self.dropped.add(dropped);
            }
            while let Some(dropped) = log.drop_oldest_resident(Some(before)) {
                self.dropped.add_one(dropped);
            }
        }
    }

    pub(super) fn age_deadline(&self) -> Option<Instant> {
        let looks = self.limits.max_age.and(self.age_again);
        looks.filter(|_| self.has_unread())
    }

    /// Gives up the oldest messages in memory while the disk takes nothing.
    pub(super) fn spare_memory(&mut self) {
        if !self.drops_in_memory() {
            return;
        }
        // A batch under way holds the oldest; what becomes of it tells, if the disk answers.
        let answers = self.answers();
        let writing = answers && self.logs.iter().any(Log::is_writing);
        let wanted = !writing && std::mem::take(&mut self.wanted);
        // The longest message that edgeHub takes has room in a quarter of the least bound.
        let most = (self.limits.memory_bytes / 4 * 3).saturating_sub(1024);
        for priority in DROP_ORDER {
            while self.logs.iter().map(Log::cost).sum::<usize>() > most {
                let log = self.log(priority);
                let dropped = match answers {
                    true => log.drop_oldest_resident(None),
                    false => log.drop_oldest_behind_batch(),
                };
                let Some(dropped) = dropped else {
                    break;
                };
                self.dropped.add_one(dropped);
            }
            if wanted {
                let dropped = self.log(priority).drop_wanted();
                self.dropped.add(dropped);
            }
        }
    }

    /// Gives up the oldest segments if that can make the room that is missing, and no more of them
    /// than it takes. What is being deleted already may be enough; the next attempt to write tells.
    pub(super) fn make_room(&mut self, now: Instant) {
        let Some(lacks) = self.making_room.lacks.take() else {
            return;
        };
        let (lacks, aside) = match lacks {
            Lack::Spool(bytes) => (bytes, true),
            Lack::Disk(bytes) => (bytes, false),
        };
        let droppable = self.logs.iter().map(|log| log.droppable_bytes(aside));
        let droppable: u64 = droppable.sum();
        if droppable < lacks || self.making_room.pauses(now) || self.is_deleting() {
            return;
        }
        self.making_room.dropped(now);
        let mut made = 0;
        for priority in DROP_ORDER {
            while made < lacks {
                let Some((bytes, dropped)) = self.log(priority).drop_oldest_segment(aside) else {
                    break;
                };
                made += bytes;
                self.dropped.add(dropped);
            }
        }
    }

    /// A batch does not fit: this is missing, because of that.
    pub(super) fn no_room(&mut self, lacks: Lack, why: String, now: Instant) {
        for log in &mut self.logs {
            log.roll_if_done();
        }
        self.condition = Condition::Full(why);
        self.making_room.lacks = Some(lacks).filter(|_| self.limits.drop_oldest);
        self.write_again = now.checked_add(FIRST_RETRY);
    }
}
