//! Streams for the framings that count, walk and read heads.

use serde_json::json;

use super::{Row, row};

pub(super) fn rows() -> Vec<Row> {
    [fields(), broken(), headers(), firsts(), walks()].concat()
}

fn fields() -> Vec<Row> {
    vec![
        row(
            json!({"type": "length", "length": "varint", "body": "after", "maxBytes": 300}),
            b"\x03abc\x00\x80\x00\x81\x00x\x01",
            &[
                "1 \\x03abc",
                "1 \\x00",
                "2 \\x80\\x00",
                "2 \\x81\\x00x",
                "half 1",
            ],
        ),
        row(
            json!({"type": "length", "length": "varint at 1", "add": 1, "body": "after"}),
            b"x\x02abcz\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
            &[
                "2 x\\x02abc",
                "broken: the length field holds an impossible length",
            ],
        ),
        row(
            json!({"type": "length", "length": "bcd 2 at 1", "add": 3, "body": "after"}),
            b"x\x00\x03abcx\x00\x0a",
            &[
                "3 x\\x00\\x03abc",
                "broken: the length field holds an impossible length",
            ],
        ),
        row(
            json!({"type": "length", "length": "u16le at 1 & 0x7fff", "add": 3, "body": "after"}),
            b"x\x02\x80aby\x00\x00",
            &["3 x\\x02\\x80ab", "3 y\\x00\\x00"],
        ),
        row(
            json!({"type": "length", "start": "*", "length": "u8 at 3 >> 4", "plus": "u8 at 1", "add": 4, "multiply": 2, "body": "after"}),
            b"*\x01.\x10abcd*\x00.\x0f*\xff.\xff",
            &["4 *\\x01.\\x10abcd", "4 *\\x00.\\x0f", "half 4"],
        ),
        row(
            json!({"type": "length", "length": "u8", "plus": "i8 at 1", "add": 2}),
            b"\x03\xffab\x00\xff",
            &[
                "0 \\x03\\xffab",
                "broken: the length field holds an impossible length",
            ],
        ),
        row(
            json!({"type": "length", "start": "*", "length": "u8", "add": 2, "blocks": {"bytes": 3, "extra": 1, "from": 3}, "end": "#"}),
            b"*\x01#*\x02a#!*\x04abc!#",
            &["0 *\\x01#", "skipped 5", "0 *\\x04abc!#"],
        ),
        row(
            json!({"type": "length", "start": "*", "length": "u8", "add": 2, "blocks": {"bytes": 3, "extra": 1, "from": 3}}),
            b"*\x01a*\x02ab!*\x04abcd!*\x05abcd!e!*\x00",
            &[
                "0 *\\x01a",
                "0 *\\x02ab!",
                "0 *\\x04abcd!",
                "0 *\\x05abcd!e!",
                "skipped 2",
            ],
        ),
    ]
}

/// An absurd length, an impossible one, another end: with a start the next one is looked for, else nothing helps.
fn broken() -> Vec<Row> {
    let field = |start: Option<&str>| {
        let mut document =
            json!({"type": "length", "length": "u8 at 1", "add": 2, "end": "#", "maxBytes": 9});
        if let Some(start) = start {
            document["start"] = json!(start);
        }
        document
    };
    vec![
        row(
            field(Some("*")),
            b"*\xff*\x01#*\x00#*\x02a!*\x02b#",
            &[
                "too long",
                "skipped 1",
                "0 *\\x01#",
                "skipped 7",
                "0 *\\x02b#",
            ],
        ),
        row(
            field(None),
            b"*\x01#*\xff",
            &["0 *\\x01#", "broken: frame is longer than 9 bytes"],
        ),
        row(
            field(None),
            b"*\x01#*\x00*\x01#",
            &[
                "0 *\\x01#",
                "broken: the length field holds an impossible length",
            ],
        ),
        row(
            field(None),
            b"*\x01#*\x02a!*\x01#",
            &["0 *\\x01#", "broken: the frame does not end as it must"],
        ),
    ]
}

fn headers() -> Vec<Row> {
    let stomp = json!({"type": "header", "length": "^content-length: *(\\d+)", "end": "0x00", "ignore": "\r\n", "body": "after", "maxBytes": 60});
    let sip = json!({"type": "header", "length": "(?i)^(?:content-length|l) *: *(\\d+)$", "maxBytes": 60});
    let marked = json!({"type": "header", "start": ["+", "++"], "length": "^n=(.*)$", "end": "#", "maxBytes": 14});
    vec![
        row(
            stomp.clone(),
            b"SEND\nid:1\n\nbody\0\nSEND\r\ncontent-length:3\r\ncontent-length:9\r\n\r\na\0b\0\r\n\n",
            &[
                "11 SEND\\nid:1\\n\\nbody\\x00",
                "44 SEND\\r\\ncontent-length:3\\r\\ncontent-length:9\\r\\n\\r\\na\\x00b\\x00",
            ],
        ),
        row(
            stomp.clone(),
            b"A\n\n\0SEND\ncontent-length:1\n\nab\0",
            &["3 A\\n\\n\\x00", "broken: the frame does not end as it must"],
        ),
        row(
            stomp.clone(),
            b"SEND\ncontent-length:99999999999999999999999\n\n",
            &["broken: the length field holds an impossible length"],
        ),
        row(
            stomp.clone(),
            b"SEND\ncontent-length:99\n\n",
            &["broken: frame is longer than 60 bytes"],
        ),
        row(
            stomp,
            b"SEND\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            &["broken: frame is longer than 60 bytes"],
        ),
        row(
            sip,
            b"\r\n\r\nBYE x\r\nL: 2\r\n\r\nabBYE\nl : 0\n\nL:1\n\n!BYE y\n\nBYE",
            &[
                "0 BYE x\\r\\nL: 2\\r\\n\\r\\nab",
                "0 BYE\\nl : 0\\n\\n",
                "0 L:1\\n\\n!",
                "0 BYE y\\n\\n",
                "half 3",
            ],
        ),
        row(
            marked.clone(),
            b"\n\n+\nn=1\n\n!#++x\n\n-+#+\nn=1\n\n!!+\nn=2\n\n!!#",
            &[
                "skipped 2",
                "0 +\\nn=1\\n\\n!#",
                "0 ++x\\n\\n-+#",
                "skipped 9",
                "0 +\\nn=2\\n\\n!!#",
            ],
        ),
        row(marked.clone(), b"++\nn=1\n\n!!#", &["skipped 11"]),
        row(
            marked,
            b"+\nn=x\n\n#+\nn=99\n\n#+a\n\n12345678901+2345+b\n\n#",
            &["skipped 8", "too long", "skipped 8", "too long", "skipped 14", "0 +2345+b\\n\\n#"],
        ),
    ]
}

fn firsts() -> Vec<Row> {
    let greeting = json!({"type": "first", "ignore": "\n",
        "first": {"type": "delimiter", "end": [";", ";;"], "maxBytes": 6},
        "then": {"type": "length", "length": "u8", "add": 1, "body": "after"}, "maxBytes": 20});
    vec![
        row(
            greeting.clone(),
            b"\n;id;;\n\x02ab\n\x01;",
            &["0 id", "1 \\x02ab", "1 \\x01;"],
        ),
        row(
            greeting,
            b"1234567;;12345;\x01a\xff",
            &[
                "too long",
                "0 12345",
                "1 \\x01a",
                "broken: frame is longer than 20 bytes",
            ],
        ),
        row(
            json!({"type": "first",
                "first": {"type": "switch", "cases": [{"start": "$", "type": "delimiter", "end": "\r\n"}, {"type": "fixed", "bytes": 2}]},
                "then": {"type": "fixed", "start": "*", "bytes": 3}}),
            b"$a\r\nxx*ab$$",
            &["0 a", "skipped 2", "0 *ab", "skipped 2"],
        ),
    ]
}

fn walks() -> Vec<Row> {
    let counted = json!({"type": "walk", "header": 2, "count": "u8 at 1 & 0x0f", "record": {"size": "u8 at 1"}, "trailer": 1, "maxBytes": 12, "body": "after"});
    let marked = json!({"type": "walk", "start": "[", "header": {"size": "u8 at 1", "add": 2}, "until": "]]", "record": {"size": "u16le at 1", "add": 3}, "maxBytes": 16});
    let tagged = json!({"type": "walk", "start": "0x01", "header": 1, "until": "0xff", "record": {"tag": "u8", "sizes": [[1, 1], [2, 3], [3, 0]]}, "trailer": 2});
    vec![
        row(
            counted.clone(),
            b"a\xf2x\x02y\x04..!b\x00!c\x01x",
            &["2 a\\xf2x\\x02y\\x04..!", "2 b\\x00!", "half 3"],
        ),
        row(
            counted.clone(),
            b"a\x01x\x01!",
            &["broken: the records of the frame cannot be followed"],
        ),
        row(
            counted,
            b"a\x02x\x09.......y\x02!",
            &["broken: frame is longer than 12 bytes"],
        ),
        row(
            marked,
            b"[\x00]]..[\x01h]\x02\x00]]]][\x00a\x00\x00]][\x00a\xff\xff[\x00]",
            &[
                "0 [\\x00]]",
                "skipped 2",
                "0 [\\x01h]\\x02\\x00]]]]",
                "0 [\\x00a\\x00\\x00]]",
                "too long",
                "skipped 4",
                "half 3",
            ],
        ),
        row(
            tagged,
            b"\x01\xffab\x01\x01x\x02xyz\x03\xffcd\x01\x04\x01\x03\xff..",
            &[
                "0 \\x01\\xffab",
                "0 \\x01\\x01x\\x02xyz\\x03\\xffcd",
                "skipped 2",
                "0 \\x01\\x03\\xff..",
            ],
        ),
        row(
            json!({"type": "walk", "header": 2, "count": "u16 at 0", "record": 1}),
            b"\x00\x01a\x03\xe9",
            &[
                "0 \\x00\\x01a",
                "broken: the records of the frame cannot be followed",
            ],
        ),
        row(
            json!({"type": "walk", "header": 0, "until": "]", "record": 1}),
            &[b'x'; 1001],
            &["broken: the records of the frame cannot be followed"],
        ),
        row(
            json!({"type": "walk", "header": 0, "until": "0x00", "record": {"size": "varint at 1"}}),
            b"\x00a\x03abcb\x00\x00",
            &["0 \\x00", "0 a\\x03abcb\\x00\\x00"],
        ),
    ]
}
