//! Which device speaks: the rule of a protocol, the peer of a connection, the map of known devices.

mod map;

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;

use crate::document::{Problems, Section};
use crate::message::{Fields, Name, Value};

pub use self::map::{Device, DeviceMap, Resolved, Spoken};

/// Characters that a device's name may have at most; it stands in properties and log lines.
const MOST_CHARACTERS: usize = 128;

/// How long a spoken identity counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Scope {
    /// From the frame that says it until the connection ends.
    Connection,
    /// For the frame that says it.
    #[default]
    Message,
}

/// Where a protocol says which device speaks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum IdentityRule {
    /// In a decoded field.
    Field {
        /// The field's name.
        name: Name,
        /// How long it counts.
        scope: Scope,
    },
    /// What a function of the protocol's script says of a frame's fields.
    Script {
        /// The function's name.
        function: Name,
        /// How long it counts.
        scope: Scope,
    },
    /// By the address it connects from.
    #[default]
    Address,
    /// By the listener it connects to: one port, one device.
    Listener,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct IdentityOptions {
    /// Name of a decoded field.
    field: Option<String>,
    /// Name of a function of the script.
    script: Option<String>,
    /// How long the field's value counts.
    scope: Option<Scope>,
    /// Where the identity is from when no field says it.
    from: Option<Source>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Source {
    Address,
    Listener,
}

impl IdentityRule {
    /// Reads the member `identity` of a protocol; without it the peer's address says who speaks.
    pub fn read(section: Option<&Section<'_>>, problems: &mut Problems) -> Option<Self> {
        let Some(section) = section else {
            return Some(IdentityRule::Address);
        };
        for later in ["certificate", "proxy", "sub", "login", "secret"] {
            if section.member(later).is_some() {
                let message = format!("\"{later}\" is not available in this version");
                problems.member(section, later, message);
            }
        }
        let options: IdentityOptions = section.read(
            &["certificate", "proxy", "sub", "login", "secret"],
            problems,
        )?;
        if let (Some(function), None, None) = (&options.script, &options.field, options.from) {
            return Some(IdentityRule::Script {
                function: function.as_str().into(),
                scope: options.scope.unwrap_or_default(),
            });
        }
        if options.script.is_some() {
            problems.member(
                section,
                "script",
                "stands instead of \"field\" and \"from\"",
            );
            return None;
        }
        match (options.field, options.from, options.scope) {
            (Some(name), None, scope) => Some(IdentityRule::Field {
                name: name.into(),
                scope: scope.unwrap_or_default(),
            }),
            (None, Some(Source::Address), None) => Some(IdentityRule::Address),
            (None, Some(Source::Listener), None) => Some(IdentityRule::Listener),
            (None, Some(_), Some(_)) => {
                problems.member(section, "scope", "\"scope\" belongs to \"field\"");
                None
            }
            _ => {
                problems.add(section, "expected either \"field\", \"script\" or \"from\"");
                None
            }
        }
    }

    /// How long the identity counts; that of a peer counts as long as the connection.
    pub fn scope(&self) -> Scope {
        match self {
            IdentityRule::Field { scope, .. } | IdentityRule::Script { scope, .. } => *scope,
            IdentityRule::Address | IdentityRule::Listener => Scope::Connection,
        }
    }

    /// The field that says it, if one does.
    pub fn field(&self) -> Option<&Name> {
        match self {
            IdentityRule::Field { name, .. } => Some(name),
            IdentityRule::Script { .. } | IdentityRule::Address | IdentityRule::Listener => None,
        }
    }

    /// The function that says it, if one does.
    pub fn function(&self) -> Option<&Name> {
        match self {
            IdentityRule::Script { function, .. } => Some(function),
            IdentityRule::Field { .. } | IdentityRule::Address | IdentityRule::Listener => None,
        }
    }

    /// The identity that a frame's fields say, or what the function says under its name; `None`
    /// without such a field or with an empty one.
    pub fn spoken<'f>(&self, fields: &'f Fields) -> Option<Cow<'f, str>> {
        let text: Cow<'f, str> = match fields.get(self.field().or(self.function())?)? {
            Value::Text(text) => Cow::Borrowed(text.trim()),
            Value::Integer(value) => Cow::Owned(value.to_string()),
            Value::Float(value) => Cow::Owned(value.to_string()),
            Value::Bytes(bytes) => {
                Cow::Owned(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
            }
            Value::Null | Value::Bool(_) | Value::List(_) | Value::Object(_) => return None,
        };
        Some(text).filter(|text| !text.is_empty())
    }
}

/// The other side of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address; an IPv4 address inside an IPv6 one is taken out.
    pub address: SocketAddr,
    /// The listener it connected to.
    pub listener: Name,
    /// The device that the listener's settings name, whatever is spoken.
    pub fixed_device: Option<Name>,
}

impl Peer {
    /// A peer, its address normalised.
    pub fn new(address: SocketAddr, listener: Name, fixed_device: Option<Name>) -> Self {
        let address = SocketAddr::new(normalised(address.ip()), address.port());
        Peer {
            address,
            listener,
            fixed_device,
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rules_and_their_mistakes() {
        let field = |scope| IdentityRule::Field {
            name: "imei".into(),
            scope,
        };
        for (document, expected) in [
            (json!({"field": "imei"}), Some(field(Scope::Message))),
            (
                json!({"field": "imei", "scope": "connection"}),
                Some(field(Scope::Connection)),
            ),
            (json!({"from": "address"}), Some(IdentityRule::Address)),
            (json!({"from": "listener"}), Some(IdentityRule::Listener)),
            (json!({"from": "listener", "scope": "message"}), None),
            (json!({"from": "address", "field": "a"}), None),
            (json!({}), None),
        ] {
            let mut problems = Problems::new();
            let rule = IdentityRule::read(Some(&Section::root(&document)), &mut problems);
            assert_eq!(rule, expected, "{document}");
            assert_eq!(problems.is_empty(), expected.is_some(), "{document}");
        }
        let mut problems = Problems::new();
        let document = json!({"from": "address", "certificate": "cn"});
        IdentityRule::read(Some(&Section::root(&document)), &mut problems);
        assert_eq!(problems.as_slice()[0].pointer, "/certificate");
        assert!(
            problems.as_slice()[0]
                .message
                .contains("not available in this version")
        );
    }

    #[test]
    fn what_a_frame_says() {
        let rule = IdentityRule::Field {
            name: "id".into(),
            scope: Scope::Message,
        };
        for (value, expected) in [
            (Value::Text(" 35 ".into()), Some("35")),
            (Value::Text("  ".into()), None),
            (
                Value::Integer(u64::MAX.into()),
                Some("18446744073709551615"),
            ),
            (Value::Bytes(b"\x0a\xff"[..].into()), Some("0aff")),
            (Value::Null, None),
        ] {
            let fields: Fields = [("id".into(), value.clone())].into_iter().collect();
            assert_eq!(rule.spoken(&fields).as_deref(), expected, "{value:?}");
        }
        assert_eq!(rule.spoken(&Fields::new()), None);
    }

    #[test]
    fn names_are_safe() {
        assert_eq!(safe_name("a\r\né b"), "a___ b");
        assert_eq!(safe_name(""), "_");
        assert_eq!(safe_name(&"x".repeat(200)).len(), 128);
    }
}
