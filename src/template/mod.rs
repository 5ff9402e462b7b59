//! Bytes out of text, fields and checksums: replies, commands, message ids.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod forms;
mod hole;
mod memory;
mod ranges;
mod steps;
pub mod words;

use std::ops::Range;

use jiff::Timestamp;
use thiserror::Error;

use self::hole::{Braced, Hole, What};
use crate::checksum::Algorithm;
use crate::message::{Fields, Value};
use crate::notation::{NotationError, bytes};
use crate::script::Caller;

pub use self::memory::Memory;

/// Text or hex with holes `{WHAT [steps] [: TYPE]}`; `{{` is a brace.
#[derive(Clone, Debug)]
pub struct Template {
    parts: Vec<Part>,
}

/// What a template is filled with.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The fields of the frame that is answered.
    pub fields: &'a Fields,
    /// That frame.
    pub frame: &'a [u8],
    /// The device's name, once it is known.
    pub device: Option<&'a str>,
    /// The arguments of a command.
    pub arguments: &'a Fields,
    /// The moment; without one, what shows it cannot be filled.
    pub now: Option<Timestamp>,
    /// What the connection remembers: its counters, and what fields said last.
    pub memory: &'a Memory,
    /// What the protocol's first checksum is computed with.
    pub checksum: Option<&'a Algorithm>,
    /// The connection that a script is called for; without one, what a script says cannot be filled.
    pub caller: Option<&'a Caller>,
    /// Whether the frame carries a secret, so that a script does not see its bytes.
    pub confidential: bool,
}

/// A hole that nothing can fill.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{name} is missing or does not fit")]
pub struct MissingField {
    /// What stands in the hole.
    pub name: String,
}

/// What a caller may give for an argument.
#[derive(Clone, Copy, Debug)]
pub enum Given<'a> {
    /// This value.
    Value(&'a Value),
    /// Texts of so many characters, or so many bytes.
    Length(usize),
}

/// A hole that cannot write a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The hole as it is written, with its braces.
    pub hole: String,
    /// What it can write, where that is easily said.
    pub expected: Option<String>,
}

impl Misfit {
    fn of(hole: &Hole) -> Self {
        Misfit {
            hole: format!("{{{}}}", hole.written),
            expected: hole.expected(),
        }
    }
}

#[derive(Clone, Debug)]
enum Part {
    Bytes(Vec<u8>),
    Hole(Hole),
}

/// A hole whose bytes are kept free, and where they are.
struct Waiting<'a> {
    hole: &'a Hole,
    place: Range<usize>,
}

impl Template {
    /// Reads a template.
    pub fn parse(text: &str) -> Result<Self, NotationError> {
        let (mut rest, hex) = match (text.strip_prefix("text:"), text.strip_prefix("0x")) {
            (Some(rest), _) => (rest, false),
            (None, Some(rest)) => (rest, true),
            (None, None) => (text, false),
        };
        let column = |rest: &str| {
            let before = text.chars().count().saturating_sub(rest.chars().count());
            before.saturating_add(1)
        };
        let mut parts = Vec::new();
        let mut ranges = Vec::new();
        while let Some((before, behind)) = rest.split_once('{') {
            parts.push(literal(before, hex, column(rest))?);
            if let (false, Some(behind)) = (hex, behind.strip_prefix('{')) {
                parts.push(Part::Bytes(b"{".to_vec()));
                rest = behind;
                continue;
            }
            let end = hole_end(behind).ok_or_else(|| {
                let place = column(behind).saturating_sub(1);
                NotationError::new(
                    place,
                    "this `{` is not closed; a brace in text is written `{{`",
                )
            })?;
            let (hole, behind_hole) = behind.split_at_checked(end).unwrap_or((behind, ""));
            let braced = Braced::parse(hole);
            let braced = braced.map_err(|error| hinted(error, hole, hex).inside(column(behind)))?;
            parts.push(match braced {
                Braced::Bytes(bytes) => Part::Bytes(bytes),
                Braced::Hole(filled) => {
                    ranges.push(ranges::column(hole, column(behind)));
                    Part::Hole(filled)
                }
            });
            rest = behind_hole.strip_prefix('}').unwrap_or_default();
        }
        parts.push(literal(rest, hex, column(rest))?);
        ranges::check(&parts, &ranges)?;
        Ok(Template { parts })
    }

    /// Fills the holes. Lengths and checksums are filled when all else is there: a checksum may
    /// cover a length, and another checksum that does not cover it.
    pub fn render(&self, context: &Context<'_>) -> Result<Vec<u8>, MissingField> {
        let mut out = Vec::new();
        let mut waiting = Vec::new();
        for part in &self.parts {
            match part {
                Part::Bytes(bytes) => out.extend_from_slice(bytes),
                Part::Hole(hole) => match hole.waits() {
                    None => hole.fill(context, &mut out)?,
                    Some(width) => {
                        let end = out.len().saturating_add(width);
                        let place = out.len()..end;
                        waiting.push(Waiting { hole, place });
                        out.resize(end, 0);
                    }
                },
            }
        }
        let (checksums, lengths): (Vec<_>, Vec<_>) = waiting
            .into_iter()
            .partition(|waiting| waiting.hole.is_checksum());
        for Waiting { hole, place } in lengths {
            hole.mend(context, place.start, &mut out)?;
        }
        mend_checksums(checksums, context, &mut out)?;
        Ok(out)
    }

    /// The fields it names.
    pub fn field_names(&self) -> impl Iterator<Item = &str> {
        self.holes().filter_map(|hole| match &hole.what {
            What::Field(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The arguments it names.
    pub fn argument_names(&self) -> impl Iterator<Item = &str> {
        self.holes().filter_map(|hole| match &hole.what {
            What::Argument(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The counters it names.
    pub fn counter_names(&self) -> impl Iterator<Item = &str> {
        self.holes().filter_map(|hole| match &hole.what {
            What::Count(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The fields of earlier frames that it names.
    pub fn last_names(&self) -> impl Iterator<Item = &str> {
        self.holes().filter_map(|hole| match &hole.what {
            What::Last(name, _) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The fields of answered frames that it names.
    pub fn answered_names(&self) -> impl Iterator<Item = &str> {
        self.holes().filter_map(|hole| match &hole.what {
            What::Answered(name, _) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The number that it writes for that counter, cut to its type, if it names it.
    pub fn count_as_written(&self, name: &str, context: &Context<'_>) -> Option<i128> {
        let named = |hole: &&Hole| matches!(&hole.what, What::Count(own) if own == name);
        self.holes().find(named)?.count(context)
    }

    /// The functions of the script that it names.
    pub fn function_names(&self) -> impl Iterator<Item = &str> {
        self.holes().filter_map(|hole| match &hole.what {
            What::Script(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// Whether nothing is ever sent of it.
    pub fn is_empty(&self) -> bool {
        let empty = |part: &Part| matches!(part, Part::Bytes(bytes) if bytes.is_empty());
        self.parts.iter().all(empty)
    }

    /// The first hole of that field that cannot write the value.
    pub fn misfit(&self, field: &str, value: &Value) -> Option<Misfit> {
        let named = |hole: &&Hole| matches!(&hole.what, What::Field(own) if own == field);
        let mut holes = self.holes().filter(named);
        holes.find(|hole| !hole.holds(value)).map(Misfit::of)
    }

    /// The first hole of that argument that cannot write what a caller may give.
    pub fn misfit_of_argument(&self, name: &str, given: Given<'_>) -> Option<Misfit> {
        let named = |hole: &&Hole| matches!(&hole.what, What::Argument(own) if own == name);
        let mut holes = self.holes().filter(named);
        let holds = |hole: &Hole| match given {
            Given::Value(value) => hole.holds(value),
            Given::Length(length) => hole.holds_length(length),
        };
        holes.find(|hole| !holds(hole)).map(Misfit::of)
    }

    /// Whether it is filled with the protocol's own checksum.
    pub fn needs_own_checksum(&self) -> bool {
        let own = |hole: &Hole| matches!(hole.what, What::OwnChecksum(_));
        self.holes().any(own)
    }

    /// Whether it shows bytes of the frame that is answered.
    pub fn shows_frame(&self) -> bool {
        self.holes().any(|hole| matches!(hole.what, What::Raw(_)))
    }

    /// What it shows that only bytes to a device can show: the moment, a counter, an argument.
    pub fn only_for_devices(&self) -> Option<String> {
        let mut holes = self.holes();
        let found = holes.find(|hole| {
            matches!(
                hole.what,
                What::Now
                    | What::Count(_)
                    | What::Last(..)
                    | What::Answered(..)
                    | What::Argument(_)
                    | What::OwnChecksum(_)
            )
        });
        found.map(|hole| hole.missing().name)
    }

    fn holes(&self) -> impl Iterator<Item = &Hole> {
        self.parts.iter().filter_map(|part| match part {
            Part::Hole(hole) => Some(hole),
            Part::Bytes(_) => None,
        })
    }
}

/// Fills checksums, those first that others cover. Two that cover one another cannot be filled.
fn mend_checksums(
    mut waiting: Vec<Waiting<'_>>,
    context: &Context<'_>,
    out: &mut [u8],
) -> Result<(), MissingField> {
    while let Some(last) = waiting.last() {
        let missing = last.hole.missing();
        let free = waiting.iter().position(|next| {
            let covered = next.hole.covers(context, next.place.start, out);
            let covered = covered.unwrap_or_default();
            let waits_for = |other: &Waiting<'_>| {
                let meet = covered.start < other.place.end && other.place.start < covered.end;
                meet && other.place != next.place
            };
            !waiting.iter().any(waits_for)
        });
        let Waiting { hole, place } = waiting.remove(free.ok_or(missing)?);
        hole.mend(context, place.start, out)?;
    }
    Ok(())
}

/// A mistake in what looks like JSON says how a brace is written.
fn hinted(mut error: NotationError, hole: &str, hex: bool) -> NotationError {
    let inside = hole.trim_start();
    if !hex && (inside.is_empty() || inside.starts_with('"')) {
        error.message.push_str("; a brace in text is written `{{`");
    }
    error
}

fn literal(text: &str, hex: bool, column: usize) -> Result<Part, NotationError> {
    if !hex {
        return Ok(Part::Bytes(text.as_bytes().to_vec()));
    }
    // Two columns less: the `0x` that is put in front.
    let read = bytes(&format!("0x{text}"));
    let read = read
        .map_err(|error| NotationError::new(error.column.saturating_sub(2).max(1), error.message));
    read.map(Part::Bytes).map_err(|error| error.inside(column))
}

/// Where the hole's `}` stands, outside quotes.
fn hole_end(text: &str) -> Option<usize> {
    let mut quoted = false;
    text.char_indices().find_map(|(at, character)| {
        quoted ^= character == '\'';
        (!quoted && character == '}').then_some(at)
    })
}

/// Any bytes as a template, and as the frame that it answers.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(template) = Template::parse(&text) else {
        return;
    };
    let value = |name: &str| match name.len() % 3 {
        0 => Value::text(name),
        1 => Value::text("2026-01-31T12:00:00Z"),
        _ => Value::integer(u64::MAX),
    };
    let fields: Fields = template
        .field_names()
        .map(|name| (name.into(), value(name)))
        .collect();
    let mut counters = Memory::default();
    counters.advance(template.counter_names());
    let context = Context {
        fields: &fields,
        frame: data,
        device: Some("d"),
        arguments: &fields,
        now: Some(Timestamp::MAX),
        memory: &counters,
        checksum: None,
        caller: None,
        confidential: false,
    };
    drop(template.render(&context));
}

#[cfg(test)]
mod tests;
