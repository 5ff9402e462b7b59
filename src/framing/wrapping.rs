//! Whether bytes that we send can be framed at all.

use thiserror::Error;

use super::{Framing, Kind};

/// Why bytes cannot be sent as a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WrapError {
    /// The length cannot be said in the length field.
    #[error("no length field can say the length of these bytes")]
    Length,
    /// The framing has bytes before its length field that the settings do not name.
    #[error("the framing does not say what stands before its length field")]
    Header,
    /// Only the end of the connection ends such a frame.
    #[error("a frame of this framing is a whole connection")]
    Connection,
    /// The receiver would not read the bytes as this one frame.
    #[error("the bytes would not be read back as one frame")]
    Ambiguous,
    /// A script finds frames and makes none.
    #[error("a framing by script cannot be put around bytes")]
    Script,
}

impl Framing {
    /// Why it cannot be put around any bytes, if the settings alone say so.
    pub fn never_wraps(&self) -> Option<WrapError> {
        match &self.0.kind {
            Kind::Switch(kind) => kind.never_wraps(),
            Kind::First(kind) => kind.then().never_wraps(),
            kind => match kind.wrap(&[], &self.0.common).err()? {
                why @ (WrapError::Header | WrapError::Connection | WrapError::Script) => Some(why),
                WrapError::Length | WrapError::Ambiguous => None,
            },
        }
    }
}
