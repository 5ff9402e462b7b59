//! Accepting connections, and the pauses when the operating system has none to give.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use tokio::net::{TcpListener, TcpStream};

use super::Timeouts;

/// Errors that are the accepted connection's own: it is gone, and the next one may be well.
///
/// Source: accept(2), "Error handling" and "Errors".
const OF_CONNECTION: [Errno; 11] = [
    Errno::CONNABORTED,
    Errno::CONNRESET,
    Errno::INTR,
    Errno::NETDOWN,
    Errno::PROTO,
    Errno::NOPROTOOPT,
    Errno::HOSTDOWN,
    Errno::NONET,
    Errno::HOSTUNREACH,
    Errno::OPNOTSUPP,
    Errno::NETUNREACH,
];

/// The socket that accepts, and until when it does not.
#[derive(Debug)]
pub(super) struct Accepting {
    socket: TcpListener,
    pauses: Pauses,
}

/// Pauses that double while accepting fails.
#[derive(Debug)]
struct Pauses {
    next: Duration,
    first: Duration,
    longest: Duration,
    until: Option<Instant>,
}

impl Accepting {
    pub(super) fn new(socket: TcpListener, timeouts: &Timeouts) -> Self {
        Accepting {
            socket,
            pauses: Pauses {
                next: timeouts.first_pause,
                first: timeouts.first_pause,
                longest: timeouts.longest_pause,
                until: None,
            },
        }
    }

    /// The next connection, once the pause is over. May be dropped and called again at any time.
    pub(super) async fn next(&self) -> io::Result<(TcpStream, SocketAddr)> {
        if let Some(until) = self.pauses.until {
            tokio::time::sleep_until(until.into()).await;
        }
        self.socket.accept().await
    }

    /// A connection was accepted: the next pause is a first one.
    pub(super) fn succeeded(&mut self) {
        self.pauses.end();
    }

    /// Accepting failed; how long it pauses, if the error is not the connection's own.
    pub(super) fn failed(&mut self, error: &io::Error, now: Instant) -> Option<Duration> {
        if is_of_connection(error) {
            return None;
        }
        Some(self.pauses.begin(now))
    }
}

impl Pauses {
    fn begin(&mut self, now: Instant) -> Duration {
        let pause = self.next;
        self.next = pause.saturating_mul(2).min(self.longest);
        self.until = now.checked_add(pause);
        pause
    }

    fn end(&mut self) {
        self.next = self.first;
        self.until = None;
    }
}

fn is_of_connection(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    OF_CONNECTION
        .iter()
        .any(|errno| code == Some(errno.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_start_again_after_a_success() {
        let now = crate::clock::Clock::system().now().monotonic;
        let (first, longest) = (Duration::from_millis(100), Duration::from_secs(5));
        let mut pauses = Pauses {
            next: first,
            first,
            longest,
            until: None,
        };
        let millis: Vec<_> = (0..8).map(|_| pauses.begin(now).as_millis()).collect();
        assert_eq!(millis, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(pauses.until, Some(now + longest));
        pauses.end();
        assert_eq!(pauses.until, None);
        assert_eq!(pauses.begin(now), first);
    }

    #[test]
    fn only_what_is_the_connections_own_does_not_pause() {
        for (errno, expected) in [
            (Errno::CONNABORTED, true),
            (Errno::PROTO, true),
            (Errno::NETDOWN, true),
            (Errno::MFILE, false),
            (Errno::NFILE, false),
            (Errno::NOBUFS, false),
            (Errno::NOMEM, false),
            (Errno::PERM, false),
            (Errno::INVAL, false),
        ] {
            let error = io::Error::from_raw_os_error(errno.raw_os_error());
            assert_eq!(is_of_connection(&error), expected, "{errno:?}");
        }
        assert!(!is_of_connection(&io::Error::other("no code")));
    }
}
