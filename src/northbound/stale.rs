//! When to stop believing in a socket.

use std::time::{Duration, Instant};

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

    const MINUTE: Duration = Duration::from_secs(60);

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
