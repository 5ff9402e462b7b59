//! Commands that come as messages to the input `commands`.
//!
//! edgeHub sends one message at a time and the next one after the PUBACK; without it within 30 s the
//! same one again, and again after a reconnect. So a message is acknowledged as soon as its command
//! stands in the journal, and a message id that is known is never executed again. Where the journal
//! takes nothing, a message is acknowledged at its outcome.

use std::collections::HashMap;

use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::arguments::{self, Form};
use super::reports::{Reporter, Teller};
use super::results::Answer;
use super::{Commands, INPUT};
use crate::journal::{Accepted, Book, Found, Journal, Keeper, Record, State, Store};
use crate::message::Name;
use crate::northbound::{DeliveryId, InputMessage, Outgoing};
use crate::outbox::Submitter;

/// The longest id that anything is remembered by; IoT Hub takes 128.
const MOST_ID: usize = 256;

/// What is told of a command that an earlier run has accepted.
const RESTARTED: &str =
    "the module was restarted before the outcome; whether it was done is not known";

/// The way in by messages.
#[derive(Debug)]
pub(super) struct Door {
    commands: Commands,
    journal: Option<Journal>,
    teller: Teller,
    outgoing: mpsc::Sender<Outgoing>,
    /// What was under way when an earlier run ended.
    found: Vec<State>,
    /// Ids that are known, and whether their commands are done.
    seen: Book,
    running: JoinSet<()>,
    under_way: HashMap<Id, UnderWay>,
}

/// A command between its acceptance and its outcome.
#[derive(Debug)]
struct UnderWay {
    accepted: Accepted,
    /// What is acknowledged at its outcome, because the journal does not have it.
    deliveries: Vec<DeliveryId>,
}

impl Door {
    /// A way in over a journal, the task that keeps the journal, and the one that tells results.
    pub fn new(
        commands: Commands,
        journal: Option<(Store, Found)>,
        (submitter, module): (Submitter, Name),
        outgoing: mpsc::Sender<Outgoing>,
    ) -> (Self, Option<Keeper>, Reporter) {
        let (seen, found) = journal
            .as_ref()
            .map_or_else(Default::default, |(store, found)| {
                (store.book().clone(), found.open.clone())
            });
        let metrics = commands.metrics.clone();
        let (journal, keeper) = journal
            .map(|(store, _)| Journal::new(store, metrics.clone()))
            .unzip();
        let (teller, reporter) = Teller::new(journal.clone(), (submitter, module), metrics);
        let door = Door {
            commands,
            journal,
            teller,
            outgoing,
            found,
            seen,
            running: JoinSet::new(),
            under_way: HashMap::new(),
        };
        (door, keeper, reporter)
    }

    /// Tells what an earlier run has left, then takes messages until it is asked to stop; ends when
    /// every command that it has taken has its outcome.
    pub async fn run(
        mut self,
        mut inputs: mpsc::Receiver<InputMessage>,
        shutdown: CancellationToken,
    ) {
        let found = std::mem::take(&mut self.found);
        let told = tokio::select! {
            biased;
            () = tell_found(&self.teller, found) => true,
            () = shutdown.cancelled() => false,
        };
        if told {
            self.take_all(&mut inputs, &shutdown).await;
        }
        while let Some(ended) = self.running.join_next_with_id().await {
            self.ended(ended).await;
        }
    }

    async fn take_all(
        &mut self,
        inputs: &mut mpsc::Receiver<InputMessage>,
        shutdown: &CancellationToken,
    ) {
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                Some(ended) = self.running.join_next_with_id() => self.ended(ended).await,
                message = inputs.recv() => match message {
                    Some(message) => self.take(message).await,
                    None => return,
                },
            }
        }
    }

    async fn take(&mut self, message: InputMessage) {
        let metrics = &self.commands.metrics;
        if message.input != INPUT {
            metrics.input("other_input");
            let now = self.commands.clock.now().monotonic;
            let allowed = self
                .commands
                .throttle
                .allows("other_input", &message.input, now);
            if let Some(held_back) = allowed {
                let input = &message.input;
                tracing::warn!(
                    input,
                    held_back,
                    "a route leads into an input that the module does not have; commands go into \"{INPUT}\""
                );
            }
            return self.acknowledge(message.delivery).await;
        }
        let id = message.message_id().filter(|id| id.len() <= MOST_ID);
        if let Some(id) = id.filter(|id| self.seen.knows(id)) {
            metrics.input("duplicate");
            // While its command is not safe it is acknowledged with the first one.
            let mut under_way = self.under_way.values_mut();
            let same = under_way.find(|one| one.accepted.id == id && !one.deliveries.is_empty());
            match same {
                Some(same) => same.deliveries.push(message.delivery),
                None => self.acknowledge(message.delivery).await,
            }
            return;
        }
        metrics.input(if id.is_some() {
            "accepted"
        } else {
            "without_id"
        });
        let accepted = accepted(id, &message);
        self.begin(accepted, message).await;
    }

    /// Accepts a command, and begins to carry it out.
    async fn begin(&mut self, accepted: Accepted, message: InputMessage) {
        let record = Record::Accepted(accepted.clone());
        self.seen.take(&record);
        let mut deliveries = Vec::new();
        if self.is_safe(record).await {
            self.acknowledge(message.delivery).await;
        } else {
            deliveries.push(message.delivery);
        }
        let under_way = UnderWay {
            accepted: accepted.clone(),
            deliveries,
        };
        let Some(place) = self.commands.place() else {
            self.teller.tell(&accepted, Answer::full()).await;
            return self.done(under_way).await;
        };
        let (commands, teller) = (self.commands.clone(), self.teller.clone());
        let task = self.running.spawn(async move {
            let answer = match arguments::read(&message.payload, Form::Either) {
                Ok(command) => commands.carry_out(command).await,
                Err(mistakes) => Answer::invalid(&mistakes),
            };
            teller.tell(&accepted, answer).await;
            drop(place);
        });
        self.under_way.insert(task.id(), under_way);
    }

    /// Whether the journal has it now.
    async fn is_safe(&self, record: Record) -> bool {
        let Some(journal) = &self.journal else {
            self.commands.metrics.input("not_safe");
            return false;
        };
        let Err(error) = journal.force(record).await else {
            return true;
        };
        self.commands.metrics.input("not_safe");
        let now = self.commands.clock.now().monotonic;
        if let Some(held_back) = self.commands.throttle.allows("journal", "", now) {
            tracing::error!(
                error,
                held_back,
                "the journal of commands cannot be written: messages to the input \"{INPUT}\" are acknowledged at their outcome, and after a restart they are executed again if they had none; make room in the storage directory"
            );
        }
        false
    }

    async fn ended(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = match &ended {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        let Some(under_way) = self.under_way.remove(&id) else {
            return;
        };
        if let Err(error) = ended {
            tracing::error!(%error, "a command ended by a defect of the module; please report it");
            let answer = Answer::interrupted(None, "a defect of the module");
            self.teller.tell(&under_way.accepted, answer).await;
        }
        self.done(under_way).await;
    }

    async fn done(&mut self, under_way: UnderWay) {
        self.seen.take(&Record::Reported(under_way.accepted.id));
        for delivery in under_way.deliveries {
            self.acknowledge(delivery).await;
        }
    }

    async fn acknowledge(&self, delivery: DeliveryId) {
        let acknowledge = Outgoing::Acknowledge(delivery);
        if self.outgoing.send(acknowledge).await.is_err() {
            tracing::debug!("nobody is left to acknowledge a message to");
        }
    }
}

fn accepted(id: Option<&str>, message: &InputMessage) -> Accepted {
    let own = || format!("unnamed-{:016x}", fastrand::u64(..));
    let correlation = message.correlation_id().or(id);
    Accepted {
        id: id.map_or_else(own, str::to_owned),
        nameless: id.is_none(),
        correlation: correlation.map(|text| text.chars().take(MOST_ID).collect()),
        device: arguments::device_of(&message.payload),
    }
}

/// Tells the outcome of what an earlier run has accepted: the one that it had, or that nobody knows.
async fn tell_found(teller: &Teller, found: Vec<State>) {
    let interrupted = found
        .iter()
        .filter(|state| matches!(state, State::Accepted(_)))
        .count();
    if interrupted > 0 {
        tracing::warn!(
            commands = interrupted,
            "commands were under way when the module ended; they are reported as interrupted and not executed again"
        );
    }
    for state in found {
        match state {
            State::Accepted(accepted) => {
                let answer = Answer::interrupted(accepted.device.as_deref(), RESTARTED);
                teller.tell(&accepted, answer).await;
            }
            State::Ended(accepted, result) => teller.tell_again(&accepted, result).await,
            State::Reported => {}
        }
    }
}
