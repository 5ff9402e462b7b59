//! What is in the segments of a log.

use std::io;

use super::owner::free_prefix;
use super::{Found, Note, Recovered, aside_name, file_name};
use crate::message::{Priority, Sequence};
use crate::spool::disk::Disk;
use crate::spool::record::{
    HEADER_BYTES, Header, HeaderError, MAX_RECORD_BYTES, Parsed, has_record, parse, read_header,
};

/// Bytes read at once.
const CHUNK: usize = 256 * 1024;
/// Behind damage a readable record is looked for in so many bytes; a segment has fewer.
const MOST_BEHIND: usize = 8 << 20;

/// One log while its segments are looked through, from the newest to the oldest: of a record that
/// is there twice, the later copy counts.
struct Look<'a> {
    priority: Priority,
    spool: u64,
    /// All records before are done.
    open_from: Sequence,
    /// The first record of the segments so far; older ones have copies at most from there on.
    copied_from: Option<Sequence>,
    /// Whether all segments so far are forced to the disk.
    forced: bool,
    notes: &'a mut Vec<Note>,
}

/// Looks through the segments of one log, whose numbers ascend.
pub(super) fn look_through(
    disk: &mut dyn Disk,
    (priority, numbers): (Priority, &[u64]),
    found: &mut Recovered,
) {
    let mut notes = Vec::new();
    let mut look = Look {
        priority,
        spool: found.name,
        open_from: found.position.of(priority),
        copied_from: None,
        forced: true,
        notes: &mut notes,
    };
    let mut segments = Vec::new();
    for number in numbers.iter().rev() {
        match look.segment(disk, *number) {
            Ok(segment) => segments.extend(segment),
            Err(error) => {
                segments.push(look.unread(disk, *number, &error));
                found.unread_from.insert(priority, look.open_from);
            }
        }
    }
    segments.reverse();
    found.segments.insert(priority, segments);
    found.notes.extend(notes.into_iter().rev());
}

impl Look<'_> {
    fn note(&mut self, damaged: u64, text: String) {
        self.notes.push(Note { text, damaged });
    }

    /// Looks through one segment; it is used as far as it can be read, up to the records of which
    /// newer segments have a copy. None if it is somebody else's.
    fn segment(&mut self, disk: &mut dyn Disk, number: u64) -> io::Result<Option<Found>> {
        let file = file_name(self.priority, number);
        let expected = Header {
            spool: self.spool,
            priority: self.priority,
        };
        let bytes = disk.length(&file)?;
        let whole = Found {
            number,
            bytes,
            length: bytes,
            ..Found::default()
        };
        match read_header(&disk.read(&file, 0, HEADER_BYTES)?) {
            Ok(header) if header == expected => self.own(disk, whole).map(Some),
            Ok(_) => self.set_aside(disk, &file, "it belongs to another spool"),
            Err(error @ HeaderError::Newer(_)) => self.set_aside(disk, &file, &error.to_string()),
            // Nothing was ever stored in it.
            Err(HeaderError::Short) => Ok(Some(whole)),
            Err(error @ HeaderError::Damaged) => {
                let aside = aside_name(&file);
                self.note(
                    bytes,
                    format!("the segment {file} is set aside as {aside}: {error}"),
                );
                Ok(Some(Found {
                    keep: true,
                    ..whole
                }))
            }
        }
    }

    /// What is somebody else's gets a name of its own, and is never deleted.
    fn set_aside(
        &mut self,
        disk: &mut dyn Disk,
        file: &str,
        why: &str,
    ) -> io::Result<Option<Found>> {
        let name = format!("{}{file}", free_prefix(&disk.list()?));
        disk.rename(file, &name)?;
        self.note(
            0,
            format!("the segment {file} was set aside as {name}: {why}"),
        );
        Ok(None)
    }

    fn own(&mut self, disk: &mut dyn Disk, whole: Found) -> io::Result<Found> {
        let file = file_name(self.priority, whole.number);
        let mut scan = Scan {
            found: Found {
                length: u64::try_from(HEADER_BYTES).unwrap_or(0),
                ..whole
            },
            first: None,
        };
        if scan.is_torn(disk, &file, self)? {
            scan.found.keep = self.is_damaged(disk, &file, &scan.found)?;
        }
        self.copied_from = scan.first.into_iter().chain(self.copied_from).min();
        // What is done here may have its only copy that counts in a newer segment.
        scan.found.left = scan.found.outputs.is_empty() && !self.forced;
        // What a batch that failed has left may be here and not forced.
        if let Err(error) = disk.sync(&file) {
            self.forced = false;
            self.note(
                0,
                format!("the segment {file} cannot be forced to the disk ({error})"),
            );
        }
        Ok(scan.found)
    }

    /// Whether a segment holds a record behind what cannot be read; then no loss of power tore it.
    fn is_damaged(&mut self, disk: &mut dyn Disk, file: &str, found: &Found) -> io::Result<bool> {
        let behind = found.bytes.saturating_sub(found.length);
        let rest = disk.read(file, found.length, MOST_BEHIND)?;
        let damaged = rest.len() == MOST_BEHIND || has_record(&rest);
        let (what, then) = if damaged {
            let aside = aside_name(file);
            ("damaged", format!(", and stay on the disk as {aside}"))
        } else {
            ("torn, as after a loss of power", String::new())
        };
        self.note(
            behind,
            format!("the segment {file} is {what}: its last {behind} bytes cannot be read{then}"),
        );
        Ok(damaged)
    }

    fn unread(&mut self, disk: &mut dyn Disk, number: u64, error: &io::Error) -> Found {
        let file = file_name(self.priority, number);
        self.note(
            0,
            format!("the segment {file} cannot be read ({error}); it stays for the next start"),
        );
        Found {
            number,
            bytes: disk.length(&file).unwrap_or(0),
            left: true,
            ..Found::default()
        }
    }
}

/// A segment that is being read.
struct Scan {
    found: Found,
    /// Its first readable record.
    first: Option<Sequence>,
}

/// How it goes on behind the records that were read.
enum Next {
    /// Something follows that does not count.
    Copies,
    /// So many bytes are needed for the next record; 0 if that is not known.
    More(usize),
    /// No record.
    Unreadable,
}

impl Scan {
    /// Reads to the end of the last record that counts; whether something unreadable stands there.
    fn is_torn(&mut self, disk: &mut dyn Disk, file: &str, look: &Look<'_>) -> io::Result<bool> {
        let mut most = CHUNK;
        loop {
            let bytes = disk.read(file, self.found.length, most)?;
            let before = self.found.length;
            match self.records(&bytes, look) {
                Next::Copies => return Ok(false),
                Next::Unreadable => return Ok(true),
                Next::More(_) if bytes.len() < most => {
                    return Ok(self.found.length < self.found.bytes);
                }
                // It was not whole although all of it was read.
                Next::More(needs) if needs <= most && self.found.length == before => {
                    return Ok(true);
                }
                Next::More(needs) => most = CHUNK.max(needs),
            }
        }
    }

    fn records(&mut self, bytes: &[u8], look: &Look<'_>) -> Next {
        let mut rest = bytes;
        loop {
            match parse(rest) {
                Parsed::Record(record) => {
                    self.first.get_or_insert(record.sequence);
                    if look
                        .copied_from
                        .is_some_and(|copied| record.sequence >= copied)
                    {
                        return Next::Copies;
                    }
                    if record.sequence >= look.open_from && record.sequence > self.found.last {
                        self.note_open(record.output());
                    }
                    self.found.last = self.found.last.max(record.sequence);
                    self.found.length += u64::try_from(record.length).unwrap_or(0);
                    rest = rest.get(record.length..).unwrap_or_default();
                }
                Parsed::Incomplete(needs) if needs <= MAX_RECORD_BYTES => return Next::More(needs),
                Parsed::Incomplete(_) | Parsed::Damaged => return Next::Unreadable,
            }
        }
    }

    fn note_open(&mut self, output: Option<&str>) {
        let found = &mut self.found;
        if found.outputs.is_empty() {
            found.from = found.length;
        }
        let output = output.unwrap_or_default();
        match found.outputs.get_mut(output) {
            Some(count) => *count += 1,
            None => {
                found.outputs.insert(output.into(), 1);
            }
        }
    }
}
