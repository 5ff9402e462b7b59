//! `up`: the stand-in, the module as a process of its own, and simulated devices.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};
use dev_hub::DevHub;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::devices;

const MODULE: &str = "tcpgateway";
const PAUSE: Duration = Duration::from_millis(250);

/// What `up` is asked to do.
#[derive(Debug)]
pub struct Options {
    /// Settings of the user's own.
    pub settings: Option<PathBuf>,
    /// How long.
    pub seconds: Option<u64>,
    /// One JSON object per message.
    pub json: bool,
}

/// Runs everything until Ctrl-C or the time is over.
///
/// # Errors
/// When a part cannot start, or the module ends by itself.
pub fn run(options: Options) -> anyhow::Result<()> {
    tokio::runtime::Runtime::new()?.block_on(up(options))
}

async fn up(options: Options) -> anyhow::Result<()> {
    let storage = tempfile::tempdir().context("no temporary directory for the module's storage")?;
    let hub = DevHub::builder()
        .module(MODULE)
        .route("upstream", "FROM /messages/* INTO $upstream")
        .start()
        .await
        .context("the stand-in cannot start")?;
    let mut tasks = JoinSet::new();
    match &options.settings {
        Some(file) => hub.set_desired(MODULE, read(file)?)?,
        None => {
            let (scales, trackers) = (free_port()?, free_port()?);
            hub.set_desired(MODULE, sample(scales, trackers))?;
            tasks.spawn(devices::scale(scales));
            tasks.spawn(devices::tracker(trackers));
        }
    }
    let mut module = start_module(&hub, storage.path())?;
    let outcome = tokio::select! {
        ended = module.wait() => Err(anyhow::anyhow!("the module ended by itself: {}", ended?)),
        printed = print(&hub, &options) => printed,
        () = until(options.seconds) => Ok(()),
    };
    drop(tasks);
    stop_module(module).await?;
    eprintln!(
        "{} messages arrived upstream",
        hub.upstream().messages().len()
    );
    hub.stop().await;
    outcome
}

fn start_module(hub: &DevHub, storage: &Path) -> anyhow::Result<Child> {
    let program = std::env::current_exe().context("the path of this program is not known")?;
    let mut command = Command::new(program);
    command
        .arg("module")
        .envs(hub.module_env(MODULE)?)
        .env("STORAGE_DIR", storage);
    command
        .env("RuntimeLogLevel", "warning")
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .kill_on_drop(true);
    command.spawn().context("the module cannot start")
}

/// Asks the module to stop, as edgeAgent does, and waits as long as edgeAgent would.
async fn stop_module(mut module: Child) -> anyhow::Result<()> {
    if let Some(id) = module.id() {
        let asked = Command::new("kill").arg(id.to_string()).status().await?;
        if !asked.success() {
            bail!("the module could not be asked to stop");
        }
    }
    if tokio::time::timeout(Duration::from_secs(10), module.wait())
        .await
        .is_err()
    {
        module.kill().await?;
        bail!("the module did not stop within 10 s");
    }
    Ok(())
}

async fn until(seconds: Option<u64>) {
    match seconds {
        Some(seconds) => sleep(Duration::from_secs(seconds)).await,
        None => drop(tokio::signal::ctrl_c().await),
    }
}

/// Prints every message as it arrives, and applies the settings file when it changes.
async fn print(hub: &DevHub, options: &Options) -> anyhow::Result<()> {
    let (mut last, mut changed, mut reported) = (0, modified(options), Value::Null);
    loop {
        for message in hub.upstream().since(last) {
            last = message.sequence;
            let body = message.json().unwrap_or(Value::Null);
            if options.json {
                let properties = &message.properties;
                println!(
                    "{}",
                    json!({"sequence": last, "output": message.output, "properties": properties, "body": body})
                );
            } else {
                let output = message.output.as_deref().unwrap_or("-");
                println!(
                    "{output:12} {:16} {} {}",
                    text(&body["device"]),
                    text(&body["received"]),
                    body["values"]
                );
            }
        }
        if let (Some(file), now) = (&options.settings, modified(options))
            && now != changed
        {
            changed = now;
            match read(file) {
                Ok(settings) => {
                    if let Err(error) = hub.set_desired(MODULE, settings) {
                        eprintln!("{error:#}");
                    }
                }
                Err(error) => eprintln!("{error:#}"),
            }
        }
        let outcome = hub.reported(MODULE)?["settings"].clone();
        if outcome != reported {
            eprintln!("settings: {outcome}");
            reported = outcome;
        }
        sleep(PAUSE).await;
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

fn modified(options: &Options) -> Option<SystemTime> {
    std::fs::metadata(options.settings.as_ref()?)
        .and_then(|metadata| metadata.modified())
        .ok()
}

fn read(file: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("{} cannot be read", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is no JSON", file.display()))
}

/// A port that is free now.
fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}

fn sample(scales: u16, trackers: u16) -> Value {
    json!({
        "schemaVersion": 1,
        "listeners": {
            "scales": {"port": scales, "protocol": "scale"},
            "trackers": {"port": trackers, "protocol": "gt06"}
        },
        "protocols": {
            "gt06": {"preset": "gt06@1"},
            "scale": {
                "framing": {"type": "delimiter", "end": "\r\n", "maxBytes": 80},
                "decode": {
                    "type": "regex",
                    "pattern": "^S (?P<stable>[SD])\\s+(?P<weight>-?[\\d.]+) (?P<unit>\\w+)$",
                    "fields": ["stable: enum S=true D=false", "weight: number"]
                },
                "identity": {"from": "address"}
            }
        },
        "devices": {"scale-07": {"match": {"address": "127.0.0.1", "listener": "scales"}}}
    })
}
