//! How the value of a hole is written: `u16le`, `bcd 6`, `ascii 20`, `ymdhms`.

use jiff::civil::DateTime;

use crate::cursor::Endian;
use crate::message::Value;
use crate::notation::{
    IntegerKind, NotationError, Word, Words, split_endian, unknown_word, write_bcd,
};

use super::steps::STEPS;

/// Most bytes of a text of fixed length.
const MOST: usize = 4096;

pub(super) const FORMS: [&str; 20] = [
    "u8",
    "u16",
    "u24",
    "u32",
    "u64",
    "i8",
    "i16",
    "i24",
    "i32",
    "i64",
    "f32",
    "f64",
    "decimal",
    "hexadecimal",
    "bcd",
    "hex",
    "ascii",
    "utf8",
    "ymdhms",
    "bcdtime",
];

/// The type behind the colon of a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Text as it is written; bytes as they are.
    Plain,
    Integer(IntegerKind),
    Float {
        double: bool,
        endian: Endian,
    },
    /// Digits, two to a byte.
    Bcd(usize),
    /// Lower-case hex digits.
    Hex,
    /// So many bytes of text; a shorter one is filled up with zero bytes.
    Text {
        bytes: usize,
        ascii: bool,
    },
    /// Six bytes of date and time.
    Date {
        bcd: bool,
    },
}

impl Form {
    pub fn parse(text: &str) -> Result<Self, NotationError> {
        let mut words = Words::new(text)?;
        let first = words.require("a type such as `u16`")?;
        let mut count = |most| {
            let count = words.require("how many bytes")?;
            count.count("the number of bytes", most)
        };
        let form = match first.raw {
            "bcd" => Form::Bcd(count(64)?),
            "ascii" => Form::Text {
                bytes: count(MOST)?,
                ascii: true,
            },
            "utf8" => Form::Text {
                bytes: count(MOST)?,
                ascii: false,
            },
            "hex" => Form::Hex,
            "text" => Form::Plain,
            "ymdhms" => Form::Date { bcd: false },
            "bcdtime" => Form::Date { bcd: true },
            _ => match IntegerKind::parse(&first, &mut words, Endian::Big)? {
                Some(kind) => Form::Integer(kind),
                None => float(first.raw).ok_or_else(|| unknown(&first))?,
            },
        };
        words.end()?;
        Ok(form)
    }

    /// Whether a word is a type, or begins one.
    pub fn is_type(word: &str) -> bool {
        FORMS.contains(&split_endian(word, Endian::Big).0)
    }

    /// How many bytes it takes, where that is always the same.
    pub fn width(&self) -> Option<usize> {
        match self {
            Form::Integer(kind) => kind.width(),
            Form::Float { double, .. } => Some(if *double { 8 } else { 4 }),
            Form::Bcd(count) => Some(*count),
            Form::Text { bytes, .. } => Some(*bytes),
            Form::Date { .. } => Some(6),
            Form::Plain | Form::Hex => None,
        }
    }

    /// Whether it writes whole numbers of a fixed width.
    pub fn is_number(&self) -> bool {
        matches!(self, Form::Integer(_) | Form::Bcd(_)) && self.width().is_some()
    }

    /// What values it can write, in words; `None` where it writes all of them.
    pub fn expected(&self) -> Option<String> {
        Some(match self {
            Form::Plain | Form::Hex => return None,
            Form::Integer(kind) => match kind.range() {
                Some(range) => format!("a whole number from {} to {}", range.start(), range.end()),
                None => "a whole number".to_owned(),
            },
            Form::Float { .. } => "a number".to_owned(),
            Form::Bcd(count) => format!("1 to {} digits", count.saturating_mul(2)),
            Form::Text { bytes, ascii: true } => format!("a text of ASCII, at most {bytes} bytes"),
            Form::Text { bytes, .. } => format!("a text of at most {bytes} bytes"),
            Form::Date { .. } => "a time".to_owned(),
        })
    }

    /// As much of a number as it can hold.
    pub fn wrap(&self, value: i128) -> i128 {
        match self {
            Form::Integer(kind) => kind.wrap(value),
            Form::Bcd(count) => IntegerKind::Bcd(*count).wrap(value),
            _ => value,
        }
    }
}

/// Appends a text in so many bytes.
pub(super) fn write_text(text: &[u8], bytes: usize, ascii: bool, out: &mut Vec<u8>) -> Option<()> {
    let free = bytes.checked_sub(text.len())?;
    if ascii && !text.is_ascii() {
        return None;
    }
    out.extend_from_slice(text);
    out.resize(out.len().saturating_add(free), 0);
    Some(())
}

/// Appends year of the century, month, day, hour, minute and second.
pub(super) fn write_date(time: DateTime, bcd: bool, out: &mut Vec<u8>) -> Option<()> {
    let parts = [
        time.year().checked_rem(100)?,
        time.month().into(),
        time.day().into(),
        time.hour().into(),
        time.minute().into(),
        time.second().into(),
    ];
    for part in parts {
        if bcd {
            write_bcd(&format!("{part:02}"), 1, out)?;
        } else {
            out.push(u8::try_from(part).ok()?);
        }
    }
    Some(())
}

/// Appends a float.
pub(super) fn write_float(
    value: &Value,
    double: bool,
    endian: Endian,
    out: &mut Vec<u8>,
) -> Option<()> {
    let value = match value {
        Value::Float(value) => *value,
        Value::Integer(value) => value.get() as f64,
        Value::Text(text) => text.parse().ok()?,
        _ => return None,
    };
    match (double, endian) {
        (true, Endian::Big) => out.extend_from_slice(&value.to_be_bytes()),
        (true, Endian::Little) => out.extend_from_slice(&value.to_le_bytes()),
        (false, Endian::Big) => out.extend_from_slice(&(value as f32).to_be_bytes()),
        (false, Endian::Little) => out.extend_from_slice(&(value as f32).to_le_bytes()),
    }
    Some(())
}

fn unknown(word: &Word<'_>) -> NotationError {
    if STEPS.contains(&word.raw) {
        return word.error(format!(
            "`{}` is a step and stands before the colon; behind it stands how the value is written, such as `u32`",
            word.raw
        ));
    }
    word.error(unknown_word("type", word.raw, &FORMS))
}

fn float(word: &str) -> Option<Form> {
    let (base, endian) = split_endian(word, Endian::Big);
    let double = match base {
        "f32" => false,
        "f64" => true,
        _ => return None,
    };
    Some(Form::Float { double, endian })
}
