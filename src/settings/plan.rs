//! What has to be done to get from the settings that run to new ones. Nothing else is touched.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Listener, Outbound, Settings};
use crate::conversation::Protocol;
use crate::message::Name;

/// The difference of two settings. A listener stands in one list at most; carry them out in the
/// order of the members: sockets are closed before others are bound, so that ports may swap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Listeners that are gone: closed with their connections.
    pub stop: Vec<Name>,
    /// Listeners of another port or address: closed as if gone, then started as if new.
    pub rebind: Vec<Name>,
    /// New listeners.
    pub start: Vec<Name>,
    /// Listeners whose protocol changed: their connections are closed after the frame in progress,
    /// the socket stays.
    pub reprotocol: Vec<Name>,
    /// Listeners of which only limits, device or output changed: open connections go on with the new ones.
    pub relimit: Vec<Name>,
    /// What becomes of the entries of `outbound`.
    pub outbound: OutboundPlan,
    /// `devices` or `deviceRules` changed.
    pub devices_changed: bool,
    /// `outputs` changed.
    pub outputs_changed: bool,
    /// `spool` changed.
    pub spool_changed: bool,
    /// `presence` changed.
    pub presence_changed: bool,
}

/// The difference of two sections `outbound`. An entry stands in one list at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutboundPlan {
    /// Entries that are gone: their connections are closed.
    pub stop: Vec<Name>,
    /// New entries.
    pub start: Vec<Name>,
    /// Entries whose protocol changed: their connections are closed after the frame in progress, and
    /// their devices dialled again.
    pub reprotocol: Vec<Name>,
    /// Entries that dial other devices or addresses than before: those that are gone are closed, those
    /// that are new are dialled, all others stay as they are.
    pub redial: Vec<Name>,
    /// Entries of which only limits, units or output changed: open connections go on with the new ones.
    pub relimit: Vec<Name>,
}

impl Plan {
    /// What leads from the old settings to the new ones.
    pub fn between(old: &Settings, new: &Settings) -> Self {
        let mut plan = Plan {
            stop: only_in(&old.listeners, &new.listeners),
            start: only_in(&new.listeners, &old.listeners),
            outbound: OutboundPlan::between(old, new),
            devices_changed: old.device_documents != new.device_documents,
            outputs_changed: old.outputs != new.outputs,
            spool_changed: old.spool != new.spool,
            presence_changed: old.presence != new.presence,
            ..Plan::default()
        };
        for (name, listener) in &new.listeners {
            let Some(before) = old.listeners.get(name) else {
                continue;
            };
            let list = if (before.port, before.address) != (listener.port, listener.address) {
                &mut plan.rebind
            } else if !same_protocol((old, &before.protocol), (new, &listener.protocol)) {
                &mut plan.reprotocol
            } else if !same_terms(before, listener) {
                &mut plan.relimit
            } else {
                continue;
            };
            list.push(name.clone());
        }
        plan
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        *self == Plan::default()
    }
}

impl OutboundPlan {
    fn between(old: &Settings, new: &Settings) -> Self {
        let mut plan = OutboundPlan {
            stop: only_in(&old.outbound, &new.outbound),
            start: only_in(&new.outbound, &old.outbound),
            ..OutboundPlan::default()
        };
        for (name, outbound) in &new.outbound {
            let Some(before) = old.outbound.get(name) else {
                continue;
            };
            let list = if !same_protocol((old, &before.protocol), (new, &outbound.protocol)) {
                &mut plan.reprotocol
            } else if before.dialled() != outbound.dialled() {
                &mut plan.redial
            } else if !same_limits(before, outbound) {
                &mut plan.relimit
            } else {
                continue;
            };
            list.push(name.clone());
        }
        plan
    }
}

fn only_in<T>(these: &BTreeMap<Name, Arc<T>>, those: &BTreeMap<Name, Arc<T>>) -> Vec<Name> {
    these
        .keys()
        .filter(|name| !those.contains_key(*name))
        .cloned()
        .collect()
}

/// The name counts too: it stands in every message.
fn same_protocol(one: (&Settings, &Protocol), two: (&Settings, &Protocol)) -> bool {
    let document = |(settings, protocol): (&Settings, &Protocol)| {
        settings.protocol_document(&protocol.name).cloned()
    };
    one.1.name == two.1.name && document(one) == document(two)
}

fn same_limits(one: &Outbound, two: &Outbound) -> bool {
    let limits = |outbound: &Outbound| (outbound.connect, outbound.retry, outbound.idle_timeout);
    limits(one) == limits(two) && one.units == two.units && one.output == two.output
}

fn same_terms(one: &Listener, two: &Listener) -> bool {
    let terms = |listener: &Listener| {
        (
            listener.max_connections,
            listener.idle_timeout,
            listener.unknown_devices,
        )
    };
    terms(one) == terms(two)
        && one.allow == two.allow
        && one.device == two.device
        && one.output == two.output
        && one.units == two.units
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::settings::tests::{changed, parsed, sample};

    fn check(patch: Value, expected: Plan) {
        let (old, new) = (parsed(&sample()), parsed(&changed(patch.clone())));
        assert_eq!(Plan::between(&old, &new), expected, "{patch}");
    }

    fn names(names: &[&str]) -> Vec<Name> {
        names.iter().map(|name| Name::from(*name)).collect()
    }

    #[test]
    fn only_what_differs_is_touched() {
        let none = Plan::default;
        check(json!({}), none());
        check(json!({"$version": 8, "schemaVersion": null}), none());
        check(
            json!({"listeners": {"lines": null}}),
            Plan {
                stop: names(&["lines"]),
                ..none()
            },
        );
        check(
            json!({"listeners": {"new": {"port": 9, "protocol": "lines"}}}),
            Plan {
                start: names(&["new"]),
                ..none()
            },
        );
        check(
            json!({"listeners": {"lines": {"port": 5001}, "trackers": {"port": 5000}}}),
            Plan {
                rebind: names(&["lines", "trackers"]),
                ..none()
            },
        );
        check(
            json!({"listeners": {"lines": {"address": "10.0.0.1"}}}),
            Plan {
                rebind: names(&["lines"]),
                ..none()
            },
        );
        check(
            json!({"protocols": {"lines": {"framing": {"maxBytes": 81}}}}),
            Plan {
                reprotocol: names(&["lines"]),
                ..none()
            },
        );
        check(
            json!({"protocols": {"gt06": {"layouts": {"login": {"publish": true}}}}}),
            Plan {
                reprotocol: names(&["trackers"]),
                ..none()
            },
        );
        check(
            json!({"protocols": {"spare": {"preset": "gt06@1"}}}),
            none(),
        );
        for terms in [
            json!({"maxConnections": 1}),
            json!({"idleTimeoutSeconds": 1}),
            json!({"allow": ["::/0"]}),
            json!({"unknownDevices": "reject"}),
            json!({"device": "d"}),
            json!({"output": "o"}),
            json!({"units": [1]}),
        ] {
            check(
                json!({"listeners": {"lines": terms}}),
                Plan {
                    relimit: names(&["lines"]),
                    ..none()
                },
            );
        }
        check(
            json!({"devices": {"x": {"match": {"id": "1"}}}}),
            Plan {
                devices_changed: true,
                ..none()
            },
        );
        check(
            json!({"deviceRules": null}),
            Plan {
                devices_changed: true,
                ..none()
            },
        );
        check(
            json!({"outputs": {"weights": {"body": "raw"}}}),
            Plan {
                outputs_changed: true,
                ..none()
            },
        );
        check(
            json!({"presence": {}}),
            Plan {
                presence_changed: true,
                ..none()
            },
        );
        check(
            json!({"spool": {"maxAgeSeconds": 100}}),
            Plan {
                spool_changed: true,
                ..none()
            },
        );
    }

    #[test]
    fn of_outbound_too() {
        let entry =
            json!({"addresses": {"a": "10.0.0.1:502", "b": "10.0.0.2:502"}, "protocol": "lines"});
        let one = json!({"address": "plc:502", "protocol": "gt06", "device": "d"});
        let base = changed(json!({"outbound": {"meters": entry, "press": one}}));
        let none = OutboundPlan::default;
        let rows = [
            (json!({}), none()),
            (
                json!({"meters": null, "new": {"address": "plc:503", "protocol": "lines"}}),
                OutboundPlan {
                    stop: names(&["meters"]),
                    start: names(&["new"]),
                    ..none()
                },
            ),
            (
                json!({"meters": {"addresses": {"c": "10.0.0.3:502"}}}),
                redial("meters"),
            ),
            (
                json!({"meters": {"addresses": {"a": null}}}),
                redial("meters"),
            ),
            (
                json!({"meters": {"addresses": {"a": "10.0.0.1:503"}}}),
                redial("meters"),
            ),
            (json!({"press": {"device": "e"}}), redial("press")),
            (json!({"press": {"device": null}}), redial("press")),
            (
                json!({"press": {"protocol": "lines"}}),
                OutboundPlan {
                    reprotocol: names(&["press"]),
                    ..none()
                },
            ),
        ];
        let limits = [
            json!({"units": [1]}),
            json!({"connectMs": 100}),
            json!({"retrySeconds": 5}),
            json!({"idleTimeoutSeconds": 5}),
            json!({"output": "o"}),
        ];
        let limits = limits.into_iter().map(|change| {
            let plan = OutboundPlan {
                relimit: names(&["meters"]),
                ..none()
            };
            (json!({"meters": change}), plan)
        });
        for (patch, expected) in rows.into_iter().chain(limits) {
            let mut document = base.clone();
            crate::document::merge_patch(&mut document, &json!({"outbound": patch}));
            let plan = Plan::between(&parsed(&base), &parsed(&document));
            let expected = Plan {
                outbound: expected,
                ..Plan::default()
            };
            assert_eq!(plan, expected, "{patch}");
        }
    }

    fn redial(name: &str) -> OutboundPlan {
        OutboundPlan {
            redial: names(&[name]),
            ..OutboundPlan::default()
        }
    }

    #[test]
    fn a_protocol_of_another_name_is_another_protocol() {
        let patch = json!({"protocols": {"copy": {"preset": "gt06@1"}}, "listeners": {"trackers": {"protocol": "copy"}}});
        check(
            patch,
            Plan {
                reprotocol: names(&["trackers"]),
                ..Plan::default()
            },
        );
    }
}
