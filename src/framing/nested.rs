//! Frames that end with the bracket that closes the first: JSON, and balanced brackets of any kind.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Deserialize;

use super::bounded::Common;
use super::explain::written;
use super::needles::one_byte;
use super::{Broken, Explanation, Framer, More, Resync, Skipped, Step, only, refuse_start};
use crate::document::{Problems, Section};
use crate::schema::Byte;

/// How deep brackets may be nested: as deep as JSON is decoded.
const DEEPEST: usize = 128;

/// What JSON has outside of its texts: brackets, numbers, words, and the words for numbers that
/// are none, so that only the decoder has to say something to those.
const JSON_BYTES: &[u8] = b"{}[]:,\"+-.0123456789eE \t\r\ntruefalsenullNaNInfinity";

/// Frames that end with the bracket that closes the first.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct BalancedOptions {
    /// The opening bracket, one byte.
    #[schemars(with = "Byte")]
    open: String,
    /// The closing bracket, one byte.
    #[schemars(with = "Byte")]
    close: String,
    /// A byte between two of which brackets do not count.
    #[schemars(with = "Option<Byte>")]
    quote: Option<String>,
    /// A byte behind which the next one is neither bracket nor quote.
    #[schemars(with = "Option<Byte>")]
    escape: Option<String>,
}

/// The kind, read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nested {
    brackets: Brackets,
    quote: Option<u8>,
    escape: Option<u8>,
    max_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
enum Brackets {
    /// Objects and arrays.
    Json,
    One {
        open: u8,
        close: u8,
    },
}

/// Reads the members of kind `json`.
pub(super) fn read_json(
    section: &Section<'_>,
    without: &[&str],
    common: &Common,
    problems: &mut Problems,
) -> Nested {
    only(section, without, &[], problems);
    refuse_start(section, problems);
    Nested {
        brackets: Brackets::Json,
        quote: Some(b'"'),
        escape: Some(b'\\'),
        max_bytes: common.max_bytes,
    }
}

/// Reads the members of kind `balanced`.
pub(super) fn read_balanced(
    section: &Section<'_>,
    without: &[&str],
    common: &Common,
    problems: &mut Problems,
) -> Option<Nested> {
    let options: BalancedOptions = section.read(without, problems)?;
    refuse_start(section, problems);
    let mut taken: Vec<u8> = Vec::new();
    let mut byte = |name: &str, text: &str| {
        let byte = one_byte(section, name, text, problems)?;
        if taken.contains(&byte) {
            problems.member(section, name, "this byte has another meaning already");
            return None;
        }
        taken.push(byte);
        Some(byte)
    };
    let open = byte("open", &options.open);
    let close = byte("close", &options.close);
    let quote = options.quote.map(|quote| byte("quote", &quote));
    let escape = options.escape.map(|escape| byte("escape", &escape));
    Some(Nested {
        brackets: Brackets::One {
            open: open?,
            close: close?,
        },
        quote: quote.flatten(),
        escape: escape.flatten(),
        max_bytes: common.max_bytes,
    })
}

impl Nested {
    /// Says why the frame ends where it does.
    pub fn explain(&self, into: &mut Explanation) {
        into.say(match self.brackets {
            Brackets::Json => "json: up to the bracket that closes the first".to_owned(),
            Brackets::One { open, close } => {
                let [open, close] = [open, close].map(|byte| written(&[byte]));
                format!("balanced: up to the {close} that closes the first {open}")
            }
        });
    }

    pub fn framer(self) -> NestedFramer {
        NestedFramer {
            kind: self,
            scan: Scan::default(),
            dropping: None,
        }
    }

    /// Where the next frame may begin.
    fn find_open(&self, bytes: &[u8]) -> Option<usize> {
        match self.brackets {
            Brackets::Json => memchr::memchr2(b'{', b'[', bytes),
            Brackets::One { open, .. } => memchr::memchr(open, bytes),
        }
    }

    /// What the byte is to the brackets: which one opens or closes.
    fn bracket(&self, byte: u8) -> Option<Bracket> {
        match (self.brackets, byte) {
            (Brackets::Json, b'{') => Some(Bracket::Open { square: false }),
            (Brackets::Json, b'[') => Some(Bracket::Open { square: true }),
            (Brackets::Json, b'}') => Some(Bracket::Close { square: false }),
            (Brackets::Json, b']') => Some(Bracket::Close { square: true }),
            (Brackets::One { open, .. }, byte) if byte == open => {
                Some(Bracket::Open { square: false })
            }
            (Brackets::One { close, .. }, byte) if byte == close => {
                Some(Bracket::Close { square: false })
            }
            _ => None,
        }
    }

    fn is_foreign(&self, byte: u8) -> bool {
        matches!(self.brackets, Brackets::Json) && !JSON_BYTES.contains(&byte)
    }

    /// Goes on to the end of the frame, of the bytes, or of sense.
    fn scan(&self, scan: &mut Scan, bytes: &[u8]) -> Reached {
        while let Some(byte) = bytes.get(scan.at).copied() {
            #[cfg(test)]
            super::needles::work::add(1);
            scan.at = scan.at.saturating_add(1);
            if std::mem::take(&mut scan.escaped) {
                continue;
            }
            if Some(byte) == self.quote {
                scan.quoted = !scan.quoted;
            } else if Some(byte) == self.escape && (scan.quoted || !self.is_foreign(byte)) {
                scan.escaped = true;
            } else if !scan.quoted && (self.is_foreign(byte) || !scan.nest(self.bracket(byte))) {
                return Reached::Nonsense;
            } else if scan.depth == 0 {
                return Reached::End;
            }
        }
        Reached::Nothing
    }
}

#[derive(Clone, Copy, Debug)]
enum Bracket {
    Open { square: bool },
    Close { square: bool },
}

/// How far a scan has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reached {
    End,
    Nonsense,
    Nothing,
}

/// How far a frame was looked at, and what is open there.
#[derive(Clone, Copy, Debug, Default)]
struct Scan {
    at: usize,
    depth: usize,
    /// Which of the open brackets are square; the innermost is the lowest bit.
    square: u128,
    quoted: bool,
    escaped: bool,
}

impl Scan {
    /// Opens or closes a bracket; `false` if that does not fit.
    fn nest(&mut self, bracket: Option<Bracket>) -> bool {
        match bracket {
            None => true,
            Some(Bracket::Open { square }) => {
                self.depth = self.depth.saturating_add(1);
                self.square = self.square << 1 | u128::from(square);
                self.depth <= DEEPEST
            }
            Some(Bracket::Close { square }) => {
                let fits = self.depth > 0 && u128::from(square) == self.square & 1;
                self.depth = self.depth.saturating_sub(1);
                self.square >>= 1;
                fits
            }
        }
    }
}

/// Remembers how far it has looked.
#[derive(Debug)]
pub(super) struct NestedFramer {
    kind: Nested,
    scan: Scan,
    /// How many bytes of a frame that is too long may still be dropped.
    dropping: Option<usize>,
}

impl Framer for NestedFramer {
    fn next<'b>(&mut self, bytes: &'b [u8], _more: More) -> Step<'b> {
        if self.scan.at == 0 {
            match self.kind.find_open(bytes) {
                Some(0) => {}
                found => {
                    return Step::Skip {
                        count: found.unwrap_or(bytes.len()),
                        why: Skipped::Garbage,
                    };
                }
            }
        }
        match self.kind.scan(&mut self.scan, bytes) {
            Reached::Nothing => Step::Need(bytes.len().saturating_add(1)),
            Reached::Nonsense => Step::Broken(Broken::Brackets),
            Reached::End => Step::Frame {
                take: self.scan.at,
                frame: Cow::Borrowed(bytes.get(..self.scan.at).unwrap_or_default()),
                body: 0,
            },
        }
    }

    fn consumed(&mut self, _count: usize) {
        match self.dropping {
            Some(_) => self.scan.at = 0,
            None => self.scan = Scan::default(),
        }
    }

    fn resync(&self) -> Resync {
        Resync::End
    }

    /// A frame that is too long is dropped to its end, so that what is nested in it does not pass
    /// for frames; but not much further than it is long, because an opening bracket too many may
    /// be what is wrong. Of other frames, what was looked at.
    fn drop_broken(&mut self, bytes: &[u8]) -> (usize, bool) {
        let left = match self.dropping {
            Some(left) => left,
            None if self.scan.at >= self.kind.max_bytes && self.scan.depth > 0 => {
                self.scan.at.saturating_add(self.kind.max_bytes)
            }
            None => return (self.scan.at.clamp(1, bytes.len().max(1)), true),
        };
        let within = bytes.get(..left).unwrap_or(bytes);
        let reached = self.kind.scan(&mut self.scan, within);
        let count = self.scan.at;
        let left = left.saturating_sub(count);
        let done = reached != Reached::Nothing || left == 0;
        self.dropping = (!done).then_some(left);
        (count, done)
    }
}
