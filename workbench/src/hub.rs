//! `hub`: the stand-in alone.

use crate::call::Desk;
use crate::messages::Messages;
use crate::settings_file::SettingsFile;
use crate::up::{MODULE, stand_in};
use crate::{Shown, say, stop};

/// What `--help` shows last.
pub const EXAMPLES: &str = "Examples:
  workbench hub --settings settings.json    the stand-in, with these desired properties

  It prints two sets of variables. A module that is started with either of them connects:
  the IOTEDGE_* as the IoT Edge runtime sets them, or EdgeHubConnectionString and
  EdgeModuleCACertificateFile as a simulator does.";

/// The options of `hub`.
#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    shown: Shown,
}

/// Runs the stand-in until it is asked to stop.
///
/// # Errors
/// When it cannot start.
pub async fn run(Options { shown }: Options) -> anyhow::Result<()> {
    let stop = stop::asked(shown.seconds)?;
    let hub = stand_in().await?;
    let desk = Desk::open(&hub, &shown.socket);
    let mut file = None;
    if let Some(path) = shown.settings {
        let (opened, settings) = SettingsFile::open(path)?;
        hub.set_desired(MODULE, settings)?;
        file = Some(opened);
    }
    say(format_args!(
        "# as the IoT Edge runtime says who a module is"
    ));
    for (name, value) in hub.module_env(MODULE)? {
        say(format_args!("export {name}='{value}'"));
    }
    let connection = hub.module_connection_string(MODULE)?;
    let certificate = hub.trust_bundle_path();
    say(format_args!(
        "# or, instead of all of these, as a simulator does"
    ));
    say(format_args!(
        "export EdgeHubConnectionString='{connection}'"
    ));
    say(format_args!(
        "export EdgeModuleCACertificateFile='{}'",
        certificate.display()
    ));
    let mut messages = Messages::new(&hub, MODULE, shown.json);
    let shown = tokio::select! {
        shown = messages.show(file) => shown,
        () = stop => Ok(()),
    };
    drop(desk);
    hub.stop().await;
    shown
}
