//! What a start finds on the disk: whose spool it is, and what in it is still to be delivered.
//!
//! A start deletes nothing. What belongs to others is set aside under names that begin with
//! `aside-` and a number; segments that are done or damaged are left to the running spool.

mod owner;
mod segment;

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};

use super::disk::Disk;
use super::position::{Position, SLOT_BYTES};
use super::worker::{DEAD_LETTERS, POSITION};
use crate::message::{Name, Priority, Sequence};

/// Whose messages a spool keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whose {
    /// Host name of the IoT hub.
    pub hub: String,
    /// The edge device.
    pub device: String,
    /// The module.
    pub module: String,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The spool's name, of 48 bits.
    pub name: u64,
    /// The first sequence of this run. All that were given before are smaller, and no name of a
    /// segment has a number so large.
    pub first: Sequence,
    /// The oldest open sequences as they were last noted.
    pub position: Position,
    /// Each log's segments, in order.
    pub segments: BTreeMap<Priority, Vec<Found>>,
    /// Logs that have a segment that could not be read. In it anything may be open from there on.
    pub unread_from: BTreeMap<Priority, Sequence>,
    /// Bytes of the file of dead letters.
    pub dead_letters: u64,
    /// What an operator should know.
    pub notes: Vec<Note>,
}

/// Something that an operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What it is, with the file's name.
    pub text: String,
    /// Bytes that hold no readable record.
    pub damaged: u64,
}

impl Note {
    fn new(text: String) -> Self {
        Note { text, damaged: 0 }
    }
}

/// A segment. One without open records is to be taken away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Its number.
    pub number: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes up to the end of its last record that counts.
    pub length: u64,
    /// Where its first open record begins.
    pub from: u64,
    /// Its last record that counts.
    pub last: Sequence,
    /// How many open records it has, by output.
    pub outputs: BTreeMap<Name, u64>,
    /// Whether it is set aside in the end, because more is in it than can be read.
    pub keep: bool,
    /// Whether it stays as it is until the next start.
    pub left: bool,
}

/// Name of a segment's file.
pub fn file_name(priority: Priority, number: u64) -> String {
    format!("{}-{number:016x}.segment", priority.word())
}

/// Name of a segment's file that was set aside because it is damaged.
pub fn aside_name(file: &str) -> String {
    format!("aside-{file}")
}

/// The number of a segment that was set aside because it is damaged, out of its file's name.
pub fn aside_number(file: &str) -> Option<u64> {
    let (_, number) = parse_name(file.strip_prefix("aside-")?)?;
    Some(number)
}

fn parse_name(name: &str) -> Option<(Priority, u64)> {
    let (word, number) = name.strip_suffix(".segment")?.split_once('-')?;
    let priority = [Priority::High, Priority::Normal]
        .into_iter()
        .find(|priority| priority.word() == word)?;
    Some((priority, u64::from_str_radix(number, 16).ok()?))
}

/// Looks through the disk and makes it this module's.
///
/// # Errors
/// When the disk cannot be read, or a new spool cannot be begun on it.
pub fn recover(disk: &mut dyn Disk, whose: &Whose) -> io::Result<Recovered> {
    let mut found = Recovered::default();
    let owner = owner::find(disk, whose, &mut found.notes)?;
    found.position = position(disk)?;
    let mut segments: BTreeMap<Priority, Vec<u64>> = BTreeMap::new();
    for (priority, number) in disk.list()?.iter().filter_map(|name| parse_name(name)) {
        segments.entry(priority).or_default().push(number);
    }
    let given = [found.position.high, found.position.normal]
        .into_iter()
        .chain(segments.values().flatten().map(|number| Sequence(*number)));
    let last_run = given.map(Sequence::run).max().unwrap_or(0);
    (found.name, found.first) = owner::begin_run(disk, whose, (owner, last_run), &mut found.notes)?;
    for (priority, mut numbers) in segments {
        numbers.sort_unstable();
        segment::look_through(disk, (priority, &numbers), &mut found);
    }
    found.dead_letters = disk.length(DEAD_LETTERS).unwrap_or(0);
    Ok(found)
}

/// Without a note everything is open: that repeats, and loses nothing. A note that cannot be read
/// is deleted, because it may name a run that is about to be given again.
fn position(disk: &mut dyn Disk) -> io::Result<Position> {
    match disk.read(POSITION, 0, 2 * SLOT_BYTES) {
        Ok(bytes) => Ok(Position::newest(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Position::default()),
        Err(_) => disk.delete(POSITION).map(|()| Position::default()),
    }
}
