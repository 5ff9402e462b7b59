//! Tokens and trusted certificates, and when to give up on the workload socket.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use tokio::time::sleep;

use super::Timeouts;
use super::stale::StaleSocket;
use crate::backoff::Backoff;
use crate::clock::Clock;
use crate::edge::tls::{self, TlsError};
use crate::edge::token::Unsigned;
use crate::edge::workload::{Workload, WorkloadError};
use crate::edge::{Identity, Secret};

/// Why the link ended by itself. The process ends with it: only a new container mends this.
#[derive(Debug, thiserror::Error)]
pub enum LinkEnded {
    /// The workload socket refused for too long.
    #[error(
        "the workload socket has refused every connection for minutes: it went stale when \
         aziot-edged restarted, and only a restart of this module gives it a new one"
    )]
    WorkloadStale(#[source] WorkloadError),
}

/// No token or no trusted certificates.
#[derive(Debug, thiserror::Error)]
pub(super) enum CredentialsError {
    #[error(transparent)]
    Fatal(#[from] LinkEnded),
    #[error(transparent)]
    Workload(WorkloadError),
    #[error("EdgeModuleCACertificateFile {} cannot be read", path.display())]
    File {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(transparent)]
    Tls(#[from] TlsError),
}

#[derive(Debug)]
enum Source {
    Workload(Workload),
    SharedKey { key: Secret, ca_file: PathBuf },
}

/// Mints a token for each connection and keeps the trusted certificates until TLS fails.
#[derive(Debug)]
pub(super) struct Credentials {
    identity: Identity,
    source: Source,
    stale: StaleSocket,
    trusted: Option<Arc<rustls::ClientConfig>>,
    clock: Clock,
    timeouts: Timeouts,
}

impl Credentials {
    pub fn new(identity: Identity, timeouts: Timeouts, clock: Clock) -> Self {
        let source = match identity.credentials.clone() {
            crate::edge::Credentials::Workload(workload) => Source::Workload(Workload::new(
                workload,
                identity.module_id.clone(),
                timeouts.workload,
            )),
            crate::edge::Credentials::SharedKey { key, ca_file } => {
                Source::SharedKey { key, ca_file }
            }
        };
        let started = clock.now().monotonic;
        let stale = StaleSocket::new(started, timeouts.stale_socket, timeouts.shortest_life);
        Self {
            identity,
            source,
            stale,
            trusted: None,
            clock,
            timeouts,
        }
    }

    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// A fresh token.
    pub async fn token(&mut self) -> Result<Secret, CredentialsError> {
        let token = Unsigned::new(&self.identity, self.clock.now().utc.as_second());
        let signed = match &self.source {
            Source::SharedKey { key, .. } => return Ok(token.with_key(key)),
            Source::Workload(workload) => workload.sign(&token.to_sign()).await,
        };
        Ok(token.with_digest(&self.judged(signed)?))
    }

    /// The successor of a session's token, when it is time for it.
    pub async fn renewal(&mut self) -> Result<Secret, LinkEnded> {
        sleep(self.timeouts.renew_after).await;
        let mut backoff = Backoff::new(self.timeouts.first_retry, self.timeouts.longest_retry);
        loop {
            match self.token().await {
                Ok(token) => return Ok(token),
                Err(CredentialsError::Fatal(ended)) => return Err(ended),
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "no new token yet; the session goes on with the old one");
                    sleep(backoff.pause(fastrand::f64())).await;
                }
            }
        }
    }

    /// TLS with the trusted certificates, read once and again after [`distrust`](Self::distrust).
    pub async fn trusted(&mut self) -> Result<Arc<rustls::ClientConfig>, CredentialsError> {
        if let Some(config) = &self.trusted {
            return Ok(Arc::clone(config));
        }
        let pem = match &self.source {
            Source::SharedKey { ca_file, .. } => read(ca_file).await?,
            Source::Workload(workload) => {
                let bundle = workload.trust_bundle().await;
                self.judged(bundle)?.into_bytes()
            }
        };
        let config = tls::client_config(&pem, Arc::new(Calendar(self.clock)))?;
        self.trusted = Some(Arc::clone(&config));
        Ok(config)
    }

    /// The handshake failed: the root may have been rolled.
    pub fn distrust(&mut self) {
        self.trusted = None;
    }

    fn judged<T>(&mut self, result: Result<T, WorkloadError>) -> Result<T, CredentialsError> {
        match result {
            Err(error) if error.is_refusal() => {
                match self.stale.refused(self.clock.now().monotonic) {
                    true => Err(LinkEnded::WorkloadStale(error).into()),
                    false => Err(CredentialsError::Workload(error)),
                }
            }
            other => {
                self.stale.answered();
                other.map_err(CredentialsError::Workload)
            }
        }
    }
}

/// Tells certificates the time: nothing else may ask the system.
#[derive(Debug)]
struct Calendar(Clock);

impl TimeProvider for Calendar {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().utc.as_second()).unwrap_or(0);
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

async fn read(path: &PathBuf) -> Result<Vec<u8>, CredentialsError> {
    tokio::fs::read(path)
        .await
        .map_err(|source| CredentialsError::File {
            path: path.clone(),
            source,
        })
}

/// An error with all its causes in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}
