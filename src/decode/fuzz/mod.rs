//! What foreign bytes could break in a protocol that is shipped, and in any other.

mod any;
mod choices;
mod decoders;
mod documents;
mod fields;
mod framings;
mod questions;
mod stream;
mod trial;

use std::io;
use std::sync::{Arc, LazyLock};

use serde_json::json;

use super::Player;
use crate::clock::Clock;
use crate::conversation::Protocol;
use crate::identity::Peer;
use crate::settings::{Listener, Presets, Settings};

pub use any::fuzz_any;

/// Bytes that a protocol may leave waiting for the rest of a frame: the largest frame there is.
const MOST_WAITING: usize = 65_536;

/// All presets as listeners use them: parsed once, for all inputs.
static SHIPPED: LazyLock<Option<Settings>> = LazyLock::new(|| {
    let names = Presets::names();
    let entries = names.iter().enumerate();
    let listeners = entries.map(|(number, name)| {
        let listener = json!({"port": number.saturating_add(1), "protocol": word(name)});
        (word(name), listener)
    });
    let protocols = names
        .iter()
        .map(|name| (word(name), json!({"preset": name})));
    let listeners: serde_json::Map<_, _> = listeners.collect();
    let protocols: serde_json::Map<_, _> = protocols.collect();
    let settings = json!({"listeners": listeners, "protocols": protocols});
    Settings::parse(&settings, &Presets::built_in())
        .ok()
        .map(|(settings, _)| settings)
});

/// Plays any bytes, byte by byte, to the protocol that the first one chooses, as a whole connection.
///
/// # Panics
/// When more waits than a frame can have, or the protocols cannot be read.
pub fn fuzz(data: &[u8]) {
    let (Some(settings), Some((choice, bytes))) = (&*SHIPPED, data.split_first()) else {
        assert!(data.is_empty(), "the presets are valid");
        return;
    };
    let count = settings.listeners.len().max(1);
    let Some(listener) = settings
        .listeners
        .values()
        .nth(usize::from(*choice) % count)
    else {
        return;
    };
    play(settings, listener, &listener.protocol, bytes);
}

fn play(settings: &Settings, listener: &Listener, protocol: &Arc<Protocol>, bytes: &[u8]) {
    let (mut out, now) = (io::sink(), Clock::system().now());
    let mut player = Player::new(protocol, settings.conversation(listener), now, &mut out);
    let peer = Peer::new(([10, 0, 0, 7], 4000).into(), listener.name.clone(), None);
    assert!(
        player.play(peer, bytes.chunks(1)).is_ok(),
        "nothing is written anywhere"
    );
    assert!(
        player.conversation.buffered() <= MOST_WAITING,
        "more waits than a frame"
    );
}

/// A preset's name as the name of an entry.
fn word(preset: &str) -> String {
    preset.replace('@', "-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_preset_can_be_chosen() {
        let settings = SHIPPED.as_ref().unwrap();
        assert_eq!(settings.listeners.len(), Presets::all().len());
    }

    proptest! {
        #[test]
        fn any_bytes(data: Vec<u8>) {
            fuzz(&data);
        }
    }
}
