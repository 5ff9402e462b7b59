//! What is proposed is valid, for the program that checks it.

use std::fs;
use std::path::PathBuf;

use edge_tcp_gateway::check;
use serde_json::json;

use super::super::{Options, run, trial};
use super::{find, stretch};

fn lines() -> Vec<Vec<u8>> {
    let line = |index: usize| format!("S S {:>9}.{:02} kg\r\n", index * 3, index * 7 % 100);
    (0..12).map(|index| line(index).into_bytes()).collect()
}

fn checked(file: PathBuf) -> (u8, String) {
    let arguments = check::Arguments {
        file,
        patch: None,
        module: None,
        protocols: None,
        show: None,
        json: false,
    };
    let mut out = Vec::new();
    let code = check::run(&arguments, &mut out).expect("it can be read");
    (code, String::from_utf8(out).expect("text"))
}

#[test]
fn what_is_written_passes_the_check() {
    let folder = tempfile::tempdir().expect("a folder");
    let capture = folder.path().join("capture.bin");
    fs::write(&capture, lines().concat()).expect("written");
    let written = folder.path().join("settings.json");
    let options = Options {
        captures: vec![capture],
        raw: true,
        port: None,
        direction: None,
        max_bytes: 1 << 20,
        seconds: 600,
        write: Some(written.clone()),
        json: true,
    };
    run(&options).expect("it finds something");
    let (code, out) = checked(written);
    assert_eq!(code, check::CLEAN, "{out}");
}

#[test]
fn every_proposal_passes_the_check() {
    let folder = tempfile::tempdir().expect("a folder");
    let finding = find(&[stretch(&lines(), true)]);
    assert_eq!(
        finding.proposals[0].document,
        json!({ "framing": { "type": "delimiter", "end": "\r\n" } })
    );
    for (index, proposal) in finding.proposals.iter().enumerate() {
        let file = folder.path().join(format!("{index}.json"));
        fs::write(&file, trial::settings(&proposal.document).to_string()).expect("written");
        let (code, out) = checked(file);
        assert_eq!(code, check::CLEAN, "{out}");
    }
}
