use super::*;
use serde_json::{Value, json};

fn framing(document: Value) -> Framing {
    let mut problems = Problems::new();
    let framing = read(&Section::root(&document), &mut problems);
    assert!(problems.is_empty(), "{document}: {problems:?}");
    framing.unwrap()
}

fn dnp3() -> Value {
    json!({"type": "length", "start": "0x0564", "length": "u8 at 2", "add": 5, "blocks": {"bytes": 16, "extra": 2, "from": 10}})
}

#[test]
fn wrapping_puts_the_framing_around_or_refuses() {
    let gt06 = json!({"type": "switch", "cases": [
        {"start": "0x7878", "type": "length", "length": "u8 at 2", "add": 5, "end": "0x0d0a", "body": 3},
        {"start": "0x7979", "type": "length", "length": "u16 at 2", "add": 6, "end": "0x0d0a", "body": 4}]});
    for (document, body, expected) in [
        (
            json!({"type": "delimiter", "end": "\r\n"}),
            &b"ab"[..],
            Ok(&b"ab\r\n"[..]),
        ),
        (
            json!({"type": "delimiter", "end": "\r\n"}),
            b"a\r\nb",
            Err(WrapError::Ambiguous),
        ),
        (
            json!({"type": "delimiter", "end": "\r\n"}),
            b"",
            Err(WrapError::Ambiguous),
        ),
        (
            json!({"type": "delimiter", "end": ["\r", "\r\n"]}),
            b"a\r",
            Err(WrapError::Ambiguous),
        ),
        (
            json!({"type": "delimiter", "start": "*", "end": "#"}),
            b"ab",
            Ok(b"*ab#"),
        ),
        (
            json!({"type": "delimiter", "end": "#", "ignore": "\n"}),
            b"\nab",
            Err(WrapError::Ambiguous),
        ),
        (
            json!({"type": "delimiter", "end": "#", "maxBytes": 3}),
            b"ab",
            Ok(b"ab#"),
        ),
        (
            json!({"type": "delimiter", "end": "#", "maxBytes": 3}),
            b"abc",
            Err(WrapError::Ambiguous),
        ),
        (
            json!({"type": "delimiter", "end": "#", "keep": true}),
            b"ab#",
            Ok(b"ab#"),
        ),
        (
            json!({"type": "length", "length": "u16le"}),
            b"abc",
            Ok(b"\x05\0abc"),
        ),
        (
            json!({"type": "length", "length": "u8", "multiply": 2}),
            b"abc",
            Ok(b"\x02abc"),
        ),
        (
            json!({"type": "length", "length": "u8", "multiply": 2}),
            b"ab",
            Err(WrapError::Length),
        ),
        (
            json!({"type": "length", "length": "u8"}),
            &[0; 255],
            Err(WrapError::Length),
        ),
        (
            json!({"type": "length", "length": "u8 at 1"}),
            b"a",
            Err(WrapError::Header),
        ),
        (
            json!({"type": "length", "length": "u8", "body": 4}),
            b"a",
            Err(WrapError::Header),
        ),
        (
            json!({"type": "length", "length": "decimal until ' '"}),
            b"0123456789",
            Ok(b"10 0123456789"),
        ),
        (
            json!({"type": "length", "length": "varint"}),
            &[b'x'; 130],
            Ok(&[&b"\x82\x01"[..], &[b'x'; 130]].concat()),
        ),
        (
            json!({"type": "length", "length": "u16le & 0x7fff"}),
            b"abc",
            Ok(b"\x05\0abc"),
        ),
        (
            json!({"type": "length", "length": "u8 & 0x0f"}),
            &[0; 15],
            Err(WrapError::Length),
        ),
        (
            json!({"type": "length", "length": "u8 & 0xf0 >> 4", "add": 1}),
            b"abc",
            Ok(b"\x30abc"),
        ),
        (
            json!({"type": "length", "start": "*", "length": "u8 at 1", "plus": "u8 at 2", "body": 3}),
            b"ab",
            Ok(b"*\x05\0ab"),
        ),
        (
            json!({"type": "length", "start": "*", "length": "u8 at 2", "plus": "u8 at 1", "body": "after"}),
            b"ab",
            Ok(b"*\0\x05ab"),
        ),
        (
            json!({"type": "length", "start": "*", "length": "u8 at 1", "plus": "u8 at 2", "body": "after"}),
            b"\x03b",
            Ok(b"*\x01\x03b"),
        ),
        (
            json!({"type": "length", "start": "*", "length": "u8 at 1", "plus": "u8 at 2", "body": "after"}),
            b"\x05b",
            Err(WrapError::Length),
        ),
        (
            json!({"type": "length", "start": "*", "length": "u8 at 1", "plus": "u8 at 9", "body": "after"}),
            b"b",
            Err(WrapError::Length),
        ),
        (
            json!({"type": "length", "start": "*", "length": "u8 at 3", "plus": "u8 at 1"}),
            b"b",
            Err(WrapError::Header),
        ),
        (
            json!({"type": "length", "length": "varint", "plus": "u8 at 1"}),
            b"b",
            Err(WrapError::Length),
        ),
        (
            dnp3(),
            b"\xc0\x01\0\0\x04\xe9\x21",
            Ok(b"\x05\x64\x05\xc0\x01\0\0\x04\xe9\x21"),
        ),
        (
            dnp3(),
            b"\xc0\x01\0\0\x04\xe9\x210123456789abcdefccxcc",
            Ok(b"\x05\x64\x16\xc0\x01\0\0\x04\xe9\x210123456789abcdefccxcc"),
        ),
        (
            dnp3(),
            b"\xc0\x01\0\0\x04\xe9\x210123456789abcdefccxc",
            Err(WrapError::Length),
        ),
        (dnp3(), b"\xc0\x01", Err(WrapError::Length)),
        (
            json!({"type": "header", "length": "^n=(\\d+)$", "end": "0x00"}),
            b"A\nn=1\n\nx",
            Ok(b"A\nn=1\n\nx\0"),
        ),
        (
            json!({"type": "header", "length": "^n=(\\d+)$", "end": "0x00"}),
            b"A\nn=2\n\nx",
            Err(WrapError::Ambiguous),
        ),
        (
            json!({"type": "header", "start": "+"}),
            b"A\r\n\r\n",
            Ok(b"+A\r\n\r\n"),
        ),
        (
            json!({"type": "header"}),
            b"A\n\nx",
            Err(WrapError::Ambiguous),
        ),
        (
            json!({"type": "first", "first": {"type": "fixed", "bytes": 9}, "then": {"type": "length", "length": "u8"}}),
            b"ab",
            Ok(b"\x03ab"),
        ),
        (
            json!({"type": "first", "ignore": "0x03", "first": {"type": "fixed", "bytes": 9}, "then": {"type": "length", "length": "u8"}}),
            b"ab",
            Err(WrapError::Ambiguous),
        ),
        (
            json!({"type": "walk", "start": "*", "header": 2, "count": "u8 at 1", "record": 2}),
            b"\x02abcd",
            Ok(b"*\x02abcd"),
        ),
        (
            json!({"type": "walk", "start": "*", "header": 2, "count": "u8 at 1", "record": 2}),
            b"\x02abcde",
            Err(WrapError::Ambiguous),
        ),
        (json!({"type": "fixed", "bytes": 2}), b"ab", Ok(b"ab")),
        (
            json!({"type": "fixed", "bytes": 2}),
            b"abab",
            Err(WrapError::Ambiguous),
        ),
        (
            gt06.clone(),
            b"\x01\0\x01\xd9\xdc",
            Ok(b"\x78\x78\x05\x01\0\x01\xd9\xdc\r\n"),
        ),
        (gt06, b"", Ok(b"\x78\x78\0\r\n")),
    ] {
        let framing = framing(document.clone());
        let wrapped = framing.wrap(body);
        let never = wrapped
            .as_ref()
            .err()
            .copied()
            .filter(|why| !matches!(why, WrapError::Length | WrapError::Ambiguous));
        assert_eq!(framing.never_wraps(), never, "{document}");
        assert_eq!(
            wrapped.as_deref(),
            expected.as_deref(),
            "{document} {body:?}"
        );
    }
}

#[test]
fn mistakes_are_all_found_with_their_pointers() {
    for (document, expected) in [
        (
            json!({"type": "delimiter"}),
            &[("", "\"end\" is missing")][..],
        ),
        (
            json!({"type": "delimiter", "end": ""}),
            &[("/end", "at least one byte")],
        ),
        (
            json!({"type": "delimiter", "end": ["0x0", 3]}),
            &[("/end", "hex digit"), ("/end", "expected bytes")],
        ),
        (
            json!({"type": "delimiter", "end": "\n", "maxByte": 3, "start": "0xg"}),
            &[("/start", "hex digit"), ("/maxByte", "unknown member")],
        ),
        (
            json!({"type": "delimiter", "end": "\n", "start": "*", "ignore": "*"}),
            &[("/ignore", "start")],
        ),
        (
            json!({"type": "delimiter", "end": "\n", "maxBytes": 0, "incompleteTimeoutMs": 0}),
            &[
                ("/maxBytes", "at least 1"),
                ("/incompleteTimeoutMs", "at least 1"),
            ],
        ),
        (json!({"type": "length"}), &[("", "\"length\" is missing")]),
        (
            json!({"type": "length", "length": "u17", "multiply": 0}),
            &[
                ("/length", "whole number of bytes"),
                ("/multiply", "at least 1"),
            ],
        ),
        (
            json!({"type": "length", "length": "u16 at -4"}),
            &[("/length", "first byte")],
        ),
        (
            json!({"type": "length", "length": "u16", "onTooLong": "resync"}),
            &[("/onTooLong", "only \"close\"")],
        ),
        (
            json!({"type": "length", "length": "u16", "body": "behind"}),
            &[("/body", "\"after\"")],
        ),
        (
            json!({"type": "fixed", "bytes": 0}),
            &[("/bytes", "at least 1")],
        ),
        (
            json!({"type": "fixed", "bytes": 70000}),
            &[("/bytes", "maxBytes")],
        ),
        (json!({"type": "switch"}), &[("", "\"cases\" is missing")]),
        (
            json!({"type": "switch", "kases": [], "cases": [{"type": "fixed", "bytes": 1}, {"start": "a", "when": "length = 2", "type": "fixed"}]}),
            &[
                ("/kases", "cases"),
                ("/cases/0", "only the last case"),
                ("/cases/1/when", "not both"),
                ("/cases/1/when", "first byte"),
                ("/cases/1", "\"bytes\" is missing"),
            ],
        ),
        (
            json!({"type": "switch", "cases": [{"ignore": "a", "type": "fixed", "bytes": 1}]}),
            &[("/cases/0/ignore", "belongs to the switch")],
        ),
        (
            json!({"type": "length", "length": "u16 & 0", "plus": "u8", "blocks": {"bytes": 0, "extra": 0, "form": 1}}),
            &[
                ("/blocks/form", "did you mean \"from\""),
                ("/length", "leaves no bit"),
                ("/plus", "needs a place: `u8 at N`"),
                ("/blocks/bytes", "at least 1"),
                ("/blocks/extra", "at least 1"),
            ],
        ),
        (
            json!({"type": "length", "length": "u16", "plus": "u8 at -1"}),
            &[("/plus", "first byte")],
        ),
        (
            json!({"type": "header", "length": "n=(", "end": "0xz", "start": ["a", "\n"], "keep": true}),
            &[
                ("/keep", "unknown member"),
                ("/length", "unclosed group"),
                ("/end", "hex digit"),
                ("/start", "end of a line"),
            ],
        ),
        (
            json!({"type": "header", "length": "n=\\d+"}),
            &[("/length", "one group")],
        ),
        (
            json!({"type": "header", "length": "(n)=(\\d+)"}),
            &[("/length", "one group")],
        ),
        (
            json!({"type": "header", "length": "(((a{100}){100}){100})"}),
            &[("/length", "too large")],
        ),
        (
            json!({"type": "first", "frist": 1, "then": {"type": "fixed", "bytes": 1, "ignore": "a"}}),
            &[
                ("/frist", "did you mean \"first\""),
                ("", "\"first\" is missing"),
                ("/then/ignore", "belongs to the first"),
            ],
        ),
        (
            json!({"type": "first", "first": {"type": "switch", "cases": [{"type": "first"}]}, "then": {"type": "first"}}),
            &[
                ("/first/cases/0/type", "not a part of another"),
                ("/then/type", "not a part of another"),
            ],
        ),
        (
            json!({"type": "walk"}),
            &[
                ("", "\"header\" is missing"),
                ("", "\"record\" is missing"),
                ("", "\"count\" or \"until\" is missing"),
            ],
        ),
        (
            json!({"type": "walk", "header": -1, "record": "u8", "count": "u8 at 1", "until": "a"}),
            &[
                ("/header", "0 or more"),
                ("/record", "an object, found"),
                ("/until", "not by both"),
            ],
        ),
        (
            json!({"type": "walk", "header": 2, "record": 0, "count": "u16 at 1"}),
            &[("/count", "in the header"), ("/record", "at least 1")],
        ),
        (
            json!({"type": "walk", "header": {"add": 1}, "record": {"size": "u8", "tag": "u8"}, "until": ""}),
            &[
                ("/header", "\"size\", or \"tag\""),
                ("/record/tag", "not both"),
                ("/until", "at least one byte"),
            ],
        ),
        (
            json!({"type": "walk", "header": {"size": "u8 at -1", "sizes": []}, "record": {"tag": "u9", "add": 1, "sizes": [[1, 2], [2, 2], [1, 3]]}, "count": "u8"}),
            &[
                ("/header/sizes", "belongs to \"tag\""),
                ("/header/size", "first byte"),
                ("/record/add", "belongs to \"size\""),
                ("/record/tag", "whole number of bytes"),
                ("/record/sizes", "the tag 1 stands there twice"),
                ("/count", "needs a place"),
            ],
        ),
        (
            json!({"type": "walk", "header": 0, "record": {"tag": "u8"}, "until": "a"}),
            &[("/record", "\"sizes\" is missing")],
        ),
        (
            json!({"type": "switch", "cases": [
                {"start": ["ab", "x"], "type": "fixed", "bytes": 3}, {"start": ["abc", "a", "0xff"], "type": "fixed", "bytes": 3},
                {"start": "0xff01", "type": "fixed", "bytes": 3}, {"when": "u8 at 0 = 1", "type": "fixed", "bytes": 1},
                {"when": "u8 at 0 =1", "type": "fixed", "bytes": 1}, {"start": "x", "type": "fixed", "bytes": 1}]}),
            &[
                (
                    "/cases/1/start",
                    "\"abc\" can never be chosen: the earlier case 0 takes all that starts with \"ab\"",
                ),
                (
                    "/cases/2/start",
                    "\"0xff01\" can never be chosen: the earlier case 1 takes all that starts with \"0xff\"",
                ),
                ("/cases/4/when", "the earlier case 3"),
                (
                    "/cases/5/start",
                    "\"x\" can never be chosen: the earlier case 0",
                ),
            ],
        ),
        (
            json!({"type": "switch", "cases": [{"type": "fixed", "bytes": 1}, {"start": "a", "type": "fixed", "bytes": 1}]}),
            &[("/cases/0", "those behind it could never be chosen")],
        ),
        (
            json!({"type": "delimiter", "end": "#", "quote": "#", "nth": 0, "notBefore": ""}),
            &[
                ("/notBefore", "at least one byte"),
                ("/nth", "at least 1"),
                ("/quote", "an end begins"),
            ],
        ),
        (
            json!({"type": "stuffed", "escape": "0x1", "add": 1, "keeps": true}),
            &[
                ("/keeps", "\"keep\""),
                ("", "\"end\" is missing"),
                ("/escape", "hex digit"),
                ("/escape", "either \"xor\" or \"subtract\""),
            ],
        ),
        (
            json!({"type": "stuffed", "end": "#", "length": "u16 at -2", "escapes": [["0x7d01"], ["0x7d", "0x7d"], ["0x7d0", "a"]]}),
            &[
                ("/length", "instead of \"end\""),
                ("/length", "first byte"),
                ("/escapes/0", "expected pairs"),
                ("/escapes/1", "at least two bytes"),
                ("/escapes/2/0", "hex digit"),
            ],
        ),
        (
            json!({"type": "stuffed", "end": "#", "xor": 3, "add": 1, "escapes": [["#1", "#"]]}),
            &[
                ("/add", "belongs to \"length\""),
                ("/xor", "belongs to \"escape\""),
                ("", "begins with a start"),
            ],
        ),
        (
            json!({"type": "stuffed", "start": "#", "length": "u8", "escapes": [["!1", "!"]], "keep": true}),
            &[("/keep", "handed on"), ("/escapes", "each start")],
        ),
        (
            json!({"type": "slip", "end": "0xc0", "start": "0xc0"}),
            &[("/end", "unknown member"), ("/start", "knows how")],
        ),
        (
            json!({"type": "cobs", "end": "\r\n"}),
            &[("/end", "one byte")],
        ),
        (
            json!({"type": "balanced", "open": "[", "close": "[", "quote": "", "start": "a"}),
            &[
                ("/start", "knows how"),
                ("/close", "another meaning"),
                ("/quote", "one byte"),
            ],
        ),
        (
            json!({"type": "json", "maxByte": 4}),
            &[("/maxByte", "did you mean \"maxBytes\"")],
        ),
        (
            json!({"type": "regex", "end": "a*"}),
            &[("/end", "matches nothing")],
        ),
        (
            json!({"type": "regex", "end": "("}),
            &[("/end", "unclosed group")],
        ),
        (
            json!({"type": "regex", "end": "[ab]{9}(?:[ab][cd]?){90}(a|b|cd){50}x.{20}"}),
            &[("/end", "not a pattern that can end frames")],
        ),
        (json!({"type": "idle", "ms": 0}), &[("/ms", "at least 1")]),
        (
            json!({"type": "idle", "ms": 30000}),
            &[("/ms", "less than")],
        ),
        (
            json!({"type": "connection", "onTooLong": "resync", "ms": 1}),
            &[("/ms", "unknown member"), ("/onTooLong", "only \"close\"")],
        ),
        (
            json!({"type": "delimeter"}),
            &[("/type", "did you mean \"delimiter\"")],
        ),
    ] {
        let mut problems = Problems::new();
        read(&Section::root(&document), &mut problems);
        let found = problems.as_slice();
        assert_eq!(found.len(), expected.len(), "{document}: {found:?}");
        for (problem, (pointer, part)) in found.iter().zip(expected) {
            assert_eq!(problem.pointer, *pointer, "{document}: {problem}");
            assert!(problem.message.contains(part), "{document}: {problem}");
        }
    }
}
