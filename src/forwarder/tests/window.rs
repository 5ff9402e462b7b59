//! How much is outstanding.

use super::*;
use crate::northbound::MOST_OUTSTANDING;

#[tokio::test]
async fn the_window_is_kept_full_and_refilled_one_for_one() {
    let disk = TrialDisk::default();
    let mut bench = bench(terms(&[]), &disk).await;
    let (link, metrics) = (bench.link.clone(), bench.metrics.clone());
    let mut outboxes = [(); 3].map(|()| outbox(&bench.submitter).0);
    let script = async {
        let mut session = up(&link).await;
        for (outbox, count) in outboxes.iter_mut().zip([200, 200, 100]) {
            submit(outbox, "o", &vec!["x"; count], None).await;
        }
        taken_over(&metrics, "o", 500).await;
        assert_eq!(session.len(), MOST_OUTSTANDING);
        for left in (0..500).rev() {
            let (id, _) = parcel(&mut session).await;
            let before = session.len();
            deliver(&link, id).await;
            drop(link.reserve_many(100).await);
            until("the parcel is done", || {
                metrics.accounts()["o"].delivered == 500 - left
            })
            .await;
            let refilled = u64::from(left >= 200);
            assert_eq!(
                session.len() as u64,
                before as u64 + refilled,
                "{left} left"
            );
        }
    };
    beside(&mut bench.forwarder, script).await;
}

#[tokio::test]
async fn a_batch_that_is_due_waits_in_front_until_the_window_has_room() {
    let disk = TrialDisk::default();
    let mut bench = bench(terms(&[("held", batching(4096, 1))]), &disk).await;
    let (link, metrics, clock) = (
        bench.link.clone(),
        bench.metrics.clone(),
        bench.forwarder.clock,
    );
    let (mut held, _) = outbox(&bench.submitter);
    let (mut others, _) = outbox(&bench.submitter);
    let script = async {
        let mut session = up(&link).await;
        submit(&mut held, "held", &["h"], None).await;
        submit(&mut others, "o", &["x"; 210], None).await;
        taken_over(&metrics, "o", 210).await;
        let begun = clock.now().monotonic;
        let due = begun + Duration::from_millis(1);
        until("the batch is due", || clock.now().monotonic > due).await;
        let mut batch = None;
        for n in 0..210 {
            let (id, text) = parcel(&mut session).await;
            deliver(&link, id).await;
            if text == "[h]" {
                batch = Some(n);
            }
        }
        batch.expect("before the last of the others")
    };
    let place = beside(&mut bench.forwarder, script).await;
    assert!(
        place <= 201,
        "as soon as there was room, but number {place}"
    );
}
