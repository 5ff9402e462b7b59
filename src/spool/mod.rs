//! Keeps every message from the moment it is taken over until it is done: the one retransmit buffer.
//!
//! `append` takes a message over, `read` gives the next ones to send, `done` ends one, in any
//! order, and `rewind` lets everything that is not done be read again, oldest first.

mod memory;

pub use memory::Spool;
