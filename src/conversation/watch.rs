//! A clock that stands still while nothing is read: what the device has said may lie unread then.

use std::time::{Duration, Instant};

/// Its times are how long it has run.
#[derive(Debug, Default)]
pub(super) struct Watch {
    ran: Duration,
    /// Since when it runs on.
    since: Option<Instant>,
}

impl Watch {
    pub(super) fn time(&self, now: Instant) -> Duration {
        let since = self.since.map(|since| now.saturating_duration_since(since));
        self.ran.saturating_add(since.unwrap_or_default())
    }

    pub(super) fn run(&mut self, now: Instant, runs: bool) {
        if !runs {
            self.ran = self.time(now);
            self.since = None;
        } else if self.since.is_none() {
            self.since = Some(now);
        }
    }

    /// When it will say that time; `None` while it stands still.
    pub(super) fn moment(&self, time: Duration) -> Option<Instant> {
        self.since?.checked_add(time.saturating_sub(self.ran))
    }
}
