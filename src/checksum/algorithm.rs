//! Named algorithms, ready to compute.

use std::fmt;
use std::sync::Arc;

use super::catalogue::{self, Parameters};
use crate::notation::unknown_word;

/// A checksum algorithm by its name; cheap to clone.
#[derive(Clone)]
pub struct Algorithm {
    name: &'static str,
    engine: Engine,
}

type Table<W> = Arc<crc::Crc<W, crc::Table<1>>>;

#[derive(Clone)]
enum Engine {
    Bits8(Table<u8>),
    Bits16(Table<u16>),
    Bits32(Table<u32>),
    Bits64(Table<u64>),
    Xor,
    Sum8,
}

impl Algorithm {
    /// The algorithm of that name: the CRC catalogue's names, their usual aliases, `xor`, `sum8`.
    ///
    /// # Errors
    /// A sentence with the nearest known name.
    pub fn by_name(name: &str) -> Result<Self, String> {
        match catalogue::find(name) {
            Some((name, parameters)) => Ok(Algorithm {
                name,
                engine: engine(parameters),
            }),
            None => Err(unknown_word("checksum", name, &catalogue::names())),
        }
    }

    /// The name in the catalogue.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// How many bytes hold the check value.
    pub fn width(&self) -> usize {
        let bits = match &self.engine {
            Engine::Bits8(crc) => crc.algorithm.width,
            Engine::Bits16(crc) => crc.algorithm.width,
            Engine::Bits32(crc) => crc.algorithm.width,
            Engine::Bits64(crc) => crc.algorithm.width,
            Engine::Xor | Engine::Sum8 => 8,
        };
        usize::from(bits.div_ceil(8))
    }

    /// The check value of those bytes.
    pub fn compute(&self, bytes: &[u8]) -> u64 {
        match &self.engine {
            Engine::Bits8(crc) => crc.checksum(bytes).into(),
            Engine::Bits16(crc) => crc.checksum(bytes).into(),
            Engine::Bits32(crc) => crc.checksum(bytes).into(),
            Engine::Bits64(crc) => crc.checksum(bytes),
            Engine::Xor => bytes.iter().fold(0, |value, byte| value ^ byte).into(),
            Engine::Sum8 => bytes
                .iter()
                .fold(0u8, |sum, byte| sum.wrapping_add(*byte))
                .into(),
        }
    }
}

fn engine(parameters: Parameters) -> Engine {
    match parameters {
        Parameters::Bits8(algorithm) => Engine::Bits8(Arc::new(crc::Crc::<u8, _>::new(algorithm))),
        Parameters::Bits16(algorithm) => {
            Engine::Bits16(Arc::new(crc::Crc::<u16, _>::new(algorithm)))
        }
        Parameters::Bits32(algorithm) => {
            Engine::Bits32(Arc::new(crc::Crc::<u32, _>::new(algorithm)))
        }
        Parameters::Bits64(algorithm) => {
            Engine::Bits64(Arc::new(crc::Crc::<u64, _>::new(algorithm)))
        }
        Parameters::Xor => Engine::Xor,
        Parameters::Sum8 => Engine::Sum8,
    }
}

impl PartialEq for Algorithm {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Algorithm {}

impl fmt::Debug for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The catalogue states the check value of `123456789`; vectors from the published catalogue.
    #[test]
    fn published_check_values() {
        for (name, width, value) in [
            ("crc-16/ibm-sdlc", 2, 0x906e),
            ("X-25", 2, 0x906e),
            ("crc-16/modbus", 2, 0x4b37),
            ("CRC_16_ARC", 2, 0xbb3d),
            ("ccitt-false", 2, 0x29b1),
            ("crc-16-xmodem", 2, 0x31c3),
            ("kermit", 2, 0x2189),
            ("crc-8/nrsc-5", 1, 0xf7),
            ("crc-15/can", 2, 0x059e),
            ("crc-24/openpgp", 3, 0x0021_cf02),
            ("crc-32", 4, 0xcbf4_3926),
            ("crc-64/xz", 8, 0x995d_c9bb_df19_39fa),
            ("xor", 1, 0x31),
            ("sum8", 1, 0xdd),
        ] {
            let algorithm = Algorithm::by_name(name).unwrap();
            assert_eq!(
                (algorithm.width(), algorithm.compute(b"123456789")),
                (width, value),
                "{name}"
            );
        }
    }

    #[test]
    fn an_unknown_name_gets_the_nearest() {
        let error = Algorithm::by_name("crc-16/modbuss").unwrap_err();
        assert!(error.contains("crc-16/modbus"), "{error}");
    }
}
