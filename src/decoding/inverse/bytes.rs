//! The bytes of a value that no step has been done with.

use super::{Fill, Form, Size, Type, float, integer};
use crate::cursor::Endian;
use crate::decoding::steps::{as_float, text};
use crate::decoding::texts::unhex;
use crate::message::Value;
use crate::notation::{IntegerKind, write_bcd};

/// Why a value has no bytes.
#[derive(Debug)]
pub(super) enum Unfit {
    /// The least and the most that there is.
    Outside(Value, Value),
    Other(String),
}

impl From<&str> for Unfit {
    fn from(why: &str) -> Self {
        Unfit::Other(why.to_owned())
    }
}

/// The bytes of a value of that type.
pub(super) fn of(kind: &Type, value: &Value, fill: Option<Fill>) -> Result<Vec<u8>, Unfit> {
    let mut out = Vec::new();
    match kind {
        Type::Integer(kind) => {
            let number = nearest(value)?;
            let written = kind.write(number, &mut out);
            written.ok_or_else(|| outside(kind))?;
        }
        Type::SignMagnitude { width, endian } => {
            let sign = 1u64 << (width.saturating_mul(8).saturating_sub(1) & 63);
            let number = nearest(value)?;
            let most = i128::from(sign.saturating_sub(1));
            let least = most.saturating_neg();
            if !(least..=most).contains(&number) {
                return Err(Unfit::Outside(Value::integer(least), Value::integer(most)));
            }
            let bits = u64::try_from(number.unsigned_abs()).unwrap_or_default();
            let bits = if number < 0 { bits | sign } else { bits };
            let kind = IntegerKind::Binary {
                width: u8::try_from(*width).unwrap_or(8),
                signed: false,
                endian: *endian,
            };
            let written = kind.write(bits.into(), &mut out);
            written.ok_or("does not fit")?;
        }
        Type::Float { double, endian } => out = floating(value, *double, *endian)?,
        Type::Swapped { kind, swap, .. } => {
            out = of(kind, value, fill)?;
            swap.apply(&mut out);
        }
        Type::Sized {
            form,
            size: Size::Count(count),
        } => out = spelled(*form, *count, value, fill)?,
        Type::Zigzag | Type::Sized { .. } => {
            return Err("cannot be written: its length depends on the value".into());
        }
        Type::Stamp(_) => return Err("cannot be written: times are only read".into()),
    }
    Ok(out)
}

/// The whole number next to a value.
fn nearest(value: &Value) -> Result<i128, Unfit> {
    if let Some(number) = integer(value) {
        return Ok(number);
    }
    let number = float(value).ok_or("must be a number")?.round();
    // Beyond what any number of eight bytes can be; the limits say the range.
    Ok(number.clamp(-1e20, 1e20) as i128)
}

fn outside(kind: &IntegerKind) -> Unfit {
    let (least, most) = match *kind {
        IntegerKind::Binary { width, signed, .. } => {
            let bits = u32::from(width).saturating_mul(8);
            let count = 1i128.checked_shl(bits).unwrap_or(i128::MAX);
            let half = count / 2;
            match signed {
                true => (half.saturating_neg(), half.saturating_sub(1)),
                false => (0, count.saturating_sub(1)),
            }
        }
        _ => return "has more digits than there is room for".into(),
    };
    Unfit::Outside(Value::integer(least), Value::integer(most))
}

fn floating(value: &Value, double: bool, endian: Endian) -> Result<Vec<u8>, Unfit> {
    let number = match (value, integer(value)) {
        (_, Some(number)) => as_float(number),
        (Value::Float(number), _) => *number,
        _ => return Err("must be a number".into()),
    };
    if double {
        return Ok(match endian {
            Endian::Big => number.to_be_bytes().into(),
            Endian::Little => number.to_le_bytes().into(),
        });
    }
    let single = number as f32;
    if !single.is_finite() {
        let most = f64::from(f32::MAX);
        return Err(Unfit::Outside(Value::Float(-most), Value::Float(most)));
    }
    Ok(match endian {
        Endian::Big => single.to_be_bytes().into(),
        Endian::Little => single.to_le_bytes().into(),
    })
}

/// A text in so many bytes.
fn spelled(form: Form, count: usize, value: &Value, fill: Option<Fill>) -> Result<Vec<u8>, Unfit> {
    let digits = count.saturating_mul(2);
    let zeros = Fill {
        character: '0',
        left: true,
    };
    // A number that was made of digits has as many as there is room for.
    let fill = fill.or(matches!(value, Value::Integer(_)).then_some(zeros));
    let text = match value {
        Value::Text(_) | Value::Integer(_) => text(value.clone()).map_err(Unfit::Other)?,
        _ => return Err("must be a text".into()),
    };
    let bytes = match form {
        Form::Ascii | Form::Utf8 | Form::Latin1 => {
            let bytes = letters(form, &text).ok_or("has characters that cannot be written")?;
            let fill = fill.map(|fill| (u8::try_from(fill.character), fill.left));
            let fill = fill.and_then(|(byte, left)| Some((byte.ok()?, left)));
            filled(bytes, count, fill).ok_or_else(|| too_long(count, "characters"))?
        }
        Form::Hex | Form::Bcd(_) => {
            let fill = fill.and_then(|fill| Some((u8::try_from(fill.character).ok()?, fill.left)));
            let digits = filled(text.as_bytes().to_vec(), digits, fill)
                .ok_or_else(|| too_long(digits, "digits"))?;
            packed(form, &digits, count).ok_or("is not made of digits")?
        }
        _ => return Err("cannot be written: texts of this type are only read".into()),
    };
    Ok(bytes)
}

fn letters(form: Form, text: &str) -> Option<Vec<u8>> {
    let one = |character: char| u8::try_from(character).ok();
    match form {
        Form::Ascii if !text.is_ascii() => None,
        Form::Latin1 => text.chars().map(one).collect(),
        _ => Some(text.as_bytes().to_vec()),
    }
}

fn packed(form: Form, digits: &[u8], count: usize) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(digits).ok()?;
    let Form::Bcd(endian) = form else {
        return unhex(text).ok().map(|bytes| bytes.to_vec());
    };
    let mut out = Vec::new();
    write_bcd(text, count, &mut out)?;
    if endian == Endian::Little {
        out.reverse();
    }
    Some(out)
}

/// So many bytes, filled up by what their trimming takes off again.
fn filled(mut bytes: Vec<u8>, count: usize, fill: Option<(u8, bool)>) -> Option<Vec<u8>> {
    let missing = count.checked_sub(bytes.len())?;
    match fill {
        _ if missing == 0 => {}
        Some((byte, true)) => {
            bytes.splice(..0, std::iter::repeat_n(byte, missing));
        }
        Some((byte, false)) => bytes.resize(count, byte),
        None => return None,
    }
    Some(bytes)
}

fn too_long(count: usize, what: &str) -> Unfit {
    Unfit::Other(format!(
        "must have {count} {what}; fewer only where `rtrim` or `ltrim` says what fills them up"
    ))
}
