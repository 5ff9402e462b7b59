//! Frames that are answers: whose, and what follows.

use bytes::Bytes;

use super::Conversation;
use super::actions::{Action, Answer, Counted, Outcome};
use super::asking::Asking;
use super::encode::values;
use super::exchange::UNIT;
use super::frames::Taken;
use super::line::{Asker, Offered, Question};
use crate::message::{Extent, Fields, HexPrefix, Name, Now, Value};

/// Bytes of a refusal's values that the log shows; of longer ones it shows how the frame begins.
const MOST_SHOWN: usize = 200;

impl Conversation {
    /// Takes a frame that may be the answer to a question, and decodes it as such.
    pub(super) fn take_answer(
        &mut self,
        now: Now,
        bytes: &Bytes,
        body: Extent,
        actions: &mut Vec<Action>,
    ) -> bool {
        if self.line.is_quiet() {
            return false;
        }
        let nothing = Fields::new();
        let mut decoded = None;
        let offered = if self.line.needs_fields() {
            let taken = decoded.insert(self.decode(bytes.clone(), body, true, None));
            self.line
                .make()
                .offer(bytes, &taken.reading.fields, now.monotonic)
        } else {
            self.line.make().offer(bytes, &nothing, now.monotonic)
        };
        match offered {
            None => match decoded {
                Some(mut taken) => {
                    self.take(now, &mut taken, actions);
                    true
                }
                None => false,
            },
            Some(Offered::Late) => {
                let taken = decoded.unwrap_or_else(|| self.decode(bytes.clone(), body, true, None));
                let mut taken = taken.unpublished();
                actions.push(Action::Count(Counted::Late(self.shown(bytes))));
                self.take(now, &mut taken, actions);
                true
            }
            Some(Offered::Answer {
                question,
                written,
                refused,
            }) => {
                let reads = question.exchange.reads(refused).cloned();
                let taken = match (reads, decoded) {
                    (None, Some(taken)) => taken,
                    (reads, _) => self.decode(bytes.clone(), body, true, reads.as_ref()),
                };
                let taken = taken.answering();
                self.answered(now, (question, written, refused), taken, actions);
                true
            }
        }
    }

    fn answered(
        &mut self,
        now: Now,
        (question, written, refused): (Question, usize, bool),
        mut taken: Taken,
        actions: &mut Vec<Action>,
    ) {
        if let Some(unit) = question.unit.clone()
            && taken.reading.fields.get(UNIT).is_none()
        {
            taken.reading.fields.set(UNIT.into(), Value::Text(unit));
            taken.reading.fields.hide(0, UNIT);
        }
        match question.asker {
            Asker::Command(id) => {
                if refused || !question.exchange.publish {
                    taken = taken.unpublished();
                }
                self.take(now, &mut taken, actions);
                let answer = Box::new(self.answer_of(taken, written));
                let outcome = match refused {
                    true => Outcome::Refused(answer),
                    false => Outcome::Answered(answer),
                };
                actions.push(Action::Answer(id, outcome));
            }
            Asker::Open(step) => {
                let shown = self.shown(&taken.bytes);
                self.take(now, &mut taken, actions);
                if self.ending.is_some() {
                } else if refused {
                    let why = format!("the device refused: {}", HexPrefix(&shown));
                    self.not_opened(now, Name::clone(&question.exchange.name), why, actions);
                } else {
                    self.go_on_opening(now, step + 1, actions);
                }
            }
            Asker::Poll(job) => {
                actions.push(Action::Count(match refused {
                    false => Counted::PollAnswered,
                    true => Counted::PollRefused(
                        Name::clone(&question.exchange.name),
                        question.unit.clone(),
                        self.shown_refusal(&taken),
                    ),
                }));
                if let Asking::Open(Some(schedule)) = &mut self.asking {
                    let change = schedule.answered(job);
                    self.tell(change, question.unit.as_deref(), actions);
                }
                self.take(now, &mut taken, actions);
                // Its answer has bound a unit that was taken out of the settings while it was asked.
                let units = &self.settings.units;
                if let Some(unit) = question.unit.filter(|unit| !units.contains(unit)) {
                    self.unbind_unit(&unit, actions);
                }
            }
        }
    }

    /// A refusal as the log shows it.
    fn shown_refusal(&self, taken: &Taken) -> Result<String, Bytes> {
        let shown = self.shown(&taken.bytes);
        if taken.reading.undecoded.is_some() || self.protocol.identity.secret().is_some() {
            return Err(shown);
        }
        let values = String::from_utf8_lossy(&values(&taken.reading, &shown)).into_owned();
        match values.len() <= MOST_SHOWN {
            true => Ok(values),
            false => Err(shown),
        }
    }

    fn answer_of(&self, mut taken: Taken, written: usize) -> Answer {
        // A secret that this frame may carry is nobody's to see.
        let frame = match self.protocol.identity.secret() {
            Some(_) => {
                self.conceal(&mut taken);
                Bytes::new()
            }
            None => taken.bytes.clone(),
        };
        Answer {
            written,
            kind: taken.reading.kind.clone(),
            values: values(&taken.reading, &frame),
            frame,
            detail: taken.reading.undecoded.clone(),
        }
    }
}
