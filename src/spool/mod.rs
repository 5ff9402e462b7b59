//! Keeps every message from the moment it is taken over until it is done: the one retransmit buffer.
//!
//! [`Spool`] is a state machine: `append` takes a message over, `read` gives the next ones to send,
//! `done` ends one, in any order. What is to be done on the disk it says by [`Spool::job`], and
//! takes what came of it by [`Spool::finished`]; the jobs are done by one thread, [`Worker`].
//!
//! A message is in memory until it has waited for edgeHub so long that [`Persist`] says to write it.
//! So while edgeHub acknowledges, nothing is written at all. There is one log for each priority; a
//! log is a row of segments, and a segment is deleted when all its records are done. On disk only
//! the oldest open sequence of each log is noted: a restart repeats what was done beyond it.

mod disk;
mod letters;
mod log;
mod making_room;
mod persist;
mod position;
mod record;
mod recover;
mod schedule;
#[cfg(test)]
pub(crate) mod tests;
mod worker;

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use disk::{Disk, Folder, free_bytes};
pub use letters::{Buried, MOST_WAITING as MOST_WAITING_LETTERS};
pub use persist::Persist;
pub use recover::{Note, Recovered, Whose};
pub use schedule::Finished;
pub use worker::{DEAD_LETTER_BYTES, Job, Outcome, Trouble, Worker, carry_out};

use letters::Letter;
use log::Log;
use making_room::MakingRoom;
use position::Position;

use crate::message::{Message, Name, Priority, Sequence};

/// The positions are noted no more often.
const NOTE_EVERY: Duration = Duration::from_secs(1);
/// Between attempts to write to a disk that fails or is full.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// A disk that gives no outcome for so long is told as failing.
const MOST_SILENT: Duration = Duration::from_secs(30);

/// What a message holds while it is kept: room in memory, and somebody who waits for a promise.
pub trait Hold {
    /// Its room in memory is free: a copy is on disk, or it is given up.
    fn written(&mut self);
    /// The copy is forced to the disk.
    fn safe(&mut self);
    /// Whether somebody waits for its room in memory.
    fn is_wanted(&self) -> bool;
    /// Whether somebody still waits for more.
    fn waits(&self) -> bool;
    /// Whether that can only be edgeHub's acknowledgement. `disk` says whether the disk makes safe.
    fn waits_for_edgehub(&self, disk: bool) -> bool;
}

/// A message that is to be sent now.
#[derive(Clone, Debug)]
pub struct Read {
    /// Its log.
    pub priority: Priority,
    /// Its place there.
    pub sequence: Sequence,
    /// The message.
    pub message: Arc<Message>,
    /// Whether somebody waits for edgeHub to acknowledge it.
    pub urgent: bool,
}

/// How much is kept, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the files at most.
    pub max_bytes: u64,
    /// Bytes that the disk must have left: edgeHub keeps its own messages on it.
    pub min_free_bytes: u64,
    /// How old a message gets before it is dropped. Counted while the module runs, so that a clock
    /// that is set cannot end it.
    pub max_age: Option<Duration>,
    /// Whether the oldest messages are dropped for new ones when there is no room.
    pub drop_oldest: bool,
    /// Room in memory of all messages. `drop_oldest` drops there beyond three quarters of it, where
    /// the disk takes nothing.
    pub memory_bytes: usize,
    /// When records are forced to disk.
    pub persist: Persist,
    /// How the files are cut.
    pub sizes: Sizes,
}

/// How much is in one file, and goes to and from the disk at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Bytes beyond which a segment takes no more records, if that is not over an eighth of all.
    pub segment: u64,
    /// Bytes written at once, but for one long record; no more than a segment has.
    pub batch: usize,
    /// Bytes read at once, but for one long record. As much of messages may be ahead in memory,
    /// and half of it beside.
    pub read: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Sizes {
            segment: 4 << 20,
            batch: 1 << 20,
            read: 512 << 10,
        }
    }
}

/// How the disk is. The texts name no number that changes from one moment to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// It takes what is written.
    #[default]
    Good,
    /// There is no room: why.
    Full(String),
    /// It fails: why.
    Failing(String),
    /// There is none: why.
    Absent(String),
}

/// Messages that were given up.
#[derive(Debug)]
pub struct Dropped<H> {
    /// How many, by output.
    pub outputs: BTreeMap<Name, u64>,
    /// What those held for which somebody waits.
    pub holds: Vec<H>,
}

impl<H> Default for Dropped<H> {
    fn default() -> Self {
        Dropped {
            outputs: BTreeMap::new(),
            holds: Vec::new(),
        }
    }
}

impl<H> Dropped<H> {
    fn add_one(&mut self, (message, hold): (Arc<Message>, H)) {
        *self
            .outputs
            .entry(Name::clone(&message.output))
            .or_default() += 1;
        self.holds.push(hold);
    }

    fn add(&mut self, other: Dropped<H>) {
        for (output, count) in other.outputs {
            *self.outputs.entry(output).or_default() += count;
        }
        self.holds.extend(other.holds);
    }
}

/// What is not done yet. `H` is what each message holds until it is.
#[derive(Debug)]
pub struct Spool<H> {
    name: u64,
    next: Sequence,
    logs: [Log<H>; 2],
    limits: Limits,
    /// Whether the disk takes what is written.
    condition: Condition,
    /// Whether it gives what was written, where it takes more.
    gives: Condition,
    /// What is kept, by output.
    kept: BTreeMap<Name, u64>,
    flushing: bool,
    retry: Duration,
    write_again: Option<Instant>,
    probing: bool,
    probe_again: Option<Instant>,
    making_room: MakingRoom,
    /// Somebody waits for room in memory.
    wanted: bool,
    dropped: Dropped<H>,
    age_again: Option<Instant>,
    /// The oldest open sequences as they are noted or on their way to be.
    position: Position,
    /// Those of the note before.
    noted: Position,
    noting: bool,
    note_again: Option<Instant>,
    dead_letters: VecDeque<Letter<H>>,
    dead_letter_bytes: u64,
    burying: bool,
    syncs: u64,
    outstanding: usize,
    /// Since when the disk has jobs and gives no outcome.
    silent_since: Option<Instant>,
    /// Whether it gives outcomes.
    answers: Condition,
}

const ORDER: [Priority; 2] = [Priority::High, Priority::Normal];

fn index(priority: Priority) -> usize {
    match priority {
        Priority::High => 0,
        Priority::Normal => 1,
    }
}

impl<H: Hold> Spool<H> {
    /// A spool over what a disk had; what was found is to be delivered first.
    pub fn recovered(mut found: Recovered, limits: Limits, now: Instant) -> Self {
        let logs = ORDER.map(|priority| {
            let segments = found.segments.remove(&priority).unwrap_or_default();
            let left_from = found.unread_from.get(&priority).copied();
            let found = (found.first, segments, left_from);
            Log::new(priority, found, limits.sizes, now)
        });
        let mut kept = BTreeMap::new();
        for (output, count) in logs.iter().flat_map(Log::unread_on_disk) {
            *kept.entry(Name::clone(output)).or_default() += count;
        }
        Spool {
            name: found.name,
            next: found.first,
            logs,
            limits,
            condition: Condition::Good,
            gives: Condition::Good,
            kept,
            flushing: false,
            retry: FIRST_RETRY,
            write_again: None,
            probing: false,
            probe_again: None,
            making_room: MakingRoom::default(),
            wanted: false,
            dropped: Dropped::default(),
            age_again: None,
            position: found.position,
            noted: found.position,
            noting: false,
            note_again: None,
            dead_letters: VecDeque::new(),
            dead_letter_bytes: found.dead_letters,
            burying: false,
            syncs: 0,
            outstanding: 0,
            silent_since: None,
            answers: Condition::Good,
        }
    }

    /// A spool in memory alone, and why. `name` must differ from that of every other spool.
    pub fn in_memory(name: u64, why: String, limits: Limits, now: Instant) -> Self {
        let found = Recovered {
            name,
            first: Sequence::first(1),
            ..Recovered::default()
        };
        let mut spool = Self::recovered(found, limits, now);
        spool.condition = Condition::Absent(why);
        spool
    }

    /// Goes by other limits from now on.
    pub fn limit(&mut self, limits: Limits) {
        self.limits = limits;
        self.write_again = None;
        self.age_again = None;
        self.making_room = MakingRoom::default();
    }

    /// Takes a message over.
    pub fn append(
        &mut self,
        priority: Priority,
        message: Message,
        hold: H,
        now: Instant,
    ) -> Sequence {
        let sequence = self.next;
        self.next = Sequence(sequence.0 + 1);
        match self.kept.get_mut(&message.output) {
            Some(count) => *count += 1,
            None => {
                self.kept.insert(Name::clone(&message.output), 1);
            }
        }
        self.log(priority).append(sequence, message, hold, now);
        sequence
    }

    /// The next message to send, of high priority first; each is read once.
    pub fn read(&mut self) -> Option<Read> {
        let disk = self.makes_safe();
        ORDER
            .into_iter()
            .find_map(|priority| self.log(priority).read(disk))
    }

    /// Whether messages are on their way from the disk. Not while the disk cannot be read.
    pub fn reads_on(&self) -> bool {
        self.logs.iter().any(Log::reads_on)
    }

    /// Ends a message that was read; gives it back and what it held, or `None` if it was done before.
    pub fn done(
        &mut self,
        priority: Priority,
        sequence: Sequence,
    ) -> Option<(Arc<Message>, Option<H>)> {
        let ended = self.log(priority).done(sequence)?;
        self.forget(&Name::clone(&ended.0.output), 1);
        Some(ended)
    }

    /// The message's id on the wire: its own, or the spool's name, the run and the number in it.
    pub fn id(&self, sequence: Sequence, message: &Message) -> String {
        if let Some(id) = &message.id {
            return id.clone();
        }
        let mut id = String::with_capacity(40);
        // Writing into memory does not fail.
        write!(id, "{:012x}-{sequence}", self.name).unwrap_or(());
        id
    }

    /// Whether a message waits to be read, now or after the disk was read.
    pub fn has_unread(&self) -> bool {
        self.logs.iter().any(Log::has_unread)
    }

    /// Whether nothing is kept, and no dead letter waits for the disk.
    pub fn is_empty(&self) -> bool {
        self.dead_letters.is_empty() && self.logs.iter().all(Log::is_empty)
    }

    /// How many messages are kept, by output; dead letters that wait for the disk are.
    pub fn kept(&self) -> &BTreeMap<Name, u64> {
        &self.kept
    }

    /// Bytes of the files.
    pub fn disk_bytes(&self) -> u64 {
        self.logs.iter().map(Log::disk_bytes).sum()
    }

    /// Bytes of the file of dead letters, and how many letters wait for the disk.
    pub fn dead_letters(&self) -> (u64, usize) {
        (self.dead_letter_bytes, self.dead_letters.len())
    }

    /// How often something was forced to the disk.
    pub fn syncs(&self) -> u64 {
        self.syncs
    }

    /// How the disk is.
    pub fn condition(&self) -> &Condition {
        [&self.answers, &self.condition]
            .into_iter()
            .find(|condition| **condition != Condition::Good)
            .unwrap_or(&self.gives)
    }

    /// Whether the disk takes what is written, as far as is known.
    pub fn takes(&self) -> bool {
        self.condition == Condition::Good
    }

    /// Whether every message that is kept has a copy on disk, dead letters too.
    pub fn is_written(&self) -> bool {
        let written = |log: &Log<H>| log.oldest_bare().is_none() && !log.is_writing();
        self.dead_letters.is_empty() && self.logs.iter().all(written)
    }

    /// Whether a message gets safe without edgeHub.
    pub fn makes_safe(&self) -> bool {
        self.is_good() && self.limits.persist.forces()
    }

    fn log(&mut self, priority: Priority) -> &mut Log<H> {
        &mut self.logs[index(priority)]
    }

    fn is_good(&self) -> bool {
        *self.condition() == Condition::Good
    }

    fn answers(&self) -> bool {
        self.answers == Condition::Good
    }

    fn is_absent(&self) -> bool {
        matches!(self.condition, Condition::Absent(_))
    }

    fn forget(&mut self, output: &Name, count: u64) {
        if let Some(kept) = self.kept.get_mut(output) {
            *kept = kept.saturating_sub(count);
        }
    }
}
