//! The states of devices, as a table of what happens and what follows.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::inbox::{Inbox, Origin};
use crate::message::{Name, Now};
use crate::settings::PresenceSettings;

/// Devices away that a summary names.
const MOST_AWAY: usize = 20;
/// The reason of ends that say nothing of the device.
const SHUTDOWN: &str = "shutdown";

/// How a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It has a connection.
    Connected,
    /// It has a connection and says nothing.
    Silent,
    /// It has none.
    Disconnected,
}

impl State {
    /// Its word in messages and metrics.
    pub fn word(self) -> &'static str {
        match self {
            State::Connected => "connected",
            State::Silent => "silent",
            State::Disconnected => "disconnected",
        }
    }
}

/// A state of a device that has not been said yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The device.
    pub device: Name,
    /// How it is.
    pub state: State,
    /// Since when; of a silent device, when it was last heard.
    pub since: Timestamp,
    /// Why it is not connected, if that is known.
    pub reason: Option<&'static str>,
    /// The connection over which it speaks or spoke.
    pub origin: Origin,
}

/// How many devices are how, and who is away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Those that are connected and heard.
    pub connected: usize,
    /// Those that are connected and say nothing.
    pub silent: usize,
    /// Those that were connected, as far as they are remembered.
    pub disconnected: usize,
    /// Silent and disconnected ones and since when, the last of them.
    pub away: BTreeMap<Name, Timestamp>,
}

#[derive(Debug)]
struct Device {
    state: State,
    since: Timestamp,
    reason: Option<&'static str>,
    inbox: Inbox,
    /// What the inbox had counted when it was last looked at, and since when it is that.
    beats: u64,
    quiet_since: Instant,
    /// It does not answer what it is asked.
    unanswered: bool,
    /// What was said last.
    said: Option<(State, Timestamp)>,
}

/// All devices that are connected or remembered.
#[derive(Debug, Default)]
pub(super) struct Known {
    settings: PresenceSettings,
    devices: HashMap<Name, Device>,
    /// Those of which there is something to say.
    news: BTreeSet<Name>,
}

impl Known {
    pub(super) fn settle(&mut self, settings: PresenceSettings) {
        let begins = settings.messages && !self.settings.messages;
        self.settings = settings;
        if !settings.messages {
            self.news.clear();
        } else if begins {
            self.news.extend(self.devices.keys().cloned());
        }
    }

    pub(super) fn silent_after(&self) -> Option<Duration> {
        self.settings.silent()
    }

    pub(super) fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// A newer connection of a device that is there is no news; that it says something is.
    pub(super) fn bound(&mut self, name: &Name, inbox: &Inbox, now: Now) {
        let device = Device {
            state: State::Connected,
            since: now.utc,
            reason: None,
            inbox: inbox.clone(),
            beats: inbox.beats(),
            quiet_since: now.monotonic,
            unanswered: false,
            said: None,
        };
        let Some(before) = self.devices.get_mut(name) else {
            self.devices.insert(Name::clone(name), device);
            return self.note(name);
        };
        let same = before.state != State::Disconnected && before.inbox.is(inbox);
        if same {
            return;
        }
        let (stays, said) = (before.state == State::Connected, before.said);
        let since = if stays { before.since } else { now.utc };
        *before = Device {
            since,
            said,
            ..device
        };
        if !stays {
            self.note(name);
        }
    }

    pub(super) fn left(&mut self, name: &Name, reason: Option<&'static str>, now: Now) {
        if reason == Some(SHUTDOWN) {
            return;
        }
        self.set(name, State::Disconnected, now.utc, reason);
    }

    pub(super) fn forgotten(&mut self, name: &Name) {
        let left = |device: &Device| device.state == State::Disconnected;
        if self.devices.get(name).is_some_and(left) {
            self.devices.remove(name);
            self.news.remove(name);
        }
    }

    pub(super) fn unanswered(&mut self, name: &Name, now: Now) {
        if let Some(device) = self.connected(name) {
            device.unanswered = true;
            self.set(name, State::Silent, now.utc, None);
        }
    }

    pub(super) fn answered(&mut self, name: &Name, now: Now) {
        if let Some(device) = self.connected(name) {
            device.unanswered = false;
            self.set(name, State::Connected, now.utc, None);
        }
    }

    /// Looks at what the connections have counted since the last look.
    pub(super) fn look(&mut self, now: Now) {
        let after = self.settings.silent();
        let mut changes = Vec::new();
        for (name, device) in &mut self.devices {
            if device.state == State::Disconnected {
                continue;
            }
            let beats = device.inbox.beats();
            if beats != device.beats {
                device.beats = beats;
                device.quiet_since = now.monotonic;
            }
            if device.unanswered {
                continue;
            }
            let quiet = now.monotonic.saturating_duration_since(device.quiet_since);
            let silent = after.is_some_and(|after| quiet >= after);
            if silent != (device.state == State::Silent) {
                changes.push((Name::clone(name), silent, quiet));
            }
        }
        for (name, silent, quiet) in changes {
            if silent {
                let heard = now.utc.checked_sub(quiet).unwrap_or(now.utc);
                self.set(&name, State::Silent, heard, None);
            } else {
                self.set(&name, State::Connected, now.utc, None);
            }
        }
    }

    /// Some of what there is to say; it counts as said.
    pub(super) fn take(&mut self, most: usize) -> Vec<Change> {
        let mut changes = Vec::new();
        while changes.len() < most
            && let Some(name) = self.news.pop_first()
        {
            let Some(device) = self.devices.get_mut(&name) else {
                continue;
            };
            let now = Some((device.state, device.since));
            if device.said == now {
                continue;
            }
            device.said = now;
            changes.push(Change {
                state: device.state,
                since: device.since,
                reason: device.reason,
                origin: device.inbox.origin().clone(),
                device: name,
            });
        }
        changes
    }

    pub(super) fn away(&self, name: &str) -> Option<(Timestamp, Option<&'static str>)> {
        let device = self.devices.get(name)?;
        let away = device.state == State::Disconnected;
        away.then_some((device.since, device.reason))
    }

    pub(super) fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        let mut away = Vec::new();
        for (name, device) in &self.devices {
            match device.state {
                State::Connected => summary.connected += 1,
                State::Silent => summary.silent += 1,
                State::Disconnected => summary.disconnected += 1,
            }
            if device.state != State::Connected {
                away.push((Reverse(device.since), name));
            }
        }
        if away.len() > MOST_AWAY {
            away.select_nth_unstable(MOST_AWAY);
        }
        let last = away.into_iter().take(MOST_AWAY);
        summary.away = last
            .map(|(Reverse(since), name)| (Name::clone(name), since))
            .collect();
        summary
    }

    fn connected(&mut self, name: &Name) -> Option<&mut Device> {
        let device = self.devices.get_mut(name);
        device.filter(|device| device.state != State::Disconnected)
    }

    fn set(&mut self, name: &Name, state: State, since: Timestamp, reason: Option<&'static str>) {
        let Some(device) = self.devices.get_mut(name) else {
            return;
        };
        if device.state != state {
            device.state = state;
            device.since = since;
            device.reason = reason;
            self.note(name);
        }
    }

    fn note(&mut self, name: &Name) {
        if self.settings.messages {
            self.news.insert(Name::clone(name));
        }
    }
}
