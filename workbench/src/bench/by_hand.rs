//! The yardstick of decoding: what a good engineer writes for one layout and no other.

use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, Serializer};

/// What a frame became: the device's time, and the JSON of its values.
pub type Decoded = (Option<Timestamp>, Vec<u8>);

/// Room for the values of one frame.
const ROOM: usize = 512;

/// Digits of a number in two to a byte, without leading zeros.
#[derive(Debug)]
struct Digits {
    text: [u8; 16],
    from: usize,
}

impl Digits {
    fn of(bytes: [u8; 8]) -> Option<Self> {
        let mut text = [0; 16];
        for (digits, byte) in text.chunks_exact_mut(2).zip(bytes) {
            let pair = [byte >> 4, byte & 15];
            if pair.iter().any(|digit| *digit > 9) {
                return None;
            }
            digits.copy_from_slice(&pair.map(|digit| b'0' + digit));
        }
        let from = text.iter().position(|digit| *digit != b'0')?;
        Some(Digits { text, from })
    }
}

impl Serialize for Digits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.text.get(self.from..).unwrap_or_default();
        serializer.serialize_str(str::from_utf8(text).unwrap_or_default())
    }
}

/// A moment, RFC 3339.
#[derive(Debug)]
struct Moment(Timestamp);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A value with a name for some of its numbers.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Named {
    Name(&'static str),
    Number(u16),
}

/// The values of [`binary`] in their order.
#[derive(Debug, Serialize)]
struct Position {
    kind: Named,
    id: Digits,
    seq: u16,
    latitude: f64,
    longitude: f64,
    altitude: i16,
    speed: f64,
    course: u16,
    satellites: u8,
    ignition: bool,
    charging: bool,
    fix: Named,
    odometer: u32,
    voltage: f64,
    temperature: f64,
    humidity: f64,
    fuel: f64,
    rpm: u16,
    serviced: Moment,
    hours: u32,
    event: Named,
}

/// Takes fixed numbers of bytes off the front.
#[derive(Debug)]
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }
}

/// Decodes a frame of `super::decode::BINARY`.
pub fn binary(frame: &[u8]) -> Option<Decoded> {
    let mut bytes = Bytes(frame);
    let kind = match bytes.take()? {
        [1] => Named::Name("position"),
        [2] => Named::Name("alarm"),
        [other] => Named::Number(other.into()),
    };
    let id = Digits::of(bytes.take()?)?;
    let seq = u16::from_be_bytes(bytes.take()?);
    let time = moment(bytes.take()?)?;
    let latitude = f64::from(i32::from_be_bytes(bytes.take()?)) / 10_000_000.0;
    let longitude = f64::from(i32::from_be_bytes(bytes.take()?)) / 10_000_000.0;
    let altitude = i16::from_be_bytes(bytes.take()?);
    let speed = f64::from(u16::from_be_bytes(bytes.take()?)) / 10.0;
    let course = u16::from_be_bytes(bytes.take()?);
    let [satellites] = bytes.take()?;
    let flags = u16::from_be_bytes(bytes.take()?);
    let fix = match flags >> 2 & 3 {
        0 => Named::Name("none"),
        1 => Named::Name("2d"),
        2 => Named::Name("3d"),
        other => Named::Number(other),
    };
    let odometer = u32::from_be_bytes(bytes.take()?);
    let voltage = f64::from(u16::from_be_bytes(bytes.take()?)) / 1000.0;
    let temperature = f64::from(f32::from_be_bytes(bytes.take()?));
    let humidity = (f64::from(f32::from_be_bytes(bytes.take()?)) * 10.0).round() / 10.0;
    let [fuel] = bytes.take()?;
    let rpm = u16::from_le_bytes(bytes.take()?);
    let serviced = i64::from(u32::from_be_bytes(bytes.take()?));
    let [high, middle, low] = bytes.take()?;
    let event = match u16::from_be_bytes(bytes.take()?) {
        0 => Named::Name("periodic"),
        1 => Named::Name("ignition"),
        2 => Named::Name("geofence"),
        other => Named::Number(other),
    };
    let position = Position {
        kind,
        id,
        seq,
        latitude,
        longitude,
        altitude,
        speed,
        course,
        satellites,
        ignition: flags & 1 != 0,
        charging: flags & 2 != 0,
        fix,
        odometer,
        voltage,
        temperature,
        humidity,
        fuel: f64::from(fuel) / 2.0,
        rpm,
        serviced: Moment(Timestamp::UNIX_EPOCH + SignedDuration::from_secs(serviced)),
        hours: u32::from_be_bytes([0, high, middle, low]),
        event,
    };
    Some((Some(time), json(&position)?))
}

/// The values of [`csv`] in their order.
#[derive(Debug, Serialize)]
struct Line<'a> {
    head: &'a str,
    id: &'a str,
    latitude: f64,
    longitude: f64,
    speed: f64,
    course: f64,
    altitude: f64,
    satellites: i64,
    fix: &'a str,
    voltage: f64,
    odometer: i64,
}

/// Decodes a line of `super::decode::CSV`.
pub fn csv(frame: &[u8]) -> Option<Decoded> {
    let mut columns = str::from_utf8(frame).ok()?.split(',');
    let (head, id) = (columns.next()?, columns.next()?);
    let (day, clock) = (digits(columns.next()?)?, digits(columns.next()?)?);
    let latitude = degrees(columns.next()?, columns.next()? == "S")?;
    let longitude = degrees(columns.next()?, columns.next()? == "W")?;
    let line = Line {
        head,
        id,
        latitude,
        longitude,
        speed: columns.next()?.parse().ok()?,
        course: columns.next()?.parse().ok()?,
        altitude: columns.next()?.parse().ok()?,
        satellites: columns.next()?.parse().ok()?,
        fix: match columns.next()? {
            "A" => "valid",
            "V" => "invalid",
            other => other,
        },
        voltage: columns.next()?.parse().ok()?,
        odometer: columns.next()?.parse().ok()?,
    };
    let [[day, month, year], [hour, minute, second]] = [day, clock];
    let time = moment([year, month, day, hour, minute, second])?;
    Some((Some(time), json(&line)?))
}

/// Three numbers of two digits.
fn digits(text: &str) -> Option<[u8; 3]> {
    let &[a, b, c, d, e, f] = <&[u8; 6]>::try_from(text.as_bytes()).ok()?;
    if ![a, b, c, d, e, f].iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |high: u8, low: u8| (high - b'0') * 10 + (low - b'0');
    Some([number(a, b), number(c, d), number(e, f)])
}

/// Degrees of `dddmm.mmmm`, to the nearest double.
fn degrees(text: &str, negative: bool) -> Option<f64> {
    let (whole, fraction) = text.split_once('.')?;
    let (whole, decimals) = (
        whole.parse::<u32>().ok()?,
        u32::try_from(fraction.len()).ok()?,
    );
    let minute = 10_u64.checked_pow(decimals)?;
    let minutes = u64::from(whole % 100) * minute + fraction.parse::<u64>().ok()?;
    let all = u64::from(whole / 100) * 60 * minute + minutes;
    let degrees = all as f64 / (60 * minute) as f64;
    Some(if negative { -degrees } else { degrees })
}

/// A moment of this century, from the year to the second.
fn moment(parts: [u8; 6]) -> Option<Timestamp> {
    let [year, month, day, hour, minute, second] = parts.map(|part| i8::try_from(part).ok());
    let year = 2000 + i16::from(year?);
    let civil = DateTime::new(year, month?, day?, hour?, minute?, second?, 0).ok()?;
    Offset::UTC.to_timestamp(civil).ok()
}

fn json(values: &impl Serialize) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(ROOM);
    serde_json::to_writer(&mut text, values).ok()?;
    Some(text)
}
