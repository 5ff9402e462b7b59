//! What all connections share, and what telemetry goes through.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use crate::clients::{Clients, Delivery};
use crate::clock;
use crate::counters::{Count, Counting};
use crate::error::HubError;
use crate::faults::Script;
use crate::identities::{Identities, IdentityId};
use crate::inputs::Inputs;
use crate::message::{self, Dropped, Message};
use crate::routes::{Routes, Sink};
use crate::sessions::Sessions;
use crate::topics::{self, Purpose};
use crate::twin::{Patch, Twin};
use crate::upstream::Upstream;
use crate::wait::Changes;

/// Limits and names of a hub.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) iot_hub: String,
    pub(crate) edge_host: String,
    pub(crate) max_clients: usize,
    pub(crate) token_sweep: Duration,
    /// How long after its subscription a client gets calls that were held for it.
    pub(crate) method_hold: Duration,
    pub(crate) connect_within: Duration,
    pub(crate) input_ack_within: Duration,
}

/// A client's answer to a direct method.
#[derive(Clone, Debug, PartialEq)]
pub struct MethodAnswer {
    /// The status the client gave.
    pub status: i32,
    /// What it said; null if nothing.
    pub payload: Value,
}

/// The hub behind all connections.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) options: Options,
    pub(crate) identities: Identities,
    routes: Routes,
    twins: Mutex<HashMap<IdentityId, Twin>>,
    pub(crate) sessions: Sessions,
    pub(crate) clients: Clients,
    pub(crate) inputs: Inputs,
    pub(crate) methods: Mutex<HashMap<String, oneshot::Sender<MethodAnswer>>>,
    pub(crate) upstream: Upstream,
    pub(crate) counting: Counting,
    pub(crate) script: Script,
    pub(crate) changes: Changes,
    pub(crate) connections: AtomicU64,
}

/// A telemetry publication.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Telemetry<'a> {
    pub(crate) topic: &'a IdentityId,
    pub(crate) bag: &'a str,
    pub(crate) body: &'a Bytes,
    /// Properties that edgeHub adds itself.
    pub(crate) added: &'a [(&'static str, &'static str)],
    pub(crate) connection: u64,
    /// On a connection over the limit of clients nothing goes upstream.
    pub(crate) dead: bool,
}

impl Hub {
    pub(crate) fn new(
        options: Options,
        identities: Identities,
        routes: Routes,
        record: usize,
    ) -> Self {
        let changes = Changes::new();
        Hub {
            options,
            identities,
            routes,
            twins: Mutex::default(),
            sessions: Sessions::default(),
            clients: Clients::default(),
            inputs: Inputs::default(),
            methods: Mutex::default(),
            upstream: Upstream::new(record, changes.clone()),
            counting: Counting::new(changes.clone()),
            script: Script::new(),
            changes,
            connections: AtomicU64::new(0),
        }
    }

    pub(crate) fn count(&self, which: Count) {
        self.counting.add(which);
    }

    /// Takes a telemetry message; what is wrong with it is lost in silence, as in edgeHub.
    pub(crate) fn telemetry(&self, telemetry: Telemetry<'_>) {
        let Ok(mut bag) = topics::read_bag(telemetry.bag) else {
            return self.count(Count::dropped_bag);
        };
        for (name, value) in telemetry.added {
            bag.push(((*name).to_owned(), Some((*value).to_owned())));
        }
        let read = match message::read(telemetry.topic, bag, telemetry.body.clone()) {
            Ok(read) => read,
            Err(Dropped::SameName) => return self.count(Count::dropped_same_name),
            Err(Dropped::Size) => return self.count(Count::dropped_size),
            Err(Dropped::BlankOutput) => return self.count(Count::dropped_blank_output),
        };
        if read.overwritten {
            self.count(Count::sender_overwritten);
        }
        let connection = if telemetry.dead {
            None
        } else {
            Some(telemetry.connection)
        };
        match self.route(&read.message, connection) {
            true => self.count(Count::telemetry_stored),
            false => self.count(Count::dropped_no_route),
        }
    }

    /// Puts a message into all sinks of matching routes; false if there is none.
    fn route(&self, message: &Message, connection: Option<u64>) -> bool {
        let sinks = self.routes.sinks(message);
        for sink in &sinks {
            match sink {
                Sink::Upstream => self.send_upstream(message, connection),
                Sink::Input { module, input } => self.queue_input(message, module, input),
            }
        }
        !sinks.is_empty()
    }

    fn send_upstream(&self, message: &Message, connection: Option<u64>) {
        let ascii_id = |id: &String| id.is_ascii() && id.len() <= 128;
        let Some(connection) = connection else {
            return self.count(Count::upstream_dead_connection);
        };
        if message.twin_change {
            return self.count(Count::upstream_twin_changes);
        }
        if self.identities.find(&message.sender).is_none() {
            return self.count(Count::upstream_out_of_scope);
        }
        if message
            .system
            .get("$.ctime")
            .is_some_and(|time| !message::is_creation_time(time))
        {
            return self.count(Count::upstream_bad_creation_time);
        }
        if !message.system.get("$.mid").is_none_or(ascii_id) {
            return self.count(Count::upstream_bad_message_id);
        }
        if self.upstream.add(message, connection, clock::utc()) {
            self.count(Count::upstream_forgotten);
        }
        self.count(Count::upstream);
    }

    /// Queues a message for an input of a module of this edge device.
    pub(crate) fn queue_input(&self, message: &Message, module: &str, input: &str) {
        let id = IdentityId::module(self.identities.edge_device(), module);
        let own = message
            .properties
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref()));
        let system = message
            .system
            .iter()
            .filter(|(wire, _)| wire.as_str() != "$.on");
        let system = system.map(|(wire, value)| (wire.as_str(), Some(value.as_str())));
        let device = [("$.cdid", Some(&*message.sender.device))];
        let module = message
            .sender
            .module
            .as_deref()
            .map(|module| ("$.cmid", Some(module)));
        let bag = topics::write_bag(own.chain(system).chain(device).chain(module));
        if self
            .inputs
            .push(&id, topics::input(&id, input, &bag), message.body.clone())
        {
            self.count(Count::inputs_queued);
        } else {
            self.count(Count::inputs_dropped_full);
        }
        if let Some(client) = self.clients.find(&id) {
            client.inputs.notify_one();
        }
    }

    /// Works on someone's twin; everyone has one.
    pub(crate) fn with_twin<T>(&self, id: &IdentityId, work: impl FnOnce(&mut Twin) -> T) -> T {
        let mut twins = self.twins.lock().unwrap_or_else(PoisonError::into_inner);
        let worked = work(twins.entry(id.clone()).or_insert_with(Twin::new));
        drop(twins);
        self.changes.notify();
        worked
    }

    /// Looks at someone's twin. Who waits for changes is not woken: it may be the one who looks.
    pub(crate) fn read_twin<T>(&self, id: &IdentityId, look: impl FnOnce(&Twin) -> T) -> T {
        let mut twins = self.twins.lock().unwrap_or_else(PoisonError::into_inner);
        look(twins.entry(id.clone()).or_insert_with(Twin::new))
    }

    /// Takes a reported patch over into routing, as a notice of changed twins.
    pub(crate) fn notify_twin_change(&self, id: &IdentityId, patch: &Bytes) {
        let notice = Message {
            sender: id.clone(),
            properties: [("opType".to_owned(), Some("updateTwin".to_owned()))].into(),
            system: [].into(),
            body: patch.clone(),
            twin_change: true,
        };
        self.route(&notice, Some(0));
    }

    /// Changes desired properties and tells the client, if it is there and wants to know.
    pub(crate) fn change_desired(&self, id: &IdentityId, change: impl FnOnce(&mut Twin) -> Patch) {
        let patch = self.with_twin(id, change);
        let lost = self.script.loses_patch();
        if lost || !self.send_desired(id, &patch) {
            self.count(Count::desired_lost);
        }
    }

    /// Sends a desired patch; false if nobody is there who asked for it.
    pub(crate) fn send_desired(&self, id: &IdentityId, patch: &Patch) -> bool {
        let client = self
            .clients
            .find(id)
            .filter(|_| self.sessions.has(id, Purpose::Desired));
        let payload = Bytes::from(patch.body.to_string());
        let delivery = Delivery {
            topic: topics::desired(patch.version),
            payload,
        };
        let sent = client.is_some_and(|client| client.outbox.try_send(delivery).is_ok());
        if sent {
            self.with_twin(id, Twin::mark_told);
            self.count(Count::desired_sent);
        }
        sent
    }
}

/// Desired properties are an object; `$version` in it is not theirs to say.
pub(crate) fn members(value: Value) -> Result<Map<String, Value>, HubError> {
    match value {
        Value::Object(mut members) => {
            members.shift_remove("$version");
            Ok(members)
        }
        _ => Err(HubError::NotAnObject),
    }
}
