use std::collections::BTreeMap;
use std::fs;

use proptest::prelude::*;

use super::*;

fn accepted(id: &str) -> Record {
    Record::Accepted(Accepted {
        id: id.to_owned(),
        nameless: id.starts_with('?'),
        correlation: Some(format!("order \"{id}\"\n")),
        device: None,
    })
}

fn ended(id: &str, result: &str) -> Record {
    Record::Ended {
        id: id.to_owned(),
        result: result.to_owned(),
    }
}

fn reported(id: &str) -> Record {
    Record::Reported(id.to_owned())
}

fn lines(records: &[Record]) -> Vec<u8> {
    let mut bytes = Vec::new();
    records.iter().for_each(|record| record.push(&mut bytes));
    bytes
}

fn open_ids(found: &Found) -> Vec<String> {
    let ids = found.open.iter().map(|state| match state {
        State::Accepted(accepted) => accepted.id.clone(),
        State::Ended(accepted, result) => format!("{}={result}", accepted.id),
        State::Reported => unreachable!("it is done"),
    });
    ids.collect()
}

#[test]
fn a_command_is_open_until_its_outcome_is_told_and_its_id_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("commands");
    let (mut store, found) = Store::open(&path, "hub/edge/gw").unwrap();
    assert_eq!(found, Found::default());
    let records = [accepted("a"), accepted("b"), ended("a", "1"), accepted("c")];
    store.write(&records, true).unwrap();
    store.write(&[reported("c")], false).unwrap();
    drop(store);
    let (store, found) = Store::open(&path, "hub/edge/gw").unwrap();
    assert_eq!(open_ids(&found), ["a=1", "b"]);
    assert!(["a", "b", "c"].iter().all(|id| store.book().knows(id)));
    assert!(!store.book().knows("d"));
    assert_eq!(found.damaged, 0);
}

#[test]
fn the_first_outcome_counts() {
    let mut book = Book::default();
    for record in [accepted("a"), ended("a", "1"), ended("a", "2")] {
        book.take(&record);
    }
    assert!(matches!(book.open().next(), Some(State::Ended(_, result)) if result == "1"));
    book.take(&reported("a"));
    book.take(&ended("a", "3"));
    book.take(&accepted("a"));
    assert_eq!(book.open().count(), 0);
}

#[test]
fn a_thousand_ids_are_remembered_and_none_that_is_open_is_forgotten() {
    let mut book = Book::default();
    book.take(&accepted("open"));
    book.take(&accepted("?1"));
    book.take(&reported("?1"));
    assert!(!book.knows("?1"), "nothing can be known by it");
    for n in 0..REMEMBERED + 5 {
        book.take(&accepted(&n.to_string()));
        book.take(&reported(&n.to_string()));
    }
    assert!(book.knows("open"));
    assert!(!book.knows("5") && book.knows("6"));
    assert_eq!(book.records().count(), REMEMBERED);
    for n in 0..2 * REMEMBERED {
        book.take(&accepted(&format!("open {n}")));
    }
    assert_eq!(book.open().count(), 2 * REMEMBERED + 1);
    assert_eq!(book.records().count(), 2 * REMEMBERED + 1);
}

/// However much of the last write is on disk, everything before it is read, and what is cut off
/// counts as not written.
#[test]
fn a_file_cut_anywhere_says_what_was_forced_before() {
    let records = [
        accepted("a"),
        ended("a", "{\"x\":1}"),
        reported("a"),
        accepted("b"),
    ];
    let whole = lines(&records);
    let ends: Vec<usize> = (0..=records.len())
        .map(|count| lines(&records[..count]).len())
        .collect();
    for cut in 0..=whole.len() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("journal"), &whole[..cut]).unwrap();
        // A line is whole without its line break.
        let count = ends.iter().filter(|end| **end <= cut + 1).count() - 1;
        let mut book = Book::default();
        records[..count].iter().for_each(|record| book.take(record));
        let (mut store, found) = Store::open(folder.path(), "me").unwrap();
        let expected: Vec<State> = book.open().cloned().collect();
        assert_eq!((found.open, found.damaged), (expected, 0), "cut at {cut}");
        store.write(&[accepted("c")], true).unwrap();
        let (store, found) = Store::open(folder.path(), "me").unwrap();
        assert_eq!(
            found.damaged, 0,
            "what was torn is not glued to what follows"
        );
        assert!(store.book().knows("c"));
    }
}

#[test]
fn behind_damage_the_rest_is_read_and_the_damaged_file_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = lines(&[accepted("a"), accepted("b"), accepted("c")]);
    let at = lines(&[accepted("a")]).len() + 20;
    bytes[at] ^= 1;
    fs::write(folder.path().join("journal"), &bytes).unwrap();
    let (_, found) = Store::open(folder.path(), "me").unwrap();
    assert_eq!(open_ids(&found), ["a", "c"]);
    assert_eq!(found.damaged, lines(&[accepted("b")]).len());
    let kept = fs::read(folder.path().join("journal.damaged")).unwrap();
    assert_eq!(kept, bytes);
}

#[test]
fn the_journal_of_another_module_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(folder.path(), "hub/edge/one").unwrap();
    store.write(&[accepted("a")], true).unwrap();
    let (store, found) = Store::open(folder.path(), "hub/edge/two").unwrap();
    assert!(found.open.is_empty() && !store.book().knows("a"));
    let aside = fs::read(found.set_aside.unwrap()).unwrap();
    assert!(read(&aside).records.contains(&accepted("a")));
}

/// Where a file takes nothing.
fn full() -> fs::File {
    fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap()
}

#[test]
fn what_a_full_disk_did_not_take_is_written_with_the_next_record_that_it_takes() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(folder.path(), "me").unwrap();
    store.file = Some(full());
    assert!(store.write(&[accepted("a")], true).is_err());
    let fresh = folder.path().join("journal.new");
    std::os::unix::fs::symlink("/dev/full", &fresh).unwrap();
    assert!(store.write(&[accepted("b")], true).is_err());
    assert!(Store::open(folder.path(), "me").is_err());
    fs::remove_file(&fresh).unwrap();
    store.write(&[accepted("c")], true).unwrap();
    let (_, found) = Store::open(folder.path(), "me").unwrap();
    assert_eq!(open_ids(&found), ["a", "b", "c"]);
}

#[test]
fn a_folder_that_cannot_be_made_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let taken = folder.path().join("file");
    fs::write(&taken, "").unwrap();
    assert!(Store::open(&taken.join("commands"), "me").is_err());
}

#[test]
fn the_file_does_not_grow_with_what_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open(folder.path(), "me").unwrap();
    let long = "x".repeat(100_000);
    for n in 0..50 {
        let id = n.to_string();
        let records = [accepted(&id), ended(&id, &long), reported(&id)];
        store.write(&records, true).unwrap();
        assert!(store.bytes() <= 1 << 20, "{}", store.bytes());
        let on_disk = fs::metadata(folder.path().join("journal")).unwrap().len();
        assert_eq!(on_disk, store.bytes());
    }
}

#[tokio::test]
async fn the_keeper_forces_what_is_waited_for_and_says_what_the_disk_said() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(folder.path(), "me").unwrap();
    let metrics = Metrics::default();
    let (journal, keeper) = Journal::new(store, metrics.clone());
    let asks = async move {
        let all = (0..100).map(|n| n.to_string());
        for id in all {
            journal.force(accepted(&id)).await.unwrap();
            journal.note(reported(&id));
        }
        let on_disk = read(&fs::read(folder.path().join("journal")).unwrap());
        assert!(on_disk.records.contains(&accepted("99")));
        let fresh = folder.path().join("journal.new");
        std::os::unix::fs::symlink("/dev/full", &fresh).unwrap();
        for _ in 0..20 {
            // Until the file has to be written anew.
            let long = ended("99", &"x".repeat(100_000));
            if let Err(error) = journal.force(long).await {
                return error;
            }
        }
        unreachable!("the disk is full")
    };
    let (error, ()) = tokio::join!(asks, keeper.run());
    assert!(error.contains("No space left"), "{error}");
    assert_eq!(
        metrics.sample("edge_tcp_gateway_command_journal_failures_total"),
        1.0
    );
}

#[derive(Clone, Debug)]
enum Step {
    Write(Record),
    /// Closes the file, cuts so many bytes of what was written last and not forced, and opens it.
    Reopen(u8),
    Fail,
}

fn step() -> impl Strategy<Value = Step> {
    let id = (0..12u8).prop_map(|n| match n {
        10.. => format!("?{n}"),
        n => n.to_string(),
    });
    let record = (id, 0..3u8, 0..3u8).prop_map(|(id, kind, result)| match kind {
        0 => accepted(&id),
        1 => ended(&id, &result.to_string()),
        _ => reported(&id),
    });
    prop_oneof![
        8 => record.prop_map(Step::Write),
        2 => any::<u8>().prop_map(Step::Reopen),
        1 => Just(Step::Fail),
    ]
}

/// What a command is to those who look at it.
fn states(book: &Book) -> BTreeMap<String, State> {
    let ids = (0..12).map(|n| {
        if n < 10 {
            n.to_string()
        } else {
            format!("?{n}")
        }
    });
    let of = |id: &String| {
        let open = book.open().find(|state| match state {
            State::Accepted(accepted) | State::Ended(accepted, _) => accepted.id == *id,
            State::Reported => false,
        });
        open.cloned()
    };
    ids.filter(|id| book.knows(id))
        .map(|id| (id.clone(), of(&id).unwrap_or(State::Reported)))
        .collect()
}

proptest! {
    // Each case forces some thirty writes to disk.
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn whatever_happens_the_file_says_what_the_book_says(steps in prop::collection::vec(step(), 0..60)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut store, _) = Store::open(folder.path(), "me").unwrap();
        let mut model = Book::default();
        for step in steps {
            match step {
                Step::Write(record) => {
                    store.write(std::slice::from_ref(&record), true).unwrap();
                    model.take(&record);
                }
                Step::Fail => {
                    store.file = Some(full());
                    let lost = accepted("9");
                    prop_assert!(store.write(std::slice::from_ref(&lost), true).is_err());
                    store.write(&[], true).unwrap();
                    model.take(&lost);
                }
                Step::Reopen(torn) => {
                    drop(store);
                    let mut bytes = fs::read(&path).unwrap();
                    let mut unforced = lines(&[accepted("unforced")]);
                    unforced.truncate(usize::from(torn) % (unforced.len() - 1));
                    bytes.extend_from_slice(&unforced);
                    fs::write(&path, bytes).unwrap();
                    let (reopened, found) = Store::open(folder.path(), "me").unwrap();
                    store = reopened;
                    prop_assert_eq!(found.damaged, 0);
                    prop_assert_eq!(found.open, model.open().cloned().collect::<Vec<_>>());
                }
            }
            prop_assert_eq!(states(store.book()), states(&model));
        }
    }

}

proptest! {
    #[test]
    fn foreign_bytes_are_no_panic_and_what_is_behind_them_is_read(bytes: Vec<u8>) {
        let mut file = bytes;
        file.push(b'\n');
        file.extend(lines(&[accepted("a")]));
        let read = read(&file);
        prop_assert!(read.records.contains(&accepted("a")));
        prop_assert!(read.damaged < file.len());
    }
}
