//! The way north: messages to edgeHub, settings and methods from it.
//!
//! [`dialect`] is pure and says how a message looks on the wire; the forwarder asks it, because it
//! must know how long a batch gets. The [`Link`] keeps one session
//! at a time: credentials, connecting, back-off, planned reconnects before a token expires.
//! It never sends anything twice by itself: what a session did not see acknowledged, the
//! forwarder gives to the next one.

mod connect;
mod credentials;
pub mod dialect;
mod link;
mod notices;
mod receipts;
mod session;
mod stale;
#[cfg(test)]
mod tests;
mod timeouts;

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::mpsc;

pub use crate::edge::Desired as DesiredDocument;
pub use crate::edge::topics::Property;
pub use credentials::LinkEnded;
pub use link::{Link, LinkChannels, LinkSettings};
pub use timeouts::Timeouts;

/// Parcels that may be outstanding: those in flight, and as many that wait behind them.
pub const MOST_OUTSTANDING: usize = 200;

/// A parcel's number, given once in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ParcelId(pub u64);

/// What is published at once: a message or a batch. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// What it is acknowledged with.
    pub id: ParcelId,
    /// Topic with property bag.
    pub topic: Arc<str>,
    /// Body.
    pub payload: Bytes,
}

/// What the link tells the forwarder, in the order in which it happened.
#[derive(Debug)]
pub enum LinkReport {
    /// A session stands and takes parcels from the other end of this channel, which has room for
    /// [`MOST_OUTSTANDING`].
    Up(mpsc::Sender<Parcel>),
    /// edgeHub acknowledged these parcels.
    Delivered(Vec<ParcelId>),
    /// The parcel cannot be said in MQTT, and why.
    Refused(ParcelId, String),
    /// The session ended; what it was given and did not report is to be sent again.
    Down,
}

/// One delivery of a message to an input: what it is acknowledged with. Given once in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeliveryId(pub u64);

/// A message that a route led into an input of the module. Its PUBACK is withheld until
/// [`Outgoing::Acknowledge`]; edgeHub sends the next one after it, and this one again after 30 s.
#[derive(Clone, Debug, PartialEq)]
pub struct InputMessage {
    /// For [`Outgoing::Acknowledge`].
    pub delivery: DeliveryId,
    /// Name of the input.
    pub input: String,
    /// Application and system properties as edgeHub wrote them; none where they cannot be read.
    pub properties: Vec<Property>,
    /// Body.
    pub payload: Bytes,
}

impl InputMessage {
    /// Its message id, the same each time that it is delivered.
    pub fn message_id(&self) -> Option<&str> {
        self.property("$.mid")
    }

    /// The correlation id that its sender gave it.
    pub fn correlation_id(&self) -> Option<&str> {
        self.property("$.cid")
    }

    fn property(&self, name: &str) -> Option<&str> {
        let mut all = self.properties.iter();
        let (_, value) = all.find(|(known, _)| known == name)?;
        value.as_deref().filter(|value| !value.is_empty())
    }
}

/// The request id of a method call, to be given back with its answer.
pub type MethodAnswer = String;

/// What comes from edgeHub for the module.
#[derive(Clone, Debug, PartialEq)]
pub enum Inbound {
    /// The desired properties are these now, or are confirmed for the first time.
    Desired(DesiredDocument),
    /// A direct method is called.
    Method {
        /// Its name.
        name: String,
        /// JSON, or nothing.
        payload: Bytes,
        /// For [`Outgoing::MethodResponse`].
        answer: MethodAnswer,
    },
    /// A session stands.
    Connected,
    /// It ended.
    Disconnected,
}

/// What the module has for edgeHub besides messages.
#[derive(Clone, Debug, PartialEq)]
pub enum Outgoing {
    /// A patch of the reported properties. It survives reconnects.
    Reported(Value),
    /// A message to an input is taken care of, and edgeHub may forget it. It is dropped when the
    /// session is not the one that delivered it: edgeHub repeats the message.
    Acknowledge(DeliveryId),
    /// The answer to a direct method. It is dropped when there is no session: nobody waits any more.
    MethodResponse {
        /// The call it answers.
        rid: MethodAnswer,
        /// As in HTTP.
        status: u16,
        /// The result.
        payload: Value,
    },
}
