//! The counters of one connection: what `{count NAME}` writes.

use std::collections::BTreeSet;

/// How often each counter has been written. There are as many as the protocol's replies name.
#[derive(Clone, Debug, Default)]
pub struct Counters(Vec<(Box<str>, u64)>);

impl Counters {
    /// What that counter writes next; the first time 0.
    pub fn next(&self, name: &str) -> u64 {
        let mut known = self.0.iter();
        known
            .find(|(known, _)| &**known == name)
            .map_or(0, |(_, next)| *next)
    }

    /// Takes note that something was written with these counters, each once however often it is named.
    pub fn advance<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        for name in names.collect::<BTreeSet<_>>() {
            match self.0.iter_mut().find(|(known, _)| &**known == name) {
                Some((_, next)) => *next = next.wrapping_add(1),
                None => self.0.push((name.into(), 1)),
            }
        }
    }
}
