//! Names of devices that rules give: text with `{id}` and its like.

use super::Spoken;
use crate::notation::{NotationError, Span, Words};

/// A part of such a name.
#[derive(Clone, Debug)]
pub(super) enum Part {
    Text(String),
    Id(Option<Span>),
    Sub,
    Address,
    Listener,
}

impl Part {
    /// What stands in its place.
    pub(super) fn text(&self, id: &str, spoken: &Spoken<'_>) -> String {
        let peer = spoken.peer;
        match self {
            Part::Sub => spoken.sub.unwrap_or_default().to_owned(),
            Part::Text(text) => text.clone(),
            Part::Id(None) => id.to_owned(),
            Part::Id(Some(span)) => {
                let characters = span.clamp(id.chars().count());
                let count = characters.len();
                id.chars().skip(characters.start).take(count).collect()
            }
            Part::Address => peer.address.ip().to_string(),
            Part::Listener => peer.listener.to_string(),
        }
    }
}

/// Reads the name of a rule: text with `{id}` and its like.
pub(super) fn parts(template: &str) -> Result<Vec<Part>, NotationError> {
    let mut parts = Vec::new();
    let mut rest = template;
    let column = |rest: &str| {
        template
            .chars()
            .count()
            .saturating_sub(rest.chars().count())
            .saturating_add(1)
    };
    while let Some((text, behind)) = rest.split_once('{') {
        parts.push(Part::Text(text.to_owned()));
        if let Some(behind) = behind.strip_prefix('{') {
            parts.push(Part::Text("{".to_owned()));
            rest = behind;
            continue;
        }
        let Some((hole, behind_hole)) = behind.split_once('}') else {
            return Err(NotationError::new(column(behind), "this `{` is not closed"));
        };
        parts.push(part(hole).map_err(|error| error.inside(column(behind)))?);
        rest = behind_hole;
    }
    parts.push(Part::Text(rest.to_owned()));
    Ok(parts)
}

fn part(hole: &str) -> Result<Part, NotationError> {
    let mut words = Words::new(hole)?;
    let word = words.require("`id`, `sub`, `address` or `listener`")?;
    let part = match word.raw {
        "id" => {
            let span = words.next().map(|span| Span::parse(&span)).transpose()?;
            Part::Id(span)
        }
        "sub" => Part::Sub,
        "address" => Part::Address,
        "listener" => Part::Listener,
        other => {
            let known = ["id", "sub", "address", "listener"];
            return Err(word.error(crate::notation::unknown_word("word", other, &known)));
        }
    };
    words.end()?;
    Ok(part)
}
