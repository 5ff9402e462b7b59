//! The official Azure IoT SDK for Python works against the stand-in: this keeps it honest.
//!
//! The SDK knows no other port than 8883, so each run has a loopback address of its own.

#![expect(clippy::unwrap_used, reason = "what goes wrong in a test fails it")]

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use dev_hub::DevHub;
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(30);

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn python() -> PathBuf {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test has no main that reads the environment"
    )]
    let given = std::env::var("INTEROP_PYTHON").map(PathBuf::from);
    let python = given.unwrap_or_else(|_| workspace().join("target/interop-python/bin/python"));
    assert!(
        python.exists(),
        "there is no {}: ./test.sh installs it",
        python.display()
    );
    python
}

/// Ends the program when the test ends, however it ends.
struct Program(Child);

impl Program {
    fn start(script: &str, environment: Vec<(String, String)>) -> Self {
        let script = workspace().join("interop/python").join(script);
        let mut command = Command::new(python());
        command
            .env_clear()
            .arg(script)
            .envs(environment)
            .stdout(Stdio::null());
        Program(command.spawn().unwrap())
    }

    async fn success(mut self) {
        let wait = tokio::task::spawn_blocking(move || self.0.wait());
        assert!(wait.await.unwrap().unwrap().success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.0.kill());
    }
}

async fn hub(last: u8) -> DevHub {
    let address = Ipv4Addr::new(127, 0, 0, last);
    let builder = DevHub::builder()
        .edge_device("edge")
        .module("sdk")
        .leaf_device("leaf");
    builder.address(address).port(8883).start().await.unwrap()
}

async fn everything_a_module_does(hub: DevHub, environment: Vec<(String, String)>) {
    hub.set_desired("sdk", json!({ "interval": 5 })).unwrap();
    let program = Program::start("sdk_as_module.py", environment);

    let upstream = hub.upstream();
    let telemetry = upstream.wait_for(PATIENCE, |message| {
        message.output.as_deref() == Some("telemetry")
    });
    let telemetry = telemetry.await.unwrap();
    assert_eq!(
        (telemetry.device.as_str(), telemetry.module.as_deref()),
        ("edge", Some("sdk"))
    );
    assert_eq!(telemetry.json(), Some(json!({ "weight": 12.5 })));
    assert_eq!(telemetry.property("unit of weight"), Some("kg & g"));
    assert_eq!(telemetry.message_id(), Some("sdk/1 a"));
    assert_eq!(telemetry.system["$.ct"], "application/json");

    let reported = hub.wait_for_reported("sdk", PATIENCE, |reported| reported["ready"] == true);
    assert_eq!(reported.await.unwrap()["started"], 5, "the twin was read");

    hub.patch_desired("sdk", json!({ "interval": 7 })).unwrap();
    let reported = hub.wait_for_reported("sdk", PATIENCE, |reported| reported["patched"] == 7);
    assert_eq!(reported.await.unwrap()["version"], 3);

    let answer = hub
        .invoke_method("sdk", "ping", Some(json!({ "a": [1] })), PATIENCE)
        .await
        .unwrap();
    assert_eq!(
        (answer.status, answer.payload),
        (200, json!({ "echo": { "a": [1] }, "name": "ping" }))
    );

    hub.send_input("sdk", "commands", &[("kind", "a b/c")], "open")
        .unwrap();
    let echo = upstream.wait_for(PATIENCE, |message| {
        message.output.as_deref() == Some("echo")
    });
    let echo = echo.await.unwrap();
    assert_eq!(
        (&*echo.body, echo.property("input"), echo.property("kind")),
        (&b"open"[..], Some("commands"), Some("a b/c"))
    );

    program.success().await;
    let counters = hub.counters();
    assert_eq!(counters.silent_losses(), 0, "{counters:?}");
    assert_eq!(counters.inputs_consumed, 1, "{counters:?}");
    hub.stop().await;
}

#[tokio::test]
async fn as_a_module_with_the_environment_of_the_runtime() {
    let hub = hub(21).await;
    let environment = hub.module_env("sdk").unwrap();
    everything_a_module_does(hub, environment).await;
}

#[tokio::test]
async fn as_a_module_with_a_connection_string() {
    let hub = hub(22).await;
    let environment = vec![
        (
            "EdgeHubConnectionString".to_owned(),
            hub.module_connection_string("sdk").unwrap(),
        ),
        (
            "EdgeModuleCACertificateFile".to_owned(),
            hub.trust_bundle_path().display().to_string(),
        ),
    ];
    everything_a_module_does(hub, environment).await;
}

#[tokio::test]
async fn as_a_leaf_device() {
    let hub = hub(23).await;
    let environment = vec![
        (
            "DEVICE_CONNECTION_STRING".to_owned(),
            hub.leaf_connection_string("leaf").unwrap(),
        ),
        (
            "TRUST_BUNDLE".to_owned(),
            hub.trust_bundle_path().display().to_string(),
        ),
    ];
    let program = Program::start("sdk_as_leaf.py", environment);
    let messages = hub.upstream().wait_for_count(3, PATIENCE).await.unwrap();
    for (number, message) in messages.iter().enumerate() {
        assert_eq!(
            (message.device.as_str(), message.module.as_deref()),
            ("leaf", None)
        );
        assert_eq!(message.json(), Some(json!({ "number": number })));
    }
    program.success().await;
    assert_eq!(hub.counters().silent_losses(), 0);
    hub.stop().await;
}
