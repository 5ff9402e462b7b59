//! When which unit is polled: each poll of each unit at its own interval, round and round, and units
//! that do not answer less and less often.

use std::time::{Duration, Instant};

use super::exchange::Shared;
use super::questions::Poll;
use crate::message::Text;

/// The first polls of a connection are spread over no more than that.
const SPREAD: Duration = Duration::from_secs(10);
/// What a unit is left alone after the first failure; each further one doubles it.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
/// Failures in a row after which a unit is said to be silent.
const SILENT: u32 = 2;

/// The polls of one connection.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    /// The number of its first job; those of earlier schedules of the connection are below.
    first: usize,
    jobs: Vec<Job>,
    units: Vec<Unit>,
    /// When the next one may be due; `None` until it is known.
    next: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Job {
    poll: usize,
    ask: usize,
    unit: usize,
    due: Instant,
    out: bool,
}

#[derive(Debug)]
struct Unit {
    name: Option<Text>,
    failures: u32,
    /// Jobs of it that are out.
    out: usize,
    /// It is left alone until then.
    again: Option<Instant>,
}

/// What a unit's answer, or its absence, says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing new.
    None,
    /// It does not answer any more.
    Silent,
    /// It answers again.
    Heard,
}

impl Schedule {
    /// The polls of every unit, from now on, and the number of the first. `seed` spreads those of
    /// different connections.
    pub(super) fn start(
        polls: &[Poll],
        units: &[Text],
        (first, seed): (usize, u64),
        now: Instant,
    ) -> Self {
        let names = units.iter().cloned().map(Some);
        let names: Vec<Option<Text>> = match units {
            [] => vec![None],
            _ => names.collect(),
        };
        let mut jobs = Vec::new();
        for (poll, what) in polls.iter().enumerate() {
            for unit in 0..names.len() {
                let offset = offset(seed, jobs.len(), what.every.min(SPREAD));
                jobs.extend((0..what.asks.len()).map(|ask| Job {
                    poll,
                    ask,
                    unit,
                    due: now + offset,
                    out: false,
                }));
            }
        }
        let unit = |name| Unit {
            name,
            failures: 0,
            out: 0,
            again: None,
        };
        Schedule {
            first,
            next: jobs.iter().map(|job| job.due).min(),
            jobs,
            units: names.into_iter().map(unit).collect(),
        }
    }

    /// The number of the first job of a schedule that follows this one.
    pub(super) fn behind(&self) -> usize {
        self.first + self.jobs.len()
    }

    /// The job that is due for longest, if one is.
    pub(super) fn due(&mut self, now: Instant) -> Option<usize> {
        if self.next? > now {
            return None;
        }
        let jobs = self.jobs.iter().enumerate();
        let due = jobs.filter_map(|(at, job)| Some((self.ready(job)?, job.due, at)));
        let first = due.min_by_key(|(ready, due, _)| (*ready > now, *due));
        let Some((ready, _, at)) = first else {
            self.next = None;
            return None;
        };
        if ready > now {
            self.look_ahead();
            return None;
        }
        Some(self.first + at)
    }

    /// What a job asks, and of whom.
    pub(super) fn job<'a>(
        &self,
        at: usize,
        polls: &'a [Poll],
    ) -> Option<(&'a Shared, Option<Text>)> {
        let job = self.jobs.get(at.checked_sub(self.first)?)?;
        let asks = polls.get(job.poll)?.asks.get(job.ask)?;
        Some((asks, self.units.get(job.unit)?.name.clone()))
    }

    /// Whether the unit of a job has not answered, so that asking once says enough.
    pub(super) fn is_probe(&self, at: usize) -> bool {
        let job = at.checked_sub(self.first).and_then(|at| self.jobs.get(at));
        let unit = job.and_then(|job| self.units.get(job.unit));
        unit.is_some_and(|unit| unit.failures > 0)
    }

    /// A job is asked now; how many times it should have been asked since the last time. What a unit
    /// that does not answer was left alone is not among them.
    pub(super) fn begin(&mut self, at: usize, polls: &[Poll], now: Instant) -> u32 {
        let at = at.checked_sub(self.first);
        let Some(job) = at.and_then(|at| self.jobs.get_mut(at)) else {
            return 0;
        };
        let every = polls.get(job.poll).map_or(SPREAD, |poll| poll.every);
        job.out = true;
        let unit = job.unit;
        job.due += every;
        let mut missed = 0;
        if job.due <= now {
            let late = now.saturating_duration_since(job.due).as_millis();
            let times = late / every.as_millis().max(1) + 1;
            missed = u32::try_from(times).unwrap_or(u32::MAX);
            job.due += every.saturating_mul(missed);
        }
        if let Some(unit) = self.units.get_mut(unit) {
            unit.out += 1;
            if unit.failures > 0 {
                missed = 0;
            }
        }
        self.look_ahead();
        missed
    }

    /// The device has answered a job.
    pub(super) fn answered(&mut self, at: usize) -> Change {
        let Some(unit) = self.end(at) else {
            return Change::None;
        };
        let was_silent = unit.failures >= SILENT;
        unit.failures = 0;
        unit.again = None;
        self.look_ahead();
        if was_silent {
            Change::Heard
        } else {
            Change::None
        }
    }

    /// A job got no answer; its unit is left alone for a while.
    pub(super) fn failed(&mut self, at: usize, most: Duration, now: Instant) -> Change {
        let Some(unit) = self.end(at) else {
            return Change::None;
        };
        unit.failures = unit.failures.saturating_add(1);
        let doubled = FIRST_BACKOFF.saturating_mul(1 << (unit.failures - 1).min(16));
        unit.again = Some(now + doubled.min(most));
        let silent = unit.failures == SILENT;
        self.look_ahead();
        if silent { Change::Silent } else { Change::None }
    }

    /// A job could not be asked, or its answer does not count for its unit.
    pub(super) fn passed_over(&mut self, at: usize) {
        self.end(at);
        self.look_ahead();
    }

    /// The unit of a job is left alone until then, whatever it has answered.
    pub(super) fn leave_alone(&mut self, at: usize, until: Instant) {
        if let Some(unit) = self.end(at) {
            unit.again = unit.again.max(Some(until));
        }
        self.look_ahead();
    }

    /// When a job may be due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next
    }

    fn end(&mut self, at: usize) -> Option<&mut Unit> {
        let job = self.jobs.get_mut(at.checked_sub(self.first)?)?;
        let was_out = std::mem::take(&mut job.out);
        let unit = self.units.get_mut(job.unit)?;
        unit.out -= usize::from(was_out);
        Some(unit)
    }

    /// When a job may be asked: a unit that has not answered is asked one thing at a time.
    fn ready(&self, job: &Job) -> Option<Instant> {
        let unit = self.units.get(job.unit)?;
        if job.out || unit.failures > 0 && unit.out > 0 {
            return None;
        }
        Some(unit.again.map_or(job.due, |again| again.max(job.due)))
    }

    fn look_ahead(&mut self) {
        self.next = self.jobs.iter().filter_map(|job| self.ready(job)).min();
    }
}

/// A moment within `window` that differs from one connection and one job to the next.
fn offset(seed: u64, job: usize, window: Duration) -> Duration {
    let job = u64::try_from(job).unwrap_or(u64::MAX);
    let mixed = mix(seed ^ mix(job));
    let micros = u64::try_from(window.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(mixed % micros.max(1))
}

/// The finalizer of SplitMix64: every bit of the input changes half of the output.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A seed out of names.
pub(super) fn seed(names: &[&str]) -> u64 {
    let bytes = names.iter().flat_map(|name| name.bytes());
    bytes.fold(0, |seed, byte| mix(seed ^ u64::from(byte)))
}
