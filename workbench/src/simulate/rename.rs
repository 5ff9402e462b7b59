//! Where a frame says who it is from, and another identity written there.

use std::ops::Range;

use bytes::Bytes;
use edge_tcp_gateway::decoding::{Field, What};
use edge_tcp_gateway::message::Value;
use edge_tcp_gateway::pipeline::Received;

use super::stage::{Heard, Stage};

/// How an identity is written in its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// As text, so many bytes behind the place's first.
    Text(usize),
    /// As digits of half a byte, so many of them behind the first; perhaps the last byte first.
    Digits { before: usize, reversed: bool },
    /// As an integer.
    Integer { little: bool },
}

/// Where a frame says who it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its bytes in the frame.
    at: Range<usize>,
    form: Form,
    /// What stands there.
    pub text: String,
}

impl Place {
    /// The place in a frame, if it has one: a field of the identity that stands in bytes as they are.
    pub fn find(stage: &Stage, heard: &Heard) -> Option<Self> {
        let rule = &stage.protocol.identity;
        let mut names = rule.fields().filter(|(member, ..)| *member == "field");
        names.find_map(|(_, _, name)| {
            let mut noted = heard.trace.0.iter().rev();
            noted.find_map(|noted| match &noted.what {
                What::Field(field) if field.name == *name => {
                    let place = noted.place.clone().filter(|place| !place.is_empty())?;
                    Place::of_field(stage, heard, field, place)
                }
                _ => None,
            })
        })
    }

    fn of_field(
        stage: &Stage,
        heard: &Heard,
        field: &Field,
        decoded: Range<usize>,
    ) -> Option<Self> {
        let own = field.set.iter().find(|(name, _)| *name == field.name);
        let value = field.raw.as_ref().or(own.map(|(_, value)| value))?;
        let text = text(value)?;
        let at = in_the_frame(stage, heard, decoded);
        let bytes = heard.frame.get(at.clone())?;
        let form = form(bytes, value, &text)?;
        Some(Place { at, form, text })
    }

    /// The text of another device, which takes as many characters: the one that comes so many behind
    /// this one. `None` where there is no such.
    pub fn text_of(&self, number: u64) -> Option<String> {
        match self.form {
            Form::Integer { .. } => {
                let own: u128 = self.text.parse().ok()?;
                let other = own.checked_add(number.into())?;
                integer(other, self.at.len(), false).map(|_| other.to_string())
            }
            Form::Text(_) => counted_on(&self.text, number, &|character| match character {
                'a'..='z' => Some(('a', 26)),
                'A'..='Z' => Some(('A', 26)),
                _ => None,
            }),
            Form::Digits { .. } => counted_on(&self.text, number, &|_| None),
        }
    }

    /// The frame with another text in the place.
    fn write(&self, frame: &[u8], text: &str) -> Option<Vec<u8>> {
        let place = frame.get(self.at.clone())?;
        let mut own = place.to_vec();
        match self.form {
            Form::Text(before) => {
                let same = text.len() == self.text.len();
                let part = own.get_mut(before..before + self.text.len())?;
                same.then(|| part.copy_from_slice(text.as_bytes()))?;
            }
            Form::Digits { before, reversed } => {
                if text.len() != self.text.len() {
                    return None;
                }
                let mut digits = digits(place, reversed);
                digits.replace_range(before..before + text.len(), text);
                own = undigits(&digits, reversed)?;
            }
            Form::Integer { little } => own = integer(text.parse().ok()?, own.len(), little)?,
        }
        let mut written = frame.to_vec();
        written.get_mut(self.at.clone())?.copy_from_slice(&own);
        Some(written)
    }
}

/// The wire of a frame with another identity in it, its checksums mended; `None` where the place
/// cannot hold it.
pub fn rename(stage: &Stage, heard: &Heard, place: &Place, text: &str) -> Option<Vec<u8>> {
    let mut frame = place.write(&heard.frame, text)?;
    // Twice, because one may cover another.
    for checksum in stage
        .protocol
        .checksums
        .iter()
        .chain(&*stage.protocol.checksums)
    {
        checksum.write(&mut frame)?;
    }
    wire_of(stage, heard, &frame)
}

/// The wire of a frame that begins a connection: with the mark in front that it may share with the
/// frame before it.
pub fn whole_wire(stage: &Stage, heard: &Heard) -> Bytes {
    let wrapped = wrapped(stage, heard);
    wrapped.map_or_else(|| heard.wire.clone(), Bytes::from)
}

/// What the framing puts around the frame, if that is what the wire has.
fn wrapped(stage: &Stage, heard: &Heard) -> Option<Vec<u8>> {
    let wrapped = stage.protocol.framing.wrap(&heard.frame).ok()?;
    let same = |received: &Received| match received {
        Received::Frame { bytes, .. } => *bytes == heard.bytes,
        _ => false,
    };
    let is_own = wrapped.ends_with(&heard.wire) && stage.received(&wrapped).iter().all(same);
    is_own.then_some(wrapped)
}

/// A changed frame on the wire: wrapped, if that is what the wire has; else in the place of the frame
/// that stands there.
fn wire_of(stage: &Stage, heard: &Heard, frame: &[u8]) -> Option<Vec<u8>> {
    let framing = &stage.protocol.framing;
    if wrapped(stage, heard).is_some() {
        return framing.wrap(frame).ok();
    }
    let mut places = memchr::memmem::find_iter(&heard.wire, &heard.frame);
    let (Some(at), None) = (places.next(), places.next()) else {
        return framing.wrap(frame).ok();
    };
    let mut wire = heard.wire.to_vec();
    wire.get_mut(at..at + frame.len())?.copy_from_slice(frame);
    Some(wire)
}

/// A place of the decoded frame in the frame with its check values.
fn in_the_frame(stage: &Stage, heard: &Heard, decoded: Range<usize>) -> Range<usize> {
    let checksums = stage.protocol.checksums.iter();
    let explained = checksums.map(|checksum| checksum.explain(&heard.frame));
    let removed = explained.filter(|checksum| checksum.removed);
    let checks = removed.flat_map(|checksum| checksum.checks);
    let mut removed: Vec<Range<usize>> = checks.filter_map(|check| check.place).collect();
    removed.sort_by_key(|place| place.start);
    let moved = |at: usize| {
        removed
            .iter()
            .fold(at, |at, place| match place.start <= at {
                true => at + place.len(),
                false => at,
            })
    };
    let start = moved(decoded.start);
    start..start + decoded.len()
}

fn text(value: &Value) -> Option<String> {
    let text = match value {
        Value::Text(text) => text.trim().to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Bytes(bytes) => digits(bytes, false),
        _ => return None,
    };
    let plain = |character: char| character.is_ascii_graphic() || character == ' ';
    (!text.is_empty() && text.chars().all(plain)).then_some(text)
}

/// The form in which the bytes are the value.
fn form(bytes: &[u8], value: &Value, text: &str) -> Option<Form> {
    if let Value::Integer(number) = value {
        let number = u128::try_from(number.get()).ok()?;
        for little in [false, true] {
            if integer(number, bytes.len(), little).is_some_and(|own| own == bytes) {
                return Some(Form::Integer { little });
            }
        }
    }
    if let Some(before) = memchr::memmem::find(bytes, text.as_bytes()) {
        return Some(Form::Text(before));
    }
    let lower = text.to_ascii_lowercase();
    [false, true].into_iter().find_map(|reversed| {
        let before = digits(bytes, reversed).rfind(&lower)?;
        Some(Form::Digits { before, reversed })
    })
}

fn integer(number: u128, width: usize, little: bool) -> Option<Vec<u8>> {
    let all = number.to_be_bytes();
    let (high, low) = all.split_at_checked(all.len().checked_sub(width)?)?;
    if width > 8 || high.iter().any(|byte| *byte != 0) {
        return None;
    }
    let mut bytes = low.to_vec();
    if little {
        bytes.reverse();
    }
    Some(bytes)
}

fn digits(bytes: &[u8], reversed: bool) -> String {
    let text = |byte: &u8| format!("{byte:02x}");
    match reversed {
        true => bytes.iter().rev().map(text).collect(),
        false => bytes.iter().map(text).collect(),
    }
}

fn undigits(digits: &str, reversed: bool) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let mut bytes = pairs.map(byte).collect::<Option<Vec<u8>>>()?;
    if reversed {
        bytes.reverse();
    }
    Some(bytes)
}

/// Counts a text on like a number whose digits are those of its characters' kinds; other characters
/// stay.
fn counted_on(
    text: &str,
    number: u64,
    kind: &dyn Fn(char) -> Option<(char, u64)>,
) -> Option<String> {
    let mut carry = number;
    let mut characters: Vec<char> = text.chars().collect();
    for character in characters.iter_mut().rev() {
        let of_digit = character.is_ascii_digit().then_some(('0', 10));
        let Some((first, count)) = of_digit.or_else(|| kind(*character)) else {
            continue;
        };
        let sum = u64::from(*character) - u64::from(first) + carry % count;
        carry = carry / count + sum / count;
        let digit = u32::try_from(sum % count).ok()?;
        *character = char::from_u32(u32::from(first) + digit)?;
    }
    (carry == 0).then(|| characters.into_iter().collect())
}
