//! Methods for operators: what there is, how it is, and an end to a connection.

use serde_json::{Map, Value, json};

use super::Commands;
use super::arguments::{self, Page, Target};
use super::results::Answer;
use crate::conversation::Reason;
use crate::inbox::Inbox;
use crate::message::{ConnectionId, Name};

/// Bytes of a list of one answer, about.
const MOST_BYTES: usize = 64 * 1024;
/// Devices of one connection that are named.
const MOST_NAMED: usize = 10;

impl Commands {
    /// Devices that are connected, or were, by name.
    pub(super) fn devices(&self, payload: &[u8]) -> Answer {
        let Page { after, limit } = match arguments::page::<String>(payload) {
            Ok(page) => page,
            Err(mistakes) => return Answer::invalid(&mistakes),
        };
        let after = after.unwrap_or_default();
        let page = self.registry.after(&after, limit.saturating_add(1));
        let entries = page.into_iter().map(|(name, inbox)| {
            let mut entry = json!({ "device": &*name, "connected": inbox.is_some() });
            if let Some(inbox) = inbox {
                entry["connection"] = json!(inbox.id().0);
            }
            (json!(&*name), entry)
        });
        listed("devices", entries, limit)
    }

    /// Connections that stand, in the order in which they were opened.
    pub(super) fn connections(&self, payload: &[u8]) -> Answer {
        let Page { after, limit } = match arguments::page::<u64>(payload) {
            Ok(page) => page,
            Err(mistakes) => return Answer::invalid(&mistakes),
        };
        let after = ConnectionId(after.unwrap_or_default());
        let page = self.registry.connections();
        let page = page.after(after, limit.saturating_add(1));
        let devices = self.registry.devices_of(&page);
        let entries = page.iter().zip(devices);
        let entries =
            entries.map(|(inbox, devices)| (json!(inbox.id().0), connection(inbox, devices)));
        listed("connections", entries, limit)
    }

    /// Ends a connection.
    pub(super) fn disconnect(&self, payload: &[u8]) -> Answer {
        let target = match arguments::target(payload) {
            Ok(target) => target,
            Err(mistakes) => return Answer::invalid(&mistakes),
        };
        let (inbox, answer) = match target {
            Target::Device(device) => {
                let answer = self.absent(&device);
                (self.registry.find(&device), answer)
            }
            Target::Connection(id) => {
                let answer = Answer::new(409, "notConnected").with("connection", id.0);
                (self.registry.connections().find(id), answer)
            }
        };
        let Some(inbox) = inbox else { return answer };
        inbox.stop(Reason::Asked);
        tracing::info!(payload = %String::from_utf8_lossy(payload), "a connection ends because a method asked for it");
        Answer::new(200, "disconnected").with("connections", 1)
    }

    /// How the module is.
    pub(super) fn status(&self, payload: &[u8]) -> Answer {
        if let Err(mistakes) = arguments::nothing(payload) {
            return Answer::invalid(&mistakes);
        }
        let report = self.told.report.load_full();
        let member = |name: &str| {
            let mut value = report.get(name).cloned().unwrap_or(Value::Null);
            take_nulls_away(&mut value);
            value
        };
        let counts = self.registry.connections().count();
        let mut listeners = member("listeners");
        let mut outbound = Map::new();
        for ((entry, dialled), count) in &counts {
            let listener = listeners.get_mut(&**entry).and_then(Value::as_object_mut);
            match listener.filter(|_| !dialled) {
                Some(listener) => drop(listener.insert("connections".into(), json!(count))),
                None if *dialled => drop(outbound.insert(entry.to_string(), json!(count))),
                None => {}
            }
        }
        let now = self.clock.now().monotonic;
        let up = now.saturating_duration_since(self.started);
        let accounts = self.metrics.accounts();
        let waiting: u64 = accounts.values().map(|account| account.spooled).sum();
        let version = report.pointer("/module/version").cloned();
        Answer::new(200, "told")
            .with(
                "version",
                version.unwrap_or(json!(env!("CARGO_PKG_VERSION"))),
            )
            .with("uptimeSeconds", up.as_secs())
            .with("settings", member("settings"))
            .with("listeners", listeners)
            .with("outbound", outbound)
            .with("connections", counts.values().sum::<usize>())
            .with("devicesConnected", self.registry.connected())
            .with("messagesWaiting", waiting)
            .with("spool", member("spool"))
    }
}

/// In a reported twin null takes a member away; in an answer it would say nothing.
fn take_nulls_away(value: &mut Value) {
    if let Value::Object(members) = value {
        members.retain(|_, member| !member.is_null());
        members.values_mut().for_each(take_nulls_away);
    }
}

fn connection(inbox: &Inbox, mut devices: Vec<Name>) -> Value {
    let origin = inbox.origin();
    devices.sort();
    let count = devices.len();
    devices.truncate(MOST_NAMED);
    let devices: Vec<&str> = devices.iter().map(|name| &**name).collect();
    json!({
        "connection": inbox.id().0,
        origin.kind(): &*origin.entry,
        "peer": origin.peer.to_string(),
        "since": format!("{:.3}", origin.since),
        "devices": devices,
        "deviceCount": count,
    })
}

/// As many entries as an answer may have, each with what the next page is asked for behind it.
fn listed(name: &str, entries: impl Iterator<Item = (Value, Value)>, limit: usize) -> Answer {
    let mut list = Vec::new();
    let (mut bytes, mut last, mut more) = (0, Value::Null, false);
    for (key, entry) in entries {
        bytes += entry.to_string().len();
        if list.len() >= limit || (bytes > MOST_BYTES && !list.is_empty()) {
            more = true;
            break;
        }
        list.push(entry);
        last = key;
    }
    let answer = Answer::new(200, "listed").with(name, list);
    match more {
        true => answer.with("next", last),
        false => answer,
    }
}
