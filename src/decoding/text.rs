//! `text`: the whole body as one text.

use serde::Deserialize;

use super::Inherited;
use super::run::Run;
use super::textual::Field;
use crate::document::{Problems, Section};
use crate::message::Name;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Options {
    /// What the text is; every field string sees the whole of it.
    #[serde(default = "plain")]
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
        let body = run.body();
        let mut fields = self.fields.iter();
        fields.try_for_each(|field| field.decode_bytes(body, run))
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
