//! edgeHub's topics and their property bags, written and read.
//!
//! Topics are foreign bytes: whatever arrives, reading gives a value or `None`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What is escaped in property bags and tokens: all but letters, digits and `-_.~`. A space is `%20`.
pub const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Filter for the answers to twin requests.
pub const TWIN_RESPONSES: &str = "$iothub/twin/res/#";
/// Filter for changes of the desired properties.
pub const DESIRED_PATCHES: &str = "$iothub/twin/PATCH/properties/desired/#";
/// Filter for direct methods.
pub const METHODS: &str = "$iothub/methods/POST/#";

/// Filter for all inputs of a module: what is routed to an input without a filter, edgeHub drops.
pub fn inputs(device_id: &str, module_id: &str) -> String {
    format!("devices/{device_id}/modules/{module_id}/inputs/#")
}

/// A message on a subscribed topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// The answer to a twin request.
    TwinResponse {
        /// 200, 204, 400 or 500.
        status: u16,
        /// The request it answers.
        rid: &'a str,
    },
    /// The desired properties changed.
    DesiredPatch {
        /// The version the topic names; the body names it too.
        version: Option<i64>,
    },
    /// A direct method is called.
    Method {
        /// Its name, as edgeHub put it in: raw.
        name: &'a str,
        /// To be echoed verbatim in the answer.
        rid: &'a str,
    },
    /// A message routed to an input of this module.
    Input {
        /// The input's name.
        name: &'a str,
        /// The property bag, still encoded.
        bag: &'a str,
    },
}

/// Reads the topic of an arriving message.
pub fn parse(topic: &str) -> Option<Incoming<'_>> {
    if let Some(rest) = topic.strip_prefix("$iothub/twin/res/") {
        let (status, query) = rest.split_once("/?")?;
        let rid = parameter(query, "$rid")?;
        return Some(Incoming::TwinResponse {
            status: status.parse().ok()?,
            rid,
        });
    }
    if let Some(rest) = topic.strip_prefix("$iothub/twin/PATCH/properties/desired/") {
        let version = parameter(rest.trim_start_matches('?'), "$version");
        return Some(Incoming::DesiredPatch {
            version: version.and_then(|text| text.parse().ok()),
        });
    }
    if let Some(rest) = topic.strip_prefix("$iothub/methods/POST/") {
        let (name, rid) = rest.rsplit_once("/?$rid=")?;
        return Some(Incoming::Method { name, rid });
    }
    input(topic)
}

fn input(topic: &str) -> Option<Incoming<'_>> {
    let rest = topic.strip_prefix("devices/")?;
    let (_device, rest) = rest.split_once("/modules/")?;
    let (_module, rest) = rest.split_once("/inputs/")?;
    let (name, bag) = rest.split_once('/').unwrap_or((rest, ""));
    Some(Incoming::Input { name, bag })
}

fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query
        .split('&')
        .filter_map(|part| part.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value)
}

/// Where a module publishes its telemetry, up to the property bag.
pub fn telemetry(device_id: &str, module_id: &str) -> String {
    format!("devices/{device_id}/modules/{module_id}/messages/events/")
}

/// Asks for the twin.
pub fn twin_get(rid: &str) -> String {
    format!("$iothub/twin/GET/?$rid={rid}")
}

/// Changes the reported properties.
pub fn reported_patch(rid: &str) -> String {
    format!("$iothub/twin/PATCH/properties/reported/?$rid={rid}")
}

/// Answers a direct method.
pub fn method_response(status: u16, rid: &str) -> String {
    format!("$iothub/methods/res/{status}/?$rid={rid}")
}

/// Appends one property to a bag; the caller starts with the topic that the bag ends.
pub fn push_property(topic: &mut String, name: &str, value: &str) {
    if !topic.ends_with('/') {
        topic.push('&');
    }
    push_escaped(topic, name);
    topic.push('=');
    push_escaped(topic, value);
}

fn push_escaped(topic: &mut String, text: &str) {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    if text.bytes().all(plain) {
        return topic.push_str(text);
    }
    topic.extend(utf8_percent_encode(text, ESCAPED));
}

/// A bag that does not follow the rules: a property without a name, or a second raw `=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a property bag with a property without a name or with two `=`")]
pub struct BagError;

/// A property and its value; a bare name has none.
pub type Property = (String, Option<String>);

/// Reads a property bag; of properties with the same name the last one counts.
///
/// # Errors
/// When edgeHub's own decoder would refuse it.
pub fn decode_bag(bag: &str) -> Result<Vec<Property>, BagError> {
    let bag = bag.strip_suffix('/').unwrap_or(bag);
    let mut properties: Vec<Property> = Vec::new();
    if bag.is_empty() {
        return Ok(properties);
    }
    for part in bag.split('&') {
        let (name, value) = property(part)?;
        properties.retain(|(known, _)| *known != name);
        properties.push((name, value));
    }
    Ok(properties)
}

fn property(part: &str) -> Result<Property, BagError> {
    let (name, value) = match part.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (part, None),
    };
    if name.is_empty() || value.is_some_and(|value| value.contains('=')) {
        return Err(BagError);
    }
    Ok((decoded(name), value.map(decoded)))
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Fuzz target: no topic and no bag may panic, and what is read can be written and read again.
pub fn fuzz(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let bag = match parse(&text) {
        Some(Incoming::Input { bag, .. }) => bag,
        _ => &text,
    };
    let Ok(properties) = decode_bag(bag) else {
        return;
    };
    let mut topic = "/".to_owned();
    for (name, value) in &properties {
        push_property(&mut topic, name, value.as_deref().unwrap_or_default());
    }
    let again = decode_bag(topic.trim_start_matches('/')).unwrap_or_default();
    assert_eq!(again.len(), properties.len());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_every_topic_edge_hub_sends() {
        let rows = [
            (
                "$iothub/twin/res/204/?$rid=7&$version=3",
                Some(Incoming::TwinResponse {
                    status: 204,
                    rid: "7",
                }),
            ),
            ("$iothub/twin/res/x/?$rid=7", None),
            ("$iothub/twin/res/200/", None),
            (
                "$iothub/twin/PATCH/properties/desired/?$version=12",
                Some(Incoming::DesiredPatch { version: Some(12) }),
            ),
            (
                "$iothub/twin/PATCH/properties/desired/",
                Some(Incoming::DesiredPatch { version: None }),
            ),
            (
                "$iothub/methods/POST/send/?$rid=abc&x=1",
                Some(Incoming::Method {
                    name: "send",
                    rid: "abc&x=1",
                }),
            ),
            ("$iothub/methods/POST/send", None),
            (
                "devices/d/modules/m/inputs/in/%24.cdid=d",
                Some(Incoming::Input {
                    name: "in",
                    bag: "%24.cdid=d",
                }),
            ),
            (
                "devices/d/modules/m/inputs/in",
                Some(Incoming::Input {
                    name: "in",
                    bag: "",
                }),
            ),
            ("", None),
            ("devices/d/messages/devicebound/a=b", None),
        ];
        for (topic, expected) in rows {
            assert_eq!(parse(topic), expected, "{topic}");
        }
    }

    #[test]
    fn spaces_are_percent_twenty_and_a_plus_stays_a_plus() {
        let mut topic = telemetry("d", "m");
        push_property(&mut topic, "a b", "c+d/e");
        push_property(&mut topic, "$.on", "o");
        assert_eq!(
            topic,
            "devices/d/modules/m/messages/events/a%20b=c%2Bd%2Fe&%24.on=o"
        );
        assert_eq!(
            decode_bag("a=b+c").unwrap(),
            [("a".to_owned(), Some("b+c".to_owned()))]
        );
    }

    #[test]
    fn bags_edge_hub_would_refuse_are_refused() {
        for bag in ["=v", "a=b&", "&a=b", "a&&b", "a=b=c"] {
            assert_eq!(decode_bag(bag), Err(BagError), "{bag}");
        }
    }

    #[test]
    fn a_bare_name_has_no_value_and_the_last_of_a_name_counts() {
        let rows = [
            ("a", vec![("a", None)]),
            ("a=", vec![("a", Some(""))]),
            ("a=1&a=2", vec![("a", Some("2"))]),
        ];
        for (bag, expected) in rows {
            let expected: Vec<Property> = expected
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.map(str::to_owned)))
                .collect();
            assert_eq!(decode_bag(bag).unwrap(), expected, "{bag}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(properties in proptest::collection::btree_map(".+", ".*", 0..8)) {
            let mut topic = telemetry("d", "m");
            for (name, value) in &properties {
                push_property(&mut topic, name, value);
            }
            let bag = topic.strip_prefix("devices/d/modules/m/messages/events/").unwrap();
            let read = decode_bag(bag).unwrap();
            let expected: Vec<Property> = properties.into_iter().map(|(name, value)| (name, Some(value))).collect();
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn nothing_panics(data: Vec<u8>) {
            fuzz(&data);
        }
    }
}
