//! What is simulated, held against the packs, the specification of Modbus, and sockets.

mod answers;
mod casts;
mod connecting;
mod faults;
mod modbus;
mod options;
mod served;

use super::pack::Pack;

/// Bytes in hexadecimal digits.
fn hex(text: &str) -> Vec<u8> {
    edge_tcp_gateway::notation::bytes(&format!("0x{text}")).expect("hexadecimal digits")
}

/// Bytes as hexadecimal digits.
fn shown(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn pack(name: &str) -> Pack {
    Pack::open(name).expect("it is shipped")
}
