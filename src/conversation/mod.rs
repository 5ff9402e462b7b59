//! One connection's state, in both directions: inputs and time in, actions out.
//!
//! | input | what follows |
//! |---|---|
//! | `Opened` | an identity that the address or the settings give is bound, or rejected |
//! | `Bytes` | each whole frame is decoded, attributed, submitted; its reply gets its place in the row |
//! | `Progress` | the reply that waits for it is earned, or what `else` says takes its place |
//! | `Command` | written between replies; exactly one outcome |
//! | `Written` | the next write may leave |
//! | `TakenOver` | frames that were left in the stream because too much was submitted are taken |
//! | `Settings` | the identity as spoken is looked up again: another name is bound, a refused one closes |
//! | `End(Fin)`, `End(Stop)` | frames are finished, replies wait for their promises, then it closes |
//! | `End(Reset)` | commands get their outcome, then it closes |
//! | `Tick` | late promises, late commands, half frames, late logins, heartbeats, silent connections |
//!
//! Replies leave in the order of their frames. Nothing is read while a write is under way or at
//! one of the [`Bounds`]; the clocks that watch the device stand still while it is us who keep
//! it waiting.

mod actions;
mod answers;
mod arguments;
mod asking;
mod commands;
mod due;
mod encode;
mod exchange;
mod frames;
mod heartbeat;
mod line;
mod login;
mod polls;
pub mod protocol;
pub mod questions;
mod recorded;
pub mod replies;
mod seldom;
pub mod session;
mod sight;
mod speaker;
mod watch;
mod writes;

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use crate::identity::Peer;
use crate::message::{Name, Now, Text};
use crate::pipeline::Pipeline;
use crate::script::Caller;
use crate::template::Memory;

pub use actions::{
    Action, Answer, Asked, Awaited, Counted, End, Input, Outcome, Reason, Request, Sight,
};
pub use encode::{reserved_property, values};
pub use exchange::{Exchange, UNIT, byte_pattern};
pub use protocol::{
    Acknowledge, BodyForm, Bounds, ConversationSettings, Heartbeat, Login, OnBadChecksum,
    OnUndecoded, Otherwise, Promise, Protocol, Session, SessionOptions, UnknownDevices,
};
pub use questions::Questions;
pub use replies::{Replies, Reply, ReplyEntry, ReplyOptions};
pub use speaker::{Attribution, Denial, Expected};

use asking::Asking;
use due::{DueReplies, Turn};
use encode::LastStamp;
use line::Line;
use seldom::Seldom;
use speaker::Identity;
use writes::Writes;

/// Output of messages for which layout, device and listener name none.
pub static DEFAULT_OUTPUT: LazyLock<Name> = LazyLock::new(|| "telemetry".into());

/// [`Conversation::with_half_frame`] of those that do not say.
const HALF_FRAME: Duration = Duration::from_secs(2);

/// Bytes of room that messages may need which are submitted and not taken over; the frames behind
/// them stay in the stream.
pub const AHEAD: usize = 16 * 1024;

/// How long due replies may take at an end where no idle time-out says it.
const LINGER: Duration = Duration::from_secs(900);

/// A line on which nothing was ever asked.
static UNASKED: LazyLock<Line> = LazyLock::new(Line::default);
/// What a connection remembers that has nothing to remember.
static NOTHING: LazyLock<Memory> = LazyLock::new(Memory::default);

/// Everything a connection ever does.
#[derive(Debug)]
pub struct Conversation {
    protocol: Arc<Protocol>,
    settings: Arc<ConversationSettings>,
    pipeline: Pipeline,
    identity: Option<Identity>,
    /// What scripts are called for; only where the protocol has one.
    caller: Option<Caller>,
    due: DueReplies,
    writes: Writes,
    line: Seldom<Line>,
    asking: Asking,
    /// Whether something that is due cannot leave.
    kept_back: bool,
    /// Whether a command was the last that left, so that a poll is next.
    polls_turn: bool,
    /// The devices that are units behind the connection's, and what the protocol calls them.
    units: Vec<(Name, Text)>,
    /// Frames taken so far; the number of the last one is its ticket.
    frames: u64,
    last_stamp: LastStamp,
    /// What the counters of replies write next.
    memory: Seldom<Memory>,
    /// When the device was last heard, or last kept waiting by us.
    heard: Option<Instant>,
    /// When it was opened.
    opened: Option<Instant>,
    /// When something was last given to be written, or was written.
    wrote: Option<Instant>,
    /// A submit waits for room.
    paused: bool,
    /// Bytes of room for what was submitted and is not taken over.
    ahead: usize,
    /// Whether the clocks that watch the device stand still.
    held: bool,
    /// In a place of its own: most connections are not on their way to their close.
    ending: Option<Box<Ending>>,
    /// How long the rest of a frame may take that is half there when we want to end.
    half_frame: Duration,
    closed: bool,
    /// What is shown of what is received right now.
    sight: Option<Box<Sight>>,
}

/// A conversation on its way to its close.
#[derive(Debug)]
struct Ending {
    reason: Reason,
    until: Instant,
    frames: Rest,
}

/// Which frames are still taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// Those that are there, and the one that is half there if its rest comes in time.
    InProgress { until: Instant, after: Option<u64> },
    /// Those that are there.
    Buffered,
    /// None.
    Nothing,
}

impl Conversation {
    /// A conversation that waits for [`Input::Opened`].
    pub fn new(protocol: Arc<Protocol>, settings: Arc<ConversationSettings>) -> Self {
        let promise = protocol.acknowledge.after;
        let mut pipeline = Pipeline::new(
            &protocol.framing,
            Arc::clone(&protocol.checksums),
            protocol.on_bad_checksum,
        );
        let caller = protocol.caller();
        if let Some(caller) = &caller {
            pipeline.attach(caller);
        }
        Conversation {
            pipeline,
            identity: None,
            caller,
            due: DueReplies::new(promise),
            writes: Writes::default(),
            line: Seldom::new(LazyLock::force(&UNASKED)),
            asking: Asking::Opening(0),
            kept_back: false,
            polls_turn: false,
            units: Vec::new(),
            frames: 0,
            last_stamp: LastStamp::default(),
            memory: Seldom::new(LazyLock::force(&NOTHING)),
            heard: None,
            opened: None,
            wrote: None,
            paused: false,
            ahead: 0,
            held: false,
            ending: None,
            half_frame: HALF_FRAME,
            closed: false,
            sight: None,
            protocol,
            settings,
        }
    }

    /// With another limit than 2 s for the rest of a frame that is half there when we want to end.
    pub fn with_half_frame(self, half_frame: Duration) -> Self {
        Conversation { half_frame, ..self }
    }

    /// Asks the device nothing: for bytes that were recorded.
    pub fn without_questions(self) -> Self {
        Conversation {
            asking: Asking::Never,
            ..self
        }
    }

    /// Takes one input and adds what is to be done to `actions`.
    pub fn step(&mut self, now: Now, input: Input<'_>, actions: &mut Vec<Action>) {
        self.accept(now, input, actions);
        if self.closed {
            return;
        }
        self.take_turns(now);
        self.stop_or_start_clocks(now);
        self.watch_clocks(now, actions);
        self.take_frames(now, actions);
        self.stop_or_start_clocks(now);
        self.give_up_half_frame(now, actions);
        self.end_without_login(now);
        self.beat(now, actions);
        self.let_go(now, actions);
        if self.ending.is_some() {
            // The last command that was out may just have been given up.
            self.take_frames(now, actions);
        }
        self.write_next(now, actions);
        let reads = self.reads();
        if let Some(line) = self.line.used() {
            line.run(now.monotonic, reads);
        }
        self.close_when_done(actions);
    }

    /// When [`Input::Tick`] is due at the latest.
    pub fn deadline(&self) -> Option<Instant> {
        if self.closed {
            return None;
        }
        let ending = self.ending.as_ref().map(|ending| ending.until);
        let clocks = [
            self.due.deadline(),
            self.writes.deadline(),
            self.silence_deadline().map(|(until, _)| until),
            self.heartbeat_deadline(),
            self.login_deadline(),
            ending,
            self.frame_deadline(),
            self.asking_deadline(),
        ];
        clocks.into_iter().flatten().min()
    }

    /// How many replies wait for their promise, and bytes of replies and commands that are not
    /// written yet.
    pub fn waiting(&self) -> (usize, usize) {
        (self.due.len(), self.due.bytes() + self.writes.bytes())
    }

    /// Whether bytes of the device may be read now.
    pub fn wants_input(&self) -> bool {
        let more = self
            .ending
            .as_ref()
            .is_none_or(|ending| matches!(ending.frames, Rest::InProgress { .. }));
        !self.closed && self.identity.is_some() && more && self.reads()
    }

    fn accept(&mut self, now: Now, input: Input<'_>, actions: &mut Vec<Action>) {
        match input {
            Input::Command(id, request) => self.command(now, (id, request), actions),
            _ if self.closed => {}
            Input::Opened(peer) => self.open(now, peer, actions),
            Input::Bytes(bytes) => {
                self.take_quiet(now, actions);
                self.heard = Some(now.monotonic);
                self.pipeline.push(bytes);
            }
            Input::End(end) => self.end(now, end, actions),
            Input::Progress(ticket, progress) => {
                actions.extend(self.due.progress(ticket, progress).map(Action::Count));
            }
            Input::Written(count) => {
                self.wrote = Some(now.monotonic);
                if let Some((id, length)) = self.writes.written(count) {
                    self.written_question(now, id, length, actions);
                }
            }
            Input::Paused => self.paused = true,
            Input::TakenOver => {
                self.paused = false;
                self.ahead = 0;
            }
            Input::Settings(settings) => {
                let before = std::mem::replace(&mut self.settings, settings)
                    .units
                    .clone();
                self.unbind_units(&before, actions);
                self.identify(now, actions);
                if before != self.settings.units {
                    self.change_units(now);
                }
            }
            Input::Tick => {}
        }
    }

    fn open(&mut self, now: Now, peer: Peer, actions: &mut Vec<Action>) {
        self.heard = Some(now.monotonic);
        self.opened = self.heard;
        self.wrote = self.heard;
        if let Some(caller) = &self.caller {
            caller.introduce(&peer.listener, peer.address.ip());
        }
        self.identity = Some(Identity::new(peer, Arc::clone(&self.protocol.identity)));
        self.identify(now, actions);
        self.begin_asking(now, actions);
    }

    /// Looks up the device of the connection, if one is for the whole connection.
    fn identify(&mut self, now: Now, actions: &mut Vec<Action>) {
        let awaits_login = self.awaits_login();
        let Some(identity) = &mut self.identity else {
            return;
        };
        let speaker = identity.resolve(&self.settings.devices);
        let alone = identity.is_connections();
        match speaker.filter(|_| !awaits_login) {
            Some(speaker) if alone => drop(self.admits(now, &speaker, false, actions)),
            // What is behind it may be known where itself is not.
            Some(speaker) => self.bind(&speaker, actions),
            None => {}
        }
        self.units.clear();
        self.bind_units(actions);
    }

    fn end(&mut self, now: Now, end: End, actions: &mut Vec<Action>) {
        match end {
            End::Reset => self.close(
                self.ending
                    .as_ref()
                    .map_or(Reason::Reset, |ending| ending.reason),
                actions,
            ),
            End::Fin => {
                self.pipeline.end();
                self.begin_ending(now, Reason::Fin, Rest::Buffered);
            }
            End::Stop(reason) => {
                self.wind_down(now, reason, actions);
                let until = now.monotonic + self.half_frame;
                self.begin_ending(now, reason, Rest::InProgress { until, after: None });
            }
        }
    }

    /// Ends without another frame; replies that are due still leave.
    fn finish(&mut self, now: Now, reason: Reason) {
        self.begin_ending(now, reason, Rest::Nothing);
    }

    /// The first reason stays; of the frames, what takes fewer of them counts.
    fn begin_ending(&mut self, now: Now, reason: Reason, frames: Rest) {
        match &mut self.ending {
            Some(ending) if ending.frames == Rest::Nothing => {}
            Some(ending) if matches!(frames, Rest::InProgress { .. }) => ending.reason = reason,
            Some(ending) => ending.frames = frames,
            None => {
                let until = now.monotonic + self.settings.idle_timeout.unwrap_or(LINGER);
                let ending = Ending {
                    reason,
                    until,
                    frames,
                };
                self.ending = Some(Box::new(ending));
            }
        }
    }

    /// The clocks that watch the device stand still while it is us who keep it waiting.
    fn stop_or_start_clocks(&mut self, now: Now) {
        let held = self.is_held();
        if held != self.held {
            self.pipeline.pause();
        }
        if self.held && !held {
            self.heard = Some(now.monotonic);
        }
        self.held = held;
        let reads = self.reads();
        if let Some(line) = self.line.used() {
            line.run(now.monotonic, reads);
        }
    }

    fn watch_clocks(&mut self, now: Now, actions: &mut Vec<Action>) {
        let moment = now.monotonic;
        while let Some(counted) = self.due.expire(moment) {
            if let Counted::PromiseLate(ticket) = counted {
                actions.push(Action::Forget(ticket));
            }
            actions.push(Action::Count(counted));
        }
        while let Some(late) = self.writes.expire(moment) {
            actions.extend(late.withdraw.then_some(Action::Withdraw));
            if let Some(settled) = self.line.make().given_up(late.id, late.written, moment) {
                self.settle(now, settled, actions);
            }
        }
        self.expire_questions(now, actions);
        if let Some((until, reason)) = self.silence_deadline()
            && until <= moment
        {
            return self.close(reason, actions);
        }
        if let Some(ending) = self.ending.as_ref().filter(|ending| ending.until <= moment) {
            self.close(ending.reason, actions);
        }
    }

    /// Gives up a frame that has been incomplete for too long.
    fn give_up_half_frame(&mut self, now: Now, actions: &mut Vec<Action>) {
        if self.held || self.closed {
            return;
        }
        self.pipeline.tick(now.monotonic);
        self.take_frames(now, actions);
    }

    /// Takes the frame that ended because the line was quiet, before what came later.
    fn take_quiet(&mut self, now: Now, actions: &mut Vec<Action>) {
        if self.pipeline.listen(now.monotonic) {
            self.take_frames(now, actions);
        }
    }

    fn take_frames(&mut self, now: Now, actions: &mut Vec<Action>) {
        self.take_turns(now);
        while self.takes_frames() {
            match self.pipeline.next(now.monotonic) {
                Some(received) if self.is_watched() => {
                    self.receive_and_show(now, received, actions);
                }
                Some(received) => {
                    self.receive(now, received, actions);
                    self.tell_failure(actions);
                }
                None if self.has_drained(now) => {}
                None => return,
            }
            self.take_turns(now);
        }
    }

    /// Counts what a script failed at where its failure has no other place.
    pub(super) fn tell_failure(&self, actions: &mut Vec<Action>) {
        let failure = self.caller.as_ref().and_then(Caller::take_failure);
        actions.extend(failure.map(|why| Action::Count(Counted::ScriptFailed(why))));
    }

    fn takes_frames(&self) -> bool {
        self.wants_frames() && !self.closed && self.identity.is_some() && !self.is_held()
    }

    fn wants_frames(&self) -> bool {
        let ending = self.ending.as_ref();
        ending.is_none_or(|ending| ending.frames != Rest::Nothing)
    }

    /// Called when no whole frame is left; whether there may be something more to take now.
    fn has_drained(&mut self, now: Now) -> bool {
        if self.awaits_answer() {
            return false;
        }
        let Some(ending) = &mut self.ending else {
            return false;
        };
        match &mut ending.frames {
            Rest::Nothing => false,
            Rest::Buffered => {
                ending.frames = Rest::Nothing;
                false
            }
            Rest::InProgress { until, after } => {
                let half = self.pipeline.buffered() > 0;
                let waits =
                    *until > now.monotonic && *after.get_or_insert(self.frames) == self.frames;
                if half && waits {
                    return false;
                }
                self.pipeline.cut();
                ending.frames = Rest::Buffered;
                true
            }
        }
    }

    /// Lets go of the replies whose turn has come.
    fn take_turns(&mut self, now: Now) {
        while let Some((turn, said)) = self.due.next() {
            if !said.is_empty() {
                self.memory.make().answer(said);
            }
            match turn {
                Turn::Write(bytes) => self.writes.reply(bytes),
                Turn::Close(bytes) => {
                    self.writes.reply(bytes);
                    self.due.clear();
                    self.finish(now, Reason::PromiseNotKept);
                }
            }
        }
    }

    fn write_next(&mut self, now: Now, actions: &mut Vec<Action>) {
        if self.closed {
            return;
        }
        if let Some(bytes) = self.writes.next() {
            self.wrote = Some(now.monotonic);
            actions.push(Action::Write(bytes));
        }
    }

    fn close_when_done(&mut self, actions: &mut Vec<Action>) {
        let Some(ending) = &self.ending else { return };
        if ending.frames == Rest::Nothing && self.due.is_empty() && self.writes.is_idle() {
            self.close(ending.reason, actions);
        }
    }

    fn close(&mut self, reason: Reason, actions: &mut Vec<Action>) {
        if self.closed {
            return;
        }
        self.closed = true;
        let left = self.pipeline.buffered();
        if left > 0 && self.is_held() && self.wants_frames() {
            actions.push(Action::Count(Counted::NotTaken(left)));
        }
        self.due.clear();
        self.give_up_questions(reason, actions);
        actions.push(Action::Close(reason));
    }

    /// Whether it holds as much as it may.
    fn is_full(&self) -> bool {
        let bounds = &self.settings.bounds;
        let (replies, bytes) = self.waiting();
        replies >= bounds.waiting_replies || bytes >= bounds.waiting_bytes
    }

    /// Whether what the device says is read.
    fn reads(&self) -> bool {
        !self.is_held() && !self.writes.is_writing()
    }

    /// Whether it is us who keep the device waiting.
    fn is_held(&self) -> bool {
        self.paused || self.ahead >= AHEAD || self.is_full()
    }

    /// When a frame has been incomplete for too long.
    fn frame_deadline(&self) -> Option<Instant> {
        if self.held {
            return None;
        }
        let limit = match self.ending.as_ref().map(|ending| ending.frames) {
            Some(Rest::InProgress { .. }) if self.awaits_answer() => None,
            Some(Rest::InProgress { until, .. }) => Some(until),
            Some(Rest::Buffered | Rest::Nothing) => return None,
            None => None,
        };
        limit.into_iter().chain(self.pipeline.deadline()).min()
    }
}

/// Takes note that these counters were written, each once however often it is named.
fn advance<'a>(memory: &mut Seldom<Memory>, names: impl Iterator<Item = &'a str>) {
    let mut names = names.peekable();
    if names.peek().is_some() {
        memory.make().advance(names);
    }
}

#[cfg(test)]
mod tests;
