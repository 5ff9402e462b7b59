//! What a protocol and a listener say about a conversation.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::checksum::Checksum;
use crate::decoding::Decoder;
use crate::framing::Framing;
use crate::identity::{DeviceMap, IdentityRule};
use crate::message::{Name, Text};
use crate::script::{Caller, Script};
use crate::template::Template;

use super::questions::Questions;
use super::replies::Reply;

pub use super::replies::Replies;
pub use super::session::{Heartbeat, Login, Session, SessionOptions};
pub use crate::checksum::OnBadChecksum;

/// How devices of one kind speak: framing, checksum, decoding, identity and replies. Shared by all
/// connections that use it.
#[derive(Debug)]
pub struct Protocol {
    /// Its name in the settings, said in every message.
    pub name: Name,
    /// The preset it started from, such as `gt06@1`.
    pub preset: Option<Name>,
    /// Bytes to frames.
    pub framing: Framing,
    /// What every frame is checked with.
    pub checksums: Arc<[Checksum]>,
    /// What happens to a frame whose checksum is wrong.
    pub on_bad_checksum: OnBadChecksum,
    /// Frames to readings.
    pub decoder: Decoder,
    /// Which device speaks.
    pub identity: Arc<IdentityRule>,
    /// Login and signs of life.
    pub session: Session,
    /// What the gateway answers. The reply named `nak` refuses a frame.
    pub replies: Replies,
    /// What the gateway asks.
    pub questions: Questions,
    /// When a reply may leave.
    pub acknowledge: Acknowledge,
    /// What happens to a well-formed frame that no rule decodes.
    pub on_undecoded: OnUndecoded,
    /// The functions that framing, decoding, identity and replies name.
    pub script: Option<Script>,
    /// The message's id made of the device's own fields; without it the spool's sequence gives one.
    pub message_id: Option<Template>,
}

impl Protocol {
    /// The reply that is written when a promise is not kept.
    pub fn refusal(&self) -> Option<&Reply> {
        let refuses = self.acknowledge.otherwise == Otherwise::Nak;
        self.replies.nak().filter(|_| refuses)
    }

    /// What a new connection calls the script with, if there is one. Where frames carry a secret,
    /// what a function throws is not shown: it may have it from anywhere.
    pub fn caller(&self) -> Option<Caller> {
        let caller = Caller::new(self.script.as_ref()?);
        if self.identity.secret().is_some() {
            caller.keep_quiet();
        }
        Some(caller)
    }
}

/// When a reply may leave, and what happens if it may not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
#[schemars(rename = "acknowledge")]
pub struct Acknowledge {
    /// What must have happened to all messages of a frame before its reply is written.
    pub after: Promise,
    /// How long the reply waits for that, in milliseconds from the frame's arrival; without it as
    /// long as the connection lives.
    pub within_ms: Option<NonZeroU32>,
    /// What happens instead when the time is over or a message is lost.
    #[serde(rename = "else")]
    pub otherwise: Otherwise,
}

impl Acknowledge {
    /// [`Acknowledge::within_ms`] as a duration.
    pub fn within(&self) -> Option<Duration> {
        self.within_ms
            .map(|millis| Duration::from_millis(millis.get().into()))
    }
}

/// What a reply says has happened to the messages of its frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum Promise {
    /// The frame was understood.
    Received,
    /// Its messages are safe: forced to disk, or acknowledged by edgeHub.
    #[default]
    Stored,
    /// edgeHub has acknowledged its messages.
    Delivered,
}

/// What follows when a promise is not kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum Otherwise {
    /// No reply.
    #[default]
    Nothing,
    /// The reply named `nak`.
    Nak,
    /// The connection is closed.
    Close,
}

/// Member `onUndecoded` of a protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum OnUndecoded {
    /// Published with type `undecoded`: the values read so far and the whole frame in base64.
    #[default]
    Publish,
    /// Dropped, counted.
    Drop,
    /// Dropped, counted, and the connection closed.
    Close,
}

/// Member `unknownDevices` of a listener: devices that neither `devices` nor `deviceRules` name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum UnknownDevices {
    /// Published under the identity as spoken, with the application property `unknownDevice`.
    #[default]
    Forward,
    /// The connection is closed; where one connection may be several devices only the frame is dropped.
    Reject,
    /// Neither published nor acknowledged; what came is reported, so that the device can be added.
    Quarantine,
}

/// Member `body` of an output: what its messages carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum BodyForm {
    /// The object with device, times and values.
    #[default]
    Message,
    /// The values alone.
    Values,
    /// The bytes of the frame.
    Raw,
}

/// What may change while a connection is open.
#[derive(Clone, Debug)]
pub struct ConversationSettings {
    /// Who is who.
    pub devices: Arc<DeviceMap>,
    /// What happens to devices that are not in the map.
    pub unknown_devices: UnknownDevices,
    /// Output of messages whose layout and device name none; without it `telemetry`.
    pub output: Option<Name>,
    /// Outputs whose body is not [`BodyForm::Message`].
    pub bodies: Arc<BTreeMap<Name, BodyForm>>,
    /// The connection is closed when nothing came for so long while we were reading.
    pub idle_timeout: Option<Duration>,
    /// What `{unit}` in polls goes round over: the units behind the device.
    pub units: Arc<[Text]>,
    /// What the conversation holds at most.
    pub bounds: Bounds,
}

/// What one conversation holds at most. At a bound it asks for no more input, so that the
/// device's TCP window fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Frames whose replies wait for their promise.
    pub waiting_replies: usize,
    /// Bytes of replies and commands that are not written yet.
    pub waiting_bytes: usize,
    /// Commands without outcome; one more is answered [`super::Outcome::Busy`].
    pub waiting_commands: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            waiting_replies: 256,
            waiting_bytes: 65_536,
            waiting_commands: 32,
        }
    }
}
