//! The settings of `up` without a file, and the devices that speak by them.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::devices;

/// A sample: its settings, and the ports of its listeners.
#[derive(Debug)]
pub struct Sample {
    /// Desired properties.
    pub settings: Value,
    scales: u16,
    trackers: u16,
}

impl Sample {
    /// On ports that are free now.
    ///
    /// # Errors
    /// When there are none.
    pub fn new() -> io::Result<Self> {
        let (scales, trackers) = (free_port()?, free_port()?);
        Ok(Sample {
            settings: settings(scales, trackers),
            scales,
            trackers,
        })
    }

    /// Starts its devices.
    pub fn devices(&self) -> JoinSet<()> {
        let mut devices = JoinSet::new();
        devices.spawn(devices::scale(self.scales));
        devices.spawn(devices::tracker(self.trackers));
        devices
    }
}

/// A port that is free now.
///
/// # Errors
/// When there is none.
pub fn free_port() -> io::Result<u16> {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(free.local_addr()?.port())
}

fn settings(scales: u16, trackers: u16) -> Value {
    json!({
        "schemaVersion": 1,
        "listeners": {
            "scales": {"port": scales, "protocol": "scale"},
            "trackers": {"port": trackers, "protocol": "gt06"}
        },
        "protocols": {
            "gt06": {"preset": "gt06@1"},
            "scale": {
                "framing": {"type": "delimiter", "end": "\r\n", "maxBytes": 80},
                "decode": {
                    "type": "regex",
                    "pattern": "^S (?P<stable>[SD])\\s+(?P<weight>-?[\\d.]+) (?P<unit>\\w+)$",
                    "fields": ["stable: enum S=true D=false", "weight: number"]
                },
                "identity": {"from": "address"}
            }
        },
        "devices": {"scale-07": {"match": {"address": "127.0.0.1", "listener": "scales"}}}
    })
}
