//! The spool: how much is kept for edgeHub while it does not take messages.

use std::ops::RangeInclusive;

use serde::Deserialize;

use super::{bounds, later};
use crate::document::{Problems, Section};

/// At least four messages of the largest size that edgeHub takes, at most what a small box has.
const BYTES: RangeInclusive<u64> = 1_048_576..=268_435_456;
const ITEMS: RangeInclusive<u32> = 100..=10_000_000;

/// Section `spool`. In this version messages are kept in memory, so that both bounds are of memory;
/// a message costs some 300 bytes beside what `maxBytes` counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SpoolSettings {
    /// Bytes of message bodies and properties; default 16 MiB, 1 to 256 MiB.
    pub max_bytes: u64,
    /// Messages; default 50000, at least 100.
    pub max_items: u32,
    /// What a full spool does.
    pub when_full: WhenFull,
}

impl Default for SpoolSettings {
    fn default() -> Self {
        SpoolSettings {
            max_bytes: 16 * 1024 * 1024,
            max_items: 50_000,
            when_full: WhenFull::Block,
        }
    }
}

/// What a full spool does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WhenFull {
    /// No more is read from devices until there is room; TCP makes them wait.
    #[default]
    Block,
}

impl SpoolSettings {
    /// Reads the section and notes what is wrong in it.
    pub fn read(section: &Section<'_>, problems: &mut Problems) -> Option<Self> {
        let refused = later::word(section, "whenFull", later::WHEN_FULL, problems);
        let without: &[&str] = if refused { &["whenFull"] } else { &[] };
        let settings: Self = section.read(without, problems)?;
        bounds::number(section, "maxBytes", settings.max_bytes, &BYTES, problems);
        bounds::number(section, "maxItems", settings.max_items, &ITEMS, problems);
        Some(settings)
    }
}
