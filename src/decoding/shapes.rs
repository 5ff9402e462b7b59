//! What is known of a value before a frame comes, and whether a step can ever do with it.

use super::steps::{Factor, Step};
use super::textual::Kind;
use crate::message::Value;
use crate::notation::{NotationError, Word};

/// What a value is, as far as what reads it says. One that is empty passes every step and counts
/// nowhere here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// It depends on the frame.
    Any,
    Whole,
    Float,
    Flag,
    Text,
    Bytes,
}

/// What a step works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    Number,
    Whole,
    /// Seconds or thousandths of them.
    Count,
    Text,
    /// A text in a form.
    Time,
    /// All but bytes, which have no text.
    Spelled,
    /// What a layout can read.
    Part,
}

impl Shape {
    /// What a value of text decoders is that comes as it is in the source.
    pub fn of_kind(kind: Kind, plain: Shape) -> Self {
        match kind {
            Kind::Plain => plain,
            Kind::Text => Shape::Text,
            Kind::Number => Shape::Float,
            Kind::Integer | Kind::Hexadecimal => Shape::Whole,
            Kind::Bool => Shape::Flag,
            Kind::Bytes => Shape::Bytes,
        }
    }

    /// What a value that is always the same is.
    pub fn of_value(value: &Value) -> Self {
        match value {
            Value::Integer(_) => Shape::Whole,
            Value::Float(_) => Shape::Float,
            Value::Bool(_) => Shape::Flag,
            Value::Text(text) if !text.is_empty() => Shape::Text,
            Value::Bytes(_) => Shape::Bytes,
            Value::Text(_) | Value::Null | Value::List(_) | Value::Object(_) => Shape::Any,
        }
    }

    /// What the step makes of it; an `Err` at the step's word, if it can make nothing of it.
    pub fn behind(self, step: &Step, word: &Word<'_>) -> Result<Self, NotationError> {
        let (need, becomes) = match step {
            Step::Null(_) | Step::Round(_) => return Ok(self),
            Step::Enum(_) => return Ok(Shape::Any),
            Step::Multiply(Factor::Integer(_)) | Step::Add(_) | Step::Absolute => {
                let flag = self == Shape::Flag;
                (Need::Number, if flag { Shape::Whole } else { self })
            }
            Step::Multiply(Factor::Float(_)) | Step::Divide(_) | Step::Degrees => {
                (Need::Number, Shape::Float)
            }
            Step::Mask(_) | Step::Shift(_) => (Need::Whole, Shape::Whole),
            Step::DegreesMinutes { .. } => (Need::Spelled, Shape::Float),
            Step::Convert(kind) => (Need::Spelled, Shape::of_kind(*kind, Shape::Any)),
            Step::Text | Step::Prefix(_) => (Need::Spelled, Shape::Text),
            Step::Since { .. } => (Need::Count, Shape::Text),
            Step::Time { .. } => (Need::Time, Shape::Text),
            Step::Unhex => (Need::Text, Shape::Bytes),
            Step::Trim { .. } | Step::Until(_) | Step::Upper | Step::Lower | Step::Luhn => {
                (Need::Text, Shape::Text)
            }
        };
        self.check(need, word)?;
        Ok(becomes)
    }

    /// Refuses a step, at its word, that needs what this never is.
    pub fn check(self, need: Need, word: &Word<'_>) -> Result<(), NotationError> {
        let Some(remedy) = self.remedy(need) else {
            return Ok(());
        };
        let (works_on, is) = (need.name(), self.name());
        let step = word.raw;
        Err(word.error(format!(
            "`{step}` works on {works_on}, and what stands before it is {is}: {remedy}"
        )))
    }

    /// What to write instead, where the need is never met.
    fn remedy(self, need: Need) -> Option<&'static str> {
        use Shape::{Any, Bytes, Flag, Float, Text, Whole};
        Some(match (need, self) {
            (_, Any)
            | (Need::Number | Need::Count, Whole | Float | Flag)
            | (Need::Whole, Whole | Flag)
            | (Need::Text | Need::Time, Text)
            | (Need::Spelled, Whole | Float | Flag | Text)
            | (Need::Part, Text | Bytes) => return None,
            (Need::Count, Text) => "`time FORMAT` reads times in texts, `integer` makes a number",
            (Need::Number | Need::Whole, Text) => {
                "read a number, or make one with `integer`, `hexadecimal` or `number` before it"
            }
            (Need::Whole, Float) => "do it before that, or read a whole number",
            (Need::Number | Need::Whole | Need::Count, _) => "read a number, such as `u32`",
            (Need::Time, Whole | Float) => "`unix`, `unixms` and `epoch` make times of numbers",
            (Need::Text | Need::Time, Whole | Float | Flag) => "put `text` before it",
            (Need::Text | Need::Time | Need::Spelled, _) => {
                "read a text, such as `ascii N` or `hex N`"
            }
            (Need::Part, _) => "read it with `bytes N`",
        })
    }

    fn name(self) -> &'static str {
        match self {
            Shape::Any => "anything",
            Shape::Whole => "a whole number",
            Shape::Float => "a number with a fraction",
            Shape::Flag => "true or false",
            Shape::Text => "a text",
            Shape::Bytes => "bytes",
        }
    }
}

impl Need {
    fn name(self) -> &'static str {
        match self {
            Need::Number | Need::Count => "numbers",
            Need::Whole => "whole numbers",
            Need::Text | Need::Time => "texts",
            Need::Spelled => "texts and numbers",
            Need::Part => "bytes and texts",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Inherited;
    use super::super::steps::{Steps, Subject};
    use super::*;
    use crate::cursor::Endian;
    use crate::notation::Words;

    fn samples(shape: Shape) -> Vec<Value> {
        let texts = ["12", "1.5", "true", "2026", "abc"];
        match shape {
            Shape::Any => Vec::new(),
            Shape::Whole => [0, 1, -3, 0x60_0000]
                .map(|number: i32| Value::integer(number))
                .into(),
            Shape::Float => [0.0, 2.0, -2.5].map(Value::Float).into(),
            Shape::Flag => [true, false].map(Value::Bool).into(),
            Shape::Text => texts.map(Value::text).into(),
            Shape::Bytes => vec![Value::Bytes(b"12"[..].into())],
        }
    }

    fn steps(written: &str, shape: Option<Shape>) -> Result<Steps, NotationError> {
        let labels = crate::message::Labels::default();
        let alone = Inherited {
            kind: "text",
            endian: Endian::Big,
            layouts: &[],
            decode: &serde_json::Value::Null,
            labels: &labels,
        };
        Steps::parse(&mut Words::new(written)?, &alone, Subject::Value, shape)
    }

    /// What is refused works on no value, and what is taken on one, of which the next step then
    /// knows what it is.
    #[test]
    fn steps_that_can_never_work_are_refused_and_no_others() {
        let all = [
            "* 2",
            "* 0.5",
            "/ 2",
            "+ 1",
            "- 1",
            "& 3",
            ">> 1",
            "round 1",
            "abs",
            "radians",
            "dm",
            "dm 1",
            "null 9",
            "text",
            "prefix x",
            "trim 1",
            "ltrim 1",
            "rtrim 1",
            "until x",
            "upper",
            "lower",
            "luhn",
            "unhex",
            "number",
            "integer",
            "hexadecimal",
            "unix",
            "unixms",
            "epoch 2000-01-01",
            "time %Y",
        ];
        let shapes = [
            Shape::Whole,
            Shape::Float,
            Shape::Flag,
            Shape::Text,
            Shape::Bytes,
        ];
        for written in all {
            let steps_alone = steps(written, None).unwrap();
            let step = &steps_alone.steps[0];
            for shape in shapes {
                let values = samples(shape).into_iter();
                let applied: Vec<Value> =
                    values.filter_map(|value| step.apply(value).ok()).collect();
                let refused = steps(written, Some(shape)).err();
                // A flag is no number, but the language knows it only when it comes.
                let knows = !(shape == Shape::Flag
                    && matches!(step, Step::Convert(_) | Step::DegreesMinutes { .. }));
                if knows && step_may_fail(step) {
                    let none = applied.is_empty();
                    assert_eq!(
                        refused.is_some(),
                        none,
                        "{written} on {shape:?}: {refused:?}"
                    );
                }
                let Ok(word) = Words::new(written).unwrap().require("a step") else {
                    panic!("{written}");
                };
                let Ok(becomes) = shape.behind(step, &word) else {
                    continue;
                };
                for value in &applied {
                    let is = Shape::of_value(value);
                    assert!(
                        becomes == Shape::Any || is == Shape::Any || is == becomes,
                        "{written} on {shape:?} makes {value:?}, not {becomes:?}"
                    );
                }
            }
        }
    }

    /// Texts in other forms would do: none of the samples is one.
    fn step_may_fail(step: &Step) -> bool {
        !matches!(step, Step::Time { .. })
    }
}
