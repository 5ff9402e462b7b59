//! Topics: what a client's publication means, and what the hub's own are called.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::identities::IdentityId;
use crate::message::Bag;

/// Everything but `A-Za-z0-9-_.~` is escaped.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// What a client publishes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Inbound<'a> {
    TwinGet {
        rid: String,
    },
    /// Without `rid` it is carried out and not answered.
    Reported {
        rid: Option<String>,
    },
    MethodAnswer {
        status: &'a str,
        rid: &'a str,
    },
    Telemetry {
        sender: IdentityId,
        bag: &'a str,
    },
}

/// Why a topic means nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TopicError {
    /// edgeHub closes the connection.
    Twin,
    /// edgeHub acknowledges and forgets the message.
    NoTemplate,
}

/// Finds out what a topic means, in edgeHub's order.
pub(crate) fn inbound(topic: &str) -> Result<Inbound<'_>, TopicError> {
    if let Some(rest) = topic.strip_prefix("$iothub/twin/") {
        return twin(rest).ok_or(TopicError::Twin);
    }
    if let Some(rest) = topic.strip_prefix("$iothub/methods/res/") {
        let (status, rid) = rest.split_once("/?$rid=").ok_or(TopicError::NoTemplate)?;
        return Ok(Inbound::MethodAnswer { status, rid });
    }
    let segments: Vec<&str> = topic.split('/').collect();
    telemetry(&segments).ok_or(TopicError::NoTemplate)
}

fn twin(rest: &str) -> Option<Inbound<'static>> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let rid = rid(query)?;
    match path {
        "GET/" => rid.map(|rid| Inbound::TwinGet { rid }),
        "PATCH/properties/reported/" => Some(Inbound::Reported { rid }),
        _ => None,
    }
}

/// The value of `$rid`; none at all if a name comes twice or it is blank.
#[expect(clippy::option_option, reason = "unreadable and absent are different")]
fn rid(query: &str) -> Option<Option<String>> {
    let mut names: Vec<&str> = Vec::new();
    let mut rid = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if names.contains(&name) {
            return None;
        }
        names.push(name);
        if matches!(name, "$rid" | "%24rid") {
            rid = Some(value.to_owned());
        }
    }
    match rid {
        Some(rid) if rid.trim().is_empty() => None,
        rid => Some(rid),
    }
}

/// The telemetry templates are anchored at their end only, and ids are taken as they stand.
fn telemetry<'a>(segments: &[&'a str]) -> Option<Inbound<'a>> {
    let segments = match segments {
        [.., "messages", "events"] | [.., "messages", "events", ""] => segments,
        [rest @ .., ""] => rest,
        all => all,
    };
    let (path, bag) = match segments {
        [path @ .., "messages", "events"] | [path @ .., "messages", "events", ""] => (path, ""),
        [path @ .., "messages", "events", bag] => (path, *bag),
        _ => return None,
    };
    let sender = match path {
        [.., word, device, "modules", module] if word.ends_with("devices") => {
            IdentityId::module(device, module)
        }
        [.., word, device] if word.ends_with("devices") => IdentityId::device(device),
        _ => return None,
    };
    Some(Inbound::Telemetry { sender, bag })
}

/// A property bag that cannot be read: an empty name, a trailing `&` or a second `=`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BagError;

/// Reads a property bag; of names that come twice the last counts.
pub(crate) fn read_bag(text: &str) -> Result<Bag, BagError> {
    let mut bag = Bag::new();
    if text.is_empty() {
        return Ok(bag);
    }
    for pair in text.split('&') {
        let mut parts = pair.split('=');
        let name = unescape(parts.next().unwrap_or_default());
        let value = parts.next().filter(|value| !value.is_empty()).map(unescape);
        if name.is_empty() || parts.next().is_some() {
            return Err(BagError);
        }
        bag.retain(|(known, _)| *known != name);
        bag.push((name, value));
    }
    Ok(bag)
}

fn unescape(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Writes a property bag.
pub(crate) fn write_bag<'a>(bag: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> String {
    let escape = |text| utf8_percent_encode(text, ESCAPED).to_string();
    let pairs = bag.map(|(name, value)| match value {
        Some(value) => format!("{}={}", escape(name), escape(value)),
        None => escape(name),
    });
    pairs.collect::<Vec<_>>().join("&")
}

/// `$iothub/twin/res/{status}/?$rid={rid}`, never with a version.
pub(crate) fn twin_answer(status: u16, rid: &str) -> String {
    format!("$iothub/twin/res/{status}/?$rid={rid}")
}

/// Where desired patches are published.
pub(crate) fn desired(version: i64) -> String {
    format!("$iothub/twin/PATCH/properties/desired/?$version={version}")
}

/// Where a direct method is published; its name is not escaped.
pub(crate) fn method(name: &str, rid: &str) -> String {
    format!("$iothub/methods/POST/{name}/?$rid={rid}")
}

/// Where a message for an input of a module is published.
pub(crate) fn input(id: &IdentityId, input: &str, bag: &str) -> String {
    let module = id.module.as_deref().unwrap_or_default();
    format!(
        "devices/{}/modules/{module}/inputs/{input}/{bag}",
        id.device
    )
}

/// What edgeHub recognises in a subscription; others are granted and have no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Methods,
    Desired,
    TwinAnswers,
    Inputs,
    CloudToDevice,
}

/// What a filter is for.
pub(crate) fn purpose(filter: &str) -> Option<Purpose> {
    let inputs = |filter: &str| {
        let rest = filter.strip_prefix("devices/")?;
        let (device, rest) = rest.split_once("/modules/")?;
        let module = rest.strip_suffix("/#")?;
        (!device.is_empty() && !module.is_empty()).then_some(Purpose::Inputs)
    };
    if filter.starts_with("$iothub/methods/POST/") {
        Some(Purpose::Methods)
    } else if filter.starts_with("$iothub/twin/PATCH/properties/desired/") {
        Some(Purpose::Desired)
    } else if filter.ends_with("messages/devicebound/#") {
        Some(Purpose::CloudToDevice)
    } else if filter == "$iothub/twin/res/#" {
        Some(Purpose::TwinAnswers)
    } else {
        inputs(filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn telemetry(topic: &str) -> Option<(String, String)> {
        match inbound(topic) {
            Ok(Inbound::Telemetry { sender, bag }) => Some((sender.to_string(), bag.into())),
            _ => None,
        }
    }

    #[test]
    fn telemetry_topics() {
        for (topic, expected) in [
            ("devices/D/messages/events/", Some(("D", ""))),
            ("devices/D/messages/events", Some(("D", ""))),
            ("devices/D/messages/events/a=b/", Some(("D", "a=b"))),
            ("devices/D/modules/M/messages/events/", Some(("D/M", ""))),
            (
                "devices/D/modules/M/messages/events/%24.on=o",
                Some(("D/M", "%24.on=o")),
            ),
            (
                "devices/D/modules/M/messages/events/%24.on=o/",
                Some(("D/M", "%24.on=o")),
            ),
            ("xx/devices/D/modules/M/messages/events/", Some(("D/M", ""))),
            ("devices/D/modules/M/messages/events/a=b/c=d", None),
            ("devices/D/modules/M/inputs/x", None),
            ("weather/today", None),
        ] {
            let expected = expected.map(|(id, bag)| (id.to_owned(), bag.to_owned()));
            assert_eq!(telemetry(topic), expected, "{topic}");
        }
    }

    #[test]
    fn twin_and_method_topics() {
        let rid = || "7".to_owned();
        for (topic, expected) in [
            (
                "$iothub/twin/GET/?$rid=7",
                Ok(Inbound::TwinGet { rid: rid() }),
            ),
            ("$iothub/twin/GET/?$rid=", Err(TopicError::Twin)),
            ("$iothub/twin/GET/", Err(TopicError::Twin)),
            ("$iothub/twin/GET/?$rid=7&$rid=8", Err(TopicError::Twin)),
            ("$iothub/twin/DELETE/?$rid=7", Err(TopicError::Twin)),
            (
                "$iothub/twin/PATCH/properties/reported/?$rid=7&$version=3",
                Ok(Inbound::Reported { rid: Some(rid()) }),
            ),
            (
                "$iothub/twin/PATCH/properties/reported/",
                Ok(Inbound::Reported { rid: None }),
            ),
            (
                "$iothub/methods/res/200/?$rid=abc&x=1",
                Ok(Inbound::MethodAnswer {
                    status: "200",
                    rid: "abc&x=1",
                }),
            ),
        ] {
            assert_eq!(inbound(topic), expected, "{topic}");
        }
    }

    #[test]
    fn bags() {
        let pairs = |text| {
            read_bag(text).map(|bag| {
                bag.into_iter()
                    .map(|(name, value)| format!("{name}={}", value.unwrap_or("-".into())))
                    .collect::<Vec<_>>()
                    .join(" ")
            })
        };
        for (text, expected) in [
            ("", Ok("")),
            ("a=b&%24.on=x%20y", Ok("a=b $.on=x y")),
            ("$.on=o", Ok("$.on=o")),
            ("a+b=c+d", Ok("a+b=c+d")),
            ("a=1&a=2", Ok("a=2")),
            ("a&b=", Ok("a=- b=-")),
            ("=v", Err(BagError)),
            ("a=1&", Err(BagError)),
            ("&a=1", Err(BagError)),
            ("a=b=c", Err(BagError)),
        ] {
            assert_eq!(pairs(text), expected.map(str::to_owned), "{text}");
        }
    }

    #[test]
    fn purposes_of_filters() {
        for (filter, expected) in [
            ("$iothub/methods/POST/#", Some(Purpose::Methods)),
            (
                "$iothub/twin/PATCH/properties/desired/#",
                Some(Purpose::Desired),
            ),
            ("$iothub/twin/res/#", Some(Purpose::TwinAnswers)),
            ("$iothub/twin/res/+/x", None),
            ("devices/d/modules/m/inputs/#", Some(Purpose::Inputs)),
            ("devices/d/modules/m/#", Some(Purpose::Inputs)),
            ("devices/d/modules/m/inputs/one", None),
            (
                "devices/d/messages/devicebound/#",
                Some(Purpose::CloudToDevice),
            ),
            ("#", None),
        ] {
            assert_eq!(purpose(filter), expected, "{filter}");
        }
    }
}
