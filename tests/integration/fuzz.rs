//! A bounded run of every function that eats foreign bytes: its corpus, mutations of it, and any
//! bytes. `fuzz/` gives the same functions to cargo-fuzz; what it finds becomes a file of the corpus.

use std::fs;
use std::path::Path;

use edge_tcp_gateway::{decode, decoding, edge, framing, template};

use crate::packs;

/// Inputs of each function.
const INPUTS: u32 = 20_000;
const MOST_BYTES: usize = 600;

#[test]
fn framing_takes_any_bytes() {
    run("framing", framing::fuzz);
}

#[test]
fn decoding_takes_any_bytes() {
    run("decoding", decoding::fuzz);
}

#[test]
fn field_strings_take_any_text_and_frame() {
    run("fields", decoding::fuzz_fields);
}

#[test]
fn templates_take_any_text() {
    run("template", template::fuzz);
}

#[test]
fn topics_take_any_text() {
    run("topics", edge::topics::fuzz);
}

#[test]
fn the_mqtt_codec_takes_any_bytes() {
    run("mqtt", mqtt::fuzz);
}

/// Its corpus are the golden streams; the first byte chooses the protocol.
#[test]
fn shipped_protocols_take_any_bytes() {
    run_on(&packs::chosen_streams(), INPUTS / 8, decode::fuzz);
}

/// Each input is a document that is read, and a stream that is played five times.
#[test]
fn any_protocol_takes_any_bytes() {
    run_on(&corpus("any"), INPUTS / 40, decode::fuzz_any);
}

fn run(name: &str, target: fn(&[u8])) {
    run_on(&corpus(name), INPUTS, target);
}

fn run_on(corpus: &[Vec<u8>], inputs: u32, target: fn(&[u8])) {
    for seed in corpus {
        target(seed);
    }
    let mut chance = fastrand::Rng::with_seed(0x7472_6164);
    for _ in 0..inputs {
        target(&mutated(corpus, &mut chance));
    }
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(name);
    let files = fs::read_dir(&folder).expect("a corpus");
    let mut paths: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    let read = |path| fs::read(path).expect("a file");
    paths.into_iter().map(read).collect()
}

/// A seed, or any bytes, changed in up to eight places.
fn mutated(corpus: &[Vec<u8>], chance: &mut fastrand::Rng) -> Vec<u8> {
    let any = |chance: &mut fastrand::Rng| -> Vec<u8> {
        let length = chance.usize(..64);
        (0..length).map(|_| chance.u8(..)).collect()
    };
    let mut bytes = match chance.u8(..8) {
        0 => any(chance),
        _ => corpus[chance.usize(..corpus.len())].clone(),
    };
    for _ in 0..chance.usize(..=8) {
        let at = chance.usize(..=bytes.len());
        let end = chance.usize(at..=bytes.len());
        match chance.u8(..6) {
            0 => drop(bytes.drain(at..end)),
            1 => drop(bytes.splice(at..at, any(chance))),
            2 => bytes.extend_from_within(at..end),
            3 => {
                let other = &corpus[chance.usize(..corpus.len())];
                let from = chance.usize(..=other.len());
                bytes.splice(at..end, other[from..].iter().copied());
            }
            4 => bytes[at..end].iter_mut().for_each(|byte| *byte = 0xff),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << chance.u8(..8);
                }
            }
        }
        bytes.truncate(MOST_BYTES);
    }
    bytes
}
