//! What goes wrong on purpose.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use edge_tcp_gateway::notation::unknown_word;
use edge_tcp_gateway::pipeline::Received;
use fastrand::Rng;

use super::stage::Stage;

/// How often bytes that break nothing else are looked for.
const TRIES: usize = 32;
/// Bytes of garbage at most.
const MOST_GARBAGE: usize = 40;

/// Something that goes wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The frame comes in pieces.
    Split,
    /// Bytes that belong to no frame come before it.
    Garbage,
    /// The connection ends in a frame.
    Drop,
    /// Nothing is said for a while; of a called device: no answer.
    Silent,
    /// The frame with a wrong check value.
    BadChecksum,
    /// The connection is reset in a frame.
    Reset,
    /// The answer comes late.
    Slow,
    /// A Modbus exception instead of the answer.
    Exception,
    /// A Modbus answer to another transaction.
    WrongTransaction,
}

/// Every fault and its word.
const WORDS: [(Fault, &str); 9] = [
    (Fault::Split, "split"),
    (Fault::Garbage, "garbage"),
    (Fault::Drop, "drop"),
    (Fault::Silent, "silent"),
    (Fault::BadChecksum, "bad-checksum"),
    (Fault::Reset, "reset"),
    (Fault::Slow, "slow"),
    (Fault::Exception, "exception"),
    (Fault::WrongTransaction, "wrong-transaction"),
];

/// How many faults there are.
pub const FAULTS: usize = WORDS.len();

impl Fault {
    /// Every fault.
    pub fn all() -> impl Iterator<Item = Fault> {
        WORDS.iter().map(|(fault, _)| *fault)
    }

    /// Its place among all.
    pub fn number(self) -> usize {
        Fault::all().position(|fault| fault == self).unwrap_or(0)
    }

    /// Whether a device that connects can do that.
    pub fn is_of_senders(self) -> bool {
        !matches!(
            self,
            Fault::Slow | Fault::Exception | Fault::WrongTransaction
        )
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = WORDS.iter().find(|(fault, _)| fault == self);
        f.write_str(word.map_or("", |(_, word)| word))
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = WORDS.iter().find(|(_, word)| *word == text);
        let words = WORDS.map(|(_, word)| word);
        known
            .map(|(fault, _)| *fault)
            .ok_or_else(|| unknown_word("fault", text, &words))
    }
}

/// Which faults there are, and how often one.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// The faults of which one is chosen.
    pub kinds: Vec<Fault>,
    /// How often, of 1.
    pub rate: f64,
}

impl Faults {
    /// Says whether something goes wrong this time, and what.
    pub fn next(&self, rng: &mut Rng) -> Option<Fault> {
        // The same numbers are drawn whatever comes of them, so that a run can be repeated.
        let (happens, which) = (rng.f64() < self.rate, rng.usize(..));
        let which = which.checked_rem(self.kinds.len())?;
        self.kinds.get(which).copied().filter(|_| happens)
    }
}

/// Bytes that the gateway skips before a frame, which is still found; `None` where the framing cannot
/// find a frame behind others.
pub fn garbage_before(stage: &Stage, wire: &[u8], rng: &mut Rng) -> Option<Vec<u8>> {
    (0..TRIES).find_map(|_| {
        let mut bytes = garbage(rng);
        let length = bytes.len();
        bytes.extend_from_slice(wire);
        let mut received = stage.received(&bytes);
        let last = received.pop()?;
        let is_skipped = |one: &Received| {
            matches!(
                one,
                Received::Skipped { .. } | Received::BadChecksum { .. } | Received::TooLong { .. }
            )
        };
        let skipped = received.iter().all(is_skipped);
        let found = last == stage.received(wire).pop()?;
        (skipped && found && is_good(&last)).then(|| bytes.drain(..length).collect())
    })
}

/// Any bytes.
pub fn garbage(rng: &mut Rng) -> Vec<u8> {
    let count = rng.usize(1..=MOST_GARBAGE);
    (0..count).map(|_| rng.u8(..)).collect()
}

/// The frame with one bit changed, which the gateway sees as one frame with a wrong check value;
/// `None` where no bit does that.
pub fn bad_checksum(stage: &Stage, wire: &[u8], rng: &mut Rng) -> Option<Bytes> {
    (0..TRIES).find_map(|_| {
        let mut bytes = wire.to_vec();
        let at = rng.usize(..bytes.len().max(1));
        *bytes.get_mut(at)? ^= 1 << rng.u8(..8);
        let received = stage.received(&bytes);
        let is_refused = |one: &Received| match one {
            Received::BadChecksum { .. } => true,
            Received::Frame { checksum_ok, .. } => !checksum_ok,
            _ => false,
        };
        (received.len() == 1 && received.iter().all(is_refused)).then(|| bytes.into())
    })
}

/// Whether it is a frame.
pub fn is_frame(received: &Received) -> bool {
    matches!(received, Received::Frame { .. })
}

/// Whether it is a frame with the right check values.
pub fn is_good(received: &Received) -> bool {
    match received {
        Received::Frame { checksum_ok, .. } => *checksum_ok,
        _ => false,
    }
}
