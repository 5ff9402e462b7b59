//! The lists in `simulate.json`.

use edge_tcp_gateway::settings::Presets;

use super::{hex, pack, shown};
use crate::simulate::answers::{Answers, Called};
use crate::simulate::stage::Stage;

/// A request, its answer, and a type.
type Row = (&'static str, &'static str, &'static str);

/// A pack, what is asked one after the other, what is answered, and the `type` that the gateway reads;
/// `-` where it reads none.
const TABLES: &[(&str, &[Row])] = &[
    (
        "mt-sics",
        &[
            ("SI\r\n", "S S      12.00 kg\r\n", ""),
            ("S\r\n", "S S      12.01 kg\r\n", ""),
            ("SIR\r\n", "S S      12.02 kg\r\n", ""),
            ("T\r\n", "T S       0.10 kg\r\n", "-"),
            ("Z\r\n", "Z A\r\n", "-"),
            ("@\r\n", "I4 A \"mt-sics-2\"\r\n", "-"),
            ("I4\r\n", "I4 A \"mt-sics-2\"\r\n", "-"),
            ("SIX\r\n", "ES\r\n", "-"),
        ],
    ),
    (
        "mbus",
        &[
            ("0x 10 40 01 41 16", "0xe5", "control"),
            (
                "0x 10 5b 02 5d 16",
                "0x681f1f680802727956341224400107000000000313153100da023b13018b6004371802c416",
                "reading",
            ),
            (
                "0x 10 7b 05 80 16",
                "0x681f1f680805727956341224400107010000000313163100da023b13018b6004371802c916",
                "reading",
            ),
            ("0x 68 03 03 68 53 01 51 a5 16", "0xe5", "control"),
        ],
    ),
    (
        "iec104",
        &[
            ("0x 68 04 07 00 00 00", "0x 68 04 0b 00 00 00", "control"),
            ("0x 68 04 43 00 00 00", "0x 68 04 83 00 00 00", "control"),
            ("0x 68 04 01 00 06 00", "", ""),
            (
                "0x 68 0e 0000 0000 64 01 06 00 0a00 000000 14",
                "0x680e00000200640107000a0000000014 681202000200 0d0114000a00e903000000a04100 680e04000200 64010a000a0000000014",
                "other",
            ),
            ("0x 68 04 13 00 00 00", "0x 68 04 23 00 00 00", "control"),
        ],
    ),
    (
        "s7",
        &[
            (
                "0x 0300 0016 11 e0 0000 0005 00 c0010a c1020100 c2020102",
                "0x 0300 0016 11 d0 0005 0001 00 c0010a c1020100 c2020102",
                "connected",
            ),
            (
                "0x 0300 0019 02f080 32 01 0000 0007 0008 0000 f0 00 0001 0001 01e0",
                "0x 0300 001b 02f080 32 03 0000 0007 0008 0000 00 00 f0 00 0001 0001 00f0",
                "negotiated",
            ),
            (
                "0x 0300 001f 02f080 32 01 0000 0008 000e 0000 04 01 12 0a 10 02 0004 0001 84 000000",
                "0x 0300 001d 02f080 32 03 0000 0008 0002 0008 00 00 04 01 ff 04 0020 41a4 0000",
                "read",
            ),
        ],
    ),
];

fn bytes(text: &str) -> Vec<u8> {
    edge_tcp_gateway::notation::bytes(text).expect("the notation of bytes")
}

#[test]
fn the_second_device_answers_what_it_is_asked() {
    for (name, table) in TABLES {
        let pack = pack(name);
        let stage = Stage::new(&pack.document, &pack.devices).expect("a stage");
        let answers = Answers::parse(pack.answers.as_deref().expect("a list"));
        let answers = answers.unwrap_or_else(|error| panic!("{name}: {error:#}"));
        let mut called = Called::new(&stage, name, 1);
        for (request, answer, kind) in *table {
            let mut found = Vec::new();
            // However TCP cuts it.
            for byte in bytes(request).chunks(1) {
                for request in called.requests(&stage, byte) {
                    let now = "2026-01-31T12:00:00Z".parse().expect("a moment");
                    let one = answers.answer(&stage, &mut called, (&request, now));
                    let one = one.unwrap_or_else(|error| panic!("{name}: {error:#}"));
                    found.extend(one.unwrap_or_default());
                }
            }
            assert_eq!(shown(&found), shown(&bytes(answer)), "{name}: {request}");
            let rehearsed = stage.rehearse([&found[..]]);
            for heard in rehearsed.heard.iter().take(1) {
                let undecoded = heard.reading.undecoded.is_some();
                assert_eq!(undecoded, *kind == "-", "{name}: {request}");
                let read = heard.reading.kind.as_deref().unwrap_or_default();
                assert!(undecoded || read == *kind, "{name}: {request} is {read}");
            }
        }
    }
}

#[test]
fn every_list_is_in_the_tables() {
    let with_lists = Presets::names().into_iter();
    let with_lists = with_lists.map(pack).filter(|pack| pack.answers.is_some());
    let mut names: Vec<String> = with_lists.map(|pack| pack.name).collect();
    let mut known: Vec<&str> = TABLES.iter().map(|(name, _)| *name).collect();
    names.sort();
    known.sort_unstable();
    assert_eq!(names, known);
}

#[test]
fn mistakes_in_a_list_are_told() {
    for (list, words) in [
        ("{}", "expected a sequence"),
        (r#"[{"when": "a"}]"#, "send"),
        (r#"[{"when": "(", "send": "a"}]"#, "unclosed group"),
        (r#"[{"when": "0xzz", "send": "a"}]"#, "\"when\" \"0xzz\""),
        (r#"[{"when": "a", "send": "{raw}"}]"#, "\"send\" of \"a\""),
    ] {
        let mistake = Answers::parse(list).expect_err(list).to_string();
        assert!(mistake.contains(words), "{list}: {mistake}");
    }
}

#[test]
fn an_answer_that_the_pack_would_not_take_is_not_given() {
    let pack = pack("mbus");
    let stage = Stage::new(&pack.document, &pack.devices).expect("a stage");
    let mut called = Called::new(&stage, "mbus", 0);
    let now = "2026-01-31T12:00:00Z".parse().expect("a moment");
    for wrong in [
        "0x 68 04 04 68 08 04 70 02 7f 16",
        "0x 68 1f 1f 68 00",
        "0x01",
    ] {
        let list = format!(r#"[{{"when": "0x10", "send": "{wrong}"}}]"#);
        let answers = Answers::parse(&list).expect("a list");
        let answered = answers.answer(&stage, &mut called, (&hex("105b015c16"), now));
        assert!(answered.is_err(), "{wrong}");
    }
}
