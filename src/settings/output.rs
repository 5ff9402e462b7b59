//! An output: what the messages of one IoT Edge output look like.

use serde::Deserialize;

use super::later;
use crate::conversation::BodyForm;
use crate::document::{Problems, Section};

/// Output of messages for which nothing names one.
pub const DEFAULT_OUTPUT: &str = "telemetry";

/// An entry of `outputs`. An output without entry has the defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Output {
    /// What a message carries: the whole `message` with device and times, the `values` alone, or the `raw` bytes.
    pub body: BodyForm,
}

impl Output {
    /// Reads an entry and notes what is wrong in it.
    pub fn read(section: &Section<'_>, problems: &mut Problems) -> Option<Self> {
        let without = later::members(section, later::OUTPUT, problems);
        section.read(&without, problems)
    }
}
