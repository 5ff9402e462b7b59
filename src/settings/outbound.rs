//! An entry of `outbound`: devices that wait to be dialled, and how they are.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::units::{MOST_UNITS, units};
use super::{bounds, later};
use crate::conversation::Protocol;
use crate::document::{Problems, Section, name_of};
use crate::message::{Name, Text};
use crate::schema::{Entries, EntryName, HostPort as HostPortText, UnitName};

const CONNECT_MS: RangeInclusive<u32> = 100..=120_000;
const RETRY_SECONDS: RangeInclusive<u32> = 1..=86_400;
const IDLE_SECONDS: RangeInclusive<u32> = 1..=2_592_000;
/// RFC 1035: a whole name, and one label of it.
const MOST_HOST_CHARS: usize = 253;
const MOST_LABEL_CHARS: usize = 63;

/// Devices that are dialled in the same way, each over a connection of its own.
#[derive(Clone, Debug)]
pub struct Outbound {
    /// Its name in the settings.
    pub name: Name,
    /// Where they are, by the names of their devices.
    pub addresses: BTreeMap<Name, HostPort>,
    /// How they speak.
    pub protocol: Arc<Protocol>,
    /// The one device of the entry, whatever it says.
    pub device: Option<Name>,
    /// What `{unit}` in polls goes round over.
    pub units: Arc<[Text]>,
    /// How long an attempt may take, the look-up of the name included.
    pub connect: Duration,
    /// The longest pause between attempts.
    pub retry: Duration,
    /// A connection on which nothing came for so long is closed.
    pub idle_timeout: Option<Duration>,
    /// Output of messages whose layout and device name none.
    pub output: Option<Name>,
}

impl Outbound {
    /// Who is dialled where, and the device that each is whatever it says: a connection stays as long
    /// as its line of these does.
    pub fn dialled(&self) -> BTreeMap<Name, Dialled> {
        let lines = self.addresses.iter().map(|(name, address)| {
            let line = Dialled {
                address: address.clone(),
                device: self.fixed_device(name),
            };
            (Name::clone(name), line)
        });
        lines.collect()
    }

    /// The device that speaks at one of the addresses, whatever it says; `None` where a field or a
    /// function of the protocol says who speaks, and no `device` stands against it.
    fn fixed_device(&self, address: &Name) -> Option<Name> {
        match &self.device {
            Some(device) => Some(Name::clone(device)),
            None if self.protocol.identity.scope().is_some() => None,
            None => Some(Name::clone(address)),
        }
    }
}

/// One of the devices of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialled {
    /// Where it is.
    pub address: HostPort,
    /// The device that it is, whatever it says.
    pub device: Option<Name>,
}

/// A port of a machine, which has a name or an address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// The name, or the address as it was written.
    pub host: Text,
    /// TCP port.
    pub port: u16,
    /// Where the machine is, if it needs no look-up.
    pub known: Option<SocketAddr>,
}

impl HostPort {
    /// Reads `HOST:PORT`; an IPv6 address stands in brackets.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        const EXPECTED: &str =
            "expected HOST:PORT, such as \"10.0.0.7:4305\" or \"[fd00::7]:4305\"";
        let Some((host, port)) = text.rsplit_once(':') else {
            return Err(format!("\"{text}\" has no port: {EXPECTED}"));
        };
        if port.is_empty() || text.parse::<Ipv6Addr>().is_ok() {
            let remedy = "an IPv6 address stands in brackets before its port";
            return Err(format!("\"{text}\" has no port: {EXPECTED}; {remedy}"));
        }
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|port| digits && *port > 0);
        let Some(port) = port else {
            return Err(format!("the port in \"{text}\" is not 1 to 65535"));
        };
        let bracketed = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let address = match bracketed {
            Some(inside) => match inside.parse::<Ipv6Addr>() {
                Ok(address) => Some(IpAddr::from(address)),
                Err(_) => return Err(format!("\"{inside}\" is no IPv6 address")),
            },
            None => host.parse().ok(),
        };
        if let Some(wrong) = wrong_host(host).filter(|_| address.is_none()) {
            return Err(wrong);
        }
        Ok(HostPort {
            host: host.into(),
            port,
            known: address.map(|address| SocketAddr::new(address, port)),
        })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// What is wrong with the name of a machine, if anything.
fn wrong_host(host: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if let Some(wrong) = host.chars().find(|c| !plain(*c)) {
        return Some(format!(
            "the host \"{host}\" has {wrong:?}; letters, digits, -, _ and . are allowed, and an IPv6 address in brackets"
        ));
    }
    if host
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
        && !host.is_empty()
    {
        return Some(format!("\"{host}\" is no IPv4 address"));
    }
    let mut labels = host.strip_suffix('.').unwrap_or(host).split('.');
    let fits = host.len() <= MOST_HOST_CHARS
        && labels.all(|label| (1..=MOST_LABEL_CHARS).contains(&label.len()));
    (!fits).then(|| format!("\"{host}\" is no name of a machine"))
}

/// Devices that wait to be dialled.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "outbound", extend(
    "oneOf" = [{ "required": ["address"] }, { "required": ["addresses"] }],
    "not" = { "required": ["addresses", "device"] },
))]
pub struct OutboundOptions {
    /// Where the one device is: `HOST:PORT`. Names are looked up at each attempt.
    #[serde(rename = "address")]
    #[schemars(with = "Option<HostPortText>")]
    _address: Option<IgnoredAny>,
    /// Instead of `address`: where several devices are, by their names.
    #[serde(rename = "addresses")]
    #[schemars(with = "Option<Entries<HostPortText>>", extend("minProperties" = 1))]
    _addresses: Option<IgnoredAny>,
    /// Name of an entry of `protocols`.
    #[schemars(with = "EntryName")]
    pub protocol: String,
    /// The device at `address`, whatever it says.
    #[schemars(with = "Option<EntryName>")]
    device: Option<String>,
    /// What `{unit}` in the protocol's polls goes round over.
    #[serde(rename = "units")]
    #[schemars(with = "Vec<UnitName>", default, extend("maxItems" = MOST_UNITS, "uniqueItems" = true))]
    _units: Option<IgnoredAny>,
    /// How long an attempt to connect may take, the look-up of the name included, in milliseconds.
    #[serde(default = "connect_ms")]
    #[schemars(range(min = *CONNECT_MS.start(), max = *CONNECT_MS.end()))]
    connect_ms: u32,
    /// The longest pause between attempts; the first is up to one second, and each may be twice as
    /// long as the one before.
    #[serde(default = "retry_seconds")]
    #[schemars(range(min = *RETRY_SECONDS.start(), max = *RETRY_SECONDS.end()))]
    retry_seconds: u32,
    /// A connection without a byte from the device for so many seconds is closed, and the device
    /// dialled again; without it never.
    #[schemars(range(min = *IDLE_SECONDS.start(), max = *IDLE_SECONDS.end()))]
    idle_timeout_seconds: Option<u32>,
    /// Output of messages whose layout and device name none; without it `telemetry`.
    #[schemars(with = "Option<EntryName>")]
    output: Option<String>,
}

fn connect_ms() -> u32 {
    10_000
}

fn retry_seconds() -> u32 {
    60
}

/// What is read beside the plain members.
#[derive(Debug)]
pub struct OutboundEntry {
    /// The plain members.
    pub options: OutboundOptions,
    addresses: BTreeMap<Name, HostPort>,
    units: Vec<Text>,
}

impl OutboundEntry {
    /// Reads an entry and notes what is wrong in it.
    pub fn read(name: &str, section: &Section<'_>, problems: &mut Problems) -> Option<Self> {
        let without = later::members(section, later::OUTBOUND, problems);
        let options: Option<OutboundOptions> = section.read_in_bounds(&without, problems);
        let units = units(section, problems);
        let addresses = addresses(name, section, problems);
        let options = options?;
        let numbers = [
            ("connectMs", Some(options.connect_ms), &CONNECT_MS),
            ("retrySeconds", Some(options.retry_seconds), &RETRY_SECONDS),
            (
                "idleTimeoutSeconds",
                options.idle_timeout_seconds,
                &IDLE_SECONDS,
            ),
        ];
        for (member, value, allowed) in numbers {
            if let Some(value) = value {
                bounds::number(section, member, value, allowed, problems);
            }
        }
        for (member, name) in [("device", &options.device), ("output", &options.output)] {
            if let Some(wrong) = name.as_deref().and_then(bounds::wrong_name) {
                problems.member(section, member, wrong);
            }
        }
        Some(OutboundEntry {
            options,
            addresses,
            units,
        })
    }

    /// The entry, once its protocol is known.
    pub fn build(self, name: Name, protocol: Arc<Protocol>) -> Outbound {
        let options = self.options;
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        Outbound {
            name,
            addresses: self.addresses,
            protocol,
            device: options.device.map(Name::from),
            units: self.units.into(),
            connect: Duration::from_millis(options.connect_ms.into()),
            retry: seconds(options.retry_seconds),
            idle_timeout: options.idle_timeout_seconds.map(seconds),
            output: options.output.map(Name::from),
        }
    }
}

/// The devices that entries have claimed so far.
#[derive(Debug, Default)]
pub struct Claims(Vec<(Name, Arc<Outbound>)>);

impl Claims {
    /// Claims the devices of an entry. Two entries can have one device only if each asks units of
    /// its own behind it: what comes for the device must find one line.
    pub fn claim(&mut self, section: &Section<'_>, entry: &Arc<Outbound>, problems: &mut Problems) {
        for (name, line) in entry.dialled() {
            let Some(device) = line.device else { continue };
            let apart = |other: &Outbound| {
                let mut both = entry.units.iter().filter(|unit| other.units.contains(unit));
                !entry.units.is_empty() && !other.units.is_empty() && both.next().is_none()
            };
            let mut known = self.0.iter();
            let other = known.find(|(known, other)| *known == device && !apart(other));
            if let Some((_, other)) = other {
                let message = format!(
                    "device \"{device}\" is entry \"{}\"'s already: give it another name, or each of the two \"units\" of its own",
                    other.name
                );
                let place = section.member("device");
                let addresses = section.member("addresses");
                let place = place.or_else(|| addresses?.member(&name));
                problems.add(place.as_ref().unwrap_or(section), message);
            }
            self.0.push((device, Arc::clone(entry)));
        }
    }
}

/// Where the devices of an entry are, whichever member says it.
fn addresses(
    name: &str,
    section: &Section<'_>,
    problems: &mut Problems,
) -> BTreeMap<Name, HostPort> {
    let named = match (section.member("address"), section.member("addresses")) {
        (Some(address), None) => {
            let device = section.member("device");
            let device = device.as_ref().and_then(|device| device.value.as_str());
            vec![(device.unwrap_or(name), address)]
        }
        (None, Some(addresses)) => {
            if section.member("device").is_some() {
                let message = "belongs to \"address\"; in \"addresses\" each device has its name";
                problems.member(section, "device", message);
            }
            let entries = bounds::entries(&addresses, problems);
            if addresses
                .value
                .as_object()
                .is_some_and(|object| object.is_empty())
            {
                problems.add(&addresses, "expected at least one address");
            }
            entries
        }
        _ => {
            let message = "expected one of \"address\" and \"addresses\"";
            problems.add(section, message);
            return BTreeMap::new();
        }
    };
    let mut read = BTreeMap::new();
    for (device, place) in named {
        let Some(text) = place.value.as_str() else {
            let found = name_of(place.value);
            problems.add(&place, format!("expected HOST:PORT, found {found}"));
            continue;
        };
        match HostPort::parse(text) {
            Ok(address) => drop(read.insert(Name::from(device), address)),
            Err(wrong) => problems.add(&place, wrong),
        }
    }
    read
}
