//! Where frames begin and end in a stream of bytes.
//!
//! One file per kind. A kind is its options with `read`, a [`Framer`], and its line in `KINDS`,
//! `read_kind` and `Kind::framer`. The way TCP cuts the stream never matters: a framer decides
//! only on complete information.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod bounded;
mod cobs;
mod connection;
mod delimiter;
mod escapes;
mod explain;
mod first;
mod fixed;
mod fuzz;
mod header;
mod idle;
mod length;
pub(crate) mod needles;
mod nested;
mod regex;
pub mod schema;
mod script;
mod slip;
mod stuffed;
mod switch;
mod walk;
mod wrapping;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use self::bounded::{Body, Bounded, Common};
use self::needles::Needles;
use crate::document::{Problems, Section};
use crate::script::Caller;

pub use self::explain::{Explanation, Taken};
#[doc(hidden)]
pub use self::fuzz::fuzz;
pub use self::wrapping::WrapError;

/// Whether bytes may still come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum More {
    /// Any time.
    Yes,
    /// None came for the framer's idle time, or for as long as anybody waits.
    Idle,
    /// Never: the device has ended the stream.
    Closed,
}

/// What a framer says of the bytes at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<'b> {
    /// A frame is complete.
    Frame {
        /// Bytes it took of the stream.
        take: usize,
        /// The frame as it is handed on.
        frame: Cow<'b, [u8]>,
        /// Where decoding starts in it.
        body: usize,
    },
    /// At least so many bytes, counted from the first one at hand, are needed to know; always more than there are.
    Need(usize),
    /// The first bytes belong to no frame.
    Skip {
        /// How many; at least one.
        count: usize,
        /// Why.
        why: Skipped,
    },
    /// No frame can begin like this: resynchronise or close.
    Broken(Broken),
}

/// Why bytes belong to no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    /// The settings name them as bytes between frames.
    Ignored,
    /// A frame without content.
    Empty,
    /// They come before a frame's start, or are left of a broken frame.
    Garbage,
}

/// Why no frame can begin with the bytes at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Broken {
    /// The frame is, or would become, longer than `maxBytes`.
    #[error("frame is longer than {maximum} bytes")]
    TooLong {
        /// The most that is allowed.
        maximum: usize,
    },
    /// A length field holds what no frame can have.
    #[error("the length field holds an impossible length")]
    Length,
    /// The bytes that must end the frame are others.
    #[error("the frame does not end as it must")]
    End,
    /// An escape sequence stands for nothing.
    #[error("the frame holds an escape sequence that does not exist")]
    Escape,
    /// Brackets and texts do not fit each other.
    #[error("the brackets of the frame do not fit together")]
    Brackets,
    /// A record of the frame has an unknown tag or an impossible length, or there are too many.
    #[error("the records of the frame cannot be followed")]
    Record,
    /// No case of a switch fits.
    #[error("no framing fits the first bytes")]
    NoCase,
    /// The rest of the frame did not come in time.
    #[error("a frame stayed incomplete")]
    Incomplete,
    /// What was dropped of a broken frame is more than any device sends of one.
    #[error("more than 16 MiB of a broken frame came, and not its end")]
    Endless,
    /// The script that should find it failed.
    #[error("the script did not say where the frame ends")]
    Script,
}

/// How to go on after a broken frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resync {
    /// Drop one byte and look for the next start.
    Start,
    /// Drop everything up to and with the next end.
    End,
    /// There is no way: close.
    Never,
}

/// Finds the frames of one connection.
///
/// It is given all bytes at hand, first to last, and remembers at most how far it has looked. The
/// caller takes away what a step or [`Framer::drop_broken`] names, and says so with
/// [`Framer::consumed`], before it asks again.
pub trait Framer: Send + fmt::Debug {
    /// Says what the bytes begin with.
    fn next<'b>(&mut self, bytes: &'b [u8], more: More) -> Step<'b>;

    /// So many bytes were taken away from the front.
    fn consumed(&mut self, _count: usize) {}

    /// Frames are found for this connection, where a script finds them.
    fn attach(&mut self, _caller: &Caller) {}

    /// How to go on after the last step was [`Step::Broken`], or was [`Step::Need`] for too long.
    fn resync(&self) -> Resync;

    /// How many bytes to drop of a broken frame, and whether it ends there. Called again with the
    /// bytes that follow as long as it does not.
    fn drop_broken(&mut self, bytes: &[u8]) -> (usize, bool) {
        (bytes.len().min(1), true)
    }

    /// After this time without bytes [`Framer::next`] is called with [`More::Idle`].
    fn idle(&self) -> Option<Duration> {
        None
    }
}

/// A framing of the settings, valid; cheap to clone.
#[derive(Clone, Debug)]
pub struct Framing(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    common: Common,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Delimiter(Arc<delimiter::Delimiter>),
    Length(length::Length),
    Fixed(fixed::Fixed),
    /// `stuffed` and `slip`.
    Stuffed(Arc<stuffed::Stuffed>),
    Cobs(cobs::Cobs),
    /// `json` and `balanced`.
    Nested(nested::Nested),
    Regex(Arc<regex::Regex>),
    Idle(idle::Idle),
    Connection(connection::Connection),
    Script(script::Script),
    Switch(switch::Switch),
    First(first::First),
    Header(header::Header),
    Walk(walk::Walk),
}

/// The words of member `type`.
const KINDS: [&str; 16] = [
    "delimiter",
    "length",
    "fixed",
    "header",
    "walk",
    "script",
    "stuffed",
    "slip",
    "cobs",
    "json",
    "balanced",
    "regex",
    "idle",
    "connection",
    "switch",
    "first",
];

/// Reads the section `framing` of a protocol.
pub fn read(section: &Section<'_>, problems: &mut Problems) -> Option<Framing> {
    let common = Common::read(section, problems);
    read_with(section, common, &bounded::MEMBERS, problems)
}

/// Reads a framing whose common members are known; `without` are members that are not the kind's own.
fn read_with(
    section: &Section<'_>,
    mut common: Common,
    without: &[&str],
    problems: &mut Problems,
) -> Option<Framing> {
    let kind = read_kind(section, &common, without, problems)?;
    if matches!(kind, Kind::Switch(_) | Kind::First(_)) && section.member("body").is_none() {
        // Each of its framings says where the body is.
        common.body = Body::After;
    }
    if matches!(kind, Kind::Connection(_)) && section.member("incompleteTimeoutMs").is_none() {
        // Until the connection ends its frame is incomplete: the listener's idle time-out watches it.
        common.incomplete_timeout = Duration::MAX;
    }
    if kind.taken_before() > 0 {
        // The kind looks for the start itself.
        common.start = None;
    }
    let max_bytes = kind.max_bytes().unwrap_or(common.max_bytes);
    let framing = Framing(Arc::new(Parts {
        common: Common {
            max_bytes,
            ..common
        },
        kind,
    }));
    if framing.0.common.insists_on_resync && !framing.can_resync() {
        let why = "this framing cannot find the next frame after one that is too long: only \"close\" is possible";
        problems.member(section, "onTooLong", why);
    }
    Some(framing)
}

fn read_kind(
    section: &Section<'_>,
    common: &Common,
    without: &[&str],
    problems: &mut Problems,
) -> Option<Kind> {
    let without: Vec<&str> = without.iter().copied().chain(["type"]).collect();
    match section.kind(&KINDS, problems)? {
        "delimiter" => delimiter::read(section, &without, common, problems)
            .map(|kind| Kind::Delimiter(Arc::new(kind))),
        "length" => length::read(section, &without, common, problems).map(Kind::Length),
        "fixed" => fixed::read(section, &without, common, problems).map(Kind::Fixed),
        "stuffed" => stuffed::read(section, &without, common, problems)
            .map(|kind| Kind::Stuffed(Arc::new(kind))),
        "slip" => slip::read(section, &without, common, problems)
            .map(|kind| Kind::Stuffed(Arc::new(kind))),
        "cobs" => cobs::read(section, &without, common, problems).map(Kind::Cobs),
        "json" => Some(Kind::Nested(nested::read_json(
            section, &without, common, problems,
        ))),
        "balanced" => nested::read_balanced(section, &without, common, problems).map(Kind::Nested),
        "regex" => {
            regex::read(section, &without, common, problems).map(|kind| Kind::Regex(Arc::new(kind)))
        }
        "idle" => idle::read(section, &without, common, problems).map(Kind::Idle),
        "connection" => Some(Kind::Connection(connection::read(
            section, &without, problems,
        ))),
        "first" => first::read(section, &without, common, problems).map(Kind::First),
        "header" => header::read(section, &without, common, problems).map(Kind::Header),
        "walk" => walk::read(section, &without, common, problems).map(Kind::Walk),
        "script" => script::read(section, &without, common, problems).map(Kind::Script),
        _ => switch::read(section, &without, common, problems).map(Kind::Switch),
    }
}

impl Kind {
    fn framer(&self) -> Box<dyn Framer> {
        match self {
            Kind::Delimiter(kind) => Box::new(delimiter::DelimiterFramer::new(kind)),
            Kind::Length(kind) => Box::new(kind.clone()),
            Kind::Fixed(kind) => Box::new(kind.clone()),
            Kind::Stuffed(kind) => Box::new(stuffed::StuffedFramer::new(kind)),
            Kind::Cobs(kind) => Box::new(kind.framer()),
            Kind::Nested(kind) => Box::new(kind.framer()),
            Kind::Regex(kind) => Box::new(regex::RegexFramer::new(kind)),
            Kind::Idle(kind) => Box::new(kind.clone()),
            Kind::Connection(kind) => Box::new(kind.clone()),
            Kind::Script(kind) => Box::new(kind.framer()),
            Kind::Switch(kind) => Box::new(kind.framer()),
            Kind::First(kind) => Box::new(kind.framer()),
            Kind::Header(kind) => Box::new(kind.framer()),
            Kind::Walk(kind) => Box::new(kind.framer()),
        }
    }

    /// The framer in the middle of a connection.
    fn later_framer(&self) -> Box<dyn Framer> {
        match self {
            Kind::First(kind) => Box::new(kind.later_framer()),
            _ => self.framer(),
        }
    }

    fn wrap(&self, body: &[u8], common: &Common) -> Result<Vec<u8>, WrapError> {
        match self {
            Kind::Delimiter(kind) => kind.wrap(body),
            Kind::Length(kind) => kind.wrap(body, common),
            Kind::Fixed(kind) => Ok(kind.wrap(body)),
            Kind::Stuffed(kind) => kind.wrap(body),
            Kind::Cobs(kind) => Ok(kind.wrap(body)),
            Kind::Nested(_) | Kind::Regex(_) | Kind::Idle(_) => {
                let start = common.start.as_ref().map_or(&[][..], Needles::longest);
                Ok([start, body].concat())
            }
            Kind::Connection(_) => Err(WrapError::Connection),
            Kind::Script(_) => Err(WrapError::Script),
            Kind::Switch(kind) => kind.wrap(body),
            Kind::First(kind) => kind.wrap(body),
            Kind::Header(kind) => kind.wrap(body),
            Kind::Walk(kind) => kind.wrap(body),
        }
    }

    /// The most that any of its framings allows, if it is made of framings.
    fn max_bytes(&self) -> Option<usize> {
        match self {
            Kind::Script(kind) => Some(kind.max_bytes()),
            Kind::Switch(kind) => Some(kind.max_bytes()),
            Kind::First(kind) => Some(kind.max_bytes()),
            _ => None,
        }
    }

    /// Bytes behind a frame that it may take to know that the frame ends.
    fn lookahead(&self) -> usize {
        match self {
            Kind::Delimiter(kind) => kind.lookahead(),
            Kind::Stuffed(kind) => kind.lookahead(),
            // One more byte shows that the frame is too long.
            Kind::Idle(_) | Kind::Connection(_) => 1,
            Kind::Switch(kind) => kind.lookahead(),
            Kind::First(kind) => kind.lookahead(),
            Kind::Length(_)
            | Kind::Fixed(_)
            | Kind::Cobs(_)
            | Kind::Nested(_)
            | Kind::Regex(_)
            | Kind::Header(_)
            | Kind::Script(_)
            | Kind::Walk(_) => 0,
        }
    }

    /// Bytes of a frame that are taken before it: the flag that it shares with the one before.
    fn taken_before(&self) -> usize {
        match self {
            Kind::Stuffed(kind) => kind.taken_before(),
            _ => 0,
        }
    }

    /// What of a frame are the bytes that were wrapped, where they can be told.
    fn wrapped<'f>(&self, frame: &'f [u8]) -> Option<&'f [u8]> {
        match self {
            Kind::Delimiter(_) | Kind::Cobs(_) => Some(frame),
            Kind::Stuffed(kind) => Some(kind.wrapped(frame)),
            _ => None,
        }
    }

    fn can_resync(&self) -> bool {
        match self {
            Kind::Delimiter(_)
            | Kind::Cobs(_)
            | Kind::Nested(_)
            | Kind::Regex(_)
            | Kind::Idle(_) => true,
            Kind::Stuffed(kind) => kind.can_resync(),
            Kind::Length(_)
            | Kind::Fixed(_)
            | Kind::Connection(_)
            | Kind::Header(_)
            | Kind::Script(_)
            | Kind::Walk(_) => false,
            Kind::Switch(kind) => kind.can_resync(),
            Kind::First(kind) => kind.can_resync(),
        }
    }
}

impl Framing {
    /// Finds the frames of one connection.
    pub fn framer(&self) -> Box<dyn Framer> {
        Box::new(Bounded::new(self))
    }

    /// Puts the framing around bytes that we send.
    ///
    /// # Errors
    /// When the receiver, framing by the same rule, would not get exactly these bytes as one frame.
    pub fn wrap(&self, body: &[u8]) -> Result<Vec<u8>, WrapError> {
        let wrapped = self.0.kind.wrap(body, &self.0.common)?;
        match self.only_frame(&wrapped) {
            Some(frame) if self.0.kind.wrapped(&frame).is_none_or(|own| own == body) => Ok(wrapped),
            _ => Err(WrapError::Ambiguous),
        }
    }

    /// The frame that the bytes are, if they are exactly one. No script is asked, whose state would
    /// tell of it: what one has to find is none.
    fn only_frame(&self, mut bytes: &[u8]) -> Option<Vec<u8>> {
        let mut framer = Bounded::later(self);
        loop {
            let count = match framer.next(bytes, More::Closed) {
                Step::Frame { take, frame, .. } if take == bytes.len() => {
                    return Some(frame.into_owned());
                }
                // The flag before the frame.
                Step::Skip {
                    count,
                    why: Skipped::Empty,
                } => count,
                _ => return None,
            };
            framer.consumed(count);
            bytes = bytes.get(count..)?;
        }
    }

    /// Whether the next frame can be found after a broken one, for at least one of the framing's cases.
    pub fn can_resync(&self) -> bool {
        self.0.common.start.is_some() || self.0.kind.can_resync()
    }

    /// Whether a frame that is too long closes the connection though the framing could go on.
    pub fn closes_when_too_long(&self) -> bool {
        self.0.common.closes_when_too_long
    }

    /// How long a frame may stay incomplete.
    pub fn incomplete_timeout(&self) -> Duration {
        self.0.common.incomplete_timeout
    }
}

/// A kind that knows how its frames start takes no `start`.
fn refuse_start(section: &Section<'_>, problems: &mut Problems) {
    if section.member("start").is_some() {
        problems.member(section, "start", "this framing knows how its frames start");
    }
}

/// Names members that neither the kind nor `without` has, for kinds that read their members themselves.
fn only(section: &Section<'_>, without: &[&str], members: &[&str], problems: &mut Problems) {
    let known: Vec<&str> = without.iter().chain(members).copied().collect();
    for (name, _) in section.members().filter(|(name, _)| !known.contains(name)) {
        let message = crate::document::unknown_word("member", name, &known);
        problems.member(section, name, message);
    }
}

/// `usize` offsets beyond the address space are longer than any frame.
fn saturated(value: i128) -> usize {
    usize::try_from(value.max(0)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
