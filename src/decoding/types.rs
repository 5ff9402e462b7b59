//! The types of binary field strings: `u16le`, `bcd 8`, `ascii until 0x00`, `ymdhms`.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use crate::cursor::{Cursor, Endian};
use crate::message::{Fields, Value};
use crate::notation::{IntegerKind, NotationError, ReadError, Word, Words, unknown_word};

const TYPES: [&str; 22] = [
    "u8", "u16", "u24", "u32", "u64", "i8", "i16", "i24", "i32", "i64", "f32", "f64", "varint",
    "bcd", "hex", "ascii", "utf8", "bytes", "ymdhms", "bcdtime", "repeat", "skip",
];
const LATER: [&str; 9] = [
    "tlv", "join", "dm", "gbk", "latin1", "cp56", "mac", "cstr", "lpstr",
];
const TEXT_ONLY: [&str; 4] = ["bool", "number", "integer", "text"];

/// A type that is read from bytes.
#[derive(Clone, Debug)]
pub(super) enum Type {
    Integer(IntegerKind),
    Float {
        double: bool,
        endian: Endian,
    },
    Sized {
        form: Form,
        size: Size,
    },
    /// Six bytes: year of the century, month, day, hour, minute, second; binary or two digits each.
    Date {
        bcd: bool,
    },
}

/// What a run of bytes becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Bcd,
    Hex,
    Ascii,
    Utf8,
    Bytes,
    Skip,
}

/// How long a run of bytes is.
#[derive(Clone, Debug)]
pub(super) enum Size {
    Count(usize),
    Field(String),
    /// All but the last so many bytes of the frame.
    Rest(usize),
    Until(u8),
}

impl Type {
    /// Reads the type that begins with `first`.
    pub fn parse(
        first: &Word<'_>,
        words: &mut Words<'_>,
        endian: Endian,
    ) -> Result<Self, NotationError> {
        if let Some(form) = form(first) {
            let size = Size::parse(words)?;
            return Ok(Type::Sized { form, size });
        }
        if let Some(kind) = IntegerKind::parse(first, words, endian)? {
            return Ok(Type::Integer(kind));
        }
        let (base, endian) = crate::notation::split_endian(first.raw, endian);
        match base {
            "f32" => Ok(Type::Float {
                double: false,
                endian,
            }),
            "f64" => Ok(Type::Float {
                double: true,
                endian,
            }),
            "ymdhms" => Ok(Type::Date { bcd: false }),
            "bcdtime" => Ok(Type::Date { bcd: true }),
            _ => Err(unknown(first)),
        }
    }

    /// The field that says how long it is.
    pub fn size_field(&self) -> Option<&str> {
        match self {
            Type::Sized {
                size: Size::Field(name),
                ..
            } => Some(name),
            _ => None,
        }
    }

    /// Reads a value and goes behind it; `None` for what has no value. Sets `replaced` where text was mended.
    pub fn read(
        &self,
        cursor: &mut Cursor<'_>,
        fields: &Fields,
        zone: Offset,
        replaced: &mut bool,
    ) -> Result<Option<Value>, String> {
        match self {
            Type::Integer(kind) => kind
                .take(cursor)
                .map(|value| Some(Value::Integer(value)))
                .map_err(failed),
            Type::Float { double, endian } => float(cursor, *double, *endian).map(Some),
            Type::Date { bcd } => date(cursor, *bcd, zone).map(Some),
            Type::Sized { form, size } => {
                let bytes = size.take(cursor, fields)?;
                form.value(bytes, replaced)
            }
        }
    }
}

impl Size {
    fn parse(words: &mut Words<'_>) -> Result<Self, NotationError> {
        let word = words.require("how many bytes, a field, `rest` or `until BYTE`")?;
        if word.is("until") {
            return words.require("a byte")?.byte("a byte").map(Size::Until);
        }
        if word.is("rest") {
            return kept(words).map(Size::Rest);
        }
        if word
            .raw
            .starts_with(|first: char| first.is_ascii_digit() || first == '-')
        {
            let count = word.offset("the number of bytes")?;
            let wrong = |_| word.error(format!("expected a number of bytes, found `{}`", word.raw));
            return usize::try_from(count).map(Size::Count).map_err(wrong);
        }
        Ok(Size::Field(word.text.into_owned()))
    }

    fn take<'a>(&self, cursor: &mut Cursor<'a>, fields: &Fields) -> Result<&'a [u8], String> {
        let count = match self {
            Size::Count(count) => *count,
            Size::Until(byte) => {
                let missing = || format!("needs a byte 0x{byte:02x}, which does not come");
                return cursor.until(*byte).ok_or_else(missing);
            }
            Size::Rest(kept) => {
                let missing = || format!("must end {kept} bytes before the end, which is behind");
                cursor.remaining().checked_sub(*kept).ok_or_else(missing)?
            }
            Size::Field(name) => match fields.get(name) {
                Some(Value::Integer(count)) => {
                    usize::try_from(*count).map_err(|_| format!("cannot be {count} bytes long"))?
                }
                _ => return Err(format!("has no length: `{name}` is not a whole number")),
            },
        };
        let left = cursor.remaining();
        cursor
            .take(count)
            .ok_or_else(|| format!("needs {count} bytes, {left} are left"))
    }
}

/// The `-K` behind `rest`: the bytes before the end that are left.
pub(super) fn kept(words: &mut Words<'_>) -> Result<usize, NotationError> {
    let minus = words
        .peek()
        .filter(|next| !next.quoted && next.raw.starts_with('-') && next.raw.len() > 1);
    let Some(minus) = minus else {
        return Ok(0);
    };
    words.next();
    let count = minus.offset("the bytes before the end")?;
    Ok(usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX))
}

impl Form {
    fn value(self, bytes: &[u8], replaced: &mut bool) -> Result<Option<Value>, String> {
        Ok(Some(match self {
            Form::Skip => return Ok(None),
            Form::Bytes => Value::Bytes(bytes::Bytes::copy_from_slice(bytes)),
            Form::Hex => Value::Text(hex(bytes)),
            Form::Bcd => Value::Text(bcd(bytes)?),
            Form::Utf8 => Value::Text(utf8(bytes, replaced)),
            Form::Ascii => Value::Text(ascii(bytes, replaced)),
        }))
    }
}

/// A moment as text, RFC 3339 with Z.
pub(super) fn time_text(time: Timestamp) -> Value {
    Value::Text(time.to_string())
}

/// Bytes as UTF-8; what is not valid is replaced, which `replaced` then says.
pub(super) fn utf8(bytes: &[u8], replaced: &mut bool) -> String {
    let text = String::from_utf8_lossy(bytes);
    *replaced |= matches!(text, std::borrow::Cow::Owned(_));
    text.into_owned()
}

fn form(word: &Word<'_>) -> Option<Form> {
    Some(match word.raw {
        "bcd" => Form::Bcd,
        "hex" => Form::Hex,
        "ascii" => Form::Ascii,
        "utf8" => Form::Utf8,
        "bytes" => Form::Bytes,
        "skip" => Form::Skip,
        _ => return None,
    })
}

fn unknown(word: &Word<'_>) -> NotationError {
    if LATER.contains(&word.raw) {
        return word.error(format!("`{}` is not available in this version", word.raw));
    }
    if TEXT_ONLY.contains(&word.raw) {
        return word.error(format!(
            "`{}` reads text; in bytes use `decimal N` or `ascii N`",
            word.raw
        ));
    }
    word.error(unknown_word("type", word.raw, &TYPES))
}

fn failed(error: ReadError) -> String {
    match error {
        ReadError::Short { needed } => {
            format!("needs {needed} bytes of the frame, which is shorter")
        }
        ReadError::Invalid(what) => format!("is {what}"),
    }
}

fn float(cursor: &mut Cursor<'_>, double: bool, endian: Endian) -> Result<Value, String> {
    let width = if double { 8 } else { 4 };
    let left = cursor.remaining();
    let short = || format!("needs {width} bytes, {left} are left");
    let bits = cursor.uint(width, endian).ok_or_else(short)?;
    Ok(Value::Float(match u32::try_from(bits) {
        Ok(bits) if !double => f64::from(f32::from_bits(bits)),
        _ => f64::from_bits(bits),
    }))
}

fn date(cursor: &mut Cursor<'_>, bcd: bool, zone: Offset) -> Result<Value, String> {
    let left = cursor.remaining();
    let bytes = cursor
        .take(6)
        .ok_or_else(|| format!("needs 6 bytes, {left} are left"))?;
    let mut parts = bytes.iter().map(|byte| part(*byte, bcd));
    let mut next = || {
        parts
            .next()
            .flatten()
            .ok_or_else(|| "is not a time".to_owned())
    };
    let (year, month, day) = (next()?, next()?, next()?);
    let (hour, minute, second) = (next()?, next()?, next()?);
    let year = i16::from(year).saturating_add(2000);
    let wrong = |_| "is not a time".to_owned();
    let civil = DateTime::new(year, month, day, hour, minute, second, 0).map_err(wrong)?;
    zone.to_timestamp(civil).map(time_text).map_err(wrong)
}

/// A number up to 99 from a byte.
fn part(byte: u8, bcd: bool) -> Option<i8> {
    let value = match (bcd, byte >> 4, byte & 15) {
        (false, ..) => byte,
        (true, high @ 0..=9, low @ 0..=9) => high.checked_mul(10)?.checked_add(low)?,
        (true, ..) => return None,
    };
    i8::try_from(value).ok().filter(|value| *value <= 99)
}

fn hex(bytes: &[u8]) -> String {
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles
        .filter_map(|nibble| char::from_digit(u32::from(nibble), 16))
        .collect()
}

/// Two digits to a byte; devices fill up with F, which stays as `f` to be trimmed.
fn bcd(bytes: &[u8]) -> Result<String, String> {
    let digits = hex(bytes);
    if digits
        .bytes()
        .all(|digit| digit.is_ascii_digit() || digit == b'f')
    {
        return Ok(digits);
    }
    Err("is not made of decimal digits".to_owned())
}

fn ascii(bytes: &[u8], replaced: &mut bool) -> String {
    *replaced |= !bytes.is_ascii();
    let character = |byte: &u8| {
        if byte.is_ascii() {
            char::from(*byte)
        } else {
            char::REPLACEMENT_CHARACTER
        }
    };
    bytes.iter().map(character).collect()
}
