//! How a frame was checked, in words and places.

use std::fmt;
use std::ops::Range;

use super::{Checksum, Scope};

/// What a checksum says of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The checksum as it is written, with all that it leaves to its defaults.
    pub checksum: String,
    /// The condition that does not hold, so that nothing was checked.
    pub left_out: Option<String>,
    /// Whether the frame passes.
    pub good: bool,
    /// The check values, one behind each block where there are blocks.
    pub checks: Vec<Check>,
    /// Whether the check values are taken out before the frame is decoded.
    pub removed: bool,
}

/// One check value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What it covers; `None` if that is not inside the frame.
    pub covered: Option<Range<usize>>,
    /// Where it stands; `None` if there is no number.
    pub place: Option<Range<usize>>,
    /// Computed.
    pub expected: Option<u64>,
    /// Found.
    pub found: Option<u64>,
}

impl Check {
    /// Whether the value is right.
    pub fn is_good(&self) -> bool {
        self.expected.is_some() && self.expected == self.found
    }
}

impl Checksum {
    /// Says how a frame was checked.
    pub fn explain(&self, frame: &[u8]) -> Explanation {
        let condition = self.condition.as_ref().filter(|_| !self.applies(frame));
        let left_out = condition.map(ToString::to_string);
        let mut checks = Vec::new();
        let mut can_be_checked = true;
        if left_out.is_none() {
            let each = self.each(frame, &mut |covered, at| {
                let found = self.found(frame, at);
                checks.push(Check {
                    expected: self.expected(frame, covered.clone()),
                    covered,
                    found: found.as_ref().map(|(found, _)| *found),
                    place: found.map(|(_, place)| place),
                });
                Ok(())
            });
            can_be_checked = each.is_ok();
        }
        Explanation {
            checksum: self.to_string(),
            removed: self.removes() && left_out.is_none(),
            good: can_be_checked && checks.iter().all(Check::is_good),
            left_out,
            checks,
        }
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.algorithm.name())?;
        let (over, at) = match &self.scope {
            Scope::Place { over, at } => (over.as_ref(), Some(at)),
            Scope::Marks | Scope::Blocks(_) => (None, None),
        };
        if let Some(over) = over {
            write!(f, " over {over}")?;
        }
        if self.mask != u64::MAX {
            write!(f, " & {:#x}", self.mask)?;
        }
        if let Some(at) = at {
            write!(f, " at {at}")?;
        }
        if self.kind != self.algorithm.usual_kind(crate::notation::Endian::Big) {
            write!(f, " as {}", self.kind)?;
        }
        if let Scope::Blocks(blocks) = &self.scope {
            write!(f, " {blocks}")?;
        }
        match &self.condition {
            Some(condition) => write!(f, " if {condition}"),
            None => Ok(()),
        }
    }
}
