//! What can be asked for.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::bail;

use super::faults::Fault;

/// What `--help` shows last.
pub const EXAMPLES: &str = "Devices that connect say the frames of the protocol's golden streams, each device under an identity of
its own; every frame is read by the protocol's framing, checksum and decoder before it is sent.
Devices that are called (--listen) answer: Modbus with a register image, mt-sics, mbus, s7 and iec104 with
the list in simulate.json of the protocol's folder.

Faults: split (a frame in pieces), garbage (bytes before it), drop and reset (the connection ends in
it), silent (nothing for three times --every; no answer), bad-checksum; of devices that are called also
slow (half a second to three), exception and wrong-transaction (Modbus). A unit that is not in --units
never answers.

Examples:
  workbench simulate gt06 --to localhost:5000                      a tracker, until Ctrl-C
  workbench simulate gt06 --to localhost:5000 --devices 100 --every 10s --jitter 20%
  workbench simulate teltonika --to localhost:5001 --devices 20 --every 1s --for 60s \\
      --faults split,garbage,drop,silent,bad-checksum,reset --fault-rate 1% --seed 7
  workbench simulate modbus-tcp --listen 127.0.0.1:1502 --units 1,2,3
  workbench simulate mbus --listen 127.0.0.1:10001 --ports 20      20 meters, a port each
  workbench simulate ./my-protocol --to localhost:5002             a folder: protocol.json, golden.json

Exit codes: 0 it ran, 1 it could not, or a device never got a connection.";

/// The options of `simulate`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// A protocol that is shipped, such as gt06, or a folder like those in protocols/.
    pub pack: String,
    /// Where the devices connect to.
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "listen")]
    pub to: Option<String>,
    /// Where devices listen that are called.
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = address)]
    pub listen: Option<SocketAddr>,
    /// How many devices connect [default: 1]; of Modbus that is called: units, from 1 on.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub devices: Option<u32>,
    /// So many ports in a row, a device each [default: 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub ports: Option<u16>,
    /// The Modbus units behind each port [default: 1].
    #[arg(long, value_name = "N,N", value_delimiter = ',', value_parser = clap::value_parser!(u8).range(1..=247))]
    pub units: Option<Vec<u8>>,
    /// From one frame to the next; of devices that are called: how long values stay as they are.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub every: Duration,
    /// How much the time between frames differs.
    #[arg(long, value_name = "PERCENT", default_value = "0%", value_parser = percent)]
    pub jitter: f64,
    /// What goes wrong.
    #[arg(long, value_name = "FAULT,FAULT", value_delimiter = ',')]
    pub faults: Vec<Fault>,
    /// How many of the frames go wrong [default: 1%].
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    pub fault_rate: Option<f64>,
    /// Stop after that time instead of at Ctrl-C.
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    pub time: Option<Duration>,
    /// Stop when each device has sent so many frames.
    #[arg(long, value_name = "N")]
    pub frames: Option<u64>,
    /// A number that makes the same chances again [default: another each time].
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,
    /// Print the totals as JSON, with those of each device that has a name.
    #[arg(long)]
    pub json: bool,
}

impl Options {
    /// Says what does not go together.
    ///
    /// # Errors
    /// With the first of it.
    pub fn check(&self) -> anyhow::Result<()> {
        let is_called = self.listen.is_some();
        if !is_called && (self.units.is_some() || self.ports.is_some()) {
            bail!("--units and --ports are for devices that are called (--listen)");
        }
        if is_called && (self.frames.is_some() || self.jitter > 0.0) {
            bail!("--frames and --jitter are for devices that connect (--to)");
        }
        Ok(())
    }

    /// The Modbus units behind each port.
    ///
    /// # Errors
    /// When one is named twice, or `--devices` says another number of them.
    pub fn units(&self) -> anyhow::Result<Vec<u8>> {
        let mut seen = BTreeSet::new();
        let mut units = self.units.iter().flatten();
        if let Some(twice) = units.find(|unit| !seen.insert(**unit)) {
            bail!("--units names {twice} twice: behind a port each unit is there once");
        }
        let count = |units: &[u8]| u32::try_from(units.len()).unwrap_or(u32::MAX);
        match (&self.units, self.devices) {
            (Some(units), None) => Ok(units.clone()),
            (Some(units), Some(devices)) if count(units) == devices => Ok(units.clone()),
            (Some(units), Some(devices)) => bail!(
                "--devices {devices} and {} in --units: say one of them",
                units.len()
            ),
            (None, None) => Ok(vec![1]),
            (None, Some(devices @ 1..=247)) => Ok((1..=u8::try_from(devices)?).collect()),
            (None, Some(_)) => bail!("Modbus has 247 units"),
        }
    }
}

/// `127.0.0.1:1502`, or `localhost:1502`.
fn address(text: &str) -> Result<SocketAddr, String> {
    let local = text.strip_prefix("localhost:").map(str::parse);
    if let Some(Ok(port)) = local {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    }
    text.parse().map_err(|_| {
        "expected an address of this machine and a port, such as 127.0.0.1:1502, or 0.0.0.0:1502 to be reached from other machines".to_owned()
    })
}

/// `10s`, `500ms`, `2m`, `1h`; a number alone is seconds.
fn time(text: &str) -> Result<Duration, String> {
    let end = text.find(|character: char| !(character.is_ascii_digit() || character == '.'));
    let (number, unit) = text
        .split_at_checked(end.unwrap_or(text.len()))
        .unwrap_or((text, ""));
    let seconds = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("expected a time such as 500ms, 10s, 2m or 1h".to_owned()),
    };
    let number: f64 = number
        .parse()
        .map_err(|_| "expected a time such as 500ms, 10s, 2m or 1h".to_owned())?;
    let time = Duration::try_from_secs_f64(number * seconds).map_err(|error| error.to_string())?;
    match time.is_zero() {
        true => Err("a time is longer than nothing".to_owned()),
        false => Ok(time),
    }
}

/// `20%`, as a share of 1.
fn percent(text: &str) -> Result<f64, String> {
    let wrong = || "expected a share such as 20%".to_owned();
    let number: f64 = text
        .strip_suffix('%')
        .and_then(|number| number.parse().ok())
        .ok_or_else(wrong)?;
    match (0.0..=100.0).contains(&number) {
        true => Ok(number / 100.0),
        false => Err("expected 0% to 100%".to_owned()),
    }
}
