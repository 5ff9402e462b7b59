//! Which connection a device has: the newest one it was bound to.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::connections::Connections;
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
    /// Who waits for a device to have a connection.
    waiting: HashMap<Name, Vec<oneshot::Sender<Inbox>>>,
    standing: Connections,
}

/// A device and the connection it has.
pub type Bound = (Name, Option<Inbox>);

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
        for waiting in devices.waiting.remove(device).into_iter().flatten() {
            // Whoever has stopped waiting does not want to know.
            drop(waiting.send(inbox.clone()));
        }
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

    /// Waits until a device has a connection other than that one. May be dropped.
    pub async fn found(&self, device: &str, other_than: Option<&Inbox>) -> Inbox {
        loop {
            let waiting = {
                let mut devices = self.lock();
                let bound = devices.connections.get(device);
                let bound = bound.filter(|inbox| !other_than.is_some_and(|other| other.is(inbox)));
                if let Some(inbox) = bound {
                    return inbox.clone();
                }
                let (sender, receiver) = oneshot::channel();
                let device = Name::from(device);
                let all = devices.waiting.entry(Name::clone(&device)).or_default();
                all.push(sender);
                Waiting {
                    registry: self,
                    device,
                    receiver,
                }
            };
            if let Some(inbox) = waiting.over().await
                && !other_than.is_some_and(|other| other.is(&inbox))
            {
                return inbox;
            }
        }
    }

    /// So many devices whose names come after that one, in the order of their names: those that have
    /// a connection, and those remembered after they left.
    pub fn after(&self, after: &str, most: usize) -> Vec<Bound> {
        let devices = self.lock();
        let names = devices.connections.keys().chain(devices.left.places.keys());
        let mut page: BTreeMap<&Name, ()> = BTreeMap::new();
        for name in names.filter(|name| &***name > after) {
            page.insert(name, ());
            if page.len() > most {
                page.pop_last();
            }
        }
        let bound = |name: &&Name| devices.connections.get(*name).cloned();
        let page = page.keys();
        page.map(|name| (Name::clone(name), bound(name))).collect()
    }

    /// Which devices each of these connections has, in no order.
    pub fn devices_of(&self, connections: &[Inbox]) -> Vec<Vec<Name>> {
        let places: HashMap<usize, usize> = connections
            .iter()
            .enumerate()
            .map(|(place, inbox)| (inbox.key(), place))
            .collect();
        let mut found = vec![Vec::new(); connections.len()];
        for (device, inbox) in &self.lock().connections {
            let place = places.get(&inbox.key());
            if let Some(devices) = place.and_then(|place| found.get_mut(*place)) {
                devices.push(Name::clone(device));
            }
        }
        found
    }

    /// Every device that is bound, or remembered after it left.
    pub fn names(&self) -> Vec<Name> {
        let devices = self.lock();
        let names = devices.connections.keys().chain(devices.left.places.keys());
        names.cloned().collect()
    }

    /// How many devices have a connection.
    pub fn connected(&self) -> usize {
        self.lock().connections.len()
    }

    /// Which connections stand, whether a device is bound to them or not.
    pub fn connections(&self) -> Connections {
        self.lock().standing.clone()
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

/// A place among those who wait for a device; given up when it is dropped.
struct Waiting<'a> {
    registry: &'a Registry,
    device: Name,
    receiver: oneshot::Receiver<Inbox>,
}

impl Waiting<'_> {
    /// The connection that the device has now, if the registry is not gone.
    async fn over(mut self) -> Option<Inbox> {
        (&mut self.receiver).await.ok()
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.receiver.close();
        let mut devices = self.registry.lock();
        let Some(all) = devices.waiting.get_mut(&self.device) else {
            return;
        };
        all.retain(|sender| !sender.is_closed());
        if all.is_empty() {
            devices.waiting.remove(&self.device);
        }
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

    #[tokio::test]
    async fn who_waits_for_a_device_gets_its_next_connection_and_leaves_nothing_when_it_gives_up() {
        let registry = Registry::default();
        let (first, second) = (Inbox::default(), Inbox::default());
        let device = Name::from("scale-1");
        let bind = async |inbox: &Inbox| {
            tokio::task::yield_now().await;
            registry.bind(&device, inbox);
        };
        let (found, ()) = tokio::join!(registry.found("scale-1", None), bind(&first));
        assert!(found.is(&first));
        assert!(registry.found("scale-1", None).await.is(&first), "at once");
        let other = registry.found("scale-1", Some(&first));
        let (found, ()) = tokio::join!(other, async {
            bind(&first).await;
            bind(&second).await;
        });
        assert!(found.is(&second));
        {
            let mut gives_up = std::pin::pin!(registry.found("scale-2", None));
            let mut stays = std::pin::pin!(registry.found("scale-1", Some(&second)));
            tokio::select! {
                biased;
                _ = &mut gives_up => unreachable!(),
                _ = &mut stays => unreachable!(),
                () = std::future::ready(()) => {}
            }
            assert_eq!(registry.lock().waiting.len(), 2);
        }
        assert!(registry.lock().waiting.is_empty());
    }

    #[test]
    fn devices_are_paged_by_name_also_those_that_left() {
        let registry = Registry::default();
        let (one, two) = (Inbox::default(), Inbox::default());
        for (name, inbox) in [("a", &one), ("b", &two), ("d", &one), ("c", &two)] {
            registry.bind(&name.into(), inbox);
        }
        registry.unbind(&"c".into(), &two, None);
        let page = |after, most| -> Vec<_> {
            let page = registry.after(after, most).into_iter();
            page.map(|(name, inbox)| (name.to_string(), inbox.is_some()))
                .collect()
        };
        let row = |name: &str, connected| (name.to_owned(), connected);
        assert_eq!(page("", 2), [row("a", true), row("b", true)]);
        assert_eq!(page("b", 9), [row("c", false), row("d", true)]);
        assert_eq!(page("d", 9), []);
        let mut of = registry.devices_of(&[two, one]);
        of.iter_mut().for_each(|devices| devices.sort());
        assert_eq!(of, [vec!["b".into()], vec![Name::from("a"), "d".into()]]);
        assert_eq!(registry.connected(), 3);
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
