//! How much of a twin protocols and devices take.

use edge_tcp_gateway::settings::{Presets, Settings};
use serde_json::{Map, Value, json};

use super::packs;

/// The protocols of the cookbook that the notation is measured by.
const COOKBOOK: [&str; 22] = [
    "gt06",
    "teltonika",
    "jt808",
    "queclink",
    "h02",
    "tk103",
    "meitrack",
    "galileosky",
    "wialon-ips",
    "ruptela",
    "modbus-tcp",
    "modbus-rtu",
    "iec104",
    "hl7",
    "astm",
    "syslog",
    "nmea",
    "gbt32960",
    "dc09",
    "mt-sics",
    "dnp3",
    "mbus",
];
/// Bytes without spaces, of what describes frames and their replies: what packs ask besides differs in
/// how much of it there is.
const MEDIAN: usize = 700;
const GT06: usize = 1100;

/// A protocol without what it asks.
fn described(mut document: Value) -> Value {
    let protocol = document.as_object_mut().expect("a protocol");
    for member in ["commands", "polls", "modbus"] {
        protocol.remove(member);
    }
    if let Some(session) = protocol.get_mut("session").and_then(Value::as_object_mut) {
        session.retain(|member, _| !["open", "halfDuplex"].contains(&member.as_str()));
        if session.is_empty() {
            protocol.remove("session");
        }
    }
    document
}

#[test]
fn the_notation_is_short() {
    let sizes = packs()
        .into_iter()
        .filter(|pack| COOKBOOK.contains(&&*pack.name));
    let mut sizes: Vec<(usize, String)> = sizes
        .map(|pack| (described(pack.document).to_string().len(), pack.name))
        .collect();
    sizes.sort();
    let table: String = sizes
        .iter()
        .map(|(size, name)| format!("{size:6} {name}\n"))
        .collect();
    let (median, _) = sizes[sizes.len() / 2];
    let whole = sizes.len() == COOKBOOK.len();
    assert!(
        !whole || median <= MEDIAN,
        "median {median}, at most {MEDIAN}\n{table}"
    );
    let gt06 = sizes.iter().find(|(_, name)| name == "gt06");
    assert!(
        gt06.is_none_or(|(size, _)| *size <= GT06),
        "gt06: at most {GT06}\n{table}"
    );
}

/// Settings with 12 presets on 12 ports, and rules that name the devices.
fn fleet(rules: Map<String, Value>) -> Settings {
    let presets = Presets::names();
    let presets = presets.iter().cycle().take(12).enumerate();
    let (mut listeners, mut protocols) = (Map::new(), Map::new());
    for (number, preset) in presets {
        let name = format!("protocol-{number}");
        protocols.insert(name.clone(), json!({"preset": preset}));
        let listener = json!({"port": 5000 + number, "protocol": name, "maxConnections": 2000, "unknownDevices": "reject"});
        listeners.insert(format!("listener-{number}"), listener);
    }
    let settings = json!({"listeners": listeners, "protocols": protocols, "deviceRules": rules});
    let (settings, _) = Settings::parse(&settings, &Presets::built_in())
        .unwrap_or_else(|problems| panic!("{:#?}", problems.as_slice()));
    settings
}

/// So many rules, each with a name, properties and an output for the devices that it matches.
fn rules(count: usize) -> Map<String, Value> {
    let rule = |number: usize| {
        let rule = json!({
            "order": number,
            "match": {"id": format!("35{number:04}*"), "listener": format!("listener-{}", number % 12)},
            "name": "truck-{id -6..}",
            "properties": {"fleet": format!("fleet-{number}"), "customer": "a customer's name"},
            "output": "positions"
        });
        (format!("fleet-{number}"), rule)
    };
    (0..count).map(rule).collect()
}

#[test]
fn many_devices_are_few_bytes_of_a_twin() {
    // Ten devices to a rule, then a hundred.
    let small = fleet(rules(20)).bytes;
    assert!(
        small < 8 * 1024,
        "12 presets and 200 devices: {small} bytes"
    );
    let large = fleet(rules(100)).bytes;
    assert!(large < 32 * 1024, "10,000 devices: {large} bytes");
}
