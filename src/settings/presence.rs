//! Whether it is said which devices are there.

use std::ops::RangeInclusive;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::bounds;
use crate::document::{Problems, Section};

/// The output of messages about presence.
pub const PRESENCE_OUTPUT: &str = "presence";

const SILENT_SECONDS: RangeInclusive<u32> = 1..=604_800;

/// Which devices are there, and since when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(rename = "presence")]
pub struct PresenceSettings {
    /// Whether each change is a message on the output `presence`.
    pub messages: bool,
    /// A connected device of which nothing was heard for so many seconds is silent; without it none is.
    #[schemars(range(min = *SILENT_SECONDS.start(), max = *SILENT_SECONDS.end()))]
    silent_seconds: Option<u32>,
}

impl PresenceSettings {
    /// Reads the section and notes what is wrong in it.
    pub fn read(section: &Section<'_>, problems: &mut Problems) -> Option<Self> {
        let settings: Self = section.read(&[], problems)?;
        if let Some(seconds) = settings.silent_seconds {
            bounds::number(section, "silentSeconds", seconds, &SILENT_SECONDS, problems);
        }
        Some(settings)
    }

    /// After so long without a byte a connected device is silent.
    pub fn silent(&self) -> Option<Duration> {
        self.silent_seconds
            .map(|seconds| Duration::from_secs(seconds.into()))
    }
}
