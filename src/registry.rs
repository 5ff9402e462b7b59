//! Which connection a device has: the newest one it was bound to.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::inbox::Inbox;
use crate::message::Name;

/// Devices remembered as seen; beyond it the memory starts afresh.
const MOST_SEEN: usize = 10_000;

/// Devices and their connections. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Registry(Arc<Mutex<Devices>>);

#[derive(Debug, Default)]
struct Devices {
    connections: HashMap<Name, Inbox>,
    seen: HashSet<Name>,
}

impl Registry {
    /// Binds a device to a connection; gives back the other connection it was bound to before.
    pub fn bind(&self, device: &Name, inbox: &Inbox) -> Option<Inbox> {
        let mut devices = self.lock();
        if devices.seen.len() >= MOST_SEEN && !devices.seen.contains(device) {
            devices.seen.clear();
        }
        devices.seen.insert(Arc::clone(device));
        let before = devices
            .connections
            .insert(Arc::clone(device), inbox.clone());
        before.filter(|before| !before.is(inbox))
    }

    /// Frees a device if it is still bound to that connection.
    pub fn unbind(&self, device: &Name, inbox: &Inbox) {
        let mut devices = self.lock();
        if devices
            .connections
            .get(device)
            .is_some_and(|bound| bound.is(inbox))
        {
            devices.connections.remove(device);
        }
    }

    /// The connection of a device.
    pub fn find(&self, device: &str) -> Option<Inbox> {
        self.lock().connections.get(device).cloned()
    }

    /// Whether a device of that name was ever bound since the start.
    pub fn has_seen(&self, device: &str) -> bool {
        self.lock().seen.contains(device)
    }

    fn lock(&self) -> MutexGuard<'_, Devices> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_connection_has_the_device_and_an_older_end_does_not_free_it() {
        let (registry, device) = (Registry::default(), Name::from("scale-1"));
        let (old, new) = (Inbox::default(), Inbox::default());
        assert!(registry.bind(&device, &old).is_none());
        assert!(
            registry.bind(&device, &old).is_none(),
            "the same connection again is no other"
        );
        assert!(
            registry
                .bind(&device, &new)
                .is_some_and(|before| before.is(&old))
        );
        registry.unbind(&device, &old);
        assert!(registry.find("scale-1").is_some_and(|bound| bound.is(&new)));
        registry.unbind(&device, &new);
        assert!(registry.find("scale-1").is_none());
        assert!(registry.has_seen("scale-1") && !registry.has_seen("scale-2"));
    }
}
