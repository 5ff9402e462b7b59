//! The values that a case is for: `16|18`, `1..9`, `'a b'`.

use super::{Choice, Literal};
use crate::message::Value;
use crate::notation::{NotationError, Words, number};

/// One or several values, as conditions have them behind `=`; spaces inside of one are part of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Values(Vec<Choice>);

impl Values {
    /// Reads `VALUE|VALUE…`, each a text, a number or a range `A..B`; `'…'` around what is to be
    /// taken as it is.
    pub fn parse(text: &str) -> Result<Self, NotationError> {
        let mut choices = Vec::new();
        for word in Words::parts(text, '|')? {
            if word.raw.is_empty() {
                return Err(word.error("expected a value here"));
            }
            let choice = if word.quoted {
                Choice::One(Literal::new(&word.text))
            } else {
                unquoted(word.raw)
            };
            if choice.holds_nothing() {
                return Err(word.error(format!("`{}` holds nothing", word.raw)));
            }
            choices.push(choice);
        }
        Ok(Values(choices))
    }

    /// Reads those at the next word, as far as they go.
    pub fn read(words: &mut Words<'_>) -> Result<Self, NotationError> {
        super::choices(words).map(Values)
    }

    /// Whether a decoded value is one of them.
    pub fn hold(&self, value: &Value) -> bool {
        self.0.iter().any(|choice| choice.holds(value))
    }

    /// The first of these values that earlier ones already have, as it is written.
    pub fn hidden_by(&self, earlier: &Values) -> Option<String> {
        let mut own = self.0.iter();
        let hidden = |own: &&Choice| earlier.0.iter().any(|earlier| hides(earlier, own));
        own.find(hidden).map(|choice| match choice {
            Choice::One(literal) => literal.text.clone(),
            Choice::Between(low, high) => format!("{}..{}", low.text, high.text),
        })
    }
}

fn unquoted(text: &str) -> Choice {
    let is_number = |literal: &Literal| literal.integer.is_some() || literal.float.is_some();
    let ends = text.split_once("..");
    let ends = ends.map(|(low, high)| (Literal::new(low), Literal::new(high)));
    match ends.filter(|(low, high)| is_number(low) && is_number(high)) {
        Some((low, high)) => Choice::Between(low, high),
        None => Choice::One(Literal::new(text)),
    }
}

/// Whether a choice leaves nothing of a later one.
fn hides(earlier: &Choice, later: &Choice) -> bool {
    match (earlier, later) {
        (Choice::One(earlier), Choice::One(later)) => {
            earlier.text == later.text || same_number(&earlier.text, &later.text)
        }
        (Choice::Between(..), Choice::One(literal)) => earlier.holds(&literal.value()),
        (Choice::Between(..), Choice::Between(low, high)) => {
            earlier.holds(&low.value()) && earlier.holds(&high.value())
        }
        (Choice::One(_), Choice::Between(..)) => false,
    }
}

/// `16` and `0x10`; but `16` and `016` are two texts that a device may tell apart.
fn same_number(a: &str, b: &str) -> bool {
    let hex = |text: &str| text.starts_with("0x");
    (hex(a) || hex(b)) && number(a).is_some() && number(a) == number(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn values_are_those_of_conditions() {
        for (values, value, expected) in [
            ("16|18|0x22", Value::integer(34), true),
            ("16|18|0x22", Value::integer(17), false),
            ("1..9|20", Value::integer(9), true),
            ("1..9", text("9"), true),
            ("1..9", text("10"), false),
            ("+RESP:GTRTL|+RESP:GTIGL", text("+RESP:GTIGL"), true),
            ("TYPE A", text("TYPE A"), true),
            (" a | b ", text("b"), true),
            ("'a|b'|c", text("a|b"), true),
            ("'1..9'", text("1..9"), true),
            ("a..b", text("a..b"), true),
            ("true", Value::Bool(true), true),
            ("false", Value::Bool(true), false),
            ("1.5", Value::Float(1.5), true),
        ] {
            assert_eq!(
                Values::parse(values).unwrap().hold(&value),
                expected,
                "{values} {value:?}"
            );
        }
    }

    #[test]
    fn mistakes_have_their_column() {
        for (values, column) in [("", 1), ("a||b", 3), ("a|", 3), ("a| 9..1", 4), ("a|'b", 3)] {
            assert_eq!(
                Values::parse(values).unwrap_err().column,
                column,
                "{values}"
            );
        }
    }

    #[test]
    fn values_that_an_earlier_case_has_are_found() {
        for (earlier, later, hidden) in [
            ("16", "18|16", Some("16")),
            ("16", "0x10", Some("0x10")),
            ("16", "016", None),
            ("1..9", "4", Some("4")),
            ("1..9", "4..12", None),
            ("1..9", "4..6", Some("4..6")),
            ("4", "1..9", None),
            ("a", "b|A", None),
        ] {
            let (earlier, later) = (
                Values::parse(earlier).unwrap(),
                Values::parse(later).unwrap(),
            );
            assert_eq!(
                later.hidden_by(&earlier).as_deref(),
                hidden,
                "{earlier:?} {later:?}"
            );
        }
    }
}
