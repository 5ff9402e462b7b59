//! Each pack's frames under other identities.

use std::collections::BTreeSet;
use std::path::Path;

use edge_tcp_gateway::settings::Presets;
use proptest::prelude::*;

use super::{pack, shown};
use crate::simulate::cast::{Cast, Line, Script};
use crate::simulate::pack::Pack;
use crate::simulate::stage::Stage;

/// The names of three devices, and the frames that each says once and again and again.
const CASTS: [(&str, [&str; 3], [usize; 2]); 28] = [
    ("astm", [""; 3], [0, 3]),
    ("barcode", [""; 3], [0, 2]),
    ("contact-id", ["1234", "1235", "1236"], [0, 2]),
    ("dc09", ["1234", "1235", "1236"], [0, 1]),
    ("dnp3", ["1024", "1025", "1026"], [0, 6]),
    ("fins", [""; 3], [0, 2]),
    (
        "galileosky",
        ["868204001549087", "868204001549088", "868204001549089"],
        [1, 4],
    ),
    (
        "gbt32960",
        [
            "LSVAA49J132047371",
            "LSVAA49J132047372",
            "LSVAA49J132047373",
        ],
        [0, 2],
    ),
    (
        "gt06",
        ["123456789012345", "123456789012346", "123456789012347"],
        [1, 2],
    ),
    (
        "h02",
        ["355488020113911", "355488020113912", "355488020113913"],
        [0, 3],
    ),
    ("hl7", ["MON1", "MON2", "MON3"], [0, 1]),
    ("iec104", [""; 3], [0, 7]),
    (
        "jt808",
        ["013912345678", "013912345679", "013912345680"],
        [0, 7],
    ),
    ("mbus", ["12345678", "12345679", "12345680"], [0, 1]),
    (
        "meitrack",
        ["867047043162018", "867047043162019", "867047043162020"],
        [0, 2],
    ),
    ("modbus-rtu", [""; 3], [0, 3]),
    ("modbus-tcp", [""; 3], [0, 4]),
    ("mt-sics", [""; 3], [0, 3]),
    ("nmea", [""; 3], [0, 4]),
    (
        "queclink",
        ["868487004353181", "868487004353182", "868487004353183"],
        [0, 3],
    ),
    (
        "ruptela",
        ["863071016796572", "863071016796573", "863071016796574"],
        [0, 1],
    ),
    ("s7", [""; 3], [0, 2]),
    ("stomp", ["press-7", "press-8", "press-9"], [1, 4]),
    ("syslog", ["h1", "h2", "h3"], [0, 2]),
    (
        "teltonika",
        ["123456789012345", "123456789012346", "123456789012347"],
        [1, 4],
    ),
    (
        "tk103",
        ["013612345678", "013612345679", "013612345680"],
        [0, 5],
    ),
    ("toledo", [""; 3], [0, 2]),
    (
        "wialon-ips",
        ["123456789012345", "123456789012346", "123456789012347"],
        [1, 13],
    ),
];

fn scripts(name: &str, count: u32) -> Vec<Script> {
    let pack = pack(name);
    let scripts = Cast::new(&pack).and_then(|cast| cast.scripts(&pack, count));
    scripts.unwrap_or_else(|error| panic!("{name}: {error:#}"))
}

#[test]
fn three_devices_of_each_pack_have_three_names_where_frames_say_one() {
    for (name, names, [opening, cycle]) in CASTS {
        let scripts = scripts(name, 3);
        let found = scripts.iter();
        let found: Vec<&str> = found
            .map(|script| script.name.as_deref().unwrap_or_default())
            .collect();
        assert_eq!(found, names, "{name}");
        for script in &scripts {
            let counts = [script.opening.len(), script.cycle.len()];
            assert_eq!(counts, [opening, cycle], "{name}");
        }
    }
}

#[test]
fn every_pack_that_is_shipped_can_be_played() {
    let names = Presets::names().into_iter();
    let names: Vec<&str> = names.filter_map(|name| name.split('@').next()).collect();
    assert_eq!(CASTS.map(|(name, ..)| name).to_vec(), names);
    for name in names {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../protocols");
        let folder = folder.join(name);
        let of_folder = Pack::open(&folder.display().to_string()).expect("a folder of a pack");
        let shipped = pack(name);
        assert_eq!(of_folder.name, name);
        assert_eq!(of_folder.streams, shipped.streams, "{name}");
        assert_eq!(of_folder.answers, shipped.answers, "{name}: simulate.json");
    }
}

/// The first device is the golden one: its frames are those that were captured, byte by byte.
#[test]
fn the_first_device_says_the_golden_frames() {
    for (name, names, _) in CASTS.iter().filter(|(_, names, _)| !names[0].is_empty()) {
        let first = scripts(name, 1).remove(0);
        let golden: Vec<u8> = pack(name).streams.concat();
        let login = first.opening.last().unwrap_or(&first.cycle[0]);
        let found = memchr::memmem::find(&golden, &login.wire).is_some();
        assert!(found, "{name}: {}", shown(&login.wire));
        assert_eq!(first.name.as_deref(), Some(names[0]));
    }
}

#[test]
fn another_identity_and_its_check_value_are_all_that_differs() {
    // The check values were computed by another program.
    for (name, second) in [
        ("gt06", "78780d010123456789012346000163b90d0a"),
        ("teltonika", "000f313233343536373839303132333436"),
        (
            "mbus",
            "681f1f680802727956341224400107550000000313153100da023b13018b60043718021916",
        ),
        ("dnp3", ""),
        ("syslog", ""),
    ] {
        let scripts = scripts(name, 2);
        let [golden, line] = [0, 1].map(|number| {
            let script: &Script = &scripts[number];
            script.opening.first().unwrap_or(&script.cycle[0])
        });
        if !second.is_empty() {
            assert_eq!(shown(&line.wire), second, "{name}");
        }
        let differ = golden.wire.iter().zip(&line.wire);
        let differ = differ.filter(|(golden, own)| golden != own).count();
        assert_eq!(line.wire.len(), golden.wire.len(), "{name}");
        assert!((1..=4).contains(&differ), "{name}: {differ} bytes");
    }
}

#[test]
fn a_thousand_devices_have_a_thousand_names() {
    for name in ["gt06", "gbt32960", "dnp3"] {
        let scripts = scripts(name, 1000);
        let names: BTreeSet<_> = scripts.iter().map(|script| &script.name).collect();
        assert_eq!(names.len(), 1000, "{name}");
    }
}

#[test]
fn an_identity_that_has_no_room_for_so_many_is_told() {
    let pack = pack("syslog");
    let cast = Cast::new(&pack).expect("a cast");
    let scripts = cast.scripts(&pack, 189).expect("from h1 to z9");
    assert_eq!(scripts[188].name.as_deref(), Some("z9"));
    let refused = cast.scripts(&pack, 190).expect_err("no room");
    assert!(format!("{refused:#}").contains("no room"), "{refused:#}");
}

#[test]
fn each_line_says_what_the_gateway_answers_and_how_many_messages_come_of_it() {
    let numbers = |lines: &[Line]| -> Vec<(usize, usize)> {
        lines
            .iter()
            .map(|line| (line.reply, line.messages))
            .collect()
    };
    let gt06 = scripts("gt06", 2).remove(1);
    assert_eq!(numbers(&gt06.opening), [(10, 0)]);
    assert_eq!(numbers(&gt06.cycle), [(0, 1), (10, 0)]);
    let teltonika = scripts("teltonika", 2).remove(1);
    assert_eq!(numbers(&teltonika.opening), [(1, 0)]);
    assert_eq!(teltonika.cycle[0].reply, 4);
    let jt808 = scripts("jt808", 2).remove(1);
    let messages: usize = jt808.cycle.iter().map(|line| line.messages).sum();
    assert_eq!(messages, 4, "a position, a batch of two, an answer");
}

#[test]
fn a_pack_that_nothing_can_be_made_of_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("written");
    };
    let path = folder.path().display().to_string();
    let open = || Pack::open(&path);
    assert!(format!("{:#}", open().expect_err("empty")).contains("protocol.json"));
    write(
        "protocol.json",
        r#"{"framing": {"type": "delimiter", "end": "\n"}}"#,
    );
    let cast = open().and_then(|pack| Cast::new(&pack).map(drop));
    assert!(format!("{:#}", cast.expect_err("no streams")).contains("golden"));
    write("golden-1.json", r#"{"streams": [{"bytes": ["a\n"]}]}"#);
    let pack = open().expect("a pack");
    let cast = Cast::new(&pack).expect("a cast");
    assert_eq!(cast.scripts(&pack, 1).expect("scripts")[0].cycle.len(), 1);
    let unknown = Pack::open("gt07").expect_err("no such pack");
    assert!(unknown.to_string().contains("\"gt06\""), "{unknown}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever its number, a device's frames are read as its own and with nothing else changed.
    #[test]
    fn any_device_is_read_as_itself(which in 0..CASTS.len(), number in 0_u32..40) {
        let (name, names, _) = CASTS[which];
        prop_assume!(!names[0].is_empty());
        let pack = pack(name);
        let stage = Stage::new(&pack.document, &pack.devices).expect("a stage");
        let cast = Cast::new(&pack).expect("a cast");
        let scripts = cast.scripts(&pack, number + 1).expect("scripts");
        let lines = |script: &Script| -> Vec<Line> {
            [&script.opening[..], &script.cycle].concat()
        };
        let (first, last) = (&scripts[0], &scripts[scripts.len() - 1]);
        prop_assert_eq!(number == 0, first.name == last.name);
        for (golden, own) in lines(first).iter().zip(lines(last)) {
            let [golden, own] = [&golden.wire, &own.wire].map(|wire| stage.received(wire));
            prop_assert_eq!(golden.len(), 1);
            prop_assert_eq!(own.len(), 1);
        }
    }
}
