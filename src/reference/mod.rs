//! `edge-tcp-gateway schema`: the JSON Schema of the settings, and the reference page made of it.

mod page;
mod shape;
#[cfg(test)]
mod tests;

use std::io::{self, Write};

use crate::settings::schema::schema;

/// Prints the JSON Schema of the settings, for editors
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Editors complete, explain and check settings with it. In VS Code, write it beside the settings

  edge-tcp-gateway schema > settings.schema.json

and say in .vscode/settings.json which files it is for:

  \"json.schemas\": [{ \"fileMatch\": [\"*.settings.json\"], \"url\": \"./settings.schema.json\" }]

The settings themselves do not name it: a twin takes no key with $. What only the whole can say
(names that refer to each other, the notations inside of texts) `edge-tcp-gateway check` finds.

Exit code: 0.")]
pub struct Arguments {
    /// Prints the reference page instead, as docs/reference.md has it
    #[arg(long)]
    pub reference: bool,
}

/// Prints. The answer is the exit code.
///
/// # Errors
/// The output cannot be written.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> io::Result<u8> {
    let schema = schema();
    if arguments.reference {
        out.write_all(page::page(&schema).as_bytes())?;
    } else {
        let text = serde_json::to_string_pretty(&schema)?;
        writeln!(out, "{text}")?;
    }
    Ok(0)
}
