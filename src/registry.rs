//! Which connection a device has: the newest one it was bound to.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::inbox::Inbox;
use crate::message::Name;
use crate::presence::Presence;

/// Devices remembered after they left; one more, and the one that left first is forgotten.
const MOST_LEFT: usize = 10_000;

/// Devices and their connections. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Registry(Arc<Mutex<Devices>>);

#[derive(Debug, Default)]
struct Devices {
    connections: HashMap<Name, Inbox>,
    left: Left,
    presence: Presence,
}

/// Devices without a connection, in the order in which they left.
#[derive(Debug, Default)]
struct Left {
    order: BTreeMap<u64, Name>,
    places: HashMap<Name, u64>,
    next: u64,
}

impl Registry {
    /// A registry that tells what is known of presence.
    pub fn telling(presence: Presence) -> Self {
        let devices = Devices {
            presence,
            ..Devices::default()
        };
        Registry(Arc::new(Mutex::new(devices)))
    }

    /// What is known of presence.
    pub fn presence(&self) -> Presence {
        self.lock().presence.clone()
    }

    /// Binds a device to a connection; gives back the other connection it was bound to before.
    pub fn bind(&self, device: &Name, inbox: &Inbox) -> Option<Inbox> {
        let mut devices = self.lock();
        devices.left.remove(device);
        devices.presence.bound(device, inbox);
        let before = devices
            .connections
            .insert(Name::clone(device), inbox.clone());
        before.filter(|before| !before.is(inbox))
    }

    /// Frees a device if it is still bound to that connection, which ended like this.
    pub fn unbind(&self, device: &Name, inbox: &Inbox, reason: Option<&'static str>) {
        let mut devices = self.lock();
        if devices.has(device, inbox) {
            devices.connections.remove(device);
            devices.presence.left(device, reason);
            if let Some(first) = devices.left.insert(device) {
                devices.presence.forgotten(&first);
            }
        }
    }

    /// A device, or a unit of one, does not answer what it is asked over that connection.
    pub fn silent(&self, device: &Name, inbox: &Inbox) {
        let devices = self.lock();
        if devices.has(device, inbox) {
            devices.presence.silent(device);
        }
    }

    /// It answers again.
    pub fn heard(&self, device: &Name, inbox: &Inbox) {
        let devices = self.lock();
        if devices.has(device, inbox) {
            devices.presence.heard(device);
        }
    }

    /// The connection of a device.
    pub fn find(&self, device: &str) -> Option<Inbox> {
        self.lock().connections.get(device).cloned()
    }

    /// Whether a device of that name is bound, or is among the last 10,000 that left.
    pub fn has_seen(&self, device: &str) -> bool {
        let devices = self.lock();
        devices.connections.contains_key(device) || devices.left.places.contains_key(device)
    }

    fn lock(&self) -> MutexGuard<'_, Devices> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Devices {
    fn has(&self, device: &Name, inbox: &Inbox) -> bool {
        let bound = self.connections.get(device);
        bound.is_some_and(|bound| bound.is(inbox))
    }
}

impl Left {
    /// Gives the one that is forgotten.
    fn insert(&mut self, device: &Name) -> Option<Name> {
        self.remove(device);
        self.order.insert(self.next, Name::clone(device));
        self.places.insert(Name::clone(device), self.next);
        self.next += 1;
        if self.order.len() <= MOST_LEFT {
            return None;
        }
        let (_, first) = self.order.pop_first()?;
        self.places.remove(&first);
        Some(first)
    }

    fn remove(&mut self, device: &Name) {
        if let Some(place) = self.places.remove(device) {
            self.order.remove(&place);
        }
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
        registry.unbind(&device, &old, None);
        assert!(registry.find("scale-1").is_some_and(|bound| bound.is(&new)));
        registry.unbind(&device, &new, None);
        assert!(registry.find("scale-1").is_none());
        assert!(registry.has_seen("scale-1") && !registry.has_seen("scale-2"));
    }

    #[test]
    fn of_those_that_left_only_the_first_is_forgotten_and_whoever_comes_back_is_the_last_again() {
        let (registry, inbox) = (Registry::default(), Inbox::default());
        let name = |n: usize| Name::from(format!("scale-{n}"));
        let visit = |n: usize| {
            registry.bind(&name(n), &inbox);
            registry.unbind(&name(n), &inbox, None);
        };
        (0..MOST_LEFT).for_each(visit);
        visit(0);
        visit(MOST_LEFT);
        assert!(registry.has_seen("scale-0") && !registry.has_seen("scale-1"));
        assert!((2..=MOST_LEFT).all(|n| registry.has_seen(&name(n))));
        registry.bind(&name(2), &inbox);
        (0..=MOST_LEFT).map(|n| n + MOST_LEFT + 1).for_each(visit);
        assert!(
            registry.has_seen("scale-2"),
            "a bound device is not forgotten"
        );
        assert_eq!(registry.lock().left.order.len(), MOST_LEFT);
        assert_eq!(registry.lock().left.places.len(), MOST_LEFT);
    }
}
