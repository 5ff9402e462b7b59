use super::*;

/// Runs a spool on a real thread until nothing is under way.
async fn run(spool: &mut Spool<Told>, worker: &mut Worker, now: Instant) {
    let mut under_way = 0;
    loop {
        while let Some(job) = spool.job(now) {
            worker.give(job).unwrap();
            under_way += 1;
        }
        if under_way == 0 {
            return;
        }
        spool.finished(worker.outcome().await.unwrap(), now);
        under_way -= 1;
    }
}

#[tokio::test]
async fn many_segments_that_end_at_once_are_deleted() {
    let mut bench = stored(0..800);
    bench.work();
    assert!(
        bench.disk.segments().len() > 40,
        "{:?}",
        bench.disk.segments()
    );
    let (mut worker, found) = Worker::start(bench.disk.plugged(), whose()).await.unwrap();
    let limits = Limits {
        max_age: Some(Duration::from_secs(10)),
        ..limits()
    };
    let mut spool = Spool::recovered(found, limits, bench.now);
    run(&mut spool, &mut worker, bench.now).await;
    bench.advance(20_000);
    run(&mut spool, &mut worker, bench.now).await;
    assert_eq!(spool.given_up().outputs.values().sum::<u64>(), 800);
    assert!(
        bench.disk.segments().is_empty(),
        "{:?}",
        bench.disk.segments()
    );
    worker.end().await;
}

#[tokio::test]
async fn a_thread_that_has_too_much_is_told_from_one_that_is_gone() {
    let disk = TrialDisk::default();
    let (worker, _) = Worker::start(disk.plugged(), whose()).await.unwrap();
    let probe = || Job::Probe { keep_free: 0 };
    // Nobody takes the outcomes, so that it stops somewhere.
    let refused = (0..100).find_map(|_| worker.give(probe()).err()).unwrap();
    assert!(refused.to_string().contains("too many"), "{refused}");
}
