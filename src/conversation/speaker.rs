//! Who speaks on a connection: the identity as spoken, and the device it means now.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::session::Login;
use crate::identity::{Device, DeviceMap, IdentityRule, Peer, Resolved, Scope, Secret, Spoken};
use crate::message::{Fields, Name, Text};

/// The device a frame is from.
#[derive(Clone, Debug)]
pub(super) struct Speaker {
    pub(super) device: Device,
    /// Whether the map knows it.
    pub(super) known: bool,
    /// Whether the frame or its connection said who it is.
    pub(super) identified: bool,
    /// The unit that it is behind the device of the connection.
    pub(super) unit: Option<Text>,
}

/// Who a frame was from, and what said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribution {
    /// What of the frame said it, as the settings write it: `imei ltrim 0`, `address`, `listener`;
    /// `None` where the frame says nothing of it.
    pub by: Option<String>,
    /// The identity as spoken, by the frame or before it.
    pub id: Option<String>,
    /// The unit behind it.
    pub sub: Option<String>,
    /// The device that the listener's settings name instead.
    pub fixed: Option<Name>,
    /// The JSON pointer of the entry or rule that names the device; `None` for an unknown one.
    pub entry: Option<Name>,
    /// Whether it counts for the frames that follow.
    pub stays: bool,
}

/// Why a login was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The device of the settings that it claims to be. Any other identity stays unsaid: a secret may
    /// stand where it was looked for.
    pub claimed: Option<Name>,
    /// Whether it said a secret.
    pub said: bool,
    /// The JSON pointer of the entry or rule that matches, if one does.
    pub entry: Option<Name>,
    /// What says the secret that was expected.
    pub expected: Expected,
}

/// What says which secret is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The entry or rule.
    Entry,
    /// The protocol's login, for devices whose entry or rule has none.
    Login,
    /// Nothing, so that no secret is right.
    Nothing,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.said { "wrong" } else { "missing" };
        match &self.claimed {
            Some(device) => write!(f, "login as {device} denied: ")?,
            None => write!(f, "login denied: ")?,
        }
        match self.expected {
            Expected::Nothing => write!(f, "no secret is known for it")?,
            Expected::Login => write!(f, "the secret of the protocol's login is {what}")?,
            Expected::Entry => write!(f, "the secret is {what}")?,
        }
        match (&self.entry, self.expected) {
            (Some(entry), Expected::Entry) => write!(f, ", {entry} matches"),
            (Some(entry), _) => write!(f, ", {entry} matches and has none"),
            (None, _) => write!(f, ", no entry or rule matches"),
        }
    }
}

/// The identity of a connection.
#[derive(Debug)]
pub(super) struct Identity {
    peer: Peer,
    rule: Arc<IdentityRule>,
    /// What the login said, where one login is for the whole connection.
    login: Option<String>,
    /// Whether the login said the secret that was expected.
    proven: bool,
    current: Option<Speaker>,
    bound: Option<Name>,
    /// The unit behind the bound device that spoke last.
    bound_sub: Option<Name>,
}

impl Identity {
    pub(super) fn new(peer: Peer, rule: Arc<IdentityRule>) -> Self {
        Identity {
            peer,
            rule,
            login: None,
            proven: false,
            current: None,
            bound: None,
            bound_sub: None,
        }
    }

    pub(super) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Whether one device is all that speaks on the connection.
    pub(super) fn is_connections(&self) -> bool {
        self.scope() != Some(Scope::Message) && !self.rule.has_sub()
    }

    /// Whether the device can have one connection only.
    pub(super) fn newest_wins(&self) -> bool {
        self.scope() == Some(Scope::Connection)
    }

    /// Whether everything has been said that a login has to say.
    pub(super) fn is_logged_in(&self) -> bool {
        match self.scope() {
            None => self.proven || self.rule.secret().is_none(),
            Some(Scope::Connection) => self.login.is_some(),
            Some(Scope::Message) => true,
        }
    }

    /// Holds the secret that a frame says against the one that is expected of who it claims to be.
    /// A frame that claims nothing new needs none.
    ///
    /// # Errors
    /// Who it claims to be and why that is not believed, where the secret is missing or wrong, or
    /// none is known that could be right.
    pub(super) fn prove(
        &mut self,
        said: Option<&[u8]>,
        spoken: Option<&str>,
        (map, login): (&DeviceMap, &Login),
    ) -> Result<(), Denial> {
        let (id, new) = match &self.peer.fixed_device {
            Some(device) => {
                let claims = said.is_some() || spoken.is_some();
                (claims.then_some(&**device), !self.proven)
            }
            None => (spoken, self.login.as_deref() != spoken),
        };
        let Some(id) = id.filter(|_| new || said.is_some()) else {
            return Ok(());
        };
        let speaker = Spoken {
            id: Some(id),
            sub: None,
            peer: &self.peer,
        };
        let own = map.secret(&speaker);
        let expected = own.or(login.secret.as_ref());
        let right = |expected: &Secret| said.is_some_and(|said| expected.is(said));
        if !expected.is_some_and(right) {
            return Err(Denial {
                claimed: self.named(map, &speaker),
                said: said.is_some(),
                entry: map.said_by(&speaker).cloned(),
                expected: match (own, expected) {
                    (Some(_), _) => Expected::Entry,
                    (None, Some(_)) => Expected::Login,
                    (None, None) => Expected::Nothing,
                },
            });
        }
        self.proven = true;
        Ok(())
    }

    /// The device that a speaker claims to be, where the settings have it by that name.
    fn named(&self, map: &DeviceMap, speaker: &Spoken<'_>) -> Option<Name> {
        let fixed = self.peer.fixed_device.clone();
        fixed.or_else(|| match map.resolve(speaker) {
            Resolved::Known(device) if map.has_name(&device.name) => Some(device.name),
            Resolved::Known(_) | Resolved::Unknown(_) => None,
        })
    }

    /// The device of the connection as the map says now, if the connection has one.
    pub(super) fn resolve(&mut self, map: &DeviceMap) -> Option<Speaker> {
        self.current = match (self.scope(), &self.login) {
            (None, _) => Some(self.look_up(None, None, map)),
            (Some(_), Some(login)) => Some(self.look_up(Some(login), None, map)),
            (Some(_), None) => None,
        };
        self.current.clone()
    }

    /// The device a frame is from; one found by the address alone if nothing said who it is.
    /// `says` is where the frame's identity stands.
    pub(super) fn of_frame(&mut self, says: &Fields, fields: &Fields, map: &DeviceMap) -> Speaker {
        let rule = Arc::clone(&self.rule);
        let spoken = self.scope().and_then(|_| rule.spoken(says));
        let sub = rule.sub(fields);
        if self.scope() == Some(Scope::Message) {
            return self.look_up(spoken.as_deref(), sub.as_deref(), map);
        }
        if let Some(id) = spoken.filter(|id| self.login.as_deref() != Some(id)) {
            self.login = Some(id.into_owned());
            self.current = None;
        }
        match sub {
            None => self.of_connection(map),
            Some(sub) => self.look_up(self.login.as_deref(), Some(&sub), map),
        }
    }

    /// The device behind which a frame's unit is, where units are behind the device of the connection.
    pub(super) fn behind(&mut self, map: &DeviceMap) -> Option<Speaker> {
        let with_units = self.rule.has_sub() && self.scope() != Some(Scope::Message);
        let speaker = with_units.then(|| self.of_connection(map))?;
        speaker.identified.then_some(speaker)
    }

    /// A unit behind the device of the connection, once that is known.
    pub(super) fn unit(&mut self, unit: &str, map: &DeviceMap) -> Option<Speaker> {
        if self.scope() == Some(Scope::Message) || !self.of_connection(map).identified {
            return None;
        }
        Some(self.look_up(self.login.as_deref(), Some(unit), map))
    }

    /// The device that commands come for.
    pub(super) fn bound(&self) -> Option<&Name> {
        self.bound.as_ref()
    }

    /// The unit is to be bound again when it speaks again.
    pub(super) fn forget_sub(&mut self, device: &Name) {
        self.bound_sub.take_if(|bound| bound == device);
    }

    /// Notes which device commands come for; whether it is another one than before.
    pub(super) fn bind(&mut self, device: &Name) -> bool {
        let another = self.bound.as_ref() != Some(device);
        if another {
            self.bound = Some(Name::clone(device));
            self.bound_sub = None;
        }
        another
    }

    /// The same for a unit behind the device of the connection, beside which others stay bound.
    pub(super) fn bind_sub(&mut self, device: &Name) -> bool {
        let another =
            self.bound.as_ref() != Some(device) && self.bound_sub.as_ref() != Some(device);
        if another {
            self.bound_sub = Some(Name::clone(device));
        }
        another
    }

    /// Says who a frame was from that [`Identity::of_frame`] has seen, of the same fields.
    pub(super) fn explain(&self, says: &Fields, fields: &Fields, map: &DeviceMap) -> Attribution {
        let spoken = self.rule.spoken(says);
        let id = match self.scope() {
            None => self.rule.of_peer(&self.peer),
            Some(Scope::Connection) => self.login.as_deref(),
            Some(Scope::Message) => spoken.as_deref(),
        };
        let sub = self.rule.sub(fields);
        let known = id.is_some() || self.scope().is_none();
        let who = Spoken {
            id,
            sub: sub.as_deref(),
            peer: &self.peer,
        };
        Attribution {
            by: self.rule.said_by(says).map(str::to_owned),
            id: id.map(str::to_owned),
            entry: map.said_by(&who).filter(|_| known).cloned(),
            fixed: self.peer.fixed_device.clone(),
            stays: self.scope() == Some(Scope::Connection),
            sub: sub.map(Cow::into_owned),
        }
    }

    fn of_connection(&mut self, map: &DeviceMap) -> Speaker {
        let current = match self.current.take() {
            Some(current) => Some(current),
            None => self.resolve(map),
        };
        self.current.clone_from(&current);
        current.unwrap_or_else(|| self.look_up(None, None, map))
    }

    /// The scope of a decoded field; none where the peer or the settings say who it is.
    fn scope(&self) -> Option<Scope> {
        match &self.peer.fixed_device {
            Some(_) => None,
            None => self.rule.scope(),
        }
    }

    fn look_up(&self, id: Option<&str>, sub: Option<&str>, map: &DeviceMap) -> Speaker {
        let identified = id.is_some() || self.scope().is_none();
        let id = id.or_else(|| self.rule.of_peer(&self.peer));
        let peer = &self.peer;
        let (device, known) = match map.resolve(&Spoken { id, sub, peer }) {
            Resolved::Known(device) => (device, true),
            Resolved::Unknown(name) => {
                let device = Device {
                    name,
                    properties: Arc::from([]),
                    output: None,
                };
                (device, false)
            }
        };
        Speaker {
            device,
            known,
            identified,
            unit: sub
                .filter(|_| self.scope() != Some(Scope::Message))
                .map(Text::from),
        }
    }
}
