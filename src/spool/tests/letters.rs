use super::*;

fn bury(bench: &mut Bench, line: &[u8]) {
    bench.spool.bury(&"o".into(), line.to_vec(), None).unwrap();
    assert_eq!(bench.kept(), 1, "kept until it is on disk");
    bench.work();
    assert_eq!(bench.kept(), 0);
}

#[test]
fn dead_letters_are_kept_in_two_files_of_bounded_length() {
    let mut bench = Bench::new(limits());
    let mut line = vec![b'x'; 1 << 20];
    line[(1 << 20) - 1] = b'\n';
    for _ in 0..6 {
        bury(&mut bench, &line);
    }
    let files = bench.disk.files();
    assert_eq!(files["dead-letters.1.jsonl"].len(), 4 << 20);
    assert_eq!(files["dead-letters.jsonl"].len(), 2 << 20);
}

#[test]
fn a_letter_that_fails_costs_no_other() {
    let mut bench = Bench::new(limits());
    bench.disk.put("dead-letters.jsonl", vec![b'\n'; 4 << 20]);
    // Whatever fails first, also behind the rename: the older file stays, and a line is a line.
    for fails_in in 0..4 {
        bench.disk.fail_once_in(fails_in);
        bury(&mut bench, b"torn line\n");
    }
    bench.disk.fail_once_in(usize::MAX);
    bury(&mut bench, b"whole line\n");
    let files = bench.disk.files();
    assert_eq!(files["dead-letters.1.jsonl"].len(), 4 << 20);
    let lines = String::from_utf8(files["dead-letters.jsonl"].clone()).unwrap();
    let known = ["", "torn ", "torn line", "whole line"];
    assert!(lines.lines().all(|line| known.contains(&line)), "{lines}");
    assert!(lines.contains("torn \n") && lines.ends_with("whole line\n"));
}

#[test]
fn a_letter_that_cannot_be_written_is_told_from_one_that_is() {
    let mut bench = Bench::new(limits());
    for failing in [false, true] {
        bench.disk.fail(failing);
        let line = b"a line\n".to_vec();
        bench.spool.bury(&"o".into(), line, None).unwrap();
        let job = bench.spool.job(bench.now).unwrap();
        let outcome = carry_out(&mut *bench.plugged, job);
        let buried = bench.spool.finished(outcome, bench.now).buried.unwrap();
        assert_eq!((&*buried.output, buried.kept), ("o", !failing));
    }
}

#[test]
fn the_copy_on_disk_goes_and_is_noted_as_done_behind_the_letters() {
    let mut bench = stored(0..3);
    bench.advance(1000);
    for read in [bench.read(), bench.read(), bench.read()] {
        bench.done(&read.unwrap());
        let line = b"a line\n".to_vec();
        bench.spool.bury(&"o".into(), line, None).unwrap();
    }
    bench.spool.flush();
    bench.spool.limit(Limits {
        max_bytes: 0,
        ..limits()
    });
    bench.append("o", NORMAL, "003");
    let mut kinds = Vec::new();
    bench.begin();
    while let Some(job) = bench.under_way.front() {
        kinds.extend(match job {
            Job::DeadLetter { .. } => Some("letter"),
            Job::Delete { .. } => Some("delete"),
            Job::Position { .. } => Some("note"),
            _ => None,
        });
        bench.end_one();
        bench.begin();
    }
    assert_eq!(kinds, ["letter", "letter", "letter", "delete", "note"]);
}
