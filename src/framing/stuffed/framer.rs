//! From flags and escapes in a stream to frames.

use std::borrow::Cow;
use std::sync::Arc;

use super::super::bounded;
use super::super::needles::{Found, Match, length_at};
use super::super::{Broken, Framer, More, Resync, Skipped, Step, saturated};
use super::{Stuffed, Token};
use crate::notation::ReadError;

/// How far a frame was looked at.
#[derive(Clone, Debug, Default)]
struct Scan {
    /// Where the next token is looked for.
    at: usize,
    /// The bytes before it, unescaped; at most as many.
    plain: Vec<u8>,
    /// How many unescaped bytes to come to: those of the length field, then all of the frame.
    target: usize,
    /// Where the length field ends, once it was read.
    field_end: Option<usize>,
}

impl Scan {
    /// Takes plain bytes up to `to`, at most up to the target.
    fn take(&mut self, bytes: &[u8], to: usize) {
        let wanted = self.target.saturating_sub(self.plain.len());
        let to = to.min(self.at.saturating_add(wanted));
        if let Some(run) = bytes.get(self.at..to) {
            self.plain.extend_from_slice(run);
            self.at = to;
        }
    }

    fn is_there(&self) -> bool {
        self.plain.len() >= self.target
    }
}

/// Remembers how far it has looked and what that is unescaped.
#[derive(Debug)]
pub(in crate::framing) struct StuffedFramer {
    kind: Arc<Stuffed>,
    scan: Scan,
    /// The flag before the frame has come; only where flags are shared.
    opened: bool,
    dropping: bool,
}

impl StuffedFramer {
    pub fn new(kind: &Arc<Stuffed>) -> Self {
        StuffedFramer {
            kind: Arc::clone(kind),
            scan: Scan::default(),
            opened: false,
            dropping: false,
        }
    }

    /// Takes a shared flag alone, and what comes before the first.
    fn flag(&mut self, bytes: &[u8], waits: bool) -> Option<Step<'static>> {
        let flag = self.kind.end.as_ref().filter(|_| self.kind.shared)?;
        match flag.at(bytes, waits) {
            Match::Full(count) => {
                self.opened = true;
                Some(Step::Skip {
                    count,
                    why: Skipped::Empty,
                })
            }
            _ if self.opened => None,
            Match::Partial => Some(Step::Need(bytes.len().saturating_add(1))),
            Match::No => Some(Step::Skip {
                count: bounded::garbage(flag, bytes),
                why: Skipped::Garbage,
            }),
        }
    }
}

impl Stuffed {
    fn begin(&self, scan: &mut Scan, bytes: &[u8]) {
        if scan.at > 0 {
            return;
        }
        let own_start = self.start.as_ref().filter(|_| !self.shared);
        scan.at = length_at(own_start, bytes);
        scan.target = usize::MAX;
        if self.length.is_some() {
            scan.plain = bytes.get(..scan.at).unwrap_or_default().to_vec();
            scan.target = scan.at;
        }
    }

    /// Goes from token to token up to the end of the frame or of the bytes.
    fn scan<'b>(&self, scan: &mut Scan, bytes: &'b [u8], waits: bool) -> Step<'b> {
        self.begin(scan, bytes);
        loop {
            if scan.is_there()
                && let Some(step) = self.whole(scan)
            {
                return step;
            }
            let found = self.tokens.find(self.reach(scan, bytes), scan.at, waits);
            let place = match found {
                Found::At(place, _) | Found::Maybe(place) => place,
                Found::Nowhere => bytes.len(),
            };
            scan.take(bytes, place);
            if scan.is_there() {
                continue;
            }
            let Found::At(place, length) = found else {
                return self.need(scan, bytes);
            };
            match self.token(bytes, place, length) {
                Token::Plain(plain, length) => {
                    scan.plain.extend_from_slice(&plain);
                    scan.at = place.saturating_add(length);
                }
                Token::End => return self.end(scan, bytes, place.saturating_add(length)),
                Token::Start => {
                    return Step::Skip {
                        count: place,
                        why: Skipped::Garbage,
                    };
                }
                Token::Short => return self.need(scan, bytes),
                Token::Wrong(_) => return Step::Broken(Broken::Escape),
            }
            if self.least(scan) > self.max_bytes {
                return Step::Broken(Broken::TooLong {
                    maximum: self.max_bytes,
                });
            }
        }
    }

    /// The bytes that may matter before the target.
    fn reach<'b>(&self, scan: &Scan, bytes: &'b [u8]) -> &'b [u8] {
        let wanted = scan.target.saturating_sub(scan.plain.len());
        let reach = scan.at.saturating_add(wanted);
        let reach = reach.saturating_add(self.tokens.longest().len());
        bytes.get(..reach).unwrap_or(bytes)
    }

    /// The least that the frame can take, where its length is known.
    fn least(&self, scan: &Scan) -> usize {
        match self.length {
            Some(_) => {
                let rest = scan.target.saturating_sub(scan.plain.len());
                scan.at.saturating_add(rest)
            }
            None => 0,
        }
    }

    fn need(&self, scan: &Scan, bytes: &[u8]) -> Step<'static> {
        Step::Need(bytes.len().saturating_add(1).max(self.least(scan)))
    }

    /// Called at the target: the frame, or `None` with the target further on.
    fn whole(&self, scan: &mut Scan) -> Option<Step<'static>> {
        let length = self.length.as_ref()?;
        if let Some(body) = scan.field_end {
            if scan.plain.len() > scan.target {
                return Some(Step::Broken(Broken::Length));
            }
            let frame = Cow::Owned(std::mem::take(&mut scan.plain));
            return Some(Step::Frame {
                take: scan.at,
                frame,
                body,
            });
        }
        let start = length_at(self.start.as_ref(), &scan.plain);
        let read = match length.field.read(&scan.plain, start) {
            Ok(read) => read,
            Err(ReadError::Short { needed }) => {
                scan.target = needed;
                return self.too_long(scan);
            }
            Err(ReadError::Invalid(_)) => return Some(Step::Broken(Broken::Length)),
        };
        let total = saturated(read.value.saturating_add(i128::from(length.add)));
        if read.value < 0 || total < read.end {
            return Some(Step::Broken(Broken::Length));
        }
        scan.target = total;
        scan.field_end = Some(read.end);
        self.too_long(scan)
    }

    fn too_long(&self, scan: &Scan) -> Option<Step<'static>> {
        (self.least(scan) > self.max_bytes).then_some(Step::Broken(Broken::TooLong {
            maximum: self.max_bytes,
        }))
    }

    /// The frame that ends before `behind`, with what belongs to it behind its end.
    fn end<'b>(&self, scan: &mut Scan, bytes: &'b [u8], behind: usize) -> Step<'b> {
        let take = behind.saturating_add(self.after);
        let Some(all) = bytes.get(..take) else {
            return Step::Need(take);
        };
        let end = all.get(scan.at..behind).unwrap_or_default();
        if scan.plain.is_empty() {
            // The flag may start the next frame, if that is not known to have its own.
            let count = if self.is_start(end) { scan.at } else { take };
            return Step::Skip {
                count,
                why: Skipped::Empty,
            };
        }
        let after = all.get(behind..).unwrap_or_default();
        let plain = std::mem::take(&mut scan.plain);
        let frame = if self.keep {
            let own_start = length_at(self.start.as_ref().filter(|_| !self.shared), bytes);
            let start = if self.shared {
                Some(end)
            } else {
                all.get(..own_start)
            };
            [start.unwrap_or_default(), &plain, end, after].concat()
        } else if after.is_empty() {
            plain
        } else {
            [&plain, after].concat()
        };
        Step::Frame {
            take,
            frame: Cow::Owned(frame),
            body: 0,
        }
    }

    /// The first place from `at` on behind which the next frame may begin: how many bytes to drop,
    /// and whether that is all.
    fn flag_from(&self, bytes: &[u8], mut at: usize) -> (usize, bool) {
        loop {
            let (place, length) = match self.tokens.find(bytes, at, true) {
                Found::At(place, length) => (place, length),
                Found::Maybe(place) => return (place, false),
                Found::Nowhere => return (bytes.len(), false),
            };
            let token = bytes.get(place..place.saturating_add(length));
            let length = match self.token(bytes, place, length) {
                Token::End if !token.is_some_and(|token| self.is_start(token)) => {
                    let take = place.saturating_add(length).saturating_add(self.after);
                    let whole = take <= bytes.len();
                    return (if whole { take } else { place }, whole);
                }
                Token::End | Token::Start => return (place, true),
                Token::Plain(_, length) | Token::Wrong(length) => length,
                Token::Short => return (place, false),
            };
            at = place.saturating_add(length);
        }
    }
}

impl Framer for StuffedFramer {
    fn next<'b>(&mut self, bytes: &'b [u8], more: More) -> Step<'b> {
        let waits = more == More::Yes;
        if let Some(step) = self.flag(bytes, waits) {
            return step;
        }
        // What lies behind the maximum only shows whether the frame ends before it, and what is
        // asked as if nothing more came is not final: both leave the scan as it is.
        let maximum = self.kind.max_bytes.saturating_sub(self.kind.taken_before());
        let remembers = waits && bytes.len() <= maximum;
        let mut scan = match remembers {
            true => std::mem::take(&mut self.scan),
            false => self.scan.clone(),
        };
        let step = self.kind.scan(&mut scan, bytes, waits);
        if remembers {
            self.scan = scan;
        }
        step
    }

    fn consumed(&mut self, _count: usize) {
        self.scan = Scan::default();
    }

    fn resync(&self) -> Resync {
        match (&self.kind.start, &self.kind.end) {
            (None, None) => Resync::Never,
            _ => Resync::End,
        }
    }

    fn drop_broken(&mut self, bytes: &[u8]) -> (usize, bool) {
        let from = if self.dropping {
            0
        } else {
            self.scan.at.max(1)
        };
        let (count, done) = self.kind.flag_from(bytes, from.min(bytes.len()));
        self.dropping = !done;
        (count, done)
    }
}
