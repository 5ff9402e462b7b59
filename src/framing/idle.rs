//! Frames that end when the line is quiet: what comes from dumb serial servers.

use std::borrow::Cow;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::bounded::Common;
use super::{Explanation, Framer, More, Resync, Step};
use crate::document::{Problems, Section};

/// Frames that end when the line is quiet, or with the stream.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct IdleOptions {
    /// Milliseconds without a byte that end a frame; less than `incompleteTimeoutMs`.
    #[schemars(range(min = 1))]
    ms: u64,
}

/// The kind, read.
#[derive(Clone, Debug)]
pub(super) struct Idle {
    after: Duration,
}

/// Reads the kind's members.
pub(super) fn read(
    section: &Section<'_>,
    without: &[&str],
    common: &Common,
    problems: &mut Problems,
) -> Option<Idle> {
    let options: IdleOptions = section.read(without, problems)?;
    let after = Duration::from_millis(options.ms);
    if after.is_zero() || after >= common.incomplete_timeout {
        let most = common.incomplete_timeout.as_millis();
        let why = format!("must be at least 1 and less than \"incompleteTimeoutMs\", {most}");
        problems.member(section, "ms", why);
    }
    Some(Idle { after })
}

impl Idle {
    /// Says why the frame ends where it does.
    pub fn explain(&self, into: &mut Explanation) {
        let after = self.after.as_millis();
        into.say(format!(
            "idle: up to {after} ms without a byte, or the end of the stream"
        ));
    }
}

impl Framer for Idle {
    fn next<'b>(&mut self, bytes: &'b [u8], more: More) -> Step<'b> {
        match more {
            More::Yes => Step::Need(bytes.len().saturating_add(1)),
            More::Idle | More::Closed => Step::Frame {
                take: bytes.len(),
                frame: Cow::Borrowed(bytes),
                body: 0,
            },
        }
    }

    fn resync(&self) -> Resync {
        Resync::End
    }

    /// All that comes until the line is quiet belongs to the broken frame.
    fn drop_broken(&mut self, bytes: &[u8]) -> (usize, bool) {
        (bytes.len(), false)
    }

    fn idle(&self) -> Option<Duration> {
        Some(self.after)
    }
}
