//! Keeps a session with edgeHub for as long as the process lives.

use std::time::Instant;

use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::connect::{OpenError, Terms, open};
use super::credentials::{Credentials, CredentialsError, LinkEnded, chain};
use super::notices::Notices;
use super::session::{Ended, Inputs, Serving};
use super::{DesiredDocument, Inbound, InputMessage, LinkReport, Outgoing, Timeouts};
use crate::backoff::Backoff;
use crate::clock::Clock;
use crate::edge::Identity;
use crate::edge::reported::Reported;
use crate::edge::twin::Twin;
use crate::ops::metrics::Metrics;

/// What a link is made of.
#[derive(Clone, Debug)]
pub struct LinkSettings {
    /// Who the module is and where edgeHub stands.
    pub identity: Identity,
    /// Every time limit.
    pub timeouts: Timeouts,
    /// Messages in flight at most. edgeHub stops reading at 100.
    pub window: usize,
    /// Bytes in flight at most.
    pub window_bytes: usize,
    /// The desired document kept from the last run: patches merge onto it.
    pub stored: Option<DesiredDocument>,
}

impl LinkSettings {
    /// The settings that fit edgeHub.
    pub fn new(identity: Identity, stored: Option<DesiredDocument>) -> Self {
        Self {
            identity,
            timeouts: Timeouts::default(),
            window: 100,
            window_bytes: 1 << 20,
            stored,
        }
    }
}

/// The link's ends of the channels to the rest of the process.
#[derive(Debug)]
pub struct LinkChannels {
    /// To the forwarder, which always drains it.
    pub forwarder: mpsc::Sender<LinkReport>,
    /// To the module. When it is full, methods are answered 429 and only the newest news waits.
    pub inbound: mpsc::Sender<Inbound>,
    /// To the command door: what routes lead into inputs.
    pub inputs: mpsc::Sender<InputMessage>,
    /// From the module.
    pub outgoing: mpsc::Receiver<Outgoing>,
}

/// One dialect over one session at a time.
#[derive(Debug)]
pub struct Link {
    credentials: Credentials,
    serving: Serving,
    backoff: Backoff,
    terms: Terms,
}

impl Link {
    /// A link that is not connected yet.
    pub fn new(
        settings: LinkSettings,
        channels: LinkChannels,
        metrics: Metrics,
        clock: Clock,
    ) -> Self {
        let timeouts = settings.timeouts;
        let serving = Serving {
            twin: Twin::new(settings.stored, timeouts.twin),
            reported: Reported::new(timeouts.twin),
            forwarder: channels.forwarder,
            inbound: channels.inbound,
            inputs: Inputs::of(&settings.identity, channels.inputs),
            outgoing: channels.outgoing,
            notices: Notices::default(),
            metrics,
            clock,
            timeouts,
        };
        Self {
            credentials: Credentials::new(settings.identity, timeouts, clock),
            serving,
            backoff: Backoff::new(timeouts.first_retry, timeouts.longest_retry),
            terms: Terms {
                timeouts,
                window: settings.window.max(1),
                window_bytes: settings.window_bytes,
            },
        }
    }

    /// Connects, serves and connects again until it is told to stop.
    ///
    /// # Errors
    /// When the workload socket went stale: only a restart of the module mends that.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), LinkEnded> {
        let (notices, inbound) = (self.serving.notices.clone(), self.serving.inbound.clone());
        tokio::select! {
            ended = self.keep_connected(&stop) => ended,
            never = notices.run(inbound) => match never {},
        }
    }

    async fn keep_connected(&mut self, stop: &CancellationToken) -> Result<(), LinkEnded> {
        let mut token = None;
        while !stop.is_cancelled() {
            let work = open(&mut self.credentials, token.take(), self.terms);
            let opened = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                opened = self.serving.while_away(work) => opened,
            };
            match opened {
                Ok(session) => {
                    let ended = self.serve(session, stop).await;
                    match ended {
                        Ended::Stopped => return Ok(()),
                        Ended::Fatal(ended) => return Err(ended),
                        Ended::Renewed(renewed) => {
                            token = Some(renewed);
                            continue;
                        }
                        Ended::Closed(_) => {}
                    }
                }
                Err(OpenError::Credentials(CredentialsError::Fatal(ended))) => return Err(ended),
                Err(error) => self.not_opened(&error),
            }
            self.pause(stop).await;
        }
        Ok(())
    }

    async fn serve(
        &mut self,
        session: super::connect::HubSession,
        stop: &CancellationToken,
    ) -> Ended {
        let opened = self.serving.clock.now().monotonic;
        self.serving.metrics.connect("accepted");
        tracing::info!(gateway = %self.credentials.identity().gateway, "connected to edgeHub");
        // Several kilobytes of state that only exist while a session stands.
        let ended = Box::pin(
            self.serving
                .serve(session, self.credentials.renewal(), stop),
        )
        .await;
        self.note(&ended, opened);
        ended
    }

    /// Only a session that stood for a while makes the next attempt an immediate one: two clients
    /// with the same identity close each other's sessions at once, for ever.
    fn note(&mut self, ended: &Ended, opened: Instant) {
        let lived = self
            .serving
            .clock
            .now()
            .monotonic
            .saturating_duration_since(opened);
        if lived >= self.terms.timeouts.settled {
            self.backoff.reset();
        }
        let metrics = &self.serving.metrics;
        match ended {
            Ended::Stopped => {
                metrics.session_ended("stopped");
                tracing::info!("took leave of edgeHub");
            }
            Ended::Renewed(_) => {
                metrics.session_ended("renewal");
                tracing::info!("connecting again with a new token");
            }
            Ended::Closed(reason) => {
                metrics.session_ended("closed");
                tracing::warn!(%reason, ?lived, "the session with edgeHub ended; what it did not acknowledge is sent again{}", hint(lived));
            }
            Ended::Fatal(_) => metrics.session_ended("fatal"),
        }
    }

    fn not_opened(&self, error: &OpenError) {
        self.serving.metrics.connect(error.word());
        tracing::warn!(error = %chain(error), "no session with edgeHub; it is tried again");
    }

    async fn pause(&mut self, stop: &CancellationToken) {
        let pause = sleep(self.backoff.pause(fastrand::f64()));
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.serving.while_away(pause) => {}
        }
    }
}

/// What a short life usually means.
fn hint(lived: std::time::Duration) -> &'static str {
    if lived < std::time::Duration::from_secs(10) {
        " (so soon: does another process run with this module's identity?)"
    } else {
        ""
    }
}
