//! `raw`: the body as it came, base64 in JSON.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Inherited;
use super::run::Run;
use crate::document::{Problems, Section};
use crate::message::{Label, Value};

/// The frame in base64.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Options {}

/// Nothing is decoded.
#[derive(Clone, Debug)]
pub(super) struct Raw(Label);

impl Raw {
    /// Builds it; there is nothing to say.
    pub fn read(
        section: &Section<'_>,
        without: &[&str],
        inherited: Inherited<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let options = section.read::<Options>(without, problems);
        options.map(|_| Raw(inherited.label("raw")))
    }

    /// Sets the field `raw`.
    pub fn decode(&self, run: &mut Run<'_>) {
        let value = Value::Bytes(run.body().into());
        run.source(run.body());
        run.found(&self.0, &value);
        run.reading.fields.set_label(0, &self.0, false, value);
    }
}
