//! Moments: the bytes that devices write them in, counts since a beginning, texts of digits.

use jiff::civil::DateTime;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

use super::moments;
use super::steps::integer;
use crate::message::Value;

/// How a moment stands in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stamp {
    /// Six bytes: year of the century, month, day, hour, minute, second.
    YearFirst,
    /// The same in two digits each.
    YearFirstBcd,
    /// Six bytes: day, month, year of the century, hour, minute, second.
    DayFirst,
    /// CP56Time2a of IEC 60870-5-4: seven bytes from the milliseconds to the year.
    Cp56,
    /// CP24Time2a: its first three bytes, the milliseconds of the hour.
    Cp24,
}

impl Stamp {
    /// The stamp that a word names.
    pub fn named(word: &str) -> Option<Self> {
        Some(match word {
            "ymdhms" => Stamp::YearFirst,
            "bcdtime" => Stamp::YearFirstBcd,
            "dmyhms" => Stamp::DayFirst,
            "cp56" => Stamp::Cp56,
            "cp24" => Stamp::Cp24,
            _ => return None,
        })
    }

    /// How many bytes it takes.
    pub fn width(self) -> usize {
        match self {
            Stamp::YearFirst | Stamp::YearFirstBcd | Stamp::DayFirst => 6,
            Stamp::Cp56 => 7,
            Stamp::Cp24 => 3,
        }
    }

    /// What its bytes say; the invalid bit of IEC times means that nothing is known.
    pub fn value(self, bytes: &[u8], zone: Offset) -> Result<Value, String> {
        match (self, bytes) {
            (Stamp::YearFirst, [year, month, day, clock @ ..]) => {
                civil([*year, *month, *day], clock, zone)
            }
            (Stamp::DayFirst, [day, month, year, clock @ ..]) => {
                civil([*year, *month, *day], clock, zone)
            }
            (Stamp::YearFirstBcd, bytes) => {
                let digits: Option<Vec<u8>> = bytes.iter().map(|byte| two_digits(*byte)).collect();
                Stamp::YearFirst.value(&digits.ok_or_else(wrong)?, zone)
            }
            (Stamp::Cp56 | Stamp::Cp24, [_, _, minute, ..]) if minute & 0x80 != 0 => {
                Ok(Value::Null)
            }
            (Stamp::Cp56, [low, high, minute, hour, day, month, year]) => {
                let milliseconds = u16::from_le_bytes([*low, *high]);
                let date = [year & 0x7f, month & 0x0f, day & 0x1f];
                let (second, rest) = (milliseconds / 1000, milliseconds % 1000);
                let second = u8::try_from(second).map_err(|_| wrong())?;
                let stamp = timestamp(date, &[hour & 0x1f, minute & 0x3f, second], zone)?;
                let stamp = stamp.checked_add(SignedDuration::from_millis(rest.into()));
                stamp.map(time_text).map_err(|_| wrong())
            }
            (Stamp::Cp24, [low, high, minute]) => {
                let minutes = i128::from(minute & 0x3f).saturating_mul(60_000);
                let milliseconds = i128::from(u16::from_le_bytes([*low, *high]));
                Ok(Value::integer(minutes.saturating_add(milliseconds)))
            }
            _ => Err(wrong()),
        }
    }
}

/// A moment as text, RFC 3339 with Z.
pub(super) fn time_text(time: Timestamp) -> Value {
    Value::Text(moments::written(time))
}

/// The moment so many units behind a beginning; `per_second` is 1 or 1000.
pub(super) fn since(start: Timestamp, value: &Value, per_second: i64) -> Result<Value, String> {
    let duration = match value {
        // No float has more of a moment of today than its microseconds.
        Value::Float(count) => Some(count * 1e6 / per_second as f64)
            .filter(|micros| micros.abs() < i64::MAX as f64)
            .map(|micros| SignedDuration::from_micros(micros.round() as i64)),
        value => {
            let count = i64::try_from(integer(value)?).map_err(|_| wrong())?;
            Some(if per_second == 1 {
                SignedDuration::from_secs(count)
            } else {
                SignedDuration::from_millis(count)
            })
        }
    };
    let moment = start.checked_add(duration.ok_or_else(wrong)?);
    moment.map(time_text).map_err(|_| wrong())
}

/// The `time` step's word for date and time in digits.
const DIGITS: &str = "digits";

/// A text in a `strftime` form or in [`DIGITS`], in that zone where the text says none.
pub(super) fn time(text: &str, format: &str, zone: Offset) -> Result<Value, String> {
    if format == DIGITS {
        return digits(text, zone);
    }
    if let Some(civil) = moments::in_form(text, format)
        && let Ok(moment) = zone.to_timestamp(civil)
    {
        return Ok(time_text(moment));
    }
    let wrong = |_| format!("is not a time of the form {format}");
    let parts = BrokenDownTime::parse(format, text).map_err(wrong)?;
    let civil = parts.to_datetime().map_err(wrong)?;
    let zone = parts.offset().unwrap_or(zone);
    zone.to_timestamp(civil).map(time_text).map_err(wrong)
}

/// Date and time in digits as far as they go, `YYYY[MM[DD[HH[MM[SS[.f]]]]]][±HHMM]`: the DTM of
/// HL7 v2 (2.A.22), which ASTM E1394 and DICOM have too. What is not said is the earliest.
fn digits(text: &str, zone: Offset) -> Result<Value, String> {
    const EARLIEST: &str = "00000101000000";
    let said = text.bytes().take_while(u8::is_ascii_digit).count();
    let (said, rest) = text.split_at_checked(said).unwrap_or((text, ""));
    let missing = EARLIEST.get(said.len()..).filter(|_| said.len() >= 4);
    let missing = missing.filter(|missing| missing.len() % 2 == 0);
    let missing = missing.ok_or_else(|| "is not a time in digits".to_owned())?;
    let format = match rest.contains(['+', '-']) {
        true => "%Y%m%d%H%M%S%.f%z",
        false => "%Y%m%d%H%M%S%.f",
    };
    time(&format!("{said}{missing}{rest}"), format, zone)
        .map_err(|_| "is not a time in digits".to_owned())
}

fn wrong() -> String {
    "is not a time".to_owned()
}

fn civil(date: [u8; 3], clock: &[u8], zone: Offset) -> Result<Value, String> {
    timestamp(date, clock, zone).map(time_text)
}

/// From year of the century, month and day, and from hour, minute and second.
fn timestamp(date: [u8; 3], clock: &[u8], zone: Offset) -> Result<Timestamp, String> {
    let [year, month, day] = date.map(small);
    let &[hour, minute, second] = clock else {
        return Err(wrong());
    };
    let year = i16::from(year?).saturating_add(2000);
    let (hour, minute, second) = (small(hour)?, small(minute)?, small(second)?);
    let civil = DateTime::new(year, month?, day?, hour, minute, second, 0);
    let moment = civil.and_then(|civil| zone.to_timestamp(civil));
    moment.map_err(|_| wrong())
}

fn small(number: u8) -> Result<i8, String> {
    let number = i8::try_from(number).ok();
    number.filter(|number| *number <= 99).ok_or_else(wrong)
}

fn two_digits(byte: u8) -> Option<u8> {
    match (byte >> 4, byte & 15) {
        (high @ 0..=9, low @ 0..=9) => high.checked_mul(10)?.checked_add(low),
        _ => None,
    }
}
