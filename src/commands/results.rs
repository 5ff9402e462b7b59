//! Outcomes as they are told: a word, a status as in HTTP, and JSON.

use serde_json::{Map, Value, json};

use crate::conversation::{self, Outcome};
use crate::message::base64;

/// The longest JSON of an answer: edgeHub takes 128 KiB of a method, and a message of results says
/// some more.
pub(super) const MOST_BYTES: usize = 120 * 1024;

/// What is told of a command.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    pub status: u16,
    pub outcome: &'static str,
    pub payload: Map<String, Value>,
}

impl Answer {
    pub fn new(status: u16, outcome: &'static str) -> Self {
        let payload = Map::from_iter([("outcome".to_owned(), json!(outcome))]);
        Answer {
            status,
            outcome,
            payload,
        }
    }

    /// With one member more.
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.payload.insert(name.to_owned(), value.into());
        self
    }

    pub fn invalid(mistakes: &str) -> Self {
        Answer::new(400, "invalidArguments").with("detail", mistakes)
    }

    pub fn not_allowed() -> Self {
        Answer::new(403, "notAllowed").with("detail", "\"allowRaw\" is false in the settings")
    }

    pub fn unknown_device(device: &str) -> Self {
        Answer::new(404, "unknownDevice")
            .with("device", device)
            .with("written", 0)
    }

    pub fn unknown_method(detail: String) -> Self {
        Answer::new(404, "unknownMethod").with("detail", detail)
    }

    pub fn away(device: &str) -> Self {
        written(409, "notConnected", device, 0)
    }

    pub fn busy(detail: &str) -> Self {
        Answer::new(429, "busy").with("detail", detail)
    }

    /// The module has as many commands as may be under way.
    pub fn full() -> Self {
        Answer::busy("too many commands are under way")
    }

    /// The module stops, and has not begun.
    pub fn stopping() -> Self {
        Answer::new(503, "interrupted").with("detail", "the module stops; nothing was written")
    }

    /// Nobody knows what became of it.
    pub fn interrupted(device: Option<&str>, why: &str) -> Self {
        let answer = Answer::new(503, "interrupted");
        match device {
            Some(device) => answer.with("device", device),
            None => answer,
        }
        .with("detail", why)
    }

    /// What a conversation has made of it. `raw`: the bytes of the device's answer are wanted.
    pub fn of(device: &str, outcome: Outcome, raw: bool) -> Self {
        match outcome {
            Outcome::Sent { written: bytes } => written(200, "sent", device, bytes),
            Outcome::TimedOut { written: bytes } => written(504, "timedOut", device, bytes),
            Outcome::NotConnected { written: bytes } => written(409, "notConnected", device, bytes),
            Outcome::Interrupted { written: bytes } => written(503, "interrupted", device, bytes),
            Outcome::Busy(detail) => Answer::busy(detail).with("device", device),
            Outcome::Invalid(detail) => Answer::invalid(&detail).with("device", device),
            Outcome::Answered(answer) => answered((200, "answered"), device, &answer, raw),
            Outcome::Refused(answer) => answered((422, "refused"), device, &answer, raw),
        }
    }
}

fn written(status: u16, outcome: &'static str, device: &str, bytes: usize) -> Answer {
    Answer::new(status, outcome)
        .with("device", device)
        .with("written", bytes)
}

/// The word of an answer that no rule decoded.
const UNDECODED: &str = "undecoded";

fn answered(
    (status, outcome): (u16, &'static str),
    device: &str,
    said: &conversation::Answer,
    raw: bool,
) -> Answer {
    let mut answer = written(status, outcome, device, said.written);
    if let Some(kind) = &said.kind {
        answer = answer.with("type", &**kind);
    }
    if let Ok(values) = serde_json::from_slice::<Value>(&said.values) {
        answer = answer.with("values", values);
    }
    let raw = raw || said.kind.as_deref() == Some(UNDECODED);
    if raw && !said.frame.is_empty() {
        answer = answer.with("raw", base64(&said.frame));
    }
    if let Some(detail) = &said.detail {
        answer = answer.with("detail", detail.as_str());
    }
    fitted(answer)
}

/// Leaves out what is too long, and says so. The values are worth more than the bytes.
fn fitted(mut answer: Answer) -> Answer {
    for member in ["raw", "values"] {
        let length = Value::Object(answer.payload.clone()).to_string().len();
        if length <= MOST_BYTES {
            return answer;
        }
        if answer.payload.shift_remove(member).is_none() {
            continue;
        }
        let why = format!(
            "\"{member}\" is left out: the whole has {length} bytes, an answer may have {MOST_BYTES}"
        );
        let detail = match answer.payload.get("detail").and_then(Value::as_str) {
            Some(detail) => format!("{detail}; {why}"),
            None => why,
        };
        answer = answer.with("detail", detail);
    }
    answer
}
