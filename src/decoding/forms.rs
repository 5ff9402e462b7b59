//! What a run of bytes becomes: text in an encoding, digits, an address.

use std::borrow::Cow;
use std::net::Ipv4Addr;

use compact_str::ToCompactString;

use crate::cursor::Endian;
use crate::message::{Text, Value};

/// How a run of bytes is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Two decimal digits to a byte; little means that the last byte has the first digits.
    Bcd(Endian),
    Hex,
    Ascii,
    Utf8,
    Latin1,
    Gbk,
    Utf16(Endian),
    Bytes,
    Mac,
    Ipv4,
    Skip,
}

impl Form {
    /// The form that a word without `le` or `be` names.
    pub fn named(word: &str, endian: Endian) -> Option<Self> {
        Some(match word {
            "bcd" => Form::Bcd(Endian::Big),
            "hex" => Form::Hex,
            "ascii" => Form::Ascii,
            "utf8" => Form::Utf8,
            "latin1" => Form::Latin1,
            "gbk" => Form::Gbk,
            "utf16" => Form::Utf16(endian),
            "bytes" => Form::Bytes,
            "mac" => Form::Mac,
            "ipv4" => Form::Ipv4,
            "skip" => Form::Skip,
            _ => return None,
        })
    }

    /// The bytes that it always has.
    pub fn width(self) -> Option<usize> {
        match self {
            Form::Mac => Some(6),
            Form::Ipv4 => Some(4),
            _ => None,
        }
    }

    /// What the bytes say; `None` for what has no value. Sets `replaced` where text was mended.
    pub fn value(self, bytes: &[u8], replaced: &mut bool) -> Result<Option<Value>, String> {
        let text = match self {
            Form::Skip => return Ok(None),
            Form::Bytes => {
                return Ok(Some(Value::Bytes(bytes.into())));
            }
            Form::Hex => hex(bytes),
            Form::Bcd(Endian::Big) => bcd(bytes)?,
            Form::Bcd(Endian::Little) => {
                let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
                bcd(&reversed)?
            }
            Form::Utf8 => utf8(bytes, replaced),
            Form::Ascii => ascii(bytes, replaced),
            Form::Latin1 => bytes.iter().map(|byte| char::from(*byte)).collect(),
            Form::Gbk => gbk(bytes, replaced),
            Form::Utf16(endian) => utf16(bytes, endian, replaced),
            Form::Mac => mac(bytes),
            Form::Ipv4 => ipv4(bytes)?,
        };
        Ok(Some(Value::Text(text)))
    }
}

/// Bytes as UTF-8; what is not valid is replaced, which `replaced` then says.
fn utf8(bytes: &[u8], replaced: &mut bool) -> Text {
    let text = String::from_utf8_lossy(bytes);
    *replaced |= matches!(text, Cow::Owned(_));
    text.into()
}

/// Two lower-case digits to a byte.
pub(super) fn hex(bytes: &[u8]) -> Text {
    let digit = |nibble: u8| {
        let first = if nibble < 10 { b'0' } else { b'a' - 10 };
        first.wrapping_add(nibble)
    };
    let mut text = Text::with_capacity(bytes.len().saturating_mul(2));
    let mut digits = [[0; 2]; 16];
    for piece in bytes.chunks(digits.len()) {
        for (pair, byte) in digits.iter_mut().zip(piece) {
            *pair = [digit(byte >> 4), digit(byte & 15)];
        }
        let written = digits.as_flattened().get(..piece.len().saturating_mul(2));
        text.push_str(str::from_utf8(written.unwrap_or_default()).unwrap_or_default());
    }
    text
}

/// Two digits to a byte; devices fill up with F, which stays as `f` to be trimmed.
fn bcd(bytes: &[u8]) -> Result<Text, String> {
    let digits = hex(bytes);
    if digits
        .bytes()
        .all(|digit| digit.is_ascii_digit() || digit == b'f')
    {
        return Ok(digits);
    }
    Err("is not made of decimal digits".to_owned())
}

fn ascii(bytes: &[u8], replaced: &mut bool) -> Text {
    if bytes.is_ascii() {
        return String::from_utf8_lossy(bytes).into();
    }
    *replaced = true;
    let character = |byte: &u8| {
        if byte.is_ascii() {
            char::from(*byte)
        } else {
            char::REPLACEMENT_CHARACTER
        }
    };
    bytes.iter().map(character).collect()
}

fn gbk(bytes: &[u8], replaced: &mut bool) -> Text {
    let (text, mended) = encoding_rs::GBK.decode_without_bom_handling(bytes);
    *replaced |= mended;
    text.into()
}

fn utf16(bytes: &[u8], endian: Endian, replaced: &mut bool) -> Text {
    let (pairs, odd) = bytes.as_chunks::<2>();
    let units = pairs.iter().map(|pair| match endian {
        Endian::Big => u16::from_be_bytes(*pair),
        Endian::Little => u16::from_le_bytes(*pair),
    });
    let mut mended = !odd.is_empty();
    let characters = char::decode_utf16(units).map(|character| {
        mended |= character.is_err();
        character.unwrap_or(char::REPLACEMENT_CHARACTER)
    });
    let text = characters.collect();
    *replaced |= mended;
    text
}

fn mac(bytes: &[u8]) -> Text {
    let pairs: Vec<Text> = bytes.iter().map(|byte| hex(&[*byte])).collect();
    pairs.join(":").into()
}

fn ipv4(bytes: &[u8]) -> Result<Text, String> {
    let bytes = <[u8; 4]>::try_from(bytes).map_err(|_| "is no IPv4 address".to_owned())?;
    Ok(Ipv4Addr::from(bytes).to_compact_string())
}
