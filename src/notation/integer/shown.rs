//! Integers at places as they are written.

use std::fmt;

use super::{Digits, IntegerAt, IntegerKind};
use crate::cursor::Endian;
use crate::notation::words::quoted;
use crate::notation::write_bytes;

impl fmt::Display for IntegerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IntegerKind::Binary {
                width,
                signed,
                endian,
            } => {
                let sign = if *signed { 'i' } else { 'u' };
                let little = *endian == Endian::Little && *width > 1;
                let order = if little { "le" } else { "" };
                write!(f, "{sign}{}{order}", u32::from(*width).saturating_mul(8))
            }
            IntegerKind::Decimal(digits) => write!(f, "decimal {digits}"),
            IntegerKind::Hexadecimal(digits) => write!(f, "hexadecimal {digits}"),
            IntegerKind::Bcd(count) => write!(f, "bcd {count}"),
            IntegerKind::Varint => f.write_str("varint"),
        }
    }
}

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Digits::Count(count) => write!(f, "{count}"),
            Digits::Until(byte) => write!(f, "until {}", quoted(&write_bytes(&[*byte]))),
        }
    }
}

impl fmt::Display for IntegerAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            None => write!(f, "{}", self.kind),
            Some(at) => write!(f, "{} at {at}", self.kind),
        }
    }
}
