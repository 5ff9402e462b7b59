//! Which device speaks: the rule of a protocol, the peer of a connection, the map of known devices.

mod map;
mod secret;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::decoding::FieldSteps;
use crate::document::{Problems, Section, name_of};
use crate::message::{Fields, Name, Value};
use crate::schema::{OneOrMore, ValueField};

pub use self::map::{Device, DeviceMap, DeviceOptions, Resolved, RuleOptions, Spoken};
pub use self::secret::{Secret, Secrets};

/// Characters that a device's name may have at most; it stands in properties and log lines.
const MOST_CHARACTERS: usize = 128;

/// How long a spoken identity counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum Scope {
    /// From the frame that says it until the connection ends.
    Connection,
    /// For the frame that says it.
    #[default]
    Message,
}

/// Where a protocol says which device speaks.
#[derive(Clone, Debug, Default)]
pub struct IdentityRule {
    source: Source,
    sub: Option<FieldSteps>,
    secret: Option<FieldSteps>,
}

#[derive(Clone, Debug, Default)]
enum Source {
    /// In decoded fields, of which the first that a frame has counts.
    Field {
        fields: Box<[FieldSteps]>,
        scope: Scope,
    },
    /// What a function of the protocol's script says of a frame; it stands under the function's name.
    Script { said: FieldSteps, scope: Scope },
    /// By the address it connects from.
    #[default]
    Address,
    /// By the listener it connects to: one port, one device.
    Listener,
    /// By the entry of `outbound` that dials it.
    Outbound,
}

/// Which device speaks.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "identity", extend(
    "oneOf" = [{ "required": ["from"] }, { "required": ["field"] }, { "required": ["script"] }],
    "not" = { "required": ["from", "scope"] },
    "dependentRequired" = { "secret": ["scope"] },
))]
pub struct IdentityOptions {
    /// A decoded field, or a list of such, of which the first counts that the frame has.
    #[serde(rename = "field")]
    #[schemars(with = "Option<OneOrMore<ValueField, 1>>")]
    _field: Option<IgnoredAny>,
    /// Instead of `field`: a function of the protocol's script that says it, and steps as behind a
    /// field.
    #[serde(rename = "script")]
    #[schemars(with = "Option<ValueField>")]
    _script: Option<IgnoredAny>,
    /// A field that says a unit, slave or outstation behind the identity: a frame that has it is of
    /// the device `ID/SUB`.
    #[serde(rename = "sub")]
    #[schemars(with = "Option<ValueField>")]
    _sub: Option<IgnoredAny>,
    /// The field that carries a secret in the frame that says the identity. It is taken out before
    /// anything else sees it. With the scope `connection`.
    #[serde(rename = "secret")]
    #[schemars(with = "Option<ValueField>")]
    _secret: Option<IgnoredAny>,
    /// How long what a field or function says counts; `message` without it.
    scope: Option<Scope>,
    /// Instead of `field`: what says the identity.
    from: Option<OfPeer>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
enum OfPeer {
    /// The peer's address.
    Address,
    /// The listener's name: one port, one device.
    Listener,
    /// The name of the entry of `outbound`, for devices that are dialled.
    Outbound,
}

/// The member that names a function.
const SCRIPT: &str = "script";
/// Members that name fields.
const FIELD: &str = "field";
const SUB: &str = "sub";
const SECRET: &str = "secret";

impl IdentityRule {
    /// Reads the member `identity` of a protocol; without it the peer's address says who speaks.
    pub fn read(section: Option<&Section<'_>>, problems: &mut Problems) -> Option<Self> {
        let Some(section) = section else {
            return Some(IdentityRule::default());
        };
        let before = problems.len();
        let later = ["certificate", "proxy"];
        for later in later.iter().filter(|word| section.member(word).is_some()) {
            let message = format!("\"{later}\" is not available in this version");
            problems.member(section, later, message);
        }
        let fields = read_fields(section, problems);
        let [script, sub, secret] = [SCRIPT, SUB, SECRET].map(|name| {
            let member = section.member(name)?;
            read_field(&member, problems)
        });
        let options: IdentityOptions = section.read(&later, problems)?;
        if section.member(SCRIPT).is_some() && script.is_none() {
            return None;
        }
        let source = options.source(fields, script, section, problems)?;
        let rule = IdentityRule {
            source,
            sub,
            secret,
        };
        if rule.secret.is_some() && !rule.has_login() {
            let message = "a secret is said at a login: it goes with \"field\" or \"script\" and \"scope\": \"connection\"";
            problems.member(section, SECRET, message);
        }
        (problems.len() == before).then_some(rule)
    }

    /// How long a decoded identity counts; `None` where the connection itself says who speaks.
    pub fn scope(&self) -> Option<Scope> {
        match &self.source {
            Source::Field { scope, .. } | Source::Script { scope, .. } => Some(*scope),
            Source::Address | Source::Listener | Source::Outbound => None,
        }
    }

    /// The function that says it, if one does.
    pub fn function(&self) -> Option<&Name> {
        match &self.source {
            Source::Script { said, .. } => Some(said.name()),
            Source::Field { .. } | Source::Address | Source::Listener | Source::Outbound => None,
        }
    }

    /// Whether one frame says the identity for the whole connection.
    pub fn has_login(&self) -> bool {
        self.scope() == Some(Scope::Connection)
    }

    /// Whether several devices may speak behind one identity.
    pub fn has_sub(&self) -> bool {
        self.sub.is_some()
    }

    /// The field that carries the secret, if devices must say one.
    pub fn secret(&self) -> Option<&Name> {
        self.secret.as_ref().map(FieldSteps::name)
    }

    /// The fields it names, each with its member and, in a list, its place there.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, usize, &Name)> {
        let spoken = match &self.source {
            Source::Field { fields, .. } => &**fields,
            Source::Script { .. } | Source::Address | Source::Listener | Source::Outbound => &[],
        };
        let spoken = spoken.iter().enumerate();
        let spoken = spoken.map(|(at, field)| (FIELD, at, field));
        let others = [(SUB, &self.sub), (SECRET, &self.secret)];
        let others = others
            .into_iter()
            .filter_map(|(member, field)| Some((member, 0, field.as_ref()?)));
        let all = spoken.chain(others);
        all.map(|(member, at, field)| (member, at, field.name()))
    }

    /// The identity that a frame's fields say, or, under its name, the function; `None` without
    /// such a field or with empty ones.
    pub fn spoken<'f>(&self, fields: &'f Fields) -> Option<Cow<'f, str>> {
        match &self.source {
            Source::Field { fields: named, .. } => {
                named.iter().find_map(|field| text(field, fields))
            }
            Source::Script { said, .. } => text(said, fields),
            Source::Address | Source::Listener | Source::Outbound => None,
        }
    }

    /// What says the identity: the field that counts in this frame, or the function, as it is
    /// written in the settings; `address`, `listener` or `outbound`; `None` without any of its fields.
    pub fn said_by(&self, fields: &Fields) -> Option<&str> {
        match &self.source {
            Source::Field { fields: named, .. } => {
                let mut named = named.iter();
                let counts = named.find(|field| text(field, fields).is_some());
                counts.map(|field| &**field.written())
            }
            Source::Script { said, .. } => text(said, fields).map(|_| &**said.written()),
            Source::Address => Some("address"),
            Source::Listener => Some("listener"),
            Source::Outbound => Some("outbound"),
        }
    }

    /// The identity of a connection that no field says; `None` means the peer's address.
    pub fn of_peer<'p>(&self, peer: &'p Peer) -> Option<&'p str> {
        matches!(self.source, Source::Listener | Source::Outbound).then_some(&*peer.listener)
    }

    /// The unit behind the identity that a frame is of. A `/` in it becomes `_`.
    pub fn sub<'f>(&self, fields: &'f Fields) -> Option<Cow<'f, str>> {
        let text = text(self.sub.as_ref()?, fields)?;
        Some(match text.contains('/') {
            true => Cow::Owned(text.replace('/', "_")),
            false => text,
        })
    }

    /// The secret that a frame says, as its bytes; not empty.
    pub fn said_secret(&self, fields: &Fields) -> Option<Vec<u8>> {
        let said = match self.secret.as_ref()?.value(fields)? {
            Value::Bytes(bytes) => bytes.to_vec(),
            Value::Text(text) => text.into_string().into_bytes(),
            other => spelled(&other)?.into_owned().into_bytes(),
        };
        Some(said).filter(|said| !said.is_empty())
    }
}

impl IdentityOptions {
    fn source(
        self,
        fields: Option<Vec<FieldSteps>>,
        script: Option<FieldSteps>,
        section: &Section<'_>,
        problems: &mut Problems,
    ) -> Option<Source> {
        let scope = self.scope.unwrap_or_default();
        match (fields, script, self.from) {
            (Some(fields), None, None) => {
                let fields = fields.into();
                return Some(Source::Field { fields, scope });
            }
            (None, Some(said), None) => return Some(Source::Script { said, scope }),
            (None, None, Some(_)) if self.scope.is_some() => {
                let message = "\"scope\" belongs to \"field\" and \"script\"";
                problems.member(section, "scope", message);
            }
            (None, None, Some(OfPeer::Address)) => return Some(Source::Address),
            (None, None, Some(OfPeer::Listener)) => return Some(Source::Listener),
            (None, None, Some(OfPeer::Outbound)) => return Some(Source::Outbound),
            _ => problems.add(
                section,
                "expected one of \"field\", \"script\" and \"from\"",
            ),
        }
        None
    }
}

/// The member `field`: `NAME [steps]`, or a list of them.
fn read_fields(section: &Section<'_>, problems: &mut Problems) -> Option<Vec<FieldSteps>> {
    let member = section.member(FIELD)?;
    let all: Vec<_> = match member.value.is_array() {
        true => member.elements().collect(),
        false => vec![member.clone()],
    };
    if all.is_empty() {
        problems.add(&member, "expected at least one field");
    }
    let read = all.iter().filter_map(|one| read_field(one, problems));
    Some(read.collect())
}

fn read_field(section: &Section<'_>, problems: &mut Problems) -> Option<FieldSteps> {
    let Some(text) = section.value.as_str() else {
        let found = name_of(section.value);
        let message = format!("expected a name, such as \"imei ltrim 0\", found {found}");
        problems.add(section, message);
        return None;
    };
    let read = FieldSteps::parse(text);
    read.map_err(|error| problems.notation_here(section, error))
        .ok()
}

fn text<'f>(field: &FieldSteps, fields: &'f Fields) -> Option<Cow<'f, str>> {
    let text = match field.plain(fields) {
        Some(value) => spelled(value)?,
        None => Cow::Owned(spelled(&field.value(fields)?)?.into_owned()),
    };
    Some(text).filter(|text| !text.is_empty())
}

/// A value as an identity; spaces around it are none of it.
fn spelled(value: &Value) -> Option<Cow<'_, str>> {
    Some(match value {
        Value::Text(text) => Cow::Borrowed(text.trim()),
        Value::Integer(value) => Cow::Owned(value.to_string()),
        Value::Float(value) => Cow::Owned(value.to_string()),
        Value::Bytes(bytes) => Cow::Owned(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        Value::Null | Value::Bool(_) | Value::List(_) | Value::Object(_) => return None,
    })
}

/// The other side of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address; an IPv4 address inside an IPv6 one is taken out.
    pub address: SocketAddr,
    /// The listener it connected to, or the entry of `outbound` by which it was dialled.
    pub listener: Name,
    /// Whether it was dialled, and did not connect to us.
    pub dialled: bool,
    /// The device that the settings of that entry name, whatever is spoken.
    pub fixed_device: Option<Name>,
}

impl Peer {
    /// A peer that connected to a listener, its address normalised.
    pub fn new(address: SocketAddr, listener: Name, fixed_device: Option<Name>) -> Self {
        let address = SocketAddr::new(normalised(address.ip()), address.port());
        Peer {
            address,
            listener,
            dialled: false,
            fixed_device,
        }
    }

    /// A peer that was dialled by that entry of `outbound`.
    pub fn dialled(address: SocketAddr, outbound: Name, fixed_device: Option<Name>) -> Self {
        Peer {
            dialled: true,
            ..Peer::new(address, outbound, fixed_device)
        }
    }
}

/// An IPv4-mapped IPv6 address as the IPv4 address that it is.
pub fn normalised(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// A foreign text as a device name: printable ASCII, 1 to 128 characters, `_` for all else.
pub fn safe_name(text: &str) -> String {
    let safe = |character| match character {
        ' '..='~' => character,
        _ => '_',
    };
    let name: String = text.chars().map(safe).take(MOST_CHARACTERS).collect();
    if name.is_empty() {
        "_".to_owned()
    } else {
        name
    }
}
