//! What the sink has received.

use serde::Serialize;
use serde_json::{Map, Value};

use super::line::{self, Mark};

/// No more latencies are kept; the rest of a run is like its beginning.
const LATENCIES: usize = 4_000_000;
/// No load has so many lines; a number beyond is a damaged message.
const NUMBERS: u64 = 1 << 30;

/// How much has arrived.
#[derive(Debug, Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Lines that arrived, repeats included.
    pub frames: u64,
    /// Lines that arrived, without repeats.
    pub distinct: u64,
    /// Messages that carried them.
    pub messages: u64,
    /// What the module reported of its settings.
    pub settings: Map<String, Value>,
}

/// How long lines took from the device to the sink, in microseconds.
#[derive(Debug, Serialize, serde::Deserialize)]
pub struct Latencies {
    /// Of the half.
    pub median: Option<u32>,
    /// Of all but the slowest hundredth.
    pub p99: Option<u32>,
}

/// Counts what arrives.
#[derive(Debug, Default)]
pub struct Tally {
    frames: u64,
    distinct: u64,
    messages: u64,
    /// One bit for each number.
    seen: Vec<u64>,
    micros: Vec<u32>,
    settings: Map<String, Value>,
}

impl Tally {
    /// Counts the lines that a message carries.
    pub fn message(&mut self, payload: &[u8], now: u64) {
        self.messages += 1;
        for Mark { number, sent } in line::marks(payload) {
            self.frames += 1;
            self.distinct += u64::from(self.is_new(number));
            if self.micros.len() < LATENCIES {
                let micros = now.saturating_sub(sent) / 1000;
                self.micros.push(u32::try_from(micros).unwrap_or(u32::MAX));
            }
        }
    }

    fn is_new(&mut self, number: u64) -> bool {
        let (word, bit) = (number / 64, 1 << (number % 64));
        let Some(word) = usize::try_from(word).ok().filter(|_| number < NUMBERS) else {
            return false;
        };
        if word >= self.seen.len() {
            self.seen.resize(word + 1, 0);
        }
        self.seen.get_mut(word).is_some_and(|seen| {
            let new = *seen & bit == 0;
            *seen |= bit;
            new
        })
    }

    /// Remembers what a change of the reported properties says of the settings.
    pub fn reported(&mut self, patch: &[u8]) {
        let patch = serde_json::from_slice::<Value>(patch).unwrap_or_default();
        if let Some(settings) = patch["settings"].as_object() {
            self.settings.extend(settings.clone());
        }
    }

    /// What has arrived.
    pub fn report(&self) -> Report {
        Report {
            frames: self.frames,
            distinct: self.distinct,
            messages: self.messages,
            settings: self.settings.clone(),
        }
    }

    /// Those since the last time.
    pub fn latencies(&mut self) -> Latencies {
        let mut micros = std::mem::take(&mut self.micros);
        micros.sort_unstable();
        let at = |hundredths| {
            let place = micros.len().saturating_sub(1) * hundredths / 100;
            micros.get(place).copied()
        };
        Latencies {
            median: at(50),
            p99: at(99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_and_batches_are_counted_and_latencies_begin_anew() {
        let mut tally = Tally::default();
        let message = |numbers: &[u64]| {
            let mut text = Vec::new();
            for &number in numbers {
                line::push(&mut text, 1, Mark { number, sent: 5000 });
            }
            text
        };
        tally.message(&message(&[0, 64]), 7000);
        tally.message(&message(&[64, 65, 66]), 105_000);
        let report = tally.report();
        assert_eq!((report.frames, report.distinct, report.messages), (5, 4, 2));
        let latencies = tally.latencies();
        assert_eq!((latencies.median, latencies.p99), (Some(100), Some(100)));
        assert_eq!(tally.latencies().median, None);
    }
}
