use super::*;

fn few(drop_oldest: bool) -> Limits {
    Limits {
        max_bytes: 3000,
        drop_oldest,
        ..limits()
    }
}

#[test]
fn a_full_spool_blocks_or_drops_its_oldest_segment() {
    for drop_oldest in [false, true] {
        let mut bench = Bench::new(few(drop_oldest));
        let mut dropped = 0;
        for n in 0..100 {
            bench.store(n..n + 1);
            dropped += bench.given_up();
            assert!(bench.spool.disk_bytes() <= 3000);
        }
        assert_eq!(dropped > 0, drop_oldest);
        assert_eq!(bench.kept(), 100 - dropped);
        assert_eq!(
            matches!(bench.spool.condition(), Condition::Full(_)),
            !drop_oldest
        );
        assert!(dropped < 75, "{dropped}: no more than is needed");
        let kept = numbers(0..100)[usize::try_from(dropped).unwrap()..].to_vec();
        assert_eq!(bench.drain(), kept);
    }
}

#[test]
fn a_segment_that_is_done_and_as_large_as_all_may_be_makes_room() {
    let mut bench = Bench::new(limits());
    bench.store(0..12);
    assert_eq!(bench.drain(), numbers(0..12));
    assert_eq!(bench.disk.segments().len(), 1, "it takes more records");
    bench.spool.limit(Limits {
        max_bytes: bench.spool.disk_bytes(),
        ..limits()
    });
    for n in 12..100 {
        bench.store(n..n + 1);
        assert!(
            bench.spool.is_written(),
            "message {n}: {:?}",
            bench.spool.condition()
        );
        assert_eq!(bench.drain(), numbers(n..n + 1));
    }
}

#[test]
fn the_segments_are_a_small_part_of_all() {
    let mut bench = Bench::new(few(false));
    bench.store(0..40);
    let files = bench.disk.files();
    let segments = bench.disk.segments();
    assert!(segments.len() >= 6, "{segments:?}");
    assert!(segments.iter().all(|name| files[name].len() < 800));
}

/// Segments that hold messages, on a disk that must have 1,000 bytes left.
fn backlog(drop_oldest: bool) -> Bench {
    let mut bench = Bench::new(Limits {
        min_free_bytes: 1000,
        drop_oldest,
        ..limits()
    });
    bench.store(0..40);
    assert!(bench.spool.is_written());
    bench
}

#[test]
fn on_a_disk_that_others_fill_nothing_is_dropped_that_would_not_help() {
    let mut bench = backlog(true);
    bench.disk.set_free(0);
    // All of it has more bytes than are missing, but for the part that others took.
    bench.spool.limit(Limits {
        min_free_bytes: 100_000,
        drop_oldest: true,
        ..limits()
    });
    for n in 40..45 {
        bench.store(n..n + 1);
        bench.advance(2000);
        bench.work();
    }
    assert_eq!(bench.given_up(), 0);
    assert!(matches!(bench.spool.condition(), Condition::Full(_)));
}

#[test]
fn no_more_is_dropped_than_makes_the_room_that_is_missing() {
    let mut bench = backlog(true);
    let before = bench.disk.segments().len();
    // One segment has room for it.
    bench.disk.set_free(900);
    bench.append("o", NORMAL, "040");
    bench.advance(200);
    bench.begin();
    assert!(bench.end_one());
    bench.begin();
    let dropped = bench.given_up();
    assert!((1..20).contains(&dropped), "{dropped}");
    // Until it is deleted, and for a while should that not have helped, nothing more goes.
    bench.advance(500);
    bench.work();
    assert_eq!(bench.given_up(), 0);
    assert_eq!(bench.disk.segments().len(), before - 1);
    bench.disk.set_free(2000);
    bench.advance(2000);
    bench.work();
    assert_eq!(*bench.spool.condition(), Condition::Good);
    assert_eq!(bench.given_up(), 0);
    assert_eq!(bench.kept(), 41 - dropped);
}

#[test]
fn a_room_that_others_take_at_once_costs_a_segment_at_ever_longer_times() {
    let mut bench = backlog(true);
    bench.store(40..400);
    bench.disk.set_free(900);
    bench.append("o", NORMAL, "400");
    let before = bench.disk.segments().len();
    let ten_seconds = |bench: &mut Bench| {
        for _ in 0..100 {
            bench.advance(100);
            bench.work();
        }
        before - bench.disk.segments().len()
    };
    assert!((1..=5).contains(&ten_seconds(&mut bench)));
    assert!((1..=6).contains(&ten_seconds(&mut bench)));
}

#[test]
fn a_delete_that_fails_is_waited_for() {
    let mut bench = backlog(true);
    bench.disk.set_free(900);
    bench.disk.fail_deletes(true);
    bench.append("o", NORMAL, "040");
    for _ in 0..600 {
        bench.advance(100);
        bench.work();
    }
    let dropped = bench.given_up();
    assert!(dropped < 20, "{dropped}");
}

#[test]
fn on_a_disk_that_is_full_a_batch_that_begins_a_segment_has_room_too() {
    let mut bench = stored(0..40).restart();
    bench.spool.limit(Limits {
        drop_oldest: true,
        ..limits()
    });
    let bytes: usize = bench.disk.files().values().map(Vec::len).sum();
    bench.disk.set_quota(bytes + 20);
    bench.store(40..41);
    bench.advance(1000);
    bench.work();
    assert!(bench.spool.is_written(), "{:?}", bench.spool.condition());
    assert!((1..20).contains(&bench.given_up()));
}

#[test]
fn on_a_disk_that_is_full_the_oldest_go() {
    let mut bench = Bench::new(Limits {
        drop_oldest: true,
        ..limits()
    });
    bench.disk.set_quota(5000);
    let mut dropped = 0;
    for n in 0..200 {
        bench.store(n..n + 1);
        bench.advance(5000);
        bench.work();
        dropped += bench.given_up();
    }
    assert!((50..170).contains(&dropped), "{dropped}");
    assert_eq!(*bench.spool.condition(), Condition::Good);
    let first = u32::try_from(dropped).unwrap();
    assert_eq!(bench.restart_written().drain(), numbers(first..200));
}

#[test]
fn a_smaller_bound_is_kept_at_once() {
    let mut bench = Bench::new(limits());
    bench.store(0..400);
    bench.spool.limit(few(true));
    bench.store(400..401);
    bench.advance(1000);
    bench.work();
    assert!(bench.spool.is_written(), "{:?}", bench.spool.condition());
    assert!(bench.spool.disk_bytes() <= 3000);
    let first = u32::try_from(bench.given_up()).unwrap();
    assert_eq!(bench.drain(), numbers(first..401));
}

#[test]
fn files_that_wait_for_edgehub_alone_are_bounded_too() {
    let mut bench = Bench::new(few(false));
    let mut reads = Vec::new();
    for n in 0..200 {
        bench.store(n..n + 1);
        reads.extend(bench.read_now());
    }
    let bytes = bench.spool.disk_bytes();
    assert!((3000..4200).contains(&bytes), "{bytes}");
    for read in &reads {
        bench.done(read);
    }
    bench.advance(1000);
    bench.work();
    assert!(bench.spool.is_written());
}

/// What a message of this test costs in memory.
fn cost() -> usize {
    message("o", "000").cost()
}

#[test]
fn while_the_disk_takes_nothing_the_oldest_in_memory_go() {
    let absent = |limits| {
        let now = crate::clock::Clock::system().now().monotonic;
        let spool = Spool::in_memory(7, "there is none".to_owned(), limits, now);
        Bench {
            spool,
            ..Bench::new(limits)
        }
    };
    type Fault = fn(&mut Bench);
    let faults: [(&str, Fault); 3] = [
        ("absent", |_| {}),
        ("failing", |bench| bench.disk.fail(true)),
        ("full", |bench| bench.disk.set_free(0)),
    ];
    for (name, fault) in faults {
        for drop_oldest in [false, true] {
            let limits = Limits {
                memory_bytes: 40 * cost(),
                drop_oldest,
                ..limits()
            };
            let mut bench = match name {
                "absent" => absent(limits),
                _ => Bench::new(limits),
            };
            fault(&mut bench);
            let mut dropped = 0;
            for n in 0..100 {
                bench.store(n..n + 1);
                dropped += bench.given_up();
            }
            let expected = if drop_oldest { 72..74 } else { 0..1 };
            assert!(expected.contains(&dropped), "{name}: {dropped}");
            let first = u32::try_from(dropped).unwrap();
            assert_eq!(bench.drain(), numbers(first..100), "{name}");
        }
    }
}

#[test]
fn what_is_in_flight_counts_and_what_is_on_disk_stays() {
    let mut bench = Bench::new(Limits {
        memory_bytes: 40 * cost(),
        drop_oldest: true,
        ..limits()
    });
    bench.store(0..20);
    bench.disk.fail(true);
    bench.store(20..40);
    assert_eq!(bench.given_up(), 0);
    bench.store(40..60);
    let dropped = u32::try_from(bench.given_up()).unwrap();
    assert!((10..16).contains(&dropped), "{dropped}");
    bench.disk.fail(false);
    let mut texts = numbers(0..20);
    texts.extend(numbers(20 + dropped..60));
    assert_eq!(bench.drain(), texts, "the oldest of those in memory");
    bench.disk.fail(true);
    bench.store(60..85);
    for _ in 0..25 {
        bench.read_now().unwrap();
    }
    bench.store(85..100);
    assert!(bench.given_up() > 5, "those in flight take their room");
}

#[test]
fn the_oldest_of_those_go_whose_room_somebody_waits_for() {
    let mut bench = Bench::new(Limits {
        memory_bytes: 1000 * cost(),
        drop_oldest: true,
        ..limits()
    });
    bench.store(0..5);
    let want = |bench: &mut Bench, count| {
        bench.wanted.store(count, Ordering::Relaxed);
        bench.spool.want_memory();
        bench.work();
        bench.given_up()
    };
    assert!(!bench.spool.drops_in_memory());
    assert_eq!(want(&mut bench, 3), 0, "the disk takes them");
    bench.disk.fail(true);
    bench.store(5..10);
    assert!(bench.spool.drops_in_memory());
    assert_eq!(bench.given_up(), 3, "somebody has waited all the time");
    bench.store(10..15);
    assert_eq!(want(&mut bench, 4), 4);
    // While the disk is at it, those that it may take stay; then they go.
    bench.advance(10_000);
    bench.begin();
    bench.wanted.store(1, Ordering::Relaxed);
    bench.spool.want_memory();
    bench.begin();
    assert_eq!(bench.given_up(), 0);
    bench.work();
    assert_eq!(bench.given_up(), 1);
    bench.disk.fail(false);
    bench.advance(60_000);
    let mut texts = numbers(0..5);
    texts.extend(numbers(13..15));
    assert_eq!(bench.restart_written().drain(), texts);
}
