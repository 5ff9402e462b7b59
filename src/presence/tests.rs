use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::document::{Problems, Section};
use crate::message::Now;

/// What is known, and moments counted in seconds.
struct Bench {
    known: Known,
    begin: Now,
    inboxes: BTreeMap<&'static str, Inbox>,
}

fn settings(messages: bool, silent: Option<u32>) -> PresenceSettings {
    let mut document = json!({ "messages": messages });
    if let Some(seconds) = silent {
        document["silentSeconds"] = seconds.into();
    }
    let mut problems = Problems::new();
    PresenceSettings::read(&Section::root(&document), &mut problems).unwrap()
}

impl Bench {
    fn new() -> Self {
        let mut known = Known::default();
        known.settle(settings(true, Some(10)));
        Bench {
            known,
            begin: Clock::system().now(),
            inboxes: BTreeMap::new(),
        }
    }

    fn at(&self, second: u64) -> Now {
        let passed = Duration::from_secs(second);
        Now {
            monotonic: self.begin.monotonic + passed,
            utc: self.begin.utc + passed,
        }
    }

    /// `bind 1 scale x`: at second 1 the device `scale` has the connection `x`.
    fn step(&mut self, step: &str) {
        let words: Vec<&'static str> = step
            .split(' ')
            .map(|word| word.to_owned().leak() as &str)
            .collect();
        let now = self.at(words[1].parse().unwrap());
        let device = || Name::from(words[2]);
        match words[0] {
            "bind" => {
                let inbox = self.inboxes.entry(words[3]).or_default();
                self.known.bound(&device(), &inbox.clone(), now);
            }
            "left" => self.known.left(&device(), Some(words[3]), now),
            "beat" => self.inboxes[words[2]].beat(),
            "look" => self.known.look(now),
            "unanswered" => self.known.unanswered(&device(), now),
            "answered" => self.known.answered(&device(), now),
            "forgotten" => self.known.forgotten(&device()),
            "off" => self.known.settle(settings(false, None)),
            "on" => self.known.settle(settings(true, None)),
            other => panic!("{other}"),
        }
    }

    /// What there is to say: `device state since reason`.
    fn said(&mut self) -> Vec<String> {
        let begin = self.begin.utc;
        let changes = self.known.take(100).into_iter();
        let shown = changes.map(|change| {
            let since = change.since.duration_since(begin).as_secs();
            let reason = change
                .reason
                .map(|reason| format!(" {reason}"))
                .unwrap_or_default();
            format!("{} {} {since}{reason}", change.device, change.state.word())
        });
        shown.collect()
    }
}

#[test]
fn only_the_latest_state_of_a_device_is_said_and_each_once() {
    // Steps, and what there is to say behind them.
    let rows: &[&[(&[&str], &[&str])]] = &[
        &[
            (&["bind 1 a x"], &["a connected 1"]),
            (&["bind 2 a x"], &[]),
            (&["left 3 a fin"], &["a disconnected 3 fin"]),
            (&["bind 4 a y"], &["a connected 4"]),
        ],
        // A newer connection is no news, whichever way the older one ends.
        &[
            (&["bind 1 a x"], &["a connected 1"]),
            (&["bind 2 a y"], &[]),
        ],
        // It came back before there was room to say that it had gone.
        &[
            (&["bind 1 a x"], &["a connected 1"]),
            (&["left 2 a reset", "bind 3 a y"], &["a connected 3"]),
            (
                &["left 4 a reset", "bind 5 a z", "left 6 a fin"],
                &["a disconnected 6 fin"],
            ),
        ],
        // The module goes, not the device.
        &[
            (&["bind 1 a x"], &["a connected 1"]),
            (&["left 2 a shutdown"], &[]),
        ],
        &[
            (
                &["bind 1 a x", "bind 1 b y", "look 10"],
                &["a connected 1", "b connected 1"],
            ),
            (&["beat 10 y", "look 11"], &["a silent 1"]),
            (&["look 12"], &[]),
            (&["beat 12 x", "look 13"], &["a connected 13"]),
            (&["look 21"], &["b silent 11"]),
            (&["left 22 b reset"], &["b disconnected 22 reset"]),
            (&["look 60"], &["a silent 13"]),
            (&["bind 61 a z"], &["a connected 61"]),
        ],
        // A unit that does not answer is silent although its connection is not.
        &[
            (
                &["bind 1 m x", "bind 1 m/2 x"],
                &["m connected 1", "m/2 connected 1"],
            ),
            (
                &["unanswered 2 m/2", "beat 2 x", "look 3"],
                &["m/2 silent 2"],
            ),
            (&["unanswered 4 m/2"], &[]),
            (&["answered 5 m/2"], &["m/2 connected 5"]),
            (
                &["unanswered 6 m/2", "left 7 m/2 fin", "answered 8 m/2"],
                &["m/2 disconnected 7 fin"],
            ),
            (
                &["bind 9 m/2 x", "beat 9 x", "look 9"],
                &["m/2 connected 9"],
            ),
        ],
        &[
            (&["off", "bind 1 a x", "bind 1 b x", "left 2 b fin"], &[]),
            (&["forgotten 3 b", "forgotten 3 a"], &[]),
            (&["on"], &["a connected 1"]),
            (&["left 4 a fin", "forgotten 5 a"], &[]),
            (&["look 60"], &[]),
        ],
    ];
    for row in rows {
        let mut bench = Bench::new();
        for (steps, said) in *row {
            for step in *steps {
                let step = if step.contains(' ') {
                    (*step).to_owned()
                } else {
                    format!("{step} 0")
                };
                bench.step(&step);
            }
            assert_eq!(bench.said(), *said, "{steps:?} of {row:?}");
        }
    }
}

#[test]
fn without_a_time_nobody_is_silent_but_who_does_not_answer() {
    let mut bench = Bench::new();
    for step in [
        "bind 1 a x",
        "bind 1 b x",
        "look 30",
        "unanswered 31 b",
        "on 0",
        "look 99",
    ] {
        bench.step(step);
    }
    assert_eq!(bench.said(), ["a connected 99", "b silent 1"]);
}

#[test]
fn a_summary_names_the_twenty_that_went_last() {
    let mut bench = Bench::new();
    for number in 1..=30 {
        bench.step(&format!("bind 0 d{number} x"));
    }
    for number in 1..=25 {
        bench.step(&format!("left {number} d{number} fin"));
    }
    bench.step("unanswered 26 d26");
    let summary = bench.known.summary();
    assert_eq!(
        (summary.connected, summary.silent, summary.disconnected),
        (4, 1, 25)
    );
    assert_eq!(summary.away.len(), 20);
    assert!(summary.away.contains_key("d26") && summary.away.contains_key("d7"));
    assert!(!summary.away.contains_key("d6"));
}
