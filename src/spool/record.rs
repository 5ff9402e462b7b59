//! How a segment's header and its records look on disk. Pure: bytes in, values out.
//!
//! All integers are little endian. A segment is a header and records behind each other:
//!
//! | header | bytes | record | bytes |
//! |---|---|---|---|
//! | `etgspool` | 8 | length of the content | 4 |
//! | version | 4 | CRC-32 (IEEE) of length and content | 4 |
//! | priority | 4 | sequence | 8 |
//! | spool's name | 8 | form of the body | 1 |
//! | CRC-32 of all before | 4 | output, device, id, properties: each with its length | |
//! | zero | 4 | body: the rest of the content | |
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use bytes::Bytes;
use thiserror::Error;

use crate::message::{Body, Message, Name, Priority, Sequence};

/// Bytes of a segment's header.
pub const HEADER_BYTES: usize = 32;
/// Bytes of a record beside its content.
const LEAD_BYTES: usize = 8;
/// The longest record. A message that edgeHub takes needs a third of it.
pub const MAX_RECORD_BYTES: usize = 1 << 20;

/// Bytes of checksums that a search for a record may cost.
const MOST_EFFORT: usize = 64 << 20;
/// The last form of a body.
const LAST_FORM: u8 = 2;

const MAGIC: [u8; 8] = *b"etgspool";
const VERSION: u32 = 1;
/// Instead of a length: there is no id.
const NO_ID: u32 = u32::MAX;

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The spool it belongs to.
    pub spool: u64,
    /// Which of its logs.
    pub priority: Priority,
}

/// Why a segment cannot be read at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// It ends before the header does: nothing was ever stored in it.
    #[error("it has no whole header")]
    Short,
    /// It is none of ours, or damaged.
    #[error("its header is damaged")]
    Damaged,
    /// A later version of the module wrote it.
    #[error("it is of version {0}, this module reads version {VERSION}")]
    Newer(u32),
}

/// A message that no record can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a message is longer than {MAX_RECORD_BYTES} bytes")]
pub struct TooLong;

/// What stands at the beginning of some bytes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// A whole record.
    Record(Record<'a>),
    /// The beginning of a record of so many bytes; 0 if even its length is cut off.
    Incomplete(usize),
    /// No record: torn or damaged.
    Damaged,
}

/// A record whose checksum is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The message's place in the spool.
    pub sequence: Sequence,
    /// Bytes of the whole record.
    pub length: usize,
    rest: &'a [u8],
}

/// Writes a segment's header.
pub fn header(header: Header) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&u32::from(header.priority == Priority::High).to_le_bytes());
    out.extend_from_slice(&header.spool.to_le_bytes());
    let sum = crc32fast::hash(&out);
    out.extend_from_slice(&sum.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out
}

/// Reads a segment's header.
///
/// # Errors
/// When there is none, or none that this version reads.
pub fn read_header(bytes: &[u8]) -> Result<Header, HeaderError> {
    let bytes = bytes.get(..HEADER_BYTES).ok_or(HeaderError::Short)?;
    let mut content = Content(bytes);
    let damaged = HeaderError::Damaged;
    let magic = content.take(MAGIC.len()).ok_or(damaged)?;
    let version = content.number().ok_or(damaged)?;
    let priority = content.number().ok_or(damaged)?;
    let spool = content.long().ok_or(damaged)?;
    let sum = content.number().ok_or(damaged)?;
    let covered = bytes.get(..24).unwrap_or_default();
    if magic != MAGIC || crc32fast::hash(covered) != sum {
        return Err(damaged);
    }
    if version != VERSION {
        return Err(HeaderError::Newer(version));
    }
    let priority = match priority {
        0 => Priority::Normal,
        1 => Priority::High,
        _ => return Err(damaged),
    };
    Ok(Header { spool, priority })
}

/// Appends a record to `out`; gives its length.
///
/// # Errors
/// When the message is too long; `out` is as before then.
pub fn encode(sequence: Sequence, message: &Message, out: &mut Vec<u8>) -> Result<usize, TooLong> {
    let start = out.len();
    out.extend_from_slice(&[0; LEAD_BYTES]);
    out.extend_from_slice(&sequence.0.to_le_bytes());
    out.push(match message.body {
        Body::Contract(_) => 0,
        Body::Values(_) => 1,
        Body::Raw(_) => 2,
    });
    text(out, &message.output);
    text(out, &message.device);
    match &message.id {
        Some(id) => text(out, id),
        None => out.extend_from_slice(&NO_ID.to_le_bytes()),
    }
    count(out, message.properties.len());
    for (name, value) in &message.properties {
        text(out, name);
        text(out, value);
    }
    out.extend_from_slice(message.body.bytes());
    let length = out.len().saturating_sub(start);
    if length > MAX_RECORD_BYTES {
        out.truncate(start);
        return Err(TooLong);
    }
    let content = u32::try_from(length.saturating_sub(LEAD_BYTES)).unwrap_or(0);
    let record = out.get_mut(start..).unwrap_or_default();
    let (lead, content_bytes) = record.split_at_mut_checked(LEAD_BYTES).unwrap_or_default();
    let lengths = content.to_le_bytes();
    let sum = checksum(lengths, content_bytes).to_le_bytes();
    for (slot, byte) in lead.iter_mut().zip(lengths.into_iter().chain(sum)) {
        *slot = byte;
    }
    Ok(length)
}

/// Reads what stands at the beginning of `bytes`.
pub fn parse(bytes: &[u8]) -> Parsed<'_> {
    let mut content = Content(bytes);
    let (Some(length), Some(sum)) = (content.number(), content.number()) else {
        return Parsed::Incomplete(0);
    };
    let content_bytes = usize::try_from(length).unwrap_or(usize::MAX);
    let whole = content_bytes.saturating_add(LEAD_BYTES);
    if whole > MAX_RECORD_BYTES {
        return Parsed::Damaged;
    }
    let Some(bytes) = content.take(content_bytes) else {
        return Parsed::Incomplete(whole);
    };
    if checksum(length.to_le_bytes(), bytes) != sum {
        return Parsed::Damaged;
    }
    let mut content = Content(bytes);
    match content.long() {
        Some(sequence) => Parsed::Record(Record {
            sequence: Sequence(sequence),
            length: whole,
            rest: content.0,
        }),
        None => Parsed::Damaged,
    }
}

/// Whether a whole record stands somewhere behind the first byte. Where so much looks like one that
/// the search would take long, there is one.
pub fn has_record(bytes: &[u8]) -> bool {
    let mut effort = MOST_EFFORT;
    for at in 1..bytes.len() {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(length) = looks_like(rest) else {
            continue;
        };
        let Some(left) = effort.checked_sub(length) else {
            return true;
        };
        effort = left;
        if matches!(parse(rest), Parsed::Record(_)) {
            return true;
        }
    }
    false
}

/// The length of what could be a record, without a look at its checksum.
fn looks_like(bytes: &[u8]) -> Option<usize> {
    let mut lead = Content(bytes);
    let content = usize::try_from(lead.number()?).ok()?;
    lead.take(4)?;
    let mut content_bytes = Content(lead.take(content)?);
    content_bytes.long()?;
    let form = *content_bytes.take(1)?.first()?;
    let output = usize::try_from(content_bytes.number()?).ok()?;
    let looks = form <= LAST_FORM && content_bytes.take(output).is_some();
    looks.then(|| content.saturating_add(LEAD_BYTES))
}

impl Record<'_> {
    /// The output of the message.
    pub fn output(&self) -> Option<&str> {
        let mut content = Content(self.rest);
        content.take(1)?;
        content.text()
    }

    /// The message; `None` if a right checksum stands over a content that nobody has written.
    pub fn message(&self) -> Option<Message> {
        let mut content = Content(self.rest);
        let form = *content.take(1)?.first()?;
        let output = Name::from(content.text()?);
        let device = Name::from(content.text()?);
        let id = content.optional_text()?.map(str::to_owned);
        let mut properties = Vec::new();
        for _ in 0..content.number()? {
            properties.push((Name::from(content.text()?), Name::from(content.text()?)));
        }
        let body = Bytes::copy_from_slice(content.0);
        let body = match form {
            0 => Body::Contract(body),
            1 => Body::Values(body),
            2 => Body::Raw(body),
            _ => return None,
        };
        Some(Message {
            output,
            device,
            id,
            body,
            properties,
        })
    }
}

/// The part of a content that is not read yet.
struct Content<'a>(&'a [u8]);

impl<'a> Content<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn long(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.number()?;
        self.text_of(length)
    }

    fn optional_text(&mut self) -> Option<Option<&'a str>> {
        match self.number()? {
            NO_ID => Some(None),
            length => self.text_of(length).map(Some),
        }
    }

    fn text_of(&mut self, length: u32) -> Option<&'a str> {
        std::str::from_utf8(self.take(usize::try_from(length).ok()?)?).ok()
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    count(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// More than fits is more than [`MAX_RECORD_BYTES`], and refused by that.
fn count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&u32::try_from(count).unwrap_or(0).to_le_bytes());
}

fn checksum(length: [u8; 4], content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length);
    hasher.update(content);
    hasher.finalize()
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "tests")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn messages() -> impl Strategy<Value = Message> {
        let body = prop::collection::vec(any::<u8>(), 0..64);
        let properties = prop::collection::vec((".{0,8}", ".{0,8}"), 0..4);
        let id = prop::option::of(".{0,8}");
        (".{0,8}", ".{0,8}", id, 0..3_u8, (body, properties)).prop_map(
            |(output, device, id, form, (body, properties))| {
                let body = Bytes::from(body);
                Message {
                    output: output.as_str().into(),
                    device: device.as_str().into(),
                    id,
                    body: match form {
                        0 => Body::Contract(body),
                        1 => Body::Values(body),
                        _ => Body::Raw(body),
                    },
                    properties: properties
                        .into_iter()
                        .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
                        .collect(),
                }
            },
        )
    }

    proptest! {
        #[test]
        fn a_record_comes_back_as_it_was_and_no_damage_goes_unseen(
            message in messages(), sequence: u64, cut: prop::sample::Index, bit: prop::sample::Index,
        ) {
            let mut bytes = vec![7];
            let length = encode(Sequence(sequence), &message, &mut bytes).unwrap();
            let bytes = &bytes[1..];
            prop_assert_eq!(length, bytes.len());
            let Parsed::Record(record) = parse(bytes) else { panic!("no record") };
            prop_assert_eq!((record.sequence, record.length), (Sequence(sequence), length));
            prop_assert_eq!(record.output(), Some(&*message.output));
            prop_assert_eq!(record.message(), Some(message));
            let cut = cut.index(length);
            prop_assert!(matches!(parse(&bytes[..cut]), Parsed::Incomplete(needs) if needs == 0 || needs == length));
            let mut flipped = bytes.to_vec();
            let bit = bit.index(length * 8);
            flipped[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!matches!(parse(&flipped), Parsed::Record(_)));
        }

        #[test]
        fn whatever_stands_there_is_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let header = read_header(&bytes);
            prop_assert!(header.is_err() || bytes.starts_with(&MAGIC));
            if let Parsed::Record(record) = parse(&bytes) {
                record.message();
            }
        }
    }

    #[test]
    fn a_record_is_found_wherever_it_stands_and_nothing_else_is_taken_for_one() {
        let message = Message {
            output: "o".into(),
            device: "d".into(),
            id: None,
            body: Body::Raw("text".into()),
            properties: Vec::new(),
        };
        let mut bytes = vec![0; 50];
        let length = encode(Sequence(1), &message, &mut bytes).unwrap();
        bytes.extend([3; 20]);
        assert!(has_record(&bytes));
        assert!(!has_record(&bytes[50..]), "the first byte does not count");
        for cut in 50..50 + length {
            assert!(!has_record(&bytes[..cut]), "cut at {cut}");
        }
        bytes[60] ^= 1;
        assert!(!has_record(&bytes));
        // Many that look like one: an end comes, and it is the careful one.
        let lead = [&0x000f_0000_u32.to_le_bytes()[..], &[0; 22]].concat();
        assert!(has_record(&lead.repeat(60_000)));
    }

    #[test]
    fn a_header_names_its_spool_and_a_newer_version_is_told_from_damage() {
        let written = Header {
            spool: 0xf00d,
            priority: Priority::High,
        };
        let bytes = header(written);
        assert_eq!(bytes.len(), HEADER_BYTES);
        assert_eq!(read_header(&bytes), Ok(written));
        assert_eq!(read_header(&bytes[..31]), Err(HeaderError::Short));
        let mut newer = bytes.clone();
        newer[8] = 2;
        assert_eq!(read_header(&newer), Err(HeaderError::Damaged));
        let sum = crc32fast::hash(&newer[..24]).to_le_bytes();
        newer[24..28].copy_from_slice(&sum);
        assert_eq!(read_header(&newer), Err(HeaderError::Newer(2)));
    }

    #[test]
    fn what_no_record_can_hold_is_refused_and_leaves_nothing() {
        let message = Message {
            output: "o".into(),
            device: "d".into(),
            id: None,
            body: Body::Raw(vec![0; MAX_RECORD_BYTES].into()),
            properties: Vec::new(),
        };
        let mut out = vec![1];
        assert_eq!(encode(Sequence(1), &message, &mut out), Err(TooLong));
        assert_eq!(out, [1]);
    }
}
