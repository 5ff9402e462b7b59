//! Frames between flags that do not occur in their content, because it is escaped.

mod framer;

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::bounded::Common;
use super::escapes::{EscapeOptions, Escaped, Escapes};
use super::explain::taken_off;
use super::needles::{Needles, length_at};
use super::{Explanation, Taken, WrapError};
use crate::document::{Problems, Section};
use crate::notation::{Endian, IntegerAt};
use crate::schema::{Byte, LengthField, Marker, OneOrMore};

pub(super) use self::framer::StuffedFramer;

/// Frames between flags that are escaped where they are content.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend(
    "oneOf" = [{ "required": ["end"] }, { "required": ["length"] }],
    "if" = { "required": ["escape"] },
    "then" = { "oneOf": [{ "required": ["xor"] }, { "required": ["subtract"] }] },
    "dependentRequired" = { "xor": ["escape"], "subtract": ["escape"], "add": ["length"], "after": ["end"], "keep": ["end"] },
))]
pub(super) struct StuffedOptions {
    /// One byte sequence or a list of them: any ends the frame.
    #[serde(default, rename = "end")]
    #[schemars(with = "Option<OneOrMore<Marker, 1>>")]
    _end: IgnoredAny,
    /// Pairs of an escape sequence, of at least two bytes, and what it stands for.
    #[serde(default, rename = "escapes")]
    #[schemars(with = "Option<Vec<(Marker, Marker)>>")]
    _escapes: IgnoredAny,
    /// A byte behind which the next one is changed, by `xor` or by `subtract`.
    #[schemars(with = "Option<Byte>")]
    escape: Option<String>,
    /// The byte behind `escape` is exclusive-or with this one.
    #[schemars(range(min = 1))]
    xor: Option<u8>,
    /// The byte behind `escape` is so much more.
    #[schemars(range(min = 1))]
    subtract: Option<u8>,
    /// Instead of `end`: the length field, `TYPE [at N]`, that counts unescaped bytes.
    #[schemars(with = "Option<LengthField>")]
    length: Option<String>,
    /// Bytes of the frame that the length field does not count; 0 without it.
    add: Option<i64>,
    /// Number of bytes behind the end that belong to the frame, not escaped.
    #[serde(default)]
    after: usize,
    /// Hand on start and end with what is between them.
    #[serde(default)]
    keep: bool,
}

/// The kind, read.
#[derive(Debug)]
pub(super) struct Stuffed {
    start: Option<Needles>,
    end: Option<Needles>,
    escapes: Escapes,
    /// All that is not plain content: ends, starts that are escaped in content, escapes.
    tokens: Needles,
    length: Option<Length>,
    after: usize,
    keep: bool,
    /// An end may be the start of the next frame.
    shared: bool,
    max_bytes: usize,
}

#[derive(Debug)]
struct Length {
    field: IntegerAt,
    add: i64,
}

/// Reads the kind's members.
pub(super) fn read(
    section: &Section<'_>,
    without: &[&str],
    common: &Common,
    problems: &mut Problems,
) -> Option<Stuffed> {
    let options: Option<StuffedOptions> = section.read(without, problems);
    let end = Needles::read(section, "end", problems);
    let options = options?;
    check_end(section, &options, problems);
    let length = options.length.as_deref();
    let length = length.and_then(|text| read_length(section, text, options.add, problems));
    let escapes = EscapeOptions {
        escape: options.escape.clone(),
        xor: options.xor,
        subtract: options.subtract,
    };
    let escapes = Escapes::read(section, &escapes, problems)?;
    if end.is_none() && length.is_none() {
        return None;
    }
    let stuffed = Stuffed::new(common, end, length, escapes)?;
    if stuffed
        .flags()
        .iter()
        .any(|flag| stuffed.escapes.clash(flag))
    {
        problems.add(section, "an escape begins with a start or an end");
    }
    if stuffed.end.is_none() && !stuffed.covers_starts() {
        let why =
            "without \"end\" a sequence must stand for each start, so that none occurs in a frame";
        problems.member(section, "escapes", why);
    }
    Some(Stuffed {
        after: options.after,
        keep: options.keep,
        ..stuffed
    })
}

fn check_end(section: &Section<'_>, options: &StuffedOptions, problems: &mut Problems) {
    let has = |name: &str| section.member(name).is_some();
    match (has("end"), &options.length) {
        (false, None) => {
            let why = "\"end\" is missing: the bytes with which a frame ends; or \"length\", the field that says how long it is";
            problems.add(section, why);
        }
        (true, Some(_)) => problems.member(section, "length", "stands instead of \"end\""),
        (true, None) if has("add") => {
            problems.member(section, "add", "belongs to \"length\"");
        }
        (true, None) => {}
        (false, Some(_)) => {
            for name in ["after", "keep"].into_iter().filter(|name| has(name)) {
                let why = "belongs to \"end\": with \"length\" the whole frame is handed on";
                problems.member(section, name, why);
            }
        }
    }
}

fn read_length(
    section: &Section<'_>,
    text: &str,
    add: Option<i64>,
    problems: &mut Problems,
) -> Option<Length> {
    match IntegerAt::parse(text, Endian::Big) {
        Ok(field) if field.at.is_some_and(|at| at < 0) => {
            let why = "a length field has its place from the frame's first byte";
            problems.member(section, "length", why);
            None
        }
        Ok(field) => Some(Length {
            field,
            add: add.unwrap_or(0),
        }),
        Err(error) => {
            problems.notation(section, "length", error);
            None
        }
    }
}

impl Stuffed {
    fn new(
        common: &Common,
        end: Option<Needles>,
        length: Option<Length>,
        escapes: Escapes,
    ) -> Option<Self> {
        let start = common.start.clone();
        let is_end = |start: &[u8]| end.as_ref().is_some_and(|end| end.has(start));
        let shared = start.as_ref().is_some_and(|start| start.iter().all(is_end))
            && !common.is_inner
            && common.ignore.is_empty();
        let starts = start.iter().flat_map(Needles::iter);
        let starts = starts.filter(|start| escapes.cover(start));
        let ends = end.iter().flat_map(Needles::iter);
        let tokens = Needles::joined(ends.chain(starts).chain(escapes.marks()));
        Some(Stuffed {
            // Without flag and escape nothing is to be found; any sequence does.
            tokens: tokens.or_else(|| Needles::new(vec![vec![0]]))?,
            start,
            end,
            escapes,
            length,
            after: 0,
            keep: false,
            shared,
            max_bytes: common.max_bytes,
        })
    }

    /// Frames that only an end cuts.
    pub fn without_start(common: &Common, end: Needles, escapes: Escapes) -> Option<Self> {
        let common = Common {
            start: None,
            ..common.clone()
        };
        Stuffed::new(&common, Some(end), None, escapes)
    }

    pub fn lookahead(&self) -> usize {
        self.tokens.longest().len()
    }

    pub fn taken_before(&self) -> usize {
        let start = self.start.as_ref().filter(|_| self.shared);
        start.map_or(0, |start| start.longest().len())
    }

    pub fn can_resync(&self) -> bool {
        self.end.is_some()
    }

    /// What of a frame are the bytes that were wrapped.
    pub fn wrapped<'f>(&self, frame: &'f [u8]) -> &'f [u8] {
        let start = match self.length {
            Some(_) => length_at(self.start.as_ref(), frame),
            None => 0,
        };
        frame.get(start..).unwrap_or_default()
    }

    /// Escapes what is between start and end and puts them around; the last `after` bytes go behind.
    /// With a length field only the start is put before the escaped bytes, which hold the field.
    pub fn wrap(&self, body: &[u8]) -> Result<Vec<u8>, WrapError> {
        let parts = match self.keep {
            true => self.kept(body),
            false => self.bare(body),
        };
        let parts = parts.ok_or(WrapError::Ambiguous)?;
        let content = self.escapes.write(parts.content, &self.flags());
        Ok([parts.start, &content, parts.end, parts.after].concat())
    }

    /// The parts of a frame that was handed on without its flags.
    fn bare<'b>(&'b self, body: &'b [u8]) -> Option<Parts<'b>> {
        let (content, after) = body.split_at_checked(body.len().checked_sub(self.after)?)?;
        Some(Parts {
            start: self.start.as_ref().map_or(&[], Needles::longest),
            content,
            end: self.end.as_ref().map_or(&[], Needles::longest),
            after,
        })
    }

    /// The parts of a frame that was kept whole.
    fn kept<'b>(&'b self, body: &'b [u8]) -> Option<Parts<'b>> {
        let (start, rest) = body.split_at_checked(length_at(self.start.as_ref(), body))?;
        let (rest, after) = rest.split_at_checked(rest.len().checked_sub(self.after)?)?;
        let mut ends = self.end.iter().flat_map(Needles::iter);
        let end = ends.find(|end| rest.ends_with(end))?;
        Some(Parts {
            start,
            content: rest.strip_suffix(end)?,
            end,
            after,
        })
    }

    /// Says what stood around the frame, and what was escaped in it.
    pub fn explain(&self, taken: Taken<'_>, into: &mut Explanation) {
        let (wire, frame) = (taken.wire, taken.frame);
        let own_start = self.start.as_ref().filter(|_| !self.shared);
        let start = wire.get(..length_at(own_start, wire)).unwrap_or_default();
        let before = wire.len().saturating_sub(self.after);
        let mut ends = self.end.iter().flat_map(Needles::iter);
        let ended = |end: &&[u8]| wire.get(..before).is_some_and(|wire| wire.ends_with(end));
        let end = ends.find(ended).unwrap_or_default();
        let whole = self.keep || self.length.is_some();
        let mut rule = "stuffed".to_owned();
        taken_off("start", start, whole, &mut rule);
        taken_off("end", end, whole, &mut rule);
        if let Some(length) = &self.length
            && let Ok(read) = length.field.read(frame, start.len())
        {
            rule.push_str(&format!(
                "; length {} = {}, add {}",
                length.field, read.value, length.add
            ));
            into.mark(read.start..read.end, format!("length = {}", read.value));
        }
        let flags = if whole {
            0
        } else {
            start.len().saturating_add(end.len())
        };
        let shared_start = if self.keep && self.shared {
            end.len()
        } else {
            0
        };
        let plain = frame.len().saturating_sub(shared_start);
        let escaped = wire.len().saturating_sub(flags);
        into.unescaped = escaped != plain;
        match into.unescaped {
            true => rule.push_str(&format!("; {escaped} bytes with escapes, {plain} without")),
            false => rule.push_str("; nothing was escaped"),
        }
        into.say(rule.replacen(';', ":", 1));
        if whole {
            let first = start.len().max(shared_start);
            into.mark(0..first, "start");
            into.mark_end(end, frame.len().saturating_sub(self.after));
        }
    }

    fn covers_starts(&self) -> bool {
        let mut starts = self.start.iter().flat_map(Needles::iter);
        starts.all(|start| self.escapes.cover(start))
    }

    fn flags(&self) -> Vec<&Needles> {
        self.start.iter().chain(&self.end).collect()
    }

    fn is_end(&self, token: &[u8]) -> bool {
        self.end.as_ref().is_some_and(|end| end.has(token))
    }

    fn is_start(&self, token: &[u8]) -> bool {
        self.start.as_ref().is_some_and(|start| start.has(token))
    }

    /// What the token of that length at that place is.
    fn token(&self, bytes: &[u8], place: usize, length: usize) -> Token<'_> {
        let rest = bytes.get(place..).unwrap_or_default();
        let token = rest.get(..length).unwrap_or_default();
        if self.is_end(token) {
            return Token::End;
        }
        if self.is_start(token) && self.escapes.cover(token) {
            return Token::Start;
        }
        match self.escapes.read_at(token, rest, &self.flags()) {
            Escaped::Sequence(replacement) => Token::Plain(Cow::Borrowed(replacement), length),
            Escaped::Byte(byte) => Token::Plain(Cow::Owned(vec![byte]), 2),
            Escaped::Short => Token::Short,
            Escaped::Nothing(length) => Token::Wrong(length),
        }
    }
}

/// What a frame is put together of.
#[derive(Debug)]
struct Parts<'b> {
    start: &'b [u8],
    content: &'b [u8],
    end: &'b [u8],
    after: &'b [u8],
}

/// Something in a frame that is not plain content.
#[derive(Debug)]
enum Token<'k> {
    End,
    Start,
    /// These bytes, escaped in so many.
    Plain(Cow<'k, [u8]>, usize),
    /// An escape whose next byte has not come.
    Short,
    /// An escape that stands for nothing, of which so many bytes are known.
    Wrong(usize),
}
