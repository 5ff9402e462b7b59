//! The spool: how much is kept for edgeHub while it does not take messages, and how.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{bounds, later};
use crate::document::{Problems, Section};
use crate::spool::Persist;

/// At least one file of the spool, at most a terabyte.
const BYTES: RangeInclusive<u64> = 4_194_304..=1_099_511_627_776;
const FREE_BYTES: RangeInclusive<u64> = 0..=1_099_511_627_776;
/// At least four messages of the largest size that edgeHub takes, at most what a small box has.
const MEMORY_BYTES: RangeInclusive<u32> = 1_048_576..=268_435_456;

/// What is kept while edgeHub takes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(rename = "spool")]
pub struct SpoolSettings {
    /// Bytes of the spool's files, each of some 4 MiB or an eighth of this.
    #[schemars(range(min = *BYTES.start(), max = *BYTES.end()))]
    pub max_bytes: u64,
    /// Bytes that the disk must have left: edgeHub keeps its own messages on it.
    #[schemars(range(min = *FREE_BYTES.start(), max = *FREE_BYTES.end()))]
    pub min_free_bytes: u64,
    /// Bytes in memory of messages that are not on disk, 512 of them for each message beside what it
    /// says.
    #[schemars(range(min = *MEMORY_BYTES.start(), max = *MEMORY_BYTES.end()))]
    pub max_memory_bytes: u32,
    /// How many seconds old a message gets before it is dropped, to an eighth of it, counted while
    /// the module runs. Without it, any age.
    pub max_age_seconds: Option<NonZeroU32>,
    /// What a full spool does.
    pub when_full: WhenFull,
    /// When messages that edgeHub has not acknowledged are forced to disk.
    pub persist: Persist,
}

impl Default for SpoolSettings {
    fn default() -> Self {
        SpoolSettings {
            max_bytes: 256 << 20,
            min_free_bytes: 128 << 20,
            max_memory_bytes: 8 << 20,
            max_age_seconds: None,
            when_full: WhenFull::Block,
            persist: Persist::Interval,
        }
    }
}

/// What a full spool does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum WhenFull {
    /// No more is read from devices until there is room; TCP makes them wait.
    #[default]
    Block,
    /// The oldest file of messages is dropped for new ones, normal priority first, and counted.
    DropOldest,
}

impl SpoolSettings {
    /// Reads the section and notes what is wrong in it.
    pub fn read(section: &Section<'_>, problems: &mut Problems) -> Option<Self> {
        let refused = later::word(section, "whenFull", later::WHEN_FULL, problems);
        let without: &[&str] = if refused { &["whenFull"] } else { &[] };
        let settings: Self = section.read_in_bounds(without, problems)?;
        bounds::number(section, "maxBytes", settings.max_bytes, &BYTES, problems);
        bounds::number(
            section,
            "minFreeBytes",
            settings.min_free_bytes,
            &FREE_BYTES,
            problems,
        );
        bounds::number(
            section,
            "maxMemoryBytes",
            settings.max_memory_bytes,
            &MEMORY_BYTES,
            problems,
        );
        Some(settings)
    }
}
