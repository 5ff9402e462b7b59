//! Signs of life: what we send when there is nothing else to send, and how long a device may be silent.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::actions::{Action, Reason};
use super::frames::Taken;
use super::{Conversation, advance};
use crate::message::{Now, Reading};

impl Conversation {
    /// Sends the heartbeat that is due. It waits for no promise, but for what is being written.
    pub(super) fn beat(&mut self, now: Now, actions: &mut Vec<Action>) {
        let due = self.heartbeat_deadline();
        if due.is_none_or(|due| due > now.monotonic) {
            return;
        }
        self.wrote = Some(now.monotonic);
        let protocol = Arc::clone(&self.protocol);
        let Some(heartbeat) = &protocol.session.heartbeat else {
            return;
        };
        let device = self.identity.as_ref();
        let device = device.and_then(|identity| identity.bound().cloned());
        let mut nothing = Taken::new(Bytes::new(), Reading::default(), true);
        nothing.device = device;
        if let Some(bytes) = self.render(now, &heartbeat.reply, &nothing, actions) {
            self.writes.reply(bytes);
            advance(&mut self.memory, heartbeat.reply.send.counter_names());
        }
        self.tell_failure(actions);
    }

    /// When the next heartbeat is due; while something is written, none is.
    pub(super) fn heartbeat_deadline(&self) -> Option<Instant> {
        let heartbeat = self.protocol.session.heartbeat.as_ref()?;
        let idle = self.ending.is_none() && !self.closed && self.writes.is_idle();
        self.wrote.filter(|_| idle)?.checked_add(heartbeat.after)
    }

    /// When the device has been silent for too long, and what is said of that.
    pub(super) fn silence_deadline(&self) -> Option<(Instant, Reason)> {
        if self.ending.is_some() || self.held {
            return None;
        }
        let heard = self.heard?;
        let limits = [
            (self.protocol.session.silent, Reason::Silent),
            (self.settings.idle_timeout, Reason::Idle),
        ];
        let limits = limits
            .into_iter()
            .filter_map(|(limit, reason)| Some((limit?, reason)));
        let (limit, reason) = limits.min_by_key(|(limit, _)| *limit)?;
        Some((heard.checked_add(limit)?, reason))
    }
}
