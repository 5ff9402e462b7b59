//! `csv`: the columns of a line, one behind the other.

use schemars::JsonSchema;
use serde::Deserialize;

use super::binary::List;
use super::columns::{Line, Separator};
use super::repeat::Repeat;
use super::run::{NOT_WANTED, Run};
use super::steps::{Collect, Steps, Subject};
use super::textual::{Encoding, Field, place_by};
use super::{Inherited, Use};
use crate::cursor::{Cursor, Endian};
use crate::document::{Problems, Section};
use crate::message::{Label, Name};
use crate::notation::{Condition, NotationError, Word, Words};
use crate::schema::{Byte, Marker, TextField};

/// The columns of a line are read one after the other.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Options {
    /// What stands between two columns; that of the decoder above, else a comma.
    #[schemars(with = "Option<Marker>")]
    separator: Option<String>,
    /// The byte around columns in which the separator is text, and which stands there twice for
    /// itself; that of the decoder above.
    #[schemars(with = "Option<Byte>")]
    quote: Option<String>,
    /// What bytes are as text; that of the decoder above, else `utf8`.
    encoding: Option<Encoding>,
    /// The columns, in their order.
    #[serde(default)]
    #[schemars(with = "Vec<TextField>")]
    fields: Vec<String>,
}

/// Columns of a line.
#[derive(Clone, Debug)]
pub(super) struct Csv {
    pub line: Line,
    columns: Box<[Column]>,
}

/// Why a column was not read.
const NO_COLUMN: &str = "the line has no such column";

/// One field string.
#[derive(Clone, Debug)]
pub(super) struct Column {
    written: Name,
    name: Label,
    what: What,
    at: Option<i64>,
}

#[derive(Clone, Debug)]
enum What {
    Skip {
        count: usize,
        condition: Option<Condition>,
    },
    Field(Field),
    List {
        name: Label,
        list: Repeat,
        steps: Steps,
    },
}

impl Csv {
    /// Builds it; a layout takes what it does not say from a decoder of its kind above it.
    pub fn read(
        section: &Section<'_>,
        without: &[&str],
        inherited: Inherited<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let options: Options = section.read(without, problems)?;
        let columns = super::each_field(section, &options.fields, problems, |text| {
            Column::parse(text, &inherited)
        });
        let separator = ("separator", options.separator.as_deref());
        let separator = Separator::of(section, &inherited, separator, ",", problems);
        let quote = match (options.quote.as_deref(), inherited.option("quote")) {
            (Some(own), _) => read_quote(section, own, problems),
            // What is wrong above is said there.
            (None, Some(above)) => read_quote(section, above, &mut Problems::new()),
            (None, None) => None,
        };
        Some(Csv {
            line: Line {
                separator: separator?,
                quote,
                encoding: inherited.encoding(options.encoding),
            },
            columns: columns.into(),
        })
    }

    /// Reads the columns on from where the frame stands.
    pub fn decode(&self, run: &mut Run<'_>) -> Result<(), String> {
        run.expect(self.columns.len());
        let mut columns = self.columns.iter();
        let mut line = run.cursor;
        let read = columns.try_for_each(|column| column.decode(&self.line, run));
        let taken = line.remaining().saturating_sub(run.cursor.remaining());
        run.own(line.take(taken).unwrap_or_default(), || {
            "separator".to_owned()
        });
        read
    }

    /// What its field strings set and need.
    pub fn uses(&self) -> impl Iterator<Item = Use<'_>> {
        let columns = self.columns.iter().enumerate();
        columns.map(|(at, column)| column.uses(at))
    }

    /// Its lists, with the places of their field strings.
    pub fn lists(&self) -> impl Iterator<Item = (usize, List<'_>)> {
        let columns = self.columns.iter().enumerate();
        columns.flat_map(|(at, column)| column.lists().into_iter().map(move |list| (at, list)))
    }

    /// The field strings that read elsewhere.
    pub fn elsewhere(&self) -> impl Iterator<Item = usize> {
        let columns = self.columns.iter().enumerate();
        columns.filter_map(|(at, column)| column.at.map(|_| at))
    }
}

impl Column {
    fn parse(text: &str, inherited: &Inherited<'_>) -> Result<Self, NotationError> {
        let mut words = Words::new(text)?;
        if words.clone().name().is_none() && words.accept("skip").is_some() {
            return Self::skip(&mut words);
        }
        let name = Field::name(&mut words)?;
        Self::read(inherited.label(&name.text), &mut words, inherited)
    }

    fn skip(words: &mut Words<'_>) -> Result<Self, NotationError> {
        let count = words.require("how many columns")?;
        let count = count.count("the number of columns", usize::MAX)?;
        let condition = match words.accept("if") {
            Some(_) => Some(Condition::read(words, Endian::Big)?),
            None => None,
        };
        words.end()?;
        Ok(Column {
            written: words.whole().into(),
            name: Label::own("skip".into()),
            what: What::Skip { count, condition },
            at: None,
        })
    }

    /// The column in quotes that is each element of the list of that name.
    pub fn in_quotes(
        list: &Label,
        text: &str,
        inherited: &Inherited<'_>,
    ) -> Result<Self, NotationError> {
        let mut words = Words::new(text)?;
        // A name may stand there as in every field string; the value stands under the list's.
        let _ = words.name();
        let first = words.require("a type such as `number`")?;
        let mut words = Words::new(text)?;
        let _ = words.name();
        let column = Self::read(list.clone(), &mut words, inherited)?;
        if first.is("skip") || column.at.is_some() || !column.is_bare() {
            let message = "the value of an element is read, without `skip`, `at`, `bits`, `drop`, `with` or `split`: use a layout";
            return Err(first.error(message));
        }
        Ok(column)
    }

    fn read(
        name: Label,
        words: &mut Words<'_>,
        inherited: &Inherited<'_>,
    ) -> Result<Self, NotationError> {
        let column = |word: &Word<'_>| word.offset("the column");
        let Some(word) = words.accept("repeat") else {
            let (field, at) = Field::read(name, words, inherited, Subject::Value, column)?;
            return Ok(Column {
                written: field.written.clone(),
                name: field.name.clone(),
                what: What::Field(field),
                at,
            });
        };
        let list = Repeat::parse(&name, words, inherited)?;
        let at = place_by(words, column)?;
        let steps = Steps::parse(words, inherited, Subject::List, None)?;
        list.check(&steps, &word)?;
        Ok(Column {
            written: words.whole().into(),
            name: name.clone(),
            what: What::List { name, list, steps },
            at,
        })
    }

    /// Reads it, if its condition lets it be read. What the line does not have any more is left out.
    pub fn decode(&self, line: &Line, run: &mut Run<'_>) -> Result<(), String> {
        let note = run.begin_field(&self.name, &self.written);
        let read = self.read_noted(note, line, run);
        run.end(note, &read);
        read
    }

    fn read_noted(
        &self,
        note: Option<usize>,
        line: &Line,
        run: &mut Run<'_>,
    ) -> Result<(), String> {
        if !run.wants(self.condition()) {
            run.left_out(note, NOT_WANTED);
            return Ok(());
        }
        run.count_value()?;
        let behind = run.cursor;
        if let Some(at) = self.at {
            let start = line.start(run.body(), at);
            let start = start.and_then(|start| start.checked_add(run.frame.body.start));
            let Some(there) = start.and_then(|start| Cursor::at(run.frame.bytes, start)) else {
                run.left_out(note, NO_COLUMN);
                return Ok(());
            };
            run.cursor = there;
            run.moved(note);
        }
        match &self.what {
            What::Skip { count, .. } => {
                let mut taken = (0..*count).map_while(|_| line.take(&mut run.cursor));
                let _ = taken.by_ref().count();
                run.reached(note);
            }
            // It stands nowhere, and takes no column.
            What::Field(field) if field.made.is_some() => {
                field.read_bytes(&[], line.encoding, run)?;
            }
            What::Field(field) => match line.take(&mut run.cursor) {
                Some(column) => {
                    run.covers(note, column);
                    field.read_bytes(&line.value(column), line.encoding, run)?;
                }
                None => run.left_out(note, NO_COLUMN),
            },
            What::List { name, list, steps } => {
                list.decode(name, steps, Some(line), run)?;
                run.reached(note);
            }
        }
        if self.at.is_some() {
            run.cursor = behind;
        }
        Ok(())
    }

    fn condition(&self) -> Option<&Condition> {
        match &self.what {
            What::Skip { condition, .. } => condition.as_ref(),
            What::Field(field) => field.steps.condition.as_ref(),
            What::List { steps, .. } => steps.condition.as_ref(),
        }
    }

    /// Whether it sets one value under its own name.
    fn is_bare(&self) -> bool {
        match &self.what {
            What::Skip { .. } => false,
            What::Field(Field { made, steps, .. }) => {
                made.is_none() && steps.with.is_none() && steps.bits.is_empty() && !steps.dropped
            }
            What::List { steps, .. } => steps.collect != Some(Collect::Split) && !steps.dropped,
        }
    }

    fn uses(&self, at: usize) -> Use<'_> {
        let (sets, before) = match &self.what {
            What::Skip { condition, .. } => {
                let before = condition.iter().flat_map(Condition::field_names);
                (Vec::new(), before.collect())
            }
            What::Field(field) => return field.uses(Some(at)),
            What::List { name, list, steps } => {
                let mut before: Vec<&str> = super::read_before(steps).collect();
                before.extend(list.count_field());
                before.extend(list.column().into_iter().flat_map(|of| of.uses(at).before));
                let own = steps.collect != Some(Collect::Split);
                (own.then_some(&***name).into_iter().collect(), before)
            }
        };
        let mut needs = before.clone();
        if let What::List { list, .. } = &self.what {
            needs.extend(list.column().into_iter().flat_map(|of| of.uses(at).needs));
        }
        Use {
            at: Some(at),
            sets,
            before,
            needs,
            ..Use::default()
        }
    }

    /// The list that it is, and those in its quotes.
    fn lists(&self) -> Vec<List<'_>> {
        let What::List { name, list, steps } = &self.what else {
            return Vec::new();
        };
        let mut lists = vec![List {
            name,
            layout: list.layout(),
            collect: steps.collect.as_ref(),
        }];
        lists.extend(list.column().into_iter().flat_map(Column::lists));
        lists
    }
}

fn read_quote(section: &Section<'_>, text: &str, problems: &mut Problems) -> Option<u8> {
    match crate::notation::bytes(text) {
        Ok(read) => match read.as_slice() {
            [byte] => return Some(*byte),
            other => {
                let message = format!("expected one byte, found {}", other.len());
                problems.member(section, "quote", message);
            }
        },
        Err(error) => problems.notation(section, "quote", error),
    }
    None
}
