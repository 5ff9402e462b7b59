use serde_json::Value;

use super::*;

const SETTINGS: &str = r#"{
    "listeners": {"t": {"port": 5001, "protocol": "gt06"}},
    "protocols": {
        "gt06": {"preset": "gt06@1"},
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
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("settings.json");
    std::fs::write(&settings, SETTINGS).unwrap();
    let arguments = Arguments {
        settings,
        protocol: protocol.into(),
        listener: None,
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        protocols: None,
        explain: false,
        chunk: chunk.and_then(NonZeroUsize::new),
        hex: Some(hex.into()),
        file: None,
    };
    let mut out = Vec::new();
    let code = run(&arguments, crate::clock::Clock::system().now(), &mut out).unwrap();
    let lines = std::str::from_utf8(&out).unwrap().lines();
    (
        code,
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
    )
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
