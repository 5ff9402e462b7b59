//! Zones of times: `+08:00`.

use jiff::tz::Offset;

use super::{NotationError, Word};

/// An offset from UTC: `+08:00`, `-0330`, `Z`.
pub fn zone(word: &Word<'_>) -> Result<Offset, NotationError> {
    let wrong = || {
        word.error(format!(
            "expected an offset such as +08:00, found `{}`",
            word.raw
        ))
    };
    if word.raw == "Z" {
        return Ok(Offset::UTC);
    }
    let (sign, rest) = match (word.raw.strip_prefix('+'), word.raw.strip_prefix('-')) {
        (Some(rest), _) => (1, rest),
        (None, Some(rest)) => (-1, rest),
        (None, None) => return Err(wrong()),
    };
    let digits: String = rest.chars().filter(|character| *character != ':').collect();
    let number: i32 = digits.parse().map_err(|_| wrong())?;
    let (hours, minutes) = match digits.len() {
        1 | 2 => (number, 0),
        4 => (number / 100, number % 100),
        _ => return Err(wrong()),
    };
    if hours > 18 || minutes > 59 {
        return Err(wrong());
    }
    let minutes = hours.saturating_mul(60).saturating_add(minutes);
    Offset::from_seconds(minutes.saturating_mul(60).saturating_mul(sign)).map_err(|_| wrong())
}
