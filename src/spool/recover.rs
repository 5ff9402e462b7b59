//! What a start finds on the disk: whose spool it is, and what in it is still to be delivered.
//!
//! Nothing is deleted that could hold a message: what cannot be used is set aside under a name
//! that begins with `aside-`.

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};

use super::disk::Disk;
use super::position::{Position, SLOT_BYTES};
use super::record::{
    HEADER_BYTES, Header, HeaderError, MAX_RECORD_BYTES, Parsed, parse, read_header,
};
use super::worker::{DEAD_LETTERS, POSITION};
use crate::message::{Name, Priority, Sequence};

/// File that says whose spool it is.
const OWNER: &str = "spool.json";
const OWNER_DRAFT: &str = "spool.json.new";
const VERSION: u32 = 1;
/// Bytes read at once.
const CHUNK: usize = 256 * 1024;
/// Runs that could not be noted have a number above, by chance.
const UNNOTED_RUNS: u32 = 1 << 23;

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

#[derive(Debug, Serialize, Deserialize)]
struct Owner {
    version: u32,
    /// Twelve hexadecimal digits.
    name: String,
    /// How often it was opened.
    runs: u32,
    #[serde(flatten)]
    whose: Whose,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The spool's name, of 48 bits.
    pub name: u64,
    /// Which opening of the spool this is; no earlier one had this number.
    pub run: u32,
    /// The oldest open sequences as they were last noted.
    pub position: Position,
    /// Each log's segments with open records, in order.
    pub segments: BTreeMap<Priority, Vec<Found>>,
    /// The number that no segment of a log has had yet.
    pub next: BTreeMap<Priority, u64>,
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

/// A segment with open records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Its number.
    pub number: u64,
    /// Bytes up to the end of its last readable record.
    pub length: u64,
    /// Where its first open record begins.
    pub from: u64,
    /// Its last record.
    pub last: Sequence,
    /// How many open records it has, by output.
    pub outputs: BTreeMap<Name, u64>,
    /// Whether what stands behind its last readable record is kept for a later look.
    pub keep: bool,
}

/// Name of a segment's file.
pub fn file_name(priority: Priority, number: u64) -> String {
    format!("{}-{number:016x}.segment", priority.word())
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
    let owner = owner(disk, whose, &mut found.notes)?;
    (found.name, found.run) = begin_run(disk, whose, owner, &mut found.notes)?;
    found.position = position(disk);
    let mut segments: Vec<_> = disk
        .list()?
        .iter()
        .filter_map(|name| parse_name(name))
        .collect();
    segments.sort_unstable();
    for (priority, number) in &segments {
        found.next.insert(*priority, number.saturating_add(1));
    }
    // From the newest to the oldest: of a record that is there twice, the later copy counts.
    let first_note = found.notes.len();
    let mut newer = BTreeMap::new();
    for (priority, number) in segments.into_iter().rev() {
        if let Err(error) = look_through(disk, (priority, number), &mut newer, &mut found) {
            let file = file_name(priority, number);
            found.notes.push(Note {
                text: format!(
                    "the segment {file} cannot be read ({error}); it stays for the next start"
                ),
                damaged: 0,
            });
        }
    }
    if let Some(notes) = found.notes.get_mut(first_note..) {
        notes.reverse();
    }
    for segments in found.segments.values_mut() {
        segments.reverse();
    }
    found.dead_letters = length(disk, DEAD_LETTERS)?;
    Ok(found)
}

/// The spool that is there, if it is this module's; any other is set aside.
fn owner(disk: &mut dyn Disk, whose: &Whose, notes: &mut Vec<Note>) -> io::Result<Option<Owner>> {
    let files = disk.list()?;
    let has_segments = files.iter().any(|name| parse_name(name).is_some());
    let why = if files.iter().any(|name| name == OWNER) {
        let text = disk.read(OWNER, 0, CHUNK)?;
        let version = serde_json::from_slice::<Version>(&text).map(|found| found.version);
        match (serde_json::from_slice::<Owner>(&text), version) {
            (_, Ok(version)) if version > VERSION => {
                format!("a spool of version {version}, which this module cannot read,")
            }
            (Ok(owner), _) if owner.whose == *whose && name_of(&owner.name).is_some() => {
                return Ok(Some(owner));
            }
            (Ok(owner), _) if owner.whose != *whose => format!(
                "the spool of module {} on device {} of {}",
                owner.whose.module, owner.whose.device, owner.whose.hub
            ),
            _ => format!("a spool with an unreadable {OWNER}"),
        }
    } else if has_segments {
        format!("a spool without {OWNER}")
    } else {
        return Ok(None);
    };
    let prefix = set_all_aside(disk, &files)?;
    notes.push(Note {
        text: format!("{why} was set aside: its files are named {prefix}*"),
        damaged: 0,
    });
    Ok(None)
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

fn name_of(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

/// The file that says whose spool it is goes last, so that an interrupted move is taken up again.
fn set_all_aside(disk: &mut dyn Disk, files: &[String]) -> io::Result<String> {
    let taken = |number: u32| {
        let prefix = format!("aside-{number}-");
        files.iter().any(|name| name.starts_with(&prefix))
    };
    let number = (1..).find(|number| !taken(*number)).unwrap_or(u32::MAX);
    let prefix = format!("aside-{number}-");
    let (owner, others): (Vec<_>, Vec<_>) = files
        .iter()
        .filter(|name| !name.starts_with("aside-"))
        .partition(|name| *name == OWNER);
    for name in others.into_iter().chain(owner) {
        disk.rename(name, &format!("{prefix}{name}"))?;
    }
    Ok(prefix)
}

/// Notes that the spool was opened once more, so that no id is given twice.
fn begin_run(
    disk: &mut dyn Disk,
    whose: &Whose,
    owner: Option<Owner>,
    notes: &mut Vec<Note>,
) -> io::Result<(u64, u32)> {
    let known = owner.as_ref().and_then(|owner| name_of(&owner.name));
    let name = match known {
        Some(name) => name,
        None => random()? & 0xffff_ffff_ffff,
    };
    let run = owner.as_ref().map_or(0, |owner| owner.runs) + 1;
    let noted = Owner {
        version: VERSION,
        name: format!("{name:012x}"),
        runs: run,
        whose: whose.clone(),
    };
    let text = serde_json::to_vec_pretty(&noted)?;
    let written = replace_owner(disk, &text);
    match (written, known) {
        (Ok(()), _) if run < UNNOTED_RUNS => Ok((name, run)),
        (Err(error), None) => Err(error),
        (written, _) => {
            if let Err(error) = written {
                notes.push(Note {
                    text: format!("{OWNER} cannot be written ({error}); message ids of this run begin at a random number"),
                    damaged: 0,
                });
            }
            let chance = u32::try_from(random()? & u64::from(UNNOTED_RUNS - 1)).unwrap_or(0);
            Ok((name, UNNOTED_RUNS | chance))
        }
    }
}

fn replace_owner(disk: &mut dyn Disk, text: &[u8]) -> io::Result<()> {
    disk.delete(OWNER_DRAFT)?;
    disk.write(OWNER_DRAFT, 0, text)?;
    disk.sync(OWNER_DRAFT)?;
    disk.rename(OWNER_DRAFT, OWNER)
}

fn random() -> io::Result<u64> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(u64::from_le_bytes(bytes))
}

/// Without a readable note everything is open: that repeats, and loses nothing.
fn position(disk: &mut dyn Disk) -> Position {
    let bytes = disk.read(POSITION, 0, 2 * SLOT_BYTES).unwrap_or_default();
    Position::newest(&bytes)
}

fn length(disk: &mut dyn Disk, file: &str) -> io::Result<u64> {
    if !disk.list()?.iter().any(|name| name == file) {
        return Ok(0);
    }
    let mut length = 0;
    loop {
        let chunk = disk.read(file, length, CHUNK)?.len();
        length += u64::try_from(chunk).unwrap_or(0);
        if chunk < CHUNK {
            return Ok(length);
        }
    }
}

/// What is known of the segments of a log that are newer than the one at hand.
#[derive(Clone, Copy, Debug)]
struct Newer {
    /// Their first record.
    first: Option<Sequence>,
    /// Whether all of them are forced to the disk.
    forced: bool,
}

/// Looks through one segment; it is used as far as it can be read, up to the records of which
/// newer segments have a copy.
fn look_through(
    disk: &mut dyn Disk,
    (priority, number): (Priority, u64),
    newer: &mut BTreeMap<Priority, Newer>,
    found: &mut Recovered,
) -> io::Result<()> {
    let file = file_name(priority, number);
    let header = read_header(&disk.read(&file, 0, HEADER_BYTES)?);
    let expected = Header {
        spool: found.name,
        priority,
    };
    let wrong = match header {
        Ok(header) if header == expected => None,
        Ok(_) => Some("it belongs to another spool".to_owned()),
        // Nothing was ever stored in it.
        Err(HeaderError::Short) => return disk.delete(&file),
        Err(error) => Some(error.to_string()),
    };
    if let Some(wrong) = wrong {
        disk.rename(&file, &format!("aside-{file}"))?;
        found.notes.push(Note {
            text: format!("the segment {file} was set aside as aside-{file}: {wrong}"),
            damaged: 0,
        });
        return Ok(());
    }
    let is_last = !newer.contains_key(&priority);
    let newer = newer.entry(priority).or_insert(Newer {
        first: None,
        forced: true,
    });
    let wanted = Wanted {
        from: found.position.of(priority),
        before: newer.first,
    };
    let scanned = scan(disk, &file, wanted)?;
    let mut segment = scanned.found;
    segment.number = number;
    if scanned.unreadable > 0 {
        segment.keep = !is_last;
        let (what, then) = if is_last {
            ("torn, as after a loss of power", "")
        } else {
            ("damaged", ", and stays on the disk as aside-*")
        };
        let unreadable = scanned.unreadable;
        found.notes.push(Note {
            text: format!(
                "the segment {file} is {what}: its last {unreadable} bytes cannot be read{then}"
            ),
            damaged: unreadable,
        });
    }
    let others_forced = newer.forced;
    newer.first = scanned.first.or(newer.first);
    if let Err(error) = disk.sync(&file) {
        newer.forced = false;
        found.notes.push(Note {
            text: format!("the segment {file} cannot be forced to the disk ({error})"),
            damaged: 0,
        });
    }
    if !segment.outputs.is_empty() {
        found.segments.entry(priority).or_default().push(segment);
    } else if others_forced {
        retire(disk, priority, &segment)?;
    }
    Ok(())
}

/// Takes a segment without open records away.
fn retire(disk: &mut dyn Disk, priority: Priority, segment: &Found) -> io::Result<()> {
    let file = file_name(priority, segment.number);
    if segment.keep {
        return disk.rename(&file, &format!("aside-{file}"));
    }
    disk.delete(&file)
}

/// Which records of a segment are open.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    /// All before are done.
    from: Sequence,
    /// Newer segments have a copy of this one and of those behind it that are open.
    before: Option<Sequence>,
}

/// What was read of a segment.
#[derive(Debug, Default)]
struct Scanned {
    found: Found,
    /// Its first readable record.
    first: Option<Sequence>,
    /// Bytes behind the last readable record.
    unreadable: u64,
}

/// Reads a segment to the end of its last wanted record.
fn scan(disk: &mut dyn Disk, file: &str, wanted: Wanted) -> io::Result<Scanned> {
    let mut scanned = Scanned::default();
    let segment = &mut scanned.found;
    segment.length = u64::try_from(HEADER_BYTES).unwrap_or(0);
    let mut most = CHUNK;
    loop {
        let bytes = disk.read(file, segment.length, most)?;
        let mut rest = &bytes[..];
        let needs = loop {
            match parse(rest) {
                Parsed::Record(record) => {
                    scanned.first.get_or_insert(record.sequence);
                    if wanted
                        .before
                        .is_some_and(|copied| record.sequence >= copied)
                    {
                        return Ok(scanned);
                    }
                    if record.sequence >= wanted.from && record.sequence > segment.last {
                        note_open(segment, record.output());
                    }
                    segment.last = segment.last.max(record.sequence);
                    segment.length += u64::try_from(record.length).unwrap_or(0);
                    rest = rest.get(record.length..).unwrap_or_default();
                }
                Parsed::Incomplete(needs) if needs <= MAX_RECORD_BYTES => break Some(needs),
                Parsed::Incomplete(_) | Parsed::Damaged => break None,
            }
        };
        let at_end = bytes.len() < most;
        let progressed = rest.len() < bytes.len();
        match needs {
            Some(needs) if !at_end && (progressed || needs > most) => most = CHUNK.max(needs),
            _ => {
                scanned.unreadable = u64::try_from(rest.len()).unwrap_or(0);
                return Ok(scanned);
            }
        }
    }
}

fn note_open(segment: &mut Found, output: Option<&str>) {
    if segment.outputs.is_empty() {
        segment.from = segment.length;
    }
    let output = output.unwrap_or_default();
    match segment.outputs.get_mut(output) {
        Some(count) => *count += 1,
        None => {
            segment.outputs.insert(output.into(), 1);
        }
    }
}
