//! A conversation played to its end, and what must be true on the way.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::conversation::{
    Action, Asked, Awaited, Bounds, Conversation, ConversationSettings, Counted, End, Input,
    Protocol, Reason, Request, byte_pattern,
};
use crate::identity::Peer;
use crate::message::{CommandId, Message, Name, Now, Progress, Text, Ticket};
use crate::pipeline::Pipeline;

/// Actions for each byte at most, and for each input.
const MOST_ACTIONS: usize = 16;
/// Bytes of messages for each byte of the stream at most, and of every message beside that.
const MOST_GROWTH: usize = 128;
const MOST_BESIDE: usize = 4096;
/// Bytes beyond the maximum that a framing may look at, to see that a frame has ended.
const MOST_AHEAD: usize = 64;
/// Ticks up to the end of a connection that nobody keeps open.
const MOST_TICKS: usize = 100;

/// What a connection is played with.
#[derive(Clone, Debug)]
pub struct Terms {
    pub protocol: Arc<Protocol>,
    pub settings: Arc<ConversationSettings>,
    pub peer: Peer,
    pub now: Now,
    /// The longest frame.
    pub max_bytes: usize,
}

/// What came out of a connection, however its bytes were cut.
#[derive(Debug, Default, PartialEq)]
pub struct Outcome {
    pub submitted: Vec<(Ticket, Vec<Message>)>,
    pub written: Vec<u8>,
    pub bound: Vec<(Name, bool)>,
    pub counted: Vec<Counted>,
    pub skipped: usize,
    pub closed: Option<Reason>,
}

/// A connection under way.
#[derive(Debug)]
struct Trial {
    conversation: Conversation,
    terms: Terms,
    now: Now,
    outcome: Outcome,
    actions: usize,
    inputs: usize,
    /// Bytes of the device so far.
    bytes: usize,
    /// Bytes in the socket's hands.
    outstanding: usize,
    /// Tickets that are not through.
    tickets: VecDeque<Ticket>,
    /// Something is submitted and not taken over.
    untaken: bool,
    /// Commands that were given, and those that have their outcome.
    asked: BTreeSet<CommandId>,
    answered: BTreeSet<CommandId>,
}

/// Plays a stream in these pieces; everything is delivered and written at once. Nothing is asked:
/// questions leave between the frames of one piece and those of the next, so where they stand among
/// the replies depends on the pieces.
///
/// # Panics
/// When the connection stalls, grows, or does not end.
pub fn calm<'b>(terms: &Terms, pieces: impl Iterator<Item = &'b [u8]>) -> Outcome {
    let mut trial = Trial::new(terms, Conversation::without_questions);
    for piece in pieces {
        trial.take(Input::Bytes(piece));
        trial.resolve(Progress::Delivered);
        if trial.outcome.closed.is_some() {
            return trial.outcome;
        }
        assert!(trial.conversation.wants_input(), "it reads no more");
        assert_eq!(
            trial.conversation.waiting(),
            (0, 0),
            "something is held for ever"
        );
    }
    trial.take(Input::End(End::Fin));
    trial.resolve(Progress::Delivered);
    assert!(trial.outcome.closed.is_some(), "it does not end");
    trial.outcome
}

/// Plays a stream while everything else happens in an order that the numbers say.
///
/// # Panics
/// When the connection stalls, grows, or does not end, or a command has no outcome or two.
pub fn stormy<'b>(
    terms: &Terms,
    pieces: impl Iterator<Item = &'b [u8]>,
    mut chance: impl FnMut() -> u8,
) {
    let mut trial = Trial::new(terms, |conversation| conversation);
    for piece in pieces {
        for _ in 0..chance() % 3 {
            trial.happen(chance(), chance());
        }
        if !trial.conversation.wants_input() {
            let progress = [Progress::Delivered, Progress::Lost][usize::from(chance() % 2)];
            trial.resolve(progress);
        }
        if trial.outcome.closed.is_some() {
            break;
        }
        if trial.conversation.wants_input() {
            trial.now.monotonic += Duration::from_millis(u64::from(chance() % 16));
            trial.take(Input::Bytes(piece));
        }
    }
    trial.take(Input::End(End::Stop(Reason::Shutdown)));
    trial.finish();
    trial.ask(chance());
    assert_eq!(
        trial.asked, trial.answered,
        "left: asked, right: with an outcome"
    );
}

/// Cuts a stream into frames in these pieces.
///
/// # Panics
/// When more waits than the longest frame, or more is found than there are bytes.
pub fn frames<'b>(terms: &Terms, pieces: impl Iterator<Item = &'b [u8]>) {
    let protocol = &terms.protocol;
    let checksums = Arc::clone(&protocol.checksums);
    let mut pipeline = Pipeline::new(&protocol.framing, checksums, protocol.on_bad_checksum);
    let caller = protocol.caller();
    if let Some(caller) = &caller {
        caller.introduce(&terms.peer.listener, terms.peer.address.ip());
        pipeline.attach(caller);
    }
    let (mut pushed, mut found) = (0, 0);
    let mut drain = |pipeline: &mut Pipeline, pushed: usize| {
        while pipeline.next(terms.now.monotonic).is_some() {
            found += 1;
            assert!(found <= pushed + 1, "more is found than there are bytes");
        }
    };
    for piece in pieces {
        pipeline.push(piece);
        pushed += piece.len();
        drain(&mut pipeline, pushed);
        let most = terms.max_bytes + MOST_AHEAD;
        assert!(
            pipeline.buffered() <= most,
            "more waits than the longest frame"
        );
    }
    pipeline.end();
    drain(&mut pipeline, pushed);
    assert_eq!(pipeline.buffered(), 0, "bytes are left behind the end");
}

impl Trial {
    fn new(terms: &Terms, kind: fn(Conversation) -> Conversation) -> Self {
        let (protocol, settings) = (Arc::clone(&terms.protocol), Arc::clone(&terms.settings));
        let mut trial = Trial {
            conversation: kind(Conversation::new(protocol, settings)),
            terms: terms.clone(),
            now: terms.now,
            outcome: Outcome::default(),
            actions: 0,
            inputs: 0,
            bytes: 0,
            outstanding: 0,
            tickets: VecDeque::new(),
            untaken: false,
            asked: BTreeSet::new(),
            answered: BTreeSet::new(),
        };
        trial.take(Input::Opened(terms.peer.clone()));
        trial
    }

    /// One input, and what must be true behind it.
    fn take(&mut self, input: Input<'_>) {
        if let Input::Bytes(bytes) = &input {
            self.bytes += bytes.len();
        }
        self.inputs += 1;
        let mut actions = Vec::new();
        self.conversation.step(self.now, input, &mut actions);
        self.actions += actions.len();
        let most = MOST_ACTIONS * (self.bytes + self.inputs);
        assert!(
            self.actions <= most,
            "{} actions of {} bytes",
            self.actions,
            self.bytes
        );
        actions.into_iter().for_each(|action| self.act(action));
        let deadline = self.conversation.deadline();
        assert!(
            deadline.is_none_or(|deadline| deadline > self.now.monotonic),
            "it would turn for ever"
        );
        let (replies, bytes) = self.conversation.waiting();
        let bounds = Bounds::default();
        assert!(replies <= bounds.waiting_replies, "{replies} replies wait");
        let commands = self.asked.len() - self.answered.len();
        assert!(
            commands <= bounds.waiting_commands,
            "{commands} commands wait"
        );
        let most = bounds.waiting_bytes + MOST_BESIDE + self.reply_bytes();
        assert!(bytes <= most, "{bytes} bytes are not written");
    }

    /// Bytes of one reply at most, and of its refusal.
    fn reply_bytes(&self) -> usize {
        (self.bytes + 1) * MOST_GROWTH
    }

    fn act(&mut self, action: Action) {
        assert!(
            self.outcome.closed.is_none() || matches!(action, Action::Answer(..)),
            "{action:?} behind the close"
        );
        match action {
            Action::Submit(ticket, messages, _) => {
                let most = MOST_BESIDE + MOST_GROWTH * self.bytes;
                let size = messages.iter().map(Message::size).max().unwrap_or(0);
                assert!(size <= most, "a message of {size} bytes");
                assert!(messages.len() <= self.bytes, "{} messages", messages.len());
                self.tickets.push_back(ticket);
                self.untaken = true;
                self.outcome.submitted.push((ticket, messages));
            }
            Action::Write(bytes) => {
                assert_eq!(self.outstanding, 0, "a second write while one is under way");
                self.outstanding = bytes.len();
                self.outcome.written.extend(&bytes);
            }
            Action::Withdraw => self.outstanding = 0,
            Action::Bind {
                device,
                newest_wins,
            } => self.outcome.bound.push((device, newest_wins)),
            Action::Count(Counted::Skipped(count, ..)) => self.outcome.skipped += count,
            // Its bytes are for the log: as many as have come.
            Action::Count(Counted::TooLong(_)) => {
                let counted = Counted::TooLong(Bytes::new());
                self.outcome.counted.push(counted);
            }
            Action::Count(counted) => self.outcome.counted.push(counted),
            Action::Close(reason) => self.outcome.closed = Some(reason),
            Action::Answer(id, outcome) => {
                assert!(self.asked.contains(&id), "{outcome:?} of {id:?}");
                assert!(self.answered.insert(id), "two outcomes of {id:?}");
            }
            Action::Unbind(_)
            | Action::Forget(_)
            | Action::Show(_)
            | Action::Silent(_)
            | Action::Heard(_) => {}
        }
    }

    /// All that is outstanding, until nothing is.
    fn resolve(&mut self, progress: Progress) {
        while self.outcome.closed.is_none() {
            if let Some(ticket) = self.tickets.pop_front() {
                self.take(Input::Progress(ticket, progress));
            } else if self.outstanding > 0 {
                let count = std::mem::take(&mut self.outstanding);
                self.take(Input::Written(count));
            } else if std::mem::take(&mut self.untaken) {
                self.take(Input::TakenOver);
            } else {
                return;
            }
        }
    }

    /// One thing that may happen to a connection.
    fn happen(&mut self, what: u8, number: u8) {
        if self.outcome.closed.is_some() {
            return;
        }
        match what % 8 {
            0 => {
                self.now.monotonic += Duration::from_millis(u64::from(number) * 8);
                self.take(Input::Tick);
            }
            1 => self.resolve(Progress::Delivered),
            2 => self.resolve(Progress::Lost),
            3 if self.outstanding > 0 => {
                let count = usize::from(number) % self.outstanding + 1;
                self.outstanding -= count;
                self.take(Input::Written(count));
            }
            4 => {
                if let Some(ticket) = self.tickets.pop_front() {
                    self.take(Input::Progress(ticket, Progress::Stored));
                }
            }
            5 => {
                self.untaken = true;
                self.take(Input::Paused);
            }
            6 => self.ask(number),
            _ => {
                let units: &[&str] = [&[][..], &["1"], &["1", "2"]][usize::from(number % 3)];
                let units = units.iter().map(|unit| Text::from(*unit)).collect();
                let settings = ConversationSettings::clone(&self.terms.settings);
                let settings = ConversationSettings { units, ..settings };
                self.take(Input::Settings(Arc::new(settings)));
            }
        }
    }

    /// A command, of the protocol's own or not.
    fn ask(&mut self, number: u8) {
        let raw = |answer| Asked::Raw {
            bytes: Bytes::from_static(b"go"),
            answer,
        };
        let command = |name: &str, arguments: Option<&str>| Asked::Command {
            name: name.into(),
            arguments: arguments.map_or_else(Default::default, |to| serde_json::json!({"to": to})),
            answer: number < 192,
        };
        let what = match number % 8 {
            0 => raw(None),
            1 => raw(Some(Awaited::Next)),
            2 => raw(byte_pattern("[a-m]").ok().map(Awaited::Pattern)),
            3 => command("beep", None),
            4 => command("go", Some("a")),
            5 => command("go", Some("b")),
            _ => command("go", None),
        };
        let device = ["d", "10.0.0.7", "10.0.0.7/1"][usize::from(number / 8 % 3)];
        let within = Duration::from_millis(u64::from(number) * 8 + 1);
        let request = Request {
            device: device.into(),
            what,
            deadline: self.now.monotonic + within,
        };
        let id = CommandId(self.inputs as u64);
        self.asked.insert(id);
        self.take(Input::Command(id, request));
    }

    /// Lets a connection end that is asked to.
    fn finish(&mut self) {
        for _ in 0..MOST_TICKS {
            self.resolve(Progress::Delivered);
            let Some(deadline) = self.conversation.deadline() else {
                break;
            };
            self.now.monotonic = deadline;
            self.take(Input::Tick);
        }
        assert!(self.outcome.closed.is_some(), "it does not end");
    }
}
