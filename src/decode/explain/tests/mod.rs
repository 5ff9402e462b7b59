use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::clock::Clock;
use crate::conversation::ConversationSettings;
use crate::decoding::What;
use crate::identity::Peer;
use crate::message::Now;
use crate::notation;
use crate::pipeline::Pipeline;
use crate::settings::{Presets, Settings};

fn settings(document: &Value) -> (Arc<Protocol>, ConversationSettings) {
    let settings = json!({
        "listeners": {"listener": {"port": 5000, "protocol": "protocol"}},
        "protocols": {"protocol": document},
        "devices": {"truck": {"match": {"id": "123456789012345"}}}
    });
    let (settings, _) = Settings::parse(&settings, &Presets::built_in())
        .unwrap_or_else(|problems| panic!("{:#?}", problems.as_slice()));
    let listener = &settings.listeners["listener"];
    (
        Arc::clone(&listener.protocol),
        settings.conversation(listener),
    )
}

fn explained(document: &Value, bytes: &[u8]) -> String {
    played(document, [bytes], true)
}

fn played<'b>(
    document: &Value,
    pieces: impl IntoIterator<Item = &'b [u8]>,
    explains: bool,
) -> String {
    let (protocol, terms) = settings(document);
    let now = Now {
        utc: "2026-01-31T12:00:00Z".parse().unwrap(),
        ..Clock::system().now()
    };
    let mut out = Vec::new();
    let mut player = Player::new(&protocol, terms, now, &mut out);
    if explains {
        player = player.explaining();
    }
    let peer = Peer::new(([10, 0, 0, 7], 4000).into(), "listener".into(), None);
    player.play(peer, pieces).unwrap();
    String::from_utf8(out).unwrap()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/decode/explain/tests")
}

/// Protocols, what a device says in them, and the file that has the explanation.
fn cases() -> Vec<(&'static str, Value, Vec<&'static str>)> {
    let stuffed = json!({
        "framing": {"type": "stuffed", "start": "0x7e", "end": "0x7e",
            "escapes": [["0x7d02", "0x7e"], ["0x7d01", "0x7d"]]},
        "checksum": "xor",
        "decode": {"type": "binary", "fields": ["kind: u16", "alarm: u32", "odometer: u16 / 10"]}
    });
    let line = json!({
        "framing": {"type": "delimiter", "start": "$", "end": "\r\n"},
        "decode": {"type": "csv", "fields": ["head", "valid: enum A=true V=false", "latitude: dm neg south",
            "south: enum N=false S=true drop", "skip 1", "speed: number if valid", "seq: integer at -1"],
            "select": {"by": "head", "cases": [["POS", "position"]]}},
        "layouts": {"position": {"fields": ["note"]}},
        "replies": {"ok": {"send": "OK {seq}\r\n", "when": "seq > 4"}},
        "identity": {"from": "listener"}
    });
    let records = json!({
        "framing": {"type": "length", "length": "u8 at 0", "add": 1, "maxBytes": 64},
        "decode": {"type": "binary", "fields": ["size: u8", "count: u8", "records: repeat count record",
            "speeds: repeat 2 'u8 * 2'", "note: ascii 2 if count > 5", "more: bytes rest with tags drop"]},
        "layouts": {
            "record": {"fields": ["flags: u8 bits on@0 drop", "value: i16 neg on"]},
            "tags": {"type": "tlv", "tag": "u8", "size": "u8", "cases": [[1, "odometer: u16 * 100"], [2, "name: ascii rest"]]}
        }
    });
    let folded = json!({
        "framing": {"type": "length", "start": "#", "length": "u8 at 1", "add": 3, "end": ";", "body": 2},
        "decode": {"type": "binary", "fields": ["records: repeat u8 record", "speed: u8 if records > 9", "unit: u8 if records"]},
        "layouts": {"record": {"fields": ["flags: u8", "level: u8 if flags & 1", "fuel: u16 if flags & 2", "pulses: repeat u8 pulse"]},
            "pulse": {"fields": ["kind: u8", "width: u8 if kind = 1"]}},
        "identity": {"field": "unit", "scope": "message"}
    });
    let script = json!({
        "framing": {"type": "fixed", "bytes": 3},
        "checksum": "xor",
        "decode": {"type": "script"},
        "script": "const decode = (bytes, ctx) => { ctx.state.frames = (ctx.state.frames || 0) + 1; return { number: ctx.state.frames } };\nconst who = fields => fields.number > 1 ? 'meter-' + fields.number : null",
        "identity": {"script": "who", "scope": "message"}
    });
    let pairs = json!({
        "framing": {"type": "delimiter", "end": ";;"},
        "decode": {"type": "key-value", "separator": ";", "equals": ":",
            "fields": ["speed: number at v", "temperature: integer null -"]}
    });
    vec![
        (
            "gt06",
            json!({"preset": "gt06@1"}),
            vec![
                "0x 00 ff 78 00",
                "0x 7878 0d 01 0123456789012345 0001 8cdd 0d0a",
                "0x 7878 1f 12 110616091835 d0 024bb930 07d3fb78 3d d4c5 01940500f2006c85 04a6 e037 0d0a",
                "0x 7878 0d 01 0123456789012345 0001 8cde 0d0a",
                "0x 7878 0d",
            ],
        ),
        (
            "stuffed",
            stuffed,
            vec!["0x 7e 0200 0000007d02 7d01ff fe 7e", "0x 7e 0200 0001 7e"],
        ),
        (
            "csv",
            line,
            vec!["$POS,A,4807.038,S,x,,7\r\n", "$ERR,V,1,N,,12,4\r\n"],
        ),
        (
            "records",
            records,
            vec![
                "0x 13 02 01 0005 00 0006 0a0b 01 02 0007 07 01 ff 02 01 41",
                "0x 05 01 01 0005 09",
            ],
        ),
        (
            "folded",
            folded,
            vec![
                "0x 23 0f 03 00 00 01 07 02 01 09 02 05 00 01 01 02 05 3b",
                // The end is another byte, so the next frame is looked for byte by byte.
                "0x 23 02 00 07 3a",
                "0x 23 02 00 07 3b",
                "0x 23 01 01 3b",
            ],
        ),
        (
            "script",
            script,
            vec!["0x 01 02 03", "0x 01 02 04", "0x 01 03 02"],
        ),
        ("pairs", pairs, vec!["hello;v:12.5;x:y;temperature:-;;"]),
        (
            "json",
            json!({"framing": {"type": "json"}, "decode": {"type": "json", "fields": ["first: number at /list/0"]}}),
            vec![r#"{"list": [12.5, 3], "time": "2026-01-31T11:00:00Z", "b": "x"}"#],
        ),
    ]
}

#[test]
fn explanations_are_those_of_the_files() {
    for (name, document, pieces) in cases() {
        let pieces = pieces.iter().map(|piece| notation::bytes(piece).unwrap());
        let bytes: Vec<u8> = pieces.flatten().collect();
        let found = explained(&document, &bytes);
        let file = folder().join(format!("{name}.txt"));
        let expected = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(found == expected, "{}:\n{found}", file.display());
    }
}

#[test]
fn how_bytes_are_cut_shows_nowhere() {
    let cases = cases().into_iter().map(|(name, document, pieces)| {
        let pieces = pieces.iter().map(|piece| notation::bytes(piece).unwrap());
        (name.to_owned(), document, pieces.flatten().collect())
    });
    for (name, document, bytes) in cases.chain(golden()) {
        for explains in [false, true] {
            let whole = played(&document, [&*bytes], explains);
            for size in [1, 2, 7] {
                let pieces = played(&document, bytes.chunks(size), explains);
                assert!(pieces == whole, "{name} by {size}:\n{pieces}\n{whole}");
            }
        }
    }
}

/// Every golden stream of the protocols that are shipped.
fn golden() -> Vec<(String, Value, Vec<u8>)> {
    let protocols = Path::new(env!("CARGO_MANIFEST_DIR")).join("protocols");
    let mut streams = Vec::new();
    for entry in std::fs::read_dir(protocols).unwrap() {
        let folder = entry.unwrap().path();
        let read = |file: &str| -> Value {
            let text = std::fs::read_to_string(folder.join(file)).unwrap();
            serde_json::from_str(&text).unwrap()
        };
        let (document, golden) = (read("protocol.json"), read("golden.json"));
        for stream in golden["streams"].as_array().unwrap() {
            let pieces = stream["bytes"].as_array().unwrap().iter();
            let bytes = pieces.flat_map(|piece| notation::bytes(piece.as_str().unwrap()).unwrap());
            let name = format!("{} {}", folder.display(), stream["name"]);
            streams.push((name, document.clone(), bytes.collect()));
        }
    }
    assert!(streams.len() > 20);
    streams
}

#[test]
fn each_byte_of_a_golden_frame_stands_once_and_the_values_are_the_decoders() {
    let mut frames = 0;
    for (name, document, bytes) in golden() {
        let (protocol, _) = settings(&document);
        let checksums = Arc::clone(&protocol.checksums);
        let pipeline = Pipeline::new(&protocol.framing, checksums, protocol.on_bad_checksum);
        let mut pipeline = pipeline.watched();
        pipeline.push(&bytes);
        pipeline.end();
        while let Some(received) = pipeline.next(Clock::system().now().monotonic) {
            let Received::Frame { bytes, body, .. } = received else {
                continue;
            };
            frames += 1;
            check(
                &name,
                &protocol,
                pipeline.seen().unwrap(),
                (&bytes, body.start),
                frames,
            );
        }
    }
    assert!(frames > 40, "{frames}");
}

fn check(
    name: &str,
    protocol: &Protocol,
    seen: &Seen,
    (bytes, body): (&[u8], usize),
    number: usize,
) {
    let frame = Frame {
        bytes,
        body: body.into(),
    };
    let (reading, trace) = protocol.decoder.explain(frame, None);
    assert_eq!(reading, protocol.decoder.decode(frame), "{name}");
    let explained = Explained {
        protocol,
        number,
        at: 0,
        seen,
        bytes,
        body,
        reading: &reading,
        trace: &trace,
        is_refused: false,
    };
    let mut out = Vec::new();
    explained.write(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let shown: String = text.lines().filter_map(column).collect();
    let (plain, hex) = (dump::plain(bytes), spaced_hex(bytes));
    let without = |text: &str| text.replace(' ', "");
    assert!(
        [without(&plain), without(&hex)].contains(&without(&shown)),
        "{name}:\n{text}"
    );
    for (field, value) in reading.fields.iter() {
        let set = trace.0.iter().any(|noted| match &noted.what {
            What::Field(noted) => noted.set.contains(&(field.clone(), value.clone())),
            _ => false,
        });
        assert!(set, "{name}, {field} = {value:?}:\n{text}");
    }
}

/// The bytes of a line of the dump.
fn column(line: &str) -> Option<&str> {
    let line = line.strip_prefix("    ")?;
    let offset = line.get(..4)?;
    let behind = line
        .get(6..)
        .filter(|_| offset.bytes().all(|digit| digit.is_ascii_digit()))?;
    Some(behind.get(..24).unwrap_or(behind))
}
