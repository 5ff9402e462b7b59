//! The command door: from a direct method to the device's conversation and back, with a true outcome.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::conversation::{Asked, Outcome, Request};
use crate::document::{Problems, Section, unknown_word};
use crate::identity::DeviceMap;
use crate::inbox::NotTaken;
use crate::northbound::Outgoing;
use crate::notation;
use crate::ops::metrics::Metrics;
use crate::registry::Registry;

/// Commands under way at once; one more is answered `busy`.
const MOST_COMMANDS: usize = 256;
/// What a caller waits without saying so; edgeHub's callers wait 30 s.
const DEFAULT_MS: u32 = 25_000;
/// edgeHub lets no caller wait longer.
const MOST_MS: u32 = 300_000;

/// A direct method that the cloud invoked.
#[derive(Debug)]
pub struct MethodCall {
    /// Its name.
    pub name: String,
    /// JSON, or nothing.
    pub payload: bytes::Bytes,
    /// What the answer is given back with.
    pub rid: String,
}

/// Arguments of the method `send`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SendArguments {
    /// Name of the device.
    device: String,
    /// What is written, in the byte notation: `"T\r\n"` or `"0x 54 0d 0a"`.
    bytes: String,
    /// How long it may take, in milliseconds.
    #[serde(default = "default_ms")]
    within_ms: u32,
}

fn default_ms() -> u32 {
    DEFAULT_MS
}

/// The answer to a method: a status as in HTTP, and what happened.
#[derive(Debug, PartialEq)]
struct Answer {
    status: u16,
    outcome: &'static str,
    payload: Value,
}

/// Carries out commands.
#[derive(Clone, Debug)]
pub struct Commands {
    registry: Registry,
    devices: Arc<ArcSwap<DeviceMap>>,
    metrics: Metrics,
    clock: Clock,
}

impl Commands {
    /// A command door to the devices of a registry.
    pub fn new(
        registry: Registry,
        devices: Arc<ArcSwap<DeviceMap>>,
        metrics: Metrics,
        clock: Clock,
    ) -> Self {
        Commands {
            registry,
            devices,
            metrics,
            clock,
        }
    }

    /// Answers calls until no more can come; then ends what is under way.
    pub async fn run(
        self,
        mut calls: mpsc::Receiver<MethodCall>,
        outgoing: mpsc::Sender<Outgoing>,
    ) {
        let mut running = JoinSet::new();
        loop {
            let under_way = &self.metrics.rooms().methods;
            under_way.set(running.len(), MOST_COMMANDS);
            tokio::select! {
                call = calls.recv() => match call {
                    Some(call) if running.len() < MOST_COMMANDS => {
                        running.spawn(self.clone().answer(call, outgoing.clone()));
                    }
                    Some(call) => self.say(call.rid, busy("too many commands are under way"), &outgoing).await,
                    None => return,
                },
                Some(ended) = running.join_next() => if let Err(error) = ended {
                    tracing::error!(%error, "a command ended by a defect of the module; please report it");
                },
            }
        }
    }

    async fn answer(self, call: MethodCall, outgoing: mpsc::Sender<Outgoing>) {
        let answer = match call.name.as_str() {
            "send" => self.send(&call.payload).await,
            name => Answer {
                status: 404,
                outcome: "unknownMethod",
                payload: json!({ "outcome": "unknownMethod", "detail": unknown_word("method", name, &["send"]) }),
            },
        };
        self.say(call.rid, answer, &outgoing).await;
    }

    async fn say(&self, rid: String, answer: Answer, outgoing: &mpsc::Sender<Outgoing>) {
        self.metrics.command(answer.outcome);
        let response = Outgoing::MethodResponse {
            rid,
            status: answer.status,
            payload: answer.payload,
        };
        if outgoing.send(response).await.is_err() {
            tracing::debug!("nobody is left to hear a command's outcome");
        }
    }

    async fn send(&self, payload: &[u8]) -> Answer {
        let (arguments, bytes) = match read(payload) {
            Ok(read) => read,
            Err(detail) => return invalid(&detail),
        };
        let device = arguments.device.as_str();
        let Some(inbox) = self.registry.find(device) else {
            return if self.registry.has_seen(device) || self.devices.load().has_name(device) {
                away(device, 0)
            } else {
                unknown(device)
            };
        };
        let (answer, outcome) = oneshot::channel();
        let within = Duration::from_millis(arguments.within_ms.into());
        let Some(deadline) = self.clock.now().monotonic.checked_add(within) else {
            return invalid("withinMs is too far away");
        };
        match inbox.command(
            Request {
                device: device.into(),
                what: Asked::Raw {
                    bytes: bytes.into(),
                    answer: None,
                },
                deadline,
            },
            answer,
        ) {
            Ok(()) => result(device, outcome.await),
            Err(NotTaken::Full) => busy("too many commands wait for this device"),
            Err(NotTaken::Ended) => away(device, 0),
        }
    }
}

/// Reads the arguments; all mistakes in one text.
fn read(payload: &[u8]) -> Result<(SendArguments, Vec<u8>), String> {
    let payload: Value = serde_json::from_slice(payload)
        .map_err(|error| format!("the payload is no JSON: {error}"))?;
    let mut problems = Problems::new();
    let section = Section::root(&payload);
    let arguments: Option<SendArguments> = section.read(&[], &mut problems);
    let bytes = arguments
        .as_ref()
        .map(|arguments| notation::bytes(&arguments.bytes));
    if let Some(Err(error)) = &bytes {
        problems.notation(&section, "bytes", error.clone());
    }
    if arguments
        .as_ref()
        .is_some_and(|arguments| !(1..=MOST_MS).contains(&arguments.within_ms))
    {
        problems.member(&section, "withinMs", format!("expected 1 to {MOST_MS}"));
    }
    match (arguments, bytes) {
        (Some(_), Some(Ok(bytes))) if bytes.is_empty() => {
            Err("/bytes: expected at least one byte".into())
        }
        (Some(arguments), Some(Ok(bytes))) if problems.is_empty() => Ok((arguments, bytes)),
        _ => Err(problems
            .as_slice()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("; ")),
    }
}

fn result(device: &str, outcome: Result<Outcome, oneshot::error::RecvError>) -> Answer {
    match outcome {
        Ok(Outcome::Sent { written }) => done(200, "sent", device, written),
        Ok(Outcome::TimedOut { written }) => done(504, "timedOut", device, written),
        Ok(Outcome::NotConnected { written }) => away(device, written),
        Ok(Outcome::Busy(detail)) => busy(detail),
        Ok(Outcome::Invalid(detail)) => invalid(&detail),
        Ok(Outcome::Interrupted { written }) => done(503, "interrupted", device, written),
        Ok(Outcome::Answered(answer)) => done(200, "answered", device, answer.written),
        Ok(Outcome::Refused(answer)) => done(422, "refused", device, answer.written),
        // The connection ended without a word: nothing is known to have been written.
        Err(_) => away(device, 0),
    }
}

fn done(status: u16, outcome: &'static str, device: &str, written: usize) -> Answer {
    Answer {
        status,
        outcome,
        payload: json!({ "outcome": outcome, "device": device, "written": written }),
    }
}

fn away(device: &str, written: usize) -> Answer {
    done(409, "notConnected", device, written)
}

fn unknown(device: &str) -> Answer {
    done(404, "unknownDevice", device, 0)
}

fn busy(detail: &str) -> Answer {
    Answer {
        status: 429,
        outcome: "busy",
        payload: json!({ "outcome": "busy", "detail": detail }),
    }
}

fn invalid(detail: &str) -> Answer {
    let payload = json!({ "outcome": "invalidArguments", "detail": detail });
    Answer {
        status: 400,
        outcome: "invalidArguments",
        payload,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbox::Inbox;

    fn commands() -> Commands {
        let devices = Arc::new(ArcSwap::from_pointee(DeviceMap::default()));
        Commands::new(
            Registry::default(),
            devices,
            Metrics::default(),
            Clock::system(),
        )
    }

    async fn status(commands: &Commands, payload: Value) -> (u16, String) {
        let answer = commands.send(payload.to_string().as_bytes()).await;
        (answer.status, answer.payload.to_string())
    }

    #[tokio::test]
    async fn wrong_arguments_are_named_all_at_once() {
        let (code, text) = status(
            &commands(),
            json!({"devise": "x", "bytes": "0x 1", "withinMs": 0}),
        )
        .await;
        assert_eq!(code, 400);
        for part in ["devise", "device"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let (code, text) = status(
            &commands(),
            json!({"device": "x", "bytes": "0x 1", "withinMs": 0}),
        )
        .await;
        assert_eq!(code, 400);
        assert!(
            text.contains("/bytes column") && text.contains("/withinMs"),
            "{text}"
        );
        assert_eq!(commands().send(b"").await.status, 400);
    }

    #[tokio::test]
    async fn a_device_never_heard_of_is_unknown_and_one_that_left_is_not_connected() {
        let commands = commands();
        let call = json!({"device": "scale-1", "bytes": "T\r\n"});
        assert_eq!(status(&commands, call.clone()).await.0, 404);
        let inbox = Inbox::default();
        commands.registry.bind(&"scale-1".into(), &inbox);
        commands.registry.unbind(&"scale-1".into(), &inbox, None);
        assert_eq!(status(&commands, call.clone()).await.0, 409);
        commands.registry.bind(&"scale-1".into(), &inbox);
        inbox.end();
        assert_eq!(status(&commands, call).await.0, 409);
    }

    #[tokio::test]
    async fn every_outcome_of_the_conversation_has_its_own_status() {
        for (outcome, expected, word) in [
            (Outcome::Sent { written: 3 }, 200, "sent"),
            (Outcome::TimedOut { written: 1 }, 504, "timedOut"),
            (Outcome::NotConnected { written: 0 }, 409, "notConnected"),
            (Outcome::Busy("many"), 429, "busy"),
        ] {
            let commands = commands();
            let inbox = Inbox::default();
            commands.registry.bind(&"scale-1".into(), &inbox);
            let connection = async {
                let (request, answer) = inbox.take().await.commands.pop_front().unwrap();
                assert!(matches!(request.what, Asked::Raw { bytes, .. } if bytes == "T\r\n"));
                answer.send(outcome).unwrap();
            };
            let call = status(&commands, json!({"device": "scale-1", "bytes": "T\r\n"}));
            let ((code, text), ()) = tokio::join!(call, connection);
            assert_eq!(code, expected);
            assert!(text.contains(word), "{text}");
        }
    }
}
