//! One connection: moves bytes between a socket and a conversation, and does what it says.
//!
//! The task never waits inside an action. Messages that wait for room and bytes that wait for the
//! socket stand in one `select!` beside the inbox and the deadline; while either waits, nothing is
//! read from the device, and TCP tells it so.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::port::Port;
use crate::conversation::{Action, Conversation, Counted, End, Input, Outcome, Reason};
use crate::identity::Peer;
use crate::inbox::{Inbox, Origin, Waiting};
use crate::message::{CommandId, Name};
use crate::ops::metrics::Backlog;
use crate::outbox::Outbox;

/// Bytes read at once. The place for them is taken only while there is something to read.
const READ: usize = 16 * 1024;
/// Devices that commands can reach over one connection; foreign bytes must not name more without end.
const MOST_BOUND: usize = 1000;
/// Why a unit is not connected whose connection stands.
const UNIT_REMOVED: &str = "unit_removed";
/// Bytes read after our FIN at most.
const LINGER_BYTES: usize = 1 << 20;

/// The task of one connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    conversation: Conversation,
    port: Arc<Port>,
    backlog: Backlog,
    inbox: Inbox,
    outbox: Outbox,
    /// What the socket has not taken yet.
    write: Option<Bytes>,
    write_until: Option<Instant>,
    /// When it ends although replies or messages still wait.
    end_by: Option<Instant>,
    paused: bool,
    ended: bool,
    /// The socket is reset: nobody is left to take leave of.
    reset: bool,
    bound: Vec<Name>,
    /// Those that have no outcome yet; the inbox and the conversation bound how many.
    commands: Vec<(CommandId, oneshot::Sender<Outcome>)>,
    last_command: u64,
    close: Option<Reason>,
}

impl Connection {
    /// A connection that has just been opened.
    pub(super) fn new(
        stream: TcpStream,
        peer: Peer,
        conversation: Conversation,
        port: Arc<Port>,
        inbox: Inbox,
    ) -> Self {
        let sink = inbox.clone();
        let outbox = port
            .south
            .submitter
            .outbox(Arc::new(move |ticket, progress| {
                sink.progress(ticket, progress)
            }));
        let mut connection = Connection {
            stream,
            conversation,
            port,
            backlog: Backlog::default(),
            inbox,
            outbox,
            write: None,
            write_until: None,
            end_by: None,
            paused: false,
            ended: false,
            reset: false,
            bound: Vec::new(),
            commands: Vec::new(),
            last_command: 0,
            close: None,
        };
        connection.step(Input::Opened(peer));
        connection
    }

    /// Runs until the conversation closes; then takes leave of the device.
    #[expect(
        clippy::manual_async_fn,
        reason = "an async fn keeps a second place for self, 1 KB of every idle connection"
    )]
    pub(super) fn run(mut self) -> impl Future<Output = Reason> + Send {
        async move {
            let reason = loop {
                if let Some(reason) = self.close.filter(|_| self.outbox.is_empty()) {
                    break reason;
                }
                self.turn().await;
            };
            if !self.reset {
                take_leave(&mut self.stream, self.port.south.timeouts.linger).await;
            }
            reason
        }
    }

    /// Waits for the next thing that happens, and does what follows from it.
    async fn turn(&mut self) {
        if !self.outbox.is_empty() && !self.paused {
            tokio::select! {
                biased;
                room = flush(&mut self.outbox) => self.room(room.is_ok()),
                () = std::future::ready(()) => {
                    self.paused = true;
                    self.step(Input::Paused);
                }
            }
            return;
        }
        let clocks = [self.conversation.deadline(), self.write_until, self.end_by];
        let deadline = clocks.into_iter().flatten().min();
        let reads = !self.ended
            && self.outbox.is_empty()
            && self.write.is_none()
            && self.conversation.wants_input();
        // Readiness is polled: `readable` and `writable` would be part of the task, 100 bytes each.
        let happened = {
            let (stream, outbox, write) = (&self.stream, &mut self.outbox, &self.write);
            tokio::select! {
                biased;
                waiting = self.inbox.take() => Happened::Inbox(waiting),
                room = flush(outbox) => Happened::Room(room.is_ok()),
                () = at(deadline) => Happened::Deadline,
                written = write_some(stream, write.as_ref()) => Happened::Written(written),
                ready = poll_fn(|context| stream.poll_read_ready(context)), if reads => Happened::Readable(ready),
            }
        };
        match happened {
            Happened::Inbox(waiting) => self.received(waiting),
            Happened::Room(open) => self.room(open),
            Happened::Deadline => self.deadline_passed(),
            Happened::Written(written) => self.written(written),
            Happened::Readable(ready) => self.read(ready),
        }
    }

    fn received(&mut self, waiting: Waiting) {
        for (ticket, progress) in waiting.progress {
            self.step(Input::Progress(ticket, progress));
        }
        if let Some(settings) = waiting.settings {
            self.step(Input::Settings(settings));
        }
        for (request, answer) in waiting.commands {
            self.last_command = self.last_command.wrapping_add(1);
            let id = CommandId(self.last_command);
            self.commands.push((id, answer));
            self.step(Input::Command(id, request));
        }
        if let Some(reason) = waiting.stop {
            match reason {
                Reason::Shutdown => self.ends_within(self.port.south.timeouts.shutdown),
                Reason::Superseded | Reason::Asked => {
                    self.ends_within(self.port.south.timeouts.superseded)
                }
                _ => {}
            }
            self.step(Input::End(End::Stop(reason)));
        }
    }

    /// All submitted messages have been taken over; without the forwarder nothing will be any more.
    fn room(&mut self, open: bool) {
        if !open {
            self.give_up();
        }
        self.paused = false;
        self.step(Input::TakenOver);
    }

    fn deadline_passed(&mut self) {
        let now = self.port.south.clock.now().monotonic;
        let passed = |limit: Option<Instant>| limit.is_some_and(|limit| limit <= now);
        if passed(self.end_by) {
            self.give_up();
        } else if passed(self.write_until) {
            self.port.metrics.trouble("write_timeout", 1);
            self.warn(
                "write_timeout",
                None,
                &"the device takes nothing of what is written to it; reset",
            );
            self.reset();
        } else {
            self.step(Input::Tick);
        }
    }

    /// Ends without what still waits. Messages that found no room are dropped, and counted as abandoned.
    fn give_up(&mut self) {
        self.step(Input::End(End::Reset));
        self.close.get_or_insert(Reason::Shutdown);
        if !self.outbox.is_empty() {
            self.port.lost_messages(self.inbox.origin().peer);
            self.outbox = self.port.south.submitter.outbox(Arc::new(|_, _| {}));
        }
    }

    /// The earliest of such limits counts.
    fn ends_within(&mut self, limit: Duration) {
        let end_by = self.port.south.clock.now().monotonic.checked_add(limit);
        self.end_by = [self.end_by, end_by].into_iter().flatten().min();
    }

    fn written(&mut self, written: io::Result<usize>) {
        match written {
            Ok(count) => {
                self.port
                    .metrics
                    .bytes_sent(u64::try_from(count).unwrap_or(u64::MAX));
                if let Some(bytes) = &mut self.write {
                    bytes.advance(count.min(bytes.len()));
                }
                let through = self.write.as_ref().is_none_or(Bytes::is_empty);
                if through {
                    self.write = None;
                }
                self.write_until = if through { None } else { self.write_deadline() };
                self.step(Input::Written(count));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.reset(),
        }
    }

    fn read(&mut self, ready: io::Result<()>) {
        // Behind the wait, so that the place is no part of the task.
        let mut place = [0; READ];
        match ready.and_then(|()| self.stream.try_read(&mut place)) {
            Ok(0) => {
                self.ended = true;
                self.step(Input::End(End::Fin));
            }
            Ok(count) => {
                self.inbox.beat();
                self.port
                    .metrics
                    .bytes_received(u64::try_from(count).unwrap_or(u64::MAX));
                self.step(Input::Bytes(place.get(..count).unwrap_or(&[])));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.reset(),
        }
    }

    /// Nothing can be written any more, and nothing will come.
    fn reset(&mut self) {
        self.ended = true;
        self.reset = true;
        if let Err(error) = self.stream.set_zero_linger() {
            tracing::debug!(%error, "the kernel may keep what the device has not taken");
        }
        self.write = None;
        self.write_until = None;
        self.step(Input::End(End::Reset));
    }

    fn step(&mut self, input: Input<'_>) {
        let mut actions = self.port.take_place();
        self.conversation
            .step(self.port.south.clock.now(), input, &mut actions);
        for action in actions.drain(..) {
            self.carry_out(action);
        }
        self.port.give_place(actions);
        self.show_backlog();
    }

    fn show_backlog(&mut self) {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let (replies, bytes) = self.conversation.waiting();
        let now = Backlog {
            replies: count(replies),
            commands: count(self.commands.len()),
            bytes: count(bytes),
            messages: count(self.outbox.waiting_bytes()),
        };
        self.port.metrics.backlog(&mut self.backlog, now);
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Submit(ticket, messages, awaits) => {
                self.outbox.queue(ticket, messages, awaits);
            }
            Action::Write(bytes) => {
                self.write = Some(bytes);
                self.write_until = self.write_deadline();
            }
            Action::Withdraw => {
                self.write = None;
                self.write_until = None;
            }
            Action::Forget(ticket) => self.outbox.forget(ticket),
            Action::Answer(id, outcome) => {
                let place = self.commands.iter().position(|(waiting, _)| *waiting == id);
                if let Some((_, answer)) = place.map(|place| self.commands.swap_remove(place)) {
                    // A caller that has gone does not want to know.
                    answer.send(outcome).unwrap_or(());
                }
            }
            Action::Bind {
                device,
                newest_wins,
            } => self.bind(device, newest_wins),
            Action::Unbind(device) => {
                self.bound.retain(|name| *name != device);
                let registry = &self.port.south.registry;
                registry.unbind(&device, &self.inbox, Some(UNIT_REMOVED));
            }
            Action::Close(reason) => {
                self.write = None;
                self.write_until = None;
                self.close = Some(reason);
                self.ends_within(self.port.south.timeouts.room);
            }
            Action::Count(counted) => self.count(&counted),
            // Nobody watches here.
            Action::Show(_) => {}
            Action::Silent(device) => {
                self.bind(Name::clone(&device), false);
                self.port.south.registry.silent(&device, &self.inbox);
            }
            Action::Heard(device) => self.port.south.registry.heard(&device, &self.inbox),
        }
    }

    fn bind(&mut self, device: Name, newest_wins: bool) {
        if newest_wins {
            for name in self.bound.drain(..).filter(|name| *name != device) {
                let registry = &self.port.south.registry;
                registry.unbind(&name, &self.inbox, None);
            }
        }
        if self.bound.len() >= MOST_BOUND && !self.bound.contains(&device) {
            return self.port.metrics.trouble("too_many_devices", 1);
        }
        let older = self.port.south.registry.bind(&device, &self.inbox);
        if let Some(older) = older.filter(|_| newest_wins) {
            older.stop(Reason::Superseded);
        }
        if !self.bound.contains(&device) {
            self.bound.push(device);
        }
    }

    fn count(&self, counted: &Counted) {
        if matches!(counted, Counted::Frame) {
            return self.port.metrics.frame();
        }
        match counted {
            Counted::PollAnswered => return self.port.metrics.poll("answered"),
            Counted::PollRefused(..) => self.port.metrics.poll("refused"),
            Counted::PollFailed(..) => self.port.metrics.poll("failed"),
            _ => {}
        }
        self.port.metrics.trouble(counted.word(), 1);
        if let Counted::Quarantined(device, frame) = counted {
            let south = &self.port.south;
            let from = (&self.port.entry, self.inbox.origin().peer);
            let now = south.clock.now().monotonic;
            south.quarantine.note(device, from, frame, now);
        }
        if counted.is_trouble() {
            self.warn(counted.word(), counted.unit(), counted);
        }
    }

    /// A line for the operator, unless there was one just now about the same.
    fn warn(&self, what: &'static str, unit: Option<&str>, text: &dyn fmt::Display) {
        let now = self.port.south.clock.now().monotonic;
        let peer = self.inbox.origin().peer;
        let who = self.source(unit);
        if let Some(held_back) = self.port.south.throttle.allows(what, &who, now) {
            self.port.warn(peer, held_back, text);
        }
    }

    /// Whom lines are about: the unit that was asked, if one was, of a device that was dialled or of
    /// whoever connects from an address. What frames say does not count: there is no end to it.
    fn source(&self, unit: Option<&str>) -> String {
        let Origin {
            entry,
            dialled,
            peer,
            ..
        } = self.inbox.origin();
        let unit = unit.unwrap_or_default();
        match dialled {
            true => format!("{entry} {peer} {unit}"),
            false => format!("{entry} {} {unit}", peer.ip()),
        }
    }

    fn write_deadline(&self) -> Option<Instant> {
        let now = self.port.south.clock.now().monotonic;
        now.checked_add(self.port.south.timeouts.write)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.port
            .metrics
            .backlog(&mut self.backlog, Backlog::default());
        self.inbox.end();
        let reason = self.close.map(Reason::word);
        self.port.south.registry.connections().close(&self.inbox);
        for name in self.bound.drain(..) {
            let registry = &self.port.south.registry;
            registry.unbind(&name, &self.inbox, reason);
        }
    }
}

enum Happened {
    Inbox(Waiting),
    Room(bool),
    Deadline,
    Written(io::Result<usize>),
    Readable(io::Result<()>),
}

/// Waits until what is in the outbox has been taken over; for ever while it is empty.
async fn flush(outbox: &mut Outbox) -> Result<(), crate::outbox::Closed> {
    if outbox.is_empty() {
        return std::future::pending().await;
    }
    outbox.flush().await
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

async fn write_some(stream: &TcpStream, bytes: Option<&Bytes>) -> io::Result<usize> {
    let Some(bytes) = bytes else {
        return std::future::pending().await;
    };
    poll_fn(|context| stream.poll_write_ready(context)).await?;
    stream.try_write(bytes)
}

/// Sends FIN and reads what still comes for a while: unread bytes would make the close a reset.
async fn take_leave(stream: &mut TcpStream, linger: Duration) {
    let leave = async {
        stream.shutdown().await?;
        let mut left = LINGER_BYTES;
        while left > 0 {
            stream.readable().await?;
            left = match discard(stream) {
                Ok(0) => break,
                Ok(count) => left.saturating_sub(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => left,
                Err(error) => return Err(error),
            };
        }
        io::Result::Ok(())
    };
    // Whether it went well or not, the connection is over.
    drop(tokio::time::timeout(linger, leave).await);
}

fn discard(stream: &TcpStream) -> io::Result<usize> {
    stream.try_read(&mut [0; READ])
}
