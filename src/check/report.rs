//! What a check found, for people and for programs.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::{Arguments, CLEAN, MISTAKES};
use crate::document::Problems;
use crate::settings::{Settings, Warning, limits};

/// What a check found.
#[derive(Debug, Default)]
pub struct Report {
    /// Mistakes, with pointers into the checked file.
    pub problems: Problems,
    /// What should be different although it would run.
    pub warnings: Vec<Warning>,
    /// The settings, if they are valid.
    pub settings: Option<Settings>,
    /// The module of a manifest.
    pub module: Option<String>,
}

impl Report {
    /// Prints it; gives the exit code.
    pub fn print(&self, arguments: &Arguments, out: &mut dyn Write) -> io::Result<u8> {
        if arguments.json {
            writeln!(out, "{}", self.json())?;
        } else {
            self.text(arguments, out)?;
        }
        Ok(if self.problems.is_empty() {
            CLEAN
        } else {
            MISTAKES
        })
    }

    fn json(&self) -> Value {
        json!({
            "ok": self.problems.is_empty(),
            "module": self.module,
            "bytes": self.settings.as_ref().map(|settings| settings.bytes),
            "maxBytes": limits::MAX_BYTES,
            "errors": self.problems.as_slice(),
            "warnings": self.warnings,
        })
    }

    fn text(&self, arguments: &Arguments, out: &mut dyn Write) -> io::Result<()> {
        for problem in self.problems.as_slice() {
            writeln!(out, "error   {problem}")?;
        }
        for warning in &self.warnings {
            writeln!(out, "warning {warning}")?;
        }
        let module = self
            .module
            .as_ref()
            .map(|name| format!(", module {name}"))
            .unwrap_or_default();
        write!(out, "{}{module}: ", arguments.file.display())?;
        match &self.settings {
            Some(settings) if self.problems.is_empty() => {
                writeln!(out, "ok, {}", summary(settings, self.warnings.len()))
            }
            _ => writeln!(
                out,
                "{}, {}",
                count(self.problems.len(), "error"),
                count(self.warnings.len(), "warning")
            ),
        }
    }
}

fn summary(settings: &Settings, warnings: usize) -> String {
    let dialled = settings.outbound.values();
    let dialled: usize = dialled.map(|outbound| outbound.addresses.len()).sum();
    let dialled = match dialled {
        0 => String::new(),
        _ => format!("{} to dial, ", count(dialled, "device")),
    };
    format!(
        "{}: {}, {dialled}{}, {} of {} bytes of a twin",
        count(warnings, "warning"),
        count(settings.listeners.len(), "listener"),
        count(settings.protocols.len(), "protocol"),
        settings.bytes,
        limits::MAX_BYTES
    )
}

fn count(number: usize, what: &str) -> String {
    match number {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}
