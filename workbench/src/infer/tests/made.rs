//! Captures made by a rule: the rule is found, and said as it should be.

use edge_tcp_gateway::checksum::Algorithm;
use serde_json::{Value, json};

use super::super::trial::{self, Cutting};
use super::super::{checks, columns, search};
use super::{Chance, find, patience, stretch};

type Make = fn(&mut Chance, usize) -> Vec<u8>;

fn capture(make: Make) -> Vec<Vec<u8>> {
    let mut chance = Chance(0xfeed);
    (0..41).map(|index| make(&mut chance, index)).collect()
}

fn binary(chance: &mut Chance, _: usize) -> Vec<u8> {
    let count = chance.below(20) + 4;
    let content = chance.bytes(count);
    let length = u16::try_from(content.len()).unwrap();
    let mut frame = [&b"\x10\x02"[..], &length.to_le_bytes(), &content].concat();
    let check = Algorithm::by_name("crc-16/modbus").unwrap();
    let check = check.compute(&frame);
    frame.extend(&check.unwrap().to_le_bytes()[..2]);
    frame
}

fn sentence(chance: &mut Chance, index: usize) -> Vec<u8> {
    let content = format!(
        "GPRMC,{:06},A,{:04}.{:02},N",
        120_000 + index,
        chance.below(9000),
        chance.below(90)
    );
    let check = content.bytes().fold(0, |check, byte| check ^ byte);
    format!("${content}*{check:02X}\r\n").into_bytes()
}

fn object(chance: &mut Chance, index: usize) -> Vec<u8> {
    format!("{{\"n\":{index},\"v\":{}}}\n", chance.below(100_000)).into_bytes()
}

fn record(chance: &mut Chance, _: usize) -> Vec<u8> {
    [&[0x02, 0x41][..], &chance.bytes(11), &[0x03]].concat()
}

fn gelf(chance: &mut Chance, index: usize) -> Vec<u8> {
    let level = chance.below(100_000);
    format!("{{\"version\":\"1.1\",\"host\":\"h{index}\",\"level\":{level}}}\0").into_bytes()
}

fn ubx(chance: &mut Chance, index: usize) -> Vec<u8> {
    let (class, id) = [(1, 7), (1, 0x35), (5, 1)][index % 3];
    let count = chance.below(20) + 4;
    let content = chance.bytes(count);
    let length = u16::try_from(content.len()).unwrap();
    let covered = [&[class, id][..], &length.to_le_bytes(), &content].concat();
    let check = Algorithm::by_name("ubx").unwrap().compute(&covered);
    let check = check.unwrap().to_le_bytes();
    [b"\xb5\x62", &*covered, &check[..2]].concat()
}

fn smpp(chance: &mut Chance, index: usize) -> Vec<u8> {
    let number = u32::try_from(index).unwrap();
    let count = chance.below(30);
    let content = chance.bytes(count);
    let length = u32::try_from(16 + content.len()).unwrap();
    let header = [length, 4 + number % 2, 0, number].map(u32::to_be_bytes);
    [&*header.concat(), &content].concat()
}

fn llrp(chance: &mut Chance, index: usize) -> Vec<u8> {
    let number = u32::try_from(index).unwrap();
    let kind = [0x3d, 0x3e][index % 2];
    let count = chance.below(60);
    let content = chance.bytes(count);
    let length = u32::try_from(10 + content.len()).unwrap();
    [
        &[0x04, kind][..],
        &length.to_be_bytes(),
        &number.to_be_bytes(),
        &content,
    ]
    .concat()
}

/// A time in front of the length: its upper bytes are the same in all frames of a capture.
fn timed(chance: &mut Chance, index: usize) -> Vec<u8> {
    let time = 0x8910_0000 + u32::try_from(index).unwrap() * 61;
    let count = chance.below(30) + 1;
    let content = chance.bytes(count);
    let length = u16::try_from(content.len()).unwrap();
    [&time.to_be_bytes()[..], &length.to_be_bytes(), &content].concat()
}

#[test]
fn a_wider_field_with_the_same_frames_is_named() {
    let finding = find(&[stretch(&capture(llrp), true)]);
    let best = &finding.proposals[0];
    let wanted = json!({ "type": "length", "length": "u16 at 4" });
    assert_eq!(best.document["framing"], wanted);
    let also = best.also.iter().any(|also| also == "length u32 at 2 + 0");
    assert!(also, "{:?}", best.also);
}

#[test]
fn the_upper_bytes_of_a_number_are_no_start() {
    let finding = find(&[stretch(&capture(timed), true)]);
    let wanted = json!({ "type": "length", "length": "u16 at 4", "add": 6 });
    assert_eq!(finding.proposals[0].document["framing"], wanted);
}

#[test]
fn the_rule_is_the_first_proposal() {
    let rows: [(Make, Value); 7] = [
        (
            binary,
            json!({ "framing": { "type": "length", "length": "u16le at 2", "add": 6, "start": "0x1002" }, "checksum": "crc-16/modbus le" }),
        ),
        (
            sentence,
            json!({ "framing": { "type": "delimiter", "end": "\r\n", "start": "$" }, "checksum": "xor over 0..-3 as hexadecimal 2" }),
        ),
        (
            object,
            json!({ "framing": { "type": "delimiter", "end": "\n" } }),
        ),
        (
            record,
            json!({ "framing": { "type": "fixed", "bytes": 14, "start": "0x02" } }),
        ),
        (
            gelf,
            json!({ "framing": { "type": "delimiter", "end": "0x00" } }),
        ),
        (
            ubx,
            json!({ "framing": { "type": "length", "length": "u16le at 4", "add": 8, "start": "0xb562" }, "checksum": "fletcher-16/ubx over 2..-2 le" }),
        ),
        (
            smpp,
            json!({ "framing": { "type": "length", "length": "u32 at 0" } }),
        ),
    ];
    for (make, wanted) in rows {
        for in_pieces in [true, false] {
            let finding = find(&[stretch(&capture(make), in_pieces)]);
            let found = &finding.proposals[0].document;
            assert_eq!(*found, wanted);
            assert!(finding.proposals[0].same_in_pieces);
        }
    }
}

#[test]
fn frames_that_come_in_the_same_order_are_not_taken_for_one() {
    let answers: Vec<Vec<u8>> = (0..20).map(|index| vec![0xaa, 0x55, 0, 1, index]).collect();
    let finding = find(&[stretch(&answers, true)]);
    assert_eq!(finding.proposals[0].trial.spans.len(), 20);
}

#[test]
fn evidence_says_what_was_counted() {
    let finding = find(&[stretch(&capture(binary), true)]);
    let lines = finding.proposals[0].evidence(&[stretch(&capture(binary), true)]);
    let all = lines.join("\n");
    for words in [
        "in 41 frames of 10 to 29 bytes",
        "length u16le at 2 + 6 = the frame's bytes in 41 of 41",
        "41 of 41 begin with 10 02",
        "crc-16/modbus le: right in 41 of 41 different frames; by chance once in 2^",
        "41 of 41 pieces of the capture end with a frame",
        "the frames are the same in one go and in these pieces",
    ] {
        assert!(all.contains(words), "{words}: {all}");
    }
}

#[test]
fn a_damaged_frame_is_an_outlier_and_two_frames_prove_nothing() {
    let mut frames = capture(binary);
    *frames[6].last_mut().unwrap() ^= 1;
    let frames: Vec<_> = frames.into_iter().map(Into::into).collect();
    let found = checks::find(&frames, checks::algorithms(), &patience()).expect("found");
    assert_eq!(
        (found.notation.as_str(), found.right, found.wrong),
        ("crc-16/modbus le", 40, vec![6])
    );
    assert!(checks::find(&frames[..2], checks::algorithms(), &patience()).is_none());
    let same = vec![frames[0].clone(); 40];
    assert!(
        checks::find(&same, checks::algorithms(), &patience()).is_none(),
        "one frame again and again"
    );
}

#[test]
fn noise_has_no_checksum() {
    let mut chance = Chance(99);
    let frames: Vec<_> = (0..40).map(|_| chance.bytes(24).into()).collect();
    assert!(checks::find(&frames, checks::algorithms(), &patience()).is_none());
}

#[test]
fn columns_show_constants_counters_and_times() {
    let frames: Vec<bytes::Bytes> = (0..20_u8)
        .map(|index| {
            let time = 1_760_000_000 + u32::from(index) * 61;
            let minute = index / 10 * 16 + index % 10;
            let bcd = [0x25, 0x10, 0x09, 0x10, minute, 0x30];
            [
                &[0x68, index][..],
                &bcd,
                &time.to_be_bytes(),
                &[index.wrapping_mul(37)],
            ]
            .concat()
            .into()
        })
        .collect();
    let looks = columns::view(&frames);
    let looks: Vec<(usize, &str)> = looks
        .iter()
        .map(|column| (column.from, &*column.looks))
        .collect();
    assert_eq!(
        looks,
        [
            (0, "constant 68"),
            (1, "counts up"),
            (2, "date and time in BCD: `bcdtime`"),
            (8, "seconds since 1970: `u32 unix`"),
            (12, "varies"),
        ]
    );
    let kinds: Vec<bytes::Bytes> = capture(ubx).into_iter().map(Into::into).collect();
    let looks = columns::view(&kinds);
    assert_eq!((looks[1].from, &*looks[1].looks), (1, "constant 62"));
    let texts = ["a,b,c", "d,e,f,g"].map(|text| bytes::Bytes::from_static(text.as_bytes()));
    assert_eq!(
        columns::view(&texts)[0].looks,
        "text in columns between `,`, 3 to 4 of them"
    );
}

/// Kinds of which a version knows no word are left out; those it knows find their own frames.
#[test]
fn stuffed_framings_are_tried_where_the_module_knows_them() {
    let mut chance = Chance(7);
    for candidate in search::stuffed() {
        let document = json!({ "framing": candidate.framing });
        let Some(protocol) = trial::protocol(&document) else {
            continue;
        };
        let frames: Vec<Vec<u8>> = (0..30)
            .filter_map(|_| {
                let count = chance.below(30) + 4;
                let content = [&[0x51, 0x52][..], &chance.bytes(count)].concat();
                protocol.framing.wrap(&content).ok()
            })
            .collect();
        if frames.is_empty() {
            continue;
        }
        let capture = [stretch(&frames, true)];
        let wanted = trial::run(&protocol, &capture, Cutting::Whole).spans;
        let finding = find(&capture);
        let mut proposals = finding.proposals.iter();
        assert!(
            proposals.any(|proposal| proposal.trial.spans == wanted),
            "{document}"
        );
    }
}
