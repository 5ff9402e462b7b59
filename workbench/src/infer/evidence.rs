//! How much a way of cutting explains, in bits: so many fewer are needed to write the capture down
//! if one knows where its frames are. What chance explains of noise is no more than 0 on average.

use std::collections::HashMap;

use super::capture::Stretch;
use super::trial::{Span, ratio};

/// Bytes that are looked at.
const MOST_BYTES: usize = 1 << 20;
/// Frames that are looked at.
const MOST_FRAMES: usize = 1000;
/// Columns from the first byte of the frames: few where much is tried.
pub const SHORT: usize = 8;
/// Columns from the first byte of the frames, so that short frames have no advantage.
pub const LONG: usize = 32;
/// Columns from their last byte.
const TAIL: usize = 3;
/// What agreement with the pieces of the capture can weigh: TCP promises nothing of it.
const MOST_FOR_CUTS: f64 = 24.0;
/// What an end of several bytes can weigh against one of its bytes alone.
const MOST_FOR_SEQUENCE: f64 = 16.0;

/// How likely each byte is where nothing is known of frames: from what came before it, and from
/// what has followed on the same two bytes so far. So content that comes again and again explains
/// itself, and nothing that is cut at random is taken for a column.
#[derive(Clone, Debug)]
pub struct Background {
    /// For each byte of each stretch, up to [`MOST_BYTES`] in all.
    likely: Vec<Vec<f32>>,
    share: [f64; 256],
}

/// What has followed so far, on nothing, on one byte and on two.
struct Followers {
    counts: Vec<HashMap<(u16, u8), u32>>,
    /// How many have followed, and how many different ones.
    totals: Vec<HashMap<u16, (u32, u32)>>,
}

impl Followers {
    fn new() -> Self {
        Followers {
            counts: vec![HashMap::new(); 3],
            totals: vec![HashMap::new(); 3],
        }
    }

    /// How likely the byte is, and that it came. A longer context counts for less the more
    /// different bytes have followed it, and only where it makes the byte likelier: else noise
    /// would be explained by whatever does not look at contexts.
    fn take(&mut self, before: &[u8], byte: u8) -> f64 {
        let (mut likely, mut alone) = (1.0 / 256.0, 0.0);
        let mut context = 0;
        for length in 0..=before.len().min(2) {
            if length > 0 {
                let at = before.len() - length;
                context |= u16::from(before[at]) << (8 * (length - 1));
            }
            let count = self.counts[length].entry((context, byte)).or_default();
            let (total, different) = self.totals[length].entry(context).or_default();
            let new = f64::from((*different).max(1));
            likely = (f64::from(*count) + new * likely) / (f64::from(*total) + new);
            if length == 0 {
                alone = likely;
            }
            *different += u32::from(*count == 0);
            *count += 1;
            *total += 1;
        }
        likely.max(alone)
    }
}

impl Background {
    /// Of a capture.
    pub fn of(stretches: &[Stretch]) -> Self {
        let mut followers = Followers::new();
        let mut left = MOST_BYTES;
        let mut likely = Vec::new();
        let mut counts = [1_usize; 256];
        for stretch in stretches {
            let bytes = stretch.bytes.get(..left).unwrap_or(&stretch.bytes);
            left -= bytes.len();
            let each = bytes.iter().enumerate().map(|(at, byte)| {
                counts[usize::from(*byte)] += 1;
                #[expect(clippy::cast_possible_truncation, reason = "a probability")]
                let likely = followers.take(&bytes[..at], *byte) as f32;
                likely
            });
            likely.push(each.collect());
        }
        let total = counts.iter().sum();
        Background {
            likely,
            share: counts.map(|count| ratio(count, total)),
        }
    }

    fn share(&self, byte: u8) -> f64 {
        self.share[usize::from(byte)]
    }
}

/// Bits that knowing "these bytes stand in one column" saves, or the bit that not using it costs.
/// Each value comes with how likely it is anyway.
fn column(values: impl Iterator<Item = (u8, f64)>, cases: f64) -> f64 {
    let mut counts = [0_u16; 256];
    let (mut known, mut saved) = (0.0_f64, 0.0_f64);
    for (value, likely) in values {
        let count = &mut counts[usize::from(value)];
        let expected = (f64::from(*count) + likely) / (known + 1.0);
        saved += (expected / likely).log2();
        *count = count.saturating_add(1);
        known += 1.0;
    }
    or_nothing(saved, cases)
}

/// What a rule saves that is used in one of so many cases.
fn or_nothing(saved: f64, cases: f64) -> f64 {
    if saved > 40.0 {
        return saved - cases.log2();
    }
    ((saved.exp2() + cases - 1.0) / cases).log2()
}

/// Bits saved by the first `depth` and the last columns of the frames; one of the `ends` at their end
/// is left out.
pub fn columns(
    stretches: &[Stretch],
    spans: &[Span],
    ends: &[Vec<u8>],
    (background, depth): (&Background, usize),
) -> f64 {
    let frame = |span: &Span| {
        let bytes = stretches.get(span.stretch)?.bytes.get(span.from..span.to)?;
        let end = ends
            .iter()
            .filter(|end| bytes.ends_with(end))
            .map(Vec::len)
            .max();
        let to = bytes.len() - end.unwrap_or_default();
        let likely = background
            .likely
            .get(span.stretch)?
            .get(span.from..span.to)?;
        Some((bytes.get(..to)?, likely.get(..to)?))
    };
    let frames: Vec<(&[u8], &[f32])> = spans.iter().take(MOST_FRAMES).filter_map(frame).collect();
    let at = |(bytes, likely): &(&[u8], &[f32]), at: usize| {
        Some((*bytes.get(at)?, f64::from(*likely.get(at)?)))
    };
    let head = |place: usize| {
        let longer = frames
            .iter()
            .filter(move |(bytes, _)| bytes.len() > place + TAIL);
        longer.filter_map(move |frame| at(frame, place))
    };
    let tail = |place: usize| {
        let frames = frames.iter();
        frames.filter_map(move |frame| at(frame, frame.0.len().checked_sub(place)?))
    };
    // Headers are alike more often than what they stand before.
    let cases = |place: usize| if place < SHORT { 2.0 } else { 16.0 };
    let heads: f64 = (0..depth)
        .map(|place| column(head(place), cases(place)))
        .sum();
    let tails: f64 = (1..=TAIL).map(|place| column(tail(place), 2.0)).sum();
    heads + tails
}

/// Bytes with which all of the frames begin, or end; at most `most`.
pub fn common(frames: &[&[u8]], most: usize, at_end: bool) -> Vec<u8> {
    let Some(first) = frames.first() else {
        return Vec::new();
    };
    let shortest = frames.iter().map(|frame| frame.len()).min();
    for count in (1..=shortest.unwrap_or_default().min(most)).rev() {
        let part = |frame: &[u8]| {
            let from = if at_end { frame.len() - count } else { 0 };
            frame.get(from..from + count).unwrap_or_default().to_vec()
        };
        let wanted = part(first);
        if frames.iter().all(|frame| part(frame) == wanted) {
            return wanted;
        }
    }
    Vec::new()
}

/// What of the savings counts: little, if the bytes with which all frames begin come again inside
/// of nearly each of them, because then several frames are taken for one.
pub fn whole(stretches: &[Stretch], spans: &[Span]) -> f64 {
    let frame = |span: &Span| stretches.get(span.stretch)?.bytes.get(span.from..span.to);
    let frames: Vec<&[u8]> = spans.iter().take(MOST_FRAMES).filter_map(frame).collect();
    let start = common(&frames, 4, false);
    let mut kinds = start.clone();
    kinds.dedup();
    if kinds.len() < 2 {
        return 1.0;
    }
    let again = |frame: &&&[u8]| {
        let inside = frame.get(start.len()..).unwrap_or_default();
        memchr::memmem::find(inside, &start).is_some()
    };
    let several = frames.iter().filter(again).count();
    if ratio(several, frames.len()) > 0.8 {
        0.25
    } else {
        1.0
    }
}

/// How many pieces of the capture end with a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cuts {
    /// Pieces that end where a frame ends.
    pub agree: usize,
    /// All pieces.
    pub all: usize,
}

/// Compares the ends of frames with the ends of pieces.
pub fn cuts(stretches: &[Stretch], spans: &[Span]) -> Cuts {
    let mut cuts = Cuts::default();
    let mut ends = spans.iter().map(|span| (span.stretch, span.to)).peekable();
    for (index, stretch) in stretches.iter().enumerate() {
        for cut in &stretch.cuts {
            let place = (index, *cut);
            while ends.next_if(|end| *end < place).is_some() {}
            cuts.agree += usize::from(ends.peek() == Some(&place));
            cuts.all += 1;
        }
    }
    cuts
}

/// Bits saved by that agreement, if a piece may end anywhere. No more than the frames themselves
/// save: that pieces are of one size is no protocol.
pub fn cuts_saved(cuts: Cuts, (frames, total): (usize, usize), columns: f64) -> f64 {
    let rate = ratio(frames, total).clamp(1e-9, 1.0 - 1e-9);
    let by_chance = weigh(cuts.agree, rate) + weigh(cuts.all - cuts.agree, 1.0 - rate);
    // All shares of agreement are equally likely beforehand.
    let mut by_rule = 0.0;
    let (mut agree, mut other) = (0, 0);
    for index in 0..cuts.all {
        let counted = if index < cuts.agree {
            &mut agree
        } else {
            &mut other
        };
        *counted += 1;
        by_rule += ratio(*counted, index + 2).log2();
    }
    or_nothing(by_rule - by_chance, 2.0)
        .min(MOST_FOR_CUTS)
        .min(columns.max(0.0))
}

fn weigh(count: usize, share: f64) -> f64 {
    ratio(count, 1) * share.log2()
}

/// Bits saved by a sequence of bytes always going on in the same way once it has begun.
pub fn sequence(stretches: &[Stretch], bytes: &[u8], background: &Background) -> f64 {
    let Some((first, rest)) = bytes.split_first() else {
        return 0.0;
    };
    let mut begun: Vec<(usize, usize)> = Vec::new();
    for (index, stretch) in stretches.iter().enumerate() {
        let places = memchr::memchr_iter(*first, &stretch.bytes);
        begun.extend(places.map(|at| (index, at)).take(MOST_FRAMES));
    }
    begun.truncate(MOST_FRAMES);
    let mut saved = 0.0;
    for at in 1..=rest.len() {
        let values = begun.iter().filter_map(|(stretch, place)| {
            let byte = *stretches.get(*stretch)?.bytes.get(place + at)?;
            Some((byte, background.share(byte)))
        });
        saved += column(values, 2.0);
    }
    saved.min(MOST_FOR_SEQUENCE)
}

/// Whether nearly all of the bytes can be read as text.
pub fn is_text(bytes: impl Iterator<Item = u8>) -> bool {
    let (mut readable, mut all) = (0, 0);
    for byte in bytes {
        readable += usize::from(matches!(byte, b'\t' | b' '..=b'~' | 0x80..));
        all += 1;
    }
    all > 0 && ratio(readable, all) > 0.98
}
