use super::*;

/// Appends, acknowledgements and steps of time; then how often something was forced.
#[test]
fn a_record_is_forced_when_it_is_200_ms_old_and_not_acknowledged() {
    type Steps = &'static [(u64, &'static str)];
    let table: [(&str, Persist, Steps, usize); 7] = [
        (
            "acknowledged at 199 ms",
            Persist::Interval,
            &[(0, "append"), (199, "ack")],
            0,
        ),
        (
            "not acknowledged",
            Persist::Interval,
            &[(0, "append"), (199, "")],
            0,
        ),
        (
            "200 ms old",
            Persist::Interval,
            &[(0, "append"), (200, "")],
            1,
        ),
        (
            "a younger one goes along",
            Persist::Interval,
            &[(0, "append"), (150, "append"), (50, ""), (150, "")],
            1,
        ),
        (
            "the older one was acknowledged",
            Persist::Interval,
            &[
                (0, "append"),
                (150, "append"),
                (10, "ack"),
                (50, ""),
                (139, ""),
            ],
            0,
        ),
        (
            "at once, all together",
            Persist::EachBatch,
            &[(0, "append append append"), (0, "append")],
            2,
        ),
        ("never", Persist::Never, &[(0, "append"), (1000, "")], 0),
    ];
    for (name, persist, steps, syncs) in table {
        let mut bench = Bench::new(Limits {
            persist,
            ..limits()
        });
        let before = bench.disk.syncs();
        for (millis, what) in steps {
            bench.advance(*millis);
            for word in what.split(' ') {
                match word {
                    "append" => drop(bench.append("o", NORMAL, "x")),
                    "ack" => {
                        let read = bench.read().unwrap();
                        bench.done(&read);
                    }
                    _ => {}
                }
            }
            bench.work();
        }
        assert_eq!(bench.disk.syncs() - before, syncs, "{name}");
        assert_eq!(bench.spool.syncs(), u64::try_from(syncs).unwrap(), "{name}");
    }
}

#[test]
fn the_deadline_is_when_the_oldest_is_200_ms_old() {
    let mut bench = Bench::new(limits());
    assert_eq!(bench.spool.deadline(), None);
    bench.append("o", NORMAL, "a");
    let due = bench.now + Duration::from_millis(200);
    bench.advance(50);
    bench.append("o", Priority::High, "b");
    assert_eq!(bench.spool.deadline(), Some(due));
    bench.advance(150);
    bench.work();
    bench.append("o", NORMAL, "c");
    bench.advance(49);
    bench.work();
    assert_eq!(bench.spool.syncs(), 1, "the younger log is not due yet");
}
