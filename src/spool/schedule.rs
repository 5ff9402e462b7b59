//! What the spool wants done on the disk, and when.

use std::time::{Duration, Instant};

use super::log::Log;
use super::position::Position;
use super::worker::{Job, Outcome, Trouble};
use super::{
    Condition, DEAD_LETTER_BYTES, Dropped, FIRST_RETRY, Hold, LONGEST_RETRY, NOTE_EVERY, Spool,
    WAITING_DEAD_LETTERS, WAITING_LETTER_BYTES,
};
use crate::message::Priority;

/// Age is looked at so often in the time that a message may get old.
const LOOKS_AT_AGE: u32 = 8;

/// What came of a job.
#[derive(Debug)]
pub struct Finished<H> {
    /// Messages that had to be given up by it.
    pub dropped: Dropped<H>,
    /// A dead letter: what it held, and whether it is kept.
    pub buried: Option<(Option<H>, bool)>,
}

impl<H: Hold> Spool<H> {
    /// The next job for the disk, if there is something to do now.
    pub fn job(&mut self, now: Instant) -> Option<Job> {
        if matches!(self.condition, Condition::Absent(_)) {
            return None;
        }
        let job = self
            .write(now)
            .or_else(|| self.logs.iter_mut().find_map(|log| log.fetch(now)))
            .or_else(|| self.logs.iter_mut().find_map(|log| log.delete(now)))
            .or_else(|| self.bury_next())
            .or_else(|| self.note(now))?;
        self.outstanding += 1;
        Some(job)
    }

    /// Takes what came of a job.
    pub fn finished(&mut self, outcome: Outcome, now: Instant) -> Finished<H> {
        self.outstanding = self.outstanding.saturating_sub(1);
        let mut finished = Finished {
            dropped: Dropped::default(),
            buried: None,
        };
        match outcome {
            Outcome::Appended(priority, result) => self.appended(priority, result, now),
            Outcome::Read(priority, bytes) => {
                finished.dropped = self.log(priority).fetched(bytes, now);
                self.forget_all(&finished.dropped);
            }
            Outcome::Deleted(priority, number, result) => {
                if let Err(error) = &result {
                    tracing::warn!(%error, "a segment of the spool cannot be deleted; it is tried again");
                }
                let again = now.checked_add(FIRST_RETRY).filter(|_| result.is_err());
                self.log(priority).deleted(number, again);
            }
            Outcome::Positioned(result) => {
                self.noting = false;
                if let Err(error) = result {
                    self.position = Position {
                        generation: self.position.generation,
                        ..self.noted
                    };
                    tracing::debug!(%error, "the oldest open messages are not noted; a restart would repeat more");
                }
            }
            Outcome::DeadLettered(result) => finished.buried = self.buried(result),
        }
        finished
    }

    /// When [`Spool::job`] or [`Spool::give_up`] has something to do at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        let absent = matches!(self.condition, Condition::Absent(_));
        let due = self.logs.iter().filter_map(Log::oldest_bare);
        let due = due.map(|oldest| self.limits.persist.due(oldest)).min();
        let write = due.map(|due| self.write_again.map_or(due, |again| due.max(again)));
        let write = write.filter(|_| !absent && self.logs.iter().any(|log| !log.is_writing()));
        let read = self.logs.iter().filter_map(Log::read_deadline).min();
        let delete = self.logs.iter().filter_map(Log::delete_deadline).min();
        let note = self
            .note_again
            .filter(|_| !self.noting && self.new_position().is_some());
        let age = self
            .limits
            .max_age
            .and(self.age_again)
            .filter(|_| self.has_unread());
        [write, read, delete, note, age].into_iter().flatten().min()
    }

    /// Wants everything written and noted at once: the process ends.
    pub fn flush(&mut self) {
        self.flushing = true;
        self.write_again = None;
        self.note_again = None;
    }

    /// Gives up what is too old, and with `drop_oldest` what is in the way of newer messages.
    pub fn give_up(&mut self, now: Instant) -> Dropped<H> {
        let mut dropped = Dropped::default();
        if let Some(age) = self.limits.max_age {
            self.expire(age, now, &mut dropped);
        }
        if self.limits.drop_oldest {
            self.make_room(&mut dropped);
        }
        self.forget_all(&dropped);
        dropped
    }

    fn expire(&mut self, age: Duration, now: Instant, dropped: &mut Dropped<H>) {
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
            while !dropped.take_up(log.expire_segment(before)) {}
            while dropped.take_up_one(log.drop_oldest_resident(Some(before))) {}
        }
    }

    fn make_room(&mut self, dropped: &mut Dropped<H>) {
        let takes_nothing = !matches!(self.condition, Condition::Good);
        let much = self.limits.memory_bytes / 4 * 3;
        for priority in [Priority::Normal, Priority::High] {
            while takes_nothing
                && self.logs.iter().map(Log::resident_bytes).sum::<usize>() > much
                && dropped.take_up_one(self.log(priority).drop_oldest_resident(None))
            {}
        }
        if !std::mem::take(&mut self.wants_room) {
            return;
        }
        self.write_again = None;
        for priority in [Priority::Normal, Priority::High] {
            if !dropped.take_up(self.log(priority).drop_oldest_segment()) {
                return;
            }
        }
    }

    /// Keeps a message that can never be delivered, as a line of JSON.
    ///
    /// # Errors
    /// When there is no disk, or too many wait for it; what the message held comes back.
    pub fn bury(&mut self, line: Vec<u8>, hold: Option<H>) -> Result<(), Option<H>> {
        let absent = matches!(self.condition, Condition::Absent(_));
        let waiting: usize = self.dead_letters.iter().map(|(line, _)| line.len()).sum();
        let full =
            self.dead_letters.len() >= WAITING_DEAD_LETTERS || waiting >= WAITING_LETTER_BYTES;
        if absent || full {
            return Err(hold);
        }
        self.dead_letters.push_back((line, hold));
        Ok(())
    }

    fn is_due(&self, now: Instant) -> bool {
        let oldest = self.logs.iter().filter_map(Log::oldest_bare).min();
        oldest.is_some_and(|oldest| self.flushing || self.limits.persist.due(oldest) <= now)
    }

    /// Bytes that may be written still; segments that are only waiting for acknowledgements do not count.
    fn room(&self) -> u64 {
        let needed: u64 = self.logs.iter().map(Log::needed_bytes).sum();
        self.limits.max_bytes.saturating_sub(needed)
    }

    fn write(&mut self, now: Instant) -> Option<Job> {
        if self.write_again.is_some_and(|again| again > now) || !self.is_due(now) {
            return None;
        }
        let room = self.room();
        let (persist, flushing) = (self.limits.persist, self.flushing);
        let (name, keep_free) = (self.name, self.limits.min_free_bytes);
        let forced = persist.forces() || flushing;
        let mut finds_room = true;
        for log in self.logs.iter_mut().filter(|log| !log.is_writing()) {
            let oldest = log.oldest_bare();
            if !oldest.is_some_and(|oldest| flushing || persist.due(oldest) <= now) {
                continue;
            }
            match log.write(name, room, forced, keep_free) {
                Some(job) => return Some(job),
                None => finds_room = false,
            }
        }
        if !finds_room {
            let text = format!(
                "the spool holds its maxBytes of {} bytes",
                self.limits.max_bytes
            );
            self.condition = Condition::Full(text);
            self.wants_room = self.limits.drop_oldest;
            self.write_again = now.checked_add(FIRST_RETRY);
        }
        None
    }

    fn appended(&mut self, priority: Priority, result: Result<(), Trouble>, now: Instant) {
        let trouble = match result {
            Ok(()) => {
                self.syncs += u64::from(self.log(priority).written(now));
                self.condition = Condition::Good;
                self.retry = FIRST_RETRY;
                self.write_again = None;
                return;
            }
            Err(trouble) => trouble,
        };
        self.log(priority).not_written(now);
        self.write_again = now.checked_add(self.retry);
        self.condition = match trouble {
            Trouble::Full { .. } => {
                self.wants_room = self.limits.drop_oldest;
                Condition::Full(format!(
                    "{trouble}, minFreeBytes asks for {}",
                    self.limits.min_free_bytes
                ))
            }
            Trouble::Disk(_) => {
                self.retry = (self.retry * 2).min(LONGEST_RETRY);
                Condition::Failing(trouble.to_string())
            }
        };
    }

    fn bury_next(&mut self) -> Option<Job> {
        if self.burying {
            return None;
        }
        let (line, _) = self.dead_letters.front()?;
        if self.dead_letter_bytes >= DEAD_LETTER_BYTES {
            self.dead_letter_bytes = 0;
        }
        self.burying = true;
        Some(Job::DeadLetter {
            at: self.dead_letter_bytes,
            line: line.clone(),
        })
    }

    fn buried(&mut self, result: std::io::Result<()>) -> Option<(Option<H>, bool)> {
        self.burying = false;
        let (line, hold) = self.dead_letters.pop_front()?;
        match result {
            Ok(()) => {
                self.dead_letter_bytes += u64::try_from(line.len()).unwrap_or(0);
                Some((hold, true))
            }
            Err(error) => {
                tracing::error!(%error, "a message that can never be delivered cannot be kept among the dead letters");
                Some((hold, false))
            }
        }
    }

    fn note(&mut self, now: Instant) -> Option<Job> {
        if self.noting || self.note_again.is_some_and(|again| again > now) {
            return None;
        }
        let before = self.position;
        self.position = self.new_position()?;
        self.noted = before;
        self.noting = true;
        self.note_again = now.checked_add(NOTE_EVERY);
        let (at, bytes) = self.position.slot();
        Some(Job::Position { at, bytes })
    }

    /// The oldest open sequences, if they are others than noted and there is something on disk that they are about.
    fn new_position(&self) -> Option<Position> {
        let [high, normal] = &self.logs;
        let new = Position {
            generation: self.position.generation + 1,
            high: self.position.high.max(high.oldest_open()),
            normal: self.position.normal.max(normal.oldest_open()),
        };
        let changed = (new.high, new.normal) != (self.position.high, self.position.normal);
        let about = self.logs.iter().any(Log::is_on_disk);
        (changed && about).then_some(new)
    }
}

impl<H> Dropped<H> {
    /// Adds what was given up; whether that was nothing.
    fn take_up(&mut self, other: Dropped<H>) -> bool {
        let nothing = other.outputs.is_empty();
        self.add(other);
        nothing
    }

    /// Adds one message that was given up; whether there was one.
    fn take_up_one(
        &mut self,
        given_up: Option<(std::sync::Arc<crate::message::Message>, H)>,
    ) -> bool {
        let Some((message, hold)) = given_up else {
            return false;
        };
        *self.outputs.entry(message.output.clone()).or_default() += 1;
        self.holds.push(hold);
        true
    }
}
