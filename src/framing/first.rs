//! Another framing for the first frame of a connection.

use std::time::Duration;

use super::bounded::{self, Bounded, Common};
use super::{
    Caller, Explanation, Framer, Framing, More, Resync, Step, Taken, WrapError, only, read_with,
};
use crate::document::{Problems, Section};

/// The members of the kind, beside the common ones.
const MEMBERS: [&str; 3] = ["type", "first", "then"];

/// The kind, read.
#[derive(Clone, Debug)]
pub(super) struct First {
    first: Framing,
    then: Framing,
}

/// Reads the kind's members.
pub(super) fn read(
    section: &Section<'_>,
    without: &[&str],
    common: &Common,
    problems: &mut Problems,
) -> Option<First> {
    if common.is_inner {
        let why =
            "speaks of the connection: it can only be the framing itself, not a part of another";
        problems.member(section, "type", why);
        return None;
    }
    only(section, without, &MEMBERS, problems);
    let first = part(section, "first", common, problems);
    let then = part(section, "then", common, problems);
    Some(First {
        first: first?,
        then: then?,
    })
}

fn part(
    section: &Section<'_>,
    name: &str,
    outer: &Common,
    problems: &mut Problems,
) -> Option<Framing> {
    let Some(part) = section.member(name) else {
        problems.add(section, format!("\"{name}\" is missing: a framing"));
        return None;
    };
    let common = outer.inner(&part, "first", problems);
    read_with(&part, common, &bounded::MEMBERS, problems)
}

impl First {
    pub fn framer(&self) -> FirstFramer {
        FirstFramer {
            then: self.then.clone(),
            framer: Bounded::new(&self.first),
            first: true,
            take: None,
            caller: None,
        }
    }

    /// The framer of all frames but the first.
    pub fn later_framer(&self) -> Bounded {
        Bounded::new(&self.then)
    }

    /// Says how a frame was understood.
    pub fn explain(&self, taken: Taken<'_>, into: &mut Explanation) {
        let (word, framing) = match taken.first {
            true => ("first", &self.first),
            false => ("then", &self.then),
        };
        into.say(format!("first: \"{word}\""));
        framing.explain_in(taken, into);
    }

    /// What we send is framed like the frames that are not the first.
    pub fn wrap(&self, body: &[u8]) -> Result<Vec<u8>, WrapError> {
        self.then.wrap(body)
    }

    /// The framing of all frames but the first.
    pub fn then(&self) -> &Framing {
        &self.then
    }

    fn parts(&self) -> [&Framing; 2] {
        [&self.first, &self.then]
    }

    /// The most that one of the two allows.
    pub fn max_bytes(&self) -> usize {
        let [first, then] = self.parts().map(|part| part.0.common.max_bytes);
        first.max(then)
    }

    /// The most that one of the two needs to see behind a frame.
    pub fn lookahead(&self) -> usize {
        let [first, then] = self.parts().map(|part| part.0.kind.lookahead());
        first.max(then)
    }

    pub fn can_resync(&self) -> bool {
        self.parts().iter().any(|part| part.can_resync())
    }
}

/// Changes the framing when the first frame is taken away.
#[derive(Debug)]
pub(super) struct FirstFramer {
    then: Framing,
    framer: Bounded,
    /// No frame was taken yet.
    first: bool,
    /// Bytes of the frame that the last step gave.
    take: Option<usize>,
    /// For the framer that comes later.
    caller: Option<Caller>,
}

impl Framer for FirstFramer {
    fn next<'b>(&mut self, bytes: &'b [u8], more: More) -> Step<'b> {
        let step = self.framer.next(bytes, more);
        self.take = match step {
            Step::Frame { take, .. } => Some(take),
            Step::Need(_) | Step::Skip { .. } | Step::Broken(_) => None,
        };
        step
    }

    fn consumed(&mut self, count: usize) {
        self.framer.consumed(count);
        // A step may be asked for only to look ahead: then other bytes than its frame go.
        let taken = self.take.take() == Some(count);
        if self.first && taken {
            self.first = false;
            self.framer = Bounded::new(&self.then);
            if let Some(caller) = &self.caller {
                self.framer.attach(caller);
            }
        }
    }

    fn attach(&mut self, caller: &Caller) {
        self.caller = Some(caller.clone());
        self.framer.attach(caller);
    }

    fn resync(&self) -> Resync {
        self.framer.resync()
    }

    fn drop_broken(&mut self, bytes: &[u8]) -> (usize, bool) {
        self.framer.drop_broken(bytes)
    }

    fn idle(&self) -> Option<Duration> {
        self.framer.idle()
    }
}
