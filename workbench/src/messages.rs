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
    /// Whether their mistakes are told too.
    mistakes: bool,
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
            mistakes: true,
        }
    }

    /// Leaves mistakes in the settings to the module's log.
    pub fn without_mistakes(self) -> Self {
        Messages {
            mistakes: false,
            ..self
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
                for line in lines(&message) {
                    writeln!(out, "{line}")?;
                }
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
        let errors = outcome["errors"].as_array().filter(|_| self.mistakes);
        for error in errors.into_iter().flatten() {
            say(format_args!("  {}", mistake(error)));
        }
    }
}

/// A mistake in the settings as the module's log shows it.
fn mistake(error: &Value) -> String {
    let text = |name: &str| error[name].as_str().unwrap_or_default();
    let (pointer, message) = (text("pointer"), text("message"));
    let pointer = if pointer.is_empty() { "/" } else { pointer };
    match error["column"].as_u64() {
        Some(column) => format!("{pointer} column {column}: {message}"),
        None => format!("{pointer}: {message}"),
    }
}

/// A line for each reading: a batch has several.
fn lines(message: &UpstreamMessage) -> Vec<String> {
    let output = message.output.as_deref().unwrap_or("-");
    let sender = message.property("device").unwrap_or(&message.device);
    let readings = match message.json() {
        Some(body) => readings(sender, body),
        None => vec![(
            sender.to_owned(),
            format!("{} bytes", message.body.len()).into(),
        )],
    };
    let line = |(device, values)| format!("{output:12} {device:16} {} {values}", message.received);
    readings.into_iter().map(line).collect()
}

/// Who says what in a body; `sender` where it does not say who.
fn readings(sender: &str, body: Value) -> Vec<(String, Value)> {
    let elements = match body {
        Value::Array(elements) => elements,
        single => vec![single],
    };
    let reading = |mut element: Value| {
        let device = element.get("device").and_then(Value::as_str);
        let device = device.unwrap_or(sender).to_owned();
        // Of the result of a command the values are only a part.
        let is_result = element.get("outcome").is_some();
        let values = element.get_mut("values").filter(|_| !is_result);
        let values = values.map(Value::take);
        (device, values.unwrap_or(element))
    };
    elements.into_iter().map(reading).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_shape_of_a_body_is_shown() {
        let rows = [
            (
                json!({"device": "a", "values": {"n": 1}}),
                vec![("a", json!({"n": 1}))],
            ),
            (json!({"n": 1}), vec![("s", json!({"n": 1}))]),
            (
                json!({"device": "a", "outcome": "answered", "values": {"n": 1}}),
                vec![(
                    "a",
                    json!({"device": "a", "outcome": "answered", "values": {"n": 1}}),
                )],
            ),
            (
                json!([{"device": "a", "values": {"n": 1}}, {"device": "b", "values": 2}]),
                vec![("a", json!({"n": 1})), ("b", json!(2))],
            ),
            (
                json!([{"n": 1}, 2]),
                vec![("s", json!({"n": 1})), ("s", json!(2))],
            ),
            (json!([]), vec![]),
            (json!("text"), vec![("s", json!("text"))]),
        ];
        for (body, expected) in rows {
            let found = readings("s", body);
            let found: Vec<(&str, Value)> = found
                .iter()
                .map(|(device, values)| (device.as_str(), values.clone()))
                .collect();
            assert_eq!(found, expected);
        }
    }
}
