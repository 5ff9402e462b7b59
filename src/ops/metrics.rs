//! The counters and gauges of the process, and their reading as one text.
//!
//! Everything that is dropped, refused or repeated is counted here, by listener or by output.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::accounts::{Shared, Snapshot};
use crate::message::Name;

/// All counters and gauges. Cheap to clone; every clone counts into the same numbers.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

type Count<L> = Family<L, Counter>;

struct Inner {
    registry: Registry,
    connections: Family<OfListener, Gauge<i64, AtomicI64>>,
    accepted: Count<OfListener>,
    refused: Count<Reasoned>,
    closed: Count<Reasoned>,
    accept_pauses: Count<OfListener>,
    panics: Count<OfListener>,
    received_bytes: Count<OfListener>,
    sent_bytes: Count<OfListener>,
    frames: Count<OfListener>,
    troubles: Count<Troubled>,
    replies: Count<Resulting>,
    abandoned: Count<OfOutput>,
    accounts: Shared,
    dropped: Count<Given>,
    spool_bytes: Gauge<i64, AtomicI64>,
    spool_syncs: Counter,
    memory: Gauge<i64, AtomicI64>,
    memory_bound: Gauge<i64, AtomicI64>,
    spool_damaged: Counter,
    metered: Counter,
    metering_forecast: Gauge<f64, AtomicU64>,
    link_up: Gauge<i64, AtomicI64>,
    connects: Count<Resulted>,
    sessions_ended: Count<Ended>,
    commands: Count<Outcome>,
    settings: Count<Resulted>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfListener {
    listener: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Reasoned {
    listener: String,
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Troubled {
    listener: String,
    trouble: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Resulting {
    listener: String,
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfOutput {
    output: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Given {
    output: String,
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Resulted {
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Ended {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("edge_tcp_gateway");
        let accounts = Shared::default();
        registry.register_collector(Box::new(accounts.clone()));
        macro_rules! register {
            ($name:literal, $help:literal) => {{
                let metric = Default::default();
                registry.register($name, $help, Clone::clone(&metric));
                metric
            }};
        }
        let inner = Inner {
            connections: register!("connections", "Open connections"),
            accepted: register!("connections_accepted", "Connections accepted"),
            refused: register!(
                "connections_refused",
                "Connections closed at once, by reason"
            ),
            closed: register!("connections_closed", "Connections ended, by reason"),
            accept_pauses: register!(
                "accept_pauses",
                "Times a listener paused because no file could be opened"
            ),
            panics: register!(
                "connection_panics",
                "Connections ended by a defect in the module"
            ),
            received_bytes: register!("received_bytes", "Bytes from devices"),
            sent_bytes: register!("sent_bytes", "Bytes to devices"),
            frames: register!("frames", "Frames accepted"),
            troubles: register!(
                "frame_troubles",
                "What was wrong with foreign bytes, and frames not passed on"
            ),
            replies: register!("replies", "Replies to devices, by result"),
            abandoned: register!(
                "messages_abandoned",
                "Messages dropped before they were taken over, never acknowledged"
            ),
            dropped: register!(
                "messages_dropped_reasons",
                "Messages given up, by output and reason"
            ),
            spool_bytes: register!("spool_bytes", "Bytes of the spool's files"),
            spool_syncs: register!("spool_syncs", "Times that messages were forced to the disk"),
            memory: register!("memory_bytes", "Room in memory that messages take"),
            memory_bound: register!("memory_bound_bytes", "Room in memory that there is"),
            spool_damaged: register!(
                "spool_damaged_bytes",
                "Bytes of the spool that could not be read at a start"
            ),
            metered: register!(
                "metering_units",
                "Messages of 4 KB that IoT Hub meters for what was delivered"
            ),
            metering_forecast: register!(
                "metering_units_per_day",
                "What IoT Hub will meter in a day if it goes on like this"
            ),
            link_up: register!("link_up", "1 while a session with edgeHub stands"),
            connects: register!("link_connects", "Attempts to connect to edgeHub, by result"),
            sessions_ended: register!(
                "link_sessions_ended",
                "Sessions with edgeHub that ended, by reason"
            ),
            commands: register!("commands", "Commands, by outcome"),
            settings: register!("settings", "Settings documents, by result"),
            accounts,
            registry,
        };
        Metrics(Arc::new(inner))
    }
}

impl Metrics {
    /// The counters of one listener.
    pub fn listener(&self, name: &Name) -> ListenerMetrics {
        let listener = name.to_string();
        let labels = OfListener {
            listener: listener.clone(),
        };
        ListenerMetrics {
            frames: self.0.frames.get_or_create(&labels).clone(),
            received_bytes: self.0.received_bytes.get_or_create(&labels).clone(),
            sent_bytes: self.0.sent_bytes.get_or_create(&labels).clone(),
            all: self.clone(),
            listener,
        }
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
        self.0.abandoned.get_or_create(&of_output(output)).inc();
    }

    /// Says how many bytes the spool's files have, and how often something was forced to the disk.
    pub fn spool(&self, bytes: u64, syncs: u64) {
        self.0
            .spool_bytes
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
        let counter = &self.0.spool_syncs;
        counter.inc_by(syncs.saturating_sub(counter.get()));
    }

    /// Says how much room in memory messages take, and how much there is.
    pub fn memory(&self, (taken, bound): (usize, usize)) {
        self.0.memory.set(i64::try_from(taken).unwrap_or(i64::MAX));
        self.0
            .memory_bound
            .set(i64::try_from(bound).unwrap_or(i64::MAX));
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

    /// Counts a command's outcome.
    pub fn command(&self, outcome: &'static str) {
        self.0.commands.get_or_create(&Outcome { outcome }).inc();
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
        encode(&mut text, &self.0.registry)?;
        Ok(text)
    }

    /// The value of one sample in the text, named as there, labels included: what a test or a status page reads.
    pub fn sample(&self, name: &str) -> f64 {
        let text = self.text().unwrap_or_default();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).unwrap_or(0.0)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

fn of_output(output: &Name) -> OfOutput {
    OfOutput {
        output: output.to_string(),
    }
}

/// The counters of one listener; an outbound device counts under its own name.
#[derive(Clone, Debug)]
pub struct ListenerMetrics {
    all: Metrics,
    listener: String,
    // Counted with every read and frame, so not looked up by label each time.
    frames: Counter,
    received_bytes: Counter,
    sent_bytes: Counter,
}

impl ListenerMetrics {
    /// A connection was accepted and is open.
    pub fn accepted(&self) {
        self.all.0.accepted.get_or_create(&self.labels()).inc();
    }

    /// A connection was closed at once: `limit` or `address`.
    pub fn refused(&self, reason: &'static str) {
        self.all
            .0
            .refused
            .get_or_create(&Reasoned {
                listener: self.listener.clone(),
                reason,
            })
            .inc();
    }

    /// A connection ended.
    pub fn closed(&self, reason: &'static str) {
        self.all
            .0
            .closed
            .get_or_create(&Reasoned {
                listener: self.listener.clone(),
                reason,
            })
            .inc();
    }

    /// How many connections are open now.
    pub fn connections(&self, open: usize) {
        self.all
            .0
            .connections
            .get_or_create(&self.labels())
            .set(i64::try_from(open).unwrap_or(i64::MAX));
    }

    /// Accepting paused because the process may not open another file.
    pub fn accept_paused(&self) {
        self.all.0.accept_pauses.get_or_create(&self.labels()).inc();
    }

    /// A connection's task panicked.
    pub fn panicked(&self) {
        self.all.0.panics.get_or_create(&self.labels()).inc();
    }

    /// Bytes came from a device.
    pub fn bytes_received(&self, bytes: u64) {
        self.received_bytes.inc_by(bytes);
    }

    /// Bytes went to a device.
    pub fn bytes_sent(&self, bytes: u64) {
        self.sent_bytes.inc_by(bytes);
    }

    /// A frame was accepted.
    pub fn frame(&self) {
        self.frames.inc();
    }

    /// Something was wrong with foreign bytes, or a frame was not passed on.
    pub fn trouble(&self, trouble: &'static str, times: u64) {
        self.all
            .0
            .troubles
            .get_or_create(&Troubled {
                listener: self.listener.clone(),
                trouble,
            })
            .inc_by(times);
    }

    /// A reply was due: `sent`, or why not.
    pub fn reply(&self, result: &'static str) {
        self.all
            .0
            .replies
            .get_or_create(&Resulting {
                listener: self.listener.clone(),
                result,
            })
            .inc();
    }

    fn labels(&self) -> OfListener {
        OfListener {
            listener: self.listener.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_clone_counts_into_the_same_numbers() {
        let metrics = Metrics::default();
        let scales = metrics.listener(&"scales".into());
        scales.clone().trouble("checksum", 2);
        scales.trouble("checksum", 1);
        scales.connections(7);
        metrics.abandoned(&"telemetry".into());
        let trouble =
            "edge_tcp_gateway_frame_troubles_total{listener=\"scales\",trouble=\"checksum\"}";
        assert_eq!(metrics.sample(trouble), 3.0);
        assert_eq!(
            metrics.sample("edge_tcp_gateway_connections{listener=\"scales\"}"),
            7.0
        );
        assert_eq!(
            metrics.sample("edge_tcp_gateway_messages_abandoned_total{output=\"telemetry\"}"),
            1.0
        );
        assert_eq!(
            metrics.sample("edge_tcp_gateway_messages_abandoned_total{output=\"alarms\"}"),
            0.0
        );
    }
}
