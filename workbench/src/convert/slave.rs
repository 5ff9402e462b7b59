//! A slave of the old module: a connection, and what is read from its units.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::modbus::{entry_name, member, number};
use super::operation::{Operation, Orders, Reading};

/// Members that a serial port alone needs.
const SERIAL: [&str; 5] = ["BaudRate", "DataBits", "StopBits", "Parity", "FlowControl"];
/// Names that the message or every answer has a use of its own for.
const RESERVED: [&str; 4] = ["unit", "function", "transaction", "time"];

/// One connection.
#[derive(Debug)]
pub(super) struct Slave {
    name: String,
    /// Where it is called.
    pub address: String,
    /// The old `HwId`, as it can be a name.
    pub device: String,
    operations: BTreeMap<u8, Vec<Operation>>,
}

/// Units of a slave that are asked the same.
#[derive(Debug)]
pub(super) struct Part {
    pub name: String,
    pub units: Vec<u8>,
    pub protocol: Value,
}

impl Slave {
    /// Reads an entry of `SlaveConfigs`; an `Err` says all of why there is no equivalent of it.
    pub fn read(name: &str, config: &Value, notes: &mut Vec<String>) -> Result<Self, String> {
        let config = config.as_object().ok_or("an object is expected")?;
        let (mut own, mut wrong) = (Vec::new(), Vec::new());
        let address = address(config).map_err(|why| wrong.push(why));
        let device = member(config, "HwId").and_then(Value::as_str);
        let written = member(config, "Operations").and_then(Value::as_object);
        let place = format!("SlaveConfigs.{name}");
        let orders = Orders::of_slave(config);
        let mut operations: BTreeMap<u8, Vec<Operation>> = BTreeMap::new();
        for (operation, written) in written.into_iter().flatten() {
            let place = format!("{place}.Operations.{operation}");
            match Operation::read(&place, written, orders, &mut own) {
                Ok((unit, operation)) => operations.entry(unit).or_default().push(operation),
                Err(why) => wrong.push(format!("Operations.{operation}: {}", why.join(", "))),
            }
        }
        if written.is_none_or(Map::is_empty) {
            wrong.push("it has no Operations".to_owned());
        }
        let (Ok(address), true) = (address, wrong.is_empty()) else {
            return Err(wrong.join("; "));
        };
        let slave = Slave {
            name: name.to_owned(),
            address,
            device: device.unwrap_or(name).to_owned(),
            operations,
        };
        member_notes(&place, config, &mut own);
        slave.name_notes(&place, &mut own);
        if slave.parts().len() > 1 {
            own.push(format!("{place}: its units are not asked the same, so each has an entry and a connection of its own; a device that takes one connection only needs one protocol for all its units"));
        }
        notes.append(&mut own);
        Ok(slave)
    }

    /// Says which values have another name than before.
    fn name_notes(&self, place: &str, notes: &mut Vec<String>) {
        for (name, reading) in self.operations.values().flat_map(|list| named(list)) {
            let Reading {
                name: old, address, ..
            } = reading;
            let expected = match reading.of_several {
                true => with_address(reading),
                false => old.clone(),
            };
            if name == expected {
                continue;
            }
            let why = match RESERVED.contains(&old.as_str()) {
                true => "every answer has a field of its own of that name",
                false => "another value has that name too",
            };
            let note = format!("{place}: {old} at {address} is the register {name}: {why}");
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
    }

    /// Its name among the slaves.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its units are asked; units that are asked the same are one part.
    pub fn parts(&self) -> Vec<Part> {
        let mut parts: Vec<Part> = Vec::new();
        for (unit, operations) in &self.operations {
            let protocol = protocol(operations);
            match parts.iter_mut().find(|part| part.protocol == protocol) {
                Some(part) => part.units.push(*unit),
                None => parts.push(Part {
                    name: self.name.clone(),
                    units: vec![*unit],
                    protocol,
                }),
            }
        }
        if parts.len() > 1 {
            for part in &mut parts {
                let unit = part.units.first().copied().unwrap_or_default();
                part.name = format!("{}-unit{unit}", self.name);
            }
        }
        parts
    }

    /// A device and a register of it that can be written.
    pub fn example(&self) -> Option<(String, String)> {
        let mut units = self.operations.iter();
        units.find_map(|(unit, operations)| {
            let named = named(operations);
            let writable = |(_, reading): &&(String, &Reading)| reading.writable();
            let (register, _) = named.iter().find(writable)?;
            Some((format!("{}/{unit}", self.device), register.clone()))
        })
    }
}

/// Where the slave is called.
fn address(config: &Map<String, Value>) -> Result<String, String> {
    let connection = member(config, "SlaveConnection").and_then(Value::as_str);
    let connection = connection.map(str::trim).unwrap_or_default();
    if connection.is_empty() {
        return Err("it has no SlaveConnection".to_owned());
    }
    if is_serial(connection) {
        return Err(format!(
            "{connection} is a serial port, and this module speaks TCP: put a serial device server in front of the line, write its address as SlaveConnection and its port as TcpPort, and convert again. Where it passes RTU on as it is, the protocol's preset is modbus-rtu@1"
        ));
    }
    let port = match member(config, "TcpPort") {
        None => 502,
        Some(port) => number(port)
            .and_then(|port| u16::try_from(port).ok())
            .filter(|port| *port > 0)
            .ok_or_else(|| format!("TcpPort {port} is no port"))?,
    };
    Ok(match connection.contains(':') {
        true => format!("[{connection}]:{port}"),
        false => format!("{connection}:{port}"),
    })
}

/// Whether it is a port of the machine and no host: `COM3`, `ttyS0`, `/dev/ttyUSB0`.
fn is_serial(connection: &str) -> bool {
    let device = connection.trim_start_matches(r"\\.\");
    let numbered = |prefix: &str| {
        let (front, number) = device.split_at_checked(prefix.len())?;
        let digits = !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
        Some(front.eq_ignore_ascii_case(prefix) && digits)
    };
    let is_com = numbered("COM").unwrap_or(false);
    let is_tty = device.starts_with("tty")
        && device.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && device.ends_with(|last: char| last.is_ascii_digit());
    is_com || is_tty || device.contains("/tty") || device.starts_with("/dev/")
}

fn member_notes(place: &str, config: &Map<String, Value>, notes: &mut Vec<String>) {
    const READ: [&str; 6] = [
        "SlaveConnection",
        "TcpPort",
        "HwId",
        "Operations",
        "EndianSwap",
        "MidEndianSwap",
    ];
    let is =
        |names: &[&str], name: &str| names.iter().any(|known| known.eq_ignore_ascii_case(name));
    for name in config.keys().filter(|name| !is(&READ, name)) {
        let what = if is(&SERIAL, name) {
            "is for serial ports only"
        } else if is(&["RetryCount", "RetryInterval"], name) {
            "has no equivalent: a poll has `withinMs` and `retries`, and a lost connection is called again with growing pauses"
        } else {
            "has no equivalent"
        };
        notes.push(format!("{place}.{name}: {what}"));
    }
}

/// The name of a value that it does not have alone.
fn with_address(reading: &Reading) -> String {
    format!("{}_{}", reading.name, reading.address)
}

/// The readings of operations under the names that they have with us.
fn named(operations: &[Operation]) -> Vec<(String, &Reading)> {
    let all = operations.iter().flat_map(|operation| &operation.readings);
    let mut readings: Vec<&Reading> = Vec::new();
    // What is read twice is one register.
    all.for_each(|reading| {
        if !readings.contains(&reading) {
            readings.push(reading);
        }
    });
    let mut taken = BTreeSet::new();
    let mut unique = |name: String| {
        let numbered = (2..).map(|number| format!("{name}_{number}"));
        let mut names = std::iter::once(name.clone()).chain(numbered);
        let free = names.find(|name| taken.insert(name.clone()));
        free.unwrap_or(name)
    };
    let shared = |reading: &Reading| {
        let same = readings.iter().filter(|other| other.name == reading.name);
        same.count() > 1
    };
    let mut name = |reading: &Reading| {
        let plain = !reading.of_several && !shared(reading);
        match plain && !RESERVED.contains(&reading.name.as_str()) {
            true => unique(reading.name.clone()),
            false => unique(with_address(reading)),
        }
    };
    let all = readings.iter();
    all.map(|reading| (name(reading), *reading)).collect()
}

fn protocol(operations: &[Operation]) -> Value {
    let named = named(operations);
    let name_of = |reading: &Reading| {
        let found = named.iter().find(|(_, known)| *known == reading);
        found.map(|(name, _)| name.as_str())
    };
    // What had one CorrelationId and one interval was one group of values.
    let mut groups: Vec<(&Operation, Vec<&str>)> = Vec::new();
    for operation in operations {
        let same = |(other, _): &&mut (&Operation, Vec<&str>)| {
            other.interval == operation.interval && other.group == operation.group
        };
        let names = operation.readings.iter().filter_map(name_of);
        match groups.iter_mut().find(same) {
            Some((_, group)) => group.extend(names),
            None => groups.push((operation, names.collect())),
        }
    }
    let mut taken = BTreeSet::new();
    let polls = groups.iter().map(|(operation, names)| {
        let every = operation.interval;
        let like = operation
            .group
            .clone()
            .unwrap_or_else(|| format!("every-{every}-ms"));
        let mut seen = BTreeSet::new();
        let names: Vec<_> = names.iter().filter(|name| seen.insert(**name)).collect();
        (
            entry_name(&like, &mut taken),
            json!({ "registers": names, "everyMs": every }),
        )
    });
    let polls: Map<String, Value> = polls.collect();
    let registers = named.iter().map(|(name, reading)| reading.register(name));
    json!({
        "preset": "modbus-tcp@1",
        "registers": registers.collect::<Vec<_>>(),
        "polls": polls,
    })
}
