//! A reading as a message: the body and the application properties of the message contract.

use std::fmt::Write as _;
use std::sync::LazyLock;

use bytes::Bytes;
use jiff::Timestamp;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::actions::Counted;
use super::protocol::BodyForm;
use crate::identity::Device;
use crate::message::{Body, Name, Part, Reading, Value, base64, is_reserved_property};

/// Longest value of an application property, in characters.
const MAX_PROPERTY: usize = 128;

/// Property names that the message itself sets.
const OWN: [&str; 6] = [
    "device",
    "protocol",
    "type",
    "unknownDevice",
    "badChecksum",
    "textReplaced",
];

/// Whether no static property may have that name: it has a meaning to edgeHub or IoT Hub, the
/// message sets it itself, or it cannot be written.
pub fn reserved_property(name: &str) -> bool {
    let hub = name
        .get(..7)
        .is_some_and(|start| start.eq_ignore_ascii_case("iothub-"));
    hub || is_reserved_property(name)
        || !name.bytes().all(|byte| byte.is_ascii_graphic())
        || OWN.iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// The member `values` of the message that a frame makes, as JSON; not of a frame that is split.
pub fn values(reading: &Reading, frame: &[u8]) -> Bytes {
    let values = Values {
        reading,
        part: None,
        frame,
    };
    json(&values, values.about())
}

/// All that a message says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    pub(super) protocol: &'a Name,
    /// The listener, or the entry of `outbound` where the device was dialled.
    pub(super) listener: &'a Name,
    pub(super) dialled: bool,
    pub(super) device: &'a Device,
    /// Whether the device is not in the map.
    pub(super) unknown: bool,
    pub(super) bad_checksum: bool,
    /// When the frame came, as [`stamp`] writes it.
    pub(super) received: &'a Name,
    pub(super) frame: &'a Bytes,
    pub(super) reading: &'a Reading,
    /// The element of a split list that it is made of.
    pub(super) part: Option<&'a Part>,
}

impl Source<'_> {
    /// The body; what is counted comes to `counted`.
    pub(super) fn body(&self, form: BodyForm, counted: &mut Vec<Counted>) -> Body {
        if form == BodyForm::Raw {
            return Body::Raw(self.frame.clone());
        }
        let values = Values {
            reading: self.reading,
            part: self.part,
            frame: self.frame,
        };
        match values.published().map(|(_, value)| not_finite(value)).sum() {
            0 => {}
            count => counted.push(Counted::NotFinite(count)),
        }
        let about = values.about();
        match form {
            BodyForm::Values => Body::Values(json(&values, about)),
            BodyForm::Message | BodyForm::Raw => {
                let values = Contract {
                    source: self,
                    values,
                };
                Body::Contract(json(&values, about + ENVELOPE))
            }
        }
    }

    /// The application properties; names left out come to `counted`.
    pub(super) fn properties(&self, counted: &mut Vec<Counted>) -> Vec<(Name, Name)> {
        let mut properties = Vec::with_capacity(4 + self.device.properties.len());
        let mut add = |name: &Name, value: Name| properties.push((Name::clone(name), value));
        add(&NAMES.device, printable(&self.device.name));
        add(&NAMES.protocol, printable(self.protocol));
        if let Some(kind) = &self.reading.kind {
            add(&NAMES.kind, printable(kind));
        }
        if self.unknown {
            add(&NAMES.unknown, Name::clone(&NAMES.yes));
        }
        if self.bad_checksum {
            add(&NAMES.bad_checksum, Name::clone(&NAMES.yes));
        }
        if self.reading.replaced {
            add(&NAMES.text_replaced, Name::clone(&NAMES.yes));
        }
        let created = self.time().map(stamp);
        add(
            &NAMES.created,
            created.unwrap_or_else(|| Name::clone(self.received)),
        );
        self.add_static(&mut properties, counted);
        properties
    }

    /// The device's own time: the element's where it has one of its own.
    fn time(&self) -> Option<Timestamp> {
        match self.part {
            Some(part) if part.fields.get("time").is_some() => part.time,
            _ => self.reading.time,
        }
    }

    fn add_static(&self, properties: &mut Vec<(Name, Name)>, counted: &mut Vec<Counted>) {
        for (name, value) in self.device.properties.iter() {
            // edgeHub drops a message whose property names differ only in case.
            let twice = properties
                .iter()
                .any(|(known, _)| known.eq_ignore_ascii_case(name));
            if twice || reserved_property(name) {
                counted.push(Counted::PropertyLeftOut(Name::clone(name)));
            } else if !value.is_empty() {
                properties.push((Name::clone(name), printable(value)));
            }
        }
    }
}

/// Text as IoT Hub takes it in a property: printable ASCII, at most 128 characters.
fn printable(text: &Name) -> Name {
    let fits = |byte: u8| matches!(byte, b' '..=b'~');
    if text.len() <= MAX_PROPERTY && text.bytes().all(fits) {
        return Name::clone(text);
    }
    let printable = text.chars().take(MAX_PROPERTY);
    let printable = printable.map(|c| {
        if c.is_ascii() && fits(c as u8) {
            c
        } else {
            '_'
        }
    });
    printable.collect::<String>().into()
}

/// The last stamp: frames that are read together come at one moment.
#[derive(Debug, Default)]
pub(super) struct LastStamp(Option<(Timestamp, Name)>);

impl LastStamp {
    /// That moment as [`stamp`] writes it.
    pub(super) fn of(&mut self, time: Timestamp) -> Name {
        match &self.0 {
            Some((last, text)) if *last == time => Name::clone(text),
            _ => Name::clone(&self.0.insert((time, stamp(time))).1),
        }
    }
}

/// RFC 3339, UTC, with milliseconds.
pub(super) fn stamp(time: Timestamp) -> Name {
    let mut text = String::with_capacity(32);
    // Writing into memory does not fail.
    write!(text, "{time:.3}").unwrap_or(());
    text.into()
}

fn not_finite(value: &Value) -> usize {
    match value {
        Value::Float(float) => usize::from(!float.is_finite()),
        Value::List(values) => values.iter().map(not_finite).sum(),
        Value::Object(fields) => fields.iter().map(|(_, value)| not_finite(value)).sum(),
        _ => 0,
    }
}

/// Bytes that are taken on a guess.
const MOST_ABOUT: usize = 1024;
/// A field's name and what stands around it, about.
const NAME: usize = 16;
/// What a message says besides its values, about.
const ENVELOPE: usize = 192;

fn json(value: &impl Serialize, about: usize) -> Bytes {
    let mut body = Vec::with_capacity(about);
    match serde_json::to_writer(&mut body, value) {
        Ok(()) => {
            // The room in memory counts what a message says, not what it takes.
            if body.capacity() > 2 * body.len() {
                body.shrink_to_fit();
            }
            body.into()
        }
        // Writing into memory fails only for keys that are no text, and there are none.
        Err(_) => Bytes::from_static(b"{}"),
    }
}

struct Contract<'a> {
    source: &'a Source<'a>,
    values: Values<'a>,
}

impl Serialize for Contract<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let source = self.source;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("device", &*source.device.name)?;
        map.serialize_entry("protocol", &**source.protocol)?;
        let way = if source.dialled {
            "outbound"
        } else {
            "listener"
        };
        map.serialize_entry(way, &**source.listener)?;
        map.serialize_entry("received", &**source.received)?;
        if let Some(time) = source.time() {
            map.serialize_entry("time", &time.to_string())?;
        }
        if let Some(kind) = &source.reading.kind {
            map.serialize_entry("type", &**kind)?;
        }
        map.serialize_entry("values", &self.values)?;
        map.end()
    }
}

/// Member `values`; of an undecoded frame with the whole frame as `raw`.
struct Values<'a> {
    reading: &'a Reading,
    part: Option<&'a Part>,
    frame: &'a [u8],
}

impl<'a> Values<'a> {
    /// Bytes of JSON, about: the values of most frames are about as long as the frame, and have names.
    fn about(&self) -> usize {
        if self.part.is_some() {
            // How much of the frame an element is, nobody knows.
            return 0;
        }
        let names = self.reading.fields.len().saturating_mul(NAME);
        self.frame.len().saturating_add(names).min(MOST_ABOUT)
    }

    fn published(&self) -> impl Iterator<Item = (&'a Name, &'a Value)> {
        let (reading, part) = (self.reading, self.part);
        let raw = reading.undecoded.is_some();
        let of_frame = reading.fields.published().filter(move |(name, _)| {
            let hidden = part.is_some_and(|part| part.fields.get(name).is_some());
            !(hidden || raw && &***name == "raw")
        });
        let of_part = part.into_iter().flat_map(|part| part.fields.published());
        of_frame.chain(of_part)
    }
}

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.published()
            .try_for_each(|(name, value)| map.serialize_entry(&**name, value))?;
        if self.reading.undecoded.is_some() {
            map.serialize_entry("raw", &base64(self.frame))?;
        }
        map.end()
    }
}

/// Names every message uses, made once.
static NAMES: LazyLock<PropertyNames> = LazyLock::new(|| PropertyNames {
    device: "device".into(),
    protocol: "protocol".into(),
    kind: "type".into(),
    unknown: "unknownDevice".into(),
    bad_checksum: "badChecksum".into(),
    text_replaced: "textReplaced".into(),
    created: "iothub-creation-time-utc".into(),
    yes: "true".into(),
});

struct PropertyNames {
    device: Name,
    protocol: Name,
    kind: Name,
    unknown: Name,
    bad_checksum: Name,
    text_replaced: Name,
    created: Name,
    yes: Name,
}
