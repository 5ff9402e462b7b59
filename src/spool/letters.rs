//! Messages that can never be delivered, on their way to the file of dead letters.

use std::io;

use super::worker::Job;
use super::{Hold, Spool};
use crate::message::Name;

/// Dead letters that wait for the disk at most; one more is dropped.
pub const MOST_WAITING: usize = 100;
/// Their bytes.
const MOST_BYTES: usize = 4 << 20;

/// A dead letter that waits for the disk.
#[derive(Debug)]
pub(super) struct Letter<H> {
    output: Name,
    line: Vec<u8>,
    hold: Option<H>,
}

/// What became of a dead letter.
#[derive(Debug)]
pub struct Buried<H> {
    /// The output of its message.
    pub output: Name,
    /// What the message held.
    pub hold: Option<H>,
    /// Whether it is on disk now.
    pub kept: bool,
}

impl<H: Hold> Spool<H> {
    /// Keeps a message that can never be delivered, as a line of JSON. Until that line is on disk
    /// the message counts among those that are kept.
    ///
    /// # Errors
    /// When there is no disk, or too many wait for it; what the message held comes back.
    pub fn bury(&mut self, output: &Name, line: Vec<u8>, hold: Option<H>) -> Result<(), Option<H>> {
        let waiting: usize = self
            .dead_letters
            .iter()
            .map(|letter| letter.line.len())
            .sum();
        let full = self.dead_letters.len() >= MOST_WAITING || waiting >= MOST_BYTES;
        if self.is_absent() || full {
            return Err(hold);
        }
        let output = Name::clone(output);
        *self.kept.entry(Name::clone(&output)).or_default() += 1;
        self.dead_letters.push_back(Letter { output, line, hold });
        Ok(())
    }

    pub(super) fn bury_next(&mut self) -> Option<Job> {
        if self.burying {
            return None;
        }
        let line = self.dead_letters.front()?.line.clone();
        self.burying = true;
        Some(Job::DeadLetter { line })
    }

    /// Whether one is not on its way to the disk yet: its message's copy there must not go before.
    pub(super) fn letters_wait(&self) -> bool {
        self.dead_letters.len() > usize::from(self.burying)
    }

    pub(super) fn buried(&mut self, result: io::Result<u64>) -> Option<Buried<H>> {
        self.burying = false;
        let Letter { output, hold, .. } = self.dead_letters.pop_front()?;
        self.forget(&output, 1);
        match &result {
            Ok(bytes) => self.dead_letter_bytes = *bytes,
            Err(error) => {
                tracing::error!(%error, "a message that can never be delivered cannot be kept among the dead letters");
            }
        }
        Some(Buried {
            output,
            hold,
            kept: result.is_ok(),
        })
    }
}
