//! The record of what arrived upstream.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::error::TimedOut;
use crate::message::Message;
use crate::wait::Changes;

/// A message as IoT Hub would see it.
#[derive(Clone, Debug, Serialize)]
pub struct UpstreamMessage {
    /// Place in the order of arrival, from 1.
    pub sequence: u64,
    /// Number of the MQTT connection it came on, from 1.
    pub connection: u64,
    /// When it arrived.
    #[serde(serialize_with = "as_text")]
    pub received: Timestamp,
    /// Device of the sender.
    pub device: String,
    /// Module of the sender; none for a leaf device.
    pub module: Option<String>,
    /// Output it was sent to. IoT Hub does not see it; routes do.
    pub output: Option<String>,
    /// Application properties; a property may have no value.
    pub properties: BTreeMap<String, Option<String>>,
    /// System properties by wire name, such as `$.mid`; only those that edgeHub passes on.
    pub system: BTreeMap<String, String>,
    /// The body; as JSON if it is that, else base64, when serialized.
    #[serde(serialize_with = "as_body")]
    pub body: Bytes,
}

impl UpstreamMessage {
    /// An application property.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties.get(name).and_then(Option::as_deref)
    }

    /// The message id, `$.mid`.
    pub fn message_id(&self) -> Option<&str> {
        self.system.get("$.mid").map(String::as_str)
    }

    /// Bytes as IoT Hub counts them: body, names and values of all properties.
    pub fn size(&self) -> usize {
        let application = self.properties.iter();
        let application =
            application.map(|(name, value)| name.len() + value.as_ref().map_or(0, String::len));
        let system = self.system.iter();
        let system = system.map(|(name, value)| name.len() + value.len());
        self.body.len() + application.sum::<usize>() + system.sum::<usize>()
    }

    /// How many messages of 4 KB IoT Hub meters for it.
    pub fn metering_units(&self) -> usize {
        self.size().div_ceil(4096).max(1)
    }

    /// The body read as JSON.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

fn as_text<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

fn as_body<S: Serializer>(body: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    match serde_json::from_slice::<Value>(body) {
        Ok(value) => value.serialize(serializer),
        Err(_) => serializer.serialize_str(&STANDARD.encode(body)),
    }
}

/// Reads the record. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Upstream {
    record: Arc<Mutex<Record>>,
    changes: Changes,
}

#[derive(Debug)]
struct Record {
    messages: VecDeque<Arc<UpstreamMessage>>,
    next: u64,
    max: usize,
}

impl Upstream {
    pub(crate) fn new(max: usize, changes: Changes) -> Self {
        let record = Record {
            messages: VecDeque::new(),
            next: 1,
            max,
        };
        Upstream {
            record: Arc::new(Mutex::new(record)),
            changes,
        }
    }

    /// Records a message; true if an old one was forgotten for it.
    pub(crate) fn add(&self, message: &Message, connection: u64, received: Timestamp) -> bool {
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        let recorded = UpstreamMessage {
            sequence: record.next,
            connection,
            received,
            device: message.sender.device.to_string(),
            module: message.sender.module.as_deref().map(str::to_owned),
            output: message.output().map(str::to_owned),
            properties: message.properties.clone(),
            system: message.upstream_system(),
            body: message.body.clone(),
        };
        record.next += 1;
        record.messages.push_back(Arc::new(recorded));
        let full = record.messages.len() > record.max;
        if full {
            record.messages.pop_front();
        }
        full
    }

    /// All messages that are remembered, in the order of arrival.
    pub fn messages(&self) -> Vec<Arc<UpstreamMessage>> {
        self.since(0)
    }

    /// The messages behind that sequence number.
    pub fn since(&self, sequence: u64) -> Vec<Arc<UpstreamMessage>> {
        let record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        let from = record
            .messages
            .partition_point(|message| message.sequence <= sequence);
        record.messages.range(from..).cloned().collect()
    }

    /// How many messages have arrived, forgotten ones included.
    pub fn count(&self) -> u64 {
        self.record
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .next
            - 1
    }

    /// Waits for the messages behind that sequence number, at least one.
    ///
    /// # Errors
    /// When none has come in time.
    pub async fn next_since(
        &self,
        sequence: u64,
        within: Duration,
    ) -> Result<Vec<Arc<UpstreamMessage>>, TimedOut> {
        let probe = || Some(self.since(sequence)).filter(|found| !found.is_empty());
        self.changes.wait(within, "a message upstream", probe).await
    }

    /// Waits for the first message, also among those that are there, of which `wanted` says so.
    ///
    /// # Errors
    /// When none has come in time.
    pub async fn wait_for(
        &self,
        within: Duration,
        mut wanted: impl FnMut(&UpstreamMessage) -> bool,
    ) -> Result<Arc<UpstreamMessage>, TimedOut> {
        let mut seen = 0;
        let probe = || {
            let new = self.since(seen);
            seen = new.last().map_or(seen, |last| last.sequence);
            new.into_iter().find(|message| wanted(message))
        };
        let waited = self
            .changes
            .wait(within, "a certain message upstream", probe)
            .await;
        waited.map_err(|error| self.with_count(error))
    }

    /// Waits until so many messages are remembered.
    ///
    /// # Errors
    /// When they have not come in time; it says how many have.
    pub async fn wait_for_count(
        &self,
        count: usize,
        within: Duration,
    ) -> Result<Vec<Arc<UpstreamMessage>>, TimedOut> {
        let what = format!("{count} messages upstream");
        let enough = || {
            let record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
            (record.messages.len() >= count).then_some(())
        };
        let waited = self.changes.wait(within, &what, enough).await;
        waited
            .map(|()| self.messages())
            .map_err(|error| self.with_count(error))
    }

    fn with_count(&self, error: TimedOut) -> TimedOut {
        TimedOut {
            what: format!("{} ({} have arrived)", error.what, self.count()),
            ..error
        }
    }
}
