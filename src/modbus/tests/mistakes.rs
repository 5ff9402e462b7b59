//! What is no register, where it is wrong and why.

use serde_json::{Value as Json, json};

use super::{registers, tried};
use crate::document::{Problems, Section};
use crate::modbus::Transport;

#[test]
fn mistakes_have_columns() {
    for (register, column, part) in [
        ("", 1, "expected `NAME: TYPE at ADDRESS`"),
        ("speed", 1, "expected `NAME: TYPE at ADDRESS`"),
        ("u16 at 40001", 1, "expected `NAME: TYPE at ADDRESS`"),
        ("a:", 3, "a type such as"),
        ("a: u16", 7, "expected `at ADDRESS` here"),
        ("a: at 40001", 4, "expected a type"),
        ("a: u16 at", 10, "an address such as"),
        ("unit: u16 at 40001", 1, "a field of every answer"),
        ("a: u17 at 40001", 4, "no whole number of bytes"),
        ("a: u8 at 40001", 4, "registers have 16 bits"),
        ("a: u24 at 40001", 4, "registers have 16 bits"),
        ("a: flaot at 40001", 4, "unknown type"),
        ("a: f32 cadb at 40001", 8, "unknown order \"cadb\""),
        ("a: u16 badc at 40001", 8, "`u16le`"),
        ("a: ascii 251 at 40001", 4, "one answer holds 250"),
        ("a: ascii rest at 40001", 4, "a fixed number of bytes"),
        ("a: varint at 40001", 4, "a fixed number of bytes"),
        ("a: skip 2 at 40001", 4, "has no value"),
        ("a: join b at 40001", 4, "`join` has no bytes of its own"),
        (
            "a: repeat 2 u8 at 40001",
            4,
            "expected the type of one value",
        ),
        ("a: repeat at 40001", 4, "expected the type of one value"),
        ("a: ascii at 40001", 9, "expected how many bytes here"),
        (
            "a: bytes at holding 0 upper",
            9,
            "expected how many bytes here",
        ),
        (
            "a: f32 abdc at 40001",
            8,
            "expected one of abcd, badc, cdab, dcba",
        ),
        ("a: f32 CDAB at 40001", 8, "did you mean \"cdab\"?"),
        (
            "a: f32 at 40001 cdab",
            17,
            "behind its type, before `at`: `f32 cdab`",
        ),
        (
            "a: u16 at 40001 bits p@0 q@16",
            26,
            "bit 16 is none of the 16 bits",
        ),
        ("a: bool at 40001", 4, "`u16 at … bits NAME@0`"),
        ("a: u16 at 00001", 4, "a coil is a `bool`"),
        ("a: u16 at 10001", 4, "a discrete input is a `bool`"),
        ("a: u16 at 40000", 11, "from 40001 to 49999"),
        ("a: u16 at 400000", 11, "from 400001 to 465536"),
        ("a: u16 at 465537", 11, "from 400001 to 465536"),
        ("a: u16 at 20001", 11, "begins with 0 (coils)"),
        ("a: u16 at 4001", 11, "5 or 6 digits, `4001` has 4"),
        ("a: u16 at 0x9c41", 11, "expected an address"),
        ("a: u16 at -1", 11, "expected an address"),
        ("a: u16 at holdin 0", 11, "did you mean \"holding\"?"),
        ("a: u16 at holding", 18, "counted from 0"),
        ("a: u16 at holding 65536", 19, "from 0 to 65535"),
        ("a: u32 at 465536", 8, "behind the last address"),
        ("a: u32 at holding 65535", 8, "behind the last address"),
        ("a: u16 at 40001 / ten", 19, "expected a number"),
        ("a: u16 at 40001 rond 1", 17, "did you mean \"round\"?"),
        ("a: u16 at holding 0 / 10 upper", 26, "works on texts"),
        ("é: u16 at 40001  upper", 18, "works on texts"),
        ("a: bool at 00001 / ten", 20, "expected a number"),
        ("a: bool at coil 0 upper", 19, "works on texts"),
        (
            "a: u16 at 40001 if b",
            17,
            "registers are read each for itself",
        ),
        (
            "a: i16 at 40001 / 10 neg b",
            22,
            "registers are read each for itself",
        ),
        ("a: bytes 4 at 40001 with b", 26, "unknown layout"),
        ("a: u16 at 40001 unit 'x", 22, "not closed"),
    ] {
        for transport in [Transport::Tcp, Transport::Rtu] {
            let (read, problems) = tried(&json!([register]), transport);
            assert!(read.is_none());
            let [problem] = problems.as_slice() else {
                panic!("{register}: {problems:?}");
            };
            assert_eq!(problem.pointer, "/0");
            assert_eq!(problem.column, Some(column), "{register}: {problem}");
            assert!(problem.message.contains(part), "{register}: {problem}");
        }
    }
}

#[test]
fn all_mistakes_are_found_at_once() {
    let list = json!([
        "a: u16 at 40001",
        "a: u16 at 40002",
        7,
        "b: u16 at 40003 bits a@0",
        "b: u16 at 4"
    ]);
    let (_, problems) = tried(&list, Transport::Tcp);
    let found = problems.as_slice().iter();
    let found: Vec<_> = found
        .map(|problem| (&*problem.pointer, &*problem.message))
        .collect();
    assert_eq!(found[0], ("/1", "another register sets `a` too"));
    assert_eq!(found[1].0, "/2");
    assert_eq!(found[2], ("/3", "another register sets `a` too"));
    assert_eq!(found[3].0, "/4");
    assert_eq!(found.len(), 4);
    for list in [json!({}), json!("a: u16 at 40001"), json!([])] {
        assert_eq!(tried(&list, Transport::Tcp).1.len(), 1, "{list}");
    }
}

#[test]
fn polls_choose_registers() {
    let registers = registers(&["a: u16 at 40001", "'b c': u16 at 40002"], Transport::Tcp);
    let chosen = |said: Json| {
        let mut problems = Problems::new();
        let names = registers.chosen(&Section::root(&said), &mut problems);
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        (names, problems)
    };
    assert_eq!(chosen(json!("all")).0, ["a", "b c"]);
    assert_eq!(chosen(json!(["b c"])).0, ["b c"]);
    for (said, pointer, part) in [
        (json!("al"), "", "expected \"all\" or a list"),
        (json!([]), "", "at least one"),
        (json!(["a", "b"]), "/1", "unknown register \"b\""),
        (json!([1]), "/0", "the name of a register"),
        (
            json!(["a", "b c", "a"]),
            "/2",
            "register a is already in the list",
        ),
    ] {
        let problems = chosen(said.clone()).1;
        let [problem] = problems.as_slice() else {
            panic!("{said}: {problems:?}");
        };
        assert_eq!(problem.pointer, pointer, "{said}");
        assert!(problem.message.contains(part), "{problem}");
    }
}
