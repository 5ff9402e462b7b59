//! Applies settings: owns the listeners and what is dialled, carries out a plan, and says what became
//! of it.

mod dialling;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::commands::{MethodCall, Told};
use crate::conversation::UnknownDevices;
use crate::document::Problems;
use crate::forwarder::{self, Batching, OutputTerms};
use crate::identity::{Peer, Resolved, Spoken};
use crate::message::Name;
use crate::mounted;
use crate::northbound::{Inbound, Outgoing};
use crate::ops::health::{BEAT, Health, Loop};
use crate::ops::metrics::Metrics;
use crate::quarantine::{self, Sample, Samples};
use crate::report::{self, ListenerState, Outcome, Status};
use crate::settings::{Listener, Output, Plan, Presets, Settings, SpoolSettings, WhenFull};
use crate::southbound::{self, ListenerHandle, ListenerTask, South, Terms};
use crate::spool::{Condition, Limits, Note, Sizes};
use crate::storage::{Document, Storage, Stored};
use dialling::{Dialling, Place};

/// What the gateway is made of.
#[derive(Debug)]
pub struct Parts {
    /// What all connections share.
    pub south: Arc<South>,
    /// What the command door has to know.
    pub told: Arc<Told>,
    /// Where documents are kept.
    pub storage: Storage,
    /// Folder of mounted protocol files.
    pub protocols: PathBuf,
    /// Where counts go.
    pub metrics: Metrics,
    /// Where the loop beats.
    pub health: Health,
    /// Tells the time.
    pub clock: Clock,
    /// Direct methods, to the command door.
    pub methods: mpsc::Sender<MethodCall>,
    /// Reports, to the link.
    pub outgoing: mpsc::Sender<Outgoing>,
    /// To the forwarder: what the settings say of delivery.
    pub delivery: watch::Sender<Arc<forwarder::Terms>>,
    /// From the forwarder: how the spool's disk is.
    pub condition: watch::Receiver<Condition>,
    /// From the forwarder: what an operator should know of what the disk had.
    pub notes: watch::Receiver<Vec<Note>>,
    /// How often a port that could not be bound is tried again.
    pub bind_again: Duration,
    /// How often the twin is told at most of devices that come and go.
    pub tell_again: Duration,
}

/// The task that makes the process what the desired properties say.
#[derive(Debug)]
pub struct Gateway {
    parts: Parts,
    running: Settings,
    listeners: BTreeMap<Name, Slot>,
    dialling: Dialling,
    tasks: JoinSet<Name>,
    shutdown: CancellationToken,
    status: Status,
    presence_told: Option<Instant>,
    /// What the twin was last told; unknown after a new session.
    reported: Option<Value>,
}

/// One listener that the settings want.
#[derive(Debug)]
struct Slot {
    handle: Option<ListenerHandle>,
    state: ListenerState,
}

impl Gateway {
    /// A gateway without listeners, which dials nobody.
    pub fn new(parts: Parts, shutdown: CancellationToken) -> Self {
        Gateway {
            parts,
            running: Settings::default(),
            listeners: BTreeMap::new(),
            dialling: Dialling::default(),
            tasks: JoinSet::new(),
            shutdown,
            status: Status {
                outcome: Outcome::Waiting,
                version: None,
                listeners: BTreeMap::new(),
                outbound: BTreeMap::new(),
                presence: None,
                presets: BTreeMap::new(),
                spool: Condition::Good,
                notes: Vec::new(),
                quarantine: Samples::new(),
            },
            presence_told: None,
            reported: None,
        }
    }

    /// Runs until shutdown, then until every listener and connection has ended.
    ///
    /// `start` is the last good document, from which it listens before edgeHub is reached.
    pub async fn run(mut self, start: Option<Stored>, mut inbound: mpsc::Receiver<Inbound>) {
        if let Some(stored) = start {
            self.start_from(&stored).await;
        }
        let mut again = tokio::time::interval(self.parts.bind_again.min(BEAT));
        loop {
            let now = self.parts.clock.now().monotonic;
            self.parts.health.beat(Loop::Gateway, now);
            tokio::select! {
                () = self.shutdown.cancelled() => break,
                received = inbound.recv() => match received {
                    Some(received) => self.received(received).await,
                    None => break,
                },
                Some(ended) = self.tasks.join_next() => self.listener_ended(ended),
                Ok(()) = self.parts.condition.changed() => self.report(),
                Ok(()) = self.parts.notes.changed() => self.report(),
                () = self.dialling.have_news(self.parts.clock) => self.look_at_outbound(),
                _ = again.tick() => {
                    self.bind_degraded();
                    self.look_at_outbound();
                    self.look_at_presence();
                    self.look_into_quarantine();
                }
            }
        }
        self.shutdown.cancel();
        // Methods that still come have to be answered; the command door says that the module stops.
        loop {
            tokio::select! {
                ended = self.tasks.join_next() => if ended.is_none() {
                    break;
                },
                Some(received) = inbound.recv() => self.answer_last(received),
            }
        }
        inbound.close();
        while let Ok(received) = inbound.try_recv() {
            self.answer_last(received);
        }
    }

    fn answer_last(&self, received: Inbound) {
        if let Inbound::Method {
            name,
            payload,
            answer: rid,
        } = received
        {
            self.method(MethodCall { name, payload, rid });
        }
    }

    async fn start_from(&mut self, stored: &Stored) {
        let presets = self.presets(&stored.document).await;
        match Settings::parse(&stored.document, &presets) {
            Ok((settings, _)) => {
                tracing::info!(version = ?stored.version, "listening from the last good settings");
                self.apply(settings).await;
            }
            Err(problems) => {
                tracing::warn!(
                    errors = problems.len(),
                    "the stored settings are not valid in this version; waiting for the twin"
                );
            }
        }
    }

    async fn received(&mut self, received: Inbound) {
        match received {
            Inbound::Desired(desired) => {
                self.desired(Stored {
                    version: desired.version,
                    document: desired.document,
                })
                .await;
                self.report();
            }
            Inbound::Method {
                name,
                payload,
                answer,
            } => self.method(MethodCall {
                name,
                payload,
                rid: answer,
            }),
            Inbound::Connected => {
                self.reported = None;
                // Those that are told then are all there are in the twin.
                self.status.quarantine.clear();
                self.parts.south.quarantine.tell_again();
                self.report();
            }
            Inbound::Disconnected => {}
        }
    }

    /// Keeps the document as the twin has it, then runs it or refuses it whole.
    async fn desired(&mut self, stored: Stored) {
        self.keep(Document::Desired, &stored).await;
        self.status.version = stored.version;
        let presets = self.presets(&stored.document).await;
        match Settings::parse(&stored.document, &presets) {
            Ok((settings, warnings)) => {
                for warning in &warnings {
                    tracing::warn!(%warning, "settings");
                }
                self.apply(settings).await;
                self.parts.metrics.settings("applied");
                self.status.outcome = Outcome::Applied;
                tracing::info!(version = ?stored.version, "settings applied");
                self.keep(Document::LastGood, &stored).await;
            }
            Err(problems) => self.refuse(stored.version, problems),
        }
    }

    fn refuse(&mut self, version: Option<i64>, problems: Problems) {
        self.parts.metrics.settings("refused");
        tracing::error!(
            ?version,
            errors = problems.len(),
            "settings refused, the settings before run on; correct the desired properties"
        );
        for problem in problems.as_slice().iter().take(20) {
            tracing::error!(%problem, "settings");
        }
        self.status.outcome = Outcome::Refused(problems);
    }

    /// Carries out what is different. Sockets are closed before any is bound: ports may swap.
    async fn apply(&mut self, settings: Settings) {
        let plan = Plan::between(&self.running, &settings);
        if plan.spool_changed {
            self.parts.south.submitter.resize(room(settings.spool));
        }
        if plan.presence_changed {
            let presence = self.parts.south.registry.presence();
            presence.settle(settings.presence);
        }
        let settled = self.parts.delivery.borrow().settled;
        if plan.spool_changed || plan.outputs_changed || !settled {
            let terms = delivery(settings.spool, &settings.outputs);
            self.parts.delivery.send_replace(Arc::new(terms));
        }
        let told = &self.parts.told;
        told.devices.store(Arc::clone(&settings.devices));
        let dialled = settings.outbound.values();
        let dialled = dialled.flat_map(|outbound| outbound.addresses.keys().cloned());
        told.dialled.store(Arc::new(dialled.collect()));
        let listeners = settings.listeners.values().map(|listener| &listener.units);
        let outbound = settings.outbound.values().map(|outbound| &outbound.units);
        let units = listeners.chain(outbound).flat_map(|units| units.iter());
        told.units.store(Arc::new(units.cloned().collect()));
        told.allow_raw.store(settings.allow_raw, Ordering::Relaxed);
        self.status.presets = settings
            .origins()
            .map(|(name, origin)| (Name::clone(name), origin.to_string()))
            .collect();
        self.running = settings;
        for name in plan.stop.iter().chain(&plan.rebind) {
            self.stop(name).await;
        }
        for name in plan.rebind.iter().chain(&plan.start) {
            self.start(name);
        }
        for (name, slot) in &self.listeners {
            if let (Some(handle), Some(terms)) = (&slot.handle, Terms::of(&self.running, name)) {
                handle.update(terms, plan.reprotocol.contains(name));
            }
        }
        let mut place = Place {
            south: &self.parts.south,
            tasks: &mut self.tasks,
            shutdown: &self.shutdown,
        };
        self.dialling
            .apply(&plan.outbound, &self.running, &mut place);
        let now = self.parts.clock.now().monotonic;
        self.status.outbound = self.dialling.reached(now);
        self.status_of_listeners();
        let waits = |id: &Name, sample: &Sample| waits(&self.running, id, sample);
        self.parts.south.quarantine.keep(waits);
        self.status
            .quarantine
            .retain(|id, sample| waits(id, sample));
    }

    async fn stop(&mut self, name: &Name) {
        if let Some(handle) = self.listeners.remove(name).and_then(|slot| slot.handle) {
            handle.stop().await;
            tracing::info!(listener = %name, "listener removed");
        }
    }
}

impl Gateway {
    /// Binds and starts a listener; a port that cannot be bound degrades this listener only.
    fn start(&mut self, name: &Name) {
        let Some(terms) = Terms::of(&self.running, name) else {
            return;
        };
        let listener = Arc::clone(&terms.listener);
        let (handle, state) = match southbound::bind(listener.address, listener.port) {
            Ok(socket) => {
                let (handle, task) =
                    ListenerTask::new(socket, terms, Arc::clone(&self.parts.south));
                let (name, shutdown) = (Name::clone(name), self.shutdown.clone());
                tracing::info!(listener = %name, port = listener.port, "listening");
                self.tasks.spawn(async move {
                    task.run(shutdown).await;
                    name
                });
                (Some(handle), ListenerState::Listening)
            }
            Err(error) => {
                let why = format!("{error}: {}", error.source);
                if !self.listeners.contains_key(name) {
                    tracing::error!(listener = %name, every = ?self.parts.bind_again, "{why}; it is tried again");
                }
                (None, ListenerState::Degraded(why))
            }
        };
        self.listeners
            .insert(Name::clone(name), Slot { handle, state });
    }

    fn bind_degraded(&mut self) {
        let degraded: Vec<Name> = self
            .listeners
            .iter()
            .filter(|(_, slot)| slot.handle.is_none())
            .map(|(name, _)| Name::clone(name))
            .collect();
        for name in &degraded {
            self.start(name);
        }
        if !degraded.is_empty() {
            self.status_of_listeners();
            self.report();
        }
    }

    /// Tells how many devices are connected that are dialled, when it is time.
    fn look_at_outbound(&mut self) {
        let mut place = Place {
            south: &self.parts.south,
            tasks: &mut self.tasks,
            shutdown: &self.shutdown,
        };
        self.dialling.start_again(&self.running, &mut place);
        let now = self.parts.clock.now().monotonic;
        if let Some(reached) = self.dialling.news(now, self.parts.tell_again) {
            self.status.outbound = reached;
            self.report();
        }
    }

    /// Tells from time to time who is there, if the settings want it.
    fn look_at_presence(&mut self) {
        let now = self.parts.clock.now().monotonic;
        let every = self.parts.tell_again;
        let told = |at: Instant| now.saturating_duration_since(at) < every;
        let wanted = self.running.presence.is_some();
        if wanted == self.status.presence.is_some() && self.presence_told.is_some_and(told) {
            return;
        }
        let presence = self.parts.south.registry.presence();
        let summary = wanted.then(|| presence.summary());
        if summary != self.status.presence {
            self.status.presence = summary;
            self.presence_told = Some(now);
            self.report();
        }
    }

    /// Tells from time to time who is in quarantine.
    fn look_into_quarantine(&mut self) {
        let quarantine = &self.parts.south.quarantine;
        let now = self.parts.clock.now().monotonic;
        let waiting = &self.parts.metrics.rooms().quarantine;
        waiting.set(quarantine.len(), quarantine::MOST);
        // What the twin was told before must be known first.
        if self.reported.is_none() {
            return;
        }
        if let Some(samples) = quarantine.news(now) {
            self.status.quarantine = samples;
            self.report();
        }
    }

    /// Hands a method to the command door; when that has no room, the caller is told.
    fn method(&self, call: MethodCall) {
        let Err(refused) = self.parts.methods.try_send(call) else {
            return;
        };
        let payload =
            serde_json::json!({ "outcome": "busy", "detail": "too many commands are under way" });
        let response = Outgoing::MethodResponse {
            rid: refused.into_inner().rid,
            status: 429,
            payload,
        };
        if self.parts.outgoing.try_send(response).is_err() {
            tracing::warn!("a method was not answered: too much waits for edgeHub");
        }
    }

    /// A listener's task ends only when it was told to; anything else is a defect, and its port is bound again.
    fn listener_ended(&mut self, ended: Result<Name, tokio::task::JoinError>) {
        let error = match ended {
            Ok(name) => return tracing::debug!(entry = %name, "ended"),
            Err(error) => error,
        };
        tracing::error!(%error, "a listener or outbound entry ended by a defect of the module and is started again; please report it");
        for slot in self.listeners.values_mut() {
            if slot.handle.as_ref().is_some_and(ListenerHandle::is_over) {
                slot.handle = None;
                slot.state = ListenerState::Degraded("ended by a defect".into());
            }
        }
    }

    fn status_of_listeners(&mut self) {
        let port = |name: &Name| {
            self.running
                .listeners
                .get(name)
                .map_or(0, |listener: &Arc<Listener>| listener.port)
        };
        self.status.listeners = self
            .listeners
            .iter()
            .map(|(name, slot)| (Name::clone(name), (port(name), slot.state.clone())))
            .collect();
    }

    /// Sends what changed since the last report. Without room in the channel it is sent with the next one.
    fn report(&mut self) {
        self.status.spool = self.parts.condition.borrow_and_update().clone();
        self.status.notes = self.parts.notes.borrow_and_update().clone();
        let report = self.status.report();
        self.parts.told.report.store(Arc::new(report.clone()));
        let patch = match &self.reported {
            Some(reported) => report::difference(reported, &report),
            None => Some(report.clone()),
        };
        let Some(patch) = patch else { return };
        if self
            .parts
            .outgoing
            .try_send(Outgoing::Reported(patch))
            .is_ok()
        {
            self.reported = Some(report);
        }
    }

    async fn presets(&self, document: &Value) -> Presets {
        let (folder, document) = (self.parts.protocols.clone(), document.clone());
        let read = tokio::task::spawn_blocking(move || mounted::read(&folder, &document)).await;
        read.unwrap_or_else(|_| Presets::built_in())
    }

    async fn keep(&self, which: Document, stored: &Stored) {
        let (storage, stored) = (self.parts.storage.clone(), stored.clone());
        match tokio::task::spawn_blocking(move || storage.keep(which, &stored)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "settings are not remembered over a restart"),
            Err(error) => tracing::error!(%error, "settings are not remembered over a restart"),
        }
    }
}

/// Whether a device still has to wait in quarantine.
fn waits(settings: &Settings, id: &Name, sample: &Sample) -> bool {
    let listener = settings.listeners.get(&sample.listener);
    let quarantines =
        listener.is_some_and(|listener| listener.unknown_devices == UnknownDevices::Quarantine);
    let device = listener.and_then(|listener| listener.device.clone());
    let peer = Peer::new(sample.address, Name::clone(&sample.listener), device);
    let spoken = Spoken {
        id: Some(id),
        sub: None,
        peer: &peer,
    };
    quarantines && matches!(settings.devices.resolve(&spoken), Resolved::Unknown(_))
}

/// How many bytes of messages the process holds in memory by these settings.
pub fn room(spool: SpoolSettings) -> usize {
    usize::try_from(spool.max_memory_bytes).unwrap_or(usize::MAX)
}

/// What the settings say of delivery.
pub fn delivery(spool: SpoolSettings, outputs: &BTreeMap<Name, Output>) -> forwarder::Terms {
    let limits = Limits {
        max_bytes: spool.max_bytes,
        min_free_bytes: spool.min_free_bytes,
        max_age: spool
            .max_age_seconds
            .map(|seconds| Duration::from_secs(seconds.get().into())),
        drop_oldest: spool.when_full == WhenFull::DropOldest,
        memory_bytes: room(spool),
        persist: spool.persist,
        sizes: Sizes::default(),
    };
    let terms = |output: &Output| OutputTerms {
        priority: output.priority.into(),
        batching: output.batch.map(|batch| Batching {
            max_bytes: usize::try_from(batch.max_bytes).unwrap_or(usize::MAX),
            max_delay: batch.max_delay(),
        }),
    };
    let outputs = outputs.iter();
    forwarder::Terms {
        limits,
        settled: true,
        outputs: outputs
            .map(|(name, output)| (Name::clone(name), terms(output)))
            .collect(),
    }
}
