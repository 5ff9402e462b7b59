//! Messages that go together: order, bounds, and what a held batch must not hold up.

use super::*;
use crate::northbound::dialect;

const HOUR: u64 = 3_600_000;

/// A message whose text has so many bytes.
fn long(output: &str, bytes: usize) -> Message {
    message(output, &"x".repeat(bytes))
}

fn queue(outbox: &mut Outbox, messages: impl IntoIterator<Item = Message>) {
    for (n, message) in messages.into_iter().enumerate() {
        outbox.queue(Ticket(n as u64 + 1), vec![message], None);
    }
}

/// Takes and acknowledges parcels until so many elements have come; the bytes that edgeHub counts of each.
async fn sizes(
    session: &mut mpsc::Receiver<Parcel>,
    link: &mpsc::Sender<LinkReport>,
    elements: usize,
) -> Vec<usize> {
    let (mut sizes, mut found) = (Vec::new(), 0);
    while found < elements {
        let next = tokio::time::timeout(PATIENCE, session.recv()).await;
        let parcel = next.expect("a parcel in time").unwrap();
        let batch: Vec<serde_json::Value> = serde_json::from_slice(&parcel.payload).unwrap();
        found += batch.len();
        let id = batch[0]["id"].as_str().unwrap();
        sizes.push(dialect::batch_properties(id, "b") + parcel.payload.len());
        deliver(link, parcel.id).await;
    }
    sizes
}

#[tokio::test]
async fn batches_come_near_their_maximum_and_are_never_refused() {
    for (most, bytes) in [(4096, 70), (261_632, 1000)] {
        let disk = TrialDisk::default();
        let terms = terms(&[("b", batching(most, HOUR))]);
        let mut bench = bench_over(terms, Ok(disk.plugged()), 1 << 22).await;
        let (link, metrics) = (bench.link.clone(), bench.metrics.clone());
        let mut outboxes = [(); 4].map(|()| outbox(&bench.submitter).0);
        let script = async {
            let mut session = up(&link).await;
            for outbox in &mut outboxes {
                queue(outbox, (0..200).map(|_| long("b", bytes)));
                outbox.flush().await.unwrap();
            }
            taken_over(&metrics, "b", 800).await;
            let (mut last, _) = outbox(&bench.submitter);
            submit(&mut last, "b", &["last"], Some(Progress::Delivered)).await;
            sizes(&mut session, &link, 801).await
        };
        let mut sizes = beside(&mut bench.forwarder, script).await;
        sizes.pop();
        assert!(sizes.len() > 2, "{sizes:?}");
        for size in sizes {
            assert!((most * 95 / 100..=most).contains(&size), "{size} of {most}");
        }
        let account = bench.metrics.accounts()["b"];
        assert_eq!((account.dead_lettered, account.dropped), (0, 0));
    }
}

#[tokio::test]
async fn changed_settings_keep_the_order_of_an_output() {
    let disk = TrialDisk::default();
    let mut bench = bench(terms(&[("b", batching(4096, HOUR))]), &disk).await;
    let (link, metrics) = (bench.link.clone(), bench.metrics.clone());
    let (mut batched, _) = outbox(&bench.submitter);
    let (mut others, _) = outbox(&bench.submitter);
    let script = async {
        let mut session = up(&link).await;
        submit(&mut batched, "b", &["1", "2"], None).await;
        taken_over(&metrics, "b", 2).await;
        submit(&mut others, "o", &["x"; 200], None).await;
        taken_over(&metrics, "o", 200).await;
        bench.terms.send_replace(Arc::new(terms(&[])));
        submit(&mut batched, "b", &["3"], None).await;
        taken_over(&metrics, "b", 3).await;
        let mut found = Vec::new();
        for _ in 0..202 {
            let (id, text) = parcel(&mut session).await;
            deliver(&link, id).await;
            found.push(text);
        }
        found.split_off(200)
    };
    assert_eq!(beside(&mut bench.forwarder, script).await, ["[1 2]", "3"]);
}

#[tokio::test]
async fn what_is_held_is_safe_on_disk_and_its_room_is_free() {
    let disk = TrialDisk::default();
    let terms = terms(&[("b", batching(261_632, HOUR))]);
    let mut bench = bench_over(terms, Ok(disk.plugged()), 20_000).await;
    let link = bench.link.clone();
    let (mut outbox, said) = outbox(&bench.submitter);
    let script = async {
        let mut session = up(&link).await;
        queue(&mut outbox, (0..100).map(|_| long("b", 100)));
        outbox.flush().await.unwrap();
        submit(&mut outbox, "b", &["stored"], Some(Progress::Stored)).await;
        until("it is stored", || said.lock().unwrap().len() == 1).await;
        assert!(session.is_empty(), "it is held");
        submit(&mut outbox, "b", &["last"], Some(Progress::Delivered)).await;
        sizes(&mut session, &link, 102).await.len()
    };
    assert_eq!(beside(&mut bench.forwarder, script).await, 1);
}

#[tokio::test]
async fn without_a_disk_nothing_is_held() {
    let terms = terms(&[("b", batching(261_632, HOUR))]);
    let mut bench = bench_over(terms, Err("none".to_owned()), 1 << 20).await;
    let link = bench.link.clone();
    let (mut outbox, _) = outbox(&bench.submitter);
    let script = async {
        let mut session = up(&link).await;
        queue(&mut outbox, (0..512).map(|_| long("b", 10)));
        let (flushed, _) = tokio::join!(outbox.flush(), sizes(&mut session, &link, 512));
        flushed.unwrap();
    };
    beside(&mut bench.forwarder, script).await;
}

#[tokio::test]
async fn without_a_disk_a_message_leaves_in_the_turn_that_takes_it_over() {
    let terms = terms(&[("b", batching(4096, HOUR))]);
    let mut bench = bench_over(terms, Err("none".to_owned()), 1 << 20).await;
    let (link, metrics) = (bench.link.clone(), bench.metrics.clone());
    let (mut outbox, _) = outbox(&bench.submitter);
    let script = async {
        let session = up(&link).await;
        submit(&mut outbox, "b", &["1"], None).await;
        taken_over(&metrics, "b", 1).await;
        assert_eq!(session.len(), 1);
    };
    beside(&mut bench.forwarder, script).await;
}

#[tokio::test]
async fn what_is_held_leaves_at_a_stop() {
    let disk = TrialDisk::default();
    let mut bench = bench(terms(&[("b", batching(4096, HOUR))]), &disk).await;
    let (link, metrics) = (bench.link.clone(), bench.metrics.clone());
    let (mut outbox, _) = outbox(&bench.submitter);
    let script = async {
        let session = up(&link).await;
        submit(&mut outbox, "b", &["1", "2"], None).await;
        taken_over(&metrics, "b", 2).await;
        session
    };
    let mut session = beside(&mut bench.forwarder, script).await;
    drop((outbox, bench.submitter));
    let delivered = async {
        let (id, text) = parcel(&mut session).await;
        deliver(&link, id).await;
        text
    };
    let (left, text) = tokio::join!(run(&mut bench.forwarder), delivered);
    let left = left.unwrap();
    assert_eq!((left.spooled, left.lost, text.as_str()), (0, 0, "[1 2]"));
}

#[tokio::test]
async fn a_batch_of_high_priority_goes_before_a_backlog() {
    let disk = TrialDisk::default();
    backlog(&disk, 3000).await;
    let high = OutputTerms {
        priority: Priority::High,
        ..batching(4096, 0)
    };
    let mut bench = bench(terms(&[("alarms", high)]), &disk).await;
    let (link, metrics) = (bench.link.clone(), bench.metrics.clone());
    let (mut outbox, _) = outbox(&bench.submitter);
    let script = async {
        let mut session = up(&link).await;
        until("the window is full", || session.len() == MOST_OUTSTANDING).await;
        submit(&mut outbox, "alarms", &["fire"], None).await;
        taken_over(&metrics, "alarms", 1).await;
        for before in 0.. {
            let (id, text) = parcel(&mut session).await;
            deliver(&link, id).await;
            if text == "[fire]" {
                return before;
            }
        }
        unreachable!("parcels without end")
    };
    // What was sent before, and one message that was on its way.
    assert!(beside(&mut bench.forwarder, script).await <= MOST_OUTSTANDING + 1);
}

#[tokio::test]
async fn a_held_batch_waits_for_room_that_acknowledgements_give() {
    let disk = TrialDisk::default();
    let terms = terms(&[("b", batching(4096, HOUR))]);
    let mut bench = bench_over(terms, Ok(disk.plugged()), 1 << 20).await;
    let link = bench.link.clone();
    let (mut outbox, _) = outbox(&bench.submitter);
    let script = async {
        let mut session = up(&link).await;
        queue(&mut outbox, (0..2000).map(|_| long("b", 100)));
        let flushed = async {
            outbox.flush().await.unwrap();
            submit(&mut outbox, "b", &["last"], Some(Progress::Delivered)).await;
        };
        let ((), sizes) = tokio::join!(flushed, sizes(&mut session, &link, 2001));
        sizes
    };
    let sizes = beside(&mut bench.forwarder, script).await;
    let unfilled = sizes.iter().filter(|size| **size < 3900).count();
    assert!(unfilled <= 1, "{unfilled} of {}: {sizes:?}", sizes.len());
}

/// Messages of an output without batch that a run before has left on disk.
async fn backlog(disk: &TrialDisk, count: u64) {
    let mut bench = bench(terms(&[]), disk).await;
    let (mut outbox, _) = outbox(&bench.submitter);
    let flushed = async {
        queue(&mut outbox, (0..count).map(|_| long("b", 100)));
        outbox.flush().await.unwrap();
    };
    beside(&mut bench.forwarder, flushed).await;
    drop((outbox, bench.submitter));
    let left = run(&mut bench.forwarder).await.unwrap();
    assert_eq!((left.spooled, left.lost), (count, 0));
    bench.forwarder.end().await;
}

#[tokio::test]
async fn batches_of_a_backlog_are_filled_over_all_reads_of_the_disk() {
    let disk = TrialDisk::default();
    backlog(&disk, 3000).await;
    let mut bench = bench(terms(&[("b", batching(4096, 0))]), &disk).await;
    let link = bench.link.clone();
    let script = async {
        let mut session = up(&link).await;
        sizes(&mut session, &link, 3000).await
    };
    let sizes = beside(&mut bench.forwarder, script).await;
    let unfilled = sizes.iter().filter(|size| **size < 3900).count();
    assert!(unfilled <= 1, "{unfilled} of {}: {sizes:?}", sizes.len());
}

#[tokio::test]
async fn a_disk_that_cannot_be_read_holds_no_batch_that_was_begun() {
    let disk = TrialDisk::default();
    backlog(&disk, 8000).await;
    let mut bench = bench(terms(&[("b", batching(4096, 0))]), &disk).await;
    let link = bench.link.clone();
    let script = async {
        let mut session = up(&link).await;
        until("the window is full", || session.len() == 200).await;
        disk.fail(true);
        loop {
            let size = sizes(&mut session, &link, 1).await[0];
            if size < 3900 {
                return;
            }
        }
    };
    beside(&mut bench.forwarder, script).await;
}

#[tokio::test]
async fn a_backlog_waits_for_settings_and_leaves_in_the_shape_that_they_say() {
    let disk = TrialDisk::default();
    backlog(&disk, 3).await;
    let settled = terms(&[("b", batching(4096, 0))]);
    let unsettled = Terms {
        settled: false,
        ..terms(&[])
    };
    let mut bench = bench(unsettled, &disk).await;
    let link = bench.link.clone();
    let script = async {
        let mut session = up(&link).await;
        drop(link.reserve_many(100).await);
        let (mut outbox, _) = outbox(&bench.submitter);
        submit(&mut outbox, "b", &["new"], None).await;
        taken_over(&bench.metrics, "b", 1).await;
        assert!(session.is_empty());
        bench.terms.send_replace(Arc::new(settled));
        sizes(&mut session, &link, 4).await.len()
    };
    assert_eq!(beside(&mut bench.forwarder, script).await, 1);
}
