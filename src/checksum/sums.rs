//! Check values that are no CRC: XOR, sums and their complements, Fletcher, Adler, Luhn, NMEA.

use std::ops::Range;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sum {
    /// All bytes XORed.
    Xor,
    /// All bytes added, as many bits of it as it says.
    Add { bits: u8, complement: Complement },
    /// Two sums modulo 255, the second in the high byte (Fletcher, 1982).
    Fletcher,
    /// Two sums modulo 256, the second in the high byte (RFC 1145; u-blox UBX).
    FletcherUbx,
    /// RFC 1950.
    Adler,
    /// The check digit of decimal digits in ASCII (ISO/IEC 7812-1).
    Luhn,
    /// XOR of what stands between `$` or `!` and `*` (NMEA 0183).
    Nmea,
}

/// What is made of a sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Complement {
    /// Nothing.
    No,
    /// Two's complement: sum and value make zero.
    Negated,
    /// One's complement: every bit is turned.
    Inverted,
}

impl Sum {
    /// Bits of the check value.
    pub fn width(self) -> u8 {
        match self {
            Sum::Xor | Sum::Luhn | Sum::Nmea => 8,
            Sum::Add { bits, .. } => bits,
            Sum::Fletcher | Sum::FletcherUbx => 16,
            Sum::Adler => 32,
        }
    }

    /// The check value; `None` of bytes that have none: for Luhn those that are no digits.
    pub fn compute(self, bytes: &[u8]) -> Option<u64> {
        Some(match self {
            Sum::Xor | Sum::Nmea => bytes.iter().fold(0, |value, byte| value ^ byte).into(),
            Sum::Add { bits, complement } => complement.of(added(bytes), bits),
            Sum::Fletcher => two_sums(bytes, 0, 255, 8),
            Sum::FletcherUbx => two_sums(bytes, 0, 256, 8),
            Sum::Adler => two_sums(bytes, 1, 65_521, 16),
            Sum::Luhn => return luhn(bytes),
        })
    }
}

impl Complement {
    fn of(self, sum: u64, bits: u8) -> u64 {
        let value = match self {
            Complement::No => sum,
            Complement::Negated => sum.wrapping_neg(),
            Complement::Inverted => !sum,
        };
        value & u64::MAX.wrapping_shr(64u32.saturating_sub(bits.into()))
    }
}

/// What an NMEA sentence covers: from behind the first `$` or `!`, or from its beginning where the
/// framing took that away, to the last `*`.
pub(super) fn sentence(bytes: &[u8]) -> Option<Range<usize>> {
    let end = memchr::memrchr(b'*', bytes)?;
    let mark = memchr::memchr2(b'$', b'!', bytes.get(..end)?);
    let from = mark.map_or(0, |mark| mark.saturating_add(1));
    Some(from..end)
}

fn added(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |sum: u64, byte| sum.wrapping_add(u64::from(*byte)))
}

/// The sum of the bytes, and the sum of all the sums on the way.
fn two_sums(bytes: &[u8], start: u64, modulus: u64, bits: u32) -> u64 {
    let next = |sum: u64, addend: u64| {
        sum.wrapping_add(addend)
            .checked_rem(modulus)
            .unwrap_or_default()
    };
    let (first, second) = bytes.iter().fold((start, 0), |(first, second), byte| {
        let first = next(first, u64::from(*byte));
        (first, next(second, first))
    });
    second.wrapping_shl(bits) | first
}

/// From the right, every other digit counts twice, as the sum of its own digits.
fn luhn(digits: &[u8]) -> Option<u64> {
    let mut doubled = false;
    let sum = digits.iter().rev().try_fold(0u64, |sum, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit <= 9)?;
        doubled = !doubled;
        let digit = match (doubled, digit) {
            (false, digit) => digit,
            (true, digit @ 0..=4) => digit.wrapping_mul(2),
            (true, digit) => digit.wrapping_mul(2).wrapping_sub(9),
        };
        Some(sum.wrapping_add(digit.into()))
    })?;
    Some(10u64.wrapping_sub(sum % 10) % 10)
}
