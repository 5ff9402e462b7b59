//! One listening port: accepts within its limits, and joins every connection it has accepted.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::South;
use super::accepting::Accepting;
use super::port::Port;
use crate::conversation::{ConversationSettings, Reason};
use crate::identity::Peer;
use crate::inbox::Inbox;
use crate::message::Name;
use crate::settings::{Listener, Settings};

/// What a listener goes by.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Its entry in the settings.
    pub listener: Arc<Listener>,
    /// What its conversations go by.
    pub conversation: Arc<ConversationSettings>,
}

impl Terms {
    /// The terms of a listener in these settings; `None` if they do not have it.
    pub fn of(settings: &Settings, name: &Name) -> Option<Self> {
        let listener = settings.listeners.get(name)?;
        Some(Terms {
            listener: Arc::clone(listener),
            conversation: Arc::new(settings.conversation(listener)),
        })
    }
}

/// The gateway's hold on a listener. Dropping it ends the listener.
#[derive(Debug)]
pub struct ListenerHandle {
    terms: watch::Sender<(Terms, u64)>,
    stop: CancellationToken,
    closed: CancellationToken,
}

impl ListenerHandle {
    /// Gives new terms. Open connections take over devices and limits at their next frame; with a
    /// changed protocol they close after the frame in progress.
    pub fn update(&self, terms: Terms, protocol_changed: bool) {
        self.terms
            .send_modify(|current| *current = (terms, current.1 + u64::from(protocol_changed)));
    }

    /// Closes the socket and asks the connections to end; waits until the port is free again.
    pub async fn stop(self) {
        self.stop.cancel();
        tokio::select! {
            () = self.closed.cancelled() => {}
            () = self.terms.closed() => {}
        }
    }

    /// Whether the listener's task is gone.
    pub fn is_over(&self) -> bool {
        self.terms.is_closed()
    }
}

impl Drop for ListenerHandle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The task of one listener.
#[derive(Debug)]
pub struct ListenerTask {
    accepting: Accepting,
    terms: watch::Receiver<(Terms, u64)>,
    stop: CancellationToken,
    closed: CancellationToken,
    port: Arc<Port>,
    connections: JoinSet<Reason>,
    open: HashMap<Id, (Inbox, u64)>,
}

impl ListenerTask {
    /// A listener on a bound socket, and the gateway's hold on it.
    pub fn new(socket: TcpListener, terms: Terms, south: Arc<South>) -> (ListenerHandle, Self) {
        let port = Port::accepting(&terms.listener.name, Arc::clone(&south));
        port.show_bounds(terms.listener.max_connections, &terms.conversation);
        let (sender, terms) = watch::channel((terms, 0));
        let (stop, closed) = (CancellationToken::new(), CancellationToken::new());
        let handle = ListenerHandle {
            terms: sender,
            stop: stop.clone(),
            closed: closed.clone(),
        };
        let task = ListenerTask {
            accepting: Accepting::new(socket, &south.timeouts),
            terms,
            stop,
            closed,
            port: Arc::new(port),
            connections: JoinSet::new(),
            open: HashMap::new(),
        };
        (handle, task)
    }

    /// Accepts until it is stopped or the process shuts down; ends when its last connection has.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let reason = loop {
            tokio::select! {
                () = shutdown.cancelled() => break Reason::Shutdown,
                () = self.stop.cancelled() => break Reason::ListenerRemoved,
                accepted = self.accepting.next() => self.accepted(accepted),
                Some(ended) = self.connections.join_next_with_id() => self.ended(ended),
                Ok(()) = self.terms.changed() => self.spread_terms(),
            }
        };
        for (inbox, _) in self.open.values() {
            inbox.stop(reason);
        }
        let ListenerTask {
            accepting,
            closed,
            mut connections,
            port,
            ..
        } = self;
        drop(accepting);
        closed.cancel();
        while let Some(ended) = connections.join_next().await {
            port.count_end(ended.map_err(|error| error.to_string()));
        }
    }

    fn accepted(&mut self, accepted: io::Result<(TcpStream, SocketAddr)>) {
        let error = match accepted {
            Ok((stream, address)) => {
                self.accepting.succeeded();
                return self.admit(stream, address);
            }
            Err(error) => error,
        };
        let now = self.port.south.clock.now().monotonic;
        let Some(pause) = self.accepting.failed(&error, now) else {
            // The peer was gone before it was accepted.
            return tracing::debug!(%error, "accept failed");
        };
        self.port.metrics.accept_paused();
        self.warn("accept_paused", format_args!(
            "{error}: accepting pauses for {pause:?}, open connections work on; raise the container's limits (nofile for open files, memory)"
        ));
    }

    fn admit(&mut self, stream: TcpStream, address: SocketAddr) {
        let (terms, generation) = self.terms.borrow().clone();
        let refused = if !terms.listener.admits(address.ip()) {
            Some((
                "address",
                "a connection from an address that `allow` does not name was closed",
            ))
        } else if self.open.len() >= terms.listener.max_connections {
            Some(("limit", "a connection over `maxConnections` was closed"))
        } else {
            None
        };
        if let Some((reason, text)) = refused {
            self.port.metrics.refused(reason);
            return self.warn(reason, format_args!("{text}"));
        }
        let listener = &terms.listener;
        let peer = Peer::new(
            address,
            Name::clone(&listener.name),
            listener.device.clone(),
        );
        let speaks = (&listener.protocol, &terms.conversation);
        let (task, inbox) = self.port.run(stream, peer, speaks, &mut self.connections);
        self.open.insert(task, (inbox, generation));
        self.port.metrics.accepted();
    }

    fn ended(&mut self, ended: Result<(Id, Reason), JoinError>) {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        self.open.remove(&id);
        let ended = ended.map(|(_, reason)| reason);
        self.port
            .count_end(ended.map_err(|error| error.to_string()));
    }

    fn spread_terms(&mut self) {
        let (terms, generation) = self.terms.borrow_and_update().clone();
        self.port
            .show_bounds(terms.listener.max_connections, &terms.conversation);
        for (inbox, started) in self.open.values() {
            if *started == generation {
                inbox.settings(Arc::clone(&terms.conversation));
            } else {
                inbox.stop(Reason::ProtocolChanged);
            }
        }
    }

    fn warn(&self, what: &'static str, text: fmt::Arguments<'_>) {
        let listener = &self.port.entry;
        if let Some(held_back) =
            self.port
                .south
                .throttle
                .allows(what, listener, self.port.south.clock.now().monotonic)
        {
            tracing::warn!(%listener, held_back, "{text}");
        }
    }
}
