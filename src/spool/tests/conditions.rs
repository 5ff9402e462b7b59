use super::*;

fn is_full(bench: &Bench) -> bool {
    matches!(bench.spool.condition(), Condition::Full(_))
}

fn is_failing(bench: &Bench) -> bool {
    matches!(bench.spool.condition(), Condition::Failing(_))
}

#[test]
fn edgehub_keeps_its_part_of_the_disk() {
    let mut bench = Bench::new(Limits {
        min_free_bytes: 1000,
        ..limits()
    });
    bench.disk.set_free(1050);
    bench.store(0..1);
    assert!(is_full(&bench));
    let told = bench.spool.condition().clone();
    bench.disk.set_free(1020);
    bench.advance(1000);
    bench.work();
    assert_eq!(*bench.spool.condition(), told, "the same is told once");
    bench.disk.set_free(2000);
    bench.advance(1000);
    bench.work();
    assert_eq!(*bench.spool.condition(), Condition::Good);
    assert!(bench.spool.is_written());
}

#[test]
fn a_disk_that_works_again_is_good_though_nothing_is_written() {
    for full in [true, false] {
        let mut bench = Bench::new(Limits {
            min_free_bytes: 1000,
            ..limits()
        });
        bench.disk.set_free(if full { 10 } else { u64::MAX });
        bench.disk.fail(!full);
        bench.store(0..1);
        assert_eq!((is_full(&bench), is_failing(&bench)), (full, !full));
        bench.drain();
        bench.advance(1000);
        bench.work();
        assert_eq!((is_full(&bench), is_failing(&bench)), (full, !full));
        bench.disk.set_free(u64::MAX);
        bench.disk.fail(false);
        bench.work_until_good();
        assert!(!bench.disk.files().contains_key("probe"));
    }
}

#[test]
fn a_batch_under_way_is_waited_for_and_not_asked_for() {
    let mut bench = Bench::new(limits());
    bench.append("o", NORMAL, "000");
    bench.advance(200);
    bench.begin();
    assert_eq!(bench.under_way.len(), 1);
    bench.append("o", NORMAL, "001");
    bench.advance(500);
    // It does not spin, as this looks for.
    bench.begin();
    let deadline = bench.spool.deadline();
    assert!(deadline.is_none_or(|deadline| deadline > bench.now + Duration::from_secs(20)));
    bench.work();
    assert!(bench.spool.is_written());
}

#[test]
fn the_end_of_the_process_does_not_hammer_a_failing_disk() {
    let mut bench = Bench::new(limits());
    bench.append("o", NORMAL, "000");
    bench.disk.fail(true);
    bench.spool.flush();
    bench.work();
    let before = bench.disk.operations();
    for _ in 0..100 {
        bench.spool.flush();
        bench.work();
    }
    assert_eq!(bench.disk.operations(), before);
    bench.disk.fail(false);
    bench.advance(1000);
    bench.spool.flush();
    bench.work();
    assert!(bench.spool.is_written());
}

#[test]
fn reads_that_fail_are_told_at_once_and_given_up_in_time() {
    let mut bench = stored(0..800);
    let segments = bench.disk.segments().len();
    assert!(segments > 40);
    bench.disk.fail_reads(true);
    let mut read_before = 0;
    while let Some(read) = bench.spool.read() {
        bench.done(&read);
        read_before += 1;
    }
    bench.work();
    assert!(is_failing(&bench));
    assert_eq!(bench.unreadable, 0, "told before anything is given up");
    bench.append("o", NORMAL, "new");
    let begin = bench.now;
    let read = (0..1000).find_map(|_| {
        bench.now = bench.spool.deadline().expect("it goes on");
        bench.work();
        bench.spool.read()
    });
    let read = read.expect("what is in memory comes in the end");
    assert_eq!(text(&read.message), "new");
    bench.done(&read);
    let took = bench.now - begin;
    assert!(took < Duration::from_secs(60), "{took:?}");
    assert_eq!(bench.unreadable, 800 - read_before);
    assert!(bench.disk.segments().len() >= segments, "all stay");
    bench.disk.fail_reads(false);
    bench.work_until_good();
    bench.advance(1000);
    bench.work();
    let left = bench.restart().drain();
    assert!(left.len() as u64 >= 800 - read_before);
    assert_eq!(left.last().unwrap(), "799");
}

#[test]
fn a_failing_delete_is_tried_again_and_not_at_once() {
    let mut bench = stored(0..40);
    bench.disk.fail_deletes(true);
    bench.drain();
    let before = bench.disk.segments();
    bench.disk.fail_deletes(false);
    bench.advance(30_000);
    bench.work();
    assert!(bench.disk.segments().len() < before.len());
}

#[test]
fn a_file_that_cannot_be_deleted_holds_up_no_other_and_is_tried_ever_more_rarely() {
    let mut bench = stored(0..40);
    let first = bench.disk.segments().remove(0);
    let reads: Vec<Read> = (0..40).filter_map(|_| bench.read()).collect();
    bench.disk.fail_file(Some(&first));
    for read in &reads {
        bench.done(read);
        bench.work();
    }
    let left = bench.disk.segments();
    assert_eq!(
        (left.len(), &left[0]),
        (2, &first),
        "one takes more records"
    );
    let before = bench.disk.operations();
    for _ in 0..120 {
        bench.advance(500);
        bench.work();
    }
    // The note of what is done is one more.
    let operations = bench.disk.operations() - before;
    assert!((4..=8).contains(&operations), "{operations}");
    bench.disk.fail_file(None);
    bench.advance(30_000);
    bench.work();
    assert_eq!(bench.disk.segments().len(), 1);
}

#[test]
fn attempts_on_a_disk_that_takes_nothing_leave_nothing_that_counts() {
    type Fault = fn(&TrialDisk, bool);
    let faults: [Fault; 2] = [TrialDisk::fail, TrialDisk::read_only];
    for fault in faults {
        let mut bench = Bench::new(limits());
        fault(&bench.disk, true);
        bench.store(0..5);
        for _ in 0..100 {
            bench.advance(30_000);
            bench.work();
        }
        assert_eq!(bench.spool.disk_bytes(), 0);
        assert!(is_failing(&bench), "{:?}", bench.spool.condition());
        fault(&bench.disk, false);
        bench.work_until_good();
        assert!(bench.spool.is_written());
        assert_eq!(bench.drain(), numbers(0..5));
    }
}

/// Appends messages and gives the disk what there is to do; it does nothing.
fn hang(drop_oldest: bool) -> Bench {
    let mut bench = Bench::new(Limits {
        memory_bytes: 40 * message("o", "000").cost(),
        drop_oldest,
        ..limits()
    });
    for text in numbers(0..39) {
        bench.append("o", NORMAL, &text);
    }
    bench.advance(200);
    bench.begin();
    bench
}

#[test]
fn a_disk_that_does_not_answer_is_told_until_it_answers() {
    let mut bench = hang(false);
    bench.advance(29_000);
    bench.begin();
    assert_eq!(*bench.spool.condition(), Condition::Good);
    bench.now = bench.spool.deadline().expect("it looks after the disk");
    bench.begin();
    let told = Condition::Failing("it does not answer".to_owned());
    assert_eq!(*bench.spool.condition(), told);
    bench.work();
    assert_eq!(*bench.spool.condition(), Condition::Good);
    assert_eq!(bench.spool.deadline(), None);
    // A disk that takes its time answers.
    for _ in 0..5 {
        bench.append("o", NORMAL, "x");
        bench.advance(20_000);
        bench.begin();
        assert_eq!(*bench.spool.condition(), Condition::Good);
        bench.end_one();
    }
}

#[test]
fn while_the_disk_does_not_answer_the_oldest_in_memory_go_that_it_was_not_given() {
    let mut bench = hang(true);
    bench.advance(30_000);
    bench.begin();
    let dropped = bench.given_up();
    assert!((8..14).contains(&dropped), "{dropped}");
    bench.wanted.store(2, Ordering::Relaxed);
    bench.spool.want_memory();
    bench.begin();
    assert_eq!(bench.given_up(), 2);
    bench.work();
    assert_eq!(*bench.spool.condition(), Condition::Good);
    assert_eq!(bench.kept(), 37 - dropped);
    let texts = bench.restart_written().drain();
    assert_eq!(texts.len() as u64, 37 - dropped);
    assert_eq!((&*texts[0], &*texts[texts.len() - 1]), ("000", "038"));
}

#[test]
fn the_position_is_written_once_a_second_at_most() {
    let mut bench = stored(0..100);
    let before = bench.disk.writes("position");
    // 100 messages in 5 s.
    while let Some(read) = bench.read_now() {
        bench.done(&read);
        bench.advance(50);
        bench.work();
    }
    let writes = bench.disk.writes("position") - before;
    assert!((4..=6).contains(&writes), "{writes}");
}

#[test]
fn a_shorter_age_counts_at_once() {
    let mut bench = stored(0..10);
    let old = |seconds| Limits {
        max_age: Some(Duration::from_secs(seconds)),
        ..limits()
    };
    bench.spool.limit(old(100_000));
    bench.work();
    bench.advance(20_000);
    bench.spool.limit(old(10));
    bench.work();
    assert_eq!(bench.given_up(), 10);
}

#[test]
fn the_next_read_is_under_way_before_the_last_one_is_used_up() {
    let mut bench = Bench::new(Limits {
        sizes: Sizes {
            read: 4000,
            ..limits().sizes
        },
        ..limits()
    });
    bench.store(0..100);
    let mut early = 0;
    loop {
        bench.begin();
        let reads = |job: &Job| matches!(job, Job::Read { .. });
        let under_way = bench.under_way.iter().any(reads);
        match bench.spool.read() {
            Some(read) => {
                early += usize::from(under_way);
                bench.done(&read);
            }
            None if bench.end_one() => {}
            None => break,
        }
    }
    assert!(bench.spool.is_empty());
    assert!(early > 10, "{early} messages");
}
