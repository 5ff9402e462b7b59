//! `up`: the stand-in, the module as a process of its own, and simulated devices.

use anyhow::Context as _;
use dev_hub::DevHub;
use tokio::task::JoinSet;

use crate::messages::Messages;
use crate::module::Module;
use crate::sample::Sample;
use crate::settings_file::SettingsFile;
use crate::{Shown, say, stop};

/// The module's name in the stand-in.
pub const MODULE: &str = "tcpgateway";

/// What `--help` shows last.
pub const EXAMPLES: &str = "Examples:
  workbench up                              a scale and a vehicle tracker, until Ctrl-C
  workbench up --for 20 --json              20 seconds of them, one JSON object per message
  workbench up --settings settings.json     your settings and your devices; edit the file meanwhile";

/// The options of `up`.
#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    shown: Shown,
}

/// Runs everything until it is asked to stop.
///
/// # Errors
/// When a part cannot start, or the module ends by itself.
pub async fn run(Options { shown }: Options) -> anyhow::Result<()> {
    let stop = stop::asked(shown.seconds)?;
    let storage = tempfile::tempdir().context("no temporary directory for the module's storage")?;
    let hub = stand_in().await?;
    let (file, devices) = configure(&hub, &shown)?;
    let mut module = Module::start(hub.module_env(MODULE)?, storage.path())?;
    let mut messages = Messages::new(&hub, MODULE, shown.json);
    let shown = tokio::select! {
        ended = module.ended() => Err(ended),
        shown = messages.show(file) => shown,
        () = stop => Ok(()),
    };
    drop(devices);
    let stopped = module.stop().await;
    // While it stopped it delivered what it still had.
    let printed = messages.print();
    let count = hub.upstream().count();
    say(format_args!("{count} messages arrived upstream"));
    hub.stop().await;
    shown.and(stopped)?;
    Ok(printed?)
}

/// The stand-in, with our module and a route for all that it sends.
pub async fn stand_in() -> anyhow::Result<DevHub> {
    let hub = DevHub::builder()
        .module(MODULE)
        .route("upstream", "FROM /messages/* INTO $upstream");
    hub.start().await.context("the stand-in cannot start")
}

/// Gives the module its settings: the file's, or the sample's with devices that speak by them.
fn configure(hub: &DevHub, shown: &Shown) -> anyhow::Result<(Option<SettingsFile>, JoinSet<()>)> {
    if let Some(path) = &shown.settings {
        let (file, settings) = SettingsFile::open(path.clone())?;
        tell_listeners(&settings);
        hub.set_desired(MODULE, settings)?;
        return Ok((Some(file), JoinSet::new()));
    }
    let sample = Sample::new()?;
    tell_listeners(&sample.settings);
    hub.set_desired(MODULE, sample.settings.clone())?;
    Ok((None, sample.devices()))
}

fn tell_listeners(settings: &serde_json::Value) {
    let listeners = settings["listeners"].as_object();
    for (name, listener) in listeners.into_iter().flatten() {
        let (port, protocol) = (&listener["port"], &listener["protocol"]);
        say(format_args!(
            "listener {name}: port {port}, protocol {protocol}"
        ));
    }
}
