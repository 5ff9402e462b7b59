//! Frames that a function of the protocol's script finds.
//!
//! `frame(bytes, ctx)` is given the bytes at hand, as many as a frame may have. It says a number:
//! of bytes of the frame at the front, negative of bytes that belong to no frame, 0 (or nothing)
//! when more are needed to know; or `{need: N}`, that it need not be asked before there are N.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Deserialize;

use super::bounded::Common;
use super::{Broken, Framer, More, Resync, Skipped, Step};
use crate::document::{Problems, Section};
use crate::message::Value;
use crate::script::{Call, Caller, FRAME, Failure, First};

/// Bytes of a frame where the settings do not say.
const MAX_BYTES: usize = 4096;
/// The most they can say. The function is asked again whenever bytes have come, and may look at
/// all of them each time.
const MOST_BYTES: usize = 65_536;

/// The function `frame` of the protocol's script finds frames. `maxBytes` is 4096 without it and
/// 65536 at most.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ScriptOptions {}

/// The kind, read.
#[derive(Clone, Debug)]
pub(super) struct Script {
    max_bytes: usize,
}

/// Reads the kind's members.
pub(super) fn read(
    section: &Section<'_>,
    without: &[&str],
    common: &Common,
    problems: &mut Problems,
) -> Option<Script> {
    let ScriptOptions {} = section.read(without, problems)?;
    let max_bytes = match section.member("maxBytes") {
        Some(_) => common.max_bytes,
        None => common.max_bytes.min(MAX_BYTES),
    };
    if max_bytes > MOST_BYTES {
        let why = format!("a framing by script has {MOST_BYTES} at most");
        problems.member(section, "maxBytes", why);
        return None;
    }
    Some(Script { max_bytes })
}

impl Script {
    /// The most bytes of a frame.
    pub fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    pub fn framer(&self) -> ScriptFramer {
        ScriptFramer {
            caller: None,
            verdict: Verdict::Need(1),
        }
    }
}

/// Asks the function.
#[derive(Debug)]
pub(super) struct ScriptFramer {
    caller: Option<Caller>,
    /// What is known of the bytes at the front, so that the function is not asked twice of the same.
    verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// So many bytes, to ask again.
    Need(usize),
    Frame(usize),
    Garbage(usize),
    Failed,
}

impl ScriptFramer {
    fn ask(&self, bytes: &[u8]) -> Verdict {
        let Some(caller) = &self.caller else {
            return Verdict::Failed;
        };
        let call = Call {
            function: FRAME,
            first: First::Bytes(bytes, None),
            frame: None,
            device: None,
        };
        let decides = |value: &Value| {
            let verdict = verdict(value, bytes.len());
            matches!(verdict, Some(Verdict::Frame(_) | Verdict::Garbage(_)))
        };
        let said = caller.call_and_keep(&call, decides).and_then(|value| {
            let wrong = || Failure {
                message: "gave neither a whole number nor {need: N}".to_owned(),
                place: None,
            };
            verdict(&value, bytes.len()).ok_or_else(wrong)
        });
        said.unwrap_or_else(|failure| {
            caller.note(FRAME, &failure);
            Verdict::Failed
        })
    }
}

/// What the function's value means where so many bytes are at hand.
fn verdict(value: &Value, len: usize) -> Option<Verdict> {
    let more = len.saturating_add(1);
    match value {
        Value::Null => Some(Verdict::Need(more)),
        Value::Integer(number) => Some(match number.get() {
            0 => Verdict::Need(more),
            number if number > 0 => Verdict::Frame(super::saturated(number)),
            number => Verdict::Garbage(super::saturated(number.saturating_neg())),
        }),
        Value::Object(said) => match said.get("need") {
            Some(Value::Integer(need)) if said.len() == 1 => {
                Some(Verdict::Need(super::saturated(need.get()).max(more)))
            }
            _ => None,
        },
        _ => None,
    }
}

impl Framer for ScriptFramer {
    fn next<'b>(&mut self, bytes: &'b [u8], _more: More) -> Step<'b> {
        if matches!(self.verdict, Verdict::Need(need) if need <= bytes.len()) {
            self.verdict = self.ask(bytes);
        }
        match self.verdict {
            Verdict::Need(need) => Step::Need(need.max(bytes.len().saturating_add(1))),
            Verdict::Failed => Step::Broken(Broken::Script),
            Verdict::Frame(take) => match bytes.get(..take) {
                Some(frame) => Step::Frame {
                    take,
                    frame: Cow::Borrowed(frame),
                    body: 0,
                },
                None => Step::Need(take),
            },
            Verdict::Garbage(count) if count <= bytes.len() => Step::Skip {
                count,
                why: Skipped::Garbage,
            },
            Verdict::Garbage(count) => Step::Need(count),
        }
    }

    fn consumed(&mut self, _count: usize) {
        self.verdict = Verdict::Need(1);
    }

    fn attach(&mut self, caller: &Caller) {
        self.caller = Some(caller.clone());
    }

    fn resync(&self) -> Resync {
        Resync::Never
    }
}

#[cfg(feature = "script")]
#[cfg(test)]
mod tests;
