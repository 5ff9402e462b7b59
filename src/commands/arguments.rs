//! What a command's payload says; all mistakes at once.

use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::conversation::{Asked, Awaited, byte_pattern};
use crate::document::{Problems, Section, name_of};
use crate::message::{ConnectionId, Name};
use crate::notation;

/// What a caller waits without saying so; edgeHub's callers wait 30 s.
const DEFAULT_MS: u32 = 25_000;
/// edgeHub lets no caller wait longer.
const MOST_MS: u32 = 300_000;
/// Entries of a page at most, and without saying so.
const MOST_ENTRIES: usize = 100;

/// A command that can be carried out.
#[derive(Debug)]
pub(super) struct Command {
    /// The device it is for.
    pub device: Name,
    /// What is asked of it.
    pub what: Asked,
    /// How long it may take.
    pub within: Duration,
    /// Whether it waits for the device to connect.
    pub wait: bool,
}

/// What a payload has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// That of the method `send`.
    Send,
    /// That of the method `command`.
    Command,
    /// Either, told apart by `bytes` and `command`.
    Either,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SendArguments {
    device: String,
    bytes: String,
    answer: Option<String>,
    #[serde(default = "default_ms")]
    within_ms: u32,
    #[serde(default)]
    wait_until_connected: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CommandArguments {
    device: String,
    command: String,
    #[serde(default)]
    arguments: serde_json::Map<String, Value>,
    #[serde(default = "yes")]
    answer: bool,
    #[serde(default = "default_ms")]
    within_ms: u32,
    #[serde(default)]
    wait_until_connected: bool,
}

fn default_ms() -> u32 {
    DEFAULT_MS
}

fn yes() -> bool {
    true
}

/// Reads a command; the mistakes as one text.
pub(super) fn read(payload: &[u8], form: Form) -> Result<Command, String> {
    let payload = json(payload)?;
    let section = Section::root(&payload);
    let form = match form {
        Form::Either => form_of(&section)?,
        form => form,
    };
    let mut problems = Problems::new();
    let read = match form {
        Form::Send => send(&section, &mut problems),
        _ => command(&section, &mut problems),
    };
    match read {
        Some(command) if problems.is_empty() => Ok(command),
        _ => Err(all(&problems)),
    }
}

/// The device that a payload names, whatever else is wrong with it.
pub(super) fn device_of(payload: &[u8]) -> Option<String> {
    let payload: Value = serde_json::from_slice(payload).ok()?;
    let device = payload.get("device")?.as_str()?;
    (!device.is_empty()).then(|| device.to_owned())
}

fn form_of(section: &Section<'_>) -> Result<Form, String> {
    let has = |name| section.member(name).is_some();
    match (has("command"), has("bytes")) {
        (true, false) => Ok(Form::Command),
        (false, true) => Ok(Form::Send),
        (true, true) => Err("expected either \"command\" or \"bytes\", found both".to_owned()),
        (false, false) if !section.value.is_object() => Err(format!(
            "expected an object, found {}",
            name_of(section.value)
        )),
        (false, false) => {
            Err("expected \"command\", the name of one, or \"bytes\", found neither".to_owned())
        }
    }
}

fn send(section: &Section<'_>, problems: &mut Problems) -> Option<Command> {
    let arguments: Option<SendArguments> = section.read(&[], problems);
    let arguments = arguments?;
    let bytes = notation::bytes(&arguments.bytes);
    match &bytes {
        Ok(bytes) if bytes.is_empty() => {
            problems.member(section, "bytes", "expected at least one byte");
        }
        Ok(_) => {}
        Err(error) => problems.notation(section, "bytes", error.clone()),
    }
    let answer = arguments.answer.as_deref().map(awaited);
    if let Some(Err(error)) = &answer {
        problems.member(section, "answer", error.clone());
    }
    let (device, within) = (arguments.device, arguments.within_ms);
    let common = common(section, (device, within), problems);
    Some(Command {
        device: common.0,
        within: common.1,
        wait: arguments.wait_until_connected,
        what: Asked::Raw {
            bytes: bytes.ok()?.into(),
            answer: answer.transpose().ok()?,
        },
    })
}

fn command(section: &Section<'_>, problems: &mut Problems) -> Option<Command> {
    let arguments: Option<CommandArguments> = section.read(&[], problems);
    let arguments = arguments?;
    if arguments.command.is_empty() {
        problems.member(section, "command", "expected the name of a command");
    }
    let (device, within) = (arguments.device, arguments.within_ms);
    let common = common(section, (device, within), problems);
    Some(Command {
        device: common.0,
        within: common.1,
        wait: arguments.wait_until_connected,
        what: Asked::Command {
            name: arguments.command.into(),
            arguments: Value::Object(arguments.arguments),
            answer: arguments.answer,
        },
    })
}

fn common(
    section: &Section<'_>,
    (device, within_ms): (String, u32),
    problems: &mut Problems,
) -> (Name, Duration) {
    if device.is_empty() {
        problems.member(section, "device", "expected the name of a device");
    }
    if !(1..=MOST_MS).contains(&within_ms) {
        problems.member(section, "withinMs", format!("expected 1 to {MOST_MS}"));
    }
    (device.into(), Duration::from_millis(within_ms.into()))
}

/// How an answer is known: `next`, or a pattern.
fn awaited(text: &str) -> Result<Awaited, String> {
    if text == "next" {
        return Ok(Awaited::Next);
    }
    let pattern = byte_pattern(text).map(Awaited::Pattern);
    pattern.map_err(|why| format!("expected \"next\" or a pattern; {why}"))
}

/// A page of a list.
#[derive(Debug)]
pub(super) struct Page<T> {
    /// The entry before it.
    pub after: Option<T>,
    /// Entries at most.
    pub limit: usize,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PageArguments<T> {
    after: Option<T>,
    limit: Option<usize>,
}

/// Reads which page is asked for; without payload it is the first.
pub(super) fn page<T: DeserializeOwned>(payload: &[u8]) -> Result<Page<T>, String> {
    let payload = json_or_nothing(payload)?;
    let section = Section::root(&payload);
    let mut problems = Problems::new();
    let arguments: Option<PageArguments<T>> = section.read(&[], &mut problems);
    let limit = arguments.as_ref().and_then(|arguments| arguments.limit);
    let limit = limit.unwrap_or(MOST_ENTRIES);
    if !(1..=MOST_ENTRIES).contains(&limit) {
        problems.member(&section, "limit", format!("expected 1 to {MOST_ENTRIES}"));
    }
    match arguments {
        Some(arguments) if problems.is_empty() => Ok(Page {
            after: arguments.after,
            limit,
        }),
        _ => Err(all(&problems)),
    }
}

/// Which connection is to end.
#[derive(Debug, PartialEq)]
pub(super) enum Target {
    /// That of a device.
    Device(String),
    /// One by its number.
    Connection(ConnectionId),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetArguments {
    device: Option<String>,
    connection: Option<u64>,
}

/// Reads which connection is to end.
pub(super) fn target(payload: &[u8]) -> Result<Target, String> {
    let payload = json(payload)?;
    let mut problems = Problems::new();
    let arguments: Option<TargetArguments> = Section::root(&payload).read(&[], &mut problems);
    match arguments {
        Some(arguments) if problems.is_empty() => match (arguments.device, arguments.connection) {
            (Some(device), None) => Ok(Target::Device(device)),
            (None, Some(number)) => Ok(Target::Connection(ConnectionId(number))),
            (Some(_), Some(_)) => {
                Err("expected either \"device\" or \"connection\", found both".to_owned())
            }
            (None, None) => Err("expected \"device\" or \"connection\", found neither".to_owned()),
        },
        _ => Err(all(&problems)),
    }
}

/// Reads a payload that says nothing.
pub(super) fn nothing(payload: &[u8]) -> Result<(), String> {
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}
    let payload = json_or_nothing(payload)?;
    let mut problems = Problems::new();
    let read: Option<Nothing> = Section::root(&payload).read(&[], &mut problems);
    match read {
        Some(Nothing {}) if problems.is_empty() => Ok(()),
        _ => Err(all(&problems)),
    }
}

fn json(payload: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(payload).map_err(|error| format!("the payload is no JSON: {error}"))
}

/// Callers that have nothing to say send nothing, or null.
fn json_or_nothing(payload: &[u8]) -> Result<Value, String> {
    let payload = if payload.is_empty() {
        Value::Null
    } else {
        json(payload)?
    };
    Ok(match payload {
        Value::Null => Value::Object(serde_json::Map::new()),
        payload => payload,
    })
}

fn all(problems: &Problems) -> String {
    let all = problems.as_slice().iter().map(ToString::to_string);
    all.collect::<Vec<_>>().join("; ")
}
