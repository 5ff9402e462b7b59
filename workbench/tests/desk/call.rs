//! `call`: the module that runs under `up` is asked from another terminal.

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::timeout;

use super::{Desk, PATIENCE};

/// `call`, to its end: its exit code, what it printed, and what it told.
async fn call(socket: &str, more: &[&str]) -> (i32, Value, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_workbench"))
        .args(["call", "--socket", socket])
        .args(more)
        .kill_on_drop(true)
        .output();
    let output = timeout(PATIENCE, output).await.expect("ends in time");
    let output = output.expect("it runs");
    let told = String::from_utf8(output.stderr).expect("text");
    let printed = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code().expect("an end"), printed, told)
}

#[tokio::test]
async fn a_scale_is_asked_through_the_module_by_both_doors() {
    let mut scale = Desk::start(&["simulate", "mt-sics", "--listen", "127.0.0.1:0"]);
    let line = scale.told("listens on ").await;
    let address = line.rsplit(' ').next().expect("an address");
    let settings = json!({
        "outbound": {"scale-07": {"address": address, "protocol": "scale", "device": "scale-07"}},
        "protocols": {"scale": {"preset": "mt-sics@1"}}
    });
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("settings.json");
    std::fs::write(&file, settings.to_string()).expect("written");
    let socket = folder.path().join("calls").display().to_string();
    let file = file.display().to_string();
    let up = ["up", "--json", "--settings", &file, "--socket", &socket];
    let mut desk = Desk::start(&up);
    desk.told(&format!("outbound scale-07: address \"{address}\""))
        .await;
    desk.told(": applied").await;

    let tare = r#"{"device": "scale-07", "command": "tare", "waitUntilConnected": true}"#;
    let (code, answer, told) = call(&socket, &["command", tare]).await;
    assert_eq!(
        (code, &answer["outcome"]),
        (0, &json!("answered")),
        "{told}"
    );
    assert_eq!(answer["values"]["tare"], 0.1, "{answer:#}");

    let nobody = r#"{"device": "scale-08", "command": "tare"}"#;
    let (code, answer, told) = call(&socket, &["command", nobody]).await;
    assert_eq!((code, &answer["outcome"]), (1, &json!("unknownDevice")));
    assert_eq!(told, "workbench: status 404\n");

    let message = ["--input", "commands", tare, "--message-id", "m-1"];
    let (code, _, told) = call(
        &socket,
        &[&message[..], &["--correlation-id", "c-1"]].concat(),
    )
    .await;
    assert_eq!((code, told.as_str()), (0, "queued as message m-1\n"));
    let result = desk.message().await;
    assert_eq!(result["output"], "commandResults", "{result:#}");
    let body = &result["body"];
    assert_eq!(
        [&body["outcome"], &body["messageId"], &body["correlationId"]],
        [&json!("answered"), &json!("m-1"), &json!("c-1")]
    );

    let (code, _, told) = call(&socket, &["command", "{device: 1}"]).await;
    assert_eq!(code, 1);
    assert!(told.contains("the payload is no JSON"), "{told}");

    let mut other = Desk::start(&["hub", "--socket", &socket]);
    other.told("another workbench has it").await;
    assert!(other.asked_to_stop().await.success());

    assert!(desk.asked_to_stop().await.success());
    let (code, _, told) = call(&socket, &["status"]).await;
    assert_eq!(code, 1);
    assert!(told.contains("start `workbench up`"), "{told}");
}

#[tokio::test]
async fn a_socket_that_a_killed_workbench_left_is_taken_over() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("calls");
    drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket"));
    assert!(path.exists(), "nobody took it away");
    let socket = path.display().to_string();
    let mut desk = Desk::start(&["up", "--json", "--socket", &socket]);
    desk.message().await;
    let (code, status, told) = call(&socket, &["status"]).await;
    assert_eq!(code, 0, "{told}");
    assert!(status["version"].is_string(), "{status:#}");
    assert!(desk.asked_to_stop().await.success());
    assert!(!path.exists());
}
