//! Messages for the inputs of modules: kept until acknowledged, one on its way at a time.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use tokio::time::Instant;

use crate::clock;
use crate::identities::IdentityId;

/// Messages that wait for one module; what comes then is lost and counted.
const MAX_WAITING: usize = 10_000;

/// A message that waits for a module.
#[derive(Clone, Debug)]
pub(crate) struct InputMessage {
    pub(crate) number: u64,
    pub(crate) topic: String,
    pub(crate) body: Bytes,
    pub(crate) made: Instant,
}

/// The queues of all modules.
#[derive(Debug, Default)]
pub(crate) struct Inputs(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    queues: HashMap<IdentityId, VecDeque<InputMessage>>,
    last: u64,
}

impl Inputs {
    /// Puts a message at the end; false if the queue is full.
    pub(crate) fn push(&self, id: &IdentityId, topic: String, body: Bytes) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.last += 1;
        let number = state.last;
        let queue = state.queues.entry(id.clone()).or_default();
        if queue.len() >= MAX_WAITING {
            return false;
        }
        queue.push_back(InputMessage {
            number,
            topic,
            body,
            made: clock::monotonic(),
        });
        true
    }

    /// The message whose turn it is.
    pub(crate) fn first(&self, id: &IdentityId) -> Option<InputMessage> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.queues.get(id)?.front().cloned()
    }

    /// That message is consumed or lost. Late acknowledgements of others change nothing.
    pub(crate) fn finish(&self, id: &IdentityId, number: u64) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(queue) = state.queues.get_mut(id) else {
            return false;
        };
        let first = queue
            .front()
            .is_some_and(|message| message.number == number);
        if first {
            queue.pop_front();
        }
        first
    }
}
