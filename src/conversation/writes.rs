//! What goes out to the device, one write after the other, and what became of the commands in it.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::actions::Outcome;
use crate::message::CommandId;

/// Replies that are due together leave as one write of at most about this many bytes.
const TOGETHER: usize = 16 * 1024;

/// A write that is queued, or of which a part is in the socket.
#[derive(Debug)]
struct Write {
    bytes: Bytes,
    command: Option<(CommandId, Instant)>,
}

/// The write the I/O task is at.
#[derive(Debug)]
struct Current {
    length: usize,
    written: usize,
    command: Option<(CommandId, Instant)>,
}

/// A command whose time is over.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Late {
    pub(super) id: CommandId,
    pub(super) outcome: Outcome,
    /// Whether the write the I/O task is at has to be taken back.
    pub(super) withdraw: bool,
}

/// Writes in the order in which they leave; the I/O task has at most one of them.
#[derive(Debug, Default)]
pub(super) struct Writes {
    queue: VecDeque<Write>,
    current: Option<Current>,
    bytes: usize,
}

impl Writes {
    /// Whether everything is written.
    pub(super) fn is_idle(&self) -> bool {
        self.current.is_none() && self.queue.is_empty()
    }

    /// Whether the I/O task has a write.
    pub(super) fn is_writing(&self) -> bool {
        self.current.is_some()
    }

    /// Bytes that are not written yet.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn reply(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.push(Write {
                bytes,
                command: None,
            });
        }
    }

    pub(super) fn command(&mut self, id: CommandId, bytes: Bytes, deadline: Instant) {
        self.push(Write {
            bytes,
            command: Some((id, deadline)),
        });
    }

    /// How many commands have no outcome yet.
    pub(super) fn commands(&self) -> usize {
        self.outstanding().count()
    }

    /// The next write for the I/O task, if it is at none.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        if self.current.is_some() {
            return None;
        }
        let first = self.queue.pop_front()?;
        let bytes = if first.command.is_some() {
            first.bytes
        } else {
            self.with_following(first.bytes)
        };
        self.current = Some(Current {
            length: bytes.len(),
            written: 0,
            command: first.command,
        });
        Some(bytes)
    }

    /// Takes note of bytes that have reached the socket; the command that is through with them.
    pub(super) fn written(&mut self, count: usize) -> Option<(CommandId, Outcome)> {
        let current = self.current.as_mut()?;
        let count = count.min(current.length - current.written);
        current.written += count;
        self.bytes -= count;
        if current.written < current.length {
            return None;
        }
        let done = self.current.take()?;
        done.command.map(|(id, _)| {
            (
                id,
                Outcome::Sent {
                    written: done.written,
                },
            )
        })
    }

    /// Gives up one command whose deadline has passed.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Late> {
        if let Some(late) = self.expire_current(now) {
            return Some(late);
        }
        let late = |write: &Write| write.command.is_some_and(|(_, deadline)| deadline <= now);
        let at = self.queue.iter().position(late)?;
        let write = self.queue.remove(at)?;
        self.bytes -= write.bytes.len();
        let (id, _) = write.command?;
        Some(Late {
            id,
            outcome: Outcome::TimedOut { written: 0 },
            withdraw: false,
        })
    }

    /// The earliest deadline of a command.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.outstanding().map(|(_, deadline)| deadline).min()
    }

    /// Gives everything up; the outcomes of the commands.
    pub(super) fn give_up(&mut self) -> impl Iterator<Item = (CommandId, Outcome)> + use<> {
        let Writes { queue, current, .. } = std::mem::take(self);
        let begun = current.and_then(|write| Some((write.command?.0, write.written)));
        let waiting = queue
            .into_iter()
            .filter_map(|write| Some((write.command?.0, 0)));
        begun
            .into_iter()
            .chain(waiting)
            .map(|(id, written)| (id, Outcome::NotConnected { written }))
    }

    fn push(&mut self, write: Write) {
        self.bytes += write.bytes.len();
        self.queue.push_back(write);
    }

    fn outstanding(&self) -> impl Iterator<Item = (CommandId, Instant)> {
        let begun = self.current.iter().filter_map(|write| write.command);
        begun.chain(self.queue.iter().filter_map(|write| write.command))
    }

    fn with_following(&mut self, first: Bytes) -> Bytes {
        if self.queue.front().is_none_or(|next| next.command.is_some()) {
            return first;
        }
        let mut together = BytesMut::from(&*first);
        while let Some(next) = self
            .queue
            .pop_front_if(|next| next.command.is_none() && together.len() < TOGETHER)
        {
            together.extend_from_slice(&next.bytes);
        }
        together.freeze()
    }

    fn expire_current(&mut self, now: Instant) -> Option<Late> {
        let current = self.current.as_mut()?;
        let (id, _) = current.command.take_if(|(_, deadline)| *deadline <= now)?;
        let written = current.written;
        let withdraw = written == 0;
        if withdraw {
            self.bytes -= current.length;
            self.current = None;
        }
        Some(Late {
            id,
            outcome: Outcome::TimedOut { written },
            withdraw,
        })
    }
}
