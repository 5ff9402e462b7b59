//! The side of the devices: sockets in, bytes to conversations.

mod accepting;
mod connection;
mod limits;
mod listener;
mod socket;
#[cfg(test)]
mod tests;
mod timeouts;

use std::sync::{Arc, Mutex, PoisonError};

pub use limits::raise_open_files;
pub use listener::{ListenerHandle, ListenerTask, Terms};
pub use socket::{BindError, bind};
pub use timeouts::Timeouts;

use crate::clock::Clock;
use crate::conversation::Action;
use crate::message::Name;
use crate::ops::logging::Throttle;
use crate::ops::metrics::{ListenerMetrics, Metrics};
use crate::outbox::Submitter;
use crate::quarantine::Quarantine;
use crate::registry::Registry;

/// Actions for which a place is kept.
const MOST_KEPT: usize = 256;

/// What all connections of the process share.
#[derive(Debug)]
pub struct South {
    /// Which connection a device has.
    pub registry: Registry,
    /// Which unknown devices are kept waiting.
    pub quarantine: Quarantine,
    /// The way to the spool.
    pub submitter: Submitter,
    /// Where counts go.
    pub metrics: Metrics,
    /// Holds back repeated log lines.
    pub throttle: Throttle,
    /// Tells the time.
    pub clock: Clock,
    /// How long what may take.
    pub timeouts: Timeouts,
}

/// What all connections of one listener share.
#[derive(Debug)]
struct Port {
    listener: Name,
    south: Arc<South>,
    metrics: ListenerMetrics,
    /// Place for what follows from one step of a conversation; a place of each its own would stay
    /// in every idle connection.
    place: Mutex<Vec<Action>>,
}

impl Port {
    fn take_place(&self) -> Vec<Action> {
        std::mem::take(&mut self.place.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn give_place(&self, place: Vec<Action>) {
        if place.capacity() <= MOST_KEPT {
            *self.place.lock().unwrap_or_else(PoisonError::into_inner) = place;
        }
    }
}
