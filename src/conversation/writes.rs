//! What goes out to the device, one write after the other.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::line::RequestId;

/// Replies that are due together leave as one write of at most about this many bytes.
const TOGETHER: usize = 16 * 1024;

/// A write that is queued, or of which a part is in the socket.
#[derive(Debug)]
struct Write {
    bytes: Bytes,
    request: Option<(RequestId, Option<Instant>)>,
}

/// The write the I/O task is at.
#[derive(Debug)]
struct Current {
    length: usize,
    written: usize,
    request: Option<(RequestId, Option<Instant>)>,
}

/// A question whose time is over before it was written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Late {
    pub(super) id: RequestId,
    /// Bytes of it that are in the socket; the rest still follows unless there are none.
    pub(super) written: usize,
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
                request: None,
            });
        }
    }

    pub(super) fn request(&mut self, id: RequestId, bytes: Bytes, deadline: Option<Instant>) {
        self.push(Write {
            bytes,
            request: Some((id, deadline)),
        });
    }

    /// The next write for the I/O task, if it is at none.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        if self.current.is_some() {
            return None;
        }
        let first = self.queue.pop_front()?;
        let bytes = if first.request.is_some() {
            first.bytes
        } else {
            self.with_following(first.bytes)
        };
        self.current = Some(Current {
            length: bytes.len(),
            written: 0,
            request: first.request,
        });
        Some(bytes)
    }

    /// Takes note of bytes that have reached the socket; the question that is through with them, and
    /// how long it is.
    pub(super) fn written(&mut self, count: usize) -> Option<(RequestId, usize)> {
        let current = self.current.as_mut()?;
        let count = count.min(current.length - current.written);
        current.written += count;
        self.bytes -= count;
        if current.written < current.length {
            return None;
        }
        let done = self.current.take()?;
        done.request.map(|(id, _)| (id, done.written))
    }

    /// Gives up one question whose deadline has passed.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Late> {
        if let Some(late) = self.expire_current(now) {
            return Some(late);
        }
        let passed = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        let late = |write: &Write| write.request.is_some_and(|(_, deadline)| passed(deadline));
        let at = self.queue.iter().position(late)?;
        let write = self.queue.remove(at)?;
        self.bytes -= write.bytes.len();
        let (id, _) = write.request?;
        Some(Late {
            id,
            written: 0,
            withdraw: false,
        })
    }

    /// The earliest deadline of a question.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let begun = self.current.iter().filter_map(|write| write.request);
        let queued = self.queue.iter().filter_map(|write| write.request);
        begun
            .chain(queued)
            .filter_map(|(_, deadline)| deadline)
            .min()
    }

    /// Gives everything up; the question of which a part is written, and how much.
    pub(super) fn give_up(&mut self) -> Option<(RequestId, usize)> {
        let Writes { current, .. } = std::mem::take(self);
        let current = current?;
        current.request.map(|(id, _)| (id, current.written))
    }

    fn push(&mut self, write: Write) {
        self.bytes += write.bytes.len();
        self.queue.push_back(write);
    }

    fn with_following(&mut self, first: Bytes) -> Bytes {
        if self.queue.front().is_none_or(|next| next.request.is_some()) {
            return first;
        }
        let mut together = BytesMut::from(&*first);
        while let Some(next) = self
            .queue
            .pop_front_if(|next| next.request.is_none() && together.len() < TOGETHER)
        {
            together.extend_from_slice(&next.bytes);
        }
        together.freeze()
    }

    fn expire_current(&mut self, now: Instant) -> Option<Late> {
        let current = self.current.as_mut()?;
        let late = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        let (id, _) = current.request.take_if(|(_, deadline)| late(*deadline))?;
        let written = current.written;
        let withdraw = written == 0;
        if withdraw {
            self.bytes -= current.length;
            self.current = None;
        }
        Some(Late {
            id,
            written,
            withdraw,
        })
    }
}
