//! What a client sends, and what becomes of it.

use std::time::Duration;

use bytes::{Buf, Bytes};
use mqtt::{Delivery as Mark, Packet, PacketId, QoS, SubAck};

use super::{Connection, End, HeldAck, MAX_QUEUED, Publication};
use crate::admission::MAX_PACKET_BYTES;
use crate::clock;
use crate::counters::Count;
use crate::faults::PublishFault;
use crate::hub::{MethodAnswer, Telemetry};
use crate::identities::IdentityId;
use crate::topics::{self, Inbound, Purpose, TopicError};
use crate::twin::ReportError;

impl Connection {
    pub(super) fn read_packets(&mut self) -> Result<(), End> {
        while self.queue.len() < MAX_QUEUED {
            let input = std::mem::take(&mut self.input);
            let decoded = mqtt::decode(&input, MAX_PACKET_BYTES);
            let used = match decoded {
                Ok(Some((packet, used))) => {
                    let taken = self.take(packet);
                    self.input = input;
                    taken?;
                    used
                }
                Ok(None) => {
                    self.input = input;
                    return Ok(());
                }
                Err(_) => return Err(Some(Count::protocol_error)),
            };
            self.input.advance(used);
            self.active_at = clock::monotonic();
        }
        Ok(())
    }

    fn take(&mut self, packet: Packet<'_>) -> Result<(), End> {
        match packet {
            Packet::Publish(publish) => {
                self.hub.count(Count::publishes);
                self.queue.push_back(Publication {
                    topic: publish.topic.to_owned(),
                    body: Bytes::copy_from_slice(publish.payload),
                    mark: publish.delivery,
                    retain: publish.retain,
                });
            }
            Packet::PubAck(id) => self.acknowledged(id),
            Packet::Subscribe(subscribe) => self.subscribe(subscribe.id, &subscribe.filters),
            Packet::Unsubscribe(unsubscribe) => {
                for filter in unsubscribe.filters {
                    self.hub.sessions.unsubscribe(&self.client.id, filter);
                }
                self.send(&Packet::UnsubAck(unsubscribe.id));
            }
            Packet::PingReq => self.send(&Packet::PingResp),
            Packet::Disconnect => {
                self.said_goodbye = true;
                // What came before it is still processed.
                while let Some(publication) = self.queue.pop_front() {
                    self.process(&publication)?;
                }
                return Err(None);
            }
            _ => return Err(Some(Count::protocol_error)),
        }
        Ok(())
    }

    fn subscribe(&mut self, id: PacketId, filters: &[(&str, QoS)]) {
        let wanted_before = self.hub.sessions.has(&self.client.id, Purpose::Desired);
        let grant = |(filter, wanted): &(&str, QoS)| {
            Some(
                self.hub
                    .sessions
                    .subscribe(&self.client.id, filter, *wanted),
            )
        };
        let granted = if self.dead {
            filters
                .iter()
                .map(|(_, wanted)| Some((*wanted).min(QoS::AtLeastOnce)))
                .collect()
        } else {
            filters.iter().map(grant).collect()
        };
        self.send(&Packet::SubAck(SubAck { id, granted }));
        self.hub.changes.notify();
        if !wanted_before {
            self.tell_missed_desired();
        }
    }

    /// What the client missed while it was away comes as one patch, maybe several versions on.
    pub(super) fn tell_missed_desired(&mut self) {
        if self.dead || !self.hub.sessions.has(&self.client.id, Purpose::Desired) {
            return;
        }
        let missed = self.hub.with_twin(&self.client.id, |twin| twin.missed());
        if let Some(patch) = missed {
            self.hub.send_desired(&self.client.id, &patch);
        }
    }

    pub(super) fn process(&mut self, publication: &Publication) -> Result<(), End> {
        let fault = self.fault(publication);
        if fault == Some(PublishFault::FailStore) {
            return Err(Some(Count::store_failed));
        }
        self.interpret(publication)?;
        match (publication.mark, fault) {
            (Mark::ExactlyOnce { .. }, _) => Err(Some(Count::qos_2)),
            (_, Some(PublishFault::LosePuback)) => Err(Some(Count::pubacks_lost)),
            (Mark::AtLeastOnce { id, .. }, fault) => {
                let delay = if let Some(PublishFault::Delay(delay)) = fault {
                    delay
                } else {
                    Duration::ZERO
                };
                self.acks.push_back(HeldAck {
                    id,
                    due: clock::monotonic() + delay,
                });
                Ok(())
            }
            (Mark::AtMostOnce, _) => Ok(()),
        }
    }

    /// Faults on request meet telemetry of QoS 1 only.
    fn fault(&self, publication: &Publication) -> Option<PublishFault> {
        let telemetry = !publication.topic.starts_with("$iothub/");
        let wanted = telemetry && matches!(publication.mark, Mark::AtLeastOnce { .. });
        wanted.then(|| self.hub.script.next_publish()).flatten()
    }

    fn interpret(&mut self, publication: &Publication) -> Result<(), End> {
        match topics::inbound(&publication.topic) {
            Err(TopicError::Twin) => Err(Some(Count::bad_twin_topic)),
            Err(TopicError::NoTemplate) => {
                self.hub.count(Count::dropped_topic);
                Ok(())
            }
            Ok(Inbound::TwinGet { rid }) => {
                self.twin_get(&rid);
                Ok(())
            }
            Ok(Inbound::Reported { rid }) => {
                self.reported(rid.as_deref(), &publication.body);
                Ok(())
            }
            Ok(Inbound::MethodAnswer { status, rid }) => {
                self.method_answer(status, rid, &publication.body);
                Ok(())
            }
            Ok(Inbound::Telemetry { sender, .. }) if sender != self.client.id => {
                Err(Some(Count::foreign_topic))
            }
            Ok(Inbound::Telemetry { sender, bag }) => {
                let added = self.added(publication);
                self.telemetry(&sender, bag, &publication.body, &added);
                Ok(())
            }
        }
    }

    /// The flags of a publication become properties.
    fn added(&self, publication: &Publication) -> Vec<(&'static str, &'static str)> {
        let mut added = Vec::new();
        if publication.retain {
            self.hub.count(Count::retain_received);
            added.push(("mqtt-retain", "true"));
        }
        if publication.mark.dup() {
            self.hub.count(Count::dup_received);
            added.push(("mqtt-dup", "true"));
        }
        if publication.mark == Mark::AtMostOnce {
            self.hub.count(Count::telemetry_at_most_once);
        }
        added
    }

    pub(super) fn telemetry(
        &self,
        topic: &IdentityId,
        bag: &str,
        body: &Bytes,
        added: &[(&'static str, &'static str)],
    ) {
        let (connection, dead) = (self.number, self.dead);
        self.hub.telemetry(Telemetry {
            topic,
            bag,
            body,
            added,
            connection,
            dead,
        });
    }

    fn twin_get(&mut self, rid: &str) {
        self.hub.count(Count::twin_gets);
        let document = if self.hub.script.empty_twins() {
            serde_json::json!({ "desired": {}, "reported": {} })
        } else {
            self.hub.with_twin(&self.client.id, |twin| {
                twin.mark_told();
                twin.document()
            })
        };
        self.publish(
            &topics::twin_answer(200, rid),
            document.to_string().as_bytes(),
            None,
        );
    }

    fn reported(&mut self, rid: Option<&str>, body: &Bytes) {
        let outcome = self
            .hub
            .with_twin(&self.client.id, |twin| twin.report(body));
        let (status, count) = match outcome {
            Ok(()) => (204, Count::reported_accepted),
            Err(ReportError::Refused(_)) => (400, Count::reported_refused),
            Err(ReportError::Unreadable) => (500, Count::reported_unreadable),
        };
        if status == 204 {
            self.hub.notify_twin_change(&self.client.id, body);
        }
        self.hub.count(count);
        if let Some(rid) = rid {
            self.publish(&topics::twin_answer(status, rid), &[], None);
        }
    }

    fn method_answer(&self, status: &str, rid: &str, body: &Bytes) {
        let payload = serde_json::from_slice(body).unwrap_or(serde_json::Value::Null);
        // Another status than a number reaches the caller as this one, without the payload.
        let answer = match status.parse() {
            Ok(status) => MethodAnswer { status, payload },
            Err(_) => MethodAnswer {
                status: 400_000,
                payload: serde_json::Value::Null,
            },
        };
        if !self.hub.answer_method(rid, answer) {
            self.hub.count(Count::method_answers_unknown);
        }
    }
}
