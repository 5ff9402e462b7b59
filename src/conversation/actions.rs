//! What goes into a conversation and what comes out.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use regex::bytes::Regex;

use super::protocol::ConversationSettings;
use super::speaker::{Attribution, Denial};
use crate::decoding::Trace;
use crate::framing::Broken;
use crate::identity::Peer;
use crate::message::{CommandId, HexPrefix, Message, Name, Progress, Reading, Text, Ticket};
use crate::pipeline::{Received, Seen};

/// What happens to a conversation.
#[derive(Debug)]
pub enum Input<'a> {
    /// The connection stands. The first input; nothing before it has an effect.
    Opened(Peer),
    /// Bytes of the device.
    Bytes(&'a [u8]),
    /// There will be no more of them.
    End(End),
    /// The messages of a ticket have got that far.
    Progress(Ticket, Progress),
    /// The cloud wants something written.
    Command(CommandId, Request),
    /// So many more bytes of the last [`Action::Write`] have reached the socket.
    Written(usize),
    /// A submit waits for room, so nothing is read: the clocks that watch the device stand still.
    Paused,
    /// Everything that was submitted has been taken over; reading goes on.
    TakenOver,
    /// New settings for this connection.
    Settings(Arc<ConversationSettings>),
    /// [`super::Conversation::deadline`] has passed.
    Tick,
}

/// How input ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The device has sent its FIN: frames are finished, due replies written, then it closes.
    Fin,
    /// We want to end: the frame in progress is finished, due replies written, then it closes.
    Stop(Reason),
    /// The connection is gone: nothing can be written; outstanding commands get their outcome.
    Reset,
}

/// Why a connection closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The device closed.
    Fin,
    /// The connection broke.
    Reset,
    /// The module stops.
    Shutdown,
    /// Its listener is not in the settings any more.
    ListenerRemoved,
    /// Its entry of `outbound` is not in the settings any more, or dials another address.
    OutboundRemoved,
    /// Its listener or entry of `outbound` has another protocol now.
    ProtocolChanged,
    /// The same device has a newer connection.
    Superseded,
    /// The device sent nothing for the idle time-out.
    Idle,
    /// The device sent nothing for as long as its protocol lets it.
    Silent,
    /// The login did not come in time.
    NoLogin,
    /// The login said a wrong secret, or none.
    Denied,
    /// The stream cannot be cut into frames any more.
    Broken,
    /// A checksum was wrong and the protocol says to close.
    BadChecksum,
    /// A frame could not be decoded and the protocol says to close.
    Undecoded,
    /// The device is unknown and the listener rejects such.
    DeviceRejected,
    /// A promise was not kept and the protocol says to close.
    PromiseNotKept,
    /// A reply says that the connection ends with it.
    Reply,
    /// A step of the open sequence failed.
    NotOpened,
    /// An operator asked for it.
    Asked,
}

impl Reason {
    /// What becomes of a command of which so many bytes were written.
    pub fn outcome(self, written: usize) -> Outcome {
        match self {
            Reason::Shutdown | Reason::ProtocolChanged => Outcome::Interrupted { written },
            _ => Outcome::NotConnected { written },
        }
    }

    /// The word under which it is counted and logged.
    pub fn word(self) -> &'static str {
        match self {
            Reason::Fin => "fin",
            Reason::Reset => "reset",
            Reason::Shutdown => "shutdown",
            Reason::ListenerRemoved => "listener_removed",
            Reason::OutboundRemoved => "outbound_removed",
            Reason::ProtocolChanged => "protocol_changed",
            Reason::Superseded => "superseded",
            Reason::Idle => "idle",
            Reason::Silent => "silent",
            Reason::NoLogin => "no_login",
            Reason::Denied => "denied",
            Reason::Broken => "broken",
            Reason::BadChecksum => "bad_checksum",
            Reason::Undecoded => "undecoded",
            Reason::DeviceRejected => "device_rejected",
            Reason::PromiseNotKept => "promise_not_kept",
            Reason::Reply => "reply",
            Reason::NotOpened => "not_opened",
            Reason::Asked => "asked",
        }
    }
}

/// A command of the cloud.
#[derive(Clone, Debug)]
pub struct Request {
    /// The device it is for: the connection's, or a unit behind it.
    pub device: Name,
    /// What is asked of it.
    pub what: Asked,
    /// When it is too late for anything but [`Outcome::TimedOut`].
    pub deadline: Instant,
}

/// What a command asks.
#[derive(Clone, Debug)]
pub enum Asked {
    /// Bytes, as they go out.
    Raw {
        /// The bytes.
        bytes: Bytes,
        /// How the device's answer is known; `None`: nobody waits for one.
        answer: Option<Awaited>,
    },
    /// A command that the protocol declares.
    Command {
        /// Its name among the protocol's `commands`.
        name: Name,
        /// Its arguments, a JSON object.
        arguments: serde_json::Value,
        /// Whether the device's answer is waited for, where the command has one.
        answer: bool,
    },
}

/// How the answer to raw bytes is known.
#[derive(Clone, Debug)]
pub enum Awaited {
    /// It is the next frame.
    Next,
    /// It is the first frame that has these bytes.
    Pattern(Regex),
}

/// What became of a command. Every command gets exactly one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The device has answered.
    Answered(Box<Answer>),
    /// The device has answered that it will not.
    Refused(Box<Answer>),
    /// All bytes are in the socket, and nobody waits for an answer.
    Sent {
        /// How many.
        written: usize,
    },
    /// The deadline passed first, or every try's time limit. With 0 written nothing of it will ever
    /// be written; else the rest still follows, for a command cut short would garble what is written
    /// after it, and whether the device did what it says is not known.
    TimedOut {
        /// How many bytes were in the socket by then.
        written: usize,
    },
    /// The connection ended first. With bytes written, whether the device did what they say is not
    /// known.
    NotConnected {
        /// How many bytes were in the socket by then.
        written: usize,
    },
    /// The module stops, or the connection's protocol was changed, before the answer came.
    Interrupted {
        /// How many bytes were in the socket by then.
        written: usize,
    },
    /// Nothing was written: too many commands wait for this connection ([`super::Bounds`]), or the
    /// deadline passed while other requests had the line. Says which.
    Busy(&'static str),
    /// Nothing was written: the protocol does not know the command, or its arguments do not fit. Says
    /// all that is wrong.
    Invalid(String),
}

/// What a device has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Bytes of the command that were written.
    pub written: usize,
    /// The `type` of a message that would be made of it.
    pub kind: Option<Name>,
    /// The decoded values, as a JSON object.
    pub values: Bytes,
    /// The frame; empty where it carries a secret.
    pub frame: Bytes,
    /// Why no rule decoded it, or what the refusal says.
    pub detail: Option<String>,
}

/// What the I/O task has to do, in this order.
#[derive(Debug, PartialEq)]
pub enum Action {
    /// Hand the messages of a frame to the outbox, and say so with [`Input::TakenOver`] when it has
    /// nothing left. While it waits for room, nothing is read. With the last member the conversation
    /// wants to be told when all of them have got so far, or when one is lost.
    Submit(Ticket, Vec<Message>, Option<Progress>),
    /// Write the bytes and say so with [`Input::Written`]. The next one comes only after all of
    /// them are reported. While it waits for the socket, nothing is read.
    Write(Bytes),
    /// Drop the last write, of which nothing has reached the socket yet.
    Withdraw,
    /// Nobody waits any more for what becomes of this ticket and those before it.
    Forget(Ticket),
    /// Tell the outcome of a command.
    Answer(CommandId, Outcome),
    /// Commands for that device come to this connection from now on.
    Bind {
        /// The device.
        device: Name,
        /// Whether the device has one connection at a time: an older one is stopped
        /// ([`Reason::Superseded`]), and the name this connection had before is free. Otherwise
        /// the names it had before stay with it, and other connections of the device stay open.
        newest_wins: bool,
    },
    /// Commands for that unit do not come here any more: the settings do not name it now.
    Unbind(Name),
    /// Hand over what was submitted, then close; a write that is not through yet is given up.
    /// The last action there is.
    Close(Reason),
    /// A unit that is polled, or the device itself, does not answer any more.
    Silent(Name),
    /// It answers again.
    Heard(Name),
    /// Count it, and log what is trouble.
    Count(Counted),
    /// Show it: only of a conversation that is [`super::Conversation::watched`], and before all else
    /// that follows from it.
    Show(Box<Sight>),
}

/// What a conversation has made of bytes, for who shows it.
#[derive(Debug, PartialEq)]
pub struct Sight {
    /// What the bytes were.
    pub received: Received,
    /// How that was found.
    pub seen: Seen,
    /// Bytes behind it that had come already.
    pub buffered: usize,
    /// What a frame says, and how it was read; `None` where it was not decoded.
    pub reading: Option<(Reading, Trace)>,
    /// Who a frame was from.
    pub from: Option<Attribution>,
}

/// Something worth a number.
#[derive(Clone, Debug, PartialEq)]
pub enum Counted {
    /// A frame was cut out, checked and taken.
    Frame,
    /// A frame's checksum was wrong.
    BadChecksum(Bytes),
    /// A frame would have been longer than allowed.
    TooLong(Bytes),
    /// So many bytes that belong to no frame, the first of them, and why no frame could begin with
    /// them where one seemed to.
    Skipped(usize, Bytes, Option<Broken>),
    /// The stream ended inside a frame of so many bytes.
    HalfFrame(usize),
    /// The connection had to end while there was no room for frames in so many bytes.
    NotTaken(usize),
    /// A frame stayed incomplete for too long; so many bytes of it were there.
    IncompleteTimeout(usize),
    /// The stream cannot be cut any more.
    Broken(Cow<'static, str>),
    /// No rule decoded a frame: why, and its bytes.
    Undecoded(String, Bytes),
    /// A message of a device that is not in the map was forwarded.
    UnknownDevice(Name),
    /// A frame or connection was refused because the device is not in the map: its name, unless
    /// frames carry a secret, which may stand where the name was looked for.
    RejectedDevice(Option<Name>),
    /// A frame of a device that is not in the map was neither passed on nor acknowledged: its
    /// device, and its bytes as far as they may be shown.
    Quarantined(Name, Bytes),
    /// A login was refused: its secret is wrong or missing, or none is known for who it claims to be.
    Denied(Denial),
    /// A frame that makes a message came before the login and was dropped.
    BeforeLogin,
    /// A frame that makes a message came before its connection said which device it is.
    Unidentified,
    /// A reply was not sent: its name and why.
    ReplyNotSent(Name, Cow<'static, str>),
    /// A reply's promise was not kept in time.
    PromiseLate(Ticket),
    /// A reply's promise can never be kept: a message was lost.
    PromiseLost(Ticket),
    /// So many values of a message were NaN or infinite and became null.
    NotFinite(usize),
    /// An application property was left out because edgeHub gives its name a meaning or has it twice.
    PropertyLeftOut(Name),
    /// A function of the script gave no value: its name and why.
    ScriptFailed(String),
    /// The `messageId` template names a field that the frame does not have.
    NoMessageId(String),
    /// The device answered a poll.
    PollAnswered,
    /// A poll was not answered in time: its name, the unit that was asked, and how long that was.
    PollFailed(Name, Option<Text>, Duration),
    /// The device answered a poll that it will not: its name, the unit, and the answer, decoded if
    /// it could be and may be shown.
    PollRefused(Name, Option<Text>, Result<String, Bytes>),
    /// A poll could not be sent: its name and why.
    PollNotSent(Name, String),
    /// A question that had no answer could not be asked again: its name and why.
    RetryNotSent(Name, String),
    /// A poll was due so many times while the line was not free.
    PollsMissed(Name, u32),
    /// A step of the open sequence failed: which, and why.
    OpenFailed(Name, String),
    /// An answer came when nobody waited for it any more.
    Late(Bytes),
    /// A frame answers no question, where registers say all that is asked.
    Unasked(Bytes),
}

impl Counted {
    /// The word under which it is counted.
    pub fn word(&self) -> &'static str {
        match self {
            Counted::Frame => "frame",
            Counted::BadChecksum(_) => "bad_checksum",
            Counted::TooLong(_) => "too_long",
            Counted::Skipped(..) => "skipped",
            Counted::HalfFrame(_) => "half_frame",
            Counted::NotTaken(_) => "not_taken",
            Counted::IncompleteTimeout(_) => "incomplete_timeout",
            Counted::Broken(_) => "broken",
            Counted::Undecoded(..) => "undecoded",
            Counted::UnknownDevice(_) => "unknown_device",
            Counted::RejectedDevice(_) => "rejected_device",
            Counted::Quarantined(..) => "quarantined",
            Counted::Denied(_) => "denied",
            Counted::BeforeLogin => "before_login",
            Counted::Unidentified => "unidentified",
            Counted::ReplyNotSent(..) => "reply_not_sent",
            Counted::PromiseLate(_) => "promise_late",
            Counted::PromiseLost(_) => "promise_lost",
            Counted::NotFinite(_) => "not_finite",
            Counted::PropertyLeftOut(_) => "property_left_out",
            Counted::ScriptFailed(_) => "script_failed",
            Counted::NoMessageId(_) => "no_message_id",
            Counted::PollAnswered => "poll_answered",
            Counted::PollFailed(..) => "poll_failed",
            Counted::PollRefused(..) => "poll_refused",
            Counted::PollNotSent(..) => "poll_not_sent",
            Counted::RetryNotSent(..) => "retry_not_sent",
            Counted::PollsMissed(..) => "polls_missed",
            Counted::OpenFailed(..) => "open_failed",
            Counted::Late(_) => "late_answer",
            Counted::Unasked(_) => "unasked",
        }
    }

    /// The unit behind the connection that it is about, where the settings name it.
    pub fn unit(&self) -> Option<&str> {
        match self {
            Counted::PollFailed(_, unit, _) | Counted::PollRefused(_, unit, _) => unit.as_deref(),
            _ => None,
        }
    }

    /// Whether an operator should read of it in the log.
    pub fn is_trouble(&self) -> bool {
        !matches!(
            self,
            Counted::Frame | Counted::UnknownDevice(_) | Counted::PollAnswered
        )
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Counted::Frame => write!(f, "frame taken"),
            Counted::BadChecksum(frame) => {
                write!(f, "wrong checksum in frame {}", Shown(frame))
            }
            Counted::TooLong(prefix) => {
                write!(f, "frame longer than maxBytes: {}", Shown(prefix))
            }
            Counted::Skipped(count, prefix, None) => {
                let (count, more) = (Count(*count), Count(*count).more_than(prefix));
                write!(f, "{count} of no frame skipped: {}{more}", Shown(prefix))
            }
            Counted::Skipped(count, prefix, Some(why)) => {
                let (count, more) = (Count(*count), Count(*count).more_than(prefix));
                write!(f, "{why}: {}{more}; {count} skipped", Shown(prefix))
            }
            Counted::HalfFrame(count) => {
                write!(f, "the stream ended after {} of a frame", Count(*count))
            }
            Counted::NotTaken(count) => {
                let count = Count(*count);
                write!(f, "{count} found no room before the connection had to end")
            }
            Counted::IncompleteTimeout(count) => {
                write!(f, "a frame stayed incomplete after {}", Count(*count))
            }
            Counted::Broken(why) => {
                write!(f, "the stream cannot be cut into frames any more: {why}")
            }
            Counted::Undecoded(why, frame) => {
                write!(f, "frame {} not decoded: {why}", Shown(frame))
            }
            Counted::UnknownDevice(device) => write!(f, "unknown device {device} forwarded"),
            Counted::RejectedDevice(Some(device)) => {
                write!(f, "unknown device {device} rejected")
            }
            Counted::RejectedDevice(None) => write!(f, "unknown device rejected"),
            // Without its bytes the frame may carry a secret, also where its device's name was
            // looked for.
            Counted::Quarantined(_, frame) if frame.is_empty() => write!(
                f,
                "frame of an unknown device not passed on, it is in quarantine"
            ),
            Counted::Quarantined(device, _) => {
                write!(
                    f,
                    "frame of unknown device {device} not passed on, it is in quarantine"
                )
            }
            Counted::Denied(denial) => denial.fmt(f),
            Counted::BeforeLogin => write!(f, "frame before the login dropped"),
            Counted::Unidentified => write!(f, "nothing has said which device the frame is from"),
            Counted::ReplyNotSent(reply, why) => write!(f, "reply {reply} not sent: {why}"),
            Counted::PromiseLate(ticket) => {
                write!(f, "frame {} not acknowledged in time", ticket.0)
            }
            Counted::PromiseLost(ticket) => write!(f, "a message of frame {} was lost", ticket.0),
            Counted::NotFinite(count) => write!(f, "{count} values were NaN or infinite"),
            Counted::PropertyLeftOut(name) => write!(f, "application property {name} left out"),
            Counted::ScriptFailed(why) => write!(f, "the script failed: {why}"),
            Counted::NoMessageId(why) => write!(f, "no message id from the device's fields: {why}"),
            Counted::PollAnswered => write!(f, "poll answered"),
            Counted::PollFailed(poll, unit, within) => {
                let (unit, within) = (Unit(unit), within.as_millis());
                write!(f, "poll {poll}{unit} not answered within {within} ms")
            }
            Counted::PollRefused(poll, unit, answer) => {
                write!(f, "poll {poll}{} refused: ", Unit(unit))?;
                match answer {
                    Ok(values) => f.write_str(values),
                    Err(frame) => Shown(frame).fmt(f),
                }
            }
            Counted::PollNotSent(poll, why) => write!(f, "poll {poll} not sent: {why}"),
            Counted::RetryNotSent(question, why) => {
                write!(f, "{question} not asked again: {why}")
            }
            Counted::PollsMissed(poll, times) => {
                let times = match times {
                    1 => "once".to_owned(),
                    times => format!("{times} times"),
                };
                write!(
                    f,
                    "poll {poll} left out {times}: its interval is too short for the answers that the line waits for"
                )
            }
            Counted::OpenFailed(step, why) => write!(f, "step \"{step}\" failed: {why}"),
            Counted::Late(frame) => {
                write!(
                    f,
                    "answer after its time limit dropped, a longer `withinMs` would have waited for it: {}",
                    Shown(frame)
                )
            }
            Counted::Unasked(frame) => {
                write!(
                    f,
                    "frame that answers no question dropped: {}",
                    Shown(frame)
                )
            }
        }
    }
}

/// The unit that was asked.
struct Unit<'a>(&'a Option<Text>);

impl fmt::Display for Unit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(unit) => write!(f, " of unit {unit}"),
            None => Ok(()),
        }
    }
}

/// Bytes of a device, which are hidden where frames carry secrets.
struct Shown<'a>(&'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("(no bytes shown)"),
            bytes => HexPrefix(bytes).fmt(f),
        }
    }
}

/// A number of bytes.
struct Count(usize);

impl Count {
    /// What stands behind bytes that are not all of them.
    fn more_than(&self, shown: &[u8]) -> &'static str {
        match shown.len() {
            1.. if self.0 > shown.len() => "…",
            _ => "",
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("1 byte"),
            count => write!(f, "{count} bytes"),
        }
    }
}
