//! When a record that edgeHub has not acknowledged is forced to disk. Pure: time comes in.

use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How old a record gets before it is forced to disk.
pub const INTERVAL: Duration = Duration::from_millis(200);

/// Member `persist` of the section `spool`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum Persist {
    /// When the oldest record that edgeHub has not acknowledged is 200 ms old.
    #[default]
    Interval,
    /// At once, all that wait together.
    EachBatch,
    /// Never: written after 200 ms, forced by the operating system when it likes.
    Never,
}

impl Persist {
    /// When records are written whose oldest came at that moment.
    pub fn due(self, oldest: Instant) -> Instant {
        match self {
            Persist::EachBatch => oldest,
            Persist::Interval | Persist::Never => oldest.checked_add(INTERVAL).unwrap_or(oldest),
        }
    }

    /// Whether what is written is forced to the disk.
    pub fn forces(self) -> bool {
        self != Persist::Never
    }
}
