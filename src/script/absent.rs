//! A build without the feature `script`.

use super::{Called, Failure};
use crate::message::Value;

/// Runs nothing: there is none.
#[derive(Debug)]
pub(super) struct Engine;

impl Engine {
    pub fn new(_source: &str) -> Result<Self, Failure> {
        Err(Failure::new("this build has no script"))
    }

    pub fn has(&self, _function: &str) -> bool {
        false
    }

    pub fn call(&self, _called: &Called<'_>) -> Result<(Value, String), Failure> {
        Err(Failure::new("this build has no script"))
    }
}
