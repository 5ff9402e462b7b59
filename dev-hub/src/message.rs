//! A message on its way through the hub: sender, properties, body.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::identities::IdentityId;

/// A property bag in the order of sending; a name without value has none.
pub(crate) type Bag = Vec<(String, Option<String>)>;

/// Body and properties together may not be larger.
const MAX_MESSAGE_BYTES: usize = 262_144;

/// A system property: how it is written on the wire, and its name in routes.
struct System {
    wire: &'static str,
    name: &'static str,
    /// Whether edgeHub sends it on to IoT Hub.
    upstream: bool,
}

const SYSTEM: [System; 14] = [
    System {
        wire: "$.on",
        name: "outputName",
        upstream: false,
    },
    System {
        wire: "$.mid",
        name: "messageId",
        upstream: true,
    },
    System {
        wire: "$.cid",
        name: "cid",
        upstream: true,
    },
    System {
        wire: "$.uid",
        name: "userId",
        upstream: true,
    },
    System {
        wire: "$.to",
        name: "to",
        upstream: true,
    },
    System {
        wire: "$.ct",
        name: "contentType",
        upstream: true,
    },
    System {
        wire: "$.ce",
        name: "contentEncoding",
        upstream: true,
    },
    System {
        wire: "$.exp",
        name: "absolute-expiry-time",
        upstream: false,
    },
    System {
        wire: "$.ctime",
        name: "creationTime",
        upstream: true,
    },
    System {
        wire: "$.schema",
        name: "messageSchema",
        upstream: true,
    },
    System {
        wire: "$.sub",
        name: "dt-subject",
        upstream: true,
    },
    System {
        wire: "$.ifid",
        name: "interfaceId",
        upstream: false,
    },
    System {
        wire: "ack",
        name: "ack",
        upstream: false,
    },
    System {
        wire: "iothub-operation",
        name: "operation",
        upstream: false,
    },
];

/// A message as routes see it.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) sender: IdentityId,
    pub(crate) properties: BTreeMap<String, Option<String>>,
    /// By wire name (`$.mid`).
    pub(crate) system: BTreeMap<String, String>,
    pub(crate) body: Bytes,
    /// Whether this is a notice of changed reported properties.
    pub(crate) twin_change: bool,
}

/// Why edgeHub drops a message that it nevertheless acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    SameName,
    Size,
    BlankOutput,
}

/// A message and whether its properties took over the sender.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) message: Message,
    pub(crate) overwritten: bool,
}

/// Makes a message of what a telemetry topic says and the body.
///
/// The ids of the topic and the bag share one table in edgeHub, and the bag is written last: a
/// property `deviceId` or `moduleId` becomes the sender and is no property any more.
pub(crate) fn read(topic: &IdentityId, bag: Bag, body: Bytes) -> Result<Read, Dropped> {
    let mut message = Message {
        sender: topic.clone(),
        properties: BTreeMap::new(),
        system: BTreeMap::new(),
        body,
        twin_change: false,
    };
    for (name, value) in bag {
        match (name.as_str(), value) {
            ("deviceId", value) => message.sender.device = value.unwrap_or_default().into(),
            ("moduleId", value) => message.sender.module = Some(value.unwrap_or_default().into()),
            (wire, Some(value)) if SYSTEM.iter().any(|system| system.wire == wire) => {
                message.system.insert(name, value);
            }
            (_, value) => {
                message.properties.insert(name, value);
            }
        }
    }
    message.check()?;
    let overwritten = message.sender != *topic;
    Ok(Read {
        message,
        overwritten,
    })
}

impl Message {
    fn check(&self) -> Result<(), Dropped> {
        let mut names: Vec<String> = self
            .properties
            .keys()
            .map(|name| name.to_lowercase())
            .collect();
        names.sort_unstable();
        if names
            .windows(2)
            .any(|pair| matches!(pair, [one, two] if one == two))
        {
            return Err(Dropped::SameName);
        }
        if self.size() > MAX_MESSAGE_BYTES {
            return Err(Dropped::Size);
        }
        let blank = self.output().is_some_and(|output| output.trim().is_empty());
        if blank && self.sender.module.is_some() {
            Err(Dropped::BlankOutput)
        } else {
            Ok(())
        }
    }

    fn size(&self) -> usize {
        let own = self
            .properties
            .iter()
            .map(|(name, value)| name.len() + value.as_ref().map_or(0, String::len));
        let system = self
            .system
            .iter()
            .map(|(name, value)| name.len() + value.len());
        self.body.len() + own.sum::<usize>() + system.sum::<usize>()
    }

    /// The output it was sent to.
    pub(crate) fn output(&self) -> Option<&str> {
        self.system.get("$.on").map(String::as_str)
    }

    /// An application property; routes do not look at the case of names.
    pub(crate) fn property(&self, name: &str) -> Option<&str> {
        let found = self
            .properties
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.and_then(|(_, value)| value.as_deref())
    }

    /// A system property by its name in routes.
    pub(crate) fn system(&self, name: &str) -> Option<&str> {
        if name.eq_ignore_ascii_case("connectionDeviceId") {
            return Some(&self.sender.device);
        }
        if name.eq_ignore_ascii_case("connectionModuleId") {
            return self.sender.module.as_deref();
        }
        let known = SYSTEM
            .iter()
            .find(|system| system.name.eq_ignore_ascii_case(name))?;
        self.system.get(known.wire).map(String::as_str)
    }

    /// The system properties that IoT Hub gets to see.
    pub(crate) fn upstream_system(&self) -> BTreeMap<String, String> {
        let seen = self.system.iter().filter(|(wire, _)| {
            SYSTEM
                .iter()
                .any(|system| system.upstream && system.wire == wire.as_str())
        });
        seen.map(|(wire, value)| (wire.clone(), value.clone()))
            .collect()
    }

    /// The source that routes name in `FROM`, ended by a slash.
    pub(crate) fn source(&self) -> String {
        if self.twin_change {
            return "/twinChangeNotifications/".into();
        }
        match (&self.sender.module, self.output()) {
            (None, _) => "/messages/".into(),
            (Some(module), None) => format!("/messages/modules/{module}/"),
            (Some(module), Some(output)) => format!("/messages/modules/{module}/outputs/{output}/"),
        }
    }
}

/// Whether a creation time is what IoT Hub's converter takes: `yyyy-MM-ddTHH:mm:ss.fffffffZ`
/// with exactly seven digits of fraction.
pub(crate) fn is_creation_time(text: &str) -> bool {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00.0000000Z";
    let fits = |(found, wanted): (&u8, &u8)| match wanted {
        b'0' => found.is_ascii_digit(),
        _ => found == wanted,
    };
    text.len() == SHAPE.len()
        && text.as_bytes().iter().zip(SHAPE).all(fits)
        && text.parse::<jiff::Timestamp>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bag(pairs: &[(&str, &str)]) -> Bag {
        pairs
            .iter()
            .map(|(name, value)| ((*name).into(), Some((*value).into())))
            .collect()
    }

    #[test]
    fn a_property_named_device_id_takes_over_the_sender() {
        let id = IdentityId::module("edge", "gateway");
        let read = read(&id, bag(&[("deviceId", "truck"), ("a", "1")]), Bytes::new()).unwrap();
        assert!(read.overwritten);
        assert_eq!(read.message.sender.to_string(), "truck/gateway");
        assert_eq!(
            read.message.properties.len(),
            1,
            "and is no property any more"
        );
    }

    #[test]
    fn silent_losses() {
        let id = IdentityId::module("edge", "gateway");
        let check = |pairs: &[(&str, &str)], bytes: usize| {
            read(&id, bag(pairs), Bytes::from(vec![b'x'; bytes]))
                .map(|_| ())
                .err()
        };
        assert_eq!(check(&[("a", "1"), ("b", "1"), ("$.on", "o")], 10), None);
        assert_eq!(
            check(&[("a", "1"), ("A", "1")], 10),
            Some(Dropped::SameName)
        );
        assert_eq!(check(&[("$.on", " ")], 10), Some(Dropped::BlankOutput));
        assert_eq!(check(&[], 262_144), None);
        assert_eq!(check(&[("k", "")], 262_144), Some(Dropped::Size));
    }

    #[test]
    fn creation_times_have_seven_digits() {
        for (text, good) in [
            ("2026-01-31T12:00:00.1234567Z", true),
            ("2026-01-31T12:00:00.123Z", false),
            ("2026-01-31T12:00:00Z", false),
            ("2026-01-31T12:00:00.12345678Z", false),
            ("2026-13-31T12:00:00.1234567Z", false),
            ("2026-01-31T12:00:00.1234567+00:00", false),
        ] {
            assert_eq!(is_creation_time(text), good, "{text}");
        }
    }
}
