//! Who connects, and whether it may: edgeHub's rules for user names and tokens.

pub(crate) mod sas;
pub(crate) mod username;
