//! What the writer thread does: one job after the other on one disk.

use std::io;
use std::sync::mpsc as jobs;

use thiserror::Error;
use tokio::sync::mpsc;

use super::disk::Disk;
use super::recover::{self, Recovered, Whose};
use crate::message::Priority;

/// File of the oldest open sequences.
pub const POSITION: &str = "position";
/// File of messages that can never be delivered, one JSON object in each line.
pub const DEAD_LETTERS: &str = "dead-letters.jsonl";
/// The file of dead letters before that one.
pub const OLDER_DEAD_LETTERS: &str = "dead-letters.1.jsonl";
/// Jobs and outcomes on their way; the spool never has so many outstanding.
const UNDER_WAY: usize = 16;

/// Something to do on the disk.
#[derive(Debug)]
pub enum Job {
    /// Writes a batch of records behind what a segment has.
    Append {
        /// Whose batch it is.
        priority: Priority,
        /// The segment's file.
        file: String,
        /// Its length before.
        at: u64,
        /// The records, with the header in front in a new segment.
        bytes: Vec<u8>,
        /// Whether it is forced to the disk.
        sync: bool,
        /// Bytes that the disk must have left afterwards.
        keep_free: u64,
    },
    /// Reads some bytes of a segment.
    Read {
        /// Whose segment it is.
        priority: Priority,
        /// Its file.
        file: String,
        /// The first byte.
        from: u64,
        /// How many at most.
        most: usize,
    },
    /// Deletes a segment.
    Delete {
        /// Whose segment it is.
        priority: Priority,
        /// Its number.
        number: u64,
        /// Its file.
        file: String,
    },
    /// Sets a segment aside that holds something unreadable.
    SetAside {
        /// Whose segment it is.
        priority: Priority,
        /// Its number.
        number: u64,
        /// Its file.
        file: String,
    },
    /// Notes the oldest open sequences.
    Position {
        /// Where in the file.
        at: u64,
        /// The note.
        bytes: Vec<u8>,
    },
    /// Keeps a message that can never be delivered.
    DeadLetter {
        /// Where in the file; 0 begins a new one.
        at: u64,
        /// The line.
        line: Vec<u8>,
    },
}

/// What became of a job.
#[derive(Debug)]
pub enum Outcome {
    /// Of [`Job::Append`].
    Appended(Priority, Result<(), Trouble>),
    /// Of [`Job::Read`].
    Read(Priority, io::Result<Vec<u8>>),
    /// Of [`Job::Delete`] and [`Job::SetAside`].
    Deleted(Priority, u64, io::Result<()>),
    /// Of [`Job::Position`].
    Positioned(io::Result<()>),
    /// Of [`Job::DeadLetter`].
    DeadLettered(io::Result<()>),
}

/// Why a batch could not be stored.
#[derive(Debug, Error)]
pub enum Trouble {
    /// The disk would have less left than `minFreeBytes`, or is full.
    #[error("the disk has {free} bytes left")]
    Full {
        /// Bytes left.
        free: u64,
    },
    /// The disk fails.
    #[error("{0}")]
    Disk(#[from] io::Error),
}

/// Does a job.
pub fn carry_out(disk: &mut dyn Disk, job: Job) -> Outcome {
    match job {
        Job::Append {
            priority,
            file,
            at,
            bytes,
            sync,
            keep_free,
        } => Outcome::Appended(
            priority,
            room(disk, bytes.len(), keep_free).and_then(|()| {
                let written = disk.write(&file, at, &bytes);
                let forced = written.and_then(|()| if sync { disk.sync(&file) } else { Ok(()) });
                forced.map_err(|error| match error.kind() {
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                        Trouble::Full { free: 0 }
                    }
                    _ => Trouble::Disk(error),
                })
            }),
        ),
        Job::Read {
            priority,
            file,
            from,
            most,
        } => Outcome::Read(priority, disk.read(&file, from, most)),
        Job::Delete {
            priority,
            number,
            file,
        } => Outcome::Deleted(priority, number, disk.delete(&file)),
        Job::SetAside {
            priority,
            number,
            file,
        } => {
            let renamed = disk.rename(&file, &format!("aside-{file}"));
            Outcome::Deleted(priority, number, renamed)
        }
        Job::Position { at, bytes } => Outcome::Positioned(disk.write(POSITION, at, &bytes)),
        Job::DeadLetter { at, line } => Outcome::DeadLettered(dead_letter(disk, at, &line)),
    }
}

fn room(disk: &mut dyn Disk, bytes: usize, keep_free: u64) -> Result<(), Trouble> {
    let free = disk.free()?;
    let after = free.saturating_sub(u64::try_from(bytes).unwrap_or(u64::MAX));
    if after < keep_free {
        return Err(Trouble::Full { free });
    }
    Ok(())
}

fn dead_letter(disk: &mut dyn Disk, at: u64, line: &[u8]) -> io::Result<()> {
    if at == 0 && disk.list()?.iter().any(|name| name == DEAD_LETTERS) {
        disk.rename(DEAD_LETTERS, OLDER_DEAD_LETTERS)?;
    }
    disk.write(DEAD_LETTERS, at, line)?;
    disk.sync(DEAD_LETTERS)
}

/// The thread with the disk, and the ways to it and back.
#[derive(Debug)]
pub struct Worker {
    jobs: jobs::SyncSender<Job>,
    outcomes: mpsc::Receiver<Outcome>,
}

impl Worker {
    /// Starts the thread; it recovers what the disk has and then does one job after the other.
    ///
    /// # Errors
    /// When the system gives no thread, or the disk cannot be read.
    pub async fn start(mut disk: Box<dyn Disk>, whose: Whose) -> io::Result<(Self, Recovered)> {
        let (jobs, next) = jobs::sync_channel(UNDER_WAY);
        let (said, outcomes) = mpsc::channel(UNDER_WAY);
        let (recovered, found) = tokio::sync::oneshot::channel();
        std::thread::Builder::new()
            .name("spool".to_owned())
            .spawn(move || {
                let result = recover::recover(&mut *disk, &whose);
                let failed = result.is_err();
                if recovered.send(result).is_err() || failed {
                    return;
                }
                while let Ok(job) = next.recv() {
                    if said.blocking_send(carry_out(&mut *disk, job)).is_err() {
                        return;
                    }
                }
            })?;
        let found = found.await.map_err(io::Error::other)??;
        Ok((Worker { jobs, outcomes }, found))
    }

    /// Hands a job over; never waits.
    ///
    /// # Errors
    /// When the thread is gone.
    pub fn give(&self, job: Job) -> io::Result<()> {
        self.jobs
            .try_send(job)
            .map_err(|_| io::Error::other("the spool's writer thread is gone"))
    }

    /// The next outcome; `None` when the thread is gone. May be dropped and called again.
    pub async fn outcome(&mut self) -> Option<Outcome> {
        self.outcomes.recv().await
    }

    /// Waits until the thread has done all jobs and let go of the disk.
    pub async fn end(self) {
        let Worker { jobs, mut outcomes } = self;
        drop(jobs);
        while outcomes.recv().await.is_some() {}
    }
}
