//! Faults on request, step by step: what was asked for last happens after what was asked first.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mqtt::Refusal;
use tokio::sync::watch;

/// What happens to a CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectFault {
    Refuse(Refusal),
    Delay(Duration),
    Withhold,
}

/// What happens to a telemetry message of QoS 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PublishFault {
    /// Stored; the PUBACK comes later.
    Delay(Duration),
    /// Stored; the connection is closed instead of the PUBACK.
    LosePuback,
    /// Not stored; the connection is closed.
    FailStore,
}

/// The faults that are still to happen.
#[derive(Debug)]
pub(crate) struct Script {
    connects: Mutex<VecDeque<ConnectFault>>,
    publishes: Mutex<VecDeque<PublishFault>>,
    held: watch::Sender<bool>,
    revoked: Mutex<HashSet<Vec<u8>>>,
    empty_twins: AtomicBool,
    lost_patches: AtomicUsize,
}

impl Script {
    pub(crate) fn new() -> Self {
        Script {
            connects: Mutex::default(),
            publishes: Mutex::default(),
            held: watch::Sender::new(false),
            revoked: Mutex::default(),
            empty_twins: AtomicBool::new(false),
            lost_patches: AtomicUsize::new(0),
        }
    }

    pub(crate) fn add_connects(&self, count: usize, fault: ConnectFault) {
        let mut connects = self.connects.lock().unwrap_or_else(PoisonError::into_inner);
        connects.extend(std::iter::repeat_n(fault, count));
    }

    pub(crate) fn next_connect(&self) -> Option<ConnectFault> {
        self.connects
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    }

    pub(crate) fn add_publishes(&self, count: usize, fault: PublishFault) {
        let mut publishes = self
            .publishes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        publishes.extend(std::iter::repeat_n(fault, count));
    }

    pub(crate) fn next_publish(&self) -> Option<PublishFault> {
        self.publishes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    }

    /// Forgets what is still to happen to publications; gives how many faults that were.
    pub(crate) fn clear_publishes(&self) -> usize {
        let mut publishes = self
            .publishes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *publishes).len()
    }

    pub(crate) fn hold_pubacks(&self, hold: bool) {
        self.held.send_replace(hold);
    }

    /// Whether PUBACKs are held back, and news of it.
    pub(crate) fn held(&self) -> watch::Receiver<bool> {
        self.held.subscribe()
    }

    pub(crate) fn revoke(&self, password: Vec<u8>) {
        self.revoked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(password);
    }

    pub(crate) fn is_revoked(&self, password: &[u8]) -> bool {
        self.revoked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(password)
    }

    pub(crate) fn set_empty_twins(&self, empty: bool) {
        self.empty_twins.store(empty, Ordering::Relaxed);
    }

    pub(crate) fn empty_twins(&self) -> bool {
        self.empty_twins.load(Ordering::Relaxed)
    }

    pub(crate) fn lose_patches(&self, count: usize) {
        self.lost_patches.fetch_add(count, Ordering::Relaxed);
    }

    /// Whether the next desired patch is to get lost.
    pub(crate) fn loses_patch(&self) -> bool {
        let one_less = |left: usize| left.checked_sub(1);
        self.lost_patches
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
            .is_ok()
    }
}
