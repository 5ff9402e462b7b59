//! `binary`: field strings read one behind the other.

use jiff::tz::Offset;
use schemars::JsonSchema;
use serde::Deserialize;

use super::forms::Form;
use super::made::Made;
use super::repeat::Repeat;
use super::run::{NOT_WANTED, Run};
use super::steps::{Collect, Number, Steps, Subject};
use super::types::{Type, failed};
use super::{Inherited, Use};
use crate::cursor::{Cursor, Endian};
use crate::document::{Problems, Section};
use crate::message::{Frame, Label, Name};
use crate::notation::{NotationError, Word, Words};
use crate::schema::BinaryField;

/// Fields are read one after the other.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Options {
    /// The fields, in the order in which they stand in the frame.
    #[serde(default)]
    #[schemars(with = "Vec<BinaryField>")]
    fields: Vec<String>,
    /// Order of the bytes where a type does not say one; that of the decoder above, else `big`.
    endian: Option<Order>,
}

/// The words for the order of bytes.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub(super) enum Order {
    /// The highest byte comes first.
    Big,
    /// The lowest byte comes first.
    Little,
}

/// Fields in bytes.
#[derive(Clone, Debug)]
pub(super) struct Binary {
    fields: Box<[Field]>,
    /// How many values they set, where nothing is left out.
    values: usize,
}

/// One field string.
#[derive(Clone, Debug)]
pub(super) struct Field {
    /// The field string.
    written: Name,
    name: Label,
    what: What,
    at: Option<i64>,
    steps: Steps,
}

#[derive(Clone, Debug)]
enum What {
    Value(Type),
    List(Repeat),
    Made(Made),
}

/// A list and what is made of its elements.
#[derive(Clone, Copy, Debug)]
pub(super) struct List<'a> {
    pub name: &'a Name,
    /// The layout of its elements; without one they are what they are.
    pub layout: Option<usize>,
    pub collect: Option<&'a Collect>,
}

impl Binary {
    /// Builds it; a layout takes the order of bytes from the decoder above it.
    pub fn read(
        section: &Section<'_>,
        without: &[&str],
        inherited: Inherited<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let options: Options = section.read(without, problems)?;
        let endian = options.endian.map_or(inherited.endian, Order::endian);
        let inherited = Inherited {
            endian,
            ..inherited
        };
        let fields = super::each_field(section, &options.fields, problems, |text| {
            Field::parse(text, &inherited)
        });
        let values = fields.iter().map(|field| field.names().count()).sum();
        Some(Binary {
            fields: fields.into(),
            values,
        })
    }

    /// The order of bytes that a section says.
    pub fn endian(section: &Section<'_>) -> Endian {
        match section
            .member("endian")
            .and_then(|order| order.value.as_str())
        {
            Some("little") => Endian::Little,
            _ => Endian::Big,
        }
    }

    /// Reads the fields on from where the frame stands.
    pub fn decode(&self, run: &mut Run<'_>) -> Result<(), String> {
        run.expect(self.values);
        self.fields.iter().try_for_each(|field| field.decode(run))
    }

    /// What its field strings set and need.
    pub fn uses(&self) -> impl Iterator<Item = Use<'_>> {
        let fields = self.fields.iter().enumerate();
        fields.map(|(at, field)| field.uses(Some(at)))
    }

    /// Its lists, with the places of their field strings.
    pub fn lists(&self) -> impl Iterator<Item = (usize, List<'_>)> {
        let fields = self.fields.iter().enumerate();
        fields.flat_map(|(at, field)| field.lists().into_iter().map(move |list| (at, list)))
    }
}

impl Order {
    /// The order that the word says.
    pub fn endian(self) -> Endian {
        match self {
            Order::Big => Endian::Big,
            Order::Little => Endian::Little,
        }
    }
}

impl Field {
    /// Reads a field string.
    pub fn parse(text: &str, inherited: &Inherited<'_>) -> Result<Self, NotationError> {
        let mut words = Words::new(text)?;
        let name = words.name();
        let first = words.require("a type such as `u16`")?;
        if name.is_none() && !first.is("skip") {
            return Err(first.error("expected `name: type`"));
        }
        Self::read(
            field_name(name.as_ref(), inherited)?,
            &first,
            &mut words,
            inherited,
        )
    }

    /// The field that is each element of the list of that name, or a part of each.
    pub fn in_quotes(
        list: &Label,
        text: &str,
        inherited: &Inherited<'_>,
    ) -> Result<Self, NotationError> {
        let mut words = Words::new(text)?;
        // A name may stand there as in every field string; the value stands under the list's.
        let _ = words.name();
        let first = words.require("a type such as `u16`")?;
        let field = Self::read(list.clone(), &first, &mut words, inherited)?;
        let made = matches!(field.what, What::Made(_));
        let more =
            field.steps.dropped || !field.steps.bits.is_empty() || field.steps.with.is_some();
        if field.skips() || field.splits() || made || more {
            let message = "the value of an element is read, without `bits`, `drop`, `with` or `split`: use a layout";
            return Err(first.error(message));
        }
        Ok(field)
    }

    fn read(
        name: Label,
        first: &Word<'_>,
        words: &mut Words<'_>,
        inherited: &Inherited<'_>,
    ) -> Result<Self, NotationError> {
        if let Some((made, steps)) = Made::parse(&name, first, words, inherited)? {
            return Ok(Field {
                written: words.whole().into(),
                name,
                what: What::Made(made),
                at: None,
                steps,
            });
        }
        let what = if first.is("repeat") {
            What::List(Repeat::parse(&name, words, inherited)?)
        } else {
            What::Value(Type::parse(first, words, inherited.endian)?)
        };
        let at = place(&what, words)?;
        let (subject, shape) = match &what {
            What::List(_) => (Subject::List, None),
            What::Value(kind) => (Subject::Value, Some(kind.shape())),
            What::Made(_) => (Subject::Value, None),
        };
        let steps = Steps::parse(words, inherited, subject, shape)?;
        match &what {
            What::List(list) => list.check(&steps, first)?,
            What::Value(kind) => steps.check_bits(kind.bits(), words.whole())?,
            What::Made(_) => {}
        }
        Ok(Field {
            written: words.whole().into(),
            name,
            what,
            at,
            steps,
        })
    }

    /// Reads it, if its condition lets it be read.
    pub fn decode(&self, run: &mut Run<'_>) -> Result<(), String> {
        let note = run.begin_field(&self.name, &self.written);
        let read = self.read_noted(note, run);
        run.end(note, &read);
        read
    }

    fn read_noted(&self, note: Option<usize>, run: &mut Run<'_>) -> Result<(), String> {
        if !run.wants(self.steps.condition.as_ref()) {
            run.left_out(note, NOT_WANTED);
            return Ok(());
        }
        run.count_value()?;
        let behind = run.cursor;
        if let Some(at) = self.at {
            run.cursor = self.elsewhere(at, run.frame)?;
            run.moved(note);
        }
        match &self.what {
            What::Value(kind) => self.decode_value(kind, run)?,
            What::List(list) => list.decode(&self.name, &self.steps, None, run)?,
            What::Made(made) => made.decode(&self.name, &self.steps, run)?,
        }
        run.reached(note);
        if self.at.is_some() {
            run.cursor = behind;
        }
        Ok(())
    }

    fn decode_value(&self, kind: &Type, run: &mut Run<'_>) -> Result<(), String> {
        if let Type::Integer(kind) = kind {
            return match kind.take(&mut run.cursor) {
                Ok(number) => run.set_number(&self.name, &self.steps, Number::Integer(number)),
                Err(error) => {
                    let why = failed(error, &run.cursor);
                    Err(format!("{} {why}", self.name))
                }
            };
        }
        let zone = self.steps.zone.unwrap_or(Offset::UTC);
        let reading = &mut run.reading;
        let value = kind.read(
            &mut run.cursor,
            &reading.fields,
            zone,
            &mut reading.replaced,
        );
        match value {
            Ok(Some(value)) => run.set(&self.name, &self.steps, value),
            Ok(None) => Ok(()),
            Err(why) => Err(format!("{} {why}", self.name)),
        }
    }

    fn skips(&self) -> bool {
        matches!(
            self.what,
            What::Value(Type::Sized {
                form: Form::Skip,
                ..
            })
        )
    }

    fn splits(&self) -> bool {
        self.steps.collect == Some(Collect::Split)
    }

    /// What it sets and needs.
    pub fn uses(&self, at: Option<usize>) -> Use<'_> {
        Use {
            at,
            sets: self.names().map(|name| &**name).collect(),
            before: self.read_before(),
            needs: self.needs(),
            with: self.steps.with,
            late: matches!(&self.what, What::Made(made) if made.is_late()),
        }
    }

    /// Names that it sets.
    fn names(&self) -> impl Iterator<Item = &Name> {
        let own = (!self.skips() && !self.splits()).then_some(&*self.name);
        own.into_iter()
            .chain(self.steps.bits.iter().map(|bits| &*bits.name))
    }

    /// Names that it needs, those of a field in quotes included.
    fn needs(&self) -> Vec<&str> {
        let mut needs: Vec<&str> = super::needs(&self.steps).collect();
        match &self.what {
            What::Value(kind) => needs.extend(kind.size_field()),
            What::List(list) => {
                needs.extend(list.count_field());
                needs.extend(list.fields().iter().flat_map(Field::needs));
            }
            What::Made(made) => needs.extend(made.needs()),
        }
        needs
    }

    /// Names that must have been read before it, those of a field in quotes included.
    fn read_before(&self) -> Vec<&str> {
        let mut before: Vec<&str> = super::read_before(&self.steps).collect();
        match &self.what {
            What::Value(kind) => before.extend(kind.size_field()),
            What::List(list) => {
                before.extend(list.count_field());
                before.extend(list.fields().iter().flat_map(Field::read_before));
            }
            What::Made(_) => {}
        }
        before
    }

    /// The list that it is, and those in its quotes.
    pub fn lists(&self) -> Vec<List<'_>> {
        let What::List(list) = &self.what else {
            return Vec::new();
        };
        let mut lists = vec![List {
            name: &self.name,
            layout: list.layout(),
            collect: self.steps.collect.as_ref(),
        }];
        lists.extend(list.fields().iter().flat_map(Field::lists));
        lists
    }

    fn elsewhere<'a>(&self, at: i64, frame: Frame<'a>) -> Result<Cursor<'a>, String> {
        let Frame { bytes, body } = frame;
        let distance = usize::try_from(at.unsigned_abs()).ok();
        let offset = if at < 0 {
            distance.and_then(|distance| bytes.len().checked_sub(distance))
        } else {
            distance
        };
        let short = || {
            format!(
                "{} is at {at}, the frame has {} bytes",
                self.name,
                bytes.len()
            )
        };
        let there = offset.and_then(|offset| Cursor::at(bytes, offset));
        let there = there.ok_or_else(short)?;
        let before = there.before_tail(body.tail);
        // Who asks for the check value by its place gets it.
        Ok(if before.remaining() > 0 {
            before
        } else {
            there
        })
    }
}

fn field_name(name: Option<&Word<'_>>, inherited: &Inherited<'_>) -> Result<Label, NotationError> {
    match name {
        Some(name) if name.text.is_empty() => Err(name.error("expected a name before `:`")),
        Some(name) => Ok(inherited.label(&name.text)),
        None => Ok(Label::own("skip".into())),
    }
}

fn place(what: &What, words: &mut Words<'_>) -> Result<Option<i64>, NotationError> {
    if words.accept("at").is_none() {
        return Ok(None);
    }
    let word = words.require("an offset")?;
    let at = word.offset("the offset")?;
    let width = match what {
        What::Value(kind) => kind.width(),
        What::List(_) | What::Made(_) => None,
    };
    let behind = usize::try_from(at.unsigned_abs()).unwrap_or(usize::MAX);
    if at < 0 && width.is_some_and(|width| width > behind) {
        return Err(word.error(format!(
            "the value would reach behind the end from `{}`",
            word.raw
        )));
    }
    Ok(Some(at))
}
