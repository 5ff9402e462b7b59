//! A Modbus server: units with a register image, and the two ways their words are put on a line.
//!
//! Source: MODBUS Application Protocol Specification V1.1b3, MODBUS Messaging on TCP/IP
//! Implementation Guide V1.0b, MODBUS over Serial Line V1.02.

use std::collections::BTreeMap;

use edge_tcp_gateway::checksum::Checksum;

/// Addresses that each table of a unit has, from 0 on.
pub const ADDRESSES: u16 = 10_000;
/// Steps after which moving values are what they were.
const STEPS: u64 = 60;
/// The unit that all units hear and none answers.
const BROADCAST: u8 = 0;

/// Exception codes.
const ILLEGAL_FUNCTION: u8 = 1;
const ILLEGAL_ADDRESS: u8 = 2;
const ILLEGAL_VALUE: u8 = 3;
/// What a unit says that fails.
pub const DEVICE_FAILURE: u8 = 4;

/// The units behind one port.
#[derive(Clone, Debug)]
pub struct Bus(BTreeMap<u8, Unit>);

/// A unit: four tables, of which two can be written. What was written stays; all else moves slowly.
#[derive(Clone, Debug)]
struct Unit {
    number: u8,
    coils: BTreeMap<u16, bool>,
    registers: BTreeMap<u16, u16>,
}

impl Bus {
    /// Units of these numbers, in which nothing was written.
    pub fn new(units: &[u8]) -> Self {
        let unit = |number: &u8| {
            let unit = Unit {
                number: *number,
                coils: BTreeMap::new(),
                registers: BTreeMap::new(),
            };
            (*number, unit)
        };
        Bus(units.iter().map(unit).collect())
    }

    /// What a unit answers at that step; `None` if there is no such unit, or all are meant.
    pub fn answer(&mut self, unit: u8, request: &[u8], step: u64) -> Option<Vec<u8>> {
        if unit == BROADCAST {
            for unit in self.0.values_mut() {
                drop(unit.answer(request, step));
            }
            return None;
        }
        self.0.get_mut(&unit).map(|unit| unit.answer(request, step))
    }
}

impl Unit {
    fn answer(&mut self, request: &[u8], step: u64) -> Vec<u8> {
        let function = request.first().copied().unwrap_or_default();
        self.answered(request, step)
            .unwrap_or_else(|code| exception(function, code))
    }

    fn answered(&mut self, request: &[u8], step: u64) -> Result<Vec<u8>, u8> {
        let (function, rest) = request.split_first().ok_or(ILLEGAL_FUNCTION)?;
        match function {
            1 | 2 => {
                let (from, count) = range(rest, 2000)?;
                let bits = (from..from + count).map(|at| self.bit(*function, at, step));
                let bits: Vec<bool> = bits.collect();
                Ok(counted(*function, &packed(&bits)))
            }
            3 | 4 => {
                let (from, count) = range(rest, 125)?;
                let values = (from..from + count).map(|at| self.register(*function, at, step));
                let bytes: Vec<u8> = values.flat_map(u16::to_be_bytes).collect();
                Ok(counted(*function, &bytes))
            }
            5 => {
                let (at, value) = (word(rest, 0)?, word(rest, 2)?);
                let on = match value {
                    0xff00 => true,
                    0 => false,
                    _ => return Err(ILLEGAL_VALUE),
                };
                self.coils.insert(address(at)?, on);
                Ok(request.to_vec())
            }
            6 => {
                let (at, value) = (word(rest, 0)?, word(rest, 2)?);
                self.registers.insert(address(at)?, value);
                Ok(request.to_vec())
            }
            15 => {
                let (from, count) = range(rest, 1968)?;
                let bytes = written(rest, usize::from(count).div_ceil(8))?;
                for (at, number) in (from..from + count).zip(0..) {
                    let byte = bytes.get(number / 8).copied().unwrap_or_default();
                    self.coils.insert(at, byte >> (number % 8) & 1 == 1);
                }
                Ok(echo(*function, rest))
            }
            16 => {
                let (from, count) = range(rest, 123)?;
                let bytes = written(rest, usize::from(count) * 2)?;
                for (at, value) in (from..from + count).zip(bytes.chunks_exact(2)) {
                    self.registers.insert(at, word(value, 0)?);
                }
                Ok(echo(*function, rest))
            }
            _ => Err(ILLEGAL_FUNCTION),
        }
    }

    /// A coil or discrete input. What nobody wrote is on where unit, address and step are even
    /// together.
    fn bit(&self, function: u8, at: u16, step: u64) -> bool {
        let written = self.coils.get(&at).filter(|_| function == 1);
        let moving = (u64::from(self.number) + u64::from(at) + step).is_multiple_of(2);
        written.copied().unwrap_or(moving)
    }

    /// A holding or input register. What nobody wrote is a thousand times the unit, and the address,
    /// and the step.
    fn register(&self, function: u8, at: u16, step: u64) -> u16 {
        let written = self.registers.get(&at).filter(|_| function == 3);
        let step = u16::try_from(step % STEPS).unwrap_or_default();
        let moving = u16::from(self.number).wrapping_mul(1000);
        let moving = moving.wrapping_add(at).wrapping_add(step);
        written.copied().unwrap_or(moving)
    }
}

/// The exception to a function.
pub fn exception(function: u8, code: u8) -> Vec<u8> {
    vec![function | 0x80, code]
}

fn word(bytes: &[u8], at: usize) -> Result<u16, u8> {
    let word = bytes.get(at..at + 2).and_then(|two| two.try_into().ok());
    word.map(u16::from_be_bytes).ok_or(ILLEGAL_VALUE)
}

fn address(at: u16) -> Result<u16, u8> {
    Some(at).filter(|at| *at < ADDRESSES).ok_or(ILLEGAL_ADDRESS)
}

/// First address and count of what is read or written; first the count is checked, then whether all
/// addresses are there.
fn range(rest: &[u8], most: u16) -> Result<(u16, u16), u8> {
    let (from, count) = (word(rest, 0)?, word(rest, 2)?);
    if !(1..=most).contains(&count) {
        return Err(ILLEGAL_VALUE);
    }
    let end = u32::from(from) + u32::from(count);
    match end <= u32::from(ADDRESSES) {
        true => Ok((from, count)),
        false => Err(ILLEGAL_ADDRESS),
    }
}

/// The bytes behind their own count, which must be this one.
fn written(rest: &[u8], count: usize) -> Result<&[u8], u8> {
    let (said, bytes) = rest
        .get(4..)
        .and_then(<[u8]>::split_first)
        .ok_or(ILLEGAL_VALUE)?;
    let right = usize::from(*said) == count && bytes.len() == count;
    right.then_some(bytes).ok_or(ILLEGAL_VALUE)
}

fn counted(function: u8, bytes: &[u8]) -> Vec<u8> {
    let count = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
    [&[function, count], bytes].concat()
}

fn echo(function: u8, rest: &[u8]) -> Vec<u8> {
    [&[function], rest.get(..4).unwrap_or_default()].concat()
}

/// Bits eight to a byte, the first one lowest.
fn packed(bits: &[bool]) -> Vec<u8> {
    let byte = |eight: &[bool]| {
        let bits = eight.iter().zip(0..);
        bits.fold(0, |byte, (on, at)| byte | u8::from(*on) << at)
    };
    bits.chunks(8).map(byte).collect()
}

/// How requests and answers stand on the line.
#[derive(Clone, Debug)]
pub enum Transport {
    /// Behind a header with transaction and length.
    Tcp,
    /// Between unit and CRC.
    Rtu(Box<Checksum>),
}

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Whose answer is whose; 0 where the line has no such number.
    pub transaction: u16,
    /// The unit that is asked.
    pub unit: u8,
    /// Function and data.
    pub words: Vec<u8>,
}

impl Transport {
    /// The one of a pack, if it is one of Modbus.
    pub fn of(pack: &str) -> Option<Self> {
        match pack {
            "modbus-tcp" => Some(Transport::Tcp),
            "modbus-rtu" => {
                let checksum = Checksum::parse("crc-16/modbus le").ok()?;
                Some(Transport::Rtu(Box::new(checksum)))
            }
            _ => None,
        }
    }

    /// Whether only a pause says where a request ends that cannot be one.
    pub fn ends_with_pause(&self) -> bool {
        matches!(self, Transport::Rtu(_))
    }

    /// Takes the next request out of what has come. What cannot be one is dropped, as the rest of a
    /// line would be behind a pause.
    pub fn take(&self, bytes: &mut Vec<u8>) -> Option<Request> {
        match self {
            Transport::Tcp => take_tcp(bytes),
            Transport::Rtu(checksum) => take_rtu(checksum, bytes),
        }
    }

    /// An answer on the line.
    pub fn wrap(&self, transaction: u16, unit: u8, words: &[u8]) -> Vec<u8> {
        match self {
            Transport::Tcp => {
                let length = u16::try_from(words.len() + 1).unwrap_or(u16::MAX);
                let head = [transaction, 0, length].map(u16::to_be_bytes).concat();
                [head.as_slice(), &[unit], words].concat()
            }
            Transport::Rtu(checksum) => {
                let mut frame = [&[unit], words, &[0, 0]].concat();
                // It has room for two bytes at its end: the value is written.
                checksum.write(&mut frame).unwrap_or_default();
                frame
            }
        }
    }
}

fn take_tcp(bytes: &mut Vec<u8>) -> Option<Request> {
    let word = |at: usize| word(bytes, at).ok();
    let (transaction, protocol, length) = (word(0)?, word(2)?, usize::from(word(4)?));
    if protocol != 0 || !(2..=254).contains(&length) {
        bytes.clear();
        return None;
    }
    let all = bytes.get(..6 + length)?;
    let request = Request {
        transaction,
        unit: *all.get(6)?,
        words: all.get(7..)?.to_vec(),
    };
    bytes.drain(..6 + length);
    Some(request)
}

fn take_rtu(checksum: &Checksum, bytes: &mut Vec<u8>) -> Option<Request> {
    let length = match *bytes.get(1)? {
        1..=6 => 8,
        15 | 16 => 9 + usize::from(*bytes.get(6)?),
        // Only the pause behind it says how long it is.
        _ => bytes.len(),
    };
    let frame = bytes.get(..length)?;
    let good = length >= 4 && checksum.verify(frame).is_ok();
    let request = good.then(|| Request {
        transaction: 0,
        unit: frame.first().copied().unwrap_or_default(),
        words: frame.get(1..length - 2).unwrap_or_default().to_vec(),
    });
    match request {
        Some(_) => drop(bytes.drain(..length)),
        None => bytes.clear(),
    }
    request
}
