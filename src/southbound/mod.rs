//! The side of the devices: sockets in, bytes to conversations.

mod accepting;
mod connection;
mod limits;
mod listener;
mod socket;
#[cfg(test)]
mod tests;
mod timeouts;

use std::sync::Arc;

pub use limits::raise_open_files;
pub use listener::{ListenerHandle, ListenerTask, Terms};
pub use socket::{BindError, bind};
pub use timeouts::Timeouts;

use crate::clock::Clock;
use crate::message::Name;
use crate::ops::logging::Throttle;
use crate::ops::metrics::{ListenerMetrics, Metrics};
use crate::outbox::Submitter;
use crate::registry::Registry;

/// What all connections of the process share.
#[derive(Debug)]
pub struct South {
    /// Which connection a device has.
    pub registry: Registry,
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
}
