//! Every time limit of the side of the devices in one value, so that tests can shorten them.

use std::time::Duration;

/// Time limits of listeners, dialled devices and connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// The first pause of accepting after the operating system gave no connection.
    pub first_pause: Duration,
    /// Pauses double up to this.
    pub longest_pause: Duration,
    /// The first pause before a device is dialled again that was not reached.
    pub first_retry: Duration,
    /// A connection to a dialled device that lasted so long was no failure: pauses begin anew.
    pub steady: Duration,
    /// A device that takes nothing of a write for so long is gone.
    pub write: Duration,
    /// The rest of a frame that is half there when we want to end.
    pub half_frame: Duration,
    /// What was submitted waits for room so long behind the decision to close; then it is dropped.
    pub room: Duration,
    /// Replies and messages of a connection whose device has a newer one: nobody reads the replies,
    /// and a device that connects again and again must not use up its listener's places.
    pub superseded: Duration,
    /// Replies and messages that wait when the process shuts down.
    pub shutdown: Duration,
    /// How long what the device still sends is read after our FIN, so that the close is not a reset.
    pub linger: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
            first_retry: Duration::from_secs(1),
            steady: Duration::from_secs(60),
            write: Duration::from_secs(30),
            half_frame: Duration::from_secs(2),
            room: Duration::from_secs(900),
            superseded: Duration::from_secs(2),
            shutdown: Duration::from_secs(3),
            linger: Duration::from_secs(2),
        }
    }
}
