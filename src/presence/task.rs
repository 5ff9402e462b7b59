//! Says what has changed, and looks from time to time who says nothing.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use super::{Change, Presence};
use crate::message::{Body, Message, Ticket};
use crate::ops::metrics::Metrics;
use crate::outbox::{Closed, Outbox, Submitter};
use crate::settings::PRESENCE_OUTPUT;

/// Between two looks at most.
const LOOK: Duration = Duration::from_secs(5);
/// Between two looks at least.
const SHORTEST_LOOK: Duration = Duration::from_millis(200);
/// Changes that wait for room as messages; all others wait as states.
const MOST_AT_ONCE: usize = 64;
/// What is left to say when the module stops has so long.
const LAST: Duration = Duration::from_secs(1);

/// Says what changes as messages, if the settings want it, until the module stops.
pub async fn run(
    presence: Presence,
    submitter: Submitter,
    metrics: Metrics,
    shutdown: CancellationToken,
) {
    let mut outbox = submitter.outbox(Arc::new(|_, _| {}));
    let mut look = interval(presence.pause());
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = presence.0.changed.notified() => {}
            _ = look.tick() => {
                presence.look();
                let summary = presence.summary();
                metrics.devices([summary.connected, summary.silent, summary.disconnected]);
            }
        }
        let pause = presence.pause();
        if look.period() != pause {
            look = interval(pause);
        }
        tokio::select! {
            () = shutdown.cancelled() => break,
            said = say(&presence, &mut outbox) => if said.is_err() { return },
        }
    }
    // What finds no room is counted as abandoned when the outbox goes.
    drop(tokio::time::timeout(LAST, say(&presence, &mut outbox)).await);
}

/// Hands over all there is to say. May be dropped and called again.
async fn say(presence: &Presence, outbox: &mut Outbox) -> Result<(), Closed> {
    loop {
        outbox.flush().await?;
        let changes = presence.lock().take(MOST_AT_ONCE);
        if changes.is_empty() {
            return Ok(());
        }
        outbox.queue(Ticket(0), changes.iter().map(message).collect(), None);
    }
}

fn message(change: &Change) -> Message {
    let since = format!("{:.3}", change.since);
    let mut body = Map::new();
    let mut say = |name: &str, value: &str| body.insert(name.into(), Value::from(value));
    say("device", &change.device);
    say("presence", change.state.word());
    say("since", &since);
    if let Some(reason) = change.reason {
        say("reason", reason);
    }
    say(change.origin.kind(), &change.origin.entry);
    Message {
        output: PRESENCE_OUTPUT.into(),
        device: change.device.clone(),
        id: None,
        body: Body::Contract(Value::Object(body).to_string().into()),
        properties: vec![
            ("device".into(), change.device.clone()),
            ("presence".into(), change.state.word().into()),
            ("iothub-creation-time-utc".into(), since.into()),
        ],
    }
}

impl Presence {
    /// Until the next look: a fraction of the time after which a device is silent.
    fn pause(&self) -> Duration {
        let after = self.lock().silent_after();
        let part = after.map_or(LOOK, |after| after / 4);
        part.clamp(SHORTEST_LOOK, LOOK)
    }

    /// Looks who says nothing.
    pub(super) fn look(&self) {
        let now = self.0.clock.now();
        self.lock().look(now);
    }
}
