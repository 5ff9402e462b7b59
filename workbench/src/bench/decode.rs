//! What decoding costs beside decoders that are written by hand, in turn on one thread.

use std::hint::black_box;

use anyhow::{Context as _, anyhow, ensure};
use edge_tcp_gateway::conversation;
use edge_tcp_gateway::decoding::{self, Decoder};
use edge_tcp_gateway::document::{Problems, Section};
use edge_tcp_gateway::message::Frame;
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;

use super::by_hand::{self, Decoded};
use super::report::{Goal, Outcome};
use crate::say;

/// How often the two take turns in a run.
const TURNS: u32 = 100;
/// Frames of a turn: a few milliseconds, so that turns beside each other meet the same machine.
const FRAMES: u32 = 1_000;
/// Frames that are not the same.
const DISTINCT: u32 = 64;
/// The module's share of what is written by hand that we want to stay below.
const GOAL: f64 = 3.0;

/// A layout, as the settings say it and as it is written by hand.
#[derive(Debug)]
struct Work {
    name: &'static str,
    kind: &'static str,
    fields: &'static [&'static str],
    frame: fn(u32) -> Vec<u8>,
    by_hand: fn(&[u8]) -> Option<Decoded>,
}

/// 60 bytes in 20 fields.
const BINARY: Work = Work {
    name: "binary",
    kind: "binary",
    fields: &[
        "kind: u8 enum 1=position 2=alarm",
        "id: bcd 8 ltrim 0",
        "seq: u16",
        "time: ymdhms",
        "latitude: i32 / 10000000",
        "longitude: i32 / 10000000",
        "altitude: i16",
        "speed: u16 / 10 unit km/h",
        "course: u16",
        "satellites: u8",
        "flags: u16 bits ignition@0 charging@1 fix@2:2 0=none 1=2d 2=3d drop",
        "odometer: u32",
        "voltage: u16 / 1000",
        "temperature: f32",
        "humidity: f32 round 1",
        "fuel: u8 / 2",
        "rpm: u16le",
        "serviced: u32 unix",
        "hours: u24",
        "event: u16 enum 0=periodic 1=ignition 2=geofence",
    ],
    frame: binary_frame,
    by_hand: by_hand::binary,
};

/// A line of 15 columns.
const CSV: Work = Work {
    name: "csv",
    kind: "csv",
    fields: &[
        "head",
        "id",
        "day: drop",
        "clock: drop",
        "latitude: dm neg south",
        "south: enum S=true N=false drop",
        "longitude: dm neg west",
        "west: enum W=true E=false drop",
        "speed: number",
        "course: number",
        "altitude: number",
        "satellites: integer",
        "fix: enum A=valid V=invalid",
        "voltage: number",
        "odometer: integer",
        "time: join day clock time %d%m%y%H%M%S",
    ],
    frame: csv_frame,
    by_hand: by_hand::csv,
};

/// Measures both layouts so many times. Of times the best counts, of ratios the median: each is of two
/// turns beside each other.
///
/// # Errors
/// When the module and what is written by hand do not say the same.
pub async fn run(runs: u32) -> anyhow::Result<Outcome> {
    measure(runs.saturating_mul(TURNS)).await
}

async fn measure(turns: u32) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    for work in [BINARY, CSV] {
        let bench = Bench::new(&work)?;
        bench.compare()?;
        let mut best = [f64::INFINITY; 3];
        let mut ratios = Vec::new();
        for _ in 0..turns {
            let turn = bench.turns();
            let [module, _, by_hand] = turn;
            ratios.push(module / by_hand);
            for (best, turn) in best.iter_mut().zip(turn) {
                *best = best.min(turn);
            }
            // Ctrl-C is looked at in between.
            tokio::task::yield_now().await;
        }
        let [module, decoding, by_hand] = best;
        say(format_args!(
            "decode, {}: {module:.0} ns a frame, {decoding:.0} of them to the reading; by hand {by_hand:.0} ns",
            work.name
        ));
        for (what, nanos) in [
            ("ModuleNanos", module),
            ("ReadingNanos", decoding),
            ("ByHandNanos", by_hand),
        ] {
            let name = format!("{}{what}", work.name);
            outcome.figures.insert(name, json!(nanos.round()));
        }
        let what = format!("{} module/by hand", work.name);
        outcome.goals.push(Goal::new(what, median(ratios), GOAL));
    }
    Ok(outcome)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A layout that is ready to be measured.
struct Bench {
    name: &'static str,
    decoder: Decoder,
    frames: Vec<Vec<u8>>,
    by_hand: fn(&[u8]) -> Option<Decoded>,
}

impl Bench {
    fn new(work: &Work) -> anyhow::Result<Self> {
        let decode = json!({"type": work.kind, "fields": work.fields});
        let mut problems = Problems::new();
        let decoder = decoding::read(Some(&Section::root(&decode)), None, &mut problems);
        let decoder = decoder.with_context(|| format!("{:?}", problems.as_slice()))?;
        Ok(Bench {
            name: work.name,
            decoder,
            frames: (0..DISTINCT).map(work.frame).collect(),
            by_hand: work.by_hand,
        })
    }

    /// Both must say the same of every frame.
    fn compare(&self) -> anyhow::Result<()> {
        for frame in &self.frames {
            let (time, values) = (self.by_hand)(frame)
                .ok_or_else(|| anyhow!("by hand the {} frame is wrong", self.name))?;
            let reading = self.decoder.decode(whole(frame));
            ensure!(reading.undecoded.is_none(), "{:?}", reading.undecoded);
            let module = conversation::values(&reading, frame);
            let (module, values) = (text(&module), text(&values));
            ensure!(module == values, "module {module}, by hand {values}");
            ensure!(reading.time == time, "{:?} is not {time:?}", reading.time);
        }
        Ok(())
    }

    /// Nanoseconds of a frame: by the module, by the module up to the reading, by hand.
    fn turns(&self) -> [f64; 3] {
        let module = |frame: &[u8]| {
            let reading = self.decoder.decode(whole(frame));
            black_box(conversation::values(&reading, frame));
            black_box(reading.time);
        };
        let reading = |frame: &[u8]| drop(black_box(self.decoder.decode(whole(frame))));
        let by_hand = |frame: &[u8]| drop(black_box((self.by_hand)(frame)));
        let reading = self.time(reading);
        // Beside each other: their ratio is what counts.
        let (module, by_hand) = (self.time(module), self.time(by_hand));
        [module, reading, by_hand]
    }

    fn time(&self, decode: impl Fn(&[u8])) -> f64 {
        let before = nanos();
        let frames = self.frames.iter().cycle();
        for frame in frames.take(FRAMES as usize) {
            decode(black_box(frame));
        }
        (nanos() - before) / f64::from(FRAMES)
    }
}

fn whole(bytes: &[u8]) -> Frame<'_> {
    Frame {
        bytes,
        body: 0.into(),
    }
}

fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// Processor time of this thread.
fn nanos() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// A frame that differs a little from those before it.
fn binary_frame(number: u32) -> Vec<u8> {
    let small = number.to_be_bytes()[3];
    let mut frame = vec![1 + small % 3];
    frame.extend([0x03, 0x59, 0x33, 0x90, 0x75, 0x01, 0x23, 0x45]);
    frame.extend([0x12, small, 26, 11, 26, 15, small % 60, 59 - small % 60]);
    frame.extend((525_298_804 + number.cast_signed() * 977).to_be_bytes());
    frame.extend((-133_123_456 - number.cast_signed() * 1013).to_be_bytes());
    frame.extend([0xff, small, 0x01, small, 0x00, 0xb4, 4 + small % 9]);
    frame.extend([0x80, small]);
    frame.extend((123_456_789 + number).to_be_bytes());
    frame.extend([0x30, small]);
    frame.extend((20.8_f32 + f32::from(small) / 10.0).to_be_bytes());
    frame.extend((55.25_f32 + f32::from(small) / 7.0).to_be_bytes());
    frame.extend([100 + small, small, 0x07]);
    frame.extend((1_764_115_200 + number * 3601).to_be_bytes());
    frame.extend([0x00, 0x12, small, 0x00, small % 4]);
    frame
}

/// The same as text.
fn csv_frame(number: u32) -> Vec<u8> {
    let (south, west) = (number.is_multiple_of(3), number.is_multiple_of(5));
    let line = format!(
        "+LOC,35933907501{:04},261126,15{:02}59,5231.{:05},{},01319.{:04},{},{}.{},{}.5,{}.25,{},{},12.{:03},{}",
        number,
        number % 60,
        79_283 - number * 91,
        if south { 'S' } else { 'N' },
        4321 + number * 17,
        if west { 'W' } else { 'E' },
        30 + number,
        number % 10,
        number * 5,
        34 + number,
        4 + number % 9,
        if number.is_multiple_of(7) { 'V' } else { 'A' },
        300 + number,
        1_234_567 + number * 11,
    );
    line.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_module_and_what_is_written_by_hand_say_the_same() {
        for work in [BINARY, CSV] {
            Bench::new(&work).unwrap().compare().unwrap();
        }
        assert_eq!((BINARY.frame)(7).len(), 60);
        assert_eq!(BINARY.fields.len(), 20);
        let line = String::from_utf8((CSV.frame)(7)).unwrap();
        assert_eq!(line.split(',').count(), 15);
    }

    #[tokio::test]
    async fn a_ratio_is_told_for_each_layout() {
        let outcome = measure(1).await.unwrap();
        let outcome = serde_json::to_value(outcome).unwrap();
        for (at, work) in [BINARY, CSV].iter().enumerate() {
            let goal = &outcome["goals"][at];
            assert_eq!(goal["what"], format!("{} module/by hand", work.name));
            for what in ["ModuleNanos", "ReadingNanos", "ByHandNanos"] {
                let nanos = &outcome[format!("{}{what}", work.name)];
                assert!(nanos.as_f64().is_some_and(|nanos| nanos > 0.0), "{outcome}");
            }
        }
    }
}
