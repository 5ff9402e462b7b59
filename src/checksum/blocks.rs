//! A check value behind each block of a frame, as in DNP3.

use std::fmt;
use std::ops::Range;

use crate::notation::{NotationError, Words};

/// Most bytes of a block.
const MOST: usize = 65_536;

/// `per N from A [removed]`: from an offset on, blocks of `size` bytes with their check values
/// behind them. The last block may be shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Blocks {
    size: usize,
    from: usize,
    /// Whether decoding sees the frame without the check values.
    pub removed: bool,
}

impl Blocks {
    /// Reads what follows the word `per`.
    pub fn parse(words: &mut Words<'_>) -> Result<Self, NotationError> {
        let size = words.require("how many bytes a block has")?;
        let size = size.count("the number of bytes of a block", MOST)?;
        let word = words.require("`from` and where the first block begins")?;
        if !word.is("from") {
            return Err(word.error(format!("expected `from`, found `{}`", word.raw)));
        }
        let from = words.require("where the first block begins")?;
        let offset = usize::try_from(from.offset("the offset")?);
        Ok(Blocks {
            size,
            from: offset.map_err(|_| from.error("blocks begin at an offset from the beginning"))?,
            removed: words.accept("removed").is_some(),
        })
    }

    /// The data and the check value of each block, for values of `width` bytes; `None` if the
    /// frame cannot be cut into such blocks.
    pub fn of(&self, length: usize, width: usize) -> Option<Vec<(Range<usize>, usize)>> {
        let mut blocks = Vec::new();
        let mut start = self.from;
        let mut left = length.checked_sub(self.from)?;
        while left > 0 {
            let data = left
                .checked_sub(width)
                .filter(|data| *data > 0)?
                .min(self.size);
            let end = start.checked_add(data)?;
            blocks.push((start..end, end));
            start = end.checked_add(width)?;
            left = length.checked_sub(start)?;
        }
        Some(blocks)
    }

    /// The frame without its check values, and how many bytes of them were before `body`.
    pub fn without(&self, frame: &[u8], body: usize, width: usize) -> Option<(Vec<u8>, usize)> {
        let blocks = self.of(frame.len(), width)?;
        let mut bytes = frame.get(..self.from)?.to_vec();
        let mut before = 0usize;
        for (data, end) in blocks {
            bytes.extend_from_slice(frame.get(data)?);
            before = before.saturating_add(body.saturating_sub(end).min(width));
        }
        Some((bytes, before))
    }
}

impl fmt::Display for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let removed = if self.removed { " removed" } else { "" };
        write!(f, "per {} from {}{removed}", self.size, self.from)
    }
}
