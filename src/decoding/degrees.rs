//! Degrees and minutes as degrees: `5231.79283` is 52° 31.79283'.

/// Digits in all: more than a double has, and few enough for exact integers.
const MOST_DIGITS: usize = 24;

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
    let minute = decimals
        .and_then(|decimals| 10i128.checked_pow(decimals))
        .ok_or_else(wrong)?;
    let degree = minute.saturating_mul(100);
    let degrees = number.checked_div(degree).ok_or_else(wrong)?;
    let minutes = number.checked_rem(degree).ok_or_else(wrong)?;
    if degrees > 180 || minutes >= minute.saturating_mul(60) {
        return Err(wrong());
    }
    let sixtieth = minute.saturating_mul(60);
    let all = degrees.saturating_mul(sixtieth).saturating_add(minutes);
    let degrees = all as f64 / sixtieth as f64;
    Ok(if negative { -degrees } else { degrees })
}

/// The number that digits say, one text behind the other.
fn in_one_piece(whole: &str, fraction: &str) -> Option<i128> {
    let digits = whole.len().checked_add(fraction.len())?;
    if !(1..=MOST_DIGITS).contains(&digits) {
        return None;
    }
    let mut digits = whole.bytes().chain(fraction.bytes());
    digits.try_fold(0i128, |number, digit| match digit {
        b'0'..=b'9' => number.checked_mul(10)?.checked_add(i128::from(digit & 15)),
        _ => None,
    })
}
