//! What is measured in a run, and the best of several runs.

use std::collections::BTreeMap;

use serde::Serialize;

/// One thing that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Measure {
    /// Of the gateway's process alone, user and system.
    CpuMicrosPerFrame,
    /// That arrived at the sink.
    FramesPerSecond,
    /// That were sent in one message.
    FramesPerMessage,
    /// The most memory that the gateway's process ever had.
    PeakRssBytes,
    /// From the device to the sink.
    LatencyMedianMicros,
    /// The same of the slowest hundredth.
    LatencyP99Micros,
    /// How often the spool was written through to the disk.
    SyncsPerMinute,
}

impl Measure {
    /// What a goal calls it.
    pub fn words(self) -> &'static str {
        match self {
            Self::CpuMicrosPerFrame => "CPU per frame",
            Self::FramesPerSecond => "frames per second",
            Self::FramesPerMessage => "frames per message",
            Self::PeakRssBytes => "peak memory",
            Self::LatencyMedianMicros => "median latency",
            Self::LatencyP99Micros => "latency p99",
            Self::SyncsPerMinute => "syncs per minute",
        }
    }

    fn more_is_better(self) -> bool {
        matches!(self, Self::FramesPerSecond | Self::FramesPerMessage)
    }
}

/// What one run measured.
pub type Figures = BTreeMap<Measure, f64>;

/// Several runs of the same work.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// The best of each measure: what disturbs a run makes every figure worse.
    #[serde(flatten)]
    best: Figures,
    spread: BTreeMap<Measure, (f64, f64)>,
    runs: Vec<Figures>,
}

impl Summary {
    /// Sums runs up.
    pub fn new(runs: Vec<Figures>) -> Self {
        let mut spread: BTreeMap<Measure, (f64, f64)> = BTreeMap::new();
        for (measure, value) in runs.iter().flatten() {
            let (least, most) = spread.entry(*measure).or_insert((*value, *value));
            *least = least.min(*value);
            *most = most.max(*value);
        }
        let best = spread.iter().map(|(measure, (least, most))| {
            let best = if measure.more_is_better() {
                most
            } else {
                least
            };
            (*measure, *best)
        });
        let best = best.collect();
        Summary { best, spread, runs }
    }

    /// The best figure.
    pub fn best(&self, measure: Measure) -> Option<f64> {
        self.best.get(&measure).copied()
    }

    /// The smallest and the largest figure.
    pub fn spread(&self, measure: Measure) -> Option<(f64, f64)> {
        self.spread.get(&measure).copied()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_best_is_the_least_of_costs_and_the_most_of_rates_and_the_spread_is_all_of_both() {
        let run = |cost: f64, rate: f64| {
            Figures::from([
                (Measure::CpuMicrosPerFrame, cost),
                (Measure::FramesPerSecond, rate),
            ])
        };
        let mut last = run(4.0, 90.0);
        last.insert(Measure::SyncsPerMinute, 2.0);
        let summary = Summary::new(vec![run(3.0, 70.0), run(5.0, 110.0), last]);
        for (measure, best, spread) in [
            (Measure::CpuMicrosPerFrame, 3.0, (3.0, 5.0)),
            (Measure::FramesPerSecond, 110.0, (70.0, 110.0)),
            (Measure::SyncsPerMinute, 2.0, (2.0, 2.0)),
        ] {
            assert_eq!(summary.best(measure), Some(best), "{measure:?}");
            assert_eq!(summary.spread(measure), Some(spread), "{measure:?}");
        }
        assert_eq!(summary.best(Measure::PeakRssBytes), None);
        let said = serde_json::to_value(&summary).unwrap();
        assert_eq!(said["cpuMicrosPerFrame"], 3.0);
        assert_eq!(said["spread"]["framesPerSecond"], json!([70.0, 110.0]));
        assert_eq!(said["runs"].as_array().map(Vec::len), Some(3));
    }

    #[test]
    fn of_no_run_there_is_no_best() {
        assert_eq!(Summary::new(Vec::new()).best(Measure::PeakRssBytes), None);
    }
}
