//! The desired properties of the module's twin, kept exact over reconnects, gaps and lost answers.
//!
//! The rule: subscribe, then GET; patches that arrive meanwhile wait; a version that is not newer
//! is ignored, a gap asks for the whole again; so does every reconnect, for edgeHub keeps no patch
//! for a client that is away. An empty document without a version says only that edgeHub itself
//! knows nothing yet: it wipes nothing.

use std::time::{Duration, Instant};

use serde_json::{Map, Value};

/// More patches than this while an answer is awaited are forgotten; the gap asks for the whole again.
const MAX_WAITING: usize = 16;

/// The desired properties as the twin has them.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// The whole document, without `$version`.
    pub document: Value,
    /// Its version; absent when edgeHub gave none.
    pub version: Option<i64>,
}

/// How long to wait for answers and between questions.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// For an answer.
    pub answer: Duration,
    /// Before the first repetition; doubles with each further one.
    pub first: Duration,
    /// Between repetitions, at most.
    pub longest: Duration,
}

impl Pace {
    /// How long to wait after so many failures in a row, from 1.
    pub fn pause(&self, failures: u32) -> Duration {
        let factor = 1u32 << failures.saturating_sub(1).min(16);
        self.first.saturating_mul(factor).min(self.longest)
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Patch {
    members: Value,
    version: Option<i64>,
}

#[derive(Clone, Debug)]
enum State {
    /// No session.
    Away,
    /// The whole document is to be asked for at that moment.
    Due(Instant),
    /// Asked, and until when the answer is awaited.
    Asked { rid: String, until: Instant },
    /// edgeHub knows no twin yet: asked again then, or at the first patch.
    Unknown(Instant),
    /// The document is the twin's.
    Current,
}

/// The state machine. Time is passed in; what it wants to send is asked of it.
#[derive(Clone, Debug)]
pub struct Twin {
    pace: Pace,
    state: State,
    desired: Option<Desired>,
    /// Whether edgeHub has said the document once since the start.
    confirmed: bool,
    waiting: Vec<Patch>,
    failures: u32,
    asked: u64,
}

/// What an answer to GET came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Answered {
    /// Not an answer to a question that is open.
    NotOurs,
    /// The document is another one now, or is confirmed for the first time.
    Changed(Desired),
    /// The document is what it was.
    Same,
    /// edgeHub does not know the twin yet; what is known stays.
    Unknown,
    /// No usable answer; it is asked again.
    Failed,
}

impl Twin {
    /// A twin that begins with the document kept from the last run.
    pub fn new(stored: Option<Desired>, pace: Pace) -> Self {
        Self {
            pace,
            state: State::Away,
            desired: stored,
            confirmed: false,
            waiting: Vec::new(),
            failures: 0,
            asked: 0,
        }
    }

    /// The subscriptions stand: the whole document is due.
    pub fn connected(&mut self, now: Instant) {
        self.failures = 0;
        self.state = State::Due(now);
    }

    /// The session is over.
    pub fn disconnected(&mut self) {
        self.waiting.clear();
        self.state = State::Away;
    }

    /// When [`request`](Self::request) is worth calling next.
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Due(at) | State::Unknown(at) | State::Asked { until: at, .. } => Some(at),
            State::Away | State::Current => None,
        }
    }

    /// The id of a GET to be sent now, if one is due.
    pub fn request(&mut self, now: Instant) -> Option<String> {
        if let State::Asked { until, .. } = self.state
            && now >= until
        {
            self.failed(now);
        }
        match self.state {
            State::Due(at) | State::Unknown(at) if now >= at => {}
            _ => return None,
        }
        self.asked += 1;
        let rid = format!("get-{}", self.asked);
        self.state = State::Asked {
            rid: rid.clone(),
            until: now + self.pace.answer,
        };
        Some(rid)
    }

    /// Takes the answer to a GET.
    pub fn response(&mut self, now: Instant, rid: &str, status: u16, body: &[u8]) -> Answered {
        match &self.state {
            State::Asked { rid: asked, .. } if asked == rid => {}
            _ => return Answered::NotOurs,
        }
        match whole(body).filter(|_| status == 200) {
            Some(desired) => self.replaced(now, desired),
            None => {
                self.failed(now);
                Answered::Failed
            }
        }
    }

    /// Takes a change; gives the whole document when it is another one now.
    pub fn patch(&mut self, now: Instant, version: Option<i64>, body: &[u8]) -> Option<Desired> {
        let patch = patch(version, body);
        match self.state {
            State::Current => match self.apply(&patch) {
                Applied::Merged => self.desired.clone(),
                Applied::Old => None,
                Applied::Gap => {
                    self.wait_with(patch);
                    self.state = State::Due(now);
                    None
                }
            },
            State::Unknown(_) => {
                self.wait_with(patch);
                self.state = State::Due(now);
                None
            }
            State::Away | State::Due(_) | State::Asked { .. } => {
                self.wait_with(patch);
                None
            }
        }
    }

    /// Forgets the older ones when there are too many: the newest is enough to notice the gap.
    fn wait_with(&mut self, patch: Patch) {
        if self.waiting.len() >= MAX_WAITING {
            self.waiting.clear();
        }
        self.waiting.push(patch);
    }

    fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.state = State::Due(now + self.pace.pause(self.failures));
    }

    fn replaced(&mut self, now: Instant, desired: Desired) -> Answered {
        if desired.version.is_none() && is_empty(&desired.document) {
            self.state = State::Unknown(now + self.pace.longest);
            return Answered::Unknown;
        }
        let before = self.desired.replace(desired);
        self.state = State::Current;
        self.catch_up(now);
        if self.desired == before && self.confirmed {
            return Answered::Same;
        }
        self.confirmed = true;
        match &self.desired {
            Some(desired) => Answered::Changed(desired.clone()),
            None => Answered::Same,
        }
    }

    /// Applies what waited; a gap that is left asks again, slower each time.
    fn catch_up(&mut self, now: Instant) {
        let versioned = self
            .desired
            .as_ref()
            .is_some_and(|desired| desired.version.is_some());
        let waiting = std::mem::take(&mut self.waiting);
        for patch in waiting.into_iter().filter(|_| versioned) {
            if !self.waiting.is_empty() || self.apply(&patch) == Applied::Gap {
                self.waiting.push(patch);
            }
        }
        match self.waiting.is_empty() {
            true => self.failures = 0,
            false => self.failed(now),
        }
    }

    fn apply(&mut self, patch: &Patch) -> Applied {
        let Some(desired) = &mut self.desired else {
            return Applied::Gap;
        };
        match (desired.version, patch.version) {
            (Some(current), Some(new)) if new <= current => Applied::Old,
            (Some(current), Some(new)) if current.checked_add(1) == Some(new) => {
                merge(&mut desired.document, &patch.members);
                desired.version = Some(new);
                Applied::Merged
            }
            _ => Applied::Gap,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Applied {
    Merged,
    Old,
    Gap,
}

/// The desired section of a twin document.
fn whole(body: &[u8]) -> Option<Desired> {
    let mut twin: Value = serde_json::from_slice(body).ok()?;
    let mut document = twin.get_mut("desired")?.take();
    let version = take_version(document.as_object_mut()?);
    Some(Desired { document, version })
}

/// A patch that cannot be read has no version: it asks for the whole again.
fn patch(version: Option<i64>, body: &[u8]) -> Patch {
    match serde_json::from_slice(body) {
        Ok(Value::Object(mut members)) => {
            let version = take_version(&mut members).or(version);
            Patch {
                members: Value::Object(members),
                version,
            }
        }
        _ => Patch {
            members: Value::Null,
            version: None,
        },
    }
}

fn take_version(document: &mut Map<String, Value>) -> Option<i64> {
    let version = document
        .remove("$version")
        .and_then(|version| version.as_i64());
    document.remove("$metadata");
    version
}

fn is_empty(document: &Value) -> bool {
    document.as_object().is_some_and(Map::is_empty)
}

/// Merges a patch (RFC 7386): objects member by member, `null` removes, anything else replaces.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(members) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else {
        return;
    };
    for (name, value) in members {
        if value.is_null() {
            target.shift_remove(name);
        } else {
            merge(target.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests;
