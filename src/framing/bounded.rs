//! What all kinds have in common: ignored bytes, start markers, the maximum. Enforced here, once.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::needles::{Found, Match, Needles};
use super::{Broken, Caller, Framer, Framing, More, Parts, Resync, Skipped, Step};
use crate::document::{Problems, Section};
use crate::notation::bytes;
use crate::schema::{Bytes, Marker, OneOrMore};

/// The members that [`Common::read`] reads.
pub(super) const MEMBERS: [&str; 6] = [
    "ignore",
    "maxBytes",
    "onTooLong",
    "incompleteTimeoutMs",
    "body",
    "start",
];

/// The common members that a framing inside of another cannot have.
pub(super) const OUTER: [&str; 3] = ["ignore", "onTooLong", "incompleteTimeoutMs"];

/// Members that every kind has.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "framing-common")]
pub(super) struct CommonOptions {
    /// One byte sequence or a list of them, with one of which every frame starts. Bytes before it
    /// are skipped and counted.
    #[serde(default, rename = "start")]
    #[schemars(with = "Option<OneOrMore<Marker, 1>>")]
    _start: IgnoredAny,
    /// Bytes that may stand between frames and are skipped there: any of these.
    #[serde(default)]
    #[schemars(with = "Bytes")]
    ignore: String,
    /// The most bytes of a frame as they come, with header, start and end.
    #[serde(default = "default_max_bytes")]
    #[schemars(range(min = 1))]
    max_bytes: usize,
    /// What follows a frame over `maxBytes`. Without it `resync` where the framing can find the
    /// next frame, else `close`.
    on_too_long: Option<OnTooLong>,
    /// How long a frame may stay incomplete, in milliseconds.
    #[serde(default = "default_incomplete_timeout_ms")]
    #[schemars(range(min = 1))]
    incomplete_timeout_ms: u64,
    /// Where decoding begins: an offset from the frame's first byte, or `after` the length field,
    /// the head or the header.
    #[serde(default)]
    #[schemars(extend("default" = 0))]
    body: BodyOption,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
enum OnTooLong {
    /// The next frame is looked for.
    Resync,
    /// The connection is closed.
    Close,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(untagged, expecting = "expected an offset or \"after\"")]
enum BodyOption {
    At(usize),
    Word(BodyWord),
}

#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
#[serde(rename_all = "camelCase")]
enum BodyWord {
    /// Behind what says the length.
    After,
}

impl Default for BodyOption {
    fn default() -> Self {
        BodyOption::At(0)
    }
}

fn default_max_bytes() -> usize {
    65_536
}

fn default_incomplete_timeout_ms() -> u64 {
    30_000
}

/// Where decoding starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    At(usize),
    /// Behind the length field.
    After,
}

/// The common members, read.
#[derive(Clone, Debug)]
pub(super) struct Common {
    pub ignore: Vec<u8>,
    pub start: Option<Needles>,
    pub max_bytes: usize,
    pub body: Body,
    pub closes_when_too_long: bool,
    pub insists_on_resync: bool,
    pub incomplete_timeout: Duration,
    /// The framing is a part of another.
    pub is_inner: bool,
}

impl Common {
    /// Reads the common members of a framing.
    pub fn read(section: &Section<'_>, problems: &mut Problems) -> Self {
        let own = section.value.as_object().into_iter().flatten();
        let own = own.filter(|(name, _)| MEMBERS.contains(&name.as_str()) && *name != "start");
        let own = Value::Object(
            own.map(|(name, value)| (name.clone(), value.clone()))
                .collect::<Map<_, _>>(),
        );
        let own = Section {
            value: &own,
            pointer: section.pointer.clone(),
        };
        let options: Option<CommonOptions> = own.read(&[], problems);
        let start = Needles::read(section, "start", problems);
        match options {
            Some(options) => options.build(section, start, problems),
            None => Common::default_with(start),
        }
    }

    /// Reads the common members of a framing that is a part of this one, which is of kind `outer`.
    pub fn inner(&self, section: &Section<'_>, outer: &str, problems: &mut Problems) -> Self {
        for name in OUTER.iter().filter(|name| section.member(name).is_some()) {
            let why = format!("belongs to the {outer}, not to a framing in it");
            problems.member(section, name, why);
        }
        let mut common = Self::read(section, problems);
        if section.member("maxBytes").is_none() {
            common.max_bytes = self.max_bytes;
        }
        common.is_inner = true;
        common
    }

    fn default_with(start: Option<Needles>) -> Self {
        Common {
            ignore: Vec::new(),
            start,
            max_bytes: default_max_bytes(),
            body: Body::At(0),
            closes_when_too_long: false,
            insists_on_resync: false,
            incomplete_timeout: Duration::from_millis(default_incomplete_timeout_ms()),
            is_inner: false,
        }
    }
}

impl CommonOptions {
    fn build(
        self,
        section: &Section<'_>,
        start: Option<Needles>,
        problems: &mut Problems,
    ) -> Common {
        let ignore = bytes(&self.ignore).unwrap_or_else(|error| {
            problems.notation(section, "ignore", error);
            Vec::new()
        });
        if start
            .as_ref()
            .is_some_and(|start| start.first_bytes().iter().any(|byte| ignore.contains(byte)))
        {
            problems.member(
                section,
                "ignore",
                "a byte with which frames start cannot be ignored between them",
            );
        }
        if self.max_bytes == 0 {
            problems.member(section, "maxBytes", "must be at least 1");
        }
        if self.incomplete_timeout_ms == 0 {
            problems.member(section, "incompleteTimeoutMs", "must be at least 1");
        }
        Common {
            ignore,
            start,
            max_bytes: self.max_bytes,
            body: match self.body {
                BodyOption::At(offset) => Body::At(offset),
                BodyOption::Word(BodyWord::After) => Body::After,
            },
            closes_when_too_long: self.on_too_long == Some(OnTooLong::Close),
            insists_on_resync: self.on_too_long == Some(OnTooLong::Resync),
            incomplete_timeout: Duration::from_millis(self.incomplete_timeout_ms),
            is_inner: false,
        }
    }
}

/// A kind's framer within the common rules.
#[derive(Debug)]
pub(super) struct Bounded {
    framing: Framing,
    kind: Box<dyn Framer>,
    /// The most bytes that a frame may take.
    maximum: usize,
    /// Bytes that the kind gets to see: what lies behind must not decide.
    window: usize,
}

impl Bounded {
    /// At the beginning of a connection.
    pub fn new(framing: &Framing) -> Self {
        Self::with(framing, framing.0.kind.framer())
    }

    /// In the middle of a connection.
    pub fn later(framing: &Framing) -> Self {
        Self::with(framing, framing.0.kind.later_framer())
    }

    fn with(framing: &Framing, framer: Box<dyn Framer>) -> Self {
        let Parts { common, kind } = &*framing.0;
        let maximum = common.max_bytes.saturating_sub(kind.taken_before());
        Bounded {
            framing: framing.clone(),
            kind: framer,
            maximum,
            window: maximum.saturating_add(kind.lookahead()),
        }
    }

    /// What comes before a frame's own bytes: ignored bytes, garbage, or a start that is not complete.
    fn before<'b>(&self, bytes: &'b [u8], more: More) -> Option<Step<'b>> {
        let common = &self.framing.0.common;
        let ignored = bytes
            .iter()
            .take_while(|byte| common.ignore.contains(byte))
            .count();
        if ignored > 0 {
            return Some(Step::Skip {
                count: ignored,
                why: Skipped::Ignored,
            });
        }
        if bytes.is_empty() {
            return Some(Step::Need(1));
        }
        let start = common.start.as_ref()?;
        match start.at(bytes, more == More::Yes) {
            Match::Full(_) => None,
            Match::Partial => Some(Step::Need(bytes.len().saturating_add(1))),
            Match::No => Some(Step::Skip {
                count: garbage(start, bytes),
                why: Skipped::Garbage,
            }),
        }
    }

    /// The frame behind its start. What lies behind the maximum may only show that a frame within
    /// it has ended: so it makes no difference how much has come already.
    fn within<'b>(&mut self, bytes: &'b [u8], more: More) -> Step<'b> {
        let (head, more_behind) = cut(bytes, self.maximum, more);
        match self.kind.next(head, more_behind) {
            Step::Need(needed) if needed > self.maximum => self.at_the_maximum(bytes, more),
            step => step,
        }
    }

    /// The frame is not whole within the maximum. One that waits only to see whether a longer end
    /// follows is not too long yet.
    fn at_the_maximum<'b>(&mut self, bytes: &'b [u8], more: More) -> Step<'b> {
        let (window, more) = cut(bytes, self.window, more);
        let waits = match self.kind.next(window, more) {
            Step::Frame { take, frame, body } if take <= self.maximum => {
                return Step::Frame { take, frame, body };
            }
            Step::Need(_) => window.len() == bytes.len(),
            Step::Frame { .. } | Step::Skip { .. } | Step::Broken(_) => false,
        };
        let ended = if waits {
            self.kind.next(window, More::Closed)
        } else {
            Step::Need(usize::MAX)
        };
        match ended {
            Step::Frame { take, .. } if take <= self.maximum => {
                Step::Need(bytes.len().saturating_add(1))
            }
            _ => Step::Broken(Broken::TooLong {
                maximum: self.framing.0.common.max_bytes,
            }),
        }
    }

    /// Ignored bytes are skipped as such also where they come after garbage.
    fn up_to_ignored(&self, bytes: &[u8], count: usize) -> usize {
        let ignore = &self.framing.0.common.ignore;
        let ignored = bytes
            .iter()
            .take(count)
            .position(|byte| ignore.contains(byte));
        ignored.unwrap_or(count)
    }
}

/// At most so many of the bytes, and whether more may come behind them.
fn cut(bytes: &[u8], most: usize, more: More) -> (&[u8], More) {
    match bytes.get(..most) {
        Some(head) if head.len() < bytes.len() => (head, More::Yes),
        _ => (bytes, more),
    }
}

/// How many bytes come before the next place where a frame starts or may start.
pub(super) fn garbage(start: &Needles, bytes: &[u8]) -> usize {
    match start.find(bytes, 1, true) {
        Found::At(place, _) | Found::Maybe(place) => place,
        Found::Nowhere => bytes.len(),
    }
}

impl Framer for Bounded {
    fn next<'b>(&mut self, bytes: &'b [u8], more: More) -> Step<'b> {
        let step = match self.before(bytes, more) {
            Some(step) => step,
            None => self.within(bytes, more),
        };
        match step {
            Step::Frame { take, frame, body } => {
                let body = match self.framing.0.common.body {
                    Body::At(offset) => offset,
                    Body::After => body,
                };
                let body = body.min(frame.len());
                Step::Frame { take, frame, body }
            }
            Step::Skip {
                count,
                why: Skipped::Garbage,
            } => Step::Skip {
                count: self.up_to_ignored(bytes, count),
                why: Skipped::Garbage,
            },
            step => step,
        }
    }

    fn resync(&self) -> Resync {
        match self.kind.resync() {
            Resync::Never if self.framing.0.common.start.is_some() => Resync::Start,
            own => own,
        }
    }

    fn consumed(&mut self, count: usize) {
        self.kind.consumed(count);
    }

    fn attach(&mut self, caller: &Caller) {
        self.kind.attach(caller);
    }

    fn drop_broken(&mut self, bytes: &[u8]) -> (usize, bool) {
        match self.resync() {
            Resync::Start => (bytes.len().min(1), true),
            Resync::End | Resync::Never => self.kind.drop_broken(bytes),
        }
    }

    fn idle(&self) -> Option<Duration> {
        self.kind.idle()
    }
}
