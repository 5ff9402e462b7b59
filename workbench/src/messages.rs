//! What arrives upstream, printed as it arrives, and what the module says of its settings.

use std::io::{self, Write as _};
use std::time::Duration;

use dev_hub::{DevHub, UpstreamMessage};
use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval};

use crate::say;
use crate::settings_file::SettingsFile;

/// How often the settings file and the reported properties are looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Shows one module's messages and settings.
#[derive(Debug)]
pub struct Messages<'a> {
    hub: &'a DevHub,
    module: &'a str,
    json: bool,
    /// The last message that was printed.
    last: u64,
    /// The last outcome of settings that was told.
    outcome: Value,
}

impl<'a> Messages<'a> {
    /// Shows nothing yet.
    pub fn new(hub: &'a DevHub, module: &'a str, json: bool) -> Self {
        Messages {
            hub,
            module,
            json,
            last: 0,
            outcome: Value::Null,
        }
    }

    /// Prints every message, and applies the settings file when it was edited. Ends only with an error.
    ///
    /// # Errors
    /// When standard output takes nothing more.
    pub async fn show(&mut self, mut file: Option<SettingsFile>) -> anyhow::Result<()> {
        let upstream = self.hub.upstream();
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Ok(_) = upstream.next_since(self.last, Duration::MAX) => self.print()?,
                _ = look.tick() => {
                    if let Some(changed) = file.as_mut().and_then(SettingsFile::changed) {
                        self.apply(changed);
                    }
                    self.tell_outcome();
                }
            }
        }
    }

    /// Prints what has arrived since.
    ///
    /// # Errors
    /// When standard output takes nothing more.
    pub fn print(&mut self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        for message in self.hub.upstream().since(self.last) {
            self.last = message.sequence;
            if self.json {
                serde_json::to_writer(&mut out, &*message)?;
                writeln!(out)?;
            } else {
                writeln!(out, "{}", line(&message))?;
            }
        }
        out.flush()
    }

    fn apply(&self, changed: anyhow::Result<Value>) {
        let applied = changed.and_then(|settings| {
            self.hub.set_desired(self.module, settings)?;
            Ok(())
        });
        match applied {
            Ok(()) => say(format_args!("the settings file was edited: a twin update")),
            Err(error) => say(format_args!("{error:#}; what runs stays")),
        }
    }

    fn tell_outcome(&mut self) {
        let reported = self.hub.reported(self.module).unwrap_or_default();
        let outcome = &reported["settings"];
        if *outcome == self.outcome {
            return;
        }
        self.outcome = outcome.clone();
        let (version, description) = (&outcome["av"], outcome["ad"].as_str().unwrap_or_default());
        say(format_args!("settings version {version}: {description}"));
        for error in outcome["errors"].as_array().into_iter().flatten() {
            let text = |name: &str| error[name].as_str().unwrap_or_default();
            say(format_args!("  {}: {}", text("pointer"), text("message")));
        }
    }
}

fn line(message: &UpstreamMessage) -> String {
    let output = message.output.as_deref().unwrap_or("-");
    let device = message.property("device").unwrap_or(&message.device);
    let body = match message.json() {
        Some(mut body) => match body["values"].take() {
            Value::Null => body,
            values => values,
        },
        None => Value::from(format!("{} bytes", message.body.len())),
    };
    format!("{output:12} {device:16} {} {body}", message.received)
}
