//! Frames of records, each of which says only its own length.

use std::borrow::Cow;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::bounded::Common;
use super::explain::written;
use super::length;
use super::needles::{Match, Needles};
use super::{Broken, Explanation, Framer, More, Resync, Step, Taken, WrapError, saturated};
use crate::document::{Problems, Section, name_of};
use crate::notation::{PartAt, ReadError, bytes};
use crate::schema::{LengthField, Marker};

/// Records of one frame. With bytes in which frames could start everywhere, each of them is walked.
const MOST_RECORDS: usize = 1000;

/// A header and records, each of which says its own length. At most 1,000 records.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [{ "required": ["count"] }, { "required": ["until"] }]))]
pub(super) struct WalkOptions {
    /// The bytes of the header, or where they are said.
    #[serde(rename = "header")]
    #[schemars(with = "RecordSize")]
    _header: Option<IgnoredAny>,
    /// The bytes of a record, or where they are said.
    #[serde(rename = "record")]
    #[schemars(with = "RecordSize", extend("not" = { "const": 0 }))]
    _record: Option<IgnoredAny>,
    /// Where in the frame the number of records stands. It goes without `until`.
    #[schemars(with = "Option<LengthField>")]
    count: Option<String>,
    /// Bytes that stand behind the last record, where another could begin. It goes without `count`.
    #[schemars(with = "Option<Marker>")]
    until: Option<String>,
    /// Number of bytes of every frame behind the last record, and behind `until`.
    #[serde(default)]
    trailer: usize,
}

/// The bytes of every header or record, or how each says them.
#[derive(JsonSchema)]
#[schemars(rename = "record-size", untagged)]
#[expect(dead_code, reason = "only the schema of it is made")]
enum RecordSize {
    /// So many bytes.
    Bytes(u64),
    /// Said by a length field, or by a tag.
    Said(SizeOptions),
}

/// How each header or record says its bytes: `size` with `add`, or `tag` with `sizes`. Offsets
/// count from its first byte.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "record-size-said", extend(
    "oneOf" = [{ "required": ["size"] }, { "required": ["tag", "sizes"] }],
    "dependentRequired" = { "add": ["size"], "sizes": ["tag"] },
))]
struct SizeOptions {
    /// The length field.
    #[schemars(with = "Option<LengthField>")]
    size: Option<String>,
    /// Bytes that the field does not count; 0 without it.
    add: Option<i64>,
    /// The tag.
    #[schemars(with = "Option<LengthField>")]
    tag: Option<String>,
    /// Pairs of a tag and the number of bytes behind it.
    sizes: Option<Vec<(i64, usize)>>,
}

/// The kind, read.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    start: Option<Needles>,
    header: Size,
    record: Size,
    last: Last,
    trailer: usize,
}

/// How long a header or record is.
#[derive(Clone, Debug)]
enum Size {
    Bytes(usize),
    /// `add` and the field's value, from the first byte, or from behind a field without a fixed width.
    Field {
        field: PartAt,
        add: i64,
    },
    /// So many bytes behind the tag; the table is in the order of tags.
    Table {
        tag: PartAt,
        sizes: Arc<[(i128, usize)]>,
    },
}

/// How the last record is known.
#[derive(Clone, Debug)]
enum Last {
    Count(PartAt),
    Until(Needles),
}

/// Reads the kind's members.
pub(super) fn read(
    section: &Section<'_>,
    without: &[&str],
    common: &Common,
    problems: &mut Problems,
) -> Option<Walk> {
    let options: Option<WalkOptions> = section.read(without, problems);
    let header = size(section, "header", problems);
    let record = size(section, "record", problems);
    let options = options?;
    let last = last(section, &options, problems);
    if let (Some(Last::Count(count)), Some(Size::Bytes(header))) = (&last, &header)
        && end_of(count) > *header
    {
        problems.member(section, "count", "does not stand in the header");
    }
    if matches!(record, Some(Size::Bytes(0))) {
        problems.member(section, "record", "must be at least 1");
    }
    Some(Walk {
        start: common.start.clone(),
        header: header?,
        record: record?,
        last: last?,
        trailer: options.trailer,
    })
}

fn end_of(field: &PartAt) -> usize {
    let at = saturated(field.place.at.unwrap_or(0).into());
    at.saturating_add(field.place.kind.width().unwrap_or(1))
}

fn last(section: &Section<'_>, options: &WalkOptions, problems: &mut Problems) -> Option<Last> {
    match (&options.count, &options.until) {
        (Some(count), None) => {
            length::placed_field(section, "count", count, problems).map(Last::Count)
        }
        (None, Some(until)) => {
            let until = bytes(until)
                .map_err(|error| problems.notation(section, "until", error))
                .ok()?;
            let until = Needles::new(vec![until]);
            if until.is_none() {
                problems.member(section, "until", "expected at least one byte");
            }
            until.map(Last::Until)
        }
        (Some(_), Some(_)) => {
            let why = "a walk ends by \"count\" or by \"until\", not by both";
            problems.member(section, "until", why);
            None
        }
        (None, None) => {
            let why = "\"count\" or \"until\" is missing: which record is the last";
            problems.add(section, why);
            None
        }
    }
}

fn size(section: &Section<'_>, member: &str, problems: &mut Problems) -> Option<Size> {
    let Some(own) = section.member(member) else {
        problems.add(
            section,
            format!("\"{member}\" is missing: a number of bytes, or how it is said"),
        );
        return None;
    };
    match own.value {
        Value::Number(number) => {
            let bytes = number.as_u64().map(|bytes| saturated(bytes.into()));
            if bytes.is_none() {
                problems.add(&own, "expected a whole number of 0 or more");
            }
            bytes.map(Size::Bytes)
        }
        Value::Object(_) => said_size(&own, problems),
        other => {
            let found = name_of(other);
            problems.add(
                &own,
                format!("expected a number of bytes or an object, found {found}"),
            );
            None
        }
    }
}

fn said_size(section: &Section<'_>, problems: &mut Problems) -> Option<Size> {
    let options: SizeOptions = section.read(&[], problems)?;
    match (options.size, options.tag) {
        (Some(size), None) => {
            if options.sizes.is_some() {
                problems.member(section, "sizes", "belongs to \"tag\"");
            }
            Some(Size::Field {
                field: length::field(section, "size", &size, problems)?,
                add: options.add.unwrap_or(0),
            })
        }
        (None, Some(tag)) => {
            if options.add.is_some() {
                problems.member(section, "add", "belongs to \"size\"");
            }
            let tag = length::field(section, "tag", &tag, problems);
            let sizes = table(section, options.sizes, problems);
            Some(Size::Table {
                tag: tag?,
                sizes: sizes?,
            })
        }
        (Some(_), Some(_)) => {
            problems.member(section, "tag", "a record has \"size\" or \"tag\", not both");
            None
        }
        (None, None) => {
            problems.add(section, "\"size\", or \"tag\" with \"sizes\", is missing");
            None
        }
    }
}

fn table(
    section: &Section<'_>,
    sizes: Option<Vec<(i64, usize)>>,
    problems: &mut Problems,
) -> Option<Arc<[(i128, usize)]>> {
    let Some(mut sizes) = sizes else {
        problems.add(section, "\"sizes\" is missing: pairs of tag and bytes");
        return None;
    };
    sizes.sort_unstable();
    let neighbours = sizes.iter().zip(sizes.iter().skip(1));
    for ((tag, _), _) in neighbours.filter(|((one, _), (other, _))| one == other) {
        problems.member(
            section,
            "sizes",
            format!("the tag {tag} stands there twice"),
        );
    }
    Some(
        sizes
            .into_iter()
            .map(|(tag, size)| (tag.into(), size))
            .collect(),
    )
}

/// Why the walk does not go on.
enum Stop {
    Need(usize),
    Broken(Broken),
}

impl From<ReadError> for Stop {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Short { needed } => Stop::Need(needed),
            ReadError::Invalid(_) => Stop::Broken(Broken::Record),
        }
    }
}

impl Size {
    /// Bytes of what begins with the first of these.
    fn of(&self, bytes: &[u8]) -> Result<usize, Stop> {
        match self {
            Size::Bytes(bytes) => Ok(*bytes),
            Size::Field { field, add } => {
                let read = field.read(bytes, 0)?;
                let base = match field.place.kind.width() {
                    None => read.end,
                    Some(_) => 0,
                };
                let size = read
                    .value
                    .saturating_add(i128::from(*add))
                    .saturating_add(i128::try_from(base).unwrap_or(i128::MAX));
                let size = saturated(size);
                if size < read.end {
                    return Err(Stop::Broken(Broken::Record));
                }
                Ok(size)
            }
            Size::Table { tag, sizes } => {
                let read = tag.read(bytes, 0)?;
                let known = sizes.binary_search_by_key(&read.value, |(tag, _)| *tag);
                let known = known.ok().and_then(|index| sizes.get(index));
                let (_, size) = known.ok_or(Stop::Broken(Broken::Record))?;
                Ok(read.end.saturating_add(*size))
            }
        }
    }
}

impl Walk {
    pub fn framer(&self) -> WalkFramer {
        WalkFramer {
            kind: self.clone(),
            place: None,
        }
    }

    /// Says how many records there are, and how the last is known.
    pub fn explain(&self, taken: Taken<'_>, into: &mut Explanation) {
        let frame = taken.frame;
        let Ok(mut place) = self.begin(frame) else {
            return;
        };
        if self.walk(&mut place, frame).is_err() {
            return;
        }
        let mut rule = format!(
            "walk: {} bytes of header, {} records",
            place.header, place.records
        );
        match &self.last {
            Last::Count(count) => rule.push_str(&format!(" by {count}")),
            Last::Until(until) => {
                let until = until.longest();
                rule.push_str(&format!(" until {}", written(until)));
                into.mark(place.at..place.at.saturating_add(until.len()), "until");
            }
        }
        if let (Last::Count(count), Some(records)) = (&self.last, place.count)
            && let Ok(read) = count.read(frame, 0)
        {
            into.mark(read.start..read.end, format!("count = {records}"));
        }
        if self.trailer > 0 {
            rule.push_str(&format!("; trailer of {}", self.trailer));
        }
        into.say(rule);
    }

    /// The bytes are header, records and trailer; only the start is put before them.
    pub fn wrap(&self, body: &[u8]) -> Result<Vec<u8>, WrapError> {
        let start = self.start.as_ref().map_or(&[][..], Needles::longest);
        Ok([start, body].concat())
    }

    /// Goes over the header.
    fn begin(&self, bytes: &[u8]) -> Result<Place, Stop> {
        let header = self.header.of(bytes)?;
        let count = match &self.last {
            Last::Until(_) => None,
            Last::Count(count) => {
                let value = count.read(bytes, 0)?.value;
                let count = usize::try_from(value).ok();
                let count = count.filter(|count| *count <= MOST_RECORDS);
                Some(count.ok_or(Stop::Broken(Broken::Record))?)
            }
        };
        Ok(Place {
            header,
            at: header,
            records: 0,
            count,
        })
    }

    /// Goes over records, as far as the bytes tell, and gives the frame's length.
    fn walk(&self, place: &mut Place, bytes: &[u8]) -> Result<usize, Stop> {
        while let Some(rest) = bytes.get(place.at..) {
            if let Some(end) = self.end(place, rest)? {
                return Ok(end);
            }
            if place.records == MOST_RECORDS {
                return Err(Stop::Broken(Broken::Record));
            }
            #[cfg(test)]
            super::needles::work::add(1);
            let size = self.record.of(rest).map_err(|stop| match stop {
                Stop::Need(needed) => Stop::Need(place.at.saturating_add(needed)),
                broken => broken,
            })?;
            place.at = place.at.saturating_add(size);
            place.records = place.records.saturating_add(1);
        }
        if place.count == Some(place.records) {
            return Ok(place.at.saturating_add(self.trailer));
        }
        Err(Stop::Need(place.at.saturating_add(1)))
    }

    /// The frame's length, if no further record begins with these bytes.
    fn end(&self, place: &Place, rest: &[u8]) -> Result<Option<usize>, Stop> {
        let marker = match &self.last {
            Last::Count(_) if place.count != Some(place.records) => return Ok(None),
            Last::Count(_) => 0,
            Last::Until(until) => match until.at(rest, true) {
                Match::Full(length) => length,
                Match::Partial => {
                    let have = place.at.saturating_add(rest.len());
                    return Err(Stop::Need(have.saturating_add(1)));
                }
                Match::No => return Ok(None),
            },
        };
        let end = place.at.saturating_add(marker);
        Ok(Some(end.saturating_add(self.trailer)))
    }
}

/// How far the walk has come.
#[derive(Clone, Copy, Debug)]
struct Place {
    header: usize,
    /// Where the next record begins.
    at: usize,
    records: usize,
    /// How many there must be.
    count: Option<usize>,
}

/// Remembers where the walk stands, so that no record is gone over twice.
#[derive(Debug)]
pub(super) struct WalkFramer {
    kind: Walk,
    place: Option<Place>,
}

impl WalkFramer {
    fn length(&mut self, bytes: &[u8]) -> Result<(usize, usize), Stop> {
        let place = match &mut self.place {
            Some(place) => place,
            none => none.insert(self.kind.begin(bytes)?),
        };
        let take = self.kind.walk(place, bytes)?;
        Ok((take, place.header))
    }
}

impl Framer for WalkFramer {
    fn next<'b>(&mut self, bytes: &'b [u8], _more: More) -> Step<'b> {
        match self.length(bytes) {
            Err(Stop::Need(needed)) => Step::Need(needed),
            Err(Stop::Broken(broken)) => Step::Broken(broken),
            Ok((take, body)) => match bytes.get(..take) {
                None => Step::Need(take),
                Some(frame) => Step::Frame {
                    take,
                    frame: Cow::Borrowed(frame),
                    body,
                },
            },
        }
    }

    fn consumed(&mut self, _count: usize) {
        self.place = None;
    }

    fn resync(&self) -> Resync {
        Resync::Never
    }
}
