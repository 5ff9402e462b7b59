//! Which connections stand, for who asks: a place for each, in the order in which they were opened.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::inbox::Inbox;
use crate::message::{ConnectionId, Name};

/// One connection.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The way into it.
    pub inbox: Inbox,
    /// The entry of the settings that it belongs to.
    pub entry: Name,
    /// Whether we have called the device, and the entry is one of `outbound`.
    pub dialled: bool,
    /// The other end.
    pub peer: SocketAddr,
    /// When it was opened.
    pub since: Timestamp,
}

/// All connections of the process. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Connections(Arc<Mutex<Open>>);

#[derive(Debug, Default)]
struct Open {
    standing: BTreeMap<ConnectionId, Standing>,
    last: u64,
}

impl Connections {
    /// A connection stands; its number is never given again.
    pub fn open(&self, connection: Standing) -> ConnectionId {
        let mut open = self.lock();
        open.last += 1;
        let id = ConnectionId(open.last);
        open.standing.insert(id, connection);
        id
    }

    /// It has ended.
    pub fn close(&self, id: ConnectionId) {
        self.lock().standing.remove(&id);
    }

    /// That connection.
    pub fn find(&self, id: ConnectionId) -> Option<Standing> {
        self.lock().standing.get(&id).cloned()
    }

    /// The number of the connection with that inbox.
    pub fn id_of(&self, inbox: &Inbox) -> Option<ConnectionId> {
        let open = self.lock();
        let mut all = open.standing.iter();
        let (id, _) = all.find(|(_, standing)| standing.inbox.is(inbox))?;
        Some(*id)
    }

    /// So many of those that were opened after that one, in their order.
    pub fn after(&self, after: ConnectionId, most: usize) -> Vec<(ConnectionId, Standing)> {
        let next = ConnectionId(after.0.saturating_add(1));
        let open = self.lock();
        let later = open.standing.range(next..).take(most);
        later
            .map(|(id, standing)| (*id, standing.clone()))
            .collect()
    }

    /// How many stand, by entry and by who has called.
    pub fn count(&self) -> BTreeMap<(Name, bool), usize> {
        let mut counts = BTreeMap::new();
        for standing in self.lock().standing.values() {
            let entry = (Name::clone(&standing.entry), standing.dialled);
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

    fn standing(entry: &str) -> Standing {
        Standing {
            inbox: Inbox::default(),
            entry: entry.into(),
            dialled: false,
            peer: "10.0.0.7:4000".parse().unwrap(),
            since: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn connections_have_numbers_that_are_never_given_again_and_are_paged_in_their_order() {
        let connections = Connections::default();
        let first = connections.open(standing("a"));
        let second = connections.open(standing("b"));
        connections.close(first);
        let third = connections.open(standing("b"));
        let ids = |after, most| -> Vec<_> {
            let page = connections.after(after, most).into_iter();
            page.map(|(id, _)| id).collect()
        };
        assert_eq!(ids(ConnectionId(0), 9), [second, third]);
        assert_eq!(ids(ConnectionId(0), 1), [second]);
        assert_eq!(ids(second, 9), [third]);
        assert_eq!(ids(ConnectionId(u64::MAX), 9), []);
        assert!(connections.find(first).is_none());
        let inbox = connections.find(third).unwrap().inbox;
        assert_eq!(connections.id_of(&inbox), Some(third));
        assert_eq!(connections.count(), [(("b".into(), false), 2)].into());
    }
}
