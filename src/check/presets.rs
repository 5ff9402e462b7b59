//! `edge-tcp-gateway presets`: the protocols that are shipped with the module.

use std::io::{self, Write};

use super::{CLEAN, MISTAKES};
use crate::document::unknown_word;
use crate::settings::Presets;

/// Lists the protocols shipped with the module, or prints one as a document to begin from.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  edge-tcp-gateway presets                     every preset and what it is
  edge-tcp-gateway presets gt06 > mine.json    one of them, for a protocol file of your own

Exit codes: 0 done, 1 there is no such preset.")]
pub struct Arguments {
    /// Prints this one's document; the major version may be left out
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}

/// Prints. The answer is the exit code.
///
/// # Errors
/// The output cannot be written.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> io::Result<u8> {
    let Some(name) = &arguments.name else {
        let width = Presets::names().iter().map(|name| name.len()).max();
        for preset in Presets::all() {
            let width = width.unwrap_or_default();
            writeln!(out, "{:width$}  {}", preset.name, preset.title)?;
        }
        return Ok(CLEAN);
    };
    let fits = |full: &str| full == name || full.split('@').next() == Some(name);
    match Presets::all().iter().find(|preset| fits(preset.name)) {
        Some(preset) => out.write_all(preset.text.as_bytes()).map(|()| CLEAN),
        None => {
            let message = unknown_word("preset", name, &Presets::names());
            writeln!(out, "{message}").map(|()| MISTAKES)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(name: Option<&str>) -> (u8, String) {
        let name = name.map(str::to_owned);
        let mut out = Vec::new();
        let code = run(&Arguments { name }, &mut out).unwrap();
        (code, String::from_utf8(out).unwrap())
    }

    #[test]
    fn every_preset_is_listed_with_what_it_is() {
        let (code, text) = printed(None);
        assert_eq!(code, 0);
        assert_eq!(text.lines().count(), Presets::all().len());
        let line = text.lines().find(|line| line.starts_with("gt06@1 "));
        assert!(
            line.unwrap().ends_with("  GT06 and Concox trackers"),
            "{text}"
        );
    }

    #[test]
    fn one_preset_is_printed_as_it_is_written() {
        for name in ["gt06", "gt06@1"] {
            let document = include_str!("../../protocols/gt06/protocol.json");
            assert_eq!(printed(Some(name)), (0, document.to_owned()));
        }
        for (name, part) in [
            ("gt07", "did you mean \"gt06@1\"?"),
            ("gt06@2", "gt06@1"),
            ("", "preset"),
        ] {
            let (code, text) = printed(Some(name));
            assert!(code == 1 && text.contains(part), "{name}: {text}");
        }
    }
}
