//! Frames that end with certain bytes, and may start with certain bytes.

use std::borrow::Cow;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::bounded::Common;
use super::explain::taken_off;
use super::needles::{Found, Match, Needles, length_at, one_byte};
use super::{Explanation, Framer, More, Resync, Skipped, Step, Taken, WrapError};
use crate::document::{Problems, Section};
use crate::schema::{Byte, Marker, OneOrMore};

/// Frames that end with certain bytes, such as lines.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DelimiterOptions {
    /// One byte sequence or a list of them, of which the longest that fits ends the frame.
    #[serde(rename = "end")]
    #[schemars(with = "OneOrMore<Marker, 1>")]
    _end: Option<IgnoredAny>,
    /// Hand on start and end with what is between them.
    #[serde(default)]
    keep: bool,
    /// Which end is the frame's: the first, the second, …
    #[serde(default = "first")]
    #[schemars(range(min = 1))]
    nth: u32,
    /// Number of bytes behind the end that belong to the frame, such as those of a checksum.
    #[serde(default)]
    after: usize,
    /// A byte between two of which no end counts.
    #[schemars(with = "Option<Byte>")]
    quote: Option<String>,
    /// An end does not count where one of these sequences follows it.
    #[serde(default, rename = "notBefore")]
    #[schemars(with = "Option<OneOrMore<Marker, 1>>")]
    _not_before: IgnoredAny,
}

fn first() -> u32 {
    1
}

/// The kind, read.
#[derive(Debug)]
pub(super) struct Delimiter {
    start: Option<Needles>,
    end: Needles,
    /// The ends and the quote.
    marks: Needles,
    quote: Option<u8>,
    not_before: Option<Needles>,
    nth: u32,
    after: usize,
    keep: bool,
    max_bytes: usize,
}

/// Reads the kind's members.
pub(super) fn read(
    section: &Section<'_>,
    without: &[&str],
    common: &Common,
    problems: &mut Problems,
) -> Option<Delimiter> {
    let options: Option<DelimiterOptions> = section.read(without, problems);
    if section.member("end").is_none() {
        problems.add(
            section,
            "\"end\" is missing: the bytes with which a frame ends",
        );
    }
    let end = Needles::read(section, "end", problems);
    let not_before = Needles::read(section, "notBefore", problems);
    let (end, options) = (end?, options?);
    if options.nth == 0 {
        problems.member(section, "nth", "must be at least 1");
    }
    let quote = options.quote.as_deref();
    let quote = quote.and_then(|quote| one_byte(section, "quote", quote, problems));
    if quote.is_some_and(|quote| end.first_bytes().contains(&quote)) {
        problems.member(section, "quote", "an end begins with this byte");
    }
    let quotes = quote.map(|quote| [quote]);
    let marks = Needles::joined(end.iter().chain(quotes.iter().map(<[u8; 1]>::as_slice)))?;
    Some(Delimiter {
        start: common.start.clone(),
        end,
        marks,
        quote,
        not_before,
        nth: options.nth,
        after: options.after,
        keep: options.keep,
        max_bytes: common.max_bytes,
    })
}

impl Delimiter {
    pub fn lookahead(&self) -> usize {
        let behind = self
            .not_before
            .as_ref()
            .map_or(0, |all| all.longest().len());
        self.end.longest().len().saturating_add(behind)
    }

    /// Puts start and end around the bytes, of which the last `after` go behind the end.
    pub fn wrap(&self, body: &[u8]) -> Result<Vec<u8>, WrapError> {
        if self.keep {
            return Ok(body.to_vec());
        }
        let content = body.len().checked_sub(self.after);
        let split = content.and_then(|content| body.split_at_checked(content));
        let (content, after) = split.ok_or(WrapError::Ambiguous)?;
        let start = self.start.as_ref().map_or(&[][..], Needles::longest);
        let wrapped = [start, content, self.end.longest(), after].concat();
        // Behind another frame these bytes would go on with it.
        match self.counts(&wrapped, false) {
            Some(true) => Ok(wrapped),
            _ => Err(WrapError::Ambiguous),
        }
    }

    /// Says why the frame begins and ends where it does.
    pub fn explain(&self, taken: Taken<'_>, into: &mut Explanation) {
        let wire = taken.wire;
        let start = length_at(self.start.as_ref(), wire);
        let behind = wire.len().saturating_sub(self.after);
        let before = wire.get(..behind).unwrap_or_default();
        let end = self.end.iter().find(|end| before.ends_with(end));
        let end = end.unwrap_or_default();
        let mut rule = "delimiter".to_owned();
        taken_off(
            "start",
            wire.get(..start).unwrap_or_default(),
            self.keep,
            &mut rule,
        );
        taken_off("end", end, self.keep, &mut rule);
        if self.nth > 1 {
            rule.push_str(&format!("; the one number {}", self.nth));
        }
        if self.after > 0 {
            rule.push_str(&format!("; {} bytes behind it", self.after));
        }
        into.say(rule.replacen(';', ":", 1));
        if self.keep {
            into.mark(0..start, "start");
            into.mark_end(end, behind);
        }
    }

    /// Whether an end ends a frame wherever the frame begins.
    fn is_simple(&self) -> bool {
        self.nth == 1 && self.quote.is_none()
    }

    /// Looks for the frame's end from where the scan has come.
    fn find(&self, bytes: &[u8], scan: &mut Scan, waits: bool) -> Found {
        loop {
            if scan.quoted && !self.close_quote(bytes, scan) {
                return Found::Nowhere;
            }
            let (place, length) = match self.marks.find(bytes, scan.at, waits) {
                Found::At(place, length) => (place, length),
                Found::Maybe(place) => {
                    scan.at = place;
                    return Found::Maybe(place);
                }
                Found::Nowhere => {
                    scan.at = scan.at.max(bytes.len());
                    return Found::Nowhere;
                }
            };
            scan.at = place;
            let behind = place.saturating_add(length);
            if self.quote.is_some() && bytes.get(place).copied() == self.quote {
                scan.quoted = true;
                scan.at = behind;
                continue;
            }
            match self.counts(bytes.get(behind..).unwrap_or_default(), waits) {
                None => return Found::Maybe(place),
                Some(true) if scan.seen.saturating_add(1) >= self.nth => {
                    return Found::At(place, length);
                }
                Some(true) => scan.seen = scan.seen.saturating_add(1),
                Some(false) => {}
            }
            scan.at = behind;
        }
    }

    /// Goes behind the next quote; `false` if there is none.
    fn close_quote(&self, bytes: &[u8], scan: &mut Scan) -> bool {
        let rest = bytes.get(scan.at..).unwrap_or_default();
        let close = self.quote.and_then(|quote| memchr::memchr(quote, rest));
        #[cfg(test)]
        super::needles::work::add(close.map_or(rest.len(), |at| at.saturating_add(1)));
        scan.at = scan
            .at
            .saturating_add(close.map_or(rest.len(), |at| at.saturating_add(1)));
        scan.quoted = close.is_none();
        !scan.quoted
    }

    /// Whether an end counts before these bytes; `None` if more are needed to know.
    fn counts(&self, behind: &[u8], waits: bool) -> Option<bool> {
        match self.not_before.as_ref().map(|all| all.at(behind, waits)) {
            Some(Match::Full(_)) => Some(false),
            Some(Match::Partial) => None,
            Some(Match::No) | None => Some(true),
        }
    }
}

/// How far a frame was looked at.
#[derive(Clone, Copy, Debug, Default)]
struct Scan {
    /// The frame's end does not begin before this offset, but for the bytes of the start.
    at: usize,
    /// Ends before it that count.
    seen: u32,
    /// Whether that offset is between quotes.
    quoted: bool,
}

/// Remembers how far it has looked, so that a frame that comes byte by byte is looked at once.
#[derive(Debug)]
pub(super) struct DelimiterFramer {
    kind: Arc<Delimiter>,
    scan: Scan,
}

impl DelimiterFramer {
    pub fn new(kind: &Arc<Delimiter>) -> Self {
        DelimiterFramer {
            kind: Arc::clone(kind),
            scan: Scan::default(),
        }
    }

    fn frame<'b>(&self, bytes: &'b [u8], start: usize, end: usize, behind: usize) -> Step<'b> {
        let take = behind.saturating_add(self.kind.after);
        let Some(all) = bytes.get(..take) else {
            return Step::Need(take);
        };
        let content = all.get(start..end).unwrap_or_default();
        if content.is_empty() {
            return Step::Skip {
                count: take,
                why: Skipped::Empty,
            };
        }
        let after = all.get(behind..).unwrap_or_default();
        let frame = match self.kind.keep {
            true => Cow::Borrowed(all),
            false if after.is_empty() => Cow::Borrowed(content),
            false => Cow::Owned([content, after].concat()),
        };
        Step::Frame {
            take,
            frame,
            body: 0,
        }
    }
}

impl Framer for DelimiterFramer {
    fn next<'b>(&mut self, bytes: &'b [u8], more: More) -> Step<'b> {
        let start = length_at(self.kind.start.as_ref(), bytes);
        let waits = more == More::Yes;
        let mut scan = self.scan;
        scan.at = scan.at.max(start);
        let found = self.kind.find(bytes, &mut scan, waits);
        // What lies behind the maximum only shows whether the frame ends before it.
        if waits && bytes.len() <= self.kind.max_bytes {
            self.scan = scan;
        }
        match found {
            Found::At(end, length) => self.frame(bytes, start, end, end.saturating_add(length)),
            Found::Maybe(_) | Found::Nowhere => Step::Need(bytes.len().saturating_add(1)),
        }
    }

    fn consumed(&mut self, count: usize) {
        let at = self.scan.at.saturating_sub(count);
        self.scan = Scan {
            at: if self.kind.is_simple() { at } else { 0 },
            ..Scan::default()
        };
    }

    /// Where ends are counted or quoted, what was looked at would have to be looked at again for
    /// each start in it.
    fn resync(&self) -> Resync {
        match self.kind.start {
            Some(_) if self.kind.is_simple() => Resync::Start,
            _ => Resync::End,
        }
    }

    /// The next end counts, also between quotes: the quote may be what is wrong.
    fn drop_broken(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut at = self.scan.at;
        loop {
            let (end, behind) = match self.kind.end.find(bytes, at, true) {
                Found::At(end, length) => (end, end.saturating_add(length)),
                Found::Maybe(place) => return (place, false),
                Found::Nowhere => return (bytes.len(), false),
            };
            let take = behind.saturating_add(self.kind.after);
            let rest = bytes.get(behind..).unwrap_or_default();
            match self.kind.counts(rest, true) {
                Some(true) if take <= bytes.len() => return (take, true),
                Some(true) | None => return (end, false),
                Some(false) => at = behind,
            }
        }
    }
}
