//! `--explain`: how each frame was understood, for a reader's eyes.

mod dump;
mod fields;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::ops::Range;

use self::dump::{Claim, Rank, spaced_hex};
use super::Player;
use crate::checksum;
use crate::conversation::{Attribution, Protocol};
use crate::decoding::Trace;
use crate::framing::{self, Taken};
use crate::message::{Fields, Frame, Reading};
use crate::pipeline::{Received, Seen};

/// Bytes that belong to no frame, as far as they are shown.
const MOST_SKIPPED: usize = 16;

/// Where explaining stands in the stream.
#[derive(Debug, Default)]
pub(super) struct Explanations {
    /// All bytes so far.
    stream: Vec<u8>,
    frames: usize,
    /// Bytes that belong to no frame and are not shown yet: from where to where, and why.
    skipped: Option<(Range<usize>, String)>,
    /// Frames of which it is not said yet who they are from and what follows.
    due: Vec<Due>,
}

/// What is said of a frame when the conversation has taken it.
#[derive(Debug)]
struct Due {
    fields: Fields,
    /// The reply to it, and why.
    reply: Option<String>,
    publish: bool,
}

impl Player<'_> {
    /// Notes bytes that came.
    pub(super) fn pushed(&mut self, bytes: &[u8]) {
        if let Some(explained) = &mut self.explained {
            explained.stream.extend_from_slice(bytes);
        }
    }

    /// Says how what the pipeline gave was understood.
    pub(super) fn explain(&mut self, received: &Received) -> io::Result<()> {
        let (Some(explained), Some(seen)) = (&mut self.explained, self.pipeline.seen()) else {
            return Ok(());
        };
        let position = explained.stream.len() - self.pipeline.buffered();
        let (bytes, body, accepted) = match received {
            Received::Frame { bytes, body, .. } => (bytes, *body, true),
            Received::BadChecksum { bytes, body } => (bytes, *body, false),
            Received::Skipped { count, .. } => {
                let why = match seen.broken {
                    Some(broken) => broken.to_string(),
                    None => "belong to no frame".to_owned(),
                };
                return explained.skip(position - count..position, why, self.out);
            }
            // The conversation says these.
            Received::TooLong { .. }
            | Received::Incomplete { .. }
            | Received::HalfFrame { .. }
            | Received::Broken(_) => return Ok(()),
        };
        explained.show_skipped(self.out)?;
        explained.frames += 1;
        // A script is not told of a frame that the conversation does not take.
        let caller = self.caller.as_ref().filter(|_| accepted);
        let decoder = &self.protocol.decoder;
        let (reading, trace) = decoder.explain(Frame { bytes, body }, caller);
        let frame = Explained {
            protocol: self.protocol,
            number: explained.frames,
            at: position - seen.wire.len(),
            seen,
            bytes,
            body,
            reading: &reading,
            trace: &trace,
        };
        frame.write(self.out)?;
        if accepted {
            explained.due.push(Due {
                reply: frame.reply(),
                publish: reading.publish,
                fields: reading.fields,
            });
        }
        Ok(())
    }

    /// Says who frames were from that the conversation has taken, and how they are answered.
    pub(super) fn attribute(&mut self) -> io::Result<()> {
        let Some(explained) = &mut self.explained else {
            return Ok(());
        };
        for due in std::mem::take(&mut explained.due) {
            if let Some(who) = self.conversation.attribution(&due.fields) {
                item("identity", &device(&who), self.out)?;
            }
            if !due.publish {
                item(
                    "message",
                    "none: the layout says \"publish\": false",
                    self.out,
                )?;
            }
            if let Some(reply) = due.reply {
                item("answer", &reply, self.out)?;
            }
        }
        Ok(())
    }

    /// Shows what is left to be shown when nothing more comes.
    pub(super) fn finish_explaining(&mut self) -> io::Result<()> {
        match &mut self.explained {
            Some(explained) => explained.show_skipped(self.out),
            None => Ok(()),
        }
    }
}

impl Explanations {
    /// Notes bytes that belong to no frame; those that follow each other are shown together.
    fn skip(&mut self, place: Range<usize>, why: String, out: &mut dyn Write) -> io::Result<()> {
        if let Some((before, known)) = &mut self.skipped
            && before.end == place.start
            && *known == why
        {
            before.end = place.end;
            return Ok(());
        }
        self.show_skipped(out)?;
        self.skipped = Some((place, why));
        Ok(())
    }

    fn show_skipped(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let Some((place, why)) = self.skipped.take() else {
            return Ok(());
        };
        let bytes = self.stream.get(place.clone()).unwrap_or_default();
        let shown = spaced_hex(bytes.get(..MOST_SKIPPED).unwrap_or(bytes));
        let more = if bytes.len() > MOST_SKIPPED {
            " …"
        } else {
            ""
        };
        let (count, at) = (bytes.len(), place.start);
        writeln!(
            out,
            "skipped: {count} bytes at {at} of the stream, {shown}{more}: {why}"
        )
    }
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
        (None, None, None) => return "no frame has said it yet".to_owned(),
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
