//! The known devices: entries first, the one that says most of whom it matches before the others,
//! then rules by their order; the first match counts.
//!
//! The order in which a document has its members counts nowhere: a twin need not keep it.

mod naming;
mod pattern;

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use self::naming::{Part, parts};
use self::pattern::Pattern;
use super::{Peer, Secret, Secrets, normalised, safe_name};
use crate::document::{Problems, Section, name_of};
use crate::message::Name;
use crate::schema::{EntryName, Network, SecretText};

/// A device as the gateway knows it; cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its name in messages, properties and commands.
    pub name: Name,
    /// What every message of it carries as application properties.
    pub properties: Arc<[(Name, Name)]>,
    /// Its output, where its layout names none.
    pub output: Option<Name>,
}

/// Who claims to speak.
#[derive(Clone, Copy, Debug)]
pub struct Spoken<'a> {
    /// The identity as spoken; `None` means that the peer's address is it.
    pub id: Option<&'a str>,
    /// The unit behind it.
    pub sub: Option<&'a str>,
    /// The peer.
    pub peer: &'a Peer,
}

/// What the map says of a speaker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// A known device.
    Known(Device),
    /// No entry and no rule: the identity as spoken, made safe.
    Unknown(Name),
}

/// All known devices.
#[derive(Clone, Debug, Default)]
pub struct DeviceMap {
    entries: Vec<Entry>,
    /// Entries with an exact id, by it.
    by_id: HashMap<String, Vec<usize>>,
    /// Entries with one address and no exact id, by it.
    by_address: HashMap<IpAddr, Vec<usize>>,
    /// All other entries, to be tried one by one.
    others: Vec<usize>,
    /// Entries of `devices`, by name.
    names: HashMap<Name, usize>,
}

#[derive(Clone, Debug)]
struct Entry {
    /// Its place in the settings.
    pointer: Name,
    id: Option<Pattern>,
    address: Option<IpNet>,
    listener: Option<Name>,
    name: Naming,
    properties: Arc<[(Name, Name)]>,
    output: Option<Name>,
    secret: Option<Secret>,
}

#[derive(Clone, Debug)]
enum Naming {
    Fixed(Name),
    AsSpoken,
    Parts(Vec<Part>),
}

/// What must be true of a device. All members that are there count.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "match", extend("minProperties" = 1))]
struct MatchOptions {
    /// The identity as the device says it, `*` for any characters; of a unit the whole: `10.0.0.7/3`.
    id: Option<String>,
    /// The peer's address, or a network.
    #[schemars(with = "Option<Network>")]
    address: Option<String>,
    /// The name of a listener, or of an entry of `outbound`.
    listener: Option<String>,
}

/// An entry of `devices`.
#[derive(Debug, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "device")]
#[expect(dead_code, reason = "only the schema of it is made")]
pub struct DeviceOptions {
    /// What must be true of the device. Without it: its identity is the entry's name.
    #[schemars(rename = "match")]
    matching: Option<MatchOptions>,
    #[schemars(flatten)]
    what: DeviceTerms,
}

/// An entry of `deviceRules`.
#[derive(Debug, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "device-rule")]
#[expect(dead_code, reason = "only the schema of it is made")]
pub struct RuleOptions {
    /// Place among the rules, the lowest first.
    #[serde(default)]
    order: i64,
    /// What must be true of a device.
    #[schemars(rename = "match")]
    matching: MatchOptions,
    /// Name of the device: a text with `{id}`, `{id -6..}`, `{sub}`, `{address}`, `{listener}`.
    /// Without it the identity as spoken.
    name: Option<String>,
    #[schemars(flatten)]
    what: DeviceTerms,
}

/// What an entry or rule says of its devices.
#[derive(Debug, JsonSchema)]
#[expect(dead_code, reason = "only the schema of it is made")]
struct DeviceTerms {
    /// Application properties of every message of the device. Names that edgeHub, IoT Hub or the
    /// message itself use are a mistake.
    properties: Option<BTreeMap<String, String>>,
    /// The output of its messages, where the layout names none.
    #[schemars(with = "Option<EntryName>")]
    output: Option<String>,
    /// What the device must say at its login, where the protocol's identity has a `secret`.
    #[schemars(with = "Option<SecretText>")]
    secret: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EntryOptions {
    /// Place among the rules, the lowest first.
    #[serde(default)]
    order: i64,
    /// Name of the device: text with `{id}`, `{id -6..}`, `{sub}`, `{address}`, `{listener}`.
    name: Option<String>,
    /// The output of its messages.
    output: Option<String>,
}

impl DeviceMap {
    /// Reads the sections `devices` and `deviceRules`.
    pub fn read(
        devices: Option<&Section<'_>>,
        rules: Option<&Section<'_>>,
        secrets: &Secrets,
        problems: &mut Problems,
    ) -> Option<DeviceMap> {
        let before = problems.len();
        let mut map = DeviceMap::default();
        let mut read_entries: Vec<_> = sections(devices, problems)
            .into_iter()
            .filter_map(|(name, section)| {
                let (_, entry) = read_entry(&section, Some(name), secrets, problems)?;
                Some((name, entry))
            })
            .collect();
        read_entries.sort_by(|(a, first), (b, second)| {
            (first.precision(), a).cmp(&(second.precision(), b))
        });
        for (name, entry) in read_entries {
            map.names.insert(name.into(), map.entries.len());
            map.entries.push(entry);
        }
        let mut read_rules: Vec<_> = sections(rules, problems)
            .into_iter()
            .filter_map(|(name, section)| {
                let (order, entry) = read_entry(&section, None, secrets, problems)?;
                Some((order, name, entry))
            })
            .collect();
        read_rules.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
        map.entries
            .extend(read_rules.into_iter().map(|(.., entry)| entry));
        map.index();
        (problems.len() == before).then_some(map)
    }

    /// The names of the entries of `devices`.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.names.keys()
    }

    /// Whether `devices` has an entry of that name.
    pub fn has_name(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// The pointers of entries and rules that match whom an earlier one matches, and that one's.
    pub fn hidden(&self) -> Vec<(&Name, &Name)> {
        let mut first = HashMap::new();
        let entries = self.entries.iter();
        let hidden = entries.filter_map(|entry| {
            let whom = (&entry.id, entry.address, &entry.listener);
            let earlier = *first.entry(whom).or_insert(&entry.pointer);
            (*earlier != entry.pointer).then_some((&entry.pointer, earlier))
        });
        hidden.collect()
    }

    /// The outputs that devices name.
    pub fn outputs(&self) -> impl Iterator<Item = &Name> {
        self.entries
            .iter()
            .filter_map(|entry| entry.output.as_ref())
    }

    /// Which device speaks.
    pub fn resolve(&self, spoken: &Spoken<'_>) -> Resolved {
        if let Some(name) = &spoken.peer.fixed_device {
            return Resolved::Known(self.fixed(name, spoken));
        }
        let id = spoken.whole();
        match self.first(&id, spoken.peer) {
            Some(entry) => Resolved::Known(entry.device(&id, spoken)),
            None => Resolved::Unknown(safe_name(&id).into()),
        }
    }

    /// The JSON pointer of the entry or rule that says which device speaks, if one does.
    pub fn said_by(&self, spoken: &Spoken<'_>) -> Option<&Name> {
        self.entry_of(spoken).map(|entry| &entry.pointer)
    }

    /// What the speaker is expected to say at its login, if its entry or rule names it.
    pub fn secret(&self, spoken: &Spoken<'_>) -> Option<&Secret> {
        self.entry_of(spoken)?.secret.as_ref()
    }

    fn entry_of(&self, spoken: &Spoken<'_>) -> Option<&Entry> {
        match &spoken.peer.fixed_device {
            Some(name) => self.of_fixed(name, spoken.peer),
            None => self.first(&spoken.whole(), spoken.peer),
        }
    }

    /// The device that the settings of a listener or of `outbound` name; it needs no entry. A unit
    /// behind it may have one of its own.
    fn fixed(&self, device: &Name, spoken: &Spoken<'_>) -> Device {
        let name = with_sub(device, spoken.sub);
        let own = self.entry(&name);
        let entry = own.or_else(|| self.of_fixed(device, spoken.peer));
        Device {
            name,
            properties: entry.map_or_else(|| Arc::from([]), |entry| entry.properties.clone()),
            output: entry.and_then(|entry| entry.output.clone()),
        }
    }

    /// The entry of that name. Of many devices that are dialled each has a name there already, so
    /// what they have in common may stand in a rule.
    fn of_fixed(&self, device: &Name, peer: &Peer) -> Option<&Entry> {
        let by_rule = || peer.dialled.then(|| self.first(device, peer)).flatten();
        self.entry(device).or_else(by_rule)
    }

    fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.get(*self.names.get(name)?)
    }

    /// The entry of a speaker.
    fn first(&self, id: &str, peer: &Peer) -> Option<&Entry> {
        let (address, listener) = (peer.address.ip(), &*peer.listener);
        let matching = |list: &[usize]| {
            let mut places = list.iter().copied();
            places.find(|at| {
                let entry = self.entries.get(*at);
                entry.is_some_and(|entry| entry.matches(id, address, listener))
            })
        };
        let found = [
            self.by_id.get(id).and_then(|list| matching(list)),
            self.by_address
                .get(&address)
                .and_then(|list| matching(list)),
            matching(&self.others),
        ];
        self.entries.get(found.into_iter().flatten().min()?)
    }

    fn index(&mut self) {
        for (at, entry) in self.entries.iter().enumerate() {
            let exact = entry.id.as_ref().and_then(Pattern::exact);
            let host = entry
                .address
                .filter(|net| net.prefix_len() == net.max_prefix_len());
            match (exact, host) {
                (Some(id), _) => self.by_id.entry(id.to_owned()).or_default().push(at),
                (None, Some(net)) => self.by_address.entry(net.addr()).or_default().push(at),
                (None, None) => self.others.push(at),
            }
        }
    }
}

impl Entry {
    /// How much it says of whom it matches, the most first: the id, exact before `*`, then the
    /// address, one before networks, then the listener.
    fn precision(&self) -> impl Ord + use<> {
        let id = self.id.as_ref().map(Pattern::precision);
        let address = self.address.map(|network| network.prefix_len());
        Reverse((id, address, self.listener.is_some()))
    }

    fn matches(&self, id: &str, address: IpAddr, listener: &str) -> bool {
        self.id.as_ref().is_none_or(|pattern| pattern.matches(id))
            && self.address.is_none_or(|net| net.contains(&address))
            && self.listener.as_deref().is_none_or(|name| name == listener)
    }

    fn device(&self, id: &str, spoken: &Spoken<'_>) -> Device {
        // Who compares or says the whole identity has the unit in it.
        let sub = spoken.sub.filter(|_| self.id.is_none());
        let name = match &self.name {
            Naming::Fixed(name) => with_sub(name, sub),
            Naming::AsSpoken => safe_name(id).into(),
            Naming::Parts(parts) => {
                let name: String = parts.iter().map(|part| part.text(id, spoken)).collect();
                let says = |part: &Part| matches!(part, Part::Id(_) | Part::Sub);
                let sub = sub.filter(|_| !parts.iter().any(says));
                with_sub(&safe_name(&name).into(), sub)
            }
        };
        Device {
            name,
            properties: self.properties.clone(),
            output: self.output.clone(),
        }
    }
}

/// The name of a device, or of a unit behind it.
fn with_sub(name: &Name, sub: Option<&str>) -> Name {
    match sub {
        Some(sub) => safe_name(&format!("{name}/{sub}")).into(),
        None => Name::clone(name),
    }
}

impl Spoken<'_> {
    /// The identity with the unit behind it: `ID`, or `ID/SUB`.
    fn whole(&self) -> String {
        let id = match self.id {
            Some(id) => id.to_owned(),
            None => self.peer.address.ip().to_string(),
        };
        match self.sub {
            Some(sub) => format!("{id}/{sub}"),
            None => id,
        }
    }
}

fn sections<'a>(
    section: Option<&Section<'a>>,
    problems: &mut Problems,
) -> Vec<(&'a str, Section<'a>)> {
    let Some(section) = section else {
        return Vec::new();
    };
    if !section.value.is_object() {
        let found = name_of(section.value);
        problems.add(section, format!("expected an object, found {found}"));
    }
    section.members().collect()
}

/// Reads an entry of `devices` (which has a name already) or of `deviceRules`.
fn read_entry(
    section: &Section<'_>,
    name: Option<&str>,
    secrets: &Secrets,
    problems: &mut Problems,
) -> Option<(i64, Entry)> {
    let before = problems.len();
    let options: EntryOptions = section.read(&["match", "properties", "secret"], problems)?;
    if name.is_some() && section.member("order").is_some() {
        let message = "an entry of \"devices\" has no order: all of them come before the rules";
        problems.member(section, "order", message);
    }
    let naming = match (name, &options.name) {
        (Some(_), Some(_)) => {
            problems.member(
                section,
                "name",
                "an entry of \"devices\" has its key as name",
            );
            None
        }
        (Some(name), None) => Some(fixed_name(section, name, problems)),
        (None, Some(template)) => match parts(template) {
            Ok(parts) => Some(Naming::Parts(parts)),
            Err(error) => {
                problems.notation(section, "name", error);
                None
            }
        },
        (None, None) => Some(Naming::AsSpoken),
    };
    let matching = read_match(section, name, problems);
    let entry = Entry {
        pointer: section.pointer.as_str().into(),
        id: matching.id.as_deref().map(Pattern::new),
        address: read_network(section, matching.address.as_deref(), problems),
        listener: matching.listener.map(Name::from),
        name: naming?,
        properties: read_properties(section, problems),
        output: options.output.map(Name::from),
        secret: secrets.read(section, problems),
    };
    (problems.len() == before).then_some((options.order, entry))
}

fn fixed_name(section: &Section<'_>, name: &str, problems: &mut Problems) -> Naming {
    if safe_name(name) != name {
        problems.add(
            section,
            "a device's name is 1 to 128 printable ASCII characters",
        );
    }
    Naming::Fixed(name.into())
}

fn read_match(section: &Section<'_>, name: Option<&str>, problems: &mut Problems) -> MatchOptions {
    let Some(section) = section.member("match") else {
        if name.is_none() {
            problems.add(section, "\"match\" is missing");
        }
        return MatchOptions {
            id: name.map(str::to_owned),
            ..MatchOptions::default()
        };
    };
    if section.member("certificate").is_some() {
        problems.member(
            &section,
            "certificate",
            "\"certificate\" is not available in this version",
        );
    }
    let read: MatchOptions = section.read(&["certificate"], problems).unwrap_or_default();
    if read.id.is_none() && read.address.is_none() && read.listener.is_none() {
        problems.add(&section, "expected \"id\", \"address\" or \"listener\"");
    }
    read
}

fn read_network(
    section: &Section<'_>,
    text: Option<&str>,
    problems: &mut Problems,
) -> Option<IpNet> {
    let text = text?;
    let network = text
        .parse()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    match network {
        Ok(network) => Some(canonical(network)),
        Err(_) => {
            let message =
                format!("expected an address or a network such as 10.20.0.0/16, found \"{text}\"");
            let place = section.member("match");
            problems.member(place.as_ref().unwrap_or(section), "address", message);
            None
        }
    }
}

/// A network of IPv4-mapped addresses as the IPv4 network that it is.
fn canonical(network: IpNet) -> IpNet {
    let address = normalised(network.addr());
    let prefix = match (network, address) {
        (IpNet::V6(network), IpAddr::V4(_)) => network.prefix_len().checked_sub(96),
        _ => Some(network.prefix_len()),
    };
    let canonical = prefix.and_then(|prefix| IpNet::new(address, prefix).ok());
    canonical.unwrap_or(network).trunc()
}

fn read_properties(section: &Section<'_>, problems: &mut Problems) -> Arc<[(Name, Name)]> {
    let Some(section) = section.member("properties") else {
        return Arc::from([]);
    };
    if !section.value.is_object() {
        problems.add(&section, "expected an object of texts");
    }
    let mut properties = Vec::new();
    for (name, property) in section.members() {
        match property.value {
            Value::String(text) => properties.push((Name::from(name), Name::from(text.as_str()))),
            other => problems.add(
                &property,
                format!("expected a text, found {}", name_of(other)),
            ),
        }
    }
    properties.into()
}

#[cfg(test)]
mod tests;
