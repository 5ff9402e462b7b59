//! MQTT 3.1.1 as the OASIS standard of 29 October 2014 writes it: a codec for both directions, a
//! client session, and the matching of topic filters.
//!
//! - [`decode`] and [`encode`] turn bytes into a [`Packet`] and back. They know no socket and no
//!   clock; a server is built from them as well as a client.
//! - [`Session`] is one connection of a client, from CONNACK to its end. It is driven by its
//!   owner: no task, no channel, no reconnecting. What it could not deliver it hands back.
//! - [`topic`] says what a topic name and a topic filter are, and which matches which.

mod codec;
mod packet;
mod session;
pub mod topic;
mod window;

#[doc(hidden)]
pub use codec::fuzz;
pub use codec::{DecodeError, EncodeError, decode, encode};
pub use packet::{
    ConnAck, Connect, Delivery, Packet, PacketId, Password, Publish, QoS, Refusal, SubAck,
    Subscribe, Unsubscribe, Will,
};
pub use session::{Closed, ConnectError, ConnectOptions, Event, Session};
