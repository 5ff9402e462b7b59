//! Connections that are one frame: all that comes until the device closes.

use std::borrow::Cow;

use super::{Framer, More, Resync, Step, only};
use crate::document::{Problems, Section};

/// The kind, read.
#[derive(Clone, Debug)]
pub(super) struct Connection;

/// Reads the kind's members.
pub(super) fn read(section: &Section<'_>, without: &[&str], problems: &mut Problems) -> Connection {
    only(section, without, &[], problems);
    Connection
}

impl Framer for Connection {
    fn next<'b>(&mut self, bytes: &'b [u8], more: More) -> Step<'b> {
        match more {
            More::Yes | More::Idle => Step::Need(bytes.len().saturating_add(1)),
            More::Closed => Step::Frame {
                take: bytes.len(),
                frame: Cow::Borrowed(bytes),
                body: 0,
            },
        }
    }

    fn resync(&self) -> Resync {
        Resync::Never
    }
}
