//! The entries of `outbound` that the settings want.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::message::Name;
use crate::report::Reached;
use crate::settings::{OutboundPlan, Settings};
use crate::southbound::{OutboundHandle, OutboundTask, OutboundTerms, South};

/// What many devices come to at once is told together.
const SOON: Duration = Duration::from_secs(1);

/// What the gateway holds of them.
#[derive(Debug, Default)]
pub(super) struct Dialling {
    handles: BTreeMap<Name, OutboundHandle>,
    /// Notified by every entry of which there is something new.
    news: Arc<Notify>,
    /// When what is new is looked at.
    look_at: Option<Instant>,
    told: Told,
}

/// How all entries are.
type All = BTreeMap<Name, Reached>;

/// What was told of them.
#[derive(Debug, Default)]
struct Told {
    all: All,
    at: Option<Instant>,
    /// When something was told sooner than `every` allows.
    soon_at: Option<Instant>,
}

impl Told {
    /// Whether it is time to tell how they are now: at most once in `every`, since devices come and
    /// go. What an operator waits for is told soon: what became of the first attempts, and, once
    /// more in `every`, that all devices of an entry are connected, or none of them any more.
    fn is_due(&self, now: Instant, every: Duration, all: &All) -> bool {
        let passed =
            |at: Option<Instant>| at.is_none_or(|at| now.saturating_duration_since(at) >= every);
        let turned = || {
            self.differs(all, |told, reached| {
                whole(told) != whole(reached) && whole(reached).is_some()
            })
        };
        match self.all == *all {
            true => false,
            false => passed(self.at) || self.is_first(all) || passed(self.soon_at) && turned(),
        }
    }

    fn is_first(&self, all: &All) -> bool {
        self.differs(all, |told, reached| reached.tried && !told.tried)
    }

    fn differs(&self, all: &All, how: impl Fn(&Reached, &Reached) -> bool) -> bool {
        let told = |name| self.all.get(name);
        all.iter()
            .any(|(name, reached)| told(name).is_none_or(|told| how(told, reached)))
    }

    fn note(&mut self, now: Instant, every: Duration, all: All) {
        let early = self
            .at
            .is_some_and(|at| now.saturating_duration_since(at) < every);
        if early && !self.is_first(&all) {
            self.soon_at = Some(now);
        }
        self.at = Some(now);
        self.all = all;
    }
}

/// Whether all devices of an entry are connected, or none; `None` where it is only some.
fn whole(reached: &Reached) -> Option<bool> {
    match reached.connected {
        connected if connected == reached.of => Some(true),
        0 => Some(false),
        _ => None,
    }
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
        let (handle, task) =
            OutboundTask::new(terms, Arc::clone(place.south), Arc::clone(&self.news));
        self.handles.insert(Name::clone(name), handle);
        let (name, shutdown) = (Name::clone(name), place.shutdown.clone());
        place.tasks.spawn(async move {
            task.run(shutdown).await;
            name
        });
    }

    /// How all entries are now, of which some may just have begun.
    pub(super) fn reached(&mut self, now: Instant) -> All {
        let all = self.now();
        self.told.at = Some(now);
        self.told.all = all.clone();
        all
    }

    /// The same, if it is not what was said before, and may be said now.
    pub(super) fn news(&mut self, now: Instant, every: Duration) -> Option<All> {
        let all = self.now();
        if !self.told.is_due(now, every, &all) {
            return None;
        }
        self.told.note(now, every, all.clone());
        Some(all)
    }

    /// Waits until there may be something to say of them. May be dropped and called again.
    pub(super) async fn have_news(&mut self, clock: Clock) {
        let at = match self.look_at {
            Some(at) => at,
            None => {
                self.news.notified().await;
                *self.look_at.insert(clock.now().monotonic + SOON)
            }
        };
        tokio::time::sleep_until(at.into()).await;
        self.look_at = None;
    }

    fn now(&self) -> All {
        let handles = self.handles.iter();
        let all = handles.map(|(name, handle)| (Name::clone(name), handle.reached()));
        all.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(30);

    /// An entry's state in a few letters: `1/2`, `?0/2` where not all have been tried.
    fn reached(text: &str) -> Reached {
        let (tried, numbers) = match text.strip_prefix('?') {
            Some(rest) => (false, rest),
            None => (true, text),
        };
        let (connected, of) = numbers.split_once('/').unwrap();
        Reached {
            connected: connected.parse().unwrap(),
            of: of.parse().unwrap(),
            tried,
            error: None,
        }
    }

    /// What is told of such a course: `settings` at 0 s, then how entries are at which second.
    fn told(course: &[(u64, &[&str], bool)]) {
        let start = Clock::system().now().monotonic;
        let mut told = Told::default();
        let all = |states: &[&str]| -> All {
            let states = states.iter().zip('a'..);
            states
                .map(|(state, name)| (name.to_string().into(), reached(state)))
                .collect()
        };
        for (number, (second, states, expected)) in course.iter().enumerate() {
            let now = start + Duration::from_secs(*second);
            let all = all(states);
            if number == 0 {
                told.at = Some(now);
                told.all = all;
                continue;
            }
            let due = told.is_due(now, EVERY, &all);
            assert_eq!(due, *expected, "at {second} s: {states:?}");
            if due {
                told.note(now, EVERY, all);
            }
        }
    }

    #[test]
    fn what_becomes_of_the_first_attempts_is_told_soon() {
        told(&[
            (0, &["?0/1"], true),
            (1, &["1/1"], true),
            (2, &["1/1"], false),
        ]);
        told(&[
            (0, &["?0/3", "?0/1"], true),
            (1, &["?1/3", "?0/1"], false),
            (2, &["?2/3", "0/1"], true),
            (3, &["2/3", "0/1"], true),
            (4, &["2/3", "1/1"], true),
        ]);
    }

    #[test]
    fn that_all_or_none_are_connected_is_told_soon_once_and_all_else_at_most_every_30_seconds() {
        told(&[
            (0, &["?0/2"], true),
            (1, &["2/2"], true),
            (10, &["1/2"], false),
            (11, &["0/2"], true),
            (12, &["1/2"], false),
            (13, &["2/2"], false),
            (40, &["2/2"], false),
            (41, &["2/2"], true),
            (60, &["0/2"], true),
            (80, &["2/2"], false),
            (90, &["2/2"], true),
            (119, &["1/2"], false),
            (120, &["1/2"], true),
        ]);
    }
}
