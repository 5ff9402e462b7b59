#![expect(clippy::arithmetic_side_effects, reason = "numbers of tests are small")]

use super::*;
use proptest::prelude::*;

fn read(notation: &str, frame: &[u8]) -> Result<(i128, usize, usize), ReadError> {
    let place = IntegerAt::parse(notation, Endian::Big).unwrap();
    place
        .read(frame, 1)
        .map(|read| (read.value, read.start, read.end))
}

#[test]
fn every_kind_at_every_place() {
    for (notation, frame, expected) in [
        ("u8", &b"\x01\x02"[..], (2, 1, 2)),
        ("u16le at 0", b"\x01\x02", (0x0201, 0, 2)),
        ("u16 at -2", b"\0\0\x01\x02", (0x0102, 2, 4)),
        ("i24", b"\0\xff\xff\xfe", (-2, 1, 4)),
        ("decimal 3 at 2", b"ab 42c", (42, 2, 5)),
        ("decimal 3 at 0", b"-42", (-42, 0, 3)),
        ("decimal until ' ' at 0", b"43 <13>", (43, 0, 3)),
        ("hexadecimal until 0x2c", b"*1aF,", (0x1af, 1, 5)),
        ("hexadecimal 2 at -4", b"*1f\r\n", (0x1f, 1, 3)),
        ("bcd 2", b"\0\x12\x34", (1234, 1, 3)),
        ("varint", b"\0\x96\x01", (150, 1, 3)),
        ("varint at 0", b"\0\x96\x01", (0, 0, 1)),
        (
            "varint at -10",
            b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            (u64::MAX.into(), 0, 10),
        ),
    ] {
        assert_eq!(read(notation, frame), Ok(expected), "{notation}");
    }
}

#[test]
fn says_how_many_bytes_are_needed() {
    for (notation, frame, needed) in [
        ("u16le at 2", &b"ab\x01"[..], 4),
        ("u8 at 5", b"", 6),
        ("u16 at -4", b"abc", 4),
        ("decimal until ' ' at 0", b"43", 3),
        ("decimal until ' ' at 4", b"43", 5),
        ("decimal 4 at 0", b"12", 4),
        ("bcd 2", b"a\x12", 3),
        ("varint at 0", b"", 1),
        ("varint at 1", b"a\x80\xff", 4),
    ] {
        assert_eq!(
            read(notation, frame),
            Err(ReadError::Short { needed }),
            "{notation}"
        );
    }
}

#[test]
fn what_is_no_number_is_known_at_once() {
    for (notation, frame) in [
        ("decimal until ' ' at 0", &b"4x"[..]),
        ("decimal until ' ' at 0", b" "),
        ("decimal until ' ' at 0", &[b'1'; 41]),
        ("hexadecimal 2 at 0", b"-1"),
        ("decimal 3 at 0", b"1 2"),
        ("bcd 1 at 0", b"\x1f"),
        ("varint at 0", &[0x80; 10]),
        ("varint at 0", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),
    ] {
        assert!(
            matches!(read(notation, frame), Err(ReadError::Invalid(_))),
            "{notation} {frame:?}"
        );
    }
}

#[test]
fn mistakes_have_their_column() {
    for (notation, column, part) in [
        ("u17 at 2", 1, "whole number of bytes"),
        ("u72", 1, "whole number of bytes"),
        ("u16lee at 2", 1, "did you mean"),
        ("u16 at x", 8, "whole number"),
        ("u16 at", 7, "an offset"),
        ("u16 an 2", 5, "`an`"),
        ("u16 at -1", 8, "behind the end"),
        ("decimal 0", 9, "from 1 to 20"),
        ("decimal until ab", 15, "one byte"),
        ("", 1, "expected a type"),
    ] {
        let error = IntegerAt::parse(notation, Endian::Big).unwrap_err();
        assert_eq!(error.column, column, "{notation}: {error}");
        assert!(error.message.contains(part), "{notation}: {error}");
    }
}

#[test]
fn what_does_not_fit_is_not_written() {
    for (notation, value) in [
        ("u8", 256),
        ("u8", -1),
        ("i8", 128),
        ("decimal 2", 100),
        ("hexadecimal 1", 16),
        ("hexadecimal 2", -1),
        ("bcd 1", 100),
        ("varint", -1),
        ("varint", 1 << 64),
    ] {
        let kind = IntegerAt::parse(notation, Endian::Big).unwrap().kind;
        let mut out = Vec::new();
        assert_eq!(kind.write(value, &mut out), None, "{notation} {value}");
        assert_eq!(out, b"", "{notation} {value}");
    }
}

#[test]
fn some_bits_of_an_integer() {
    for (notation, frame, value) in [
        ("u16le at 1 & 0x7fff", &b"\0\x13\x80"[..], 0x13),
        ("u8 & 0x0f", b"\0\xa5", 5),
        ("u8 >> 4", b"\0\xa5", 10),
        ("u8 at 0 & 0xf0 >> 4", b"\xa5", 10),
        ("u8 at 0 >> 4 & 3", b"\xa5", 2),
        ("u8 at 0 >> 2 >> 2 & 0x0e & 7", b"\xa5", 2),
        ("i8 at 0 >> 1", b"\xfe", -1),
        ("u64 at 0 >> 63", &[0xff; 8], 1),
        ("varint at 0 & 0x7f", b"\x96\x01", 22),
        ("decimal 2 at 0 & 1", b"13", 1),
    ] {
        let part = PartAt::parse(notation, Endian::Big).unwrap();
        let read = part.read(frame, 1).map(|read| read.value);
        assert_eq!(read, Ok(value), "{notation}");
    }
}

#[test]
fn mistakes_in_steps_have_their_column() {
    for (notation, column, part) in [
        ("u8 at 1 &", 10, "a mask"),
        ("u8 at 1 & x", 11, "whole number"),
        ("u8 & -1", 6, "1 to 64 bits"),
        ("u8 & 0", 6, "leaves no bit"),
        ("u8 & 0x100", 6, "leaves no bit"),
        ("u8 >> 8", 7, "leaves no bit"),
        ("u64 >> 40 >> 40", 14, "leaves no bit"),
        ("u64 >> 64", 8, "from 1 to 63"),
        ("u8 & 3 at 1", 8, "`at`"),
        ("u8 * 2", 4, "`*`"),
        ("u17", 1, "whole number of bytes"),
    ] {
        let error = PartAt::parse(notation, Endian::Big).unwrap_err();
        assert_eq!(error.column, column, "{notation}: {error}");
        assert!(error.message.contains(part), "{notation}: {error}");
    }
}

#[test]
fn only_what_the_bits_can_say_is_written() {
    for (notation, value, expected) in [
        ("u16le & 0x7fff", 0x1234, Some(&b"\x34\x12"[..])),
        ("u16le & 0x7fff", 0x8000, None),
        ("u8 & 0xf0 >> 4", 10, Some(b"\xa0")),
        ("u8 & 0xf0 >> 4", 16, None),
        ("u8 & 0xf0", 8, None),
        ("u8 >> 4", -1, None),
    ] {
        let part = PartAt::parse(notation, Endian::Big).unwrap();
        let mut out = Vec::new();
        let written = part.write(value, &mut out).map(|()| out.as_slice());
        assert_eq!(written, expected, "{notation} {value}");
    }
}

fn kind() -> impl Strategy<Value = IntegerKind> {
    let endian = prop_oneof![Just(Endian::Big), Just(Endian::Little)];
    let digits = prop_oneof![
        (1usize..16).prop_map(Digits::Count),
        Just(Digits::Until(b','))
    ];
    prop_oneof![
        (1u8..=8, any::<bool>(), endian).prop_map(|(width, signed, endian)| {
            IntegerKind::Binary {
                width,
                signed,
                endian,
            }
        }),
        digits.clone().prop_map(IntegerKind::Decimal),
        digits.prop_map(IntegerKind::Hexadecimal),
        (1usize..=10).prop_map(IntegerKind::Bcd),
        Just(IntegerKind::Varint),
    ]
}

proptest! {
    #[test]
    fn what_is_written_reads_back(kind in kind(), value: u64, shift in 0u32..64, negative: bool) {
        let value = i128::from(value >> shift) * if negative { -1 } else { 1 };
        let mut out = Vec::new();
        if kind.write(value, &mut out).is_some() {
            let read = IntegerAt { kind, at: Some(0) }.read(&out, 0);
            prop_assert_eq!(read, Ok(IntegerRead { value, start: 0, end: out.len() }));
        }
    }

    #[test]
    fn written_bits_read_back(kind in kind(), mask in 1u64.., shift in 0u32..20, value in 0i128..5000) {
        let steps = if shift == 0 { format!("& {mask}") } else { format!("& {mask} >> {shift}") };
        let Ok(mut part) = PartAt::parse(&format!("u64 {steps}"), Endian::Big) else { return Ok(()) };
        part.place = IntegerAt { kind, at: Some(0) };
        let mut out = Vec::new();
        match part.write(value, &mut out) {
            Some(()) => prop_assert_eq!(part.read(&out, 0).map(|read| read.value), Ok(value)),
            None => prop_assert!(out.is_empty()),
        }
    }

    #[test]
    fn short_always_asks_for_more(kind in kind(), at in proptest::option::of(-20i64..20), frame: Vec<u8>) {
        match (IntegerAt { kind, at }).read(&frame, 3) {
            Err(ReadError::Short { needed }) if at.is_none_or(|at| at >= 0) => prop_assert!(needed > frame.len()),
            Ok(read) => prop_assert!(read.start < read.end && read.end <= frame.len()),
            Err(_) => {}
        }
    }
}

#[test]
fn what_is_too_wide_is_cut() {
    for (kind, value, expected) in [
        ("u8", 0x1_02, 2),
        ("u16le", 0x1_0000, 0),
        ("i8", 0x80, -128),
        ("i8", 0x17f, 127),
        ("u64", 1 << 64, 0),
        ("u8", -1, 255),
        ("decimal 3", 12_345, 345),
        ("hexadecimal 1", 0x1f, 15),
        ("bcd 1", 199, 99),
        ("decimal until ' '", 12_345, 12_345),
    ] {
        let place = IntegerAt::parse(kind, Endian::Big).unwrap();
        assert_eq!(place.kind.wrap(value), expected, "{kind}");
    }
}

proptest! {
    #[test]
    fn what_is_cut_can_be_written(value: i128, width in 1usize..9, form in 0usize..5) {
        let bits = width * 8;
        let kind = [format!("u{bits}"), format!("i{bits}le"), format!("decimal {width}"),
            format!("hexadecimal {width}"), format!("bcd {width}")];
        let place = IntegerAt::parse(&kind[form], Endian::Big).unwrap();
        let mut out = Vec::new();
        prop_assert!(place.kind.write(place.kind.wrap(value), &mut out).is_some());
        prop_assert_eq!(place.read(&out, 0).unwrap().value, place.kind.wrap(value));
    }
}

#[test]
fn a_place_is_written_as_it_is_read() {
    for notation in [
        "u8",
        "u16le at 2",
        "i24 at -3",
        "decimal until ' ' at 0",
        "decimal until 0xff",
        "hexadecimal 2 at -4",
        "bcd 2",
        "varint at 1",
        "u16le at 1 & 0x7fff >> 4",
        "u8 at 15 >> 6",
    ] {
        let part = PartAt::parse(notation, Endian::Big).unwrap();
        assert_eq!(part.to_string(), notation);
    }
}

#[test]
fn all_numbers_of_the_range_are_written_and_no_others() {
    for kind in [
        "u8",
        "u16le",
        "u64",
        "i8",
        "i24",
        "i64",
        "decimal 1",
        "decimal 4",
        "decimal 20",
        "hexadecimal 2",
        "hexadecimal 16",
        "bcd 1",
        "bcd 9",
        "bcd 10",
        "varint",
    ] {
        let kind = IntegerAt::parse(kind, Endian::Big).unwrap().kind;
        let range = kind.range().unwrap();
        for (number, fits) in [
            (*range.start(), true),
            (*range.end(), true),
            (range.start() - 1, false),
            (range.end() + 1, false),
        ] {
            let written = kind.write(number, &mut Vec::new());
            assert_eq!(written.is_some(), fits, "{kind} {number}");
        }
    }
}
