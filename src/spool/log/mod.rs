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

mod reading;
mod segment;
mod writing;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) use writing::Writing;

use segment::Segment;

use super::recover::Found;
use super::{FIRST_RETRY, Hold, Read, Sizes};
use crate::message::{Message, Name, Priority, Sequence};

/// Holds of records on disk before it is first looked at who still waits.
const FIRST_HOLDS: usize = 64;

/// Files that only wait for acknowledgements and do not count among the bytes that are needed.
const MOST_EXEMPT: usize = 2;

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
    /// Since when it waits for edgeHub, unless it was read from the disk.
    since: Option<Instant>,
    place: Place,
    done: bool,
}

/// A batch on its way to the disk.
#[derive(Debug)]
pub(super) struct Batch {
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
    /// So many of them, and those for whom nobody waits any more are let go.
    most_holds: usize,
    /// Whether the last segment takes more records.
    appends: bool,
    next_segment: u64,
    /// The place of the next record that is on disk, not read and not ahead.
    cursor: Option<(u64, u64)>,
    ahead: VecDeque<Ahead>,
    /// Room in memory of what is ahead.
    ahead_cost: usize,
    last_read: Sequence,
    batch: Option<Batch>,
    reading: Option<(u64, u64)>,
    sizes: Sizes,
    read_bytes: usize,
    /// Attempts to read that failed since the last one that did not.
    read_failures: u32,
    /// Whether the disk gave nothing the last time.
    cannot_read: bool,
    read_again: Option<Instant>,
    /// When those are tried again that could not be deleted.
    delete_again: Option<Instant>,
    delete_pause: Duration,
    /// The first record that is left for the next start.
    left_from: Option<Sequence>,
    /// Records in flight of which no copy is on disk or on its way.
    bare_flights: usize,
    /// Room in memory of messages of which no copy is known to be on disk, read or not.
    cost: usize,
}

impl<H: Hold> Log<H> {
    pub(super) fn new(
        priority: Priority,
        (first, found, left_from): (Sequence, Vec<Found>, Option<Sequence>),
        sizes: Sizes,
        now: Instant,
    ) -> Self {
        let segments: VecDeque<Segment> = found
            .into_iter()
            .map(|found| Segment::found(found, now))
            .collect();
        let first_unread = segments.iter().find(|segment| !segment.unread.is_empty());
        let cursor = first_unread.map(|segment| (segment.number, segment.from));
        Log {
            priority,
            flights: VecDeque::new(),
            memory: VecDeque::new(),
            segments,
            holds: HashMap::new(),
            most_holds: FIRST_HOLDS,
            appends: false,
            // Names of segments are as unique as sequences.
            next_segment: first.0,
            cursor,
            ahead: VecDeque::new(),
            ahead_cost: 0,
            last_read: Sequence(0),
            batch: None,
            reading: None,
            read_bytes: sizes.read,
            sizes,
            read_failures: 0,
            cannot_read: false,
            read_again: None,
            delete_again: None,
            delete_pause: FIRST_RETRY,
            left_from,
            bare_flights: 0,
            cost: 0,
        }
    }

    /// Bytes of its files.
    pub(super) fn disk_bytes(&self) -> u64 {
        let files = self.segments.iter().map(|segment| segment.bytes);
        files.sum::<u64>() + self.batch.as_ref().map_or(0, |batch| batch.bytes)
    }

    /// Bytes of its files, but for what failed writes left and a few files that only wait for
    /// acknowledgements.
    pub(super) fn needed_bytes(&self) -> u64 {
        let active = self.active();
        let mut exempt = MOST_EXEMPT;
        let needed = |segment: &&Segment| {
            let waits = segment.only_in_flight() && !segment.left && exempt > 0;
            let is_exempt = waits && Some(segment.number) != active;
            exempt -= usize::from(is_exempt);
            !is_exempt && !segment.leftover
        };
        let files = self.segments.iter().filter(needed);
        let batch = self.batch.as_ref().map_or(0, |batch| batch.bytes);
        files.map(|segment| segment.bytes).sum::<u64>() + batch
    }

    /// Room in memory of messages of which no copy is known to be on disk.
    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    /// The segment that takes more records.
    fn active(&self) -> Option<u64> {
        let last = self.segments.back().filter(|_| self.appends);
        last.map(|segment| segment.number)
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
        self.cost += message.cost();
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
        self.ahead_cost -= ahead.message.cost();
        let segment = self.segment(ahead.segment);
        if let Some(unread) = segment.map(|segment| &mut segment.unread) {
            let left = unread.get(&ahead.message.output).copied().unwrap_or(0);
            match left {
                0 | 1 => unread.remove(&ahead.message.output),
                _ => unread.insert(Name::clone(&ahead.message.output), left - 1),
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

    /// Whether something is to be read from the disk, which can be read.
    pub(super) fn reads_on(&self) -> bool {
        self.cursor.is_some() && self.read_again.is_none()
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
            Place::Memory => {
                self.bare_flights -= 1;
                self.cost -= ended.0.cost();
            }
            Place::Writing => self.cost -= ended.0.cost(),
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

    /// Since when the oldest record waits of which no copy is on disk or on its way.
    pub(super) fn oldest_bare(&self) -> Option<Instant> {
        let resident = match &self.batch {
            None => self.memory.front(),
            Some(_) => {
                let mut memory = self.memory.iter();
                memory.find(|resident| resident.place == Place::Memory)
            }
        };
        let bare = |flight: &&Flight<H>| !flight.done && flight.place == Place::Memory;
        let flight = match self.bare_flights {
            0 => None,
            _ => self.flights.iter().find(bare),
        };
        let since = flight.and_then(|flight| flight.since);
        since.or(resident.map(|resident| resident.since))
    }

    fn segment(&mut self, number: u64) -> Option<&mut Segment> {
        let at = self
            .segments
            .binary_search_by_key(&number, |segment| segment.number);
        self.segments.get_mut(at.ok()?)
    }
}
