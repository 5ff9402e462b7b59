//! An output: what the messages of one IoT Edge output look like, and how they are sent.

use std::ops::RangeInclusive;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bounds;
use crate::conversation::BodyForm;
use crate::document::{Problems, Section, optional_object};
use crate::message::Priority;

/// Output of messages for which nothing names one.
pub const DEFAULT_OUTPUT: &str = "telemetry";

/// From a small fraction of what IoT Hub meters as one message, to the most that edgeHub takes,
/// less what it adds.
const BATCH_BYTES: RangeInclusive<u32> = 512..=261_632;
const BATCH_DELAY: RangeInclusive<u32> = 0..=3_600_000;

/// What the messages of one IoT Edge output look like, and how they are sent. An output without an
/// entry has the defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(rename = "output")]
pub struct Output {
    /// What a message carries. `raw` goes without `batch`.
    pub body: BodyForm,
    /// Which messages go first.
    pub priority: PriorityOption,
    /// Several messages go together, as one JSON array. Without it each goes alone.
    #[serde(deserialize_with = "optional_object")]
    pub batch: Option<BatchOptions>,
}

/// Member `priority` of an output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum PriorityOption {
    /// In the order in which they came.
    #[default]
    Normal,
    /// Before all that wait with normal priority, also before a backlog on disk.
    High,
}

impl From<PriorityOption> for Priority {
    fn from(option: PriorityOption) -> Self {
        match option {
            PriorityOption::Normal => Priority::Normal,
            PriorityOption::High => Priority::High,
        }
    }
}

/// Several messages in one. A message whose reply waits for edgeHub is not held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(rename = "batch")]
pub struct BatchOptions {
    /// Bytes of a batch at most, properties included. 4096 is what IoT Hub meters as one message.
    #[schemars(range(min = *BATCH_BYTES.start(), max = *BATCH_BYTES.end()))]
    pub max_bytes: u32,
    /// How long a batch that has room is held for more messages, in milliseconds. 0: it leaves as
    /// soon as nothing is queued behind it, and after 200 ms whatever is.
    #[schemars(range(min = *BATCH_DELAY.start(), max = *BATCH_DELAY.end()))]
    pub max_delay_ms: u32,
}

impl Default for BatchOptions {
    fn default() -> Self {
        BatchOptions {
            max_bytes: 4096,
            max_delay_ms: 0,
        }
    }
}

impl BatchOptions {
    /// [`BatchOptions::max_delay_ms`] as a duration.
    pub fn max_delay(&self) -> Duration {
        Duration::from_millis(self.max_delay_ms.into())
    }
}

impl Output {
    /// Reads an entry and notes what is wrong in it.
    pub fn read(section: &Section<'_>, problems: &mut Problems) -> Option<Self> {
        let output: Self = section.read_in_bounds(&[], problems)?;
        let Some(batch) = output.batch else {
            return Some(output);
        };
        if let Some(member) = section.member("batch") {
            bounds::number(&member, "maxBytes", batch.max_bytes, &BATCH_BYTES, problems);
            bounds::number(
                &member,
                "maxDelayMs",
                batch.max_delay_ms,
                &BATCH_DELAY,
                problems,
            );
        }
        if output.body == BodyForm::Raw {
            let message = "raw bytes cannot stand in a JSON array; take the body \"message\" or \"values\", or no batch";
            problems.member(section, "batch", message.to_owned());
        }
        Some(output)
    }
}
