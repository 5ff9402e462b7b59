//! `convert`: settings of other modules as settings of this one.

mod modbus;
mod operation;
mod slave;
#[cfg(test)]
mod tests;

use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use edge_tcp_gateway::document::Problem;
use edge_tcp_gateway::settings::{Presets, Settings};
use serde_json::Value;

use crate::say;

/// What `--help` shows last.
pub const EXAMPLES: &str = r#"Examples:
  workbench convert modbus deployment.json > settings.json
  az iot hub module-twin show -n HUB -d DEVICE -m modbus | workbench convert modbus - > settings.json
  edge-tcp-gateway check settings.json

What has no equivalent, and what changes in the messages, is said on standard error."#;

/// The options of `convert`.
#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, clap::Subcommand)]
enum From {
    /// The Azure IoT Edge Modbus module: its desired properties, its twin, or a deployment manifest.
    Modbus {
        /// A JSON file; `-` is standard input.
        file: PathBuf,
    },
}

/// Settings that came of others.
#[derive(Debug)]
struct Converted {
    settings: Value,
    /// What has no equivalent, and what changes: a line each, with the place that it is about.
    notes: Vec<String>,
    /// What was refused, a line each.
    refused: Vec<String>,
}

/// Reads, converts, prints.
///
/// # Errors
/// When the file cannot be read or holds no such settings, when a part of them was refused, and when
/// the module would refuse what came of them: more of it than a twin holds.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let From::Modbus { file } = &options.from;
    let text = read(file)?;
    let document = serde_json::from_str(&text);
    let document: Value = document.with_context(|| format!("{} is no JSON", file.display()))?;
    let converted = modbus::convert(&document)?;
    let notes = converted.notes.iter().chain(&converted.refused);
    notes.for_each(|note| say(format_args!("{note}")));
    let printed = serde_json::to_string_pretty(&converted.settings)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{printed}")?;
    let mistakes = mistakes(&converted.settings);
    for mistake in &mistakes {
        say(format_args!("the module would refuse this: {mistake}"));
    }
    match (converted.refused.len(), mistakes.len()) {
        (0, 0) => Ok(()),
        (0, _) => bail!("the module would refuse these settings, and it is said above why"),
        (count, _) => bail!("not converted: {count} of the slaves, of which it is said above why"),
    }
}

/// What the module would not take of the settings.
fn mistakes(settings: &Value) -> Vec<Problem> {
    let parsed = Settings::parse(settings, &Presets::built_in());
    let problems = parsed.err().unwrap_or_default();
    problems.as_slice().to_vec()
}

fn read(file: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    if file.as_os_str() == "-" {
        io::stdin().lock().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))
}
