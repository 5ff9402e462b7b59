//! What the records say together.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::record::{Accepted, Record};

/// Ids that are remembered at least, after their commands are done.
pub const REMEMBERED: usize = 1000;

/// How far a command has got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It is accepted and has no outcome.
    Accepted(Accepted),
    /// It has an outcome, which may not have been told.
    Ended(Accepted, String),
    /// Its outcome has been told.
    Reported,
}

/// The commands that are known, in the order in which they were accepted.
#[derive(Clone, Debug, Default)]
pub struct Book {
    entries: BTreeMap<u64, (Arc<str>, State)>,
    places: HashMap<Arc<str>, u64>,
    /// Places of those that may be forgotten.
    reported: BTreeSet<u64>,
    next: u64,
}

impl Book {
    /// Whether a command with that id was accepted.
    pub fn knows(&self, id: &str) -> bool {
        self.places.contains_key(id)
    }

    /// Takes a record in. The first outcome of a command counts.
    pub fn take(&mut self, record: &Record) {
        match record {
            Record::Owner(_) => {}
            Record::Accepted(accepted) => {
                if !self.knows(&accepted.id) {
                    self.add(&accepted.id, State::Accepted(accepted.clone()));
                }
            }
            Record::Ended { id, result } => self.ended(id, result),
            Record::Reported(id) => self.reported(id),
        }
    }

    /// The commands that are not done, in their order.
    pub fn open(&self) -> impl Iterator<Item = &State> {
        let states = self.entries.values().map(|(_, state)| state);
        states.filter(|state| **state != State::Reported)
    }

    /// The records that say all of it again.
    pub fn records(&self) -> impl Iterator<Item = Record> {
        self.entries.values().flat_map(|(id, state)| match state {
            State::Accepted(accepted) => vec![Record::Accepted(accepted.clone())],
            State::Ended(accepted, result) => vec![
                Record::Accepted(accepted.clone()),
                Record::Ended {
                    id: id.to_string(),
                    result: result.clone(),
                },
            ],
            State::Reported => vec![Record::Reported(id.to_string())],
        })
    }

    fn ended(&mut self, id: &str, result: &str) {
        let unheard = || Accepted {
            id: id.to_owned(),
            ..Accepted::default()
        };
        let Some(place) = self.places.get(id) else {
            // The line that accepted it is damaged.
            return self.add(id, State::Ended(unheard(), result.to_owned()));
        };
        if let Some((_, state)) = self.entries.get_mut(place)
            && let State::Accepted(accepted) = state
        {
            *state = State::Ended(std::mem::take(accepted), result.to_owned());
        }
    }

    fn reported(&mut self, id: &str) {
        if !self.knows(id) {
            self.add(id, State::Reported);
        }
        let Some(place) = self.places.get(id).copied() else {
            return;
        };
        let Some((_, state)) = self.entries.get_mut(&place) else {
            return;
        };
        let before = std::mem::replace(state, State::Reported);
        if let State::Accepted(accepted) | State::Ended(accepted, _) = before
            && accepted.nameless
        {
            return self.forget(place);
        }
        self.reported.insert(place);
        self.forget_oldest();
    }

    fn add(&mut self, id: &str, state: State) {
        let id: Arc<str> = id.into();
        self.places.insert(Arc::clone(&id), self.next);
        self.entries.insert(self.next, (id, state));
        self.next = self.next.saturating_add(1);
        self.forget_oldest();
    }

    fn forget_oldest(&mut self) {
        while self.entries.len() > REMEMBERED
            && let Some(place) = self.reported.pop_first()
        {
            self.forget(place);
        }
    }

    fn forget(&mut self, place: u64) {
        if let Some((id, _)) = self.entries.remove(&place) {
            self.places.remove(&id);
        }
    }
}
