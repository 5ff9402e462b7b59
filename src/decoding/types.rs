//! The types of binary field strings: `u16le`, `bcd 8`, `ascii until 0x00`, `ymdhms`.

use jiff::tz::Offset;

use super::forms::Form;
use super::numbers::{sign_magnitude, zigzag};
use super::shapes::Shape;
use super::step_words::is_step;
use super::swaps::{Swap, ordered};
use super::times::Stamp;
use crate::cursor::{Cursor, Endian};
use crate::message::{Fields, Value};
use crate::notation::{IntegerKind, NotationError, ReadError, Word, Words, unknown_word};

pub(super) const TYPES: [&str; 37] = [
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
    "sm16",
    "sm32",
    "varint",
    "zigzag",
    "f32",
    "f64",
    "decimal",
    "hexadecimal",
    "bcd",
    "hex",
    "ascii",
    "utf8",
    "utf16",
    "latin1",
    "gbk",
    "bytes",
    "mac",
    "ipv4",
    "ymdhms",
    "dmyhms",
    "bcdtime",
    "cp56",
    "cp24",
    "repeat",
    "join",
    "const",
    "skip",
];
/// Words that are written otherwise here.
const OTHERWISE: [(&str, &str); 3] = [
    ("cstr", "`ascii until 0x00`"),
    ("lpstr", "a field with the length, then `ascii LENGTH`"),
    (
        "tlv",
        "`bytes N with LAYOUT`, that layout being of type tlv",
    ),
];

/// A type that is read from bytes.
#[derive(Clone, Debug)]
pub(super) enum Type {
    Integer(IntegerKind),
    /// A varint whose lowest bit is the sign.
    Zigzag,
    /// The highest bit is the sign, the others are the magnitude.
    SignMagnitude {
        width: usize,
        endian: Endian,
    },
    Float {
        double: bool,
        endian: Endian,
    },
    /// A number that is read when its bytes stand in their places.
    Swapped {
        kind: Box<Type>,
        width: usize,
        swap: Swap,
    },
    Sized {
        form: Form,
        size: Size,
    },
    Stamp(Stamp),
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
        let kind = Self::unordered(first, words, endian)?;
        ordered(kind, first, words)
    }

    fn unordered(
        first: &Word<'_>,
        words: &mut Words<'_>,
        endian: Endian,
    ) -> Result<Self, NotationError> {
        if let Some(form) = form(first, endian) {
            return Self::sized(form, words);
        }
        if let Some(kind) = IntegerKind::parse(first, words, endian)? {
            return Ok(Type::Integer(kind));
        }
        if let Some(stamp) = Stamp::named(first.raw) {
            return Ok(Type::Stamp(stamp));
        }
        if first.raw == "zigzag" {
            return Ok(Type::Zigzag);
        }
        let (base, endian) = crate::notation::split_endian(first.raw, endian);
        match base {
            "f32" | "f64" => Ok(Type::Float {
                double: base == "f64",
                endian,
            }),
            _ => match base.strip_prefix("sm").map(str::parse::<usize>) {
                Some(Ok(bits @ 8..=64)) if bits % 8 == 0 => Ok(Type::SignMagnitude {
                    width: bits / 8,
                    endian,
                }),
                _ => Err(unknown(first)),
            },
        }
    }

    fn sized(form: Form, words: &mut Words<'_>) -> Result<Self, NotationError> {
        if let Some(width) = form.width() {
            let size = Size::Count(width);
            return Ok(Type::Sized { form, size });
        }
        let size = Size::parse(words)?;
        let form = match form {
            Form::Bcd(_) if words.accept("le").is_some() => Form::Bcd(Endian::Little),
            form => form,
        };
        Ok(Type::Sized { form, size })
    }

    /// How many bytes it takes, where that is always the same.
    pub fn width(&self) -> Option<usize> {
        match self {
            Type::Integer(kind) => kind.width(),
            Type::Zigzag => None,
            Type::SignMagnitude { width, .. } | Type::Swapped { width, .. } => Some(*width),
            Type::Float { double, .. } => Some(if *double { 8 } else { 4 }),
            Type::Stamp(stamp) => Some(stamp.width()),
            Type::Sized {
                size: Size::Count(count),
                ..
            } => Some(*count),
            Type::Sized { .. } => None,
        }
    }

    /// How many bits its values have, where they are whole numbers of bytes.
    pub fn bits(&self) -> Option<u32> {
        match self {
            Type::Integer(IntegerKind::Binary { width, .. }) => {
                Some(u32::from(*width).saturating_mul(8))
            }
            Type::Swapped { kind, .. } => kind.bits(),
            _ => None,
        }
    }

    /// Whether its values are whole numbers.
    pub fn is_integer(&self) -> bool {
        self.shape() == Shape::Whole && !matches!(self, Type::Stamp(_))
    }

    /// Whether it is a float of four bytes.
    pub fn is_single(&self) -> bool {
        match self {
            Type::Float { double, .. } => !double,
            Type::Swapped { kind, .. } => kind.is_single(),
            _ => false,
        }
    }

    /// Whether its values are texts.
    pub fn is_text(&self) -> bool {
        matches!(self, Type::Sized { form, .. } if !matches!(form, Form::Bytes | Form::Skip))
    }

    /// What its values are.
    pub fn shape(&self) -> Shape {
        match self {
            Type::Float { .. } => Shape::Float,
            Type::Swapped { kind, .. } => kind.shape(),
            Type::Stamp(Stamp::Cp24) => Shape::Whole,
            Type::Stamp(_) => Shape::Text,
            Type::Sized { form, .. } => match form {
                Form::Bytes => Shape::Bytes,
                Form::Skip => Shape::Any,
                _ => Shape::Text,
            },
            Type::Integer(_) | Type::Zigzag | Type::SignMagnitude { .. } => Shape::Whole,
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
        let value = match self {
            Type::Integer(kind) => {
                return match kind.take(cursor) {
                    Ok(number) => Ok(Some(Value::integer(number))),
                    Err(error) => Err(failed(error, cursor)),
                };
            }
            Type::Zigzag => {
                let number = IntegerKind::Varint.take(cursor);
                Value::integer(zigzag(number.map_err(|error| failed(error, cursor))?))
            }
            Type::SignMagnitude { width, endian } => {
                Value::integer(sign_magnitude(cursor, *width, *endian)?)
            }
            Type::Float { double, endian } => float(cursor, *double, *endian)?,
            Type::Swapped { kind, width, swap } => {
                let (left, end) = (cursor.remaining(), before(cursor));
                let bytes = swap.take(*width, cursor);
                let bytes =
                    bytes.ok_or_else(|| format!("needs {width} bytes, {left} are left{end}"))?;
                return kind.read(&mut Cursor::new(&bytes), fields, zone, replaced);
            }
            Type::Stamp(stamp) => {
                let bytes = Size::Count(stamp.width()).take(cursor, fields)?;
                stamp.value(bytes, zone)?
            }
            Type::Sized { form, size } => {
                let bytes = size.take(cursor, fields)?;
                return form.value(bytes, replaced);
            }
        };
        Ok(Some(value))
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
                let kept = kept.saturating_sub(cursor.tail());
                cursor.remaining().checked_sub(kept).ok_or_else(missing)?
            }
            Size::Field(name) => match fields.get(name) {
                Some(Value::Integer(count)) => usize::try_from(count.get())
                    .map_err(|_| format!("cannot be {count} bytes long"))?,
                _ => return Err(format!("has no length: `{name}` is not a whole number")),
            },
        };
        let (left, end) = (cursor.remaining(), before(cursor));
        let bytes = cursor.take(count);
        bytes.ok_or_else(|| format!("needs {count} bytes, {left} are left{end}"))
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

fn form(word: &Word<'_>, endian: Endian) -> Option<Form> {
    let named = Form::named(word.raw, endian);
    named.or_else(|| {
        let (base, endian) = crate::notation::split_endian(word.raw, endian);
        Form::named(base, endian).filter(|form| matches!(form, Form::Utf16(_)))
    })
}

fn unknown(word: &Word<'_>) -> NotationError {
    if let Some((_, written)) = OTHERWISE.iter().find(|(known, _)| word.is(known)) {
        return word.error(format!("`{}` is written {written}", word.raw));
    }
    if is_step(word) {
        return word.error(format!(
            "`{0}` is a step on what has been read; expected a type first: `ascii N {0}`",
            word.raw
        ));
    }
    if TYPES.contains(&word.raw) {
        return word.error(format!(
            "`{}` has no bytes of its own; expected the type of one value, such as `u16`",
            word.raw
        ));
    }
    word.error(unknown_word("type", word.raw, &TYPES))
}

/// Why an integer cannot be read, behind its name.
pub(super) fn failed(error: ReadError, cursor: &Cursor<'_>) -> String {
    match error {
        ReadError::Short { needed } if cursor.tail() > 0 => {
            format!("needs {needed} bytes of the frame, which has fewer before its check value")
        }
        ReadError::Short { needed } => {
            format!("needs {needed} bytes of the frame, which is shorter")
        }
        ReadError::Invalid(what) => format!("is {what}"),
    }
}

/// What the bytes that are read stand before.
fn before(cursor: &Cursor<'_>) -> &'static str {
    match cursor.tail() {
        0 => "",
        _ => " before the check value",
    }
}

fn float(cursor: &mut Cursor<'_>, double: bool, endian: Endian) -> Result<Value, String> {
    let width = if double { 8 } else { 4 };
    let left = cursor.remaining();
    let end = before(cursor);
    let short = || format!("needs {width} bytes, {left} are left{end}");
    let bits = cursor.uint(width, endian).ok_or_else(short)?;
    Ok(Value::Float(match u32::try_from(bits) {
        Ok(bits) if !double => f64::from(f32::from_bits(bits)),
        _ => f64::from_bits(bits),
    }))
}
