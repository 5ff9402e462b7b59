use super::super::record::{HEADER_BYTES, Parsed, parse};
use super::*;

/// The only segment of a log, and where its records end.
fn one_segment() -> (Files, String, Vec<u8>, Vec<usize>) {
    let files = stored(0..8).disk.files();
    let mut segments = files
        .clone()
        .into_iter()
        .filter(|(name, _)| name.ends_with(".segment"));
    let (name, bytes) = segments.next().unwrap();
    assert!(segments.next().is_none());
    let mut ends = vec![HEADER_BYTES];
    while let Parsed::Record(record) = parse(&bytes[*ends.last().unwrap()..]) {
        ends.push(ends.last().unwrap() + record.length);
    }
    assert_eq!(*ends.last().unwrap(), bytes.len());
    (files, name, bytes, ends)
}

type Files = std::collections::BTreeMap<String, Vec<u8>>;

/// A disk with these files, and one of them with another content.
fn with(files: &Files, name: &str, bytes: Vec<u8>) -> TrialDisk {
    let disk = TrialDisk::default();
    for (name, bytes) in files {
        disk.put(name, bytes.clone());
    }
    disk.put(name, bytes);
    disk
}

#[test]
fn a_segment_cut_off_at_any_byte_gives_the_records_before() {
    let (files, name, bytes, ends) = one_segment();
    for cut in 0..bytes.len() {
        let disk = with(&files, &name, bytes[..cut].to_vec());
        let whole = ends
            .iter()
            .filter(|end| **end <= cut)
            .count()
            .saturating_sub(1);
        let mut bench = Bench::over(disk, limits());
        assert_eq!(
            bench.drain(),
            numbers(0..u32::try_from(whole).unwrap()),
            "cut at {cut}"
        );
        bench.append("o", NORMAL, "new");
        bench.advance(200);
        bench.work();
        assert_eq!(bench.restart().drain(), ["new"], "cut at {cut}");
    }
}

#[test]
fn a_flipped_bit_costs_the_records_from_there_and_nothing_else() {
    let (files, name, bytes, ends) = one_segment();
    for at in HEADER_BYTES..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        let disk = with(&files, &name, flipped);
        let whole = ends
            .iter()
            .filter(|end| **end <= at)
            .count()
            .saturating_sub(1);
        let mut bench = Bench::over(disk, limits());
        assert_eq!(
            bench.drain(),
            numbers(0..u32::try_from(whole).unwrap()),
            "bit at {at}"
        );
        bench.work();
    }
}

/// A segment's file, its bytes, and the texts of its messages.
type Stored = (String, Vec<u8>, Vec<String>);

/// Forty messages.
fn segments() -> (TrialDisk, Vec<Stored>) {
    let disk = stored(0..40).disk;
    let files = disk.files();
    let mut next = 0;
    let segments = disk.segments().into_iter().map(|name| {
        let bytes = files[&name].clone();
        let mut at = HEADER_BYTES;
        let begin = next;
        while let Parsed::Record(record) = parse(&bytes[at..]) {
            at += record.length;
            next += 1;
        }
        (name, bytes, numbers(begin..next))
    });
    let segments = segments.collect();
    (disk, segments)
}

#[test]
fn damage_in_any_segment_costs_the_records_behind_it_there_and_keeps_the_file() {
    let (disk, segments) = segments();
    assert!(segments.len() > 2);
    for (name, bytes, texts) in &segments {
        let disk = disk.copy();
        let mut damaged = bytes.clone();
        // In the third record.
        let record = (bytes.len() - HEADER_BYTES) / texts.len();
        damaged[HEADER_BYTES + 2 * record + 20] ^= 1;
        disk.put(name, damaged.clone());
        let found = recover(&mut *disk.plugged(), &whose()).unwrap();
        let lost = u64::try_from(bytes.len() - HEADER_BYTES - 2 * record).unwrap();
        let notes: Vec<u64> = found.notes.iter().map(|note| note.damaged).collect();
        assert_eq!(notes, [lost]);
        let mut bench = Bench::with(disk.clone(), found, limits());
        let survivors: Vec<_> = numbers(0..40)
            .into_iter()
            .filter(|text| !texts[2..].contains(text))
            .collect();
        assert_eq!(bench.drain(), survivors);
        bench.work();
        let files = disk.files();
        assert_eq!(files.get(&format!("aside-{name}")), Some(&damaged));
        assert!(disk.segments().is_empty());
    }
}

#[test]
fn a_torn_end_stays_one_whatever_is_written_and_started_behind_it() {
    let (files, name, bytes, ends) = one_segment();
    let disk = with(&files, &name, bytes[..ends[6] + 5].to_vec());
    let mut bench = Bench::over(disk, limits());
    for n in 0..3 {
        bench.store(10 + n..11 + n);
        bench = bench.restart();
    }
    let mut texts = numbers(0..6);
    texts.extend(numbers(10..13));
    assert_eq!(bench.drain(), texts);
    bench.work();
    let names = bench.disk.files().into_keys();
    assert_eq!(names.filter(|name| name.starts_with("aside-")).count(), 0);
    assert!(bench.disk.segments().is_empty());
}

#[test]
fn damaged_segments_have_names_of_their_own_and_eight_are_kept() {
    let mut bench = Bench::new(limits());
    let mut damaged = Vec::new();
    for run in 0..12 {
        bench.store(run * 5..run * 5 + 5);
        let [name] = &bench.disk.segments()[..] else {
            panic!("{:?}", bench.disk.segments());
        };
        let mut bytes = bench.disk.files()[name].clone();
        bytes[HEADER_BYTES + 20] ^= 1;
        bench.disk.put(name, bytes);
        damaged.push(format!("aside-{name}"));
        bench = bench.restart();
        assert!(bench.drain().is_empty());
        bench.work();
    }
    let names = bench.disk.files().into_keys();
    let aside: Vec<_> = names.filter(|name| name.starts_with("aside-")).collect();
    assert_eq!(aside, damaged[4..]);
}

#[test]
fn a_header_with_any_byte_flipped_costs_its_segment_alone_and_keeps_it() {
    let (disk, segments) = segments();
    let (name, bytes, texts) = &segments[1];
    // The last four bytes say nothing.
    for at in 0..HEADER_BYTES - 4 {
        let disk = disk.copy();
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x10;
        disk.put(name, flipped.clone());
        let found = recover(&mut *disk.plugged(), &whose()).unwrap();
        assert_eq!(found.notes[0].damaged, bytes.len() as u64, "byte {at}");
        let mut bench = Bench::with(disk.clone(), found, limits());
        let mut survivors = numbers(0..40);
        survivors.retain(|text| !texts.contains(text));
        assert_eq!(bench.drain(), survivors, "byte {at}");
        bench.work();
        assert_eq!(disk.files().get(&format!("aside-{name}")), Some(&flipped));
    }
}

#[test]
fn a_segment_of_a_later_version_or_of_another_spool_is_set_aside_for_ever() {
    let (disk, segments) = segments();
    let (name, bytes, _) = &segments[1];
    for (at, value, expected) in [(8, 2, "version 2"), (16, !bytes[16], "another spool")] {
        let disk = disk.copy();
        let mut other = bytes.clone();
        other[at] = value;
        let sum = crc32fast::hash(&other[..24]).to_le_bytes();
        other[24..28].copy_from_slice(&sum);
        disk.put(name, other.clone());
        let found = recover(&mut *disk.plugged(), &whose()).unwrap();
        assert!(found.notes[0].text.contains(expected), "{:?}", found.notes);
        let mut bench = Bench::with(disk.clone(), found, limits());
        assert!(bench.drain().len() > 20);
        bench.work();
        assert_eq!(disk.files().get(&format!("aside-1-{name}")), Some(&other));
    }
}

#[test]
fn a_start_uses_the_disk_a_bounded_number_of_times_whatever_is_on_it() {
    let (files, name, bytes, _) = one_segment();
    for length in [0, 1, 1000, 300_000, 3_000_000] {
        for filling in [0, 0x0f, 0xff] {
            let mut content = bytes.clone();
            content.extend(std::iter::repeat_n(filling, length));
            let disk = with(&files, &name, content);
            let before = disk.operations();
            let mut bench = Bench::over(disk.clone(), limits());
            let operations = disk.operations() - before;
            assert!(operations < 40, "{operations} for {length} bytes");
            assert_eq!(bench.drain(), numbers(0..8));
        }
    }
}

#[test]
fn damage_that_comes_while_it_runs_leaves_the_rest_of_the_segment_for_the_next_start() {
    let mut bench = stored(0..40);
    let disk = bench.disk.clone();
    let (name, bytes) = disk
        .files()
        .into_iter()
        .find(|(name, _)| name.ends_with("1.segment"))
        .unwrap();
    let mut damaged = bytes.clone();
    damaged[bytes.len() / 2] ^= 1;
    disk.put(&name, damaged);
    let texts = bench.drain();
    assert_eq!(texts.last().unwrap(), "039");
    let lost = 40 - texts.len();
    assert!(lost > 0 && lost < 20, "{texts:?}");
    assert_eq!(bench.spool.kept().values().sum::<u64>(), 0);
    bench.advance(5000);
    bench.work();
    assert!(disk.files().contains_key(&name));
    disk.put(&name, bytes);
    let mut bench = bench.restart();
    let texts = bench.drain();
    let first = u32::try_from(20 - lost).unwrap_or(0);
    assert!(
        texts.len() >= lost && texts[0] <= format!("{first:03}"),
        "{texts:?}"
    );
    assert!(texts.is_sorted());
}

#[test]
fn a_spool_of_somebody_else_or_of_a_later_version_is_set_aside_and_never_deleted() {
    type Change = fn(&mut serde_json::Value);
    let cases: [(&str, Change); 3] = [
        ("module gateway on device other", |owner| {
            owner["device"] = "other".into()
        }),
        ("version 7", |owner| owner["version"] = 7.into()),
        ("unreadable", |owner| owner["name"] = "zz".into()),
    ];
    for (expected, change) in cases {
        let disk = stored(0..5).disk;
        let before = disk.files();
        let mut owner: serde_json::Value = serde_json::from_slice(&before["spool.json"]).unwrap();
        change(&mut owner);
        disk.put("spool.json", owner.to_string().into_bytes());
        let found = recover(&mut *disk.plugged(), &whose()).unwrap();
        assert!(found.notes[0].text.contains(expected), "{:?}", found.notes);
        assert!(found.segments.is_empty());
        let after = disk.files();
        for (name, bytes) in before.iter().filter(|(name, _)| *name != "spool.json") {
            assert_eq!(&after[&format!("aside-1-{name}")], bytes);
        }
        let again = recover(&mut *disk.plugged(), &whose()).unwrap();
        assert!(again.notes.is_empty(), "{:?}", again.notes);
    }
}

#[test]
fn a_segment_that_cannot_be_read_costs_no_other() {
    let whole = stored(0..40).disk;
    let starts = (0..60).filter_map(|operations| {
        let disk = whole.copy();
        disk.fail_once_in(operations);
        let found = recover(&mut *disk.plugged(), &whose()).ok()?;
        let unread = found
            .notes
            .iter()
            .any(|note| note.text.contains("cannot be read"));
        let mut bench = Bench::with(disk.clone(), found, limits());
        let texts = bench.drain();
        assert_eq!(
            unread,
            texts.len() < 40,
            "operation {operations}: {texts:?}"
        );
        assert!(texts.len() > 20, "operation {operations}: {texts:?}");
        // What could not be read is there at the next start, whatever was noted until then.
        bench.advance(1000);
        bench.work();
        let mut next = Bench::over(disk, limits()).drain();
        next.extend(texts);
        next.sort();
        next.dedup();
        assert_eq!(next, numbers(0..40), "operation {operations}");
        Some(unread)
    });
    let unread = starts.filter(|unread| *unread).count();
    assert!(
        unread > 3,
        "{unread} starts met a segment that cannot be read"
    );
}

/// Two safe records, of which the first segment has a copy that was never forced.
fn written_twice() -> TrialDisk {
    let mut bench = stored(0..2);
    for text in ["002", "003"] {
        bench.append("o", NORMAL, text);
    }
    bench.advance(200);
    // Free space and the write go well, the sync does not.
    bench.disk.fail_once_in(2);
    bench.work();
    assert!(!bench.safe.lock().unwrap().contains("002"));
    bench.advance(1000);
    bench.work();
    assert!(bench.safe.lock().unwrap().contains("003"));
    bench.disk.clone()
}

#[test]
fn of_a_record_that_was_written_twice_the_forced_copy_stays() {
    let mut bench = Bench::over(written_twice(), limits());
    bench.work();
    bench.disk.lose_power(0);
    let mut bench = bench.restart();
    assert_eq!(bench.drain(), numbers(0..4));
}

#[test]
fn a_disk_that_fails_at_any_moment_of_a_start_loses_no_safe_record() {
    for operations in 0..60 {
        let disk = written_twice().copy();
        disk.fail_once_in(operations);
        // Whether it starts or not: nothing is gone.
        drop(recover(&mut *disk.plugged(), &whose()));
        disk.fail_once_in(usize::MAX);
        disk.lose_power(0);
        let mut bench = Bench::over(disk, limits());
        assert_eq!(bench.drain(), numbers(0..4), "operation {operations}");
    }
}

/// Forty messages, of which the file of that number is at once changed; edgeHub is away.
fn found(segment: usize, change: impl Fn(&TrialDisk, &str, Vec<u8>)) -> (Bench, Stored) {
    let (disk, mut segments) = segments();
    let (name, bytes, texts) = segments.swap_remove(segment);
    let read_ahead = Limits {
        sizes: Sizes {
            read: 30_000,
            ..limits().sizes
        },
        ..limits()
    };
    let bench = Bench::over(disk.clone(), read_ahead);
    change(&disk, &name, bytes.clone());
    (bench, (name, bytes, texts))
}

#[test]
fn damage_found_while_edgehub_is_away_stops_no_writing_and_costs_the_rest_of_its_segment() {
    let (mut bench, (name, bytes, texts)) = found(0, |disk, name, mut bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        disk.put(name, bytes);
    });
    for n in 40..60 {
        bench.store(n..n + 1);
        assert!(bench.spool.is_written(), "{:?}", bench.spool.condition());
        assert_eq!(*bench.spool.condition(), Condition::Good);
        bench.advance(2000);
        bench.work();
    }
    let lost = usize::try_from(bench.unreadable).unwrap();
    assert!(lost > 0 && lost < texts.len(), "{lost}");
    assert_eq!(bench.kept(), 60 - lost as u64);
    let rest = &texts[texts.len() - lost..];
    let mut survivors = numbers(0..60);
    survivors.retain(|text| !rest.contains(text));
    assert_eq!(bench.drain(), survivors);
    assert_eq!(bench.kept(), 0);
    bench.advance(1000);
    bench.work();
    bench.disk.put(&name, bytes);
    let again = bench.restart().drain();
    assert!(again.starts_with(rest), "{again:?}");
}

#[test]
fn a_file_that_cannot_be_read_stops_writing_for_a_while_and_not_until_edgehub_is_back() {
    let (mut bench, (_, _, texts)) = found(1, |disk, name, _| disk.fail_file(Some(name)));
    bench.work();
    assert!(matches!(bench.spool.condition(), Condition::Failing(_)));
    for _ in 0..60 {
        bench.advance(1000);
        bench.work();
    }
    assert_eq!(*bench.spool.condition(), Condition::Good);
    bench.store(40..41);
    assert!(bench.spool.is_written());
    let mut survivors = numbers(0..41);
    survivors.retain(|text| !texts.contains(text));
    assert_eq!(bench.drain(), survivors);
    bench.advance(1000);
    bench.work();
    bench.disk.fail_file(None);
    let again = bench.restart().drain();
    assert!(again.starts_with(&texts), "{again:?}");
}

#[test]
fn a_segment_whose_new_name_is_not_forced_is_set_aside_and_holds_up_no_other() {
    let (disk, segments) = segments();
    let (name, bytes, _) = &segments[0];
    let mut damaged = bytes.clone();
    damaged[HEADER_BYTES + 20] ^= 1;
    disk.put(name, damaged.clone());
    // More than are kept, and these cannot be deleted.
    for number in 1..12 {
        disk.put(&format!("aside-normal-{number:016x}.segment"), Vec::new());
    }
    disk.fail_file(Some("aside-normal-0000000000000001.segment"));
    let mut bench = Bench::over(disk.clone(), limits());
    disk.fail_names(true);
    bench.drain();
    bench.work();
    assert_eq!(bench.disk.segments(), Vec::<String>::new());
    assert_eq!(disk.files().get(&format!("aside-{name}")), Some(&damaged));
    bench.advance(1000);
    bench.work();
    assert_eq!(bench.spool.disk_bytes(), 0);
}

#[test]
fn a_damaged_file_is_not_dropped_for_room_on_the_disk_because_it_stays_there() {
    let (disk, segments) = segments();
    let (name, bytes, texts) = &segments[0];
    let mut damaged = bytes.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    disk.put(name, damaged);
    let mut bench = Bench::over(disk.clone(), limits());
    bench.spool.limit(Limits {
        min_free_bytes: 1000,
        drop_oldest: true,
        ..limits()
    });
    disk.set_free(900);
    bench.store(40..41);
    assert!(bench.given_up() > 0);
    disk.set_free(2000);
    let survivors = bench.drain();
    assert!(survivors.starts_with(&texts[..2]), "{survivors:?}");
    assert_eq!(survivors.last().unwrap(), "040");
}
