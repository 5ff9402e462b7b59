mod conditions;
mod damage;
pub(crate) mod disk;
mod holds;
mod letters;
mod model;
mod persist;
mod room;
mod runs;
mod threads;

use std::sync::atomic::{AtomicUsize, Ordering};
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
    /// Of how many messages somebody wants the room.
    wanted: Arc<AtomicUsize>,
}

impl Hold for Told {
    fn written(&mut self) {
        self.written = true;
    }

    fn safe(&mut self) {
        assert!(self.written, "safe before it was written");
        self.safe.lock().unwrap().insert(self.text.clone());
    }

    fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) > 0 && self.wanted.fetch_sub(1, Ordering::Relaxed) > 0
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
    wanted: Arc<AtomicUsize>,
    now: Instant,
    limits: Limits,
    /// Jobs that the disk has not done yet.
    under_way: VecDeque<Job>,
    /// Messages that could not be read.
    unreadable: u64,
}

impl Bench {
    fn new(limits: Limits) -> Self {
        Self::over(TrialDisk::default(), limits)
    }

    fn over(disk: TrialDisk, limits: Limits) -> Self {
        let found = recover(&mut *disk.plugged(), &whose()).unwrap();
        Self::with(disk, found, limits)
    }

    fn with(disk: TrialDisk, found: Recovered, limits: Limits) -> Self {
        let now = crate::clock::Clock::system().now().monotonic;
        Bench {
            spool: Spool::recovered(found, limits, now),
            plugged: disk.plugged(),
            disk,
            safe: Safe::default(),
            wanted: Arc::default(),
            now,
            limits,
            under_way: VecDeque::new(),
            unreadable: 0,
        }
    }

    /// The next run, over what the disk has.
    fn restart(self) -> Self {
        drop(self.plugged);
        Self::over(self.disk, self.limits)
    }

    /// The next run, when everything is on disk.
    fn restart_written(mut self) -> Self {
        self.work();
        assert!(self.spool.is_written());
        self.restart()
    }

    fn append(&mut self, output: &str, priority: Priority, text: &str) -> Sequence {
        let told = Told {
            text: text.to_owned(),
            safe: Arc::clone(&self.safe),
            written: false,
            wanted: Arc::clone(&self.wanted),
        };
        self.spool
            .append(priority, message(output, text), told, self.now)
    }

    fn advance(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    /// Gives all jobs there are to the disk, which does none of them yet.
    fn begin(&mut self) {
        while let Some(job) = self.spool.job(self.now) {
            self.under_way.push_back(job);
            assert!(self.under_way.len() <= worker::MOST_OUTSTANDING);
        }
        let deadline = self.spool.deadline();
        let spins = deadline.is_some_and(|deadline| deadline <= self.now);
        assert!(!spins, "it spins: {:?}", self.spool);
    }

    /// The disk does one job; whether there was one.
    fn end_one(&mut self) -> bool {
        let Some(job) = self.under_way.pop_front() else {
            return false;
        };
        let outcome = carry_out(&mut *self.plugged, job);
        let finished = self.spool.finished(outcome, self.now);
        self.unreadable += finished.dropped.outputs.values().sum::<u64>();
        true
    }

    /// All jobs until there is no more to do now.
    fn work(&mut self) {
        let mut jobs = 0;
        self.begin();
        while self.end_one() {
            self.begin();
            jobs += 1;
            assert!(jobs < 10_000, "it loops");
        }
    }

    fn work_until_good(&mut self) {
        for _ in 0..10 {
            self.now = self.spool.deadline().expect("it looks again");
            self.work();
            if *self.spool.condition() == Condition::Good {
                return;
            }
        }
        panic!("{:?} does not see that the disk works", self.spool);
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

    /// Appends messages and lets them get on the disk, if it takes them.
    fn store(&mut self, range: std::ops::Range<u32>) {
        for text in numbers(range) {
            self.append("o", NORMAL, &text);
        }
        self.advance(200);
        self.work();
    }

    fn kept(&self) -> u64 {
        self.spool.kept().values().sum()
    }

    /// How many messages were given up since the last time.
    fn given_up(&mut self) -> u64 {
        self.spool.given_up().outputs.values().sum()
    }

    /// Reads the next message; the disk works, time stands still.
    fn read_now(&mut self) -> Option<Read> {
        self.work();
        self.spool.read()
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
    assert!(bench.disk.segments().is_empty(), "what is done is deleted");
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
    bench.work();
    assert_eq!(bench.given_up(), 0);
    bench.append("o", NORMAL, "young");
    bench.advance(3000);
    bench.work();
    assert_eq!(bench.given_up(), 20);
    assert_eq!(bench.drain(), ["young"]);
    // After a restart they begin to age anew.
    let mut bench = stored(0..3).restart();
    bench.spool.limit(Limits {
        max_age: Some(Duration::from_secs(10)),
        ..limits()
    });
    bench.work();
    assert_eq!(bench.given_up(), 0);
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
