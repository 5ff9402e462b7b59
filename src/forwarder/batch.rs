//! Messages of one output that go together, as one JSON array. Pure: time comes in.
//!
//! An output that batches always sends arrays, also of one element: the shape of what it sends
//! depends on the settings alone.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::message::{Name, Priority, Sequence};
use crate::northbound::dialect;
use crate::spool::Read;

/// Bytes that all open batches hold at most.
const MOST_BYTES: usize = 1 << 20;
/// Bytes that the place for an element keeps.
const MOST_KEPT: usize = 16 * 1024;
/// Messages in one batch at most.
const MOST_MESSAGES: usize = 5000;
/// A batch that is not held waits no longer for those that are queued behind it.
const UNHELD: Duration = Duration::from_millis(200);

/// Member `batch` of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batching {
    /// Bytes of a batch at most, its properties included, as IoT Hub meters.
    pub max_bytes: usize,
    /// How long a batch that has room is held for more.
    pub max_delay: Duration,
}

/// Messages that go together.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) output: Name,
    /// The id of its first message.
    pub(super) id: String,
    pub(super) records: Vec<(Priority, Sequence)>,
    /// The array up to its last element.
    elements: Vec<u8>,
    /// Whether it is held for more although nothing is queued behind it.
    held: bool,
    /// When it leaves at the latest.
    until: Option<Instant>,
}

impl Batch {
    fn new(output: Name, id: &str, batching: Batching, now: Instant) -> Self {
        let held = !batching.max_delay.is_zero();
        Batch {
            output,
            id: id.to_owned(),
            records: Vec::new(),
            elements: vec![b'['],
            held,
            until: now.checked_add(if held { batching.max_delay } else { UNHELD }),
        }
    }

    /// The array, and the records that it is made of.
    pub(super) fn into_parts(mut self) -> (Vec<u8>, Vec<(Priority, Sequence)>) {
        self.elements.push(b']');
        (self.elements, self.records)
    }

    fn bytes(&self) -> usize {
        self.elements.len()
    }

    fn takes(&self, element: usize, batching: Batching) -> bool {
        // A comma before the element, and the bracket at the end.
        let elements = self.elements.len() + element + 2;
        let bytes = dialect::batch_properties(&self.id, &self.output) + elements;
        bytes <= batching.max_bytes && self.records.len() < MOST_MESSAGES
    }

    fn push(&mut self, record: (Priority, Sequence), element: &[u8]) {
        if !self.records.is_empty() {
            self.elements.push(b',');
        }
        self.elements.extend_from_slice(element);
        self.records.push(record);
    }
}

/// Batches that take more messages, one for each output, and those that do not any more.
#[derive(Debug, Default)]
pub(super) struct Batches {
    open: BTreeMap<Name, Batch>,
    /// They leave before anything that came behind them.
    closed: VecDeque<Batch>,
    /// Bytes of the open ones.
    bytes: usize,
    /// The element that is being added.
    element: Vec<u8>,
}

impl Batches {
    /// Adds a message.
    pub(super) fn add(&mut self, read: &Read, id: &str, batching: Batching, now: Instant) {
        let output = &read.message.output;
        self.element.clear();
        self.element.shrink_to(MOST_KEPT);
        dialect::push_element(&mut self.element, id, &read.message);
        let open = self.open.get(output);
        if open.is_some_and(|open| !open.takes(self.element.len(), batching)) {
            self.close(&Name::clone(output));
        }
        self.bytes -= self.open.get(output).map_or(0, Batch::bytes);
        let open = self
            .open
            .entry(Name::clone(output))
            .or_insert_with(|| Batch::new(Name::clone(output), id, batching, now));
        open.push((read.priority, read.sequence), &self.element);
        self.bytes += open.bytes();
        if read.urgent {
            open.held = false;
            open.until = [open.until, now.checked_add(UNHELD)]
                .into_iter()
                .flatten()
                .min();
        }
        while self.bytes > MOST_BYTES && self.close_largest() {}
    }

    /// Closes those whose time has come, whatever is queued behind them.
    pub(super) fn close_due(&mut self, now: Instant) {
        self.close_where(|open| open.until.is_some_and(|until| until <= now));
    }

    /// Closes those that are not held, because nothing is queued behind them.
    pub(super) fn close_idle(&mut self) {
        self.close_where(|open| !open.held);
    }

    /// Closes those of high priority that are not held: nothing of normal priority goes before them.
    pub(super) fn close_high(&mut self) {
        let high = |open: &Batch| {
            open.records
                .first()
                .is_some_and(|first| first.0 == Priority::High)
        };
        self.close_where(|open| !open.held && high(open));
    }

    /// Whether one is to leave.
    pub(super) fn has_closed(&self) -> bool {
        !self.closed.is_empty()
    }

    /// Closes all that are open.
    pub(super) fn close_all(&mut self) {
        self.close_where(|_| true);
    }

    fn close_where(&mut self, which: impl Fn(&Batch) -> bool) {
        let chosen = self.open.extract_if(.., |_, open| which(open));
        for (_, batch) in chosen {
            self.bytes -= batch.bytes();
            self.closed.push_back(batch);
        }
    }

    /// The next that leaves.
    pub(super) fn take(&mut self) -> Option<Batch> {
        self.closed.pop_front()
    }

    /// When the time of the first has come.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.open.values().filter_map(|open| open.until).min()
    }

    fn close_largest(&mut self) -> bool {
        let largest = self.open.values().max_by_key(|open| open.bytes());
        let output = largest.map(|open| Name::clone(&open.output));
        output.is_some_and(|output| self.close(&output))
    }

    fn close(&mut self, output: &Name) -> bool {
        let Some(batch) = self.open.remove(output) else {
            return false;
        };
        self.bytes -= batch.bytes();
        self.closed.push_back(batch);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::message::{Body, Message};

    fn read(number: u64, urgent: bool) -> Read {
        let message = Message {
            output: "b".into(),
            device: "scale".into(),
            id: None,
            body: Body::Contract("{}".into()),
            properties: Vec::new(),
        };
        Read {
            priority: Priority::Normal,
            sequence: Sequence(number),
            message: Arc::new(message),
            urgent,
        }
    }

    /// When a batch leaves while others are queued behind it, and whether it leaves when none are.
    fn leaves(delay: u64, urgent_after: Option<u64>) -> (Duration, bool) {
        let start = crate::clock::Clock::system().now().monotonic;
        let batching = Batching {
            max_bytes: 4096,
            max_delay: Duration::from_millis(delay),
        };
        let mut batches = Batches::default();
        batches.add(&read(1, false), "1", batching, start);
        if let Some(after) = urgent_after {
            let now = start + Duration::from_millis(after);
            batches.add(&read(2, true), "2", batching, now);
        }
        let until = batches.deadline().unwrap();
        batches.close_due(until - Duration::from_millis(1));
        assert!(!batches.has_closed());
        batches.close_idle();
        let idle = batches.has_closed();
        batches.close_due(until);
        assert!(batches.has_closed());
        (until - start, idle)
    }

    #[test]
    fn a_batch_is_held_as_the_settings_say_and_never_for_long_when_they_do_not() {
        let millis = Duration::from_millis;
        assert_eq!(leaves(0, None), (millis(200), true));
        assert_eq!(leaves(50, None), (millis(50), false));
        assert_eq!(leaves(1000, None), (millis(1000), false));
        assert_eq!(leaves(1000, Some(100)), (millis(300), true));
        assert_eq!(leaves(1000, Some(900)), (millis(1000), true));
    }
}
