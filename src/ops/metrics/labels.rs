//! By what is counted.

use std::fmt;

use prometheus_client::encoding::{EncodeLabel as _, EncodeLabelSet, LabelSetEncoder};

/// The entry of the settings over which devices speak; `listener` or `outbound` is the label.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
pub(super) struct OfEntry {
    pub(super) label: &'static str,
    pub(super) name: String,
}

impl EncodeLabelSet for OfEntry {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), fmt::Error> {
        (self.label, self.name.as_str()).encode(encoder.encode_label())
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Reasoned {
    #[prometheus(flatten)]
    pub(super) entry: OfEntry,
    pub(super) reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Troubled {
    #[prometheus(flatten)]
    pub(super) entry: OfEntry,
    pub(super) trouble: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Dialled {
    #[prometheus(flatten)]
    pub(super) entry: OfEntry,
    pub(super) result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Polled {
    #[prometheus(flatten)]
    pub(super) entry: OfEntry,
    pub(super) outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Present {
    pub(super) presence: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct OfOutput {
    pub(super) output: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Given {
    pub(super) output: String,
    pub(super) reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Resulted {
    pub(super) result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Ended {
    pub(super) reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct Outcome {
    pub(super) door: &'static str,
    pub(super) outcome: &'static str,
}
