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
