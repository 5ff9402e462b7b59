//! `regex`: the named groups of a pattern, matched on bytes.

use regex::bytes::Regex as Pattern;
use schemars::JsonSchema;
use serde::Deserialize;

use super::run::Run;
use super::textual::{Encoding, Field, Keyed};
use super::{Inherited, Use};
use crate::document::{Problems, Section};
use crate::notation::{self, NotationError, unknown_word};
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
    /// What bytes are as text; that of the decoder above, else `utf8`.
    encoding: Option<Encoding>,
    /// What the groups are; those not named here are texts.
    #[serde(default)]
    #[schemars(with = "Vec<TextField>")]
    fields: Vec<String>,
}

/// A pattern and what its groups are.
#[derive(Clone, Debug)]
pub(super) struct Regex {
    pattern: Pattern,
    encoding: Encoding,
    groups: Box<[Group]>,
}

/// A field of a group, in the order of the pattern.
#[derive(Clone, Debug)]
struct Group {
    number: usize,
    /// The place of its field string; none has one that is a text as it comes.
    at: Option<usize>,
    field: Field,
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
        let pattern = match notation::pattern(&options.pattern, MOST_BYTES) {
            Ok(pattern) => pattern,
            Err(why) => {
                problems.member(section, "pattern", why);
                return None;
            }
        };
        let names: Vec<&str> = pattern.capture_names().flatten().collect();
        let fields = super::each_field(section, &options.fields, problems, |text| {
            let field = Keyed::parse(text, &inherited)?;
            if field.field.made.is_some() || names.contains(&field.key.as_str()) {
                return Ok(field);
            }
            Err(NotationError::new(
                1,
                unknown_word("group", &field.key, &names),
            ))
        });
        Some(Regex {
            groups: groups(&pattern, &fields, &inherited).into(),
            encoding: inherited.encoding(options.encoding),
            pattern,
        })
    }

    /// Sets a field for each group that took part.
    pub fn decode(&self, run: &mut Run<'_>) -> Result<(), String> {
        let captures = self.pattern.captures(run.body());
        let captures = captures.ok_or_else(|| "the pattern does not match".to_owned())?;
        let whole = captures.get(0).map_or(&[][..], |whole| whole.as_bytes());
        run.own(whole, || "pattern".to_owned());
        for Group { number, field, .. } in &self.groups {
            if let Some(group) = captures.get(*number) {
                field.decode_bytes(group.as_bytes(), self.encoding, run)?;
            }
        }
        Ok(())
    }

    /// What its groups set and need.
    pub fn uses(&self) -> impl Iterator<Item = Use<'_>> {
        self.groups.iter().map(|group| group.field.uses(group.at))
    }
}

fn groups(pattern: &Pattern, fields: &[Keyed], inherited: &Inherited<'_>) -> Vec<Group> {
    let group = |number, (at, of): (usize, &Keyed)| Group {
        number,
        at: Some(at),
        field: of.field.clone(),
    };
    let (made, read): (Vec<_>, Vec<_>) =
        (fields.iter().enumerate()).partition(|(_, of)| of.field.made.is_some());
    let mut groups = Vec::new();
    for (number, name) in pattern.capture_names().enumerate() {
        let Some(name) = name else { continue };
        let named = read.iter().filter(|(_, of)| of.key == name);
        let before = groups.len();
        groups.extend(named.map(|of| group(number, *of)));
        if groups.len() == before {
            groups.push(Group {
                number,
                at: None,
                field: Field::plain(inherited.label(name)),
            });
        }
    }
    // The whole match takes part always.
    groups.extend(made.into_iter().map(|of| group(0, of)));
    groups
}
