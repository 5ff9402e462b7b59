//! The desired properties of the archived Azure IoT Edge Modbus module, in the forms of its
//! versions (github.com/Azure/iot-edge-modbus).

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use serde_json::{Map, Value, json};

use super::Converted;
use super::slave::Slave;

/// The output of the old module; routes that name it stay as they are.
const OUTPUT: &str = "modbusOutput";
/// The longest that an output holds messages, in milliseconds.
const LONGEST_DELAY: u64 = 3_600_000;

/// Converts the document, whichever of the forms it has.
pub(super) fn convert(document: &Value) -> anyhow::Result<Converted> {
    let mut found = Vec::new();
    find(document, "", &mut found);
    let (place, desired) = match &found[..] {
        [(place, desired)] => (place.clone(), *desired),
        [] => bail!(
            "no SlaveConfigs here: the desired properties of a Modbus module are expected, its twin, or a deployment manifest with it"
        ),
        _ => bail!(
            "several modules have SlaveConfigs: {}; give the desired properties of one",
            places(&found)
        ),
    };
    let mut converted = Converted {
        settings: Value::Null,
        notes: Vec::new(),
        refused: Vec::new(),
    };
    if !place.is_empty() {
        converted.notes.push(format!("read from {place}"));
    }
    let slaves = slaves(desired, &mut converted);
    if slaves.is_empty() {
        let why = converted.refused.join("\n");
        bail!("none of the slaves can be converted\n{why}");
    }
    converted.settings = settings(desired, &slaves, &mut converted.notes);
    general_notes(desired, &slaves, &mut converted.notes);
    Ok(converted)
}

/// Members are found whatever their capitals, as the old module did.
pub(super) fn member<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let mut members = object.iter();
    let found = members.find(|(key, _)| key.eq_ignore_ascii_case(name));
    found
        .map(|(_, value)| value)
        .filter(|value| !value.is_null())
}

/// A whole number, which the old module also took as a text.
pub(super) fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A name of an entry of the settings, like this one and none of those that are taken.
pub(super) fn entry_name(like: &str, taken: &mut BTreeSet<String>) -> String {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
    let name: String = like
        .chars()
        .map(|character| if allowed(character) { character } else { '-' })
        .collect();
    let name: String = name.chars().take(56).collect();
    let name = if name.is_empty() {
        "unnamed".to_owned()
    } else {
        name
    };
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let mut names = std::iter::once(name.clone()).chain(numbered);
    let free = names.find(|name| !taken.contains(name)).unwrap_or(name);
    taken.insert(free.clone());
    free
}

type Found<'a> = (String, &'a Map<String, Value>);

fn find<'a>(value: &'a Value, place: &str, found: &mut Vec<Found<'a>>) {
    let Value::Object(object) = value else { return };
    if member(object, "SlaveConfigs").is_some_and(Value::is_object) {
        found.push((place.to_owned(), object));
        return;
    }
    for (name, value) in object {
        // What the twin reports is no setting.
        if name != "reported" {
            find(value, &format!("{place}/{name}"), found);
        }
    }
}

fn places(found: &[Found<'_>]) -> String {
    let places: Vec<&str> = found.iter().map(|(place, _)| place.as_str()).collect();
    places.join(", ")
}

fn slaves(desired: &Map<String, Value>, converted: &mut Converted) -> Vec<Slave> {
    let configs = member(desired, "SlaveConfigs").and_then(Value::as_object);
    let mut slaves = Vec::new();
    let (mut devices, mut taken) = (BTreeMap::new(), BTreeSet::new());
    for (name, config) in configs.into_iter().flatten() {
        match Slave::read(name, config, &mut converted.notes) {
            Ok(mut slave) => {
                let old = slave.device.clone();
                let device = devices.entry(old);
                let device = device.or_insert_with_key(|old| entry_name(old, &mut taken));
                if *device != slave.device {
                    converted.notes.push(format!("SlaveConfigs.{name}: the device is {device}: names of devices have up to 64 letters, digits, - and _"));
                }
                slave.device.clone_from(device);
                slaves.push(slave);
            }
            Err(why) => converted
                .refused
                .push(format!("SlaveConfigs.{name}: {why}")),
        }
    }
    slaves
}

/// Our settings. Slaves that are asked the same share a protocol.
fn settings(desired: &Map<String, Value>, slaves: &[Slave], notes: &mut Vec<String>) -> Value {
    let (mut outbound, mut protocols) = (Map::new(), Map::new());
    let (mut entries, mut names) = (BTreeSet::new(), BTreeSet::new());
    for slave in slaves {
        for part in slave.parts() {
            let known = protocols.iter().find(|(_, known)| **known == part.protocol);
            let protocol = match known {
                Some((name, _)) => name.clone(),
                None => entry_name(&part.name, &mut names),
            };
            protocols.entry(protocol.clone()).or_insert(part.protocol);
            let entry = json!({
                "address": slave.address,
                "protocol": protocol,
                "device": slave.device,
                "units": part.units,
                "output": OUTPUT,
            });
            let name = entry_name(&part.name, &mut entries);
            if name != part.name {
                notes.push(format!("SlaveConfigs.{}: its entry of `outbound` is {name}: names of entries have up to 64 letters, digits, - and _, and each is there once", slave.name()));
            }
            outbound.insert(name, entry);
        }
    }
    let mut output = Map::new();
    let delay = member(desired, "PublishInterval").map(|written| number(written).ok_or(written));
    if let Some(Err(written)) = delay {
        notes.push(format!("PublishInterval: {written} is no number of milliseconds, so each message leaves at once"));
    }
    if let Some(Ok(delay)) = delay {
        let delay = delay.min(LONGEST_DELAY);
        output.insert("batch".to_owned(), json!({ "maxDelayMs": delay }));
        notes.push(format!("PublishInterval: messages are held for up to {delay} ms and sent as an array; take `batch` of the output away to have each at once"));
    }
    let mut settings = json!({ "schemaVersion": 1, "outbound": outbound, "protocols": protocols });
    if !output.is_empty() {
        settings["outputs"] = json!({ OUTPUT: output });
    }
    settings
}

/// What changes for whoever receives or sends, and members that stand above the slaves.
fn general_notes(desired: &Map<String, Value>, slaves: &[Slave], notes: &mut Vec<String>) {
    for name in desired.keys() {
        let what = match name.to_ascii_lowercase().as_str() {
            "slaveconfigs" | "publishinterval" => continue,
            "version" => "messages have one form, whatever it says",
            "iotcentralconnectionstring" => {
                "has no equivalent: messages go to edgeHub alone. It is a secret; take it out of the document"
            }
            name if name.starts_with('$') => continue,
            _ => "has no equivalent",
        };
        notes.push(format!("{name}: {what}"));
    }
    notes.push(
        "messages: each answer is a message {\"device\", \"received\", \"values\": {NAME: value}}; the old Content, Data, Values, Address and DisplayName are gone, HwId and UnitId are the device's name, and values are numbers and flags, not texts".to_owned(),
    );
    notes.push(format!(
        "routes: the output is still {OUTPUT}; a route from our module to $upstream must name our module"
    ));
    if let Some((device, register)) = slaves.first().and_then(Slave::example) {
        let command = json!({ "device": device, "command": "write", "arguments": { "register": register, "value": 1 } });
        notes.push(format!(
            "writing: the input is `commands` instead of input1, and a message to it is {command}; the outcome comes on the output commandResults"
        ));
    }
}
