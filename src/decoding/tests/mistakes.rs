//! What is wrong in decoders and layouts is said with its place.

use serde_json::json;

use super::gt06;
use crate::decoding::{Problems, Section, read};

#[test]
fn scripts_are_called_for_whole_frames() {
    let bare = json!({"type": "binary", "fields": ["a: u8"]});
    let calls = json!({"type": "binary", "fields": ["b: u8"], "script": "change"});
    let says = json!({"type": "script"});
    for (decode, layout, pointer) in [
        (
            json!({"type": "binary", "fields": ["p: bytes 2 with l"]}),
            &calls,
            "/l/script",
        ),
        (
            json!({"type": "binary", "fields": ["p: bytes 2 with l"]}),
            &says,
            "/l/type",
        ),
        (
            json!({"type": "script", "fields": ["p: with l"]}),
            &json!({"fields": []}),
            "/l",
        ),
        (
            json!({"type": "binary", "fields": ["p: repeat 2 l"]}),
            &calls,
            "/l/script",
        ),
        (
            json!({"type": "tlv", "tag": "u8", "size": "u8", "cases": [[1, "l"]]}),
            &calls,
            "/l/script",
        ),
        // Read by frames too: it is wrong all the same.
        (
            json!({"type": "binary", "fields": ["a: u8", "p: bytes 2 with l"],
                "select": {"by": "a", "cases": [[1, "l"]]}}),
            &calls,
            "/l/script",
        ),
        (
            json!({"type": "binary", "fields": ["a: u8"], "select": {"by": "a", "cases": [[1, "l"]]}}),
            &calls,
            "",
        ),
        (
            json!({"type": "binary", "fields": ["p: bytes 2 with l"]}),
            &bare,
            "",
        ),
    ] {
        let layouts = json!({"l": layout});
        let mut problems = Problems::new();
        read(
            Some(&Section::root(&decode)),
            Some(&Section::root(&layouts)),
            &mut problems,
        );
        let found: Vec<_> = problems
            .as_slice()
            .iter()
            .map(|found| found.pointer.as_str())
            .collect();
        let expected: Vec<_> = Some(pointer)
            .into_iter()
            .filter(|pointer| !pointer.is_empty())
            .collect();
        assert_eq!(found, expected, "{decode} {layout}");
    }
}

#[test]
fn mistakes_point_into_their_string() {
    let decode = json!({"type": "binary", "endian": "middle", "fields": [
        "a: u17", "b: u8 enun 1=2", "c", "d: repeat 3 laiout", "e: u8 with x", "f: number", "g: u8 / 0", "h: u8 if = 3",
        "i: u16 at -1", "j: u8 zone 8x", "k: u8 bits", "l: ascii", "m: dm",
        "n: cstr", "o: sm17", "p: mac 6", "q: u32 epoch 2000", "r: join", "s: u32 dm 12", "t: ascii 3 prefix ''", "u: ascii 2 hexadezimal",
        "v: u8 neg !", "w: u8 neg a =", "x: u8 neg = S", "y: u8 neg a != S"],
        "select": {"by": "a", "cases": [[1, "lay"], [null, "layout"]]}});
    let layouts =
        json!({"layout": {"feilds": [], "reply": 3}, "r": {"type": "regex", "pattern": "("}});
    let mut problems = Problems::new();
    assert!(
        read(
            Some(&Section::root(&decode)),
            Some(&Section::root(&layouts)),
            &mut problems
        )
        .is_none()
    );
    let found: Vec<_> = problems
        .as_slice()
        .iter()
        .map(|p| (p.pointer.as_str(), p.column, p.message.as_str()))
        .collect();
    for (pointer, column, part) in [
        ("/endian", None, "middle"),
        ("/fields/0", Some(4), "whole number of bytes"),
        ("/fields/1", Some(7), "did you mean \"enum\""),
        ("/fields/2", Some(1), "name: type"),
        ("/fields/3", Some(13), "did you mean \"layout\""),
        ("/fields/4", Some(12), "unknown layout \"x\""),
        ("/fields/5", Some(4), "is a step on what has been read"),
        ("/fields/6", Some(9), "divided by 0"),
        ("/fields/7", Some(10), "expected"),
        ("/fields/8", Some(11), "behind the end"),
        ("/fields/9", Some(12), "offset"),
        ("/fields/10", Some(11), "bits"),
        ("/fields/11", Some(9), "how many bytes"),
        ("/fields/12", Some(4), "`ascii N dm`"),
        ("/fields/13", Some(4), "`ascii until 0x00`"),
        ("/fields/14", Some(4), "did you mean \"sm16\""),
        ("/fields/15", Some(8), "unknown step \"6\""),
        ("/fields/16", Some(14), "expected a date such as"),
        ("/fields/17", Some(8), "the fields to join"),
        ("/fields/18", Some(11), "from 0 to 9"),
        ("/fields/19", Some(19), "nothing"),
        ("/fields/20", Some(12), "did you mean \"hexadecimal\""),
        ("/fields/21", Some(12), "field that negates"),
        ("/fields/22", Some(14), "expected a value"),
        ("/fields/23", Some(11), "found `=`"),
        ("/fields/24", Some(13), "`!=` is part of a condition"),
        ("/select/cases/0/1", None, "layout"),
        ("/select/cases/1/0", None, "null"),
        ("/layout/feilds", None, "did you mean"),
        ("/layout/reply", None, "name of a reply"),
        ("/r/pattern", None, "pattern"),
    ] {
        let hit = found
            .iter()
            .any(|(p, c, m)| *p == pointer && *c == column && m.contains(part));
        assert!(hit, "{pointer} {column:?} {part} in {found:#?}");
    }
}

/// What a field string says of its value is known before a frame comes.
#[test]
fn steps_that_can_never_work_are_mistakes() {
    let layouts = json!({"l": {"type": "json"}});
    let found = |kind: &str, field: &str| {
        let fields = [format!("a: {field}")];
        let decode = match kind {
            "regex" => json!({"type": kind, "pattern": "(?P<a>.*)", "fields": fields}),
            _ => json!({"type": kind, "fields": fields}),
        };
        let mut problems = Problems::new();
        let layouts = Section::root(&layouts);
        read(Some(&Section::root(&decode)), Some(&layouts), &mut problems);
        let problem = problems.as_slice().first().cloned();
        problem.map(|problem| (problem.column.unwrap_or_default(), problem.message))
    };
    for (kind, field, column, part) in [
        ("binary", "hex 4 - 1", 10, "`integer`"),
        ("binary", "bcd 2 / 10", 10, "is a text"),
        ("binary", "ascii until , unix", 18, "`time FORMAT`"),
        ("binary", "u32 ltrim 0", 8, "put `text` before it"),
        ("binary", "u32 time %Y", 8, "`unixms`"),
        ("binary", "u8 unhex", 7, "a whole number"),
        ("binary", "u32 / 10 & 3", 13, "do it before that"),
        ("binary", "f32 bits on@0", 8, "whole numbers"),
        ("binary", "bytes 4 * 2", 12, "such as `u32`"),
        ("binary", "bytes 4 hexadecimal", 12, "`hex N`"),
        ("binary", "u16 with l", 8, "`bytes N`"),
        ("binary", "u8 unix unix", 12, "texts"),
        ("binary", "ymdhms + 1", 11, "is a text"),
        ("binary", "repeat 2 'hex 2 + 1'", 20, "is a text"),
        ("binary", "const x * 2", 12, "is a text"),
        ("binary", "join a a & 2", 13, "is a text"),
        ("csv", "* 2", 4, "`number`"),
        ("csv", "number & 3", 11, "a fraction"),
        ("csv", "repeat rest 'integer upper'", 25, "put `text`"),
        ("regex", "bool trim 0", 9, "true or false"),
        ("key-value", "integer time %Y", 12, "`unix`"),
        ("text", "bits a@0", 4, "whole numbers"),
        ("json", "integer upper", 12, "put `text`"),
    ] {
        let message = found(kind, field).unwrap_or_default();
        let hit = message.0 == column && message.1.contains(part);
        assert!(hit, "{kind} {field}: {message:?}");
    }
    for (kind, field) in [
        ("binary", "hex 4 hexadecimal - 1"),
        ("binary", "bcd 2 integer / 10"),
        ("binary", "u32 text ltrim 0"),
        ("binary", "u32 hexadecimal"),
        ("binary", "u8 enum 1=a upper"),
        ("binary", "bytes 4 with l"),
        ("binary", "hex rest unhex with l"),
        ("binary", "u16 / 10 round 1 - 40"),
        ("binary", "cp24 / 1000"),
        ("csv", "dm"),
        ("csv", "round 1"),
        ("json", "* 2 & 3"),
        ("json", "ltrim 0"),
    ] {
        assert_eq!(found(kind, field), None, "{kind} {field}");
    }
}

#[test]
fn names_that_nothing_sets_are_mistakes() {
    let decode = json!({"type": "binary", "fields": ["north: u8", "a: u8 neg !nort", "b: ascii nn", "c: u8 if typ = 1"],
        "select": {"by": "kind", "cases": []}});
    let mut problems = Problems::new();
    assert!(read(Some(&Section::root(&decode)), None, &mut problems).is_none());
    let found: Vec<_> = problems
        .as_slice()
        .iter()
        .map(|p| p.pointer.as_str())
        .collect();
    assert_eq!(found, ["/fields/1", "/fields/2", "/fields/3", "/select/by"]);
    assert!(
        problems.as_slice()[0]
            .message
            .contains("did you mean \"north\"")
    );
}

#[test]
fn replies_and_outputs_are_known() {
    let gt06 = gt06();
    let replies: Vec<_> = gt06
        .replies()
        .map(|(layout, reply)| (&**layout, &**reply))
        .collect();
    assert_eq!(replies, [("login", "ok"), ("status", "ok")]);
    assert_eq!(gt06.outputs().count(), 0);
    assert!(gt06.field_names().unwrap().contains(&"north"));
}

#[test]
fn a_mistake_that_layouts_inherit_is_said_once() {
    for (decode, pointer) in [
        (json!({"type": "csv", "separator": ""}), "/separator"),
        (json!({"type": "csv", "quote": "ab"}), "/quote"),
        (json!({"type": "key-value", "equals": "0x3"}), "/equals"),
    ] {
        let layouts = json!({"a": {"fields": ["x"]}, "b": {"fields": ["y"]}});
        let (decode, layouts) = (Section::root(&decode), Section::root(&layouts));
        let mut problems = Problems::new();
        assert!(read(Some(&decode), Some(&layouts), &mut problems).is_none());
        let found = problems.as_slice().iter().map(|found| &*found.pointer);
        assert_eq!(found.collect::<Vec<_>>(), [pointer]);
    }
}

#[test]
fn bits_are_some_of_the_number() {
    for (field, wrong) in [
        ("flags: u16 bits p@0 q@15", None),
        ("flags: u16 bits p@8:8", None),
        (
            "flags: u16 bits p@0 q@16",
            Some((21, "bit 16 is none of the 16 bits")),
        ),
        (
            "flags: u8 bits x@16",
            Some((16, "bit 16 is none of the 8 bits")),
        ),
        (
            "flags: u16 bits p@9:8",
            Some((17, "bit 16 is none of the 16 bits")),
        ),
        (
            "flags: i8 null 0 bits 'a b'@8",
            Some((23, "bit 8 is none of the 8 bits")),
        ),
        ("flags: u16 >> 8 bits p@7", None),
        (
            "flags: u16 >> 8 bits p@8",
            Some((22, "bit 8 is none of the 8 bits")),
        ),
        ("flags: u32 cdab bits p@31", None),
        (
            "flags: u32 cdab bits p@32",
            Some((22, "bit 32 is none of the 32 bits")),
        ),
        // What another number becomes is not known.
        ("flags: u8 * 256 bits p@15", None),
        ("flags: hexadecimal 2 bits p@15", None),
    ] {
        let decode = json!({"type": "binary", "fields": [field]});
        let mut problems = Problems::new();
        read(Some(&Section::root(&decode)), None, &mut problems);
        let found = problems.as_slice().first();
        let found = found.map(|found| (found.column.unwrap(), found.message.as_str()));
        match (found, wrong) {
            (None, None) => {}
            (Some((at, message)), Some((column, part))) => {
                assert_eq!(at, column, "{field}");
                assert!(message.contains(part), "{field}: {message}");
            }
            _ => panic!("{field}: {found:?}"),
        }
    }
}
