//! The questions that are on their way to a device, and those whose late answers may still come.
//!
//! Two questions are out together only if their answers can be told apart by what they repeat, and
//! nothing leaves while the late answer to another could be taken for its own.

use std::collections::VecDeque;
use std::time::Instant;

use super::actions::{Outcome, Reason};
use super::exchange::{Echo, Shared, Verdict};
use crate::message::{CommandId, Fields, Text};

/// Late answers that are waited for at most; the oldest is forgotten first.
const MOST_LAPSED: usize = 64;

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
    /// Written; the answer may come until then.
    Waiting(Instant),
    /// To be sent once more.
    Again,
}

#[derive(Debug)]
struct Out {
    id: RequestId,
    question: Question,
    /// What the answer to each try repeats.
    echoes: Vec<Echo>,
    written: usize,
    state: State,
}

#[derive(Debug)]
struct Lapsed {
    exchange: Shared,
    echo: Echo,
    until: Instant,
}

/// Where the questions of a connection are.
#[derive(Debug, Default)]
pub(super) struct Line {
    waiting: VecDeque<Question>,
    out: Vec<Out>,
    lapsed: Vec<Lapsed>,
    last: u64,
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

    /// Whether no question is out.
    pub(super) fn is_free(&self) -> bool {
        self.out.is_empty()
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

    /// A question that is to be asked once more.
    pub(super) fn again(&self) -> Option<(RequestId, &Question)> {
        let mut out = self.out.iter();
        let again = out.find(|out| matches!(out.state, State::Again))?;
        Some((again.id, &again.question))
    }

    /// Whether a question may leave now whose answer repeats that.
    pub(super) fn admits(&self, question: &Question, echo: &Echo, half_duplex: bool) -> bool {
        if half_duplex && !self.out.is_empty() {
            return false;
        }
        if question.exchange.answer.is_none() {
            return true;
        }
        let apart = |other: &Echo| echo.differs(other);
        let out = self
            .out
            .iter()
            .filter(|out| out.question.exchange.answer.is_some());
        out.flat_map(|out| &out.echoes).all(apart)
            && self.lapsed.iter().all(|lapsed| apart(&lapsed.echo))
    }

    /// Until when a late answer may come that could be taken for one which repeats that.
    pub(super) fn late_until(&self, echo: &Echo) -> Option<Instant> {
        let lapsed = self.lapsed.iter();
        let same = lapsed.filter(|lapsed| !echo.differs(&lapsed.echo));
        same.map(|lapsed| lapsed.until).max()
    }

    /// Notes that a question has been given to be written.
    pub(super) fn send(&mut self, question: Question, echo: Echo) -> RequestId {
        self.last += 1;
        let id = RequestId(self.last);
        self.out.push(Out {
            id,
            question,
            echoes: vec![echo],
            written: 0,
            state: State::Writing,
        });
        id
    }

    /// The same for one that is asked once more.
    pub(super) fn send_again(&mut self, id: RequestId, echo: Echo) {
        if let Some(out) = self.out.iter_mut().find(|out| out.id == id) {
            out.echoes.push(echo);
            out.state = State::Writing;
        }
    }

    /// All of a question has been written; its outcome if it has no answer that is waited for.
    pub(super) fn written(&mut self, id: RequestId, count: usize, now: Instant) -> Option<Settled> {
        let at = self.position(id)?;
        let out = self.out.get_mut(at)?;
        out.written += count;
        let until = now + out.question.exchange.within;
        if out.question.exchange.answer.is_some() && out.question.waits {
            out.state = State::Waiting(out.no_later(until));
            return None;
        }
        let out = self.out.remove(at);
        let written = out.written;
        self.lapse(out.question.exchange.clone(), out.echoes, until);
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
        let out = self.out.remove(at);
        let until = now + out.question.exchange.within;
        let total = out.written + written;
        // Of the last try no answer comes if nothing of it was written.
        let sent = out.echoes.len() - usize::from(written == 0);
        let echoes = out.echoes.into_iter().take(sent).collect();
        self.lapse(out.question.exchange.clone(), echoes, until);
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
            let mut verdicts = out.echoes.iter().enumerate();
            verdicts.find_map(|(at, echo)| Some((at, exchange.judge(frame, fields, echo)?)))
        };
        let mut all = self.out.iter().enumerate();
        let (at, (tried, verdict)) = all.find_map(|(at, out)| Some((at, judge(out)?)))?;
        let mut out = self.out.remove(at);
        out.echoes.remove(tried);
        let until = now + out.question.exchange.within;
        // Every try may be answered.
        self.lapse(out.question.exchange.clone(), out.echoes, until);
        Some(Offered::Answer {
            question: out.question,
            written: out.written,
            refused: verdict == Verdict::Refused,
        })
    }

    /// Gives up what is late, or lets it be asked once more. While we keep the device waiting, only
    /// deadlines count: its answer may lie unread.
    pub(super) fn expire(&mut self, now: Instant, held: bool) -> Option<Settled> {
        self.lapsed.retain(|lapsed| lapsed.until > now);
        let late = |question: &Question| question.deadline.is_some_and(|deadline| deadline <= now);
        if let Some(at) = self.waiting.iter().position(late) {
            let question = self.waiting.remove(at)?;
            let outcome = Outcome::Busy("other requests had the line until the deadline");
            return Some(Settled { question, outcome });
        }
        loop {
            let at = self.out.iter().position(|out| out.is_late(now, held))?;
            let out = self.out.get_mut(at)?;
            let tries = u32::try_from(out.echoes.len()).unwrap_or(u32::MAX);
            if tries <= out.question.retries && !late(&out.question) {
                out.state = State::Again;
                continue;
            }
            let out = self.out.remove(at);
            let until = now + out.question.exchange.within;
            self.lapse(out.question.exchange.clone(), out.echoes, until);
            let written = out.written;
            return Some(Settled {
                question: out.question,
                outcome: Outcome::TimedOut { written },
            });
        }
    }

    /// A question that cannot be asked once more, because it cannot be filled.
    pub(super) fn cancel(&mut self, id: RequestId) -> Option<(Question, usize)> {
        let at = self.position(id)?;
        let out = self.out.remove(at);
        Some((out.question, out.written))
    }

    /// We have kept the device waiting; its answers have their time from now on.
    pub(super) fn resume(&mut self, now: Instant) {
        for out in &mut self.out {
            if let State::Waiting(until) = out.state {
                let until = until.max(now + out.question.exchange.within);
                out.state = State::Waiting(out.no_later(until));
            }
        }
    }

    /// When something is late, or may leave that late answers keep back.
    pub(super) fn deadline(&self, held: bool) -> Option<Instant> {
        let waiting = self.waiting.iter().filter_map(|question| question.deadline);
        let out = self.out.iter().filter_map(|out| out.limit(held));
        let lapsed = self.lapsed.iter().map(|lapsed| lapsed.until);
        waiting.chain(out).chain(lapsed).min()
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

    fn position(&self, id: RequestId) -> Option<usize> {
        self.out.iter().position(|out| out.id == id)
    }

    fn lapse(&mut self, exchange: Shared, echoes: Vec<Echo>, until: Instant) {
        if exchange.answer.is_none() {
            return;
        }
        self.lapsed.extend(echoes.into_iter().map(|echo| Lapsed {
            exchange: Shared::clone(&exchange),
            echo,
            until,
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

    fn no_later(&self, until: Instant) -> Instant {
        self.question
            .deadline
            .map_or(until, |deadline| deadline.min(until))
    }

    /// When it is late. What is being written is the writes' to watch.
    fn limit(&self, held: bool) -> Option<Instant> {
        match self.state {
            State::Writing => None,
            State::Again => self.question.deadline,
            State::Waiting(_) if held => self.question.deadline,
            State::Waiting(until) => Some(until),
        }
    }

    fn is_late(&self, now: Instant, held: bool) -> bool {
        self.limit(held).is_some_and(|limit| limit <= now)
    }
}
