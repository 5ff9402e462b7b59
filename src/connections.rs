//! Which connections stand, for who asks: a number for each, in the order in which they were opened.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::inbox::{Inbox, Origin};
use crate::message::{ConnectionId, Name};

/// All connections of the process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Connections(Arc<Mutex<Open>>);

/// An idle connection must stay small: what is known of it stands in its inbox, once.
#[derive(Debug, Default)]
struct Open {
    standing: BTreeMap<ConnectionId, Inbox>,
    last: u64,
}

impl Connections {
    /// A connection stands from now on; its number is never given again.
    pub fn open(&self, origin: Origin) -> Inbox {
        let mut open = self.lock();
        open.last += 1;
        let id = ConnectionId(open.last);
        let inbox = Inbox::new(id, origin);
        open.standing.insert(id, inbox.clone());
        inbox
    }

    /// It has ended.
    pub fn close(&self, inbox: &Inbox) {
        self.lock().standing.remove(&inbox.id());
    }

    /// That connection.
    pub fn find(&self, id: ConnectionId) -> Option<Inbox> {
        self.lock().standing.get(&id).cloned()
    }

    /// So many of those that were opened after that one, in their order.
    pub fn after(&self, after: ConnectionId, most: usize) -> Vec<Inbox> {
        let next = ConnectionId(after.0.saturating_add(1));
        let open = self.lock();
        let later = open.standing.range(next..).take(most);
        later.map(|(_, inbox)| inbox.clone()).collect()
    }

    /// How many stand, by entry and by who has called.
    pub fn count(&self) -> BTreeMap<(Name, bool), usize> {
        let mut counts = BTreeMap::new();
        for inbox in self.lock().standing.values() {
            let origin = inbox.origin();
            let entry = (Name::clone(&origin.entry), origin.dialled);
            *counts.entry(entry).or_default() += 1;
        }
        counts
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(connections: &Connections, entry: &str) -> ConnectionId {
        let origin = Origin {
            entry: entry.into(),
            ..Inbox::default().origin().clone()
        };
        connections.open(origin).id()
    }

    #[test]
    fn connections_have_numbers_that_are_never_given_again_and_are_paged_in_their_order() {
        let connections = Connections::default();
        let first = open(&connections, "a");
        let second = open(&connections, "b");
        connections.close(&connections.find(first).unwrap());
        let third = open(&connections, "b");
        let ids = |after, most| -> Vec<_> {
            let page = connections.after(after, most).into_iter();
            page.map(|inbox| inbox.id()).collect()
        };
        assert_eq!(ids(ConnectionId(0), 9), [second, third]);
        assert_eq!(ids(ConnectionId(0), 1), [second]);
        assert_eq!(ids(second, 9), [third]);
        assert_eq!(ids(ConnectionId(u64::MAX), 9), []);
        assert!(connections.find(first).is_none());
        assert_eq!(connections.count(), [(("b".into(), false), 2)].into());
    }
}
