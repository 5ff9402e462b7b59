//! The side of the devices: sockets in, bytes to conversations.

mod accepting;
mod connection;
mod dialling;
mod limits;
mod listener;
mod outbound;
mod port;
mod socket;
#[cfg(test)]
mod tests;
mod timeouts;

pub use dialling::Lookups;
pub use limits::raise_open_files;
pub use listener::{ListenerHandle, ListenerTask, Terms};
pub use outbound::{OutboundHandle, OutboundTask, OutboundTerms};
pub use socket::{BindError, bind};
pub use timeouts::Timeouts;

use crate::clock::Clock;
use crate::ops::logging::Throttle;
use crate::ops::metrics::Metrics;
use crate::outbox::Submitter;
use crate::quarantine::Quarantine;
use crate::registry::Registry;

/// What all connections of the process share.
#[derive(Debug)]
pub struct South {
    /// Which connection a device has.
    pub registry: Registry,
    /// Which unknown devices are kept waiting.
    pub quarantine: Quarantine,
    /// Names of machines to their addresses.
    pub lookups: Lookups,
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
