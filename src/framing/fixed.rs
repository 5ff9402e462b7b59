//! Frames of one length.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Deserialize;

use super::bounded::Common;
use super::needles::Needles;
use super::{Explanation, Framer, More, Resync, Step};
use crate::document::{Problems, Section};

/// Frames of one length.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct FixedOptions {
    /// Bytes of every frame, its start included.
    #[schemars(range(min = 1))]
    bytes: usize,
}

/// The kind, read.
#[derive(Clone, Debug)]
pub(super) struct Fixed {
    start: Option<Needles>,
    bytes: usize,
}

/// Reads the kind's members.
pub(super) fn read(
    section: &Section<'_>,
    without: &[&str],
    common: &Common,
    problems: &mut Problems,
) -> Option<Fixed> {
    let options: FixedOptions = section.read(without, problems)?;
    let longest = common
        .start
        .as_ref()
        .map_or(1, |start| start.longest().len());
    if options.bytes < longest {
        problems.member(section, "bytes", format!("must be at least {longest}"));
        return None;
    }
    if options.bytes > common.max_bytes {
        problems.member(
            section,
            "bytes",
            format!("is more than \"maxBytes\", {}", common.max_bytes),
        );
        return None;
    }
    Some(Fixed {
        start: common.start.clone(),
        bytes: options.bytes,
    })
}

impl Fixed {
    pub fn wrap(&self, body: &[u8]) -> Vec<u8> {
        let start = self.start.as_ref().map_or(&[][..], Needles::longest);
        [start, body].concat()
    }
}

impl Fixed {
    /// Says why the frame ends where it does.
    pub fn explain(&self, into: &mut Explanation) {
        into.say(format!("fixed: {} bytes", self.bytes));
    }
}

impl Framer for Fixed {
    fn next<'b>(&mut self, bytes: &'b [u8], _more: More) -> Step<'b> {
        match bytes.get(..self.bytes) {
            Some(frame) => Step::Frame {
                take: self.bytes,
                frame: Cow::Borrowed(frame),
                body: 0,
            },
            None => Step::Need(self.bytes),
        }
    }

    fn resync(&self) -> Resync {
        Resync::Never
    }
}
