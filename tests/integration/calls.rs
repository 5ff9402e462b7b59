//! The tools' exit codes: what is wrong with the call is told from what is wrong with the settings.

use std::io::Write as _;
use std::process::{Command, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_edge-tcp-gateway");

const SETTINGS: &str = r#"{"listeners": {"l": {"port": 5000, "protocol": "lines"}}, "protocols": {"lines": {
    "framing": {"type": "delimiter", "end": "\n"}, "decode": {"type": "text", "fields": ["word"]}}}}"#;

/// What it answers and prints, and what it complains of.
fn call(words: &str, input: &[u8]) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let wrong = SETTINGS.replace("port", "pot");
    for (name, text) in [("good.json", SETTINGS), ("wrong.json", &wrong)] {
        std::fs::write(folder.path().join(name), text).expect("the folder takes files");
    }
    let mut command = Command::new(PROGRAM);
    command.args(words.split(' ')).current_dir(folder.path());
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
    let mut pipe = child.stdin.take().expect("a pipe");
    let output = std::thread::scope(|scope| {
        // It prints while it reads, and may end without reading.
        scope.spawn(move || drop(pipe.write_all(input)));
        child.wait_with_output().expect("it ends")
    });
    let [out, err] =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into());
    (output.status.code(), out, err)
}

#[test]
fn wrong_calls_are_told_from_mistakes() {
    let decode = "decode --settings good.json --protocol";
    for (words, code, part) in [
        ("check good.json", 0, "ok, no warnings"),
        ("check wrong.json", 1, "did you mean \"port\"?"),
        ("check nowhere.json", 2, "nowhere.json: No such file"),
        ("check good.json --shwo lines", 2, "--show"),
        ("check good.json --show line", 2, "did you mean \"lines\"?"),
        (&format!("{decode} lines --hex 610a"), 0, "\"word\":\"a\""),
        (&format!("{decode} lines --hex 61"), 1, "trouble"),
        (
            "decode --settings wrong.json --protocol lines --hex 610a",
            1,
            "did you mean \"port\"?",
        ),
        (
            &format!("{decode} line --hex 610a"),
            2,
            "did you mean \"lines\"?",
        ),
        (
            &format!("{decode} lines --listener k --hex 610a"),
            2,
            "expected one of l",
        ),
        (&format!("{decode} lines --hex 6"), 2, "--hex: "),
        (
            &format!("{decode} lines nowhere.bin"),
            2,
            "nowhere.bin: No such file",
        ),
        (&format!("{decode} lines ."), 2, ".: is a directory"),
        ("presets gt", 1, "unknown preset"),
    ] {
        let (answer, out, err) = call(words, b"");
        let (said, other) = if code == 2 { (err, out) } else { (out, err) };
        assert_eq!(answer, Some(code), "{words}: {said}{other}");
        assert!(
            said.contains(part) && other.is_empty(),
            "{words}: {said}{other}"
        );
    }
}

#[test]
fn decode_reads_what_is_piped_to_it() {
    let words = "decode --settings good.json --protocol lines --chunk 99999999 -";
    let (answer, out, _) = call(words, &b"word\n".repeat(40_000));
    assert_eq!(answer, Some(0));
    assert_eq!(out.matches("{\"frame\":").count(), 40_000);
}
