//! The texts of moments that most devices and all stamps have, without the way through a general
//! parser. What is not of these forms is left to that.

use compact_str::ToCompactString;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

use crate::message::{Text, Value};

/// A moment as text, RFC 3339 with Z.
pub(super) fn written(time: Timestamp) -> Text {
    in_whole_seconds(time).unwrap_or_else(|| time.to_compact_string())
}

fn in_whole_seconds(time: Timestamp) -> Option<Text> {
    let civil = Offset::UTC.to_datetime(time);
    if civil.subsec_nanosecond() != 0 {
        return None;
    }
    let year = u16::try_from(civil.year()).ok()?;
    let [a, b] = pair(u8::try_from(year / 100).ok()?);
    let [c, d] = pair(u8::try_from(year % 100).ok()?);
    let clock = [civil.hour(), civil.minute(), civil.second()];
    let [[i, j], [k, l], [m, n]] = clock.map(i8::cast_unsigned).map(pair);
    let [[e, f], [g, h]] = [civil.month(), civil.day()]
        .map(i8::cast_unsigned)
        .map(pair);
    let text = [
        a, b, c, d, b'-', e, f, b'-', g, h, b'T', i, j, b':', k, l, b':', m, n, b'Z',
    ];
    std::str::from_utf8(&text).ok().map(Text::from)
}

/// The moment of a text of the form that [`written`] gives whole seconds; `None` for all others.
pub(super) fn read(text: &str) -> Option<Timestamp> {
    let text = <&[u8; 20]>::try_from(text.as_bytes()).ok()?;
    let &[
        a,
        b,
        c,
        d,
        b'-',
        e,
        f,
        b'-',
        g,
        h,
        b'T',
        i,
        j,
        b':',
        k,
        l,
        b':',
        m,
        n,
        b'Z',
    ] = text
    else {
        return None;
    };
    let year = full_year(number([a, b])?, number([c, d])?);
    let parts = [[e, f], [g, h], [i, j], [k, l], [m, n]].map(number);
    Offset::UTC.to_timestamp(civil(Some(year), parts)?).ok()
}

/// The time that a field named `time` says.
pub(super) fn of_value(value: &Value, zone: Option<Offset>) -> Result<Option<Timestamp>, String> {
    match value {
        Value::Null => Ok(None),
        Value::Text(text) => moment(text, zone.unwrap_or(Offset::UTC))
            .map(Some)
            .ok_or_else(|| {
                "time is not an RFC 3339 time; see the steps `time` and `unix`".to_owned()
            }),
        _ => Err("time is not a text; see the steps `unix` and `unixms`".to_owned()),
    }
}

/// A moment, in the given zone where the text has none.
fn moment(text: &str, zone: Offset) -> Option<Timestamp> {
    let with_zone = read(text).or_else(|| text.parse().ok());
    with_zone.or_else(|| zone.to_timestamp(text.parse::<DateTime>().ok()?).ok())
}

/// What a text says in a `strftime` form that has nothing but the numbers from the year to the
/// second, each once and in full width, and ASCII characters; `None` for all others.
pub(super) fn in_form(text: &str, form: &str) -> Option<DateTime> {
    let (mut text, mut form) = (text.bytes(), form.bytes());
    let mut year = None;
    let [mut month, mut day, mut hour, mut minute, mut second] = [None; 5];
    while let Some(byte) = form.next() {
        if byte != b'%' {
            // Blanks of a form stand for any number of them.
            if !byte.is_ascii_graphic() || text.next()? != byte {
                return None;
            }
            continue;
        }
        let word = form.next()?;
        let two = number([text.next()?, text.next()?])?;
        let before = match word {
            b'Y' => year.replace(full_year(two, number([text.next()?, text.next()?])?)),
            b'y' => year.replace(full_year(if two < 69 { 20 } else { 19 }, two)),
            b'm' => month.replace(two).map(i16::from),
            b'd' => day.replace(two).map(i16::from),
            b'H' => hour.replace(two).map(i16::from),
            b'M' => minute.replace(two).map(i16::from),
            b'S' => second.replace(two).map(i16::from),
            _ => return None,
        };
        if before.is_some() {
            return None;
        }
    }
    match text.next() {
        None => civil(year, [month, day, hour, minute, second]),
        Some(_) => None,
    }
}

/// From the year and from month, day, hour, minute and second.
fn civil(year: Option<i16>, parts: [Option<i8>; 5]) -> Option<DateTime> {
    let [month, day, hour, minute, second] = parts;
    DateTime::new(year?, month?, day?, hour?, minute?, second?, 0).ok()
}

fn full_year(century: i8, year: i8) -> i16 {
    i16::from(century)
        .saturating_mul(100)
        .saturating_add(i16::from(year))
}

/// The number that two digits say.
fn number([high, low]: [u8; 2]) -> Option<i8> {
    if !(high.is_ascii_digit() && low.is_ascii_digit()) {
        return None;
    }
    let number = (high & 15).wrapping_mul(10).wrapping_add(low & 15);
    Some(number.cast_signed())
}

/// The two digits of a number below 100.
fn pair(number: u8) -> [u8; 2] {
    [number / 10 % 10, number % 10].map(|digit| digit | b'0')
}

#[cfg(test)]
mod tests {
    use jiff::fmt::strtime::BrokenDownTime;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_of_another_form_is_left_to_others() {
        for text in [
            "",
            "2026-11-26T15:02:60Z",
            "2026-11-31T15:02:59Z",
            "2026-11-26T15:02:59z",
            "2026-11-26 15:02:59Z",
            "2026-11-26T15:0a:59Z",
            "2026-11-26T15:02:59.5Z",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        for (text, form) in [
            ("261126150259", "%d%m%y%H%M"),
            ("2611261502599", "%d%m%y%H%M%S"),
            ("26112615025", "%d%m%y%H%M%S"),
            ("26112615025926", "%d%m%y%H%M%S%d"),
            ("261126 150259", "%d%m%y %H%M%S"),
            ("261126150259", "%d%m%y%H%M%S%"),
            ("261126150260", "%d%m%y%H%M%S"),
        ] {
            assert_eq!(in_form(text, form), None, "{text} {form}");
        }
        let expected: DateTime = "2026-11-26T15:02:59".parse().unwrap();
        assert_eq!(in_form("261126150259", "%d%m%y%H%M%S"), Some(expected));
    }

    proptest! {
        #[test]
        fn moments_are_written_as_in_general(seconds in -400_000_000_000i64..253_402_207_200, nanos in prop_oneof![Just(0), 0..1_000_000_000]) {
            let time = Timestamp::new(seconds, nanos);
            prop_assume!(time.is_ok());
            let time = time.unwrap();
            let text = written(time);
            prop_assert_eq!(&text, &time.to_string());
            if let Some(moment) = read(&text) {
                prop_assert_eq!(moment, time);
            } else {
                prop_assert!(nanos != 0 || text.len() != 20, "{}", text);
            }
        }

        #[test]
        fn what_is_read_is_what_is_read_in_general(
            text in "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9]Z"
        ) {
            if let Some(moment) = read(&text) {
                prop_assert_eq!(Ok(moment), text.parse::<Timestamp>().map_err(|_| ()));
            }
        }

        #[test]
        fn forms_mean_what_they_mean_in_general(
            form in prop_oneof![
                Just("%d%m%y%H%M%S"), Just("%Y-%m-%dT%H:%M:%S"), Just("%y/%m/%d,%H.%M.%S"),
                Just("%H%M%S%d%m%Y")
            ],
            text in prop_oneof!["[0-3][0-9][01][0-9]{3}[0-2][0-9][0-5][0-9]{3}", "[0-2][0-9][0-5][0-9][0-5][0-9][0-2][0-9]0[1-9][0-9]{4}",
                "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]", "[0-9]{2}/0[1-9]/[0-2][0-9],[0-2][0-9].[0-5][0-9].[0-5][0-9]"],
        ) {
            if let Some(civil) = in_form(&text, form) {
                let general = BrokenDownTime::parse(form, &text).and_then(|parts| parts.to_datetime());
                prop_assert_eq!(Ok(civil), general.map_err(|_| ()));
            }
        }
    }
}
