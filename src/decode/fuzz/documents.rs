//! Any settings of one listener and its protocol; most of them are valid.

use serde_json::{Value, json};

use super::choices::Choices;
use super::{decoders, framings, questions};

/// What the sections of type `script`, and others, call.
const FUNCTIONS: &str = "
function frame(bytes) { return bytes[0] === 0 ? -1 : bytes[0] === 0x21 ? {need: 9} : (bytes[0] & 15) + 1; }
function decode(bytes, ctx) { ctx.state.c = (ctx.state.c ?? 0) + 1; return {n: bytes.length, id: hex(bytes), c: ctx.state.c}; }
function change(fields, ctx) { return {z: Object.keys(fields).length, n: fields.n}; }
function who(fields) { if (fields.n === 7) throw new Error('seven'); return fields.n; }
function say(fields, ctx) { return `${ctx.device}/${ctx.frame?.length}`; }
";
const SENDS: [&str; 12] = [
    "0x06",
    "ok {n}\n",
    "{n: u8}{count c: u16le}",
    "{id}{id -2..}",
    "{raw 0..2}{raw 0..: hex}",
    "{device} {now} {now time '%H%M%S'}",
    "{length 0..-1 + 1: u8}ab{crc-16/arc over 0..: u16le}",
    "$AB*{xor over 1..3: hexadecimal 2}",
    "ab{checksum over 0..: u16}",
    "{n + 1 & 15: decimal 3}{now: ymdhms}",
    "{now unix: u32}{n * 2: bcd 4}{{",
    "{script say}",
];
const CHECKSUMS: [&str; 10] = [
    "xor",
    "sum8 over 0..-1 at -1",
    "sum8-negated as hexadecimal 2",
    "crc-16/modbus le",
    "crc-16/arc over 1..-2 at -2 as u16le if length > 4",
    "nmea",
    "fletcher-16 over 2.. at 0",
    "sum16 & 0xff as decimal 3",
    "crc-16/dnp le per 4 from 2 removed",
    "luhn",
];

/// Settings that the choices make.
pub fn document(choices: &mut Choices<'_>) -> Value {
    let mut listener = json!({"port": 1, "protocol": "p"});
    let protocol = protocol(choices);
    if !protocol["registers"].is_null() {
        listener["units"] = json!([1, 2]);
    }
    let unknown = choices.of(&["forward", "forward", "forward", "reject", "quarantine"]);
    if unknown != "forward" {
        listener["unknownDevices"] = unknown.into();
    }
    if choices.once_in(12) {
        listener["device"] = "fixed".into();
    }
    let mut settings = json!({"listeners": {"l": listener}, "protocols": {"p": protocol}});
    if choices.once_in(2) {
        settings["devices"] = json!({"d": {"match": {"id": "1*"}, "properties": {"line": "A"}}});
        settings["deviceRules"] =
            json!({"r": {"match": {"address": "10.0.0.0/8"}, "name": "x-{id -2..}-{sub}"}});
    }
    if choices.once_in(6) {
        let body = choices.of(&["values", "raw"]);
        settings["outputs"] = json!({"telemetry": {"body": body}});
    }
    settings
}

fn protocol(choices: &mut Choices<'_>) -> Value {
    let (decode, layouts) = decoders::decoder(choices);
    let mut protocol = json!({
        "framing": framings::framing(choices), "decode": decode, "layouts": layouts,
        "replies": replies(choices)
    });
    if choices.once_in(3) {
        protocol["checksum"] = checksum(choices);
        protocol["onBadChecksum"] = choices.of(&["flag", "reject", "nak", "close"]).into();
    }
    if protocol["checksum"].is_null() && protocol["replies"].to_string().contains("checksum over") {
        protocol["checksum"] = "xor if length > 300".into();
    }
    if choices.once_in(3) {
        protocol["onUndecoded"] = choices.of(&["drop", "publish", "close"]).into();
    }
    identify(&mut protocol, choices);
    if choices.once_in(3) {
        questions::ask(&mut protocol, choices);
    }
    if choices.once_in(3) {
        protocol["acknowledge"] = acknowledge(choices);
    }
    if choices.once_in(8) {
        protocol["messageId"] = choices.of(&["{device}-{n}", "{id}{k}", "{n}"]).into();
    }
    if calls(&protocol) {
        protocol["script"] = FUNCTIONS.into();
    }
    protocol
}

/// Whether a function is named somewhere.
fn calls(protocol: &Value) -> bool {
    protocol.to_string().contains("script")
}

fn checksum(choices: &mut Choices<'_>) -> Value {
    match choices.below(16) {
        14 => json!(["xor", "sum8 at -2"]),
        15 => {
            json!({"crc": {"width": 16, "polynomial": "0x1021", "reflectIn": true}, "over": "0..-2", "as": "u16le"})
        }
        _ if choices.once_in(4) => {
            let names = crate::checksum::names();
            let name = choices.of(&names);
            json!(format!("{name} le"))
        }
        _ => choices.of(&CHECKSUMS).into(),
    }
}

fn replies(choices: &mut Choices<'_>) -> Value {
    let mut send = || match choices.below(SENDS.len() + 2) {
        // Scripts cost a hundred times what everything else does.
        at if at + 1 == SENDS.len() && !choices.once_in(8) => SENDS[0],
        at => SENDS.get(at).copied().unwrap_or(SENDS[0]),
    };
    let (ok, nak, more) = (send(), send(), send());
    let when = choices.of(&["n", "n = 1|2", "length > 6 and n", "u8 at 0 = 42", "!n"]);
    let mut more = json!({"send": more, "when": when, "order": choices.below(3)});
    if choices.once_in(4) {
        more["frame"] = true.into();
    }
    if choices.once_in(8) {
        more["close"] = true.into();
    }
    let mut replies = json!({"ok": ok, "nak": nak, "more": more, "denied": "NO"});
    if choices.once_in(4) {
        replies["ok"] = json!({"send": ok, "when": when, "frame": true});
    }
    replies
}

fn identify(protocol: &mut Value, choices: &mut Choices<'_>) {
    let mut login = false;
    let identity = match choices.below(12) {
        0..=3 => return session(protocol, false, choices),
        4 => json!({"from": "listener", "sub": "n"}),
        5 => json!({"field": ["id upper", "n & 15"]}),
        6 => json!({"field": "id", "sub": "n & 3"}),
        7 => {
            login = true;
            json!({"field": "id", "scope": "connection", "secret": "n"})
        }
        8 if choices.once_in(4) => json!({"script": "who ltrim 0"}),
        8..=10 => {
            login = true;
            json!({"field": "id trim ' '", "scope": "connection"})
        }
        _ => json!({"from": "address"}),
    };
    protocol["identity"] = identity;
    session(protocol, login, choices);
}

fn session(protocol: &mut Value, login: bool, choices: &mut Choices<'_>) {
    if login && choices.once_in(2) {
        protocol["session"]["login"] = json!({"withinMs": 1000});
        if !protocol["identity"]["secret"].is_null() {
            protocol["session"]["login"]["secret"] = "1".into();
        }
    }
    if choices.once_in(6) {
        let frame = choices.once_in(3);
        protocol["session"]["heartbeat"] =
            json!({"seconds": 1, "send": "beat {count h: u8}", "frame": frame});
    }
    if choices.once_in(8) {
        protocol["session"]["silentSeconds"] = 20.into();
    }
}

fn acknowledge(choices: &mut Choices<'_>) -> Value {
    let mut acknowledge = json!({
        "after": choices.of(&["delivered", "stored", "received"]),
        "else": choices.of(&["nothing", "nak", "close"])
    });
    if choices.once_in(2) {
        acknowledge["withinMs"] = 700.into();
    }
    acknowledge
}
