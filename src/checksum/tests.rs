use super::*;
use serde_json::json;

fn hex(text: &str) -> Vec<u8> {
    crate::notation::bytes(&format!("0x{text}")).unwrap()
}

const GT06: &str = "78780d01012345678901234500018cdd0d0a";
const TELTONIKA: &str = "000000000000002c08010000013eff8d6f9800173295002111f400008100ae0b00000004010\
                         10003090016432980422f7200000100007a5d";

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
        ("xor over 0..-1 at -1", hex("0102040701"), false),
        ("xor", hex("01020407"), true),
    ] {
        let checksum = Checksum::parse(notation).unwrap();
        assert_eq!(
            checksum.verify(&frame).is_ok(),
            good,
            "{notation} {frame:02x?}"
        );
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
        ("xor as octal 2", 8, "hexadecimal"),
        ("xor as hexadecimal 17", 20, "16"),
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
    let document = json!({"one": "xor", "two": ["xor", "sum8 at 0"], "wrong": ["xor", "sum9", 3]});
    let section = Section::root(&document);
    let mut problems = Problems::new();
    let counts =
        ["one", "two", "absent", "wrong"].map(|name| read(&section, name, &mut problems).len());
    assert_eq!(counts, [1, 2, 0, 1]);
    let pointers: Vec<_> = problems
        .as_slice()
        .iter()
        .map(|problem| problem.pointer.as_str())
        .collect();
    assert_eq!(pointers, ["/wrong/1", "/wrong/2"]);
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
