//! One of the spool's two logs: messages in the order of their sequences, in memory until they are
//! written, then on disk. Pure: it says what is to be written and read, and takes what came of it.
//!
//! A record goes through these places:
//!
//! ```text
//! append ─▶ memory ──read──▶ in flight ──done──▶ gone
//!             │  written        │ written
//!             ▼                 ▼
//!           on disk ──read──▶ in flight, with a copy on disk
//! ```
//!
//! What is on disk and not read is always older than what is in memory and not read.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::record::{self, HEADER_BYTES, Header, MAX_RECORD_BYTES, Parsed};
use super::recover::{Found, file_name};
use super::worker::Job;
use super::{Dropped, Hold, Read, Sizes};
use crate::message::{Message, Name, Priority, Sequence};

/// Attempts to read a segment before its rest is left for the next start.
const READ_ATTEMPTS: u32 = 8;

/// Where a record is, besides in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Memory,
    Writing,
    Disk(u64),
}

/// A message in memory that was not read yet.
#[derive(Debug)]
struct Resident<H> {
    sequence: Sequence,
    message: Arc<Message>,
    hold: H,
    since: Instant,
    place: Place,
}

/// A message that was read and is not done.
#[derive(Debug)]
struct Flight<H> {
    sequence: Sequence,
    message: Arc<Message>,
    hold: Option<H>,
    /// When it came, unless it was read from the disk.
    since: Option<Instant>,
    place: Place,
    done: bool,
}

/// A file of records.
#[derive(Debug)]
struct Segment {
    number: u64,
    length: u64,
    /// Where its records begin that are open.
    from: u64,
    last: Sequence,
    /// Records that are not done.
    open: u64,
    /// Records that are not read, by output.
    unread: BTreeMap<Name, u64>,
    /// When its first and its last record came.
    since: (Instant, Instant),
    keep: bool,
    /// It could not be read to its end; it stays for the next start.
    left: bool,
    deleting: bool,
}

impl Segment {
    fn unread(&self) -> u64 {
        self.unread.values().sum()
    }
}

/// A batch on its way to the disk.
#[derive(Debug)]
struct Batch {
    segment: u64,
    is_new: bool,
    bytes: u64,
    records: Vec<(Sequence, u64)>,
    forced: bool,
}

/// A record that was read from the disk ahead of its turn.
#[derive(Debug)]
struct Ahead {
    sequence: Sequence,
    message: Message,
    segment: u64,
}

/// One log. `H` is what a message holds until it is done.
#[derive(Debug)]
pub(super) struct Log<H> {
    priority: Priority,
    flights: VecDeque<Flight<H>>,
    memory: VecDeque<Resident<H>>,
    segments: VecDeque<Segment>,
    /// What records on disk still hold that are not read.
    holds: HashMap<Sequence, H>,
    /// Whether the last segment takes more records.
    appends: bool,
    next_segment: u64,
    /// The place of the next record that is on disk, not read and not ahead.
    cursor: Option<(u64, u64)>,
    ahead: VecDeque<Ahead>,
    last_read: Sequence,
    batch: Option<Batch>,
    reading: Option<(u64, u64)>,
    sizes: Sizes,
    read_bytes: usize,
    read_failures: u32,
    read_again: Option<Instant>,
    delete_again: Option<Instant>,
    /// The first record that is left for the next start.
    left_from: Option<Sequence>,
    /// Records in flight of which no copy is on disk or on its way.
    bare_flights: usize,
    /// Bytes of the messages in memory that are not read.
    resident_bytes: usize,
}

impl<H: Hold> Log<H> {
    pub(super) fn new(
        priority: Priority,
        (next_segment, found): (u64, Vec<Found>),
        sizes: Sizes,
        now: Instant,
    ) -> Self {
        let segments: VecDeque<Segment> = found
            .into_iter()
            .map(|found| Segment {
                number: found.number,
                length: found.length,
                from: found.from,
                last: found.last,
                open: found.outputs.values().sum(),
                unread: found.outputs,
                since: (now, now),
                keep: found.keep,
                left: false,
                deleting: false,
            })
            .collect();
        let cursor = segments.front().map(|first| (first.number, first.from));
        Log {
            priority,
            flights: VecDeque::new(),
            memory: VecDeque::new(),
            segments,
            holds: HashMap::new(),
            appends: false,
            next_segment,
            cursor,
            ahead: VecDeque::new(),
            last_read: Sequence(0),
            batch: None,
            reading: None,
            read_bytes: sizes.read,
            sizes,
            read_failures: 0,
            read_again: None,
            delete_again: None,
            left_from: None,
            bare_flights: 0,
            resident_bytes: 0,
        }
    }

    /// Bytes of its segments.
    pub(super) fn disk_bytes(&self) -> u64 {
        let files = self.segments.iter().map(|segment| segment.length);
        files.sum::<u64>() + self.batch.as_ref().map_or(0, |batch| batch.bytes)
    }

    /// Bytes of the segments that hold something to read or take more records.
    pub(super) fn needed_bytes(&self) -> u64 {
        let active = self
            .segments
            .back()
            .filter(|_| self.appends)
            .map(|segment| segment.number);
        let needed = |segment: &&Segment| segment.unread() > 0 || Some(segment.number) == active;
        let files = self
            .segments
            .iter()
            .filter(needed)
            .map(|segment| segment.length);
        files.sum::<u64>() + self.batch.as_ref().map_or(0, |batch| batch.bytes)
    }

    /// Bytes of the messages in memory that are not read.
    pub(super) fn resident_bytes(&self) -> usize {
        self.resident_bytes
    }

    /// Whether a batch is on its way to the disk.
    pub(super) fn is_writing(&self) -> bool {
        self.batch.is_some()
    }

    /// Whether it has segments.
    pub(super) fn is_on_disk(&self) -> bool {
        !self.segments.is_empty()
    }

    /// Records that are not read, by output, segment by segment.
    pub(super) fn unread_on_disk(&self) -> impl Iterator<Item = (&Name, u64)> {
        let outputs = self.segments.iter().flat_map(|segment| &segment.unread);
        outputs.map(|(name, count)| (name, *count))
    }

    pub(super) fn append(&mut self, sequence: Sequence, message: Message, hold: H, now: Instant) {
        self.resident_bytes += message.size();
        self.memory.push_back(Resident {
            sequence,
            message: Arc::new(message),
            hold,
            since: now,
            place: Place::Memory,
        });
    }

    /// The next message to send. None while it must be read from the disk first.
    pub(super) fn read(&mut self, disk: bool) -> Option<Read> {
        let flight = if let Some(ahead) = self.ahead.pop_front() {
            self.take_ahead(ahead)
        } else if self.cursor.is_some() {
            return None;
        } else {
            let resident = self.memory.pop_front()?;
            self.resident_bytes -= resident.message.size();
            self.bare_flights += usize::from(resident.place == Place::Memory);
            Flight {
                sequence: resident.sequence,
                message: resident.message,
                hold: Some(resident.hold),
                since: Some(resident.since),
                place: resident.place,
                done: false,
            }
        };
        let hold = flight.hold.as_ref();
        let read = Read {
            priority: self.priority,
            sequence: flight.sequence,
            message: Arc::clone(&flight.message),
            urgent: hold.is_some_and(|hold| hold.waits_for_edgehub(disk)),
        };
        self.last_read = flight.sequence;
        self.flights.push_back(flight);
        Some(read)
    }

    fn take_ahead(&mut self, ahead: Ahead) -> Flight<H> {
        let segment = self.segment(ahead.segment);
        if let Some(unread) = segment.map(|segment| &mut segment.unread) {
            let left = unread.get(&ahead.message.output).copied().unwrap_or(0);
            match left {
                0 | 1 => unread.remove(&ahead.message.output),
                _ => unread.insert(Arc::clone(&ahead.message.output), left - 1),
            };
        }
        Flight {
            sequence: ahead.sequence,
            hold: self.holds.remove(&ahead.sequence),
            message: Arc::new(ahead.message),
            since: None,
            place: Place::Disk(ahead.segment),
            done: false,
        }
    }

    /// Whether `read` gives a message, now or after the disk was read.
    pub(super) fn has_unread(&self) -> bool {
        !self.memory.is_empty() || !self.ahead.is_empty() || self.cursor.is_some()
    }

    /// Whether nothing is kept.
    pub(super) fn is_empty(&self) -> bool {
        !self.has_unread() && self.flights.is_empty()
    }

    /// Ends a message that was read; gives back what it held. `None` if it was done before.
    pub(super) fn done(&mut self, sequence: Sequence) -> Option<(Arc<Message>, Option<H>)> {
        let at = self
            .flights
            .binary_search_by_key(&sequence, |flight| flight.sequence)
            .ok()?;
        let flight = self.flights.get_mut(at).filter(|flight| !flight.done)?;
        flight.done = true;
        let ended = (Arc::clone(&flight.message), flight.hold.take());
        match flight.place {
            Place::Memory => self.bare_flights -= 1,
            Place::Writing => {}
            Place::Disk(number) => {
                if let Some(segment) = self.segment(number) {
                    segment.open -= 1;
                }
            }
        }
        while self.flights.front().is_some_and(|flight| flight.done) {
            self.flights.pop_front();
        }
        Some(ended)
    }

    /// All before this sequence is done.
    pub(super) fn oldest_open(&self) -> Sequence {
        let flight = self.flights.front().map(|flight| flight.sequence);
        let open = flight.unwrap_or(Sequence(self.last_read.0 + 1));
        self.left_from.map_or(open, |left| left.min(open))
    }

    /// When the oldest record came of which no copy is on disk or on its way.
    pub(super) fn oldest_bare(&self) -> Option<Instant> {
        let bare = |place| place == Place::Memory;
        let flight = (self.bare_flights > 0).then(|| {
            self.flights
                .iter()
                .find(|flight| !flight.done && bare(flight.place))
        });
        let flight = flight.flatten().and_then(|flight| flight.since);
        flight.or_else(|| {
            let first = match &self.batch {
                None => self.memory.front(),
                Some(_) => self.memory.iter().find(|resident| bare(resident.place)),
            };
            first.map(|resident| resident.since)
        })
    }

    fn segment(&mut self, number: u64) -> Option<&mut Segment> {
        let first = self.segments.front()?.number;
        let near = usize::try_from(number.checked_sub(first)?).ok()?;
        // Numbers have gaps only where segments were deleted, so it stands there or before.
        (0..=near.min(self.segments.len().saturating_sub(1)))
            .rev()
            .find(|at| {
                self.segments
                    .get(*at)
                    .is_some_and(|segment| segment.number == number)
            })
            .and_then(|at| self.segments.get_mut(at))
    }
}

/// Writing.
impl<H: Hold> Log<H> {
    /// A batch of what has no copy on disk, of at most so many bytes. One at a time.
    pub(super) fn write(
        &mut self,
        spool: u64,
        most: u64,
        forced: bool,
        keep_free: u64,
    ) -> Option<Job> {
        if self.batch.is_some() {
            return None;
        }
        let (number, at) = match self.segments.back().filter(|_| self.appends) {
            Some(segment) if segment.length < self.sizes.segment => {
                (segment.number, segment.length)
            }
            _ => (self.next_segment, 0),
        };
        let mut bytes = Vec::new();
        if at == 0 {
            let priority = self.priority;
            bytes = record::header(Header { spool, priority });
        }
        let records = self.encode_batch(&mut bytes, at, most);
        if records.is_empty() {
            return None;
        }
        self.batch = Some(Batch {
            segment: number,
            is_new: at == 0,
            bytes: u64::try_from(bytes.len()).unwrap_or(0),
            records,
            forced,
        });
        Some(Job::Append {
            priority: self.priority,
            file: file_name(self.priority, number),
            at,
            bytes,
            sync: forced,
            keep_free,
        })
    }

    fn encode_batch(&mut self, bytes: &mut Vec<u8>, at: u64, most: u64) -> Vec<(Sequence, u64)> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let batch = self.sizes.batch;
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
    pub(super) fn written(&mut self, now: Instant) -> bool {
        let Some(batch) = self.batch.take() else {
            return false;
        };
        if batch.is_new {
            self.next_segment = batch.segment + 1;
            self.segments.push_back(Segment {
                number: batch.segment,
                length: 0,
                from: u64::try_from(HEADER_BYTES).unwrap_or(0),
                last: Sequence(0),
                open: 0,
                unread: BTreeMap::new(),
                since: (now, now),
                keep: false,
                left: false,
                deleting: false,
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
            if let Some(hold) = &mut flight.hold {
                settle(hold, forced);
            }
            return Some(None);
        }
        let mut resident = self
            .memory
            .pop_front_if(|first| first.sequence == sequence)?;
        self.resident_bytes -= resident.message.size();
        settle(&mut resident.hold, forced);
        if resident.hold.waits() {
            self.holds.insert(sequence, resident.hold);
        }
        self.cursor.get_or_insert(place);
        Some(Some(Arc::clone(&resident.message.output)))
    }

    /// The batch is not on the disk, or nobody knows; it is written again, into another file.
    pub(super) fn not_written(&mut self, now: Instant) {
        let Some(batch) = self.batch.take() else {
            return;
        };
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
        self.appends = false;
        if batch.is_new {
            self.next_segment = batch.segment + 1;
            // What there is of it is deleted; until then it takes room.
            self.segments.push_back(Segment {
                number: batch.segment,
                length: batch.bytes,
                from: batch.bytes,
                last: Sequence(0),
                open: 0,
                unread: BTreeMap::new(),
                since: (now, now),
                keep: false,
                left: false,
                deleting: false,
            });
        }
    }

    /// The next segment is begun early, so that not all of it has to get as old as its last record.
    pub(super) fn roll(&mut self, older_than: Duration, now: Instant) {
        let old = |segment: &Segment| now.saturating_duration_since(segment.since.0) > older_than;
        if self.appends && self.batch.is_none() && self.segments.back().is_some_and(old) {
            self.appends = false;
        }
    }

    /// A segment that is not needed any more.
    pub(super) fn delete(&mut self, now: Instant) -> Option<Job> {
        if self.delete_again.is_some_and(|again| again > now) {
            return None;
        }
        let writing = self.batch.as_ref().map(|batch| batch.segment);
        let active = self
            .segments
            .back()
            .filter(|_| self.appends)
            .map(|segment| segment.number);
        let busy = self.reading.map(|(number, _)| number);
        let needed = |number: u64| [writing, active, busy].contains(&Some(number));
        let segment = self.segments.iter_mut().find(|segment| {
            segment.open == 0 && !segment.left && !segment.deleting && !needed(segment.number)
        })?;
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

    /// A segment is deleted, or is to be tried again at that moment.
    pub(super) fn deleted(&mut self, number: u64, again: Option<Instant>) {
        self.delete_again = again;
        match again {
            None => self.segments.retain(|segment| segment.number != number),
            Some(_) => {
                if let Some(segment) = self.segment(number) {
                    segment.deleting = false;
                }
            }
        }
    }

    /// When a failed attempt to delete is repeated.
    pub(super) fn delete_deadline(&self) -> Option<Instant> {
        self.delete_again
    }
}

fn settle(hold: &mut impl Hold, forced: bool) {
    hold.written();
    if forced {
        hold.safe();
    }
}

/// Reading.
impl<H: Hold> Log<H> {
    /// What is to be read from the disk next, if something is and nothing is ahead any more.
    pub(super) fn fetch(&mut self, now: Instant) -> Option<Job> {
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
    pub(super) fn read_deadline(&self) -> Option<Instant> {
        self.read_again
            .filter(|_| self.ahead.is_empty() && self.reading.is_none())
    }

    /// The disk was read. Gives what was lost if nothing of it can be used.
    pub(super) fn fetched(&mut self, bytes: std::io::Result<Vec<u8>>, now: Instant) -> Dropped<H> {
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
    pub(super) fn drop_oldest_segment(&mut self) -> Dropped<H> {
        let oldest = self.segments.iter().find(|segment| segment.unread() > 0);
        match oldest.map(|segment| segment.number) {
            Some(number) => self.drop_unread_of(number),
            None => Dropped::default(),
        }
    }

    /// Gives up the oldest segment if its last record came before that moment.
    pub(super) fn expire_segment(&mut self, before: Instant) -> Dropped<H> {
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
    pub(super) fn drop_oldest_resident(
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
