//! `--explain`: how each frame was understood, for a reader's eyes.

mod dump;
mod fields;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::ops::Range;

use self::dump::{Claim, Rank, spaced_hex};
use super::Player;
use super::skipped::Run;
use crate::checksum;
use crate::conversation::{Attribution, Protocol, Sight};
use crate::decoding::Trace;
use crate::framing::{self, Taken};
use crate::message::{Frame, Reading};
use crate::pipeline::{Received, Seen};

/// Where explaining stands in the stream.
#[derive(Debug, Default)]
pub(super) struct Explanations {
    frames: usize,
}

impl Player<'_> {
    /// Says how what the conversation received was understood, which ends there in the stream.
    pub(super) fn explain(&mut self, sight: &Sight, position: usize) -> io::Result<()> {
        let Some(explained) = &mut self.explained else {
            return Ok(());
        };
        let (bytes, body) = match &sight.received {
            Received::Frame { bytes, body, .. } | Received::BadChecksum { bytes, body } => {
                (bytes, *body)
            }
            Received::Skipped { .. }
            | Received::TooLong { .. }
            | Received::Incomplete { .. }
            | Received::HalfFrame { .. }
            | Received::Broken(_) => return Ok(()),
        };
        explained.frames += 1;
        let is_refused = matches!(sight.received, Received::BadChecksum { .. });
        // A frame that the module does not decode is read for the reader's eyes, without script.
        let decoder = &self.protocol.decoder;
        let read = || decoder.explain(Frame { bytes, body }, None);
        let (reading, trace) = sight.reading.clone().unwrap_or_else(read);
        let frame = Explained {
            protocol: self.protocol,
            number: explained.frames,
            at: position - sight.seen.wire.len(),
            seen: &sight.seen,
            bytes,
            body: body.start,
            reading: &reading,
            trace: &trace,
            is_refused,
        };
        frame.write(self.out)?;
        if let Some(from) = &sight.from {
            item("identity", &device(from), self.out)?;
        }
        match is_refused {
            true => Ok(()),
            false => frame.write_answer(self.out),
        }
    }
}

/// Says which bytes of the stream belong to no frame.
pub(super) fn skipped(run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let (count, at) = (run.place.len(), run.place.start);
    let shown = spaced_hex(&run.first);
    let more = match count > run.first.len() {
        true => " …",
        false => "",
    };
    let why = match run.why {
        Some(broken) => broken.to_string(),
        None => "belong to no frame".to_owned(),
    };
    let unit = if count == 1 { "byte" } else { "bytes" };
    writeln!(
        out,
        "skipped: {count} {unit} at {at} of the stream, {shown}{more}: {why}"
    )
}

/// A frame and all that is known of it.
struct Explained<'a> {
    protocol: &'a Protocol,
    /// Counted from 1.
    number: usize,
    /// Where in the stream it begins.
    at: usize,
    seen: &'a Seen,
    /// The frame as it is decoded, and where decoding starts in it.
    bytes: &'a [u8],
    body: usize,
    reading: &'a Reading,
    trace: &'a Trace,
    /// Whether its checksum refuses it.
    is_refused: bool,
}

impl Explained<'_> {
    /// Writes all that is known before it is said whom the frame is from.
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let framing = self.protocol.framing.explain(Taken {
            wire: &self.seen.wire,
            frame: &self.seen.frame,
            first: self.number == 1,
        });
        let checksums = self.protocol.checksums.iter();
        let checksums: Vec<_> = checksums
            .map(|checksum| checksum.explain(&self.seen.frame))
            .collect();
        let removed = removed(&checksums);
        self.write_head(&framing, &removed, out)?;
        for checksum in &checksums {
            write_checksum(checksum, out)?;
        }
        if self.is_refused {
            item(
                "rejected",
                "for its checksum; its fields would be these",
                out,
            )?;
        }
        for layout in fields::layouts(self.trace) {
            item("layout", &layout, out)?;
        }
        if let Some(why) = &self.reading.undecoded {
            item("undecoded", why, out)?;
        }
        let mut claims = fields::claims(self.trace);
        claims.extend(marks(&framing, &checksums, &removed));
        dump::write(self.bytes, &claims, out)
    }

    fn write_head(
        &self,
        framing: &framing::Explanation,
        removed: &[Range<usize>],
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let (number, at, wire) = (self.number, self.at, self.seen.wire.len());
        writeln!(out, "frame {number}: {wire} bytes at {at} of the stream")?;
        if self.seen.between > 0 {
            let between = self.seen.between;
            let bytes = format!("{between} bytes before it, ignored ones or empty frames");
            item("skipped", &bytes, out)?;
        }
        for rule in &framing.rules {
            item("framing", rule, out)?;
        }
        let mut body = format!("decoding starts at {}", self.body);
        if framing.unescaped {
            body.push_str("; offsets are those without escapes");
        }
        if !removed.is_empty() {
            body.push_str("; offsets are those without check values");
        }
        item("", &body, out)
    }

    /// Says what is known already of what follows from it.
    fn write_answer(&self, out: &mut dyn Write) -> io::Result<()> {
        if !self.reading.publish {
            item("message", "none: the layout says \"publish\": false", out)?;
        }
        match self.reply() {
            Some(reply) => item("answer", &reply, out),
            None => Ok(()),
        }
    }

    /// The reply that is due, and why.
    fn reply(&self) -> Option<String> {
        let reading = self.reading;
        let reply = self.protocol.replies.choose(reading, self.bytes)?;
        let why = match (&reply.when, reading.replies.is_empty()) {
            (Some(when), true) => format!("when {when}"),
            (Some(when), false) => format!("which the layout names, when {when}"),
            (None, _) => "which the layout names".to_owned(),
        };
        Some(format!("{}, {why}", reply.name))
    }
}

/// Writes one thing that is known, behind its word.
pub(super) fn item(word: &str, text: &str, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "  {word:<10} {text}")
}

/// Who the frame was from, and what said so.
fn device(who: &Attribution) -> String {
    let by = who.by.as_deref();
    let mut text = match (&who.fixed, &who.id, by) {
        (Some(name), ..) => format!("{name}, which the listener names"),
        (None, None, Some("address")) => "by the peer's address".to_owned(),
        (None, None, Some(by)) => return format!("{by} says it"),
        (None, None, None) if who.stays => return "no frame has said it yet".to_owned(),
        (None, None, None) => {
            return "this frame does not say it; taken as from the peer's address".to_owned();
        }
        (None, Some(id), Some(by)) => format!("{by} says \"{id}\""),
        (None, Some(id), None) => format!("\"{id}\", as an earlier frame said"),
    };
    if who.stays && by.is_some() && who.fixed.is_none() {
        text.push_str(" for this connection");
    }
    if let Some(sub) = &who.sub {
        text.push_str(&format!(", unit \"{sub}\""));
    }
    match &who.entry {
        Some(entry) => text.push_str(&format!("; known by {entry}")),
        None if who.fixed.is_none() => text.push_str("; no entry or rule knows it"),
        None => {}
    }
    text
}

fn write_checksum(checksum: &checksum::Explanation, out: &mut dyn Write) -> io::Result<()> {
    let name = &checksum.checksum;
    if let Some(condition) = &checksum.left_out {
        let text = format!("{name}: not checked, {condition} does not hold");
        return item("checksum", &text, out);
    }
    let removed = if checksum.removed {
        "; taken out before decoding"
    } else {
        ""
    };
    if checksum.checks.is_empty() {
        let word = if checksum.good {
            "nothing to check"
        } else {
            "WRONG: the frame cannot hold it"
        };
        return item("checksum", &format!("{name}: {word}{removed}"), out);
    }
    for check in &checksum.checks {
        let word = if check.is_good() { "good" } else { "WRONG" };
        let covered = match &check.covered {
            Some(covered) => format!("{}..{}", covered.start, covered.end),
            None => "no bytes of the frame".to_owned(),
        };
        let [expected, found] = [check.expected, check.found].map(|value| match value {
            Some(value) => format!("{value:#x}"),
            None => "nothing".to_owned(),
        });
        let text = format!("{name}: {expected} over {covered}, found {found}: {word}{removed}");
        item("checksum", &text, out)?;
    }
    Ok(())
}

/// The places of check values that are taken out of the frame before it is decoded.
fn removed(checksums: &[checksum::Explanation]) -> Vec<Range<usize>> {
    let removed = checksums.iter().filter(|checksum| checksum.removed);
    let checks = removed.flat_map(|checksum| &checksum.checks);
    checks.filter_map(|check| check.place.clone()).collect()
}

/// What framing and checksums say of the frame's bytes.
fn marks(
    framing: &framing::Explanation,
    checksums: &[checksum::Explanation],
    removed: &[Range<usize>],
) -> Vec<Claim> {
    let claim = |place: &Range<usize>, text: String| {
        // Offsets of the frame as it is decoded.
        let before = |at: usize| {
            let all = removed
                .iter()
                .map(|range| at.min(range.end).saturating_sub(range.start));
            at - all.sum::<usize>()
        };
        Claim {
            place: before(place.start)..before(place.end),
            rank: Rank::Framing,
            depth: 0,
            holds: false,
            text,
        }
    };
    let framed = framing.marks.iter();
    let framed = framed.map(|(place, what)| claim(place, format!("framing: {what}")));
    let kept = checksums.iter().filter(|checksum| !checksum.removed);
    let checked =
        kept.flat_map(|checksum| checksum.checks.iter().map(move |check| (checksum, check)));
    let checked = checked.filter_map(|(checksum, check)| {
        let word = if check.is_good() { "good" } else { "WRONG" };
        let name = checksum.checksum.split(' ').next().unwrap_or_default();
        Some(claim(
            check.place.as_ref()?,
            format!("checksum {name}: {word}"),
        ))
    });
    framed.chain(checked).collect()
}
