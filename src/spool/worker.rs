//! What the writer thread does: one job after the other on one disk.

use std::io;
use std::sync::mpsc as jobs;

use thiserror::Error;
use tokio::sync::mpsc;

use super::disk::Disk;
use super::recover::{self, Recovered, Whose, aside_name, aside_number};
use crate::message::Priority;

/// File of the oldest open sequences.
pub const POSITION: &str = "position";
/// File of messages that can never be delivered, one JSON object in each line.
pub const DEAD_LETTERS: &str = "dead-letters.jsonl";
/// The file of dead letters before that one.
pub const OLDER_DEAD_LETTERS: &str = "dead-letters.1.jsonl";
/// File that is written to find out whether the disk works.
const PROBE: &str = "probe";
/// Bytes of dead letters from which on the file is replaced by the next.
pub const DEAD_LETTER_BYTES: u64 = 4 << 20;
/// Damaged segments that are kept; the oldest go.
const MOST_ASIDE: usize = 8;
/// Jobs that the spool has outstanding at most; so many are on their way to the thread or back.
pub const MOST_OUTSTANDING: usize = 16;

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
    /// Finds out whether the disk works.
    Probe {
        /// Bytes that it must have left.
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
        /// The line, with its line feed.
        line: Vec<u8>,
    },
}

/// What became of a job.
#[derive(Debug)]
pub enum Outcome {
    /// Of [`Job::Append`].
    Appended(Priority, Result<(), Unwritten>),
    /// Of [`Job::Probe`].
    Probed(Result<(), Trouble>),
    /// Of [`Job::Read`].
    Read(Priority, io::Result<Vec<u8>>),
    /// Of [`Job::Delete`] and [`Job::SetAside`].
    Deleted(Priority, u64, io::Result<()>),
    /// Of [`Job::Position`].
    Positioned(io::Result<()>),
    /// Of [`Job::DeadLetter`].
    DeadLettered(io::Result<u64>),
}

/// Why something could not be stored.
#[derive(Debug, Error)]
pub enum Trouble {
    /// The disk would have less left than it must have.
    #[error("the disk would have {lacks} bytes less left than it must")]
    Reserved {
        /// Bytes that are missing.
        lacks: u64,
    },
    /// The disk is full.
    #[error("the disk is full")]
    Full {
        /// Bytes that are missing.
        lacks: u64,
    },
    /// The disk fails.
    #[error("{0}")]
    Disk(#[from] io::Error),
}

/// Why a batch is not on the disk.
#[derive(Debug)]
pub struct Unwritten {
    /// What came in its way.
    pub trouble: Trouble,
    /// Whether a part of it may be in the file.
    pub begun: bool,
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
        } => {
            let appended = room(disk, bytes.len(), keep_free)
                .map_err(|trouble| Unwritten {
                    trouble,
                    begun: false,
                })
                .and_then(|()| append(disk, (&file, at), &bytes, sync));
            Outcome::Appended(priority, appended)
        }
        Job::Probe { keep_free } => Outcome::Probed(probe(disk, keep_free)),
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
            let kept = set_aside(disk, &file);
            Outcome::Deleted(priority, number, kept)
        }
        Job::Position { at, bytes } => Outcome::Positioned(disk.write(POSITION, at, &bytes)),
        Job::DeadLetter { line } => Outcome::DeadLettered(dead_letter(disk, line)),
    }
}

fn room(disk: &mut dyn Disk, bytes: usize, keep_free: u64) -> Result<(), Trouble> {
    let needed = keep_free.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    match needed.saturating_sub(disk.free()?) {
        0 => Ok(()),
        lacks => Err(Trouble::Reserved { lacks }),
    }
}

fn trouble(error: io::Error, bytes: usize) -> Trouble {
    let lacks = u64::try_from(bytes).unwrap_or(u64::MAX);
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Trouble::Full { lacks },
        _ => Trouble::Disk(error),
    }
}

fn append(
    disk: &mut dyn Disk,
    (file, at): (&str, u64),
    bytes: &[u8],
    sync: bool,
) -> Result<(), Unwritten> {
    let written = disk.write(file, at, bytes);
    let forced = written.and_then(|()| if sync { disk.sync(file) } else { Ok(()) });
    forced.map_err(|error| Unwritten {
        trouble: trouble(error, bytes.len()),
        begun: disk.length(file).map_or(true, |length| length > at),
    })
}

/// Writes a little, reads it and takes it away.
fn probe(disk: &mut dyn Disk, keep_free: u64) -> Result<(), Trouble> {
    let written = *b"probe";
    room(disk, written.len(), keep_free)?;
    let mut attempt = || {
        disk.write(PROBE, 0, &written)?;
        disk.sync(PROBE)?;
        let read = disk.read(PROBE, 0, written.len())?;
        disk.delete(PROBE)?;
        match read == written {
            true => Ok(()),
            false => Err(io::Error::other("it does not give what was written")),
        }
    };
    attempt().map_err(|error| trouble(error, written.len()))
}

/// Sets a damaged segment aside. One that is not there was set aside by an attempt that was said to
/// fail.
fn set_aside(disk: &mut dyn Disk, file: &str) -> io::Result<()> {
    match disk.rename(file, &aside_name(file)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if let Err(error) = delete_old_asides(disk) {
        tracing::warn!(%error, "damaged segments that were set aside cannot be deleted; more than {MOST_ASIDE} are kept");
    }
    Ok(())
}

/// No more than a few are kept.
fn delete_old_asides(disk: &mut dyn Disk) -> io::Result<()> {
    let names = disk.list()?.into_iter();
    let numbered = names.filter_map(|name| Some((aside_number(&name)?, name)));
    let mut aside: Vec<_> = numbered.collect();
    aside.sort_unstable();
    let over = aside.len().saturating_sub(MOST_ASIDE);
    for (_, name) in aside.drain(..over) {
        disk.delete(&name)?;
        tracing::error!(
            file = name,
            "a damaged segment that was set aside was deleted: {MOST_ASIDE} newer ones are kept"
        );
    }
    Ok(())
}

/// Appends a line; gives the file's length. A line that was torn stays a line of its own.
fn dead_letter(disk: &mut dyn Disk, mut line: Vec<u8>) -> io::Result<u64> {
    let mut length = disk.length(DEAD_LETTERS)?;
    if length >= DEAD_LETTER_BYTES {
        disk.rename(DEAD_LETTERS, OLDER_DEAD_LETTERS)?;
        length = 0;
    }
    if let Some(last) = length.checked_sub(1)
        && disk.read(DEAD_LETTERS, last, 1)? != b"\n"
    {
        line.insert(0, b'\n');
    }
    disk.write(DEAD_LETTERS, length, &line)?;
    disk.sync(DEAD_LETTERS)?;
    Ok(length.saturating_add(u64::try_from(line.len()).unwrap_or(0)))
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
        let (jobs, next) = jobs::sync_channel(MOST_OUTSTANDING);
        let (said, outcomes) = mpsc::channel(MOST_OUTSTANDING);
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
    /// When the thread is gone, or has too many jobs already.
    pub fn give(&self, job: Job) -> io::Result<()> {
        self.jobs.try_send(job).map_err(|error| match error {
            jobs::TrySendError::Full(_) => {
                io::Error::other("the spool's writer thread has too many jobs")
            }
            jobs::TrySendError::Disconnected(_) => {
                io::Error::other("the spool's writer thread is gone")
            }
        })
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
