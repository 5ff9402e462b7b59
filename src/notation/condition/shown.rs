//! Conditions as they are written.

use std::fmt;

use super::{Choice, Clause, Condition, Literal, Test, What};
use crate::cursor::Endian;
use crate::notation::words::quoted;
use crate::notation::{IntegerKind, Words};

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, clause) in self.clauses.iter().enumerate() {
            let and = if at == 0 { "" } else { " and " };
            write!(f, "{and}{clause}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Clause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = if self.negated { "!" } else { "" };
        write!(f, "{not}{}", self.what)?;
        if let Some(mask) = self.mask {
            write!(f, " & {mask:#x}")?;
        }
        match &self.test {
            Test::True => Ok(()),
            Test::Equal(choices) => write_choices(f, "=", choices),
            Test::Unequal(choices) => write_choices(f, "!=", choices),
            Test::Less(literal) => write!(f, " < {literal}"),
            Test::Greater(literal) => write!(f, " > {literal}"),
        }
    }
}

fn write_choices(f: &mut fmt::Formatter<'_>, operator: &str, choices: &[Choice]) -> fmt::Result {
    for (at, choice) in choices.iter().enumerate() {
        if at == 0 {
            write!(f, " {operator} {choice}")?;
        } else {
            write!(f, "|{choice}")?;
        }
    }
    Ok(())
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Length => f.write_str("length"),
            What::Frame(place) => write!(f, "{place}"),
            What::Field(name) if means_no_field(name) => write!(f, "'{name}'"),
            What::Field(name) => f.write_str(&quoted(name)),
        }
    }
}

/// Whether a name without quotes would be the length or a type.
fn means_no_field(name: &str) -> bool {
    let Some((mut words, first)) = Words::new(name).ok().and_then(|mut words| {
        let first = words.next()?;
        Some((words, first))
    }) else {
        return false;
    };
    let kind = IntegerKind::parse(&first, &mut words, Endian::Big);
    first.raw == name && (name == "length" || !matches!(kind, Ok(None)))
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Choice::One(literal) => write!(f, "{literal}"),
            Choice::Between(low, high) => write!(f, "{}..{}", low.text, high.text),
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quoted(&self.text))
    }
}
