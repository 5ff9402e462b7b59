//! Kinds of framing that look at the content: what comes out of their streams.

use super::*;

fn jt808() -> Value {
    json!({"type": "stuffed", "start": "0x7e", "end": "0x7e",
        "escapes": [["0x7d01", "0x7d"], ["0x7d02", "0x7e"]], "maxBytes": 64})
}

fn xexun2() -> Value {
    json!({"type": "stuffed", "start": "0xfaaf", "end": "0xfaaf",
        "escapes": [["0xfbbf01", "0xfaaf"], ["0xfbbf02", "0xfbbf"]], "maxBytes": 20})
}

fn df1() -> Value {
    json!({"type": "stuffed", "start": "0x1002", "end": "0x1003", "escapes": [["0x1010", "0x10"]],
        "after": 1, "maxBytes": 16})
}

fn mxt() -> Value {
    json!({"type": "stuffed", "start": "0x01", "end": "0x04", "escape": "0x10", "subtract": 32, "maxBytes": 9})
}

fn vt200() -> Value {
    json!({"type": "stuffed", "start": "(", "end": ")", "escape": "0x3d", "xor": 61, "ignore": "\r\n", "maxBytes": 12})
}

fn omnicomm() -> Value {
    json!({"type": "stuffed", "start": "0xc0", "escapes": [["0xdbdc", "0xc0"], ["0xdbdd", "0xdb"]],
        "length": "u16le at 2", "add": 6, "maxBytes": 12, "body": "after"})
}

/// A position report of the cookbook, stuffed: 7D 02 stands for 7E, 7D 01 for 7D.
const POSITION: &[u8] = b"\x7e\x02\x00\x00\x2c\x01\x39\x12\x34\x56\x78\x00\x7d\x02\x00\x00\x00\x00\x00\x00\x00\x03\x01\x56\x7d\x01\x40\x06\xca\x12\xf0\x00\x32\x00\x64\x00\x5a\x24\x01\x05\x12\x30\x10\x01\x04\x00\x00\x30\x39\x30\x01\x1f\x31\x01\x0c\x27\x7e";

pub(super) fn stuffed() -> Vec<Row> {
    vec![
        row(
            jt808(),
            POSITION,
            &["0 \\x02\\x00\\x00,\\x019\\x124Vx\\x00~\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x03\\x01V}@\\x06\\xca\\x12\\xf0\\x002\\x00d\\x00Z$\\x01\\x05\\x120\\x10\\x01\\x04\\x00\\x00090\\x01\\x1f1\\x01\\x0c\\'"],
        ),
        row(
            jt808(),
            b"noise~ab~~cd~ef~~~~g}\x01}\x02~h}~i~j",
            &["skipped 5", "0 ab", "0 cd", "0 ef", "0 g}~", "skipped 2", "0 i", "half 1"],
        ),
        row(
            json!({"type": "stuffed", "start": "~", "end": "~", "escapes": [["}1", "}"]], "maxBytes": 6, "keep": true}),
            b"~abcd~abcde~ab}1~~",
            &["0 ~abcd~", "too long", "0 ~ab}~"],
        ),
        row(
            json!({"type": "stuffed", "start": "~", "end": "~", "escapes": [["}1", "}"]], "ignore": " "}),
            b"~ab~  ~~cd~x~ef~",
            &["0 ab", "0 cd", "skipped 1", "0 ef"],
        ),
        row(
            xexun2(),
            b"\xfa\xfa\xafA\xfa\xfb\xbf\x01\xfb\xbf\x02\xfb\xfa\xfa\xaf\xfa\xafB\xfa\xaf\xfb\xbf\x03\xfa\xafC\xfa\xaf\xfa",
            &["skipped 1", "0 A\\xfa\\xfa\\xaf\\xfb\\xbf\\xfb\\xfa", "0 B", "skipped 3", "0 C", "half 1"],
        ),
        row(
            df1(),
            b"\x06\x10\x02ab\x10\x10c\x10\x10\x10\x03S\x10\x02\x10\x03E\x10\x02x\x10\x02y\x10\x03\x10\x10\x02z\x10\x05w\x10\x03T\x10\x02q\x10\x03",
            &["skipped 1", "0 ab\\x10c\\x10S", "skipped 3", "0 y\\x10", "skipped 9", "half 5"],
        ),
        row(
            mxt(),
            b"\x01ab\x10\x21\x10\x24\x10\x30c\x04\x01abc\x01\x10\x04\x10\x01x\x04..\x01abcdefgh\x04\x01y\x04",
            &["too long", "skipped 8", "0 x", "skipped 2", "too long", "0 y"],
        ),
        row(
            vt200(),
            b"(a=\x15=\x14=\0b)\r\n(c(d)==(=)e)(f)",
            &["0 a()=b", "skipped 2", "0 d", "skipped 7", "0 f"],
        ),
        row(
            omnicomm(),
            b"\xc0\x80\x02\0a\xdb\xdcCR\xc0\x81\0\0CRx\xc0\x82\x07\0\xc0\x83\x01\0\xdb\xdd\xdb\xdd\xdb\xdd\xc0\x84\xff\xff\xc0\x85\xdb\xc0\x86\x03\0\xdb\xdc\xdb\xdc\xdb\xdc\xdb\xdc\xc0",
            &["4 \\xc0\\x80\\x02\\x00a\\xc0CR", "4 \\xc0\\x81\\x00\\x00CR", "skipped 1", "too long", "4 \\xc0\\x83\\x01\\x00\\xdb\\xdb\\xdb", "too long", "skipped 3", "too long", "half 1"],
        ),
        row(
            json!({"type": "slip", "maxBytes": 8}),
            b"\xc0ab\xc0\xc0\xdb\xdc\xdb\xdd\xc0c\xdb\xc0d\xdbx\xdb\xdce\xc0f\xc0",
            &["0 ab", "0 \\xc0\\xdb", "skipped 10", "0 f"],
        ),
        row(
            json!({"type": "cobs", "maxBytes": 8}),
            b"\x03\x11\x22\x02\x33\0\0\x01\x01\0\x01\0\x05abc\0\x02z\0abcdefgh\0\x01\x02y\0",
            &["0 \\x11\\\"\\x003", "0 \\x00", "skipped 5", "0 z", "too long", "0 \\x00y"],
        ),
        row(
            json!({"type": "cobs", "end": "\n"}),
            b"\x09ab\x08c\n",
            &["0 kh\\x00i"],
        ),
    ]
}

fn ascii_bracket() -> Value {
    json!({"type": "balanced", "open": "[", "close": "]", "quote": "'", "escape": "\\", "maxBytes": 12})
}

pub(super) fn nested() -> Vec<Row> {
    vec![
        row(
            json!({"type": "switch", "cases": [{"when": "u8 at 1 = 0x32", "type": "fixed", "bytes": 3},
                {"type": "balanced", "open": "<", "close": ">"}]}),
            b"<x>ppa2c<y>zz",
            &[
                "0 <x>",
                "skipped 2",
                "0 a2c",
                "0 <y>",
                "skipped 1",
                "half 1",
            ],
        ),
        row(
            json!({"type": "json", "maxBytes": 24}),
            br#"HTTP{"a":"}\"{"}, [[1,{}], "\\"]{"x":[1}{}{]{"b":nan}{"c":NaN}"#,
            &[
                "skipped 4",
                r#"0 {\"a\":\"}\\\"{\"}"#,
                "skipped 2",
                r#"0 [[1,{}], \"\\\\\"]"#,
                "skipped 8",
                "0 {}",
                "skipped 2",
                r#"0 {\"b\":nan}"#,
                r#"0 {\"c\":NaN}"#,
            ],
        ),
        row(
            json!({"type": "json", "maxBytes": 10}),
            br#"{"a":[{"b":1}]}{"c":1}[[[[[[[[[[[[[[[[[[[[{"d":1}"#,
            &["too long", r#"0 {\"c\":1}"#, "too long", r#"0 {\"d\":1}"#],
        ),
        row(
            json!({"type": "json", "ignore": "\r\n"}),
            b"{\"a\":\"lost}\r\n{\"value\":1}\r\n{\"b\":2}\r\n",
            &["skipped 24", "0 {\\\"b\\\":2}"],
        ),
        row(
            ascii_bracket(),
            b"x[a[b]']']][c\\]][d']][e]",
            &[
                "skipped 1",
                "0 [a[b]\\']\\']",
                "skipped 1",
                "0 [c\\\\]]",
                "half 8",
            ],
        ),
        row(
            ascii_bracket(),
            b"[234567890123'[45]'6]7[a]",
            &["too long", "skipped 1", "0 [a]"],
        ),
    ]
}

pub(super) fn ends() -> Vec<Row> {
    let prompt = json!({"type": "regex", "end": "(login|Password): $", "maxBytes": 20});
    vec![
        row(
            prompt.clone(),
            b"Hi\r\nlogin: Password: x",
            &["0 Hi\\r\\nlogin: ", "0 Password: ", "half 1"],
        ),
        row(
            prompt,
            b"a prompt that is too long, login: login: ",
            &["too long", "0 login: "],
        ),
        row(
            json!({"type": "regex", "end": "\\d+;|END|^ok", "start": ["*", "ok"], "ignore": "\n"}),
            b"*a12;;*b\n*ENDokok*c1;x*d",
            &[
                "0 *a12;",
                "skipped 1",
                "0 *b\\n*END",
                "0 okok*c1;",
                "skipped 1",
                "half 2",
            ],
        ),
        row(
            json!({"type": "regex", "end": "[0-9]+"}),
            b"a12b3",
            &["0 a1", "0 2", "0 b3"],
        ),
        row(
            json!({"type": "regex", "end": "\\bend\\b"}),
            b"send the end bend.end",
            &["0 send the end", "0  bend.end"],
        ),
        row(
            json!({"type": "idle", "ms": 50, "maxBytes": 5, "start": "*"}),
            b"x*abcd",
            &["skipped 1", "0 *abcd"],
        ),
        row(
            json!({"type": "idle", "ms": 50, "maxBytes": 5}),
            b"abcdef",
            &["too long"],
        ),
        row(
            json!({"type": "connection", "maxBytes": 5}),
            b"abcde",
            &["0 abcde"],
        ),
        row(
            json!({"type": "connection", "maxBytes": 5}),
            b"abcdef",
            &["broken: frame is longer than 5 bytes"],
        ),
        row(
            json!({"type": "switch", "cases": [
                {"start": "~", "type": "stuffed", "end": "~", "escapes": [["}1", "}"]], "maxBytes": 9},
                {"when": "u8 at 0 = 0x7b", "type": "json"},
                {"start": "$", "type": "delimiter", "end": "\n", "quote": "'", "maxBytes": 8}]}),
            b"{\"a\":1}~~b}1~$c'\n'\n~d}2~$'45678\n9'\n!~",
            &[
                "0 {\\\"a\\\":1}",
                "0 b}",
                "0 c\\'\\n\\'",
                "skipped 4",
                "too long",
                "half 1",
            ],
        ),
    ]
}

pub(super) fn delimiters() -> Vec<Row> {
    let tk103 =
        json!({"type": "delimiter", "start": "(", "end": ")", "quote": "$", "maxBytes": 12});
    vec![
        row(
            json!({"type": "delimiter", "end": ";", "nth": 3, "maxBytes": 9}),
            b"a;b;c;;;;d;;e;1;345678;9;x;y;",
            &["0 a;b;c", "0 ;;", "0 d;;e", "too long", "half 4"],
        ),
        row(
            json!({"type": "delimiter", "start": "*", "end": "#", "after": 2, "maxBytes": 8}),
            b"*ab##1*#12*c#x*d*1234##3*12345##3*e#*f*",
            &[
                "0 ab#1",
                "0 cx*",
                "skipped 1",
                "0 1234#3",
                "too long",
                "skipped 8",
                "0 e*f",
                "half 1",
            ],
        ),
        row(
            json!({"type": "delimiter", "start": "*", "end": "#", "after": 1, "keep": true}),
            b"*ab#1*#2*c#",
            &["0 *ab#1", "half 3"],
        ),
        row(
            tk103.clone(),
            b"(a$)$b)..(c)($)$)",
            &["0 a$)$b", "skipped 2", "0 c", "0 $)$"],
        ),
        row(
            tk103,
            b"(a$bcdefghijkl)(m)($12345678$)(n)",
            &["too long", "0 m", "0 $12345678$", "0 n"],
        ),
        row(
            json!({"type": "delimiter", "end": "\r", "notBefore": "\n", "maxBytes": 6}),
            b"a\r\nb\rc\r\r\n\rdefgh\r123\r\n6\r\rz\r",
            &[
                "0 a\\r\\nb",
                "0 c",
                "0 \\r\\n",
                "0 defgh",
                "too long",
                "0 z",
            ],
        ),
    ]
}

/// Streams that never end a frame, or end many, or could be looked at again from many places.
pub(super) fn hostile() -> Vec<(Value, Vec<u8>)> {
    let kinds = [
        json!({"type": "delimiter", "start": "*", "end": "#", "quote": "a", "maxBytes": 10_000}),
        json!({"type": "delimiter", "start": "*", "end": "a", "nth": 9_000, "maxBytes": 10_000}),
        json!({"type": "delimiter", "end": "a", "notBefore": "*", "maxBytes": 10_000}),
        json!({"type": "switch", "cases": [{"start": "*", "type": "delimiter", "end": "#", "quote": "a", "maxBytes": 10_000}]}),
        json!({"type": "stuffed", "start": "*", "end": "#", "escapes": [["!1", "!"]], "maxBytes": 10_000}),
        json!({"type": "stuffed", "start": "*", "end": "#", "escape": "a", "xor": 1, "maxBytes": 10_000}),
        json!({"type": "stuffed", "start": "**", "end": "*#", "escapes": [["*aa", "*"]], "maxBytes": 10_000}),
        json!({"type": "stuffed", "start": "*", "end": "*", "escapes": [["a*", "*"]]}),
        json!({"type": "stuffed", "escapes": [["!1", "!"]], "length": "u8", "add": -41}),
        json!({"type": "slip"}),
        json!({"type": "cobs", "end": "a"}),
        json!({"type": "cobs", "maxBytes": 10_000}),
        json!({"type": "json", "maxBytes": 10_000}),
        json!({"type": "balanced", "open": "*", "close": "a", "maxBytes": 10_000}),
        json!({"type": "balanced", "open": "*", "close": "#", "quote": "a", "maxBytes": 10_000}),
        json!({"type": "regex", "end": "(\\*a)+#", "start": "*", "maxBytes": 10_000}),
        json!({"type": "regex", "end": "a$"}),
    ];
    let streams = [
        b"*".repeat(50_000),
        b"*a".repeat(25_000),
        b"{\"\":[1],".repeat(5_000),
        b"*a"
            .repeat(20_000)
            .into_iter()
            .chain(b"#**a!".repeat(2_000))
            .collect(),
    ];
    let all = kinds.into_iter();
    all.flat_map(|kind| streams.clone().map(|stream| (kind.clone(), stream)))
        .collect()
}

/// What is handed on is what was wrapped.
#[test]
fn what_is_wrapped_is_what_comes_out() {
    for (document, body, expected) in [
        (jt808(), &b"}~a"[..], Some(&b"~}\x01}\x02a~"[..])),
        (
            xexun2(),
            b"\xfa\xaf\xfb\xbf\xfa",
            Some(b"\xfa\xaf\xfb\xbf\x01\xfb\xbf\x02\xfa\xfa\xaf"),
        ),
        (df1(), b"a\x10bS", Some(b"\x10\x02a\x10\x10b\x10\x03S")),
        (df1(), b"S", None),
        (
            mxt(),
            b"\x01\x04\x10",
            Some(b"\x01\x10\x21\x10\x24\x10\x30\x04"),
        ),
        (vt200(), b"()=", Some(b"(=\x15=\x14=\0)")),
        (
            omnicomm(),
            b"\x80\x01\0\xc0CR",
            Some(b"\xc0\x80\x01\0\xdb\xdcCR"),
        ),
        (omnicomm(), b"\x80\x02\0\xc0CR", None),
        (
            json!({"type": "stuffed", "end": "#", "escapes": [["!1", "!"]]}),
            b"a#b",
            None,
        ),
        (
            json!({"type": "stuffed", "start": "~", "end": "~", "escapes": [["}1", "}"]], "keep": true}),
            b"~}~",
            Some(b"~}1~"),
        ),
        (
            json!({"type": "stuffed", "start": "~", "end": "~", "keep": true}),
            b"}",
            None,
        ),
        (
            json!({"type": "slip"}),
            b"\xc0\xdb",
            Some(b"\xdb\xdc\xdb\xdd\xc0"),
        ),
        (
            json!({"type": "cobs"}),
            b"\x11\0\0\x22",
            Some(b"\x02\x11\x01\x02\x22\0"),
        ),
        (json!({"type": "cobs"}), b"", None),
        (json!({"type": "json"}), b"{\"a\":1}", Some(b"{\"a\":1}")),
        (json!({"type": "json"}), b"{}{}", None),
        (json!({"type": "json"}), b"1", None),
        (
            json!({"type": "balanced", "open": "<", "close": ">"}),
            b"<a>",
            Some(b"<a>"),
        ),
        (json!({"type": "regex", "end": "> $"}), b"a> ", Some(b"a> ")),
        (json!({"type": "regex", "end": "> $"}), b"a", None),
        (json!({"type": "idle", "ms": 5}), b"a", Some(b"a")),
        (json!({"type": "connection"}), b"a", None),
        (
            json!({"type": "delimiter", "end": "#", "after": 2, "start": "*"}),
            b"ab12",
            Some(b"*ab#12"),
        ),
        (
            json!({"type": "delimiter", "end": "#", "after": 2}),
            b"1",
            None,
        ),
        (
            json!({"type": "delimiter", "end": "#", "nth": 2}),
            b"a#b",
            Some(b"a#b#"),
        ),
        (
            json!({"type": "delimiter", "end": "#", "nth": 2}),
            b"a",
            None,
        ),
        (
            json!({"type": "delimiter", "end": "#", "quote": "'"}),
            b"'#'",
            Some(b"'#'#"),
        ),
        (
            json!({"type": "delimiter", "end": "#", "quote": "'"}),
            b"'",
            None,
        ),
        (
            json!({"type": "delimiter", "end": "\r", "notBefore": "\n"}),
            b"a\r\nb",
            Some(b"a\r\nb\r"),
        ),
    ] {
        let wrapped = framing(&document).wrap(body).ok();
        assert_eq!(
            wrapped.as_deref(),
            expected,
            "{document} {}",
            body.escape_ascii()
        );
    }
}

proptest! {
    /// The escapes of every sample can say everything.
    #[test]
    fn stuffing_is_undone(body in prop::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(b"\x7d\x7e\xfa\xaf\xfb\xbf\x01\x02\x03\x10\x04()=\xc0\xdb\0".to_vec())], 1..600)) {
        for mut document in [jt808(), xexun2(), mxt(), vt200(), json!({"type": "slip"}), json!({"type": "cobs"}), json!({"type": "cobs", "end": "0x7e"})] {
            document["maxBytes"] = json!(65536);
            document.as_object_mut().unwrap().shift_remove("ignore");
            let framing = framing(&document);
            let wrapped = framing.wrap(&body);
            prop_assert!(wrapped.is_ok(), "{} {:?}", document, wrapped);
            let frame = format!("0 {}", body.escape_ascii());
            prop_assert_eq!(run(&framing, [wrapped.unwrap().as_slice()]), [frame]);
        }
    }

    /// The frame ends with the first byte up to which what has come of it matches.
    #[test]
    fn a_pattern_ends_a_frame_at_the_first_byte_that_it_can(stream in "[ab1 .\n]{0,40}", pattern in prop::sample::select(vec!["a+b", "(?:^|\\n)1", "b$", "a.*1|ba", "[ab]\\b", "\\ba"])) {
        let framing = framing(&json!({"type": "regex", "end": pattern}));
        let oracle = regex::bytes::RegexBuilder::new(pattern).unicode(false).dot_matches_new_line(true).build().unwrap();
        let mut expected = Vec::new();
        let mut rest = stream.as_bytes();
        while !rest.is_empty() {
            let whole = (1..=rest.len()).find(|end| oracle.find_iter(&rest[..*end]).any(|found| found.end() == *end) || ends_at(&oracle, &rest[..*end]));
            let (frame, behind) = rest.split_at(whole.unwrap_or(rest.len()));
            expected.push(match whole { Some(_) => format!("0 {}", frame.escape_ascii()), None => format!("half {}", frame.len()) });
            rest = behind;
        }
        prop_assert_eq!(run(&framing, [stream.as_bytes()]), expected);
    }
}

/// Whether some match, also one that is not the leftmost, ends with the bytes.
fn ends_at(pattern: &regex::bytes::Regex, bytes: &[u8]) -> bool {
    (0..bytes.len()).any(|from| {
        pattern
            .find_at(bytes, from)
            .is_some_and(|found| found.end() == bytes.len())
    })
}
