use super::*;
use proptest::prelude::*;

fn fields() -> Fields {
    let text = |text: &str| Value::text(text);
    let pairs = [
        ("type", Value::integer(18)),
        ("head", text("V1")),
        ("weight", Value::Float(1.5)),
        ("count", text("12")),
        ("north", Value::Bool(true)),
        ("south", Value::Bool(false)),
        ("none", Value::Null),
        ("empty", text("")),
        ("raw", Value::Bytes(b"\x01\x02"[..].into())),
    ];
    pairs
        .into_iter()
        .map(|(name, value)| (name.into(), value))
        .collect()
}

#[test]
fn clauses_on_fields_and_frame() {
    let frame = b"\x78\x78\x05\x01\x00";
    for (condition, expected) in [
        ("type", true),
        ("missing", false),
        ("!missing", true),
        ("none", false),
        ("empty", false),
        ("north", true),
        ("!north", false),
        ("south", false),
        ("south = false", true),
        ("type = 18", true),
        ("type=0x12", true),
        ("type = 1|2|18", true),
        ("type = 16..18", true),
        ("type = 1..17|19..20", false),
        ("type != 18", false),
        ("type != 19", true),
        ("missing != 19", false),
        ("!type = 19", true),
        ("type & 2 = 2", true),
        ("type & 1", false),
        ("head & 1", false),
        ("type < 19", true),
        ("type < 18", false),
        ("type > 17.5", true),
        ("head = V1", true),
        ("head = 'V1'|'H B'", true),
        ("head = v1", false),
        ("head > 3", false),
        ("weight > 1", true),
        ("weight = 1.5", true),
        ("count > 11", true),
        ("count = 012", false),
        ("raw = 0x0102", true),
        ("length = 5", true),
        ("length > 5", false),
        ("u16 at 0 = 0x7878", true),
        ("u8 at -1", false),
        ("u8 at 2 & 4 and type = 18", true),
        ("u8 at 2 = 5 and type = 17", false),
        ("u32 at 3 = 1", false),
        ("!u32 at 3 = 1", true),
    ] {
        let condition = Condition::parse(condition, Endian::Big)
            .map(|parsed| (condition, parsed))
            .unwrap();
        assert_eq!(
            condition.1.holds(&fields(), frame),
            expected,
            "{}",
            condition.0
        );
    }
}

#[test]
fn a_prefix_decides_as_soon_as_it_can() {
    for (condition, prefix, expected) in [
        ("u16 at 0 = 0x7878", &b"\x78"[..], None),
        ("u16 at 0 = 0x7878", b"\x78\x78", Some(true)),
        ("u8 at 0 = 49..57", b"5", Some(true)),
        ("u8 at 0 = 49..57", b"<", Some(false)),
        ("!u8 at 0 = 49..57", b"<", Some(true)),
        ("u8 at 0 = 1 and u8 at 9", b"\x02", Some(false)),
        ("u8 at 9 and u8 at 0 = 1", b"\x02", Some(false)),
        ("u8 at 0 = 2 and u8 at 9", b"\x02", None),
        ("decimal 2 at 0 > 3", b"ab", Some(false)),
        ("length = 3", b"abc", None),
    ] {
        let parsed = Condition::parse(condition, Endian::Big).unwrap();
        assert_eq!(parsed.on_prefix(prefix), expected, "{condition}");
    }
}

#[test]
fn knows_what_it_needs() {
    for (condition, whole, names) in [
        ("u8 at 0 = 1", false, &[][..]),
        ("u8 at -1 = 1", true, &[]),
        ("length = 1", true, &[]),
        ("a = 1 and !b", true, &["a", "b"]),
    ] {
        let condition = Condition::parse(condition, Endian::Big).unwrap();
        assert_eq!(condition.needs_whole_frame(), whole);
        assert_eq!(condition.field_names().collect::<Vec<_>>(), names);
    }
}

#[test]
fn mistakes_have_their_column() {
    for (condition, column) in [
        ("", 1),
        ("type =", 7),
        ("type = |", 8),
        ("type < a", 8),
        ("type = a..b", 8),
        ("type = 1|9..8", 10),
        ("!type != 1..0x0", 10),
        ("u8 = 3", 1),
        ("type & x = 3", 8),
        ("type = 3 or b", 10),
        ("type == 3", 7),
        ("type = 3 and", 13),
    ] {
        let error = Condition::parse(condition, Endian::Big).unwrap_err();
        assert_eq!(error.column, column, "{condition}: {error}");
    }
}

proptest! {
    #[test]
    fn any_condition_on_any_frame(words in "(!|a|type|u8|at|-?[0-9]|and|=|<|&|\\||\\.\\.| ){0,12}", frame: Vec<u8>) {
        if let Ok(condition) = Condition::parse(&words, Endian::Little) {
            let whole = condition.holds(&fields(), &frame);
            if let Some(known) = condition.on_prefix(&frame) {
                prop_assert_eq!(known, whole);
            }
        }
    }
}

#[test]
fn a_condition_is_written_as_it_is_read() {
    for (condition, written) in [
        ("type", "type"),
        ("!missing", "!missing"),
        ("type=0x12", "type = 0x12"),
        ("type = 1|2|18", "type = 1|2|18"),
        ("type != 1..17|19..20", "type != 1..17|19..20"),
        ("type & 2 = 2", "type & 0x2 = 2"),
        (
            "head = 'a b' and length > 17.5",
            "head = 'a b' and length > 17.5",
        ),
        ("head = '1..2'|'it''s'|''", "head = '1..2'|'it''s'|''"),
        ("u16le at 2 & 0x7fff < 9", "u16le at 2 & 0x7fff < 9"),
        ("decimal until ' ' at 0 = 5", "decimal until ' ' at 0 = 5"),
        ("hexadecimal 2 at -4", "hexadecimal 2 at -4"),
        (
            "'length' and 'u8' and 'decimal'",
            "'length' and 'u8' and 'decimal'",
        ),
        ("'my field' = 1", "'my field' = 1"),
    ] {
        let read = Condition::parse(condition, Endian::Big).unwrap();
        assert_eq!(read.to_string(), written);
        assert_eq!(Condition::parse(written, Endian::Big), Ok(read));
    }
}

#[test]
fn fields_are_found_where_a_condition_names_them() {
    for (condition, field, column) in [
        ("knd = 3", "knd", Some(1)),
        ("a = knd and !knd", "knd", Some(14)),
        ("é = 1 and 'my field'!=2", "my field", Some(11)),
        ("unit={unit} and seq = {count seq}", "seq", Some(17)),
        ("u8 at 2 = 3 and b", "b", Some(17)),
        ("a = b", "b", None),
        ("'", "a", None),
    ] {
        assert_eq!(
            Condition::column_of(condition, field),
            column,
            "{condition}"
        );
    }
}
