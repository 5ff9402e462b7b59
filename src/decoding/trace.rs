//! How a frame was read, step by step, for who wants to see it.

use std::ops::Range;

use super::run::Run;
use crate::message::{Name, Value};

/// Everything that was read of a frame, in the order of reading.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace(pub Vec<Noted>);

/// One thing that was read, or not.
#[derive(Clone, Debug, PartialEq)]
pub struct Noted {
    /// In how many others it stands, which come before it.
    pub depth: usize,
    /// Its bytes in the frame, none of them for what reads nothing; `None` for what is read of
    /// bytes that were made, such as those of `unhex`.
    pub place: Option<Range<usize>>,
    /// Whether a place was asked for with `at`.
    pub elsewhere: bool,
    /// What it is.
    pub what: What,
}

/// What was read.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A layout begins; the decoder itself has no name. Without fields of its own it has no kind.
    Layout {
        /// Its name.
        name: Option<Name>,
        /// How it reads.
        kind: Option<&'static str>,
    },
    /// The layout that reads on was selected.
    Selected {
        /// The field that selects.
        by: Name,
        /// Its value.
        value: Option<Value>,
        /// The case, counted from 0; `None` is the default.
        case: Option<usize>,
    },
    /// An element of the list that it stands in, counted from 1.
    Element(usize),
    /// A field string.
    Field(Field),
    /// Bytes that the decoder itself needs, such as a tag or a separator.
    Own(String),
}

/// What came of a field string.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// The field.
    pub name: Name,
    /// The field string as it is written.
    pub written: Name,
    /// The value before the steps.
    pub raw: Option<Value>,
    /// What it has set: its value in the end, and its bits.
    pub set: Vec<(Name, Value)>,
    /// Why it has set nothing, or nothing yet.
    pub left_out: Option<&'static str>,
    /// Why the frame cannot be decoded by it.
    pub failed: Option<String>,
}

/// Takes the notes of one frame.
#[derive(Debug)]
pub(super) struct Recorder {
    noted: Vec<Noted>,
    /// Of each note the element that it stands in.
    levels: Vec<usize>,
    depth: usize,
    /// The element that is read; 0 is the frame itself.
    level: usize,
    /// Elements so far.
    elements: usize,
    /// Where the bytes that are read begin in the frame; `None` for bytes that were made.
    origin: Option<usize>,
    /// Where the text of the next field stands in the bytes that are read.
    source: Option<Range<usize>>,
    /// Where the next part begins in the frame.
    part: Option<usize>,
}

impl Recorder {
    /// For a frame of which nothing has been read.
    pub fn new() -> Self {
        Recorder {
            noted: Vec::new(),
            levels: Vec::new(),
            depth: 0,
            level: 0,
            elements: 0,
            origin: Some(0),
            source: None,
            part: None,
        }
    }

    /// What was noted.
    pub fn into_trace(self) -> Trace {
        Trace(self.noted)
    }

    /// A place of the bytes that are read as one of the frame.
    fn place(&self, place: Range<usize>) -> Option<Range<usize>> {
        let origin = self.origin?;
        Some(origin.checked_add(place.start)?..origin.checked_add(place.end)?)
    }

    fn push(&mut self, place: Range<usize>, what: What) -> usize {
        self.noted.push(Noted {
            depth: self.depth,
            place: self.place(place),
            elsewhere: false,
            what,
        });
        self.levels.push(self.level);
        self.noted.len().saturating_sub(1)
    }

    fn noted(&mut self, note: Option<usize>) -> Option<&mut Noted> {
        self.noted.get_mut(note?)
    }

    /// The field of that name that was noted last in the frame or element that is read.
    fn field(&mut self, name: &Name) -> Option<(&mut Field, Option<Range<usize>>)> {
        let level = self.level;
        let mut latest = self.noted.iter_mut().zip(&self.levels).rev();
        latest.find_map(|(noted, own)| match &mut noted.what {
            What::Field(field) if *own == level && field.name == *name => {
                Some((field, noted.place.clone()))
            }
            _ => None,
        })
    }
}

/// Notes. Without a recorder each of them is one check, and nothing is made.
impl Run<'_> {
    /// Whether notes are taken.
    #[inline]
    pub fn is_traced(&self) -> bool {
        self.trace.is_some()
    }

    /// Begins what others may stand in, at the place to be read next.
    pub fn begin(&mut self, what: impl FnOnce() -> What) -> Option<usize> {
        self.begin_with(|_| what())
    }

    /// [`Run::begin`] for what is made of what has been read.
    pub fn begin_with(&mut self, what: impl FnOnce(&Self) -> What) -> Option<usize> {
        self.trace.as_ref()?;
        let what = what(self);
        let recorder = self.trace.as_mut()?;
        let position = self.cursor.position();
        let place = recorder.source.take().unwrap_or(position..position);
        let note = recorder.push(place, what);
        recorder.depth = recorder.depth.saturating_add(1);
        Some(note)
    }

    /// [`Run::begin`] for a field string.
    #[inline]
    pub fn begin_field(&mut self, name: &Name, written: &Name) -> Option<usize> {
        self.trace.as_ref()?;
        self.begin(|| {
            What::Field(Field {
                name: name.clone(),
                written: written.clone(),
                raw: None,
                set: Vec::new(),
                left_out: None,
                failed: None,
            })
        })
    }

    /// The place to be read next is another one, which was asked for.
    pub fn moved(&mut self, note: Option<usize>) {
        if let Some(recorder) = &mut self.trace {
            let position = self.cursor.position();
            let place = recorder.place(position..position);
            if let Some(noted) = recorder.noted(note) {
                (noted.place, noted.elsewhere) = (place, true);
            }
        }
    }

    /// It is these bytes of those that are read.
    #[inline]
    pub fn covers(&mut self, note: Option<usize>, bytes: &[u8]) {
        if self.trace.is_some() {
            let place = self.place_of(bytes);
            if let Some(recorder) = &mut self.trace {
                let place = place.and_then(|place| recorder.place(place));
                if let Some(noted) = recorder.noted(note) {
                    noted.place = place;
                }
            }
        }
    }

    /// It was read up to here.
    #[inline]
    pub fn reached(&mut self, note: Option<usize>) {
        if let Some(recorder) = &mut self.trace {
            let origin = recorder.origin;
            let end = origin.and_then(|origin| origin.checked_add(self.cursor.position()));
            let place = recorder.noted(note).and_then(|noted| noted.place.as_mut());
            if let (Some(place), Some(end)) = (place, end) {
                place.end = end.max(place.start);
            }
        }
    }

    /// It sets nothing.
    pub fn left_out(&mut self, note: Option<usize>, why: &'static str) {
        if let Some(recorder) = &mut self.trace
            && let Some(What::Field(field)) = recorder.noted(note).map(|noted| &mut noted.what)
        {
            field.left_out = Some(why);
        }
    }

    /// [`Run::left_out`] for the field of that name.
    pub fn leave_out(&mut self, name: &Name, why: &'static str) {
        if let Some(recorder) = &mut self.trace
            && let Some((field, _)) = recorder.field(name)
        {
            field.left_out = Some(why);
        }
    }

    /// Ends it, and says what came of it.
    #[inline]
    pub fn end(&mut self, note: Option<usize>, read: &Result<(), String>) {
        if let Some(recorder) = &mut self.trace {
            recorder.depth = recorder.depth.saturating_sub(1);
            recorder.source = None;
            let what = recorder.noted(note).map(|noted| &mut noted.what);
            if let (Err(why), Some(What::Field(field))) = (read, what) {
                field.failed = Some(why.clone());
            }
        }
    }

    /// A field that is set without a field string.
    pub fn found(&mut self, name: &Name, value: &Value) {
        let note = self.begin_field(name, name);
        self.came_to(name, name, value);
        self.end(note, &Ok(()));
    }

    /// The value of a field before its steps.
    pub fn came_from(&mut self, name: &Name, value: &Value) {
        if let Some(recorder) = &mut self.trace
            && let Some((field, _)) = recorder.field(name)
        {
            field.raw.get_or_insert_with(|| value.clone());
        }
    }

    /// What a field has set, itself or one of its bits, for the first time or again.
    pub fn came_to(&mut self, field: &Name, name: &Name, value: &Value) {
        if let Some(recorder) = &mut self.trace
            && let Some((field, _)) = recorder.field(field)
        {
            field.set.retain(|(known, _)| known != name);
            field.set.push((name.clone(), value.clone()));
        }
    }

    /// Bytes that the decoder itself needs.
    pub fn own(&mut self, bytes: &[u8], text: impl FnOnce() -> String) {
        if self.trace.is_some() {
            let place = self.place_of(bytes);
            if let (Some(recorder), Some(place)) = (&mut self.trace, place) {
                recorder.push(place, What::Own(text()));
            }
        }
    }

    /// The text of the next field is these bytes of those that are read.
    pub fn source(&mut self, bytes: &[u8]) {
        if self.trace.is_some() {
            let place = self.place_of(bytes);
            if let Some(recorder) = &mut self.trace {
                recorder.source = place;
            }
        }
    }

    /// The bytes that a field has read are read on by a layout: as they stand there, or as they
    /// were made of them.
    pub fn part_of(&mut self, name: &Name, part: &[u8]) {
        let bytes = self.frame.bytes;
        if let Some(recorder) = &mut self.trace {
            let place = recorder.field(name).and_then(|(_, place)| place);
            let start = place.map(|place| place.start);
            let local = start.zip(recorder.origin);
            let local = local.and_then(|(start, origin)| start.checked_sub(origin));
            let there = local.and_then(|local| bytes.get(local..));
            let same = there.is_some_and(|there| there.starts_with(part));
            recorder.part = start.filter(|_| same);
        }
    }

    /// These bytes of those that are read are read on by a layout.
    pub fn part_at(&mut self, part: &[u8]) {
        if self.trace.is_some() {
            let place = self.place_of(part);
            if let Some(recorder) = &mut self.trace {
                let place = place.and_then(|place| recorder.place(place));
                recorder.part = place.map(|place| place.start);
            }
        }
    }

    /// Goes into an element of a list; gives where to come back to.
    pub fn go_to_element(&mut self) -> Option<usize> {
        let recorder = self.trace.as_mut()?;
        recorder.elements = recorder.elements.saturating_add(1);
        Some(std::mem::replace(&mut recorder.level, recorder.elements))
    }

    /// Comes back from an element.
    pub fn leave_element(&mut self, outer: Option<usize>) {
        if let (Some(recorder), Some(outer)) = (&mut self.trace, outer) {
            recorder.level = outer;
        }
    }

    /// Goes into a part; gives where to come back to.
    pub fn go_inside(&mut self) -> Option<usize> {
        let recorder = self.trace.as_mut()?;
        std::mem::replace(&mut recorder.origin, recorder.part.take())
    }

    /// Comes back out of a part.
    pub fn come_back(&mut self, origin: Option<usize>) {
        if let Some(recorder) = &mut self.trace {
            recorder.origin = origin;
        }
    }

    /// Where bytes stand that were taken of those that are read.
    fn place_of(&self, bytes: &[u8]) -> Option<Range<usize>> {
        let all = self.frame.bytes;
        let start = bytes.as_ptr().addr().checked_sub(all.as_ptr().addr())?;
        let end = start.checked_add(bytes.len())?;
        (end <= all.len()).then_some(start..end)
    }
}
