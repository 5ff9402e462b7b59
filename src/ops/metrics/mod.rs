//! The counters and gauges of the process, and their reading as one text.
//!
//! Everything that is dropped, refused or repeated is counted here, by listener or by output, and
//! everything that has a bound shows how near it is.

mod labels;
mod listener;
mod room;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Metric, Registry};

use super::accounts::{Shared, Snapshot};
use crate::message::Name;

use labels::{Ended, Given, OfOutput, Outcome, Present, Resulted};
pub use listener::{Backlog, CONNECTED, ListenerMetrics};
use listener::{LISTENER, Listeners, OUTBOUND};
use room::Level;
pub use room::{Fill, Rooms};

/// Before every name.
const PREFIX: &str = "edge_tcp_gateway";

/// All counters and gauges. Cheap to clone; every clone counts into the same numbers.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

type Count<L> = Family<L, Counter>;
/// A name and its help.
type Words = (&'static str, &'static str);

struct Inner {
    registered: Registered,
    listeners: Listeners,
    rooms: Rooms,
    accounts: Shared,
    abandoned: Count<OfOutput>,
    dropped: Count<Given>,
    spool_syncs: Counter,
    spool_damaged: Counter,
    metered: Counter,
    metering_forecast: Gauge<f64, AtomicU64>,
    link_up: Level,
    connects: Count<Resulted>,
    sessions_ended: Count<Ended>,
    commands: Count<Outcome>,
    inputs: Count<Resulted>,
    journal_failures: Counter,
    settings: Count<Resulted>,
    devices: Family<Present, Level>,
}

/// What is in the text, and what will be as soon as something is counted.
#[derive(Debug)]
struct Registered {
    registry: Registry,
    names: BTreeSet<String>,
}

impl Registered {
    /// A counter or gauge, or a family of them, under this name.
    fn add<M: Metric + Clone + Default>(&mut self, (name, help): Words) -> M {
        let metric = M::default();
        self.names
            .insert(sample_name(PREFIX, name, metric.metric_type()));
        self.registry.register(name, help, metric.clone());
        metric
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let accounts = Shared::default();
        let mut all = Registered {
            registry: Registry::with_prefix(PREFIX),
            names: Shared::names(PREFIX),
        };
        all.registry.register_collector(Box::new(accounts.clone()));
        let listeners = Listeners::registered(&mut all);
        let rooms = Rooms::registered(&mut all);
        let inner = Inner {
            abandoned: all.add((
                    "messages_abandoned",
                    "Messages dropped before they were taken over; acknowledged only where `after` is `received`",
                ),
            ),
            dropped: all.add((
                    "messages_dropped_reasons",
                    "Messages given up, by output and reason",
                ),
            ),
            spool_syncs: all.add(("spool_syncs", "Times that messages were forced to the disk"),
            ),
            spool_damaged: all.add((
                    "spool_damaged_bytes",
                    "Bytes of the spool that could not be read at a start",
                ),
            ),
            metered: all.add((
                    "metering_units",
                    "Messages of 4 KB that IoT Hub meters for what was delivered",
                ),
            ),
            metering_forecast: all.add((
                    "metering_units_per_day",
                    "What IoT Hub will meter in a day if it goes on like this; above your tier's quota: batch, or take a larger tier",
                ),
            ),
            link_up: all.add(("link_up", "1 while a session with edgeHub stands")),
            connects: all.add(("link_connects", "Attempts to connect to edgeHub, by result"),
            ),
            sessions_ended: all.add((
                    "link_sessions_ended",
                    "Sessions with edgeHub that ended, by reason",
                ),
            ),
            devices: all.add((
                    "devices",
                    "Devices by presence; disconnected ones as far as they are remembered",
                ),
            ),
            commands: all.add(("commands", "Commands, by door and outcome")),
            inputs: all.add((
                    "inputs",
                    "Messages to inputs: accepted, duplicate, without_id, other_input; not_safe: acknowledged at their outcome",
                ),
            ),
            journal_failures: all.add((
                    "command_journal_failures",
                    "Writes of the journal of commands that failed: see what is wrong with the disk",
                ),
            ),
            settings: all.add(("settings", "Settings documents, by result")),
            listeners,
            rooms,
            accounts,
            registered: all,
        };
        Metrics(Arc::new(inner))
    }
}

impl Metrics {
    /// The counts of one listener.
    pub fn listener(&self, name: &Name) -> ListenerMetrics {
        self.0.listeners.of(LISTENER, name)
    }

    /// The counts of one entry of `outbound`.
    pub fn outbound(&self, name: &Name) -> ListenerMetrics {
        self.0.listeners.of(OUTBOUND, name)
    }

    /// How full everything is that the whole process shares.
    pub fn rooms(&self) -> &Rooms {
        &self.0.rooms
    }

    /// What became of every message, by output.
    pub fn accounts(&self) -> Snapshot {
        self.0.accounts.read()
    }

    pub(super) fn shared_accounts(&self) -> Shared {
        self.0.accounts.clone()
    }

    /// Counts messages that were given up.
    pub fn dropped(&self, output: &Name, reason: &'static str, count: u64) {
        let output = output.to_string();
        let counter = self.0.dropped.get_or_create(&Given { output, reason });
        counter.inc_by(count);
    }

    /// Counts a message that was dropped before the spool took it over.
    pub fn abandoned(&self, output: &Name) {
        let output = output.to_string();
        self.0.abandoned.get_or_create(&OfOutput { output }).inc();
    }

    /// Says how often something was forced to the disk.
    pub fn spool_syncs(&self, syncs: u64) {
        let counter = &self.0.spool_syncs;
        counter.inc_by(syncs.saturating_sub(counter.get()));
    }

    /// Counts bytes of the spool that could not be read.
    pub fn spool_damaged(&self, bytes: u64) {
        self.0.spool_damaged.inc_by(bytes);
    }

    /// Counts what IoT Hub will meter.
    pub fn metered(&self, units: u64) {
        self.0.metered.inc_by(units);
    }

    /// Says what IoT Hub will meter in a day.
    pub fn metering_forecast(&self, per_day: f64) {
        self.0.metering_forecast.set(per_day);
    }

    /// Says whether a session with edgeHub stands.
    pub fn link_up(&self, up: bool) {
        self.0.link_up.set(up.into());
    }

    /// Counts an attempt to connect to edgeHub.
    pub fn connect(&self, result: &'static str) {
        self.0.connects.get_or_create(&Resulted { result }).inc();
    }

    /// Counts the end of a session.
    pub fn session_ended(&self, reason: &'static str) {
        self.0.sessions_ended.get_or_create(&Ended { reason }).inc();
    }

    /// Counts a command's outcome, told through that door: `method` or `input`.
    pub fn command(&self, door: &'static str, outcome: &'static str) {
        let outcome = Outcome { door, outcome };
        self.0.commands.get_or_create(&outcome).inc();
    }

    /// Counts a message to an input.
    pub fn input(&self, result: &'static str) {
        self.0.inputs.get_or_create(&Resulted { result }).inc();
    }

    /// Counts a write of the journal of commands that failed.
    pub fn journal_failed(&self) {
        self.0.journal_failures.inc();
    }

    /// Says how many devices are connected, silent and disconnected.
    pub fn devices(&self, counts: [usize; 3]) {
        let words = ["connected", "silent", "disconnected"];
        for (presence, count) in words.into_iter().zip(counts) {
            let level = self.0.devices.get_or_create(&Present { presence });
            level.set(count.try_into().unwrap_or(i64::MAX));
        }
    }

    /// Counts a settings document: `applied` or `refused`.
    pub fn settings(&self, result: &'static str) {
        self.0.settings.get_or_create(&Resulted { result }).inc();
    }

    /// Everything in the Prometheus text format.
    ///
    /// # Errors
    /// None that can happen with a `String` as the target.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.0.registered.registry)?;
        Ok(text)
    }

    /// The names of all samples, without labels; the text has those for which something was counted.
    pub fn names(&self) -> &BTreeSet<String> {
        &self.0.registered.names
    }

    /// The value of one sample in the text, named as there, labels included; 0 while nothing was
    /// counted for these labels. What a test reads.
    ///
    /// # Panics
    /// When there is no metric of that name: 0 would look like an answer.
    pub fn sample(&self, name: &str) -> f64 {
        let family = name.split('{').next().unwrap_or_default();
        assert!(self.names().contains(family), "there is no metric {family}");
        let text = self.text().unwrap_or_default();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).unwrap_or(0.0)
    }
}

/// The name of a metric's samples.
pub(super) fn sample_name(prefix: &str, name: &str, kind: MetricType) -> String {
    match kind {
        MetricType::Counter => format!("{prefix}_{name}_total"),
        _ => format!("{prefix}_{name}"),
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}
