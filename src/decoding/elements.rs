//! Elements of lists, and what is made of them: messages, or the members of an object.

use super::run::{Level, MOST_DEEP, PLACE, Run, weight};
use super::steps::{Collect, Steps, text};
use crate::message::{Fields, Label, Name, Part, Value};

/// Bytes that the messages of a split frame may repeat of it, together.
const MOST_COPIED: usize = 4 << 20;

impl Run<'_> {
    /// Reads an element of a list: it sees the fields around it and sets its own. `message` says
    /// whether a message is made of it.
    pub fn element(
        &mut self,
        message: bool,
        read: impl FnOnce(&mut Self) -> Result<(), String>,
    ) -> Result<Part, String> {
        let depth = self.level.depth.saturating_add(1);
        if depth > MOST_DEEP {
            return Err(format!("lists stand in lists more than {MOST_DEEP} deep"));
        }
        let level = Level::of_element(self.reading.fields.len(), depth, !message);
        let outer = std::mem::replace(&mut self.level, level);
        let noted = self.go_to_element();
        let read = read(self).and_then(|()| self.finish());
        self.leave_element(noted);
        let own = std::mem::replace(&mut self.level, outer);
        let fields = self.reading.fields.split_off(own.base);
        read.map(|()| Part {
            fields,
            time: own.time,
        })
    }

    /// Makes of a list's elements what its field says.
    pub fn collect(
        &mut self,
        name: &Label,
        steps: &Steps,
        collect: &Collect,
        parts: Vec<Part>,
    ) -> Result<(), String> {
        match collect {
            Collect::Split => self.split(name, parts),
            Collect::Map { id, value } => {
                let entries = parts.into_iter().map(|part| entry(name, part, id, value));
                let entries: Result<Vec<_>, _> = entries.filter_map(Result::transpose).collect();
                let map = self.merged(name, entries?);
                self.set(name, steps, map)
            }
        }
    }

    /// Makes a message of each part, where none are made of another list.
    pub fn split(&mut self, what: &str, parts: Vec<Part>) -> Result<(), String> {
        if self.level.depth > 0 {
            return Err(format!("{what} of a list's element cannot be split"));
        }
        if self.reading.parts.is_some() {
            return Err(format!(
                "{what} is split, and another list of the frame too"
            ));
        }
        self.reading.parts = Some(parts);
        Ok(())
    }

    /// The fields beside a split list go into the message of each element: there is a limit to that.
    pub fn check_copies(&self) -> Result<(), String> {
        let Some(parts) = &self.reading.parts else {
            return Ok(());
        };
        let fields = &self.reading.fields;
        let values = fields.iter().map(|(_, value)| weight(value));
        // Settings say how many fields they name, and a frame how many it brings.
        let names = fields
            .own_names()
            .map(|name| name.len().saturating_add(PLACE));
        let once: usize = values.chain(names).sum();
        if once.saturating_mul(parts.len()) > MOST_COPIED {
            return Err(format!(
                "{once} bytes are too much to copy to {} messages",
                parts.len()
            ));
        }
        Ok(())
    }

    /// The object that an earlier field of that name has made, with more entries.
    pub fn merged(&self, name: &str, entries: Vec<(Name, Value)>) -> Value {
        let mut map = self.own_object(name).cloned().unwrap_or_default();
        map.extend(entries);
        Value::Object(Box::new(map))
    }

    fn own_object(&self, name: &str) -> Option<&Fields> {
        let mut own = self.reading.fields.iter().skip(self.level.base);
        match own.find(|(known, _)| ***known == *name) {
            Some((_, Value::Object(object))) => Some(object),
            _ => None,
        }
    }
}

/// An element as a member of the object that `map` makes; none where it has no value.
fn entry(
    list: &Name,
    mut part: Part,
    id: &str,
    value: &str,
) -> Result<Option<(Name, Value)>, String> {
    let Some(value) = part.fields.remove(value) else {
        return Ok(None);
    };
    let key = part.fields.get(id).cloned();
    let key = key.ok_or_else(|| format!("{list} has an element without `{id}`"))?;
    let key = text(key).map_err(|why| format!("{id} {why}"))?;
    Ok(Some((key.as_str().into(), value)))
}
