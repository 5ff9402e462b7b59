use serde_json::Value;

use super::*;

const SETTINGS: &str = r#"{
    "listeners": {"t": {"port": 5001, "protocol": "gt06"}},
    "outbound": {"cellar": {"address": "10.0.0.11:502", "protocol": "boiler", "units": [1]},
        "attic": {"address": "10.0.0.12:502", "protocol": "boiler", "units": [1], "output": "upstairs"}},
    "protocols": {
        "gt06": {"preset": "gt06@1"},
        "boiler": {"preset": "modbus-tcp@1",
            "registers": ["temperature: i16 at 40001 / 10", "pressure: f32 cdab at 40100", "pump: bool at 00001"],
            "polls": {"all": {"registers": "all", "everyMs": 1000}, "pump": {"registers": ["pump"], "everyMs": 1000}}},
        "secret": {
            "framing": {"type": "delimiter", "end": "\n"},
            "decode": {"type": "csv", "fields": ["number: integer", "id", "key"]},
            "identity": {"field": "id", "scope": "connection", "secret": "key"}
        },
        "meter": {
            "framing": {"type": "length", "length": "u8", "add": 3},
            "checksum": ["xor", "sum8 over 0..-2 at -2"],
            "decode": {"type": "binary", "fields": ["length: u8", "value: u16", "status: u8"]}
        }
    }
}"#;

fn decode(hex: &str) -> (u8, Vec<Value>) {
    decode_as("gt06", hex, None)
}

fn decode_as(protocol: &str, hex: &str, chunk: Option<usize>) -> (u8, Vec<Value>) {
    let (code, text) = try_with(protocol, hex, |arguments| {
        arguments.chunk = chunk.and_then(NonZeroUsize::new);
    })
    .unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    (code, lines.collect())
}

fn try_with(
    protocol: &str,
    hex: &str,
    change: impl FnOnce(&mut Arguments),
) -> io::Result<(u8, String)> {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("settings.json");
    std::fs::write(&settings, SETTINGS).unwrap();
    let mut arguments = Arguments {
        settings,
        protocol: protocol.into(),
        listener: None,
        poll: None,
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        protocols: None,
        explain: false,
        chunk: None,
        hex: Some(hex.into()),
        file: None,
    };
    change(&mut arguments);
    let mut out = Vec::new();
    let code = run(&arguments, crate::clock::Clock::system().now(), &mut out)?;
    Ok((code, String::from_utf8(out).unwrap()))
}

/// What messages of the boiler say, for the bytes in hex, as answers to a poll or as they are.
fn boiler(poll: Option<&str>, hex: &str) -> (u8, Vec<Value>, String) {
    let with = |arguments: &mut Arguments| arguments.poll = poll.map(str::to_owned);
    let (code, text) = try_with("boiler", hex, with).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let mut messages: Vec<Value> = lines.collect();
    messages.retain(|line| line["message"].is_object());
    let bodies = messages.iter().map(|line| line["message"]["body"].clone());
    (code, bodies.collect(), text)
}

#[test]
fn answers_to_polls_are_read_by_their_registers() {
    let temperature = "0001 0000 0005 01 03 02 00d7";
    let pressure = "0002 0000 0007 01 03 04 0000 3fa0";
    let pump = "0003 0000 0004 01 01 01 01";
    let refused = "0004 0000 0003 01 83 02";
    let all = [temperature, pressure, pump, refused].join(" ");
    let (code, bodies, text) = boiler(Some("all"), &all);
    let said = bodies
        .iter()
        .map(|body| (body["type"].as_str().unwrap(), body["values"].clone()));
    assert_eq!(
        said.collect::<Vec<_>>(),
        [
            ("registers", json!({"temperature": 21.5})),
            ("registers", json!({"pressure": 1.25})),
            ("bits", json!({"pump": true})),
            // A refusal says nothing of what was asked; it is read as that of the first request.
            (
                "refused",
                json!({"exception": "illegal data address", "registers": "temperature"})
            ),
        ],
        "{text}"
    );
    assert_eq!(code, 0, "{text}");
    assert_eq!(bodies[0]["device"], "attic/1");
    // Answers to other polls, and what nobody asked for.
    for (poll, hex) in [(Some("pump"), temperature), (None, temperature)] {
        let (code, bodies, text) = boiler(poll, hex);
        assert_eq!((code, bodies.len()), (1, 0), "{text}");
        assert!(
            text.contains("\"unasked\"") && text.contains("--poll"),
            "{text}"
        );
    }
    let wrong = try_with("boiler", pump, |arguments| {
        arguments.poll = Some("pumps".to_owned());
    });
    let wrong = wrong.unwrap_err().to_string();
    assert_eq!(wrong, "unknown poll \"pumps\", did you mean \"pump\"?");
}

#[test]
fn answers_to_polls_are_explained() {
    let (_, text) = try_with("boiler", "0002 0000 0007 01 03 04 0000 3fa0", |arguments| {
        (arguments.poll, arguments.explain) = (Some("all".to_owned()), true);
    })
    .unwrap();
    for part in ["pressure", "1.25"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn the_answer_in_the_guide_is_read_as_it_says() {
    let guide = include_str!("../../docs/modbus.md");
    let settings = guide.split("```json\n").nth(1).unwrap();
    let settings = settings.split("```").next().unwrap();
    let command = guide.split("decode --settings settings.json ").nth(1);
    let words =
        command.and_then(|command| command.strip_prefix("--protocol boiler --poll fast --hex '"));
    let hex = words.and_then(|words| words.split('\'').next()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("guide.json");
    std::fs::write(&file, settings).unwrap();
    let (code, text) = try_with("boiler", hex, |arguments| {
        (arguments.settings, arguments.poll) = (file, Some("fast".to_owned()));
    })
    .unwrap();
    let said = guide.split("Its message says `").nth(1).unwrap();
    let said = said.split('`').next().unwrap();
    assert!(code == 0 && text.contains(said), "{said} in {text}");
}

#[test]
fn entries_of_outbound_are_named_as_listeners_are() {
    let pump = "0003 0000 0004 01 01 01 01";
    let over = |name: &str| {
        let name = name.to_owned();
        try_with("boiler", pump, |arguments| {
            arguments.listener = Some(name);
            arguments.poll = Some("pump".to_owned());
        })
    };
    let (_, text) = over("cellar").unwrap();
    for part in [
        "\"device\":\"cellar/1\"",
        "\"outbound\":\"cellar\"",
        "\"output\":\"telemetry\"",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let (_, text) = over("attic").unwrap();
    assert!(text.contains("\"output\":\"upstairs\""), "{text}");
    let wrong = over("celar").unwrap_err().to_string();
    let expected = "unknown listener or entry of `outbound` \"celar\", did you mean \"cellar\"?";
    assert_eq!(wrong, expected);
}

#[test]
fn the_check_values_of_a_frame_that_is_too_short_are_no_field() {
    let (_, lines) = decode_as("meter", "03 0102 05 0b 0e", None);
    assert_eq!(lines[1]["reading"]["fields"]["status"], 5, "{lines:?}");
    let (code, lines) = decode_as("meter", "02 0102 05 04", None);
    let fields = &lines[1]["reading"]["fields"];
    assert_eq!(
        (code, fields["value"].as_i64(), &fields["status"]),
        (1, Some(0x0102), &Value::Null)
    );
    let why = "status needs 4 bytes of the frame, which has fewer before its check value";
    assert_eq!(lines[1]["reading"]["undecoded"], why, "{lines:?}");
}

#[test]
fn a_login_shows_its_frame_its_device_and_the_reply() {
    let (code, lines) = decode("78780d01 0123456789012345 0001 8cdd 0d0a");
    assert_eq!(code, 0, "{lines:?}");
    let kinds: Vec<_> = lines
        .iter()
        .flat_map(|line| line.as_object().unwrap().keys().take(1))
        .collect();
    assert_eq!(kinds, ["frame", "device", "reply", "closed"]);
    assert_eq!(lines[0]["reading"]["fields"]["imei"], "123456789012345");
    assert_eq!(lines[1]["device"], "123456789012345");
    assert_eq!(lines[2]["reply"], "787805010001d9dc0d0a");
}

#[test]
fn a_wrong_checksum_is_trouble() {
    let (code, lines) = decode("78780d01 0123456789012345 0001 8cde 0d0a");
    assert_eq!(code, 1);
    assert!(
        lines.iter().any(|line| line["trouble"] == "bad_checksum"),
        "{lines:?}"
    );
}

#[test]
fn bytes_that_belong_to_no_frame_are_one_trouble_with_its_reason() {
    let noise = "00".repeat(20);
    let wrong_end = "78780d01 0123456789012345 0001 8cdd 0d0b";
    let good = "78780d01 0123456789012345 0001 8cdd 0d0a";
    let bytes = format!("{noise} {wrong_end} {good} ff");
    let (code, lines) = decode_as("gt06", &bytes, None);
    assert_eq!(code, 1);
    let texts: Vec<_> = lines
        .iter()
        .filter_map(|line| line["text"].as_str())
        .collect();
    assert_eq!(
        texts,
        [
            "20 bytes of no frame skipped: 00000000000000000000000000000000…",
            "the frame does not end as it must: 78780d01012345678901234500018cdd…; 18 bytes skipped",
            "1 byte of no frame skipped: ff",
        ],
    );
    assert_eq!(
        decode_as("gt06", &bytes, NonZeroUsize::MIN.get().into())
            .1
            .len(),
        lines.len()
    );
}

#[test]
fn where_no_bytes_are_shown_it_is_said_so() {
    let (_, lines) = decode_as("secret", "61 2c 78 2c 79 0a", None);
    let texts: Vec<_> = lines
        .iter()
        .filter_map(|line| line["text"].as_str())
        .collect();
    assert!(
        texts[0].starts_with("frame (no bytes shown) not decoded: "),
        "{texts:?}"
    );
}
