//! Recorded answers: read as what they answer, although nobody asks.

use std::sync::Arc;

use bytes::Bytes;

use super::Conversation;
use super::actions::Action;
use super::asking::Asking;
use super::exchange::{Echo, Verdict};
use crate::message::{Extent, Name, Now};

impl Conversation {
    /// As [`Conversation::without_questions`], and frames that may answer the poll of that name are
    /// read as its answers, whatever they would repeat of the question.
    ///
    /// # Errors
    /// The names of the polls that there are.
    pub fn with_recorded_answers(self, poll: &str) -> Result<Self, Vec<Name>> {
        let polls = &self.protocol.questions.polls;
        match polls.iter().position(|known| &*known.name == poll) {
            Some(at) => Ok(Conversation {
                asking: Asking::Recorded(at),
                ..self
            }),
            None => Err(polls.iter().map(|poll| poll.name.clone()).collect()),
        }
    }

    /// Takes a frame that may answer the poll whose answers were recorded. Of several questions the
    /// first counts by which all of it is read.
    pub(super) fn take_recorded_answer(
        &mut self,
        now: Now,
        bytes: &Bytes,
        body: Extent,
        actions: &mut Vec<Action>,
    ) -> bool {
        let Asking::Recorded(poll) = self.asking else {
            return false;
        };
        let protocol = Arc::clone(&self.protocol);
        let asks = protocol.questions.polls.get(poll);
        let asks = asks.map_or(&[][..], |poll| &poll.asks);
        let plain = self.decode(bytes.clone(), body, true, None);
        let mut read = None;
        for exchange in asks {
            let verdict = exchange.judge(bytes, &plain.reading.fields, &Echo::default());
            let Some(verdict) = verdict else {
                continue;
            };
            let reads = exchange.reads(verdict == Verdict::Refused);
            let taken = self.decode(bytes.clone(), body, true, reads);
            let is_whole = taken.reading.undecoded.is_none();
            read = Some(taken);
            if is_whole {
                break;
            }
        }
        let Some(read) = read else {
            return false;
        };
        self.take(now, &mut read.answering(), actions);
        true
    }
}
