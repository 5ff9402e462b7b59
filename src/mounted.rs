//! Reads what settings name of the folder mounted for them: protocol files, and files with secrets.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use serde_json::Value;

use crate::document::{self, Problems};
use crate::settings::Presets;

/// Bytes of the largest protocol file; a whole protocol is some kilobytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The presets of this version, and the files of the folder that the document asks for: those of
/// protocols and those with secrets. What cannot
/// be read becomes a mistake of the settings, at the place that names the file.
pub fn read(folder: &Path, settings: &Value) -> Presets {
    let mut presets = Presets::built_in();
    for name in Presets::files_named(settings) {
        let document = read_document(&folder.join(&name));
        presets.mount(name, document);
    }
    for name in presets.secret_files(settings) {
        let text = read_text(&folder.join(&name)).map_err(|error| error.to_string());
        presets.secrets.mount(&name, text);
    }
    for name in presets.scripts_named(settings) {
        let source = read_text(&folder.join(&name)).map_err(|error| error.to_string());
        presets.mount_script(name, source);
    }
    presets
}

fn read_document(path: &Path) -> Result<Value, String> {
    let text = read_text(path).map_err(|error| error.to_string())?;
    let mut problems = Problems::new();
    let document = document::parse(&text, &mut problems);
    match (document, problems.as_slice()) {
        (Some(document), []) => Ok(document),
        (_, problems) => Err(problems
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("; ")),
    }
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?
        .take(MAX_FILE_BYTES + 1)
        .read_to_string(&mut text)?;
    if u64::try_from(read).unwrap_or(u64::MAX) > MAX_FILE_BYTES {
        return Err(io::Error::other(format!(
            "larger than {MAX_FILE_BYTES} bytes"
        )));
    }
    Ok(text)
}
