//! The faults a test may ask for.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use mqtt::Refusal;

use crate::certificates::Certificates;
use crate::counters::Count;
use crate::error::HubError;
use crate::faults::{ConnectFault, PublishFault};
use crate::{DevHub, Listening, broker};

/// Faults, each when asked for. Those with a count meet the next so many CONNECTs or telemetry
/// messages of QoS 1, in the order of asking.
#[derive(Debug)]
pub struct Faults<'a> {
    pub(crate) hub: &'a DevHub,
}

impl Faults<'_> {
    /// Closes every connection, without a word.
    pub fn close_connections(&self) {
        for client in self.hub.hub.clients.all() {
            client.close.cancel();
        }
    }

    /// Refuses the next CONNECTs with a return code; other codes than 1 to 5 become 3.
    pub fn refuse_connects(&self, count: usize, code: u8) {
        let refusal = Refusal::from_code(code).unwrap_or(Refusal::Unavailable);
        self.hub
            .hub
            .script
            .add_connects(count, ConnectFault::Refuse(refusal));
    }

    /// Answers the next CONNECTs late.
    pub fn delay_connacks(&self, count: usize, delay: Duration) {
        self.hub
            .hub
            .script
            .add_connects(count, ConnectFault::Delay(delay));
    }

    /// Never answers the next CONNECTs; the connections stay open.
    pub fn withhold_connacks(&self, count: usize) {
        self.hub
            .hub
            .script
            .add_connects(count, ConnectFault::Withhold);
    }

    /// From now on stores messages and keeps their PUBACKs back.
    pub fn hold_pubacks(&self) {
        self.hub.hub.script.hold_pubacks(true);
    }

    /// Sends the PUBACKs kept back on connections that still stand.
    pub fn release_pubacks(&self) {
        self.hub.hub.script.hold_pubacks(false);
    }

    /// Stores the next messages and acknowledges each so much later.
    pub fn delay_pubacks(&self, count: usize, delay: Duration) {
        self.hub
            .hub
            .script
            .add_publishes(count, PublishFault::Delay(delay));
    }

    /// Stores the next messages; instead of each PUBACK the connection is closed.
    pub fn lose_pubacks(&self, count: usize) {
        self.hub
            .hub
            .script
            .add_publishes(count, PublishFault::LosePuback);
    }

    /// Fails to store the next messages; each time the connection is closed without PUBACK.
    pub fn fail_stores(&self, count: usize) {
        self.hub
            .hub
            .script
            .add_publishes(count, PublishFault::FailStore);
    }

    /// Forgets the faults of messages that have not met one yet; gives how many that were.
    pub fn spare_messages(&self) -> usize {
        self.hub.hub.script.clear_publishes()
    }

    /// Every token in use is taken for expired: its connection is closed, and the same token is
    /// refused with 5 from now on.
    pub fn expire_tokens(&self) {
        for client in self.hub.hub.clients.all() {
            self.hub.hub.script.revoke(client.password.clone());
            self.hub.hub.count(Count::token_expired);
            client.close.cancel();
        }
    }

    /// Forgets all subscriptions that were kept for later connections.
    pub fn lose_sessions(&self) {
        self.hub.hub.sessions.lose();
    }

    /// Closes the port and every connection; waits until they are.
    pub async fn stop_listening(&self) {
        if let Some(listening) = self.hub.listening.lock().await.take() {
            listening.end().await;
        }
    }

    /// Opens the same port again.
    ///
    /// # Errors
    /// When it is taken.
    pub async fn listen_again(&self) -> Result<(), HubError> {
        let mut listening = self.hub.listening.lock().await;
        if listening.is_none() {
            let listener = broker::listen(self.hub.address)?;
            *listening = Some(Listening::start(
                Arc::clone(&self.hub.hub),
                listener,
                Arc::clone(&self.hub.tls),
            ));
        }
        Ok(())
    }

    /// [`Self::stop_listening`], then [`Self::listen_again`]. Sessions, twins and input queues stay.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn restart(&self) -> Result<(), HubError> {
        self.stop_listening().await;
        self.listen_again().await
    }

    /// Makes new certificates under a new root; connections that stand stay.
    ///
    /// # Errors
    /// When they cannot be made or written.
    pub fn replace_certificates(&self) -> Result<(), HubError> {
        let fresh = Certificates::generate(&self.hub.host_names, self.hub.address.ip())?;
        std::fs::write(self.hub.trust_bundle_path(), &fresh.trust_bundle)
            .map_err(HubError::io("cannot write the trust bundle"))?;
        *self
            .hub
            .bundle
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = fresh.trust_bundle;
        *self.hub.tls.write().unwrap_or_else(PoisonError::into_inner) = fresh.server;
        Ok(())
    }

    /// Whether twins are answered empty and without version, as by an edgeHub that has never
    /// reached IoT Hub.
    pub fn empty_twins(&self, empty: bool) {
        self.hub.hub.script.set_empty_twins(empty);
    }

    /// The next desired patches change the twin and never arrive: a gap in versions.
    pub fn lose_desired_patches(&self, count: usize) {
        self.hub.hub.script.lose_patches(count);
    }

    /// Ends the workload API and takes its socket away.
    pub fn stop_workload(&self) {
        self.hub.workload.stop();
    }

    /// Ends the workload API; its socket stays and refuses connections.
    pub fn leave_stale_socket(&self) {
        self.hub.workload.leave_stale();
    }

    /// Whether the workload API answers everything with 403.
    pub fn refuse_workload(&self, refuse: bool) {
        self.hub.workload.refuse(refuse);
    }

    /// Starts the workload API again on a fresh socket.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn start_workload(&self) -> Result<(), HubError> {
        self.hub.workload.start()
    }
}
