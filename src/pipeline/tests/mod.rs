#![expect(
    clippy::arithmetic_side_effects,
    reason = "a test that overflows fails"
)]
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

mod idle;
mod kinds;

use super::*;
use crate::document::{Problems, Section};
use crate::framing::{self, needles::work};

mod protocols;
mod records;

#[expect(clippy::disallowed_methods, reason = "some moment to count from")]
fn start() -> Instant {
    Instant::now()
}

fn framing(document: &Value) -> Framing {
    let mut problems = Problems::new();
    let framing = framing::read(&Section::root(document), &mut problems);
    assert!(problems.is_empty(), "{document}: {problems:?}");
    framing.unwrap()
}

fn drain(pipeline: &mut Pipeline, now: Instant, seen: &mut Vec<String>) {
    while let Some(received) = pipeline.next(now) {
        let line = match received {
            Received::Frame {
                bytes,
                body,
                checksum_ok: true,
            } => format!("{} {}", body.start, bytes.escape_ascii()),
            Received::Frame { bytes, .. } => format!("flagged {}", bytes.escape_ascii()),
            Received::BadChecksum { bytes, .. } => format!("bad {}", bytes.escape_ascii()),
            Received::TooLong { .. } => "too long".into(),
            Received::Skipped { count, .. } => skipped(seen, count),
            Received::Incomplete { count } => format!("incomplete {count}"),
            Received::HalfFrame { count, .. } => format!("half {count}"),
            Received::Broken(why) => format!("broken: {why}"),
        };
        seen.push(line);
    }
}

/// Neighbouring skips are one, however they were cut.
fn skipped(seen: &mut Vec<String>, count: usize) -> String {
    let before = seen.pop_if(|last| last.starts_with("skipped "));
    let before: usize = before.map_or(0, |last| {
        last.trim_start_matches("skipped ").parse().unwrap()
    });
    format!("skipped {}", before + count)
}

fn run<'a>(framing: &Framing, chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
    let mut pipeline = Pipeline::new(framing, Arc::new([]), OnBadChecksum::Reject);
    let (now, mut seen) = (start(), Vec::new());
    for chunk in chunks {
        pipeline.push(chunk);
        drain(&mut pipeline, now, &mut seen);
    }
    pipeline.end();
    drain(&mut pipeline, now, &mut seen);
    seen
}

/// A framing, a stream, and what comes out of it.
type Row = (Value, Vec<u8>, Vec<&'static str>);

fn row(document: Value, stream: &[u8], expected: &[&'static str]) -> Row {
    (document, stream.to_vec(), expected.to_vec())
}

fn gt06() -> Value {
    json!({"type": "switch", "cases": [
        {"start": "0x7878", "type": "length", "length": "u8 at 2", "add": 5, "end": "0x0d0a", "body": 3},
        {"start": "0x7979", "type": "length", "length": "u16 at 2", "add": 6, "end": "0x0d0a", "body": 4, "maxBytes": 4096}]})
}

fn syslog() -> Value {
    json!({"type": "switch", "cases": [
        {"when": "u8 at 0 = 49..57", "type": "length", "length": "decimal until ' '", "body": "after"},
        {"type": "delimiter", "end": "\n"}]})
}

fn delimiters() -> Vec<Row> {
    let lines = json!({"type": "delimiter", "end": "\r\n", "maxBytes": 8});
    let alternatives =
        json!({"type": "delimiter", "end": ["\r", "\r\n", ";", ";;"], "maxBytes": 6});
    let started =
        json!({"type": "delimiter", "start": "*", "end": "#", "ignore": "\r\n", "maxBytes": 6});
    vec![
        row(
            lines.clone(),
            b"ab\r\n\r\n\r\nc\rd\r\ne",
            &["0 ab", "0 c\\rd", "half 1"],
        ),
        row(
            lines.clone(),
            b"123456\r\n1234567\r\nab\r\n",
            &["0 123456", "too long", "0 ab"],
        ),
        row(lines, b"1234567890123456789\r", &["too long"]),
        row(
            alternatives.clone(),
            b"a\rb\r\nc;d;;e;\rf\r",
            &["0 a", "0 b", "0 c", "0 d", "0 e", "0 f"],
        ),
        row(
            alternatives,
            b"12345\r\nab;;12345\rcd;123456;;c;",
            &["too long", "0 ab", "0 12345", "0 cd", "too long", "0 c"],
        ),
        row(
            started.clone(),
            b"\r\n*ab#\r\n**##xx*c#*",
            &["0 ab", "0 *", "skipped 3", "0 c", "half 1"],
        ),
        row(started, b"*1234567*ab#", &["too long", "skipped 7", "0 ab"]),
        row(
            json!({"type": "delimiter", "start": ["<", "<<"], "end": [">", ">>"], "keep": true}),
            b"<a><<b>>",
            &["0 <a>", "0 <<b>>"],
        ),
        row(
            json!({"type": "delimiter", "end": "0x00", "body": 9}),
            b"a\0bcdefghijkl\0",
            &["1 a", "9 bcdefghijkl"],
        ),
    ]
}

fn lengths() -> Vec<Row> {
    let short = json!({"type": "length", "length": "u16", "maxBytes": 8});
    let marked = json!({"type": "length", "start": "0x01", "length": "u16le", "add": 3, "end": "!", "maxBytes": 12});
    vec![
        row(
            short.clone(),
            b"\0\x04ab\0\x02\0\x08123456\0",
            &[
                "0 \\x00\\x04ab",
                "0 \\x00\\x02",
                "0 \\x00\\x08123456",
                "half 1",
            ],
        ),
        row(
            short.clone(),
            b"\0\x01ab",
            &["broken: the length field holds an impossible length"],
        ),
        row(
            short.clone(),
            b"\0\0",
            &["broken: the length field holds an impossible length"],
        ),
        row(
            short,
            b"\0\x03a\0\x09a",
            &["0 \\x00\\x03a", "broken: frame is longer than 8 bytes"],
        ),
        row(
            marked,
            b"xx\x01\x02\0a!\x01\x02\0a?\x01\xff\xff\x01\0\0\x01\x01\0!",
            &[
                "skipped 2",
                "0 \\x01\\x02\\x00a!",
                "skipped 5",
                "too long",
                "skipped 5",
                "0 \\x01\\x01\\x00!",
            ],
        ),
        row(
            json!({"type": "length", "length": "u64", "multiply": 4294967295u32}),
            &[0xff; 9],
            &["broken: frame is longer than 65536 bytes"],
        ),
        row(
            json!({"type": "length", "length": "i8", "add": 3}),
            b"\xff12\x0012\xfe",
            &["broken: the length field holds an impossible length"],
        ),
        row(
            json!({"type": "length", "length": "u24 at 1", "add": 4, "multiply": 2, "body": "after"}),
            b"x\0\0\x01ab",
            &["4 x\\x00\\x00\\x01ab"],
        ),
        row(
            json!({"type": "length", "length": "decimal until ','"}),
            b"2,ab0,12",
            &["0 2,ab", "0 0,", "half 2"],
        ),
        row(
            json!({"type": "length", "length": "decimal until ','"}),
            b"2,abx,12",
            &[
                "0 2,ab",
                "broken: the length field holds an impossible length",
            ],
        ),
        row(
            json!({"type": "length", "start": "$$", "length": "decimal until ',' at 3"}),
            b"..$$A3,abc$$B1,x\r\n$$C0,",
            &[
                "skipped 2",
                "0 $$A3,abc",
                "0 $$B1,x",
                "skipped 2",
                "0 $$C0,",
            ],
        ),
        row(
            json!({"type": "length", "length": "hexadecimal 4", "add": 4, "body": "after"}),
            b"0003abc000g",
            &[
                "4 0003abc",
                "broken: the length field holds an impossible length",
            ],
        ),
    ]
}

fn others() -> Vec<Row> {
    vec![
        row(json!({"type": "fixed", "bytes": 3}), b"abcdefg", &["0 abc", "0 def", "half 1"]),
        row(json!({"type": "fixed", "bytes": 3, "start": ["0x02", "0x02ff"]}), b"x\x02abyy\x02\xffc\x02", &["skipped 1", "0 \\x02ab", "skipped 2", "0 \\x02\\xffc", "half 1"]),
        row(gt06(), b"..\x78\x78\x05\x01\0\x01\xd9\xdc\r\n\x79\x79\0\x05\x01\0\x01\xd9\xdc\r\n\x78\x79\x78\x78\0\r\n",
            &["skipped 2", "3 xx\\x05\\x01\\x00\\x01\\xd9\\xdc\\r\\n", "4 yy\\x00\\x05\\x01\\x00\\x01\\xd9\\xdc\\r\\n", "skipped 2", "3 xx\\x00\\r\\n"]),
        row(syslog(), b"5 a\nb c3 xyz<1>line\n12", &["2 5 a\\nb c", "2 3 xyz", "0 <1>line", "half 2"]),
        row(json!({"type": "switch", "cases": [
                {"start": "0xff", "type": "fixed", "bytes": 1},
                {"start": "0x00000000", "type": "length", "length": "u32 at 4", "add": 8, "body": 8},
                {"start": "0x00", "type": "length", "length": "u16 at 0", "add": 2, "body": 2, "maxBytes": 64}]}),
            b"\xff\0\x02ab\0\0\0\0\0\0\0\x01x\xff\0\0\0", &["0 \\xff", "2 \\x00\\x02ab", "8 \\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x01x", "0 \\xff", "half 3"]),
        row(json!({"type": "switch", "ignore": " ", "cases": [
                {"start": "A", "type": "switch", "cases": [{"start": "A1", "type": "fixed", "bytes": 3}, {"type": "delimiter", "end": "."}]},
                {"when": "u8 at 1 & 1 = 1", "type": "fixed", "bytes": 2},
                {"type": "delimiter", "end": ["\n", "\n\n"], "maxBytes": 5}]}),
            b"A1x A2yz.bafo\n\n bbccdd\nbd\n", &["0 A1x", "0 A2yz", "0 ba", "0 fo", "too long", "0 bd"]),
        row(json!({"type": "switch", "cases": [{"start": "a", "type": "fixed", "bytes": 2}, {"when": "u8 at 0 = 98", "type": "fixed", "bytes": 1}]}),
            b"axbc", &["0 ax", "0 b", "broken: no framing fits the first bytes"]),
    ]
}

fn rows() -> Vec<Row> {
    let kinds = [
        kinds::delimiters(),
        kinds::stuffed(),
        kinds::nested(),
        kinds::ends(),
    ]
    .concat();
    [delimiters(), lengths(), others(), kinds, records::rows()].concat()
}

/// The framings of all rows, each once.
fn documents() -> Vec<Value> {
    let mut documents = Vec::new();
    for (document, ..) in rows() {
        if !documents.contains(&document) {
            documents.push(document);
        }
    }
    documents
}

#[test]
fn the_way_the_stream_is_cut_never_matters() {
    for (document, stream, expected) in rows() {
        let framing = framing(&document);
        assert_eq!(
            run(&framing, [stream.as_slice()]),
            expected,
            "{document} whole"
        );
        assert_eq!(
            run(&framing, stream.chunks(1)),
            expected,
            "{document} byte by byte"
        );
        for at in 0..stream.len() {
            let (left, right) = stream.split_at(at);
            assert_eq!(
                run(&framing, [left, right]),
                expected,
                "{document} cut at {at}"
            );
        }
    }
}

fn cut<'a>(stream: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let mut rest = stream;
    let mut chunks = Vec::new();
    for length in lengths {
        let (chunk, behind) = rest.split_at((*length).min(rest.len()));
        chunks.push(chunk);
        rest = behind;
    }
    chunks.push(rest);
    chunks
}

/// Bytes of which the samples' markers are made, so that chance finds the corners.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop::sample::select(b"\r\n;*#<>\x78\x79\x01\x02\0\xff0123 ,!$Aab.~}()=[]{}\"'\\:\xc0\xdb\xdc\xdd\xfa\xaf\xfb\xbf\x10\x03\x04".to_vec());
    prop::collection::vec(byte, 0..60)
}

fn contents() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(
        prop_oneof![noise(), prop::collection::vec(any::<u8>(), 0..20)],
        0..8,
    )
}

/// Garbage that cannot be taken for the start of a frame, with the end that such a framing looks for.
fn garbage(document: &Value) -> Option<&'static [u8]> {
    match document {
        _ if *document == gt06() => Some(b"\0garbage\r\n\x78\0"),
        _ if document["start"] == "*" => Some(b"gar#bage\r\n"),
        _ if document["start"] == "$$" => Some(b"garbage 12,$x"),
        _ if document["type"] == "delimiter" && document["end"] == "\r\n" => {
            Some(b"much longer than a line may be\r\n")
        }
        _ => None,
    }
}

/// What must come before the frames that we wrap.
fn first_frame(document: &Value) -> &'static [u8] {
    match document["first"]["type"].as_str() {
        Some("delimiter") => b"id;\n",
        Some(_) => b"$a\r\n",
        None => b"",
    }
}

fn frames(seen: &[String]) -> Vec<String> {
    let frame = |line: &&String| line.starts_with(|first: char| first.is_ascii_digit());
    seen.iter().filter(frame).cloned().collect()
}

proptest! {
    #[test]
    fn noise_cut_at_random_gives_the_same(noise in noise(), lengths in prop::collection::vec(0usize..9, 0..30)) {
        for document in documents() {
            let framing = framing(&document);
            let whole = run(&framing, [noise.as_slice()]);
            prop_assert_eq!(run(&framing, cut(&noise, &lengths)), whole.clone(), "{}", document);
            prop_assert_eq!(run(&framing, noise.chunks(1)), whole, "{} byte by byte", document);
        }
    }

    #[test]
    fn what_is_wrapped_comes_back_frame_by_frame(contents in contents(), lengths in prop::collection::vec(0usize..30, 0..30)) {
        for document in documents().into_iter().filter(|document| document["type"] != "idle") {
            let framing = framing(&document);
            let first = first_frame(&document);
            let mut stream = first.to_vec();
            let mut dirty = first.to_vec();
            let mut alone = run(&framing, [first]);
            let before = alone.len();
            for content in &contents {
                if let Ok(wrapped) = framing.wrap(content) {
                    alone.extend(run(&framing, [first, &wrapped]).split_off(before));
                    stream.extend_from_slice(&wrapped);
                    dirty.extend_from_slice(garbage(&document).unwrap_or_default());
                    dirty.extend_from_slice(&wrapped);
                }
            }
            prop_assert_eq!(run(&framing, [stream.as_slice()]), alone.clone(), "{} merged", document);
            prop_assert_eq!(run(&framing, cut(&stream, &lengths)), alone.clone(), "{} cut", document);
            prop_assert_eq!(frames(&run(&framing, cut(&dirty, &lengths))), alone, "{} with garbage", document);
        }
    }

    #[test]
    fn never_more_than_the_maximum_and_one_read_is_held(chunks in prop::collection::vec(noise(), 0..20)) {
        for document in documents().into_iter().filter(|document| document["maxBytes"].is_u64()) {
            let maximum = usize::try_from(document["maxBytes"].as_u64().unwrap()).unwrap();
            let mut pipeline = Pipeline::new(&framing(&document), Arc::new([]), OnBadChecksum::Reject);
            for chunk in &chunks {
                pipeline.push(chunk);
                drain(&mut pipeline, start(), &mut Vec::new());
                prop_assert!(pipeline.buffered() <= maximum + 1, "{}", document);
            }
        }
    }
}

#[test]
fn no_byte_is_looked_at_again_and_again() {
    let long = vec![b'*'; 50_000];
    let mixed = b"*a".repeat(25_000);
    let heads = b"*\n\n".repeat(16_000);
    let lines = [b"*a9\n".repeat(2_000), b"\n".to_vec(), vec![b'x'; 5_000]].concat();
    let stars = [vec![b'*'; 5_000], b"\n\n".to_vec(), vec![b'x'; 6_000]].concat();
    let records = [&b"*"[..], &[b'x'; 990], b"]"].concat().repeat(20);
    for (document, stream) in [
        (
            json!({"type": "header", "start": "*", "length": "(\\d+)$", "end": "#", "maxBytes": 10_000}),
            stars,
        ),
        (
            json!({"type": "walk", "start": "*", "header": 1, "record": 1, "until": "]"}),
            records,
        ),
        (
            json!({"type": "delimiter", "end": ["\r\n", "\n\r", "**#"]}),
            long.clone(),
        ),
        (
            json!({"type": "delimiter", "end": "\r\n", "maxBytes": 100}),
            long.clone(),
        ),
        (
            json!({"type": "delimiter", "start": "*", "end": "#", "maxBytes": 10_000}),
            long.clone(),
        ),
        (
            json!({"type": "delimiter", "start": "*", "end": "#", "maxBytes": 10_000}),
            mixed.clone(),
        ),
        (
            json!({"type": "delimiter", "start": "+", "end": "#"}),
            mixed.clone(),
        ),
        (
            json!({"type": "length", "start": "0x2a61", "length": "u16", "end": "#"}),
            mixed.clone(),
        ),
        (
            json!({"type": "header", "start": "*", "length": "^(\\d+)$", "end": "#", "maxBytes": 10_000}),
            long.clone(),
        ),
        (
            json!({"type": "header", "start": "*", "length": "^(\\d+)$", "end": "#", "maxBytes": 10_000}),
            heads,
        ),
        (
            json!({"type": "header", "start": "*", "length": "^a(\\d+)$", "end": "#", "maxBytes": 10_000}),
            lines,
        ),
    ]
    .into_iter()
    .chain(kinds::hostile())
    {
        let framing = framing(&document);
        for size in [1, 1000, stream.len()] {
            work::take();
            run(&framing, stream.chunks(size));
            let looked_at = work::take();
            assert!(
                looked_at <= 6 * stream.len(),
                "{document} in chunks of {size}: {looked_at}"
            );
        }
    }
}

#[test]
fn a_frame_that_stays_incomplete_is_given_up() {
    let t0 = start();
    let second = Duration::from_secs(1);
    for (document, expected) in [
        (
            json!({"type": "delimiter", "end": "\n", "incompleteTimeoutMs": 5000}),
            &["incomplete 3", "0 x"][..],
        ),
        (
            json!({"type": "fixed", "bytes": 5, "incompleteTimeoutMs": 5000}),
            &["broken: a frame stayed incomplete"],
        ),
        (
            json!({"type": "fixed", "start": "a", "bytes": 5, "incompleteTimeoutMs": 5000}),
            &["incomplete 3", "skipped 2", "skipped 5"],
        ),
    ] {
        let mut pipeline = Pipeline::new(&framing(&document), Arc::new([]), OnBadChecksum::Reject);
        let mut seen = Vec::new();
        assert_eq!(pipeline.deadline(), None);
        for (bytes, when) in [("a", t0), ("bc", t0 + second)] {
            pipeline.push(bytes.as_bytes());
            drain(&mut pipeline, when, &mut seen);
            assert_eq!(
                pipeline.deadline(),
                Some(t0 + 5 * second),
                "counted from the first byte"
            );
        }
        pipeline.tick(t0 + 4 * second);
        drain(&mut pipeline, t0 + 4 * second, &mut seen);
        assert_eq!(seen, [""; 0]);
        pipeline.tick(t0 + 5 * second);
        drain(&mut pipeline, t0 + 5 * second, &mut seen);
        pipeline.push(b"de\nx\n");
        drain(&mut pipeline, t0 + 6 * second, &mut seen);
        let expected = expected.iter().map(|line| line.to_string());
        assert_eq!(merged(seen), merged(expected.collect()), "{document}");
        assert_eq!(pipeline.deadline(), None);
    }
}

fn merged(seen: Vec<String>) -> Vec<String> {
    let mut merged = Vec::new();
    for line in seen {
        let line = match line.strip_prefix("skipped ") {
            Some(count) => skipped(&mut merged, count.parse().unwrap()),
            None => line,
        };
        merged.push(line);
    }
    merged
}

#[test]
fn the_clock_stands_still_while_nobody_reads() {
    let (t0, second) = (start(), Duration::from_secs(1));
    let document = json!({"type": "delimiter", "end": "\n", "incompleteTimeoutMs": 5000});
    let mut pipeline = Pipeline::new(&framing(&document), Arc::new([]), OnBadChecksum::Reject);
    pipeline.push(b"a\nb");
    assert!(pipeline.next(t0).is_some());
    assert_eq!(
        (pipeline.next(t0), pipeline.deadline()),
        (None, Some(t0 + 5 * second))
    );
    pipeline.pause();
    assert_eq!(pipeline.deadline(), None);
    pipeline.tick(t0 + 60 * second);
    assert_eq!(pipeline.next(t0 + 60 * second), None);
    assert_eq!(pipeline.deadline(), Some(t0 + 65 * second));
}

#[test]
fn a_wrong_checksum_follows_the_policy() {
    let framing = framing(&json!({"type": "fixed", "bytes": 2}));
    let checksums: Arc<[Checksum]> = Arc::new([Checksum::parse("xor").unwrap()]);
    for (policy, expected) in [
        (OnBadChecksum::Reject, ["0 aa", "bad ab"]),
        (OnBadChecksum::Nak, ["0 aa", "bad ab"]),
        (OnBadChecksum::Close, ["0 aa", "bad ab"]),
        (OnBadChecksum::Flag, ["0 aa", "flagged ab"]),
    ] {
        let mut pipeline = Pipeline::new(&framing, checksums.clone(), policy);
        let mut seen = Vec::new();
        pipeline.push(b"aaab");
        drain(&mut pipeline, start(), &mut seen);
        assert_eq!(seen, expected, "{policy:?}");
    }
}

/// However its bytes are cut.
#[test]
fn a_frame_without_end_is_given_up() {
    let document = json!({"type": "delimiter", "end": "\n", "maxBytes": 3});
    let framing = framing(&document);
    let endless = "broken: more than 16 MiB of a broken frame came, and not its end";
    for (before_end, expected) in [
        (MOST_DROPPED - 1, vec!["too long", "0 ab"]),
        (MOST_DROPPED, vec!["too long", endless]),
    ] {
        for piece in [4096, 65_521] {
            let mut pipeline = Pipeline::new(&framing, Arc::new([]), OnBadChecksum::Reject);
            let mut seen = Vec::new();
            let room = vec![b'x'; piece];
            let mut left = before_end;
            while left > 0 {
                let count = left.min(piece);
                pipeline.push(&room[..count]);
                drain(&mut pipeline, start(), &mut seen);
                left -= count;
            }
            pipeline.push(b"\nab\n");
            drain(&mut pipeline, start(), &mut seen);
            assert_eq!(seen, expected, "{before_end} in {piece}");
        }
    }
}

#[test]
fn too_long_closes_where_the_settings_say_so() {
    let document = json!({"type": "delimiter", "end": "\n", "maxBytes": 3, "onTooLong": "close"});
    let seen = run(&framing(&document), [&b"ab\nabc\nab\n"[..]]);
    assert_eq!(seen, ["0 ab", "broken: frame is longer than 3 bytes"]);
}
