//! One command, from its device's name to its outcome.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout_at;

use super::Commands;
use super::arguments::Command;
use super::results::Answer;
use crate::conversation::{Asked, Outcome, Request};
use crate::document::nearest;
use crate::inbox::{Inbox, NotTaken};

/// A connection tells every outcome by the deadline; one that does not has a defect.
const GRACE: Duration = Duration::from_secs(10);

impl Commands {
    /// Carries out a command. It takes no longer than the command may, and a little.
    pub(super) async fn carry_out(&self, command: Command) -> Answer {
        if matches!(command.what, Asked::Raw { .. }) && !self.allows_raw() {
            return Answer::not_allowed();
        }
        let handed = AtomicBool::new(false);
        tokio::select! {
            biased;
            answer = self.ask(&command, &handed) => answer,
            () = self.interrupt.cancelled() => {
                let answer = Answer::interrupted(Some(&command.device), "the module stops");
                match handed.load(Ordering::Relaxed) {
                    true => answer,
                    false => answer.with("written", 0),
                }
            }
        }
    }

    /// Hands the command to the device's connection. It is handed to another one only if it is
    /// known that nothing of it was written.
    async fn ask(&self, command: &Command, handed: &AtomicBool) -> Answer {
        let device = &*command.device;
        let Some(deadline) = self.clock.now().monotonic.checked_add(command.within) else {
            return Answer::invalid("/withinMs: too far away");
        };
        let mut last = None;
        loop {
            let inbox = match self.connection(command, deadline, last.as_ref()).await {
                Ok(inbox) => inbox,
                Err(answer) => return answer,
            };
            let (answer, outcome) = oneshot::channel();
            let request = Request {
                device: command.device.clone(),
                what: command.what.clone(),
                deadline,
            };
            match inbox.command(request, answer) {
                Ok(()) => {}
                Err(NotTaken::Full) => {
                    let answer = Answer::busy("too many commands wait for this device");
                    return answer.with("device", device);
                }
                Err(NotTaken::Ended) => {
                    last = Some(inbox);
                    continue;
                }
            }
            handed.store(true, Ordering::Relaxed);
            match timeout_at((deadline + GRACE).into(), outcome).await {
                // A connection whose protocol changes is over for it as one that is lost.
                Ok(Ok(
                    Outcome::NotConnected { written: 0 } | Outcome::Interrupted { written: 0 },
                )) if command.wait => {
                    handed.store(false, Ordering::Relaxed);
                    last = Some(inbox);
                }
                Ok(Ok(outcome)) => {
                    let raw = matches!(command.what, Asked::Raw { .. });
                    return Answer::of(device, outcome, raw);
                }
                Ok(Err(_)) => {
                    return Answer::interrupted(Some(device), "its connection ended by a defect");
                }
                Err(_) => {
                    tracing::error!(
                        device,
                        "a connection did not tell the outcome of a command; please report it"
                    );
                    return Answer::interrupted(Some(device), "its connection says nothing");
                }
            }
        }
    }

    /// The connection of the device, other than the one that has ended.
    async fn connection(
        &self,
        command: &Command,
        deadline: Instant,
        ended: Option<&Inbox>,
    ) -> Result<Inbox, Answer> {
        let device = &*command.device;
        if command.wait {
            let found = timeout_at(deadline.into(), self.registry.found(device, ended)).await;
            return found.map_err(|_| self.away(device));
        }
        let found = self.registry.find(device);
        match found.filter(|inbox| !ended.is_some_and(|ended| ended.is(inbox))) {
            Some(inbox) => Ok(inbox),
            None if ended.is_some() => Err(self.away(device)),
            None => Err(self.absent(device)),
        }
    }

    /// It has no connection, or there is no such device.
    pub(super) fn absent(&self, device: &str) -> Answer {
        match self.knows(device) {
            true => self.away(device),
            false => self.unknown(device),
        }
    }

    /// It has no connection, and why as far as that is known.
    fn away(&self, device: &str) -> Answer {
        let answer = Answer::away(device);
        let detail = match self.registry.presence().away(device) {
            Some((since, reason)) => {
                let why = reason.map(|reason| format!(": {reason}"));
                format!("since {since:.3}{}", why.unwrap_or_default())
            }
            None if self.told.dialled.load().contains(device) => {
                "it is dialled; `outbound` of the reported properties says how far that is".into()
            }
            None => return answer,
        };
        answer.with("detail", detail)
    }

    fn unknown(&self, device: &str) -> Answer {
        let answer = Answer::unknown_device(device);
        let (devices, dialled) = (self.told.devices.load(), self.told.dialled.load());
        let seen = self.registry.names();
        let known = devices.names().chain(&**dialled).chain(&seen);
        let known: Vec<&str> = known.map(|name| &**name).collect();
        match nearest(device, &known) {
            Some(known) => answer.with("detail", format!("did you mean \"{known}\"?")),
            None => answer,
        }
    }

    /// Whether the settings name the device, or the unit behind it, or it was ever seen.
    pub(super) fn knows(&self, device: &str) -> bool {
        let named = |device: &str| {
            self.told.devices.load().has_name(device) || self.told.dialled.load().contains(device)
        };
        let is_unit = || {
            let behind = device.rsplit_once('/');
            behind.is_some_and(|(device, unit)| {
                named(device) && self.told.units.load().contains(unit)
            })
        };
        self.registry.has_seen(device) || named(device) || is_unit()
    }
}
