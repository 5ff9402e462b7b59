//! A framing is tried by running it: the product's own code cuts the capture.

use std::sync::Arc;

use bytes::Bytes;
use edge_tcp_gateway::checksum::OnBadChecksum;
use edge_tcp_gateway::clock::Clock;
use edge_tcp_gateway::conversation::Protocol;
use edge_tcp_gateway::framing::Broken;
use edge_tcp_gateway::message::Extent;
use edge_tcp_gateway::pipeline::{Pipeline, Received};
use edge_tcp_gateway::settings::{Presets, Settings};
use serde_json::{Value, json};

use super::capture::Stretch;

/// Name of the protocol, and of everything else, in what is proposed.
pub const NAME: &str = "device";

/// Frames that are kept as they are handed on.
const MOST_KEPT: usize = 4096;
/// Bytes of them.
const MOST_KEPT_BYTES: usize = 4 << 20;

/// Where a frame lies in the capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// Which stretch.
    pub stretch: usize,
    /// Its first byte there.
    pub from: usize,
    /// Behind its last byte.
    pub to: usize,
}

/// What a framing makes of a capture.
#[derive(Clone, Debug, Default)]
pub struct Trial {
    /// The frames.
    pub spans: Vec<Span>,
    /// The first of them as they are handed on.
    pub frames: Vec<Bytes>,
    /// Where decoding begins in each of these.
    pub bodies: Vec<Extent>,
    /// Bytes in frames.
    pub covered: usize,
    /// Bytes of the capture.
    pub total: usize,
    /// Stretches in which no further frame could be found.
    pub broken: usize,
    /// Why, in the last of them.
    pub why: Option<Broken>,
}

impl Trial {
    /// Share of the bytes that are in frames.
    pub fn share(&self) -> f64 {
        ratio(self.covered, self.total)
    }

    /// Whether the frames are the same. Bytes that are skipped in front of a frame count to it or
    /// not, as they come with it or before it.
    pub fn is_like(&self, other: &Trial) -> bool {
        let ends = |trial: &Trial| -> Vec<(usize, usize)> {
            trial
                .spans
                .iter()
                .map(|span| (span.stretch, span.to))
                .collect()
        };
        self.frames == other.frames && ends(self) == ends(other)
    }
}

/// A share of a whole, of which 0 parts are 0.
pub fn ratio(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of a capture are far below 2^52"
    )]
    let ratio = part as f64 / whole as f64;
    ratio
}

/// Whole settings with that protocol.
pub fn settings(protocol: &Value) -> Value {
    json!({
        "schemaVersion": 1,
        "listeners": { NAME: { "port": 5000, "protocol": NAME } },
        "protocols": { NAME: protocol }
    })
}

/// The protocol as the module reads it. `None` if it does not: a later version may know the word.
pub fn protocol(document: &Value) -> Option<Arc<Protocol>> {
    let (settings, _) = Settings::parse(&settings(document), &Presets::built_in()).ok()?;
    settings.protocols.get(NAME).cloned()
}

/// How the bytes are given to the framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cutting {
    /// All of a stretch at once.
    Whole,
    /// In the pieces in which they came.
    AsCaptured,
}

/// Runs the protocol's framing, without its checksums.
pub fn run(protocol: &Protocol, stretches: &[Stretch], cutting: Cutting) -> Trial {
    let mut trial = Trial::default();
    let mut kept = MOST_KEPT_BYTES;
    for (index, stretch) in stretches.iter().enumerate() {
        trial.total += stretch.bytes.len();
        let pieces: Vec<&[u8]> = match cutting {
            Cutting::Whole => vec![&stretch.bytes],
            Cutting::AsCaptured => stretch.pieces().collect(),
        };
        let mut player = Player::new(protocol, index);
        for piece in pieces {
            player.pushed += piece.len();
            player.pipeline.push(piece);
            player.frames(&mut trial, &mut kept);
        }
        player.pipeline.end();
        player.frames(&mut trial, &mut kept);
    }
    trial
}

/// One stretch on its way through the framing.
struct Player {
    pipeline: Pipeline,
    stretch: usize,
    pushed: usize,
    clock: Clock,
}

impl Player {
    fn new(protocol: &Protocol, stretch: usize) -> Self {
        let none = Arc::from([]);
        Player {
            pipeline: Pipeline::new(&protocol.framing, none, OnBadChecksum::Reject),
            stretch,
            pushed: 0,
            clock: Clock::system(),
        }
    }

    fn frames(&mut self, trial: &mut Trial, kept: &mut usize) {
        let now = self.clock.now().monotonic;
        loop {
            let from = self.pushed - self.pipeline.buffered();
            let Some(received) = self.pipeline.next(now) else {
                return;
            };
            match received {
                Received::Frame { bytes, body, .. } => {
                    let to = self.pushed - self.pipeline.buffered();
                    let stretch = self.stretch;
                    trial.spans.push(Span { stretch, from, to });
                    trial.covered += to - from;
                    if trial.frames.len() < MOST_KEPT
                        && let Some(left) = kept.checked_sub(bytes.len())
                    {
                        *kept = left;
                        trial.frames.push(bytes);
                        trial.bodies.push(body);
                    }
                }
                Received::Broken(why) => {
                    trial.broken += 1;
                    trial.why = Some(why);
                }
                _ => {}
            }
        }
    }
}
