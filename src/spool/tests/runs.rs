use super::*;

/// Opens the spool while its file of runs cannot be written.
fn unnoted(disk: &TrialDisk) -> Bench {
    disk.set_free(0);
    let found = recover(&mut *disk.plugged(), &whose()).unwrap();
    assert!(
        found
            .notes
            .iter()
            .any(|note| note.text.contains("random number")),
        "{:?}",
        found.notes
    );
    disk.set_free(u64::MAX);
    Bench::with(disk.clone(), found, limits())
}

/// Reads and ends everything, and lets that be noted.
fn drain_noted(bench: &mut Bench) -> Vec<String> {
    let texts = bench.drain();
    bench.advance(1000);
    bench.work();
    texts
}

#[test]
fn whatever_runs_are_noted_no_record_is_lost_and_none_is_taken_for_another() {
    // Which of the runs can be noted, as bits; and which end all they have before they end.
    for pattern in 0..256_u32 {
        let (noted, drains) = (pattern & 15, pattern >> 4);
        let mut bench = Bench::new(limits());
        let mut last = Sequence(0);
        let mut open: Vec<String> = Vec::new();
        let mut ids = std::collections::BTreeSet::new();
        for run in 0..4_u32 {
            for text in numbers(run * 3..run * 3 + 3) {
                let sequence = bench.append("o", NORMAL, &text);
                assert!(sequence > last, "pattern {pattern}, run {run}");
                last = sequence;
                let id = bench.spool.id(sequence, &message("o", &text));
                assert!(ids.insert(id), "pattern {pattern}, run {run}");
                open.push(text);
            }
            bench.advance(200);
            bench.work();
            if drains & (1 << run) != 0 {
                assert_eq!(
                    drain_noted(&mut bench),
                    open,
                    "pattern {pattern}, run {run}"
                );
                open.clear();
            }
            bench = match noted & (1 << run) {
                0 => unnoted(&bench.disk),
                _ => bench.restart(),
            };
        }
        assert_eq!(drain_noted(&mut bench), open, "pattern {pattern}");
    }
}

#[test]
fn two_runs_of_one_number_have_other_ids() {
    let disk = Bench::new(limits()).disk;
    let firsts = [unnoted(&disk), unnoted(&disk)].map(|bench| bench.spool.next);
    assert_eq!(firsts[0].run(), firsts[1].run());
    assert_ne!(firsts[0], firsts[1]);
    let noted = Bench::over(disk, limits()).spool.next;
    assert_eq!(noted, Sequence::first(firsts[0].run()));
    assert!(firsts.iter().all(|first| first.0 - noted.0 > 1 << 38));
}

#[test]
fn a_position_that_cannot_be_read_is_forgotten() {
    let mut bench = unnoted(&stored(0..3).disk);
    bench.append("o", NORMAL, "003");
    assert_eq!(drain_noted(&mut bench), numbers(0..4));
    let disk = bench.disk;
    let read_of_position = (0..20).find(|operations| {
        let disk = disk.copy();
        disk.fail_once_in(*operations);
        let found = recover(&mut *disk.plugged(), &whose());
        found.is_ok_and(|found| found.position == Position::default())
    });
    disk.fail_once_in(read_of_position.unwrap());
    let mut bench = Bench::over(disk, limits());
    bench.store(4..6);
    let mut bench = bench.restart();
    bench.work();
    // What was done is repeated, and what the run before made safe is there.
    assert_eq!(bench.restart().drain(), numbers(3..6));
}

#[test]
fn a_spool_without_the_file_of_its_owner_or_with_half_of_it_is_set_aside_whole() {
    let whole = stored(0..3).disk;
    let owner = whole.files()["spool.json"].clone();
    for length in 0..owner.len() {
        let disk = whole.copy();
        disk.put("spool.json", owner[..length].to_vec());
        let found = recover(&mut *disk.plugged(), &whose()).unwrap();
        assert!(found.segments.is_empty(), "{length} bytes");
        assert!(
            found.notes[0].text.contains("aside-1-"),
            "{:?}",
            found.notes
        );
    }
    let disk = whole.copy();
    disk.plugged().delete("spool.json").unwrap();
    let found = recover(&mut *disk.plugged(), &whose()).unwrap();
    assert!(
        found.notes[0].text.contains("without spool.json"),
        "{:?}",
        found.notes
    );
    let segments = disk.files().into_keys();
    let aside = segments.filter(|name| name.starts_with("aside-1-normal-"));
    assert_eq!(aside.count(), whole.segments().len());
}

#[test]
fn runs_that_are_used_up_are_not_begun_again() {
    for runs in ["16777215", "4294967295"] {
        let disk = stored(0..3).disk;
        let owner = String::from_utf8(disk.files()["spool.json"].clone()).unwrap();
        disk.put(
            "spool.json",
            owner
                .replace("\"runs\": 1,", &format!("\"runs\": {runs},"))
                .into(),
        );
        let owner = disk.files()["spool.json"].clone();
        assert!(String::from_utf8(owner).unwrap().contains(runs));
        let found = recover(&mut *disk.plugged(), &whose()).unwrap();
        assert!(
            found.notes[0].text.contains("unreadable"),
            "{:?}",
            found.notes
        );
        assert_eq!(found.first.run(), 1);
    }
}
