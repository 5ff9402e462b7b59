//! When to try again, and when to stop believing in a socket.

use std::time::{Duration, Instant};

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
    /// clients of a restarted edgeHub do not come at once; later ones are the upper half of a doubling limit.
    pub fn pause(&mut self, random: f64) -> Duration {
        let doublings = self.failures.min(16);
        let limit = self.first.saturating_mul(1 << doublings).min(self.longest);
        self.failures = self.failures.saturating_add(1);
        match doublings {
            0 => limit.mul_f64(random),
            _ => limit.mul_f64(0.5 + random / 2.0),
        }
    }

    /// A session stood long enough to trust the next attempt.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// The stale-socket rule: a workload socket that refuses without a break is one whose inode went
/// stale, and only a restart of the container mends it. edgeAgent gives up on a module after 20
/// short lives, so a life is never short.
#[derive(Clone, Debug)]
pub struct StaleSocket {
    started: Instant,
    refusing: Option<Instant>,
    patience: Duration,
    shortest_life: Duration,
}

impl StaleSocket {
    /// The rule for a process that started then.
    pub fn new(started: Instant, patience: Duration, shortest_life: Duration) -> Self {
        Self {
            started,
            refusing: None,
            patience,
            shortest_life,
        }
    }

    /// The socket refused; whether the process should end.
    pub fn refused(&mut self, now: Instant) -> bool {
        let since = *self.refusing.get_or_insert(now);
        now.duration_since(since) >= self.patience
            && now.duration_since(self.started) >= self.shortest_life
    }

    /// Anything but a refusal happened.
    pub fn answered(&mut self) {
        self.refusing = None;
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

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "any moment will do to count from"
    )]
    fn only_long_refusal_in_a_long_life_is_fatal() {
        let start = Instant::now();
        let rule = || StaleSocket::new(start, 5 * MINUTE, 11 * MINUTE);
        // Minutes at which the socket refuses; `None` is an answer between. Fatal at the last?
        let rows: &[(&[Option<u32>], bool)] = &[
            (&[Some(0), Some(10)], false),
            (&[Some(0), Some(11)], true),
            (&[Some(20), Some(24)], false),
            (&[Some(20), Some(25)], true),
            (&[Some(20), None, Some(25)], false),
        ];
        for (minutes, fatal) in rows {
            let mut rule = rule();
            let mut last = false;
            for minute in *minutes {
                match minute {
                    Some(minute) => last = rule.refused(start + MINUTE * *minute),
                    None => rule.answered(),
                }
            }
            assert_eq!(last, *fatal, "{minutes:?}");
        }
    }
}
