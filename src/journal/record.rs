//! One line of the journal: a checksum in hex, a space, JSON.
//!
//! JSON has no line breaks, so what follows a damaged line can be read.

use serde::{Deserialize, Serialize};

/// The longest line that is read.
const MOST_LINE: usize = 1 << 20;
/// Digits of the checksum, and the space behind it.
const HEAD: usize = 9;

/// Something that happened to a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Record {
    /// Whose journal it is: the first line.
    Owner(String),
    /// It is accepted, and its message may be acknowledged.
    Accepted(Accepted),
    /// It has an outcome, which is the only one that may be told.
    Ended {
        /// The command.
        id: String,
        /// The body of the message that tells it.
        result: String,
    },
    /// The message that tells it is safe.
    Reported(String),
}

/// A command as it was accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Accepted {
    /// The id of its message, or one that it was given here.
    pub id: String,
    /// Whether the id was given here: nothing can be known by it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nameless: bool,
    /// The correlation id of its message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<String>,
    /// The device it is for, as far as its body says one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}

impl Record {
    /// Appends the record as a line.
    pub fn push(&self, out: &mut Vec<u8>) {
        // Writing into memory does not fail.
        let json = serde_json::to_vec(self).unwrap_or_default();
        out.extend_from_slice(format!("{:08x} ", crc32fast::hash(&json)).as_bytes());
        out.extend_from_slice(&json);
        out.push(b'\n');
    }

    fn of_line(line: &[u8]) -> Option<Self> {
        if line.len() > MOST_LINE {
            return None;
        }
        let (head, json) = line.split_at_checked(HEAD)?;
        let sum = std::str::from_utf8(head).ok()?.strip_suffix(' ')?;
        let whole = u32::from_str_radix(sum, 16).ok()? == crc32fast::hash(json);
        if whole {
            serde_json::from_slice(json).ok()
        } else {
            None
        }
    }
}

/// What was read of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// The records, in their order.
    pub records: Vec<Record>,
    /// Bytes between them that are none.
    pub damaged: usize,
    /// Bytes at the end of which the rest is missing: a write that was under way when power was lost.
    pub torn: usize,
}

/// Reads a file's bytes, whatever they are.
pub fn read(bytes: &[u8]) -> Read {
    let mut read = Read::default();
    let mut rest = bytes;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let (line, behind) = rest.split_at_checked(end).unwrap_or((rest, &[]));
        rest = behind.get(1..).unwrap_or(&[]);
        match Record::of_line(line) {
            Some(record) => read.records.push(record),
            None => read.damaged = read.damaged.saturating_add(line.len()).saturating_add(1),
        }
    }
    match Record::of_line(rest) {
        Some(record) => read.records.push(record),
        None => read.torn = rest.len(),
    }
    read
}
