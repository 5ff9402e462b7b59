//! The entries of `outbound` that the settings want.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::message::Name;
use crate::report::Reached;
use crate::settings::{OutboundPlan, Settings};
use crate::southbound::{OutboundHandle, OutboundTask, OutboundTerms, South};

/// What the gateway holds of them.
#[derive(Debug, Default)]
pub(super) struct Dialling {
    handles: BTreeMap<Name, OutboundHandle>,
    told: BTreeMap<Name, Reached>,
    told_at: Option<Instant>,
}

/// Where the tasks of entries run.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) south: &'a Arc<South>,
    pub(super) tasks: &'a mut JoinSet<Name>,
    pub(super) shutdown: &'a CancellationToken,
}

impl Dialling {
    /// Carries out what a plan says of `outbound`.
    pub(super) fn apply(
        &mut self,
        plan: &OutboundPlan,
        settings: &Settings,
        place: &mut Place<'_>,
    ) {
        for name in &plan.stop {
            self.handles.remove(name);
            tracing::info!(outbound = %name, "outbound entry removed");
        }
        for name in &plan.start {
            self.start(name, settings, place);
        }
        for (name, handle) in &self.handles {
            if let Some(terms) = OutboundTerms::of(settings, name) {
                handle.update(terms, plan.reprotocol.contains(name));
            }
        }
    }

    /// Starts those again that ended by a defect.
    pub(super) fn start_again(&mut self, settings: &Settings, place: &mut Place<'_>) {
        let over = self.handles.iter().filter(|(_, handle)| handle.is_over());
        let over: Vec<Name> = over.map(|(name, _)| Name::clone(name)).collect();
        for name in over {
            self.start(&name, settings, place);
        }
    }

    fn start(&mut self, name: &Name, settings: &Settings, place: &mut Place<'_>) {
        let Some(terms) = OutboundTerms::of(settings, name) else {
            return;
        };
        let devices = terms.outbound.addresses.len();
        tracing::info!(outbound = %name, devices, "dialling");
        let (handle, task) = OutboundTask::new(terms, Arc::clone(place.south));
        self.handles.insert(Name::clone(name), handle);
        let (name, shutdown) = (Name::clone(name), place.shutdown.clone());
        place.tasks.spawn(async move {
            task.run(shutdown).await;
            name
        });
    }

    /// How all entries are now.
    pub(super) fn reached(&mut self, now: Instant) -> BTreeMap<Name, Reached> {
        let reached = self.handles.iter();
        let reached = reached.map(|(name, handle)| (Name::clone(name), handle.reached()));
        self.told = reached.collect();
        self.told_at = Some(now);
        self.told.clone()
    }

    /// The same, if it is not what was said before, nor said too recently: devices come and go.
    pub(super) fn news(
        &mut self,
        now: Instant,
        every: Duration,
    ) -> Option<BTreeMap<Name, Reached>> {
        let told_at = self.told_at?;
        let same = |(name, handle): (&Name, &OutboundHandle)| {
            self.told
                .get(name)
                .is_some_and(|told| *told == handle.reached())
        };
        let due = now.saturating_duration_since(told_at) >= every;
        (due && !self.handles.iter().all(same)).then(|| self.reached(now))
    }
}
