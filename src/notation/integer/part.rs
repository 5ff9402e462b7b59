//! Some bits of an integer at a place: `u16le at 1 & 0x7fff`, `u8 at 15 >> 6`.

use std::fmt;

use super::{IntegerAt, IntegerKind, IntegerRead, ReadError};
use crate::cursor::Endian;
use crate::notation::{NotationError, Word, Words};

/// Furthest shift that leaves a bit of 64.
const MOST_SHIFT: usize = 63;

/// Bits of an integer at a place, as the number that they are together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartAt {
    /// The whole integer.
    pub place: IntegerAt,
    /// The bits that count; all without one.
    mask: Option<i128>,
    /// How many of the lowest bits are left out, after the mask.
    shift: u32,
}

impl PartAt {
    /// Reads `TYPE [at N] [& MASK] [>> N]`; the steps are done from left to right. `default` is the
    /// order of bytes where the type does not say one.
    ///
    /// # Errors
    /// The first mistake with its column.
    pub fn parse(text: &str, default: Endian) -> Result<Self, NotationError> {
        let mut words = Words::new(text)?;
        let mut part = PartAt {
            place: IntegerAt::next(&mut words, default)?,
            mask: None,
            shift: 0,
        };
        while let Some(word) = words.peek() {
            match word.raw {
                "&" => part.mask(&mut words)?,
                ">>" => part.shift(&mut words)?,
                _ => break,
            }
        }
        words.end()?;
        Ok(part)
    }

    fn mask(&mut self, words: &mut Words<'_>) -> Result<(), NotationError> {
        words.next();
        let word = words.require("a mask")?;
        let mask = u64::try_from(word.number("a mask")?)
            .map_err(|_| word.error(format!("a mask has 1 to 64 bits, found `{}`", word.raw)))?;
        // Behind a shift it speaks of the bits that are left.
        let mask = i128::from(mask).wrapping_shl(self.shift);
        self.mask = Some(self.mask.unwrap_or(-1) & mask);
        self.must_leave_a_bit(&word)
    }

    fn shift(&mut self, words: &mut Words<'_>) -> Result<(), NotationError> {
        words.next();
        let word = words.require("how many bits")?;
        let bits = word.count("the number of bits", MOST_SHIFT)?;
        let shift = u32::try_from(bits)
            .unwrap_or(u32::MAX)
            .saturating_add(self.shift);
        self.shift = shift.min(u64::BITS);
        self.must_leave_a_bit(&word)
    }

    fn must_leave_a_bit(&self, word: &Word<'_>) -> Result<(), NotationError> {
        let bits = match self.place.kind {
            IntegerKind::Binary { width, .. } => u32::from(width).saturating_mul(8),
            _ => u64::BITS,
        };
        let all = i128::from(u64::MAX.wrapping_shr(u64::BITS.saturating_sub(bits)));
        if self.of(all) == 0 {
            return Err(word.error(format!("`{}` leaves no bit of the number", word.raw)));
        }
        Ok(())
    }

    /// Reads the number in a frame, or in what has come of it; it stands at `default_at` unless it says a place.
    ///
    /// # Errors
    /// When more bytes are needed, or would not help.
    pub fn read(&self, frame: &[u8], default_at: usize) -> Result<IntegerRead, ReadError> {
        let read = self.place.read(frame, default_at)?;
        Ok(IntegerRead {
            value: self.of(read.value),
            ..read
        })
    }

    /// Appends the integer whose bits are the number, all others zero; `None`, and nothing appended,
    /// if they cannot be.
    pub fn write(&self, value: i128, out: &mut Vec<u8>) -> Option<()> {
        let whole = value.checked_mul(1i128.checked_shl(self.shift)?)?;
        (self.of(whole) == value).then_some(())?;
        self.place.kind.write(whole, out)
    }

    fn of(&self, whole: i128) -> i128 {
        (whole & self.mask.unwrap_or(-1)).wrapping_shr(self.shift)
    }
}

impl fmt::Display for PartAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place)?;
        if let Some(mask) = self.mask {
            write!(f, " & {mask:#x}")?;
        }
        match self.shift {
            0 => Ok(()),
            shift => write!(f, " >> {shift}"),
        }
    }
}
