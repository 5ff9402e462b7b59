//! Direct methods: from the caller to the client and back.

use std::sync::PoisonError;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::oneshot;

use crate::clients::Delivery;
use crate::counters::Count;
use crate::hub::{Hub, MethodAnswer};
use crate::identities::IdentityId;
use crate::topics::{self, Purpose};

/// A direct method brought no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MethodError {
    /// The caller of the real thing sees 404.
    #[error("the client is not connected, or has not subscribed to methods")]
    NotConnected,
    /// The caller of the real thing sees 504.
    #[error("the client has not answered in time")]
    TimedOut,
    /// No module or device has that name.
    #[error("no module or device is named \"{0}\"")]
    UnknownIdentity(String),
}

impl Hub {
    /// Waits until a call can be handed over. Who had to be waited for gets it some time after its
    /// subscription.
    pub(crate) async fn hold_method(
        &self,
        id: &IdentityId,
        connect_within: Duration,
    ) -> Result<(), MethodError> {
        let ready = || self.sessions.has(id, Purpose::Methods) && self.clients.find(id).is_some();
        if ready() {
            return Ok(());
        }
        let waited = self
            .changes
            .wait(connect_within, "a subscription to methods", || {
                ready().then_some(())
            })
            .await;
        waited.map_err(|_| MethodError::NotConnected)?;
        tokio::time::sleep(self.options.method_hold).await;
        Ok(())
    }

    /// Calls a method; without payload the client gets no byte.
    pub(crate) async fn invoke_method(
        &self,
        id: &IdentityId,
        name: &str,
        payload: Option<&Value>,
        within: Duration,
    ) -> Result<MethodAnswer, MethodError> {
        let subscribed = self.sessions.has(id, Purpose::Methods);
        let client = self
            .clients
            .find(id)
            .filter(|_| subscribed)
            .ok_or(MethodError::NotConnected)?;
        let rid = guid();
        let (answer, answered) = oneshot::channel();
        self.methods
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(rid.clone(), answer);
        let payload = payload.map_or_else(Bytes::new, |payload| Bytes::from(payload.to_string()));
        let delivery = Delivery {
            topic: topics::method(name, &rid),
            payload,
        };
        self.count(Count::methods_sent);
        let answer = async {
            client.outbox.send(delivery).await.ok()?;
            answered.await.ok()
        };
        let outcome = tokio::time::timeout(within, answer).await.ok().flatten();
        self.methods
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&rid);
        outcome.ok_or(MethodError::TimedOut)
    }

    /// Hands an answer to who waits for it; request ids are compared without case.
    pub(crate) fn answer_method(&self, rid: &str, answer: MethodAnswer) -> bool {
        let mut methods = self.methods.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = methods.remove(&rid.to_lowercase());
        waiting.is_some_and(|waiting| waiting.send(answer).is_ok())
    }
}

fn guid() -> String {
    let digits = format!("{:032x}", fastrand::u128(..));
    let parts =
        [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| digits.get(part).unwrap_or_default());
    parts.join("-")
}
