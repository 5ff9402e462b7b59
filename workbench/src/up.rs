//! `up`: the stand-in, the module as a process of its own, and simulated devices.

use std::sync::Arc;

use anyhow::Context as _;
use dev_hub::DevHub;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::call::Desk;
use crate::messages::Messages;
use crate::module::{LOG_LEVEL, Module};
use crate::sample::Sample;
use crate::settings_file::SettingsFile;
use crate::{Shown, say, stop};

/// The module's name in the stand-in.
pub const MODULE: &str = "tcpgateway";

/// What `--help` shows last.
pub const EXAMPLES: &str = "Examples:
  workbench up                              a scale and a vehicle tracker, until Ctrl-C
  workbench up --for 20 --json              20 seconds of them, one JSON object per message
  workbench up --settings settings.json     your settings and your devices; edit the file meanwhile
  workbench call status                     from another terminal: a direct method of the module
  RuntimeLogLevel=info workbench up         the module's log from that level on, else warnings";

/// The options of `up`.
#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    shown: Shown,
}

/// Runs everything until it is asked to stop. The module logs from `level` on, where there is one.
///
/// # Errors
/// When a part cannot start, or the module ends by itself.
pub async fn run(Options { shown }: Options, level: Option<String>) -> anyhow::Result<()> {
    let stop = stop::asked(shown.seconds)?;
    let storage = tempfile::tempdir().context("no temporary directory for the module's storage")?;
    let hub = stand_in().await?;
    let (file, devices) = configure(&hub, &shown)?;
    let desk = Desk::open(&hub, &shown.socket);
    let mut variables = hub.module_env(MODULE)?;
    variables.extend(level.map(|level| (LOG_LEVEL.to_owned(), level)));
    let mut module = Module::start(variables, storage.path())?;
    // Mistakes in the settings stand in the module's log, beside what is printed here.
    let mut messages = Messages::new(&hub, MODULE, shown.json).without_mistakes();
    let shown = tokio::select! {
        ended = module.ended() => Err(ended),
        shown = messages.show(file) => shown,
        () = stop => Ok(()),
    };
    drop(devices);
    // Who waits for an answer is told by the module that it stops.
    let stopped = module.stop().await;
    drop(desk);
    // While it stopped it delivered what it still had.
    let printed = messages.print();
    let count = hub.upstream().count();
    say(format_args!("{count} messages arrived upstream"));
    hub.stop().await;
    shown.and(stopped)?;
    Ok(printed?)
}

/// The stand-in, with our module and a route for all that it sends.
pub async fn stand_in() -> anyhow::Result<Arc<DevHub>> {
    let hub = DevHub::builder()
        .module(MODULE)
        .route("upstream", "FROM /messages/* INTO $upstream");
    let hub = hub.start().await.context("the stand-in cannot start")?;
    Ok(Arc::new(hub))
}

/// Gives the module its settings: the file's, or the sample's with devices that speak by them.
fn configure(hub: &DevHub, shown: &Shown) -> anyhow::Result<(Option<SettingsFile>, JoinSet<()>)> {
    if let Some(path) = &shown.settings {
        let (file, settings) = SettingsFile::open(path.clone())?;
        tell_ports(&settings);
        hub.set_desired(MODULE, settings)?;
        return Ok((Some(file), JoinSet::new()));
    }
    let sample = Sample::new()?;
    tell_ports(&sample.settings);
    hub.set_desired(MODULE, sample.settings.clone())?;
    Ok((None, sample.devices()))
}

/// Says where devices connect to, and which are called.
fn tell_ports(settings: &Value) {
    let entries = |section: &str| settings[section].as_object().into_iter().flatten();
    for (name, listener) in entries("listeners") {
        let (port, protocol) = (&listener["port"], &listener["protocol"]);
        say(format_args!(
            "listener {name}: port {port}, protocol {protocol}"
        ));
    }
    for (name, entry) in entries("outbound") {
        let (address, protocol) = (&entry["address"], &entry["protocol"]);
        say(format_args!(
            "outbound {name}: address {address}, protocol {protocol}"
        ));
    }
}
