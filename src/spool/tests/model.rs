use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Operation {
    Append(bool),
    Read,
    /// Ends the n-th that is in flight, counted round.
    Done(usize),
    Advance(u64),
    /// All jobs there are go to the disk, which does nothing yet.
    Begin,
    /// The disk does the first of them.
    End,
    /// All jobs there are.
    WorkAll,
    /// Somebody waits for the room of so many messages.
    Want(usize),
    /// One operation of the disk fails, after so many.
    FailIn(usize),
    Failing(bool),
    Full(bool),
    /// The process is killed; one operation of the next start fails, after so many.
    Restart(Option<usize>),
    /// A loss of power; so much of what was not forced is there all the same.
    PowerLoss(u8),
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let operation = prop_oneof![
        12 => any::<bool>().prop_map(Operation::Append),
        8 => Just(Operation::Read),
        8 => any::<usize>().prop_map(Operation::Done),
        6 => prop_oneof![Just(10_u64), Just(100), Just(200), Just(2000)].prop_map(Operation::Advance),
        4 => Just(Operation::Begin),
        8 => Just(Operation::End),
        4 => Just(Operation::WorkAll),
        1 => (0..4_usize).prop_map(Operation::Want),
        2 => (0..4_usize).prop_map(Operation::FailIn),
        1 => any::<bool>().prop_map(Operation::Failing),
        1 => any::<bool>().prop_map(Operation::Full),
        1 => prop::option::of(0..30_usize).prop_map(Operation::Restart),
        1 => any::<u8>().prop_map(Operation::PowerLoss),
    ];
    prop::collection::vec(operation, 0..300)
}

fn any_limits() -> impl Strategy<Value = Limits> {
    let persist = prop_oneof![
        Just(Persist::Interval),
        Just(Persist::EachBatch),
        Just(Persist::Never)
    ];
    let max_bytes = prop_oneof![3 => Just(100_000_u64), 1 => Just(3000)];
    let max_age = prop::option::weighted(0.2, Just(Duration::from_secs(20)));
    let drop_oldest = prop::bool::weighted(0.3);
    (persist, max_bytes, max_age, drop_oldest).prop_map(
        |(persist, max_bytes, max_age, drop_oldest)| Limits {
            persist,
            max_bytes,
            max_age,
            drop_oldest,
            ..limits()
        },
    )
}

/// What must hold: what is kept, and what of it nothing may lose.
struct Model {
    bench: Option<Bench>,
    /// Messages of this run and the runs before that are not done, by their text.
    undone: BTreeMap<String, Priority>,
    /// What was done in any run. A restart may repeat it; nobody needs it any more.
    delivered: BTreeSet<String>,
    /// How many of those that are not done were given up.
    dropped: u64,
    /// Those that this run could not read, and how many of them may be gone.
    hidden: BTreeMap<String, Priority>,
    may_be_gone: u64,
    flights: Vec<Read>,
    last_read: BTreeMap<Priority, String>,
    count: u32,
}

impl Model {
    fn new(limits: Limits) -> Self {
        Model {
            bench: Some(Bench::new(limits)),
            undone: BTreeMap::new(),
            delivered: BTreeSet::new(),
            dropped: 0,
            hidden: BTreeMap::new(),
            may_be_gone: 0,
            flights: Vec::new(),
            last_read: BTreeMap::new(),
            count: 0,
        }
    }

    fn bench(&mut self) -> &mut Bench {
        self.bench.as_mut().unwrap()
    }

    fn run(&mut self, operation: &Operation) {
        match operation {
            Operation::Append(high) => {
                let priority = if *high { Priority::High } else { NORMAL };
                // Texts of odd and even length: some holds wait to the end.
                let text = format!(
                    "{:06}{}",
                    self.count,
                    "x".repeat((self.count % 90) as usize)
                );
                self.count += 1;
                self.bench().append("o", priority, &text);
                self.undone.insert(text, priority);
            }
            Operation::Read => {
                if let Some(read) = self.bench().spool.read() {
                    self.note_read(read);
                }
            }
            Operation::Done(n) if !self.flights.is_empty() => {
                let read = self.flights.remove(n % self.flights.len());
                self.bench().done(&read);
                let text = text(&read.message);
                self.undone.remove(&text);
                self.delivered.insert(text);
            }
            Operation::Done(_) => {}
            Operation::Advance(millis) => self.bench().advance(*millis),
            Operation::Begin => self.bench().begin(),
            Operation::End => drop(self.bench().end_one()),
            Operation::WorkAll => self.bench().work(),
            Operation::Want(count) => {
                self.bench().wanted.store(*count, Ordering::Relaxed);
                self.bench().spool.want_memory();
            }
            Operation::FailIn(operations) => self.bench().disk.fail_once_in(*operations),
            Operation::Failing(failing) => self.bench().disk.fail(*failing),
            Operation::Full(full) => {
                self.bench()
                    .disk
                    .set_free(if *full { 100 } else { u64::MAX });
            }
            Operation::Restart(fails_in) => self.restart(None, *fails_in),
            Operation::PowerLoss(chance) => self.restart(Some(*chance), None),
        }
        self.count_dropped();
        let kept = self.bench().kept();
        assert_eq!(kept + self.dropped, self.undone.len() as u64);
    }

    fn count_dropped(&mut self) {
        let bench = self.bench();
        let dropped = bench.given_up() + std::mem::take(&mut bench.unreadable);
        self.dropped += dropped;
    }

    fn note_read(&mut self, read: Read) {
        let text = text(&read.message);
        if let Some(last) = self.last_read.insert(read.priority, text.clone()) {
            assert!(last < text, "{text} comes behind {last}");
        }
        self.flights.push(read);
    }

    /// What was safe and is undone must be there, but for what was given up.
    fn restart(&mut self, power_loss: Option<u8>, fails_in: Option<usize>) {
        self.count_dropped();
        let bench = self.bench.take().unwrap();
        let safe = bench.safe.lock().unwrap().clone();
        match power_loss {
            Some(chance) => bench.disk.lose_power(chance),
            None => bench.disk.mend(),
        }
        let (bench, all_read) = start_again(bench, fails_in);
        // Whatever an earlier run had made safe is safe in this one too.
        bench.safe.lock().unwrap().extend(safe.iter().cloned());
        self.bench = Some(bench);
        let mut before = std::mem::take(&mut self.undone);
        before.append(&mut self.hidden);
        self.may_be_gone += std::mem::take(&mut self.dropped);
        self.flights.clear();
        self.last_read.clear();
        self.read_all();
        self.count_dropped();
        let mut missing = before;
        let needed = |text: &String| safe.contains(text) && !self.delivered.contains(text);
        missing.retain(|text, _| needed(text) && !self.undone.contains_key(text));
        let gone = self.may_be_gone + self.dropped;
        if all_read {
            let lost = missing.len() as u64;
            assert!(
                lost <= gone,
                "{missing:?} are lost, there is {:?}",
                self.undone
            );
            self.may_be_gone = 0;
        } else {
            self.hidden = missing;
        }
        // What was given up is known by its number alone.
        let kept = self.bench().kept();
        assert_eq!(kept, self.undone.len() as u64);
        self.may_be_gone += std::mem::take(&mut self.dropped);
    }

    fn read_all(&mut self) {
        while let Some(read) = self.bench().read() {
            let again = self.undone.insert(text(&read.message), read.priority);
            assert!(again.is_none(), "twice");
            self.note_read(read);
        }
    }

    /// In the end, with a disk that works, everything that is undone comes, once.
    fn finish(mut self) {
        self.bench().disk.mend();
        let mut texts = Vec::new();
        while let Some(read) = self.bench().read() {
            self.note_read(read);
        }
        self.count_dropped();
        texts.extend(self.flights.iter().map(|read| text(&read.message)));
        texts.retain(|text| self.undone.contains_key(text));
        assert_eq!(texts.len(), self.flights.len());
        assert_eq!(
            (texts.len() as u64) + self.dropped,
            self.undone.len() as u64
        );
        for read in std::mem::take(&mut self.flights) {
            self.bench().done(&read);
        }
        assert!(self.bench().spool.is_empty());
        assert_eq!(self.bench().kept(), 0);
        // What could not be read or deleted is there at the next start, and then no more.
        let mut bench = self.bench.take().unwrap();
        bench.advance(60_000);
        bench.work();
        let mut bench = bench.restart();
        let texts = bench.drain();
        let comes = |text: &&String| texts.contains(*text);
        let come = self.hidden.keys().filter(comes).count() as u64;
        assert!(come + self.may_be_gone + self.dropped >= self.hidden.len() as u64);
        bench.advance(60_000);
        bench.work();
        let left = bench.disk.segments();
        assert!(left.is_empty(), "{left:?}");
        assert_eq!(*bench.spool.condition(), Condition::Good);
    }
}

/// The next run, and whether it could read all segments. A start that fails is tried again.
fn start_again(bench: Bench, fails_in: Option<usize>) -> (Bench, bool) {
    let Bench { disk, limits, .. } = bench;
    disk.fail_once_in(fails_in.unwrap_or(usize::MAX));
    let found = recover(&mut *disk.plugged(), &whose());
    disk.mend();
    let found = found.unwrap_or_else(|_| recover(&mut *disk.plugged(), &whose()).unwrap());
    let all_read = found.unread_from.is_empty();
    (Bench::with(disk, found, limits), all_read)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn no_safe_message_is_lost_and_none_is_read_twice(operations in operations(), limits in any_limits()) {
        let mut model = Model::new(limits);
        for operation in &operations {
            model.run(operation);
        }
        model.finish();
    }
}

/// What was given up is not read again although a batch was on its way to the same file.
#[test]
fn a_segment_that_is_given_up_may_get_one_more_batch() {
    use Operation::{Append, Begin, Done, End, Full, Read, Restart, WorkAll};
    let steps = [
        (5, Append(false)),
        (1, Restart(None)),
        (5, Append(false)),
        (1, Begin),
        (1, Append(false)),
        (1, End),
        (1, Restart(None)),
        (1, Append(false)),
        (1, Append(true)),
        (2, Append(false)),
        (1, Append(true)),
        (1, Append(false)),
        (1, WorkAll),
        (1, Append(true)),
        (1, Done(0)),
        (1, Append(false)),
        (1, Append(true)),
        (2, Append(false)),
        (1, Append(true)),
        (1, Append(false)),
        (1, Append(true)),
        (1, Append(false)),
        (1, Read),
        (4, Append(false)),
        (1, WorkAll),
        (2, Read),
        (1, Full(true)),
        (3, Read),
        (1, End),
        (1, Append(false)),
        (1, Append(true)),
        (1, Begin),
        (1, End),
    ];
    let mut model = Model::new(Limits {
        max_bytes: 3000,
        drop_oldest: true,
        persist: Persist::EachBatch,
        ..limits()
    });
    for (times, step) in steps {
        (0..times).for_each(|_| model.run(&step));
    }
    model.finish();
}
