//! The user's settings file, and that it was edited.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context as _;
use serde_json::Value;

/// A settings file.
#[derive(Debug)]
pub struct SettingsFile {
    path: PathBuf,
    /// When it was last changed, and its size: some file systems count whole seconds.
    seen: Option<(SystemTime, u64)>,
}

impl SettingsFile {
    /// Reads the file; gives what it says and what watches it from now on.
    ///
    /// # Errors
    /// When it cannot be read or is no JSON.
    pub fn open(path: PathBuf) -> anyhow::Result<(Self, Value)> {
        let seen = state(&path);
        let settings = read(&path)?;
        Ok((SettingsFile { path, seen }, settings))
    }

    /// What it says since it was changed; `None` if it was not.
    pub fn changed(&mut self) -> Option<anyhow::Result<Value>> {
        let now = state(&self.path);
        if now == self.seen {
            return None;
        }
        self.seen = now;
        Some(read(&self.path))
    }
}

fn state(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn read(path: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))
}
