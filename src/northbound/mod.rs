//! The way north: messages to edgeHub, settings and methods from it.
//!
//! [`dialect`] is pure and says how a message looks on the wire. The [`Link`] keeps one session
//! at a time: credentials, connecting, back-off, planned reconnects before a token expires.
//! It never sends anything twice by itself: what a session did not see acknowledged, the
//! forwarder gives to the next one.

pub mod backoff;
mod connect;
mod credentials;
pub mod dialect;
mod link;
mod notices;
mod session;
#[cfg(test)]
mod tests;
mod timeouts;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::message::{Entry, Sequence};

pub use crate::edge::Desired as DesiredDocument;
pub use credentials::LinkEnded;
pub use link::{Link, LinkChannels, LinkSettings};
pub use timeouts::Timeouts;

/// What the link tells the forwarder, in the order in which it happened.
#[derive(Debug)]
pub enum LinkReport {
    /// A session stands and takes messages from the other end of this channel.
    Up(mpsc::Sender<Entry>),
    /// edgeHub acknowledged the message.
    Delivered(Sequence),
    /// The message can never be delivered, and why.
    Refused(Sequence, String),
    /// The session ended; what it was given and did not report is to be sent again.
    Down,
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
