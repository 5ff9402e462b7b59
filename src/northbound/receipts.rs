//! The PUBACKs that the module owes edgeHub, in the order in which its messages came.
//!
//! All of edgeHub's messages carry the same packet id, and it takes each PUBACK for that of the
//! oldest one it waits for: one that is withheld holds up those behind it.

use std::collections::VecDeque;

use mqtt::PacketId;

use super::DeliveryId;

/// PUBACKs owed at most: edgeHub waits long before so many.
const MOST: usize = 1024;

/// PUBACKs owed in one session.
#[derive(Debug, Default)]
pub(super) struct Receipts(VecDeque<(PacketId, Option<DeliveryId>)>);

impl Receipts {
    /// A message came; with a delivery its PUBACK waits for [`Receipts::paid`]. Of QoS 0 none is owed.
    pub fn owe(
        &mut self,
        id: Option<PacketId>,
        waits_for: Option<DeliveryId>,
    ) -> Result<(), &'static str> {
        let Some(id) = id else { return Ok(()) };
        if self.0.len() >= MOST {
            return Err("a message to an input was not acknowledged, and too many came behind it");
        }
        self.0.push_back((id, waits_for));
        Ok(())
    }

    /// A delivery is taken care of; one of another session is unknown here.
    pub fn paid(&mut self, delivery: DeliveryId) {
        let mut waiting = self.0.iter_mut();
        if let Some((_, waits_for)) = waiting.find(|(_, waits_for)| *waits_for == Some(delivery)) {
            *waits_for = None;
        }
    }

    /// The PUBACK whose turn it is, if it waits for nothing.
    pub fn next(&mut self) -> Option<PacketId> {
        self.0
            .pop_front_if(|(_, waits_for)| waits_for.is_none())
            .map(|(id, _)| id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_withheld_puback_holds_up_those_behind_it_and_one_of_another_session_changes_nothing() {
        let mut receipts = Receipts::default();
        let id = Some(PacketId::MIN);
        receipts.owe(None, Some(DeliveryId(1))).unwrap();
        receipts.owe(id, None).unwrap();
        receipts.owe(id, Some(DeliveryId(2))).unwrap();
        receipts.owe(id, None).unwrap();
        receipts.owe(id, Some(DeliveryId(3))).unwrap();
        let due = |receipts: &mut Receipts| std::iter::from_fn(|| receipts.next()).count();
        assert_eq!(due(&mut receipts), 1);
        receipts.paid(DeliveryId(3));
        receipts.paid(DeliveryId(1));
        assert_eq!(due(&mut receipts), 0);
        receipts.paid(DeliveryId(2));
        assert_eq!(due(&mut receipts), 3);
    }

    #[test]
    fn as_many_are_owed_as_may() {
        let mut receipts = Receipts::default();
        for _ in 0..MOST {
            receipts
                .owe(Some(PacketId::MIN), Some(DeliveryId(1)))
                .unwrap();
        }
        assert!(receipts.owe(Some(PacketId::MIN), None).is_err());
    }
}
