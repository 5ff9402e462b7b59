//! The link's tests that need no edgeHub: one session over memory, and a link that finds nothing.

mod hub;
mod session;
mod stale;
