use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::framing;
use crate::script::Script as Source;

const BY_TEXT: &str = "function frame(bytes) {
  if (bytes[0] === 0x00) return -1;
  const length = bytes[0] - 0x30;
  if (!(length > 0 && length < 10)) throw new Error('no length ' + bytes[0]);
  return length;
}";

fn caller(source: &str) -> Caller {
    let mut problems = Problems::new();
    let source = json!(source);
    let script = Source::read(&Section::root(&source), &mut problems);
    Caller::new(&script.unwrap_or_else(|| panic!("{problems:?}")))
}

fn framer(source: &str) -> Box<dyn Framer> {
    let document = json!({"type": "script", "maxBytes": 64});
    let framing = framing::read(&Section::root(&document), &mut Problems::new()).unwrap();
    let mut framer = framing.framer();
    framer.attach(&caller(source));
    framer
}

/// The frames, garbage and the end of a stream that comes in pieces.
fn frames(source: &str, pieces: &[&[u8]]) -> Vec<String> {
    let (mut framer, mut bytes, mut found) = (framer(source), Vec::new(), Vec::new());
    for piece in pieces {
        bytes.extend_from_slice(piece);
        loop {
            let take = match framer.next(&bytes, More::Yes) {
                Step::Frame { take, frame, .. } => {
                    found.push(String::from_utf8_lossy(&frame).into_owned());
                    take
                }
                Step::Skip { count, .. } => {
                    found.push(format!("-{count}"));
                    count
                }
                Step::Broken(why) => {
                    found.push(why.to_string());
                    return found;
                }
                Step::Need(need) => {
                    assert!(need > bytes.len());
                    break;
                }
            };
            bytes.drain(..take);
            framer.consumed(take);
        }
    }
    found
}

#[test]
fn what_the_function_says_of_the_bytes() {
    let broken = Broken::Script.to_string();
    let too_long = Broken::TooLong { maximum: 64 }.to_string();
    for (body, expected) in [
        ("return 2", vec!["ab", "cd"]),
        ("return -2", vec!["-2", "-2"]),
        ("return 0", vec![]),
        ("", vec![]),
        ("return null", vec![]),
        ("return {need: 4}", vec![]),
        ("return bytes.length < 4 ? {need: 4} : 4", vec!["abcd"]),
        ("return bytes.length < 4 ? {need: -4} : 4", vec!["abcd"]),
        ("return 64", vec![]),
        ("return 65", vec![&*too_long]),
        ("return -65", vec![&*too_long]),
        ("return {need: 65}", vec![&*too_long]),
        ("return 1e300", vec![&*broken]),
        ("return NaN", vec![&*broken]),
        ("return Infinity", vec![&*broken]),
        ("return 1.5", vec![&*broken]),
        ("return 2n ** 63n", vec![&*too_long]),
        ("return 'ab'", vec![&*broken]),
        ("return true", vec![&*broken]),
        ("return {need: 4, more: 1}", vec![&*broken]),
        ("return {need: 'x'}", vec![&*broken]),
        ("return {get need() { throw Error('no') }}", vec![&*broken]),
        ("throw Error('no')", vec![&*broken]),
        ("for (;;);", vec![&*broken]),
    ] {
        let source = format!("function frame(bytes) {{ {body} }}");
        assert_eq!(frames(&source, &[b"abcd"]), expected, "{body}");
    }
}

#[test]
fn without_a_connection_nothing_is_framed() {
    let document = json!({"type": "script"});
    let framing = framing::read(&Section::root(&document), &mut Problems::new()).unwrap();
    let step = framing.framer().next(b"a", More::Yes);
    assert_eq!(step, Step::Broken(Broken::Script));
    assert_eq!(framing.wrap(b"a"), Err(crate::framing::WrapError::Script));
}

#[test]
fn a_function_that_said_what_it_needs_is_not_asked_before() {
    let source = "let asked = 0;
function frame(bytes) { asked++; return bytes.length < 8 ? {need: 8} : asked === 2 ? 8 : 1 }";
    let pieces: Vec<&[u8]> = b"12345678".chunks(1).collect();
    assert_eq!(frames(source, &pieces), ["12345678"]);
}

#[test]
fn the_state_of_a_question_that_is_asked_again_is_not_kept() {
    let source = "function frame(bytes, ctx) {
  ctx.state.asked = (ctx.state.asked ?? 0) + 1;
  return bytes.length < 3 ? 0 : ctx.state.asked;
}";
    let pieces: Vec<&[u8]> = b"abcdef".chunks(1).collect();
    assert_eq!(frames(source, &[b"abcdef"]), ["a", "bc", "def"]);
    assert_eq!(frames(source, &pieces), ["a", "bc", "def"]);
}

#[test]
fn a_case_of_a_switch_is_found_by_the_script_too() {
    let document = json!({"type": "switch", "cases": [
        {"start": "#", "type": "fixed", "bytes": 2}, {"type": "script", "maxBytes": 9}]});
    let framing = framing::read(&Section::root(&document), &mut Problems::new()).unwrap();
    let mut framer = framing.framer();
    framer.attach(&caller("const frame = bytes => bytes.indexOf(0x21) + 1"));
    let mut bytes: &[u8] = b"#1ab!#2!";
    let mut takes = Vec::new();
    while let Step::Frame { take, .. } = framer.next(bytes, More::Yes) {
        takes.push(take);
        bytes = &bytes[take..];
        framer.consumed(take);
    }
    assert_eq!(takes, [2, 3, 2, 1]);
}

#[test]
fn how_long_its_frames_may_be() {
    for (max, expected) in [
        (json!(null), Some(4096)),
        (json!(65_536), Some(65_536)),
        (json!(65_537), None),
    ] {
        let mut document = json!({"type": "script", "maxBytes": max});
        if max.is_null() {
            document.as_object_mut().unwrap().remove("maxBytes");
        }
        let mut problems = Problems::new();
        let read = framing::read(&Section::root(&document), &mut problems);
        let found = read.map(|framing| framing.0.common.max_bytes);
        assert_eq!(found, expected, "{max}");
        assert_eq!(problems.is_empty(), expected.is_some(), "{problems:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn it_makes_no_difference_how_the_stream_is_cut(
        stream in prop::collection::vec(prop::sample::select(b"123\x00".to_vec()), 0..40),
        cuts in prop::collection::vec(0usize..40, 0..8),
    ) {
        let whole = frames(BY_TEXT, &[&stream]);
        let single: Vec<&[u8]> = stream.chunks(1).collect();
        prop_assert_eq!(&frames(BY_TEXT, &single), &whole);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
        prop_assert_eq!(&frames(BY_TEXT, &pieces), &whole);
    }
}

#[test]
fn a_script_finds_frames_in_other_framings_too() {
    let script = json!({"type": "script"});
    for (document, stream, expected) in [
        (
            json!({"type": "first", "first": {"type": "fixed", "bytes": 3}, "then": script}),
            &b"abc2x3yz"[..],
            ["abc", "2x", "3yz"],
        ),
        (
            json!({"type": "first", "first": script, "then": script}),
            b"1" as &[u8],
            ["1", "", ""],
        ),
        (
            json!({"type": "switch", "cases": [{"start": "#", "type": "fixed", "bytes": 2}, script]}),
            b"2x#a3yz",
            ["2x", "#a", "3yz"],
        ),
    ] {
        let framing = framing::read(&Section::root(&document), &mut Problems::new()).unwrap();
        let mut framer = framing.framer();
        framer.attach(&caller(BY_TEXT));
        let (mut rest, mut found) = (stream, Vec::new());
        while let Step::Frame { take, frame, .. } = framer.next(rest, More::Yes) {
            found.push(String::from_utf8(frame.into_owned()).unwrap());
            rest = &rest[take..];
            framer.consumed(take);
        }
        found.resize(3, String::new());
        assert_eq!(found, expected, "{document}");
    }
}
