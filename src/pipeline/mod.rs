//! The receive direction of one connection: bytes in, checked frames out.
//!
//! It holds at most one frame of the framing's maximum and what was pushed last: the caller asks
//! [`Pipeline::next`] until nothing is left before it pushes again.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use std::sync::Arc;
use std::time::Instant;

use bytes::{Buf, Bytes, BytesMut};

use crate::checksum::{Checksum, OnBadChecksum};
use crate::framing::{Broken, Framer, Framing, More, Resync, Skipped, Step};
use crate::message::Extent;
use crate::script::Caller;

/// An idle connection does not keep a larger buffer than this.
const IDLE_CAPACITY: usize = 4096;

/// How much of a broken frame is dropped before nobody waits for its end any more.
const MOST_DROPPED: usize = 16 * 1024 * 1024;

/// How much of troublesome bytes is kept for the log.
const PREFIX: usize = 16;

/// What came out of the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A frame.
    Frame {
        /// The frame.
        bytes: Bytes,
        /// What of it is decoded.
        body: Extent,
        /// Only with [`OnBadChecksum::Flag`] a frame with a wrong checksum comes here, and is `false`.
        checksum_ok: bool,
    },
    /// A frame whose checksum is wrong; what to do with it is the protocol's policy.
    BadChecksum {
        /// The frame.
        bytes: Bytes,
        /// What of it would be decoded.
        body: Extent,
    },
    /// A frame was longer than the maximum; the next one is looked for.
    TooLong {
        /// Its first bytes, at most 16.
        prefix: Bytes,
    },
    /// Bytes that belong to no frame were dropped.
    Skipped {
        /// How many.
        count: usize,
        /// The first of them, at most 16; of a frame that could not begin, its own first bytes.
        prefix: Bytes,
        /// Why no frame could begin there, where one seemed to.
        why: Option<Broken>,
    },
    /// A frame stayed incomplete for too long and was given up; the next one is looked for.
    Incomplete {
        /// How many bytes of it, and behind it, had come.
        count: usize,
    },
    /// The stream ended inside a frame, which is not passed on.
    HalfFrame {
        /// How many bytes were left.
        count: usize,
        /// The first of them, at most 16.
        prefix: Bytes,
    },
    /// No further frame can be found: close. Nothing follows.
    Broken(Broken),
}

/// What was seen on the way to what [`Pipeline::next`] gave last, for who explains it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Bytes between frames that the settings name, and empty frames, before it.
    pub between: usize,
    /// Bytes of the stream that the frame took; none without a frame.
    pub wire: Bytes,
    /// The frame before check values were taken out of it.
    pub frame: Bytes,
    /// It belongs to what was given last.
    told: bool,
}

/// Where the pipeline stands in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// At a frame, or between frames.
    Framing,
    /// Inside a broken frame, of which the rest is dropped.
    Dropping {
        /// Whether it is counted already, as one frame.
        counted: bool,
        /// How many bytes of it are dropped.
        dropped: usize,
    },
    /// Nothing more comes, because the stream has ended or because nobody waits for more.
    Ended(More),
    /// Nothing more comes out.
    Done,
}

/// Bytes of one connection on their way to frames.
#[derive(Debug)]
pub struct Pipeline {
    framing: Framing,
    framer: Box<dyn Framer>,
    checksums: Arc<[Checksum]>,
    on_bad: OnBadChecksum,
    buffer: BytesMut,
    state: State,
    /// Since when the frame at the head is incomplete.
    since: Option<Instant>,
    /// The head frame's time is over.
    overdue: bool,
    /// Since when nothing was pushed.
    quiet_since: Option<Instant>,
    /// The line has been quiet for the framing's idle time since the last push.
    quiet: bool,
    /// Only where somebody wants to see.
    seen: Option<Box<Seen>>,
}

impl Pipeline {
    /// At the beginning of a stream.
    pub fn new(framing: &Framing, checksums: Arc<[Checksum]>, on_bad: OnBadChecksum) -> Self {
        Pipeline {
            framing: framing.clone(),
            framer: framing.framer(),
            checksums,
            on_bad,
            buffer: BytesMut::new(),
            state: State::Framing,
            since: None,
            overdue: false,
            quiet_since: None,
            quiet: false,
            seen: None,
        }
    }

    /// Keeps for [`Pipeline::seen`] what it sees.
    pub fn watched(self) -> Self {
        Pipeline {
            seen: Some(Box::default()),
            ..self
        }
    }

    /// What was seen on the way to what [`Pipeline::next`] gave last; `None` where nobody wanted to see.
    pub fn seen(&self) -> Option<&Seen> {
        self.seen.as_deref()
    }

    /// Says for which connection a script is called.
    pub fn attach(&mut self, caller: &Caller) {
        self.framer.attach(caller);
    }

    /// Takes what was read. After the end, or after [`Received::Broken`], it is dropped. What the
    /// idle time has ended is asked for before, see [`Pipeline::tick`].
    pub fn push(&mut self, bytes: &[u8]) {
        (self.quiet, self.quiet_since) = (false, None);
        if matches!(self.state, State::Framing | State::Dropping { .. }) {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The device has sent all it will send. What is left is still to be asked for.
    pub fn end(&mut self) {
        self.end_with(More::Closed);
    }

    /// Nobody waits for what the device may still send. What is left is still to be asked for.
    pub fn cut(&mut self) {
        self.end_with(More::Idle);
    }

    fn end_with(&mut self, more: More) {
        match self.state {
            State::Framing => self.state = State::Ended(more),
            // What is left belongs to a frame that was counted already.
            State::Dropping { .. } => self.finish(),
            State::Ended(_) | State::Done => {}
        }
    }

    /// Bytes that wait for the rest of their frame, or to be asked for.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// The next thing that the bytes hold; `None` when more bytes are needed. The clock of an
    /// incomplete frame runs from the first `None` that leaves it.
    pub fn next(&mut self, now: Instant) -> Option<Received> {
        if let Some(seen) = self.seen.as_mut().filter(|seen| seen.told) {
            **seen = Seen::default();
        }
        let received = self.advance();
        if let Some(seen) = &mut self.seen {
            seen.told = received.is_some();
        }
        match received {
            Some(_) => self.since = None,
            None if self.buffer.is_empty() => self.rest(),
            None => {
                self.since.get_or_insert(now);
            }
        }
        if received.is_none() && self.waits_for_quiet() {
            self.quiet_since.get_or_insert(now);
        }
        received
    }

    /// Stops the clocks, as long as nobody reads for the frame; the following [`Pipeline::next`]
    /// starts them anew.
    pub fn pause(&mut self) {
        (self.since, self.quiet_since) = (None, None);
    }

    /// When the frame at the head has ended, or is given up, if nothing more comes.
    pub fn deadline(&self) -> Option<Instant> {
        self.incomplete_at()
            .into_iter()
            .chain(self.quiet_at())
            .min()
    }

    fn incomplete_at(&self) -> Option<Instant> {
        let running = self.since.filter(|_| self.state == State::Framing);
        running?.checked_add(self.framing.incomplete_timeout())
    }

    /// When the line will have been quiet for long enough.
    fn quiet_at(&self) -> Option<Instant> {
        let running = self.quiet_since.filter(|_| self.waits_for_quiet());
        running?.checked_add(self.framer.idle()?)
    }

    fn waits_for_quiet(&self) -> bool {
        let waits = match self.state {
            State::Framing => !self.buffer.is_empty(),
            State::Dropping { .. } => true,
            State::Ended(_) | State::Done => false,
        };
        waits && !self.quiet
    }

    /// Ends the frame at the head if the line has been quiet for long enough, or gives it up if its
    /// time is over; [`Pipeline::next`] then says so.
    pub fn tick(&mut self, now: Instant) {
        self.listen(now);
        self.overdue |= self.incomplete_at().is_some_and(|deadline| deadline <= now);
    }

    /// Ends the frame at the head if the line has been quiet for long enough; whether it has. To be
    /// called before what comes later is pushed.
    pub fn listen(&mut self, now: Instant) -> bool {
        let quiet = self.quiet_at().is_some_and(|deadline| deadline <= now);
        if quiet {
            self.quiet = true;
            if matches!(self.state, State::Dropping { .. }) {
                self.state = State::Framing;
            }
        }
        quiet
    }

    /// Nothing is buffered: no clock runs, and an idle connection gives large memory back.
    fn rest(&mut self) {
        self.since = None;
        if self.buffer.capacity() > IDLE_CAPACITY {
            self.buffer = BytesMut::new();
        }
    }

    fn finish(&mut self) {
        self.state = State::Done;
        self.buffer = BytesMut::new();
        self.pause();
    }

    fn advance(&mut self) -> Option<Received> {
        while !self.buffer.is_empty() {
            let received = match self.state {
                State::Framing => self.step_in_time()?,
                State::Ended(more) => self.step(more)?,
                State::Dropping { counted, dropped } => self.drop_rest(counted, dropped)?,
                State::Done => return None,
            };
            if received.is_some() {
                return received;
            }
        }
        self.overdue = false;
        None
    }

    /// One step of the framer. If that needs more bytes and the time is over, the frame is broken.
    fn step_in_time(&mut self) -> Option<Option<Received>> {
        let overdue = std::mem::take(&mut self.overdue);
        let step = self.step(if self.quiet { More::Idle } else { More::Yes });
        if step.is_none() && overdue {
            return Some(Some(self.broken(Broken::Incomplete)));
        }
        step
    }

    /// One step of the framer: outer `None` when more bytes are needed, inner `None` when there is
    /// nothing to tell.
    fn step(&mut self, more: More) -> Option<Option<Received>> {
        let (take, received) = match self.framer.next(&self.buffer, more) {
            Step::Frame { take, frame, body } => {
                let bytes = Bytes::copy_from_slice(&frame);
                if let Some(seen) = &mut self.seen {
                    let wire = self.buffer.get(..take).unwrap_or_default();
                    seen.wire = Bytes::copy_from_slice(wire);
                    seen.frame = bytes.clone();
                }
                (take, Some(self.checked(bytes, body)))
            }
            Step::Skip {
                count,
                why: Skipped::Garbage,
            } => (
                count,
                Some(Received::Skipped {
                    count,
                    prefix: self.prefix_of(count),
                    why: None,
                }),
            ),
            Step::Skip {
                count,
                why: Skipped::Ignored | Skipped::Empty,
            } => {
                if let Some(seen) = &mut self.seen {
                    seen.between = seen.between.saturating_add(count);
                }
                (count, None)
            }
            Step::Broken(why) => return Some(Some(self.broken(why))),
            Step::Need(_) if matches!(self.state, State::Ended(_)) => {
                return Some(Some(self.half_frame()));
            }
            Step::Need(_) => return None,
        };
        self.consume(take);
        Some(received)
    }

    fn checked(&self, bytes: Bytes, body: usize) -> Received {
        let checksum_ok = self
            .checksums
            .iter()
            .all(|checksum| checksum.verify(&bytes).is_ok());
        let tails = self.checksums.iter().map(|checksum| checksum.tail(&bytes));
        let tail = tails.max().unwrap_or(0);
        let (bytes, start) = self.without_values(bytes, body);
        let body = Extent { start, tail };
        if checksum_ok || self.on_bad == OnBadChecksum::Flag {
            Received::Frame {
                bytes,
                body,
                checksum_ok,
            }
        } else {
            Received::BadChecksum { bytes, body }
        }
    }

    /// The frame without the check values between its blocks, where the checksum says so.
    fn without_values(&self, bytes: Bytes, body: usize) -> (Bytes, usize) {
        let mut checksums = self.checksums.iter();
        match checksums.find_map(|checksum| checksum.remove(&bytes, body)) {
            Some((left, body)) => (left.into(), body),
            None => (bytes, body),
        }
    }

    fn broken(&mut self, why: Broken) -> Received {
        let too_long = matches!(why, Broken::TooLong { .. });
        if self.framer.resync() == Resync::Never || too_long && self.framing.closes_when_too_long()
        {
            self.finish();
            return Received::Broken(why);
        }
        let (count, prefix) = (self.buffer.len(), self.prefix());
        let counted = matches!(why, Broken::TooLong { .. } | Broken::Incomplete);
        let dropped = self.drop_some(counted, 0);
        match why {
            Broken::TooLong { .. } => Received::TooLong { prefix },
            Broken::Incomplete => Received::Incomplete { count },
            Broken::Length
            | Broken::End
            | Broken::Escape
            | Broken::Brackets
            | Broken::Record
            | Broken::NoCase
            | Broken::Endless
            | Broken::Script => Received::Skipped {
                count: dropped,
                prefix,
                why: Some(why),
            },
        }
    }

    /// Goes on dropping; outer `None` when more bytes are needed.
    fn drop_rest(&mut self, counted: bool, dropped: usize) -> Option<Option<Received>> {
        let mut prefix = if counted { Bytes::new() } else { self.prefix() };
        let count = self.drop_some(counted, dropped);
        if dropped.saturating_add(count) > MOST_DROPPED {
            self.finish();
            return Some(Some(Received::Broken(Broken::Endless)));
        }
        match count {
            0 if matches!(self.state, State::Dropping { .. }) => None,
            0 => Some(None),
            count => {
                prefix.truncate(count);
                Some((!counted).then_some(Received::Skipped {
                    count,
                    prefix,
                    why: None,
                }))
            }
        }
    }

    /// Drops what the framer knows to belong to the broken frame, of which so many bytes are dropped.
    fn drop_some(&mut self, counted: bool, dropped: usize) -> usize {
        let (count, done) = self.framer.drop_broken(&self.buffer);
        let dropped = dropped.saturating_add(count);
        match (done, self.state) {
            (true, State::Dropping { .. }) => self.state = State::Framing,
            (false, State::Framing | State::Dropping { .. }) => {
                self.state = State::Dropping { counted, dropped };
            }
            // The stream has ended inside the broken frame.
            (false, State::Ended(_)) => self.finish(),
            _ => {}
        }
        self.consume(count);
        count
    }

    fn half_frame(&mut self) -> Received {
        let (count, prefix) = (self.buffer.len(), self.prefix());
        self.finish();
        Received::HalfFrame { count, prefix }
    }

    fn consume(&mut self, count: usize) {
        let count = count.min(self.buffer.len());
        self.buffer.advance(count);
        self.framer.consumed(count);
    }

    fn prefix(&self) -> Bytes {
        self.prefix_of(PREFIX)
    }

    /// The first bytes at hand, of no more than so many.
    fn prefix_of(&self, count: usize) -> Bytes {
        let count = count.min(PREFIX);
        Bytes::copy_from_slice(self.buffer.get(..count).unwrap_or(&self.buffer))
    }
}

#[cfg(test)]
mod tests;
