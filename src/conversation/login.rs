//! What must be said before frames are published, and by whom.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::Conversation;
use super::actions::{Action, Counted, Reason};
use super::frames::Taken;
use super::protocol::UnknownDevices;
use super::replies::DENIED;
use super::speaker::Speaker;
use crate::message::{Fields, Now};

impl Conversation {
    /// Whether the device has not said yet what its login has to say.
    pub(super) fn awaits_login(&self) -> bool {
        let logged_in = self
            .identity
            .as_ref()
            .is_none_or(|identity| identity.is_logged_in());
        self.protocol.session.login.is_some() && !logged_in
    }

    /// Takes the secret out of a frame and gives it, so that nothing that follows can show it.
    pub(super) fn conceal(&self, taken: &mut Taken) -> Option<Vec<u8>> {
        let rule = &self.protocol.identity;
        let field = rule.secret()?;
        let said = rule.said_secret(&taken.reading.fields);
        taken.confidential |= self.protocol.decoder.conceal(field, &mut taken.reading);
        if taken.reading.undecoded.is_some() {
            // It may hold the secret anywhere, and what is not understood is no login.
            taken.confidential = true;
            taken.asked = Some(Fields::new());
            return None;
        }
        said
    }

    /// Holds the secret that a frame said against the expected one. Whether the frame may go on; a
    /// wrong one ends the connection.
    pub(super) fn proves(
        &mut self,
        now: Now,
        said: Option<&[u8]>,
        taken: &Taken,
        actions: &mut Vec<Action>,
    ) -> bool {
        let rule = &self.protocol.identity;
        let (Some(_), Some(login)) = (rule.secret(), &self.protocol.session.login) else {
            return true;
        };
        let spoken = rule.spoken(taken.says());
        let terms = (&*self.settings.devices, login);
        let proof = self
            .identity
            .as_mut()
            .map(|identity| identity.prove(said, spoken.as_deref(), terms));
        let Some(Err(denial)) = proof else {
            return true;
        };
        actions.push(Action::Count(Counted::Denied(denial)));
        let protocol = Arc::clone(&self.protocol);
        let denial = protocol.replies.get(DENIED);
        if let Some(denial) = denial.or_else(|| protocol.replies.nak()) {
            self.reply_at_once(now, denial, taken, actions);
        }
        self.finish(now, Reason::Denied);
        false
    }

    /// Refuses a frame that needs a login.
    pub(super) fn refuse_before_login(
        &mut self,
        now: Now,
        taken: &Taken,
        actions: &mut Vec<Action>,
    ) {
        actions.push(Action::Count(Counted::BeforeLogin));
        let protocol = Arc::clone(&self.protocol);
        let Some(nak) = protocol.replies.nak() else {
            return;
        };
        self.reply_at_once(now, nak, taken, actions);
        if nak.close {
            self.finish(now, Reason::Reply);
        }
    }

    /// Closes a connection whose login has not come in time.
    pub(super) fn end_without_login(&mut self, now: Now) {
        if self
            .login_deadline()
            .is_some_and(|until| until <= now.monotonic)
        {
            self.finish(now, Reason::NoLogin);
        }
    }

    /// When the login is late.
    pub(super) fn login_deadline(&self) -> Option<Instant> {
        let login = self.protocol.session.login.as_ref()?;
        let waits = self.ending.is_none() && self.awaits_login();
        self.opened.filter(|_| waits)?.checked_add(login.within)
    }

    /// Shows a frame of a device that waits in quarantine.
    pub(super) fn sample(&self, taken: &Taken, speaker: &Speaker, actions: &mut Vec<Action>) {
        let quarantined = self.settings.unknown_devices == UnknownDevices::Quarantine;
        if quarantined && !speaker.known {
            let frame = match taken.confidential {
                true => Bytes::new(),
                false => self.shown(&taken.bytes),
            };
            let name = speaker.device.name.clone();
            actions.push(Action::Count(Counted::Quarantined(name, frame)));
        }
    }

    /// Foreign bytes as far as an operator may see them: where frames carry a secret, none.
    pub(super) fn shown(&self, bytes: &Bytes) -> Bytes {
        match self.protocol.identity.secret() {
            Some(_) => Bytes::new(),
            None => bytes.clone(),
        }
    }
}
