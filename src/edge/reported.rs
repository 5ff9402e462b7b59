//! Reported properties on their way: one patch at a time, in order, none forgotten by a reconnect.

use std::collections::VecDeque;
use std::time::Instant;

use serde_json::Value;

use super::twin::Pace;

/// Patches that may wait; beyond, the oldest is given up.
const MAX_WAITING: usize = 16;
/// A patch that edgeHub cannot take so often is given up.
const MAX_ATTEMPTS: u32 = 5;

/// The queue of patches.
#[derive(Clone, Debug)]
pub struct Reported {
    pace: Pace,
    waiting: VecDeque<Value>,
    asked: Option<(String, Instant)>,
    not_before: Option<Instant>,
    failures: u32,
    sent: u64,
}

/// What an answer came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Not an answer to a patch that is open.
    NotOurs,
    /// edgeHub has it.
    Taken,
    /// It will be sent again.
    Again,
    /// It was refused and is given up.
    GivenUp,
}

impl Reported {
    /// An empty queue.
    pub fn new(pace: Pace) -> Self {
        Self {
            pace,
            waiting: VecDeque::new(),
            asked: None,
            not_before: None,
            failures: 0,
            sent: 0,
        }
    }

    /// Queues a patch.
    pub fn push(&mut self, patch: Value) {
        if self.waiting.len() >= MAX_WAITING && self.asked.is_none() {
            self.waiting.pop_front();
        }
        self.waiting.push_back(patch);
        if self.waiting.len() > MAX_WAITING {
            self.waiting.remove(1);
        }
    }

    /// The session is over: what was not answered is sent again on the next one.
    pub fn disconnected(&mut self) {
        self.asked = None;
        self.not_before = None;
    }

    /// When [`request`](Self::request) is worth calling next.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.asked {
            Some((_, until)) => Some(*until),
            None => self.not_before.filter(|_| !self.waiting.is_empty()),
        }
    }

    /// A patch to be sent now, with its request id.
    pub fn request(&mut self, now: Instant) -> Option<(String, Value)> {
        if self.asked.as_ref().is_some_and(|(_, until)| now >= *until) {
            self.failed(now);
        }
        if self.asked.is_some() || self.not_before.is_some_and(|at| now < at) {
            return None;
        }
        let patch = self.waiting.front()?.clone();
        self.sent += 1;
        let rid = format!("patch-{}", self.sent);
        self.asked = Some((rid.clone(), now + self.pace.answer));
        Some((rid, patch))
    }

    /// Takes an answer.
    pub fn response(&mut self, now: Instant, rid: &str, status: u16) -> Reply {
        if self.asked.as_ref().is_none_or(|(asked, _)| asked != rid) {
            return Reply::NotOurs;
        }
        if (200..300).contains(&status) {
            self.done();
            return Reply::Taken;
        }
        if status == 400 || self.failures + 1 >= MAX_ATTEMPTS {
            self.done();
            return Reply::GivenUp;
        }
        self.failed(now);
        Reply::Again
    }

    fn done(&mut self) {
        self.waiting.pop_front();
        self.failures = 0;
        self.disconnected();
    }

    fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.asked = None;
        self.not_before = Some(now + self.pace.pause(self.failures));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    const PACE: Pace = Pace {
        answer: Duration::from_secs(60),
        first: Duration::from_secs(2),
        longest: Duration::from_secs(300),
    };

    #[expect(
        clippy::disallowed_methods,
        reason = "any moment will do to count from"
    )]
    fn bench() -> (Reported, Instant) {
        let mut reported = Reported::new(PACE);
        reported.push(json!({"a": 1}));
        reported.push(json!({"a": 2}));
        (reported, Instant::now())
    }

    #[test]
    fn one_at_a_time_and_in_order() {
        let (mut reported, now) = bench();
        let (rid, patch) = reported.request(now).unwrap();
        assert_eq!(patch, json!({"a": 1}));
        assert_eq!(reported.request(now), None);
        assert_eq!(reported.response(now, "other", 204), Reply::NotOurs);
        assert_eq!(reported.response(now, &rid, 204), Reply::Taken);
        assert_eq!(reported.request(now).unwrap().1, json!({"a": 2}));
    }

    #[test]
    fn an_unanswered_patch_goes_again_on_the_next_session() {
        let (mut reported, now) = bench();
        reported.request(now).unwrap();
        reported.disconnected();
        assert_eq!(reported.request(now).unwrap().1, json!({"a": 1}));
    }

    #[test]
    fn a_refused_patch_does_not_hold_up_the_next() {
        let (mut reported, now) = bench();
        let (rid, _) = reported.request(now).unwrap();
        assert_eq!(reported.response(now, &rid, 400), Reply::GivenUp);
        assert_eq!(reported.request(now).unwrap().1, json!({"a": 2}));
    }

    #[test]
    fn trouble_at_edge_hub_is_tried_again_a_few_times() {
        let (mut reported, mut now) = bench();
        for _ in 0..4 {
            let (rid, _) = reported.request(now).unwrap();
            assert_eq!(reported.response(now, &rid, 500), Reply::Again);
            assert_eq!(reported.request(now), None);
            now = reported.deadline().unwrap();
        }
        let (rid, _) = reported.request(now).unwrap();
        assert_eq!(reported.response(now, &rid, 500), Reply::GivenUp);
    }

    #[test]
    fn the_queue_is_bounded_and_keeps_the_newest() {
        let (mut reported, now) = bench();
        reported.request(now).unwrap();
        for n in 3..100 {
            reported.push(json!({ "a": n }));
        }
        assert_eq!(reported.waiting.len(), MAX_WAITING);
        assert_eq!(reported.waiting.front(), Some(&json!({"a": 1})));
        assert_eq!(reported.waiting.back(), Some(&json!({"a": 99})));
    }
}
