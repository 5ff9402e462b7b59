//! What messages hold that are on disk, and those that are kept by us for a while.

use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// Somebody waits for edgeHub as long as the connection lives.
#[derive(Clone, Debug)]
struct Claim(Arc<AtomicBool>);

impl Hold for Claim {
    fn written(&mut self) {}

    fn safe(&mut self) {}

    fn waits(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn is_wanted(&self) -> bool {
        false
    }

    fn waits_for_edgehub(&self, _: bool) -> bool {
        self.waits()
    }
}

#[test]
fn what_nobody_waits_for_any_more_is_not_kept_for_as_long_as_its_record_is() {
    let now = crate::clock::Clock::system().now().monotonic;
    let limits = Limits {
        max_bytes: 1 << 30,
        persist: Persist::EachBatch,
        ..limits()
    };
    let mut disk = TrialDisk::default().plugged();
    let found = recover(&mut *disk, &whose()).unwrap();
    let mut spool = Spool::recovered(found, limits, now);
    let stays = Arc::new(AtomicBool::new(true));
    let mut gone = Vec::new();
    for n in 0..2000 {
        let connection = match n % 20 {
            0 => Arc::clone(&stays),
            _ => Arc::new(AtomicBool::new(true)),
        };
        let held = Claim(Arc::clone(&connection));
        spool.append(Priority::Normal, message("o", "text"), held, now);
        while let Some(job) = spool.job(now) {
            let outcome = carry_out(&mut *disk, job);
            spool.finished(outcome, now);
        }
        if !Arc::ptr_eq(&connection, &stays) {
            connection.store(false, Ordering::Relaxed);
            gone.push(Arc::downgrade(&connection));
        }
    }
    let kept = gone.iter().filter(|gone| gone.strong_count() > 0).count();
    assert!(kept <= 200, "{kept} claims of connections that are gone");
    assert_eq!(
        Arc::strong_count(&stays),
        101,
        "the living one has all of its claims"
    );
}

#[test]
fn a_record_that_we_keep_waits_for_edgehub_from_then_on() {
    let run = |text: &str, persist| {
        let mut bench = Bench::new(Limits {
            persist,
            ..limits()
        });
        bench.append("o", Priority::Normal, text);
        let read = bench.spool.read().unwrap();
        let until = bench.now + Duration::from_millis(1000);
        bench.spool.postpone(read.priority, read.sequence, until);
        let mut passed = 0;
        bench.begin();
        while !bench.end_one() {
            bench.advance(50);
            bench.begin();
            passed += 50;
        }
        passed
    };
    // Somebody waits for texts of an even length.
    assert_eq!(run("kept", Persist::Interval), 200);
    assert_eq!(run("lasts", Persist::Interval), 1200);
    assert_eq!(run("lasts", Persist::Never), 1200);
    assert_eq!(run("lasts", Persist::EachBatch), 0);
}

#[test]
fn a_record_that_we_keep_does_not_hide_a_prompt_one_behind_it() {
    let mut bench = Bench::new(limits());
    for text in ["lasts", "other"] {
        bench.append("o", Priority::Normal, text);
    }
    let first = bench.spool.read().unwrap();
    let until = bench.now + Duration::from_millis(1000);
    bench.spool.postpone(first.priority, first.sequence, until);
    let prompt = bench.now + Duration::from_millis(200);
    assert_eq!(bench.spool.deadline(), Some(prompt));
    let second = bench.spool.read().unwrap();
    assert_eq!(bench.spool.deadline(), Some(prompt));
    bench.spool.done(second.priority, second.sequence);
    assert_eq!(
        bench.spool.deadline(),
        Some(until + Duration::from_millis(200))
    );
    bench.spool.done(first.priority, first.sequence);
    assert_eq!(bench.spool.deadline(), None);
}
