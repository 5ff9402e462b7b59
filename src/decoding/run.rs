//! What the decoding of one frame has come to.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::Offset;

use super::layout::{Layout, read_on};
use super::made::Join;
use super::moments;
use super::steps::{Negation, Number, Step, Steps, integer};
use super::trace::Recorder;
use crate::cursor::Cursor;
use crate::message::{Extent, Fields, Frame, Label, Name, Reading, Value};
use crate::notation::Condition;
use crate::script::Caller;

/// Values of one frame, those in lists included.
pub(super) const MOST_VALUES: usize = 10_000;
/// Fields that room is made for before they are read; conditions may leave most of them out.
const MOST_EXPECTED: usize = 32;
/// How deep lists may stand in lists, and parts that layouts read in such parts.
pub(super) const MOST_DEEP: usize = 8;
/// Bytes of texts in lists beyond four times the frame: elements may read the same place each.
const MOST_TEXT: usize = 1 << 20;
/// Bytes that a value takes at least, beside what it says.
pub(super) const PLACE: usize = 8;

/// Why a field that was read is not there.
pub(super) const EMPTY: &str = "it is empty";
/// Why a field was not read.
pub(super) const NOT_WANTED: &str = "its condition does not hold";

/// One frame on its way to a reading.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub frame: Frame<'a>,
    /// Where the next field is read.
    pub cursor: Cursor<'a>,
    pub reading: Reading,
    /// All layouts, for the elements of lists.
    pub layouts: &'a [Layout],
    /// The connection that a script is called for.
    pub caller: Option<&'a Caller>,
    /// Takes notes, where somebody wants to see how the frame is read.
    pub trace: Option<Box<Recorder>>,
    pub level: Level,
    /// How many parts, one in the other, what is read stands in.
    inside: usize,
    values_left: usize,
    text_left: usize,
}

/// The frame itself, or the element of a list that is being read.
#[derive(Debug, Default)]
pub(super) struct Level {
    /// Its fields are those behind so many of the reading's.
    pub base: usize,
    pub depth: usize,
    /// Whether it is part of a list only, so that its field `time` is a value like others.
    inner: bool,
    pub time: Option<Timestamp>,
    /// What is done when every field has been read.
    late: Vec<Late>,
    /// The marks of its names: of most fields they say that none of it is theirs.
    late_marks: u64,
}

impl Level {
    /// That of an element of which nothing has been read.
    pub fn of_element(base: usize, depth: usize, inner: bool) -> Self {
        Level {
            base,
            depth,
            inner,
            ..Level::default()
        }
    }
}

/// What needs all fields of a frame or an element.
#[derive(Debug)]
pub(super) enum Late {
    /// The sign of a number.
    Negate {
        name: Label,
        when: Arc<Negation>,
    },
    Join(Arc<Join>),
}

impl Late {
    fn name(&self) -> &Label {
        match self {
            Late::Negate { name, .. } => name,
            Late::Join(join) => &join.name,
        }
    }
}

impl<'a> Run<'a> {
    /// At the beginning of the frame's body; the reading comes back from a frame that has none.
    pub fn new(
        frame: Frame<'a>,
        reading: Reading,
        layouts: &'a [Layout],
    ) -> Result<Self, Box<Reading>> {
        match Cursor::at(frame.bytes, frame.body.start) {
            None => Err(Box::new(reading)),
            Some(cursor) => Ok(Run {
                frame,
                cursor,
                reading,
                layouts,
                caller: None,
                trace: None,
                level: Level::default(),
                inside: 0,
                values_left: MOST_VALUES,
                text_left: frame
                    .bytes
                    .len()
                    .saturating_mul(4)
                    .saturating_add(MOST_TEXT),
            }),
        }
    }

    /// What has been read.
    pub fn into_reading(self) -> Reading {
        Reading {
            time: self.level.time,
            ..self.reading
        }
    }

    /// The whole body, whatever has been read of it.
    pub fn body(&self) -> &'a [u8] {
        self.frame
            .bytes
            .get(self.frame.body.start..)
            .unwrap_or_default()
    }

    /// Makes room for about so many more fields.
    pub fn expect(&mut self, count: usize) {
        self.reading.fields.reserve(count.min(MOST_EXPECTED));
    }

    /// Whether a field's condition lets it be read.
    #[inline]
    pub fn wants(&self, condition: Option<&Condition>) -> bool {
        condition.is_none_or(|condition| condition.holds(&self.reading.fields, self.frame.bytes))
    }

    /// Takes a value through its steps and sets it; where a layout reads it, that layout's fields too.
    pub fn set(&mut self, name: &Label, steps: &Steps, value: Value) -> Result<(), String> {
        if !steps.steps.is_empty() {
            self.came_from(name, &value);
        }
        self.set_by(name, steps, &steps.steps, value)
    }

    /// [`Run::set`] where only these steps are left to be done.
    pub fn set_by(
        &mut self,
        name: &Label,
        steps: &Steps,
        left: &[Step],
        mut value: Value,
    ) -> Result<(), String> {
        for step in left {
            value = step.apply(value).map_err(|why| format!("{name} {why}"))?;
        }
        if matches!(&value, Value::Text(text) if text.is_empty()) {
            self.leave_out(name, EMPTY);
            return Ok(());
        }
        if let Value::Integer(number) = value {
            in_range(name, number.get())?;
        }
        if steps.are_all() && !self.is_traced() {
            self.forget(name);
            return self.put_hidden(name, value, steps.zone, false);
        }
        self.set_more(name, steps, value)
    }

    /// [`Run::set`] for a number.
    #[inline]
    pub fn set_number(
        &mut self,
        name: &Label,
        steps: &Steps,
        number: Number,
    ) -> Result<(), String> {
        if !steps.are_all() || self.is_traced() || &***name == "time" {
            return self.set(name, steps, number.into());
        }
        let number = number.behind(&steps.steps);
        let (number, left) = number.map_err(|why| format!("{name} {why}"))?;
        if !left.is_empty() {
            return self.set_by(name, steps, left, number.into());
        }
        if let Number::Integer(number) = number {
            in_range(name, number)?;
        }
        self.forget(name);
        let (base, fields) = (self.level.base, &mut self.reading.fields);
        // Each apart: what is not yet known is copied once more.
        match number {
            Number::Integer(number) => fields.set_label(base, name, false, Value::integer(number)),
            Number::Float(number) => fields.set_label(base, name, false, Value::Float(number)),
        }
        Ok(())
    }

    /// Sets a value behind its steps, and what else is made of it.
    fn set_more(&mut self, name: &Label, steps: &Steps, value: Value) -> Result<(), String> {
        // What is known to be absent has no parts.
        if !matches!(value, Value::Null) && !steps.bits.is_empty() {
            let whole = integer(&value).map_err(|why| format!("{name} {why}"))?;
            for bits in &steps.bits {
                let value = bits.of(whole);
                self.came_to(name, &bits.name, &value);
                self.forget(&bits.name);
                let fields = &mut self.reading.fields;
                fields.set_label(self.level.base, &bits.name, false, value);
            }
        }
        self.came_to(name, name, &value);
        self.forget(name);
        if let Some(when) = &steps.negate {
            self.postpone(Late::Negate {
                name: name.clone(),
                when: Arc::clone(when),
            });
        }
        let (zone, hidden) = (steps.zone, steps.dropped);
        let Some(layout) = steps.with else {
            return self.put_hidden(name, value, zone, hidden);
        };
        let part = part(&value).map_err(|why| format!("{name} {why}"))?;
        self.put_hidden(name, value, zone, hidden)?;
        let Some(part) = part else { return Ok(()) };
        self.part_of(name, &part);
        let read = self.inside(&part, |run| run.read_layout(layout));
        read.map_err(|why| format!("{name}: {why}"))
    }

    /// Reads by a layout whose fields join those around it.
    pub fn read_layout(&mut self, index: usize) -> Result<(), String> {
        let layout = self.layouts.get(index).ok_or("no such layout")?;
        read_on(layout, self).map(drop)
    }

    /// Reads bytes as if they were the frame; what is read joins the fields around it.
    pub fn inside(
        &mut self,
        bytes: &[u8],
        read: impl FnOnce(&mut Run<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        self.count_value()?;
        if self.inside >= MOST_DEEP {
            return Err(format!("parts stand in parts more than {MOST_DEEP} deep"));
        }
        let origin = self.go_inside();
        let mut part = Run {
            frame: Frame {
                bytes,
                body: Extent::default(),
            },
            cursor: Cursor::new(bytes),
            reading: std::mem::take(&mut self.reading),
            layouts: self.layouts,
            caller: None,
            trace: self.trace.take(),
            level: std::mem::take(&mut self.level),
            inside: self.inside.saturating_add(1),
            values_left: self.values_left,
            text_left: self.text_left,
        };
        let read = read(&mut part);
        self.reading = part.reading;
        self.level = part.level;
        self.values_left = part.values_left;
        self.text_left = part.text_left;
        self.trace = part.trace;
        self.come_back(origin);
        read
    }

    /// Leaves something to be done when every field has been read; of one name only the last.
    pub fn postpone(&mut self, late: Late) {
        self.forget(late.name());
        self.level.late_marks |= late.name().mark();
        self.level.late.push(late);
    }

    /// What is read again is no more what an earlier field string wanted to be done.
    #[inline]
    fn forget(&mut self, name: &Label) {
        if self.level.late_marks & name.mark() != 0 {
            self.level.late.retain(|late| late.name() != name);
        }
    }

    /// Sets values as they are.
    pub fn put_all(&mut self, values: Fields) -> Result<(), String> {
        let top = self.level.depth == 0 && self.inside == 0;
        let first = top && self.reading.fields.is_empty();
        if first && values.get("time").is_none() {
            self.reading.fields.replace_by(values);
            return Ok(());
        }
        let mut hidden = false;
        for (name, value) in values.iter() {
            hidden |= self.note(name, value, None)?;
        }
        // Frames choose how many these are: they are not looked for one after the other.
        let fields = &mut self.reading.fields;
        fields.extend_behind(self.level.base, values);
        if hidden {
            fields.hide(self.level.base, "time");
        }
        Ok(())
    }

    /// Sets a value as it is; that of `time` is the message's time and no value.
    pub fn put(&mut self, name: &Label, value: Value) -> Result<(), String> {
        self.put_hidden(name, value, None, false)
    }

    #[inline]
    fn put_hidden(
        &mut self,
        name: &Label,
        value: Value,
        zone: Option<Offset>,
        hidden: bool,
    ) -> Result<(), String> {
        let hidden = self.note(name, &value, zone)? || hidden;
        let fields = &mut self.reading.fields;
        fields.set_label(self.level.base, name, hidden, value);
        Ok(())
    }

    /// What a value means beside itself; whether it is no value of the message.
    #[inline]
    fn note(&mut self, name: &str, value: &Value, zone: Option<Offset>) -> Result<bool, String> {
        if self.is_inside() {
            self.count_text(weight(value))?;
        }
        let own_time = name == "time" && !self.level.inner;
        if own_time {
            self.level.time = moments::of_value(value, zone)?;
        }
        Ok(own_time)
    }

    /// Whether it is a part or the element of a list that is read.
    pub fn is_inside(&self) -> bool {
        self.level.depth > 0 || self.inside > 0
    }

    /// Takes a value away again.
    pub fn take_away(&mut self, name: &str) {
        self.reading.fields.remove_behind(self.level.base, name);
        if name == "time" {
            self.level.time = None;
        }
    }

    /// Counts one more value against what a frame may have.
    #[inline]
    pub fn count_value(&mut self) -> Result<(), String> {
        let left = self.values_left.checked_sub(1);
        self.values_left =
            left.ok_or_else(|| format!("the frame has more than {MOST_VALUES} values"))?;
        Ok(())
    }

    /// Counts bytes of text against what may be made of a frame beyond its own.
    pub fn count_text(&mut self, bytes: usize) -> Result<(), String> {
        let left = self.text_left.checked_sub(bytes);
        self.text_left = left.ok_or("too much text is made of the frame")?;
        Ok(())
    }

    /// Does what had to wait for all fields.
    pub fn finish(&mut self) -> Result<(), String> {
        // What is joined may have a sign or parts of its own.
        while !self.level.late.is_empty() {
            for late in std::mem::take(&mut self.level.late) {
                match late {
                    Late::Negate { name, when } => self.negate(&name, &when)?,
                    Late::Join(join) => join.finish(self)?,
                }
            }
        }
        Ok(())
    }

    fn negate(&mut self, name: &Label, when: &Negation) -> Result<(), String> {
        let field = &when.field;
        let said =
            self.reading.fields.get_label(field).ok_or_else(|| {
                format!("{name} needs `{field}` to know its sign, which is missing")
            })?;
        if !when.applies(said) {
            return Ok(());
        }
        let (base, fields) = (self.level.base, &mut self.reading.fields);
        match fields.get_behind(base, name) {
            Some(Value::Integer(value)) => {
                let negated = value.get().saturating_neg();
                in_range(name, negated)?;
                *value = negated.into();
            }
            Some(Value::Float(value)) => *value = -*value,
            Some(Value::Null) | None => return Ok(()),
            Some(_) => return Err(format!("{name} is not a number, which `neg` needs")),
        }
        if self.is_traced()
            && let Some(negated) = self.reading.fields.get_label(name).cloned()
        {
            self.came_to(name, name, &negated);
        }
        Ok(())
    }
}

/// The bytes that a layout reads; none where the value is known to be absent.
fn part(value: &Value) -> Result<Option<Arc<[u8]>>, &'static str> {
    match value {
        Value::Bytes(bytes) => Ok(Some(Arc::clone(bytes))),
        Value::Text(text) => Ok(Some(text.as_bytes().into())),
        Value::Null => Ok(None),
        _ => Err("is neither bytes nor text, which `with` needs"),
    }
}

/// About the bytes that a value takes beyond those of its place.
pub(super) fn weight(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(values) => values
            .iter()
            .map(|value| weight(value).saturating_add(PLACE))
            .sum(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| {
                weight(value)
                    .saturating_add(name.len())
                    .saturating_add(PLACE)
            })
            .sum(),
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) => 0,
    }
}

fn in_range(name: &Name, number: i128) -> Result<(), String> {
    if (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&number) {
        return Ok(());
    }
    Err(format!("{name} is too large"))
}
