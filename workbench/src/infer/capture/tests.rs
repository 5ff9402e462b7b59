use std::io::Cursor;

use etherparse::PacketBuilder;
use proptest::prelude::*;

use super::{Capture, Form, Room, read_one};

const DEVICE: ([u8; 4], u16) = ([10, 0, 0, 9], 40_000);
const GATEWAY: ([u8; 4], u16) = ([10, 0, 0, 1], 5000);

/// What happens, the packets, and the groups that come of it.
type Row = (&'static str, Vec<Vec<u8>>, &'static [&'static str]);

/// What a segment says.
#[derive(Clone, Copy, Default)]
struct Flags {
    syn: bool,
    ack: bool,
    to_device: bool,
}

const DATA: Flags = Flags {
    syn: false,
    ack: true,
    to_device: false,
};
const ANSWER: Flags = Flags {
    to_device: true,
    ..DATA
};
const SYN: Flags = Flags {
    syn: true,
    ack: false,
    to_device: false,
};

fn packet(flags: Flags, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let (from, to) = if flags.to_device {
        (GATEWAY, DEVICE)
    } else {
        (DEVICE, GATEWAY)
    };
    let builder = PacketBuilder::ethernet2([1; 6], [2; 6])
        .ipv4(from.0, to.0, 64)
        .tcp(from.1, to.1, sequence, 1000);
    let builder = if flags.syn { builder.syn() } else { builder };
    let builder = if flags.ack { builder.ack(1) } else { builder };
    let mut packet = Vec::new();
    builder.write(&mut packet, payload).expect("written");
    packet
}

fn pcap(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file = Vec::new();
    file.extend(0xa1b2_c3d4_u32.to_le_bytes());
    file.extend([2, 0, 4, 0]);
    file.extend([0; 8]);
    file.extend(65_535_u32.to_le_bytes());
    file.extend(1_u32.to_le_bytes());
    for packet in packets {
        let length = u32::try_from(packet.len()).unwrap().to_le_bytes();
        file.extend([0; 8]);
        file.extend(length);
        file.extend(length);
        file.extend(packet);
    }
    file
}

fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 12).unwrap().to_le_bytes();
    [&kind.to_le_bytes()[..], &length, body, &length].concat()
}

fn pcapng(packets: &[Vec<u8>]) -> Vec<u8> {
    let mut header = 0x1a2b_3c4d_u32.to_le_bytes().to_vec();
    header.extend([1, 0, 0, 0]);
    header.extend(u64::MAX.to_le_bytes());
    let mut file = block(0x0a0d_0d0a, &header);
    file.extend(block(1, &[1, 0, 0, 0, 0, 0, 1, 0]));
    for packet in packets {
        let length = u32::try_from(packet.len()).unwrap().to_le_bytes();
        let mut body = vec![0; 12];
        body.extend(length);
        body.extend(length);
        body.extend(packet);
        body.resize(body.len().next_multiple_of(4), 0);
        file.extend(block(6, &body));
    }
    file
}

fn read(file: Vec<u8>, most: usize) -> anyhow::Result<Capture> {
    let (mut capture, mut room) = (Capture::default(), Room::new(most));
    read_one(Cursor::new(file), Form::Guess, &mut capture, &mut room)?;
    capture.finish(&room);
    Ok(capture)
}

/// Each group with its pieces, those of a stretch in brackets.
fn shown(capture: &Capture) -> Vec<String> {
    let pieces = |stretch: &super::Stretch| {
        let pieces = stretch.pieces().map(String::from_utf8_lossy);
        format!("[{}]", pieces.collect::<Vec<_>>().join("|"))
    };
    let group = |group: &super::Group| {
        let stretches: String = group.stretches.iter().map(pieces).collect();
        format!("{} {stretches}", group.name)
    };
    capture.groups.iter().map(group).collect()
}

#[test]
fn packets_become_streams_in_order_and_once() {
    let rows: [Row; 8] = [
        (
            "in order, both sides",
            vec![
                packet(SYN, 9, b""),
                packet(DATA, 10, b"ab"),
                packet(ANSWER, 5, b"x"),
                packet(DATA, 12, b"cd"),
            ],
            &["to port 5000 [ab|cd]", "from port 5000 [x]"],
        ),
        (
            "overtaken",
            vec![
                packet(SYN, 9, b""),
                packet(DATA, 12, b"cd"),
                packet(DATA, 10, b"ab"),
                packet(DATA, 14, b"e"),
            ],
            &["to port 5000 [ab|cd|e]"],
        ),
        (
            "repeated, in part and whole",
            vec![
                packet(DATA, 10, b"abc"),
                packet(DATA, 10, b"abc"),
                packet(DATA, 12, b"cd"),
                packet(DATA, 9, b"z"),
            ],
            &["to port 5000 [abc|d]"],
        ),
        (
            "a gap",
            vec![packet(DATA, 10, b"ab"), packet(DATA, 20, b"cd")],
            &["to port 5000 [ab][cd]"],
        ),
        (
            "numbers begin again",
            vec![packet(DATA, u32::MAX - 1, b"abc"), packet(DATA, 1, b"d")],
            &["to port 5000 [abc|d]"],
        ),
        (
            "numbers begin again, overtaken",
            vec![
                packet(DATA, u32::MAX - 1, b"ab"),
                packet(DATA, 2, b"ef"),
                packet(DATA, 0, b"cd"),
            ],
            &["to port 5000 [ab|cd|ef]"],
        ),
        (
            "a second connection between the same ports",
            vec![
                packet(SYN, 9, b""),
                packet(DATA, 10, b"ab"),
                packet(SYN, 900, b""),
                packet(DATA, 901, b"cd"),
            ],
            &["to port 5000 [ab][cd]"],
        ),
        (
            "opened twice",
            vec![
                packet(SYN, 9, b""),
                packet(SYN, 9, b""),
                packet(DATA, 10, b"ab"),
            ],
            &["to port 5000 [ab]"],
        ),
    ];
    for (name, packets, expected) in rows {
        for file in [pcap(&packets), pcapng(&packets)] {
            let capture = read(file, 1000).expect(name);
            assert_eq!(shown(&capture), expected, "{name}");
            let torn = capture.notes.iter().any(|note| note.contains("only"));
            assert!(!torn, "{name}: {:?}", capture.notes);
        }
    }
}

#[test]
fn what_is_missing_is_named() {
    let packets = [
        packet(DATA, 10, b"ab"),
        packet(DATA, 20, b"cd"),
        packet(DATA, 20, b"cd"),
    ];
    let mut file = pcap(&packets);
    let all = read(file.clone(), 1000).unwrap().notes.join("\n");
    assert!(all.contains("8 bytes are missing"), "{all}");
    assert!(all.contains("2 bytes that came twice"), "{all}");
    file.truncate(file.len() - 3);
    let torn = read(file.clone(), 1000).unwrap().notes.join("\n");
    assert!(
        torn.contains("up to packet 2 only: it ends inside of a block"),
        "{torn}"
    );
    let short = read(file, 3).unwrap();
    assert_eq!(shown(&short), ["to port 5000 [ab][c]"]);
    let cut = short.notes.join("\n");
    assert!(
        cut.contains("only the first 3 bytes of payload were looked at, 1 more"),
        "{cut}"
    );
}

#[test]
fn connections_that_say_the_same_count_once() {
    let mut packets = Vec::new();
    for sequence in [100, 2000, 50_000] {
        packets.extend([
            packet(SYN, sequence, b""),
            packet(DATA, sequence + 1, b"same"),
        ]);
    }
    packets.extend([packet(SYN, 7, b""), packet(DATA, 8, b"other")]);
    let capture = read(pcap(&packets), 1000).unwrap();
    assert_eq!(shown(&capture), ["to port 5000 [same][other]"]);
    let notes = capture.notes.join("\n");
    assert!(notes.contains("2 streams said the same"), "{notes}");
}

#[test]
fn hex_text_in_every_form() {
    let rows: [(&str, &[&str]); 10] = [
        ("6162 63\n64 65\n", &["the capture [abc|de]"]),
        (
            "0x61, 0x62\n61:62:63\n\\x61\\x62",
            &["the capture [ab|abc|ab]"],
        ),
        ("616263", &["the capture [abc]"]),
        (
            "00000000: 6162 6364 6566 6768 696a 6b6c 6d6e 6f70  abcdefghijklmnop\n00000010: 7172                                     qr\n",
            &["the capture [abcdefghijklmnopqr]"],
        ),
        (
            "00000000  61 62 63 64 65 66 67 68  69 6a 6b 6c 6d 6e 6f 70  |abcdefghijklmnop|\n00000010  71 72  |qr|\n00000012\n",
            &["the capture [abcdefghijklmnopqr]"],
        ),
        (
            "00000000  61 61 61 61 61 61 61 61  61 61 61 61 61 61 61 61  |aaaaaaaaaaaaaaaa|\n*\n00000030  62  |b|\n00000031\n",
            &["the capture [aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab]"],
        ),
        (
            "0000   61 62 63   abc\n\n0000   64 65   de\n",
            &["the capture [abc|de]"],
        ),
        (
            "00000000  61 62   ab\n    00000000  78   x\n00000002  63   c\n",
            &["the capture [abc]", "the other side [x]"],
        ),
        ("# a note\n61\n// another\n62\n", &["the capture [a|b]"]),
        ("0000   64 65 20 66   de f\n", &["the capture [de f]"]),
    ];
    for (text, expected) in rows {
        let capture = read(text.as_bytes().to_vec(), 1000).expect(text);
        assert_eq!(shown(&capture), expected, "{text}");
    }
    for (text, words) in [
        ("61\n6x\n", "line 2: `x` is no hex digit"),
        ("616", "line 1: `616` has an odd number"),
        ("\u{0}\u{1}", "line 1: "),
    ] {
        let error = read(text.as_bytes().to_vec(), 1000)
            .expect_err(text)
            .to_string();
        assert!(error.contains(words) && error.contains("--raw"), "{error}");
    }
    let error = read(vec![0xff, 0xfe, 0, 1], 1000)
        .expect_err("binary")
        .to_string();
    assert!(error.contains("--raw"), "{error}");
}

proptest! {
    #[test]
    fn the_order_and_repetition_of_packets_do_not_matter(
        cuts in prop::collection::vec(1_usize..9, 1..12),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
        first in any::<u32>(),
    ) {
        let total: usize = cuts.iter().sum();
        let bytes: Vec<u8> = (b'a'..=b'z').cycle().take(total).collect();
        let mut packets = Vec::new();
        let mut at = 0;
        for cut in &cuts {
            let sequence = first.wrapping_add(1).wrapping_add(u32::try_from(at).unwrap());
            packets.push(packet(DATA, sequence, &bytes[at..at + cut]));
            at += cut;
        }
        let mut file = vec![packet(SYN, first, b"")];
        file.extend(order.iter().map(|index| index.get(&packets).clone()));
        file.extend(packets);
        let capture = read(pcap(&file), 1000).unwrap();
        prop_assert_eq!(capture.groups[0].stretches.len(), 1);
        prop_assert_eq!(&capture.groups[0].stretches[0].bytes, &bytes);
    }

    #[test]
    fn hostile_files_are_read_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut in any::<prop::sample::Index>(),
        ng in any::<bool>(),
    ) {
        let packets: Vec<Vec<u8>> =
            (0..5).map(|index| packet(DATA, 10 + index * 2, b"ab")).collect();
        let mut file = if ng { pcapng(&packets) } else { pcap(&packets) };
        for (index, byte) in changes {
            let at = index.index(file.len());
            file[at] = byte;
        }
        file.truncate(cut.index(file.len() + 1));
        if let Ok(capture) = read(file, 7) {
            let kept: usize = capture.groups.iter().map(super::Group::len).sum();
            prop_assert!(kept <= 7);
        }
    }

    #[test]
    fn any_bytes_behind_the_header_of_a_capture_are_read_or_refused(
        magic in prop::sample::select(vec![[0x0a, 0x0d, 0x0d, 0x0a], [0xd4, 0xc3, 0xb2, 0xa1], [0xa1, 0xb2, 0x3c, 0x4d]]),
        rest in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let file = [&magic[..], &rest].concat();
        drop(read(file, 100));
    }

    #[test]
    fn any_packet_is_sliced_or_left_out(
        link in prop::sample::select(vec![0, 1, 101, 108, 113, 228, 229, 276, 147]),
        data in prop::collection::vec(any::<u8>(), 0..120),
    ) {
        let mut file = pcap(&[data]);
        file[20..24].copy_from_slice(&u32::to_le_bytes(link));
        drop(read(file, 100));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[0-9a-f :|*x\n]{0,200}") {
        drop(read(text.into_bytes(), 50));
    }
}
