//! The one bounded reader of foreign bytes: it reads or says that it cannot, and never panics.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

/// The order of the bytes of a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Endian {
    /// The most significant byte first, as networks do.
    #[default]
    Big,
    /// The least significant byte first.
    Little,
}

/// A place in bytes, from which reading goes on.
///
/// A read that does not fit gives `None` and leaves the place where it was.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
    /// Behind it nothing is read.
    end: usize,
}

impl<'a> Cursor<'a> {
    /// At the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Cursor {
            bytes,
            position: 0,
            end: bytes.len(),
        }
    }

    /// The same place, with nothing to be read of the last `tail` bytes; where it stands among them
    /// there is nothing at all.
    pub fn before_tail(self, tail: usize) -> Self {
        Cursor {
            end: self.bytes.len().saturating_sub(tail),
            ..self
        }
    }

    /// Bytes at the end that are not to be read.
    pub fn tail(&self) -> usize {
        self.bytes.len().saturating_sub(self.end)
    }

    /// At an offset; the end itself is a place, what lies behind it is not.
    pub fn at(bytes: &'a [u8], offset: usize) -> Option<Self> {
        (offset <= bytes.len()).then_some(Cursor {
            bytes,
            position: offset,
            end: bytes.len(),
        })
    }

    /// Bytes before the place.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Bytes behind the place.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.end.saturating_sub(self.position)
    }

    /// The next `count` bytes.
    #[inline]
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.position.checked_add(count)?;
        if end > self.end {
            return None;
        }
        let taken = self.bytes.get(self.position..end)?;
        self.position = end;
        Some(taken)
    }

    /// Goes over `count` bytes.
    pub fn skip(&mut self, count: usize) -> Option<()> {
        self.take(count).map(drop)
    }

    /// An unsigned number of 1 to 8 bytes.
    #[inline]
    pub fn uint(&mut self, width: usize, endian: Endian) -> Option<u64> {
        if !(1..=8).contains(&width) {
            return None;
        }
        let ahead = self.bytes.get(self.position..);
        let bytes = self.take(width)?;
        // Most numbers have eight bytes from their first on: one load is faster than one for each.
        if let Some(ahead) = ahead.and_then(<[u8]>::first_chunk) {
            let unused = u32::try_from(width.saturating_mul(8));
            let unused = 64u32.saturating_sub(unused.unwrap_or(64));
            return Some(match endian {
                Endian::Big => u64::from_be_bytes(*ahead).wrapping_shr(unused),
                Endian::Little => u64::from_le_bytes(*ahead)
                    .wrapping_shl(unused)
                    .wrapping_shr(unused),
            });
        }
        let push = |value: u64, byte: &u8| (value << 8) | u64::from(*byte);
        Some(match endian {
            Endian::Big => bytes.iter().fold(0, push),
            Endian::Little => bytes.iter().rev().fold(0, push),
        })
    }

    /// A number of 1 to 8 bytes in two's complement.
    #[inline]
    pub fn int(&mut self, width: usize, endian: Endian) -> Option<i64> {
        let unsigned = self.uint(width, endian)?;
        let unused =
            u32::try_from(width.saturating_mul(8)).map_or(0, |bits| 64u32.saturating_sub(bits));
        Some(
            unsigned
                .wrapping_shl(unused)
                .cast_signed()
                .wrapping_shr(unused),
        )
    }

    /// The bytes up to the next `byte`; the place is then behind it.
    pub fn until(&mut self, byte: u8) -> Option<&'a [u8]> {
        let rest = self.bytes.get(self.position..self.end)?;
        let length = memchr::memchr(byte, rest)?;
        self.position = self.position.checked_add(length)?.checked_add(1)?;
        rest.get(..length)
    }

    /// All bytes behind the place; the place is then the end.
    pub fn rest(&mut self) -> &'a [u8] {
        let rest = self.bytes.get(self.position..self.end).unwrap_or_default();
        self.position = self.position.max(self.end);
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_in_order_and_stops_at_the_end() {
        let mut cursor = Cursor::new(b"\x01\x02\x03ab,c");
        assert_eq!(cursor.uint(2, Endian::Big), Some(0x0102));
        assert_eq!(cursor.uint(8, Endian::Big), None);
        assert_eq!(
            cursor.position(),
            2,
            "a read that does not fit moves nothing"
        );
        assert_eq!(cursor.skip(1), Some(()));
        assert_eq!(cursor.until(b','), Some(&b"ab"[..]));
        assert_eq!(cursor.until(b','), None);
        assert_eq!(cursor.rest(), b"c");
        assert_eq!((cursor.remaining(), cursor.take(1)), (0, None));
        assert!(Cursor::at(b"ab", 3).is_none());
    }

    #[test]
    fn nothing_is_read_of_a_tail() {
        let at = |offset| Cursor::at(b"abcde,gh", offset).map(|all| all.before_tail(3));
        let mut cursor = at(1).unwrap();
        assert_eq!((cursor.remaining(), cursor.tail()), (4, 3));
        assert_eq!((cursor.take(5), cursor.until(b',')), (None, None));
        assert_eq!(cursor.uint(2, Endian::Big), Some(0x6263));
        assert_eq!(cursor.uint(3, Endian::Big), None);
        assert_eq!((cursor.rest(), cursor.remaining()), (&b"de"[..], 0));
        let mut behind = at(6).unwrap();
        assert_eq!((behind.remaining(), behind.take(1)), (0, None));
        assert_eq!((behind.rest(), behind.position()), (&b""[..], 6));
    }

    #[test]
    fn numbers_of_every_width_and_sign() {
        let bytes = b"\xff\xfe\x80\x00\x00\x00\x00\x01";
        for (width, endian, unsigned, signed) in [
            (1, Endian::Big, 0xff, -1),
            (2, Endian::Big, 0xfffe, -2),
            (2, Endian::Little, 0xfeff, -257),
            (3, Endian::Big, 0xff_fe80, -384),
            (3, Endian::Little, 0x80_feff, -8_323_329),
            (6, Endian::Little, 0x80_feff, 0x80_feff),
            (
                8,
                Endian::Little,
                0x0100_0000_0080_feff,
                0x0100_0000_0080_feff,
            ),
        ] {
            assert_eq!(
                Cursor::new(bytes).uint(width, endian),
                Some(unsigned),
                "{width} {endian:?}"
            );
            assert_eq!(
                Cursor::new(bytes).int(width, endian),
                Some(signed),
                "{width} {endian:?}"
            );
        }
        assert_eq!(Cursor::new(bytes).uint(0, Endian::Big), None);
        assert_eq!(Cursor::new(&[0; 9]).uint(9, Endian::Big), None);
    }

    proptest! {
        #[test]
        fn eight_byte_numbers_come_back(value: i64, little: bool) {
            let (bytes, endian) = if little {
                (value.to_le_bytes(), Endian::Little)
            } else {
                (value.to_be_bytes(), Endian::Big)
            };
            prop_assert_eq!(Cursor::new(&bytes).int(8, endian), Some(value));
            prop_assert_eq!(Cursor::new(&bytes).uint(8, endian), Some(value.cast_unsigned()));
        }
    }
}
