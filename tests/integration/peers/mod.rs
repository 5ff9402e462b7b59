//! Programs and libraries of others as the devices of protocols that the module ships.

use serde_json::json;

use crate::rig::{PATIENCE, Rig, free_port};

mod azure_sdk;
mod hl7;
mod iec104;
mod modbus;
mod modbus_polled;
mod nmea;
mod peer;
mod stomp;
mod syslog;

use peer::Peer;

/// A module with one listener for a protocol as it is shipped; with the listener's port.
async fn module_with(preset: &str) -> (Rig, u16) {
    let port = free_port();
    let settings = json!({
        "listeners": {"here": {"port": port, "protocol": "theirs"}},
        "protocols": {"theirs": {"preset": preset}}
    });
    (Rig::with(settings).await, port)
}
