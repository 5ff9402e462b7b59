//! Named values.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::{Name, Value};

/// Named values in the order in which they were read. Setting a name again replaces its value.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    /// Those of the decoder.
    known: Known,
    entries: Vec<Entry>,
    /// The [`mark`] of each name that was ever set: of most new names it says, without a look at the
    /// others, that they are new.
    marks: u64,
    /// The same, exactly, for the first known names.
    places: u64,
    /// Whether a name was ever set that need not be a known one.
    own: bool,
}

/// The names that a decoder knows before frames come, each once.
pub type Known = Arc<[Name]>;

#[derive(Clone, Debug)]
struct Entry {
    key: Key,
    hidden: bool,
    value: Value,
}

/// To copy and to compare the names of every frame takes longer than to read most values.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Key {
    /// A place among the known names.
    Known(u16),
    Own(Name),
}

impl Key {
    /// A bit for each of the first known names; no other has one.
    #[inline]
    fn place(&self) -> u64 {
        match self {
            Key::Known(place) => 1u64.checked_shl(u32::from(*place)).unwrap_or(0),
            Key::Own(_) => 0,
        }
    }
}

/// A name and its place among the known ones.
#[derive(Clone, Debug)]
pub struct Label {
    name: Name,
    key: Key,
    mark: u64,
}

impl Label {
    /// One bit for the name; other names may have the same.
    #[inline]
    pub fn mark(&self) -> u64 {
        self.mark
    }

    /// A name that no decoder knows.
    pub fn own(name: Name) -> Self {
        Label {
            mark: mark(&name),
            key: Key::Own(Name::clone(&name)),
            name,
        }
    }
}

impl Deref for Label {
    type Target = Name;

    fn deref(&self) -> &Name {
        &self.name
    }
}

/// Labels are compared beside the labels of their own decoder only.
impl PartialEq for Label {
    fn eq(&self, other: &Self) -> bool {
        match (&self.key, &other.key) {
            (Key::Known(place), Key::Known(other)) => place == other,
            _ => self.name == other.name,
        }
    }
}

impl Eq for Label {}

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.name.fmt(f)
    }
}

/// The labels of a decoder that is being built.
#[derive(Debug, Default)]
pub struct Labels(RefCell<Vec<Name>>);

impl Labels {
    /// The label of a name: the same place for the same name.
    pub fn of(&self, name: &str) -> Label {
        let mut names = self.0.borrow_mut();
        let found = names.iter().position(|known| **known == *name);
        let at = found.unwrap_or(names.len());
        let Ok(place) = u16::try_from(at) else {
            return Label::own(name.into());
        };
        if found.is_none() {
            names.push(name.into());
        }
        let name = names.get(at).map_or_else(|| name.into(), Name::clone);
        Label {
            mark: mark(&name),
            key: Key::Known(place),
            name,
        }
    }

    /// All names, each in its place.
    pub fn into_known(self) -> Known {
        self.0.into_inner().into()
    }
}

/// One bit for a name; other names may have the same.
#[inline]
fn mark(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let byte = |at: Option<&u8>| at.copied().map_or(0, u32::from);
    let mixed = byte(bytes.first())
        | byte(bytes.get(bytes.len() / 2)) << 8
        | byte(bytes.last()) << 16
        | (bytes.len() as u32) << 24;
    1 << (mixed.wrapping_mul(0x9e37_79b1) >> 26)
}

impl Entry {
    /// Its name; labels are set only beside the names that they are of.
    #[inline]
    fn name<'a>(&'a self, known: &'a [Name]) -> Option<&'a Name> {
        match &self.key {
            Key::Own(name) => Some(name),
            Key::Known(place) => known.get(usize::from(*place)),
        }
    }

    #[inline]
    fn has(&self, label: &Label, known: &[Name]) -> bool {
        match (&self.key, &label.key) {
            (Key::Known(place), Key::Known(same)) => place == same,
            _ => self.is(&label.name, known),
        }
    }

    fn is(&self, name: &str, known: &[Name]) -> bool {
        self.name(known).is_some_and(|own| **own == *name)
    }
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        let told = |entry: &Entry, fields: &Self| entry.name(&fields.known).map(Name::clone);
        let mut pairs = self.entries.iter().zip(&other.entries);
        self.len() == other.len()
            && pairs.all(|(own, of)| {
                let same = own.hidden == of.hidden && own.value == of.value;
                same && told(own, self) == told(of, other)
            })
    }
}

impl Fields {
    /// No values.
    pub fn new() -> Self {
        Self::default()
    }

    /// No values yet, and the names that labels are of.
    pub fn of(known: &Known) -> Self {
        Fields {
            known: Known::clone(known),
            ..Self::default()
        }
    }

    /// Makes room for so many more values.
    pub fn reserve(&mut self, count: usize) {
        self.entries.reserve(count);
    }

    /// The value of that name; where [`Fields::set_label`] has made two of them, the later one.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let mut latest = self.entries.iter().rev();
        latest
            .find(|entry| entry.is(name, &self.known))
            .map(|entry| &entry.value)
    }

    /// [`Fields::get`] for a label.
    pub fn get_label(&self, label: &Label) -> Option<&Value> {
        let mut latest = self.entries.iter().rev();
        let found = latest.find(|entry| entry.has(label, &self.known));
        found.map(|entry| &entry.value)
    }

    /// [`Fields::get`], to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Value> {
        let mut latest = self.entries.iter_mut().rev();
        let found = latest.find(|entry| entry.is(name, &self.known));
        found.map(|entry| &mut entry.value)
    }

    /// The value of a label behind the first `count`, to be changed.
    pub fn get_behind(&mut self, count: usize, label: &Label) -> Option<&mut Value> {
        self.entry(count, label).map(|entry| &mut entry.value)
    }

    /// Sets a value; an earlier one of the same name is replaced in its place.
    pub fn set(&mut self, name: Name, value: Value) {
        let mark = mark(&name);
        if self.marks & mark != 0 {
            let mut entries = self.entries.iter_mut();
            if let Some(entry) = entries.find(|entry| entry.is(&name, &self.known)) {
                entry.value = value;
                return;
            }
        }
        self.push_own(mark, name, value);
    }

    fn push_own(&mut self, mark: u64, name: Name, value: Value) {
        self.marks |= mark;
        self.own = true;
        self.entries.push(Entry {
            key: Key::Own(name),
            hidden: false,
            value,
        });
    }

    /// Sets a value among those behind the first `count`, which stay as they are; what is `hidden`
    /// once is [published](Fields::published) no more.
    // A value that is built where it is put is not copied.
    #[inline(always)]
    pub fn set_label(&mut self, count: usize, label: &Label, hidden: bool, value: Value) {
        let place = label.key.place();
        let new = place != 0 && self.places & place == 0 && !self.own;
        if !new
            && self.marks & label.mark != 0
            && let Some(entry) = self.entry(count, label)
        {
            entry.hidden |= hidden;
            entry.value = value;
            return;
        }
        self.marks |= label.mark;
        self.places |= place;
        self.own |= place == 0;
        let key = label.key.clone();
        self.entries.push(Entry { key, hidden, value });
    }

    /// The entry of a label behind the first `count`.
    #[inline(never)]
    fn entry(&mut self, count: usize, label: &Label) -> Option<&mut Entry> {
        let mut behind = self.entries.iter_mut().skip(count);
        let known = &self.known;
        behind.find(|entry| entry.has(label, known))
    }

    /// Hides a value behind the first `count`.
    pub fn hide(&mut self, count: usize, name: &str) {
        let mut behind = self.entries.iter_mut().skip(count);
        if let Some(entry) = behind.find(|entry| entry.is(name, &self.known)) {
            entry.hidden = true;
        }
    }

    /// Without those that are hidden.
    pub fn without_hidden(mut self) -> Self {
        self.entries.retain(|entry| !entry.hidden);
        self
    }

    /// Takes other values instead, and stays with the names that its labels are of.
    pub fn replace_by(&mut self, mut values: Fields) {
        for entry in &mut values.entries {
            if let (Key::Known(_), Some(name)) = (&entry.key, entry.name(&values.known)) {
                entry.key = Key::Own(Name::clone(name));
            }
        }
        values.own |= !values.entries.is_empty();
        values.known = Known::clone(&self.known);
        *self = values;
    }

    /// Takes out the values behind the first `count`.
    pub fn split_off(&mut self, count: usize) -> Fields {
        Fields {
            known: Known::clone(&self.known),
            entries: self.entries.split_off(count.min(self.entries.len())),
            marks: self.marks,
            places: self.places,
            own: self.own,
        }
    }

    /// Takes a value out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let mut entries = self.entries.iter();
        let at = entries.position(|entry| entry.is(name, &self.known))?;
        Some(self.entries.remove(at).value)
    }

    /// Takes a value behind the first `count` out.
    pub fn remove_behind(&mut self, count: usize, name: &str) {
        let mut entries = self.entries.iter().skip(count);
        if let Some(at) = entries.position(|entry| entry.is(name, &self.known)) {
            self.entries.remove(at.saturating_add(count));
        }
    }

    /// Names and values in reading order.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &Value)> {
        let entries = self.entries.iter();
        entries.filter_map(|entry| Some((entry.name(&self.known)?, &entry.value)))
    }

    /// The names that are no known ones: frames bring most of them.
    pub fn own_names(&self) -> impl Iterator<Item = &Name> {
        self.entries.iter().filter_map(|entry| match &entry.key {
            Key::Own(name) => Some(name),
            Key::Known(_) => None,
        })
    }

    /// Those that are not hidden.
    pub fn published(&self) -> impl Iterator<Item = (&Name, &Value)> {
        let entries = self.entries.iter().filter(|entry| !entry.hidden);
        entries.filter_map(|entry| Some((entry.name(&self.known)?, &entry.value)))
    }

    /// How many values.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl FromIterator<(Name, Value)> for Fields {
    fn from_iter<I: IntoIterator<Item = (Name, Value)>>(values: I) -> Self {
        let mut fields = Fields::new();
        fields.extend(values);
        fields
    }
}

/// Up to so many names each is looked for among all.
const FEW: usize = 16;

impl From<Vec<(Name, Value)>> for Fields {
    fn from(values: Vec<(Name, Value)>) -> Self {
        if values.len() > FEW {
            return values.into_iter().collect();
        }
        let mut fields = Fields::new();
        fields.reserve(values.len());
        for (name, value) in values {
            fields.set(name, value);
        }
        fields
    }
}

impl Extend<(Name, Value)> for Fields {
    fn extend<I: IntoIterator<Item = (Name, Value)>>(&mut self, values: I) {
        self.extend_behind(0, values);
    }
}

impl Fields {
    /// Sets values among those behind the first `count`, which stay as they are.
    pub fn extend_behind(&mut self, count: usize, values: impl IntoIterator<Item = (Name, Value)>) {
        // Foreign bytes choose names here: to look for each among all would take the square of their number.
        let known = self.entries.iter().enumerate().skip(count);
        let known =
            known.filter_map(|(at, entry)| Some((Name::clone(entry.name(&self.known)?), at)));
        let mut places: BTreeMap<Name, usize> = known.collect();
        for (name, value) in values {
            match places.get(&name).and_then(|at| self.entries.get_mut(*at)) {
                Some(entry) => entry.value = value,
                None => {
                    places.insert(Name::clone(&name), self.entries.len());
                    self.push_own(mark(&name), name, value);
                }
            }
        }
    }
}

impl IntoIterator for Fields {
    type Item = (Name, Value);
    type IntoIter = Box<dyn Iterator<Item = (Name, Value)>>;

    fn into_iter(self) -> Self::IntoIter {
        let known = self.known;
        let entries = self.entries.into_iter();
        Box::new(
            entries.filter_map(move |Entry { key, value, .. }| match key {
                Key::Own(name) => Some((name, value)),
                Key::Known(place) => Some((known.get(usize::from(place))?.clone(), value)),
            }),
        )
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.entries.len()))?;
        for (name, value) in self.iter() {
            map.serialize_entry(&**name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_behind_others_leave_those_as_they_are() {
        let field = |name: &str, value| (Name::from(name), Value::integer(value));
        let mut fields: Fields = [field("a", 1), field("b", 2)].into_iter().collect();
        fields.extend_behind(1, [field("b", 3), field("a", 4), field("a", 5)]);
        let expected = vec![field("a", 1), field("b", 3), field("a", 5)];
        assert_eq!(fields.into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn labels_find_what_was_replaced_by_values_of_other_names() {
        let (labels, others) = (Labels::default(), Labels::default());
        let [a, b] = ["a", "b"].map(|name| labels.of(name));
        let [other_b, c] = ["b", "c"].map(|name| others.of(name));
        let mut fields = Fields::of(&labels.into_known());
        fields.set_label(0, &a, false, Value::Null);
        let mut values = Fields::of(&others.into_known());
        for (label, value) in [(&other_b, 1), (&c, 2)] {
            values.set_label(0, label, false, Value::integer(value));
        }
        fields.replace_by(values);
        assert_eq!(fields.get_label(&a), None);
        assert_eq!(fields.get_label(&b), Some(&Value::integer(1)));
        fields.set_label(0, &b, false, Value::integer(3));
        fields.set_label(0, &a, false, Value::integer(4));
        let expected = [("b", 3), ("c", 2), ("a", 4)]
            .map(|(name, value)| (Name::from(name), Value::integer(value)));
        assert_eq!(fields.into_iter().collect::<Vec<_>>(), expected);
    }

    proptest! {
        #[test]
        fn a_name_is_there_once_with_what_was_set_last(
            names in prop::collection::vec("[ab]{0,4}|[a-z]{1,8}", 0..80), base in 0usize..4
        ) {
            let labels = Labels::default();
            let labelled: Vec<Label> = names.iter().map(|name| labels.of(name)).collect();
            let known = labels.into_known();
            let mut different = known.to_vec();
            different.sort();
            different.dedup();
            prop_assert_eq!(different.len(), known.len());
            let (mut fields, mut plain) = (Fields::of(&known), Vec::<(Name, Value)>::new());
            for (number, label) in (0i128..).zip(&labelled) {
                let (name, value) = (Name::clone(label), Value::integer(number));
                let mut known = plain.iter_mut().skip(base);
                match known.find(|(known, _)| *known == name) {
                    Some((_, slot)) => *slot = value.clone(),
                    None => plain.push((name.clone(), value.clone())),
                }
                prop_assert_eq!(fields.get(&name).is_some(), fields.iter().any(|(known, _)| *known == name));
                if number % 2 == 0 && base == 0 {
                    fields.set(name, value);
                } else if number % 2 == 0 {
                    fields.set_label(base, &Label::own(name), false, value);
                } else {
                    fields.set_label(base, label, false, value);
                }
            }
            prop_assert_eq!(fields.into_iter().collect::<Vec<_>>(), plain);
        }
    }
}
