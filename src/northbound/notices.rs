//! News for the module that must neither be lost nor hold up the session: only the newest of a
//! kind waits.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::mem::discriminant;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, mpsc};

use super::Inbound;

/// News on the way to the module. At most one document and one state of the link wait.
#[derive(Clone, Debug, Default)]
pub(super) struct Notices(Arc<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    queue: Mutex<VecDeque<Inbound>>,
    added: Notify,
}

impl Notices {
    /// Adds news; what it makes outdated is dropped.
    pub fn add(&self, notice: Inbound) {
        let mut queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.retain(|known| !outdated(known, &notice));
        queue.push_back(notice);
        self.0.added.notify_one();
    }

    /// Hands news over, in order. It never ends: a link that is taking leave outlives the module's end.
    pub async fn run(&self, inbound: mpsc::Sender<Inbound>) -> Infallible {
        loop {
            match self.next() {
                Some(notice) => drop(inbound.send(notice).await),
                None => self.0.added.notified().await,
            }
        }
    }

    fn next(&self) -> Option<Inbound> {
        let mut queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.pop_front()
    }
}

fn outdated(known: &Inbound, new: &Inbound) -> bool {
    let presence = |notice: &Inbound| matches!(notice, Inbound::Connected | Inbound::Disconnected);
    (presence(known) && presence(new)) || discriminant(known) == discriminant(new)
}
