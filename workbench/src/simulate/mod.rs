//! `simulate`: plays the devices of a protocol, which connect to a gateway or are called by it.

mod answers;
mod cast;
mod device;
mod faults;
mod modbus;
mod options;
mod pack;
mod rename;
mod server;
mod stage;
mod tally;
#[cfg(test)]
mod tests;

use std::future::pending;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use edge_tcp_gateway::clock::Clock;
use edge_tcp_gateway::southbound::raise_open_files;
use fastrand::Rng;
use tokio::net::lookup_host;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

use self::answers::Answers;
use self::cast::{Cast, Script};
use self::device::Device;
use self::faults::{Fault, Faults};
use self::modbus::Transport;
use self::pack::Pack;
use self::server::{Host, Speech};
use self::tally::{Played, Tally, Totals, counted};
use crate::{say, stop};

pub use self::options::{EXAMPLES, Options};

/// How often it says how far it is.
const PROGRESS: Duration = Duration::from_secs(5);
/// The faults' rate if none is said.
const USUAL_RATE: f64 = 0.01;

/// Plays the devices until it is asked to stop.
///
/// # Errors
/// When the command asks for what the pack does not have, a port cannot be opened, or a device never
/// got a connection.
pub async fn run(options: Options) -> anyhow::Result<()> {
    // Every device is an open file.
    if let Err(error) = raise_open_files() {
        say(format_args!("the limit of open files stays: {error}"));
    }
    options.check()?;
    let pack = Pack::open(&options.pack)?;
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    match (&options.to, options.listen) {
        (Some(to), None) => call(&options, &pack, to, seed).await,
        (None, Some(address)) => be_called(&options, &pack, address, seed).await,
        _ => bail!("say where the devices connect to (--to), or where they listen (--listen)"),
    }
}

/// Plays devices that connect.
async fn call(options: &Options, pack: &Pack, to: &str, seed: u64) -> anyhow::Result<()> {
    let cast = Cast::new(pack).with_context(|| pack.name.clone())?;
    let count = options.devices.unwrap_or(1);
    let scripts = cast.scripts(pack, count);
    let scripts = scripts.with_context(|| pack.name.clone())?;
    let faults = faults(options, |fault| refuse_of_senders(fault, &cast, pack))?;
    let first_address = match cast.has_names() {
        true => None,
        false => own_addresses(to, count).await,
    };
    tell_devices(pack, &scripts, first_address);
    tell_secrets(pack, &cast);
    say(format_args!(
        "{} to {to}, a frame each {:?}, seed {seed}",
        counted(count.into(), "device"),
        options.every
    ));
    let terms = Arc::new(device::Terms {
        to: to.to_owned(),
        every: options.every,
        jitter: options.jitter,
        frames: options.frames,
        faults,
        stage: cast.into_stage(),
        tally: Tally::default(),
    });
    let (stopping, stop) = watch::channel(false);
    let mut rng = Rng::with_seed(seed);
    let mut devices = JoinSet::new();
    for (script, number) in scripts.into_iter().zip(0..) {
        let from = first_address.map(|first| Ipv4Addr::from(u32::from(first) + number));
        let device = Device {
            terms: Arc::clone(&terms),
            script,
            from,
            rng: rng.fork(),
            stop: stop.clone(),
        };
        devices.spawn(device.play());
    }
    let count = devices.len();
    let mut played: Vec<(Option<String>, Played)> = Vec::new();
    let all = async {
        while let Some(ended) = devices.join_next().await {
            played.push(ended?);
        }
        anyhow::Ok(())
    };
    tokio::select! {
        stopped = until_stopped(options, || terms.tally.line(count, false)) => stopped?,
        all = all => all?,
    }
    stopping.send_replace(true);
    played.extend(devices.join_all().await);
    let mut totals = terms.tally.totals(&pack.name, seed, count);
    let never = played.iter().filter(|(_, played)| played.connections == 0);
    let never = never.count();
    let named = played
        .into_iter()
        .filter_map(|(name, played)| Some((name?, played)));
    totals.by_device = named.collect();
    tell_totals(options, &totals, &terms.tally.last_line(count, false))?;
    match never {
        0 => Ok(()),
        never => {
            let why = terms.tally.why_not_connected();
            let why = why.map_or_else(String::new, |why| format!(": {why}"));
            bail!("{never} of {count} devices never got a connection to {to}{why}")
        }
    }
}

/// Plays devices that are called.
async fn be_called(
    options: &Options,
    pack: &Pack,
    address: SocketAddr,
    seed: u64,
) -> anyhow::Result<()> {
    let speech = speech(options, pack)?;
    let faults = faults(options, |fault| refuse_of_called(fault, &speech, pack))?;
    let terms = Arc::new(server::Terms {
        pack: pack.name.clone(),
        speech,
        stage: stage::Stage::new(&pack.document, &pack.devices)?,
        faults,
        every: options.every,
        clock: Clock::system(),
        tally: Tally::default(),
    });
    let (stopping, stop) = watch::channel(false);
    let mut rng = Rng::with_seed(seed);
    let mut hosts = JoinSet::new();
    let ports = options.ports.unwrap_or(1);
    for number in 0..ports {
        // Port 0 is any, each time another.
        let port = match address.port() {
            0 => Some(0),
            port => port.checked_add(number),
        };
        let port = port.context("there are no more ports behind 65535")?;
        let address = SocketAddr::new(address.ip(), port);
        let host = Host::bind(&terms, address, number.into(), rng.u64(..)).await?;
        say(format_args!("{} listens on {}", pack.name, host.address()?));
        hosts.spawn(host.serve(stop.clone()));
    }
    if let Speech::Modbus(_, units) = &terms.speech {
        let units: Vec<String> = units.iter().map(u8::to_string).collect();
        say(format_args!("units {}, seed {seed}", units.join(", ")));
    }
    let count = hosts.len();
    until_stopped(options, || terms.tally.line(count, true)).await?;
    stopping.send_replace(true);
    hosts.join_all().await;
    let totals = terms.tally.totals(&pack.name, seed, count);
    tell_totals(options, &totals, &terms.tally.last_line(count, true))
}

/// How the devices of a pack answer.
fn speech(options: &Options, pack: &Pack) -> anyhow::Result<Speech> {
    if let Some(transport) = Transport::of(&pack.name) {
        return Ok(Speech::Modbus(transport, options.units()?));
    }
    if options.units.is_some() {
        bail!("--units are those of Modbus");
    }
    if options.devices.is_some_and(|count| count != 1) {
        bail!("devices that are called have a port each: --ports N");
    }
    let Some(answers) = &pack.answers else {
        bail!(
            "{} does not say what its devices answer: there is no simulate.json",
            pack.name
        );
    };
    let answers = Answers::parse(answers).with_context(|| format!("{}: simulate.json", pack.name));
    answers.map(Speech::Answers)
}

/// The faults of the command.
fn faults(options: &Options, refused: impl Fn(Fault) -> Option<String>) -> anyhow::Result<Faults> {
    if let Some(why) = options.faults.iter().find_map(|fault| refused(*fault)) {
        bail!(why);
    }
    if options.faults.is_empty() && options.fault_rate.is_some() {
        bail!("--fault-rate says how often: say with --faults what goes wrong");
    }
    Ok(Faults {
        kinds: options.faults.clone(),
        rate: options.fault_rate.unwrap_or(USUAL_RATE),
    })
}

fn refuse_of_senders(fault: Fault, cast: &Cast, pack: &Pack) -> Option<String> {
    if !fault.is_of_senders() {
        return Some(format!(
            "`{fault}` is for devices that are called (--listen)"
        ));
    }
    let has_checksum = !cast.stage().protocol.checksums.is_empty();
    refuse_checksum(fault, has_checksum, pack)
}

fn refuse_of_called(fault: Fault, speech: &Speech, pack: &Pack) -> Option<String> {
    let (is_modbus, is_tcp) = match speech {
        Speech::Modbus(transport, _) => (true, matches!(transport, Transport::Tcp)),
        Speech::Answers(_) => (false, false),
    };
    match fault {
        Fault::Exception if !is_modbus => Some("`exception` is for Modbus".to_owned()),
        Fault::WrongTransaction if !is_tcp => {
            Some("`wrong-transaction` is for modbus-tcp: other requests have no number".to_owned())
        }
        Fault::BadChecksum => {
            let stage = stage::Stage::new(&pack.document, &pack.devices).ok()?;
            refuse_checksum(fault, !stage.protocol.checksums.is_empty(), pack)
        }
        _ => None,
    }
}

fn refuse_checksum(fault: Fault, has_checksum: bool, pack: &Pack) -> Option<String> {
    let refused = fault == Fault::BadChecksum && !has_checksum;
    refused.then(|| format!("{} has no checksum that could be wrong", pack.name))
}

/// The first address that devices come from which are known by it: on loopback each has one.
async fn own_addresses(to: &str, count: u32) -> Option<Ipv4Addr> {
    let mut found = lookup_host(to).await.ok()?;
    let is_here = found.any(|address| match address.ip() {
        IpAddr::V4(address) => address.is_loopback(),
        IpAddr::V6(_) => false,
    });
    let first = Ipv4Addr::new(127, 0, 0, 2);
    let last = u32::from(first).checked_add(count)?;
    (is_here && Ipv4Addr::from(last).is_loopback()).then_some(first)
}

fn tell_devices(pack: &Pack, scripts: &[Script], from: Option<Ipv4Addr>) {
    let name = &pack.name;
    let first = scripts.first().and_then(|script| script.name.as_deref());
    let last = scripts.last().and_then(|script| script.name.as_deref());
    match (first, last, from) {
        (Some(first), Some(last), _) if first != last => {
            say(format_args!("{name}: {first} to {last}"));
        }
        (Some(first), ..) => say(format_args!("{name}: {first}")),
        (_, _, Some(from)) => say(format_args!(
            "{name}: frames do not say who they are from; each device has an address, from {from} on"
        )),
        _ => say(format_args!(
            "{name}: frames do not say who they are from; the devices differ by their connection only"
        )),
    }
}

/// Where devices say a secret, what the gateway's settings have to know.
fn tell_secrets(pack: &Pack, cast: &Cast) {
    if let Some(devices) = cast::secrets(cast, pack, 1) {
        let devices = serde_json::Value::Object(devices);
        say(format_args!(
            "{}: its devices say a secret, which the settings need for each: \"devices\": {devices}",
            pack.name
        ));
    }
}

/// Says how far it is, until it is time to stop.
async fn until_stopped(options: &Options, line: impl Fn() -> String) -> anyhow::Result<()> {
    let asked = stop::asked(None)?;
    let over = async {
        match options.time {
            Some(time) => sleep(time).await,
            None => pending().await,
        }
    };
    let progress = async {
        let mut progress = interval(PROGRESS);
        progress.tick().await;
        loop {
            progress.tick().await;
            say(format_args!("{}", line()));
        }
    };
    tokio::select! {
        () = asked => {}
        () = over => {}
        () = progress => {}
    }
    Ok(())
}

fn tell_totals(options: &Options, totals: &Totals<'_>, line: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if options.json {
        serde_json::to_writer(&mut out, totals).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        writeln!(out, "{line}")?;
        for (fault, count) in &totals.faults {
            writeln!(out, "  {fault}: {count}")?;
        }
        if totals.unanswered > 0 {
            writeln!(out, "  replies that did not come: {}", totals.unanswered)?;
        }
    }
    Ok(out.flush()?)
}
