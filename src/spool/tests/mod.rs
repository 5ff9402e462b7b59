mod damage;
pub(crate) mod disk;
mod holds;
mod model;
mod persist;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::recover::recover;
use super::*;
use crate::message::Body;

pub(crate) use disk::TrialDisk;

/// Which messages are safe, by their text.
type Safe = Arc<Mutex<std::collections::BTreeSet<String>>>;

/// Tells when its message gets safe.
#[derive(Clone, Debug)]
struct Told {
    text: String,
    safe: Safe,
    written: bool,
}

impl Hold for Told {
    fn written(&mut self) {
        self.written = true;
    }

    fn safe(&mut self) {
        assert!(self.written, "safe before it was written");
        self.safe.lock().unwrap().insert(self.text.clone());
    }

    fn waits(&self) -> bool {
        self.text.len().is_multiple_of(2)
    }

    fn waits_for_edgehub(&self, disk: bool) -> bool {
        !disk
    }
}

fn whose() -> Whose {
    Whose {
        hub: "hub".to_owned(),
        device: "edge".to_owned(),
        module: "gateway".to_owned(),
    }
}

fn limits() -> Limits {
    Limits {
        max_bytes: 100_000,
        min_free_bytes: 0,
        max_age: None,
        drop_oldest: false,
        memory_bytes: 10_000,
        persist: Persist::Interval,
        sizes: Sizes {
            segment: 600,
            batch: 400,
            read: 150,
        },
    }
}

fn message(output: &str, text: &str) -> Message {
    Message {
        output: output.into(),
        device: "scale".into(),
        id: None,
        body: Body::Raw(text.to_owned().into()),
        properties: vec![("line".into(), "A".into())],
    }
}

fn text(message: &Message) -> String {
    String::from_utf8(message.body.bytes().to_vec()).unwrap()
}

/// A spool, its disk, and its clock.
struct Bench {
    disk: TrialDisk,
    plugged: Box<dyn Disk>,
    spool: Spool<Told>,
    safe: Safe,
    now: Instant,
    limits: Limits,
}

impl Bench {
    fn new(limits: Limits) -> Self {
        Self::over(TrialDisk::default(), limits)
    }

    fn over(disk: TrialDisk, limits: Limits) -> Self {
        let now = crate::clock::Clock::system().now().monotonic;
        let mut plugged = disk.plugged();
        let found = recover(&mut *plugged, &whose()).unwrap();
        Bench {
            spool: Spool::recovered(found, limits, now),
            disk,
            plugged,
            safe: Safe::default(),
            now,
            limits,
        }
    }

    /// The next run, over what the disk has.
    fn restart(self) -> Self {
        drop(self.plugged);
        Self::over(self.disk, self.limits)
    }

    fn append(&mut self, output: &str, priority: Priority, text: &str) -> Sequence {
        let told = Told {
            text: text.to_owned(),
            safe: Arc::clone(&self.safe),
            written: false,
        };
        self.spool
            .append(priority, message(output, text), told, self.now)
    }

    fn advance(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    /// Does one job; whether there was one.
    fn work_once(&mut self) -> bool {
        let Some(job) = self.spool.job(self.now) else {
            return false;
        };
        let outcome = carry_out(&mut *self.plugged, job);
        self.spool.finished(outcome, self.now);
        true
    }

    fn work(&mut self) {
        let mut jobs = 0;
        while self.work_once() {
            jobs += 1;
            assert!(jobs < 10_000, "it loops");
        }
    }

    /// Reads the next message, from the disk if need be.
    fn read(&mut self) -> Option<Read> {
        for _ in 0..100 {
            if let Some(read) = self.spool.read() {
                return Some(read);
            }
            if !self.spool.has_unread() {
                return None;
            }
            self.work();
            self.advance(1000);
        }
        panic!(
            "{:?} has something to read and does not give it",
            self.spool
        );
    }

    fn done(&mut self, read: &Read) {
        self.spool.done(read.priority, read.sequence).unwrap();
    }

    /// Reads and ends everything; the texts in order.
    fn drain(&mut self) -> Vec<String> {
        let mut texts = Vec::new();
        while let Some(read) = self.read() {
            self.done(&read);
            texts.push(text(&read.message));
        }
        texts
    }
}

const NORMAL: Priority = Priority::Normal;

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| format!("{n:03}")).collect()
}

/// Messages of these numbers, all on disk.
fn stored(range: std::ops::Range<u32>) -> Bench {
    let mut bench = Bench::new(limits());
    for text in numbers(range) {
        bench.append("o", NORMAL, &text);
    }
    bench.advance(200);
    bench.work();
    assert!(bench.spool.is_written());
    bench
}

#[test]
fn what_is_acknowledged_in_time_never_comes_to_the_disk() {
    let mut bench = Bench::new(limits());
    let before = bench.disk.files();
    for text in numbers(0..50) {
        bench.append("o", NORMAL, &text);
        let read = bench.read().unwrap();
        bench.advance(150);
        bench.work();
        bench.done(&read);
    }
    assert_eq!(bench.disk.files(), before);
    assert_eq!(bench.spool.syncs(), 0);
    assert!(bench.spool.is_empty());
}

#[test]
fn high_priority_overtakes_a_backlog_in_memory_and_on_disk() {
    let mut bench = stored(0..20);
    bench.append("o", NORMAL, "020");
    bench.append("alarms", Priority::High, "alarm");
    assert_eq!(text(&bench.read().unwrap().message), "alarm");
    bench.append("alarms", Priority::High, "second");
    bench.advance(200);
    bench.work();
    let mut bench = bench.restart();
    let mut expected = vec!["alarm".to_owned(), "second".to_owned()];
    expected.extend(numbers(0..21));
    assert_eq!(bench.drain(), expected);
}

#[test]
fn a_restart_repeats_at_most_what_was_done_beyond_the_oldest_open() {
    let mut bench = stored(0..30);
    let reads: Vec<Read> = (0..20).map(|_| bench.read().unwrap()).collect();
    for read in reads.iter().filter(|read| text(&read.message) != "010") {
        bench.done(read);
    }
    bench.advance(1000);
    bench.work();
    let kept = bench.spool.kept().clone();
    assert_eq!(kept.values().sum::<u64>(), 11);
    let mut bench = bench.restart();
    assert_eq!(bench.spool.kept().values().sum::<u64>(), 20);
    assert_eq!(bench.drain(), numbers(10..30));
    bench.work();
    let segments = bench.disk.files();
    let segments = segments.keys().filter(|name| name.ends_with(".segment"));
    assert_eq!(segments.count(), 0, "what is done is deleted");
}

#[test]
fn ids_name_the_run_and_no_run_has_the_ids_of_another() {
    let mut bench = Bench::new(limits());
    let first = bench.append("o", NORMAL, "a");
    let id = bench.spool.id(first, &message("o", "a"));
    bench.advance(200);
    bench.work();
    let mut bench = bench.restart();
    let read = bench.read().unwrap();
    assert_eq!(bench.spool.id(read.sequence, &read.message), id);
    let second = bench.append("o", NORMAL, "b");
    let other = bench.spool.id(second, &message("o", "b"));
    let (name, rest) = id.split_once('-').unwrap();
    assert_eq!((name.len(), rest), (12, "1-1"));
    assert_eq!(other, format!("{name}-2-1"));
    let mut own = message("o", "c");
    own.id = Some("scale-7".to_owned());
    assert_eq!(bench.spool.id(second, &own), "scale-7");
}

#[test]
fn a_full_spool_blocks_or_drops_its_oldest_segment() {
    let few = Limits {
        max_bytes: 1500,
        ..limits()
    };
    for drop_oldest in [false, true] {
        let mut bench = Bench::new(Limits { drop_oldest, ..few });
        let mut dropped = 0;
        for text in numbers(0..60) {
            bench.append("o", NORMAL, &text);
            bench.advance(200);
            dropped += bench.spool.give_up(bench.now).outputs.values().sum::<u64>();
            bench.work();
        }
        assert!(
            bench.spool.disk_bytes() <= 1500 + 600,
            "{}",
            bench.spool.disk_bytes()
        );
        assert_eq!(dropped > 0, drop_oldest);
        assert_eq!(bench.spool.kept().values().sum::<u64>(), 60 - dropped);
        if !drop_oldest {
            assert!(matches!(bench.spool.condition(), Condition::Full(_)));
        }
        let kept = numbers(0..60)[usize::try_from(dropped).unwrap()..].to_vec();
        assert_eq!(bench.drain(), kept);
    }
}

#[test]
fn what_is_too_old_is_dropped_by_time_that_passed_and_not_by_the_clock() {
    let mut bench = Bench::new(Limits {
        max_age: Some(Duration::from_secs(10)),
        ..limits()
    });
    for text in numbers(0..20) {
        bench.append("o", NORMAL, &text);
    }
    bench.advance(300);
    bench.work();
    bench.advance(9000);
    assert!(bench.spool.give_up(bench.now).outputs.is_empty());
    bench.append("o", NORMAL, "young");
    bench.advance(3000);
    let dropped = bench.spool.give_up(bench.now);
    assert_eq!(dropped.outputs.values().sum::<u64>(), 20);
    assert_eq!(bench.drain(), ["young"]);
    // After a restart they begin to age anew.
    let mut bench = stored(0..3).restart();
    bench.spool.limit(Limits {
        max_age: Some(Duration::from_secs(10)),
        ..limits()
    });
    assert!(bench.spool.give_up(bench.now).outputs.is_empty());
}

#[test]
fn a_failing_disk_is_survived_from_memory_and_used_again() {
    let mut bench = Bench::new(limits());
    bench.disk.fail(true);
    for text in numbers(0..10) {
        bench.append("o", NORMAL, &text);
    }
    bench.advance(200);
    bench.work();
    assert!(matches!(bench.spool.condition(), Condition::Failing(_)));
    assert!(bench.safe.lock().unwrap().is_empty());
    let read = bench.read().unwrap();
    bench.done(&read);
    assert!(
        bench.spool.deadline().unwrap() > bench.now,
        "it does not spin"
    );
    bench.disk.fail(false);
    bench.advance(1000);
    bench.work();
    assert_eq!(*bench.spool.condition(), Condition::Good);
    assert_eq!(bench.safe.lock().unwrap().len(), 9);
    assert_eq!(bench.restart().drain(), numbers(1..10));
}

#[test]
fn edgehub_keeps_its_part_of_the_disk() {
    let mut bench = Bench::new(Limits {
        min_free_bytes: 1000,
        ..limits()
    });
    bench.disk.set_free(1050);
    bench.append("o", NORMAL, "a");
    bench.advance(200);
    bench.work();
    assert!(matches!(bench.spool.condition(), Condition::Full(_)));
    bench.disk.set_free(2000);
    bench.advance(1000);
    bench.work();
    assert_eq!(*bench.spool.condition(), Condition::Good);
    assert!(bench.spool.is_written());
}

#[test]
fn dead_letters_are_kept_in_two_files_of_bounded_length() {
    let mut bench = Bench::new(limits());
    let line = vec![b'x'; 1 << 20];
    for _ in 0..6 {
        bench.spool.bury(line.clone(), None).unwrap();
        bench.work();
    }
    let files = bench.disk.files();
    assert_eq!(files["dead-letters.1.jsonl"].len(), 4 << 20);
    assert_eq!(files["dead-letters.jsonl"].len(), 2 << 20);
}
