//! Bytes that a protocol may take for its own: markers, numbers, words, and whole frames.

use serde_json::Value;

use super::choices::Choices;
use crate::checksum::Checksum;
use crate::conversation::Protocol;
use crate::notation;

/// Bytes of a stream at most; a choice of one byte can stand for many.
const MOST_BYTES: usize = 3000;
/// From this byte on a choice is a whole frame.
const FRAME: u8 = 192;

const WORDS: [&[u8]; 40] = [
    b"1",
    b"2",
    b"12",
    b"07",
    b",",
    b";",
    b"=",
    b"n=1",
    b"id=AB,",
    b"A=2.5",
    b"AB",
    b"x",
    b" ",
    b"-5.5",
    b"5231.79283",
    b"260131120000",
    b"{\"n\":1,\"id\":\"AB\",\"a\":\"7\"}",
    b"{\"n\":",
    b"}",
    b"\"",
    b"'",
    b"<",
    b">",
    b"length: 3\n",
    b"\n",
    b"\r\n",
    b"\n\n",
    b"#",
    b"*",
    b"$AB*03",
    &[0],
    &[1],
    &[2],
    &[3, 1, b'A'],
    &[2, 2, b'A', b'B'],
    &[1, 1, 5],
    &[4, 2, 0, 9],
    &[0xff],
    &[0x20, 0x26, 0x01, 0x31, 0x12, 0],
    &[0xd0, 0xff, 0xc0],
];

/// How the content of frames begins: with `n` and `id`, as each kind of decoder has them.
const BEGINNINGS: [&[u8]; 8] = [
    b"",
    &[1, b'A', b'B'],
    &[2, b'A', b'B', 7, 8, 9, 10],
    b"1,AB,",
    b"2,AB,k,1,k,2.5",
    b"n=1,id=AB,",
    b"{\"n\":1,\"id\":\"AB\",\"a\":\"7\"}",
    &[1, 1, 5, 2, 2, b'A', b'B'],
];

/// What the choices make of a protocol's own bytes and of any others.
pub fn stream(protocol: &Protocol, document: &Value, choices: &mut Choices<'_>) -> Vec<u8> {
    let mut words: Vec<Vec<u8>> = WORDS.iter().map(|word| word.to_vec()).collect();
    marks(&document["framing"], &mut words);
    let fitting = beginnings(&document["decode"]);
    // Noise ends many a connection before its first frame.
    let frames_alone = choices.once_in(3);
    let mut stream = Vec::new();
    while !choices.is_empty() && stream.len() < MOST_BYTES {
        let lowest = if frames_alone { FRAME } else { 0 };
        match choices.byte() | lowest {
            byte @ 0..=127 => stream.extend(&words[usize::from(byte) % words.len()]),
            128..=159 => stream.push(choices.byte()),
            byte @ 160..=191 => stream.extend((160..byte).map(|_| choices.byte())),
            byte @ FRAME.. => {
                let count = usize::from(byte & 3).saturating_sub(1);
                let at = choices.below(BEGINNINGS.len() * 2);
                let any = || BEGINNINGS.get(at).map(|beginning| beginning.to_vec());
                let own = || fitting[at % fitting.len()].clone();
                let mut content = any().unwrap_or_else(own);
                content.extend((0..count).flat_map(|_| words[choices.below(words.len())].clone()));
                stream.extend(frame(protocol, content));
            }
        }
    }
    stream
}

/// How content begins that this decoder can read: with `n` and `id`, and a list of `n` elements.
fn beginnings(decode: &Value) -> Vec<Vec<u8>> {
    let between = decode["separator"].as_str().unwrap_or(",");
    match decode["type"].as_str() {
        Some("binary") => vec![
            vec![1, b'A', b'B', 5, 6],
            vec![2, b'A', b'B', 7, 8, 9, 10],
            vec![2, b'A', b'B', 7, 8, 9, 9, 10, 9],
        ],
        Some("csv") => vec![
            ["1", "AB", "k", "1"].join(between).into(),
            ["2", "AB", "k", "1", "k", "2.5"].join(between).into(),
        ],
        Some("key-value") => {
            let is = decode["equals"].as_str().unwrap_or("=");
            vec![format!("n{is}1{between}id{is}AB{between}a{is}7").into()]
        }
        Some("json") => vec![b"{\"n\":1,\"id\":\"AB\",\"a\":\"7\"}".to_vec()],
        Some("tlv") => vec![vec![1, 1, 5, 2, 2, b'A', b'B'], vec![1, 1, 5, 1, 1, 6]],
        _ => vec![b"1,AB,7".to_vec(), b"2 AB".to_vec()],
    }
}

/// The short texts of a framing: starts, ends, escapes.
fn marks(framing: &Value, words: &mut Vec<Vec<u8>>) {
    match framing {
        Value::String(text) if text.len() <= 8 => words.extend(notation::bytes(text).ok()),
        Value::Array(elements) => elements.iter().for_each(|element| marks(element, words)),
        Value::Object(members) => members.values().for_each(|member| marks(member, words)),
        _ => {}
    }
}

/// The content as a frame with the right check values, as far as that can be made.
fn frame(protocol: &Protocol, mut content: Vec<u8>) -> Vec<u8> {
    correct(&protocol.checksums, &mut content);
    let mut bytes = protocol.framing.wrap(&content).unwrap_or(content);
    correct(&protocol.checksums, &mut bytes);
    bytes
}

/// Writes what should stand where a check value is wrong.
fn correct(checksums: &[Checksum], frame: &mut Vec<u8>) {
    for checksum in checksums {
        for (at, check) in checksum.explain(frame).checks.into_iter().enumerate() {
            let (Some(place), Some(expected)) = (check.place, check.expected) else {
                continue;
            };
            let width = place.len();
            let tries = forms(expected, width)
                .into_iter()
                .filter(|form| form.len() == width);
            let right = tries
                .map(|form| replaced(frame, place.start, &form))
                .find(|tried| {
                    let checks = checksum.explain(tried).checks;
                    checks.get(at).is_some_and(|check| check.is_good())
                });
            *frame = right.unwrap_or_else(|| std::mem::take(frame));
        }
    }
}

/// A number in the ways in which check values are written.
fn forms(number: u64, width: usize) -> [Vec<u8>; 4] {
    let big = number.to_be_bytes();
    let big = big[big.len().saturating_sub(width)..].to_vec();
    let little = big.iter().rev().copied().collect();
    let hexadecimal = format!("{number:0width$X}").into_bytes();
    let decimal = format!("{number:0width$}").into_bytes();
    [big, little, hexadecimal, decimal]
}

fn replaced(frame: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut replaced = frame.to_vec();
    for (place, byte) in replaced.iter_mut().skip(at).zip(bytes) {
        *place = *byte;
    }
    replaced
}
