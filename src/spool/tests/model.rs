use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Operation {
    Append(bool),
    Read,
    /// Ends the n-th that is in flight, counted round.
    Done(usize),
    Advance(u64),
    /// One job of the disk.
    Work,
    /// All jobs there are.
    WorkAll,
    /// One operation of the disk fails, after so many.
    FailIn(usize),
    Failing(bool),
    Full(bool),
    Restart,
    /// A loss of power; so much of what was not forced is there all the same.
    PowerLoss(u8),
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let operation = prop_oneof![
        12 => any::<bool>().prop_map(Operation::Append),
        8 => Just(Operation::Read),
        8 => any::<usize>().prop_map(Operation::Done),
        6 => prop_oneof![Just(10_u64), Just(100), Just(200), Just(2000)].prop_map(Operation::Advance),
        10 => Just(Operation::Work),
        4 => Just(Operation::WorkAll),
        2 => (0..4_usize).prop_map(Operation::FailIn),
        1 => any::<bool>().prop_map(Operation::Failing),
        1 => any::<bool>().prop_map(Operation::Full),
        1 => Just(Operation::Restart),
        1 => any::<u8>().prop_map(Operation::PowerLoss),
    ];
    prop::collection::vec(operation, 0..300)
}

/// What must hold: what is kept, and what of it nothing may lose.
struct Model {
    bench: Option<Bench>,
    /// Undone messages of this run and the runs before, by their text.
    undone: BTreeMap<String, Priority>,
    /// Those that were safe when the power went.
    flights: Vec<Read>,
    last_read: BTreeMap<Priority, String>,
    count: u32,
}

impl Model {
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
                self.undone.remove(&text(&read.message));
            }
            Operation::Done(_) => {}
            Operation::Advance(millis) => self.bench().advance(*millis),
            Operation::Work => drop(self.bench().work_once()),
            Operation::WorkAll => self.bench().work(),
            Operation::FailIn(operations) => self.bench().disk.fail_once_in(*operations),
            Operation::Failing(failing) => self.bench().disk.fail(*failing),
            Operation::Full(full) => {
                self.bench()
                    .disk
                    .set_free(if *full { 100 } else { u64::MAX });
            }
            Operation::Restart => self.restart(None),
            Operation::PowerLoss(chance) => self.restart(Some(*chance)),
        }
        let kept: u64 = self.bench().spool.kept().values().sum();
        assert!(kept >= u64::try_from(self.flights.len()).unwrap());
    }

    fn note_read(&mut self, read: Read) {
        let text = text(&read.message);
        if let Some(last) = self.last_read.insert(read.priority, text.clone()) {
            assert!(last < text, "{text} comes behind {last}");
        }
        self.flights.push(read);
    }

    /// What was safe and is undone must be there; of the rest, what is there must be of ours.
    fn restart(&mut self, power_loss: Option<u8>) {
        let bench = self.bench.take().unwrap();
        let safe = bench.safe.lock().unwrap().clone();
        match power_loss {
            Some(chance) => bench.disk.lose_power(chance),
            None => {
                bench.disk.fail(false);
                bench.disk.fail_once_in(usize::MAX);
                bench.disk.set_free(u64::MAX);
            }
        }
        let before = std::mem::take(&mut self.undone);
        let mut bench = bench.restart();
        // Whatever an earlier run had made safe is safe in this one too.
        bench.safe.lock().unwrap().extend(safe.iter().cloned());
        self.flights.clear();
        self.last_read.clear();
        let mut found = BTreeMap::new();
        let mut reads = Vec::new();
        while let Some(read) = bench.read() {
            assert!(
                found.insert(text(&read.message), read.priority).is_none(),
                "twice"
            );
            reads.push(read);
        }
        for text in before.keys().filter(|text| safe.contains(*text)) {
            assert!(
                found.contains_key(text),
                "{text} was safe and is lost; there is {found:?}"
            );
        }
        let kept: u64 = bench.spool.kept().values().sum();
        assert_eq!(kept, u64::try_from(found.len()).unwrap());
        self.undone = found;
        self.bench = Some(bench);
        for read in reads {
            self.note_read(read);
        }
    }

    /// In the end, with a disk that works, everything that is undone comes, once.
    fn finish(mut self) {
        let bench = self.bench();
        bench.disk.fail(false);
        bench.disk.fail_once_in(usize::MAX);
        bench.disk.set_free(u64::MAX);
        while let Some(read) = self.bench().read() {
            self.note_read(read);
        }
        let mut texts: Vec<_> = self
            .flights
            .iter()
            .map(|read| text(&read.message))
            .collect();
        texts.sort();
        let undone: Vec<_> = self.undone.keys().cloned().collect();
        assert_eq!(texts, undone);
        for read in std::mem::take(&mut self.flights) {
            self.bench().done(&read);
        }
        let bench = self.bench();
        assert!(bench.spool.is_empty());
        assert_eq!(bench.spool.kept().values().sum::<u64>(), 0);
        bench.advance(60_000);
        bench.work();
        // What could not be deleted before is deleted at the next start.
        let bench = self.bench.take().unwrap().restart();
        let segments = bench.disk.files();
        let left = segments
            .keys()
            .filter(|name| name.ends_with(".segment") && !name.starts_with("aside"))
            .count();
        assert_eq!(left, 0, "{:?}", segments.keys());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn no_safe_message_is_lost_and_none_is_read_twice(operations in operations(), each_batch: bool) {
        let persist = if each_batch { Persist::EachBatch } else { Persist::Interval };
        let mut model = Model {
            bench: Some(Bench::new(Limits { persist, ..limits() })),
            undone: BTreeMap::new(),
            flights: Vec::new(),
            last_read: BTreeMap::new(),
            count: 0,
        };
        for operation in &operations {
            model.run(operation);
        }
        model.finish();
    }
}
