//! The one place of the stand-in that asks for the time.

use jiff::Timestamp;
use tokio::time::Instant;

/// Wall-clock time, for tokens and records.
#[expect(
    clippy::disallowed_methods,
    reason = "the stand-in's one look at the wall clock"
)]
pub(crate) fn utc() -> Timestamp {
    Timestamp::now()
}

/// Time for deadlines.
#[expect(
    clippy::disallowed_methods,
    reason = "the stand-in's one look at the monotonic clock"
)]
pub(crate) fn monotonic() -> Instant {
    Instant::now()
}
