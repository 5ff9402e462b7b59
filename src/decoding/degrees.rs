//! Degrees and minutes as degrees: `5231.79283` is 52° 31.79283'.

use super::steps::as_float;

/// Digits in all: more than a double has, and few enough for exact integers.
const MOST_DIGITS: usize = 24;
/// Digits whose number fits into 64 bits.
const SMALL_DIGITS: usize = 19;

/// Degrees from `dddmm.mmmm`, or from `dddmmmmmm` with so many decimals of a minute.
///
/// All is done in integers but for the last division: the result is the nearest double to what the
/// device said.
pub(super) fn of_minutes(text: &str, decimals: u32) -> Result<f64, String> {
    let wrong = || "is not degrees and minutes".to_owned();
    let text = text.trim();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let number = in_one_piece(whole, fraction).ok_or_else(wrong)?;
    let decimals = u32::try_from(fraction.len())
        .ok()
        .and_then(|len| len.checked_add(decimals));
    let minute = decimals.and_then(power_of_ten).ok_or_else(wrong)?;
    let degree = minute.saturating_mul(100);
    let (degrees, minutes) = divided(number, degree).ok_or_else(wrong)?;
    if degrees > 180 || minutes >= minute.saturating_mul(60) {
        return Err(wrong());
    }
    let sixtieth = minute.saturating_mul(60);
    let all = degrees.saturating_mul(sixtieth).saturating_add(minutes);
    let degrees = as_float(all) / as_float(sixtieth);
    Ok(if negative { -degrees } else { degrees })
}

// Wide integers are slow to multiply and divide, and few numbers are so large.

fn power_of_ten(exponent: u32) -> Option<i128> {
    let small = 10u64.checked_pow(exponent).map(i128::from);
    small.or_else(|| 10i128.checked_pow(exponent))
}

/// How often it goes into the number, and what is left.
fn divided(number: i128, by: i128) -> Option<(i128, i128)> {
    match (u64::try_from(number), u64::try_from(by)) {
        (Ok(number), Ok(by)) => {
            let (times, left) = (number.checked_div(by)?, number.checked_rem(by)?);
            Some((times.into(), left.into()))
        }
        _ => Some((number.checked_div(by)?, number.checked_rem(by)?)),
    }
}

/// The number that digits say, one text behind the other.
fn in_one_piece(whole: &str, fraction: &str) -> Option<i128> {
    let digits = whole.len().checked_add(fraction.len())?;
    if !(1..=MOST_DIGITS).contains(&digits) {
        return None;
    }
    let small = digits <= SMALL_DIGITS;
    let mut digits = whole.bytes().chain(fraction.bytes());
    if small {
        let number = digits.try_fold(0u64, |number, digit| match digit {
            b'0'..=b'9' => number.checked_mul(10)?.checked_add(u64::from(digit & 15)),
            _ => None,
        });
        return number.map(i128::from);
    }
    digits.try_fold(0i128, |number, digit| match digit {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(i128::from(digit & 15)),
        _ => None,
    })
}
