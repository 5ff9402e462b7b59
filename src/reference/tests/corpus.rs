//! Valid documents: what is shipped and shown, and what it leaves out of the language.

use serde_json::{Value, json};

use crate::settings::tests::samples::{PAGES, TEMPLATE, samples, whole};
use crate::settings::{BuiltIn, Presets, Settings, tests::sample};

/// A file of the mounted folder.
const FILE: &str = "mine.json";
/// A script there, and what it has.
const SCRIPT: &str = "mine.js";
const FUNCTIONS: &str =
    "function frame() {} function decode() { return {} } function change() {} function who() {}";

/// Every valid document, with where it is from.
pub fn documents() -> Vec<(String, Value)> {
    let mut documents = vec![("the tests of the settings".to_owned(), sample())];
    for (name, page) in PAGES {
        let wholes = samples(page)
            .into_iter()
            .filter_map(|sample| whole(&sample));
        documents.extend(wholes.map(|settings| (name.to_owned(), settings)));
    }
    for BuiltIn { name, text, .. } in Presets::all() {
        let protocol: Value = serde_json::from_str(text).unwrap();
        documents.push(((*name).to_owned(), with(&protocol)));
        documents.push((format!("preset {name}"), with(&json!({ "preset": name }))));
    }
    documents.extend(pages_of_packs());
    let template: Value = serde_json::from_str(TEMPLATE).unwrap();
    let desired = "/modulesContent/tcpgateway/properties.desired";
    documents.extend(
        template
            .pointer(desired)
            .map(|desired| ("template".to_owned(), desired.clone())),
    );
    documents.extend(
        protocols()
            .into_iter()
            .map(|protocol| ("of our own".to_owned(), with(&protocol))),
    );
    documents.extend(
        sections()
            .into_iter()
            .map(|section| ("of our own".to_owned(), section)),
    );
    documents
}

fn pages_of_packs() -> Vec<(String, Value)> {
    let mut documents = Vec::new();
    for BuiltIn { name, .. } in Presets::all() {
        let folder = name.split('@').next().unwrap();
        let path = format!(
            "{}/protocols/{folder}/README.md",
            env!("CARGO_MANIFEST_DIR")
        );
        let page = std::fs::read_to_string(path).unwrap();
        documents.extend(
            samples(&page)
                .into_iter()
                .map(|settings| (format!("page of {name}"), settings)),
        );
    }
    documents
}

/// A protocol as whole settings.
pub fn with(protocol: &Value) -> Value {
    json!({
        "listeners": {"l": {"port": 5000, "protocol": "p", "units": [1]}},
        "protocols": {"p": protocol}
    })
}

/// What the reader of the settings says.
pub fn parse(document: &Value) -> Vec<crate::document::Problem> {
    let mut presets = Presets::built_in();
    let file = json!({"framing": {"type": "delimiter", "end": "\n"}});
    presets.mount(FILE.to_owned(), Ok(file));
    presets.mount_script(SCRIPT.to_owned(), Ok(FUNCTIONS.to_owned()));
    match Settings::parse(document, &presets) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.as_slice().to_vec(),
    }
}

/// A framing of every kind, with every member.
fn framings() -> Vec<Value> {
    let mut framings = vec![
        json!({"type": "delimiter", "start": "0x02", "end": ["\r\n", "\n"], "keep": true, "nth": 2, "after": 2, "quote": "\"",
            "notBefore": "x", "ignore": "\u{0}", "maxBytes": 100, "onTooLong": "resync", "incompleteTimeoutMs": 5000, "body": 1}),
        json!({"type": "length", "start": ["0x0564"], "length": "u8 at 2", "plus": "u8 at 3", "add": 5, "multiply": 2,
            "blocks": {"bytes": 16, "extra": 2, "from": 10}, "end": "0x0d", "onTooLong": "close", "body": "after"}),
        json!({"type": "fixed", "start": "a", "bytes": 8}),
        json!({"type": "header", "length": "^length: (\\d+)", "end": "0x00", "ignore": "\r\n"}),
        json!({"type": "walk", "header": 2, "record": {"size": "u8", "add": 1}, "count": "u8 at 1", "trailer": 2}),
        json!({"type": "walk", "start": "[", "header": {"tag": "u8 at 1", "sizes": [[1, 2]]}, "record": 3, "until": "]"}),
        json!({"type": "stuffed", "start": "0x7e", "end": "0x7e", "escapes": [["0x7d01", "0x7d"]], "after": 1, "keep": true}),
        json!({"type": "stuffed", "start": "0x7e", "escape": "0x7d", "xor": 32, "end": "0x7f"}),
        json!({"type": "stuffed", "start": "0x10", "escape": "0x11", "subtract": 1, "length": "u8 at 1", "add": 2}),
        json!({"type": "slip"}),
        json!({"type": "cobs", "end": "0x01"}),
        json!({"type": "json"}),
        json!({"type": "balanced", "open": "<", "close": ">", "quote": "'", "escape": "\\"}),
        json!({"type": "regex", "start": "a", "end": "> $"}),
        json!({"type": "idle", "ms": 100}),
        json!({"type": "connection"}),
        json!({"type": "script", "maxBytes": 100}),
    ];
    let cases = framings.iter().map(inner);
    let mut cases: Vec<Value> = cases.filter(|case| case["start"].is_null()).collect();
    for (number, case) in cases.iter_mut().enumerate() {
        case["when"] = format!("u8 at 0 = {number}").into();
    }
    cases.push(json!({"type": "regex", "end": "x", "when": "u8 at 0 = 201"}));
    cases.push(json!({"type": "switch", "when": "u8 at 0 = 200", "cases": [{"type": "fixed", "start": "b", "bytes": 2}]}));
    framings.push(json!({"type": "switch", "cases": cases}));
    let slip = json!({"type": "slip"});
    let parts: Vec<Value> = framings.iter().map(inner).collect();
    framings.extend(
        parts
            .into_iter()
            .map(|part| json!({"type": "first", "first": part, "then": slip})),
    );
    framings
}

fn inner(framing: &Value) -> Value {
    let mut part = framing.clone();
    for member in ["ignore", "onTooLong", "incompleteTimeoutMs"] {
        part.as_object_mut().unwrap().remove(member);
    }
    part
}

fn protocols() -> Vec<Value> {
    let lines = json!({"type": "delimiter", "end": "\n"});
    let mut protocols: Vec<Value> = framings()
        .into_iter()
        .map(|framing| json!({ "framing": framing, "script": FUNCTIONS }))
        .collect();
    protocols.extend([
        json!({"framing": lines, "onBadChecksum": "nak", "onUndecoded": "drop", "messageId": "{device}-1",
            "checksum": {"crc": {"width": 16, "polynomial": "0x1021", "init": 65535, "reflectIn": true, "reflectOut": true, "xorOut": "0x0"},
                "over": "0..-2", "at": -2, "as": "u16le", "if": "length > 4"},
            "replies": {"nak": "0x15", "ok": {"send": "0x06", "when": "length > 1", "order": 2, "frame": true, "close": true}},
            "acknowledge": {"after": "delivered", "withinMs": 100, "else": "nak"},
            "session": {"login": {"required": true, "withinMs": 1000, "secret": "s"}, "heartbeat": {"seconds": 20, "send": "x", "frame": true},
                "silentSeconds": 60},
            "decode": {"type": "json", "fields": ["a: number"]},
            "identity": {"field": ["a", "b"], "sub": "c", "secret": "d", "scope": "connection"}}),
        json!({"framing": lines, "checksum": ["xor", {"crc": {"width": 8, "polynomial": 7}}],
            "decode": {"type": "binary", "endian": "little", "fields": ["kind: u8", "more: bytes rest with tags"],
                "select": {"by": "kind", "cases": [[1, "a"], ["x", "b"], [true, "c"]], "default": "d"}},
            "layouts": {
                "a": {"fields": ["u: u8"], "publish": false, "reply": "ok", "output": "o", "type": "word"},
                "b": {"type": "regex", "pattern": "(?P<x>.)", "fields": ["x: number"], "reply": ["ok"]},
                "c": {"type": "json", "fields": ["y: number"]}, "d": {"type": "text", "fields": ["z"]},
                "tags": {"type": "tlv", "tag": "u8", "size": "u8", "add": 1, "cases": [[1, "q: u8"], [2, 3, "w: u8"], [3, "a2"]],
                    "sizes": [[9, 1]], "unknown": "others", "endian": "big"},
                "a2": {"type": "binary", "endian": "big", "fields": []}, "r": {"type": "raw"}},
            "replies": {"ok": "0x06"}}),
        json!({"framing": lines, "decode": {"type": "tlv", "tag": "u8", "size": "u8", "cases": [[1, "x: u8"]]}, "identity": {"from": "listener", "sub": "x"}}),
        json!({"framing": lines, "decode": {"type": "raw"}}),
        json!({"framing": lines, "decode": {"type": "text", "fields": ["t"]}, "layouts": {"a": {"fields": ["u"]}},
            "session": {"open": [{"send": "hello {last t else 0}", "frame": true, "answer": {"where": "t = ok", "layout": "a"},
                "refused": {"where": "t = no"}, "withinMs": 100, "retries": 1}, {"answer": "next"}], "halfDuplex": true, "backoffSeconds": 5},
            "polls": {"level": {"everyMs": 1000, "send": "level {unit}", "frame": true, "answer": "^level", "refused": "^no", "withinMs": 100, "retries": 1}},
            "commands": {"beep": "beep", "set": {"send": "{count n} {arg to}", "frame": true, "arguments": {"to": "enum up=1 down=2 default up"},
                "answer": {"where": "t = {count n}"}, "refused": {"where": "t = no"}, "withinMs": 100, "retries": 1, "publish": true}}}),
        json!({"preset": "modbus-rtu@1", "registers": ["a: u16 at 40001", "b: bool at coil 3"],
            "polls": {"one": {"everyMs": 1000, "registers": ["a"], "withinMs": 100, "retries": 1}, "all": {"everyMs": 1000, "registers": "all"}}}),
        json!({"framing": lines, "modbus": "tcp"}),
        json!({"framing": lines, "decode": {"type": "text", "fields": ["t"]}}),
        json!({"preset": "gt06@1", "checksum": false, "layouts": {"status": {"fields": ["a: u8"]}, "login": {"publish": true}},
            "replies": {"more": "x"}, "identity": {"scope": "message"}}),
        json!({"framing": lines, "decode": {"type": "csv", "separator": ";", "quote": "\"", "encoding": "latin1", "fields": ["kind", "n: number"],
                "select": {"by": "kind", "cases": [["16|18", "a"], ["x", "b"], ["z", "c"]]}},
            "layouts": {"a": {"type": "csv", "separator": "|", "quote": "'", "encoding": "utf8", "fields": ["a: number", "skip 2", "l: repeat rest 'number'"]},
                "b": {"type": "key-value", "separator": ";", "equals": ":", "encoding": "latin1", "fields": ["s: number at 'S'"]},
                "c": {"separator": "|", "fields": ["c"]}}}),
        json!({"framing": lines, "decode": {"type": "key-value", "separator": "&", "equals": "=", "encoding": "utf8", "fields": ["a: number"]}}),
        json!({"framing": {"type": "script", "maxBytes": 100}, "script": [FUNCTIONS], "decode": {"type": "script", "fields": ["a: number"], "script": "change"},
            "layouts": {}, "identity": {"script": "who", "scope": "connection"}}),
        json!({"framing": lines, "script": {"file": SCRIPT}, "decode": {"type": "text", "script": "change",
                "select": {"by": "text", "cases": [["a", "s"], ["b", "t"]]}},
            "layouts": {"s": {"type": "script", "fields": ["b"], "script": "change"}, "t": {"script": "change"}}, "identity": {"script": "who ltrim 0"}}),
        json!({"file": FILE, "framing": {"end": "\r", "maxBytes": 10}, "onUndecoded": "close"}),
    ]);
    protocols
}

fn sections() -> Vec<Value> {
    let lines = json!({"framing": {"type": "delimiter", "end": "\n"}});
    vec![json!({
        "schemaVersion": 1,
        "listeners": {"l": {"port": 1, "address": "127.0.0.1", "protocol": "p", "maxConnections": 5, "idleTimeoutSeconds": 5,
            "allow": ["10.0.0.0/8"], "unknownDevices": "quarantine", "device": "d", "output": "o", "units": [1, "a"]}},
        "outbound": {
            "one": {"address": "plc.local:502", "protocol": "p", "device": "d", "units": [1, "b"], "connectMs": 500, "retrySeconds": 5,
                "idleTimeoutSeconds": 60, "output": "o"},
            "many": {"addresses": {"a": "10.0.0.1:502", "b": "[fd00::7]:502"}, "protocol": "p"}},
        "protocols": {"p": lines},
        "devices": {"d": {"match": {"id": "a*", "address": "10.0.0.1", "listener": "l"}, "properties": {"line": "A"}, "output": "o", "secret": "s"}},
        "deviceRules": {"r": {"order": 1, "match": {"id": "b*"}, "name": "x-{id}", "properties": {"a": "b"}, "output": "o", "secret": "s"}},
        "outputs": {"o": {"body": "values", "priority": "high", "batch": {"maxBytes": 1000, "maxDelayMs": 10}}},
        "spool": {"maxBytes": 5_000_000, "minFreeBytes": 0, "maxMemoryBytes": 2_000_000, "maxAgeSeconds": 60, "whenFull": "dropOldest", "persist": "never"},
        "presence": {"messages": true, "silentSeconds": 60},
        "$version": 3
    })]
}
