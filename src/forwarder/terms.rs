//! What the settings say of delivery.

use std::collections::BTreeMap;

use super::batch::Batching;
use crate::message::{Name, Priority};
use crate::spool::Limits;

/// How messages of one output are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputTerms {
    /// Which go first.
    pub priority: Priority,
    /// Whether several go together.
    pub batching: Option<Batching>,
}

/// What the settings say of delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How much is kept, and how.
    pub limits: Limits,
    /// Whether there are settings at all. Before, nothing is sent: what an earlier run left might go
    /// out in the wrong shape.
    pub settled: bool,
    /// Outputs that differ from the default.
    pub outputs: BTreeMap<Name, OutputTerms>,
}
