//! A leaf device on the crate `azure_iot_sdk` 0.8: sends telemetry.
//!
//! The crate knows no gateway host: what it calls the hub's host name is where it connects to, and
//! what its token is for. It knows no certificate authority of its own either, so `SSL_CERT_FILE`
//! names the gateway's root. It sends with QoS 0.
//!
//! It stays connected until its standard input ends: the crate does not say goodbye, and what a
//! process that is gone has sent with QoS 0 may be lost.
//!
//! Environment: `GATEWAY_HOST`, `DEVICE_ID`, `DEVICE_KEY`, `SSL_CERT_FILE`.

use std::io::Read as _;
use std::process::ExitCode;

use azure_iot_sdk::{DeviceKeyTokenSource, IoTHubClient, Message};

const MESSAGES: usize = 3;

#[tokio::main]
async fn main() -> ExitCode {
    match send().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot send telemetry: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn send() -> azure_iot_sdk::Result<()> {
    let host = std::env::var("GATEWAY_HOST")?;
    let device = std::env::var("DEVICE_ID")?;
    let key = std::env::var("DEVICE_KEY")?;
    let token = DeviceKeyTokenSource::new(&host, &device, &key)
        .map_err(|error| format!("the key cannot be used: {error:?}"))?;
    let mut client = IoTHubClient::new(&host, device, token).await?;
    for number in 0..MESSAGES {
        // The crate panics on a property value with a space.
        let message = Message::builder()
            .set_body(format!("{{\"number\":{number}}}").into_bytes())
            .set_message_id(format!("{number}-leaf"))
            .add_message_property("number".into(), number.to_string())
            .build();
        client.send_message(message).await?;
    }
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
