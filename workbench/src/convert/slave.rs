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
    /// Reads an entry of `SlaveConfigs`; an `Err` says why there is no equivalent of it.
    pub fn read(name: &str, config: &Value, notes: &mut Vec<String>) -> Result<Self, String> {
        let config = config.as_object().ok_or("an object is expected")?;
        let address = address(config)?;
        let device = member(config, "HwId").and_then(Value::as_str);
        let operations = member(config, "Operations").and_then(Value::as_object);
        let mut slave = Slave {
            name: name.to_owned(),
            address,
            device: device.unwrap_or(name).to_owned(),
            operations: BTreeMap::new(),
        };
        let place = format!("SlaveConfigs.{name}");
        let orders = Orders::of_slave(config);
        for (operation, written) in operations.into_iter().flatten() {
            let place = format!("{place}.Operations.{operation}");
            let read = Operation::read(&place, written, orders, notes);
            let (unit, operation) = read.map_err(|why| format!("Operations.{operation}: {why}"))?;
            slave.operations.entry(unit).or_default().push(operation);
        }
        if slave.operations.is_empty() {
            return Err("it has no Operations".to_owned());
        }
        member_notes(&place, config, notes);
        let parts = slave.parts().len();
        if parts > 1 {
            notes.push(format!("{place}: its units are not asked the same, so each has an entry and a connection of its own; a device that takes one connection only needs one protocol for all its units"));
        }
        Ok(slave)
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
    if connection.contains("COM") || connection.contains("tty") {
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
            false => unique(format!("{}_{}", reading.name, reading.address)),
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
