//! Who is connected.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::auth::sas::{self, Token};
use crate::identities::IdentityId;

/// How many messages may wait for one client.
pub(crate) const OUTBOX: usize = 256;

/// Something that is to be published to a client.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) topic: String,
    pub(crate) payload: Bytes,
}

/// A connected client, as the rest of the hub knows it.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) connection: u64,
    pub(crate) close: CancellationToken,
    pub(crate) outbox: mpsc::Sender<Delivery>,
    /// An input message has come.
    pub(crate) inputs: Arc<Notify>,
    pub(crate) token: Token,
    /// The token as it was sent.
    pub(crate) password: Vec<u8>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("connection", &self.connection)
            .finish_non_exhaustive()
    }
}

/// All connected clients.
#[derive(Debug, Default)]
pub(crate) struct Clients(Mutex<HashMap<IdentityId, Client>>);

impl Clients {
    /// Takes a client in; gives back the older one of the same id.
    pub(crate) fn insert(&self, id: &IdentityId, client: Client) -> Option<Client> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id.clone(), client)
    }

    /// Takes a client out, if it is still the one of that connection.
    pub(crate) fn remove(&self, id: &IdentityId, connection: u64) {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if clients
            .get(id)
            .is_some_and(|client| client.connection == connection)
        {
            clients.remove(id);
        }
    }

    pub(crate) fn find(&self, id: &IdentityId) -> Option<Client> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)
            .cloned()
    }

    pub(crate) fn all(&self) -> Vec<Client> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Closes those whose token has expired at `now` (Unix seconds); how many.
    pub(crate) fn close_expired(&self, now: i64) -> usize {
        let all = self.all();
        let expired = all.iter().filter(|client| sas::expired(&client.token, now));
        expired.map(|client| client.close.cancel()).count()
    }
}
