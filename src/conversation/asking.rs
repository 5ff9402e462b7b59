//! The questions of a connection: when they leave, and what becomes of them.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::actions::{Action, Counted, Outcome, Reason};
use super::exchange::{Echo, Exchange, UNIT};
use super::line::{Asker, Line, Question, RequestId, Settled};
use super::polls::{self, Change, Schedule};
use super::{Conversation, Rest, advance};
use crate::checksum::Checksum;
use crate::message::{Fields, Name, Now, Text, Value};
use crate::template::{Context, Template};

/// Polls of one connection that are out together, where their answers can be told apart.
const MOST_POLLS_OUT: usize = 8;

/// How far a connection is with what it asks.
#[derive(Debug)]
pub(super) enum Asking {
    /// At that step of the open sequence.
    Opening(usize),
    /// The open sequence is done, and the device has not said who it is.
    Nameless,
    /// Commands and polls leave.
    Open(Option<Box<Schedule>>),
    /// Nothing is ever asked.
    Never,
    /// The same, and frames are read as answers to that poll.
    Recorded(usize),
}

/// Why nothing leaves although something might.
enum Kept {
    /// Nothing is due.
    Idle,
    /// The line is not free for what is due.
    Busy,
}

impl Conversation {
    /// Begins with the open sequence.
    pub(super) fn begin_asking(&mut self, now: Now, actions: &mut Vec<Action>) {
        if !matches!(self.asking, Asking::Never | Asking::Recorded(_)) {
            self.go_on_opening(now, 0, actions);
        }
    }

    pub(super) fn go_on_opening(&mut self, now: Now, step: usize, actions: &mut Vec<Action>) {
        self.asking = Asking::Opening(step);
        if step >= self.protocol.questions.open.len() {
            self.asking = Asking::Nameless;
            self.begin_polls(now, actions);
        }
    }

    /// Polls begin when the connection is open and the device is known.
    pub(super) fn begin_polls(&mut self, now: Now, actions: &mut Vec<Action>) {
        if !matches!(self.asking, Asking::Nameless) {
            return;
        }
        let known = self
            .identity
            .as_ref()
            .is_some_and(|identity| identity.is_logged_in());
        if known && !self.awaits_login() {
            self.bind_units(actions);
            self.schedule_polls(now);
        }
    }

    /// Lets the commands of the units that are polled come here.
    pub(super) fn bind_units(&mut self, actions: &mut Vec<Action>) {
        let settings = Arc::clone(&self.settings);
        let known: Vec<Text> = self.units.iter().map(|(_, unit)| unit.clone()).collect();
        for unit in settings.units.iter().filter(|unit| !known.contains(unit)) {
            let identity = self.identity.as_mut();
            let speaker = identity.and_then(|identity| identity.unit(unit, &settings.devices));
            if let Some(speaker) = speaker {
                self.bind(&speaker, actions);
            }
        }
    }

    /// Frees the units that the settings do not name any more.
    pub(super) fn unbind_units(&mut self, before: &[Text], actions: &mut Vec<Action>) {
        let units = Arc::clone(&self.settings.units);
        for gone in before.iter().filter(|unit| !units.contains(unit)) {
            self.unbind_unit(gone, actions);
        }
    }

    pub(super) fn unbind_unit(&mut self, unit: &str, actions: &mut Vec<Action>) {
        let place = self.units.iter().position(|(_, known)| known == unit);
        if let Some(place) = place {
            let (device, _) = self.units.swap_remove(place);
            if let Some(identity) = &mut self.identity {
                identity.forget_sub(&device);
            }
            actions.push(Action::Unbind(device));
        }
    }

    fn schedule_polls(&mut self, now: Now) {
        let peer = self.identity.as_ref().map(|identity| identity.peer());
        let device = self.identity.as_ref().and_then(|identity| identity.bound());
        let names = [peer.map(|peer| &*peer.listener), device.map(|name| &**name)];
        let names: Vec<&str> = names.into_iter().flatten().collect();
        let seed = polls::seed(&names);
        let first = match &self.asking {
            Asking::Open(Some(before)) => before.behind(),
            _ => 0,
        };
        let polls = &self.protocol.questions.polls;
        let units = &self.settings.units;
        let schedule = || Schedule::start(polls, units, (first, seed), now.monotonic);
        self.asking = Asking::Open((!polls.is_empty()).then(|| Box::new(schedule())));
    }

    /// Other units are polled from now on.
    pub(super) fn change_units(&mut self, now: Now) {
        if matches!(self.asking, Asking::Open(_)) {
            self.schedule_polls(now);
        }
    }

    /// Gives what is late its outcome.
    pub(super) fn expire_questions(&mut self, now: Now, actions: &mut Vec<Action>) {
        while let Some(settled) = self.line.used().and_then(|line| line.expire(now.monotonic)) {
            self.settle(now, settled, actions);
        }
    }

    /// Lets questions leave for which the line is free.
    pub(super) fn let_go(&mut self, now: Now, actions: &mut Vec<Action>) {
        self.kept_back = false;
        while !self.closed {
            match self.let_one_go(now, actions) {
                Ok(()) => {}
                Err(Kept::Idle) => return,
                Err(Kept::Busy) => {
                    self.kept_back = true;
                    return;
                }
            }
        }
    }

    fn let_one_go(&mut self, now: Now, actions: &mut Vec<Action>) -> Result<(), Kept> {
        if self.line.again().next().is_some() {
            return self.ask_again(now, actions);
        }
        if self.ending.is_some() {
            return Err(Kept::Idle);
        }
        if self.held {
            // What has an answer that is waited for would have it unread.
            let asks = self
                .line
                .first()
                .is_some_and(|question| !question.expects());
            let opening = matches!(self.asking, Asking::Opening(_));
            return match asks && !opening {
                true => self.ask_command(now, actions),
                false => Err(Kept::Busy),
            };
        }
        match self.asking {
            Asking::Opening(step) => self.ask_open(now, step, actions),
            Asking::Nameless if self.line.first().is_some() => self.ask_command(now, actions),
            Asking::Nameless | Asking::Never | Asking::Recorded(_) => Err(Kept::Idle),
            Asking::Open(_) => self.ask_in_turn(now, actions),
        }
    }

    /// Commands go first, but a poll that is due goes between two of them.
    fn ask_in_turn(&mut self, now: Now, actions: &mut Vec<Action>) -> Result<(), Kept> {
        let commands = self.line.first().is_some();
        if commands && self.polls_turn {
            match self.ask_poll(now, actions) {
                Err(Kept::Idle) => {}
                other => return other,
            }
        }
        if commands {
            return self.ask_command(now, actions);
        }
        self.ask_poll(now, actions)
    }

    fn ask_open(&mut self, now: Now, step: usize, actions: &mut Vec<Action>) -> Result<(), Kept> {
        if !self.line.is_free() {
            return Err(Kept::Busy);
        }
        let Some(exchange) = self.protocol.questions.open.get(step) else {
            return Err(Kept::Idle);
        };
        let question = Question {
            asker: Asker::Open(step),
            exchange: Arc::clone(exchange),
            unit: None,
            arguments: Fields::new(),
            deadline: None,
            waits: true,
            retries: exchange.retries,
        };
        self.ask(now, question, actions)
    }

    fn ask_command(&mut self, now: Now, actions: &mut Vec<Action>) -> Result<(), Kept> {
        let half_duplex = self.protocol.questions.half_duplex;
        if half_duplex && !self.line.is_free() {
            return Err(Kept::Busy);
        }
        let Some(question) = self.line.first() else {
            return Err(Kept::Idle);
        };
        if let Ok((_, echo)) = self.fill(now, question)
            && !self.line.admits(question, &echo, half_duplex)
        {
            return Err(Kept::Busy);
        }
        let first = self.line.used().and_then(Line::take_first);
        let question = first.ok_or(Kept::Idle)?;
        self.polls_turn = true;
        self.ask(now, question, actions)
    }

    fn ask_poll(&mut self, now: Now, actions: &mut Vec<Action>) -> Result<(), Kept> {
        let questions = &self.protocol.questions;
        let Asking::Open(Some(schedule)) = &mut self.asking else {
            return Err(Kept::Idle);
        };
        let Some(job) = schedule.due(now.monotonic) else {
            return Err(Kept::Idle);
        };
        let busy = questions.half_duplex && !self.line.is_free();
        if busy || self.line.polls() >= MOST_POLLS_OUT {
            return Err(Kept::Busy);
        }
        let probes = schedule.is_probe(job);
        let (exchange, unit) = schedule.job(job, &questions.polls).ok_or(Kept::Idle)?;
        let question = Question {
            asker: Asker::Poll(job),
            exchange: Arc::clone(exchange),
            unit,
            arguments: Fields::new(),
            deadline: None,
            waits: true,
            retries: if probes { 0 } else { exchange.retries },
        };
        if let Ok((_, echo)) = self.fill(now, &question)
            && !self.line.admits(&question, &echo, questions.half_duplex)
        {
            // A late answer that may still come keeps back its own unit, and no other.
            let until = self.line.late_until(&echo);
            let until = until.filter(|until| *until > now.monotonic);
            let until = until.ok_or(Kept::Busy)?;
            if let Asking::Open(Some(schedule)) = &mut self.asking {
                schedule.leave_alone(job, until);
            }
            return Ok(());
        }
        let protocol = Arc::clone(&self.protocol);
        if let Asking::Open(Some(schedule)) = &mut self.asking {
            let missed = schedule.begin(job, &protocol.questions.polls, now.monotonic);
            if missed > 0 {
                let poll = Name::clone(&question.exchange.name);
                actions.push(Action::Count(Counted::PollsMissed(poll, missed)));
            }
        }
        self.polls_turn = false;
        self.ask(now, question, actions)
    }

    /// Gives a question to be written, or settles it if it cannot be filled.
    fn ask(&mut self, now: Now, question: Question, actions: &mut Vec<Action>) -> Result<(), Kept> {
        match self.fill(now, &question) {
            Ok((bytes, echo)) => {
                let (exchange, deadline) = (Arc::clone(&question.exchange), question.deadline);
                let id = self.line.make().send(question, echo);
                self.write_question(now, (id, &exchange, deadline), bytes, actions);
            }
            Err(why) => self.not_sent(now, question, why, actions),
        }
        Ok(())
    }

    /// Asks once more what may leave of that; where nothing may, nothing else does.
    fn ask_again(&mut self, now: Now, actions: &mut Vec<Action>) -> Result<(), Kept> {
        let again = self.line.again().find_map(|(id, question)| {
            let filled = self.fill(now, question);
            let leaves = match &filled {
                Ok((_, echo)) => self.line.admits_again(id, echo),
                Err(_) => true,
            };
            leaves.then(|| {
                (
                    id,
                    Arc::clone(&question.exchange),
                    question.deadline,
                    filled,
                )
            })
        });
        let (id, exchange, deadline, filled) = again.ok_or(Kept::Busy)?;
        match filled {
            Ok((bytes, echo)) => {
                self.line.make().send_again(id, echo);
                self.write_question(now, (id, &exchange, deadline), bytes, actions);
            }
            Err(why) => {
                if let Some((question, written)) = self.line.make().cancel(id, now.monotonic) {
                    let outcome = Outcome::TimedOut { written };
                    let name = Name::clone(&question.exchange.name);
                    actions.push(Action::Count(Counted::RetryNotSent(name, why)));
                    self.settle(now, Settled { question, outcome }, actions);
                }
            }
        }
        Ok(())
    }

    fn write_question(
        &mut self,
        now: Now,
        (id, exchange, deadline): (RequestId, &Exchange, Option<Instant>),
        bytes: Bytes,
        actions: &mut Vec<Action>,
    ) {
        let counters = exchange
            .template()
            .into_iter()
            .flat_map(Template::counter_names);
        advance(&mut self.memory, counters);
        if bytes.is_empty() {
            // The device begins.
            self.written_question(now, id, 0, actions);
        } else {
            self.writes.request(id, bytes, deadline);
        }
    }

    /// All of a question is in the socket.
    pub(super) fn written_question(
        &mut self,
        now: Now,
        id: RequestId,
        count: usize,
        actions: &mut Vec<Action>,
    ) {
        if let Some(settled) = self.line.make().written(id, count, now.monotonic) {
            self.settle(now, settled, actions);
        }
    }

    fn not_sent(&mut self, now: Now, question: Question, why: String, actions: &mut Vec<Action>) {
        let name = Name::clone(&question.exchange.name);
        match question.asker {
            Asker::Command(id) => actions.push(Action::Answer(id, Outcome::Invalid(why))),
            Asker::Poll(job) => {
                actions.push(Action::Count(Counted::PollNotSent(name, why)));
                if let Asking::Open(Some(schedule)) = &mut self.asking {
                    schedule.passed_over(job);
                }
            }
            Asker::Open(_) => self.not_opened(now, name, why, actions),
        }
    }

    pub(super) fn not_opened(
        &mut self,
        now: Now,
        step: Name,
        why: String,
        actions: &mut Vec<Action>,
    ) {
        actions.push(Action::Count(Counted::OpenFailed(step, why)));
        self.finish(now, Reason::NotOpened);
    }

    /// The bytes of a question, and what its answer repeats.
    fn fill(&self, now: Now, question: &Question) -> Result<(Bytes, Echo), String> {
        let unit = question.unit.iter().cloned();
        let fields: Fields = unit.map(|unit| (UNIT.into(), Value::Text(unit))).collect();
        let context = Context {
            fields: &fields,
            frame: &[],
            device: self
                .identity
                .as_ref()
                .and_then(|identity| identity.bound())
                .map(|name| &**name),
            arguments: &question.arguments,
            now: Some(now.utc),
            memory: &self.memory,
            checksum: self.protocol.checksums.first().map(Checksum::algorithm),
            caller: self.caller.as_ref(),
            confidential: false,
        };
        let bytes = question.exchange.render(&context, &self.protocol.framing)?;
        Ok((bytes, question.exchange.echo(&context)?))
    }

    /// Passes on what became of a question.
    pub(super) fn settle(&mut self, now: Now, settled: Settled, actions: &mut Vec<Action>) {
        let Settled { question, outcome } = settled;
        let name = || Name::clone(&question.exchange.name);
        match question.asker {
            Asker::Command(id) => actions.push(Action::Answer(id, outcome)),
            Asker::Open(step) => match outcome {
                Outcome::Sent { .. } => self.go_on_opening(now, step + 1, actions),
                _ => {
                    let why = "no answer in time".to_owned();
                    self.not_opened(now, name(), why, actions);
                }
            },
            Asker::Poll(job) => {
                let most = self.protocol.questions.backoff;
                actions.push(Action::Count(Counted::PollFailed(
                    name(),
                    question.unit.clone(),
                    question.exchange.within,
                )));
                if let Asking::Open(Some(schedule)) = &mut self.asking {
                    let change = schedule.failed(job, most, now.monotonic);
                    self.tell(change, question.unit.as_deref(), actions);
                }
            }
        }
    }

    pub(super) fn tell(&mut self, change: Change, unit: Option<&str>, actions: &mut Vec<Action>) {
        let device = match unit {
            Some(unit) => self.device_of(unit),
            None => self
                .identity
                .as_ref()
                .and_then(|identity| identity.bound().cloned()),
        };
        actions.extend(match change {
            Change::None => None,
            Change::Silent => device.map(Action::Silent),
            Change::Heard => device.map(Action::Heard),
        });
    }

    /// The device that a unit is.
    fn device_of(&self, unit: &str) -> Option<Name> {
        let mut units = self.units.iter();
        units
            .find(|(_, known)| *known == unit)
            .map(|(name, _)| Name::clone(name))
    }

    /// When something that is asked, or is to be asked, is due.
    pub(super) fn asking_deadline(&self) -> Option<Instant> {
        let polls = match &self.asking {
            Asking::Open(Some(schedule)) if !self.kept_back && self.ending.is_none() => {
                schedule.deadline()
            }
            _ => None,
        };
        [self.line.deadline(), polls].into_iter().flatten().min()
    }

    /// Nothing more is asked; commands that are out still get their answers.
    pub(super) fn wind_down(&mut self, now: Now, reason: Reason, actions: &mut Vec<Action>) {
        let line = self.line.used();
        for settled in line.map_or_else(Vec::new, |line| line.wind_down(reason)) {
            self.settle(now, settled, actions);
        }
    }

    /// Whether the answer to a command is waited for although the connection is to end.
    pub(super) fn awaits_answer(&self) -> bool {
        let stops = self.ending.as_ref();
        let reads = stops.is_none_or(|ending| matches!(ending.frames, Rest::InProgress { .. }));
        reads && self.line.has_command_out()
    }

    /// Everything that is asked gets its outcome now.
    pub(super) fn give_up_questions(&mut self, reason: Reason, actions: &mut Vec<Action>) {
        if let Some((id, written)) = self.writes.give_up() {
            self.line.make().begun(id, written);
        }
        let line = self.line.used();
        for Settled { question, outcome } in line.map_or_else(Vec::new, |line| line.give_up(reason))
        {
            if let Asker::Command(id) = question.asker {
                actions.push(Action::Answer(id, outcome));
            }
        }
    }
}
