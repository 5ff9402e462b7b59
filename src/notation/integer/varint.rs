//! LEB128, the integers of protobuf: seven bits to a byte, the lowest first, the eighth says that more follow.

use super::{ReadError, short};
use crate::cursor::Cursor;

/// Most bytes of 64 bits.
const MOST_BYTES: usize = 10;

/// Reads an unsigned number at the cursor and goes behind it.
pub(super) fn take(cursor: &mut Cursor<'_>) -> Result<i128, ReadError> {
    let mut ahead = *cursor;
    let window = ahead
        .take(ahead.remaining().min(MOST_BYTES))
        .unwrap_or_default();
    let Some(last) = window.iter().position(|byte| byte & 0x80 == 0) else {
        return Err(if window.len() < MOST_BYTES {
            short(&ahead, 1)
        } else {
            ReadError::Invalid("too many bytes")
        });
    };
    let bytes = cursor.take(last.saturating_add(1)).unwrap_or_default();
    let push = |value: i128, byte: &u8| (value << 7) | i128::from(byte & 0x7f);
    let value = bytes.iter().rev().fold(0, push);
    if value > i128::from(u64::MAX) {
        return Err(ReadError::Invalid("more than 64 bits"));
    }
    Ok(value)
}

/// Appends the number; `None`, and nothing appended, if it is negative or has more than 64 bits.
pub(super) fn write(value: i128, out: &mut Vec<u8>) -> Option<()> {
    let mut rest = u64::try_from(value).ok()?;
    loop {
        let low = rest.to_le_bytes().first().map_or(0, |byte| byte & 0x7f);
        rest >>= 7;
        if rest == 0 {
            out.push(low);
            return Some(());
        }
        out.push(low | 0x80);
    }
}
