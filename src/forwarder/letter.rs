//! A message that can never be delivered, as a line of the file of dead letters.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::message::{Body, Message, base64};

/// One JSON object and a line feed: when, why, the message.
pub(super) fn line(message: &Message, id: Option<&str>, reason: &str, when: Timestamp) -> Vec<u8> {
    let properties: Map<String, Value> = message
        .properties
        .iter()
        .map(|(name, value)| (name.to_string(), json!(**value)))
        .collect();
    let body = match &message.body {
        Body::Contract(json) | Body::Values(json) => {
            serde_json::from_slice(json).unwrap_or_else(|_| json!(String::from_utf8_lossy(json)))
        }
        Body::Raw(bytes) => json!(base64(bytes)),
    };
    let letter = json!({
        "when": format!("{when:.3}"),
        "reason": reason,
        "id": id,
        "output": &*message.output,
        "device": &*message.device,
        "properties": properties,
        "body": body,
    });
    let mut line = letter.to_string().into_bytes();
    line.push(b'\n');
    line
}
