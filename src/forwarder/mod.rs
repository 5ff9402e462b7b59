//! Owns the spool and sees every message through to edgeHub's acknowledgement: the only
//! at-least-once logic in the process.
//!
//! Messages come with room in memory, are spooled, leave as parcels (a message each, or a batch),
//! and are done when edgeHub has acknowledged their parcel. When a session ends, the parcels that
//! it did not see acknowledged go first on the next one, as they were.

mod batch;
mod letter;
mod outstanding;
mod sending;
mod terms;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, watch};

use crate::clock::Clock;
use crate::message::Name;
use crate::northbound::dialect::{self, Dialect};
use crate::northbound::{LinkReport, MOST_OUTSTANDING, Parcel};
use crate::ops::accounts::Accounts;
use crate::ops::health::{BEAT, Health, Loop};
use crate::ops::logging::Throttle;
use crate::ops::metrics::Metrics;
use crate::outbox::{Held, Level, Submission};
use crate::spool::{
    Buried, Condition, DEAD_LETTER_BYTES, Disk, Dropped, MOST_WAITING_LETTERS, Note, Outcome,
    Recovered, Spool, Whose, Worker,
};

use batch::Batches;
pub use batch::Batching;
use outstanding::Outstanding;
pub use terms::{OutputTerms, Terms};

/// Groups taken over before anything else is looked at: as many as may be on their way.
const AT_ONCE: usize = 4;

/// What a forwarder is made of.
#[derive(Debug)]
pub struct Parts {
    /// Where messages are kept, or why there is no such place.
    pub disk: Result<Box<dyn Disk>, String>,
    /// Whose messages they are.
    pub whose: Whose,
    /// What the settings say, from time to time.
    pub terms: watch::Receiver<Arc<Terms>>,
    /// How messages look on the wire.
    pub dialect: Dialect,
    /// From the outboxes.
    pub submissions: mpsc::Receiver<Vec<Submission>>,
    /// From the link.
    pub reports: mpsc::Receiver<LinkReport>,
    /// Tells how much room in memory is taken.
    pub level: Level,
    /// Where it says how the disk is.
    pub condition: watch::Sender<Condition>,
    /// Where counts go.
    pub metrics: Metrics,
    /// Where the loop beats.
    pub health: Health,
    /// Holds repeated log lines back.
    pub throttle: Throttle,
    /// Tells the time.
    pub clock: Clock,
}

/// The task between all outboxes and the link.
#[derive(Debug)]
pub struct Forwarder {
    spool: Spool<Held>,
    worker: Option<Worker>,
    terms: watch::Receiver<Arc<Terms>>,
    current: Arc<Terms>,
    dialect: Dialect,
    submissions: mpsc::Receiver<Vec<Submission>>,
    reports: mpsc::Receiver<LinkReport>,
    session: Option<mpsc::Sender<Parcel>>,
    outstanding: Outstanding,
    batches: Batches,
    level: Level,
    condition: watch::Sender<Condition>,
    accounts: Accounts,
    metrics: Metrics,
    health: Health,
    throttle: Throttle,
    clock: Clock,
    notes: Vec<Note>,
    /// Whether submissions may still come.
    open: bool,
}

/// What the forwarder could not deliver before it had to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undelivered {
    /// Messages that are on disk, for the next start.
    pub spooled: u64,
    /// Messages that are lost with the process.
    pub lost: u64,
    /// Whether the link ended first, so that nobody was there to deliver to.
    pub link_ended: bool,
}

impl Forwarder {
    /// A forwarder over what the disk has from earlier runs.
    ///
    /// # Errors
    /// When the system gives no random bytes for the name of a new spool.
    pub async fn new(parts: Parts) -> io::Result<Self> {
        let now = parts.clock.now().monotonic;
        let current = Arc::clone(&parts.terms.borrow());
        let started = match parts.disk {
            Ok(disk) => beating(&parts.health, parts.clock, Worker::start(disk, parts.whose))
                .await
                .map_err(|error| {
                    format!("the spool cannot be used before the next start: {error}")
                }),
            Err(why) => Err(why),
        };
        let mut accounts = Accounts::new(&parts.metrics);
        let mut notes = Vec::new();
        let (worker, spool) = match started {
            Ok((worker, mut found)) => {
                say(&found, &parts.metrics);
                notes = std::mem::take(&mut found.notes);
                let spool = Spool::recovered(found, current.limits, now);
                accounts.recovered(spool.kept());
                (Some(worker), spool)
            }
            Err(why) => {
                let mut name = [0; 8];
                getrandom::fill(&mut name).map_err(io::Error::other)?;
                let name = u64::from_le_bytes(name) & 0xffff_ffff_ffff;
                (None, Spool::in_memory(name, why, current.limits, now))
            }
        };
        Ok(Forwarder {
            spool,
            worker,
            terms: parts.terms,
            current,
            dialect: parts.dialect,
            submissions: parts.submissions,
            reports: parts.reports,
            session: None,
            outstanding: Outstanding::default(),
            batches: Batches::default(),
            level: parts.level,
            condition: parts.condition,
            accounts,
            metrics: parts.metrics,
            health: parts.health,
            throttle: parts.throttle,
            clock: parts.clock,
            notes,
            open: true,
        })
    }

    /// What an operator should know of what the disk had.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// Runs until every outbox is gone and every message is delivered, or on disk while edgeHub is
    /// away, or until the link is gone.
    ///
    /// # Errors
    /// When the writer thread ended, which it does only by a defect.
    pub async fn run(&mut self) -> io::Result<Undelivered> {
        let mut group = Vec::with_capacity(AT_ONCE);
        loop {
            self.work()?;
            if let Some(left) = self.is_over() {
                return Ok(left);
            }
            if let Some(left) = self.next(&mut group).await? {
                return Ok(left);
            }
        }
    }

    /// Takes what happens next; what is left, if that was the end.
    async fn next(&mut self, group: &mut Vec<Vec<Submission>>) -> io::Result<Option<Undelivered>> {
        let deadline = self.deadline();
        tokio::select! {
            biased;
            // Before anything is taken over: an output of another priority has another log.
            Ok(()) = self.terms.changed() => self.new_terms(),
            report = self.reports.recv() => match report {
                Some(report) => self.reported(report),
                None => return Ok(Some(self.link_ended().await)),
            },
            outcome = outcome(&mut self.worker) => match outcome {
                Some(outcome) => self.finished(outcome),
                None => return Err(io::Error::other("the spool's writer thread ended")),
            },
            taken = self.submissions.recv_many(group, AT_ONCE), if self.open => {
                self.open = taken > 0;
                let now = self.clock.now().monotonic;
                for submission in group.drain(..).flatten() {
                    self.take_over(submission, now);
                }
            }
            () = self.level.wanted() => self.spool.want_memory(),
            () = at(deadline) => {}
        }
        Ok(None)
    }

    /// Ends the writer thread; what it was given is done first.
    pub async fn end(self) {
        if let Some(worker) = self.worker {
            worker.end().await;
        }
    }

    /// Does everything that can be done now.
    fn work(&mut self) -> io::Result<()> {
        let now = self.clock.now().monotonic;
        self.health.beat(Loop::Forwarder, now);
        if !self.open {
            self.spool.flush();
        }
        self.send(now);
        while let Some(job) = self.spool.job(now) {
            if let Some(worker) = &self.worker {
                worker.give(job)?;
            }
        }
        let dropped = self.spool.given_up();
        self.count_dropped(dropped, "spool_full_or_age");
        let condition = self.spool.condition();
        if *self.condition.borrow() != *condition {
            tell(condition);
            self.condition.send_replace(condition.clone());
        }
        self.accounts.commit(self.spool.kept(), now);
        self.show();
        Ok(())
    }

    /// Shows how full everything is.
    fn show(&self) {
        let (rooms, limits) = (self.metrics.rooms(), &self.current.limits);
        let (taken, bound) = self.level.read();
        rooms.memory.set(taken, bound);
        rooms.spool.set(self.spool.disk_bytes(), limits.max_bytes);
        rooms.disk.bound(limits.min_free_bytes);
        let (parcels, bytes) = self.outstanding.level();
        rooms.parcels.set(parcels, MOST_OUTSTANDING);
        rooms.parcel_bytes.set(bytes, outstanding::MOST_BYTES);
        let (bytes, waiting) = self.spool.dead_letters();
        rooms.dead_letters.set(bytes, DEAD_LETTER_BYTES);
        rooms.waiting_letters.set(waiting, MOST_WAITING_LETTERS);
        self.metrics.spool_syncs(self.spool.syncs());
    }

    /// Whether nothing more is to be done.
    fn is_over(&self) -> Option<Undelivered> {
        if self.open {
            return None;
        }
        let nothing = self.spool.is_empty();
        let sends = self.current.settled && self.session.is_some();
        let safe = !sends && self.spool.is_written();
        (nothing || safe).then(|| self.undelivered())
    }

    /// What is not delivered now.
    pub fn undelivered(&self) -> Undelivered {
        let kept = self.spool.kept().values().sum();
        let written = self.worker.is_some() && self.spool.is_written();
        Undelivered {
            spooled: if written { kept } else { 0 },
            lost: if written { 0 } else { kept },
            link_ended: false,
        }
    }

    /// Nobody takes messages any more: what is not on disk goes there.
    async fn link_ended(&mut self) -> Undelivered {
        self.session = None;
        self.submissions.close();
        let now = self.clock.now().monotonic;
        while let Ok(group) = self.submissions.try_recv() {
            for submission in group {
                self.take_over(submission, now);
            }
        }
        self.spool.flush();
        while self.work().is_ok() && !self.spool.is_written() && self.spool.takes() {
            match outcome(&mut self.worker).await {
                Some(outcome) => self.finished(outcome),
                None => break,
            }
        }
        Undelivered {
            link_ended: true,
            ..self.undelivered()
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let beat = self.clock.now().monotonic.checked_add(BEAT);
        [self.spool.deadline(), self.batches.deadline(), beat]
            .into_iter()
            .flatten()
            .min()
    }

    fn new_terms(&mut self) {
        self.current = Arc::clone(&self.terms.borrow_and_update());
        self.spool.limit(self.current.limits);
        // What was read by the terms before leaves by them, and first.
        self.batches.close_all();
    }

    fn take_over(&mut self, submission: Submission, now: Instant) {
        let Submission { message, held } = submission;
        self.accounts.of(&message.output).submitted += 1;
        if message.size() > dialect::MAX_BYTES {
            let reason = format!(
                "it is {} bytes long, edgeHub takes {}",
                message.size(),
                dialect::MAX_BYTES
            );
            return self.bury(&message, None, reason, Some(held));
        }
        let priority = self.terms_of(&message.output).priority;
        self.spool.append(priority, message, held, now);
    }

    fn terms_of(&self, output: &Name) -> OutputTerms {
        self.current
            .outputs
            .get(output)
            .copied()
            .unwrap_or_default()
    }

    fn finished(&mut self, outcome: Outcome) {
        let now = self.clock.now().monotonic;
        let finished = self.spool.finished(outcome, now);
        self.count_dropped(finished.dropped, "unreadable");
        if let Some(buried) = finished.buried {
            self.buried(buried);
        }
    }

    fn buried(&mut self, buried: Buried<Held>) {
        let Buried { output, hold, kept } = buried;
        if !kept {
            return self.not_buried(&output, hold);
        }
        self.accounts.of(&output).dead_lettered += 1;
        if let Some(held) = hold {
            held.buried();
        }
    }

    fn not_buried(&mut self, output: &Name, held: Option<Held>) {
        self.metrics.dropped(output, "no_dead_letters", 1);
        self.accounts.of(output).dropped += 1;
        if let Some(held) = held {
            held.lost();
        }
    }

    /// Whether a line about an output is logged now; if so, how many were held back before it.
    fn says(&self, what: &'static str, output: &Name) -> Option<u64> {
        let now = self.clock.now().monotonic;
        self.throttle.allows(what, output, now)
    }

    fn count_dropped(&mut self, dropped: Dropped<Held>, reason: &'static str) {
        for (output, count) in dropped.outputs {
            if let Some(held_back) = self.says(reason, &output) {
                tracing::error!(%output, count, reason, held_back, "messages were dropped; metrics count them all");
            }
            self.metrics.dropped(&output, reason, count);
            self.accounts.of(&output).dropped += count;
        }
        for held in dropped.holds {
            held.lost();
        }
    }
}

/// Waits for something that may take longer than a loop may be silent.
async fn beating<T>(health: &Health, clock: Clock, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        health.beat(Loop::Forwarder, clock.now().monotonic);
        if let Ok(done) = tokio::time::timeout(BEAT, &mut work).await {
            return done;
        }
    }
}

async fn outcome(worker: &mut Option<Worker>) -> Option<Outcome> {
    match worker {
        Some(worker) => worker.outcome().await,
        None => std::future::pending().await,
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// Tells the operator what the disk had.
fn say(found: &Recovered, metrics: &Metrics) {
    for note in &found.notes {
        metrics.spool_damaged(note.damaged);
        tracing::error!("{}", note.text);
    }
    let messages: u64 = found
        .segments
        .values()
        .flatten()
        .flat_map(|segment| segment.outputs.values())
        .sum();
    if messages > 0 {
        tracing::info!(
            messages,
            "the spool has messages of an earlier run; they are sent first"
        );
    }
}

fn tell(condition: &Condition) {
    match condition {
        Condition::Good => tracing::info!("the spool's disk takes messages again"),
        Condition::Full(why) => tracing::error!(
            "the spool's disk is full ({why}): devices wait, or the oldest messages are dropped where whenFull says so"
        ),
        Condition::Failing(why) => tracing::error!(
            "the spool's disk fails ({why}): messages are kept in memory alone, and promises wait for edgeHub"
        ),
        Condition::Absent(why) => tracing::error!(
            "{why}: messages are kept in memory alone, and promises wait for edgeHub"
        ),
    }
}
