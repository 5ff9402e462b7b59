//! Plays bytes to a protocol as a connection would, and notes what comes of each frame.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use edge_tcp_gateway::clock::Clock;
use edge_tcp_gateway::conversation::{
    Action, Conversation, ConversationSettings, Counted, End, Input, Protocol,
};
use edge_tcp_gateway::identity::Peer;
use edge_tcp_gateway::message::{self, Message, Now, Progress, Reading};
use edge_tcp_gateway::pipeline::{Pipeline, Received};
use edge_tcp_gateway::settings::{Presets, Settings};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::golden::{Frame, Part, shown};

/// The peer of every stream; a device of this name is left out of what is seen.
const ADDRESS: &str = "10.0.0.7";
/// The gateway's clock, which replies can say.
const CLOCK: &str = "2026-01-31T12:00:00Z";

/// A protocol as a listener uses it.
pub struct Subject {
    pub protocol: Arc<Protocol>,
    terms: Arc<ConversationSettings>,
    now: Now,
}

/// What came of a stream.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Seen {
    pub frames: Vec<Frame>,
    /// All replies in a row.
    pub replies: String,
    pub skipped: usize,
    pub troubles: Vec<String>,
    pub closed: Option<String>,
}

impl Subject {
    /// The protocol that a document describes, with these `devices` in the settings.
    pub fn new(name: &str, document: &Value, devices: &Map<String, Value>) -> Self {
        let settings = json!({
            "listeners": {"listener": {"port": 5000, "protocol": "pack"}},
            "protocols": {"pack": document},
            "devices": devices
        });
        let (settings, warnings) = Settings::parse(&settings, &Presets::built_in())
            .unwrap_or_else(|problems| panic!("protocols/{name}: {:#?}", problems.as_slice()));
        assert!(warnings.is_empty(), "protocols/{name}: {warnings:#?}");
        let listener = &settings.listeners["listener"];
        Subject {
            protocol: Arc::clone(&listener.protocol),
            terms: Arc::new(settings.conversation(listener)),
            now: Now {
                monotonic: Clock::system().now().monotonic,
                utc: CLOCK.parse().expect("a time"),
            },
        }
    }

    pub fn now(&self) -> Instant {
        self.now.monotonic
    }

    /// What comes of bytes that arrive in these pieces. Messages are delivered and replies written
    /// at once; in the end the device closes.
    pub fn play<'b>(&self, pieces: impl IntoIterator<Item = &'b [u8]>) -> Seen {
        let mut player = Player::new(self);
        player.step(Input::Opened(Peer::new(
            format!("{ADDRESS}:4000").parse().expect("an address"),
            "listener".into(),
            None,
        )));
        for piece in pieces {
            player.pipeline.push(piece);
            player.receive();
            player.step(Input::Bytes(piece));
        }
        player.pipeline.end();
        player.receive();
        player.ended = true;
        player.step(Input::End(End::Fin));
        player.seen()
    }

    /// A pipeline of the protocol.
    pub fn pipeline(&self) -> Pipeline {
        let checksums = Arc::clone(&self.protocol.checksums);
        Pipeline::new(
            &self.protocol.framing,
            checksums,
            self.protocol.on_bad_checksum,
        )
    }

    /// Frames that are accepted.
    pub fn accepted(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut pipeline = self.pipeline();
        pipeline.push(bytes);
        let mut accepted = Vec::new();
        for ended in [false, true] {
            if ended {
                pipeline.end();
            }
            while let Some(received) = pipeline.next(self.now()) {
                if let Received::Frame {
                    bytes,
                    checksum_ok: true,
                    ..
                } = received
                {
                    accepted.push(bytes.to_vec());
                }
            }
        }
        accepted
    }
}

/// A frame as the pipeline and the decoder see it.
struct Cut {
    frame: Frame,
    /// The frame as an undecoded one says it.
    raw: String,
    /// It is passed on although its checksum is wrong.
    flagged: bool,
    /// It makes a message of each element of a list.
    split: bool,
}

struct Player<'a> {
    subject: &'a Subject,
    conversation: Conversation,
    /// Beside the conversation: it says which frames there are and how they read.
    pipeline: Pipeline,
    cuts: VecDeque<Cut>,
    seen: Seen,
    /// What the last frame of `seen` was cut as, until all is known of it.
    cut: Option<Cut>,
    replies: Vec<u8>,
    /// Replies of the last frame.
    reply: Vec<u8>,
    /// The device that the connection is, where it logs in.
    bound: Option<String>,
    ended: bool,
}

impl<'a> Player<'a> {
    fn new(subject: &'a Subject) -> Self {
        Player {
            subject,
            conversation: Conversation::new(
                Arc::clone(&subject.protocol),
                Arc::clone(&subject.terms),
            )
            .without_questions(),
            pipeline: subject.pipeline(),
            cuts: VecDeque::new(),
            seen: Seen::default(),
            cut: None,
            replies: Vec::new(),
            reply: Vec::new(),
            bound: None,
            ended: false,
        }
    }

    fn seen(mut self) -> Seen {
        self.close_frame();
        self.seen.replies = shown(&self.replies);
        self.seen
    }

    fn receive(&mut self) {
        while let Some(received) = self.pipeline.next(self.subject.now()) {
            let (bytes, body, good) = match received {
                Received::Frame {
                    bytes,
                    body,
                    checksum_ok,
                } => (bytes, Some(body), checksum_ok),
                Received::BadChecksum { bytes, .. } => (bytes, None, false),
                _ => continue,
            };
            let reading = body.map(|body| {
                let frame = message::Frame {
                    bytes: &bytes,
                    body,
                };
                self.subject.protocol.decoder.decode(frame)
            });
            self.cuts.push_back(Cut {
                frame: Frame {
                    frame: shown(&bytes),
                    bad_checksum: !good,
                    ..reading.as_ref().map(read).unwrap_or_default()
                },
                raw: message::base64(&bytes),
                flagged: reading.is_some() && !good,
                split: reading.is_some_and(|reading| reading.parts.is_some()),
            });
        }
    }

    /// One input, and all that follows from it.
    fn step(&mut self, input: Input<'_>) {
        let mut actions = Vec::new();
        self.conversation
            .step(self.subject.now, input, &mut actions);
        let mut due = VecDeque::from(actions);
        while let Some(action) = due.pop_front() {
            for next in self.take(action) {
                let mut actions = Vec::new();
                self.conversation.step(self.subject.now, next, &mut actions);
                due.extend(actions);
            }
        }
    }

    /// Notes an action; gives what the outside would say to it.
    fn take(&mut self, action: Action) -> Vec<Input<'static>> {
        match action {
            Action::Submit(ticket, messages, _) => {
                self.note_messages(&messages);
                return vec![
                    Input::Progress(ticket, Progress::Delivered),
                    Input::TakenOver,
                ];
            }
            Action::Write(bytes) => {
                self.replies.extend_from_slice(&bytes);
                self.reply.extend_from_slice(&bytes);
                return vec![Input::Written(bytes.len())];
            }
            Action::Bind {
                device,
                newest_wins: true,
            } => self.bound = Some(device.to_string()),
            Action::Close(reason) if !self.ended => {
                self.seen.closed = Some(reason.word().to_owned());
            }
            Action::Count(counted) => self.count(&counted),
            Action::Bind { .. }
            | Action::Close(_)
            | Action::Withdraw
            | Action::Forget(_)
            | Action::Answer(..)
            | Action::Show(_)
            | Action::Unbind(_)
            | Action::Silent(_)
            | Action::Heard(_) => {}
        }
        Vec::new()
    }

    fn count(&mut self, counted: &Counted) {
        match counted {
            Counted::Frame => self.open_frame(),
            Counted::BadChecksum(_) if self.cuts.front().is_some_and(|cut| !cut.flagged) => {
                self.open_frame();
            }
            Counted::Undecoded(..) => {
                let frame = self.seen.frames.last_mut().expect("a frame");
                frame.undecoded = true;
                frame.kind = None;
            }
            Counted::Skipped(count, ..) => self.seen.skipped += count,
            Counted::TooLong(_)
            | Counted::HalfFrame(_)
            | Counted::IncompleteTimeout(_)
            | Counted::Broken(_) => self.seen.troubles.push(counted.word().to_owned()),
            Counted::BadChecksum(_) => {}
            _ if counted.is_trouble() => {
                let frame = self.seen.frames.last_mut().expect("a frame");
                frame.troubles.push(counted.word().to_owned());
            }
            _ => {}
        }
    }

    fn open_frame(&mut self) {
        self.close_frame();
        let cut = self.cuts.pop_front();
        let cut = cut.expect("the pipeline has cut it before");
        self.seen.frames.push(cut.frame.clone());
        self.cut = Some(cut);
    }

    fn close_frame(&mut self) {
        let reply = std::mem::take(&mut self.reply);
        let (Some(frame), Some(cut)) = (self.seen.frames.last_mut(), self.cut.take()) else {
            return;
        };
        if frame.published == Some(false) && cut.frame.values.is_some() {
            frame.device = self.bound.clone().filter(|device| device != ADDRESS);
        }
        frame.reply = (!reply.is_empty()).then(|| shown(&reply));
    }

    fn note_messages(&mut self, messages: &[Message]) {
        let (Some(frame), Some(cut)) = (self.seen.frames.last_mut(), &self.cut) else {
            panic!("messages without a frame");
        };
        let body = |message: &Message| -> Value {
            serde_json::from_slice(message.body.bytes()).expect("JSON")
        };
        let mut bodies: Vec<Value> = messages.iter().map(body).collect();
        let word = |value: &Value| value.as_str().map(str::to_owned);
        frame.device = word(&bodies[0]["device"]).filter(|device| device != ADDRESS);
        frame.kind = word(&bodies[0]["type"]).filter(|_| !frame.undecoded);
        frame.published = None;
        (frame.time, frame.values) = (None, None);
        let parts = bodies.iter_mut().map(|body| Part {
            time: word(&body["time"]),
            values: serde_json::from_value(body["values"].take()).expect("an object"),
        });
        let mut parts: Vec<Part> = parts.collect();
        if cut.split {
            frame.messages = parts;
            return;
        }
        let mut part = parts.remove(0);
        if frame.undecoded {
            let raw = part.values.remove("raw");
            assert_eq!(
                raw,
                Some(json!(cut.raw)),
                "an undecoded frame goes on as it is"
            );
        }
        (frame.time, frame.values) = (part.time, Some(part.values));
    }
}

/// What a reading says; whether it makes a message, the conversation says.
fn read(reading: &Reading) -> Frame {
    let kept = reading.fields.published();
    Frame {
        kind: reading.kind.as_ref().map(ToString::to_string),
        time: reading.time.map(|time| time.to_string()),
        values: Some(
            kept.map(|(name, value)| (name.to_string(), json!(value)))
                .collect(),
        ),
        output: reading.output.as_ref().map(ToString::to_string),
        published: Some(false),
        ..Frame::default()
    }
}
