//! The golden streams of the shipped protocols: is what we know found again?

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use edge_tcp_gateway::checksum::{Algorithm, Checksum};
use edge_tcp_gateway::conversation::Protocol;
use edge_tcp_gateway::notation;
use edge_tcp_gateway::settings::{Presets, Settings};
use serde_json::{Value, json};

use super::super::capture::Stretch;
use super::super::propose::Finding;
use super::super::shipped;
use super::super::trial::{self, Cutting};
use super::{Chance, find, spans, stretch};

/// Connections of a grown capture.
const CONNECTIONS: usize = 12;

struct Pack {
    protocol: Arc<Protocol>,
    document: Value,
    streams: Vec<Vec<Vec<u8>>>,
}

impl Pack {
    fn read(name: &str) -> Pack {
        let folder = folder().join(name);
        let golden = fs::read_to_string(folder.join("golden.json")).expect("golden");
        let golden: Value = serde_json::from_str(&golden).expect("JSON");
        let settings = trial::settings(&json!({ "preset": format!("{name}@1") }));
        let (settings, _) = Settings::parse(&settings, &Presets::built_in()).expect("valid");
        let document = settings.protocol_document(trial::NAME).expect("it").clone();
        let streams = golden["streams"].as_array().expect("streams").iter();
        let streams = streams.map(|stream| frames(&document, stream)).collect();
        let protocol = trial::protocol(&document).expect("valid");
        Pack {
            protocol,
            document,
            streams,
        }
    }

    fn checksum(&self) -> Option<&str> {
        self.document["checksum"].as_str()
    }

    /// Its frames as they are, a connection for each golden stream.
    fn plain(&self) -> Vec<Stretch> {
        let streams = self.streams.iter();
        streams.map(|frames| stretch(frames, false)).collect()
    }

    /// A day of its devices: connections of several frames each, with other content.
    fn grown(&self, in_pieces: bool) -> Vec<Stretch> {
        let mut chance = Chance(0x5eed_0000_0001);
        let all: Vec<&Vec<u8>> = self.streams.iter().flatten().collect();
        let mut connections = Vec::new();
        for connection in 0..CONNECTIONS {
            let frames = (0..connection % 4 + 2).map(|_| {
                let frame = all[chance.below(all.len())];
                self.changed(frame, &mut chance)
            });
            connections.push(stretch(&frames.collect::<Vec<_>>(), in_pieces));
        }
        connections
    }

    /// The frame with other content, cut in the same way and with the right checksum.
    fn changed(&self, frame: &[u8], chance: &mut Chance) -> Vec<u8> {
        for _ in 0..20 {
            let mut changed = frame.to_vec();
            for _ in 0..4 {
                let at = frame.len() / 3 + chance.below(frame.len() - frame.len() / 3);
                changed[at] = match changed[at] {
                    b'0'..=b'9' => b'0' + chance.byte() % 10,
                    text @ b' '..=b'~' => text,
                    _ => chance.byte(),
                };
            }
            self.mend(&mut changed);
            let alone = [stretch(&[changed.clone()], false)];
            let trial = trial::run(&self.protocol, &alone, Cutting::Whole);
            let whole = trial.covered == frame.len() && trial.spans.len() == 1;
            let mut checksums = self.protocol.checksums.iter();
            if whole && checksums.all(|checksum| checksum.verify(&trial.frames[0]).is_ok()) {
                return changed;
            }
        }
        frame.to_vec()
    }

    /// Writes the value that the product computes into the place of the checksum.
    fn mend(&self, frame: &mut [u8]) {
        let Some(text) = self.checksum() else {
            return;
        };
        let alone = [stretch(&[frame.to_vec()], false)];
        let trial = trial::run(&self.protocol, &alone, Cutting::Whole);
        let Some(handed) = trial.frames.first() else {
            return;
        };
        let Err(mismatch) = Checksum::parse(text).expect("valid").verify(handed) else {
            return;
        };
        let words: Vec<&str> = text.split(' ').collect();
        let width = Algorithm::by_name(words[0]).expect("known").width();
        let value = mismatch.expected.expect("long enough");
        let mut value = value.to_be_bytes()[8 - width..].to_vec();
        if words.contains(&"le") {
            value.reverse();
        }
        if words.contains(&"hexadecimal") {
            let digits = value.iter().map(|byte| format!("{byte:02X}"));
            value = digits.collect::<String>().into_bytes();
        }
        let at = words.iter().position(|word| *word == "at");
        let at = at.map_or(-(value.len() as isize), |at| words[at + 1].parse().unwrap());
        // A delimiter's start is not handed on.
        let before = memchr::memmem::find(frame, handed).expect("inside");
        let length = handed.len() as isize;
        let at = if at < 0 { length + at } else { at };
        let at = before + usize::try_from(at).expect("inside");
        frame[at..at + value.len()].copy_from_slice(&value);
    }
}

/// The good frames of a stream, as they came.
fn frames(document: &Value, stream: &Value) -> Vec<Vec<u8>> {
    let pieces = stream["bytes"].as_array().expect("bytes").iter();
    let bytes = pieces.flat_map(|piece| notation::bytes(piece.as_str().unwrap()).unwrap());
    let whole = [stretch(&[bytes.collect()], false)];
    let protocol = trial::protocol(document).expect("valid");
    let trial = trial::run(&protocol, &whole, Cutting::Whole);
    let good = trial.spans.iter().zip(&trial.frames).filter(|(_, frame)| {
        let mut checksums = protocol.checksums.iter();
        checksums.all(|checksum| checksum.verify(frame).is_ok())
    });
    good.map(|(span, _)| whole[0].bytes[span.from..span.to].to_vec())
        .collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocols")
}

/// The framing is among the proposals, or one with the same frames.
fn framing_found(pack: &Pack, stretches: &[Stretch], finding: &Finding) -> bool {
    let wanted = spans(&pack.document["framing"], stretches);
    let mut proposals = finding.proposals.iter();
    proposals.any(|proposal| proposal.trial.spans == wanted)
}

/// The algorithm of the pack's checksum is that of the proposal with its frames.
fn checksum_found(pack: &Pack, finding: &Finding) -> bool {
    let algorithm =
        |text: &str| Checksum::parse(text).map(|_| text.split(' ').next().map(str::to_owned));
    let wanted = pack.checksum().map(algorithm);
    let mut proposals = finding.proposals.iter();
    proposals.any(|proposal| wanted == proposal.document["checksum"].as_str().map(algorithm))
}

/// For each protocol: found where each frame came in a piece of its own, where a connection came in
/// one piece, and in the few frames of the golden streams alone.
const TABLE: [(&str, [bool; 3]); 17] = [
    // Three kinds of frames, two of them of one byte.
    ("astm", [false, false, false]),
    ("barcode", [true, true, true]),
    ("contact-id", [true, true, true]),
    ("dc09", [true, true, false]),
    ("fins", [true, true, false]),
    ("gbt32960", [true, true, false]),
    ("gt06", [true, true, true]),
    ("hl7", [true, true, true]),
    ("iec104", [true, true, true]),
    // The second byte chooses, and not the first.
    ("modbus-rtu", [false, false, false]),
    ("modbus-tcp", [true, true, false]),
    ("mt-sics", [true, true, true]),
    ("ruptela", [true, true, false]),
    ("s7", [true, true, false]),
    ("syslog", [true, true, false]),
    // All but the connections that begin with a byte to be ignored.
    ("teltonika", [false, false, false]),
    ("toledo", [true, true, false]),
];

#[test]
fn the_framings_and_checksums_of_the_shipped_protocols_are_found_again() {
    let mut mistakes = Vec::new();
    for (name, expected) in TABLE {
        let pack = Pack::read(name);
        let captures = [pack.grown(true), pack.grown(false), pack.plain()];
        let found = captures.map(|capture| {
            let finding = find(&capture);
            if framing_found(&pack, &capture, &finding)
                && spans(&pack.document["framing"], &capture).len() > 6
                && pack.checksum().is_some()
                && !checksum_found(&pack, &finding)
            {
                mistakes.push(format!("{name}: the checksum was not found"));
            }
            framing_found(&pack, &capture, &finding)
        });
        if found != expected {
            mistakes.push(format!("{name}: found {found:?}, expected {expected:?}"));
        }
    }
    assert!(mistakes.is_empty(), "{mistakes:#?}");
}

#[test]
fn shipped_protocols_that_read_the_capture_are_named() {
    for name in ["gt06", "modbus-rtu", "toledo"] {
        let pack = Pack::read(name);
        let shipped = shipped::that_read(&pack.grown(false));
        let names: Vec<&str> = shipped.iter().map(|shipped| &*shipped.name).collect();
        assert_eq!(names, [format!("{name}@1")]);
    }
}
