//! What messages hold that are on disk.

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
