mod golden;
mod made;
mod noise;
mod settings;

use std::time::Duration;

use super::capture::Stretch;
use super::propose::{self, Finding};
use super::{Patience, trial};

/// Numbers that look like chance and are the same every time.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.byte()).collect()
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next()).unwrap() % limit
    }
}

fn patience() -> Patience {
    Patience::of(Duration::from_secs(600))
}

/// A connection on which each frame came in a piece of its own, or all in one.
fn stretch(frames: &[Vec<u8>], in_pieces: bool) -> Stretch {
    let mut stretch = Stretch::default();
    if in_pieces {
        frames.iter().for_each(|frame| stretch.push(frame));
    } else {
        stretch.push(&frames.concat());
    }
    stretch
}

fn find(stretches: &[Stretch]) -> Finding {
    propose::find(stretches, &patience())
}

/// The places of the frames that this framing finds.
fn spans(framing: &serde_json::Value, stretches: &[Stretch]) -> Vec<trial::Span> {
    let protocol = trial::protocol(&serde_json::json!({ "framing": framing })).expect("a framing");
    trial::run(&protocol, stretches, trial::Cutting::Whole).spans
}
