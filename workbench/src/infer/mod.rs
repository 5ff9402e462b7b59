//! `infer`: what framing and checksum captured bytes have.
//!
//! Rules by which bytes may be cut are counted through, the ones that explain most of the capture
//! are run by the product's own code, and what they make of it is weighed in bits.

mod capture;
mod checks;
mod columns;
mod evidence;
mod propose;
mod report;
mod rule;
mod search;
mod shipped;
mod switch;
#[cfg(test)]
mod tests;
mod trial;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use edge_tcp_gateway::clock::Clock;
use serde_json::json;

use crate::say;
use capture::{Capture, Form, Group};
use report::Report;

/// What `--help` shows last.
pub const EXAMPLES: &str = r#"Examples:
  workbench infer session.pcapng                     every port of it, each direction for itself
  workbench infer session.pcap --port 5000 --direction to
  workbench infer dump.txt                           xxd, hexdump -C, Wireshark's hex, plain hex lines
  workbench infer one.bin two.bin --raw              the payload itself, a connection each
  workbench infer session.pcap --write settings.json
  edge-tcp-gateway check settings.json
  workbench up --settings settings.json

How to capture: tcpdump -i any -s 0 -w session.pcap tcp port 5000
Captures with the opening of connections, several of them, and frames of several lengths show most.
What is proposed explains this capture; hold it against the protocol sheet. Decoding is left to you:
the view of the columns and `edge-tcp-gateway decode` help."#;

/// Groups that are looked at.
const MOST_GROUPS: usize = 4;
/// From so many bytes on it says what it does.
const LARGE: usize = 1 << 20;

/// The options of `infer`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Captures: pcap, pcapng or hex text; `-` is standard input. Several count as one.
    #[arg(required = true)]
    captures: Vec<PathBuf>,
    /// The files are the payload itself.
    #[arg(long)]
    raw: bool,
    /// Only connections to this port.
    #[arg(long)]
    port: Option<u16>,
    /// Only what goes to the listening port, or what comes from it.
    #[arg(long, value_enum)]
    direction: Option<Direction>,
    /// Bytes of payload that are looked at.
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 20)]
    max_bytes: usize,
    /// Seconds that may be spent on the search for each stream.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    seconds: u64,
    /// Writes the best proposal as settings that `check` and `up` take.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
    /// Prints one JSON object.
    #[arg(long)]
    json: bool,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Direction {
    /// To the port that listens.
    To,
    /// From the port that listens.
    From,
}

/// How long may be searched.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    clock: Clock,
    until: Option<Instant>,
}

impl Patience {
    fn of(time: Duration) -> Self {
        let clock = Clock::system();
        let until = clock.now().monotonic.checked_add(time);
        Patience { clock, until }
    }

    /// Whether the time is over.
    pub fn is_over(&self) -> bool {
        let now = self.clock.now().monotonic;
        self.until.is_some_and(|until| now >= until)
    }
}

/// Reads, searches, prints.
///
/// # Errors
/// When a capture cannot be read, holds no payload, or nothing can be written.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let form = if options.raw { Form::Raw } else { Form::Guess };
    let mut capture = capture::read(&options.captures, form, options.max_bytes)?;
    capture.groups.retain(|group| is_wanted(group, options));
    if capture.groups.is_empty() {
        bail!("there is no TCP payload to look at{}", listed(&capture));
    }
    let left_off = capture.groups.len().saturating_sub(MOST_GROUPS);
    if left_off > 0 {
        capture.notes.push(format!(
            "the {MOST_GROUPS} largest streams were looked at, {left_off} were left out: choose with --port"
        ));
    }
    let reports: Vec<Report<'_>> = capture
        .groups
        .iter()
        .take(MOST_GROUPS)
        .map(|group| look_at(group, options))
        .collect();
    print(&reports, &capture.notes, options)?;
    if let Some(path) = &options.write {
        let mut proposals = reports.iter().flat_map(|report| &report.finding.proposals);
        let Some(best) = proposals.next() else {
            bail!("there is no proposal to write");
        };
        let settings = trial::settings(&best.document);
        let text = serde_json::to_string_pretty(&settings)?;
        std::fs::write(path, text + "\n").with_context(|| format!("{}", path.display()))?;
        say(format_args!(
            "the first proposal is in {}, as settings",
            path.display()
        ));
    }
    Ok(())
}

fn is_wanted(group: &Group, options: &Options) -> bool {
    let direction = options.direction.is_none_or(|direction| {
        group.port.is_none() || group.to_port == (direction == Direction::To)
    });
    direction && options.port.is_none_or(|port| group.port == Some(port))
}

fn listed(capture: &Capture) -> String {
    let notes = capture.notes.iter();
    notes.fold(String::new(), |all, note| format!("{all}; {note}"))
}

fn look_at<'g>(group: &'g Group, options: &Options) -> Report<'g> {
    if group.len() >= LARGE {
        say(format_args!(
            "{}: {} bytes, searching …",
            group.name,
            group.len()
        ));
    }
    let patience = Patience::of(Duration::from_secs(options.seconds));
    Report {
        group,
        finding: propose::find(&group.stretches, &patience),
        shipped: shipped::that_read(&group.stretches),
        hurried: patience.is_over(),
    }
}

fn print(reports: &[Report<'_>], notes: &[String], options: &Options) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if options.json {
        let reports: Vec<_> = reports.iter().map(Report::json).collect();
        writeln!(out, "{}", json!({ "streams": reports, "notes": notes }))?;
        return Ok(out.flush()?);
    }
    for note in notes {
        writeln!(out, "note: {note}")?;
    }
    for report in reports {
        report.print(&mut out)?;
    }
    Ok(out.flush()?)
}
