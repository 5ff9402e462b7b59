//! `repeat N LAYOUT` and `repeat N map KEY VALUE`: elements that stand one behind the other.

use super::binary::Field;
use super::run::{MOST_VALUES, Run};
use super::steps::{Collect, Steps};
use super::types::{failed, kept};
use super::{Inherited, layout_index};
use crate::message::{Name, Part, Value};
use crate::notation::{IntegerKind, NotationError, Word, Words};

/// How many elements a list has, and what each is.
#[derive(Clone, Debug)]
pub(super) struct Repeat {
    times: Times,
    element: Element,
}

#[derive(Clone, Debug)]
enum Times {
    Count(usize),
    Field(String),
    /// Stands in front of the elements.
    Prefix(IntegerKind),
    /// Up to so many bytes before the end of the frame.
    Rest(usize),
}

#[derive(Clone, Debug)]
enum Element {
    /// Its place among the layouts: an element is an object.
    Layout(usize),
    /// An element is a bare value.
    Field(Box<Field>),
    /// An element is a key and the value of an object.
    Pair {
        fields: Box<[Field; 2]>,
        map: Collect,
    },
}

impl Repeat {
    /// Reads what follows the word `repeat`, but for the steps.
    pub fn parse(
        name: &Name,
        words: &mut Words<'_>,
        inherited: &Inherited<'_>,
    ) -> Result<Self, NotationError> {
        let times = Times::parse(words, inherited)?;
        let word = words.require("a layout, a field in quotes or `map`")?;
        let element = if word.quoted {
            Element::Field(Box::new(element_field(name, &word, inherited)?))
        } else if word.is("map") {
            Element::pair(name, words, inherited)?
        } else {
            Element::Layout(layout_index(&word, inherited)?)
        };
        Ok(Repeat { times, element })
    }

    /// Refuses steps that need other elements.
    pub fn check(&self, steps: &Steps, word: &Word<'_>) -> Result<(), NotationError> {
        let message = match (&self.element, &steps.collect) {
            (Element::Field(_), Some(Collect::Map { .. })) => {
                "`map` needs a layout: its elements must have two fields"
            }
            (Element::Pair { .. }, Some(_)) => {
                "`map KEY VALUE` makes an object, of which nothing else is made"
            }
            _ => return Ok(()),
        };
        Err(word.error(message))
    }

    /// Reads the list on from where the frame stands, and sets it.
    pub fn decode(&self, name: &Name, steps: &Steps, run: &mut Run<'_>) -> Result<(), String> {
        let parts = self.parts(name, steps.collect == Some(Collect::Split), run)?;
        if let Some(collect) = self.element.map().or(steps.collect.as_ref()) {
            return run.collect(name, steps, collect, parts);
        }
        let values = parts.into_iter().map(|part| self.value(name, part));
        run.set(name, steps, Value::List(values.collect()))
    }

    /// The field that says how many elements there are.
    pub fn count_field(&self) -> Option<&str> {
        match &self.times {
            Times::Field(name) => Some(name),
            Times::Count(_) | Times::Prefix(_) | Times::Rest(_) => None,
        }
    }

    /// The layout of its elements.
    pub fn layout(&self) -> Option<usize> {
        match &self.element {
            Element::Layout(index) => Some(*index),
            Element::Field(_) | Element::Pair { .. } => None,
        }
    }

    /// The fields that its elements are read by where no layout does it.
    pub fn fields(&self) -> &[Field] {
        match &self.element {
            Element::Layout(_) => &[],
            Element::Field(field) => std::slice::from_ref(field),
            Element::Pair { fields, .. } => &**fields,
        }
    }

    fn parts(&self, name: &Name, message: bool, run: &mut Run<'_>) -> Result<Vec<Part>, String> {
        let (count, kept) = self
            .times
            .bounds(run)
            .map_err(|why| format!("{name} {why}"))?;
        // Never made as large as a count on the wire: it grows with what has been read.
        let mut parts = Vec::new();
        loop {
            let before = run.cursor.remaining();
            if count.map_or(before <= kept, |count| parts.len() >= count) {
                return Ok(parts);
            }
            let number = parts.len().saturating_add(1);
            let read = self.part(message, run);
            parts.push(read.map_err(|why| format!("{name} {number}: {why}"))?);
            let behind = run.cursor.remaining();
            if behind >= before {
                return Err(format!("{name} {number} takes no bytes"));
            }
            if behind < kept {
                return Err(format!(
                    "{name} {number} reaches into the last {kept} bytes"
                ));
            }
        }
    }

    fn part(&self, message: bool, run: &mut Run<'_>) -> Result<Part, String> {
        run.element(message, |run| match &self.element {
            Element::Field(field) => field.decode(run),
            Element::Pair { fields, .. } => fields.iter().try_for_each(|field| field.decode(run)),
            Element::Layout(index) => {
                run.count_value()?;
                run.read_layout(*index)
            }
        })
    }

    /// An element of a list that stays one.
    fn value(&self, name: &Name, mut part: Part) -> Value {
        if let Element::Field(_) = self.element {
            return part.fields.remove(name).unwrap_or(Value::Null);
        }
        for dropped in &part.dropped {
            part.fields.remove(dropped);
        }
        Value::Object(part.fields)
    }
}

impl Element {
    /// Reads the two types behind `map`.
    fn pair(
        name: &Name,
        words: &mut Words<'_>,
        inherited: &Inherited<'_>,
    ) -> Result<Self, NotationError> {
        // No field string can set or name this one by chance.
        let id: Name = format!("{name} key").into();
        let key = words.require("the type of the keys")?;
        let key = element_field(&id, &key, inherited)?;
        let value = words.require("the type of the values")?;
        let value = element_field(name, &value, inherited)?;
        Ok(Element::Pair {
            fields: Box::new([key, value]),
            map: Collect::Map {
                id,
                value: name.clone(),
            },
        })
    }

    /// What the elements become by themselves.
    fn map(&self) -> Option<&Collect> {
        match self {
            Element::Pair { map, .. } => Some(map),
            Element::Layout(_) | Element::Field(_) => None,
        }
    }
}

/// A field without a name of its own: one word, or more in quotes.
fn element_field(
    name: &Name,
    word: &Word<'_>,
    inherited: &Inherited<'_>,
) -> Result<Field, NotationError> {
    let column = word.column.saturating_add(usize::from(word.quoted));
    let field = Field::in_quotes(name, &word.text, inherited);
    field.map_err(|error| error.inside(column))
}

impl Times {
    fn parse(words: &mut Words<'_>, inherited: &Inherited<'_>) -> Result<Self, NotationError> {
        let word = words.require("how many, a field, a type such as `u8` or `rest`")?;
        if word.is("rest") {
            return kept(words).map(Times::Rest);
        }
        let number = |first: char| first.is_ascii_digit() || first == '-';
        if word.raw.starts_with(number) {
            let count = word.count("the number of elements", MOST_VALUES);
            return count.map(Times::Count);
        }
        if let Some(kind) = IntegerKind::parse(&word, words, inherited.endian)? {
            return Ok(Times::Prefix(kind));
        }
        Ok(Times::Field(word.text.into_owned()))
    }

    /// The number of elements, if it is known, and the bytes that must be left behind them.
    fn bounds(&self, run: &mut Run<'_>) -> Result<(Option<usize>, usize), String> {
        let count = match self {
            Times::Rest(kept) if *kept > run.cursor.remaining() => {
                return Err(format!(
                    "must end {kept} bytes before the end, which is behind"
                ));
            }
            Times::Rest(kept) => return Ok((None, *kept)),
            Times::Count(count) => *count,
            Times::Prefix(kind) => {
                let count = kind.take(&mut run.cursor);
                elements(count.map_err(|why| format!("has no count: it {}", failed(why)))?)?
            }
            Times::Field(name) => match run.reading.fields.get(name) {
                Some(Value::Integer(count)) => elements(*count)?,
                _ => return Err(format!("has no count: `{name}` is not a whole number")),
            },
        };
        let left = run.cursor.remaining();
        // Each element takes a byte at least.
        if count > left {
            return Err(format!("has {count} elements, {left} bytes are left"));
        }
        Ok((Some(count), 0))
    }
}

fn elements(count: i128) -> Result<usize, String> {
    usize::try_from(count).map_err(|_| format!("cannot have {count} elements"))
}
