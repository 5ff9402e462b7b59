//! From the disk to memory, and what is given up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Ahead, Log, Place, Resident};
use crate::message::{Message, Sequence};
use crate::spool::record::{self, MAX_RECORD_BYTES, Parsed};
use crate::spool::recover::file_name;
use crate::spool::worker::Job;
use crate::spool::{Dropped, Hold};

/// Attempts to read a segment before its rest is left for the next start.
const READ_ATTEMPTS: u32 = 8;

impl<H: Hold> Log<H> {
    /// What is to be read from the disk next, if something is and nothing is ahead any more.
    pub(in crate::spool) fn fetch(&mut self, now: Instant) -> Option<Job> {
        let pauses = self.read_again.is_some_and(|again| again > now);
        if !self.ahead.is_empty() || self.reading.is_some() || pauses {
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

    /// When a failed attempt to read is repeated.
    pub(in crate::spool) fn read_deadline(&self) -> Option<Instant> {
        self.read_again
            .filter(|_| self.ahead.is_empty() && self.reading.is_none())
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
        let Ok(mut bytes) = bytes else {
            return self.read_failed(number, now);
        };
        bytes.truncate(usize::try_from(end - from).unwrap_or(usize::MAX));
        let mut used = 0;
        let damaged = loop {
            match record::parse(bytes.get(used..).unwrap_or_default()) {
                Parsed::Record(record) => {
                    used += record.length;
                    let before = self
                        .ahead
                        .back()
                        .map_or(self.last_read, |last| last.sequence);
                    // A batch that was written twice is read once.
                    if let Some(message) = record.message().filter(|_| record.sequence > before) {
                        self.ahead.push_back(Ahead {
                            sequence: record.sequence,
                            message,
                            segment: number,
                        });
                    }
                }
                Parsed::Incomplete(needs)
                    if needs > self.read_bytes && needs <= MAX_RECORD_BYTES =>
                {
                    self.read_bytes = needs;
                    break false;
                }
                Parsed::Incomplete(_) | Parsed::Damaged => break used == 0,
            }
        };
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

    /// A few attempts, then the rest of the segment stays as it is until the next start.
    fn read_failed(&mut self, number: u64, now: Instant) -> Dropped<H> {
        self.read_failures += 1;
        if self.read_failures < READ_ATTEMPTS {
            let pause = Duration::from_millis(50) * 2_u32.pow(self.read_failures);
            self.read_again = now.checked_add(pause);
            return Dropped::default();
        }
        if let Some(segment) = self.segment(number) {
            segment.left = true;
        }
        let first = Sequence(self.last_read.0 + 1);
        self.left_from = Some(self.left_from.map_or(first, |before| before.min(first)));
        self.drop_unread_of(number)
    }

    /// Gives up the oldest segment that has something to read.
    pub(in crate::spool) fn drop_oldest_segment(&mut self) -> Dropped<H> {
        let oldest = self.segments.iter().find(|segment| segment.unread() > 0);
        match oldest.map(|segment| segment.number) {
            Some(number) => self.drop_unread_of(number),
            None => Dropped::default(),
        }
    }

    /// Gives up the oldest segment if its last record came before that moment.
    pub(in crate::spool) fn expire_segment(&mut self, before: Instant) -> Dropped<H> {
        let oldest = self.segments.iter().find(|segment| segment.unread() > 0);
        match oldest.filter(|segment| segment.since.1 < before) {
            Some(segment) => self.drop_unread_of(segment.number),
            None => Dropped::default(),
        }
    }

    fn drop_unread_of(&mut self, number: u64) -> Dropped<H> {
        let active = self
            .segments
            .back()
            .is_some_and(|segment| segment.number == number);
        let Some(segment) = self.segment(number) else {
            return Dropped::default();
        };
        let outputs = std::mem::take(&mut segment.unread);
        segment.open -= outputs.values().sum::<u64>();
        let (last, length) = (segment.last, segment.length);
        self.appends = self.appends && !active;
        self.ahead.retain(|ahead| ahead.segment != number);
        let lost: Vec<Sequence> = self
            .holds
            .keys()
            .copied()
            .filter(|sequence| *sequence <= last)
            .collect();
        let holds = lost
            .iter()
            .filter_map(|sequence| self.holds.remove(sequence))
            .collect();
        self.last_read = self.last_read.max(last);
        self.read_failures = 0;
        self.read_again = None;
        self.move_cursor(number, length);
        Dropped { outputs, holds }
    }

    /// Gives up the oldest unread message in memory if it came before that moment, or whatever its age.
    pub(in crate::spool) fn drop_oldest_resident(
        &mut self,
        before: Option<Instant>,
    ) -> Option<(Arc<Message>, H)> {
        if self.cursor.is_some() || !self.ahead.is_empty() {
            return None;
        }
        let old = |first: &mut Resident<H>| {
            first.place == Place::Memory && before.is_none_or(|before| first.since < before)
        };
        let resident = self.memory.pop_front_if(old)?;
        self.resident_bytes -= resident.message.size();
        self.last_read = self.last_read.max(resident.sequence);
        Some((resident.message, resident.hold))
    }
}
