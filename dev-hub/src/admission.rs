//! CONNECT: who is let in, and which CONNACK the others get.

use mqtt::{Connect, DecodeError, Packet, Password, QoS, Refusal};

use crate::auth::{sas, username};
use crate::clock;
use crate::counters::Count;
use crate::hub::Hub;
use crate::identities::IdentityId;

/// edgeHub reads no larger packet.
pub(crate) const MAX_PACKET_BYTES: usize = 262_144;

/// A CONNECT that may come in.
pub(crate) struct Admitted {
    pub(crate) id: IdentityId,
    pub(crate) clean: bool,
    pub(crate) keep_alive: u16,
    pub(crate) token: sas::Token,
    pub(crate) password: Vec<u8>,
    pub(crate) will: Option<(String, Vec<u8>)>,
}

/// What becomes of the first bytes of a connection.
pub(crate) enum First {
    NeedsMore,
    /// Closed without a word.
    Close,
    Refuse(Refusal),
    Admit(Box<Admitted>, usize),
}

/// Looks at the first bytes of a connection.
pub(crate) fn look(hub: &Hub, bytes: &[u8]) -> First {
    match mqtt::decode(bytes, MAX_PACKET_BYTES) {
        Ok(None) => First::NeedsMore,
        Ok(Some((Packet::Connect(connect), used))) => judge(hub, &connect, used),
        Err(DecodeError::ProtocolLevel(_)) => {
            hub.count(Count::refused_level);
            First::Refuse(Refusal::ProtocolLevel)
        }
        Ok(Some(_)) | Err(_) => {
            hub.count(Count::no_connect);
            First::Close
        }
    }
}

fn judge(hub: &Hub, connect: &Connect<'_>, used: usize) -> First {
    // A will of QoS 2 is read by nobody: edgeHub knows no QoS 2.
    if connect
        .will
        .as_ref()
        .is_some_and(|will| will.qos == QoS::ExactlyOnce)
    {
        hub.count(Count::no_connect);
        return First::Close;
    }
    let name = connect.username.unwrap_or_default();
    let Ok(name) = username::parse(name) else {
        return unreadable(hub);
    };
    if connect.client_id.is_empty() {
        return unreadable(hub);
    }
    let password = connect
        .password
        .map_or(&[][..], |Password(password)| password);
    match authenticate(hub, connect.client_id, &name.id, password) {
        Some(token) => First::Admit(Box::new(admitted(connect, name.id, token, password)), used),
        None => {
            hub.count(Count::refused_unauthorized);
            First::Refuse(Refusal::NotAuthorized)
        }
    }
}

fn unreadable(hub: &Hub) -> First {
    hub.count(Count::refused_unreadable);
    First::Refuse(Refusal::Unavailable)
}

fn authenticate(
    hub: &Hub,
    client_id: &str,
    id: &IdentityId,
    password: &[u8],
) -> Option<sas::Token> {
    if client_id != id.to_string() || hub.script.is_revoked(password) {
        return None;
    }
    let token = sas::parse(std::str::from_utf8(password).ok()?).ok()?;
    let hosts = sas::Hosts {
        iot_hub: &hub.options.iot_hub,
        edge: &hub.options.edge_host,
    };
    let now = clock::utc().as_second();
    sas::check(&token, id, &hub.identities, hosts, now).ok()?;
    Some(token)
}

fn admitted(connect: &Connect<'_>, id: IdentityId, token: sas::Token, password: &[u8]) -> Admitted {
    Admitted {
        id,
        clean: connect.clean_session,
        keep_alive: connect.keep_alive,
        token,
        password: password.to_vec(),
        will: connect
            .will
            .as_ref()
            .map(|will| (will.topic.to_owned(), will.payload.to_vec())),
    }
}
