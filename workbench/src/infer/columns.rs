//! What the bytes of the frames look like, as a hint for decoding.

use std::collections::BTreeSet;

use bytes::Bytes;
use serde::Serialize;

use super::evidence::is_text;
use super::trial::ratio;

/// Columns that are looked at.
const MOST_COLUMNS: usize = 48;
/// Seconds since 1970 of 2000-01-01 and 2050-01-01: between them a number may be a time.
const TIMES: std::ops::Range<u32> = 946_684_800..2_524_608_000;
/// Seconds that times of one capture lie apart at most.
const APART: u32 = 400 * 86_400;

/// Bytes next to each other that are alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Column {
    /// The first byte's place in the frame.
    pub from: usize,
    /// Behind the last one.
    pub to: usize,
    /// What they look like.
    pub looks: String,
}

/// The columns of binary frames, or one line on what texts look like.
pub fn view(frames: &[Bytes]) -> Vec<Column> {
    if frames.is_empty() {
        return Vec::new();
    }
    let whole = frames.iter().flat_map(|frame| frame.iter().copied());
    if is_text(whole) {
        return vec![text(frames)];
    }
    let shortest = frames.iter().map(Bytes::len).min().unwrap_or_default();
    let mut columns: Vec<Column> = Vec::new();
    let mut at = 0;
    while at < shortest.min(MOST_COLUMNS) {
        let (width, looks) = looks(frames, at);
        match columns.last_mut() {
            Some(last) if last.looks == looks && last.to == at && looks == VARIES => last.to += 1,
            _ => columns.push(Column {
                from: at,
                to: at + width,
                looks,
            }),
        }
        at += width;
    }
    columns
}

const VARIES: &str = "varies";

/// What begins at a place, and of how many bytes it is.
fn looks(frames: &[Bytes], at: usize) -> (usize, String) {
    let part = |width: usize| -> Option<Vec<&[u8]>> {
        frames
            .iter()
            .map(|frame| frame.get(at..at + width))
            .collect()
    };
    let alike = |width: usize, holds: &dyn Fn(&[u8]) -> bool| {
        part(width).is_some_and(|parts| {
            let different: BTreeSet<&&[u8]> = parts.iter().collect();
            parts.iter().all(|part| holds(part)) && (different.len() > 1 || frames.len() == 1)
        })
    };
    if alike(6, &is_bcd_time) {
        return (6, "date and time in BCD: `bcdtime`".to_owned());
    }
    if alike(6, &is_binary_time) {
        return (6, "date and time, a byte each: `ymdhms`".to_owned());
    }
    if let Some(parts) = part(4) {
        let parts: Vec<[u8; 4]> = parts
            .iter()
            .filter_map(|part| (*part).try_into().ok())
            .collect();
        if are_times(&parts) {
            return (4, "seconds since 1970: `u32 unix`".to_owned());
        }
        let turned = |part: &[u8; 4]| u32::from_le_bytes(*part).to_be_bytes();
        if are_times(&parts.iter().map(turned).collect::<Vec<_>>()) {
            return (4, "seconds since 1970: `u32le unix`".to_owned());
        }
    }
    let values = part(1).unwrap_or_default();
    let values: Vec<u8> = values
        .iter()
        .filter_map(|part| part.first().copied())
        .collect();
    (1, one(&values))
}

fn one(values: &[u8]) -> String {
    let different: BTreeSet<u8> = values.iter().copied().collect();
    if let (Some(only), 1) = (different.first(), different.len()) {
        return format!("constant {only:02x}");
    }
    let steps = values
        .windows(2)
        .filter(|pair| matches!(pair, [one, next] if one.wrapping_add(1) == *next));
    if values.len() > 3 && ratio(steps.count(), values.len() - 1) > 0.8 {
        return "counts up".to_owned();
    }
    if different.len() <= 6 && values.len() >= 3 * different.len() {
        let shown: Vec<String> = different
            .iter()
            .map(|value| format!("{value:02x}"))
            .collect();
        return format!("one of {}", shown.join(" "));
    }
    VARIES.to_owned()
}

fn is_bcd_time(bytes: &[u8]) -> bool {
    let digits: Option<Vec<u8>> = bytes
        .iter()
        .map(|byte| (byte >> 4 <= 9 && byte & 15 <= 9).then_some((byte >> 4) * 10 + (byte & 15)))
        .collect();
    digits.is_some_and(|digits| is_binary_time(&digits))
}

fn is_binary_time(bytes: &[u8]) -> bool {
    matches!(bytes, [10..=50, 1..=12, 1..=31, 0..=23, 0..=59, 0..=59])
}

/// Near each other, over some minutes, and the smaller a place the more it varies.
fn are_times(values: &[[u8; 4]]) -> bool {
    let varying = |at: usize| {
        let different: BTreeSet<u8> = values.iter().map(|value| value[at]).collect();
        different.len()
    };
    let varies = varying(2) > 1;
    let falls = (1..4).any(|at| varying(at) < varying(at - 1));
    let frames = values.len();
    let back = values.windows(2).filter(|pair| pair[1] < pair[0]).count();
    let values: BTreeSet<u32> = values.iter().copied().map(u32::from_be_bytes).collect();
    let different = values.len();
    let (Some(first), Some(last)) = (values.first(), values.last()) else {
        return false;
    };
    let near = TIMES.contains(first) && TIMES.contains(last) && last - first < APART;
    // What frames say of themselves, such as their kind, has few values and goes up and down.
    let differs = different * 4 > frames;
    near && !falls && varies && differs && back * 4 <= frames
}

/// What decoder texts suggest.
fn text(frames: &[Bytes]) -> Column {
    let all = |holds: &dyn Fn(&[u8]) -> bool| {
        ratio(
            frames.iter().filter(|frame| holds(frame)).count(),
            frames.len(),
        ) > 0.9
    };
    let separators = |byte: u8| move |frame: &[u8]| memchr::memchr_iter(byte, frame).count() >= 2;
    let looks = if all(&|frame| serde_json::from_slice::<serde_json::Map<_, _>>(frame).is_ok()) {
        "text: JSON objects, `\"type\": \"json\"`".to_owned()
    } else if let Some(byte) = [b',', b';', b'|', b'\t']
        .into_iter()
        .find(|byte| all(&separators(*byte)))
    {
        let counts: BTreeSet<usize> = frames
            .iter()
            .map(|frame| memchr::memchr_iter(byte, frame).count() + 1)
            .collect();
        let (least, most) = (counts.first().copied(), counts.last().copied());
        format!(
            "text in columns between `{}`, {} to {} of them",
            char::from(byte).escape_default(),
            least.unwrap_or_default(),
            most.unwrap_or_default()
        )
    } else {
        "text: `\"type\": \"regex\"` reads it".to_owned()
    };
    let to = frames.iter().map(Bytes::len).max().unwrap_or_default();
    Column { from: 0, to, looks }
}
