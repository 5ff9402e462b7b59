//! What steps do with texts.

use std::sync::Arc;

use crate::message::{Text, Value};

/// A text without these characters at its ends.
pub(super) fn trim(mut text: Text, characters: &[char], left: bool, right: bool) -> Value {
    if right {
        text.truncate(text.trim_end_matches(characters).len());
    }
    if left {
        let kept = text.trim_start_matches(characters).len();
        text.drain(..text.len().saturating_sub(kept));
    }
    Value::Text(text)
}

/// Digits with their check digit: from the right every second one counts double.
pub(super) fn luhn(mut digits: Text) -> Result<Text, String> {
    let mut sum = 0u32;
    for (place, digit) in digits.bytes().rev().enumerate() {
        if !digit.is_ascii_digit() {
            return Err("is not made of decimal digits, which `luhn` needs".to_owned());
        }
        let digit = u32::from(digit & 15);
        let counted = match (place % 2 == 0, digit) {
            (true, 5..) => digit.saturating_mul(2).saturating_sub(9),
            (true, digit) => digit.saturating_mul(2),
            (false, digit) => digit,
        };
        sum = sum.wrapping_add(counted) % 10;
    }
    let check = 10u32.saturating_sub(sum) % 10;
    digits.extend(char::from_digit(check, 10));
    Ok(digits)
}

/// The bytes that hex digits say.
pub(super) fn unhex(text: &str) -> Result<Arc<[u8]>, String> {
    let wrong = || "is not made of pairs of hex digits".to_owned();
    let (pairs, odd) = text.as_bytes().as_chunks::<2>();
    if !odd.is_empty() {
        return Err(wrong());
    }
    let nibble = |digit: u8| char::from(digit).to_digit(16);
    let byte = |[high, low]: &[u8; 2]| u8::try_from(nibble(*high)? << 4 | nibble(*low)?).ok();
    pairs
        .iter()
        .map(byte)
        .collect::<Option<_>>()
        .ok_or_else(wrong)
}
