//! Messages of one output that go together, as one JSON array. Pure: time comes in.
//!
//! An output that batches always sends arrays, also of one element: the shape of what it sends
//! depends on the settings alone.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::message::{Name, Priority, Sequence};
use crate::northbound::dialect;
use crate::spool::Read;

/// Bytes that all open batches hold at most.
const MOST_BYTES: usize = 1 << 20;
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

/// A batch that takes more messages.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) output: Name,
    /// The id of its first message.
    pub(super) id: String,
    pub(super) records: Vec<(Priority, Sequence)>,
    elements: Vec<u8>,
    /// Until when it is held for more; without it, it leaves when nothing is queued behind it.
    held: Option<Instant>,
}

impl Open {
    /// The array.
    pub(super) fn payload(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(self.elements.len() + 2);
        payload.push(b'[');
        payload.extend_from_slice(&self.elements);
        payload.push(b']');
        payload
    }

    fn bytes_with(&self, element: usize) -> usize {
        // The brackets, and a comma before the element.
        dialect::batch_properties(&self.id, &self.output) + self.elements.len() + element + 3
    }
}

/// The open batches, one for each output.
#[derive(Debug, Default)]
pub(super) struct Batches {
    open: BTreeMap<Name, Open>,
    bytes: usize,
}

impl Batches {
    /// Adds a message; gives the batches that are full by it.
    pub(super) fn add(
        &mut self,
        read: &Read,
        id: &str,
        batching: Batching,
        now: Instant,
    ) -> Vec<Open> {
        let output = &read.message.output;
        let element = dialect::element(id, &read.message);
        let mut full = Vec::new();
        let fits = |open: &Open| {
            open.bytes_with(element.len()) <= batching.max_bytes
                && open.records.len() < MOST_MESSAGES
        };
        if self.open.get(output).is_some_and(|open| !fits(open)) {
            full.extend(self.take(&Name::clone(output)));
        }
        let open = self
            .open
            .entry(Name::clone(output))
            .or_insert_with(|| Open {
                output: Name::clone(output),
                id: id.to_owned(),
                records: Vec::new(),
                elements: Vec::new(),
                held: until(now, batching.max_delay),
            });
        if !open.records.is_empty() {
            open.elements.push(b',');
            self.bytes += 1;
        }
        open.elements.extend_from_slice(&element);
        open.records.push((read.priority, read.sequence));
        self.bytes += element.len();
        if read.urgent {
            open.held = None;
        }
        while self.bytes > MOST_BYTES {
            let largest = self.open.values().max_by_key(|open| open.elements.len());
            let Some(output) = largest.map(|open| Name::clone(&open.output)) else {
                break;
            };
            full.extend(self.take(&output));
        }
        full
    }

    /// A batch that is not held any longer although more may come.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Open> {
        let due = self
            .open
            .values()
            .find(|open| open.held.is_some_and(|held| held <= now))?;
        let output = Name::clone(&due.output);
        self.take(&output)
    }

    /// A batch that may leave because nothing is queued behind it.
    pub(super) fn take_idle(&mut self) -> Option<Open> {
        let idle = self.open.values().find(|open| open.held.is_none())?;
        let output = Name::clone(&idle.output);
        self.take(&output)
    }

    /// When the first batch is not held any longer.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.open.values().filter_map(|open| open.held).min()
    }

    fn take(&mut self, output: &Name) -> Option<Open> {
        let open = self.open.remove(output)?;
        self.bytes -= open.elements.len();
        Some(open)
    }
}

fn until(now: Instant, delay: Duration) -> Option<Instant> {
    let held = now.checked_add(delay);
    held.filter(|_| !delay.is_zero())
}
