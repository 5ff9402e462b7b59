//! Protocols shipped with the module that read the capture already.

use bytes::Bytes;
use edge_tcp_gateway::message::{Extent, Frame};
use edge_tcp_gateway::settings::{Presets, Settings};
use serde_json::json;

use super::capture::Stretch;
use super::search;
use super::trial::{self, Cutting, ratio};

/// Share of the bytes that must be in frames that are checked and decoded.
const ENOUGH: f64 = 0.9;

/// A shipped protocol and what it reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shipped {
    /// Its name with the version: `gt06@1`.
    pub name: String,
    /// Frames that are decoded and have the right checksum.
    pub read: usize,
    /// Frames that are found.
    pub frames: usize,
}

/// Those that read nearly all of the capture's beginning.
pub fn that_read(stretches: &[Stretch]) -> Vec<Shipped> {
    let sample = search::sample(stretches);
    let names = Presets::names();
    names
        .into_iter()
        .filter_map(|name| reads(name, &sample))
        .collect()
}

fn reads(name: &str, sample: &[Stretch]) -> Option<Shipped> {
    let document = json!({ "preset": name });
    let (settings, _) = Settings::parse(&trial::settings(&document), &Presets::built_in()).ok()?;
    let decode = &settings.protocol_document(trial::NAME)?["decode"]["type"];
    // What takes every text says nothing of this one.
    if *decode == "text" || *decode == "raw" {
        return None;
    }
    let protocol = settings.protocols.get(trial::NAME)?;
    let trial = trial::run(protocol, sample, Cutting::Whole);
    let good = |(bytes, body): (&Bytes, &Extent)| {
        let frame = Frame { bytes, body: *body };
        protocol
            .checksums
            .iter()
            .all(|checksum| checksum.verify(bytes).is_ok())
            && protocol.decoder.decode(frame).undecoded.is_none()
    };
    let frames = trial.frames.len();
    let read = trial
        .frames
        .iter()
        .zip(&trial.bodies)
        .map(good)
        .filter(|good| *good)
        .count();
    let enough = trial.share() >= ENOUGH && ratio(read, frames) >= ENOUGH && frames > 1;
    enough.then(|| Shipped {
        name: name.to_owned(),
        read,
        frames,
    })
}
