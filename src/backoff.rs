//! When to try again.

use std::time::Duration;

/// Pauses between attempts: the first one short, then doubling, each with jitter.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// Pauses that start below `first` and end at `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            failures: 0,
        }
    }

    /// The next pause; `random` is in `0.0..1.0`. The first is anything up to `first`, so that many
    /// that lost the same peer do not come back at once; later ones are the upper half of a doubling limit.
    pub fn pause(&mut self, random: f64) -> Duration {
        let doublings = self.failures.min(16);
        let limit = self.first.saturating_mul(1 << doublings).min(self.longest);
        self.failures = self.failures.saturating_add(1);
        match doublings {
            0 => limit.mul_f64(random),
            _ => limit.mul_f64(0.5 + random / 2.0),
        }
    }

    /// Another longest pause from now on.
    pub fn set_longest(&mut self, longest: Duration) {
        self.longest = longest;
    }

    /// What was reached stood long enough to trust the next attempt.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn pauses_grow_to_the_longest_and_start_over() {
        let mut backoff = Backoff::new(SECOND, MINUTE);
        let pauses: Vec<u64> = (0..9)
            .map(|_| backoff.pause(0.999_999).as_secs_f64().round() as u64)
            .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(backoff.pause(0.0), MINUTE / 2);
        backoff.reset();
        assert!(backoff.pause(0.5) < SECOND);
    }
}
