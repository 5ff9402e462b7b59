//! Subscriptions: of who is connected, and those kept for who connects without clean session.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use mqtt::QoS;
use tokio::time::Instant;

use crate::clock;
use crate::identities::IdentityId;
use crate::topics::{Purpose, purpose};

type Subscriptions = BTreeMap<String, Subscription>;

#[derive(Clone, Copy, Debug)]
struct Subscription {
    granted: QoS,
    created: Instant,
}

/// The subscriptions of everyone.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    active: HashMap<IdentityId, Active>,
    stored: HashMap<IdentityId, Subscriptions>,
}

#[derive(Debug)]
struct Active {
    clean: bool,
    subscriptions: Subscriptions,
}

impl Sessions {
    /// A client connects; true if subscriptions of an earlier connection are in force again.
    pub(crate) fn open(&self, id: &IdentityId, clean: bool) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if clean {
            state.stored.remove(id);
        }
        let stored = state.stored.get(id).cloned();
        let present = stored.is_some();
        let active = Active {
            clean,
            subscriptions: stored.unwrap_or_default(),
        };
        state.active.insert(id.clone(), active);
        present
    }

    /// Grants a subscription, never more than QoS 1.
    pub(crate) fn subscribe(&self, id: &IdentityId, filter: &str, wanted: QoS) -> QoS {
        let granted = wanted.min(QoS::AtLeastOnce);
        self.change(id, |subscriptions| {
            let new = Subscription {
                granted,
                created: clock::monotonic(),
            };
            subscriptions
                .entry(filter.to_owned())
                .or_insert(new)
                .granted = granted;
        });
        granted
    }

    pub(crate) fn unsubscribe(&self, id: &IdentityId, filter: &str) {
        self.change(id, |subscriptions| {
            subscriptions.remove(filter);
        });
    }

    fn change(&self, id: &IdentityId, change: impl FnOnce(&mut Subscriptions)) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(active) = state.active.get_mut(id) else {
            return;
        };
        change(&mut active.subscriptions);
        if !active.clean {
            let stored = active.subscriptions.clone();
            state.stored.insert(id.clone(), stored);
        }
    }

    /// Whether a subscription for that purpose is in force.
    pub(crate) fn has(&self, id: &IdentityId, wanted: Purpose) -> bool {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let active = state.active.get(id);
        active.is_some_and(|active| {
            active
                .subscriptions
                .keys()
                .any(|filter| purpose(filter) == Some(wanted))
        })
    }

    /// With which QoS a message goes to that topic; none if no filter takes it in. A filter
    /// takes in only what is younger than itself.
    pub(crate) fn granted(&self, id: &IdentityId, topic: &str, made: Instant) -> Option<QoS> {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let subscriptions = &state.active.get(id)?.subscriptions;
        let matching = subscriptions.iter().filter(|(filter, subscription)| {
            subscription.created <= made && mqtt::topic::matches(filter, topic)
        });
        matching.map(|(_, subscription)| subscription.granted).max()
    }

    /// Forgets what was kept; whoever is connected keeps its own.
    pub(crate) fn lose(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .stored
            .clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_subscriptions_are_in_force_at_once() {
        let sessions = Sessions::default();
        let id = IdentityId::module("edge", "gateway");
        assert!(!sessions.open(&id, false));
        assert_eq!(
            sessions.subscribe(&id, "$iothub/methods/POST/#", QoS::ExactlyOnce),
            QoS::AtLeastOnce
        );
        assert!(sessions.open(&id, false), "present at the next connect");
        assert!(sessions.has(&id, Purpose::Methods));
        sessions.lose();
        assert!(!sessions.open(&id, false));
        assert!(!sessions.has(&id, Purpose::Methods));
    }

    #[test]
    fn a_clean_session_keeps_nothing() {
        let sessions = Sessions::default();
        let id = IdentityId::module("edge", "gateway");
        sessions.open(&id, true);
        sessions.subscribe(&id, "$iothub/twin/res/#", QoS::AtMostOnce);
        assert_eq!(
            sessions.granted(&id, "$iothub/twin/res/200/?$rid=1", clock::monotonic()),
            Some(QoS::AtMostOnce)
        );
        assert!(!sessions.open(&id, false));
    }

    #[test]
    fn a_filter_takes_in_only_what_is_younger() {
        let sessions = Sessions::default();
        let id = IdentityId::module("d", "m");
        let before = clock::monotonic();
        sessions.open(&id, false);
        sessions.subscribe(&id, "devices/d/modules/m/inputs/#", QoS::AtLeastOnce);
        let topic = "devices/d/modules/m/inputs/i/a=b";
        assert_eq!(sessions.granted(&id, topic, before), None);
        assert_eq!(
            sessions.granted(&id, topic, clock::monotonic()),
            Some(QoS::AtLeastOnce)
        );
    }
}
