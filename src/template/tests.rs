use super::*;
use proptest::prelude::*;

fn render(template: &str) -> Result<Vec<u8>, MissingField> {
    let fields: Fields = [
        ("type", Value::Integer(1)),
        ("seq", Value::Integer(0x1234)),
        ("id", Value::Text("0358".into())),
        ("raw-field", Value::Bytes(b"\xab\xcd"[..].into())),
        ("none", Value::Null),
    ]
    .into_iter()
    .map(|(name, value)| (name.into(), value))
    .collect();
    let context = Context {
        fields: &fields,
        frame: b"0123456789",
        device: Some("truck-1"),
        arguments: &[("relay".into(), Value::Integer(7))].into_iter().collect(),
        caller: None,
    };
    Template::parse(template).unwrap().render(&context)
}

#[test]
fn text_and_hex_with_holes() {
    for (template, expected) in [
        ("", &b""[..]),
        ("OK\r\n", b"OK\r\n"),
        ("{{a}", b"{a}"),
        ("text:0x{id}", b"0x0358"),
        ("*{id -2..},{seq}#", b"*58,4660#"),
        ("{device}/{arg relay}", b"truck-1/7"),
        ("a{0x0d 0a}", b"a\r\n"),
        ("{seq: hexadecimal 6}", b"001234"),
        ("{seq: decimal 5}", b"04660"),
        ("{raw 2..4}{raw -1..: hex}", b"23" as &[u8]),
        ("{seq + 1: u16}{type * 3 - 1: u8}", b"\x12\x35\x02"),
        (
            "0x 02 {seq: u16le} {id: bcd 3} 03",
            b"\x02\x34\x12\x00\x03\x58\x03",
        ),
        ("0x{raw-field}{raw-field 0..1}", b"\xab\xcd\xab"),
        ("0x {length 2..-1: u16} 616263 00", b"\x00\x03abc\x00"),
        ("$A*{xor over 1..: hexadecimal 2}", b"$A*6B"),
    ] {
        let expected = if template.ends_with(": hex}") {
            b"2339".to_vec()
        } else {
            expected.to_vec()
        };
        assert_eq!(render(template).unwrap(), expected, "{template}");
    }
}

#[test]
fn the_gt06_reply_has_its_checksum() {
    let fields: Fields = [("type", 1), ("seq", 1)]
        .into_iter()
        .map(|(name, value)| (name.into(), Value::Integer(value)))
        .collect();
    let reply =
        Template::parse("0x 7878 05 {type: u8} {seq: u16} {crc-16/ibm-sdlc over 2..: u16} 0d0a")
            .unwrap();
    let arguments = Fields::new();
    let context = Context {
        fields: &fields,
        frame: b"",
        device: None,
        arguments: &arguments,
        caller: None,
    };
    assert_eq!(
        reply.render(&context).unwrap(),
        b"\x78\x78\x05\x01\x00\x01\xd9\xdc\x0d\x0a"
    );
    assert_eq!(reply.field_names().collect::<Vec<_>>(), ["type", "seq"]);
}

#[test]
fn what_is_missing_has_a_name() {
    for (template, name) in [
        ("{nothing}", "nothing"),
        ("{none}", "none"),
        ("{seq: u8}", "seq"),
        ("{id: bcd 1}", "id"),
        ("{arg other}", "arg other"),
        ("{raw 4..40}", "raw"),
    ] {
        assert_eq!(
            render(template),
            Err(MissingField { name: name.into() }),
            "{template}"
        );
    }
}

#[test]
fn mistakes_have_their_column() {
    for (template, column, part) in [
        ("a{b", 2, "not closed"),
        ("0x 78 {seq} 7", 13, "hex digit"),
        ("0x 7g", 5, "hex digit"),
        ("a{seq: u17}", 8, "bytes"),
        ("a{seq: u166}", 8, "bytes"),
        ("a{seq: dezimal 3}", 8, "did you mean"),
        ("a{crc-16/ibm-sdcl over 2..}", 3, "crc-16/ibm-sdlc"),
        ("a{now %Y}", 3, "not available"),
        ("a{seq ** 2}", 7, "step"),
        ("a{length 0..-1}", 3, "needs a type"),
        ("{}", 2, "expected a field"),
    ] {
        let error = Template::parse(template).unwrap_err();
        assert_eq!(error.column, column, "{template}: {error}");
        assert!(error.message.contains(part), "{template}: {error}");
    }
}

proptest! {
    #[test]
    fn text_without_braces_is_itself(text in "[^{]*") {
        prop_assume!(!text.starts_with("0x") && !text.starts_with("text:"));
        prop_assert_eq!(render(&text).unwrap(), text.as_bytes());
    }

    #[test]
    fn any_template_renders_or_is_refused(text in "(0x|text:)?([{}]|seq|id|: |u16|raw |length |xor over |-?[0-9]|\\.\\.|')*") {
        fuzz(text.as_bytes());
    }
}
