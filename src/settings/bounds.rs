//! Checks that every section needs: numbers within bounds, names that can be names.

use std::fmt::Display;
use std::ops::RangeInclusive;

use super::limits;
use crate::document::{Problems, Section};

/// Names of listeners, protocols and outputs: they become metric labels and topic segments.
pub const MAX_NAME_CHARS: usize = 64;

/// Notes a member's number that is outside of its bounds.
pub fn number<N: PartialOrd + Display>(
    section: &Section<'_>,
    member: &str,
    value: N,
    allowed: &RangeInclusive<N>,
    problems: &mut Problems,
) {
    if !allowed.contains(&value) {
        let message = format!(
            "{value} is outside of {} to {}",
            allowed.start(),
            allowed.end()
        );
        problems.member(section, member, message);
    }
}

/// What is wrong with a name, if anything.
pub fn wrong_name(name: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if let Some(wrong) = name.chars().find(|c| !plain(*c)) {
        return Some(format!(
            "the name \"{name}\" has {wrong:?}; letters, digits, - and _ are allowed"
        ));
    }
    if name.is_empty() || name.len() > MAX_NAME_CHARS {
        return Some(format!(
            "a name has 1 to {MAX_NAME_CHARS} characters, this one {}",
            name.len()
        ));
    }
    None
}

/// The entries of a collection whose names can be names.
pub fn entries<'a>(
    collection: &Section<'a>,
    problems: &mut Problems,
) -> Vec<(&'a str, Section<'a>)> {
    if !collection.value.is_object() {
        let found = crate::document::name_of(collection.value);
        problems.add(
            collection,
            format!("expected an object of named entries, found {found}"),
        );
    }
    let mut entries = Vec::new();
    for (name, entry) in collection.members() {
        // A key that no twin takes has been told.
        let wrong = wrong_name(name).filter(|_| limits::wrong_key(name).is_none());
        if let Some(wrong) = wrong {
            problems.add(&entry, wrong);
        }
        entries.push((name, entry));
    }
    entries
}
