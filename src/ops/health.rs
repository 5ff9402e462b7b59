//! Whether the process works, as `/healthz` says it.
//!
//! edgeHub that is away, a full disk, a refused document: the module works on, and says so
//! elsewhere. Unhealthy is a loop that does not turn any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Without a beat for so long a loop hangs.
pub const SILENCE: Duration = Duration::from_secs(60);
/// How often a loop without work beats.
pub const BEAT: Duration = Duration::from_secs(5);

/// The beats of the process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Health(Arc<Beats>);

#[derive(Debug)]
struct Beats {
    start: Instant,
    gateway: AtomicU64,
    forwarder: AtomicU64,
}

/// A loop that must turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loop {
    /// Settings and listeners.
    Gateway,
    /// Delivery.
    Forwarder,
}

impl Health {
    /// All loops have just turned.
    pub fn new(now: Instant) -> Self {
        Health(Arc::new(Beats {
            start: now,
            gateway: AtomicU64::new(0),
            forwarder: AtomicU64::new(0),
        }))
    }

    /// A loop turns.
    pub fn beat(&self, of: Loop, now: Instant) {
        self.of(of).store(self.millis(now), Ordering::Relaxed);
    }

    /// The loop that hangs, if one does.
    pub fn hangs(&self, now: Instant) -> Option<&'static str> {
        let now = self.millis(now);
        let silence = u64::try_from(SILENCE.as_millis()).unwrap_or(u64::MAX);
        [(Loop::Gateway, "gateway"), (Loop::Forwarder, "forwarder")]
            .into_iter()
            .find(|(of, _)| now.saturating_sub(self.of(*of).load(Ordering::Relaxed)) > silence)
            .map(|(_, word)| word)
    }

    fn of(&self, of: Loop) -> &AtomicU64 {
        match of {
            Loop::Gateway => &self.0.gateway,
            Loop::Forwarder => &self.0.forwarder,
        }
    }

    fn millis(&self, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(self.0.start);
        u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_hangs_after_a_minute_without_a_beat() {
        let start = crate::clock::Clock::system().now().monotonic;
        let health = Health::new(start);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(health.hangs(at(60)), None);
        assert_eq!(health.hangs(at(61)), Some("gateway"));
        health.beat(Loop::Gateway, at(50));
        assert_eq!(health.hangs(at(61)), Some("forwarder"));
        health.beat(Loop::Forwarder, at(55));
        assert_eq!(health.hangs(at(110)), None);
        assert_eq!(health.hangs(at(111)), Some("gateway"));
    }
}
