//! The module as the process that ships.

use std::path::Path;
use std::process::{ExitStatus, Stdio};

use dev_hub::DevHub;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::rig::{MODULE, PATIENCE};

/// A process of the module; it ends with this value.
pub struct Gateway(Child);

impl Gateway {
    /// Starts it over what earlier ones left in `storage`.
    pub fn start(hub: &DevHub, storage: &Path, metrics: u16) -> Gateway {
        let child = Command::new(env!("CARGO_BIN_EXE_edge-tcp-gateway"))
            .envs(hub.module_env(MODULE).expect("a module"))
            .env("STORAGE_DIR", storage)
            .env("METRICS_PORT", metrics.to_string())
            .env("RuntimeLogLevel", "error")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        Gateway(child.expect("the module starts"))
    }

    /// SIGKILL.
    pub async fn kill(mut self) {
        self.0.kill().await.expect("killed");
    }

    /// SIGTERM: what stops a container.
    pub fn terminate(&self) {
        kill_process(self.pid(), Signal::TERM).expect("it runs");
    }

    /// How it ended.
    pub async fn ended(mut self) -> ExitStatus {
        let ended = timeout(PATIENCE, self.0.wait()).await;
        ended.expect("ends in time").expect("a process")
    }

    /// The most memory that it ever had resident, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid().as_raw_nonzero());
        let status = std::fs::read_to_string(path).expect("it runs");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = peak.and_then(|text| text.trim().strip_suffix(" kB"));
        1024 * kibibytes
            .and_then(|text| text.parse::<u64>().ok())
            .expect("a number")
    }

    fn pid(&self) -> Pid {
        let id = self.0.id().and_then(|id| i32::try_from(id).ok());
        id.and_then(Pid::from_raw).expect("it runs")
    }
}
