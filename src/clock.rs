//! The one place that asks for the time.

use crate::message::Now;

/// Tells the time. Whoever does I/O is given one and hands the moment on; pure code only ever sees [`Now`].
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    read: fn() -> Now,
}

impl Clock {
    /// A clock that is read in this way.
    pub fn new(read: fn() -> Now) -> Self {
        Clock { read }
    }

    /// The clock of the operating system.
    pub fn system() -> Self {
        Clock { read: system_now }
    }

    /// This moment, in both clocks.
    pub fn now(&self) -> Now {
        (self.read)()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the place that all others get their time from"
)]
fn system_now() -> Now {
    Now {
        monotonic: std::time::Instant::now(),
        utc: jiff::Timestamp::now(),
    }
}
