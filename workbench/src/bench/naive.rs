//! The yardstick: what a gateway is when somebody writes one in an afternoon. No spool, no TLS, no settings.

use std::net::Ipv4Addr;
use std::time::Duration;

use edge_tcp_gateway::clock::Clock;
use rumqttc::{AsyncClient, EventLoop, MqttOptions, QoS};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The options of the naive gateway.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Options {
    #[arg(long)]
    port: u16,
    /// Where the sink speaks plain MQTT.
    #[arg(long)]
    broker: u16,
}

/// Forwards lines as messages until standard input ends.
///
/// # Errors
/// When the port is taken.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
    let (client, mut tasks) = connect(options.broker);
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let forwarding = forward(accepted?.0, client.clone());
                tasks.spawn(async { drop(forwarding.await) });
            }
            line = super::part::next_line() => return line.map(drop).map_err(Into::into),
        }
    }
}

/// A client of the sink, and the task that drives it.
pub fn connect(broker: u16) -> (AsyncClient, JoinSet<()>) {
    let mut mqtt = MqttOptions::new("edge-device/naive", "127.0.0.1", broker);
    mqtt.set_inflight(100);
    let (client, mut events) = AsyncClient::new(mqtt, 100);
    events.network_options.set_tcp_nodelay(true);
    let mut tasks = JoinSet::new();
    tasks.spawn(drive(events));
    (client, tasks)
}

async fn drive(mut events: EventLoop) {
    loop {
        if events.poll().await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

async fn forward(stream: TcpStream, client: AsyncClient) -> anyhow::Result<()> {
    let prefix = format!("{:x}", stream.peer_addr()?.port());
    let mut lines = BufReader::new(stream).lines();
    let mut count = 0_u64;
    while let Some(line) = lines.next_line().await? {
        count += 1;
        let values: Value = serde_json::from_str(&line)?;
        let device = values["id"].as_str().unwrap_or_default().to_owned();
        let id = format!("{prefix}-{count}");
        publish(&client, (&id, &device), &values).await?;
    }
    Ok(())
}

/// Publishes values of a device as a message of that id.
///
/// # Errors
/// When the client has ended.
pub async fn publish(
    client: &AsyncClient,
    (id, device): (&str, &str),
    values: &Value,
) -> anyhow::Result<()> {
    let received = Clock::system().now().utc;
    let received = format!("{received:.3}");
    let topic = format!(
        "devices/edge-device/modules/naive/messages/events/$.mid={id}&$.ct=application%2Fjson\
         &$.ce=utf-8&$.on=telemetry&device={device}&protocol=lines&iothub-creation-time-utc={}",
        received.replace(':', "%3A")
    );
    let message = json!({
        "id": id, "device": device, "protocol": "lines", "listener": "lines",
        "received": received, "values": values
    });
    let body = serde_json::to_vec(&message)?;
    client.publish(topic, QoS::AtLeastOnce, false, body).await?;
    Ok(())
}
