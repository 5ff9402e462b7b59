//! The listener or the entry of `outbound` over which bytes are said to come.

use std::net::{IpAddr, SocketAddr};

use super::Arguments;
use crate::conversation::ConversationSettings;
use crate::document::unknown_word;
use crate::identity::Peer;
use crate::message::Name;
use crate::settings::{Listener, Outbound, Settings};

/// Over what the bytes come.
pub(super) enum Entry<'s> {
    Listener(&'s Listener),
    Outbound(&'s Outbound),
    /// Nothing uses the protocol.
    None,
}

impl<'s> Entry<'s> {
    /// The one that is named, or the first that uses the protocol.
    pub fn find(arguments: &Arguments, settings: &'s Settings) -> Result<Self, String> {
        let listeners = settings.listeners.values().map(|listener| &**listener);
        let outbound = settings.outbound.values().map(|outbound| &**outbound);
        let all = listeners
            .map(Entry::Listener)
            .chain(outbound.map(Entry::Outbound));
        let mut all = all.filter_map(|entry| Some((entry.name()?, entry)));
        let Some(name) = arguments.listener.as_deref() else {
            let uses = |entry: &Entry<'_>| entry.protocol() == Some(arguments.protocol.as_str());
            let first = all.find(|(_, entry)| uses(entry));
            return Ok(first.map_or(Entry::None, |(_, entry)| entry));
        };
        let mut known = Vec::new();
        for (entry_name, entry) in all {
            if entry_name == name {
                return Ok(entry);
            }
            known.push(entry_name);
        }
        Err(unknown_word(
            "listener or entry of `outbound`",
            name,
            &known,
        ))
    }

    fn name(&self) -> Option<&'s str> {
        match self {
            Entry::Listener(listener) => Some(&listener.name),
            Entry::Outbound(outbound) => Some(&outbound.name),
            Entry::None => None,
        }
    }

    fn protocol(&self) -> Option<&'s str> {
        match self {
            Entry::Listener(listener) => Some(&listener.protocol.name),
            Entry::Outbound(outbound) => Some(&outbound.protocol.name),
            Entry::None => None,
        }
    }

    /// What conversations over it go by.
    pub fn terms(&self, settings: &Settings) -> ConversationSettings {
        match self {
            Entry::Listener(listener) => settings.conversation(listener),
            Entry::Outbound(outbound) => settings.conversation_with_dialled(outbound),
            Entry::None => settings.conversation_without_listener(),
        }
    }

    /// The device at that address; of an entry with several addresses the first of its devices.
    pub fn peer(&self, address: IpAddr) -> Peer {
        let address = SocketAddr::new(address, 0);
        match self {
            Entry::Listener(listener) => {
                Peer::new(address, listener.name.clone(), listener.device.clone())
            }
            Entry::Outbound(outbound) => {
                let dialled = outbound.dialled();
                let device = dialled.values().next().and_then(|line| line.device.clone());
                Peer::dialled(address, outbound.name.clone(), device)
            }
            Entry::None => Peer::new(address, Name::from("decode"), None),
        }
    }
}
