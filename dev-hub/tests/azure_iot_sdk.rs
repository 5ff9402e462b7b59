//! The crate `azure_iot_sdk` as a leaf device of the stand-in.

#![expect(clippy::unwrap_used, reason = "what goes wrong in a test fails it")]

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use dev_hub::DevHub;
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(30);

fn program() -> PathBuf {
    #[expect(
        clippy::disallowed_methods,
        reason = "a test has no main that reads the environment"
    )]
    let given = std::env::var("INTEROP_AZURE_IOT_SDK").map(PathBuf::from);
    let built = || {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        workspace.join("interop/azure_iot_sdk/target/debug/leaf-on-azure-iot-sdk")
    };
    let program = given.unwrap_or_else(|_| built());
    assert!(
        program.exists(),
        "there is no {}: ./test.sh builds it",
        program.display()
    );
    program
}

#[tokio::test]
async fn telemetry_of_a_leaf_device() {
    let builder = DevHub::builder().edge_device("edge").leaf_device("leaf");
    let hub = builder
        .address(Ipv4Addr::new(127, 0, 0, 24))
        .port(8883)
        .start()
        .await
        .unwrap();
    let string = hub.leaf_connection_string("leaf").unwrap();
    let (_, key) = string.split_once("SharedAccessKey=").unwrap();
    let mut command = Command::new(program());
    command
        .env_clear()
        .env("GATEWAY_HOST", "127.0.0.24")
        .env("DEVICE_ID", "leaf");
    command
        .env("DEVICE_KEY", key)
        .env("SSL_CERT_FILE", hub.trust_bundle_path());
    let mut leaf = command.stdin(Stdio::piped()).spawn().unwrap();
    let messages = hub.upstream().wait_for_count(3, PATIENCE).await.unwrap();
    // Its standard input ends with this, and so does the program.
    let status = tokio::task::spawn_blocking(move || leaf.wait()).await;
    assert!(status.unwrap().unwrap().success());
    for (number, message) in messages.iter().enumerate() {
        assert_eq!(
            (message.device.as_str(), message.module.as_deref()),
            ("leaf", None)
        );
        assert_eq!(message.json(), Some(json!({ "number": number })));
        assert_eq!(
            message.property("number"),
            Some(number.to_string().as_str())
        );
    }
    assert_eq!(
        hub.counters().telemetry_at_most_once,
        3,
        "the crate knows QoS 0 only"
    );
    hub.stop().await;
}
