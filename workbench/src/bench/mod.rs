//! `bench`: what a frame costs the module, beside what it costs a naive gateway in the same minutes.

mod broker;
mod by_hand;
mod compare;
mod decode;
mod endure;
mod figures;
mod line;
mod load;
mod measure;
mod naive;
mod part;
mod polled;
mod report;
mod rig;
mod sink;
mod tally;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum as _;

use self::report::{Outcome, Report};
use self::rig::NotAvailable;
use crate::{say, stop};

pub use part::{Role, run as be};

/// What `--help` shows last.
pub const EXAMPLES: &str = "Examples:
  workbench bench                                  everything, some five minutes
  workbench bench --variant flat --runs 1          one look
  workbench bench --json figures.json              the figures for a program, too

  100 devices send JSON lines of 200 bytes to a gateway, which sends each on as a message; what
  stands for edgeHub acknowledges them. Devices, gateway and sink are a process each, and only the
  gateway's processor time is counted. Beside the module runs a naive gateway: it reads, wraps and
  publishes, without TLS, without a spool. Only the ratio of the two says something on another
  machine. Build with --release, and let the machine do nothing else.

  With more than one run the best counts, and the spread beside it says how much to believe it.";

/// The options of `bench`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Seconds of work that are measured in each run.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Runs of each variant and gateway.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Only this one; may be given several times.
    #[arg(long, value_enum, value_name = "NAME")]
    variant: Vec<Variant>,
    /// Write the figures to this file as well.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What is measured.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Variant {
    /// As many frames as the gateway takes, a message each
    Flat,
    /// The same, many frames to a message
    Batched,
    /// 2,000 frames a second, for latency
    Paced,
    /// Memory of an idle connection
    Idle,
    /// Frames to values, beside decoders of the same layouts that are written by hand
    Decode,
    /// A thousand devices that are dialled and polled each second
    Polled,
    /// A million frames while the sink is away, and what that takes of memory
    Backlog,
}

impl Variant {
    fn name(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Batched => "batched",
            Self::Paced => "paced",
            Self::Idle => "idle",
            Self::Decode => "decode",
            Self::Polled => "polled",
            Self::Backlog => "backlog",
        }
    }

    async fn run(self, options: &Options) -> anyhow::Result<Outcome> {
        let (runs, time) = (options.runs, Duration::from_secs(options.seconds));
        let outcome = match self {
            Self::Flat => compare::FLAT.run(runs, time).await,
            Self::Batched => compare::BATCHED.run(runs, time).await,
            Self::Paced => compare::PACED.run(runs, time).await,
            Self::Idle => endure::idle().await,
            Self::Decode => decode::run(runs).await,
            Self::Polled => polled::run(time).await,
            Self::Backlog => endure::backlog().await,
        };
        match outcome {
            Err(error) => match error.downcast::<NotAvailable>() {
                Ok(NotAvailable(why)) => {
                    say(format_args!("{}: not available: {why}", self.name()));
                    Ok(Outcome {
                        not_available: Some(why),
                        ..Outcome::default()
                    })
                }
                Err(error) => Err(error.context(format!("variant {}", self.name()))),
            },
            outcome => outcome,
        }
    }
}

/// Runs the benchmark, unless it is asked to stop.
///
/// # Errors
/// When a part of it fails, a variant cannot be run, or the figures cannot be written.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let stop = stop::asked(None)?;
    let report = tokio::select! {
        report = all(&options) => report?,
        () = stop => return Ok(()),
    };
    if let Some(path) = &options.json {
        let written = std::fs::write(path, report.json()?);
        written.with_context(|| format!("{} cannot be written", path.display()))?;
    }
    report.table(&mut io::stdout().lock())?;
    report.complete()
}

async fn all(options: &Options) -> anyhow::Result<Report> {
    let mut variants = Vec::new();
    let wanted = match options.variant.as_slice() {
        [] => Variant::value_variants(),
        wanted => wanted,
    };
    for variant in wanted {
        variants.push((variant.name(), variant.run(options).await?));
    }
    Ok(Report {
        processors: std::thread::available_parallelism()?.get(),
        optimised: !cfg!(debug_assertions),
        seconds: options.seconds,
        runs: options.runs,
        variants,
    })
}
