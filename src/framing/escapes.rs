//! Bytes that stand for others inside a stuffed frame.

use super::needles::{Needles, one_byte};
use crate::document::{Problems, Section, name_of};
use crate::notation::bytes;

/// How bytes are escaped.
#[derive(Debug)]
pub(super) enum Escapes {
    /// Each sequence stands for its replacement.
    Table(Vec<Pair>),
    /// The byte behind this one is changed.
    Byte {
        /// The escape byte.
        escape: u8,
        /// How the byte behind it is changed.
        change: Change,
    },
}

/// An escape sequence and what it stands for.
#[derive(Debug)]
pub(super) struct Pair {
    sequence: Vec<u8>,
    replacement: Vec<u8>,
}

/// How an escaped byte differs from what it stands for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    Xor(u8),
    /// So much is taken off when reading.
    Subtract(u8),
}

/// What an escape at some place means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Escaped<'e> {
    /// It stands for this sequence.
    Sequence(&'e [u8]),
    /// It takes two bytes and stands for this one.
    Byte(u8),
    /// More bytes are needed to know.
    Short,
    /// It stands for nothing; so many bytes are known to belong to it.
    Nothing(usize),
}

impl Escapes {
    /// An empty table, and the pairs of a protocol that is built in.
    pub fn pairs(pairs: &[(&[u8], &[u8])]) -> Self {
        let pairs = pairs.iter().map(|(sequence, replacement)| Pair {
            sequence: sequence.to_vec(),
            replacement: replacement.to_vec(),
        });
        Escapes::Table(longest_first(pairs.collect()))
    }

    /// Reads `escapes`, or `escape` with `xor` or `subtract`; without any of them nothing is escaped.
    pub fn read(
        section: &Section<'_>,
        options: &EscapeOptions,
        problems: &mut Problems,
    ) -> Option<Self> {
        let Some(escape) = &options.escape else {
            for name in ["xor", "subtract"] {
                if section.member(name).is_some() {
                    problems.member(section, name, "belongs to \"escape\", the byte before it");
                }
            }
            return read_table(section, problems);
        };
        let escape = one_byte(section, "escape", escape, problems);
        if section.member("escapes").is_some() {
            problems.member(section, "escapes", "stands instead of \"escape\"");
        }
        let change = match (options.xor, options.subtract) {
            (Some(value), None) if value > 0 => Change::Xor(value),
            (None, Some(value)) if value > 0 => Change::Subtract(value),
            _ => {
                let why = "expected either \"xor\" or \"subtract\" beside it, from 1 to 255: how the byte behind it is changed";
                problems.member(section, "escape", why);
                return None;
            }
        };
        Some(Escapes::Byte {
            escape: escape?,
            change,
        })
    }

    /// The sequences with which an escape begins: all of it, or what comes before its last byte.
    pub fn marks(&self) -> Vec<&[u8]> {
        match self {
            Escapes::Byte { escape, .. } => vec![std::slice::from_ref(escape)],
            Escapes::Table(pairs) => {
                let all = pairs
                    .iter()
                    .flat_map(|pair| [pair.sequence.as_slice(), pair.lead()]);
                all.collect()
            }
        }
    }

    /// Whether an escape cannot be told from a flag.
    pub fn clash(&self, flags: &Needles) -> bool {
        match self {
            Escapes::Byte { escape, .. } => flags.has(&[*escape]),
            Escapes::Table(pairs) => pairs.iter().any(|pair| {
                let mut flags = flags.iter();
                flags.any(|flag| pair.sequence.starts_with(flag))
            }),
        }
    }

    /// Whether these bytes do not occur in content as they are.
    pub fn cover(&self, sequence: &[u8]) -> bool {
        match self {
            Escapes::Byte { .. } => true,
            Escapes::Table(pairs) => pairs
                .iter()
                .any(|pair| pair.replacement == sequence || sequence.starts_with(pair.lead())),
        }
    }

    /// What the escape means that begins the bytes with one of the marks; `flags` are not to be
    /// behind an escape byte.
    pub fn read_at(&self, mark: &[u8], bytes: &[u8], flags: &[&Needles]) -> Escaped<'_> {
        match self {
            Escapes::Table(pairs) => pairs
                .iter()
                .find(|pair| pair.sequence == mark)
                .map_or(Escaped::Nothing(mark.len()), |pair| {
                    Escaped::Sequence(&pair.replacement)
                }),
            Escapes::Byte { change, .. } => match bytes.get(1..2) {
                Some(byte) if flags.iter().any(|flag| flag.has(byte)) => Escaped::Nothing(1),
                Some(&[byte]) => Escaped::Byte(change.read(byte)),
                _ => Escaped::Short,
            },
        }
    }

    /// Escapes content, so that neither an escape nor a flag begins in it.
    pub fn write(&self, content: &[u8], flags: &[&Needles]) -> Vec<u8> {
        let mut written = Vec::with_capacity(content.len());
        let mut rest = content;
        while let Some((&byte, behind)) = rest.split_first() {
            rest = behind;
            match self {
                Escapes::Byte { escape, change } => {
                    let special = flags.iter().any(|flag| flag.first_bytes().contains(&byte));
                    if special || byte == *escape {
                        written.extend([*escape, change.write(byte)]);
                    } else {
                        written.push(byte);
                    }
                }
                Escapes::Table(pairs) => {
                    let found = pairs.iter().find_map(|pair| {
                        let (first, more) = pair.replacement.split_first()?;
                        let behind = behind.strip_prefix(more).filter(|_| *first == byte)?;
                        Some((pair, behind))
                    });
                    match found {
                        Some((pair, behind)) => {
                            written.extend_from_slice(&pair.sequence);
                            rest = behind;
                        }
                        None => written.push(byte),
                    }
                }
            }
        }
        written
    }
}

impl Pair {
    /// The sequence without its last byte.
    fn lead(&self) -> &[u8] {
        self.sequence.split_last().map_or(&[], |(_, lead)| lead)
    }
}

impl Change {
    fn read(self, byte: u8) -> u8 {
        match self {
            Change::Xor(value) => byte ^ value,
            Change::Subtract(value) => byte.wrapping_sub(value),
        }
    }

    fn write(self, byte: u8) -> u8 {
        match self {
            Change::Xor(value) => byte ^ value,
            Change::Subtract(value) => byte.wrapping_add(value),
        }
    }
}

/// The members that say how bytes are escaped, beside `escapes`.
#[derive(Clone, Debug, Default)]
pub(super) struct EscapeOptions {
    pub escape: Option<String>,
    pub xor: Option<u8>,
    pub subtract: Option<u8>,
}

fn read_table(section: &Section<'_>, problems: &mut Problems) -> Option<Escapes> {
    let Some(table) = section.member("escapes") else {
        return Some(Escapes::Table(Vec::new()));
    };
    if !table.value.is_array() {
        problems.add(&table, expected_pair(&table));
        return None;
    }
    let pairs: Vec<Option<Pair>> = table
        .elements()
        .map(|element| read_pair(&element, problems))
        .collect();
    let pairs: Vec<Pair> = pairs.into_iter().collect::<Option<_>>()?;
    Some(Escapes::Table(longest_first(pairs)))
}

fn read_pair(element: &Section<'_>, problems: &mut Problems) -> Option<Pair> {
    let parts: Vec<Section<'_>> = element.elements().collect();
    let texts: Vec<&str> = parts
        .iter()
        .filter_map(|part| part.value.as_str())
        .collect();
    let ([sequence, replacement], [_, _]) = (texts.as_slice(), parts.as_slice()) else {
        problems.add(element, expected_pair(element));
        return None;
    };
    let mut read = Vec::new();
    for (part, text) in parts.iter().zip([sequence, replacement]) {
        match bytes(text) {
            Ok(bytes) => read.push(bytes),
            Err(error) => problems.notation_here(part, error),
        }
    }
    let [sequence, replacement] = <[Vec<u8>; 2]>::try_from(read).ok()?;
    if sequence.len() < 2 || replacement.is_empty() || replacement.len() > sequence.len() {
        let why = "expected a sequence of at least two bytes, and a replacement that is no longer";
        problems.add(element, why);
        return None;
    }
    Some(Pair {
        sequence,
        replacement,
    })
}

fn expected_pair(found: &Section<'_>) -> String {
    format!(
        "expected pairs of an escape sequence and the bytes it stands for, such as [\"0x7d01\", \"0x7d\"]; found {}",
        name_of(found.value)
    )
}

/// The longest replacement first: what is written must not be torn into shorter ones.
fn longest_first(mut pairs: Vec<Pair>) -> Vec<Pair> {
    pairs.sort_by_key(|pair| std::cmp::Reverse(pair.replacement.len()));
    pairs
}
