//! What is no protocol is not taken for one.

use serde_json::json;

use super::super::capture::Stretch;
use super::super::propose::ENOUGH;
use super::{Chance, find, stretch};

#[test]
fn noise_gives_no_proposal() {
    for (seed, count) in [(1, 40), (2, 300), (3, 2000), (4, 6000), (5, 20_000)] {
        let mut chance = Chance(seed * 0x9e37_79b9);
        let pieces: Vec<Vec<u8>> = (0..count / 20).map(|_| chance.bytes(20)).collect();
        for in_pieces in [true, false] {
            let finding = find(&[stretch(&pieces, in_pieces)]);
            let found: Vec<_> = finding
                .proposals
                .iter()
                .map(|found| &found.document)
                .collect();
            assert!(
                found.is_empty() && finding.best < ENOUGH,
                "{seed}: {found:?}"
            );
        }
    }
}

#[test]
fn much_noise_gives_no_proposal_either() {
    let mut chance = Chance(0xb19);
    let finding = find(&[stretch(&[chance.bytes(400_000)], false)]);
    assert!(finding.proposals.is_empty(), "{}", finding.best);
}

#[test]
fn nothing_and_a_single_byte_give_no_proposal() {
    for bytes in [&b""[..], b"a", b"ab", b"\r\n"] {
        let mut stretch = Stretch::default();
        stretch.push(bytes);
        assert!(find(&[stretch]).proposals.is_empty(), "{bytes:?}");
    }
    assert!(find(&[]).proposals.is_empty());
}

#[test]
fn frames_of_noise_in_an_honest_length_field_are_found() {
    let mut chance = Chance(77);
    let frames: Vec<Vec<u8>> = (0..30)
        .map(|_| {
            let content = chance.below(40) + 3;
            let content = chance.bytes(content);
            let length = u8::try_from(content.len()).unwrap();
            [&[0xaa, 0x55, length][..], &content].concat()
        })
        .collect();
    let finding = find(&[stretch(&frames, false)]);
    let wanted = json!({ "type": "length", "length": "u8 at 2", "add": 3, "start": "0xaa55" });
    assert_eq!(finding.proposals[0].document["framing"], wanted);
}
