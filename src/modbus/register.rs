//! One register: `NAME: TYPE at ADDRESS [steps]`.

use super::place::{ADDRESSES, Place};
use crate::decoding::Inverse;
use crate::document::{Problems, Section, name_of};
use crate::message::Name;
use crate::notation::{NotationError, Word, Words};

/// Bytes that one answer can hold.
const MOST_BYTES: usize = 250;
/// Fields of what stands around an answer.
const HEAD: [&str; 3] = ["transaction", "unit", "function"];

/// A value of a device, in one or several registers.
#[derive(Clone, Debug)]
pub(super) struct Register {
    pub name: Name,
    /// The name as it was written, in quotes where it needs them.
    pub quoted: String,
    pub place: Place,
    /// Registers, or bits in tables of bits.
    pub count: u16,
    /// Bytes of the value; the last register may have one more.
    pub bytes: usize,
    /// The type and its order; bits are read by [`super::frames`].
    pub kind: String,
    pub steps: String,
    pub inverse: Inverse,
}

/// A part of a register's text, and where it begins.
#[derive(Clone, Copy, Debug)]
struct Part<'a> {
    text: &'a str,
    column: usize,
}

impl Register {
    /// Reads an element of the list.
    pub fn read(section: &Section<'_>, problems: &mut Problems) -> Option<Self> {
        let Some(text) = section.value.as_str() else {
            let found = name_of(section.value);
            problems.add(
                section,
                format!("expected a register such as \"speed: u16 at 40001\", found {found}"),
            );
            return None;
        };
        let read = Self::parse(text);
        read.map_err(|error| problems.notation_here(section, error))
            .ok()
    }

    /// Reads the notation.
    pub fn parse(text: &str) -> Result<Self, NotationError> {
        let mut words = Words::new(text)?;
        let missing = || NotationError::new(1, "expected `NAME: TYPE at ADDRESS`");
        let name = words
            .name()
            .filter(|name| !name.text.is_empty())
            .ok_or_else(missing)?;
        if HEAD.contains(&&*name.text) {
            let message = format!(
                "`{}` is a field of every answer; choose another name",
                name.text
            );
            return Err(name.error(message));
        }
        let (kind, at) = kind(text, &mut words)?;
        let place = Place::parse(&mut words)?;
        let steps = words.peek();
        let steps = part(
            text,
            steps.map_or_else(|| words.end_column(), |step| step.column),
            None,
        );
        let inverse = inverse(place, kind, steps)?;
        let bytes = width(place, &inverse).map_err(|why| NotationError::new(kind.column, why))?;
        let count = if place.table.is_bits() {
            1
        } else {
            bytes.div_ceil(2)
        };
        let count = u16::try_from(count).unwrap_or(u16::MAX);
        if u32::from(place.address).saturating_add(count.into()) > ADDRESSES {
            return Err(at.error("it would end behind the last address of the table"));
        }
        Ok(Register {
            name: name.text.as_ref().into(),
            quoted: name.raw.to_owned(),
            place,
            count,
            bytes,
            kind: kind.text.to_owned(),
            steps: steps.text.to_owned(),
            inverse,
        })
    }

    /// The first address behind it.
    pub fn end(&self) -> u32 {
        u32::from(self.place.address).saturating_add(self.count.into())
    }
}

/// Goes over the type up to and with `at`.
fn kind<'a>(text: &'a str, words: &mut Words<'a>) -> Result<(Part<'a>, Word<'a>), NotationError> {
    let first = words.require("a type such as `u16`")?;
    let mut next = first.clone();
    while !next.is("at") {
        next = words.require("`at ADDRESS`")?;
    }
    if first.is("at") {
        return Err(first.error("expected a type such as `u16` before `at`"));
    }
    Ok((part(text, first.column, Some(next.column)), next))
}

/// What stands between two columns, without the spaces behind it.
fn part(text: &str, from: usize, to: Option<usize>) -> Part<'_> {
    let place = |column: usize| {
        let mut places = text.char_indices().map(|(place, _)| place);
        places.nth(column.saturating_sub(1)).unwrap_or(text.len())
    };
    let end = to.map_or(text.len(), place);
    let inside = text.get(place(from)..end).unwrap_or_default();
    Part {
        text: inside.trim_end(),
        column: from,
    }
}

/// The type and the steps as those of a field, with mistakes where they stand in the register.
fn inverse(place: Place, kind: Part<'_>, steps: Part<'_>) -> Result<Inverse, NotationError> {
    let is_bool = kind.text == "bool";
    let message = match (place.table.is_bits(), is_bool) {
        (true, false) => Some(format!("{} is a `bool`", place.table.described())),
        (false, true) => Some(format!(
            "{} has 16 bits: `u16 at … bits NAME@0` reads one of them",
            place.table.described()
        )),
        _ => None,
    };
    if let Some(message) = message {
        return Err(NotationError::new(kind.column, message));
    }
    if Inverse::needs_count(kind.text) {
        // Steps may not be taken for it.
        let end = kind.column.saturating_add(kind.text.chars().count());
        let message = format!("expected how many bytes here, such as `{} 8`", kind.text);
        return Err(NotationError::new(end, message));
    }
    let first = steps.text.split_whitespace().next();
    if let Some(message) = first.and_then(Inverse::misplaced_order) {
        return Err(NotationError::new(steps.column, message));
    }
    // A bit comes as a byte that is 0 or 1.
    let typed = if is_bool { "u8 bool" } else { kind.text };
    let before = typed.chars().count().saturating_add(1);
    let moved = |column: usize| match column.checked_sub(before) {
        Some(behind) if behind > 0 => steps.column.saturating_add(behind).saturating_sub(1),
        _ => kind.column.saturating_add(column).saturating_sub(1),
    };
    let read = Inverse::parse(&format!("{typed} {}", steps.text));
    let inverse = read.map_err(|error| NotationError::new(moved(error.column), error.message))?;
    if let Some(word) = inverse.needs_others() {
        let mut written = Words::new(steps.text)?;
        let column = written
            .find(|step| step.is(word))
            .map_or(1, |step| step.column);
        let message =
            format!("`{word}` needs other fields, and registers are read each for itself");
        let column = steps.column.saturating_add(column).saturating_sub(1);
        return Err(NotationError::new(column, message));
    }
    Ok(inverse)
}

fn width(place: Place, inverse: &Inverse) -> Result<usize, String> {
    if place.table.is_bits() {
        return Ok(1);
    }
    match inverse.width() {
        None => Err("a register's type has a fixed number of bytes".to_owned()),
        Some(0) => Err("it has no bytes".to_owned()),
        Some(width) if width > MOST_BYTES => Err(format!(
            "it has {width} bytes, and one answer holds {MOST_BYTES}"
        )),
        Some(width) if inverse.is_number() && width % 2 == 1 => Err(
            "registers have 16 bits: read a `u16`, and take a part of it with `&` and `>>`, or `bits`"
                .to_owned(),
        ),
        Some(width) => Ok(width),
    }
}
