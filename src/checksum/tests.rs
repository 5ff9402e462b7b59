#![expect(clippy::arithmetic_side_effects, reason = "numbers of tests are small")]

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn hex(text: &str) -> Vec<u8> {
    crate::notation::bytes(&format!("0x{text}")).unwrap()
}

const GT06: &str = "78780d01012345678901234500018cdd0d0a";
const TELTONIKA: &str = "000000000000002c08010000013eff8d6f9800173295002111f400008100ae0b00000004010\
                         10003090016432980422f7200000100007a5d";

const RMC: &str = "$GPRMC,081836,A,3751.65,S,14507.36,E,000.0,360.0,130998,011.3,E*62";
const MEITRACK: &str = "$$F153,867144025101013,AAA,35,25.219431,55.279918,200916155923,V,0,25,0,0,0.0,0,\
                        249701532,98374503,424|2|101C|A3AE,0800,0000|0000|0000|02D3|0103,00000011,*A0\r\n";
const DC09: &str = "\nE0B50027\"ADM-CID\"0007L0#1234[#1234|1131 01 015]\r";
const MBUS: &str = "681f1f680802727856341224400107550000000313153100da023b13018b60043718021816";
const DNP3: &str = "05641944030000045fab000102030405060708090a0b0c0d0e0fec1010111213ddbb";

#[test]
fn frames_of_real_devices() {
    for (notation, frame, good) in [
        ("crc-16/ibm-sdlc over 2..-4 at -4", hex(GT06), true),
        ("x-25 over 2..-4 at -4", hex(GT06), true),
        ("x-25 over 2..-4 at -4 le", hex(GT06), false),
        ("x-25 over 2.. at -4", hex(GT06), false),
        ("crc-16/arc over 8..-4 at -2", hex(TELTONIKA), true),
        (
            "crc-16/arc over 8..-4 at -2 if u32 at 0 = 0",
            hex(TELTONIKA),
            true,
        ),
        (
            "crc-16/arc over 8..-4 at -2 if u32 at 0 = 0",
            hex(GT06),
            true,
        ),
        (
            "crc-16/arc over 8..-4 at -2 if u16 at 0 = 0x7878",
            hex(GT06),
            false,
        ),
        (
            "modbus le",
            hex("011380033836383230343030313534393038370432008590"),
            true,
        ),
        (
            "modbus over 0..-2 at -2 be",
            hex("011380033836383230343030313534393038370432008590"),
            false,
        ),
        (
            "sum8 over 0..-4 at -4 as hexadecimal 2",
            b"$$F9,AA*0A\r\n".to_vec(),
            false,
        ),
        (
            "xor over 1..-3 as hexadecimal 2",
            b"$GPGLL,5057.970,N,00146.110,E,142451,A*27".to_vec(),
            true,
        ),
        (
            "xor over 1..-3 as hexadecimal 2",
            b"$GPGLL,5057.970,N,00146.110,E,142451,A*28".to_vec(),
            false,
        ),
        (
            "xor over 1..-3 as hexadecimal 2",
            b"$GPGLL,5057.970,N,00146.110,E,142451,A*zz".to_vec(),
            false,
        ),
        ("nmea", RMC.into(), true),
        ("nmea", RMC.replace("*62", "*63").into(), false),
        ("nmea", RMC.trim_start_matches('$').into(), true),
        ("nmea", RMC.replace("*62", "*6").into(), false),
        ("nmea", RMC.replace('*', "").into(), false),
        (
            "nmea",
            b"!AIVDM,1,1,,A,14eG;o@034o8sd<L9i:a;WF>062D,0*7D\r\n".to_vec(),
            true,
        ),
        ("nmea", b"$A*41".to_vec(), true),
        ("nmea", b"$a*4b*2a".to_vec(), false),
        // Meitrack: the length up to the star included.
        (
            "sum8 over 0..-4 at -4 as hexadecimal 2",
            MEITRACK.into(),
            true,
        ),
        (
            "sum8 over 0..-4 at -4 as hexadecimal 2",
            MEITRACK.replace("*A0", "*a0").into(),
            true,
        ),
        // ASTM E1381.
        (
            "sum8 over 1..-4 at -4 as hexadecimal 2 if u8 at 0 = 2",
            b"\x021R|1|^^^HGB|13.9|g/dL||N\r\x03F6\r\n".to_vec(),
            true,
        ),
        (
            "sum8 over 1..-4 at -4 as hexadecimal 2 if u8 at 0 = 2",
            b"\x05".to_vec(),
            true,
        ),
        // SIA DC-09: in front of what it covers.
        (
            "crc-16/arc over 9..-1 at 1 as hexadecimal 4",
            DC09.into(),
            true,
        ),
        (
            "crc-16/arc over 9..-1 at 1 as hexadecimal 4",
            DC09.replace("1131", "1132").into(),
            false,
        ),
        // M-Bus.
        ("sum8 over 4..-2 at -2", hex(MBUS), true),
        // JT/T 808, unescaped.
        ("xor", hex("800100050139123456780000007e020000c8"), true),
        // Teltonika's value as the four bytes it takes.
        ("crc-16/arc over 8..-4 at -4 as u32", hex(TELTONIKA), true),
        ("crc-16/arc over 8..-4 as u32", hex(TELTONIKA), true),
        (
            "crc-16/arc over 8..-4 at -4 as u32le",
            hex(TELTONIKA),
            false,
        ),
        // DNP3: the header, then each block.
        ("crc-16/dnp over 0..8 at 8 le", hex(DNP3), true),
        ("crc-16/dnp le per 16 from 10", hex(DNP3), true),
        ("crc-16/dnp le per 16 from 10 removed", hex(DNP3), true),
        ("crc-16/dnp per 16 from 10", hex(DNP3), false),
        ("crc-16/dnp le per 15 from 10", hex(DNP3), false),
        (
            "crc-16/dnp le per 16 from 10",
            hex("0564050b03000004cd88"),
            true,
        ),
        // No block is empty.
        (
            "crc-16/dnp le per 16 from 10",
            hex("0564050b03000004cd88ffff"),
            false,
        ),
        (
            "crc-16/dnp le per 16 from 10",
            hex("0564050b03000004cd"),
            false,
        ),
        (
            "crc-16/dnp le per 16 from 10",
            hex("0564050b03000004cd880001"),
            false,
        ),
        // Modbus ASCII: the sum of the bytes that the hex digits stand for is zero; here of the bytes.
        ("lrc", hex("010300000001fb"), true),
        ("sum8-inverted", hex("010300000001fa"), true),
        // Seven bits count, the eighth is parity.
        ("sum7-negated & 0x7f", hex("0231208d"), false),
        ("sum7-negated & 0x7f", hex("023120ad"), true),
        ("sum7-negated", hex("023120ad"), false),
        ("sum8 over 0..2 at 2 as decimal 3", b"ab195".to_vec(), true),
        ("sum8 over 0..2 at 2 as decimal 2", b"ab95".to_vec(), true),
        ("sum16 over 2.. at 0", hex("00c36162"), true),
        ("luhn", b"79927398713".to_vec(), true),
        ("luhn", b"79927398714".to_vec(), false),
        ("luhn", b"7992739871x".to_vec(), false),
        ("xor over 0..-1 at -1", hex("0102040701"), false),
        ("xor", hex("01020407"), true),
    ] {
        let checksum = Checksum::parse(notation).unwrap();
        assert_eq!(
            checksum.verify(&frame).is_ok(),
            good,
            "{notation} {frame:02x?}"
        );
        let written = checksum.to_string();
        assert_eq!(Checksum::parse(&written), Ok(checksum.clone()), "{written}");
        let explained = checksum.explain(&frame);
        assert_eq!(explained.good, good, "{notation} {frame:02x?}");
        if !explained.checks.is_empty() {
            let all = explained.checks.iter().all(Check::is_good);
            assert_eq!(all, good, "{notation} {frame:02x?}: {explained:?}");
        }
    }
}

#[test]
fn short_frames_are_wrong_not_fatal() {
    for notation in [
        "crc-32 over 2..-4 at -4",
        "xor over 5.. at 0",
        "sum8 as hexadecimal 2",
        "crc-64 at 3",
    ] {
        let checksum = Checksum::parse(notation).unwrap();
        for length in 0..3 {
            assert!(
                checksum.verify(&vec![1; length]).is_err(),
                "{notation} {length}"
            );
        }
    }
}

#[test]
fn mistakes_have_their_column() {
    for (notation, column, part) in [
        ("crc-16/modbuss", 1, "crc-16/modbus"),
        ("xor over 2", 10, "range"),
        ("xor over 2.. at x", 17, "whole number"),
        ("xor as octal 2", 8, "type"),
        ("xor as hexadecimal 17", 20, "16"),
        ("xor as hexadecmal 2", 8, "hexadecimal"),
        ("xor as i8", 8, "no sign"),
        ("xor as decimal until ' '", 8, "fixed width"),
        ("modbus le as hexadecimal 4", 8, "order"),
        ("xor & 0", 7, "mask"),
        ("xor at -1 over 0..-1", 11, "order"),
        ("xor ovr 0..-1", 5, "over"),
        ("nmea over 1..", 6, "itself"),
        ("nmea at 3", 6, "itself"),
        ("dnp le per 16 to 10", 15, "from"),
        ("dnp le per 16 from -10", 20, "beginning"),
        ("dnp le per 0 from 10", 12, "from 1"),
        ("dnp over 1.. le per 16 from 10", 17, "go with it"),
        ("xor if kind = 3", 5, "before fields"),
        ("xor at -1 nonsense", 11, "nonsense"),
        ("", 1, "name of a checksum"),
    ] {
        let error = Checksum::parse(notation).unwrap_err();
        assert_eq!(error.column, column, "{notation}: {error}");
        assert!(error.message.contains(part), "{notation}: {error}");
    }
}

#[test]
fn one_or_a_list_with_pointers() {
    let document = json!({"one": "xor", "two": ["xor", "sum8 at 0"], "wrong": ["xor", "sum9", 3],
        "removed": ["dnp le per 16 from 10 removed", "dnp le per 16 from 10 removed"]});
    let section = Section::root(&document);
    let mut problems = Problems::new();
    let counts = ["one", "two", "absent", "wrong", "removed"]
        .map(|name| read(&section, name, &mut problems).len());
    assert_eq!(counts, [1, 2, 0, 1, 2]);
    let pointers: Vec<_> = problems
        .as_slice()
        .iter()
        .map(|problem| problem.pointer.as_str())
        .collect();
    assert_eq!(pointers, ["/wrong/1", "/wrong/2", "/removed"]);
}

fn custom(document: &Value) -> Result<Checksum, Vec<(String, Option<usize>)>> {
    let mut problems = Problems::new();
    let read = read(&Section::root(document), "checksum", &mut problems);
    let places = problems.as_slice().iter();
    let places: Vec<_> = places
        .map(|problem| (problem.pointer.clone(), problem.column))
        .collect();
    match read.as_slice() {
        [checksum] if places.is_empty() => Ok(checksum.clone()),
        _ => Err(places),
    }
}

/// The object form says the same as the name, for every name.
#[test]
fn a_custom_crc_with_the_parameters_of_a_name_is_that_name() {
    for name in catalogue::names() {
        let Ok(model) = catalogue::find(name).unwrap().1.model() else {
            continue;
        };
        let hex = |value: u64| format!("{value:#x}");
        let document = json!({"checksum": {
            "crc": {"width": model.width, "polynomial": hex(model.polynomial), "init": hex(model.init),
                "reflectIn": model.reflect_in, "reflectOut": model.reflect_out, "xorOut": hex(model.xor_out)},
            "over": "1..-9", "at": -9, "as": "u64le", "if": "u8 at 0 = 1"}});
        let checksum = custom(&document).unwrap();
        let named = Checksum::parse(&format!("{name} over 1..-9 at -9 as u64le if u8 at 0 = 1"));
        let named = named.unwrap();
        let bytes = b"\x01123456789";
        assert_eq!(
            checksum.algorithm.compute(bytes),
            named.algorithm.compute(bytes),
            "{name}"
        );
        assert_eq!(
            (&checksum.kind, &checksum.scope, &checksum.condition),
            (&named.kind, &named.scope, &named.condition)
        );
    }
}

#[test]
fn a_custom_crc_with_defaults_and_mistakes() {
    let crc = json!({"width": 16, "polynomial": 0x1021});
    let checksum = custom(&json!({"checksum": {"crc": crc}})).unwrap();
    checksum.verify(b"123456789\x31\xc3").unwrap();
    for (member, value, pointer, column) in [
        ("at", json!("x"), "/at", None),
        ("at", json!(1u64 << 40), "/at", None),
        ("over", json!("2"), "/over", Some(1)),
        ("as", json!("u17"), "/as", Some(1)),
        ("as", json!("u16 u16"), "/as", Some(5)),
        ("if", json!("kind = 3"), "/if", Some(1)),
        ("crc", json!({"width": 16}), "/crc", None),
        (
            "crc",
            json!({"width": 2, "polynomial": 1}),
            "/crc/width",
            None,
        ),
        (
            "crc",
            json!({"width": 8, "polynomial": 0x101}),
            "/crc/polynomial",
            None,
        ),
        (
            "crc",
            json!({"width": 8, "polynomial": 6}),
            "/crc/polynomial",
            None,
        ),
        (
            "crc",
            json!({"width": 8, "polynomial": 7, "init": -1}),
            "/crc/init",
            None,
        ),
        (
            "crc",
            json!({"width": 8, "polynomial": 7, "xorOut": "0x100"}),
            "/crc/xorOut",
            None,
        ),
        (
            "crc",
            json!({"width": 8, "polynomial": 7, "reflect": true}),
            "/crc/reflect",
            None,
        ),
    ] {
        let mut document = json!({"checksum": {"crc": crc}});
        document["checksum"][member] = value.clone();
        let places = custom(&document).unwrap_err();
        assert_eq!(
            places,
            [(format!("/checksum{pointer}"), column)],
            "{member} {value}"
        );
    }
}

#[test]
fn the_values_of_blocks_are_taken_out() {
    let removed = Checksum::parse("dnp le per 16 from 10 removed").unwrap();
    let data = hex("05641944030000045fab000102030405060708090a0b0c0d0e0f10111213");
    for (body, expected) in [(0, 0), (10, 10), (26, 26), (28, 26), (34, 30)] {
        assert_eq!(
            removed.remove(&hex(DNP3), body),
            Some((data.clone(), expected)),
            "{body}"
        );
    }
    assert_eq!(removed.remove(b"short", 0), None);
    let kept = Checksum::parse("dnp le per 16 from 10").unwrap();
    assert_eq!(kept.remove(&hex(DNP3), 0), None);
    let other = Checksum::parse("dnp le per 16 from 10 removed if u8 at 0 = 6").unwrap();
    assert_eq!(other.remove(&hex(DNP3), 0), None);
}

/// Names with a detection of every single bit; the notation behind them, and the bits of a byte.
fn detecting() -> Vec<(String, u8)> {
    let names = catalogue::names().into_iter();
    names
        .filter(|name| !matches!(*name, "nmea" | "luhn"))
        .map(|name| {
            let seven = name.starts_with("sum7") || name == "toledo";
            (name.to_owned(), if seven { 7 } else { 8 })
        })
        .collect()
}

proptest! {
    #[test]
    fn a_frame_made_with_a_checksum_is_good_and_one_bit_makes_it_bad(
        body in prop::collection::vec(any::<u8>(), 1..40),
        name in prop::sample::select(detecting()),
        flip: prop::sample::Index,
    ) {
        let (name, bits) = name;
        let checksum = Checksum::parse(&format!("{name} over 1..-10 at -10 as u64le")).unwrap();
        let value = Algorithm::by_name(&name).unwrap().compute(&body).unwrap();
        let mut frame = vec![0xaa];
        frame.extend(&body);
        frame.extend(value.to_le_bytes());
        frame.extend(b"\r\n");
        prop_assert!(checksum.verify(&frame).is_ok(), "{}", name);
        let bit = flip.index(body.len() * usize::from(bits));
        frame[1 + bit / usize::from(bits)] ^= 1 << (bit % usize::from(bits));
        prop_assert!(checksum.verify(&frame).is_err(), "{}", name);
    }

    #[test]
    fn a_wrong_digit_is_found_by_luhn_and_nmea(digits in "[0-9]{1,20}", flip: prop::sample::Index, change in 1u8..10) {
        let at = flip.index(digits.len());
        for (name, prefix, separator) in [("luhn", "", ""), ("nmea", "$", "*")] {
            let algorithm = Algorithm::by_name(name).unwrap();
            let mut frame = format!("{prefix}{digits}{separator}").into_bytes();
            let value = algorithm.compute(digits.as_bytes()).unwrap();
            algorithm.usual_kind(Endian::Big).write(value.into(), &mut frame).unwrap();
            let checksum = Checksum::parse(name).unwrap();
            prop_assert!(checksum.verify(&frame).is_ok(), "{}", name);
            let digit = &mut frame[prefix.len() + at];
            *digit = b'0' + (*digit - b'0' + change) % 10;
            prop_assert!(checksum.verify(&frame).is_err(), "{}", name);
        }
    }

    #[test]
    fn blocks_with_their_values_are_good_and_come_out_as_they_were(
        head in prop::collection::vec(any::<u8>(), 0..12),
        data in prop::collection::vec(any::<u8>(), 0..60),
        size in 1usize..20,
        flip: prop::sample::Index,
    ) {
        let algorithm = Algorithm::by_name("dnp").unwrap();
        let mut frame = head.clone();
        for block in data.chunks(size) {
            frame.extend(block);
            let value = u16::try_from(algorithm.compute(block).unwrap()).unwrap();
            frame.extend(value.to_le_bytes());
        }
        let notation = format!("dnp le per {size} from {} removed", head.len());
        let checksum = Checksum::parse(&notation).unwrap();
        prop_assert!(checksum.verify(&frame).is_ok());
        let whole = [head.clone(), data.clone()].concat();
        prop_assert_eq!(checksum.remove(&frame, 0), Some((whole, 0)));
        if !data.is_empty() {
            let bit = flip.index((frame.len() - head.len()) * 8);
            frame[head.len() + bit / 8] ^= 1 << (bit % 8);
            prop_assert!(checksum.verify(&frame).is_err());
        }
    }

    #[test]
    fn any_frame_is_good_or_bad(frame: Vec<u8>, name in prop::sample::select(catalogue::names()), from in -9i64..9, to in -9i64..9, size in 1usize..9) {
        for notation in [name.to_owned(), format!("{name} over {from}..{to} at {to}"),
            format!("{name} per {size} from {} removed", from.unsigned_abs())] {
            if let Ok(checksum) = Checksum::parse(&notation) {
                if let Err(wrong) = checksum.verify(&frame) {
                    prop_assert!(wrong.expected.is_none() || wrong.expected != wrong.found);
                }
                if let Some((left, body)) = checksum.remove(&frame, size) {
                    prop_assert!(left.len() <= frame.len() && body <= size);
                }
            }
        }
    }
}

#[test]
fn names_are_those_of_the_catalogue_each_once() {
    let names = super::names();
    assert!(names.contains(&"crc-16/modbus") && names.contains(&"xor"));
    assert!(!names.contains(&"modbus"), "an alias is no name");
    let mut once = names.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), names.len());
    for name in names {
        assert_eq!(Algorithm::by_name(name).unwrap().name(), name);
    }
}

#[test]
fn an_explanation_has_what_was_covered_computed_and_found() {
    let checksum = Checksum::parse("x-25 over 2..-4 at -4 if u8 at 0 = 0x78").unwrap();
    let frame = hex("78780d01012345678901234500018cde0d0a");
    let explained = checksum.explain(&frame);
    assert_eq!(
        explained.checksum,
        "crc-16/ibm-sdlc over 2..-4 at -4 if u8 at 0 = 0x78"
    );
    let check = Check {
        covered: Some(2..14),
        place: Some(14..16),
        expected: Some(0x8cdd),
        found: Some(0x8cde),
    };
    assert_eq!(
        (explained.left_out, &explained.checks[..]),
        (None, &[check][..])
    );
    let other = checksum.explain(b"\x79");
    assert_eq!(other.left_out.as_deref(), Some("u8 at 0 = 0x78"));
    assert_eq!(other.checks, []);
    let blocks = Checksum::parse("dnp le per 16 from 10 removed").unwrap();
    let explained = blocks.explain(&hex(DNP3));
    let places: Vec<_> = explained
        .checks
        .iter()
        .map(|check| check.place.clone())
        .collect();
    assert_eq!(places, [Some(26..28), Some(32..34)]);
    assert!(explained.removed);
}

#[test]
fn a_frame_ends_with_its_check_value_where_that_is_counted_from_the_end() {
    for (notation, frame, tail) in [
        ("crc-16/modbus le", &b"abcd"[..], 2),
        ("sum8 over 1..-2 as hexadecimal 2", b"abcd", 2),
        ("crc-16/ibm-sdlc over 2..-4 at -4", b"abcdefgh", 4),
        ("sum8 over 1..3 at 0", b"abcd", 0),
        ("xor if u8 at 0 = 0x61", b"abcd", 1),
        ("xor if u8 at 0 = 0x62", b"abcd", 0),
        ("nmea", b"$a*61", 0),
        ("dnp le per 16 from 10 removed", b"abcd", 0),
    ] {
        let checksum = Checksum::parse(notation).unwrap();
        assert_eq!(checksum.tail(frame), tail, "{notation}");
    }
}
