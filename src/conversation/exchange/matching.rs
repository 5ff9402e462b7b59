//! Which frame is the answer to a question.

use regex::bytes::Regex;

use crate::message::Fields;
use crate::notation::{Condition, Endian, Literal, NotationError, pattern};
use crate::template::{Context, Template};

/// Memory that a compiled pattern may take; callers may send one with each command.
const PATTERN_BYTES: usize = 256 * 1024;

/// Which frame is meant.
#[derive(Debug)]
pub enum Matching {
    /// The next one.
    Next,
    /// The first that has these bytes.
    Pattern(Regex),
    /// The first of which all of these hold.
    Where(Vec<Term>),
}

/// What must hold of a frame.
#[derive(Debug)]
pub enum Term {
    /// Always the same.
    Condition(Condition),
    /// A field says what the question said.
    Same(Same),
}

/// A field, and what it must say.
#[derive(Debug)]
pub struct Same {
    /// The field.
    pub field: String,
    /// What the question said.
    pub value: Template,
    /// The counter that is all of it: what it says is cut to its type in the question.
    pub(super) counter: Option<String>,
}

/// What a question said that its answer repeats: fields and their values, which tell it from the
/// answers to other questions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Echo(pub(super) Vec<(String, Literal)>);

impl Echo {
    /// Whether a frame cannot be the answer to both questions.
    pub fn differs(&self, other: &Echo) -> bool {
        self.0.iter().any(|(field, value)| {
            let mut others = other.0.iter();
            others.any(|(name, other)| name == field && value.excludes(other))
        })
    }

    pub(super) fn is_in(&self, fields: &Fields) -> bool {
        let mut all = self.0.iter();
        all.all(|(field, value)| fields.get(field).is_some_and(|found| value.equals(found)))
    }
}

/// What a frame is to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::conversation) enum Verdict {
    /// Its answer.
    Answer,
    /// An answer that says no.
    Refused,
}

impl Matching {
    pub(super) fn terms(&self) -> &[Term] {
        match self {
            Matching::Where(terms) => terms,
            Matching::Next | Matching::Pattern(_) => &[],
        }
    }

    /// Whether all that is always the same holds; what repeats the question has been looked at.
    pub(super) fn fits(&self, frame: &[u8], fields: &Fields) -> bool {
        match self {
            Matching::Next => true,
            Matching::Pattern(pattern) => pattern.is_match(frame),
            Matching::Where(terms) => terms.iter().all(|term| match term {
                Term::Condition(condition) => condition.holds(fields, frame),
                Term::Same(_) => true,
            }),
        }
    }

    /// The fields it looks at.
    pub fn field_names(&self) -> impl Iterator<Item = &str> {
        self.terms().iter().flat_map(|term| match term {
            Term::Condition(condition) => condition.field_names().collect::<Vec<_>>(),
            Term::Same(same) => vec![same.field.as_str()],
        })
    }
}

impl Same {
    pub(super) fn said(
        &self,
        send: Option<&Template>,
        context: &Context<'_>,
    ) -> Result<String, String> {
        let counted = self.counter.as_ref().zip(send);
        if let Some((counter, send)) = counted {
            let count = send.count_as_written(counter, context);
            return count
                .map(|count| count.to_string())
                .ok_or_else(|| format!("count {counter} does not fit"));
        }
        let bytes = self.value.render(context);
        let bytes = bytes.map_err(|missing| super::not_filled(&missing, context))?;
        String::from_utf8(bytes).map_err(|_| format!("what {} must say is no text", self.field))
    }
}

/// A pattern that tells the answer to a question from other frames.
///
/// # Errors
/// Why it is none.
pub fn byte_pattern(text: &str) -> Result<Regex, String> {
    if text.is_empty() {
        return Err("expected a pattern on the frame's bytes; `.` fits every frame".to_owned());
    }
    pattern(text, PATTERN_BYTES)
}

/// Reads conditions joined by `and`, of which some may say `FIELD = {HOLE}`.
pub(super) fn terms(text: &str) -> Result<Vec<Term>, NotationError> {
    let mut terms = Vec::new();
    for (part, column) in parts(text) {
        let inside = |error: NotationError| error.inside(column);
        terms.push(match part.split_once('{') {
            None => Term::Condition(Condition::parse(part, Endian::Big).map_err(inside)?),
            Some((left, hole)) => {
                let wrong = || {
                    NotationError::new(
                        column,
                        "a hole stands behind a field and `=`: `seq = {count seq}`",
                    )
                };
                let field = left.trim().strip_suffix('=').ok_or_else(wrong)?.trim();
                let hole = hole.trim_end().strip_suffix('}').ok_or_else(wrong)?;
                if field.is_empty() || field.contains([' ', '&', '|', '!', '<', '>', '=']) {
                    return Err(wrong());
                }
                let at = left.chars().count();
                let value = Template::parse(&format!("{{{hole}}}"))
                    .map_err(|error| error.inside(column.saturating_add(at)))?;
                let words: Vec<&str> = hole.split_whitespace().collect();
                let counter = match words.as_slice() {
                    ["count", name] => Some((*name).to_owned()),
                    _ => None,
                };
                Term::Same(Same {
                    field: field.trim_matches('\'').to_owned(),
                    value,
                    counter,
                })
            }
        });
    }
    Ok(terms)
}

/// The parts between the words `and` outside quotes and braces, and their columns.
fn parts(text: &str) -> Vec<(&str, usize)> {
    let mut parts = Vec::new();
    let (mut from, mut quoted, mut braces) = (0, false, false);
    for (at, character) in text.char_indices() {
        match character {
            '\'' => quoted = !quoted,
            '{' if !quoted => braces = true,
            '}' if !quoted => braces = false,
            ' ' if !quoted && !braces => {
                let behind = text.get(at..).unwrap_or_default();
                if behind.starts_with(" and ") && at >= from {
                    parts.push((from, at));
                    from = at.saturating_add(" and ".len());
                }
            }
            _ => {}
        }
    }
    parts.push((from, text.len()));
    let part = |(from, to): (usize, usize)| {
        let part = text.get(from..to).unwrap_or_default();
        let before = text.get(..from).unwrap_or_default();
        (part, before.chars().count().saturating_add(1))
    };
    parts.into_iter().map(part).collect()
}
