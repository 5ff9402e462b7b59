//! Cyclic redundancy checks of 3 to 64 bits, a byte at a time.

use std::fmt;

/// What makes one CRC differ from another, as the CRC catalogue says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Model {
    /// Bits of the check value.
    pub width: u8,
    /// Without its highest term.
    pub polynomial: u64,
    /// The register before the first byte.
    pub init: u64,
    /// Whether the lowest bit of a byte comes first.
    pub reflect_in: bool,
    /// Whether the register is turned round at the end.
    pub reflect_out: bool,
    /// What the register is XORed with at the end.
    pub xor_out: u64,
}

impl<W: crc::Width + Into<u64>> From<&crc::Algorithm<W>> for Model
where
    W: Copy,
{
    fn from(algorithm: &crc::Algorithm<W>) -> Self {
        Model {
            width: algorithm.width,
            polynomial: algorithm.poly.into(),
            init: algorithm.init.into(),
            reflect_in: algorithm.refin,
            reflect_out: algorithm.refout,
            xor_out: algorithm.xorout.into(),
        }
    }
}

/// A model with its table.
#[derive(PartialEq, Eq)]
pub(super) struct Crc {
    pub model: Model,
    table: Box<[u64; 256]>,
}

impl Crc {
    pub fn new(model: Model) -> Self {
        let mut table = Box::new([0; 256]);
        for (byte, entry) in (0u64..).zip(table.iter_mut()) {
            *entry = model.after_a_byte(byte);
        }
        Crc { model, table }
    }

    /// The check value of those bytes.
    pub fn compute(&self, bytes: &[u8]) -> u64 {
        let model = &self.model;
        let entry = |at: u8| self.table.get(usize::from(at)).copied().unwrap_or(0);
        let register = if model.reflect_in {
            let start = reflected(model.init, model.width);
            bytes.iter().fold(start, |register, byte| {
                let [low, ..] = register.to_le_bytes();
                (register >> 8) ^ entry(low ^ byte)
            })
        } else {
            let start = model.init.wrapping_shl(model.free());
            let register = bytes.iter().fold(start, |register, byte| {
                let [high, ..] = register.to_be_bytes();
                (register << 8) ^ entry(high ^ byte)
            });
            register.wrapping_shr(model.free())
        };
        let register = if model.reflect_in == model.reflect_out {
            register
        } else {
            reflected(register, model.width)
        };
        register ^ model.xor_out
    }
}

impl Model {
    /// Bits of the register that the value leaves free.
    fn free(&self) -> u32 {
        64u32.saturating_sub(self.width.into())
    }

    /// A register of zeros after that byte. Reflected registers have their value in the lowest
    /// bits, others in the highest: so widths below 8 need nothing special.
    fn after_a_byte(&self, byte: u64) -> u64 {
        if self.reflect_in {
            let polynomial = reflected(self.polynomial, self.width);
            (0..8).fold(byte, |register, _| {
                let out = if register & 1 == 1 { polynomial } else { 0 };
                (register >> 1) ^ out
            })
        } else {
            let polynomial = self.polynomial.wrapping_shl(self.free());
            (0..8).fold(byte << 56, |register, _| {
                let out = if register >> 63 == 1 { polynomial } else { 0 };
                (register << 1) ^ out
            })
        }
    }
}

impl fmt::Debug for Crc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.model.fmt(f)
    }
}

fn reflected(value: u64, width: u8) -> u64 {
    value
        .reverse_bits()
        .wrapping_shr(64u32.saturating_sub(width.into()))
}
