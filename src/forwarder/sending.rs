//! Sending parcels, and what comes of them.

use std::time::Instant;

use super::batch::Batch;
use super::outstanding::Records;
use super::{Forwarder, letter};
use crate::message::{Message, Name, Priority, Sequence};
use crate::northbound::dialect::{self, Publish};
use crate::northbound::{LinkReport, ParcelId};
use crate::outbox::Held;
use crate::spool::Read;

impl Forwarder {
    pub(super) fn reported(&mut self, report: LinkReport) {
        match report {
            LinkReport::Up(session) => {
                for parcel in self.outstanding.parcels() {
                    // Its channel takes as many as may be outstanding.
                    drop(session.try_send(parcel.clone()));
                }
                self.session = Some(session);
            }
            LinkReport::Delivered(ids) => {
                for id in ids {
                    self.delivered(id);
                }
            }
            LinkReport::Refused(id, reason) => {
                for (priority, sequence) in self.outstanding.remove(id).unwrap_or_default().iter() {
                    self.refuse(priority, sequence, &reason);
                }
            }
            LinkReport::Down => self.session = None,
        }
    }

    fn delivered(&mut self, id: ParcelId) {
        let Some(records) = self.outstanding.remove(id) else {
            return;
        };
        let now = self.clock.now().monotonic;
        self.accounts.metered(records.units, now);
        for (priority, sequence) in records.iter() {
            let Some((message, held)) = self.spool.done(priority, sequence) else {
                continue;
            };
            self.accounts.of(&message.output).delivered += 1;
            if let Some(held) = held {
                held.delivered();
            }
        }
    }

    /// Sends as long as the window has room.
    pub(super) fn send(&mut self, now: Instant) {
        self.batches.close_due(now);
        while self.current.settled && self.session.is_some() && self.outstanding.has_room() {
            if let Some(batch) = self.batches.take() {
                self.dispatch_batch(batch);
            } else if let Some(read) = self.spool.read() {
                self.pass_on(&read, now);
            } else if !self.closes_idle() {
                return;
            }
        }
    }

    /// Closes batches because nothing is queued behind them; whether there are any.
    fn closes_idle(&mut self) -> bool {
        if self.spool.reads_on() {
            return false;
        }
        // Nothing is held over the process's end, or in memory alone.
        match self.open && self.spool.takes() {
            true => self.batches.close_idle(),
            false => self.batches.close_all(),
        }
        self.batches.has_closed()
    }

    /// Sends a message, or puts it into its batch.
    fn pass_on(&mut self, read: &Read, now: Instant) {
        if read.priority == Priority::Normal {
            self.batches.close_high();
        }
        let id = self.spool.id(read.sequence, &read.message);
        match self.terms_of(&read.message.output).batching {
            Some(batching) => self.batches.add(read, &id, batching, now),
            None => {
                let publish = self.dialect.publish(&id, &read.message);
                self.dispatch(publish, Records::one(read.priority, read.sequence));
            }
        }
    }

    fn dispatch_batch(&mut self, batch: Batch) {
        let (id, output) = (batch.id.clone(), Name::clone(&batch.output));
        let (elements, records) = batch.into_parts();
        let publish = self.dialect.publish_batch(&id, &output, elements);
        self.dispatch(publish, Records::many(records));
    }

    fn dispatch(&mut self, publish: Result<Publish, String>, mut records: Records) {
        match publish {
            Ok(publish) => {
                records.units = dialect::metering_units(publish.counted);
                let parcel = self.outstanding.add(publish, records);
                if let Some(session) = &self.session {
                    // The session may be over; its Down is on the way.
                    drop(session.try_send(parcel));
                }
            }
            Err(reason) => {
                for (priority, sequence) in records.iter() {
                    self.refuse(priority, sequence, &reason);
                }
            }
        }
    }

    /// A message that can never be delivered.
    fn refuse(&mut self, priority: Priority, sequence: Sequence, reason: &str) {
        if let Some((message, held)) = self.spool.done(priority, sequence) {
            let id = self.spool.id(sequence, &message);
            self.bury(&message, Some(id), reason.to_owned(), held);
        }
    }

    pub(super) fn bury(
        &mut self,
        message: &Message,
        id: Option<String>,
        reason: String,
        held: Option<Held>,
    ) {
        let output = &message.output;
        if let Some(held_back) = self.says("dead_letter", output) {
            tracing::error!(%output, %reason, held_back, "a message can never be delivered; see dead-letters.jsonl in the storage directory");
        }
        let line = letter::line(message, id.as_deref(), &reason, self.clock.now().utc);
        if let Err(held) = self.spool.bury(output, line, held) {
            self.not_buried(output, held);
        }
    }
}
