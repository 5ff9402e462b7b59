//! The counters and gauges of the process, and their reading as one text.
//!
//! Everything that is dropped, refused or repeated is counted here, by listener or by output.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

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
    submitted: Count<OfOutput>,
    delivered: Count<OfOutput>,
    undeliverable: Count<OfOutput>,
    abandoned: Count<OfOutput>,
    spool_messages: Gauge<i64, AtomicI64>,
    spool_bytes: Gauge<i64, AtomicI64>,
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
            submitted: register!("messages_submitted", "Messages taken over for delivery"),
            delivered: register!("messages_delivered", "Messages acknowledged by edgeHub"),
            undeliverable: register!(
                "messages_undeliverable",
                "Messages that can never be delivered"
            ),
            abandoned: register!(
                "messages_abandoned",
                "Messages dropped before they were taken over, never acknowledged"
            ),
            spool_messages: register!(
                "spool_messages",
                "Messages waiting for edgeHub's acknowledgement"
            ),
            spool_bytes: register!("spool_bytes", "Bytes of the messages waiting"),
            link_up: register!("link_up", "1 while a session with edgeHub stands"),
            connects: register!("link_connects", "Attempts to connect to edgeHub, by result"),
            sessions_ended: register!(
                "link_sessions_ended",
                "Sessions with edgeHub that ended, by reason"
            ),
            commands: register!("commands", "Commands, by outcome"),
            settings: register!("settings", "Settings documents, by result"),
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

    /// Counts a message that the spool took over.
    pub fn submitted(&self, output: &Name) {
        self.0.submitted.get_or_create(&of_output(output)).inc();
    }

    /// Counts a message that edgeHub acknowledged.
    pub fn delivered(&self, output: &Name) {
        self.0.delivered.get_or_create(&of_output(output)).inc();
    }

    /// Counts a message that can never be delivered.
    pub fn undeliverable(&self, output: &Name) {
        self.0.undeliverable.get_or_create(&of_output(output)).inc();
    }

    /// Counts a message that was dropped before the spool took it over.
    pub fn abandoned(&self, output: &Name) {
        self.0.abandoned.get_or_create(&of_output(output)).inc();
    }

    /// Says what the spool holds now.
    pub fn spool(&self, messages: usize, bytes: usize) {
        self.0
            .spool_messages
            .set(i64::try_from(messages).unwrap_or(i64::MAX));
        self.0
            .spool_bytes
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
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
        metrics.delivered(&"telemetry".into());
        let trouble =
            "edge_tcp_gateway_frame_troubles_total{listener=\"scales\",trouble=\"checksum\"}";
        assert_eq!(metrics.sample(trouble), 3.0);
        assert_eq!(
            metrics.sample("edge_tcp_gateway_connections{listener=\"scales\"}"),
            7.0
        );
        assert_eq!(
            metrics.sample("edge_tcp_gateway_messages_delivered_total{output=\"telemetry\"}"),
            1.0
        );
        assert_eq!(
            metrics.sample("edge_tcp_gateway_messages_delivered_total{output=\"alarms\"}"),
            0.0
        );
    }
}
