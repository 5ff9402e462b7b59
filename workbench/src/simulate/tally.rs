//! What has happened so far.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::faults::{FAULTS, Fault};

/// A number that all devices count in.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// One more.
    pub fn add(&self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// One less.
    pub fn take_one(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// The number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What has happened to all devices.
#[derive(Debug, Default)]
pub struct Tally {
    /// Connections that stand.
    pub connected: Count,
    /// Connections that were made.
    pub connections: Count,
    /// Connections that were made again.
    pub reconnects: Count,
    /// Requests that came; only where devices are called.
    pub requests: Count,
    /// Whole good frames that were sent.
    pub frames: Count,
    /// Answers of the gateway.
    pub replies: Count,
    /// Answers of the gateway that did not come.
    pub unanswered: Count,
    /// Connections that could not be made or broke, and frames that could not be made.
    pub errors: Count,
    /// Why a connection could not be made, the last time.
    unconnected: Mutex<Option<String>>,
    faults: [Count; FAULTS],
}

/// What came of one device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Played {
    /// Connections that were made.
    pub connections: u64,
    /// Whole good frames that were sent.
    pub frames: u64,
    /// Messages that the gateway makes of them.
    pub messages: u64,
    /// Answers that came.
    pub replies: u64,
}

/// All numbers, as `--json` prints them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals<'a> {
    /// The pack.
    pub pack: &'a str,
    /// What repeats the run.
    pub seed: u64,
    /// How many devices were played.
    pub devices: usize,
    /// Connections that were made.
    pub connections: u64,
    /// Connections that were made again.
    pub reconnects: u64,
    /// Requests that came.
    pub requests: u64,
    /// Whole good frames that were sent.
    pub frames: u64,
    /// Answers of the gateway.
    pub replies: u64,
    /// Answers that did not come.
    pub unanswered: u64,
    /// Faults by their word.
    pub faults: BTreeMap<String, u64>,
    /// Connections that could not be made or broke.
    pub errors: u64,
    /// Each device that says who it is.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub by_device: BTreeMap<String, Played>,
}

impl Tally {
    /// Notes a fault.
    pub fn fault(&self, fault: Fault) {
        if let Some(count) = self.faults.get(fault.number()) {
            count.add(1);
        }
    }

    /// Notes why a connection could not be made; [`Tally::errors`] counts it.
    pub fn not_connected(&self, why: &dyn fmt::Display) {
        let last = self.unconnected.lock();
        *last.unwrap_or_else(PoisonError::into_inner) = Some(why.to_string());
    }

    /// Why a connection could not be made, the last time.
    pub fn why_not_connected(&self) -> Option<String> {
        let last = self.unconnected.lock();
        last.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One line of how far it is.
    pub fn line(&self, devices: usize, called: bool) -> String {
        let connected = self.connected.get();
        let connected = match called {
            true => counted(connected, "connection"),
            false => format!("{connected} of {devices} connected"),
        };
        format!("{connected}, {}", self.numbers(called))
    }

    /// One line of how far it came.
    pub fn last_line(&self, devices: usize, called: bool) -> String {
        let devices = counted(u64::try_from(devices).unwrap_or(u64::MAX), "device");
        format!("{devices}, {}", self.numbers(called))
    }

    fn numbers(&self, called: bool) -> String {
        let faults: u64 = self.faults.iter().map(Count::get).sum();
        let errors = counted(self.errors.get(), "error");
        let (faults, frames) = (counted(faults, "fault"), self.frames.get());
        if called {
            let requests = counted(self.requests.get(), "request");
            return format!("{requests}, {frames} answered, {faults}, {errors}");
        }
        let reconnects = counted(self.reconnects.get(), "reconnect");
        let replies = match self.replies.get() {
            1 => "1 reply".to_owned(),
            count => format!("{count} replies"),
        };
        let frames = counted(frames, "frame");
        let why = self.why_not_connected();
        let why = why.map_or_else(String::new, |why| format!(" (not connected: {why})"));
        format!("{frames} sent, {replies}, {faults}, {reconnects}, {errors}{why}")
    }

    /// All numbers.
    pub fn totals<'a>(&self, pack: &'a str, seed: u64, devices: usize) -> Totals<'a> {
        let faults = Fault::all().zip(&self.faults);
        let faults = faults.filter(|(_, count)| count.get() > 0);
        Totals {
            pack,
            seed,
            devices,
            connections: self.connections.get(),
            reconnects: self.reconnects.get(),
            requests: self.requests.get(),
            frames: self.frames.get(),
            replies: self.replies.get(),
            unanswered: self.unanswered.get(),
            faults: faults
                .map(|(fault, count)| (fault.to_string(), count.get()))
                .collect(),
            errors: self.errors.get(),
            by_device: BTreeMap::new(),
        }
    }
}

/// `1 frame`, `2 frames`.
pub fn counted(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}
