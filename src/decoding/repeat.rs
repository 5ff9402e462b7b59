//! `repeat N LAYOUT` and `repeat N map KEY VALUE`: elements that stand one behind the other.

use super::binary::Field;
use super::columns::Line;
use super::csv::Column;
use super::run::{MOST_VALUES, Run};
use super::steps::{Collect, Steps};
use super::trace::What;
use super::types::{failed, kept};
use super::{Inherited, layout_index};
use crate::message::{Label, Name, Part, Value};
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
    /// An element is what one column says.
    Column(Box<Column>),
    /// An element is a key and the value of an object.
    Pair {
        fields: Box<[Field; 2]>,
        map: Collect,
    },
}

impl Repeat {
    /// Reads what follows the word `repeat`, but for the steps.
    pub fn parse(
        name: &Label,
        words: &mut Words<'_>,
        inherited: &Inherited<'_>,
    ) -> Result<Self, NotationError> {
        let times = Times::parse(words, inherited)?;
        let word = words.require("a layout, a field in quotes or `map`")?;
        let element = if word.quoted {
            let inside = |error: NotationError| error.inside(word.column.saturating_add(1));
            Element::in_quotes(name, &word.text, inherited).map_err(inside)?
        } else if word.is("map") {
            Element::pair(name, &word, words, inherited)?
        } else {
            Element::Layout(layout_index(&word, inherited)?)
        };
        Ok(Repeat { times, element })
    }

    /// Refuses steps that need other elements.
    pub fn check(&self, steps: &Steps, word: &Word<'_>) -> Result<(), NotationError> {
        let message = match (&self.element, &steps.collect) {
            (Element::Field(_) | Element::Column(_), Some(Collect::Map { .. })) => {
                "`map` needs a layout: its elements must have two fields"
            }
            (Element::Pair { .. }, Some(_)) => {
                "`map KEY VALUE` makes an object, of which nothing else is made"
            }
            _ => return Ok(()),
        };
        Err(word.error(message))
    }

    /// Reads the list on from where the frame stands, and sets it; `columns` are those of `csv`.
    pub fn decode(
        &self,
        name: &Label,
        steps: &Steps,
        columns: Option<&Line>,
        run: &mut Run<'_>,
    ) -> Result<(), String> {
        let message = steps.collect == Some(Collect::Split);
        let parts = self.parts(name, message, columns, run)?;
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
            Element::Field(_) | Element::Column(_) | Element::Pair { .. } => None,
        }
    }

    /// The fields that its elements are read by where no layout does it.
    pub fn fields(&self) -> &[Field] {
        match &self.element {
            Element::Layout(_) | Element::Column(_) => &[],
            Element::Field(field) => std::slice::from_ref(field),
            Element::Pair { fields, .. } => &**fields,
        }
    }

    /// The column in quotes.
    pub fn column(&self) -> Option<&Column> {
        match &self.element {
            Element::Layout(_) | Element::Field(_) | Element::Pair { .. } => None,
            Element::Column(column) => Some(column),
        }
    }

    fn parts(
        &self,
        name: &Label,
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
            Element::Pair { fields, .. } => fields.iter().try_for_each(|field| field.decode(run)),
            Element::Layout(index) => {
                run.count_value()?;
                run.read_layout(*index)
            }
        })
    }

    /// An element of a list that stays one.
    fn value(&self, name: &Label, mut part: Part) -> Value {
        if self.layout().is_none() {
            return part.fields.remove(name).unwrap_or(Value::Null);
        }
        Value::Object(Box::new(part.fields.without_hidden()))
    }
}

impl Element {
    fn in_quotes(
        name: &Label,
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

    /// Reads the two types behind `map`.
    fn pair(
        name: &Label,
        word: &Word<'_>,
        words: &mut Words<'_>,
        inherited: &Inherited<'_>,
    ) -> Result<Self, NotationError> {
        if inherited.kind == "csv" {
            return Err(word.error("`map KEY VALUE` reads bytes: for columns take a layout of two fields and `map ID VALUE` behind it"));
        }
        // No field string can set or name this one by chance.
        let id = inherited.label(&format!("{name} key"));
        let key = words.require("the type of the keys")?;
        let key = element_field(&id, &key, inherited)?;
        let value = words.require("the type of the values")?;
        let value = element_field(name, &value, inherited)?;
        Ok(Element::Pair {
            fields: Box::new([key, value]),
            map: Collect::Map {
                id: Name::clone(&id),
                value: Name::clone(name),
            },
        })
    }

    /// What the elements become by themselves.
    fn map(&self) -> Option<&Collect> {
        match self {
            Element::Pair { map, .. } => Some(map),
            Element::Layout(_) | Element::Field(_) | Element::Column(_) => None,
        }
    }
}

/// A field without a name of its own: one word, or more in quotes.
fn element_field(
    name: &Label,
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
        if inherited.kind != "csv"
            && let Some(kind) = IntegerKind::parse(&word, words, inherited.endian)?
        {
            return Ok(Times::Prefix(kind));
        }
        Ok(Times::Field(word.text.into_owned()))
    }

    /// The number of elements, if it is known, and the bytes that must be left behind them.
    fn bounds(
        &self,
        columns: Option<&Line>,
        run: &mut Run<'_>,
    ) -> Result<(Option<usize>, usize), String> {
        let count = match self {
            Times::Rest(kept) => {
                let kept_bytes = kept.saturating_sub(run.cursor.tail());
                let bytes =
                    columns.map_or(Some(kept_bytes), |line| bytes_of(*kept, line, run.body()));
                let what = columns.map_or("bytes", |_| "columns");
                let behind = || format!("must end {kept} {what} before the end, which is behind");
                let bytes = bytes.filter(|bytes| *bytes <= run.cursor.remaining());
                return bytes.map(|bytes| (None, bytes)).ok_or_else(behind);
            }
            Times::Count(count) => *count,
            Times::Prefix(kind) => {
                let count = kind.take(&mut run.cursor);
                let why = |error| format!("has no count: it {}", failed(error, &run.cursor));
                elements(count.map_err(why)?)?
            }
            Times::Field(name) => match run.reading.fields.get(name) {
                Some(Value::Integer(count)) => elements(count.get())?,
                _ => return Err(format!("has no count: `{name}` is not a whole number")),
            },
        };
        let left = run.cursor.remaining();
        // Each element takes a byte at least; behind the last separator there may be an empty column.
        let most = columns.map_or(left, |_| left.saturating_add(1));
        if count > most {
            return Err(format!("has {count} elements, {left} bytes are left"));
        }
        Ok((Some(count), 0))
    }

    fn too_far(&self, name: &Label, number: usize, what: &str) -> String {
        let kept = match self {
            Times::Rest(kept) => *kept,
            Times::Count(_) | Times::Prefix(_) | Times::Field(_) => 0,
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

fn elements(count: i128) -> Result<usize, String> {
    usize::try_from(count).map_err(|_| format!("cannot have {count} elements"))
}
