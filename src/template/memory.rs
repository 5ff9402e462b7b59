//! What a connection remembers for its templates: how far its counters are, what fields said last, and
//! what they said in the last frame that has been answered.

use std::collections::BTreeSet;

use crate::message::{Fields, Name, Value};

/// The counters that `{count NAME}` writes and the fields that `{last NAME}` and `{answered NAME}` show.
/// There are as many as the protocol's templates name.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    counters: Vec<(Box<str>, u64)>,
    last: Fields,
    answered: Fields,
}

impl Memory {
    /// What that counter writes next; the first time 0.
    pub fn next(&self, name: &str) -> u64 {
        let mut known = self.counters.iter();
        known
            .find(|(known, _)| &**known == name)
            .map_or(0, |(_, next)| *next)
    }

    /// Takes note that something was written with these counters, each once however often it is named.
    pub fn advance<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        for name in names.collect::<BTreeSet<_>>() {
            match self.counters.iter_mut().find(|(known, _)| &**known == name) {
                Some((_, next)) => *next = next.wrapping_add(1),
                None => self.counters.push((name.into(), 1)),
            }
        }
    }

    /// Takes note of what a frame says of the fields that templates show later.
    pub fn remember(&mut self, names: &[Name], fields: &Fields) {
        for name in names {
            if let Some(value) = fields.get(name) {
                self.last.set(Name::clone(name), value.clone());
            }
        }
    }

    /// Takes note of what the frame said whose reply leaves.
    pub fn answer(&mut self, said: Fields) {
        self.answered.extend(said);
    }

    /// What that field said in the last frame with it whose reply has left.
    pub fn answered(&self, name: &str) -> Option<&Value> {
        self.answered.get(name)
    }

    /// What that field said in the last frame that had it.
    pub fn last(&self, name: &str) -> Option<&Value> {
        self.last.get(name)
    }
}
