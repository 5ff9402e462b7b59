//! Which checksum the frames have.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::sync::LazyLock;

use bytes::Bytes;
use edge_tcp_gateway::checksum::{self, Algorithm, Checksum};

use super::Patience;
use super::trial::ratio;

/// Frames in which a checksum must be right.
const LEAST_FRAMES: usize = 3;
/// Frames on which it is tried.
const MOST_FRAMES: usize = 200;
/// Bytes of a frame that is tried.
const MOST_BYTES: usize = 8192;
/// Share of the frames in which it must be right.
const ENOUGH: f64 = 0.95;
/// Frames of which one must be right for a look at the others: one may be damaged.
const PROBES: usize = 2;
/// The least odds against chance, in bits.
const LEAST_BITS: f64 = 6.0;

/// A checksum that the frames have.
#[derive(Clone, Debug)]
pub struct Found {
    /// In the notation of the settings.
    pub notation: String,
    /// Different frames in which it is right.
    pub right: usize,
    /// Different frames that were looked at.
    pub all: usize,
    /// Places, in the list of frames, of the first for which it is wrong.
    pub wrong: Vec<usize>,
    /// The same by chance has odds of 1 in two to the power of this.
    pub bits: f64,
    /// Other ways to say it that fit as well.
    pub also: Vec<String>,
}

/// A place for a check value, and what it covers.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Where the value stands.
    at: i64,
    /// The first byte that is covered.
    from: i64,
    /// Behind the last one; 0 is the frame's end.
    to: i64,
}

/// How a check value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Big,
    Little,
    Hexadecimal,
}

impl Form {
    fn width(self, algorithm: &Algorithm) -> usize {
        match self {
            Form::Big | Form::Little => algorithm.width(),
            Form::Hexadecimal => algorithm.width() * 2,
        }
    }
}

/// Looks for the checksum of these frames, as they are handed on.
pub fn find(frames: &[Bytes], algorithms: &[Algorithm], patience: &Patience) -> Option<Found> {
    let picked = picked(frames);
    if picked.len() < LEAST_FRAMES {
        return None;
    }
    let mut tried: BTreeMap<usize, usize> = BTreeMap::new();
    let mut found: Vec<(usize, Found)> = Vec::new();
    for algorithm in algorithms {
        let values = Values::default();
        for form in forms(algorithm) {
            let places = places(form.width(algorithm));
            *tried.entry(algorithm.width()).or_default() += places.len();
            if patience.is_over() {
                break;
            }
            for place in places {
                let hypothesis = Hypothesis {
                    algorithm,
                    form,
                    place,
                    values: &values,
                };
                let hit = hypothesis.verified(&picked);
                found.extend(hit.map(|hit| (algorithm.width(), hit)));
            }
        }
    }
    best(found, &tried)
}

/// The one that is right most often, of these the least likely to be so by chance, of these the shortest.
fn best(found: Vec<(usize, Found)>, tried: &BTreeMap<usize, usize>) -> Option<Found> {
    let mut found: Vec<Found> = found
        .into_iter()
        .map(|(width, hit)| {
            let tries = tried.get(&width).copied().unwrap_or(1);
            let bits = hit.bits - ratio(tries, 1).log2();
            Found { bits, ..hit }
        })
        .filter(|hit| hit.bits >= LEAST_BITS)
        .collect();
    found.sort_by(|one, other| {
        let length = one.notation.len().cmp(&other.notation.len());
        other
            .right
            .cmp(&one.right)
            .then(other.bits.total_cmp(&one.bits))
            .then(length)
    });
    let also: Vec<String> = found
        .iter()
        .skip(1)
        .take(3)
        .map(|hit| hit.notation.clone())
        .collect();
    let mut best = found.into_iter().next()?;
    best.also = also;
    Some(best)
}

/// Different frames, with their places in the list.
fn picked(frames: &[Bytes]) -> Vec<(usize, &Bytes)> {
    let mut picked: Vec<(usize, &Bytes)> = Vec::new();
    for (index, frame) in frames.iter().enumerate() {
        let known = picked.iter().any(|(_, known)| *known == frame);
        if !known && (2..=MOST_BYTES).contains(&frame.len()) && picked.len() < MOST_FRAMES {
            picked.push((index, frame));
        }
    }
    picked
}

/// Made once: each CRC has tables.
static ALGORITHMS: LazyLock<Vec<Algorithm>> = LazyLock::new(whole_bytes);

/// All of whole bytes; what has fewer bits fits by chance.
pub fn algorithms() -> &'static [Algorithm] {
    &ALGORITHMS
}

fn whole_bytes() -> Vec<Algorithm> {
    let all = checksum::names().into_iter();
    let all = all.filter_map(|name| Algorithm::by_name(name).ok());
    let narrow = |name: &str| {
        let bits = name
            .strip_prefix("crc-")
            .and_then(|rest| rest.split('/').next());
        bits.and_then(|bits| bits.parse::<usize>().ok())
            .is_some_and(|bits| bits % 8 != 0)
    };
    all.filter(|algorithm| !narrow(algorithm.name())).collect()
}

fn forms(algorithm: &Algorithm) -> Vec<Form> {
    if algorithm.width() == 1 {
        vec![Form::Big, Form::Hexadecimal]
    } else {
        vec![Form::Big, Form::Little, Form::Hexadecimal]
    }
}

/// Behind what it covers, with up to three bytes behind it; or in the header.
fn places(width: usize) -> Vec<Place> {
    let width = i64::try_from(width).unwrap_or(8);
    let mut places = Vec::new();
    for tail in 0..=3 {
        let at = -(width + tail);
        // A separator such as `*` may stand before the value.
        for to in [at, at - 1] {
            places.extend((0..=12).map(|from| Place { at, from, to }));
        }
    }
    for at in 0..=16 {
        for from in at + width..=at + width + 4 {
            places.extend((-2..=0).map(|to| Place { at, from, to }));
        }
    }
    places
}

fn notation(algorithm: &Algorithm, form: Form, place: Place) -> String {
    let width = form.width(algorithm);
    let mut text = algorithm.name().to_owned();
    let whole = place.from == 0 && place.to == place.at;
    let last = i64::try_from(width).is_ok_and(|width| place.at == -width);
    if !(whole && last) {
        let to = if place.to == 0 {
            String::new()
        } else {
            place.to.to_string()
        };
        text += &format!(" over {}..{to}", place.from);
    }
    if !last {
        text += &format!(" at {}", place.at);
    }
    match form {
        Form::Big => {}
        Form::Little => text += " le",
        Form::Hexadecimal => text += &format!(" as hexadecimal {width}"),
    }
    text
}

/// One checksum that the frames may have.
struct Hypothesis<'a> {
    algorithm: &'a Algorithm,
    form: Form,
    place: Place,
    values: &'a Values,
}

/// What an algorithm says of the probes, by what is covered of them: the same in many places.
#[derive(Default)]
struct Values(RefCell<Vec<Option<Option<u64>>>>);

impl Values {
    /// Bytes that are covered begin before this one.
    const FROM: usize = 64;
    /// They end before so many bytes from the end.
    const TO: usize = 32;

    fn get(
        &self,
        probe: usize,
        place: Place,
        compute: impl FnOnce() -> Option<u64>,
    ) -> Option<u64> {
        let (Ok(from), Ok(to)) = (usize::try_from(place.from), usize::try_from(-place.to)) else {
            return compute();
        };
        if from >= Self::FROM || to >= Self::TO {
            return compute();
        }
        let mut values = self.0.borrow_mut();
        let index = (probe * Self::FROM + from) * Self::TO + to;
        if values.len() <= index {
            values.resize(index + 1, None);
        }
        *values[index].get_or_insert_with(compute)
    }
}

impl Hypothesis<'_> {
    /// What is covered, and the value that is said.
    fn parts<'f>(&self, frame: &'f [u8]) -> Option<(&'f [u8], &'f [u8])> {
        let Place { at, from, to } = self.place;
        let resolve = |offset: i64| match usize::try_from(offset) {
            Ok(offset) => Some(offset),
            Err(_) => frame
                .len()
                .checked_sub(usize::try_from(offset.unsigned_abs()).ok()?),
        };
        let to = if to == 0 { frame.len() } else { resolve(to)? };
        let covered = frame.get(resolve(from)?..to)?;
        let at = resolve(at)?;
        let value = frame.get(at..at.checked_add(self.form.width(self.algorithm))?)?;
        (!covered.is_empty()).then_some((covered, value))
    }

    fn is_right(&self, probe: usize, frame: &[u8]) -> bool {
        let Some((covered, value)) = self.parts(frame) else {
            return false;
        };
        if self.form == Form::Hexadecimal && !value.iter().all(u8::is_ascii_hexdigit) {
            return false;
        }
        let compute = || self.algorithm.compute(covered);
        let computed = self.values.get(probe, self.place, compute);
        let computed = computed.map(u64::to_be_bytes).unwrap_or_default();
        let first = computed.len().saturating_sub(self.algorithm.width());
        let computed = computed.get(first..).unwrap_or_default();
        match self.form {
            Form::Big => value == computed,
            Form::Little => value.iter().rev().eq(computed),
            Form::Hexadecimal => {
                let digits: String = computed.iter().map(|byte| format!("{byte:02x}")).collect();
                value.eq_ignore_ascii_case(digits.as_bytes())
            }
        }
    }

    /// Asked of the product, if it is right in one of the first frames.
    fn verified(&self, frames: &[(usize, &Bytes)]) -> Option<Found> {
        let mut probes = frames.iter().take(PROBES).enumerate();
        if !probes.any(|(probe, (_, frame))| self.is_right(probe, frame)) {
            return None;
        }
        let notation = notation(self.algorithm, self.form, self.place);
        let checksum = Checksum::parse(&notation).ok()?;
        let (right, wrong): (Vec<_>, Vec<_>) = frames
            .iter()
            .partition(|(_, frame)| checksum.verify(frame).is_ok());
        // What is the same in all frames is right in all of them or in none.
        let parts: HashSet<_> = right
            .iter()
            .filter_map(|(_, frame)| self.parts(frame))
            .collect();
        if parts.len() < LEAST_FRAMES || ratio(right.len(), frames.len()) < ENOUGH {
            return None;
        }
        Some(Found {
            bits: ratio(8 * self.algorithm.width() * parts.len(), 1),
            notation,
            right: right.len(),
            all: frames.len(),
            wrong: wrong.into_iter().map(|(index, _)| index).collect(),
            also: Vec::new(),
        })
    }
}
