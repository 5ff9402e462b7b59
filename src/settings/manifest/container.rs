//! What a manifest says about a module's container: published ports, mounts, environment.

use serde_json::Value;

use crate::document::{Problems, Section};

/// Characters that a desired property of edgeAgent holds at most in one part of `createOptions`.
const CHUNK_CHARS: usize = 512;
/// `createOptions`, `createOptions01` … `createOptions07`.
const CHUNKS: usize = 8;

/// A module's container as edgeAgent will make it.
#[derive(Debug)]
pub struct Container<'a> {
    definition: Section<'a>,
    options: Value,
    /// Pointer to the create options, for what is missing in them.
    pub pointer: String,
}

impl<'a> Container<'a> {
    /// Reads a module's definition; create options that cannot be read are a problem.
    pub fn read(definition: Section<'a>, problems: &mut Problems) -> Option<Self> {
        let settings = definition.member("settings")?;
        let pointer = format!("{}/createOptions", settings.pointer);
        let options = match settings.member("createOptions") {
            None => Value::Null,
            Some(options) if options.value.is_object() => as_object(&options, problems),
            Some(_) => joined(&settings, problems)?,
        };
        Some(Container {
            definition,
            options,
            pointer,
        })
    }

    /// Whether a TCP port of the container can be reached from outside.
    pub fn publishes(&self, port: u16) -> bool {
        let host = |name: &str| {
            self.options
                .pointer("/HostConfig")
                .and_then(|host| host.get(name))
        };
        if host("NetworkMode").and_then(Value::as_str) == Some("host") {
            return true;
        }
        let bound = |key: &str| {
            let bindings = host("PortBindings").and_then(|bindings| bindings.get(key));
            bindings
                .and_then(Value::as_array)
                .is_some_and(|bindings| !bindings.is_empty())
        };
        bound(&format!("{port}/tcp")) || bound(&port.to_string())
    }

    /// Whether a folder of the container outlives it.
    pub fn keeps(&self, folder: &str) -> bool {
        let list = |pointer: &str| {
            self.options
                .pointer(pointer)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
        };
        let binds = list("/HostConfig/Binds").filter_map(|bind| bind.as_str()?.split(':').nth(1));
        let mounts = list("/HostConfig/Mounts")
            .filter(|mount| mount.get("Type").and_then(Value::as_str) != Some("tmpfs"))
            .filter_map(|mount| mount.get("Target")?.as_str());
        binds.chain(mounts).any(|target| holds(target, folder))
    }

    /// A variable of the container's environment; edgeHub reads their names without regard to case.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let variables = self.definition.member("env")?;
        let found = variables
            .members()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        if let Some((_, variable)) = found {
            return variable.value.get("value").and_then(Value::as_str);
        }
        let listed = self
            .options
            .get("Env")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let mut pairs = listed.filter_map(|pair| pair.as_str()?.split_once('='));
        pairs
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

fn holds(target: &str, folder: &str) -> bool {
    let target = target.trim_end_matches('/');
    folder
        .trim_end_matches('/')
        .strip_prefix(target)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Templates may have an object, which the tools turn into text and cut.
fn as_object(options: &Section<'_>, problems: &mut Problems) -> Value {
    let length = options.value.to_string().chars().count();
    if length > CHUNKS * CHUNK_CHARS {
        problems.add(
            options,
            format!(
                "{length} characters as text, {} are possible",
                CHUNKS * CHUNK_CHARS
            ),
        );
    }
    options.value.clone()
}

fn joined(settings: &Section<'_>, problems: &mut Problems) -> Option<Value> {
    let before = problems.len();
    let mut parts = Vec::new();
    for (name, part) in settings.members() {
        let Some(number) = name.strip_prefix("createOptions") else {
            continue;
        };
        match (part_number(number), part.value.as_str()) {
            (Some(number), Some(text)) => {
                check_part(&part, text, problems);
                parts.push((number, text));
            }
            (None, _) => problems.add(
                &part,
                "the parts are createOptions, createOptions01 … createOptions07",
            ),
            (_, None) => problems.add(&part, "expected a text with JSON in it"),
        }
    }
    parts.sort_by_key(|(number, _)| *number);
    if parts
        .iter()
        .enumerate()
        .any(|(index, (number, _))| index != *number)
    {
        problems.member(
            settings,
            "createOptions",
            "a part is missing: the numbers have a gap",
        );
    }
    let text: String = parts.iter().map(|(_, text)| *text).collect();
    if problems.len() > before {
        return None;
    }
    match serde_json::from_str(if text.trim().is_empty() { "{}" } else { &text }) {
        Ok(options) => Some(options),
        Err(error) => {
            problems.member(
                settings,
                "createOptions",
                format!("the text is not JSON: {error}"),
            );
            None
        }
    }
}

fn check_part(part: &Section<'_>, text: &str, problems: &mut Problems) {
    let length = text.chars().count();
    if length > CHUNK_CHARS {
        problems.add(
            part,
            format!("{length} characters, a part holds {CHUNK_CHARS}; go on in the next part"),
        );
    }
}

fn part_number(number: &str) -> Option<usize> {
    match number {
        "" => Some(0),
        _ if number.len() == 2 => number
            .parse()
            .ok()
            .filter(|number| (1..CHUNKS).contains(number)),
        _ => None,
    }
}
