//! Frames of real protocols, and the framing that a protocol's sheet leads to.

use serde_json::{Value, json};

use super::{Pipeline, framing, start};
use crate::checksum::OnBadChecksum;
use crate::pipeline::Received;

/// A name, its framing, and frames as they come on the wire.
type Protocol = (&'static str, Value, Vec<Vec<u8>>);

fn hex(digits: &[&str]) -> Vec<Vec<u8>> {
    let read = |digits: &&str| crate::notation::bytes(&format!("0x{digits}")).unwrap();
    digits.iter().map(read).collect()
}

fn text(frames: &[&str]) -> Vec<Vec<u8>> {
    frames
        .iter()
        .map(|frame| frame.as_bytes().to_vec())
        .collect()
}

fn industrial() -> Vec<Protocol> {
    let field = |length: &str, add: i64| json!({"type": "length", "length": length, "add": add});
    let started = |start: &str, length: &str, add: i64| json!({"type": "length", "start": start, "length": length, "add": add});
    vec![
        (
            "Modbus TCP",
            field("u16 at 4", 6),
            hex(&["000100000005010302002a", "000500000003028303"]),
        ),
        (
            "TPKT",
            started("0x03", "u16 at 2", 0),
            hex(&[
                "0300001611e00000000100c0010ac1020100c2020102",
                "0300000702f080",
            ]),
        ),
        (
            "FINS/TCP",
            started("FINS", "u32 at 4", 8),
            hex(&[
                "46494e530000000c000000000000000000000000",
                "46494e5300000010000000010000000000000001000000fa",
            ]),
        ),
        (
            "IEC 60870-5-104",
            started("0x68", "u8 at 1", 2),
            hex(&["680443000000", "6812000000000d0103000a00e903006666a64100"]),
        ),
        (
            "EtherNet/IP",
            field("u16le at 2", 24),
            hex(&["65000400000000000000000000000000000000000000000001000000"]),
        ),
        (
            "DNP3",
            json!({"type": "length", "start": "0x0564", "length": "u8 at 2", "add": 5, "blocks": {"bytes": 16, "extra": 2, "from": 10}}),
            hex(&[
                "056405c001000004e921",
                "056414f3010000040a3bc0c3013c02063c03063c04063c01069a12",
                "05641644010000040a3b000102030405060708090a0b0c0d0e0fffff10ffff",
                "05641544010000040a3b000102030405060708090a0b0c0d0e0fffff",
            ]),
        ),
        (
            "SIA DC-09",
            json!({"type": "length", "start": "\n", "length": "hexadecimal 4 at 5", "add": 10, "end": "\r"}),
            text(&[
                "\n5C3D0013\"NULL\"0000L0#1234[]\r",
                "\n2A4B001C\"ADM-CID\"0002L0#1234[#1234|]\r",
            ]),
        ),
        (
            "protobuf, delimited",
            json!({"type": "length", "length": "varint", "body": "after"}),
            [
                hex(&["03089601", "00"]),
                vec![[&[0x80, 0x02][..], &[0x55; 256]].concat()],
            ]
            .concat(),
        ),
        (
            "syslog, counted",
            json!({"type": "length", "length": "decimal until ' '", "body": "after"}),
            text(&["16 <34>1 - - - - - ", "0 ", "3 a\nb"]),
        ),
    ]
}

fn trackers() -> Vec<Protocol> {
    let counted = json!({"type": "length", "length": "u8 at 4", "multiply": 16, "add": 5});
    let dsf22 = [&b"\x13\x00\xb9\x02"[..], &[2], &[7; 32]].concat();
    let vehicle = b"##\x01\xfeLVBV0123456789012\x01\x00\x03abc\x5a".to_vec();
    let tek = |low: u8, high: u8, length: usize| {
        let mut frame = vec![1; 17 + length];
        frame[15] = high << 6;
        frame[16] = low;
        frame
    };
    vec![
        (
            "Dsf22",
            counted,
            vec![dsf22, b"\x13\x00\xb9\x02\x00".to_vec()],
        ),
        (
            "GB/T 32960",
            json!({"type": "length", "start": "##", "length": "u16 at 22", "add": 25}),
            vec![vehicle],
        ),
        (
            "Galileosky",
            json!({"type": "length", "start": "0x01", "length": "u16le at 1 & 0x7fff", "add": 5}),
            hex(&[
                "011380033836383230343030313534393038370432008590",
                "0114002080d096653009005d3403a0e6ca06336801840359b5",
            ]),
        ),
        (
            "Tek",
            json!({"type": "length", "length": "u8 at 16", "plus": "u8 at 15 & 0xc0", "add": 17}),
            vec![tek(3, 0, 3), tek(1, 2, 129)],
        ),
        (
            "Egts",
            json!({"type": "switch", "cases": [
                {"when": "u16le at 5 = 0", "type": "length", "length": "u8 at 3"},
                {"type": "length", "length": "u16le at 5", "plus": "u8 at 3", "add": 2}]}),
            hex(&["0100000b000000010001aa", "0100000b0003000100017f0102031234"]),
        ),
        (
            "Meitrack",
            json!({"type": "length", "start": "$$", "length": "decimal until ',' at 3", "add": -1}),
            text(&[
                "$$D149,867047043162018,AAA,35,-1.264865,36.800705,211001105240,A,9,20,41.0,323,1,1697,1,0,000|00||,0000,4.33|12.96|1.92|2.72|2.69,0.000000|0|0.000000,*E1\r\n",
                "$$F12,12,AAA*A0\r\n",
            ]),
        ),
        (
            "Megastek",
            json!({"type": "switch", "ignore": "\r\n", "cases": [
                {"when": "u8 at 0 = 48..57", "type": "length", "length": "decimal 4", "add": 4},
                {"type": "delimiter", "end": ["\r\n", "!"], "keep": true}]}),
            text(&["0012STX123456,V!", "LOGSTX,123!", "STX2010\r\n", "0000"]),
        ),
    ]
}

fn walked() -> Vec<Protocol> {
    let arnavi = json!({"type": "first",
        "first": {"type": "fixed", "bytes": 10},
        "then": {"type": "switch", "cases": [
            {"when": "u16 at 0 = 0x5bfd", "type": "fixed", "bytes": 4},
            {"start": "[", "type": "walk", "header": 2, "record": {"size": "u16le at 1", "add": 8}, "until": "]"}]}});
    let orion = json!({"type": "switch", "start": "0x5050", "cases": [
        {"when": "u8 at 2 & 0x0f = 0", "type": "walk", "header": 8, "count": "u8 at 3 & 0x0f", "record": {"size": "u8 at 1"}, "trailer": 3},
        {"when": "u8 at 2 & 0x0f = 3", "type": "length", "length": "u16le at 8", "add": 6}]});
    let transync = json!({"type": "walk", "start": "::", "header": {"size": "u8 at 2", "add": 3}, "record": {"size": "u8 at 1", "add": 2}, "until": "##"});
    vec![
        (
            "Arnavi",
            arnavi,
            hex(&[
                "ff23000102030405060a",
                "5b01010400aabbccdd010203045d5d",
                "5b015d",
                "5bfd005d",
                "5b7f010000aabbccdd5d030200aabbccdd5d5d015d",
            ]),
        ),
        (
            "Orion",
            orion,
            hex(&[
                "50500002010203040703aa070401bb010203",
                "50500300000000000600aabb",
                "5050000001020304aabbcc",
            ]),
        ),
        (
            "TranSync",
            transync,
            hex(&["3a3a02aabb0102123402002323", "3a3a002323"]),
        ),
    ]
}

fn headed() -> Vec<Protocol> {
    vec![
        (
            "STOMP",
            json!({"type": "header", "length": "^content-length: *(\\d+)", "end": "0x00", "ignore": "\r\n"}),
            text(&[
                "CONNECT\naccept-version:1.2\n\n\0",
                "SEND\ndestination:/q\ncontent-length:3\n\na\0b\0",
            ]),
        ),
        (
            "HTTP",
            json!({"type": "header", "length": "(?i)^content-length: *(\\d+)$"}),
            text(&[
                "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
                "POST /x HTTP/1.1\r\nContent-Length: 4\r\n\r\na=12",
            ]),
        ),
        (
            "SIP",
            json!({"type": "header", "length": "(?i)^(?:content-length|l)\\s*:\\s*(\\d+)$"}),
            text(&[
                "OPTIONS sip:a SIP/2.0\r\nl: 0\r\n\r\n",
                "MESSAGE sip:a SIP/2.0\r\nContent-Length : 2\r\n\r\nhi",
            ]),
        ),
        (
            "JSON behind a head",
            json!({"type": "header", "length": "^Content-Length: (\\d+)$", "body": "after"}),
            text(&["Content-Length: 8\r\n\r\n{\"a\": 1}"]),
        ),
    ]
}

fn frames(document: &Value, chunks: Vec<&[u8]>) -> Vec<Vec<u8>> {
    let mut pipeline = Pipeline::new(&framing(document), [].into(), OnBadChecksum::Reject);
    let mut frames = Vec::new();
    for chunk in chunks {
        pipeline.push(chunk);
        while let Some(received) = pipeline.next(start()) {
            match received {
                Received::Frame { bytes, .. } => frames.push(bytes.to_vec()),
                other => panic!("{document}: {other:?}"),
            }
        }
    }
    assert_eq!(pipeline.buffered(), 0, "{document}");
    frames
}

#[test]
fn frames_of_real_protocols() {
    for (name, document, expected) in [industrial(), trackers(), walked(), headed()].concat() {
        let stream = expected.concat();
        assert_eq!(frames(&document, vec![&stream]), expected, "{name} whole");
        assert_eq!(
            frames(&document, stream.chunks(1).collect()),
            expected,
            "{name} byte by byte"
        );
        for at in 0..stream.len() {
            let (left, right) = stream.split_at(at);
            assert_eq!(
                frames(&document, vec![left, right]),
                expected,
                "{name} cut at {at}"
            );
        }
    }
}
