//! A listener: one TCP port and what is expected on it.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::units::{self, MOST_UNITS, units};
use super::{bounds, later};
use crate::conversation::{Protocol, UnknownDevices};
use crate::document::{Problem, Problems, Section};
use crate::message::{Name, Text};
use crate::schema::{Address, EntryName, Network, UnitName};

const PORTS: RangeInclusive<u16> = 1..=65535;
const CONNECTIONS: RangeInclusive<u32> = 1..=100_000;
const IDLE_SECONDS: RangeInclusive<u32> = 1..=2_592_000;

/// A listener that can be bound.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Its name in the settings.
    pub name: Name,
    /// TCP port.
    pub port: u16,
    /// The one address it listens on; `None` is every address of the machine, IPv4 and IPv6.
    pub address: Option<IpAddr>,
    /// How devices speak on it.
    pub protocol: Arc<Protocol>,
    /// One more connection than that is closed at once.
    pub max_connections: usize,
    /// A connection on which nothing came for so long is closed.
    pub idle_timeout: Duration,
    /// Who may connect; empty is everyone.
    pub allow: Vec<IpNet>,
    /// What happens to devices that the settings do not name.
    pub unknown_devices: UnknownDevices,
    /// The one device that speaks here, whatever it says.
    pub device: Option<Name>,
    /// Output of messages whose layout and device name none.
    pub output: Option<Name>,
    /// What `{unit}` in polls goes round over.
    pub units: Arc<[Text]>,
}

impl Listener {
    /// Whether a peer of that address may connect. An IPv4 address in IPv6 form is the IPv4 address.
    pub fn admits(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.allow.is_empty() || self.allow.iter().any(|net| net.contains(&peer))
    }
}

/// One TCP port.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "listener")]
pub struct ListenerOptions {
    /// The port. Deployed, it must be in the module's `PortBindings`.
    #[schemars(range(min = *PORTS.start(), max = *PORTS.end()))]
    pub port: u16,
    /// The one local address to listen on; without it every address, IPv4 and IPv6.
    #[schemars(with = "Option<Address>")]
    pub address: Option<IpAddr>,
    /// Name of an entry of `protocols`.
    #[schemars(with = "EntryName")]
    pub protocol: String,
    /// Connections at a time; one more is closed at once, and counted.
    #[serde(default = "max_connections")]
    #[schemars(range(min = *CONNECTIONS.start(), max = *CONNECTIONS.end()))]
    max_connections: u32,
    /// A connection without a byte from the device for so many seconds is closed.
    #[serde(default = "idle_timeout_seconds")]
    #[schemars(range(min = *IDLE_SECONDS.start(), max = *IDLE_SECONDS.end()))]
    idle_timeout_seconds: u32,
    /// Addresses and networks that may connect; without any, everyone.
    #[serde(default)]
    #[schemars(with = "Vec<Network>")]
    allow: Vec<String>,
    /// What happens to devices that neither `devices` nor `deviceRules` name.
    #[serde(default)]
    unknown_devices: UnknownDevices,
    /// The one device that speaks on this listener, whatever it says.
    #[schemars(with = "Option<EntryName>")]
    device: Option<String>,
    /// Output of messages whose layout and device name none; without it `telemetry`.
    #[schemars(with = "Option<EntryName>")]
    output: Option<String>,
    /// What `{unit}` in the protocol's polls goes round over.
    #[serde(rename = "units")]
    #[schemars(with = "Vec<UnitName>", default, extend("maxItems" = MOST_UNITS, "uniqueItems" = true))]
    _units: Option<IgnoredAny>,
}

fn max_connections() -> u32 {
    1000
}

fn idle_timeout_seconds() -> u32 {
    900
}

impl ListenerOptions {
    /// Reads an entry and notes what is wrong in it.
    pub fn read(section: &Section<'_>, problems: &mut Problems) -> Option<Self> {
        let without = later::members(section, later::LISTENER, problems);
        let options: Self = section.read_in_bounds(&without, problems)?;
        bounds::number(section, "port", options.port, &PORTS, problems);
        bounds::number(
            section,
            "maxConnections",
            options.max_connections,
            &CONNECTIONS,
            problems,
        );
        bounds::number(
            section,
            "idleTimeoutSeconds",
            options.idle_timeout_seconds,
            &IDLE_SECONDS,
            problems,
        );
        networks(section, &options.allow, problems);
        for (member, name) in [("device", &options.device), ("output", &options.output)] {
            if let Some(wrong) = name.as_deref().and_then(bounds::wrong_name) {
                problems.member(section, member, wrong);
            }
        }
        Some(options)
    }

    /// The listener, once its protocol is known.
    pub fn build(
        self,
        section: &Section<'_>,
        (name, protocol): (Name, Arc<Protocol>),
        problems: &mut Problems,
    ) -> Listener {
        let units = units(section, problems);
        units::check(section, &protocol, problems);
        Listener {
            units: units.into(),
            name,
            port: self.port,
            address: self.address,
            protocol,
            max_connections: usize::try_from(self.max_connections).unwrap_or(usize::MAX),
            idle_timeout: Duration::from_secs(self.idle_timeout_seconds.into()),
            allow: networks(section, &self.allow, &mut Problems::new()),
            unknown_devices: self.unknown_devices,
            device: self.device.map(Name::from),
            output: self.output.map(Name::from),
        }
    }
}

fn networks(section: &Section<'_>, allow: &[String], problems: &mut Problems) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for (index, text) in allow.iter().enumerate() {
        match text
            .parse::<IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        {
            Ok(network) => networks.push(network.trunc()),
            Err(_) => problems.push(Problem {
                pointer: format!("{}/allow/{index}", section.pointer),
                column: None,
                message: format!(
                    "\"{text}\" is no address or network, such as 10.20.0.5 or 10.20.0.0/16"
                ),
            }),
        }
    }
    networks
}
