//! A thousand devices that are dialled and polled each second: what a poll costs, what a device takes
//! of memory, and how the requests are spread over the second.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::bail;
use edge_tcp_gateway::southbound::raise_open_files;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::line::monotonic;
use super::measure::Process;
use super::naive;
use super::part::{Part, next_line, tell};
use super::report::{Goal, Outcome};
use super::rig::{NotAvailable, Rig};
use crate::say;

const FEW: u32 = 100;
const MANY: u32 = 1000;
/// What a process has open besides.
const SPARE: u64 = 100;
/// From the first dial until every device is polled at its own moment.
const SETTLE: Duration = Duration::from_secs(12);
/// Of a second, by when in it a request comes.
const SLOTS: usize = 100;
const SLOT_NANOS: u64 = 10_000_000;
const SECOND_NANOS: u64 = 1_000_000_000;
/// Transaction, protocol, length, unit, function, address, count.
const REQUEST: usize = 12;

/// The module decodes, keeps and encrypts what the other does not.
const RATIO: f64 = 1.5;
const BYTES_PER_DEVICE: f64 = 8192.0;
const BUSIEST_SHARE: f64 = 0.04;

/// The options of the yardstick.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Naive {
    /// Where the devices are.
    #[arg(long)]
    port: u16,
    #[arg(long)]
    connections: u32,
    /// Where the sink speaks plain MQTT.
    #[arg(long)]
    broker: u16,
}

/// What the devices have seen.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
struct Seen {
    open: u32,
    polls: u64,
    slots: Vec<u32>,
}

/// What one gateway costs while it polls.
#[derive(Debug)]
struct Cost {
    resident: u64,
    micros: f64,
    rate: f64,
    busiest: f64,
}

/// The module beside a naive poller in the same minutes.
///
/// # Errors
/// When a part fails, or the module does not have what this asks for.
pub async fn run(time: Duration) -> anyhow::Result<Outcome> {
    let limit = raise_open_files()?;
    if limit.is_some_and(|limit| limit < u64::from(2 * MANY) + SPARE) {
        let needed = 2 * MANY;
        let why = format!("it needs {needed} open files, ulimit -n allows less");
        bail!(NotAvailable(why));
    }
    let few = module(FEW, time).await?;
    let many = module(MANY, time).await?;
    let naive = yardstick(MANY, time).await?;
    let each = many.resident.saturating_sub(few.resident) / u64::from(MANY - FEW);
    let each = u32::try_from(each).map_or(f64::INFINITY, f64::from);
    let ratio = many.micros / naive.micros;
    let figures = [
        ("devices", json!(MANY)),
        ("pollsPerSecond", json!(many.rate)),
        ("microsecondsPerPoll", json!(many.micros)),
        ("naivePollsPerSecond", json!(naive.rate)),
        ("naiveMicrosecondsPerPoll", json!(naive.micros)),
        ("residentBytes", json!(many.resident)),
        ("bytesPerDevice", json!(each)),
        ("shareOfBusiest10Ms", json!(many.busiest)),
    ];
    let figures = figures.map(|(name, value)| (name.to_owned(), value));
    Ok(Outcome {
        figures: Map::from_iter(figures),
        goals: vec![
            Goal::new("processor time per poll, module to naive", ratio, RATIO),
            Goal::new("bytes per device that is polled", each, BYTES_PER_DEVICE),
            Goal::new(
                "share of the busiest 10 ms of a second",
                many.busiest,
                BUSIEST_SHARE,
            ),
        ],
        ..Outcome::default()
    })
}

async fn module(devices: u32, time: Duration) -> anyhow::Result<Cost> {
    let (mut meters, port) = start_meters().await?;
    let rig = Rig::with_settings(settings(devices, port)).await?;
    let cost = measure(&mut meters, &rig.process, devices, time).await?;
    say(format_args!(
        "polled: {devices} devices, {} resident bytes, {:.1} µs a poll",
        cost.resident, cost.micros
    ));
    rig.end().await?;
    meters.end().await?;
    Ok(cost)
}

async fn yardstick(devices: u32, time: Duration) -> anyhow::Result<Cost> {
    let (mut meters, port) = start_meters().await?;
    let rig = Rig::with_settings(settings(0, port)).await?;
    let arguments = [
        ("--port", port.to_string()),
        ("--connections", devices.to_string()),
        ("--broker", rig.plain.to_string()),
    ];
    let poller = Part::start("naive-poller", &arguments)?;
    let process = Process::new(poller.id())?;
    let cost = measure(&mut meters, &process, devices, time).await?;
    say(format_args!("polled: naive, {:.1} µs a poll", cost.micros));
    poller.end().await?;
    rig.end().await?;
    meters.end().await?;
    Ok(cost)
}

async fn start_meters() -> anyhow::Result<(Part, u16)> {
    let mut meters = Part::start("meters", &[])?;
    let port = meters.said().await?["port"].as_u64().unwrap_or_default();
    Ok((meters, u16::try_from(port)?))
}

async fn measure(
    meters: &mut Part,
    process: &Process,
    devices: u32,
    time: Duration,
) -> anyhow::Result<Cost> {
    let mut open = 0;
    for _ in 0..60 {
        sleep(Duration::from_millis(500)).await;
        open = seen(meters, "report").await?.open;
        if open >= devices {
            break;
        }
    }
    if open < devices {
        let why = format!("{open} of {devices} devices are dialled");
        bail!(NotAvailable(why));
    }
    sleep(SETTLE).await;
    let before = process.cpu()?;
    seen(meters, "reset").await?;
    let begin = monotonic();
    sleep(time).await;
    let seen = seen(meters, "report").await?;
    let used = process.cpu()?.since(&before);
    let seconds = Duration::from_nanos(monotonic().saturating_sub(begin)).as_secs_f64();
    let polls = u32::try_from(seen.polls).map_or(f64::INFINITY, f64::from);
    let busiest = seen.slots.iter().max().copied().unwrap_or_default();
    Ok(Cost {
        resident: process.resident()?,
        micros: Duration::from_nanos(used).as_secs_f64() * 1e6 / polls,
        rate: polls / seconds,
        busiest: f64::from(busiest) / polls,
    })
}

async fn seen(meters: &mut Part, words: &str) -> anyhow::Result<Seen> {
    Ok(serde_json::from_value(meters.ask(words).await?)?)
}

fn settings(devices: u32, port: u16) -> Value {
    let mut settings = json!({
        "schemaVersion": 1,
        "listeners": {},
        "protocols": {"meter": {
            "preset": "modbus-tcp@1",
            "registers": ["power: u32 at 40001"],
            "polls": {"power": {"everyMs": 1000, "registers": "all"}}
        }}
    });
    if devices > 0 {
        let address = |device| (format!("d{device:04}"), json!(format!("127.0.0.1:{port}")));
        let addresses: Map<_, _> = (0..devices).map(address).collect();
        settings["outbound"] =
            json!({"meters": {"protocol": "meter", "units": [1], "addresses": addresses}});
    }
    settings
}

/// The devices: Modbus TCP servers of two registers, all on one port, until standard input ends.
///
/// # Errors
/// When there is no port.
pub async fn meters() -> anyhow::Result<()> {
    raise_open_files()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    tell(&json!({"port": listener.local_addr()?.port()}))?;
    let seen = Arc::new(Mutex::new(Seen::default()));
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let stream = accepted?.0;
                let seen = Arc::clone(&seen);
                tasks.spawn(async move {
                    with(&seen, |seen| seen.open += 1);
                    // However it ends, it is not open any more.
                    drop(answer(stream, &seen).await);
                    with(&seen, |seen| seen.open -= 1);
                });
            }
            line = next_line() => {
                let Some(words) = line? else { return Ok(()) };
                if words == "reset" {
                    with(&seen, |seen| (seen.polls, seen.slots) = (0, vec![0; SLOTS]));
                }
                tell(&with(&seen, |seen| serde_json::to_value(seen))?)?;
            }
        }
    }
}

fn with<T>(seen: &Mutex<Seen>, change: impl FnOnce(&mut Seen) -> T) -> T {
    change(&mut seen.lock().unwrap_or_else(PoisonError::into_inner))
}

async fn answer(mut stream: TcpStream, seen: &Mutex<Seen>) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut request = [0; REQUEST];
    loop {
        stream.read_exact(&mut request).await?;
        let slot = usize::try_from(monotonic() % SECOND_NANOS / SLOT_NANOS)?;
        with(seen, |seen| {
            seen.polls += 1;
            if let Some(slot) = seen.slots.get_mut(slot) {
                *slot += 1;
            }
        });
        let [transaction, other, _, _, _, _, unit, ..] = request;
        let answer = [transaction, other, 0, 0, 0, 7, unit, 3, 4, 0, 0, 1, 2];
        stream.write_all(&answer).await?;
    }
}

/// The yardstick: a task for each device that asks, reads and publishes, until standard input ends.
///
/// # Errors
/// When a device is not there.
pub async fn naive_poller(options: Naive) -> anyhow::Result<()> {
    raise_open_files()?;
    let (client, mut tasks) = naive::connect(options.broker);
    for device in 0..options.connections {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, options.port)).await?;
        let client = client.clone();
        tasks.spawn(async move {
            drop(poll(stream, device, options.connections, client).await);
        });
    }
    while next_line().await?.is_some() {}
    Ok(())
}

async fn poll(
    mut stream: TcpStream,
    device: u32,
    devices: u32,
    client: rumqttc::AsyncClient,
) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let second = Duration::from_secs(1);
    sleep(second * device / devices).await;
    let mut pace = tokio::time::interval(second);
    let name = format!("d{device:04}");
    for transaction in 0_u16.. {
        pace.tick().await;
        let [high, low] = transaction.to_be_bytes();
        stream
            .write_all(&[high, low, 0, 0, 0, 6, 1, 3, 0, 0, 0, 2])
            .await?;
        let mut answer = [0; 13];
        stream.read_exact(&mut answer).await?;
        let [.., a, b, c, d] = answer;
        let power = u32::from_be_bytes([a, b, c, d]);
        let id = format!("{name}-{transaction}");
        naive::publish(&client, (&id, &name), &json!({ "power": power })).await?;
    }
    Ok(())
}
