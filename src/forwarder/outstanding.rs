//! Parcels that were sent and are not acknowledged, in the order in which they were sent first.

use std::collections::VecDeque;

use crate::message::{Priority, Sequence};
use crate::northbound::dialect::Publish;
use crate::northbound::{MOST_OUTSTANDING, Parcel, ParcelId};

/// Bytes outstanding at most, but for one long parcel.
pub(super) const MOST_BYTES: usize = 1 << 20;

/// The messages of a parcel.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// IoT Hub's metering units for all of them together.
    pub units: u64,
    first: Option<(Priority, Sequence)>,
    others: Vec<(Priority, Sequence)>,
}

impl Records {
    pub(super) fn one(priority: Priority, sequence: Sequence) -> Self {
        Records {
            first: Some((priority, sequence)),
            ..Records::default()
        }
    }

    pub(super) fn many(records: Vec<(Priority, Sequence)>) -> Self {
        Records {
            others: records,
            ..Records::default()
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Priority, Sequence)> {
        self.first.into_iter().chain(self.others.iter().copied())
    }
}

/// See above.
#[derive(Debug, Default)]
pub(super) struct Outstanding {
    sent: VecDeque<(Parcel, Records)>,
    bytes: usize,
    last: u64,
}

impl Outstanding {
    /// Whether another parcel may be sent.
    pub(super) fn has_room(&self) -> bool {
        self.sent.len() < MOST_OUTSTANDING && self.bytes < MOST_BYTES
    }

    /// How many parcels are outstanding, and their bytes.
    pub(super) fn level(&self) -> (usize, usize) {
        (self.sent.len(), self.bytes)
    }

    /// Takes note of a parcel that is sent now.
    pub(super) fn add(&mut self, publish: Publish, records: Records) -> Parcel {
        self.last += 1;
        let parcel = Parcel {
            id: ParcelId(self.last),
            topic: publish.topic.into(),
            payload: publish.payload,
        };
        self.bytes += size(&parcel);
        self.sent.push_back((parcel.clone(), records));
        parcel
    }

    /// A parcel has come to its end; its messages, unless it had before.
    pub(super) fn remove(&mut self, id: ParcelId) -> Option<Records> {
        let at = self.sent.iter().position(|(parcel, _)| parcel.id == id)?;
        let (parcel, records) = self.sent.remove(at)?;
        self.bytes -= size(&parcel);
        Some(records)
    }

    /// All of them, in order.
    pub(super) fn parcels(&self) -> impl Iterator<Item = &Parcel> {
        self.sent.iter().map(|(parcel, _)| parcel)
    }
}

fn size(parcel: &Parcel) -> usize {
    parcel.topic.len() + parcel.payload.len()
}
