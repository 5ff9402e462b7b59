//! What the benchmark says at its end: a table for people, JSON for programs.

use std::io::{self, Write};

use anyhow::ensure;
use serde::Serialize;
use serde_json::{Map, Value};

use super::figures::{Measure, Summary};

/// What should be reached. Smaller is better.
#[derive(Debug, Serialize)]
pub struct Goal {
    what: String,
    value: f64,
    goal: f64,
    met: bool,
}

impl Goal {
    /// Compares what was measured with what was wanted.
    pub fn new(what: impl Into<String>, value: f64, goal: f64) -> Self {
        Goal {
            what: what.into(),
            value,
            goal,
            met: value <= goal,
        }
    }
}

/// What became of one variant.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// Why it could not be run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_available: Option<String>,
    /// The module, where it is compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<Summary>,
    /// The yardstick.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub naive: Option<Summary>,
    /// What else was measured.
    #[serde(flatten)]
    pub figures: Map<String, Value>,
    /// What should be reached.
    pub goals: Vec<Goal>,
}

/// All of a benchmark.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// That the machine has.
    pub processors: usize,
    /// Without optimisation no figure means anything.
    pub optimised: bool,
    /// Of work in each run.
    pub seconds: u64,
    /// Of each variant and gateway.
    pub runs: u32,
    /// By name.
    pub variants: Vec<(&'static str, Outcome)>,
}

impl Report {
    /// For programs.
    ///
    /// # Errors
    /// When a figure is none that JSON can say.
    pub fn json(&self) -> serde_json::Result<String> {
        let mut value = serde_json::to_value(self)?;
        let variants = self.variants.iter().map(|(name, outcome)| {
            let outcome = serde_json::to_value(outcome)?;
            Ok(((*name).to_owned(), outcome))
        });
        let variants = variants.collect::<serde_json::Result<Map<_, _>>>()?;
        value["variants"] = variants.into();
        serde_json::to_string_pretty(&value)
    }

    /// Whether every variant was run.
    ///
    /// # Errors
    /// When one was not: which.
    pub fn complete(&self) -> anyhow::Result<()> {
        let missing = self
            .variants
            .iter()
            .filter(|(_, outcome)| outcome.not_available.is_some());
        let missing: Vec<_> = missing.map(|(name, _)| *name).collect();
        ensure!(missing.is_empty(), "not available: {}", missing.join(", "));
        Ok(())
    }

    /// For people.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn table(&self, out: &mut impl Write) -> io::Result<()> {
        if !self.optimised {
            writeln!(out, "Built without --release: these figures mean nothing.")?;
        }
        self.comparisons(out)?;
        for (name, outcome) in &self.variants {
            if let Some(why) = &outcome.not_available {
                writeln!(out, "{name:8} not available: {why}")?;
            }
            for (figure, value) in &outcome.figures {
                writeln!(out, "{name:8} {figure} {value}")?;
            }
            for Goal {
                what,
                value,
                goal,
                met,
            } in &outcome.goals
            {
                let met = if *met { "met" } else { "missed" };
                writeln!(out, "{name:8} {what}: {value:.2}, goal {goal}: {met}")?;
            }
        }
        Ok(())
    }

    fn comparisons(&self, out: &mut impl Write) -> io::Result<()> {
        let rows = self.variants.iter().flat_map(|(name, outcome)| {
            let gateways = [("module", &outcome.module), ("naive", &outcome.naive)];
            gateways.into_iter().filter_map(move |(gateway, summary)| {
                Some(format!("{name:8} {gateway:7} {}", row(summary.as_ref()?)))
            })
        });
        let rows = rows.collect::<Vec<_>>();
        if rows.is_empty() {
            return Ok(());
        }
        let Report {
            seconds,
            runs,
            processors,
            ..
        } = self;
        writeln!(
            out,
            "Best of {runs} runs of {seconds} s (smallest..largest), {processors} processors\n\n\
             {:8} {:7} {:>24} {:>28} {:>9} {:>10} {:>10} {:>10}\n{}\n",
            "variant",
            "gateway",
            "CPU µs a frame",
            "frames/s",
            "peak MB",
            "median µs",
            "p99 µs",
            "syncs/min",
            rows.join("\n")
        )
    }
}

fn row(summary: &Summary) -> String {
    let spread = |measure, digits: usize| {
        let best = summary.best(measure).unwrap_or_default();
        let (least, most) = summary.spread(measure).unwrap_or_default();
        format!("{best:.digits$} ({least:.digits$}..{most:.digits$})")
    };
    let best = |measure, unit: f64, digits: usize| {
        let best = summary.best(measure);
        best.map_or_else(
            || "-".to_owned(),
            |best| format!("{:.digits$}", best / unit),
        )
    };
    format!(
        "{:>24} {:>28} {:>9} {:>10} {:>10} {:>10}",
        spread(Measure::CpuMicrosPerFrame, 2),
        spread(Measure::FramesPerSecond, 0),
        best(Measure::PeakRssBytes, 1e6, 1),
        best(Measure::LatencyMedianMicros, 1.0, 0),
        best(Measure::LatencyP99Micros, 1.0, 0),
        best(Measure::SyncsPerMinute, 1.0, 0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(variants: Vec<(&'static str, Outcome)>) -> Report {
        Report {
            processors: 2,
            optimised: true,
            seconds: 5,
            runs: 5,
            variants,
        }
    }

    #[test]
    fn a_variant_that_was_not_run_is_no_success() {
        let missing = |why: &str| Outcome {
            not_available: Some(why.to_owned()),
            ..Outcome::default()
        };
        assert!(
            report(vec![("flat", Outcome::default())])
                .complete()
                .is_ok()
        );
        let report = report(vec![
            ("flat", Outcome::default()),
            ("batched", missing("the module refuses the settings")),
            ("idle", missing("too few open files")),
        ]);
        let error = report.complete().unwrap_err().to_string();
        assert_eq!(error, "not available: batched, idle");
        let mut table = Vec::new();
        report.table(&mut table).unwrap();
        let table = String::from_utf8(table).unwrap();
        assert!(table.contains("the module refuses the settings"), "{table}");
    }
}
