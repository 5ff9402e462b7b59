//! The variants that measure the module beside the yardstick, run by run in turn.

use std::time::Duration;

use anyhow::ensure;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::figures::{Figures, Measure, Summary};
use super::report::{Goal, Outcome};
use super::rig::{Gateway, Rig, Sample};
use crate::say;

const CONNECTIONS: u32 = 100;
const PACE: u64 = 2000;

/// Work for both gateways.
#[derive(Debug)]
pub struct Comparison {
    name: &'static str,
    settings: fn(&mut Value),
    /// Lines each second; 0 is as many as the gateway takes.
    rate: u64,
    /// The module's share of what the yardstick needs that we want to stay below.
    goals: &'static [(Measure, f64)],
}

/// As many lines as the gateway takes.
pub const FLAT: Comparison = Comparison {
    name: "flat",
    settings: |_| {},
    rate: 0,
    goals: &[(Measure::CpuMicrosPerFrame, 0.6)],
};

/// The same, many lines to a message.
pub const BATCHED: Comparison = Comparison {
    name: "batched",
    settings: |settings| {
        let batch = json!({"maxBytes": 4096, "maxDelayMs": 1000});
        settings["outputs"] = json!({"telemetry": {"batch": batch}});
    },
    rate: 0,
    goals: &[(Measure::CpuMicrosPerFrame, 0.3)],
};

/// As many lines as real devices send.
pub const PACED: Comparison = Comparison {
    name: "paced",
    settings: |_| {},
    rate: PACE,
    goals: &[
        (Measure::CpuMicrosPerFrame, 1.2),
        (Measure::LatencyMedianMicros, 2.0),
    ],
};

impl Comparison {
    /// Runs it so many times.
    ///
    /// # Errors
    /// When a run cannot be made, or the module cannot do the work.
    pub async fn run(&self, runs: u32, time: Duration) -> anyhow::Result<Outcome> {
        let (mut module, mut naive) = (Vec::new(), Vec::new());
        for run in 1..=runs {
            for (name, gateway, figures) in [
                ("module", Gateway::Module(self.settings), &mut module),
                ("naive", Gateway::Naive, &mut naive),
            ] {
                let measured = self.once(gateway, time).await?;
                let figure = |measure| measured.get(&measure).copied().unwrap_or_default();
                let cpu = figure(Measure::CpuMicrosPerFrame);
                let rate = figure(Measure::FramesPerSecond);
                let latency = figure(Measure::LatencyMedianMicros);
                say(format_args!(
                    "{}, run {run} of {runs}, {name}: {cpu:.2} µs CPU a frame, {rate:.0} frames/s, median {latency:.0} µs",
                    self.name
                ));
                figures.push(measured);
            }
        }
        let (module, naive) = (Summary::new(module), Summary::new(naive));
        let goals = self.goals.iter().filter_map(|(measure, goal)| {
            let (ours, theirs) = (module.best(*measure)?, naive.best(*measure)?);
            let what = format!("{} module/naive", measure.words());
            (theirs > 0.0).then(|| Goal::new(what, ours / theirs, *goal))
        });
        Ok(Outcome {
            goals: goals.collect(),
            module: Some(module),
            naive: Some(naive),
            ..Outcome::default()
        })
    }

    async fn once(&self, gateway: Gateway, time: Duration) -> anyhow::Result<Figures> {
        let mut rig = Rig::start(gateway).await?;
        let load = rig.devices(CONNECTIONS, &[("--rate", self.rate)]).await?;
        rig.first_frame().await?;
        // Queues fill in this time, which is not counted.
        sleep((time / 2).clamp(Duration::from_millis(300), Duration::from_secs(3))).await;
        rig.latencies().await?;
        let begin = rig.sample().await?;
        sleep(time).await;
        let end = rig.sample().await?;
        let latencies = rig.latencies().await?;
        let peak = rig.process.peak_memory()?;
        load.end().await?;
        rig.end().await?;
        let mut figures = figures(&begin, &end, peak)?;
        let latencies = [
            (Measure::LatencyMedianMicros, latencies.median),
            (Measure::LatencyP99Micros, latencies.p99),
        ];
        let known = latencies
            .into_iter()
            .filter_map(|(measure, value)| Some((measure, f64::from(value?))));
        figures.extend(known);
        Ok(figures)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "figures for people; no count comes near 2^52"
)]
fn figures(begin: &Sample, end: &Sample, peak: u64) -> anyhow::Result<Figures> {
    // What is sent again is no work that was asked for.
    let frames = end.arrived.distinct - begin.arrived.distinct;
    ensure!(frames > 0, "no frame arrived while it was measured");
    let (frames, seconds) = (frames as f64, (end.at - begin.at) as f64 / 1e9);
    let carried = (end.arrived.frames - begin.arrived.frames) as f64;
    let messages = (end.arrived.messages - begin.arrived.messages) as f64;
    let micros = end.cpu.since(&begin.cpu) as f64 / 1e3;
    let mut figures = Figures::from([
        (Measure::CpuMicrosPerFrame, micros / frames),
        (Measure::FramesPerSecond, frames / seconds),
        (Measure::FramesPerMessage, carried / messages),
        (Measure::PeakRssBytes, peak as f64),
    ]);
    if let Some((before, after)) = begin.syncs.zip(end.syncs) {
        figures.insert(Measure::SyncsPerMinute, (after - before) * 60.0 / seconds);
    }
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::super::measure::Cpu;
    use super::super::tally::Report;
    use super::*;

    fn sample(at: u64, (frames, distinct, messages): (u64, u64, u64), nanos: u64) -> Sample {
        Sample {
            at: at * 1_000_000_000,
            arrived: Report {
                frames,
                distinct,
                messages,
                settings: Map::new(),
            },
            cpu: Cpu::of(nanos),
            syncs: Some(at as f64),
        }
    }

    #[test]
    fn repeats_are_no_frames() {
        let begin = sample(10, (100, 100, 50), 1_000_000);
        let end = sample(15, (1_600, 1_100, 350), 6_000_000);
        let figures = figures(&begin, &end, 7).unwrap();
        let expected = Figures::from([
            (Measure::CpuMicrosPerFrame, 5.0),
            (Measure::FramesPerSecond, 200.0),
            (Measure::FramesPerMessage, 5.0),
            (Measure::PeakRssBytes, 7.0),
            (Measure::SyncsPerMinute, 60.0),
        ]);
        assert_eq!(figures, expected);
    }

    #[test]
    fn repeats_alone_are_no_run() {
        let begin = sample(10, (100, 100, 50), 0);
        let end = sample(15, (200, 100, 80), 10);
        assert!(figures(&begin, &end, 7).is_err());
    }
}
