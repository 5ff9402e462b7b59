//! What the process is told once, and where it keeps messages by that.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use thiserror::Error;
use tracing::level_filters::LevelFilter;

use crate::edge;
use crate::ops::{http, logging};
use crate::spool::{Disk, Folder};

/// What the process is told once, from outside.
#[derive(Debug)]
pub struct Environment {
    /// Who the module is and where edgeHub stands.
    pub identity: edge::Identity,
    /// Where documents are kept.
    pub storage: PathBuf,
    /// Where mounted protocol files are.
    pub protocols: PathBuf,
    /// What is logged.
    pub level: LevelFilter,
    /// Port of `/metrics` and `/healthz`; none if there is to be no such port.
    pub metrics_port: Option<u16>,
    /// Where messages are kept, if not in a folder of the storage directory.
    pub disk: Option<Box<dyn Disk>>,
}

impl Environment {
    /// Reads it through `variable`.
    ///
    /// # Errors
    /// When the module's identity is missing or wrong, or a word is not known: which one, and the remedy.
    pub fn read(variable: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<Self> {
        let word = variable("RuntimeLogLevel").unwrap_or_else(|| "info".into());
        let level = logging::level(&word).with_context(|| {
            format!(
                "RuntimeLogLevel is \"{word}\", expected error, warning, info, debug or verbose"
            )
        })?;
        let path =
            |name, default: &str| PathBuf::from(variable(name).unwrap_or_else(|| default.into()));
        let port = variable("METRICS_PORT").unwrap_or_else(|| http::DEFAULT_PORT.to_string());
        let port: u16 = port.trim().parse().with_context(|| {
            format!("METRICS_PORT is \"{port}\", expected a port, or 0 for none")
        })?;
        Ok(Environment {
            metrics_port: (port != 0).then_some(port),
            identity: edge::Identity::from_environment(variable)?,
            storage: path("STORAGE_DIR", "/data"),
            protocols: path("PROTOCOLS_DIR", "/data/protocols"),
            level,
            disk: None,
        })
    }
}

/// Two processes in one storage directory would send everything twice.
#[derive(Debug, Error)]
#[error(
    "another process uses the storage directory {}; give each module a directory of its own (STORAGE_DIR)",
    .0.display()
)]
pub struct StorageTaken(PathBuf);

/// The spool's folder in the storage directory, or why there is none.
///
/// # Errors
/// When another process has it.
pub(super) fn open_disk(storage: &Path) -> Result<Result<Box<dyn Disk>, String>, StorageTaken> {
    let path = storage.join("spool");
    match Folder::open(&path) {
        Ok(folder) => Ok(Ok(Box::new(folder))),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(StorageTaken(storage.to_owned()))
        }
        Err(error) => Ok(Err(format!(
            "the spool {} cannot be written ({error})",
            path.display()
        ))),
    }
}
