//! Plain data that travels through the module: values, readings, messages, tickets.
//!
//! Nothing here knows where it came from or where it goes.

mod fields;
mod value;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

pub use fields::{Fields, Known, Label, Labels};
pub use value::{Integer, Value, base64};

/// A name chosen by the author of the settings or derived from them; shared, never copied per frame.
pub type Name = Arc<str>;

/// Text that needs no memory of its own while it is short.
pub type Text = compact_str::CompactString;

/// One frame: the bytes between two boundaries, as the framing hands them on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The frame; offsets in the settings count from its first byte.
    pub bytes: &'a [u8],
    /// What of it is decoded.
    pub body: Extent,
}

/// What of a frame is decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Where decoding starts.
    pub start: usize,
    /// Bytes at the end, from the check value on, that are not read in order: a frame that is too
    /// short must not have its check value taken for a field.
    pub tail: usize,
}

impl From<usize> for Extent {
    /// From there to the end of the frame.
    fn from(start: usize) -> Self {
        Extent { start, tail: 0 }
    }
}

/// The decoded values of one frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// The message's `type`: the selected layout's name or its `type` member; `undecoded` when no rule fitted.
    pub kind: Option<Name>,
    /// Every field that was read: selects, conditions, replies and identity see all. Those marked `drop` are
    /// hidden: the message's `values` leave them out.
    pub fields: Fields,
    /// The device's own time, from a field named `time`.
    pub time: Option<jiff::Timestamp>,
    /// Whether the frame makes a message at all.
    pub publish: bool,
    /// Names of the replies its layout asks for, first match wins; empty means "those with a `when`".
    pub replies: Arc<[Name]>,
    /// The layout's output.
    pub output: Option<Name>,
    /// Whether text that was not valid in its encoding has been replaced by U+FFFD.
    pub replaced: bool,
    /// The elements of the list that is split, each of which makes a message of its own together with
    /// `fields`; `None` where the whole frame makes one.
    pub parts: Option<Vec<Part>>,
    /// Why no rule decoded the frame; `None` when one did.
    pub undecoded: Option<String>,
}

/// What one element of a split list adds to the message that is made of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    /// Its own fields; they hide fields of the frame that have the same name.
    pub fields: Fields,
    /// The device's own time, from a field named `time`.
    pub time: Option<jiff::Timestamp>,
}

/// One frame's claim to promises; numbered by its conversation, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// How far the messages of a ticket have got. Each is said once, when the last message has got there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Safe: forced to disk or acknowledged by edgeHub, whichever comes first.
    Stored,
    /// Acknowledged by edgeHub.
    Delivered,
    /// At least one message was dropped and will never arrive.
    Lost,
}

/// What a message costs in memory beside what it says.
const OVERHEAD: usize = 512;

/// One message for the north, complete but for an id that the spool's sequence gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// IoT Edge output name, for edgeHub's routes.
    pub output: Name,
    /// The device it is from; messages of one device keep their order.
    pub device: Name,
    /// An id made of the device's own fields (`messageId`); without it `{spool}-{sequence}` is used.
    pub id: Option<String>,
    /// The body.
    pub body: Body,
    /// Application properties, printable ASCII of at most 128 characters each.
    pub properties: Vec<(Name, Name)>,
}

impl Message {
    /// Bytes this message is counted with against the bounds of queues.
    pub fn size(&self) -> usize {
        let properties: usize = self
            .properties
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        self.body.bytes().len() + properties + self.output.len() + self.device.len()
    }

    /// Bytes of room in memory that it takes while it is kept there.
    pub fn cost(&self) -> usize {
        self.size().saturating_add(OVERHEAD)
    }
}

/// How urgent an output's messages are: all of high priority go before those of normal priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Priority {
    /// Alarms.
    High,
    /// Everything else.
    #[default]
    Normal,
}

impl Priority {
    /// Its word in file names.
    pub fn word(self) -> &'static str {
        match self {
            Priority::High => "high",
            Priority::Normal => "normal",
        }
    }
}

/// A message's place in the spool: given once, growing, never used twice in one spool. The upper
/// 24 bits say in which run of the module it was given, the lower 40 its number in that run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sequence(pub u64);

impl Sequence {
    const NUMBER_BITS: u32 = 40;

    /// The last run whose sequences there are.
    pub const LAST_RUN: u32 = (1 << 24) - 1;

    /// The first one of a run.
    pub fn first(run: u32) -> Self {
        Sequence((u64::from(run) << Self::NUMBER_BITS) | 1)
    }

    /// The first one of a run whose number another run may have had or may get, because it could
    /// not be noted: by chance, in the upper half, with room for 2^38 more.
    pub fn scattered(run: u32, chance: u64) -> Self {
        let upper_half = 1 << (Self::NUMBER_BITS - 1);
        let chance = chance & (upper_half / 2 - 1);
        Sequence((u64::from(run) << Self::NUMBER_BITS) | upper_half | chance)
    }

    /// The run in which it was given.
    pub fn run(self) -> u32 {
        u32::try_from(self.0 >> Self::NUMBER_BITS).unwrap_or(Self::LAST_RUN)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.0 & ((1 << Self::NUMBER_BITS) - 1);
        write!(f, "{}-{number}", self.0 >> Self::NUMBER_BITS)
    }
}

/// What stands in a message's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// The JSON object of the message contract, still without its `id` member.
    Contract(Bytes),
    /// The values alone, as JSON.
    Values(Bytes),
    /// The frame's bytes.
    Raw(Bytes),
}

impl Body {
    /// The bytes as they are now.
    pub fn bytes(&self) -> &Bytes {
        match self {
            Body::Contract(bytes) | Body::Values(bytes) | Body::Raw(bytes) => bytes,
        }
    }
}

/// The input that commands come by as messages.
pub const COMMANDS_INPUT: &str = "commands";
/// The output of what became of them.
pub const COMMAND_RESULTS: &str = "commandResults";

/// One connection of the process, accepted or outbound; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// One command of the cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommandId(pub u64);

/// The moment a step happens, in both clocks: intervals by `monotonic`, stamps by `utc`.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Never steps.
    pub monotonic: std::time::Instant,
    /// May step by years when the clock is set.
    pub utc: jiff::Timestamp,
}

/// Shows at most the first 16 bytes in hex: what a log line may hold of foreign bytes.
#[derive(Clone, Copy)]
pub struct HexPrefix<'a>(pub &'a [u8]);

impl fmt::Display for HexPrefix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.iter().take(16) {
            write!(f, "{byte:02x}")?;
        }
        if self.0.len() > 16 {
            write!(f, "… ({} bytes)", self.0.len())
        } else {
            Ok(())
        }
    }
}

impl fmt::Debug for HexPrefix<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Names that edgeHub takes for itself when they stand among the application properties; the
/// first two even replace the sender of the message.
const RESERVED_PROPERTIES: [&str; 11] = [
    "deviceId",
    "moduleId",
    "statusCode",
    "correlationId",
    "mqtt-qos",
    "mqtt-retain",
    "mqtt-dup",
    "MessageType",
    "ack",
    "iothub-operation",
    "params",
];

/// Whether a name must not be an application property: empty, reserved, or a system property's.
pub fn is_reserved_property(name: &str) -> bool {
    name.is_empty()
        || name.starts_with('$')
        || RESERVED_PROPERTIES
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name))
}
