//! edgeHub's dialect: what a message is called and how it looks on the wire.

use std::borrow::Cow;

use bytes::Bytes;

use crate::edge::{Identity, topics};
use crate::message::is_reserved_property;
use crate::message::{Body, Message};

/// edgeHub's limit for a whole MQTT packet, and, counted apart, for body and properties.
/// Beyond the first it closes the connection; beyond the second it acknowledges and drops.
pub const MAX_BYTES: usize = 262_144;
/// What edgeHub adds to a message's properties before it counts: sender, times, ids.
const ADDED_BYTES: usize = 512;
/// Fixed header, length of the topic and packet id.
const PACKET_BYTES: usize = 5 + 2 + 2;
/// The longest message id that IoT Hub takes.
const MAX_ID: usize = 128;

/// IoT Hub meters messages in blocks of so many bytes.
const METERED_BYTES: usize = 4096;

/// A message or a batch as it goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Topic with property bag.
    pub topic: String,
    /// Body.
    pub payload: Bytes,
    /// Bytes of body and properties, as IoT Hub counts them.
    pub counted: usize,
}

/// How many messages IoT Hub meters for one of so many bytes.
pub fn metering_units(counted: usize) -> u64 {
    u64::try_from(counted.div_ceil(METERED_BYTES).max(1)).unwrap_or(u64::MAX)
}

/// Writes messages the way edgeHub reads them.
#[derive(Clone, Debug)]
pub struct Dialect {
    telemetry: String,
}

impl Dialect {
    /// The dialect of one module.
    pub fn new(identity: &Identity) -> Self {
        Self::of(&identity.device_id, &identity.module_id)
    }

    /// The dialect of a module of that name.
    pub fn of(device: &str, module: &str) -> Self {
        Self {
            telemetry: topics::telemetry(device, module),
        }
    }

    /// A message for edgeHub.
    ///
    /// # Errors
    /// Why edgeHub would never take it.
    pub fn publish(&self, id: &str, message: &Message) -> Result<Publish, String> {
        let id = wire_id(id);
        let mut bag = self.bag(&message.output)?;
        for (name, value) in application(message) {
            bag.push(name, value);
        }
        if let Some(value) = correlation(message) {
            bag.push(CORRELATION_ID, value);
        }
        bag.push_own(&message.output, &id, !matches!(message.body, Body::Raw(_)));
        bag.with(payload(&message.body, &id))
    }

    /// A batch for edgeHub: `elements` is the whole JSON array. Of properties it has the system's alone.
    ///
    /// # Errors
    /// Why edgeHub would never take it.
    pub fn publish_batch(
        &self,
        id: &str,
        output: &str,
        elements: Vec<u8>,
    ) -> Result<Publish, String> {
        let mut bag = self.bag(output)?;
        bag.push_own(output, &wire_id(id), true);
        bag.with(elements.into())
    }

    fn bag(&self, output: &str) -> Result<Bag, String> {
        if output.trim().is_empty() {
            return Err("its output has no name".to_owned());
        }
        let mut topic = String::with_capacity(self.telemetry.len() + 320);
        topic.push_str(&self.telemetry);
        Ok(Bag { topic, counted: 0 })
    }
}

/// Appends a message as an element of a batch. Its application properties stand in the element,
/// where the body does not say the same.
pub fn push_element(out: &mut Vec<u8>, id: &str, message: &Message) {
    let id = wire_id(id);
    let json = match &message.body {
        Body::Contract(json) => json,
        Body::Values(bytes) | Body::Raw(bytes) => return out.extend_from_slice(bytes),
    };
    push_with_id(out, json, &id);
    const SAID: [&str; 4] = ["device", "protocol", "type", "iothub-creation-time-utc"];
    let mut first = true;
    for (name, value) in application(message).filter(|(name, _)| !SAID.contains(name)) {
        if std::mem::take(&mut first) {
            out.pop();
            out.extend_from_slice(b",\"properties\":{");
        } else {
            out.push(b',');
        }
        push_text(out, name);
        out.push(b':');
        push_text(out, value);
    }
    if !first {
        out.extend_from_slice(b"}}");
    }
}

/// Bytes of the properties that a batch has.
pub fn batch_properties(id: &str, output: &str) -> usize {
    OWN_BYTES + wire_id(id).len() + output.len()
}

/// Names and constant values of [`Bag::push_own`] for JSON.
const OWN_BYTES: usize = "$.on$.mid$.ctapplication/json$.ceutf-8".len();

struct Bag {
    topic: String,
    counted: usize,
}

impl Bag {
    fn push(&mut self, name: &str, value: &str) {
        self.counted += name.len() + value.len();
        topics::push_property(&mut self.topic, name, value);
    }

    fn push_own(&mut self, output: &str, id: &str, json: bool) {
        self.push("$.on", output);
        self.push("$.mid", id);
        if json {
            self.push("$.ct", "application/json");
            self.push("$.ce", "utf-8");
        } else {
            self.push("$.ct", "application/octet-stream");
        }
    }

    fn with(self, payload: Bytes) -> Result<Publish, String> {
        check_size(&self, payload.len())?;
        Ok(Publish {
            counted: self.counted + payload.len(),
            topic: self.topic,
            payload,
        })
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

/// The system property that says which message another one answers. A message has it among its
/// properties, where no device's property can have such a name.
pub const CORRELATION_ID: &str = "$.cid";

fn correlation(message: &Message) -> Option<&str> {
    let mut all = message.properties.iter();
    let found = all.find(|(name, _)| &**name == CORRELATION_ID);
    found.map(|(_, value)| &**value)
}

/// The application properties that edgeHub will not take for something else. Of names that differ
/// in case only the first stays: edgeHub would drop a message with both.
fn application(message: &Message) -> impl Iterator<Item = (&str, &str)> {
    let all = &message.properties;
    all.iter().enumerate().filter_map(|(at, (name, value))| {
        let before = all.iter().take(at);
        let taken = before
            .into_iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(name));
        (!taken && !is_reserved_property(name)).then_some((&**name, &**value))
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
    let mut out = Vec::with_capacity(json.len() + id.len() + 9);
    push_with_id(&mut out, json, id);
    out.into()
}

fn push_with_id(out: &mut Vec<u8>, json: &Bytes, id: &str) {
    let members = json.strip_prefix(b"{").unwrap_or(json);
    out.extend_from_slice(b"{\"id\":");
    push_text(out, id);
    if !members.starts_with(b"}") {
        out.push(b',');
    }
    out.extend_from_slice(members);
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    // Writing into memory does not fail.
    drop(serde_json::to_writer(out, text));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialect() -> Dialect {
        Dialect::of("dev", "gw")
    }

    fn message(body: Body, properties: &[(&str, &str)]) -> Message {
        let properties = properties
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        Message {
            output: "telemetry".into(),
            device: "scale".into(),
            id: None,
            body,
            properties: properties.collect(),
        }
    }

    fn contract(json: &'static str) -> Body {
        Body::Contract(Bytes::from_static(json.as_bytes()))
    }

    #[test]
    fn the_id_is_the_first_member_and_a_system_property() {
        let publish = dialect()
            .publish(
                "s-1",
                &message(contract(r#"{"device":"a"}"#), &[("device", "a b")]),
            )
            .unwrap();
        assert_eq!(publish.payload, r#"{"id":"s-1","device":"a"}"#);
        assert_eq!(
            publish.topic,
            "devices/dev/modules/gw/messages/events/device=a%20b&%24.on=telemetry&%24.mid=s-1\
             &%24.ct=application%2Fjson&%24.ce=utf-8"
        );
        let publish = dialect()
            .publish("s-1", &message(contract("{}"), &[]))
            .unwrap();
        assert_eq!(publish.payload, r#"{"id":"s-1"}"#);
    }

    #[test]
    fn a_correlation_id_is_a_system_property_and_no_other_system_property_can_be_had() {
        let properties = [("$.cid", "order 7"), ("$.mid", "x"), ("$.on", "x")];
        let publish = dialect()
            .publish("s-1", &message(contract("{}"), &properties))
            .unwrap();
        assert_eq!(
            publish.topic,
            "devices/dev/modules/gw/messages/events/%24.cid=order%207&%24.on=telemetry&%24.mid=s-1\
             &%24.ct=application%2Fjson&%24.ce=utf-8"
        );
        let mut element = Vec::new();
        push_element(&mut element, "s-1", &message(contract("{}"), &properties));
        assert_eq!(element, br#"{"id":"s-1"}"#);
    }

    #[test]
    fn raw_bytes_stay_and_have_no_encoding() {
        let publish = dialect()
            .publish(
                "s-1",
                &message(Body::Raw(Bytes::from_static(&[0, 255])), &[]),
            )
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
            .publish("s-1", &message(contract("{}"), &properties))
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
                .publish("s-1", &message(Body::Raw(vec![0; fits].into()), &[]))
                .is_ok()
        );
        let reason = dialect()
            .publish(
                "s-1",
                &message(Body::Raw(vec![0; MAX_BYTES - 400].into()), &[]),
            )
            .unwrap_err();
        assert!(reason.contains("edgeHub takes 262144"), "{reason}");
    }

    #[test]
    fn ids_are_made_fit_for_the_hub() {
        assert_eq!(wire_id("a b\u{e9}"), "a_b_");
        assert_eq!(wire_id(&"x".repeat(200)).len(), 128);
    }
}
