use std::time::{Duration, Instant};

use serde_json::json;

use super::*;

const PACE: Pace = Pace {
    answer: Duration::from_secs(60),
    first: Duration::from_secs(2),
    longest: Duration::from_secs(300),
};

struct Bench {
    twin: Twin,
    now: Instant,
}

#[expect(
    clippy::disallowed_methods,
    reason = "any moment will do to count from"
)]
fn bench(stored: Option<Desired>) -> Bench {
    let mut bench = Bench {
        twin: Twin::new(stored, PACE),
        now: Instant::now(),
    };
    bench.twin.connected(bench.now);
    bench
}

fn desired(document: Value, version: i64) -> Desired {
    Desired {
        document,
        version: Some(version),
    }
}

impl Bench {
    fn get(&mut self) -> String {
        self.twin.request(self.now).expect("a GET is due")
    }

    fn answer(&mut self, body: Value) -> Answered {
        let rid = self.get();
        self.twin
            .response(self.now, &rid, 200, body.to_string().as_bytes())
    }

    fn patch(&mut self, body: Value) -> Option<Desired> {
        self.twin.patch(self.now, None, body.to_string().as_bytes())
    }

    fn at_version_5() -> Self {
        let mut bench = bench(None);
        let answered = bench.answer(json!({"desired": {"a": 1, "$version": 5}}));
        assert_eq!(answered, Answered::Changed(desired(json!({"a": 1}), 5)));
        bench
    }
}

#[test]
fn patches_merge_onto_the_document() {
    let mut bench = Bench::at_version_5();
    let now = bench.patch(json!({"b": {"c": 1, "d": null}, "$version": 6}));
    assert_eq!(now, Some(desired(json!({"a": 1, "b": {"c": 1}}), 6)));
    let now = bench.patch(json!({"a": null, "b": [1], "$version": 7}));
    assert_eq!(now, Some(desired(json!({"b": [1]}), 7)));
}

#[test]
fn what_is_not_newer_is_ignored() {
    let mut bench = Bench::at_version_5();
    assert_eq!(bench.patch(json!({"a": 9, "$version": 5})), None);
    assert_eq!(bench.twin.request(bench.now), None);
}

#[test]
fn a_gap_asks_for_the_whole() {
    let mut bench = Bench::at_version_5();
    assert_eq!(bench.patch(json!({"b": 1, "$version": 8})), None);
    let answered = bench.answer(json!({"desired": {"whole": true, "$version": 8}}));
    assert_eq!(
        answered,
        Answered::Changed(desired(json!({"whole": true}), 8))
    );
}

#[test]
fn a_gap_that_stays_is_asked_about_slower_and_slower() {
    let mut bench = Bench::at_version_5();
    bench.patch(json!({"b": 1, "$version": 8}));
    for pause in [2, 4, 8] {
        bench.answer(json!({"desired": {"a": 1, "$version": 5}}));
        assert_eq!(bench.twin.request(bench.now), None);
        bench.now += Duration::from_secs(pause);
    }
}

#[test]
fn patches_wait_for_the_answer() {
    let mut bench = bench(None);
    let rid = bench.get();
    assert_eq!(bench.patch(json!({"b": 1, "$version": 5})), None);
    assert_eq!(bench.patch(json!({"b": 2, "$version": 6})), None);
    let body = json!({"desired": {"a": 1, "$version": 5}}).to_string();
    let answered = bench.twin.response(bench.now, &rid, 200, body.as_bytes());
    assert_eq!(
        answered,
        Answered::Changed(desired(json!({"a": 1, "b": 2}), 6))
    );
}

#[test]
fn an_empty_document_without_version_wipes_nothing() {
    let mut bench = bench(Some(desired(json!({"a": 1}), 5)));
    let answered = bench.answer(json!({"desired": {}, "reported": {}}));
    assert_eq!(answered, Answered::Unknown);
    assert_eq!(bench.patch(json!({"b": 1, "$version": 6})), None);
    let answered = bench.answer(json!({"desired": {"a": 1, "b": 1, "$version": 6}}));
    assert_eq!(
        answered,
        Answered::Changed(desired(json!({"a": 1, "b": 1}), 6))
    );
}

#[test]
fn an_empty_document_with_a_version_counts() {
    let mut bench = Bench::at_version_5();
    bench.twin.disconnected();
    bench.twin.connected(bench.now);
    let answered = bench.answer(json!({"desired": {"$version": 6}}));
    assert_eq!(answered, Answered::Changed(desired(json!({}), 6)));
}

#[test]
fn a_reconnect_asks_again_and_says_only_what_changed() {
    let mut bench = Bench::at_version_5();
    bench.twin.disconnected();
    bench.twin.connected(bench.now);
    let answered = bench.answer(json!({"desired": {"a": 1, "$version": 5}}));
    assert_eq!(answered, Answered::Same);
}

#[test]
fn the_stored_document_is_confirmed_once() {
    let mut bench = bench(Some(desired(json!({"a": 1}), 5)));
    let answered = bench.answer(json!({"desired": {"a": 1, "$version": 5}}));
    assert_eq!(answered, Answered::Changed(desired(json!({"a": 1}), 5)));
}

#[test]
fn no_answer_and_a_bad_answer_are_asked_again() {
    let mut bench = bench(None);
    let rid = bench.get();
    assert_eq!(bench.twin.request(bench.now), None);
    bench.now += PACE.answer;
    assert_eq!(bench.twin.request(bench.now), None, "a pause first");
    bench.now += PACE.first;
    let second = bench.get();
    assert_eq!(
        bench.twin.response(bench.now, &rid, 200, b"{}"),
        Answered::NotOurs
    );
    assert_eq!(
        bench.twin.response(bench.now, &second, 500, b""),
        Answered::Failed
    );
    assert_eq!(bench.twin.deadline(), Some(bench.now + PACE.first * 2));
}

#[test]
fn more_patches_than_can_wait_end_in_the_whole_document() {
    let mut bench = bench(None);
    let rid = bench.get();
    for version in 6..40 {
        bench.patch(json!({"n": version, "$version": version}));
    }
    let body = json!({"desired": {"$version": 5, "n": 5}}).to_string();
    bench.twin.response(bench.now, &rid, 200, body.as_bytes());
    bench.now += PACE.first;
    let answered = bench.answer(json!({"desired": {"n": 39, "$version": 39}}));
    assert_eq!(answered, Answered::Changed(desired(json!({"n": 39}), 39)));
}

#[test]
fn the_last_possible_version_is_no_trouble() {
    let mut bench = bench(None);
    bench.answer(json!({"desired": {"a": 1, "$version": i64::MAX}}));
    assert_eq!(bench.patch(json!({"b": 1, "$version": i64::MIN})), None);
    assert_eq!(bench.patch(json!({"b": 1, "$version": i64::MAX})), None);
}
