//! What was captured: the bytes of each side of each connection, in order.

mod hex;
mod pcap;
mod tcp;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context as _, bail};

/// Most notes that are kept; the others are counted.
const MOST_NOTES: usize = 20;

/// Bytes from which the form of a file is guessed.
const FIRST: usize = 64 << 10;

/// Bytes without a hole, in the pieces in which they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stretch {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Offsets at which a piece ends; the last one is the end of the bytes.
    pub cuts: Vec<usize>,
}

impl Stretch {
    /// Appends a piece.
    pub fn push(&mut self, piece: &[u8]) {
        if !piece.is_empty() {
            self.bytes.extend_from_slice(piece);
            self.cuts.push(self.bytes.len());
        }
    }

    /// The pieces, in order.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.cuts.iter().copied());
        let places = starts.zip(self.cuts.iter().copied());
        places.filter_map(|(from, to)| self.bytes.get(from..to))
    }

    /// The first pieces, up to so many bytes; at least one piece, or what fits of it.
    pub fn beginning(&self, most: usize) -> Stretch {
        let mut beginning = Stretch::default();
        for piece in self.pieces() {
            let left = most.saturating_sub(beginning.bytes.len());
            if piece.len() > left {
                if beginning.bytes.is_empty() {
                    beginning.push(piece.get(..left).unwrap_or_default());
                }
                break;
            }
            beginning.push(piece);
        }
        beginning
    }
}

/// Everything that speaks one language: one direction of all connections to a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Who speaks, as it is shown.
    pub name: String,
    /// The port of the side that listens, where it is known.
    pub port: Option<u16>,
    /// Whether the bytes go to that port.
    pub to_port: bool,
    /// What was said, a stretch for each connection and for what follows a gap in it.
    pub stretches: Vec<Stretch>,
}

impl Group {
    /// Bytes in all stretches.
    pub fn len(&self) -> usize {
        self.stretches
            .iter()
            .map(|stretch| stretch.bytes.len())
            .sum()
    }

    /// Streams that are the same byte for byte would make anything in them look like a rule.
    fn drop_repeated(&mut self) -> usize {
        let before = self.stretches.len();
        let mut seen = HashSet::new();
        let first: Vec<bool> = self
            .stretches
            .iter()
            .map(|stretch| seen.insert(&stretch.bytes))
            .collect();
        let mut first = first.into_iter();
        self.stretches.retain(|_| first.next().unwrap_or(true));
        before - self.stretches.len()
    }
}

/// A capture, or several of the same devices.
#[derive(Debug, Default)]
pub struct Capture {
    /// Who speaks, the one that says most first.
    pub groups: Vec<Group>,
    /// What is to be known of it: gaps, what was cut or could not be read.
    pub notes: Vec<String>,
    notes_left_off: usize,
}

impl Capture {
    fn note(&mut self, note: String) {
        if self.notes.len() < MOST_NOTES {
            self.notes.push(note);
        } else {
            self.notes_left_off += 1;
        }
    }

    fn add(&mut self, group: Group) {
        if group.len() == 0 {
            return;
        }
        let same = |known: &&mut Group| {
            (known.port, known.to_port, &known.name) == (group.port, group.to_port, &group.name)
        };
        match self.groups.iter_mut().find(same) {
            Some(known) => known.stretches.extend(group.stretches),
            None => self.groups.push(group),
        }
    }

    fn finish(&mut self, room: &Room) {
        for index in 0..self.groups.len() {
            let Some(group) = self.groups.get_mut(index) else {
                continue;
            };
            let same = group.drop_repeated();
            if same > 0 {
                let note = format!(
                    "{}: {same} streams said the same as others and count once",
                    group.name
                );
                self.note(note);
            }
        }
        self.groups
            .sort_by_key(|group| std::cmp::Reverse(group.len()));
        if room.cut > 0 {
            self.notes.push(format!(
                "only the first {} bytes of payload were looked at, {} more were left out (--max-bytes)",
                room.most, room.cut
            ));
        }
        if self.notes_left_off > 0 {
            self.notes
                .push(format!("{} more notes of this kind", self.notes_left_off));
        }
    }
}

/// How many bytes of payload may still be kept.
#[derive(Debug)]
pub struct Room {
    most: usize,
    left: usize,
    cut: usize,
}

impl Room {
    /// For so many bytes.
    pub fn new(most: usize) -> Self {
        Room {
            most,
            left: most,
            cut: 0,
        }
    }

    /// As much of the piece as there is room for.
    fn take<'p>(&mut self, piece: &'p [u8]) -> &'p [u8] {
        let taken = piece.get(..self.left).unwrap_or(piece);
        self.left -= taken.len();
        self.cut += piece.len() - taken.len();
        taken
    }

    /// So many bytes were not kept after all.
    fn give_back(&mut self, count: usize) {
        self.left += count;
    }
}

/// What the files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Found out from the first bytes.
    Guess,
    /// The payload itself.
    Raw,
}

/// Reads captures; all of them together are one.
///
/// # Errors
/// A file cannot be read or is in none of the forms.
pub fn read(paths: &[impl AsRef<Path>], form: Form, most: usize) -> anyhow::Result<Capture> {
    let mut room = Room::new(most);
    let mut capture = Capture::default();
    for path in paths {
        let path = path.as_ref();
        let input: Box<dyn Read + Send> = if path == Path::new("-") {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(path).with_context(|| format!("{}", path.display()))?)
        };
        read_one(input, form, &mut capture, &mut room)
            .with_context(|| format!("{}", path.display()))?;
    }
    capture.finish(&room);
    Ok(capture)
}

fn read_one(
    mut input: impl Read + Send,
    form: Form,
    capture: &mut Capture,
    room: &mut Room,
) -> anyhow::Result<()> {
    // The reader of captures wants to see all of the file's header at once.
    let mut first = vec![0; FIRST];
    let count = fill(&mut input, &mut first)?;
    first.truncate(count);
    let first = first.as_slice();
    let input = first.chain(input);
    if form == Form::Guess && pcap::is_pcap(first) {
        return pcap::read(input, capture, room);
    }
    // Hex takes at most some five characters for a byte, beside a dump's offset and text.
    let most = if form == Form::Raw { 1 } else { 8 };
    let most = room.left.saturating_add(1).saturating_mul(most);
    let mut bytes = Vec::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX);
    input.take(limit).read_to_end(&mut bytes)?;
    if form == Form::Raw {
        let mut stretch = Stretch::default();
        stretch.push(room.take(&bytes));
        capture.add(group("the capture", vec![stretch]));
        return Ok(());
    }
    let Ok(text) = String::from_utf8(bytes) else {
        bail!("neither pcap, pcapng nor hex text; --raw takes the bytes as they are");
    };
    let sides = hex::parse(&text, room).map_err(|error| {
        anyhow::anyhow!("{error}; if this is the payload itself, --raw takes it as it is")
    })?;
    for (name, stretches) in ["the capture", "the other side"].into_iter().zip(sides) {
        capture.add(group(name, stretches));
    }
    Ok(())
}

fn group(name: &str, stretches: Vec<Stretch>) -> Group {
    Group {
        name: name.to_owned(),
        port: None,
        to_port: true,
        stretches,
    }
}

fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..)
        && !rest.is_empty()
    {
        match input.read(rest)? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}
