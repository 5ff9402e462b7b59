//! "An integer at a place": `u16le at 2`, `decimal until ' '`, `hexadecimal 2 at -4`.

mod part;
mod shown;
mod varint;

use std::ops::RangeInclusive;

pub use self::part::PartAt;
use super::{NotationError, Word, Words};
use crate::cursor::{Cursor, Endian};

/// Digits of one number that are looked at before its end mark must have come.
const MOST_DIGITS: usize = 40;

/// How far the digits of a number go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digits {
    /// So many characters.
    Count(usize),
    /// Up to this byte, which belongs to the number's place but not to the number.
    Until(u8),
}

/// How an integer is written in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntegerKind {
    /// `u8` … `u64`, `i8` … `i64`, with `le` or `be`.
    Binary {
        /// Bytes, 1 to 8.
        width: u8,
        /// Two's complement.
        signed: bool,
        /// Order of the bytes.
        endian: Endian,
    },
    /// `decimal N`, `decimal until BYTE`: ASCII digits, a sign allowed, leading spaces allowed.
    Decimal(Digits),
    /// `hexadecimal N`, `hexadecimal until BYTE`: ASCII hex digits.
    Hexadecimal(Digits),
    /// `bcd N`: N bytes of two decimal digits each.
    Bcd(usize),
    /// `varint`: unsigned LEB128, as protobuf has it.
    Varint,
}

/// An integer kind and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntegerAt {
    /// How it is written.
    pub kind: IntegerKind,
    /// Offset from the frame's first byte, negative from its end; `None` where the context knows the place.
    pub at: Option<i64>,
}

/// An integer that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntegerRead {
    /// The number.
    pub value: i128,
    /// Offset of its first byte.
    pub start: usize,
    /// Offset behind its last byte; for `until` behind that byte.
    pub end: usize,
}

/// Why an integer cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadError {
    /// At least this many bytes, counted from the first, are needed to know; always more than there are.
    Short {
        /// Bytes from the first one.
        needed: usize,
    },
    /// More bytes would not help: what is wrong.
    Invalid(&'static str),
}

impl IntegerKind {
    /// Reads the kind that begins with the word `first`; `None` if that is no integer type.
    pub fn parse(
        first: &Word<'_>,
        words: &mut Words<'_>,
        default: Endian,
    ) -> Result<Option<Self>, NotationError> {
        if first.quoted {
            return Ok(None);
        }
        match first.raw {
            "decimal" => digits(words, 20).map(|digits| Some(IntegerKind::Decimal(digits))),
            "hexadecimal" => digits(words, 16).map(|digits| Some(IntegerKind::Hexadecimal(digits))),
            "bcd" => {
                let count = words
                    .require("how many bytes")?
                    .count("the number of bytes", 10)?;
                Ok(Some(IntegerKind::Bcd(count)))
            }
            "varint" => Ok(Some(IntegerKind::Varint)),
            _ => binary(first, default),
        }
    }

    /// How many bytes it takes, where that is always the same.
    pub fn width(&self) -> Option<usize> {
        match *self {
            IntegerKind::Binary { width, .. } => Some(usize::from(width)),
            IntegerKind::Decimal(Digits::Count(count))
            | IntegerKind::Hexadecimal(Digits::Count(count)) => Some(count),
            IntegerKind::Bcd(count) => Some(count),
            IntegerKind::Decimal(Digits::Until(_))
            | IntegerKind::Hexadecimal(Digits::Until(_))
            | IntegerKind::Varint => None,
        }
    }

    /// The numbers that it can write, where it is they that are bounded and not their place.
    pub fn range(&self) -> Option<RangeInclusive<i128>> {
        let most = |base: i128, exponent: usize| power(base, exponent).saturating_sub(1);
        Some(match *self {
            IntegerKind::Binary {
                width,
                signed: true,
                ..
            } => {
                let half = power(256, usize::from(width)) / 2;
                half.saturating_neg()..=half.saturating_sub(1)
            }
            IntegerKind::Binary { width, .. } => 0..=most(256, usize::from(width)),
            // A minus takes the place of a digit.
            IntegerKind::Decimal(Digits::Count(count)) => {
                most(10, count.saturating_sub(1)).saturating_neg()..=most(10, count)
            }
            IntegerKind::Hexadecimal(Digits::Count(count)) => 0..=most(16, count),
            IntegerKind::Bcd(count) => 0..=most(100, count).min(u64::MAX.into()),
            IntegerKind::Varint => 0..=most(2, 64),
            IntegerKind::Decimal(Digits::Until(_)) | IntegerKind::Hexadecimal(Digits::Until(_)) => {
                return None;
            }
        })
    }

    /// Reads it at the cursor and goes behind it.
    #[inline]
    pub fn take(&self, cursor: &mut Cursor<'_>) -> Result<i128, ReadError> {
        let IntegerKind::Binary {
            width,
            signed,
            endian,
        } = *self
        else {
            return self.take_other(cursor);
        };
        let width = usize::from(width);
        let value = if signed {
            cursor.int(width, endian).map(i128::from)
        } else {
            cursor.uint(width, endian).map(i128::from)
        };
        value.ok_or_else(|| short(cursor, width))
    }

    fn take_other(&self, cursor: &mut Cursor<'_>) -> Result<i128, ReadError> {
        match *self {
            IntegerKind::Binary { .. } => self.take(cursor),
            IntegerKind::Decimal(digits) => {
                from_digits(take_digits(cursor, digits, is_decimal)?, 10)
            }
            IntegerKind::Hexadecimal(digits) => {
                from_digits(take_digits(cursor, digits, is_hexadecimal)?, 16)
            }
            IntegerKind::Bcd(count) => {
                let bytes = cursor.take(count).ok_or_else(|| short(cursor, count))?;
                from_bcd(bytes)
            }
            IntegerKind::Varint => varint::take(cursor),
        }
    }

    /// As much of the number as this kind can hold: its lowest bits or digits. Counters and check
    /// values that are wider than their place are cut like this.
    pub fn wrap(&self, value: i128) -> i128 {
        let modulus = match *self {
            IntegerKind::Binary { width, .. } => power(256, usize::from(width)),
            IntegerKind::Decimal(Digits::Count(count)) => power(10, count),
            IntegerKind::Hexadecimal(Digits::Count(count)) => power(16, count),
            IntegerKind::Bcd(count) => power(100, count),
            IntegerKind::Varint => power(2, 64),
            IntegerKind::Decimal(Digits::Until(_)) | IntegerKind::Hexadecimal(Digits::Until(_)) => {
                return value;
            }
        };
        let low = value.checked_rem_euclid(modulus).unwrap_or(value);
        let signed = matches!(*self, IntegerKind::Binary { signed: true, .. });
        if signed && low >= modulus / 2 {
            low.saturating_sub(modulus)
        } else {
            low
        }
    }

    /// Appends the number as this kind; `None`, and nothing appended, if it does not fit.
    pub fn write(&self, value: i128, out: &mut Vec<u8>) -> Option<()> {
        match *self {
            IntegerKind::Binary {
                width,
                signed,
                endian,
            } => write_binary(value, usize::from(width), signed, endian, out),
            IntegerKind::Decimal(digits) => {
                let width = if let Digits::Count(count) = digits {
                    count
                } else {
                    0
                };
                write_digits(&format!("{value:0width$}"), digits, out)
            }
            IntegerKind::Hexadecimal(digits) => {
                let width = if let Digits::Count(count) = digits {
                    count
                } else {
                    0
                };
                let value = u64::try_from(value).ok()?;
                write_digits(&format!("{value:0width$X}"), digits, out)
            }
            IntegerKind::Bcd(count) => {
                let digits = u64::try_from(value).ok()?.to_string();
                write_bcd(&digits, count, out)
            }
            IntegerKind::Varint => varint::write(value, out),
        }
    }
}

impl IntegerAt {
    /// Reads `TYPE [at N]`; `default` is the order of bytes where the type does not say one.
    pub fn parse(text: &str, default: Endian) -> Result<Self, NotationError> {
        let mut words = Words::new(text)?;
        let place = Self::next(&mut words, default)?;
        words.end()?;
        Ok(place)
    }

    /// Reads `TYPE [at N]` at the next word.
    fn next(words: &mut Words<'_>, default: Endian) -> Result<Self, NotationError> {
        let first = words.require("a type such as `u16` or `decimal 4`")?;
        let Some(kind) = IntegerKind::parse(&first, words, default)? else {
            return Err(first.error(super::unknown_word("type", first.raw, &KINDS)));
        };
        Self::with_place(kind, words)
    }

    /// Reads the `[at N]` behind a kind.
    pub fn with_place(kind: IntegerKind, words: &mut Words<'_>) -> Result<Self, NotationError> {
        if words.accept("at").is_none() {
            return Ok(IntegerAt { kind, at: None });
        }
        let word = words.require("an offset")?;
        let at = word.offset("the offset")?;
        let behind = usize::try_from(at.unsigned_abs()).unwrap_or(usize::MAX);
        if at < 0 && kind.width().is_some_and(|width| width > behind) {
            return Err(word.error(format!(
                "the value would reach behind the end from `{}`",
                word.raw
            )));
        }
        Ok(IntegerAt { kind, at: Some(at) })
    }

    /// Reads the integer in a frame, or in what has come of it.
    pub fn read(&self, frame: &[u8], default_at: usize) -> Result<IntegerRead, ReadError> {
        let start = match self.at {
            None => default_at,
            Some(at) => self.start(at, frame.len())?,
        };
        let least = start.saturating_add(self.kind.width().unwrap_or(1));
        let mut cursor = Cursor::at(frame, start).ok_or(ReadError::Short { needed: least })?;
        let value = self.kind.take(&mut cursor)?;
        let end = cursor.position();
        Ok(IntegerRead { value, start, end })
    }

    fn start(&self, at: i64, length: usize) -> Result<usize, ReadError> {
        let distance = usize::try_from(at.unsigned_abs()).unwrap_or(usize::MAX);
        if at >= 0 {
            return Ok(distance);
        }
        length
            .checked_sub(distance)
            .ok_or(ReadError::Short { needed: distance })
    }
}

const KINDS: [&str; 12] = [
    "u8",
    "u16",
    "u32",
    "u64",
    "i8",
    "i16",
    "i32",
    "i64",
    "decimal",
    "hexadecimal",
    "bcd",
    "varint",
];

fn power(base: i128, exponent: usize) -> i128 {
    base.saturating_pow(u32::try_from(exponent).unwrap_or(u32::MAX))
}

fn short(cursor: &Cursor<'_>, width: usize) -> ReadError {
    ReadError::Short {
        needed: cursor.position().saturating_add(width),
    }
}

/// `u24le` and its like.
fn binary(first: &Word<'_>, default: Endian) -> Result<Option<IntegerKind>, NotationError> {
    let (signed, rest) = match (first.raw.strip_prefix('u'), first.raw.strip_prefix('i')) {
        (Some(rest), _) => (false, rest),
        (None, Some(rest)) => (true, rest),
        (None, None) => return Ok(None),
    };
    let (bits, endian) = split_endian(rest, default);
    if bits.is_empty() || !bits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match bits.parse::<u8>() {
        Ok(bits @ 8..=64) if bits % 8 == 0 => Ok(Some(IntegerKind::Binary {
            width: bits / 8,
            signed,
            endian,
        })),
        _ => Err(first.error(format!(
            "`{}` has no whole number of bytes from 8 to 64 bits",
            first.raw
        ))),
    }
}

/// Takes `le` or `be` off the end of a type.
pub(crate) fn split_endian(word: &str, default: Endian) -> (&str, Endian) {
    match (word.strip_suffix("le"), word.strip_suffix("be")) {
        (Some(word), _) => (word, Endian::Little),
        (None, Some(word)) => (word, Endian::Big),
        (None, None) => (word, default),
    }
}

fn digits(words: &mut Words<'_>, most: usize) -> Result<Digits, NotationError> {
    if words.accept("until").is_some() {
        let byte = words.require("the byte up to which the digits go")?;
        return byte
            .byte("the byte up to which the digits go")
            .map(Digits::Until);
    }
    let count = words.require("how many digits, or `until BYTE`")?;
    count.count("the number of digits", most).map(Digits::Count)
}

fn is_decimal(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b' ')
}

fn is_hexadecimal(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || byte == b' '
}

fn take_digits<'a>(
    cursor: &mut Cursor<'a>,
    digits: Digits,
    allowed: impl Fn(u8) -> bool,
) -> Result<&'a [u8], ReadError> {
    let end = match digits {
        Digits::Count(count) => return cursor.take(count).ok_or_else(|| short(cursor, count)),
        Digits::Until(end) => end,
    };
    let mut ahead = *cursor;
    let window = ahead
        .take(ahead.remaining().min(MOST_DIGITS.saturating_add(1)))
        .unwrap_or_default();
    let bad = |byte: &u8| *byte == end || !allowed(*byte);
    match window.iter().find(|byte| bad(byte)) {
        Some(byte) if *byte == end => cursor.until(end).ok_or_else(|| short(cursor, 1)),
        Some(_) => Err(ReadError::Invalid("not a digit")),
        None if window.len() > MOST_DIGITS => Err(ReadError::Invalid("too many digits")),
        None => Err(short(&ahead, 1)),
    }
}

fn from_digits(digits: &[u8], radix: u32) -> Result<i128, ReadError> {
    let invalid = ReadError::Invalid("not a number");
    let text = std::str::from_utf8(digits).map_err(|_| invalid)?;
    if radix != 10 && text.contains(['-', '+']) {
        return Err(invalid);
    }
    i128::from_str_radix(text.trim_start_matches(' '), radix).map_err(|_| invalid)
}

fn from_bcd(bytes: &[u8]) -> Result<i128, ReadError> {
    let digit = |value: i128, digit: u8| match digit {
        0..=9 => value
            .checked_mul(10)
            .and_then(|value| value.checked_add(i128::from(digit)))
            .ok_or(ReadError::Invalid("too many digits")),
        _ => Err(ReadError::Invalid("not a decimal digit")),
    };
    let mut nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles.try_fold(0, digit)
}

fn write_binary(
    value: i128,
    width: usize,
    signed: bool,
    endian: Endian,
    out: &mut Vec<u8>,
) -> Option<()> {
    let bits = u32::try_from(width).ok()?.checked_mul(8)?;
    let (least, most) = match signed {
        true => {
            let half = 1i128.checked_shl(bits.checked_sub(1)?)?;
            (half.checked_neg()?, half.checked_sub(1)?)
        }
        false => (0, 1i128.checked_shl(bits)?.checked_sub(1)?),
    };
    if !(least..=most).contains(&value) {
        return None;
    }
    match endian {
        Endian::Little => out.extend_from_slice(value.to_le_bytes().get(..width)?),
        Endian::Big => {
            out.extend_from_slice(value.to_be_bytes().get(16usize.checked_sub(width)?..)?)
        }
    }
    Some(())
}

fn write_digits(written: &str, digits: Digits, out: &mut Vec<u8>) -> Option<()> {
    match digits {
        Digits::Count(count) if written.len() != count => return None,
        Digits::Count(_) => out.extend_from_slice(written.as_bytes()),
        Digits::Until(end) => {
            out.extend_from_slice(written.as_bytes());
            out.push(end);
        }
    }
    Some(())
}

/// Appends decimal digits two to a byte, with leading zeros; also for texts of digits such as an IMEI.
pub(crate) fn write_bcd(digits: &str, count: usize, out: &mut Vec<u8>) -> Option<()> {
    let missing = count.checked_mul(2)?.checked_sub(digits.len())?;
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let padded = std::iter::repeat_n(b'0', missing).chain(digits.bytes());
    let mut nibbles = padded.map(|digit| digit & 15);
    while let (Some(high), Some(low)) = (nibbles.next(), nibbles.next()) {
        out.push((high << 4) | low);
    }
    Some(())
}

#[cfg(test)]
mod tests;
