//! `regex`: the named groups of a pattern, matched on bytes.

use regex::bytes::{Regex as Pattern, RegexBuilder};
use schemars::JsonSchema;
use serde::Deserialize;

use super::Inherited;
use super::run::Run;
use super::textual::Field;
use super::types::utf8;
use crate::document::{Problems, Section};
use crate::message::{Name, Value};
use crate::schema::{PatternText, TextField};

/// Memory that a compiled pattern may take: counted repetitions grow fast.
const MOST_BYTES: usize = 4 << 20;

/// A pattern is matched with the frame's bytes; its named groups become fields.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Options {
    /// The pattern, with named groups `(?P<name>…)`.
    #[schemars(with = "PatternText")]
    pattern: String,
    /// What the groups are; those not named here are texts.
    #[serde(default)]
    #[schemars(with = "Vec<TextField>")]
    fields: Vec<String>,
}

/// A pattern and what its groups are.
#[derive(Clone, Debug)]
pub(super) struct Regex {
    pattern: Pattern,
    /// The group's number and its field.
    groups: Box<[(usize, Field)]>,
}

impl Regex {
    /// Builds it.
    pub fn read(
        section: &Section<'_>,
        without: &[&str],
        inherited: Inherited<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let options: Options = section.read(without, problems)?;
        let fields = super::each_field(section, &options.fields, problems, |text| {
            Field::parse(text, &inherited)
        });
        let pattern = match compile(&options.pattern) {
            Ok(pattern) => pattern,
            Err(why) => {
                problems.member(section, "pattern", why);
                return None;
            }
        };
        let names: Vec<&str> = pattern.capture_names().flatten().collect();
        for (index, field) in fields.iter().enumerate() {
            if field.made.is_none() && !names.contains(&field.key.as_str()) {
                let message = crate::notation::unknown_word("group", &field.key, &names);
                super::field_problem(section, index, message, problems);
            }
        }
        let mut groups = Vec::new();
        for (number, name) in pattern.capture_names().enumerate() {
            let Some(name) = name else { continue };
            let named: Vec<_> = fields
                .iter()
                .filter(|field| field.made.is_none() && field.key == name)
                .cloned()
                .collect();
            if named.is_empty() {
                groups.push((number, Field::plain(name)));
            }
            groups.extend(named.into_iter().map(|field| (number, field)));
        }
        // The whole match takes part always.
        let made = fields.into_iter().filter(|field| field.made.is_some());
        groups.extend(made.map(|field| (0, field)));
        Some(Regex {
            groups: groups.into(),
            pattern,
        })
    }

    /// Sets a field for each group that took part.
    pub fn decode(&self, run: &mut Run<'_>) -> Result<(), String> {
        let captures = self.pattern.captures(run.body());
        let captures = captures.ok_or_else(|| "the pattern does not match".to_owned())?;
        for (number, field) in &self.groups {
            if let Some(group) = captures.get(*number) {
                let text = utf8(group.as_bytes(), &mut run.reading.replaced);
                field.decode(Value::Text(text), run)?;
            }
        }
        Ok(())
    }

    /// The fields it sets.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.groups.iter().map(|(_, field)| field)
    }
}

fn compile(pattern: &str) -> Result<Pattern, String> {
    let build = |unicode| {
        RegexBuilder::new(pattern)
            .unicode(unicode)
            .dot_matches_new_line(true)
            .size_limit(MOST_BYTES)
            .dfa_size_limit(MOST_BYTES)
            .build()
    };
    // Without Unicode a class matches single bytes, which is what device protocols mean; a pattern that
    // itself holds letters beyond ASCII needs it for them.
    let compiled = if pattern.is_ascii() {
        build(false)
    } else {
        build(true)
    };
    compiled.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "the pattern is too large when compiled".to_owned(),
        error => format!("not a pattern: {}", last_line(&error.to_string())),
    })
}

fn last_line(text: &str) -> String {
    let line = text.lines().last().unwrap_or_default();
    line.trim_start_matches("error: ").to_owned()
}

impl Regex {
    /// The names it sets.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.fields().flat_map(Field::names)
    }
}
