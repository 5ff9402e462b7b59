//! Frames between flags that do not occur in their content, because it is escaped.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::bounded::{self, Common};
use super::escapes::{EscapeOptions, Escaped, Escapes};
use super::needles::{Found, Match, Needles, length_at};
use super::{Broken, Framer, More, Resync, Skipped, Step, WrapError, saturated};
use crate::document::{Problems, Section};
use crate::notation::{Endian, IntegerAt, ReadError};

/// Members of kind `stuffed`, beside the common ones.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StuffedOptions {
    /// One byte sequence or a list of them: any ends the frame.
    #[serde(default, rename = "end")]
    _end: IgnoredAny,
    /// Pairs of an escape sequence and what it stands for.
    #[serde(default, rename = "escapes")]
    _escapes: IgnoredAny,
    /// A byte behind which the next one is changed.
    escape: Option<String>,
    /// The changed byte is this one exclusive-or with it.
    xor: Option<u8>,
    /// The changed byte is so much more.
    subtract: Option<u8>,
    /// Instead of `end`: the length field, `TYPE [at N]`, that counts unescaped bytes.
    length: Option<String>,
    /// Bytes of the frame that the length field does not count.
    add: Option<i64>,
    /// Bytes behind the end that belong to the frame, not escaped.
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
            && common.alone
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

/// How far a frame was looked at.
#[derive(Clone, Debug, Default)]
struct Scan {
    /// Where the next token is looked for.
    at: usize,
    /// The bytes before it, unescaped; at most as many.
    plain: Vec<u8>,
    /// How many unescaped bytes to come to: those of the length field, then all of the frame.
    target: usize,
    /// Where the length field ends, once it was read.
    field_end: Option<usize>,
}

impl Scan {
    /// Takes plain bytes up to `to`, at most up to the target.
    fn take(&mut self, bytes: &[u8], to: usize) {
        let wanted = self.target.saturating_sub(self.plain.len());
        let to = to.min(self.at.saturating_add(wanted));
        if let Some(run) = bytes.get(self.at..to) {
            self.plain.extend_from_slice(run);
            self.at = to;
        }
    }

    fn is_there(&self) -> bool {
        self.plain.len() >= self.target
    }
}

/// Remembers how far it has looked and what that is unescaped.
#[derive(Debug)]
pub(super) struct StuffedFramer {
    kind: Arc<Stuffed>,
    scan: Scan,
    /// The flag before the frame has come; only where flags are shared.
    opened: bool,
    dropping: bool,
}

impl StuffedFramer {
    pub fn new(kind: &Arc<Stuffed>) -> Self {
        StuffedFramer {
            kind: Arc::clone(kind),
            scan: Scan::default(),
            opened: false,
            dropping: false,
        }
    }

    /// Takes a shared flag alone, and what comes before the first.
    fn flag(&mut self, bytes: &[u8], waits: bool) -> Option<Step<'static>> {
        let flag = self.kind.end.as_ref().filter(|_| self.kind.shared)?;
        match flag.at(bytes, waits) {
            Match::Full(count) => {
                self.opened = true;
                Some(Step::Skip {
                    count,
                    why: Skipped::Empty,
                })
            }
            _ if self.opened => None,
            Match::Partial => Some(Step::Need(bytes.len().saturating_add(1))),
            Match::No => Some(Step::Skip {
                count: bounded::garbage(flag, bytes),
                why: Skipped::Garbage,
            }),
        }
    }
}

impl Stuffed {
    fn begin(&self, scan: &mut Scan, bytes: &[u8]) {
        if scan.at > 0 {
            return;
        }
        let own_start = self.start.as_ref().filter(|_| !self.shared);
        scan.at = length_at(own_start, bytes);
        scan.target = usize::MAX;
        if self.length.is_some() {
            scan.plain = bytes.get(..scan.at).unwrap_or_default().to_vec();
            scan.target = scan.at;
        }
    }

    /// Goes from token to token up to the end of the frame or of the bytes.
    fn scan<'b>(&self, scan: &mut Scan, bytes: &'b [u8], waits: bool) -> Step<'b> {
        self.begin(scan, bytes);
        loop {
            if scan.is_there()
                && let Some(step) = self.whole(scan)
            {
                return step;
            }
            let found = self.tokens.find(self.reach(scan, bytes), scan.at, waits);
            let place = match found {
                Found::At(place, _) | Found::Maybe(place) => place,
                Found::Nowhere => bytes.len(),
            };
            scan.take(bytes, place);
            if scan.is_there() {
                continue;
            }
            let Found::At(place, length) = found else {
                return self.need(scan, bytes);
            };
            match self.token(bytes, place, length) {
                Token::Plain(plain, length) => {
                    scan.plain.extend_from_slice(&plain);
                    scan.at = place.saturating_add(length);
                }
                Token::End => return self.end(scan, bytes, place.saturating_add(length)),
                Token::Start => {
                    return Step::Skip {
                        count: place,
                        why: Skipped::Garbage,
                    };
                }
                Token::Short => return self.need(scan, bytes),
                Token::Wrong(_) => return Step::Broken(Broken::Escape),
            }
            if self.least(scan) > self.max_bytes {
                return Step::Broken(Broken::TooLong {
                    maximum: self.max_bytes,
                });
            }
        }
    }

    /// The bytes that may matter before the target.
    fn reach<'b>(&self, scan: &Scan, bytes: &'b [u8]) -> &'b [u8] {
        let wanted = scan.target.saturating_sub(scan.plain.len());
        let reach = scan.at.saturating_add(wanted);
        let reach = reach.saturating_add(self.tokens.longest().len());
        bytes.get(..reach).unwrap_or(bytes)
    }

    /// The least that the frame can take, where its length is known.
    fn least(&self, scan: &Scan) -> usize {
        match self.length {
            Some(_) => {
                let rest = scan.target.saturating_sub(scan.plain.len());
                scan.at.saturating_add(rest)
            }
            None => 0,
        }
    }

    fn need(&self, scan: &Scan, bytes: &[u8]) -> Step<'static> {
        Step::Need(bytes.len().saturating_add(1).max(self.least(scan)))
    }

    /// Called at the target: the frame, or `None` with the target further on.
    fn whole(&self, scan: &mut Scan) -> Option<Step<'static>> {
        let length = self.length.as_ref()?;
        if let Some(body) = scan.field_end {
            if scan.plain.len() > scan.target {
                return Some(Step::Broken(Broken::Length));
            }
            let frame = Cow::Owned(std::mem::take(&mut scan.plain));
            return Some(Step::Frame {
                take: scan.at,
                frame,
                body,
            });
        }
        let start = length_at(self.start.as_ref(), &scan.plain);
        let read = match length.field.read(&scan.plain, start) {
            Ok(read) => read,
            Err(ReadError::Short { needed }) => {
                scan.target = needed;
                return self.too_long(scan);
            }
            Err(ReadError::Invalid(_)) => return Some(Step::Broken(Broken::Length)),
        };
        let total = saturated(read.value.saturating_add(i128::from(length.add)));
        if read.value < 0 || total < read.end {
            return Some(Step::Broken(Broken::Length));
        }
        scan.target = total;
        scan.field_end = Some(read.end);
        self.too_long(scan)
    }

    fn too_long(&self, scan: &Scan) -> Option<Step<'static>> {
        (self.least(scan) > self.max_bytes).then_some(Step::Broken(Broken::TooLong {
            maximum: self.max_bytes,
        }))
    }

    /// The frame that ends before `behind`, with what belongs to it behind its end.
    fn end<'b>(&self, scan: &mut Scan, bytes: &'b [u8], behind: usize) -> Step<'b> {
        let take = behind.saturating_add(self.after);
        let Some(all) = bytes.get(..take) else {
            return Step::Need(take);
        };
        let end = all.get(scan.at..behind).unwrap_or_default();
        if scan.plain.is_empty() {
            // The flag may start the next frame, if that is not known to have its own.
            let count = if self.is_start(end) { scan.at } else { take };
            return Step::Skip {
                count,
                why: Skipped::Empty,
            };
        }
        let after = all.get(behind..).unwrap_or_default();
        let plain = std::mem::take(&mut scan.plain);
        let frame = if self.keep {
            let own_start = length_at(self.start.as_ref().filter(|_| !self.shared), bytes);
            let start = if self.shared {
                Some(end)
            } else {
                all.get(..own_start)
            };
            [start.unwrap_or_default(), &plain, end, after].concat()
        } else if after.is_empty() {
            plain
        } else {
            [&plain, after].concat()
        };
        Step::Frame {
            take,
            frame: Cow::Owned(frame),
            body: 0,
        }
    }

    /// The first place from `at` on behind which the next frame may begin: how many bytes to drop,
    /// and whether that is all.
    fn flag_from(&self, bytes: &[u8], mut at: usize) -> (usize, bool) {
        loop {
            let (place, length) = match self.tokens.find(bytes, at, true) {
                Found::At(place, length) => (place, length),
                Found::Maybe(place) => return (place, false),
                Found::Nowhere => return (bytes.len(), false),
            };
            let token = bytes.get(place..place.saturating_add(length));
            let length = match self.token(bytes, place, length) {
                Token::End if !token.is_some_and(|token| self.is_start(token)) => {
                    let take = place.saturating_add(length).saturating_add(self.after);
                    let whole = take <= bytes.len();
                    return (if whole { take } else { place }, whole);
                }
                Token::End | Token::Start => return (place, true),
                Token::Plain(_, length) | Token::Wrong(length) => length,
                Token::Short => return (place, false),
            };
            at = place.saturating_add(length);
        }
    }
}

impl Framer for StuffedFramer {
    fn next<'b>(&mut self, bytes: &'b [u8], more: More) -> Step<'b> {
        let waits = more == More::Yes;
        if let Some(step) = self.flag(bytes, waits) {
            return step;
        }
        // What lies behind the maximum only shows whether the frame ends before it, and what is
        // asked as if nothing more came is not final: both leave the scan as it is.
        let maximum = self.kind.max_bytes.saturating_sub(self.kind.taken_before());
        let remembers = waits && bytes.len() <= maximum;
        let mut scan = match remembers {
            true => std::mem::take(&mut self.scan),
            false => self.scan.clone(),
        };
        let step = self.kind.scan(&mut scan, bytes, waits);
        if remembers {
            self.scan = scan;
        }
        step
    }

    fn consumed(&mut self, _count: usize) {
        self.scan = Scan::default();
    }

    fn resync(&self) -> Resync {
        match (&self.kind.start, &self.kind.end) {
            (None, None) => Resync::Never,
            _ => Resync::End,
        }
    }

    fn drop_broken(&mut self, bytes: &[u8]) -> (usize, bool) {
        let from = if self.dropping {
            0
        } else {
            self.scan.at.max(1)
        };
        let (count, done) = self.kind.flag_from(bytes, from.min(bytes.len()));
        self.dropping = !done;
        (count, done)
    }
}
