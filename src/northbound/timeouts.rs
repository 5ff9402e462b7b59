//! Every time limit of the link in one value, so that tests can shorten them.

use std::time::Duration;

use crate::edge::twin::Pace;

/// Time limits of the link.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// One request to the workload API.
    pub workload: Duration,
    /// Resolving the gateway host, and TCP to one of its addresses.
    pub tcp: Duration,
    /// The TLS handshake.
    pub tls: Duration,
    /// CONNACK. edgeHub may ask IoT Hub about a new module for 100 s before it answers.
    pub connack: Duration,
    /// SUBACK.
    pub suback: Duration,
    /// Between signs of life.
    pub keep_alive: Duration,
    /// PINGRESP.
    pub pingresp: Duration,
    /// No acknowledgement at all while messages are in flight.
    pub puback: Duration,
    /// Answers to twin requests and their repetition.
    pub twin: Pace,
    /// Acknowledgements still awaited when a session makes way for the next one.
    pub drain: Duration,
    /// The same when the process ends.
    pub last_drain: Duration,
    /// DISCONNECT.
    pub disconnect: Duration,
    /// A session's age at which its successor's token is signed; tokens live one hour.
    pub renew_after: Duration,
    /// The first attempt after a session ended comes within this.
    pub first_retry: Duration,
    /// The longest pause between attempts.
    pub longest_retry: Duration,
    /// A session that stood so long makes the next failure the first.
    pub settled: Duration,
    /// The workload socket may refuse so long.
    pub stale_socket: Duration,
    /// The process never ends by itself before this age.
    pub shortest_life: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            workload: seconds(15),
            tcp: seconds(10),
            tls: seconds(20),
            connack: seconds(120),
            suback: seconds(60),
            keep_alive: seconds(60),
            pingresp: seconds(30),
            puback: seconds(300),
            twin: Pace {
                answer: seconds(60),
                first: seconds(2),
                longest: seconds(300),
            },
            drain: seconds(5),
            last_drain: Duration::from_millis(400),
            disconnect: Duration::from_millis(500),
            renew_after: seconds(55 * 60),
            first_retry: seconds(1),
            longest_retry: seconds(60),
            settled: seconds(60),
            stale_socket: seconds(5 * 60),
            shortest_life: seconds(11 * 60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edgehub_has_its_hundred_seconds_before_connack() {
        assert!(Timeouts::default().connack > Duration::from_secs(100));
    }
}
