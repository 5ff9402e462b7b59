//! The module against the stand-in over real sockets, and the source tree against its map, in one
//! program.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it waited for by panicking"
)]

use edge_tcp_gateway::spool::Disk;

mod admission;
mod calls;
mod clock;
mod commands;
mod delivery;
#[path = "../../src/spool/tests/disk.rs"]
mod disk;
mod disk_trouble;
mod faults;
mod fleet;
mod fuzz;
mod gateway;
mod guide;
mod hostile;
mod house;
mod in_flight;
mod kill;
mod link;
mod metrics;
mod network;
mod outbound;
mod packs;
mod page;
mod peers;
mod pressure;
mod promises;
mod protocols;
mod proxy;
mod reload;
mod rig;
mod scrape;
