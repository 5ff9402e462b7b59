//! What the spool wants done on the disk, and when.

use std::io;
use std::time::Instant;

use super::letters::Buried;
use super::log::{Log, Writing};
use super::making_room::{Lack, MakingRoom};
use super::position::Position;
use super::worker::{Job, MOST_OUTSTANDING, Outcome, Trouble, Unwritten};
use super::{Condition, Dropped, FIRST_RETRY, Hold, LONGEST_RETRY, MOST_SILENT, NOTE_EVERY, Spool};
use crate::message::Priority;

/// Of all bytes, the part that a segment has.
const SEGMENTS: u64 = 8;

/// What came of a job.
#[derive(Debug)]
pub struct Finished<H> {
    /// Messages that had to be given up by it.
    pub dropped: Dropped<H>,
    /// A dead letter that is kept now, or not.
    pub buried: Option<Buried<H>>,
}

impl<H: Hold> Spool<H> {
    /// The next job for the disk, if there is something to do now. What has to be given up is given
    /// up by it, also where there is no disk; see [`Spool::given_up`].
    pub fn job(&mut self, now: Instant) -> Option<Job> {
        self.expire(now);
        self.watch(now);
        self.spare_memory();
        if self.is_busy() {
            return None;
        }
        let job = self.next_job(now)?;
        self.outstanding += 1;
        self.silent_since.get_or_insert(now);
        Some(job)
    }

    /// Sees whether the disk answers.
    fn watch(&mut self, now: Instant) {
        if self.silence_ends().is_some_and(|end| end <= now) {
            self.answers = Condition::Failing("it does not answer".to_owned());
        }
    }

    /// When a disk that says nothing is told as failing.
    fn silence_ends(&self) -> Option<Instant> {
        let since = self.silent_since.filter(|_| self.answers());
        since.and_then(|since| since.checked_add(MOST_SILENT))
    }

    fn answered(&mut self, now: Instant) {
        self.outstanding = self.outstanding.saturating_sub(1);
        self.silent_since = Some(now).filter(|_| self.outstanding > 0);
        self.answers = Condition::Good;
    }

    fn next_job(&mut self, now: Instant) -> Option<Job> {
        if let Some(job) = self.write(now) {
            return Some(job);
        }
        if let Some(job) = self.logs.iter_mut().find_map(|log| log.fetch(now)) {
            return Some(job);
        }
        self.make_room(now);
        if let Some(job) = self.bury_next() {
            return Some(job);
        }
        if self.letters_wait() {
            return None;
        }
        self.logs
            .iter_mut()
            .find_map(|log| log.delete(now))
            .or_else(|| self.note(now))
    }

    /// Whether the disk is given nothing more for now.
    fn is_busy(&self) -> bool {
        self.is_absent() || self.outstanding >= MOST_OUTSTANDING
    }

    /// Takes what came of a job.
    pub fn finished(&mut self, outcome: Outcome, now: Instant) -> Finished<H> {
        self.answered(now);
        let mut finished = Finished {
            dropped: Dropped::default(),
            buried: None,
        };
        match outcome {
            Outcome::Appended(priority, result) => self.appended(priority, result, now),
            Outcome::Probed(result) => self.probed(result, now),
            Outcome::Read(priority, bytes) => {
                finished.dropped = self.fetched(priority, bytes, now);
            }
            Outcome::Deleted(priority, number, result) => {
                self.deleted(priority, number, &result, now);
            }
            Outcome::Positioned(result) => self.positioned(result),
            Outcome::DeadLettered(result) => finished.buried = self.buried(result),
        }
        finished
    }

    /// When [`Spool::job`] has something to do at the latest, but for what an outcome brings.
    pub fn deadline(&self) -> Option<Instant> {
        let age = self.age_deadline();
        let silence = self.silence_ends();
        let always = age.into_iter().chain(silence).min();
        if self.is_busy() {
            return always;
        }
        let read = self.logs.iter().filter_map(Log::read_deadline).min();
        let write = self.write_deadline();
        let end = self.end_deadline();
        [always, write, read, end].into_iter().flatten().min()
    }

    /// When something is to be deleted or noted.
    fn end_deadline(&self) -> Option<Instant> {
        if self.letters_wait() {
            return None;
        }
        let delete = self.logs.iter().filter_map(Log::delete_deadline).min();
        let notes = !self.noting && self.new_position().is_some();
        let note = self.note_again.filter(|_| notes);
        delete.into_iter().chain(note).min()
    }

    fn write_deadline(&self) -> Option<Instant> {
        let idle = self.logs.iter();
        let idle = idle.filter(|log| self.writes() && !log.is_writing());
        let due = idle.filter_map(Log::oldest_bare).min();
        let due = due.map(|oldest| self.due(oldest));
        let write = due.map(|due| self.write_again.map_or(due, |again| due.max(again)));
        let probe = self.write_again.max(self.probe_again);
        let probe = probe.filter(|_| self.wants_probe());
        write.into_iter().chain(probe).min()
    }

    /// When what came at that moment is to be written.
    fn due(&self, oldest: Instant) -> Instant {
        match self.flushing {
            true => oldest,
            false => self.limits.persist.due(oldest),
        }
    }

    /// Wants everything written and noted at once, from now on: the process ends.
    pub fn flush(&mut self) {
        if self.flushing {
            return;
        }
        self.flushing = true;
        self.write_again = None;
        self.note_again = None;
    }

    fn segment_bytes(&self) -> u64 {
        self.limits
            .sizes
            .segment
            .min(self.limits.max_bytes / SEGMENTS)
    }

    /// Bytes that may be written still.
    fn room(&self) -> u64 {
        self.limits.max_bytes.saturating_sub(self.needed_bytes())
    }

    fn needed_bytes(&self) -> u64 {
        self.logs.iter().map(Log::needed_bytes).sum()
    }

    fn write(&mut self, now: Instant) -> Option<Job> {
        if self.write_again.is_some_and(|again| again > now) {
            return None;
        }
        if !self.writes() {
            return self.probe(now);
        }
        let writing = Writing {
            spool: self.name,
            room: self.room(),
            segment: self.segment_bytes(),
            forced: self.limits.persist.forces() || self.flushing,
            keep_free: self.limits.min_free_bytes,
        };
        let (persist, flushing) = (self.limits.persist, self.flushing);
        let mut finds_room = true;
        for log in self.logs.iter_mut().filter(|log| !log.is_writing()) {
            let oldest = log.oldest_bare();
            if !oldest.is_some_and(|oldest| flushing || persist.due(oldest) <= now) {
                continue;
            }
            match log.write(writing) {
                Some(job) => return Some(job),
                None => finds_room = false,
            }
        }
        if !finds_room {
            self.max_bytes_reached(now);
            return None;
        }
        self.probe(now)
    }

    /// A disk that does not give what was written is given nothing more, but at the end.
    fn writes(&self) -> bool {
        self.gives == Condition::Good || self.flushing
    }

    fn max_bytes_reached(&mut self, now: Instant) {
        for log in &mut self.logs {
            log.roll_if_done();
        }
        if self.room_comes() {
            self.write_again = now.checked_add(FIRST_RETRY);
            return;
        }
        let most = self.limits.max_bytes;
        // Any segment is enough to go on, where there are no more bytes than there may be.
        let lacks = self.needed_bytes().saturating_sub(most).saturating_add(1);
        self.no_room(
            Lack::Spool(lacks),
            format!("the spool holds its maxBytes of {most} bytes"),
            now,
        );
    }

    fn appended(&mut self, priority: Priority, result: Result<(), Unwritten>, now: Instant) {
        match result {
            Ok(()) => {
                self.syncs += u64::from(self.log(priority).written(now));
                self.disk_is_good();
            }
            Err(Unwritten { trouble, begun }) => {
                match begun {
                    true => self.log(priority).not_written(now),
                    false => drop(self.log(priority).not_begun()),
                }
                self.troubled(&trouble, now);
            }
        }
    }

    fn disk_is_good(&mut self) {
        self.condition = Condition::Good;
        self.retry = FIRST_RETRY;
        self.write_again = None;
        self.making_room = MakingRoom::default();
    }

    fn troubled(&mut self, trouble: &Trouble, now: Instant) {
        match trouble {
            Trouble::Reserved { lacks } => {
                let least = self.limits.min_free_bytes;
                let why = format!("it has less left than the minFreeBytes of {least} bytes");
                self.no_room(Lack::Disk(*lacks), why, now);
            }
            Trouble::Full { lacks } => {
                let why = "it has nothing left".to_owned();
                self.no_room(Lack::Disk(*lacks), why, now);
            }
            Trouble::Disk(error) => {
                self.condition = Condition::Failing(error.to_string());
                self.write_again = now.checked_add(self.retry);
                self.retry = (self.retry * 2).min(LONGEST_RETRY);
            }
        }
    }

    /// Whether it is to be found out how the disk is although there is nothing to write.
    fn wants_probe(&self) -> bool {
        let full = matches!(self.condition, Condition::Full(_));
        let no_room = full && self.room() < self.segment_bytes();
        let busy = |log: &Log<H>| log.is_writing() || log.reads_again();
        let knows = self.probing || !self.answers() || self.logs.iter().any(busy);
        !knows && !no_room && !self.is_good()
    }

    fn probe(&mut self, now: Instant) -> Option<Job> {
        let pauses = self.probe_again.is_some_and(|again| again > now);
        if pauses || !self.wants_probe() {
            return None;
        }
        self.probing = true;
        Some(Job::Probe {
            keep_free: self.limits.min_free_bytes,
        })
    }

    fn probed(&mut self, result: Result<(), Trouble>, now: Instant) {
        self.probing = false;
        match result {
            Ok(()) => {
                self.disk_is_good();
                self.gives = Condition::Good;
                self.logs.iter_mut().for_each(Log::reads);
            }
            Err(trouble) => {
                self.troubled(&trouble, now);
                // There is nothing to make room for.
                self.making_room.lacks = None;
            }
        }
    }

    fn fetched(
        &mut self,
        priority: Priority,
        bytes: io::Result<Vec<u8>>,
        now: Instant,
    ) -> Dropped<H> {
        let why = bytes.as_ref().err().map(ToString::to_string);
        let dropped = self.log(priority).fetched(bytes, now);
        for (output, count) in &dropped.outputs {
            self.forget(output, *count);
        }
        if !self.logs.iter().any(Log::cannot_read) {
            self.gives = Condition::Good;
        } else if let Some(why) = why {
            self.gives = Condition::Failing(format!("a segment cannot be read: {why}"));
            self.probe_again = now.checked_add(LONGEST_RETRY);
        }
        dropped
    }

    fn deleted(&mut self, priority: Priority, number: u64, result: &io::Result<()>, now: Instant) {
        if let Err(error) = result {
            if self.log(priority).not_deleted(number, now) {
                tracing::warn!(%error, "a segment of the spool cannot be deleted; it is tried again");
            }
            return;
        }
        let made_room = self.log(priority).deleted(number);
        if made_room && !matches!(self.condition, Condition::Failing(_)) {
            self.write_again = None;
        }
    }

    fn positioned(&mut self, result: io::Result<()>) {
        self.noting = false;
        if let Err(error) = result {
            self.position = Position {
                generation: self.position.generation,
                ..self.noted
            };
            tracing::debug!(%error, "the oldest open messages are not noted; a restart would repeat more");
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
