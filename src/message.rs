//! Plain data that travels through the module: values, readings, messages, tickets.
//!
//! Nothing here knows where it came from or where it goes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

/// A name chosen by the author of the settings or derived from them; shared, never copied per frame.
pub type Name = Arc<str>;

/// One decoded value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Known to be absent (a device's "no value" code, or a float that JSON cannot say).
    Null,
    /// A flag.
    Bool(bool),
    /// An exact integer. Decoders keep it within `i64::MIN..=u64::MAX`, which JSON readers can take.
    Integer(i128),
    /// A float. NaN and the infinities become `null` in JSON.
    Float(f64),
    /// Text, already valid UTF-8.
    Text(String),
    /// Bytes that no step turned into something else; base64 in JSON.
    Bytes(Bytes),
    /// Values in a row.
    List(Vec<Value>),
    /// Named values.
    Object(Fields),
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Integer(value) => match i64::try_from(*value) {
                Ok(small) => serializer.serialize_i64(small),
                Err(_) => serializer.serialize_i128(*value),
            },
            Value::Float(value) if value.is_finite() => serializer.serialize_f64(*value),
            Value::Float(_) => serializer.serialize_unit(),
            Value::Text(value) => serializer.serialize_str(value),
            Value::Bytes(value) => serializer.serialize_str(&base64(value)),
            Value::List(values) => {
                let mut seq = serializer.serialize_seq(Some(values.len()))?;
                for value in values {
                    seq.serialize_element(value)?;
                }
                seq.end()
            }
            Value::Object(fields) => fields.serialize(serializer),
        }
    }
}

/// Standard base64 with padding (RFC 4648), the form in which bytes stand in JSON.
pub fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Named values in the order in which they were read. Setting a name again replaces its value.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    values: Vec<(Name, Value)>,
    /// The [`mark`] of each name that was ever set: of most new names it says, without a look at the
    /// others, that they are new.
    marks: u64,
}

/// One bit for a name; other names may have the same.
#[inline]
fn mark(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let byte = |at: Option<&u8>| at.copied().map_or(0, u32::from);
    let mixed = byte(bytes.first())
        | byte(bytes.get(bytes.len() / 2)) << 8
        | byte(bytes.last()) << 16
        | (bytes.len() as u32) << 24;
    1 << (mixed.wrapping_mul(0x9e37_79b1) >> 26)
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.values == other.values
    }
}

impl Fields {
    /// No values.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes room for so many more values.
    pub fn reserve(&mut self, count: usize) {
        self.values.reserve(count);
    }

    /// The value of that name; where [`Fields::set_behind`] has made two of them, the later one.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let mut latest = self.values.iter().rev();
        latest
            .find(|(known, _)| &**known == name)
            .map(|(_, value)| value)
    }

    /// Sets a value; an earlier one of the same name is replaced in its place.
    pub fn set(&mut self, name: Name, value: Value) {
        self.set_behind(0, name, value);
    }

    /// Sets a value among those behind the first `count`, which stay as they are.
    #[inline]
    pub fn set_behind(&mut self, count: usize, name: Name, value: Value) {
        let mark = mark(&name);
        if self.marks & mark != 0 {
            let mut behind = self.values.iter_mut().skip(count);
            if let Some((_, slot)) = behind.find(|(known, _)| *known == name) {
                *slot = value;
                return;
            }
        }
        self.marks |= mark;
        self.values.push((name, value));
    }

    /// Takes out the values behind the first `count`.
    pub fn split_off(&mut self, count: usize) -> Fields {
        let values = self.values.split_off(count.min(self.values.len()));
        let marks = self.marks;
        Fields { values, marks }
    }

    /// Takes a value out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let at = self.values.iter().position(|(known, _)| &**known == name)?;
        Some(self.values.remove(at).1)
    }

    /// Names and values in reading order.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &Value)> {
        self.values.iter().map(|(name, value)| (name, value))
    }

    /// How many values.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

impl FromIterator<(Name, Value)> for Fields {
    fn from_iter<I: IntoIterator<Item = (Name, Value)>>(values: I) -> Self {
        let mut fields = Fields::new();
        fields.extend(values);
        fields
    }
}

/// Up to so many names each is looked for among all.
const FEW: usize = 16;

impl From<Vec<(Name, Value)>> for Fields {
    fn from(values: Vec<(Name, Value)>) -> Self {
        let twice = |at: usize, name: &Name| values.iter().take(at).any(|(known, _)| known == name);
        let mut names = values.iter().map(|(name, _)| name).enumerate();
        if values.len() <= FEW && !names.any(|(at, name)| twice(at, name)) {
            let marks = values.iter().fold(0, |marks, (name, _)| marks | mark(name));
            return Fields { values, marks };
        }
        values.into_iter().collect()
    }
}

impl Extend<(Name, Value)> for Fields {
    fn extend<I: IntoIterator<Item = (Name, Value)>>(&mut self, values: I) {
        self.extend_behind(0, values);
    }
}

impl Fields {
    /// Sets values among those behind the first `count`, which stay as they are.
    pub fn extend_behind(&mut self, count: usize, values: impl IntoIterator<Item = (Name, Value)>) {
        // Foreign bytes choose names here: to look for each among all would take the square of their number.
        let known = self.values.iter().enumerate().skip(count);
        let mut places: BTreeMap<Name, usize> =
            known.map(|(at, (name, _))| (name.clone(), at)).collect();
        for (name, value) in values {
            match places.get(&name).and_then(|at| self.values.get_mut(*at)) {
                Some((_, slot)) => *slot = value,
                None => {
                    places.insert(name.clone(), self.values.len());
                    self.marks |= mark(&name);
                    self.values.push((name, value));
                }
            }
        }
    }
}

impl IntoIterator for Fields {
    type Item = (Name, Value);
    type IntoIter = std::vec::IntoIter<(Name, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.values.into_iter()
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.values.len()))?;
        for (name, value) in &self.values {
            map.serialize_entry(&**name, value)?;
        }
        map.end()
    }
}

/// One frame: the bytes between two boundaries, as the framing hands them on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The frame; offsets in the settings count from its first byte.
    pub bytes: &'a [u8],
    /// Where decoding starts.
    pub body: usize,
}

/// The decoded values of one frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// The message's `type`: the selected layout's name or its `type` member; `undecoded` when no rule fitted.
    pub kind: Option<Name>,
    /// Every field that was read, those marked `drop` included: selects, conditions, replies and identity see all.
    pub fields: Fields,
    /// Names in `fields` that the message's `values` leave out.
    pub dropped: Vec<Name>,
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
    /// Names in `fields` that the message's `values` leave out.
    pub dropped: Vec<Name>,
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_behind_others_leave_those_as_they_are() {
        let field = |name: &str, value| (Name::from(name), Value::Integer(value));
        let mut fields: Fields = [field("a", 1), field("b", 2)].into_iter().collect();
        fields.extend_behind(1, [field("b", 3), field("a", 4), field("a", 5)]);
        let expected = vec![field("a", 1), field("b", 3), field("a", 5)];
        assert_eq!(fields.into_iter().collect::<Vec<_>>(), expected);
    }

    proptest! {
        #[test]
        fn a_name_is_there_once_with_what_was_set_last(
            names in prop::collection::vec("[ab]{0,4}|[a-z]{1,8}", 0..80), base in 0usize..4
        ) {
            let (mut fields, mut plain) = (Fields::new(), Vec::<(Name, Value)>::new());
            for (number, name) in (0i128..).zip(&names) {
                let (name, value) = (Name::from(&**name), Value::Integer(number));
                let mut known = plain.iter_mut().skip(base);
                match known.find(|(known, _)| *known == name) {
                    Some((_, slot)) => *slot = value.clone(),
                    None => plain.push((name.clone(), value.clone())),
                }
                fields.set_behind(base, name, value);
            }
            prop_assert_eq!(fields.into_iter().collect::<Vec<_>>(), plain);
        }
    }
}
