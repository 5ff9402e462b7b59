//! What foreign bytes could break in a protocol that anybody may write.

use std::sync::{Arc, LazyLock};

use serde_json::Value;

use super::choices::Choices;
use super::trial::{self, Outcome, Terms};
use super::{documents, stream};
use crate::clock::Clock;
use crate::identity::Peer;
use crate::settings::{Presets, Settings};

static PRESETS: LazyLock<Presets> = LazyLock::new(Presets::built_in);

/// Makes settings of the first bytes, so many as the very first one says, and plays what the others
/// make to their protocol: as it comes, byte by byte, in pieces, and while other things happen.
///
/// # Panics
/// When what comes out depends on the pieces, something grows or stalls, or a connection does not end.
pub fn fuzz_any(data: &[u8]) {
    drop(played(data));
}

/// What comes out of an input's stream; `None` where its settings are not valid.
fn played(data: &[u8]) -> Option<Outcome> {
    let (count, rest) = data.split_first()?;
    let (recipe, bytes) = rest.split_at(rest.len().min(usize::from(*count)));
    let document = documents::document(&mut Choices::new(recipe));
    let (settings, _) = Settings::parse(&document, &PRESETS).ok()?;
    let terms = terms(&settings, &document)?;
    let protocol = &document["protocols"]["p"];
    let stream = stream::stream(&terms.protocol, protocol, &mut Choices::new(bytes));
    Some(play(&terms, &stream, (&protocol["framing"], data)))
}

fn terms(settings: &Settings, document: &Value) -> Option<Terms> {
    let listener = settings.listeners.values().next()?;
    let device = listener.device.clone();
    Some(Terms {
        protocol: Arc::clone(&listener.protocol),
        settings: Arc::new(settings.conversation(listener)),
        peer: Peer::new(([10, 0, 0, 7], 4000).into(), listener.name.clone(), device),
        now: Clock::system().now(),
        max_bytes: longest(&document["protocols"]["p"]["framing"]),
    })
}

/// The largest `maxBytes` of a framing and those in it.
fn longest(framing: &Value) -> usize {
    let own = framing["maxBytes"].as_u64().unwrap_or(0);
    let own = usize::try_from(own).unwrap_or(usize::MAX);
    let inner = framing.as_object().into_iter().flatten();
    let inner = inner
        .map(|(_, member)| member)
        .chain(framing.as_array().into_iter().flatten());
    inner.map(longest).fold(own, usize::max)
}

fn play(terms: &Terms, stream: &[u8], (framing, data): (&Value, &[u8])) -> Outcome {
    let whole = trial::calm(terms, std::iter::once(stream));
    let bytewise = trial::calm(terms, stream.chunks(1));
    assert_eq!(
        whole, bytewise,
        "left: whole, right: byte by byte, of {framing} {stream:x?}"
    );
    let cuts = pieces(stream, &mut chance(data));
    let cut = trial::calm(terms, cuts.iter().copied());
    assert_eq!(
        whole, cut,
        "left: whole, right: in pieces, of {framing} {stream:x?}"
    );
    trial::frames(terms, cuts.iter().copied());
    trial::stormy(terms, cuts.iter().copied(), chance(data));
    whole
}

/// Numbers that an input says; the same each time, and others for each input: FNV-1a makes the
/// first of SplitMix64.
fn chance(data: &[u8]) -> impl FnMut() -> u8 + use<> {
    let sum = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let mut state = data.iter().fold(0xcbf2_9ce4_8422_2325, sum);
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed.to_be_bytes()[0]
    }
}

fn pieces<'b>(stream: &'b [u8], chance: &mut dyn FnMut() -> u8) -> Vec<&'b [u8]> {
    let (mut left, mut pieces) = (stream, Vec::new());
    while !left.is_empty() {
        let most = [3, 16, 200][usize::from(chance() % 3)];
        let (piece, rest) = left.split_at(left.len().min(usize::from(chance()) % most + 1));
        pieces.push(piece);
        left = rest;
    }
    pieces
}

#[cfg(test)]
mod tests;
