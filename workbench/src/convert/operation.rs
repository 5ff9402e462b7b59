//! An operation of the old module: one request, and the values that were made of its answer.

use serde_json::{Map, Value};

use super::modbus::{member, number};

/// Milliseconds between two requests, where the operation does not say.
const INTERVAL: u64 = 3000;

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub interval: u64,
    /// The old `CorrelationId`.
    pub group: Option<String>,
    pub readings: Vec<Reading>,
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// The old `DisplayName`.
    pub name: String,
    /// Of five or six digits, as the old messages had it.
    pub address: String,
    /// Whether its operation has several values of the same name.
    pub of_several: bool,
    /// Type, order and steps in our notation.
    kind: &'static str,
    steps: &'static str,
}

/// Orders that a slave says for all its operations, in the version that did.
#[derive(Clone, Copy, Debug)]
pub(super) struct Orders {
    whole: bool,
    words: bool,
}

impl Orders {
    /// The members `EndianSwap` and `MidEndianSwap`.
    pub fn of_slave(config: &Map<String, Value>) -> Self {
        let said = |name: &str| match member(config, name) {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
            _ => false,
        };
        Orders {
            whole: said("EndianSwap"),
            words: said("MidEndianSwap"),
        }
    }
}

/// How the values of an operation are read.
#[derive(Clone, Copy, Debug)]
struct Form {
    kind: &'static str,
    steps: &'static str,
    /// Registers of one value.
    width: u64,
    /// How many values; `None`: as many as `Count` says.
    values: Option<u64>,
}

impl Operation {
    /// Reads an entry of `Operations` and the unit that it is for; an `Err` says all that is wrong.
    pub fn read(
        place: &str,
        written: &Value,
        orders: Orders,
        notes: &mut Vec<String>,
    ) -> Result<(u8, Self), Vec<String>> {
        let Some(written) = written.as_object() else {
            return Err(vec!["an object is expected".to_owned()]);
        };
        let text = |name: &str| match member(written, name) {
            Some(Value::String(text)) => Some(text.trim().to_owned()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let mut wrong = Vec::new();
        let start = kept(start(text("StartAddress")), &mut wrong);
        // Where the table is not known, types are held against registers.
        let table = start.as_ref().map_or('4', |start| start.table);
        let form = kept(form(written, table, orders), &mut wrong);
        let values = form.and_then(|form| form.values);
        let count = kept(values.map_or_else(|| count(written), Ok), &mut wrong);
        let unit = kept(unit(written), &mut wrong);
        let interval = kept(interval(place, written, notes), &mut wrong);
        let (Some(start), Some(form), Some(count)) = (start, form, count) else {
            return Err(wrong);
        };
        let most = if start.digits == 4 { 9999 } else { 65_536 };
        if start.first + count * form.width - 1 > most {
            wrong.push("it reads behind the last address of its table".to_owned());
        }
        let (Some(unit), Some(interval), true) = (unit, interval, wrong.is_empty()) else {
            return Err(wrong);
        };
        let name = text("DisplayName").filter(|name| !name.is_empty());
        let name = name.unwrap_or_else(|| start.written.clone());
        let reading = |at: u64| Reading {
            name: name.clone(),
            address: start.address(at * form.width),
            of_several: count > 1,
            kind: form.kind,
            steps: form.steps,
        };
        member_notes(place, written, count, &name, notes);
        let operation = Operation {
            interval,
            group: text("CorrelationId").filter(|group| !group.is_empty()),
            readings: (0..count).map(reading).collect(),
        };
        Ok((unit, operation))
    }
}

impl Reading {
    /// The register in our notation.
    pub fn register(&self, name: &str) -> String {
        let plain =
            |character: char| character.is_ascii_alphanumeric() || "_-.".contains(character);
        let name = match name.chars().all(plain) {
            true => name.to_owned(),
            false => format!("'{}'", name.replace('\'', "''")),
        };
        let steps = if self.steps.is_empty() {
            String::new()
        } else {
            format!(" {}", self.steps)
        };
        format!("{name}: {} at {}{steps}", self.kind, self.address)
    }

    /// Whether it stands in a table that can be written.
    pub fn writable(&self) -> bool {
        self.address.starts_with(['0', '4'])
    }
}

/// What was read, or nothing and why.
fn kept<T>(read: Result<T, String>, wrong: &mut Vec<String>) -> Option<T> {
    read.map_err(|why| wrong.push(why)).ok()
}

/// A `StartAddress`.
#[derive(Clone, Debug)]
struct Start {
    written: String,
    table: char,
    /// In the table, from 1.
    first: u64,
    /// Digits behind that of the table.
    digits: usize,
}

impl Start {
    /// The address so many registers behind it, as it was written.
    fn address(&self, behind: u64) -> String {
        let (table, at, digits) = (self.table, self.first + behind, self.digits);
        format!("{table}{at:0digits$}")
    }
}

fn start(written: Option<String>) -> Result<Start, String> {
    let written = written.ok_or("it has no StartAddress")?;
    let wrong = || {
        format!(
            "StartAddress {written} is no address of 5 or 6 digits that begins with 0, 1, 3 or 4"
        )
    };
    let fits =
        matches!(written.len(), 5 | 6) && written.bytes().all(|digit| digit.is_ascii_digit());
    let table = written
        .chars()
        .next()
        .filter(|table| fits && "0134".contains(*table));
    let number = written.get(1..).and_then(|number| number.parse().ok());
    let number = number.filter(|number| (1..=65_536).contains(number));
    let (table, first) = table.zip(number).ok_or_else(wrong)?;
    let digits = written.len() - 1;
    Ok(Start {
        written,
        table,
        first,
        digits,
    })
}

fn count(written: &Map<String, Value>) -> Result<u64, String> {
    let count = member(written, "Count").map_or(Some(1), number);
    let count = count.filter(|count| (1..=2000).contains(count));
    count.ok_or_else(|| "its Count is no number of values".to_owned())
}

fn unit(written: &Map<String, Value>) -> Result<u8, String> {
    let unit = member(written, "UnitId").map_or(Some(1), number);
    let unit = unit.and_then(|unit| u8::try_from(unit).ok());
    unit.ok_or_else(|| "its UnitId is no number from 0 to 255".to_owned())
}

fn interval(
    place: &str,
    written: &Map<String, Value>,
    notes: &mut Vec<String>,
) -> Result<u64, String> {
    match member(written, "PollingInterval").map(number) {
        Some(Some(interval)) => Ok(interval.max(1)),
        Some(None) => Err("its PollingInterval is no number of milliseconds".to_owned()),
        None => {
            notes.push(format!(
                "{place}: without PollingInterval it is asked every {INTERVAL} ms"
            ));
            Ok(INTERVAL)
        }
    }
}

fn form(written: &Map<String, Value>, table: char, orders: Orders) -> Result<Form, String> {
    let form = |kind, width| Form {
        kind,
        steps: "",
        width,
        values: None,
    };
    if matches!(table, '0' | '1') {
        return Ok(form("bool", 1));
    }
    let word = |name: &str| {
        member(written, name)
            .and_then(Value::as_str)
            .map(str::to_ascii_lowercase)
    };
    if let Some(kind) = word("DataType") {
        let swap = word("SwapMode").unwrap_or_default();
        let at = order(&swap).ok_or_else(|| format!("its SwapMode {swap} is not known"))?;
        return match kind.as_str() {
            "int16" => Ok(form(["i16", "i16le", "i16", "i16le"][at], 1)),
            "int32" => Ok(form(["i32", "i32 badc", "i32 cdab", "i32 dcba"][at], 2)),
            "float" => Ok(form(["f32", "f32 badc", "f32 cdab", "f32 dcba"][at], 2)),
            _ => Err(format!("its DataType {kind} is not known for registers")),
        };
    }
    // Here the bytes were taken as they came, the lowest first, unless they were turned round.
    let at = match (orders.whole, orders.words) {
        (true, false) => 0,
        (true, true) => 1,
        (false, true) => 2,
        (false, false) => 3,
    };
    let one = |kind: [&'static str; 4], steps| Form {
        kind: kind[at],
        steps,
        width: 2,
        values: Some(1),
    };
    match word("ValueType").as_deref() {
        None | Some("basic") => Ok(form("u16", 1)),
        Some("int32") => Ok(one(["i32", "i32 badc", "i32 cdab", "i32 dcba"], "")),
        // It was printed with three decimals.
        Some("float") => Ok(one(["f32", "f32 badc", "f32 cdab", "f32 dcba"], "round 3")),
        Some(other) => Err(format!("its ValueType {other} is not known")),
    }
}

/// The place of a swap mode among `abcd`, `badc`, `cdab`, `dcba`; by the names of both versions.
fn order(swap: &str) -> Option<usize> {
    Some(match swap {
        "" | "none" | "bigendian" => 0,
        "bytes" | "bigendianbyteswap" => 1,
        "words" | "littleendianbyteswap" => 2,
        "bytesandwords" | "littleendian" => 3,
        _ => return None,
    })
}

fn member_notes(
    place: &str,
    written: &Map<String, Value>,
    count: u64,
    name: &str,
    notes: &mut Vec<String>,
) {
    const READ: [&str; 9] = [
        "PollingInterval",
        "UnitId",
        "StartAddress",
        "Count",
        "DisplayName",
        "CorrelationId",
        "DataType",
        "SwapMode",
        "ValueType",
    ];
    // The old module writes these itself, into what it reports.
    const OWN: [&str; 6] = [
        "IsSimpleValue",
        "Request",
        "Response",
        "RequestLen",
        "Entity",
        "OutFormat",
    ];
    let is =
        |names: &[&str], name: &str| names.iter().any(|known| known.eq_ignore_ascii_case(name));
    let unknown = written
        .keys()
        .filter(|name| !is(&READ, name) && !is(&OWN, name));
    notes.extend(unknown.map(|name| format!("{place}.{name}: has no equivalent")));
    if count > 1 {
        notes.push(format!("{place}: its {count} values are {name}_ADDRESS each, with the addresses that the old messages had"));
    }
    if written.contains_key("CorrelationId") {
        notes.push(format!("{place}.CorrelationId: it is the name of the poll; values of one poll are in one message where one request reads them"));
    }
}
