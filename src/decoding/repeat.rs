//! `repeat N LAYOUT`: a list whose elements stand one behind the other.

use super::binary::Field;
use super::columns::Line;
use super::csv::Column;
use super::run::{MOST_VALUES, Run};
use super::steps::{Collect, Steps};
use super::trace::What;
use super::types::kept;
use super::{Inherited, layout_index};
use crate::message::{Name, Part, Value};
use crate::notation::{NotationError, Word, Words};

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
    /// Up to so many bytes before the end of the frame.
    Rest(usize),
}

#[derive(Clone, Debug)]
enum Element {
    /// Its place among the layouts: an element is an object.
    Layout(usize),
    /// An element is a bare value.
    Field(Box<Field>),
    /// An element is what one column says.
    Column(Box<Column>),
}

impl Repeat {
    /// Reads what follows the word `repeat`, but for the steps.
    pub fn parse(
        name: &Name,
        words: &mut Words<'_>,
        inherited: &Inherited<'_>,
    ) -> Result<Self, NotationError> {
        let times = Times::parse(words)?;
        let word = words.require("a layout, or a field in quotes")?;
        let element = if word.quoted {
            let inside = |error: NotationError| error.inside(word.column.saturating_add(1));
            Element::in_quotes(name, &word.text, inherited).map_err(inside)?
        } else {
            Element::Layout(layout_index(&word, inherited)?)
        };
        Ok(Repeat { times, element })
    }

    /// Refuses steps that need other elements.
    pub fn check(&self, steps: &Steps, word: &Word<'_>) -> Result<(), NotationError> {
        let map = matches!(steps.collect, Some(Collect::Map { .. }));
        if map && self.layout().is_none() {
            return Err(word.error("`map` needs a layout: its elements must have two fields"));
        }
        Ok(())
    }

    /// Reads the list on from where the frame stands, and sets it; `columns` are those of `csv`.
    pub fn decode(
        &self,
        name: &Name,
        steps: &Steps,
        columns: Option<&Line>,
        run: &mut Run<'_>,
    ) -> Result<(), String> {
        let message = steps.collect == Some(Collect::Split);
        let parts = self.parts(name, message, columns, run)?;
        if let Some(collect) = &steps.collect {
            return run.collect(name, steps, collect, parts);
        }
        let values = parts.into_iter().map(|part| self.value(name, part));
        run.set(name, steps, Value::List(values.collect()))
    }

    /// The field that says how many elements there are.
    pub fn count_field(&self) -> Option<&str> {
        match &self.times {
            Times::Field(name) => Some(name),
            Times::Count(_) | Times::Rest(_) => None,
        }
    }

    /// The layout of its elements.
    pub fn layout(&self) -> Option<usize> {
        match &self.element {
            Element::Layout(index) => Some(*index),
            Element::Field(_) | Element::Column(_) => None,
        }
    }

    /// The field in quotes.
    pub fn field(&self) -> Option<&Field> {
        match &self.element {
            Element::Layout(_) | Element::Column(_) => None,
            Element::Field(field) => Some(field),
        }
    }

    /// The column in quotes.
    pub fn column(&self) -> Option<&Column> {
        match &self.element {
            Element::Layout(_) | Element::Field(_) => None,
            Element::Column(column) => Some(column),
        }
    }

    fn parts(
        &self,
        name: &Name,
        message: bool,
        columns: Option<&Line>,
        run: &mut Run<'_>,
    ) -> Result<Vec<Part>, String> {
        let bounds = self.times.bounds(columns, run);
        let (count, kept) = bounds.map_err(|why| format!("{name} {why}"))?;
        // Never made as large as a count on the wire: it grows with what has been read.
        let mut parts = Vec::new();
        loop {
            let before = run.cursor.remaining();
            if count.map_or(before <= kept, |count| parts.len() >= count) {
                return Ok(parts);
            }
            let number = parts.len().saturating_add(1);
            let note = run.begin(|| What::Element(number));
            let read = self.part(message, columns, run);
            run.end(note, &Ok(()));
            parts.push(read.map_err(|why| format!("{name} {number}: {why}"))?);
            let behind = run.cursor.remaining();
            let empty = columns.is_some_and(|line| line.ends_empty(run.body()));
            let what = columns.map_or("bytes", |_| "columns");
            if behind >= before && !(empty && before == 0 && count == Some(number)) {
                return Err(format!("{name} {number} takes no {what}"));
            }
            if behind < kept {
                return Err(self.times.too_far(name, number, what));
            }
        }
    }

    fn part(
        &self,
        message: bool,
        columns: Option<&Line>,
        run: &mut Run<'_>,
    ) -> Result<Part, String> {
        run.element(message, |run| match &self.element {
            Element::Field(field) => field.decode(run),
            Element::Column(column) => column.decode(columns.ok_or("no columns")?, run),
            Element::Layout(index) => {
                run.count_value()?;
                run.read_layout(*index)
            }
        })
    }

    /// An element of a list that stays one.
    fn value(&self, name: &Name, mut part: Part) -> Value {
        if self.layout().is_none() {
            return part.fields.remove(name).unwrap_or(Value::Null);
        }
        for dropped in &part.dropped {
            part.fields.remove(dropped);
        }
        Value::Object(part.fields)
    }
}

impl Element {
    fn in_quotes(
        name: &Name,
        text: &str,
        inherited: &Inherited<'_>,
    ) -> Result<Self, NotationError> {
        if inherited.kind == "csv" {
            let column = Column::in_quotes(name, text, inherited)?;
            return Ok(Element::Column(Box::new(column)));
        }
        let field = Field::in_quotes(name, text, inherited)?;
        Ok(Element::Field(Box::new(field)))
    }
}

impl Times {
    fn parse(words: &mut Words<'_>) -> Result<Self, NotationError> {
        let word = words.require("how many, a field or `rest`")?;
        if word.is("rest") {
            return kept(words).map(Times::Rest);
        }
        let number = |first: char| first.is_ascii_digit() || first == '-';
        if word.raw.starts_with(number) {
            let count = word.count("the number of elements", MOST_VALUES);
            return count.map(Times::Count);
        }
        Ok(Times::Field(word.text.into_owned()))
    }

    /// The number of elements, if it is known, and the bytes that must be left behind them.
    fn bounds(
        &self,
        columns: Option<&Line>,
        run: &Run<'_>,
    ) -> Result<(Option<usize>, usize), String> {
        let left = run.cursor.remaining();
        let count = match self {
            Times::Rest(kept) => {
                let bytes = columns.map_or(Some(*kept), |line| bytes_of(*kept, line, run.body()));
                let what = columns.map_or("bytes", |_| "columns");
                let behind = || format!("must end {kept} {what} before the end, which is behind");
                let bytes = bytes.filter(|bytes| *bytes <= left);
                return bytes.map(|bytes| (None, bytes)).ok_or_else(behind);
            }
            Times::Count(count) => *count,
            Times::Field(name) => match run.reading.fields.get(name) {
                Some(Value::Integer(count)) => {
                    usize::try_from(*count).map_err(|_| format!("cannot have {count} elements"))?
                }
                _ => return Err(format!("has no count: `{name}` is not a whole number")),
            },
        };
        // Each element takes a byte at least; behind the last separator there may be an empty column.
        let most = columns.map_or(left, |_| left.saturating_add(1));
        if count > most {
            return Err(format!("has {count} elements, {left} bytes are left"));
        }
        Ok((Some(count), 0))
    }

    fn too_far(&self, name: &Name, number: usize, what: &str) -> String {
        let kept = match self {
            Times::Rest(kept) => *kept,
            Times::Count(_) | Times::Field(_) => 0,
        };
        format!("{name} {number} reaches into the last {kept} {what}")
    }
}

/// Bytes of so many columns at the end of a line.
fn bytes_of(columns: usize, line: &Line, text: &[u8]) -> Option<usize> {
    if columns == 0 {
        return Some(0);
    }
    let from_end = i64::try_from(columns).ok()?.checked_neg()?;
    text.len().checked_sub(line.start(text, from_end)?)
}
