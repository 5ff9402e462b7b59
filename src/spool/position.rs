//! The oldest open sequences, as they stand on the disk: two slots that are written in turn, so
//! that one of them is whole whenever the power goes. Pure.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::message::{Priority, Sequence};

/// Bytes of one slot: generation, two sequences, CRC-32, four zeros.
pub const SLOT_BYTES: usize = 32;

/// Which sequences are done for certain: all before these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// How many notes there were before.
    pub generation: u64,
    /// The oldest open one of the log `high`.
    pub high: Sequence,
    /// The oldest open one of the log `normal`.
    pub normal: Sequence,
}

impl Position {
    /// The oldest open sequence of a log.
    pub fn of(&self, priority: Priority) -> Sequence {
        match priority {
            Priority::High => self.high,
            Priority::Normal => self.normal,
        }
    }

    /// The slot, and where it is written.
    pub fn slot(&self) -> (u64, Vec<u8>) {
        let mut bytes = Vec::with_capacity(SLOT_BYTES);
        for number in [self.generation, self.high.0, self.normal.0] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let sum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        let at = if self.generation.is_multiple_of(2) {
            0
        } else {
            32
        };
        (at, bytes)
    }

    /// The newest whole slot of a file; where there is none, nothing is known to be done.
    pub fn newest(file: &[u8]) -> Self {
        let slots = file.chunks(SLOT_BYTES).filter_map(Self::read);
        slots
            .max_by_key(|position| position.generation)
            .unwrap_or_default()
    }

    fn read(slot: &[u8]) -> Option<Self> {
        let (covered, rest) = slot.split_at_checked(24)?;
        let sum = u32::from_le_bytes(rest.get(..4)?.try_into().ok()?);
        if crc32fast::hash(covered) != sum {
            return None;
        }
        let number = |at: usize| -> Option<u64> {
            let bytes = covered.get(at..)?.get(..8)?;
            Some(u64::from_le_bytes(bytes.try_into().ok()?))
        };
        Some(Position {
            generation: number(0)?,
            high: Sequence(number(8)?),
            normal: Sequence(number(16)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_whole_slot_counts_whatever_happened_to_the_other() {
        let mut file = vec![0; 2 * SLOT_BYTES];
        for generation in 1..=3 {
            let position = Position {
                generation,
                high: Sequence(generation * 10),
                normal: Sequence(generation * 100),
            };
            let (at, slot) = position.slot();
            let at = usize::try_from(at).unwrap();
            file[at..at + SLOT_BYTES].copy_from_slice(&slot);
            assert_eq!(Position::newest(&file), position);
            let mut torn = file.clone();
            torn[at + 9] ^= 1;
            assert_eq!(Position::newest(&torn).generation, generation - 1);
        }
        assert_eq!(Position::newest(&[1; 64]), Position::default());
        assert_eq!(Position::newest(&file[..40]), Position::newest(&file[..32]));
    }
}
