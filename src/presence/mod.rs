//! Which devices are there: what is known of each, and what of that has not been said yet.
//!
//! Only the latest state of a device waits to be said. So what waits is bounded by the devices that
//! are known, and what can be left out are states that were over before there was room to say them.

mod known;
mod task;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::inbox::Inbox;
use crate::message::Name;
use crate::settings::PresenceSettings;

pub use known::{Change, State, Summary};
pub use task::run;

use known::Known;

/// What is known of all devices. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Presence(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Clock,
    known: Mutex<Known>,
    changed: Notify,
}

impl Default for Presence {
    fn default() -> Self {
        Presence::new(Clock::system())
    }
}

impl Presence {
    /// Of devices whose comings and goings this clock times.
    pub fn new(clock: Clock) -> Self {
        Presence(Arc::new(Shared {
            clock,
            known: Mutex::default(),
            changed: Notify::new(),
        }))
    }

    /// What the settings say; `None`: nobody wants to know.
    pub fn settle(&self, settings: Option<PresenceSettings>) {
        self.lock().settle(settings.unwrap_or_default());
        self.0.changed.notify_one();
    }

    /// A device has this connection.
    pub fn bound(&self, device: &Name, inbox: &Inbox) {
        self.change(|known, now| known.bound(device, inbox, now));
    }

    /// A device has no connection any more, because its last one ended like this. Where the module
    /// itself stops, nothing has changed about the device.
    pub fn left(&self, device: &Name, reason: Option<&'static str>) {
        self.change(|known, now| known.left(device, reason, now));
    }

    /// A device that has left is not remembered any more.
    pub fn forgotten(&self, device: &Name) {
        self.lock().forgotten(device);
    }

    /// A connected device does not answer what it is asked, whatever else its connection says.
    pub fn silent(&self, device: &Name) {
        self.change(|known, now| known.unanswered(device, now));
    }

    /// It answers again.
    pub fn heard(&self, device: &Name) {
        self.change(|known, now| known.answered(device, now));
    }

    /// Since when a device that is remembered has no connection, and why if that is known.
    pub fn away(&self, device: &str) -> Option<(Timestamp, Option<&'static str>)> {
        self.lock().away(device)
    }

    /// Who is there and who is not.
    pub fn summary(&self) -> Summary {
        self.lock().summary()
    }

    fn change(&self, change: impl FnOnce(&mut Known, crate::message::Now)) {
        let now = self.0.clock.now();
        let mut known = self.lock();
        change(&mut known, now);
        if known.has_news() {
            drop(known);
            self.0.changed.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
