//! From memory to the disk: batches, segments, and their end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Batch, FIRST_HOLDS, Log, Place, Segment};
use crate::message::{Message, Name, Sequence};
use crate::spool::record::{self, HEADER_BYTES, Header};
use crate::spool::recover::file_name;
use crate::spool::worker::Job;
use crate::spool::{FIRST_RETRY, Hold, LONGEST_RETRY};

/// How a batch is written.
#[derive(Clone, Copy, Debug)]
pub(in crate::spool) struct Writing {
    /// The spool's name.
    pub(in crate::spool) spool: u64,
    /// Bytes of the batch at most.
    pub(in crate::spool) room: u64,
    /// Bytes beyond which a segment takes no more records.
    pub(in crate::spool) segment: u64,
    /// Whether it is forced to the disk.
    pub(in crate::spool) forced: bool,
    /// Bytes that the disk must have left.
    pub(in crate::spool) keep_free: u64,
}

impl<H: Hold> Log<H> {
    /// A batch of what has no copy on disk, if something fits. One at a time.
    pub(in crate::spool) fn write(&mut self, writing: Writing) -> Option<Job> {
        if self.batch.is_some() {
            return None;
        }
        let (number, at) = match self.segments.back().filter(|_| self.appends) {
            Some(segment) if segment.length < writing.segment => (segment.number, segment.length),
            _ => (self.next_segment, 0),
        };
        let mut bytes = Vec::new();
        if at == 0 {
            let priority = self.priority;
            let spool = writing.spool;
            bytes = record::header(Header { spool, priority });
        }
        let records = self.encode_batch(&mut bytes, at, writing);
        if records.is_empty() {
            return None;
        }
        self.batch = Some(Batch {
            segment: number,
            is_new: at == 0,
            bytes: u64::try_from(bytes.len()).unwrap_or(0),
            records,
            forced: writing.forced,
        });
        Some(Job::Append {
            priority: self.priority,
            file: file_name(self.priority, number),
            at,
            bytes,
            sync: writing.forced,
            keep_free: writing.keep_free,
        })
    }

    fn encode_batch(
        &mut self,
        bytes: &mut Vec<u8>,
        at: u64,
        writing: Writing,
    ) -> Vec<(Sequence, u64)> {
        let most = usize::try_from(writing.room).unwrap_or(usize::MAX);
        let segment = usize::try_from(writing.segment).unwrap_or(usize::MAX);
        let batch = self.sizes.batch.min(segment);
        let mut records = Vec::new();
        let mut add = |sequence, message: &Message, place: &mut Place| {
            let begin = bytes.len();
            if begin >= batch || record::encode(sequence, message, bytes).is_err() {
                return false;
            }
            if bytes.len() > most {
                bytes.truncate(begin);
                return false;
            }
            *place = Place::Writing;
            records.push((sequence, at + u64::try_from(begin).unwrap_or(0)));
            true
        };
        let mut room = true;
        if self.bare_flights > 0 {
            for flight in &mut self.flights {
                if flight.done || flight.place != Place::Memory {
                    continue;
                }
                room = add(flight.sequence, &flight.message, &mut flight.place);
                if !room {
                    break;
                }
                self.bare_flights -= 1;
            }
        }
        for resident in &mut self.memory {
            if !room {
                break;
            }
            room = add(resident.sequence, &resident.message, &mut resident.place);
        }
        records
    }

    /// The batch is on the disk; gives whether it was forced there.
    pub(in crate::spool) fn written(&mut self, now: Instant) -> bool {
        let Some(batch) = self.batch.take() else {
            return false;
        };
        if batch.is_new {
            self.next_segment = batch.segment + 1;
            self.segments.push_back(Segment {
                from: u64::try_from(HEADER_BYTES).unwrap_or(0),
                ..Segment::new(batch.segment, 0, now)
            });
            self.appends = true;
        }
        let mut open = 0;
        let mut unread: BTreeMap<Name, u64> = BTreeMap::new();
        for (sequence, offset) in &batch.records {
            if let Some(output) =
                self.written_record(*sequence, (batch.segment, *offset), batch.forced)
            {
                open += 1;
                if let Some(output) = output {
                    *unread.entry(output).or_default() += 1;
                }
            }
        }
        let last = batch.records.last().map(|(sequence, _)| *sequence);
        if let Some(segment) = self.segment(batch.segment) {
            segment.length += batch.bytes;
            segment.bytes = segment.bytes.max(segment.length);
            segment.open += open;
            for (output, count) in unread {
                *segment.unread.entry(output).or_default() += count;
            }
            segment.last = last.unwrap_or(segment.last);
            segment.since.1 = now;
        }
        batch.forced
    }

    /// Takes note that a record is on disk; nothing if it is done, its output if it is not read.
    fn written_record(
        &mut self,
        sequence: Sequence,
        place: (u64, u64),
        forced: bool,
    ) -> Option<Option<Name>> {
        let at = self
            .flights
            .binary_search_by_key(&sequence, |flight| flight.sequence);
        if let Some(flight) = at.ok().and_then(|at| self.flights.get_mut(at)) {
            if flight.done {
                return None;
            }
            flight.place = Place::Disk(place.0);
            self.cost -= flight.message.cost();
            if let Some(hold) = &mut flight.hold {
                settle(hold, forced);
            }
            return Some(None);
        }
        let mut resident = self
            .memory
            .pop_front_if(|first| first.sequence == sequence)?;
        self.cost -= resident.message.cost();
        settle(&mut resident.hold, forced);
        if resident.hold.waits() {
            self.keep(sequence, resident.hold);
        }
        self.cursor.get_or_insert(place);
        Some(Some(Name::clone(&resident.message.output)))
    }

    /// Keeps what a record on disk holds. Whose connection is gone holds nothing: they would be as
    /// many as there are records.
    fn keep(&mut self, sequence: Sequence, hold: H) {
        if self.holds.len() >= self.most_holds {
            self.holds.retain(|_, hold| hold.waits());
            self.most_holds = FIRST_HOLDS.max(2 * self.holds.len());
        }
        self.holds.insert(sequence, hold);
    }

    /// Nothing was written of the batch; it may be written at the same place again. Gives what it was.
    pub(in crate::spool) fn not_begun(&mut self) -> Option<Batch> {
        let batch = self.batch.take()?;
        for flight in &mut self.flights {
            if flight.place == Place::Writing {
                flight.place = Place::Memory;
                self.bare_flights += usize::from(!flight.done);
            }
        }
        for resident in &mut self.memory {
            if resident.place == Place::Writing {
                resident.place = Place::Memory;
            }
        }
        Some(batch)
    }

    /// Nobody knows how much of the batch is on the disk; it is written again, into another file.
    pub(in crate::spool) fn not_written(&mut self, now: Instant) {
        let Some(batch) = self.not_begun() else {
            return;
        };
        self.appends = false;
        if batch.is_new {
            self.next_segment = batch.segment + 1;
            self.segments.push_back(Segment {
                leftover: true,
                ..Segment::new(batch.segment, batch.bytes, now)
            });
        } else if let Some(segment) = self.segment(batch.segment) {
            segment.bytes += batch.bytes;
        }
    }

    /// The next segment is begun early, so that not all of it has to get as old as its last record.
    pub(in crate::spool) fn roll(&mut self, older_than: Duration, now: Instant) {
        let old = |segment: &Segment| now.saturating_duration_since(segment.since.0) > older_than;
        if self.appends && self.batch.is_none() && self.segments.back().is_some_and(old) {
            self.appends = false;
        }
    }

    /// The next segment is begun if nothing in this one is open, so that it can be deleted.
    pub(in crate::spool) fn roll_if_done(&mut self) {
        let done = |segment: &Segment| segment.open == 0;
        if self.batch.is_none() && self.segments.back().is_some_and(done) {
            self.appends = false;
        }
    }

    /// Whether a segment is not needed any more.
    fn ends(&self, segment: &Segment) -> bool {
        let writing = self.batch.as_ref().map(|batch| batch.segment);
        let needed = [writing, self.active()].contains(&Some(segment.number));
        segment.open == 0 && !segment.left && !needed
    }

    /// Whether segments are about to be deleted that had records.
    pub(in crate::spool) fn is_deleting(&self) -> bool {
        let gives_room = |segment: &Segment| self.ends(segment) && !segment.leftover;
        self.segments.iter().any(gives_room)
    }

    /// Whether it is to be deleted and nobody is at it.
    fn is_to_delete(&self, segment: &Segment) -> bool {
        let read = self.reading.map(|(number, _)| number);
        self.ends(segment) && !segment.deleting && Some(segment.number) != read
    }

    /// A segment that is not needed any more. One that could not be deleted holds up no other.
    pub(in crate::spool) fn delete(&mut self, now: Instant) -> Option<Job> {
        self.delete_again = self.delete_again.filter(|again| *again > now);
        if self.delete_again.is_none() {
            let all = self.segments.iter_mut();
            all.for_each(|segment| segment.undeletable = false);
        }
        let next = self
            .segments
            .iter()
            .position(|segment| self.is_to_delete(segment) && !segment.undeletable)?;
        let segment = self.segments.get_mut(next)?;
        segment.deleting = true;
        let (number, file) = (segment.number, file_name(self.priority, segment.number));
        let priority = self.priority;
        Some(match segment.keep {
            true => Job::SetAside {
                priority,
                number,
                file,
            },
            false => Job::Delete {
                priority,
                number,
                file,
            },
        })
    }

    /// A segment is deleted; gives whether it had records.
    pub(in crate::spool) fn deleted(&mut self, number: u64) -> bool {
        let had = self
            .segment(number)
            .is_some_and(|segment| !segment.leftover);
        self.segments.retain(|segment| segment.number != number);
        if !self.segments.iter().any(|segment| segment.undeletable) {
            self.delete_again = None;
            self.delete_pause = FIRST_RETRY;
        }
        had
    }

    /// A segment could not be deleted; it is tried again with all others of which that is so.
    /// Gives whether it is the first of them.
    pub(in crate::spool) fn not_deleted(&mut self, number: u64, now: Instant) -> bool {
        if let Some(segment) = self.segment(number) {
            segment.deleting = false;
            segment.undeletable = true;
        }
        if self.delete_again.is_some() {
            return false;
        }
        self.delete_again = now.checked_add(self.delete_pause);
        self.delete_pause = (self.delete_pause * 2).min(LONGEST_RETRY);
        true
    }

    /// Whether attempts to delete failed, and did not succeed since.
    pub(in crate::spool) fn cannot_delete(&self) -> bool {
        self.delete_pause > FIRST_RETRY
    }

    /// When failed attempts to delete are repeated.
    pub(in crate::spool) fn delete_deadline(&self) -> Option<Instant> {
        let any = || {
            self.segments
                .iter()
                .any(|segment| self.is_to_delete(segment))
        };
        self.delete_again.filter(|_| any())
    }
}

fn settle(hold: &mut impl Hold, forced: bool) {
    hold.written();
    if forced {
        hold.safe();
    }
}
