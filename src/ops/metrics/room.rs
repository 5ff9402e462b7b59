//! Rooms with a bound: how full each is, and what an operator does when one stays full.

use std::sync::atomic::AtomicI64;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::labels::OfEntry;
use super::{Registered, Words};

pub(super) type Level = Gauge<i64, AtomicI64>;

/// How full a room is, and how full it may get.
#[derive(Clone, Debug, Default)]
pub struct Fill {
    pub(super) level: Level,
    bound: Level,
}

impl Fill {
    fn registered(all: &mut Registered, level: Words, bound: Words) -> Self {
        Fill {
            level: all.add(level),
            bound: all.add(bound),
        }
    }

    /// Says how full it is.
    pub fn level(&self, level: impl TryInto<i64>) {
        self.level.set(level.try_into().unwrap_or(i64::MAX));
    }

    /// Says how full it may get.
    pub fn bound(&self, bound: impl TryInto<i64>) {
        self.bound.set(bound.try_into().unwrap_or(i64::MAX));
    }

    /// Says both.
    pub fn set(&self, level: impl TryInto<i64>, bound: impl TryInto<i64>) {
        self.level(level);
        self.bound(bound);
    }
}

/// The same room of every listener and entry of `outbound`.
#[derive(Debug)]
pub(super) struct Fills {
    level: Family<OfEntry, Level>,
    bound: Family<OfEntry, Level>,
}

impl Fills {
    pub(super) fn registered(all: &mut Registered, level: Words, bound: Words) -> Self {
        Fills {
            level: all.add(level),
            bound: all.add(bound),
        }
    }

    pub(super) fn of(&self, entry: &OfEntry) -> Fill {
        Fill {
            level: self.level.get_or_create_owned(entry),
            bound: self.bound.get_or_create_owned(entry),
        }
    }
}

/// The rooms that the whole process shares.
#[derive(Debug)]
pub struct Rooms {
    /// Bytes in memory of messages.
    pub memory: Fill,
    /// Bytes of the spool's files.
    pub spool: Fill,
    /// Bytes that the disk has left; its bound is one from below.
    pub disk: Fill,
    /// Parcels that edgeHub has not acknowledged.
    pub parcels: Fill,
    /// Their bytes.
    pub parcel_bytes: Fill,
    /// Bytes of the file of dead letters.
    pub dead_letters: Fill,
    /// Dead letters that wait for the disk.
    pub waiting_letters: Fill,
    /// Commands without an outcome.
    pub methods: Fill,
    /// Bytes of the journal of commands.
    pub journal: Fill,
    /// Unknown devices in quarantine.
    pub quarantine: Fill,
}

impl Rooms {
    pub(super) fn registered(all: &mut Registered) -> Self {
        let mut room = |level, bound| Fill::registered(all, level, bound);
        Rooms {
            memory: room(
                (
                    "memory_bytes",
                    "Bytes of messages in memory; at memory_bound_bytes devices wait: see whether edgeHub (link_up) and the disk keep up",
                ),
                ("memory_bound_bytes", "maxMemoryBytes of the spool"),
            ),
            spool: room(
                (
                    "spool_bytes",
                    "Bytes of the spool's files; at spool_bound_bytes devices wait or the oldest messages are dropped: bring edgeHub back or raise maxBytes",
                ),
                ("spool_bound_bytes", "maxBytes of the spool"),
            ),
            disk: room(
                (
                    "disk_free_bytes",
                    "Bytes that the storage directory's disk has left; below disk_min_free_bytes nothing is spooled: make room",
                ),
                ("disk_min_free_bytes", "minFreeBytes of the spool"),
            ),
            parcels: room(
                (
                    "parcels_in_flight",
                    "Messages and batches sent and not acknowledged; for long at parcels_in_flight_bound, edgeHub does not keep up: look at its store and disk",
                ),
                (
                    "parcels_in_flight_bound",
                    "Messages and batches that may be sent before edgeHub acknowledges one",
                ),
            ),
            parcel_bytes: room(
                (
                    "parcels_in_flight_bytes",
                    "Their bytes; for long at parcels_in_flight_bound_bytes, edgeHub does not keep up",
                ),
                (
                    "parcels_in_flight_bound_bytes",
                    "Bytes that may be sent before edgeHub acknowledges something, but for one parcel more",
                ),
            ),
            dead_letters: room(
                (
                    "dead_letter_bytes",
                    "Bytes of dead-letters.jsonl; at dead_letter_bound_bytes it replaces the older file: copy both and correct what is too long",
                ),
                (
                    "dead_letter_bound_bytes",
                    "Bytes of one file of dead letters, but for one letter more",
                ),
            ),
            waiting_letters: room(
                (
                    "dead_letters_waiting",
                    "Dead letters that wait for the disk; at dead_letters_waiting_bound more are dropped: see what is wrong with the disk",
                ),
                (
                    "dead_letters_waiting_bound",
                    "Dead letters that may wait for the disk",
                ),
            ),
            quarantine: room(
                (
                    "quarantined_devices",
                    "Unknown devices in quarantine; at quarantined_devices_bound the one heard longest ago is forgotten: add them to devices or deviceRules",
                ),
                (
                    "quarantined_devices_bound",
                    "Unknown devices of which a sample is kept",
                ),
            ),
            methods: room(
                (
                    "methods_waiting",
                    "Direct methods and messages to the input commands without an outcome; at methods_waiting_bound more are answered 429: call less often or with a shorter withinMs",
                ),
                (
                    "methods_waiting_bound",
                    "Direct methods and messages to the input commands that may be under way",
                ),
            ),
            journal: room(
                (
                    "command_journal_bytes",
                    "Bytes of the journal of commands; at command_journal_bound_bytes messages are acknowledged at their outcome: bring edgeHub back, results wait for it",
                ),
                (
                    "command_journal_bound_bytes",
                    "Bytes that the journal of commands may have",
                ),
            ),
        }
    }
}
