use serde_json::Value;

use super::*;

const SETTINGS: &str = r#"{"listeners": {"t": {"port": 5001, "protocol": "gt06"}}, "protocols": {"gt06": {"preset": "gt06@1"}}}"#;

fn decode(hex: &str) -> (u8, Vec<Value>) {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("settings.json");
    std::fs::write(&settings, SETTINGS).unwrap();
    let arguments = Arguments {
        settings,
        protocol: "gt06".into(),
        listener: None,
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        protocols: None,
        explain: false,
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
