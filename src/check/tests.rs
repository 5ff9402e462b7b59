use std::path::Path;

use super::*;

fn check_text(text: &str, more: &[&str]) -> (u8, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.json");
    std::fs::write(&file, text).unwrap();
    std::fs::write(
        folder.path().join("patch.json"),
        r#"{"listeners": {"a": {"port": 70000}}}"#,
    )
    .unwrap();
    let patch = folder.path().join("patch.json");
    let arguments = Arguments {
        file,
        patch: more.contains(&"--patch").then_some(patch),
        module: None,
        protocols: None,
        show: more.contains(&"--show").then(|| "p".to_owned()),
        json: more.contains(&"--json"),
    };
    let mut out = Vec::new();
    let code = run(&arguments, &mut out).unwrap();
    let printed = String::from_utf8(out).unwrap();
    (
        code,
        printed.replace(&format!("{}/", folder.path().display()), ""),
    )
}

const GOOD: &str = r#"{"desired": {"listeners": {"a": {"port": 5000, "protocol": "p"}},
    "protocols": {"p": {"preset": "gt06@1", "layouts": {"login": {"publish": true}}, "checksum": false}}}}"#;

#[test]
fn the_exit_code_and_the_text_say_what_was_found() {
    assert_eq!(
        check_text(GOOD, &[]),
        (
            0,
            "settings.json: ok, no warnings: 1 listener, 1 protocol, 88 of 32768 bytes of a twin\n"
                .into()
        )
    );
    let (code, text) = check_text(r#"{"desired": {"listeners": {}, "spol": {}}}"#, &[]);
    assert_eq!(
        (code, text.as_str()),
        (
            1,
            "error   /desired/spol: unknown member \"spol\", did you mean \"spool\"?\nsettings.json: 1 error, no warnings\n"
        )
    );
    let (code, text) = check_text("{", &[]);
    assert!(
        code == 1 && text.starts_with("error   /: this is not JSON"),
        "{text}"
    );
}

#[test]
fn a_patch_is_checked_on_its_base() {
    let (code, text) = check_text(GOOD, &["--patch"]);
    assert!(
        code == 1 && text.contains("/desired/listeners/a/port: found the number `70000`"),
        "{text}"
    );
}

#[test]
fn programs_get_json() {
    let (code, text) = check_text(GOOD, &["--json"]);
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (code, &report["ok"], &report["errors"]),
        (0, &true.into(), &serde_json::json!([]))
    );
}

#[test]
fn a_protocol_is_shown_with_where_its_lines_are_from() {
    let (code, text) = check_text(GOOD, &["--show"]);
    assert_eq!(code, 0);
    for line in [
        "preset gt06@1 |   \"identity\": {\"field\":\"imei\",\"scope\":\"connection\"}",
        "settings      |       \"publish\": true,",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is not in\n{text}"
        );
    }
    assert!(!text.contains("checksum\""), "{text}");
}

#[test]
fn a_file_that_is_not_there_is_a_mistake_of_the_command() {
    let arguments = Arguments {
        file: Path::new("/nowhere.json").into(),
        patch: None,
        module: None,
        protocols: None,
        show: None,
        json: false,
    };
    assert!(run(&arguments, &mut Vec::new()).is_err());
}
