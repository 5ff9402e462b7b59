//! The command door: from a direct method, or a message to the input `commands`, to the device's
//! conversation and back, with a true outcome.
//!
//! Both ways in lead to the same `Commands::carry_out`. A method gets its outcome as its answer; a
//! message is acknowledged when its command is accepted, and its outcome is a message of the output
//! `commandResults`.

mod arguments;
mod carry_out;
mod inputs;
mod operate;
mod reports;
mod results;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use bytes::Bytes;
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::document::unknown_word;
use crate::identity::DeviceMap;
use crate::journal::{Found, Store};
use crate::message::{COMMANDS_INPUT as INPUT, Name, Text};
use crate::northbound::{InputMessage, Outgoing};
use crate::ops::logging::Throttle;
use crate::ops::metrics::Metrics;
use crate::outbox::Submitter;
use crate::registry::Registry;

use arguments::Form;
use results::Answer;

/// Commands under way at once, through all doors; one more is answered `busy`.
pub const MOST_COMMANDS: usize = 1024;
/// What can be called.
const METHODS: [&str; 6] = [
    "send",
    "command",
    "devices",
    "connections",
    "disconnect",
    "status",
];

/// A direct method that the cloud invoked.
#[derive(Debug)]
pub struct MethodCall {
    /// Its name.
    pub name: String,
    /// JSON, or nothing.
    pub payload: Bytes,
    /// What the answer is given back with.
    pub rid: String,
}

/// What the gateway tells the command door.
#[derive(Debug)]
pub struct Told {
    /// Which device is which.
    pub devices: ArcSwap<DeviceMap>,
    /// The devices that are dialled, connected or not.
    pub dialled: ArcSwap<BTreeSet<Name>>,
    /// The units that entries of the settings name.
    pub units: ArcSwap<BTreeSet<Text>>,
    /// Whether `send` is allowed.
    pub allow_raw: AtomicBool,
    /// What the reported properties say.
    pub report: ArcSwap<Value>,
}

impl Default for Told {
    fn default() -> Self {
        Told {
            devices: ArcSwap::default(),
            dialled: ArcSwap::default(),
            units: ArcSwap::default(),
            allow_raw: AtomicBool::new(true),
            report: ArcSwap::default(),
        }
    }
}

/// The channels of the command door.
#[derive(Debug)]
pub struct Channels {
    /// Direct methods. The door ends when no more can come.
    pub calls: mpsc::Receiver<MethodCall>,
    /// Messages to inputs.
    pub inputs: mpsc::Receiver<InputMessage>,
    /// Answers and acknowledgements, to the link.
    pub outgoing: mpsc::Sender<Outgoing>,
    /// The way of results to the spool.
    pub submitter: Submitter,
    /// The request to stop: nothing is begun after it.
    pub shutdown: CancellationToken,
}

/// Carries out commands.
#[derive(Clone, Debug)]
pub struct Commands {
    registry: Registry,
    told: Arc<Told>,
    metrics: Metrics,
    throttle: Throttle,
    clock: Clock,
    /// Places for commands under way.
    room: Arc<Semaphore>,
    /// What is under way has to end now.
    interrupt: CancellationToken,
    started: Instant,
}

impl Commands {
    /// A command door to the devices of a registry.
    pub fn new(
        registry: Registry,
        told: Arc<Told>,
        metrics: Metrics,
        throttle: Throttle,
        clock: Clock,
    ) -> Self {
        Commands {
            registry,
            told,
            metrics,
            throttle,
            clock,
            room: Arc::new(Semaphore::new(MOST_COMMANDS)),
            interrupt: CancellationToken::new(),
            started: clock.now().monotonic,
        }
    }

    /// Answers until no more methods can come; then ends what is under way. Commands that come as
    /// messages are kept in `journal`, with what it had at the start; their results are from the
    /// device `module` where they are about none.
    pub async fn run(self, channels: Channels, journal: Option<(Store, Found)>, module: Name) {
        let Channels {
            calls,
            inputs,
            outgoing,
            submitter,
            shutdown,
        } = channels;
        let (door, keeper, reporter) =
            inputs::Door::new(self.clone(), journal, (submitter, module), outgoing.clone());
        let methods = self.methods(calls, outgoing, shutdown.clone());
        let kept = async {
            if let Some(keeper) = keeper {
                keeper.run().await;
            }
        };
        tokio::join!(
            methods,
            Box::pin(door.run(inputs, shutdown)),
            Box::pin(reporter.run()),
            kept
        );
    }

    async fn methods(
        self,
        mut calls: mpsc::Receiver<MethodCall>,
        outgoing: mpsc::Sender<Outgoing>,
        shutdown: CancellationToken,
    ) {
        let mut running = JoinSet::new();
        loop {
            tokio::select! {
                call = calls.recv() => match call {
                    Some(call) if shutdown.is_cancelled() => self.say(call.rid, Answer::stopping(), &outgoing).await,
                    Some(call) => match self.place() {
                        Some(place) => {
                            let (door, outgoing) = (self.clone(), outgoing.clone());
                            running.spawn(async move {
                                let answer = door.answer(&call).await;
                                door.say(call.rid, answer, &outgoing).await;
                                drop(place);
                            });
                        }
                        None => self.say(call.rid, Answer::full(), &outgoing).await,
                    },
                    None => break,
                },
                Some(ended) = running.join_next() => if let Err(error) = ended {
                    tracing::error!(%error, "a command ended by a defect of the module; please report it");
                },
            }
        }
        self.interrupt.cancel();
        while running.join_next().await.is_some() {}
    }

    /// A place for one more command; it is free again when what is given is dropped.
    fn place(&self) -> Option<Place> {
        let permit = Arc::clone(&self.room).try_acquire_owned().ok()?;
        let place = Place {
            permit: Some(permit),
            door: self.clone(),
        };
        self.show_room();
        Some(place)
    }

    fn show_room(&self) {
        let taken = MOST_COMMANDS.saturating_sub(self.room.available_permits());
        self.metrics.rooms().methods.set(taken, MOST_COMMANDS);
    }

    async fn answer(&self, call: &MethodCall) -> Answer {
        match call.name.as_str() {
            "send" => self.asked_for(&call.payload, Form::Send).await,
            "command" => self.asked_for(&call.payload, Form::Command).await,
            "devices" => self.devices(&call.payload),
            "connections" => self.connections(&call.payload),
            "disconnect" => self.disconnect(&call.payload),
            "status" => self.status(&call.payload),
            name => Answer::unknown_method(unknown_word("method", name, &METHODS)),
        }
    }

    async fn asked_for(&self, payload: &[u8], form: Form) -> Answer {
        match arguments::read(payload, form) {
            Ok(command) => self.carry_out(command).await,
            Err(mistakes) => Answer::invalid(&mistakes),
        }
    }

    async fn say(&self, rid: String, answer: Answer, outgoing: &mpsc::Sender<Outgoing>) {
        self.metrics.command("method", answer.outcome);
        let response = Outgoing::MethodResponse {
            rid,
            status: answer.status,
            payload: answer.payload.into(),
        };
        if outgoing.send(response).await.is_err() {
            tracing::debug!("nobody is left to hear a command's outcome");
        }
    }

    fn allows_raw(&self) -> bool {
        self.told.allow_raw.load(Ordering::Relaxed)
    }
}

/// One command's place among those under way.
#[derive(Debug)]
struct Place {
    permit: Option<tokio::sync::OwnedSemaphorePermit>,
    door: Commands,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.permit = None;
        self.door.show_room();
    }
}
