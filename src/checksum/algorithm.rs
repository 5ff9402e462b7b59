//! Named algorithms, ready to compute.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::catalogue;
use super::crc::{Crc, Model};
use super::sums::{self, Sum};
use crate::notation::{Digits, Endian, IntegerKind, unknown_word};

/// A checksum algorithm by its name; cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Algorithm {
    name: &'static str,
    engine: Engine,
}

#[derive(Clone, PartialEq, Eq)]
enum Engine {
    Crc(Arc<Crc>),
    Sum(Sum),
}

impl Algorithm {
    /// The algorithm of that name: the CRC catalogue's names, sums, and usual aliases of both.
    ///
    /// # Errors
    /// A sentence with the nearest known name.
    pub fn by_name(name: &str) -> Result<Self, String> {
        let Some((name, parameters)) = catalogue::find(name) else {
            return Err(unknown_word("checksum", name, &catalogue::names()));
        };
        let engine = match parameters.model() {
            Ok(model) => Engine::Crc(Arc::new(Crc::new(model))),
            Err(sum) => Engine::Sum(sum),
        };
        Ok(Algorithm { name, engine })
    }

    /// A CRC that the catalogue does not have.
    pub(super) fn custom(model: Model) -> Self {
        Algorithm {
            name: "crc",
            engine: Engine::Crc(Arc::new(Crc::new(model))),
        }
    }

    /// The name in the catalogue.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// How many bytes hold the check value.
    pub fn width(&self) -> usize {
        let bits = match &self.engine {
            Engine::Crc(crc) => crc.model.width,
            Engine::Sum(sum) => sum.width(),
        };
        usize::from(bits.div_ceil(8))
    }

    /// How the check value is written where nothing else is said: as wide as it is, a check digit
    /// as a digit, that of an NMEA sentence as two hex digits.
    pub fn usual_kind(&self, endian: Endian) -> IntegerKind {
        match self.engine {
            Engine::Sum(Sum::Luhn) => IntegerKind::Decimal(Digits::Count(1)),
            Engine::Sum(Sum::Nmea) => IntegerKind::Hexadecimal(Digits::Count(2)),
            _ => IntegerKind::Binary {
                width: u8::try_from(self.width()).unwrap_or(8),
                signed: false,
                endian,
            },
        }
    }

    /// Whether marks in the frame say what it covers, and not the settings.
    pub fn has_marks(&self) -> bool {
        self.engine == Engine::Sum(Sum::Nmea)
    }

    /// What it covers of the bytes before its value: all, or what stands between its marks.
    pub fn covers(&self, before: &[u8]) -> Option<Range<usize>> {
        if self.has_marks() {
            sums::sentence(before)
        } else {
            Some(0..before.len())
        }
    }

    /// The check value of those bytes; `None` of bytes that have none, such as letters for `luhn`.
    pub fn compute(&self, bytes: &[u8]) -> Option<u64> {
        match &self.engine {
            Engine::Crc(crc) => Some(crc.compute(bytes)),
            Engine::Sum(sum) => sum.compute(bytes),
        }
    }
}

impl fmt::Debug for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::super::catalogue::Parameters;
    use super::*;

    const DIGITS: &[u8] = b"123456789";

    /// The catalogue states the check value of `123456789` for each of its algorithms.
    #[test]
    fn every_name_of_the_catalogue_has_its_published_check_value() {
        let mut count = 0;
        for name in catalogue::names() {
            let (catalogued, parameters) = catalogue::find(name).unwrap();
            let (width, check) = match parameters {
                Parameters::Bits8(algorithm) => (algorithm.width, algorithm.check.into()),
                Parameters::Bits16(algorithm) => (algorithm.width, algorithm.check.into()),
                Parameters::Bits32(algorithm) => (algorithm.width, algorithm.check.into()),
                Parameters::Bits64(algorithm) => (algorithm.width, algorithm.check),
                Parameters::Sum(_) => continue,
            };
            let algorithm = Algorithm::by_name(name).unwrap();
            assert_eq!(algorithm.compute(DIGITS), Some(check), "{name}");
            assert_eq!(algorithm.width(), usize::from(width).div_ceil(8), "{name}");
            count += usize::from(name == catalogued);
        }
        assert_eq!(count, 112, "all that are at most 64 bits wide");
    }

    /// Values worked out from the definitions; names as sheets write them.
    #[test]
    fn sums_and_aliases() {
        for (name, width, bytes, value) in [
            ("X-25", 2, DIGITS, 0x906e),
            ("CRC_16_ARC", 2, DIGITS, 0xbb3d),
            ("ccitt-false", 2, DIGITS, 0x29b1),
            ("ccitt", 2, DIGITS, 0x2189),
            ("aug-ccitt", 2, DIGITS, 0xe5cc),
            ("dow", 1, DIGITS, 0xa1),
            ("usb", 2, DIGITS, 0xb4c8),
            ("crc-64", 8, DIGITS, 0x6c40_df5f_0b49_7347),
            ("xor", 1, DIGITS, 0x31),
            ("sum8", 1, DIGITS, 0xdd),
            ("lrc", 1, DIGITS, 0x23),
            ("sum8-inverted", 1, DIGITS, 0x22),
            ("sum7", 1, DIGITS, 0x5d),
            ("toledo", 1, DIGITS, 0x23),
            ("sum16", 2, DIGITS, 0x01dd),
            ("sum16-negated", 2, DIGITS, 0xfe23),
            ("sum16-inverted", 2, DIGITS, 0xfe22),
            ("sum32", 4, DIGITS, 0x01dd),
            ("sum32-negated", 4, DIGITS, 0xffff_fe23),
            ("sum32-inverted", 4, DIGITS, 0xffff_fe22),
            ("fletcher-16", 2, b"abcde", 0xc8f0),
            ("fletcher-16", 2, b"abcdefgh", 0x0627),
            // u-blox UBX-CFG-RATE to 5 Hz, from class to payload; CK_A DE, CK_B 6A.
            (
                "ubx",
                2,
                &[0x06, 0x08, 0x06, 0x00, 0xc8, 0x00, 0x01, 0x00, 0x01, 0x00],
                0x6ade,
            ),
            ("adler-32", 4, b"Wikipedia", 0x11e6_0398),
            ("luhn", 1, b"7992739871", 3),
            ("luhn", 1, b"49015420323751", 8),
            ("nmea", 1, b"GPGLL,5057.970,N,00146.110,E,142451,A", 0x27),
        ] {
            let algorithm = Algorithm::by_name(name).unwrap();
            assert_eq!(
                (algorithm.width(), algorithm.compute(bytes)),
                (width, Some(value)),
                "{name}"
            );
        }
        let luhn = Algorithm::by_name("luhn").unwrap();
        assert_eq!(luhn.compute(b"79927x9871"), None);
    }

    #[test]
    fn an_unknown_name_gets_the_nearest() {
        for (wrong, near) in [
            ("crc-16/modbuss", "crc-16/modbus"),
            ("sum8-negatd", "sum8-negated"),
            ("fletcher", "fletcher-16"),
        ] {
            let error = Algorithm::by_name(wrong).unwrap_err();
            assert!(error.contains(near), "{error}");
        }
    }
}
