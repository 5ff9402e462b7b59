//! The module as a process of its own, so that it can be killed and measured alone.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

/// As long as edgeAgent waits before it kills.
const PATIENCE: Duration = Duration::from_secs(10);

/// The variable that says from which level on the module logs.
pub const LOG_LEVEL: &str = "RuntimeLogLevel";

/// A running module.
#[derive(Debug)]
pub struct Module(Child);

impl Module {
    /// Starts this program again as the module; its log begins at warnings, unless a variable says
    /// otherwise.
    ///
    /// # Errors
    /// When the system does not start it.
    pub fn start(variables: Vec<(String, String)>, storage: &Path) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("the path of this program is not known")?;
        let child = Command::new(program)
            .arg("module")
            .env(LOG_LEVEL, "warning")
            .envs(variables)
            .env("STORAGE_DIR", storage)
            .stdin(Stdio::null())
            .stdout(io::stderr())
            // Ctrl-C is for us; the module is asked to stop in its turn.
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        Ok(Module(child.context("the module cannot start")?))
    }

    /// Its process, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.0.id()
    }

    /// Ends it without asking, for a module whose messages nobody misses.
    ///
    /// # Errors
    /// When the system does not end it.
    pub async fn kill(mut self) -> io::Result<()> {
        self.0.kill().await
    }

    /// Waits for its end, which nobody asked for.
    pub async fn ended(&mut self) -> anyhow::Error {
        match self.0.wait().await {
            Ok(status) => anyhow::anyhow!("the module ended by itself: {status}"),
            Err(error) => anyhow::Error::new(error).context("the module cannot be watched"),
        }
    }

    /// Asks it to stop, as edgeAgent does, and waits as long as edgeAgent would.
    ///
    /// # Errors
    /// When it does not stop in time, or not in order.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let id = self.0.id().and_then(|id| i32::try_from(id).ok());
        let Some(id) = id.and_then(Pid::from_raw) else {
            return Ok(());
        };
        kill_process(id, Signal::TERM).context("the module cannot be asked to stop")?;
        let Ok(ended) = tokio::time::timeout(PATIENCE, self.0.wait()).await else {
            self.0.kill().await?;
            bail!("the module did not stop within {} s", PATIENCE.as_secs());
        };
        let status = ended?;
        if !status.success() {
            bail!("the module did not stop in order: {status}");
        }
        Ok(())
    }
}
