//! `raw`: the body as it came, base64 in JSON.

use schemars::JsonSchema;
use serde::Deserialize;

use super::run::Run;
use crate::document::{Problems, Section};
use crate::message::{Name, Value};

/// The frame in base64.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Options {}

/// Nothing is decoded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Raw;

impl Raw {
    /// Builds it; there is nothing to say.
    pub fn read(section: &Section<'_>, without: &[&str], problems: &mut Problems) -> Option<Self> {
        section.read::<Options>(without, problems).map(|_| Raw)
    }

    /// Sets the field `raw`.
    pub fn decode(self, run: &mut Run<'_>) {
        let body = bytes::Bytes::copy_from_slice(run.body());
        let (name, value) = (Name::from("raw"), Value::Bytes(body));
        run.source(run.body());
        run.found(&name, &value);
        run.reading.fields.set(name, value);
    }
}
