//! A protocol as it results, each line with where it is from.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use super::CLEAN;
use crate::document::{child_pointer, unknown_word};
use crate::settings::Settings;

/// A value that fits beside its name is one line.
const LINE_CHARS: usize = 72;

/// Prints a protocol; gives the exit code. An error if there is no such protocol, or nothing can be
/// written.
pub fn protocol(
    name: &str,
    settings: &Settings,
    as_json: bool,
    out: &mut dyn Write,
) -> io::Result<u8> {
    let Some(document) = settings.protocol_document(name) else {
        let known: Vec<&str> = settings.protocols.keys().map(|name| &**name).collect();
        return Err(io::Error::other(unknown_word("protocol", name, &known)));
    };
    let pointer = child_pointer("/protocols", name);
    let mut lines = Vec::new();
    Printer {
        settings,
        name,
        lines: &mut lines,
    }
    .value(&pointer, (0, String::new()), document, "");
    if as_json {
        let places: Map<String, Value> = lines
            .into_iter()
            .map(|line| (line.pointer, line.from.into()))
            .collect();
        writeln!(out, "{}", json!({ "protocol": document, "from": places }))?;
    } else {
        let width = lines
            .iter()
            .map(|line| line.from.len())
            .max()
            .unwrap_or_default();
        for line in lines {
            writeln!(out, "{:width$} | {}", line.from, line.text)?;
        }
    }
    Ok(CLEAN)
}

struct Line {
    pointer: String,
    from: String,
    text: String,
}

struct Printer<'a> {
    settings: &'a Settings,
    name: &'a str,
    lines: &'a mut Vec<Line>,
}

impl Printer<'_> {
    fn value(&mut self, pointer: &str, (depth, head): (usize, String), value: &Value, tail: &str) {
        let whole = value.to_string();
        let children: Vec<(String, String, &Value)> = match value {
            Value::Object(object) if depth == 0 || !self.fits(pointer, value, &whole) => {
                let child =
                    |name: &String| (child_pointer(pointer, name), format!("{}: ", json!(name)));
                object
                    .iter()
                    .map(|(name, value)| (child(name).0, child(name).1, value))
                    .collect()
            }
            Value::Array(array) if whole.len() > LINE_CHARS => array
                .iter()
                .enumerate()
                .map(|(index, value)| (format!("{pointer}/{index}"), String::new(), value))
                .collect(),
            _ => Vec::new(),
        };
        if children.is_empty() {
            return self.line(pointer, depth, format!("{head}{whole}{tail}"));
        }
        let (open, close) = if value.is_array() {
            ("[", "]")
        } else {
            ("{", "}")
        };
        self.line(pointer, depth, format!("{head}{open}"));
        let last = children.len();
        for (index, (pointer, head, value)) in children.into_iter().enumerate() {
            let tail = if index + 1 < last { "," } else { "" };
            self.value(&pointer, (depth + 1, head), value, tail);
        }
        self.line(pointer, depth, format!("{close}{tail}"));
    }

    /// Whether an object is short and all from one place.
    fn fits(&self, pointer: &str, value: &Value, whole: &str) -> bool {
        let from = self.from(pointer);
        let alike = |pointer: &str| self.from(pointer) == from;
        whole.len() <= LINE_CHARS && all_below(pointer, value, &alike)
    }

    fn from(&self, pointer: &str) -> String {
        self.settings
            .origin_of(self.name, pointer)
            .map_or_else(|| "settings".into(), ToString::to_string)
    }

    fn line(&mut self, pointer: &str, depth: usize, text: String) {
        let text = format!("{:indent$}{text}", "", indent = depth * 2);
        self.lines.push(Line {
            pointer: pointer.to_owned(),
            from: self.from(pointer),
            text,
        });
    }
}

fn all_below(pointer: &str, value: &Value, alike: &dyn Fn(&str) -> bool) -> bool {
    let Some(object) = value.as_object() else {
        return alike(pointer);
    };
    object
        .iter()
        .all(|(name, value)| all_below(&child_pointer(pointer, name), value, alike))
}
