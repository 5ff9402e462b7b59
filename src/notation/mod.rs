//! The small notations of the settings: bytes, "an integer at a place", spans, conditions and patterns.
//!
//! Every mistake is a [`NotationError`] that points into the string with a column.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod bytes;
mod condition;
mod integer;
mod pattern;
mod span;
mod words;
mod zone;

use thiserror::Error;

pub use self::bytes::{bytes, write_bytes};
pub use self::condition::{Condition, Literal, Values};
pub use self::integer::{Digits, IntegerAt, IntegerKind, IntegerRead, PartAt, ReadError};
pub(crate) use self::integer::{split_endian, write_bcd};
pub use self::pattern::pattern;
pub use self::span::Span;
pub use self::words::{Word, Words, nearest, number, unknown_word};
pub use self::zone::zone;
pub use crate::cursor::Endian;

/// What is wrong in a notation string, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct NotationError {
    /// Column of the first wrong character, counted in characters from 1.
    pub column: usize,
    /// What is wrong, what was expected, and the nearest right word where there is one.
    pub message: String,
}

impl NotationError {
    /// A mistake at a column.
    pub fn new(column: usize, message: impl Into<String>) -> Self {
        NotationError {
            column,
            message: message.into(),
        }
    }

    /// The same mistake where the string is a part that begins at `column` of a longer one.
    pub fn inside(self, column: usize) -> Self {
        NotationError {
            column: self.column.saturating_add(column).saturating_sub(1),
            ..self
        }
    }
}
