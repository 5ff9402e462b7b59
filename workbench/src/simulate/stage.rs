//! Where frames are rehearsed before they are sent: the module's own conversation, without a network.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use edge_tcp_gateway::clock::Clock;
use edge_tcp_gateway::conversation::{
    Action, Conversation, ConversationSettings, Counted, Input, Protocol, Sight,
};
use edge_tcp_gateway::decoding::Trace;
use edge_tcp_gateway::identity::Peer;
use edge_tcp_gateway::message::{Name, Progress, Reading};
use edge_tcp_gateway::pipeline::{Pipeline, Received};
use edge_tcp_gateway::settings::{Presets, Settings};
use serde_json::{Map, Value, json};

/// The protocol's name in the settings of the stage, and the listener's.
const NAME: &str = "simulated";

/// A protocol as a listener uses it.
#[derive(Debug)]
pub struct Stage {
    /// The protocol.
    pub protocol: Arc<Protocol>,
    terms: Arc<ConversationSettings>,
    clock: Clock,
}

/// A frame, and all that the module made of it.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Its bytes on the wire.
    pub wire: Bytes,
    /// The frame before check values were taken out of it.
    pub frame: Bytes,
    /// The frame as it is decoded.
    pub bytes: Bytes,
    /// What it says.
    pub reading: Reading,
    /// How it was read.
    pub trace: Trace,
    /// Which device it is from, if a frame has said so.
    pub id: Option<String>,
    /// Bytes that the gateway answers.
    pub reply: usize,
    /// Messages that come of it.
    pub messages: usize,
    /// The word of the first trouble with it.
    pub trouble: Option<&'static str>,
}

/// What came of a connection.
#[derive(Debug, Default)]
pub struct Rehearsed {
    /// Its frames that were decoded.
    pub heard: Vec<Heard>,
    /// Whether there was trouble before the first of them.
    pub troubled: bool,
    /// Whether the gateway would have closed it.
    pub closed: bool,
}

impl Stage {
    /// The stage of a protocol document, with these `devices` in the settings.
    ///
    /// # Errors
    /// When they are no valid settings.
    pub fn new(document: &Value, devices: &Map<String, Value>) -> anyhow::Result<Self> {
        let settings = json!({
            "listeners": { NAME: { "port": 5000, "protocol": NAME } },
            "protocols": { NAME: document },
            "devices": devices
        });
        let parsed = Settings::parse(&settings, &Presets::built_in());
        let (settings, _) = parsed.map_err(|problems| {
            let problems = problems.as_slice().iter();
            let lines = problems.map(|problem| format!("{}: {}", problem.pointer, problem.message));
            anyhow::anyhow!(lines.collect::<Vec<_>>().join("\n"))
        })?;
        let listener = settings.listeners.get(NAME);
        let listener = listener.ok_or_else(|| anyhow::anyhow!("there is no listener"))?;
        Ok(Stage {
            protocol: Arc::clone(&listener.protocol),
            terms: Arc::new(settings.conversation(listener)),
            clock: Clock::system(),
        })
    }

    /// Plays pieces to a new connection, each when all that follows from the one before is done.
    pub fn rehearse<'b>(&self, pieces: impl IntoIterator<Item = &'b [u8]>) -> Rehearsed {
        let (protocol, terms) = (Arc::clone(&self.protocol), Arc::clone(&self.terms));
        let mut player = Player {
            conversation: Conversation::new(protocol, terms)
                .without_questions()
                .watched(),
            clock: self.clock,
            rehearsed: Rehearsed::default(),
        };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 5000));
        player.step(Input::Opened(Peer::new(address, Name::from(NAME), None)));
        for piece in pieces {
            player.step(Input::Bytes(piece));
        }
        player.rehearsed
    }

    /// What the pipeline makes of bytes that begin a connection. What is left waiting is a half frame:
    /// it would be taken for the beginning of what follows.
    pub fn received(&self, bytes: &[u8]) -> Vec<Received> {
        let mut pipeline = self.pipeline();
        pipeline.push(bytes);
        let mut received = self.all(&mut pipeline);
        if pipeline.buffered() > 0 {
            received.push(Received::HalfFrame {
                count: pipeline.buffered(),
                prefix: Bytes::new(),
            });
        }
        received
    }

    /// What the pipeline makes of bytes that are a whole connection.
    pub fn received_in_all(&self, bytes: &[u8]) -> Vec<Received> {
        let mut pipeline = self.pipeline();
        pipeline.push(bytes);
        let mut received = self.all(&mut pipeline);
        pipeline.end();
        received.extend(self.all(&mut pipeline));
        received
    }

    /// A pipeline of the protocol.
    pub fn pipeline(&self) -> Pipeline {
        let protocol = &self.protocol;
        let checksums = Arc::clone(&protocol.checksums);
        let mut pipeline = Pipeline::new(&protocol.framing, checksums, protocol.on_bad_checksum);
        if let Some(caller) = protocol.caller() {
            pipeline.attach(&caller);
        }
        pipeline
    }

    /// Everything that a pipeline has.
    pub fn all(&self, pipeline: &mut Pipeline) -> Vec<Received> {
        let now = self.clock.now().monotonic;
        std::iter::from_fn(|| pipeline.next(now)).collect()
    }
}

struct Player {
    conversation: Conversation,
    clock: Clock,
    rehearsed: Rehearsed,
}

impl Player {
    /// One input, and all that follows from it: messages are delivered and bytes written at once.
    fn step(&mut self, input: Input<'_>) {
        let mut next = Some(input);
        while let Some(input) = next.take() {
            let mut due = VecDeque::from(self.actions(input));
            while let Some(action) = due.pop_front() {
                if matches!(action, Action::Show(_)) {
                    next = Some(Input::TakenOver);
                }
                if let Some(input) = self.action(action) {
                    due.extend(self.actions(input));
                }
            }
        }
    }

    fn actions(&mut self, input: Input<'_>) -> Vec<Action> {
        let mut actions = Vec::new();
        self.conversation
            .step(self.clock.now(), input, &mut actions);
        actions
    }

    fn action(&mut self, action: Action) -> Option<Input<'static>> {
        let last = self.rehearsed.heard.last_mut();
        match action {
            Action::Submit(ticket, messages, _) => {
                if let Some(heard) = last {
                    heard.messages += messages.len();
                }
                return Some(Input::Progress(ticket, Progress::Delivered));
            }
            Action::Write(bytes) => {
                if let Some(heard) = last {
                    heard.reply += bytes.len();
                }
                return Some(Input::Written(bytes.len()));
            }
            Action::Show(sight) => self.show(*sight),
            Action::Close(_) => self.rehearsed.closed = true,
            Action::Count(counted) if counted.is_trouble() => self.trouble(&counted),
            _ => {}
        }
        None
    }

    fn show(&mut self, sight: Sight) {
        let (Received::Frame { bytes, .. }, Some((reading, trace))) =
            (sight.received, sight.reading)
        else {
            return;
        };
        self.rehearsed.heard.push(Heard {
            wire: sight.seen.wire,
            frame: sight.seen.frame,
            bytes,
            trouble: reading.undecoded.as_ref().map(|_| "undecoded"),
            reading,
            trace,
            id: sight.from.and_then(|from| from.id),
            reply: 0,
            messages: 0,
        });
    }

    fn trouble(&mut self, counted: &Counted) {
        match self.rehearsed.heard.last_mut() {
            Some(heard) => {
                heard.trouble.get_or_insert(counted.word());
            }
            None => self.rehearsed.troubled = true,
        }
    }
}
