//! Every protocol that is shipped, held against its golden streams, however TCP cuts them.

mod asked;
mod golden;
mod pages;
mod play;
mod sizes;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use golden::{Frame, Golden, Stream, shown};
use play::{Seen, Subject};

/// A folder of `protocols/`.
struct Pack {
    name: String,
    document: Value,
    golden: Golden,
    subject: Subject,
}

/// Every pack; where the environment variable PACK is set, only that one.
fn packs() -> Vec<Pack> {
    let mut names = folders();
    if let Some((_, only)) = std::env::vars().find(|(name, _)| name == "PACK") {
        names.retain(|name| *name == only);
        assert!(!names.is_empty(), "there is no protocols/{only}");
    }
    names.into_iter().map(Pack::read).collect()
}

/// Every golden stream behind the number of its pack.
pub fn chosen_streams() -> Vec<Vec<u8>> {
    let mut chosen = Vec::new();
    for (number, name) in folders().into_iter().enumerate() {
        let choice = u8::try_from(number).expect("a byte chooses the pack");
        for stream in Pack::read(name).golden.streams {
            chosen.push([&[choice][..], &stream.content()].concat());
        }
    }
    chosen
}

/// The folders of `protocols/`, in the order of their names.
fn folders() -> Vec<String> {
    let folders = fs::read_dir(protocols()).expect("a folder");
    let names = folders.map(|entry| entry.expect("a folder").file_name().into_string());
    let mut names: Vec<String> = names.map(|name| name.expect("a name")).collect();
    names.sort();
    assert!(!names.is_empty());
    names
}

fn protocols() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("protocols")
}

impl Pack {
    fn read(name: String) -> Self {
        let folder = protocols().join(&name);
        let text = |file: &str| {
            fs::read_to_string(folder.join(file))
                .unwrap_or_else(|error| panic!("protocols/{name}/{file}: {error}"))
        };
        let document: Value = serde_json::from_str(&text("protocol.json"))
            .unwrap_or_else(|error| panic!("protocols/{name}/protocol.json: {error}"));
        let golden = Golden::parse(&text("golden.json"))
            .unwrap_or_else(|error| panic!("protocols/{name}/golden.json: {error}"));
        assert!(!golden.streams.is_empty(), "{name} has no golden stream");
        Pack {
            subject: Subject::new(&name, &document, &golden.devices),
            document,
            golden,
            name,
        }
    }

    /// Whether its framing finds the next frame behind bytes that belong to none.
    fn resynchronises(&self) -> bool {
        let framing = &self.document["framing"];
        let starts = |framing: &Value| !framing["start"].is_null();
        let cases = framing["cases"].as_array();
        starts(framing) || cases.is_some_and(|cases| cases.iter().all(starts))
    }
}

/// What a stream has to come to.
fn expected(stream: &Stream) -> Seen {
    let replies = stream
        .frames
        .iter()
        .filter_map(|frame| frame.reply.as_ref());
    let replies: Vec<u8> = replies
        .flat_map(|reply| golden::bytes(reply).expect("bytes"))
        .collect();
    let unchecked = |frame: &Frame| Frame {
        unchecked: None,
        ..frame.clone()
    };
    Seen {
        frames: stream.frames.iter().map(unchecked).collect(),
        replies: shown(&replies),
        skipped: stream.skipped,
        troubles: stream.troubles.clone(),
        closed: stream.closed.clone(),
    }
}

/// Without the replies of each frame, which leave later where more comes at once.
fn without_replies(mut seen: Seen) -> Seen {
    for frame in &mut seen.frames {
        frame.reply = None;
    }
    seen
}

fn check(pack: &Pack, stream: &Stream, how: &str, expected: &Seen, found: &Seen) {
    if expected == found {
        return;
    }
    let mut text = format!(
        "protocols/{}, stream \"{}\" ({:?}), {how}:\n",
        pack.name, stream.name, stream.source
    );
    let same = expected.frames.len() == found.frames.len();
    for at in 0..expected.frames.len().max(found.frames.len()) {
        let (wanted, got) = (expected.frames.get(at), found.frames.get(at));
        if wanted != got {
            writeln!(
                text,
                "frame {at}\n  expected {}\n  found    {}",
                json(&wanted),
                json(&got)
            )
            .expect("text");
        }
    }
    let rest = |seen: &Seen| Seen {
        frames: Vec::new(),
        ..seen.clone()
    };
    if !same || rest(expected) != rest(found) {
        writeln!(
            text,
            "around them\n  expected {}\n  found    {}",
            json(&rest(expected)),
            json(&rest(found))
        )
        .expect("text");
    }
    panic!("{text}");
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("JSON")
}

/// Each stream of each pack.
fn each(mut test: impl FnMut(&Pack, &Stream)) {
    for pack in &packs() {
        for stream in &pack.golden.streams {
            test(pack, stream);
        }
    }
}

#[test]
fn a_golden_stream_comes_to_what_it_says_byte_by_byte_and_whole() {
    each(|pack, stream| {
        let content = stream.content();
        let expected = expected(stream);
        let found = pack.subject.play(content.chunks(1));
        check(pack, stream, "byte by byte", &expected, &found);
        let expected = without_replies(expected);
        let found = without_replies(pack.subject.play([&content[..]]));
        check(pack, stream, "whole", &expected, &found);
    });
}

#[test]
fn a_golden_stream_comes_to_the_same_at_every_split() {
    each(|pack, stream| {
        let content = stream.content();
        let expected = without_replies(expected(stream));
        for at in 1..content.len() {
            let (left, right) = content.split_at(at);
            let found = without_replies(pack.subject.play([left, right]));
            check(pack, stream, &format!("split at {at}"), &expected, &found);
        }
    });
}

#[test]
fn a_golden_stream_twice_at_once_comes_to_it_twice() {
    each(|pack, stream| {
        if stream.once {
            return;
        }
        let content = stream.content().repeat(2);
        let once = expected(stream);
        let replies = golden::bytes(&once.replies).expect("bytes");
        let expected = without_replies(Seen {
            frames: [&once.frames[..], &once.frames].concat(),
            replies: shown(&replies.repeat(2)),
            skipped: once.skipped * 2,
            troubles: [&once.troubles[..], &once.troubles].concat(),
            closed: once.closed,
        });
        let found = without_replies(pack.subject.play([&content[..]]));
        check(pack, stream, "twice", &expected, &found);
    });
}

#[test]
fn noise_in_front_costs_a_framing_that_resynchronises_nothing() {
    for pack in packs() {
        let noisy = pack
            .golden
            .streams
            .iter()
            .filter(|stream| stream.noise.is_some());
        let noisy: Vec<&Stream> = noisy.collect();
        assert!(
            !noisy.is_empty() || !pack.resynchronises(),
            "protocols/{}: the framing has a start, so a stream needs \"noise\"",
            pack.name
        );
        for stream in noisy {
            let noise = golden::bytes(stream.noise.as_deref().unwrap_or_default()).expect("bytes");
            let content = [&noise[..], &stream.content()].concat();
            let mut expected = without_replies(expected(stream));
            expected.skipped += noise.len();
            for size in [content.len(), 1] {
                let found = without_replies(pack.subject.play(content.chunks(size)));
                check(
                    &pack,
                    stream,
                    &format!("behind noise, in pieces of {size}"),
                    &expected,
                    &found,
                );
            }
        }
    }
}

#[test]
fn no_changed_bit_under_a_checksum_is_accepted() {
    for pack in packs() {
        if pack.subject.protocol.checksums.is_empty() {
            continue;
        }
        let streams = &pack.golden.streams;
        let mut frames = streams.iter().flat_map(|stream| &stream.frames);
        assert!(
            frames.any(|frame| frame.bad_checksum),
            "protocols/{}: no stream has a frame with a wrong checksum",
            pack.name
        );
        for stream in streams {
            let good = |frame: &&Frame| !frame.bad_checksum;
            let content = stream.content();
            let mut from = 0;
            for frame in stream.frames.iter().filter(good) {
                let bytes = frame.bytes();
                let place = content[from..]
                    .windows(bytes.len())
                    .position(|part| part == bytes);
                let wire = match place {
                    Some(at) => Wire::Within {
                        content: &content,
                        at: from + at,
                    },
                    None => Wire::Escaped,
                };
                from += place.map_or(0, |at| at + bytes.len());
                flip_each_bit(&pack, stream, frame, &wire);
            }
        }
    }
}

/// How a frame stands on the wire.
enum Wire<'a> {
    /// As it is, at that place of the stream.
    Within { content: &'a [u8], at: usize },
    /// Otherwise: the framing has to wrap it.
    Escaped,
}

fn flip_each_bit(pack: &Pack, stream: &Stream, frame: &Frame, wire: &Wire<'_>) {
    let bytes = frame.bytes();
    for bit in 0..bytes.len() * 8 {
        let (at, mask) = (bit / 8, 1 << (bit % 8));
        let (sent, originals) = match wire {
            Wire::Within { content, at: from } => {
                let mut sent = content.to_vec();
                sent[from + at] ^= mask;
                (
                    sent,
                    stream
                        .frames
                        .iter()
                        .filter(|frame| !frame.bad_checksum)
                        .map(Frame::bytes)
                        .collect(),
                )
            }
            Wire::Escaped => {
                let mut changed = bytes.clone();
                changed[at] ^= mask;
                let wrapped = pack.subject.protocol.framing.wrap(&changed);
                (
                    wrapped.expect("a framing that escapes can wrap"),
                    vec![bytes.clone()],
                )
            }
        };
        let accepted = pack.subject.accepted(&sent);
        let place = format!(
            "protocols/{}, stream \"{}\", frame {}, byte {at} with {mask:#04x} changed",
            pack.name, stream.name, frame.frame
        );
        let digit = golden::covers(&pack.golden.hexadecimal, at, bytes.len());
        let case = digit && bytes[at].is_ascii_alphabetic() && mask == 0x20;
        if frame.is_checked(at) && !case {
            let mut left = originals.iter();
            let wrong = accepted
                .iter()
                .find(|frame| !left.any(|original| original == *frame));
            assert!(
                wrong.is_none(),
                "{place}: {} is accepted",
                shown(wrong.map_or(&[], Vec::as_slice))
            );
            assert!(
                accepted.len() < originals.len(),
                "{place}: as many frames as without the change"
            );
        } else if pack.golden.weak.is_none() {
            assert!(
                accepted.len() <= originals.len(),
                "{place}: {} frames",
                accepted.len()
            );
        }
    }
}
