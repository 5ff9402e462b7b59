//! Frames with a head of lines, of which one may say how long the body is: STOMP, SIP, HTTP.

use std::borrow::Cow;

use regex::bytes::Regex;
use schemars::JsonSchema;
use serde::Deserialize;

use super::bounded::Common;
use super::explain::written;
use super::needles::{Found, Needles};
use super::{Broken, Explanation, Framer, More, Resync, Skipped, Step, Taken, WrapError};
use crate::document::{Problems, Section};
use crate::notation::{bytes, pattern};
use crate::schema::{Bytes, PatternText};

/// A longer line says no length, so that bytes in which frames could start everywhere are not
/// matched again and again.
const MOST_LINE_BYTES: usize = 256;

/// Memory that the compiled pattern may take.
const MOST_PATTERN_BYTES: usize = 1 << 20;

/// A head of lines up to an empty one, and a body whose length one of the lines says: STOMP, HTTP.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct HeaderOptions {
    /// A pattern for one line of the head. Its one group is the number of the body's bytes in decimal
    /// digits; the first line that matches counts.
    #[schemars(with = "Option<PatternText>")]
    length: Option<String>,
    /// Bytes with which every frame ends: behind a body of known length checked, else searched.
    #[serde(default)]
    #[schemars(with = "Bytes")]
    end: String,
}

/// The kind, read.
#[derive(Clone, Debug)]
pub(super) struct Header {
    start: Option<Needles>,
    length: Option<Regex>,
    end: Option<Needles>,
}

/// Reads the kind's members.
pub(super) fn read(
    section: &Section<'_>,
    without: &[&str],
    common: &Common,
    problems: &mut Problems,
) -> Option<Header> {
    let options: HeaderOptions = section.read(without, problems)?;
    let length = options.length.map(|pattern| {
        pattern_with_group(&pattern)
            .map_err(|why| problems.member(section, "length", why))
            .ok()
    });
    let end = bytes(&options.end)
        .map_err(|error| problems.notation(section, "end", error))
        .ok();
    let start = common.start.clone();
    let feed = |start: &Needles| {
        start
            .first_bytes()
            .iter()
            .any(|byte| b"\r\n".contains(byte))
    };
    if start.as_ref().is_some_and(feed) {
        let why = "a head cannot start with the end of a line; \"ignore\" skips such bytes";
        problems.member(section, "start", why);
    }
    Some(Header {
        start,
        length: match length {
            Some(length) => Some(length?),
            None => None,
        },
        end: Needles::new(vec![end?]),
    })
}

fn pattern_with_group(text: &str) -> Result<Regex, String> {
    let pattern = pattern(text, MOST_PATTERN_BYTES)?;
    if pattern.captures_len() == 2 {
        Ok(pattern)
    } else {
        Err("expected one group around the digits of the length: `(\\d+)`".to_owned())
    }
}

impl Header {
    pub fn framer(&self) -> HeaderFramer {
        HeaderFramer {
            kind: self.clone(),
            line: 0,
            scanned: 0,
            silent: 0,
            searched: 0,
            head: None,
        }
    }

    /// The bytes are head and body; only start and `end` are put around them.
    pub fn wrap(&self, body: &[u8]) -> Result<Vec<u8>, WrapError> {
        let start = self.start.as_ref().map_or(&[][..], Needles::longest);
        let end = self.end.as_ref().map_or(&[][..], Needles::longest);
        Ok([start, body, end].concat())
    }

    /// Says where the head ends and what it says of the body.
    pub fn explain(&self, taken: Taken<'_>, into: &mut Explanation) {
        let frame = taken.frame;
        let Some(head) = self.framer().find_head(frame) else {
            return;
        };
        let mut rule = format!("header: the head has {} bytes", head.end);
        match head.length {
            Some(Ok(length)) => rule.push_str(&format!(", it says a body of {length}")),
            _ => rule.push_str(", it says no length"),
        }
        let end = self.end.as_ref().map_or(&[][..], Needles::longest);
        if !end.is_empty() {
            rule.push_str(&format!("; end {}", written(end)));
            into.mark_end(end, frame.len());
        }
        into.say(rule);
        let line = if frame
            .get(..head.end)
            .is_some_and(|head| head.ends_with(b"\r\n"))
        {
            2
        } else {
            1
        };
        into.mark(head.end.saturating_sub(line)..head.end, "end of the head");
    }

    /// The body's length, if the line says one.
    fn said(&self, line: &[u8]) -> Option<Result<usize, Broken>> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() > MOST_LINE_BYTES {
            return None;
        }
        #[cfg(test)]
        super::needles::work::add(line.len());
        let digits = self.length.as_ref()?.captures(line)?.get(1)?.as_bytes();
        let number = std::str::from_utf8(digits)
            .ok()
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok());
        Some(number.ok_or(Broken::Length))
    }
}

/// What is known of the head.
#[derive(Clone, Copy, Debug)]
struct Head {
    /// Offset behind its empty line.
    end: usize,
    /// It is nothing but the empty line.
    empty: bool,
    /// Bytes of the body.
    length: Option<Result<usize, Broken>>,
}

/// Remembers how far it has looked for what. All of it stays true when bytes are taken away from the
/// front, so that after a broken frame nothing is looked at again but the line that was cut.
#[derive(Debug)]
pub(super) struct HeaderFramer {
    kind: Header,
    /// Where the last known line begins.
    line: usize,
    /// That line does not end before this offset.
    scanned: usize,
    /// Lines that begin before this offset, but for the first, say no length.
    silent: usize,
    /// No end begins between the head and this offset.
    searched: usize,
    /// Of the frame at hand, once it has come.
    head: Option<Head>,
}

impl HeaderFramer {
    fn find_head(&mut self, bytes: &[u8]) -> Option<Head> {
        loop {
            let rest = bytes.get(self.scanned..)?;
            let ahead = memchr::memchr(b'\n', rest);
            #[cfg(test)]
            super::needles::work::add(ahead.unwrap_or(rest.len()));
            let Some(ahead) = ahead else {
                self.scanned = bytes.len();
                return None;
            };
            self.scanned = self.scanned.saturating_add(ahead);
            let end = self.scanned.saturating_add(1);
            if matches!(bytes.get(self.line..self.scanned), Some(b"" | b"\r")) {
                let lines = bytes.get(..self.line).unwrap_or_default();
                return Some(Head {
                    end,
                    empty: lines.is_empty(),
                    length: self.find_length(lines),
                });
            }
            self.line = end;
            self.scanned = end;
        }
    }

    /// Looks through the lines of a head, each with its line feed.
    fn find_length(&mut self, lines: &[u8]) -> Option<Result<usize, Broken>> {
        self.kind.length.as_ref()?;
        let mut at = 0;
        while let Some(rest) = lines.get(at..) {
            let Some(length) = memchr::memchr(b'\n', rest) else {
                break;
            };
            let said = self.kind.said(rest.get(..length)?);
            if said.is_some() {
                return said;
            }
            at = at.saturating_add(length).saturating_add(1).max(self.silent);
            self.silent = at;
        }
        None
    }

    fn up_to_end<'b>(&mut self, bytes: &'b [u8], head: usize) -> Step<'b> {
        let Some(end) = &self.kind.end else {
            return frame(bytes, head, head);
        };
        let from = self.searched.max(head);
        match end.find(bytes, from, true) {
            Found::At(place, length) => frame(bytes, place.saturating_add(length), head),
            Found::Maybe(place) => {
                self.searched = place;
                Step::Need(bytes.len().saturating_add(1))
            }
            Found::Nowhere => {
                self.searched = from.max(bytes.len());
                Step::Need(bytes.len().saturating_add(1))
            }
        }
    }

    fn of_length<'b>(&self, bytes: &'b [u8], head: usize, length: usize) -> Step<'b> {
        let end = self.kind.end.as_ref().map_or(&[][..], Needles::longest);
        let take = head.saturating_add(length).saturating_add(end.len());
        match bytes.get(..take) {
            Some(whole) if !whole.ends_with(end) => Step::Broken(Broken::End),
            _ => frame(bytes, take, head),
        }
    }
}

fn frame(bytes: &[u8], take: usize, body: usize) -> Step<'_> {
    match bytes.get(..take) {
        None => Step::Need(take),
        Some(frame) => Step::Frame {
            take,
            frame: Cow::Borrowed(frame),
            body,
        },
    }
}

impl Framer for HeaderFramer {
    fn next<'b>(&mut self, bytes: &'b [u8], _more: More) -> Step<'b> {
        if self.head.is_none() {
            self.head = self.find_head(bytes);
        }
        match self.head {
            None => Step::Need(bytes.len().saturating_add(1)),
            Some(head) if head.empty => Step::Skip {
                count: head.end,
                why: Skipped::Empty,
            },
            Some(head) => match head.length {
                None => self.up_to_end(bytes, head.end),
                Some(Ok(length)) => self.of_length(bytes, head.end, length),
                Some(Err(broken)) => Step::Broken(broken),
            },
        }
    }

    fn consumed(&mut self, count: usize) {
        let places = [
            &mut self.line,
            &mut self.scanned,
            &mut self.silent,
            &mut self.searched,
        ];
        for place in places {
            *place = place.saturating_sub(count);
        }
        self.head = None;
    }

    fn resync(&self) -> Resync {
        Resync::Never
    }
}
