//! From a received frame to its message, its reply, or its refusal.

use std::sync::Arc;

use bytes::Bytes;

use super::actions::{Action, Counted, Reason};
use super::due::{Due, Refusal, Waits};
use super::encode::Source;
use super::protocol::{BodyForm, OnBadChecksum, OnUndecoded, Otherwise, Promise, UnknownDevices};
use super::replies::Reply;
use super::speaker::Speaker;
use super::{Conversation, DEFAULT_OUTPUT, advance};
use crate::checksum::Checksum;
use crate::decoding::Decoder;
use crate::message::{Extent, Fields, Frame, Message, Name, Now, Part, Reading, Ticket};
use crate::modbus;
use crate::pipeline::Received;
use crate::script::{Call, First};
use crate::template::Context;

/// A frame on its way through.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) bytes: Bytes,
    pub(super) reading: Reading,
    checksum_ok: bool,
    /// What the identity's function says of it, where a function does.
    pub(super) asked: Option<Fields>,
    /// Its device, once it is admitted as that device's.
    pub(super) device: Option<Name>,
    /// Whether it carries a secret, so that its bytes are not passed on.
    pub(super) confidential: bool,
    /// It makes no message, whatever its layout says.
    unpublished: bool,
    /// It answers a question.
    answers: bool,
}

impl Taken {
    pub(super) fn new(bytes: Bytes, reading: Reading, checksum_ok: bool) -> Self {
        Taken {
            bytes,
            reading,
            checksum_ok,
            asked: None,
            device: None,
            confidential: false,
            unpublished: false,
            answers: false,
        }
    }

    /// The same as the answer to a question.
    pub(super) fn answering(self) -> Self {
        Taken {
            answers: true,
            ..self
        }
    }

    /// The same as an answer that makes no message.
    pub(super) fn unpublished(self) -> Self {
        Taken {
            unpublished: true,
            ..self
        }
    }

    /// Where its identity stands.
    pub(super) fn says(&self) -> &Fields {
        self.asked.as_ref().unwrap_or(&self.reading.fields)
    }
}

/// What is passed on of a frame that carries a secret.
static NO_BYTES: Bytes = Bytes::new();

/// Units behind one device whose names commands are found by.
const MOST_UNITS: usize = 1000;

/// How far a frame may go.
enum Admission {
    /// It is this device's.
    Admitted(Speaker),
    /// It needs no device: it publishes nothing and comes before the login.
    Nameless,
    /// It is dropped.
    Refused,
}

impl Conversation {
    /// Takes what the pipeline found next.
    pub(super) fn receive(&mut self, now: Now, received: Received, actions: &mut Vec<Action>) {
        let counted = match received {
            Received::Frame {
                bytes,
                body,
                checksum_ok,
            } => {
                if !checksum_ok {
                    actions.push(Action::Count(Counted::BadChecksum(self.shown(&bytes))));
                }
                if checksum_ok
                    && (self.take_answer(now, &bytes, body, actions)
                        || self.take_recorded_answer(now, &bytes, body, actions))
                {
                    return;
                }
                let mut taken = self.decode(bytes, body, checksum_ok, None);
                return self.take(now, &mut taken, actions);
            }
            Received::BadChecksum { bytes, body } => return self.refuse(now, bytes, body, actions),
            Received::TooLong { prefix } => Counted::TooLong(self.shown(&prefix)),
            Received::Skipped { count, prefix, why } => {
                Counted::Skipped(count, self.shown(&prefix), why)
            }
            Received::Incomplete { count } => Counted::IncompleteTimeout(count),
            Received::HalfFrame { count, .. } => Counted::HalfFrame(count),
            Received::Broken(why) => {
                self.finish(now, Reason::Broken);
                Counted::Broken(why.to_string().into())
            }
        };
        actions.push(Action::Count(counted));
    }

    /// What a frame says, by the protocol's decoder or the one that is given.
    pub(super) fn decode(
        &mut self,
        bytes: Bytes,
        body: Extent,
        checksum_ok: bool,
        given: Option<&Decoder>,
    ) -> Taken {
        let frame = Frame {
            bytes: &bytes,
            body,
        };
        let decoder = given.unwrap_or(&self.protocol.decoder);
        let caller = self.caller.as_ref();
        let reading = match &mut self.sight {
            None => decoder.decode_for(frame, caller),
            Some(sight) => {
                let read = sight.reading.insert(decoder.explain(frame, caller));
                read.0.clone()
            }
        };
        Taken::new(bytes, reading, checksum_ok)
    }

    /// A frame with a wrong checksum.
    fn refuse(&mut self, now: Now, bytes: Bytes, body: Extent, actions: &mut Vec<Action>) {
        actions.push(Action::Count(Counted::BadChecksum(self.shown(&bytes))));
        match self.protocol.on_bad_checksum {
            OnBadChecksum::Reject | OnBadChecksum::Flag => {}
            OnBadChecksum::Close => self.finish(now, Reason::BadChecksum),
            OnBadChecksum::Nak => {
                let mut taken = self.decode(bytes, body, false, None);
                self.conceal(&mut taken);
                let protocol = Arc::clone(&self.protocol);
                let Some(nak) = protocol.replies.nak() else {
                    return;
                };
                self.reply_at_once(now, nak, &taken, actions);
                if nak.close {
                    self.finish(now, Reason::Reply);
                }
            }
        }
    }

    /// Puts a reply into the row that waits for no promise.
    pub(super) fn reply_at_once(
        &mut self,
        now: Now,
        reply: &Reply,
        taken: &Taken,
        actions: &mut Vec<Action>,
    ) {
        if let Some(bytes) = self.render(now, reply, taken, actions) {
            self.due.push(Due::now(bytes));
            advance(&mut self.memory, reply.send.counter_names());
        }
    }

    /// Attributes, submits and answers a frame.
    pub(super) fn take(&mut self, now: Now, taken: &mut Taken, actions: &mut Vec<Action>) {
        self.frames += 1;
        actions.push(Action::Count(Counted::Frame));
        let remembered = &self.protocol.questions.remembered;
        if !remembered.is_empty() {
            self.memory
                .make()
                .remember(remembered, &taken.reading.fields);
        }
        let Some(publish) = self.publishes(now, taken, actions) else {
            return;
        };
        let secret = self.conceal(taken);
        if taken.asked.is_none() {
            taken.asked = self.says_function(taken);
        }
        if !self.proves(now, secret.as_deref(), taken, actions) {
            return;
        }
        let admission = self.admit(now, taken, publish, actions);
        self.begin_polls(now, actions);
        self.tell_from(taken);
        let speaker = match admission {
            Admission::Admitted(speaker) => Some(speaker),
            Admission::Nameless => None,
            Admission::Refused => return,
        };
        taken.device = speaker.as_ref().map(|speaker| speaker.device.name.clone());
        let received = self.last_stamp.of(now.utc);
        let messages = speaker
            .as_ref()
            .filter(|_| publish)
            .map(|speaker| self.messages(&received, taken, speaker, actions));
        let ticket = messages.as_ref().map(|_| Ticket(self.frames));
        let place = actions.len();
        self.answer(now, taken, ticket, actions);
        if let (Some(ticket), Some(messages)) = (ticket, messages) {
            self.ahead += messages.iter().map(Message::cost).sum::<usize>();
            let awaits = self.due.awaits(ticket);
            actions.insert(place, Action::Submit(ticket, messages, awaits));
        }
    }

    /// Whether registers say what frames like this answer, and it answers nothing.
    fn is_unasked(&self, taken: &Taken) -> bool {
        let registers = self.protocol.questions.registers.is_some();
        let fields = &taken.reading.fields;
        registers && !taken.answers && fields.get(modbus::FUNCTION).is_some()
    }

    /// Whether a frame makes a message; `None` if it ends the connection.
    fn publishes(&mut self, now: Now, taken: &Taken, actions: &mut Vec<Action>) -> Option<bool> {
        if taken.reading.publish && !taken.unpublished && self.is_unasked(taken) {
            let shown = self.shown(&taken.bytes);
            actions.push(Action::Count(Counted::Unasked(shown)));
            return Some(false);
        }
        let Some(why) = &taken.reading.undecoded else {
            let empty = taken.reading.parts.as_ref().is_some_and(Vec::is_empty);
            return Some(taken.reading.publish && !empty && !taken.unpublished);
        };
        if taken.unpublished {
            return Some(false);
        }
        actions.push(Action::Count(Counted::Undecoded(
            why.clone(),
            self.shown(&taken.bytes),
        )));
        match self.protocol.on_undecoded {
            OnUndecoded::Publish => Some(true),
            OnUndecoded::Drop => Some(false),
            OnUndecoded::Close => {
                self.finish(now, Reason::Undecoded);
                None
            }
        }
    }

    fn admit(
        &mut self,
        now: Now,
        taken: &Taken,
        publish: bool,
        actions: &mut Vec<Action>,
    ) -> Admission {
        let Some(identity) = &mut self.identity else {
            return Admission::Refused;
        };
        let fields = &taken.reading.fields;
        let speaker = identity.of_frame(taken.says(), fields, &self.settings.devices);
        let behind = identity.behind(&self.settings.devices);
        if self.awaits_login() {
            if !publish {
                return Admission::Nameless;
            }
            self.refuse_before_login(now, taken, actions);
            return Admission::Refused;
        }
        if !speaker.identified {
            if !publish {
                return Admission::Nameless;
            }
            actions.push(Action::Count(Counted::Unidentified));
        }
        if speaker.unit.is_some() && self.is_unasked(taken) {
            // Nobody knows whether there is such a unit.
            return Admission::Nameless;
        }
        self.sample(taken, &speaker, actions);
        if let Some(behind) = behind {
            self.bind(&behind, actions);
        }
        if self.admits(now, &speaker, publish, actions) {
            Admission::Admitted(speaker)
        } else {
            Admission::Refused
        }
    }

    /// What the identity's function says, under its name.
    fn says_function(&self, taken: &Taken) -> Option<Fields> {
        let function = self.protocol.identity.function()?;
        let said = self.caller.as_ref()?.call_or_note(&Call {
            function,
            first: First::Fields(&taken.reading.fields),
            frame: Some(&*taken.bytes).filter(|_| !taken.confidential),
            device: None,
        });
        let said = said.map(|said| (function.clone(), said));
        Some(said.into_iter().collect())
    }

    /// Applies the listener's rule for unknown devices; an identified device gets its commands here.
    pub(super) fn admits(
        &mut self,
        now: Now,
        speaker: &Speaker,
        publish: bool,
        actions: &mut Vec<Action>,
    ) -> bool {
        let Some(identity) = &self.identity else {
            return false;
        };
        if !speaker.known {
            let name = speaker.device.name.clone();
            match self.settings.unknown_devices {
                UnknownDevices::Forward if publish => {
                    actions.push(Action::Count(Counted::UnknownDevice(name)));
                }
                UnknownDevices::Forward => {}
                UnknownDevices::Quarantine => return !publish,
                UnknownDevices::Reject => {
                    let shown = Some(name).filter(|_| self.protocol.identity.secret().is_none());
                    actions.push(Action::Count(Counted::RejectedDevice(shown)));
                    if identity.is_connections() {
                        self.finish(now, Reason::DeviceRejected);
                    }
                    return false;
                }
            }
        }
        self.bind(speaker, actions);
        true
    }

    /// Lets the commands of a device come here, unless an unknown one may not speak at all.
    pub(super) fn bind(&mut self, speaker: &Speaker, actions: &mut Vec<Action>) {
        let allowed = speaker.known || self.settings.unknown_devices == UnknownDevices::Forward;
        let Some(identity) = self
            .identity
            .as_mut()
            .filter(|_| allowed && speaker.identified)
        else {
            return;
        };
        let device = speaker.device.name.clone();
        let newest_wins = identity.newest_wins() && speaker.unit.is_none();
        let another = match &speaker.unit {
            Some(unit) => {
                let known = self.units.iter().any(|(known, _)| *known == device);
                if !known && self.units.len() < MOST_UNITS {
                    self.units.push((Name::clone(&device), unit.clone()));
                }
                identity.bind_sub(&device)
            }
            None => identity.bind(&device),
        };
        actions.extend(another.then_some(Action::Bind {
            device,
            newest_wins,
        }));
    }

    /// One message, or one for each element of the list that is split.
    fn messages(
        &self,
        received: &Name,
        taken: &Taken,
        speaker: &Speaker,
        actions: &mut Vec<Action>,
    ) -> Vec<Message> {
        let protocol = &self.protocol;
        let device = &speaker.device;
        let output = [&taken.reading.output, &device.output, &self.settings.output];
        let output = output.into_iter().flatten().next();
        let output = output.unwrap_or(&DEFAULT_OUTPUT);
        let form = self.settings.bodies.get(output).copied();
        let form = form.unwrap_or(BodyForm::Message);
        let source = Source {
            protocol: &protocol.name,
            listener: self
                .identity
                .as_ref()
                .map_or(&protocol.name, |identity| &identity.peer().listener),
            dialled: self
                .identity
                .as_ref()
                .is_some_and(|identity| identity.peer().dialled),
            device,
            unknown: !speaker.known,
            bad_checksum: !taken.checksum_ok,
            received,
            frame: if taken.confidential {
                &NO_BYTES
            } else {
                &taken.bytes
            },
            reading: &taken.reading,
            part: None,
        };
        let mut message = |part| {
            let mut counted = Vec::new();
            let source = Source { part, ..source };
            let body = source.body(form, &mut counted);
            let properties = source.properties(&mut counted);
            actions.extend(counted.into_iter().map(Action::Count));
            Message {
                output: output.clone(),
                device: device.name.clone(),
                id: self.message_id(taken, part, actions),
                body,
                properties,
            }
        };
        match &taken.reading.parts {
            // The frame's bytes are all in each of them.
            Some(_) if form == BodyForm::Raw => vec![message(None)],
            Some(parts) => parts.iter().map(Some).map(message).collect(),
            None => vec![message(None)],
        }
    }

    /// The id the device's own fields give: at most 128 printable ASCII characters.
    fn message_id(
        &self,
        taken: &Taken,
        part: Option<&Part>,
        actions: &mut Vec<Action>,
    ) -> Option<String> {
        let template = self.protocol.message_id.as_ref()?;
        let arguments = Fields::new();
        let context = self.context(None, taken, &arguments);
        let rendered = match part {
            None => template.render(&context),
            Some(part) => {
                let mut fields = taken.reading.fields.clone();
                fields.extend(part.fields.clone());
                template.render(&Context {
                    fields: &fields,
                    ..context
                })
            }
        };
        let why = match rendered {
            Ok(id) if !id.is_empty() && id.len() <= 128 && id.iter().all(u8::is_ascii_graphic) => {
                return String::from_utf8(id).ok();
            }
            Ok(_) => "not 1 to 128 printable characters".to_owned(),
            Err(missing) => missing.to_string(),
        };
        actions.push(Action::Count(Counted::NoMessageId(why)));
        None
    }

    /// Puts the reply to a frame into the row.
    fn answer(
        &mut self,
        now: Now,
        taken: &Taken,
        ticket: Option<Ticket>,
        actions: &mut Vec<Action>,
    ) {
        let protocol = Arc::clone(&self.protocol);
        let Some(reply) = protocol.replies.choose(&taken.reading, &taken.bytes) else {
            return;
        };
        if let Some(bytes) = self.render(now, reply, taken, actions) {
            let waits = ticket.and_then(|ticket| self.waits(now, ticket));
            let due = match waits {
                None => Due::now(bytes),
                Some(waits) => Due::waiting(waits, bytes, self.refusal(now, taken, actions)),
            };
            let shown = &protocol.questions.answered;
            let said = shown.iter().filter_map(|name| {
                let value = taken.reading.fields.get(name)?;
                Some((Name::clone(name), value.clone()))
            });
            self.due.push(due.of(said.collect()));
            // Only one of the two is ever written, so both have the same numbers.
            let refusal = protocol.refusal().filter(|_| waits.is_some());
            let written = [Some(reply), refusal].into_iter().flatten();
            let names = written.flat_map(|reply| reply.send.counter_names());
            advance(&mut self.memory, names);
        }
        if reply.close {
            self.finish(now, Reason::Reply);
        }
    }

    /// What the reply to a published frame waits for.
    fn waits(&self, now: Now, ticket: Ticket) -> Option<Waits> {
        let acknowledge = &self.protocol.acknowledge;
        let within = acknowledge.within();
        let until = within.and_then(|within| now.monotonic.checked_add(within));
        (acknowledge.after != Promise::Received).then_some(Waits { ticket, until })
    }

    /// What follows when the promise is not kept.
    fn refusal(&self, now: Now, taken: &Taken, actions: &mut Vec<Action>) -> Refusal {
        let nak = self.protocol.refusal();
        let bytes = nak.and_then(|reply| self.render(now, reply, taken, actions));
        let closes = self.protocol.acknowledge.otherwise == Otherwise::Close;
        Refusal {
            bytes: bytes.unwrap_or_default(),
            closes: closes || nak.is_some_and(|nak| nak.close),
        }
    }

    pub(super) fn render(
        &self,
        now: Now,
        reply: &Reply,
        taken: &Taken,
        actions: &mut Vec<Action>,
    ) -> Option<Bytes> {
        let arguments = Fields::new();
        let rendered = reply
            .send
            .render(&self.context(Some(now), taken, &arguments))
            .map_err(|missing| missing.to_string());
        let framed = rendered.and_then(|bytes| match reply.frame {
            true => self
                .protocol
                .framing
                .wrap(&bytes)
                .map_err(|error| error.to_string()),
            false => Ok(bytes),
        });
        framed
            .map_err(|why| {
                actions.push(Action::Count(Counted::ReplyNotSent(
                    reply.name.clone(),
                    why.into(),
                )))
            })
            .ok()
            .map(Bytes::from)
    }

    fn context<'a>(
        &'a self,
        now: Option<Now>,
        taken: &'a Taken,
        arguments: &'a Fields,
    ) -> Context<'a> {
        Context {
            fields: &taken.reading.fields,
            frame: &taken.bytes,
            device: taken.device.as_deref(),
            arguments,
            now: now.map(|now| now.utc),
            memory: &self.memory,
            checksum: self.protocol.checksums.first().map(Checksum::algorithm),
            caller: self.caller.as_ref(),
            confidential: taken.confidential,
        }
    }
}
