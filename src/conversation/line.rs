//! The questions that are on their way to a device, and those whose late answers may still come.
//!
//! Two questions are out together only if their answers can be told apart by what they repeat, and
//! nothing leaves while the late answer to another could be taken for its own. Each try is answered
//! once at most, and its answer is waited for until a second time limit has passed behind the first:
//! one that comes later still, or twice, and repeats nothing of its question, cannot be told from the
//! answer to the next question.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::actions::{Outcome, Reason};
use super::exchange::{Echo, Shared, Verdict};
use super::watch::Watch;
use crate::message::{CommandId, Fields, Text};

/// Late answers that are waited for at most, as many as a counter of one byte tells apart; the oldest
/// is forgotten first.
const MOST_LAPSED: usize = 256;

/// A question that has been given to be written; its number within the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestId(pub(super) u64);

/// Who wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// A command of the cloud.
    Command(CommandId),
    /// A job of the schedule of polls.
    Poll(usize),
    /// A step of the open sequence.
    Open(usize),
}

/// A question, not yet sent or sent several times.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) asker: Asker,
    pub(super) exchange: Shared,
    /// The unit behind the device that is asked.
    pub(super) unit: Option<Text>,
    pub(super) arguments: Fields,
    /// When it is too late for whoever wants to know.
    pub(super) deadline: Option<Instant>,
    /// Whether the answer is waited for.
    pub(super) waits: bool,
    /// How often it is asked again.
    pub(super) retries: u32,
}

impl Question {
    /// Whether somebody waits for an answer to it.
    pub(super) fn expects(&self) -> bool {
        self.waits && self.exchange.answer.is_some()
    }
}

/// What became of a question.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) question: Question,
    pub(super) outcome: Outcome,
}

/// What a frame is to the questions that are out.
#[derive(Debug)]
pub(super) enum Offered {
    /// The answer to one of them.
    Answer {
        question: Question,
        written: usize,
        refused: bool,
    },
    /// An answer that nobody waits for any more, because its time was over or nobody ever did.
    Late,
}

#[derive(Debug)]
enum State {
    /// With the writes.
    Writing,
    /// Written; the answer may come until the watch says that.
    Waiting(Duration),
    /// To be sent once more.
    Again,
}

#[derive(Debug)]
struct Out {
    id: RequestId,
    question: Question,
    tries: Vec<Try>,
    written: usize,
    state: State,
}

/// One time that a question was asked.
#[derive(Debug)]
struct Try {
    /// What its answer repeats.
    echo: Echo,
    /// Its time limit; `None` until it is written.
    limit: Option<Duration>,
}

#[derive(Debug)]
struct Lapsed {
    exchange: Shared,
    echo: Echo,
    until: Duration,
    /// Until then the device may be about to answer, so that a half-duplex line is not free.
    limit: Option<Duration>,
}

/// Where the questions of a connection are.
#[derive(Debug, Default)]
pub(super) struct Line {
    waiting: VecDeque<Question>,
    out: Vec<Out>,
    lapsed: Vec<Lapsed>,
    last: u64,
    watch: Watch,
}

impl Line {
    /// Whether there is nothing that an answer could belong to.
    pub(super) fn is_quiet(&self) -> bool {
        self.out.is_empty() && self.lapsed.is_empty()
    }

    /// Whether a command waits for its answer, or to be asked again.
    pub(super) fn has_command_out(&self) -> bool {
        self.out.iter().any(Out::is_command)
    }

    /// How many commands have no outcome yet.
    pub(super) fn commands(&self) -> usize {
        self.waiting.len() + self.out.iter().filter(|out| out.is_command()).count()
    }

    /// How many polls are out.
    pub(super) fn polls(&self) -> usize {
        self.out.iter().filter(|out| out.is_poll()).count()
    }

    /// Whether no answer is due.
    pub(super) fn is_free(&self) -> bool {
        self.out.is_empty() && self.lapsed.iter().all(|lapsed| lapsed.limit.is_none())
    }

    /// Lets the time limits of answers run, or stand still while nothing is read.
    pub(super) fn run(&mut self, now: Instant, reads: bool) {
        self.watch.run(now, reads);
    }

    /// Lets a command wait for its turn.
    pub(super) fn wait(&mut self, question: Question) {
        self.waiting.push_back(question);
    }

    /// The first command that waits.
    pub(super) fn first(&self) -> Option<&Question> {
        self.waiting.front()
    }

    /// Takes the first command that waits.
    pub(super) fn take_first(&mut self) -> Option<Question> {
        self.waiting.pop_front()
    }

    /// The questions that are to be asked once more.
    pub(super) fn again(&self) -> impl Iterator<Item = (RequestId, &Question)> {
        let again = |out: &&Out| matches!(out.state, State::Again);
        let out = self.out.iter().filter(again);
        out.map(|out| (out.id, &out.question))
    }

    /// Whether a question may leave now whose answer repeats that.
    pub(super) fn admits(&self, question: &Question, echo: &Echo, half_duplex: bool) -> bool {
        if half_duplex && !self.is_free() {
            return false;
        }
        question.exchange.answer.is_none() || self.tells_apart(None, echo)
    }

    /// Whether that question may be asked once more now, so that its answer repeats that.
    pub(super) fn admits_again(&self, id: RequestId, echo: &Echo) -> bool {
        self.tells_apart(Some(id), echo)
    }

    /// Whether an answer that repeats that is no other question's.
    fn tells_apart(&self, own: Option<RequestId>, echo: &Echo) -> bool {
        let others = self.out.iter().filter(|out| Some(out.id) != own);
        let others = others.filter(|out| out.question.exchange.answer.is_some());
        let tries = others.flat_map(|out| &out.tries).map(|tried| &tried.echo);
        let lapsed = self.lapsed.iter().map(|lapsed| &lapsed.echo);
        tries.chain(lapsed).all(|other| echo.differs(other))
    }

    /// Until when a late answer may come that could be taken for one which repeats that.
    pub(super) fn late_until(&self, echo: &Echo) -> Option<Instant> {
        let lapsed = self.lapsed.iter();
        let same = lapsed.filter(|lapsed| !echo.differs(&lapsed.echo));
        let until = same.map(|lapsed| lapsed.until).max()?;
        self.watch.moment(until)
    }

    /// Notes that a question has been given to be written.
    pub(super) fn send(&mut self, question: Question, echo: Echo) -> RequestId {
        self.last += 1;
        let id = RequestId(self.last);
        self.out.push(Out {
            id,
            question,
            tries: vec![Try { echo, limit: None }],
            written: 0,
            state: State::Writing,
        });
        id
    }

    /// The same for one that is asked once more.
    pub(super) fn send_again(&mut self, id: RequestId, echo: Echo) {
        if let Some(out) = self.out.iter_mut().find(|out| out.id == id) {
            out.tries.push(Try { echo, limit: None });
            out.state = State::Writing;
        }
    }

    /// All of a question has been written; its outcome if it has no answer that is waited for.
    pub(super) fn written(&mut self, id: RequestId, count: usize, now: Instant) -> Option<Settled> {
        let at = self.position(id)?;
        let out = self.out.get_mut(at)?;
        out.written += count;
        let within = out.question.exchange.within;
        let limit = self.watch.time(now).saturating_add(within);
        if let Some(tried) = out.tries.last_mut() {
            tried.limit = Some(limit);
        }
        if out.question.expects() {
            out.state = State::Waiting(limit);
            return None;
        }
        let out = self.out.remove(at);
        let written = out.written;
        self.lapse(&out.question, out.tries, now);
        Some(Settled {
            question: out.question,
            outcome: Outcome::Sent { written },
        })
    }

    /// The writes have given a question up.
    pub(super) fn given_up(
        &mut self,
        id: RequestId,
        written: usize,
        now: Instant,
    ) -> Option<Settled> {
        let at = self.position(id)?;
        let mut out = self.out.remove(at);
        let total = out.written + written;
        if written == 0 {
            // No answer comes to it.
            out.tries.pop();
        }
        self.lapse(&out.question, out.tries, now);
        Some(Settled {
            question: out.question,
            outcome: Outcome::TimedOut { written: total },
        })
    }

    /// Whether fields of a frame must be known to say what it is.
    pub(super) fn needs_fields(&self) -> bool {
        let out = self.out.iter().map(|out| &out.question.exchange);
        let lapsed = self.lapsed.iter().map(|lapsed| &lapsed.exchange);
        out.chain(lapsed).any(|exchange| exchange.needs_fields())
    }

    /// Says what a frame is to the questions that are out.
    pub(super) fn offer(&mut self, frame: &[u8], fields: &Fields, now: Instant) -> Option<Offered> {
        let late = |lapsed: &Lapsed| lapsed.exchange.judge(frame, fields, &lapsed.echo).is_some();
        if let Some(at) = self.lapsed.iter().position(late) {
            self.lapsed.remove(at);
            return Some(Offered::Late);
        }
        let judge = |out: &Out| {
            let exchange = &out.question.exchange;
            // What is not written yet has no answer.
            let written = out.tries.iter().filter(|tried| tried.limit.is_some());
            let mut verdicts = written.enumerate();
            verdicts.find_map(|(at, tried)| Some((at, exchange.judge(frame, fields, &tried.echo)?)))
        };
        let mut all = self.out.iter().enumerate();
        let (at, (tried, verdict)) = all.find_map(|(at, out)| Some((at, judge(out)?)))?;
        let mut out = self.out.remove(at);
        out.tries.remove(tried);
        // Every try may be answered.
        self.lapse(&out.question, out.tries, now);
        Some(Offered::Answer {
            question: out.question,
            written: out.written,
            refused: verdict == Verdict::Refused,
        })
    }

    /// Gives up what is late, or lets it be asked once more.
    pub(super) fn expire(&mut self, now: Instant) -> Option<Settled> {
        let time = self.watch.time(now);
        self.lapsed.retain(|lapsed| lapsed.until > time);
        for lapsed in &mut self.lapsed {
            lapsed.limit = lapsed.limit.filter(|limit| *limit > time);
        }
        let late = |question: &Question| question.deadline.is_some_and(|deadline| deadline <= now);
        if let Some(at) = self.waiting.iter().position(late) {
            let question = self.waiting.remove(at)?;
            let outcome = Outcome::Busy("other requests had the line until the deadline");
            return Some(Settled { question, outcome });
        }
        loop {
            let at = self.out.iter().position(|out| out.is_late(now, time))?;
            let out = self.out.get_mut(at)?;
            let tries = u32::try_from(out.tries.len()).unwrap_or(u32::MAX);
            if tries <= out.question.retries && !late(&out.question) {
                out.state = State::Again;
                continue;
            }
            let out = self.out.remove(at);
            self.lapse(&out.question, out.tries, now);
            let written = out.written;
            return Some(Settled {
                question: out.question,
                outcome: Outcome::TimedOut { written },
            });
        }
    }

    /// A question that cannot be asked once more, because it cannot be filled.
    pub(super) fn cancel(&mut self, id: RequestId, now: Instant) -> Option<(Question, usize)> {
        let at = self.position(id)?;
        let out = self.out.remove(at);
        self.lapse(&out.question, out.tries, now);
        Some((out.question, out.written))
    }

    /// When something is late, or may leave that late answers keep back.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let waiting = self.waiting.iter().filter_map(|question| question.deadline);
        let out = self.out.iter();
        let deadlines = out.clone().filter_map(Out::deadline);
        let limits = out.filter_map(Out::limit);
        let lapsed = self.lapsed.iter();
        let lapsed = lapsed.map(|lapsed| lapsed.limit.unwrap_or(lapsed.until));
        let times = limits.chain(lapsed).min();
        let moment = times.and_then(|time| self.watch.moment(time));
        waiting.chain(deadlines).chain(moment).min()
    }

    /// Gives up the commands that wait, and all that is no command; commands that are out go on.
    pub(super) fn wind_down(&mut self, reason: Reason) -> Vec<Settled> {
        self.out.retain(Out::is_command);
        let waiting = self.waiting.drain(..);
        waiting
            .map(|question| Settled {
                question,
                outcome: reason.outcome(0),
            })
            .collect()
    }

    /// Gives everything up.
    pub(super) fn give_up(&mut self, reason: Reason) -> Vec<Settled> {
        let mut settled = self.wind_down(reason);
        settled.extend(self.out.drain(..).map(|out| Settled {
            outcome: reason.outcome(out.written),
            question: out.question,
        }));
        self.lapsed.clear();
        settled
    }

    /// Notes bytes of a question of which not all have been written when the connection ends.
    pub(super) fn begun(&mut self, id: RequestId, written: usize) {
        if let Some(out) = self.out.iter_mut().find(|out| out.id == id) {
            out.written += written;
        }
    }

    /// How many commands wait, how many questions are out, and how many late answers are waited for.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize, usize) {
        (self.waiting.len(), self.out.len(), self.lapsed.len())
    }

    fn position(&self, id: RequestId) -> Option<usize> {
        self.out.iter().position(|out| out.id == id)
    }

    /// Notes that these tries may still be answered, although nobody waits for it any more.
    fn lapse(&mut self, question: &Question, tries: Vec<Try>, now: Instant) {
        let exchange = &question.exchange;
        if exchange.answer.is_none() {
            return;
        }
        let (time, within) = (self.watch.time(now), exchange.within);
        self.lapsed.extend(tries.into_iter().map(|tried| {
            // What is half written is through before the watch runs on.
            let limit = tried.limit.unwrap_or(time.saturating_add(within));
            Lapsed {
                exchange: Shared::clone(exchange),
                echo: tried.echo,
                until: limit.max(time).saturating_add(within),
                limit: Some(limit).filter(|limit| *limit > time),
            }
        }));
        let over = self.lapsed.len().saturating_sub(MOST_LAPSED);
        self.lapsed.drain(..over);
    }
}

impl Out {
    fn is_command(&self) -> bool {
        matches!(self.question.asker, Asker::Command(_))
    }

    fn is_poll(&self) -> bool {
        matches!(self.question.asker, Asker::Poll(_))
    }

    /// When it is too late for whoever asked. What is being written is the writes' to watch.
    fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Writing => None,
            State::Again | State::Waiting(_) => self.question.deadline,
        }
    }

    /// When its last try is late.
    fn limit(&self) -> Option<Duration> {
        match self.state {
            State::Writing | State::Again => None,
            State::Waiting(limit) => Some(limit),
        }
    }

    fn is_late(&self, now: Instant, time: Duration) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= now)
            || self.limit().is_some_and(|limit| limit <= time)
    }
}
