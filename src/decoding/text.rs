//! `text`: the whole body as one text.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Inherited;
use super::run::Run;
use super::textual::Field;
use super::types::utf8;
use crate::document::{Problems, Section};
use crate::message::{Name, Value};
use crate::schema::TextField;

/// The frame as one text.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Options {
    /// What the text is; every field string sees the whole of it.
    #[serde(default = "plain")]
    #[schemars(with = "Vec<TextField>")]
    fields: Vec<String>,
}

fn plain() -> Vec<String> {
    vec!["text".to_owned()]
}

/// One text and what it is.
#[derive(Clone, Debug)]
pub(super) struct Text {
    fields: Box<[Field]>,
}

impl Text {
    /// Builds it.
    pub fn read(
        section: &Section<'_>,
        without: &[&str],
        inherited: Inherited<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let options: Options = section.read(without, problems)?;
        let fields = super::each_field(section, &options.fields, problems, |text| {
            Field::parse(text, &inherited)
        });
        Some(Text {
            fields: fields.into(),
        })
    }

    /// Sets its fields.
    pub fn decode(&self, run: &mut Run<'_>) -> Result<(), String> {
        let text = utf8(run.body(), &mut run.reading.replaced);
        for field in &self.fields {
            field.decode(Value::Text(text.clone()), run)?;
        }
        Ok(())
    }

    /// The field strings.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter()
    }

    /// The names it sets.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.fields.iter().flat_map(Field::names)
    }
}
