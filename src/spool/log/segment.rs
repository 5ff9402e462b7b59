//! A file of records, as far as a log knows it.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::message::{Name, Sequence};
use crate::spool::recover::Found;

/// A file of records.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    /// Bytes of the file.
    pub(super) bytes: u64,
    /// Bytes up to the end of its last record.
    pub(super) length: u64,
    /// Where its records begin that are open.
    pub(super) from: u64,
    pub(super) last: Sequence,
    /// Records that are not done.
    pub(super) open: u64,
    /// Records that are not read, by output.
    pub(super) unread: BTreeMap<Name, u64>,
    /// When its first and its last record came.
    pub(super) since: (Instant, Instant),
    /// It is set aside in the end, and not deleted.
    pub(super) keep: bool,
    /// It stays for the next start.
    pub(super) left: bool,
    /// What a failed write may have left: it has no record.
    pub(super) leftover: bool,
    pub(super) deleting: bool,
    /// The last attempt to delete it failed.
    pub(super) undeletable: bool,
}

impl Segment {
    /// A segment to which so many bytes were written, and nobody knows of a record in it.
    pub(super) fn new(number: u64, bytes: u64, now: Instant) -> Self {
        Segment {
            number,
            bytes,
            length: bytes,
            from: bytes,
            last: Sequence(0),
            open: 0,
            unread: BTreeMap::new(),
            since: (now, now),
            keep: false,
            left: false,
            leftover: false,
            deleting: false,
            undeletable: false,
        }
    }

    pub(super) fn found(found: Found, now: Instant) -> Self {
        Segment {
            length: found.length,
            from: found.from,
            last: found.last,
            open: found.outputs.values().sum(),
            unread: found.outputs,
            keep: found.keep,
            left: found.left,
            ..Segment::new(found.number, found.bytes, now)
        }
    }

    /// Whether it only waits for acknowledgements: dropping something frees nothing of it.
    pub(super) fn only_in_flight(&self) -> bool {
        self.open > 0 && self.unread.is_empty()
    }

    /// Whether it can be deleted, or also set aside, once what is unread is dropped.
    pub(super) fn is_droppable(&self, aside: bool) -> bool {
        let ends = self.open > 0 && self.open == self.unread() && !self.left;
        ends && (aside || !self.keep)
    }

    pub(super) fn unread(&self) -> u64 {
        self.unread.values().sum()
    }

    /// Goes on with these as its unread records; gives the others.
    pub(super) fn keep_unread(&mut self, stays: BTreeMap<Name, u64>) -> BTreeMap<Name, u64> {
        let mut others = std::mem::replace(&mut self.unread, stays);
        for (output, count) in &self.unread {
            if let Some(all) = others.get_mut(output) {
                *all = all.saturating_sub(*count);
            }
        }
        others.retain(|_, count| *count > 0);
        self.open -= others.values().sum::<u64>();
        others
    }
}
