//! The bytes of a frame, each beside what became of it.

use std::io::{self, Write};
use std::ops::Range;

/// Columns that bytes take.
const COLUMN: usize = 24;

/// Something that says what bytes of a frame are.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    /// The bytes; none for what only has a place among the others.
    pub place: Range<usize>,
    pub rank: Rank,
    /// Of two of one rank the deeper one has the bytes.
    pub depth: usize,
    /// Whether others stand in it, which have the bytes.
    pub holds: bool,
    pub text: String,
}

/// Who has a byte that several claim: the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// A field that was read in its turn.
    Field,
    /// Framing and checksums.
    Framing,
    /// A field with `at`.
    Elsewhere,
    /// What a decoder needs around its fields, and what holds others.
    Decoder,
}

/// A line, before it is laid out.
struct Line<'c> {
    place: Range<usize>,
    /// Before what begins at the same byte.
    order: usize,
    text: &'c str,
    goes_on: bool,
    also: Vec<&'c str>,
}

/// Writes all bytes of a frame, each once, and what became of them behind.
pub(super) fn write(frame: &[u8], claims: &[Claim], out: &mut dyn Write) -> io::Result<()> {
    let owners = owners(frame.len(), claims);
    let (mut lines, shown) = lines(&owners, claims);
    let mut without_bytes = Vec::new();
    for (order, claim) in claims.iter().enumerate() {
        if shown.get(order) == Some(&true) {
            continue;
        }
        let hidden = !claim.place.is_empty() && !claim.holds;
        let behind = lines.partition_point(|line| line.place.end <= claim.place.start);
        match lines.get_mut(behind).filter(|_| hidden) {
            Some(_) if claim.rank == Rank::Decoder => {}
            Some(line) => line.also.push(&claim.text),
            None => without_bytes.push(Line {
                place: claim.place.start..claim.place.start,
                order,
                text: &claim.text,
                goes_on: false,
                also: Vec::new(),
            }),
        }
    }
    lines.append(&mut without_bytes);
    lines.sort_by_key(|line| (line.place.start, !line.place.is_empty(), line.order));
    let text = is_text(frame);
    lines
        .iter()
        .try_for_each(|line| line.write(frame, text, out))
}

/// Which claim has each byte.
fn owners(length: usize, claims: &[Claim]) -> Vec<Option<usize>> {
    let mut order: Vec<usize> = (0..claims.len()).collect();
    order.sort_by_key(|at| {
        let claim = &claims[*at];
        (claim.rank, std::cmp::Reverse(claim.depth), *at)
    });
    let mut owners = vec![None; length];
    for at in order {
        let place = claims[at].place.clone();
        for owner in owners.iter_mut().take(place.end).skip(place.start) {
            owner.get_or_insert(at);
        }
    }
    owners
}

/// The runs of bytes that one claim has, one behind the other; and which claims have some.
fn lines<'c>(owners: &[Option<usize>], claims: &'c [Claim]) -> (Vec<Line<'c>>, Vec<bool>) {
    let mut lines = Vec::new();
    let mut shown = vec![false; claims.len()];
    let mut start = 0;
    for run in owners.chunk_by(|left, right| left == right) {
        let end = start + run.len();
        let owner = run.first().copied().flatten();
        let before = owner.and_then(|order| shown.get_mut(order));
        lines.push(Line {
            place: start..end,
            goes_on: before.is_some_and(|before| std::mem::replace(before, true)),
            order: owner.unwrap_or(usize::MAX),
            text: owner.map_or("not read", |at| &claims[at].text),
            also: Vec::new(),
        });
        start = end;
    }
    (lines, shown)
}

impl Line<'_> {
    fn write(&self, frame: &[u8], text: bool, out: &mut dyn Write) -> io::Result<()> {
        let bytes = frame.get(self.place.clone()).unwrap_or_default();
        let rows = rows(self.place.start, bytes, text);
        let goes_on = if self.goes_on { " (goes on)" } else { "" };
        let mut texts = vec![format!("{}{goes_on}", self.text)];
        texts.extend(self.also.iter().map(|also| format!("also {also}")));
        for row in 0..rows.len().max(texts.len()) {
            let (offset, piece) = match rows.get(row) {
                Some((offset, piece)) => (format!("{offset:04}"), piece.as_str()),
                None if row == 0 => (format!("{:04}", self.place.start), ""),
                None => (String::new(), ""),
            };
            let text = texts.get(row).map_or("", String::as_str);
            let line = format!("    {offset:4}  {piece:COLUMN$}  {text}");
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Whether a reader sees more in the frame's characters than in its hex digits.
fn is_text(frame: &[u8]) -> bool {
    let control = |byte: &&u8| byte.is_ascii_control() && !byte.is_ascii_whitespace();
    let controls = frame.iter().filter(control).count();
    std::str::from_utf8(frame).is_ok() && controls * 8 <= frame.len()
}

/// Bytes as they are shown, as many to a row as its columns hold, with the offset of each row.
fn rows(start: usize, bytes: &[u8], text: bool) -> Vec<(usize, String)> {
    let mut rows: Vec<(usize, String)> = Vec::new();
    for (at, byte) in bytes.iter().enumerate() {
        let shown = if text {
            shown(*byte)
        } else {
            format!("{byte:02x} ")
        };
        match rows.last_mut() {
            Some((_, row)) if row.len() + shown.len() <= COLUMN => row.push_str(&shown),
            _ => rows.push((start + at, shown)),
        }
    }
    rows
}

fn shown(byte: u8) -> String {
    match byte {
        b' '..=b'~' => char::from(byte).to_string(),
        b'\r' => "\\r".to_owned(),
        b'\n' => "\\n".to_owned(),
        b'\t' => "\\t".to_owned(),
        other => format!("\\x{other:02x}"),
    }
}

/// Hex digits, two by two.
pub(super) fn spaced_hex(bytes: &[u8]) -> String {
    let pairs: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(" ")
}

/// All bytes as text rows show them.
#[cfg(test)]
pub(super) fn plain(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| shown(*byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn claim(place: Range<usize>, rank: Rank, text: &str) -> Claim {
        Claim {
            place,
            rank,
            depth: 0,
            holds: false,
            text: text.to_owned(),
        }
    }

    fn written(frame: &[u8], claims: &[Claim]) -> String {
        let mut out = Vec::new();
        write(frame, claims, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_byte_stands_once_beside_who_has_it() {
        let claims = [
            claim(0..2, Rank::Framing, "start"),
            claim(2..3, Rank::Framing, "length = 1"),
            claim(2..3, Rank::Field, "size: u8 = 1"),
            claim(3..3, Rank::Field, "more: u8 if size > 1: left out"),
            Claim {
                depth: 1,
                ..claim(4..5, Rank::Field, "inner: u8 = 9")
            },
            Claim {
                holds: true,
                ..claim(4..5, Rank::Field, "part: bytes 1 with inner")
            },
            claim(0..2, Rank::Elsewhere, "head: u16 at 0 = 30840"),
        ];
        let expected = "    \
    0000  78 78                     start
                                    also head: u16 at 0 = 30840
    0002  01                        size: u8 = 1
                                    also length = 1
    0003                            more: u8 if size > 1: left out
    0003  ff                        not read
    0004                            part: bytes 1 with inner
    0004  09                        inner: u8 = 9
    0005  00 01 02 03 04 05 06 07   not read
    0013  08
";
        let frame = b"\x78\x78\x01\xff\x09\0\x01\x02\x03\x04\x05\x06\x07\x08";
        assert_eq!(written(frame, &claims), expected);
    }

    #[test]
    fn text_is_shown_as_such() {
        let claims = [claim(0..2, Rank::Field, "a"), claim(3..5, Rank::Field, "b")];
        let expected = "    \
    0000  ST                        a
    0002  ,                         not read
    0003  12                        b
    0005  \\r\\n                      not read
";
        assert_eq!(written(b"ST,12\r\n", &claims), expected);
    }

    proptest! {
        #[test]
        fn any_claims_leave_each_byte_once(
            frame in prop::collection::vec(any::<u8>(), 0..60),
            claims in prop::collection::vec((0usize..70, 0usize..20, 0usize..3, any::<bool>(), 0u8..4), 0..12),
        ) {
            let claims: Vec<Claim> = claims.into_iter().map(|(start, length, depth, holds, rank)| Claim {
                place: start..start + length,
                rank: [Rank::Field, Rank::Framing, Rank::Elsewhere, Rank::Decoder][usize::from(rank)],
                depth,
                holds,
                text: "claim".to_owned(),
            }).collect();
            let frame: Vec<u8> = frame.into_iter().map(|byte| byte | 0xf8).collect();
            let out = written(&frame, &claims);
            let column: String = out.lines().map(|line| line.get(10..34).unwrap_or(line.get(10..).unwrap_or_default())).collect::<Vec<_>>().join(" ");
            let pairs: Vec<u8> = column.split_whitespace().map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect();
            prop_assert_eq!(pairs, frame);
        }
    }
}
