//! From the disk to memory, and what is given up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Ahead, Log, Place, Resident};
use crate::message::{Message, Name, Sequence};
use crate::spool::record::{self, MAX_RECORD_BYTES, Parsed, Record};
use crate::spool::recover::file_name;
use crate::spool::worker::Job;
use crate::spool::{Dropped, Hold};

/// Attempts to read a segment before its rest is left for the next start.
const READ_ATTEMPTS: u32 = 8;

impl<H: Hold> Log<H> {
    /// What is to be read from the disk next, if something is and little is ahead.
    pub(in crate::spool) fn fetch(&mut self, now: Instant) -> Option<Job> {
        let pauses = self.read_again.is_some_and(|again| again > now);
        if !self.wants_ahead() || pauses {
            return None;
        }
        let (number, from) = self.cursor?;
        self.reading = self.cursor;
        Some(Job::Read {
            priority: self.priority,
            file: file_name(self.priority, number),
            from,
            most: self.read_bytes,
        })
    }

    /// So that the next read goes on while the last one is used up.
    fn wants_ahead(&self) -> bool {
        self.reading.is_none() && self.ahead_cost <= self.sizes.read / 2
    }

    /// When a failed attempt to read is repeated.
    pub(in crate::spool) fn read_deadline(&self) -> Option<Instant> {
        self.read_again
            .filter(|_| self.cursor.is_some() && self.wants_ahead())
    }

    /// Whether the disk gave nothing the last time. What is damaged was given.
    pub(in crate::spool) fn cannot_read(&self) -> bool {
        self.cannot_read
    }

    /// Whether it is read once more after an attempt that failed.
    pub(in crate::spool) fn reads_again(&self) -> bool {
        let reads = self.reading.is_some() || self.wants_ahead();
        self.cannot_read && self.cursor.is_some() && reads
    }

    /// The disk can be read after all.
    pub(in crate::spool) fn reads(&mut self) {
        self.cannot_read = false;
    }

    /// The disk was read. Gives what was lost if nothing of it can be used.
    pub(in crate::spool) fn fetched(
        &mut self,
        bytes: std::io::Result<Vec<u8>>,
        now: Instant,
    ) -> Dropped<H> {
        // Since then the segment may have been dropped.
        let place = self
            .reading
            .take()
            .filter(|place| Some(*place) == self.cursor);
        let Some((number, from)) = place else {
            return Dropped::default();
        };
        let end = self.segment(number).map_or(from, |segment| segment.length);
        self.cannot_read = bytes.is_err();
        let Ok(mut bytes) = bytes else {
            return self.read_failed(number, now);
        };
        bytes.truncate(usize::try_from(end - from).unwrap_or(usize::MAX));
        let (used, damaged) = self.take_ahead_of(number, &bytes);
        if damaged {
            return self.read_failed(number, now);
        }
        if used > 0 {
            self.read_bytes = self.sizes.read;
        }
        self.read_failures = 0;
        self.read_again = None;
        self.move_cursor(number, from + u64::try_from(used).unwrap_or(0));
        Dropped::default()
    }

    /// Takes records ahead of their turn; gives how many bytes they have, and whether the first is
    /// damaged.
    fn take_ahead_of(&mut self, number: u64, bytes: &[u8]) -> (usize, bool) {
        let mut used = 0;
        loop {
            match record::parse(bytes.get(used..).unwrap_or_default()) {
                Parsed::Record(record) => {
                    used += record.length;
                    self.add_ahead(number, &record);
                }
                Parsed::Incomplete(needs)
                    if needs > self.read_bytes && needs <= MAX_RECORD_BYTES =>
                {
                    self.read_bytes = needs;
                    return (used, false);
                }
                Parsed::Incomplete(_) | Parsed::Damaged => return (used, used == 0),
            }
        }
    }

    /// A batch that was written twice is read once.
    fn add_ahead(&mut self, number: u64, record: &Record<'_>) {
        let last = self.ahead.back().map(|last| last.sequence);
        let before = last.unwrap_or(self.last_read);
        let Some(message) = record.message().filter(|_| record.sequence > before) else {
            return;
        };
        self.ahead_cost += message.cost();
        self.ahead.push_back(Ahead {
            sequence: record.sequence,
            message,
            segment: number,
        });
    }

    /// To the next record behind that place.
    fn move_cursor(&mut self, number: u64, offset: u64) {
        let at_end = self
            .segment(number)
            .is_none_or(|segment| offset >= segment.length);
        self.cursor = if at_end {
            let next = self
                .segments
                .iter()
                .find(|segment| segment.number > number && segment.unread() > 0);
            next.map(|segment| (segment.number, segment.from))
        } else {
            Some((number, offset))
        };
    }

    /// A few attempts, then the rest of the segment stays as it is until the next start. The
    /// segments behind it have one attempt each, until one succeeds, but as many where nobody
    /// waits for them yet.
    fn read_failed(&mut self, number: u64, now: Instant) -> Dropped<H> {
        self.read_failures += 1;
        if self.read_failures < READ_ATTEMPTS {
            let pause = Duration::from_millis(50) * 2_u32.pow(self.read_failures);
            self.read_again = now.checked_add(pause);
            return Dropped::default();
        }
        let dropped = self.leave_rest_of(number);
        self.read_failures = match self.ahead.is_empty() {
            true => READ_ATTEMPTS - 1,
            false => 0,
        };
        dropped
    }

    fn leave_rest_of(&mut self, number: u64) -> Dropped<H> {
        if let Some(segment) = self.segment(number) {
            segment.left = true;
        }
        let last = self.ahead.back().map(|ahead| ahead.sequence);
        let first = Sequence(last.unwrap_or(self.last_read).0 + 1);
        self.left_from = Some(self.left_from.map_or(first, |before| before.min(first)));
        self.drop_behind_ahead(number)
    }

    /// Bytes of the files that could be deleted, or also set aside, if what is unread in them were
    /// dropped.
    pub(in crate::spool) fn droppable_bytes(&self, aside: bool) -> u64 {
        let files = self.segments.iter().filter(|s| s.is_droppable(aside));
        files.map(|segment| segment.bytes).sum()
    }

    /// Gives up the oldest segment that can be deleted then, or also set aside; with the bytes of
    /// its file.
    pub(in crate::spool) fn drop_oldest_segment(
        &mut self,
        aside: bool,
    ) -> Option<(u64, Dropped<H>)> {
        let oldest = self.segments.iter().find(|s| s.is_droppable(aside))?;
        let (number, bytes) = (oldest.number, oldest.bytes);
        Some((bytes, self.drop_unread_of(number)))
    }

    /// Gives up the oldest segment if its last record came before that moment.
    pub(in crate::spool) fn expire_segment(&mut self, before: Instant) -> Option<Dropped<H>> {
        let mut unread = self.segments.iter().filter(|s| !s.unread.is_empty());
        let oldest = unread.next().filter(|segment| segment.since.1 < before)?;
        Some(self.drop_unread_of(oldest.number))
    }

    fn drop_unread_of(&mut self, number: u64) -> Dropped<H> {
        self.ahead.retain(|ahead| ahead.segment != number);
        self.ahead_cost = self.ahead.iter().map(|ahead| ahead.message.cost()).sum();
        self.drop_behind_ahead(number)
    }

    /// Gives up what is unread in a segment, but for what is ahead of its turn.
    fn drop_behind_ahead(&mut self, number: u64) -> Dropped<H> {
        let older = || self.segments.iter().take_while(|s| s.number < number);
        let older_last = older().map(|segment| segment.last).max();
        let ahead_last = self.ahead.back().map(|ahead| ahead.sequence);
        let stays = self.ahead_of(number);
        let is_next = stays.is_empty() && older().all(|segment| segment.unread.is_empty());
        self.appends = self.appends && self.active() != Some(number);
        let Some(segment) = self.segment(number) else {
            return Dropped::default();
        };
        let outputs = segment.keep_unread(stays);
        let (last, length) = (segment.last, segment.length);
        // A batch that is on its way to it comes behind what is given up.
        segment.from = length;
        if is_next {
            self.last_read = self.last_read.max(last);
        }
        if self.cursor.is_some_and(|(at, _)| at == number) {
            self.read_failures = 0;
            self.read_again = None;
            self.move_cursor(number, length);
        }
        let after = older_last.max(ahead_last.filter(|ahead| *ahead < last));
        let holds = self.holds_between(after.unwrap_or_default(), last);
        Dropped { outputs, holds }
    }

    /// How many records of a segment are ahead of their turn, by output.
    fn ahead_of(&self, number: u64) -> BTreeMap<Name, u64> {
        let mut outputs = BTreeMap::new();
        for ahead in self.ahead.iter().filter(|ahead| ahead.segment == number) {
            *outputs
                .entry(Name::clone(&ahead.message.output))
                .or_default() += 1;
        }
        outputs
    }

    /// Takes what the unread records behind the first sequence and up to the second hold.
    fn holds_between(&mut self, after: Sequence, last: Sequence) -> Vec<H> {
        let held = |sequence: &&Sequence| after < **sequence && **sequence <= last;
        let held: Vec<Sequence> = self.holds.keys().filter(held).copied().collect();
        let holds = held
            .iter()
            .filter_map(|sequence| self.holds.remove(sequence));
        holds.collect()
    }

    /// Gives up the oldest unread message in memory if it came before that moment, or whatever its age.
    pub(in crate::spool) fn drop_oldest_resident(
        &mut self,
        before: Option<Instant>,
    ) -> Option<(Arc<Message>, H)> {
        let old = |first: &mut Resident<H>| {
            first.place == Place::Memory && before.is_none_or(|before| first.since < before)
        };
        let resident = self.memory.pop_front_if(old)?;
        if self.cursor.is_none() && self.ahead.is_empty() {
            self.last_read = self.last_read.max(resident.sequence);
        }
        Some(self.give_up(resident))
    }

    /// Gives up the oldest unread message in memory that the disk was not given.
    pub(in crate::spool) fn drop_oldest_behind_batch(&mut self) -> Option<(Arc<Message>, H)> {
        let bare = |resident: &Resident<H>| resident.place == Place::Memory;
        match self.memory.iter().position(bare)? {
            0 => self.drop_oldest_resident(None),
            at => self
                .memory
                .remove(at)
                .map(|resident| self.give_up(resident)),
        }
    }

    /// Gives up the oldest messages in memory for whose room somebody waits.
    pub(in crate::spool) fn drop_wanted(&mut self) -> Dropped<H> {
        let mut dropped = Dropped::default();
        for resident in std::mem::take(&mut self.memory) {
            if resident.place == Place::Memory && resident.hold.is_wanted() {
                dropped.add_one(self.give_up(resident));
            } else {
                self.memory.push_back(resident);
            }
        }
        dropped
    }

    fn give_up(&mut self, resident: Resident<H>) -> (Arc<Message>, H) {
        let Resident {
            message, mut hold, ..
        } = resident;
        self.cost -= message.cost();
        hold.written();
        (message, hold)
    }
}
