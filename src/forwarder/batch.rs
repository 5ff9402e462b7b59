//! Messages of one output that go together, as one JSON array. Pure: time comes in.
//!
//! An output that batches always sends arrays, also of one element: the shape of what it sends
//! depends on the settings alone.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::message::{Name, Priority, Sequence};
use crate::northbound::{ParcelId, dialect};
use crate::spool::Read;

/// Bytes that all open batches hold at most.
const MOST_BYTES: usize = 1 << 20;
/// Bytes that the place for an element keeps.
const MOST_KEPT: usize = 16 * 1024;
/// Messages in one batch at most.
const MOST_MESSAGES: usize = 5000;

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
    /// Until when it is held for more; without it, it leaves when nothing is queued behind it.
    held: Option<Instant>,
    /// A message in it that took the last room of its connection, and what was sent before.
    pressed: Option<(Priority, Sequence, ParcelId)>,
}

impl Batch {
    fn new(output: Name, id: &str, held: Option<Instant>) -> Self {
        Batch {
            output,
            id: id.to_owned(),
            records: Vec::new(),
            elements: vec![b'['],
            held,
            pressed: None,
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
    /// Adds a message; gives until when its batch is held.
    pub(super) fn add(
        &mut self,
        read: &Read,
        id: &str,
        batching: Batching,
        now: Instant,
    ) -> Option<Instant> {
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
            .or_insert_with(|| Batch::new(Name::clone(output), id, until(now, batching.max_delay)));
        open.push((read.priority, read.sequence), &self.element);
        self.bytes += open.bytes();
        if read.urgent {
            open.held = None;
        }
        let held = open.held;
        while self.bytes > MOST_BYTES && self.close_largest() {}
        held
    }

    /// Closes those that are not held any longer although more may come.
    pub(super) fn close_due(&mut self, now: Instant) {
        self.close_where(|open| open.held.is_some_and(|held| held <= now));
    }

    /// Closes those that may leave because nothing is queued behind them.
    pub(super) fn close_idle(&mut self) {
        self.close_where(|open| open.held.is_none());
    }

    /// The message that was added last took the last room of its connection.
    pub(super) fn press(&mut self, read: &Read, sent: ParcelId) {
        if let Some(open) = self.open.get_mut(&read.message.output) {
            open.pressed = Some((read.priority, read.sequence, sent));
        }
    }

    /// Closes those that hold the last room of a connection, where that helps.
    pub(super) fn close_pressed(&mut self, helps: impl Fn(Priority, Sequence, ParcelId) -> bool) {
        self.close_where(|open| {
            open.pressed
                .is_some_and(|(priority, sequence, sent)| helps(priority, sequence, sent))
        });
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

    /// When the first is not held any longer.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.open.values().filter_map(|open| open.held).min()
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

fn until(now: Instant, delay: Duration) -> Option<Instant> {
    let held = now.checked_add(delay);
    held.filter(|_| !delay.is_zero())
}
