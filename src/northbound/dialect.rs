//! edgeHub's dialect: what a message is called and how it looks on the wire.

use std::borrow::Cow;

use bytes::Bytes;

use crate::edge::{Identity, topics};
use crate::message::is_reserved_property;
use crate::message::{Body, Entry};

/// edgeHub's limit for a whole MQTT packet, and, counted apart, for body and properties.
/// Beyond the first it closes the connection; beyond the second it acknowledges and drops.
pub const MAX_BYTES: usize = 262_144;
/// What edgeHub adds to a message's properties before it counts: sender, times, ids.
const ADDED_BYTES: usize = 512;
/// Fixed header, length of the topic and packet id.
const PACKET_BYTES: usize = 5 + 2 + 2;
/// The longest message id that IoT Hub takes.
const MAX_ID: usize = 128;

/// A message as it goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Topic with property bag.
    pub topic: String,
    /// Body.
    pub payload: Bytes,
}

/// Writes messages the way edgeHub reads them.
#[derive(Clone, Debug)]
pub struct Dialect {
    telemetry: String,
}

impl Dialect {
    /// The dialect of one module.
    pub fn new(identity: &Identity) -> Self {
        Self {
            telemetry: topics::telemetry(&identity.device_id, &identity.module_id),
        }
    }

    /// A message for edgeHub.
    ///
    /// # Errors
    /// Why edgeHub would never take it.
    pub fn publish(&self, entry: &Entry) -> Result<Publish, String> {
        let message = &entry.message;
        if message.output.trim().is_empty() {
            return Err("its output has no name".to_owned());
        }
        let id = wire_id(&entry.id);
        let mut bag = Bag {
            topic: self.telemetry.clone(),
            counted: 0,
        };
        for (name, value) in application(entry) {
            bag.push(name, value);
        }
        bag.push("$.on", &message.output);
        bag.push("$.mid", &id);
        match message.body {
            Body::Raw(_) => bag.push("$.ct", "application/octet-stream"),
            Body::Contract(_) | Body::Values(_) => {
                bag.push("$.ct", "application/json");
                bag.push("$.ce", "utf-8");
            }
        }
        let payload = payload(&message.body, &id);
        check_size(&bag, payload.len())?;
        Ok(Publish {
            topic: bag.topic,
            payload,
        })
    }
}

struct Bag {
    topic: String,
    counted: usize,
}

impl Bag {
    fn push(&mut self, name: &str, value: &str) {
        self.counted += name.len() + value.len();
        topics::push_property(&mut self.topic, name, value);
    }
}

fn check_size(bag: &Bag, payload: usize) -> Result<(), String> {
    let packet = PACKET_BYTES + bag.topic.len() + payload;
    let message = ADDED_BYTES + bag.counted + payload;
    let size = packet.max(message);
    if size > MAX_BYTES {
        return Err(format!(
            "it is {size} bytes long, edgeHub takes {MAX_BYTES}"
        ));
    }
    // MQTT writes a topic's length in two bytes.
    if bag.topic.len() > usize::from(u16::MAX) {
        return Err(format!(
            "its properties make a topic of {} bytes, MQTT takes 65535",
            bag.topic.len()
        ));
    }
    Ok(())
}

/// The application properties that edgeHub will not take for something else. Of names that differ
/// in case only the first stays: edgeHub would drop a message with both.
fn application(entry: &Entry) -> impl Iterator<Item = (&str, &str)> {
    let all = &entry.message.properties;
    all.iter().enumerate().filter_map(|(at, (name, value))| {
        let before = all.iter().take(at);
        let taken = before
            .into_iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(name));
        (!taken && !is_reserved_property(name)).then_some((&**name, value.as_str()))
    })
}

/// IoT Hub takes ids of printable ASCII, 128 characters.
fn wire_id(id: &str) -> Cow<'_, str> {
    if id.len() <= MAX_ID && id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Cow::Borrowed(id);
    }
    let printable = id
        .chars()
        .map(|c| if c.is_ascii_graphic() { c } else { '_' });
    Cow::Owned(printable.take(MAX_ID).collect())
}

fn payload(body: &Body, id: &str) -> Bytes {
    match body {
        Body::Contract(json) => with_id(json, id),
        Body::Values(bytes) | Body::Raw(bytes) => bytes.clone(),
    }
}

/// The object with `id` as its first member.
fn with_id(json: &Bytes, id: &str) -> Bytes {
    let members = json.strip_prefix(b"{").unwrap_or(json);
    let mut out = Vec::with_capacity(json.len() + id.len() + 16);
    out.extend_from_slice(b"{\"id\":");
    out.extend_from_slice(serde_json::Value::from(id).to_string().as_bytes());
    if !members.starts_with(b"}") {
        out.push(b',');
    }
    out.extend_from_slice(members);
    out.into()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::message::{Message, Sequence};

    fn dialect() -> Dialect {
        Dialect {
            telemetry: topics::telemetry("dev", "gw"),
        }
    }

    fn entry(body: Body, properties: &[(&str, &str)]) -> Entry {
        let properties = properties
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).to_owned()));
        Entry {
            sequence: Sequence(1),
            id: "s-1".into(),
            message: Arc::new(Message {
                output: "telemetry".into(),
                device: "scale".into(),
                id: None,
                body,
                properties: properties.collect(),
            }),
        }
    }

    fn contract(json: &'static str) -> Body {
        Body::Contract(Bytes::from_static(json.as_bytes()))
    }

    #[test]
    fn the_id_is_the_first_member_and_a_system_property() {
        let publish = dialect()
            .publish(&entry(contract(r#"{"device":"a"}"#), &[("device", "a b")]))
            .unwrap();
        assert_eq!(publish.payload, r#"{"id":"s-1","device":"a"}"#);
        assert_eq!(
            publish.topic,
            "devices/dev/modules/gw/messages/events/device=a%20b&%24.on=telemetry&%24.mid=s-1\
             &%24.ct=application%2Fjson&%24.ce=utf-8"
        );
        let publish = dialect().publish(&entry(contract("{}"), &[])).unwrap();
        assert_eq!(publish.payload, r#"{"id":"s-1"}"#);
    }

    #[test]
    fn raw_bytes_stay_and_have_no_encoding() {
        let publish = dialect()
            .publish(&entry(Body::Raw(Bytes::from_static(&[0, 255])), &[]))
            .unwrap();
        assert_eq!(publish.payload, [0, 255].as_slice());
        assert!(
            publish.topic.ends_with("%24.ct=application%2Foctet-stream"),
            "{}",
            publish.topic
        );
    }

    #[test]
    fn names_edge_hub_would_misread_stay_out() {
        let properties = [
            ("deviceId", "x"),
            ("MODULEID", "x"),
            ("", "x"),
            ("$.on", "x"),
            ("line", "A"),
            ("Line", "B"),
            ("ack", "x"),
        ];
        let publish = dialect()
            .publish(&entry(contract("{}"), &properties))
            .unwrap();
        assert!(
            publish.topic.contains("/events/line=A&%24.on=telemetry&"),
            "{}",
            publish.topic
        );
    }

    #[test]
    fn what_edge_hub_would_silently_drop_is_refused() {
        let fits = MAX_BYTES - 700;
        assert!(
            dialect()
                .publish(&entry(Body::Raw(vec![0; fits].into()), &[]))
                .is_ok()
        );
        let reason = dialect()
            .publish(&entry(Body::Raw(vec![0; MAX_BYTES - 400].into()), &[]))
            .unwrap_err();
        assert!(reason.contains("edgeHub takes 262144"), "{reason}");
    }

    #[test]
    fn ids_are_made_fit_for_the_hub() {
        assert_eq!(wire_id("a b\u{e9}"), "a_b_");
        assert_eq!(wire_id(&"x".repeat(200)).len(), 128);
    }
}
