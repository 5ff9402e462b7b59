//! The page `docs/reference.md`: a section for every definition of the schema, in the order in
//! which the settings use them, and the words that are no members.

use serde_json::{Map, Value};

use super::shape::{Definitions, choices, code, words};
use crate::{checksum, decoding, template};

const HEAD: &str = "\
# Reference

Every member of the [settings](settings.md), which explain what they are for, and every word that their notations know. This page is made by `edge-tcp-gateway schema --reference > docs/reference.md`; `edge-tcp-gateway schema` prints the JSON Schema that it is made of, with which editors complete and check settings (`--help` says how).

Where a member has no default, nothing is done without it. A [protocol](#protocol) that starts from a preset or file may leave out everything else.
";
/// Whose parts have a heading as large as their own.
const LARGE: [&str; 2] = ["settings", WHOLE];
/// The section of protocols, and the definitions that are shown in it.
const WHOLE: &str = "protocol";
const WHOLE_AND: &str = "protocol-";
const STARTING: &str = "protocol-from-";

/// The page of a schema.
pub fn page(schema: &Value) -> String {
    let none = Map::new();
    let definitions = schema
        .get("$defs")
        .and_then(Value::as_object)
        .unwrap_or(&none);
    let mut page = Page {
        definitions: Definitions(definitions),
        seen: Vec::new(),
        notations: Vec::new(),
        text: HEAD.to_owned(),
    };
    page.section("settings", schema, 2);
    page.notations();
    page.words();
    page.text
}

struct Page<'a> {
    definitions: Definitions<'a>,
    seen: Vec<&'a str>,
    notations: Vec<(&'a str, &'a Value)>,
    text: String,
}

impl<'a> Page<'a> {
    fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn heading(&mut self, name: &str, level: usize) {
        let title = name.replace('-', " ");
        self.line(&format!("\n{} {title}\n", "#".repeat(level)));
    }

    fn section(&mut self, name: &'a str, schema: &'a Value, level: usize) {
        self.heading(name, level);
        if let Some(description) = text_of(schema, "description") {
            self.line(&sentence(description));
        }
        let parts = kinds(schema);
        if schema.get("properties").is_some() && !parts.is_empty() {
            let kinds: Vec<String> = parts
                .iter()
                .map(|kind| self.definitions.shape(kind))
                .collect();
            self.line(&format!("\n`type` is one of: {}.", kinds.join(", ")));
        } else if name == WHOLE {
            // One table of what it is, and of what it may start from.
            let all = parts
                .iter()
                .filter_map(|part| self.definitions.named(part))
                .rev();
            let rows: Vec<String> = all.flat_map(|(name, part)| self.rows(name, part)).collect();
            self.table_of_members(&rows);
        } else {
            let rows = self.rows(name, schema);
            self.table_of_members(&rows);
        }
        let common = format!("{name}-common");
        if let Some((name, common)) = self.definitions.0.get_key_value(&common) {
            self.seen.push(name);
            self.section(name, common, 3);
        }
        let level = if LARGE.contains(&name) { 2 } else { 3 };
        self.below(schema, level);
    }

    fn table_of_members(&mut self, rows: &[String]) {
        if !rows.is_empty() {
            self.line("\n| member | value | default | meaning |\n|---|---|---|---|");
            rows.iter().for_each(|row| self.line(row));
        }
    }

    /// The rows of an object's own members.
    fn rows(&self, name: &str, schema: &'a Value) -> Vec<String> {
        let common = format!("#/$defs/{}-common/", name.split('-').next().unwrap_or(name));
        let of_all = |member: &Value| {
            text_of(member, "$ref").is_some_and(|place| place.starts_with(&common))
        };
        let members = schema.get("properties").and_then(Value::as_object);
        let own = members.into_iter().flatten().filter(|(member, what)| {
            let starts = name.starts_with(STARTING);
            !of_all(what) && what.get("const").is_none() && (!starts || required(schema, member))
        });
        let row = |(member, what): (&'a String, &'a Value)| {
            let default = match self.definitions.keyword(what, "default") {
                _ if required(schema, member) && !name.starts_with(STARTING) => {
                    "required".to_owned()
                }
                Some(default) if !is_nothing(default) => code(default),
                _ => String::new(),
            };
            let row = [
                format!("`{member}`"),
                self.definitions.shape(what),
                default,
                self.meaning(what),
            ];
            let row = row.map(|cell| cell.replace('|', "\\|"));
            format!("| {} |", row.join(" | "))
        };
        own.map(row).collect()
    }

    fn meaning(&self, schema: &'a Value) -> String {
        let mut meaning = self
            .definitions
            .resolve(schema)
            .first()
            .and_then(|schema| text_of(schema, "description"))
            .or_else(|| self.definitions.keyword(schema, "description")?.as_str())
            .map(sentence)
            .unwrap_or_default();
        for (word, what) in self
            .definitions
            .resolve(schema)
            .into_iter()
            .filter_map(words)
            .flatten()
        {
            if let Some(what) = what {
                let what = sentence(what);
                let what = what.trim_end_matches('.');
                meaning.push_str(&format!(" {}: {what}.", code(word)));
            }
        }
        meaning
    }

    /// The sections of what a section refers to, in its order.
    fn below(&mut self, schema: &'a Value, level: usize) {
        if let Some((name, target)) = self.definitions.named(schema) {
            if self.seen.contains(&name) || is_repeated(name, target) {
                return;
            }
            self.seen.push(name);
            if name.starts_with(WHOLE_AND) {
                self.below(target, level);
            } else if has_sections(target) {
                self.section(name, target, level);
            } else {
                self.notations.push((name, target));
            }
            return;
        }
        match schema {
            Value::Object(members) => {
                let parts = members.iter().filter(|(keyword, _)| *keyword != "$defs");
                parts.for_each(|(_, value)| self.below(value, level));
            }
            Value::Array(list) => list.iter().for_each(|value| self.below(value, level)),
            _ => {}
        }
    }

    fn notations(&mut self) {
        self.line("\n## Notations");
        let mut notations = std::mem::take(&mut self.notations);
        notations.sort_by_key(|(name, _)| *name);
        for (name, schema) in notations {
            self.heading(name, 3);
            self.line(
                &text_of(schema, "description")
                    .map(sentence)
                    .unwrap_or_default(),
            );
            let examples = schema.get("examples").and_then(Value::as_array);
            let examples: Vec<String> = examples
                .into_iter()
                .flatten()
                .map(|example| format!("`{example}`"))
                .collect();
            if !examples.is_empty() {
                self.line(&format!("\nFor example {}.", examples.join(", ")));
            }
        }
    }

    fn words(&mut self) {
        let types = [&decoding::schema::TYPES[..], &decoding::schema::OF_LISTS].concat();
        self.table("Types of fields", "type", &types);
        self.table("Steps of fields", "step", &decoding::schema::STEPS);
        self.table("Holes of templates", "hole", &template::words::HOLES);
        self.table("Steps of holes", "step", &template::words::STEPS);
        self.table("Types of holes", "type", &template::words::TYPES);
        self.line("\n## Checksum algorithms\n\n`/`, `-` and `_` in a name are the same, and so are capitals.\n\n| name | also known as |\n|---|---|");
        for (name, aliases) in checksum::schema::names() {
            let aliases: Vec<String> = aliases.iter().map(|alias| format!("`{alias}`")).collect();
            self.line(&format!("| `{name}` | {} |", aliases.join(", ")));
        }
    }

    fn table(&mut self, title: &str, what: &str, rows: &[(&str, &str)]) {
        self.line(&format!("\n## {title}\n\n| {what} | |\n|---|---|"));
        for (word, meaning) in rows {
            let [word, meaning] = [word, meaning].map(|cell| cell.replace('|', "\\|"));
            self.line(&format!("| {word} | {meaning} |"));
        }
    }
}

fn text_of<'a>(schema: &'a Value, keyword: &str) -> Option<&'a str> {
    schema.get(keyword).and_then(Value::as_str)
}

/// A description in one line.
fn sentence(description: &str) -> String {
    description.replace('\n', " ")
}

fn required(schema: &Value, member: &str) -> bool {
    let required = schema.get("required").and_then(Value::as_array);
    required.into_iter().flatten().any(|name| name == member)
}

/// A default that is the same as nothing.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

/// Whether a definition only says again what another says.
fn is_repeated(name: &str, schema: &Value) -> bool {
    name.ends_with("-override") || schema.get("$comment").is_some()
}

/// Whether it is an object, or a choice with one.
fn has_sections(schema: &Value) -> bool {
    schema.get("properties").is_some()
        || choices(schema)
            .is_some_and(|mut choices| choices.any(|choice| choice.get("$ref").is_some()))
}

/// The definitions of which it is one.
fn kinds(schema: &Value) -> Vec<&Value> {
    let choices = choices(schema).into_iter().flatten();
    choices
        .filter(|choice| choice.get("$ref").is_some())
        .collect()
}
