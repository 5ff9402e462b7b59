//! `text`: the whole body as one text.

use schemars::JsonSchema;
use serde::Deserialize;

use super::run::Run;
use super::textual::{Encoding, Field};
use super::{Inherited, Use};
use crate::document::{Problems, Section};
use crate::schema::TextField;

/// The frame as one text.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Options {
    /// What the text is; every field string sees the whole of it.
    #[serde(default = "plain")]
    #[schemars(with = "Vec<TextField>")]
    fields: Vec<String>,
    /// What bytes are as text; that of the decoder above, else `utf8`.
    encoding: Option<Encoding>,
}

fn plain() -> Vec<String> {
    vec!["text".to_owned()]
}

/// One text and what it is.
#[derive(Clone, Debug)]
pub(super) struct Text {
    fields: Box<[Field]>,
    encoding: Encoding,
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
            encoding: inherited.encoding(options.encoding),
        })
    }

    /// Sets its fields.
    pub fn decode(&self, run: &mut Run<'_>) -> Result<(), String> {
        let body = run.body();
        let mut fields = self.fields.iter();
        fields.try_for_each(|field| field.decode_bytes(body, self.encoding, run))
    }

    /// What its field strings set and need.
    pub fn uses(&self) -> impl Iterator<Item = Use<'_>> {
        let fields = self.fields.iter().enumerate();
        fields.map(|(at, field)| field.uses(Some(at)))
    }
}
