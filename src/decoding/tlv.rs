//! `tlv`: elements of a tag, a size and a value, one behind the other.

use std::collections::BTreeSet;

use jiff::tz::Offset;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;

use super::binary::{Field, List, Order};
use super::forms::hex;
use super::run::Run;
use super::select::literal;
use super::steps::text;
use super::types::Type;
use super::{Inherited, Use, layout_index};
use crate::cursor::{Cursor, Endian};
use crate::document::{Problems, Section, name_of};
use crate::message::{Label, Name, Text, Value};
use crate::notation::{Literal, NotationError, Words};
use crate::schema::{Scalar, TypeText};

/// Bytes that a value may have at the most by the settings; by a frame it may have what is there.
const MOST_BYTES: i64 = 1 << 24;

/// Elements of a tag, a size and so many bytes of value are read up to the end.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Options {
    /// The type of tags: a whole number, or text such as `ascii 2`.
    #[schemars(with = "TypeText")]
    tag: String,
    /// The type of sizes, a whole number. Without it each tag has a size of its own.
    #[schemars(with = "Option<TypeText>")]
    size: Option<String>,
    /// Added to the size; negative where the size counts what stands before the value.
    #[serde(default)]
    #[schemars(range(min = -MOST_BYTES, max = MOST_BYTES))]
    add: i64,
    /// Pairs `[tag, field]`, or `[tag, bytes, field]` for a tag of fixed size. The field is a field
    /// string or the name of a layout, and reads the value.
    #[serde(default)]
    #[schemars(with = "Vec<TagCase>")]
    cases: Vec<Json>,
    /// Pairs `[tag, bytes]`: fixed sizes of tags without a case.
    #[serde(default)]
    #[schemars(with = "Vec<(Scalar, u16)>")]
    sizes: Vec<(Json, u16)>,
    /// A field with the values of tags without a case: an object, in hex by their tags in decimal.
    #[schemars(regex(pattern = "^[^ :]+$"))]
    unknown: Option<String>,
    /// What a tag is that comes again.
    #[serde(default)]
    again: Again,
    /// Order of the bytes where a type does not say one; that of the decoder above, else `big`.
    endian: Option<Order>,
}

/// What a tag is that comes again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
enum Again {
    /// The value that counts.
    #[default]
    Last,
    /// The beginning of the next record.
    Split,
}

/// A tag and what it means.
#[derive(JsonSchema)]
#[schemars(untagged, inline)]
#[expect(dead_code, reason = "only the schema of it is made")]
enum TagCase {
    Field(Scalar, String),
    Sized(Scalar, u16, String),
}

/// Elements and what their tags mean.
#[derive(Clone, Debug)]
pub(super) struct Tlv {
    tag: Type,
    size: Option<Type>,
    add: i64,
    cases: Box<[Case]>,
    sizes: Box<[(Literal, usize)]>,
    unknown: Option<Label>,
    again: Again,
}

/// What a tag means.
#[derive(Clone, Debug)]
struct Case {
    tag: Literal,
    size: Option<usize>,
    value: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Field(Box<Field>),
    /// Its place among the layouts.
    Layout(usize),
}

impl Tlv {
    /// Builds it.
    pub fn read(
        section: &Section<'_>,
        without: &[&str],
        inherited: Inherited<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let before = problems.len();
        let options: Options = section.read(without, problems)?;
        let endian = options.endian.map_or(inherited.endian, Order::endian);
        let inherited = Inherited {
            endian,
            ..inherited
        };
        let size = options.size.as_deref();
        let size = size.map(|text| integer_type(text, endian));
        let tag = note(section, "tag", tag_type(&options.tag, endian), problems);
        let size = size.map(|size| note(section, "size", size, problems));
        if !(-MOST_BYTES..=MOST_BYTES).contains(&options.add) {
            problems.member(section, "add", "too many bytes");
        }
        let cases = read_cases(section, options.cases.len(), &inherited, problems);
        let sizes = read_sizes(section, &options.sizes, problems);
        if let Some(name) = options.unknown.as_deref()
            && (name.is_empty() || name.contains([':', ' ']))
        {
            let message =
                "expected the name of a field, without a type: its values are texts in hex";
            problems.member(section, "unknown", message);
        }
        let tlv = Tlv {
            tag: tag?,
            size: size.flatten(),
            add: options.add,
            cases: cases.into(),
            sizes: sizes.into(),
            unknown: options.unknown.as_deref().map(|name| inherited.label(name)),
            again: options.again,
        };
        tlv.check(section, problems);
        (problems.len() == before).then_some(tlv)
    }

    /// Reads all elements up to the end.
    pub fn decode(&self, run: &mut Run<'_>) -> Result<(), String> {
        let ends = match self.again {
            Again::Last => Vec::new(),
            Again::Split => self.records(run),
        };
        if ends.is_empty() {
            return self.record(0, run);
        }
        let records = ends.into_iter().chain([0]);
        let parts = records.map(|end| run.element(true, |run| self.record(end, run)));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        run.split("a record of tags", parts)
    }

    /// The bytes that are left behind each record but the last; none where that cannot be known.
    fn records(&self, run: &mut Run<'_>) -> Vec<usize> {
        let begin = run.cursor;
        let mut ends = Vec::new();
        let mut seen = BTreeSet::new();
        while run.cursor.remaining() > 0 {
            let left = run.cursor.remaining();
            // What is wrong is said where the elements are decoded.
            let Ok((tag, _, _)) = self.element(run) else {
                ends.clear();
                break;
            };
            if seen.contains(&tag) {
                ends.push(left);
                seen.clear();
            }
            seen.insert(tag);
        }
        run.cursor = begin;
        ends
    }

    /// Reads elements until so many bytes are left.
    fn record(&self, end: usize, run: &mut Run<'_>) -> Result<(), String> {
        let mut unknown = Vec::new();
        while run.cursor.remaining() > end {
            let element = run.cursor;
            let (tag, case, value) = self.element(run)?;
            note_element(element, &tag, value, case.is_none(), run);
            match case {
                Some(case) => {
                    let read = run.inside(value, |run| case.value.decode(run));
                    read.map_err(|why| format!("tag {tag}: {why}"))?;
                }
                None => {
                    run.count_value()?;
                    if self.unknown.is_some() {
                        unknown.push((Name::from(&*tag), Value::Text(hex(value))));
                    }
                }
            }
        }
        match &self.unknown {
            Some(name) if !unknown.is_empty() => {
                let merged = run.merged(name, unknown);
                run.found(name, &merged);
                run.put(name, merged)
            }
            _ => Ok(()),
        }
    }

    /// The next element: its tag as text, what the tag means, and its value.
    fn element<'a>(&self, run: &mut Run<'a>) -> Result<(Text, Option<&Case>, &'a [u8]), String> {
        let left = run.cursor.remaining();
        let tag = read_one(&self.tag, run).map_err(|why| format!("a tag {why}"))?;
        if run.cursor.remaining() >= left {
            return Err("a tag takes no bytes".to_owned());
        }
        let shown = text(tag.clone())?;
        let case = self.cases.iter().find(|case| case.tag.equals(&tag));
        let value = self.value(&tag, case, run);
        let value = value.map_err(|why| format!("tag {shown} {why}"))?;
        Ok((shown, case, value))
    }

    /// The bytes of an element's value.
    fn value<'a>(
        &self,
        tag: &Value,
        case: Option<&Case>,
        run: &mut Run<'a>,
    ) -> Result<&'a [u8], String> {
        let known = case.and_then(|case| case.size).or_else(|| {
            let mut sizes = self.sizes.iter();
            let found = sizes.find(|(known, _)| case.is_none() && known.equals(tag));
            found.map(|(_, size)| *size)
        });
        let size = match (known, &self.size) {
            (Some(size), _) => size,
            (None, None) => return Err("has no size".to_owned()),
            (None, Some(size)) => match read_one(size, run)? {
                Value::Integer(size) => {
                    let bytes = size.get().checked_add(self.add.into());
                    let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
                    bytes.ok_or_else(|| format!("cannot have the size {size}"))?
                }
                _ => return Err("has no size".to_owned()),
            },
        };
        let left = run.cursor.remaining();
        let value = run.cursor.take(size);
        value.ok_or_else(|| format!("needs {size} bytes, {left} are left"))
    }

    /// Whether a tag that comes again begins a record.
    pub fn splits(&self) -> bool {
        self.again == Again::Split
    }

    /// What its cases set and need, in any order: that of tags is the frame's.
    pub fn uses(&self) -> impl Iterator<Item = Use<'_>> {
        let cases = self.cases.iter().enumerate();
        let cases = cases.map(|(at, case)| match &case.value {
            Content::Field(field) => field.uses(Some(at)),
            Content::Layout(index) => Use {
                at: Some(at),
                with: Some(*index),
                ..Use::default()
            },
        });
        cases.chain(self.unknown.iter().map(|name| Use {
            sets: vec![name],
            ..Use::default()
        }))
    }

    /// Its lists, with the places of their cases.
    pub fn lists(&self) -> impl Iterator<Item = (usize, List<'_>)> {
        let fields = self.fields();
        fields.flat_map(|(at, field)| field.lists().into_iter().map(move |list| (at, list)))
    }

    fn fields(&self) -> impl Iterator<Item = (usize, &Field)> {
        let cases = self.cases.iter().enumerate();
        cases.filter_map(|(at, case)| match &case.value {
            Content::Field(field) => Some((at, &**field)),
            Content::Layout(_) => None,
        })
    }

    /// Finds cases that can never be met, and such without a size.
    fn check(&self, section: &Section<'_>, problems: &mut Problems) {
        let note = |member: &str, at: usize, message: String, problems: &mut Problems| {
            let list = section.member(member);
            let entry = list.and_then(|list| list.element(at));
            problems.add(entry.as_ref().unwrap_or(section), message);
        };
        for (at, case) in self.cases.iter().enumerate() {
            let tag = case.tag.value();
            let mut earlier = self.cases.iter().take(at);
            if earlier.any(|other| other.tag.equals(&tag)) {
                let message = "another case has the same tag; a layout reads several fields";
                note("cases", at, message.to_owned(), problems);
            }
            if self.tag.is_integer() && case.tag.integer().is_none() {
                note("cases", at, "expected a number as tag".to_owned(), problems);
            }
            if self.size.is_none() && case.size.is_none() {
                let message = "expected [tag, bytes, field]: without \"size\" a tag has a size";
                note("cases", at, message.to_owned(), problems);
            }
        }
        for (at, (tag, _)) in self.sizes.iter().enumerate() {
            if self.tag.is_integer() && tag.integer().is_none() {
                note("sizes", at, "expected a number as tag".to_owned(), problems);
            }
        }
    }
}

impl Content {
    fn parse(text: &str, inherited: &Inherited<'_>) -> Result<Self, NotationError> {
        if text.contains(':') {
            let field = Field::parse(text, inherited)?;
            return Ok(Content::Field(Box::new(field)));
        }
        let mut words = Words::new(text)?;
        let word = words.require("a field or a layout")?;
        words.end()?;
        layout_index(&word, inherited).map(Content::Layout)
    }

    fn decode(&self, run: &mut Run<'_>) -> Result<(), String> {
        match self {
            Content::Field(field) => field.decode(run),
            Content::Layout(index) => run.read_layout(*index),
        }
    }
}

/// Notes what stands before an element's value, and the value itself where nothing reads it.
fn note_element(
    mut element: Cursor<'_>,
    tag: &str,
    value: &[u8],
    unknown: bool,
    run: &mut Run<'_>,
) {
    let whole = element.remaining().saturating_sub(run.cursor.remaining());
    let head = element.take(whole.saturating_sub(value.len()));
    run.own(head.unwrap_or_default(), || {
        format!("tag {tag}, {} bytes", value.len())
    });
    if unknown && !value.is_empty() {
        run.own(value, || format!("value of tag {tag}, which has no case"));
    }
    run.part_at(value);
}

/// A tag or size where the frame stands.
fn read_one(kind: &Type, run: &mut Run<'_>) -> Result<Value, String> {
    let reading = &mut run.reading;
    let value = kind.read(
        &mut run.cursor,
        &reading.fields,
        Offset::UTC,
        &mut reading.replaced,
    );
    value?.ok_or_else(|| "has no value".to_owned())
}

fn integer_type(text: &str, endian: Endian) -> Result<Type, NotationError> {
    let kind = any_type(text, endian)?;
    if kind.is_integer() {
        return Ok(kind);
    }
    let message = format!("expected a whole number such as u8, found `{text}`");
    Err(NotationError::new(1, message))
}

/// Tags are whole numbers, or texts of a number of bytes.
fn tag_type(text: &str, endian: Endian) -> Result<Type, NotationError> {
    let kind = any_type(text, endian)?;
    let fits = kind.is_integer() || (kind.is_text() && kind.width().is_some_and(|width| width > 0));
    if fits {
        return Ok(kind);
    }
    let message = format!("expected a type such as u8 or `ascii 2`, found `{text}`");
    Err(NotationError::new(1, message))
}

fn any_type(text: &str, endian: Endian) -> Result<Type, NotationError> {
    let mut words = Words::new(text)?;
    let first = words.require("a type such as `u8`")?;
    let kind = Type::parse(&first, &mut words, endian)?;
    words.end()?;
    Ok(kind)
}

fn note<T>(
    section: &Section<'_>,
    member: &str,
    read: Result<T, NotationError>,
    problems: &mut Problems,
) -> Option<T> {
    read.map_err(|error| problems.notation(section, member, error))
        .ok()
}

fn read_cases(
    section: &Section<'_>,
    count: usize,
    inherited: &Inherited<'_>,
    problems: &mut Problems,
) -> Vec<Case> {
    let list = section.member("cases");
    let cases = (0..count).filter_map(|at| list.as_ref()?.element(at));
    cases
        .filter_map(|case| read_case(&case, inherited, problems))
        .collect()
}

fn read_case(
    case: &Section<'_>,
    inherited: &Inherited<'_>,
    problems: &mut Problems,
) -> Option<Case> {
    let parts = case.value.as_array().map(Vec::as_slice);
    let (tag, size, content, place) = match parts {
        Some([tag, Json::String(content)]) => (tag, None, content, "1"),
        Some([tag, size, Json::String(content)]) => (tag, Some(size), content, "2"),
        _ => {
            let found = name_of(case.value);
            let message = format!("expected [tag, field] or [tag, bytes, field], found {found}");
            problems.add(case, message);
            return None;
        }
    };
    let size = match size {
        None => None,
        Some(size) => match size.as_u64().and_then(|size| u16::try_from(size).ok()) {
            Some(size) => Some(usize::from(size)),
            None => {
                problems.member(case, "1", "expected a number of bytes, 0 to 65535");
                return None;
            }
        },
    };
    let tag = literal(case, tag, problems);
    let value = note(case, place, Content::parse(content, inherited), problems);
    Some(Case {
        tag: tag?,
        size,
        value: value?,
    })
}

fn read_sizes(
    section: &Section<'_>,
    sizes: &[(Json, u16)],
    problems: &mut Problems,
) -> Vec<(Literal, usize)> {
    let list = section.member("sizes");
    let mut read = Vec::new();
    for (at, (tag, size)) in sizes.iter().enumerate() {
        let entry = list.as_ref().and_then(|list| list.element(at));
        let tag = literal(entry.as_ref().unwrap_or(section), tag, problems);
        read.extend(tag.map(|tag| (tag, usize::from(*size))));
    }
    read
}
