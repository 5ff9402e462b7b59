use super::forms::Form;
use super::*;
use proptest::prelude::*;

fn fields() -> Fields {
    let values = [
        ("type", Value::integer(1)),
        ("seq", Value::integer(0x1234)),
        ("id", Value::Text("0358".into())),
        ("name", Value::Text("Zähler".into())),
        ("raw-field", Value::Bytes(b"\xab\xcd"[..].into())),
        ("weight", Value::Float(-2.5)),
        ("time", Value::Text("2024-01-05T12:30:10.5Z".into())),
        ("local", Value::Text("2024-01-05T12:30:10".into())),
        ("count", Value::integer(3)),
        ("usb", Value::integer(4)),
        ("none", Value::Null),
    ];
    let values = values.into_iter();
    values.map(|(name, value)| (name.into(), value)).collect()
}

/// What a template of these fields says when counters have been written so often.
fn render_after(template: &str, times: u64) -> Result<Vec<u8>, MissingField> {
    let template = Template::parse(template).unwrap();
    let mut counters = Memory::default();
    for _ in 0..times {
        counters.advance(template.counter_names());
    }
    let checksum = Algorithm::by_name("modbus").unwrap();
    let context = Context {
        fields: &fields(),
        frame: b"0123456789",
        device: Some("truck-1"),
        arguments: &[("relay".into(), Value::integer(7))].into_iter().collect(),
        now: Some("2026-01-31T12:00:00.0004Z".parse().unwrap()),
        memory: &counters,
        checksum: Some(&checksum),
        caller: None,
        confidential: false,
    };
    template.render(&context)
}

fn render(template: &str) -> Result<Vec<u8>, MissingField> {
    render_after(template, 0)
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
        assert_eq!(render(template), Ok(expected), "{template}");
    }
}

#[test]
fn the_gt06_reply_has_its_checksum() {
    let fields: Fields = [("type", 1), ("seq", 1)]
        .into_iter()
        .map(|(name, value)| (name.into(), Value::integer(value)))
        .collect();
    let reply =
        Template::parse("0x 7878 05 {type: u8} {seq: u16} {crc-16/ibm-sdlc over 2..: u16} 0d0a")
            .unwrap();
    let context = Context {
        fields: &fields,
        frame: b"",
        device: None,
        arguments: &Fields::new(),
        now: None,
        memory: &Memory::default(),
        checksum: None,
        caller: None,
        confidential: false,
    };
    assert_eq!(
        reply.render(&context).unwrap(),
        b"\x78\x78\x05\x01\x00\x01\xd9\xdc\x0d\x0a"
    );
    assert_eq!(reply.field_names().collect::<Vec<_>>(), ["type", "seq"]);
}

#[test]
fn lengths_and_checksums_stand_before_what_they_cover() {
    for (template, expected) in [
        // SIA DC-09: both in front, of the same bytes.
        (
            "\n{crc-16/arc over 9..-1: hexadecimal 4}{length 9..-1: hexadecimal 4}\"ACK\"0007L0#1234[]\r",
            &b"\n04210012\"ACK\"0007L0#1234[]\r"[..],
        ),
        // A trailing checksum covers a length in front of it.
        ("0x {length 1..-1: u8} 6162 {xor: u8}", b"\x02ab\x01"),
        // Header and body each have their own, and the last covers the one in front (EGTS).
        (
            "0x 01 {sum8 over 0..1: u8} 02 {sum8 over 2..: u8}",
            b"\x01\x01\x02\x02",
        ),
        (
            "0x 01 {sum8 over 2..3: u8} 02 {sum8 over 0..: u8}",
            b"\x01\x02\x02\x05",
        ),
        (
            "0x {sum8 over 1..3: u8} 02 {sum8 over 1..2: u8}",
            b"\x04\x02\x02",
        ),
        // Its own place counts as zero.
        ("0x 01 {sum8 over 0..3: u8} 02", b"\x01\x03\x02"),
        // JT/T 808, GB/T 32960.
        (
            "0x 8001 0005 013912345678 0000 007e 0200 00 {xor: u8}",
            b"\x80\x01\x00\x05\x01\x39\x12\x34\x56\x78\x00\x00\x00\x7e\x02\x00\x00\xc8",
        ),
        (
            "$GPGLL,5057.970,N,00146.110,E,142451,A*{nmea}\r\n",
            b"$GPGLL,5057.970,N,00146.110,E,142451,A*27\r\n",
        ),
        ("$A*{nmea: hexadecimal 2}", b"$A*41"),
        ("7992739871{luhn}", b"79927398713"),
        ("X7992739871{luhn over 1..: u8}", b"X7992739871\x03"),
        // Cut to what its place can hold.
        ("ab{sum8: decimal 2}", b"ab95"),
        ("ab{sum8: bcd 1}", b"ab\x95"),
        ("ab{sum8-negated & 0x7f: u8}", b"ab\x3d"),
        (
            "0x010300000001{modbus over 0..: u16le}",
            b"\x01\x03\x00\x00\x00\x01\x84\x0a",
        ),
        (
            "0x010300000001{checksum over 0..: u16le}",
            b"\x01\x03\x00\x00\x00\x01\x84\x0a",
        ),
        // A plain word without `over` is a field.
        ("{usb}{'count'}", b"43"),
    ] {
        assert_eq!(render(template).as_deref(), Ok(expected), "{template}");
    }
}

#[test]
fn times_are_written_as_devices_want_them() {
    for (template, expected) in [
        ("{now}", &b"2026-01-31T12:00:00Z"[..]),
        ("{now zone +08:00}", b"2026-01-31T20:00:00+08:00"),
        ("{now time %Y%m%d%H%M%S}", b"20260131120000"),
        ("{now zone +08:00 time '%d.%m.%y %H:%M'}", b"31.01.26 20:00"),
        ("{now time %H%M zone -0330}", b"0830"),
        ("{now unix: u32}", b"\x69\x7d\xee\xc0"),
        ("{now unix - 946684800: u32}", b"\x31\x10\xab\x40"),
        ("{now unixms: u64}", b"\x00\x00\x01\x9c\x13\xec\x9e\x00"),
        ("{now unix}", b"1769860800"),
        ("{now:ymdhms}", b"\x1a\x01\x1f\x0c\x00\x00"),
        ("{now zone +08:00: bcdtime}", b"\x26\x01\x31\x20\x00\x00"),
        ("{time: ymdhms}", b"\x18\x01\x05\x0c\x1e\x0a"),
        ("{time unixms}", b"1704457810500"),
        ("{local zone +01:00: bcdtime}", b"\x24\x01\x05\x13\x30\x10"),
        ("{time zone +01:00 time %H:%M}", b"13:30"),
    ] {
        assert_eq!(
            render(&template.replace("%H:%M}", "'%H:%M'}")).unwrap(),
            expected,
            "{template}"
        );
    }
}

#[test]
fn counters_go_on_from_zero_and_wrap_with_their_type() {
    for (template, times, expected) in [
        ("{count tx: u8}", 0, &b"\x00"[..]),
        ("{count tx: u8}", 255, b"\xff"),
        ("{count tx: u8}", 256, b"\x00"),
        ("{count tx + 1: u8}", 255, b"\x00"),
        ("{count tx: decimal 2}", 101, b"01"),
        ("{count tx: hexadecimal 1}", 31, b"F"),
        ("{count tx: bcd 1}", 100, b"\x00"),
        ("{count tx}", 300, b"300"),
        // Both holes are one rendering; another name is another counter.
        ("{count tx: u8}{count tx: u8}", 1, b"\x01\x01"),
        // IEC 60870-5-104 counts in 15 bits above one that is 0.
        ("{count tx * 2: u16le}", 0x8000, b"\x00\x00"),
        ("{count tx * 2: u16le}", 0x7fff, b"\xfe\xff"),
    ] {
        assert_eq!(
            render_after(template, times).unwrap(),
            expected,
            "{template} {times}"
        );
    }
    let mut counters = Memory::default();
    counters.advance(["a"].into_iter());
    counters.advance(["b", "a"].into_iter());
    assert_eq!(["a", "b", "c"].map(|name| counters.next(name)), [2, 1, 0]);
}

#[test]
fn texts_and_floats_have_their_bytes() {
    for (template, expected) in [
        ("{id: ascii 6}|", &b"0358\0\0|"[..]),
        ("{name: utf8 8}|", b"Z\xc3\xa4hler\0|"),
        ("{seq: ascii 4}", b"4660"),
        ("{id -2..: ascii 2}", b"58"),
        ("{weight: f32}", b"\xc0\x20\x00\x00"),
        ("{weight: f64le}", b"\x00\x00\x00\x00\x00\x00\x04\xc0"),
        ("{id: f32le}", b"\x00\x00\xb3\x43"),
    ] {
        assert_eq!(render(template).as_deref(), Ok(expected), "{template}");
    }
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
        ("{id: ascii 3}", "id"),
        ("{name: ascii 9}", "name"),
        ("{id: ymdhms}", "id"),
        ("{seq unix}", "seq"),
        ("x{luhn}", "luhn"),
        ("{nmea}", "nmea"),
        ("{id}{sum8 over 9..: u8}", "sum8"),
        (
            "0x{sum8 over 1..3: u8}{xor over 0..: u8}{sum8 over 0..3: u8}",
            "sum8",
        ),
    ] {
        assert_eq!(
            render(template),
            Err(MissingField { name: name.into() }),
            "{template}"
        );
    }
}

#[test]
fn holes_know_what_they_cannot_write() {
    let text = |text: &str| Value::text(text);
    for (hole, value, expected) in [
        ("{unit}", text("x"), None),
        ("{unit: u8}", text("255"), None),
        ("{unit: u8}", Value::Bool(true), None),
        (
            "{unit: u8}",
            text("256"),
            Some(Some("a whole number from 0 to 255")),
        ),
        (
            "{unit: i16le}",
            text("x"),
            Some(Some("a whole number from -32768 to 32767")),
        ),
        ("{unit & 0xff: u8}", text("256"), None),
        ("{unit + 1: u8}", text("255"), Some(None)),
        ("{unit: bcd 1}", text("100"), Some(Some("1 to 2 digits"))),
        (
            "{unit: utf8 2}",
            text("abc"),
            Some(Some("a text of at most 2 bytes")),
        ),
        ("{unit 0..2: utf8 2}", text("abc"), None),
        ("{unit: f32}", text("x"), Some(Some("a number"))),
        ("{unit: bcdtime}", text("x"), Some(Some("a time"))),
        (
            "{unit: decimal until ','}",
            text("x"),
            Some(Some("a whole number")),
        ),
        ("{other: u8}", text("x"), None),
    ] {
        let template = Template::parse(hole).unwrap();
        let misfit = template.misfit("unit", &value);
        let expected = expected.map(|expected| Misfit {
            hole: hole.to_owned(),
            expected: expected.map(str::to_owned),
        });
        assert_eq!(misfit, expected, "{hole}");
    }
}

#[test]
fn ranges_of_bytes_that_may_come_are_taken() {
    for (template, expected) in [
        ("{length 0..-1 + 1: u8}abc", &b"\x04abc"[..]),
        ("{id}{length 0..: u8}", b"0358\x04"),
        ("0x 02 {length 2..-1: u8} 03", b"\x02\0\x03"),
    ] {
        assert_eq!(render(template).as_deref(), Ok(expected), "{template}");
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
        ("a{now %Y}", 7, "step"),
        ("a{now time %!}", 12, "format"),
        ("a{now time}", 11, "format"),
        ("a{now zone 8: u8}", 12, "offset"),
        ("a{seq zone +08:00: u8}", 3, "zone"),
        ("a{now unix: ymdhms}", 3, "without steps"),
        ("a{count}", 8, "counter's name"),
        ("a{count + 1: u8}", 9, "counter's name"),
        ("a{count tx: hex}", 3, "hexadecimal"),
        ("a{crc-32: hex}", 3, "fixed width"),
        ("a{checksum over 2..}", 3, "fixed width"),
        ("a{nmea over 1..}", 8, "itself"),
        ("a{seq: ascii}", 13, "how many"),
        ("a{seq: bcdtim}", 8, "bcdtime"),
        ("a{seq zon +08:00}", 7, "zone"),
        ("{\"a\":1}", 6, "a brace in text is written `{{`"),
        ("a{\n \"a\": {}}", 10, "a brace in text is written `{{`"),
        ("a{}", 3, "a brace in text is written `{{`"),
        ("a{seq ** 2}", 7, "step"),
        ("a{length 0..-1}", 3, "needs a type"),
        ("{}", 2, "expected a field"),
        ("a{now: unix}", 8, "`unix` is a step"),
        ("a{seq u16le}", 7, "`u16le` is a type"),
        ("a{seq: u96}", 8, "bytes"),
        ("a{raw 4..4: hex}", 7, "always empty"),
        ("a{id -2..-3}", 6, "always empty"),
        ("{length 0..: u16}", 9, "`0..-1 + 1`"),
        ("0x{seq: u8} {length 1..: u16} 00", 21, "stands before it"),
        ("ab{modbus over 2..}{id}", 16, "stands before it"),
        ("{crc-16/arc}{id}", 2, "stands before it"),
        ("{checksum over 4..: u16}", 16, "stands before it"),
        ("abc{sum8 over 2..9: u8}", 15, "4 bytes"),
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
    fn any_template_renders_or_is_refused(text in "(0x|text:)?([{}]|seq|id|: |u16|raw |length |xor over |now |count tx|nmea|luhn|zone \\+08:00|time %H|unix|ymdhms|bcd 2|-?[0-9]|\\.\\.|')*") {
        fuzz(text.as_bytes());
    }

    /// What a template writes with a checksum is what a checksum of the same words finds good.
    #[test]
    fn a_rendered_frame_has_a_good_checksum(
        name in prop::sample::select(vec!["crc-16/modbus", "crc-8/smbus", "crc-24/ble", "crc-32/iscsi", "crc-64/xz",
            "xor", "sum8-negated", "sum16-inverted", "fletcher-16", "adler-32"]),
        form in prop::sample::select(vec!["u8", "u16", "u16le", "u64", "decimal 3", "hexadecimal 4", "bcd 2"]),
        before: [u8; 3],
        behind: [u8; 3],
    ) {
        let hex = |bytes: [u8; 3]| bytes.map(|byte| format!("{byte:02x}")).concat();
        let width = Form::parse(form).unwrap().width().unwrap();
        let (head, tail) = (hex(before), hex(behind));
        for (template, checksum) in [
            (format!("0x{head}{{{name} over 1..: {form}}}{tail}"), format!("{name} over 1..3 at 3 as {form}")),
            (format!("0x{head}{{{name} over {}..: {form}}}{tail}", -2), format!("{name} over 1..3 at 3 as {form}")),
            (format!("0x{head}{{{name} over 0..3: {form}}}{tail}"), format!("{name} over 0..3 at 3 as {form}")),
            (format!("0x{{{name} over -6..-1: {form}}}{head}{tail}"), format!("{name} over {width}..-1 at 0 as {form}")),
        ] {
            let frame = render(&template).unwrap();
            let checksum = crate::checksum::Checksum::parse(&checksum).unwrap();
            prop_assert!(checksum.verify(&frame).is_ok(), "{}", template);
        }
    }
}
