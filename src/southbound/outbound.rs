//! One entry of `outbound`: dials its devices, again and again, and joins every connection it has.
//!
//! A device that waits costs a line in a table; one that is dialled has a task for the attempt, and one
//! that is connected the same task as an accepted connection.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::South;
use super::dialling::{Unreached, dial};
use super::port::Port;
use crate::backoff::Backoff;
use crate::conversation::{ConversationSettings, Reason};
use crate::identity::Peer;
use crate::inbox::Inbox;
use crate::message::Name;
use crate::ops::metrics::CONNECTED;
use crate::report::Reached;
use crate::settings::{Dialled, Outbound, Settings};

/// First attempts of many devices come within so long for each of them.
const SPREAD_EACH: Duration = Duration::from_millis(5);
/// First attempts come within so long, however many there are.
const MOST_SPREAD: Duration = Duration::from_secs(5);

/// What an entry of `outbound` goes by.
#[derive(Clone, Debug)]
pub struct OutboundTerms {
    /// The entry in the settings.
    pub outbound: Arc<Outbound>,
    /// What its conversations go by.
    pub conversation: Arc<ConversationSettings>,
    /// Within how long first attempts come; all devices of the settings count.
    pub spread: Duration,
}

impl OutboundTerms {
    /// The terms of an entry in these settings; `None` if they do not have it.
    pub fn of(settings: &Settings, name: &Name) -> Option<Self> {
        let outbound = settings.outbound.get(name)?;
        let all = settings.outbound.values();
        let devices: usize = all.map(|outbound| outbound.addresses.len()).sum();
        let spread = SPREAD_EACH.saturating_mul(u32::try_from(devices).unwrap_or(u32::MAX));
        Some(OutboundTerms {
            outbound: Arc::clone(outbound),
            conversation: Arc::new(settings.conversation_with_dialled(outbound)),
            spread: spread.min(MOST_SPREAD),
        })
    }
}

/// The gateway's hold on an entry of `outbound`. Dropping it ends the entry.
#[derive(Debug)]
pub struct OutboundHandle {
    terms: watch::Sender<(OutboundTerms, u64)>,
    stop: CancellationToken,
    reached: watch::Receiver<Reached>,
}

impl OutboundHandle {
    /// Gives new terms. Devices that are gone or have another address are closed, new ones dialled;
    /// the connections of all others take over limits and units at their next frame, or, with a
    /// changed protocol, close after the frame in progress and are dialled again.
    pub fn update(&self, terms: OutboundTerms, protocol_changed: bool) {
        self.terms
            .send_modify(|current| *current = (terms, current.1 + u64::from(protocol_changed)));
    }

    /// How many of its devices are connected now.
    pub fn reached(&self) -> Reached {
        self.reached.borrow().clone()
    }

    /// Whether the entry's task is gone.
    pub fn is_over(&self) -> bool {
        self.terms.is_closed()
    }
}

impl Drop for OutboundHandle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What an attempt has come to.
type Attempted = Result<(TcpStream, SocketAddr), Unreached>;

/// The task of one entry.
#[derive(Debug)]
pub struct OutboundTask {
    terms: watch::Receiver<(OutboundTerms, u64)>,
    stop: CancellationToken,
    reached: watch::Sender<Reached>,
    news: Arc<Notify>,
    port: Arc<Port>,
    lines: BTreeMap<Name, Line>,
    /// When which device is dialled next.
    due: BTreeSet<(Instant, Name)>,
    attempts: JoinSet<Attempted>,
    attempted: HashMap<Id, Name>,
    connections: JoinSet<Reason>,
    open: HashMap<Id, Open>,
    error: Option<String>,
}

/// One device that is dialled.
#[derive(Debug)]
struct Line {
    dialled: Dialled,
    backoff: Backoff,
    state: State,
    /// Whether it has been connected, or could not be: until then nothing is known of it.
    tried: bool,
    away: Option<Away>,
}

/// A device that failed and is not connected again.
#[derive(Clone, Copy, Debug)]
struct Away {
    since: Instant,
    /// Whether the log says so.
    logged: bool,
}

#[derive(Debug)]
enum State {
    Waiting(Instant),
    Dialling(AbortHandle),
    Connected(Id),
}

/// One connection.
#[derive(Debug)]
struct Open {
    /// The name of its line, which may be another one meanwhile, or gone.
    device: Name,
    inbox: Inbox,
    generation: u64,
    since: Instant,
}

impl OutboundTask {
    /// An entry that has dialled nobody yet, and the gateway's hold on it. `news` is notified when
    /// what [`OutboundHandle::reached`] says is another.
    pub fn new(
        terms: OutboundTerms,
        south: Arc<South>,
        news: Arc<Notify>,
    ) -> (OutboundHandle, Self) {
        let port = Arc::new(Port::dialling(&terms.outbound.name, south));
        let (sender, terms) = watch::channel((terms, 0));
        let (reached, told) = watch::channel(Reached::default());
        let stop = CancellationToken::new();
        let handle = OutboundHandle {
            terms: sender,
            stop: stop.clone(),
            reached: told,
        };
        let mut task = OutboundTask {
            terms,
            stop,
            reached,
            news,
            port,
            lines: BTreeMap::new(),
            due: BTreeSet::new(),
            attempts: JoinSet::new(),
            attempted: HashMap::new(),
            connections: JoinSet::new(),
            open: HashMap::new(),
            error: None,
        };
        task.take_terms();
        (handle, task)
    }

    /// Dials until it is stopped or the process shuts down; ends when its last connection has.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let reason = loop {
            let next = self.due.first().map(|(at, _)| *at);
            tokio::select! {
                () = shutdown.cancelled() => break Reason::Shutdown,
                () = self.stop.cancelled() => break Reason::OutboundRemoved,
                Some(ended) = self.attempts.join_next_with_id() => self.answered(ended),
                Some(ended) = self.connections.join_next_with_id() => self.ended(ended),
                Ok(()) = self.terms.changed() => self.take_terms(),
                () = at(next) => self.dial_due(),
            }
            self.tell();
        };
        for open in self.open.values() {
            open.inbox.stop(reason);
        }
        self.attempts.shutdown().await;
        while let Some(ended) = self.connections.join_next().await {
            let ended = ended.map_err(|error| error.to_string());
            self.port.count_end(ended);
        }
    }

    /// Closes what is gone, dials what is new, and lets the others know.
    fn take_terms(&mut self) {
        let (terms, generation) = self.terms.borrow_and_update().clone();
        let wanted = terms.outbound.dialled();
        let gone: Vec<Name> = self
            .lines
            .iter()
            .filter(|(name, line)| wanted.get(*name) != Some(&line.dialled))
            .map(|(name, _)| Name::clone(name))
            .collect();
        for open in self.open.values() {
            if open.generation == generation {
                open.inbox.settings(Arc::clone(&terms.conversation));
            } else {
                open.inbox.stop(Reason::ProtocolChanged);
            }
        }
        for name in gone {
            self.hang_up(&name);
        }
        for line in self.lines.values_mut() {
            line.backoff.set_longest(terms.outbound.retry);
        }
        self.port.show_bounds(wanted.len(), &terms.conversation);
        for (name, dialled) in wanted {
            if !self.lines.contains_key(&name) {
                let first = self.port.south.timeouts.first_retry;
                let line = Line {
                    dialled,
                    backoff: Backoff::new(first, terms.outbound.retry),
                    state: State::Waiting(self.now()),
                    tried: false,
                    away: None,
                };
                self.lines.insert(Name::clone(&name), line);
                self.dial_after(&name, terms.spread.mul_f64(fastrand::f64()));
            }
        }
        self.tell();
    }

    /// Takes a line away, and ends what there is of it.
    fn hang_up(&mut self, name: &Name) {
        match self.lines.remove(name).map(|line| line.state) {
            Some(State::Waiting(at)) => drop(self.due.remove(&(at, Name::clone(name)))),
            Some(State::Dialling(attempt)) => {
                self.attempted.remove(&attempt.id());
                attempt.abort();
            }
            Some(State::Connected(id)) => {
                if let Some(open) = self.open.get(&id) {
                    open.inbox.stop(Reason::OutboundRemoved);
                }
            }
            None => {}
        }
    }

    fn dial_after(&mut self, name: &Name, pause: Duration) {
        let now = self.now();
        let Some(line) = self.lines.get_mut(name) else {
            return;
        };
        let at = now.checked_add(pause).unwrap_or(now);
        line.state = State::Waiting(at);
        self.due.insert((at, Name::clone(name)));
    }

    fn dial_due(&mut self) {
        let now = self.now();
        let within = self.terms.borrow().0.outbound.connect;
        while self.due.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, name)) = self.due.pop_first() else {
                return;
            };
            let Some(line) = self.lines.get_mut(&name) else {
                continue;
            };
            let lookups = self.port.south.lookups.clone();
            let attempt = dial(line.dialled.address.clone(), within, lookups);
            let attempt = self.attempts.spawn(attempt);
            self.attempted.insert(attempt.id(), name);
            line.state = State::Dialling(attempt);
        }
    }

    /// An attempt has ended; one that was given up has no line any more.
    fn answered(&mut self, ended: Result<(Id, Attempted), JoinError>) {
        let (id, result) = match ended {
            Ok((id, result)) => (id, Ok(result)),
            Err(error) => (error.id(), Err(error)),
        };
        let Some(name) = self.attempted.remove(&id) else {
            return;
        };
        match result {
            Ok(Ok((stream, address))) => self.connected(&name, stream, address),
            Ok(Err(why)) => {
                self.port.metrics.dialled(why.word());
                self.failed(&name, why.word(), &why);
            }
            Err(error) => {
                tracing::error!(%error, "an attempt to connect ended by a defect of the module; please report it");
                self.failed(&name, "defect", &error);
            }
        }
    }

    fn connected(&mut self, name: &Name, stream: TcpStream, address: SocketAddr) {
        let (terms, generation) = self.terms.borrow().clone();
        let since = self.now();
        let Some(line) = self.lines.get_mut(name) else {
            return;
        };
        let outbound = &terms.outbound;
        let peer = Peer::dialled(
            address,
            Name::clone(&outbound.name),
            line.dialled.device.clone(),
        );
        let speaks = (&outbound.protocol, &terms.conversation);
        let (task, inbox) = self.port.run(stream, peer, speaks, &mut self.connections);
        line.state = State::Connected(task);
        line.tried = true;
        let away = line.away.take();
        self.port.metrics.dialled(CONNECTED);
        self.log_connected(name, address, away);
        let open = Open {
            device: Name::clone(name),
            inbox,
            generation,
            since,
        };
        self.open.insert(task, open);
    }

    /// A failure that the log has, has its end there too; devices are connected and end without one
    /// oftener than anybody wants to read.
    fn log_connected(&self, name: &Name, peer: SocketAddr, away: Option<Away>) {
        let outbound = &self.port.entry;
        let throttled = || self.allows(CONNECTED, name);
        let ends = away.is_some_and(|away| away.logged);
        let Some(held_back) = ends.then_some(0).or_else(throttled) else {
            return;
        };
        let now = self.now();
        match away.map(|away| now.saturating_duration_since(away.since)) {
            Some(away) => {
                let away = away.as_secs_f64();
                tracing::info!(%outbound, device = %name, %peer, held_back, "connected, after {away:.1} s without a connection");
            }
            None => tracing::info!(%outbound, device = %name, %peer, held_back, "connected"),
        }
    }

    /// A connection has ended: its device is dialled again if it is still wanted there.
    fn ended(&mut self, ended: Result<(Id, Reason), JoinError>) {
        let (id, ended) = match ended {
            Ok((id, reason)) => (id, Ok(reason)),
            Err(error) => (error.id(), Err(error.to_string())),
        };
        self.port.count_end(ended.clone());
        let Some(open) = self.open.remove(&id) else {
            return;
        };
        let now = self.now();
        let Some(line) = self.lines.get_mut(&open.device) else {
            return;
        };
        if !matches!(line.state, State::Connected(current) if current == id) {
            return;
        }
        let lasted = now.saturating_duration_since(open.since);
        if lasted >= self.port.south.timeouts.steady {
            line.backoff.reset();
        }
        if ended == Ok(Reason::ProtocolChanged) {
            line.backoff.reset();
            let spread = self.terms.borrow().0.spread;
            return self.dial_after(&open.device, spread.mul_f64(fastrand::f64()));
        }
        let why = ended.as_ref().map_or("defect", |reason| reason.word());
        let text = format!("the connection ended after {} s: {why}", lasted.as_secs());
        self.failed(&open.device, why, &text);
    }

    /// A device has no connection: it is dialled again after a while.
    fn failed(&mut self, name: &Name, word: &'static str, why: &dyn fmt::Display) {
        let (allowed, now) = (self.allows(word, name), self.now());
        let Some(line) = self.lines.get_mut(name) else {
            return;
        };
        let pause = line.backoff.pause(fastrand::f64());
        line.tried = true;
        let away = line.away.get_or_insert(Away {
            since: now,
            logged: false,
        });
        away.logged |= allowed.is_some();
        if let Some(held_back) = allowed {
            let outbound = &self.port.entry;
            tracing::warn!(%outbound, device = %name, held_back, "{why}; dialled again in {:.1} s", pause.as_secs_f64());
        }
        self.error = Some(format!("{name}: {why}"));
        self.dial_after(name, pause);
    }

    /// Whether a line of that kind about a device may be written, and how many were held back.
    fn allows(&self, what: &'static str, device: &Name) -> Option<u64> {
        let who = format!("{} {device}", self.port.entry);
        self.port.south.throttle.allows(what, &who, self.now())
    }

    fn tell(&mut self) {
        let connected = |line: &&Line| matches!(line.state, State::Connected(_));
        let connected = self.lines.values().filter(connected).count();
        let of = self.lines.len();
        if connected == of {
            self.error = None;
        }
        let now = Reached {
            connected,
            of,
            tried: self.lines.values().all(|line| line.tried),
            error: self.error.clone(),
        };
        let modified = self.reached.send_if_modified(|told| {
            let modified = *told != now;
            *told = now;
            modified
        });
        if modified {
            self.news.notify_one();
        }
    }

    fn now(&self) -> Instant {
        self.port.south.clock.now().monotonic
    }
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
