//! What the module has promised of commands that came as messages: a small journal on disk.
//!
//! A command is accepted when it stands here, and only then is its message acknowledged. What is
//! found accepted and without an outcome after a restart is never executed again. The outcome stands
//! here before it is published, so that no other can be told of the same command; when the message
//! that tells it is safe, the command's id alone is remembered.
//!
//! [`Record`] and [`Book`] are pure; [`Store`] is the file; [`Journal`] asks the task that owns it.

mod book;
mod record;
mod store;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::ops::metrics::Metrics;

pub use book::{Book, REMEMBERED, State};
pub use record::{Accepted, Read, Record, read};
pub use store::{Found, Store};

/// Records that wait for the disk.
const WAITING: usize = 256;
/// Records that are forced together at most.
const TOGETHER: usize = 64;
/// A disk that takes longer is taken for one that does not answer.
const PATIENCE: Duration = Duration::from_secs(10);

struct Job {
    record: Record,
    /// Who waits until it is on disk; nobody where that may be lost.
    forced: Option<oneshot::Sender<Result<(), String>>>,
}

/// The way to the journal. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Journal {
    jobs: mpsc::Sender<Job>,
}

impl Journal {
    /// A journal in that store, and the task that keeps it.
    pub fn new(store: Store, metrics: Metrics) -> (Self, Keeper) {
        let (jobs, received) = mpsc::channel(WAITING);
        let keeper = Keeper {
            store,
            jobs: received,
            metrics,
        };
        (Journal { jobs }, keeper)
    }

    /// Notes a record and waits until it is forced to disk.
    ///
    /// # Errors
    /// Why it is not. It is written with the next record that the disk takes.
    pub async fn force(&self, record: Record) -> Result<(), String> {
        let (forced, answer) = oneshot::channel();
        let job = Job {
            record,
            forced: Some(forced),
        };
        let forced = timeout(PATIENCE, async {
            self.jobs.send(job).await.ok()?;
            answer.await.ok()
        });
        match forced.await {
            Ok(Some(result)) => result,
            Ok(None) => Err("the journal has ended".to_owned()),
            Err(_) => Err(format!("the disk has not answered for {PATIENCE:?}")),
        }
    }

    /// Notes a record that may be lost with the process.
    pub fn note(&self, record: Record) {
        let job = Job {
            record,
            forced: None,
        };
        if self.jobs.try_send(job).is_err() {
            tracing::debug!("a note that a command is done was not written");
        }
    }
}

/// The task that owns the file. It ends when every [`Journal`] is dropped.
#[derive(Debug)]
pub struct Keeper {
    store: Store,
    jobs: mpsc::Receiver<Job>,
    metrics: Metrics,
}

impl Keeper {
    /// Writes what is asked for; what waits together is forced together.
    pub async fn run(self) {
        let Keeper {
            mut store,
            mut jobs,
            metrics,
        } = self;
        let room = &metrics.rooms().journal;
        room.set(store.bytes(), store::MOST_BYTES);
        while let Some(first) = jobs.recv().await {
            let mut together = vec![first];
            while together.len() < TOGETHER
                && let Ok(next) = jobs.try_recv()
            {
                together.push(next);
            }
            let (records, waiting): (Vec<_>, Vec<_>) = together
                .into_iter()
                .map(|job| (job.record, job.forced))
                .unzip();
            let waiting: Vec<_> = waiting.into_iter().flatten().collect();
            let force = !waiting.is_empty();
            let written = tokio::task::spawn_blocking(move || {
                let written = store.write(&records, force);
                (store, written)
            });
            let (kept, written) = match written.await {
                Ok(done) => done,
                Err(error) => {
                    return tracing::error!(%error, "the journal of commands ended by a defect of the module; please report it");
                }
            };
            store = kept;
            room.level(store.bytes());
            if written.is_err() {
                metrics.journal_failed();
            }
            for waits in waiting {
                let result = written.as_ref().map(|_| ()).map_err(ToString::to_string);
                // Whoever has stopped waiting has been told that it is not on disk.
                waits.send(result).unwrap_or(());
            }
        }
    }
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.record.fmt(f)
    }
}
