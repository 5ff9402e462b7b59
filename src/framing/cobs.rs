//! Consistent overhead byte stuffing (S. Cheshire, M. Baker, 1997): a byte that ends frames does
//! not occur in them.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::Deserialize;

use super::bounded::Common;
use super::explain::written;
use super::needles::one_byte;
use super::{Broken, Explanation, Framer, More, Resync, Skipped, Step, Taken, refuse_start};
use crate::document::{Problems, Section};
use crate::schema::Byte;

/// The code of a group of 254 bytes that no zero follows.
const FULL: u8 = 0xff;

/// Consistent overhead byte stuffing: a byte that ends frames does not occur in them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct CobsOptions {
    /// The byte that ends frames; all others are exclusive-or with it.
    #[serde(default = "zero")]
    #[schemars(with = "Byte")]
    end: String,
}

fn zero() -> String {
    "0x00".to_owned()
}

/// The kind, read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cobs {
    end: u8,
}

/// Reads the kind's members.
pub(super) fn read(
    section: &Section<'_>,
    without: &[&str],
    _common: &Common,
    problems: &mut Problems,
) -> Option<Cobs> {
    let options: CobsOptions = section.read(without, problems)?;
    refuse_start(section, problems);
    let end = one_byte(section, "end", &options.end, problems)?;
    Some(Cobs { end })
}

impl Cobs {
    pub fn framer(self) -> CobsFramer {
        CobsFramer {
            kind: self,
            scanned: 0,
        }
    }

    /// Says why the frame ends where it does.
    pub fn explain(self, taken: Taken<'_>, into: &mut Explanation) {
        into.unescaped = true;
        let (wire, frame) = (taken.wire.len(), taken.frame.len());
        let end = written(&[self.end]);
        into.say(format!(
            "cobs: end {end}, taken off; {wire} bytes on the wire, {frame} decoded"
        ));
    }

    /// Encodes bytes and puts the end behind them.
    pub fn wrap(self, body: &[u8]) -> Vec<u8> {
        let mut wrapped = Vec::with_capacity(body.len().saturating_add(2));
        let mut rest = body;
        loop {
            let most = rest
                .get(..usize::from(FULL).saturating_sub(1))
                .unwrap_or(rest);
            let zero = memchr::memchr(0, most);
            let group = most.get(..zero.unwrap_or(most.len())).unwrap_or_default();
            let code = u8::try_from(group.len().saturating_add(1)).unwrap_or(FULL);
            wrapped.push(code);
            wrapped.extend_from_slice(group);
            let taken = group.len().saturating_add(usize::from(zero.is_some()));
            rest = rest.get(taken..).unwrap_or_default();
            if rest.is_empty() && zero.is_none() {
                break;
            }
        }
        for byte in &mut wrapped {
            *byte ^= self.end;
        }
        wrapped.push(self.end);
        wrapped
    }

    /// The bytes that the groups stand for; `None` if the last one is torn.
    fn decode(self, encoded: &[u8]) -> Option<Vec<u8>> {
        let mut decoded = Vec::with_capacity(encoded.len());
        let mut rest = encoded;
        while let Some((code, behind)) = rest.split_first() {
            let code = code ^ self.end;
            let (group, behind) = behind.split_at_checked(usize::from(code).checked_sub(1)?)?;
            decoded.extend(group.iter().map(|byte| byte ^ self.end));
            if code != FULL && !behind.is_empty() {
                decoded.push(0);
            }
            rest = behind;
        }
        Some(decoded)
    }
}

/// Remembers how far it has looked for the end.
#[derive(Debug)]
pub(super) struct CobsFramer {
    kind: Cobs,
    scanned: usize,
}

impl CobsFramer {
    /// Offset behind the next end.
    fn behind(&self, bytes: &[u8]) -> Option<usize> {
        let rest = bytes.get(self.scanned..).unwrap_or_default();
        let end = memchr::memchr(self.kind.end, rest);
        #[cfg(test)]
        super::needles::work::add(end.map_or(rest.len(), |at| at.saturating_add(1)));
        let end = end?;
        Some(self.scanned.saturating_add(end).saturating_add(1))
    }
}

impl Framer for CobsFramer {
    fn next<'b>(&mut self, bytes: &'b [u8], _more: More) -> Step<'b> {
        let Some(take) = self.behind(bytes) else {
            self.scanned = bytes.len();
            return Step::Need(bytes.len().saturating_add(1));
        };
        let encoded = bytes.get(..take.saturating_sub(1)).unwrap_or_default();
        match self.kind.decode(encoded) {
            None => Step::Broken(Broken::Escape),
            Some(frame) if frame.is_empty() => Step::Skip {
                count: take,
                why: Skipped::Empty,
            },
            Some(frame) => Step::Frame {
                take,
                frame: Cow::Owned(frame),
                body: 0,
            },
        }
    }

    fn consumed(&mut self, count: usize) {
        self.scanned = self.scanned.saturating_sub(count);
    }

    fn resync(&self) -> Resync {
        Resync::End
    }

    fn drop_broken(&mut self, bytes: &[u8]) -> (usize, bool) {
        match self.behind(bytes) {
            Some(count) => (count, true),
            None => (bytes.len(), false),
        }
    }
}
