//! `edge-tcp-gateway check`: everything that is wrong with settings before they are deployed.

pub mod presets;
mod report;
mod show;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use crate::document::{self, Problem, Problems, merge_patch};
use crate::mounted;
use crate::settings::{Settings, manifest};
use manifest::Located;
use report::Report;

/// Exit code: nothing is wrong.
pub const CLEAN: u8 = 0;
/// Exit code: mistakes were found.
pub const MISTAKES: u8 = 1;

/// Checks settings offline, with the code that the module itself reads them with.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  edge-tcp-gateway check settings.json              settings, or a module twin
  edge-tcp-gateway check deployment.template.json   a whole deployment, with warnings about what surrounds the module
  edge-tcp-gateway check twin.json --patch new.json what the twin would be after that patch
  edge-tcp-gateway check settings.json --show gt06  a protocol with its preset merged in, and where each line is from
  edge-tcp-gateway check - < twin.json              from standard input

Exit codes: 0 nothing is wrong, 1 mistakes (all are listed), 2 the command itself was wrong.")]
pub struct Arguments {
    /// Settings, a twin, or a deployment manifest (template); `-` is standard input
    pub file: PathBuf,
    /// Checks FILE as it would be after this patch of desired properties
    #[arg(long, value_name = "PATCH")]
    pub patch: Option<PathBuf>,
    /// The module in a manifest, where it cannot be told from image or settings
    #[arg(long, value_name = "NAME")]
    pub module: Option<String>,
    /// Folder with the protocol files that `"file"` names [default: the folder of FILE]
    #[arg(long, value_name = "FOLDER")]
    pub protocols: Option<PathBuf>,
    /// Prints the protocol of that name as it results, and where each line is from
    #[arg(long, value_name = "PROTOCOL")]
    pub show: Option<String>,
    /// Prints one JSON object for other programs
    #[arg(long)]
    pub json: bool,
}

/// Checks and prints. The answer is the exit code.
///
/// # Errors
/// A file cannot be read, the output not be written, or the protocol to show is not there: all are
/// mistakes of the command.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> io::Result<u8> {
    let text = read_text(&arguments.file)?;
    let patch = arguments.patch.as_deref().map(read_text).transpose()?;
    let report = check(arguments, &text, patch.as_deref());
    match (&arguments.show, &report.settings) {
        (Some(name), Some(settings)) => show::protocol(name, settings, arguments.json, out),
        _ => report.print(arguments, out),
    }
}

fn check(arguments: &Arguments, text: &str, patch: Option<&str>) -> Report {
    let mut report = Report::default();
    let Some(document) = document::parse(text, &mut report.problems) else {
        return report;
    };
    let Some(mut located) =
        manifest::locate(&document, arguments.module.as_deref(), &mut report.problems)
    else {
        return report;
    };
    if let Some(patch) = patch {
        apply(&mut located, patch, arguments, &mut report.problems);
    }
    report.module = located
        .deployment
        .as_ref()
        .map(|deployment| deployment.module.clone());
    match Settings::parse(
        &located.desired,
        &mounted::read(&folder(arguments), &located.desired),
    ) {
        Ok((settings, warnings)) => {
            report
                .warnings
                .extend(warnings.iter().map(|warning| located.placed(warning)));
            if let Some(deployment) = &located.deployment {
                let around = manifest::warnings(deployment, &settings, &mut report.problems);
                report.warnings.extend(around);
            }
            report.settings = Some(settings);
        }
        Err(problems) => {
            for problem in problems.as_slice() {
                report.problems.push(located.placed(problem));
            }
        }
    }
    report
}

/// The patch may stand in a twin or a layered deployment, like settings themselves.
fn apply(located: &mut Located<'_>, patch: &str, arguments: &Arguments, problems: &mut Problems) {
    let mut found = Problems::new();
    if let Some(document) = document::parse(patch, &mut found)
        && let Some(patch) = manifest::locate(&document, arguments.module.as_deref(), &mut found)
    {
        merge_patch(&mut located.desired, &patch.desired);
    }
    for problem in found.as_slice() {
        problems.push(Problem {
            message: format!("in the patch: {}", problem.message),
            ..problem.clone()
        });
    }
}

/// Settings of a file that other commands need: all mistakes as one text.
///
/// # Errors
/// The file cannot be read, or has mistakes.
pub fn load(
    file: &Path,
    protocols: Option<&Path>,
    module: Option<&str>,
) -> io::Result<Result<Settings, String>> {
    let arguments = Arguments {
        file: file.to_owned(),
        patch: None,
        module: module.map(str::to_owned),
        protocols: protocols.map(Path::to_owned),
        show: None,
        json: false,
    };
    let report = check(&arguments, &read_text(file)?, None);
    Ok(match report.settings {
        Some(settings) => Ok(settings),
        None => Err(report
            .problems
            .as_slice()
            .iter()
            .map(|problem| format!("{problem}\n"))
            .collect()),
    })
}

fn folder(arguments: &Arguments) -> PathBuf {
    let beside = || {
        arguments
            .file
            .parent()
            .map(Path::to_owned)
            .unwrap_or_default()
    };
    arguments.protocols.clone().unwrap_or_else(beside)
}

fn read_text(path: &Path) -> io::Result<String> {
    let read = if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(path)
    };
    read.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}
