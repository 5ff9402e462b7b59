//! What a watched conversation shows of how it understands what comes.

use super::frames::Taken;
use super::{Action, Conversation, Sight};
use crate::message::Now;
use crate::pipeline::Received;

impl Conversation {
    /// Shows with [`Action::Show`] how it understands what comes, for who explains it. After
    /// each of them it waits for [`super::Input::TakenOver`], so that what follows from one comes
    /// before the next.
    pub fn watched(self) -> Self {
        Conversation {
            pipeline: self.pipeline.watched(),
            ..self
        }
    }

    /// Bytes that wait for the rest of their frame.
    pub fn buffered(&self) -> usize {
        self.pipeline.buffered()
    }

    pub(super) fn is_watched(&self) -> bool {
        self.pipeline.seen().is_some()
    }

    /// Takes what the pipeline found next, and shows it before what follows from it.
    pub(super) fn receive_and_show(
        &mut self,
        now: Now,
        received: Received,
        actions: &mut Vec<Action>,
    ) {
        let place = actions.len();
        self.sight = Some(Box::new(Sight {
            received: received.clone(),
            seen: self.pipeline.seen().cloned().unwrap_or_default(),
            buffered: self.pipeline.buffered(),
            reading: None,
            from: None,
        }));
        self.receive(now, received, actions);
        self.tell_failure(actions);
        self.paused = true;
        if let Some(sight) = self.sight.take() {
            actions.insert(place, Action::Show(sight));
        }
    }

    /// Says of a frame who it is from, where that is shown.
    pub(super) fn tell_from(&mut self, taken: &Taken) {
        if let (Some(sight), Some(identity)) = (&mut self.sight, &self.identity) {
            let (says, fields) = (taken.says(), &taken.reading.fields);
            sight.from = Some(identity.explain(says, fields, &self.settings.devices));
        }
    }
}
