//! A field of a frame and the steps on its value, for whoever reads frames that are decoded:
//! `imei ltrim 0`.

use super::Inherited;
use super::steps::{Step, Steps, Subject};
use crate::cursor::Endian;
use crate::message::{Fields, Labels, Name, Value};
use crate::notation::{NotationError, Words};

/// `NAME [steps]`, as in field strings, without a type: the field has been read.
#[derive(Clone, Debug)]
pub struct FieldSteps {
    /// As it was written.
    written: Name,
    name: Name,
    steps: Box<[Step]>,
}

impl FieldSteps {
    /// Reads the notation; a name with spaces is quoted.
    ///
    /// # Errors
    /// Steps that need more than the value itself, such as `if` and `bits`, and what is no step.
    pub fn parse(text: &str) -> Result<Self, NotationError> {
        let mut words = Words::new(text)?;
        let name = words.require("a field")?;
        if name.text.is_empty() {
            return Err(name.error("expected a field"));
        }
        let first = words.peek();
        let alone = Inherited {
            kind: "text",
            endian: Endian::Big,
            layouts: &[],
            decode: &serde_json::Value::Null,
            labels: &Labels::default(),
        };
        let steps = Steps::parse(&mut words, &alone, Subject::Value, None)?;
        if let (Some(first), false) = (first, steps.change_the_value_alone()) {
            let message =
                "only steps that change the value itself are possible here, such as `ltrim`";
            return Err(first.error(message));
        }
        Ok(FieldSteps {
            written: text.into(),
            name: name.text.as_ref().into(),
            steps: steps.steps.into(),
        })
    }

    /// The field.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The notation, as it was written.
    pub fn written(&self) -> &Name {
        &self.written
    }

    /// The field as it was read, where nothing is done with it.
    pub fn plain<'f>(&self, fields: &'f Fields) -> Option<&'f Value> {
        fields.get(&self.name).filter(|_| self.steps.is_empty())
    }

    /// The value after the steps; `None` without the field, and where a step does not fit it. What
    /// a step cannot do with a number it does with the number's text.
    pub fn value(&self, fields: &Fields) -> Option<Value> {
        let read = fields.get(&self.name)?.clone();
        self.steps.iter().try_fold(read, |value, step| {
            let number = matches!(value, Value::Integer(_) | Value::Float(_));
            let text = number.then(|| Step::Text.apply(value.clone()));
            let applied = step.apply(value).ok();
            applied.or_else(|| step.apply(text?.ok()?).ok())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_of_field_strings_work_on_what_was_read() {
        let fields: Fields = [
            ("imei".into(), Value::Text("0035x".into())),
            ("unit".into(), Value::integer(0x103)),
            ("my id".into(), Value::Text("a".into())),
            ("raw".into(), Value::Bytes(b"\x01"[..].into())),
        ]
        .into_iter()
        .collect();
        let text = |text: &str| Some(Value::text(text));
        for (notation, expected) in [
            ("imei", text("0035x")),
            ("imei ltrim 0 rtrim x", text("35")),
            ("unit & 0xff", Some(Value::integer(3))),
            ("unit ltrim 2", text("59")),
            ("unit rtrim 9 rtrim 5 + 1", None),
            ("unit enum 259=x", text("x")),
            ("'my id'", text("a")),
            ("imei * 2", None),
            ("raw ltrim 0", None),
            ("missing", None),
        ] {
            let read = FieldSteps::parse(notation).unwrap();
            assert_eq!(read.value(&fields), expected, "{notation}");
        }
    }

    #[test]
    fn mistakes_have_columns() {
        for (notation, column) in [
            ("", 1),
            ("imei ltrimm 0", 6),
            ("imei if a = 1", 6),
            ("imei ltrim 0 drop", 6),
            ("imei bits a@0", 6),
            ("imei split", 6),
        ] {
            let error = FieldSteps::parse(notation).unwrap_err();
            assert_eq!(error.column, column, "{notation}: {error}");
        }
    }
}
