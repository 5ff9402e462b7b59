//! `binary`: field strings read one behind the other.

use jiff::tz::Offset;
use serde::Deserialize;

use super::run::Run;
use super::steps::Steps;
use super::types::{Form, Size, Type};
use crate::cursor::{Cursor, Endian};
use crate::document::{Problems, Section};
use crate::message::Name;
use crate::notation::{NotationError, Word, Words};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Options {
    /// The fields, in the order in which they stand in the frame.
    #[serde(default)]
    fields: Vec<String>,
    /// Order of the bytes where a type does not say one.
    endian: Option<Order>,
}

/// The words for the order of bytes.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Order {
    Big,
    Little,
}

/// Fields in bytes.
#[derive(Clone, Debug)]
pub(super) struct Binary {
    fields: Box<[Field]>,
}

#[derive(Clone, Debug)]
struct Field {
    name: Name,
    kind: Type,
    at: Option<i64>,
    steps: Steps,
    /// Bytes gone over without a value.
    skip: bool,
}

impl Binary {
    /// Builds it; a layout takes the order of bytes from the decoder above it.
    pub fn read(
        section: &Section<'_>,
        without: &[&str],
        default: Endian,
        problems: &mut Problems,
    ) -> Option<Self> {
        let options: Options = section.read(without, problems)?;
        let endian = options.endian.map_or(default, Order::endian);
        let fields = super::each_field(section, &options.fields, problems, |text| {
            Field::parse(text, endian)
        });
        Some(Binary {
            fields: fields.into(),
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
    pub fn decode<'a>(&'a self, run: &mut Run<'a>) -> Result<(), String> {
        for field in &self.fields {
            if run.wants(field.steps.condition.as_ref()) {
                field.decode(run)?;
            }
        }
        Ok(())
    }

    /// Names that it sets.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.fields
            .iter()
            .filter(|field| !field.skip)
            .flat_map(|field| {
                let bits = field.steps.bits.iter().map(|bits| &bits.name);
                std::iter::once(&field.name).chain(bits)
            })
    }

    /// Names that its fields need.
    pub fn needs(&self) -> impl Iterator<Item = (usize, &str)> {
        self.fields.iter().enumerate().flat_map(|(at, field)| {
            let size = field.kind.size_field();
            super::needs(&field.steps)
                .chain(size)
                .map(move |name| (at, name))
        })
    }
}

impl Order {
    fn endian(self) -> Endian {
        match self {
            Order::Big => Endian::Big,
            Order::Little => Endian::Little,
        }
    }
}

impl Field {
    fn parse(text: &str, endian: Endian) -> Result<Self, NotationError> {
        let mut words = Words::new(text)?;
        let name = words.name();
        let first = words.require("a type such as `u16`")?;
        if name.is_none() && !first.is("skip") {
            return Err(first.error("expected `name: type`"));
        }
        let kind = Type::parse(&first, &mut words, endian)?;
        let skip = matches!(
            kind,
            Type::Sized {
                form: Form::Skip,
                ..
            }
        );
        let at = place(&kind, &mut words)?;
        let steps = Steps::parse(&mut words, endian)?;
        Ok(Field {
            name: field_name(name.as_ref())?,
            kind,
            at,
            steps,
            skip,
        })
    }

    fn decode<'a>(&'a self, run: &mut Run<'a>) -> Result<(), String> {
        let zone = self.steps.zone.unwrap_or(Offset::UTC);
        let mut cursor = match self.at {
            None => run.cursor,
            Some(at) => self.elsewhere(at, run.frame.bytes)?,
        };
        let fields = &run.reading.fields;
        let value = self
            .kind
            .read(&mut cursor, fields, zone, &mut run.reading.replaced);
        let value = value.map_err(|why| format!("{} {why}", self.name))?;
        if self.at.is_none() {
            run.cursor = cursor;
        }
        match value {
            Some(value) => run.set(&self.name, &self.steps, value),
            None => Ok(()),
        }
    }

    fn elsewhere<'a>(&self, at: i64, frame: &'a [u8]) -> Result<Cursor<'a>, String> {
        let distance = usize::try_from(at.unsigned_abs()).ok();
        let offset = if at < 0 {
            distance.and_then(|distance| frame.len().checked_sub(distance))
        } else {
            distance
        };
        let short = || {
            format!(
                "{} is at {at}, the frame has {} bytes",
                self.name,
                frame.len()
            )
        };
        offset
            .and_then(|offset| Cursor::at(frame, offset))
            .ok_or_else(short)
    }
}

fn field_name(name: Option<&Word<'_>>) -> Result<Name, NotationError> {
    match name {
        Some(name) if name.text.is_empty() => Err(name.error("expected a name before `:`")),
        Some(name) => Ok(name.text.as_ref().into()),
        None => Ok("skip".into()),
    }
}

fn place(kind: &Type, words: &mut Words<'_>) -> Result<Option<i64>, NotationError> {
    if words.accept("at").is_none() {
        return Ok(None);
    }
    let word = words.require("an offset")?;
    let at = word.offset("the offset")?;
    let width = match kind {
        Type::Integer(kind) => kind.width(),
        Type::Float { double, .. } => Some(if *double { 8 } else { 4 }),
        Type::Date { .. } => Some(6),
        Type::Sized {
            size: Size::Count(count),
            ..
        } => Some(*count),
        Type::Sized { .. } => None,
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
