//! The spool in memory. What bounds it is the room that a message must have before it comes here.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use crate::message::{Entry, Message, Sequence};

/// Messages that are not done yet, in the order of their sequence numbers.
#[derive(Debug)]
pub struct Spool {
    /// Names this spool in message ids.
    id: Arc<str>,
    last: Sequence,
    read_to: Sequence,
    entries: BTreeMap<Sequence, Entry>,
    bytes: usize,
}

impl Spool {
    /// An empty spool. `id` must differ from that of every earlier spool of this module, since
    /// `{id}-{sequence}` is what recognises a repeat.
    pub fn new(id: Arc<str>) -> Self {
        Spool {
            id,
            last: Sequence(0),
            read_to: Sequence(0),
            entries: BTreeMap::new(),
            bytes: 0,
        }
    }

    /// Takes a message over and numbers it.
    pub fn append(&mut self, message: Message) -> Sequence {
        self.last = Sequence(self.last.0.saturating_add(1));
        let sequence = self.last;
        let id = match &message.id {
            Some(id) => id.as_str().into(),
            None => format!("{}-{}", self.id, sequence.0).into(),
        };
        self.bytes = self.bytes.saturating_add(message.size());
        self.entries.insert(
            sequence,
            Entry {
                sequence,
                id,
                message: Arc::new(message),
            },
        );
        sequence
    }

    /// The next message to send; each is read once until the next `rewind`.
    pub fn read(&mut self) -> Option<Entry> {
        let unread = (Bound::Excluded(self.read_to), Bound::Unbounded);
        let (sequence, entry) = self.entries.range(unread).next()?;
        self.read_to = *sequence;
        Some(entry.clone())
    }

    /// Whether `read` would give a message.
    pub fn has_unread(&self) -> bool {
        self.last > self.read_to
            && self
                .entries
                .last_key_value()
                .is_some_and(|(last, _)| *last > self.read_to)
    }

    /// Ends a message; gives it back, or `None` if it was done before.
    pub fn done(&mut self, sequence: Sequence) -> Option<Arc<Message>> {
        let entry = self.entries.remove(&sequence)?;
        self.bytes = self.bytes.saturating_sub(entry.message.size());
        Some(entry.message)
    }

    /// Starts reading again at the oldest message that is not done.
    pub fn rewind(&mut self) {
        self.read_to = Sequence(0);
    }

    /// How many messages are not done.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether all messages are done.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of the messages that are not done.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Body;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    fn message(text: &str, id: Option<&str>) -> Message {
        Message {
            output: "telemetry".into(),
            device: "scale-1".into(),
            id: id.map(str::to_owned),
            body: Body::Raw(text.to_owned().into()),
            properties: Vec::new(),
        }
    }

    #[test]
    fn ids_are_the_spool_and_the_sequence_unless_the_message_brings_its_own() {
        let mut spool = Spool::new("f00d".into());
        spool.append(message("a", None));
        spool.append(message("b", Some("scale-1-77")));
        let ids: Vec<_> = std::iter::from_fn(|| spool.read())
            .map(|entry| entry.id.to_string())
            .collect();
        assert_eq!(ids, ["f00d-1", "scale-1-77"]);
        spool.rewind();
        assert_eq!(
            spool.read().unwrap().id.as_ref(),
            "f00d-1",
            "an id is the same on every resend"
        );
    }

    #[derive(Clone, Debug)]
    enum Operation {
        Append,
        Read,
        /// Ends the n-th undone message, counted round.
        Done(usize),
        Rewind,
    }

    fn operation() -> impl Strategy<Value = Operation> {
        prop_oneof![
            3 => Just(Operation::Append),
            3 => Just(Operation::Read),
            2 => any::<usize>().prop_map(Operation::Done),
            1 => Just(Operation::Rewind),
        ]
    }

    proptest! {
        #[test]
        fn behaves_as_a_list_of_undone_and_a_queue_of_unread(operations in prop::collection::vec(operation(), 0..200)) {
            let mut spool = Spool::new("s".into());
            let mut undone: Vec<u64> = Vec::new();
            let mut unread: VecDeque<u64> = VecDeque::new();
            let mut appended = 0;
            for operation in operations {
                match operation {
                    Operation::Append => {
                        appended += 1;
                        prop_assert_eq!(spool.append(message("x", None)), Sequence(appended));
                        undone.push(appended);
                        unread.push_back(appended);
                    }
                    Operation::Read => {
                        prop_assert_eq!(spool.has_unread(), !unread.is_empty());
                        prop_assert_eq!(spool.read().map(|entry| entry.sequence.0), unread.pop_front());
                    }
                    Operation::Done(n) if !undone.is_empty() => {
                        let sequence = undone.remove(n % undone.len());
                        unread.retain(|known| *known != sequence);
                        prop_assert!(spool.done(Sequence(sequence)).is_some());
                        prop_assert!(spool.done(Sequence(sequence)).is_none());
                    }
                    Operation::Done(_) => {}
                    Operation::Rewind => {
                        spool.rewind();
                        unread = undone.iter().copied().collect();
                    }
                }
                prop_assert_eq!(spool.len(), undone.len());
                prop_assert_eq!(spool.bytes(), undone.len() * message("x", None).size());
            }
        }
    }
}
