//! Fields that are made, not read: `join A B`, `const VALUE`.

use std::sync::Arc;

use super::Inherited;
use super::run::{Late, Run};
use super::shapes::Shape;
use super::step_words::is_step;
use super::steps::{Steps, Subject, text};
use crate::message::{Label, Text, Value};
use crate::notation::{Literal, NotationError, Word, Words};

/// Bytes that most joined texts have room in.
const SHORT: usize = 32;

/// What a field is made of.
#[derive(Clone, Debug)]
pub(super) enum Made {
    /// Texts of other fields in a row, made when every field has been read.
    Join(Arc<Join>),
    /// Always the same.
    Const(Value),
}

/// Texts in a row, and what is done with them.
#[derive(Debug)]
pub(super) struct Join {
    pub name: Label,
    of: Box<[Label]>,
    steps: Steps,
}

impl Made {
    /// Reads what follows the type `first` of a field, the steps included; `None` if that type is
    /// none of these.
    pub fn parse(
        name: &Label,
        first: &Word<'_>,
        words: &mut Words<'_>,
        inherited: &Inherited<'_>,
    ) -> Result<Option<(Self, Steps)>, NotationError> {
        if first.is("const") {
            let value = Literal::new(&words.require("the value")?.text).value();
            let shape = Shape::of_value(&value);
            let steps = Steps::parse(words, inherited, Subject::Value, Some(shape))?;
            return Ok(Some((Made::Const(value), steps)));
        }
        if !first.is("join") {
            return Ok(None);
        }
        let first = words.require("the fields to join")?;
        let mut of = vec![inherited.label(&first.text)];
        while words.peek().is_some_and(|word| !is_step(&word)) {
            of.extend(words.next().map(|word| inherited.label(&word.text)));
        }
        let steps = Steps::parse(words, inherited, Subject::Value, Some(Shape::Text))?;
        // The condition is looked at in its place among the fields, all else when all are read.
        let late = Steps {
            condition: None,
            ..steps.clone()
        };
        let join = Join {
            name: name.clone(),
            of: of.into(),
            steps: late,
        };
        Ok(Some((Made::Join(Arc::new(join)), steps)))
    }

    /// Sets the field, or leaves that to the end.
    pub fn decode(&self, name: &Label, steps: &Steps, run: &mut Run<'_>) -> Result<(), String> {
        match self {
            Made::Const(value) => run.set(name, steps, value.clone()),
            Made::Join(join) => {
                run.postpone(Late::Join(Arc::clone(join)));
                Ok(())
            }
        }
    }

    /// Whether it is made when every field has been read.
    pub fn is_late(&self) -> bool {
        matches!(self, Made::Join(_))
    }

    /// The fields that it is made of.
    pub fn needs(&self) -> impl Iterator<Item = &str> {
        let of: &[Label] = match self {
            Made::Join(join) => &join.of,
            Made::Const(_) => &[],
        };
        of.iter().map(|name| &***name)
    }
}

impl Join {
    /// Sets the field; where one of its parts is missing it is left out.
    pub fn finish(&self, run: &mut Run<'_>) -> Result<(), String> {
        let mut joined = Text::with_capacity(SHORT);
        for name in &self.of {
            let before = joined.len();
            match run.reading.fields.get_label(name) {
                None | Some(Value::Null) => {
                    run.leave_out(&self.name, "one of its texts is missing");
                    return Ok(());
                }
                Some(Value::Text(part)) => joined.push_str(part),
                Some(value) => {
                    let part = text(value.clone()).map_err(|why| format!("{name} {why}"))?;
                    joined.push_str(&part);
                }
            }
            // Texts joined of joined ones double with each.
            run.count_text(joined.len().saturating_sub(before))?;
        }
        run.set(&self.name, &self.steps, Value::Text(joined))
    }
}
