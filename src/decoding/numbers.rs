//! Integers that processors do not have: seven bits to a byte, a sign beside the magnitude.

use crate::cursor::{Cursor, Endian};

/// The signed number that a zigzag number means: 0, -1, 1, -2, 2 …
pub(super) fn zigzag(value: i128) -> i128 {
    let half = value >> 1;
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
