//! Where frames begin and end in a stream of bytes.
//!
//! One file per kind. A kind is its options with `read`, a [`Framer`], and its line in `KINDS`,
//! `read_kind` and `Kind::framer`. The way TCP cuts the stream never matters: a framer decides
//! only on complete information.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod bounded;
mod delimiter;
mod fixed;
mod fuzz;
mod length;
pub(crate) mod needles;
mod script;
mod switch;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use self::bounded::{Body, Bounded, Common};
use crate::document::{Problems, Section};
use crate::script::Caller;

#[doc(hidden)]
pub use self::fuzz::fuzz;

/// Whether bytes may still come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum More {
    /// Any time.
    Yes,
    /// The framer's idle time has passed since the last ones.
    Idle,
    /// Never.
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
    /// No case of a switch fits.
    #[error("no framing fits the first bytes")]
    NoCase,
    /// The rest of the frame did not come in time.
    #[error("a frame stayed incomplete")]
    Incomplete,
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

/// Why bytes cannot be sent as a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WrapError {
    /// The length cannot be said in the length field.
    #[error("no length field can say the length of these bytes")]
    Length,
    /// The framing has bytes before its length field that the settings do not name.
    #[error("the framing does not say what stands before its length field")]
    Header,
    /// The receiver would not read the bytes as this one frame.
    #[error("the bytes would not be read back as one frame")]
    Ambiguous,
    /// A script finds frames and makes none.
    #[error("a framing by script cannot be put around bytes")]
    Script,
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
    fn drop_broken(&self, bytes: &[u8]) -> (usize, bool) {
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
    Delimiter(delimiter::Delimiter),
    Length(length::Length),
    Fixed(fixed::Fixed),
    Script(script::Script),
    Switch(switch::Switch),
}

/// The words of member `type`.
const KINDS: [&str; 5] = ["delimiter", "length", "fixed", "script", "switch"];

/// Kinds of the settings language that this version does not have.
const LATER: [&str; 12] = [
    "stuffed",
    "slip",
    "cobs",
    "json",
    "balanced",
    "brackets",
    "first",
    "walk",
    "regex",
    "idle",
    "header",
    "connection",
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
    if matches!(kind, Kind::Switch(_)) && section.member("body").is_none() {
        // Each case says where its body is.
        common.body = Body::After;
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
    if let Some(later) = section.member("type").and_then(|word| word.value.as_str())
        && LATER.contains(&later)
    {
        problems.member(
            section,
            "type",
            format!("framing \"{later}\" is not available in this version"),
        );
        return None;
    }
    let without: Vec<&str> = without.iter().copied().chain(["type"]).collect();
    match section.kind(&KINDS, problems)? {
        "delimiter" => delimiter::read(section, &without, common, problems).map(Kind::Delimiter),
        "length" => length::read(section, &without, common, problems).map(Kind::Length),
        "fixed" => fixed::read(section, &without, common, problems).map(Kind::Fixed),
        "script" => script::read(section, &without, common, problems).map(Kind::Script),
        _ => switch::read(section, &without, common, problems).map(Kind::Switch),
    }
}

impl Kind {
    fn framer(&self) -> Box<dyn Framer> {
        match self {
            Kind::Delimiter(kind) => Box::new(kind.framer()),
            Kind::Length(kind) => Box::new(kind.clone()),
            Kind::Fixed(kind) => Box::new(kind.clone()),
            Kind::Script(kind) => Box::new(kind.framer()),
            Kind::Switch(kind) => Box::new(kind.framer()),
        }
    }

    fn wrap(&self, body: &[u8], common: &Common) -> Result<Vec<u8>, WrapError> {
        match self {
            Kind::Delimiter(kind) => Ok(kind.wrap(body)),
            Kind::Length(kind) => kind.wrap(body, common),
            Kind::Fixed(kind) => Ok(kind.wrap(body)),
            Kind::Script(_) => Err(WrapError::Script),
            Kind::Switch(kind) => kind.wrap(body),
        }
    }

    /// The most that any case of a switch allows.
    fn max_bytes(&self) -> Option<usize> {
        match self {
            Kind::Delimiter(_) | Kind::Length(_) | Kind::Fixed(_) => None,
            Kind::Script(kind) => Some(kind.max_bytes()),
            Kind::Switch(kind) => Some(kind.max_bytes()),
        }
    }

    /// Bytes behind a frame that it may take to know that the frame ends.
    fn lookahead(&self) -> usize {
        match self {
            Kind::Delimiter(kind) => kind.lookahead(),
            Kind::Length(_) | Kind::Fixed(_) | Kind::Script(_) => 0,
            Kind::Switch(kind) => kind.lookahead(),
        }
    }

    fn can_resync(&self) -> bool {
        match self {
            Kind::Delimiter(_) => true,
            Kind::Length(_) | Kind::Fixed(_) | Kind::Script(_) => false,
            Kind::Switch(kind) => kind.can_resync(),
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
        let one = match self.framer().next(&wrapped, More::Closed) {
            Step::Frame { take, .. } => take == wrapped.len(),
            Step::Need(_) | Step::Skip { .. } | Step::Broken(_) => false,
        };
        if one {
            Ok(wrapped)
        } else {
            Err(WrapError::Ambiguous)
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

/// `usize` offsets beyond the address space are longer than any frame.
fn saturated(value: i128) -> usize {
    usize::try_from(value.max(0)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
