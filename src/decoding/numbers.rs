//! Integers that processors do not have: seven bits to a byte, a sign beside the magnitude.

use crate::cursor::{Cursor, Endian};

/// Seven bits to a byte, the lowest first, until a byte without the upper bit; at most 64 bits.
pub(super) fn varint(cursor: &mut Cursor<'_>) -> Result<u64, String> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = cursor.uint(1, Endian::Big);
        let byte = byte.ok_or_else(|| "ends before its last byte".to_owned())?;
        let part = byte & 0x7f;
        let shifted = part.checked_shl(shift).unwrap_or(0);
        if shifted.checked_shr(shift) != Some(part) {
            break;
        }
        value |= shifted;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err("has more than 64 bits".to_owned())
}

/// The signed number that a zigzag number means: 0, -1, 1, -2, 2 …
pub(super) fn zigzag(value: u64) -> i128 {
    let half = i128::from(value >> 1);
    if value & 1 == 0 { half } else { !half }
}

/// A number whose highest bit is its sign.
pub(super) fn sign_magnitude(
    cursor: &mut Cursor<'_>,
    width: usize,
    endian: Endian,
) -> Result<i128, String> {
    let left = cursor.remaining();
    let short = || format!("needs {width} bytes, {left} are left");
    let value = cursor.uint(width, endian).ok_or_else(short)?;
    let bits = u32::try_from(width.saturating_mul(8)).unwrap_or(64);
    let sign = 1u64.checked_shl(bits.saturating_sub(1)).unwrap_or(0);
    let magnitude = i128::from(value & !sign);
    Ok(if value & sign == 0 {
        magnitude
    } else {
        magnitude.saturating_neg()
    })
}
