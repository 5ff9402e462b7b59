//! Who speaks on a connection: the identity as spoken, and the device it means now.

use std::sync::Arc;

use crate::identity::{Device, DeviceMap, IdentityRule, Peer, Resolved, Scope, Spoken};
use crate::message::{Fields, Name};

/// The device a frame is from.
#[derive(Clone, Debug)]
pub(super) struct Speaker {
    pub(super) device: Device,
    /// Whether the map knows it.
    pub(super) known: bool,
    /// Whether the frame or its connection said who it is.
    pub(super) identified: bool,
}

/// The identity of a connection.
#[derive(Debug)]
pub(super) struct Identity {
    peer: Peer,
    rule: IdentityRule,
    /// What the login said, where one login is for the whole connection.
    login: Option<String>,
    current: Option<Speaker>,
    bound: Option<Name>,
}

impl Identity {
    pub(super) fn new(peer: Peer, rule: IdentityRule) -> Self {
        Identity {
            peer,
            rule,
            login: None,
            current: None,
            bound: None,
        }
    }

    pub(super) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Whether one identity is for the whole connection.
    pub(super) fn is_connections(&self) -> bool {
        self.scope() != Some(Scope::Message)
    }

    /// Whether the device can have one connection only.
    pub(super) fn newest_wins(&self) -> bool {
        self.scope() == Some(Scope::Connection)
    }

    /// The device of the connection as the map says now, if the connection has one.
    pub(super) fn resolve(&mut self, map: &DeviceMap) -> Option<Speaker> {
        self.current = match (self.scope(), &self.login) {
            (None, _) => Some(self.look_up(None, map)),
            (Some(_), Some(login)) => Some(self.look_up(Some(login), map)),
            (Some(_), None) => None,
        };
        self.current.clone()
    }

    /// The device a frame is from; one found by the address alone if nothing said who it is.
    pub(super) fn of_frame(&mut self, fields: &Fields, map: &DeviceMap) -> Speaker {
        let spoken = self.scope().and_then(|_| self.rule.spoken(fields));
        match (self.scope(), spoken) {
            (Some(Scope::Message), Some(id)) => self.look_up(Some(&id), map),
            (Some(Scope::Connection), Some(id)) if self.login.as_deref() != Some(&*id) => {
                self.login = Some(id.into_owned());
                self.current = None;
                self.of_connection(map)
            }
            (Some(Scope::Message), None) => self.look_up(None, map),
            (None | Some(Scope::Connection), _) => self.of_connection(map),
        }
    }

    /// Notes which device commands come for; whether it is another one than before.
    pub(super) fn bind(&mut self, device: &Name) -> bool {
        let another = self.bound.as_ref() != Some(device);
        if another {
            self.bound = Some(Arc::clone(device));
        }
        another
    }

    fn of_connection(&mut self, map: &DeviceMap) -> Speaker {
        let current = match self.current.take() {
            Some(current) => Some(current),
            None => self.resolve(map),
        };
        self.current.clone_from(&current);
        current.unwrap_or_else(|| self.look_up(None, map))
    }

    /// The scope of a decoded field; none where the address or the settings say who it is.
    fn scope(&self) -> Option<Scope> {
        match &self.rule {
            IdentityRule::Field { scope, .. } | IdentityRule::Script { scope, .. }
                if self.peer.fixed_device.is_none() =>
            {
                Some(*scope)
            }
            _ => None,
        }
    }

    fn look_up(&self, id: Option<&str>, map: &DeviceMap) -> Speaker {
        let identified = id.is_some() || self.scope().is_none();
        match map.resolve(&Spoken {
            id,
            peer: &self.peer,
        }) {
            Resolved::Known(device) => Speaker {
                device,
                known: true,
                identified,
            },
            Resolved::Unknown(name) => {
                let device = Device {
                    name,
                    properties: Arc::from([]),
                    output: None,
                };
                Speaker {
                    device,
                    known: false,
                    identified,
                }
            }
        }
    }
}
