//! Check values put into a frame, for who makes frames.

use std::ops::Range;

use super::Checksum;

impl Checksum {
    /// Writes each check value where it stands, computed of the bytes that are there: the frame is
    /// good then. One for which the checksum's condition does not hold stays as it is, and bits that
    /// do not count keep what they are.
    ///
    /// `None` if the frame cannot hold the values; what was written of them by then stays.
    pub fn write(&self, frame: &mut [u8]) -> Option<()> {
        if !self.applies(frame) {
            return Some(());
        }
        let mut places = Vec::new();
        let all = self.each(frame, &mut |covered, at| {
            places.push((covered, at));
            Ok(())
        });
        all.ok()?;
        let mut places = places.into_iter();
        places.try_for_each(|(covered, at)| self.write_at(frame, covered, at))
    }

    fn write_at(&self, frame: &mut [u8], covered: Option<Range<usize>>, at: i64) -> Option<()> {
        let expected = self.expected(frame, covered)?;
        let kept = match self.mask {
            u64::MAX => 0,
            mask => self.stands(frame, at)?.0 & !mask,
        };
        let distance = usize::try_from(at.unsigned_abs()).ok()?;
        let start = match at {
            0.. => distance,
            _ => frame.len().checked_sub(distance)?,
        };
        let mut value = Vec::new();
        self.kind.write(i128::from(expected | kept), &mut value)?;
        let place = frame.get_mut(start..start.checked_add(value.len())?)?;
        place.copy_from_slice(&value);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Checksum;
    use proptest::prelude::*;

    fn bytes(text: &str) -> Vec<u8> {
        crate::notation::bytes(text).unwrap()
    }

    /// Checksums, frames that are good, and the places of their check values.
    const FRAMES: [(&str, &str, &[[usize; 2]]); 9] = [
        (
            "crc-16/ibm-sdlc over 2..-4 at -4",
            "0x78780d01012345678901234500018cdd0d0a",
            &[[14, 16]],
        ),
        (
            "modbus le",
            "0x011380033836383230343030313534393038370432008590",
            &[[21, 23]],
        ),
        (
            "xor over 1..-3 as hexadecimal 2",
            "$GPGLL,5057.970,N,00146.110,E,142451,A*27",
            &[[39, 41]],
        ),
        (
            "nmea",
            "$GPRMC,081836,A,3751.65,S,14507.36,E,000.0,360.0,130998,011.3,E*62",
            &[[64, 66]],
        ),
        (
            "crc-16/arc over 9..-1 at 1 as hexadecimal 4",
            "\nE0B50027\"ADM-CID\"0007L0#1234[#1234|1131 01 015]\r",
            &[[1, 5]],
        ),
        ("sum8 over 4..-2 at -2 if length > 5", "0x1040014116", &[]),
        (
            "crc-16/dnp le per 16 from 10 removed",
            "0x05641944030000045fab000102030405060708090a0b0c0d0e0fec1010111213ddbb",
            &[[26, 28], [32, 34]],
        ),
        ("sum8 over 0..2 & 0x0f at 2", "0x0103a4", &[[2, 3]]),
        ("sum8", "0x01020306", &[[3, 4]]),
    ];

    #[test]
    fn what_was_written_is_what_stood_there() {
        for (notation, frame, places) in FRAMES {
            let checksum = Checksum::parse(notation).unwrap();
            let good = bytes(frame);
            assert_eq!(checksum.verify(&good), Ok(()), "{notation}");
            let mut written = good.clone();
            for [from, to] in places {
                for byte in &mut written[*from..*to] {
                    *byte = if byte.is_ascii_hexdigit() && good.is_ascii() {
                        b'0'
                    } else {
                        *byte & 0xf0
                    };
                }
            }
            assert_eq!(checksum.write(&mut written), Some(()), "{notation}");
            assert_eq!(written, good, "{notation}");
        }
    }

    #[test]
    fn a_frame_that_cannot_hold_the_value_is_told() {
        for (notation, frame) in [
            ("crc-16/ibm-sdlc over 2..-4 at -4", "0x7878"),
            ("nmea", "$GPRMC"),
            ("nmea", "$GPRMC*6"),
            ("crc-32", "0x010203"),
            ("sum8 over 0..2 at 7", "0x0102030405"),
        ] {
            let checksum = Checksum::parse(notation).unwrap();
            assert_eq!(checksum.write(&mut bytes(frame)), None, "{notation}");
        }
    }

    proptest! {
        #[test]
        fn a_frame_is_good_with_what_was_written(
            which in 0..FRAMES.len(),
            frame in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let checksum = Checksum::parse(FRAMES[which].0).unwrap();
            let mut written = frame.clone();
            if checksum.write(&mut written).is_some() {
                prop_assert_eq!(checksum.verify(&written), Ok(()));
                prop_assert_eq!(written.len(), frame.len());
            }
        }
    }
}
