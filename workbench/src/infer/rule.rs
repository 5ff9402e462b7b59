//! Rules by which frames may be cut, cheap to try by the thousand. Those that look right are run
//! by the product afterwards.

use std::fmt;

use edge_tcp_gateway::notation::write_bytes;
use serde_json::{Value, json};

use super::capture::Stretch;
use super::trial::Span;

/// Longest frame, as the settings' default has it.
const MOST_BYTES: usize = 65_536;
/// Digits of a number that goes until a byte.
const MOST_DIGITS: usize = 6;

/// How a length is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// So many bytes, the most significant first.
    Big(usize),
    /// So many bytes, the least significant first.
    Little(usize),
    /// So many decimal digits.
    Decimal(usize),
    /// So many hexadecimal digits.
    Hexadecimal(usize),
    /// Decimal digits up to that byte.
    Until(u8),
}

impl Field {
    /// The value at a place, and the place behind it.
    pub fn read(self, bytes: &[u8], at: usize) -> Option<(usize, usize)> {
        let digits = |count: usize, radix: u32| {
            let digits = bytes.get(at..at + count)?;
            let all = digits
                .iter()
                .all(|digit| char::from(*digit).is_digit(radix));
            let text = std::str::from_utf8(digits).ok().filter(|_| all)?;
            Some((usize::from_str_radix(text, radix).ok()?, at + count))
        };
        let number = |value: usize, byte: &u8| (value << 8) | usize::from(*byte);
        match self {
            Field::Big(width) => {
                let bytes = bytes.get(at..at + width)?;
                Some((bytes.iter().fold(0, number), at + width))
            }
            Field::Little(width) => {
                let bytes = bytes.get(at..at + width)?;
                Some((bytes.iter().rev().fold(0, number), at + width))
            }
            Field::Decimal(count) => digits(count, 10),
            Field::Hexadecimal(count) => digits(count, 16),
            Field::Until(end) => {
                let rest = bytes.get(at..)?.iter().take(MOST_DIGITS + 1);
                let count = rest.take_while(|byte| **byte != end).count();
                let (value, behind) = digits(count, 10)?;
                (bytes.get(behind) == Some(&end)).then_some((value, behind + 1))
            }
        }
    }

    /// Bytes that it takes, where that is always the same.
    pub fn width(self) -> Option<usize> {
        match self {
            Field::Big(width) | Field::Little(width) => Some(width),
            Field::Decimal(count) | Field::Hexadecimal(count) => Some(count),
            Field::Until(_) => None,
        }
    }

    /// Bits of surprise: how rarely protocols are so.
    fn cost(self) -> f64 {
        match self {
            Field::Big(2) => 0.0,
            Field::Little(2) => 1.0,
            Field::Big(1) => 1.5,
            Field::Decimal(_) | Field::Hexadecimal(_) | Field::Until(_) => 2.0,
            Field::Big(4) | Field::Little(4) => 2.5,
            Field::Big(_) | Field::Little(_) => 3.5,
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Field::Big(width) => write!(f, "u{}", width * 8),
            Field::Little(width) => write!(f, "u{}le", width * 8),
            Field::Decimal(count) => write!(f, "decimal {count}"),
            Field::Hexadecimal(count) => write!(f, "hexadecimal {count}"),
            Field::Until(byte) => write!(f, "decimal until '{}'", char::from(*byte)),
        }
    }
}

/// How one kind of frame is cut.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// A field says the length.
    Length {
        /// How it is written.
        field: Field,
        /// Where it stands.
        at: usize,
        /// Bytes that it does not count.
        add: usize,
    },
    /// All have that length.
    Fixed(usize),
    /// These bytes end it.
    End(Vec<u8>),
}

impl Rule {
    /// The place behind the frame that begins here; `None` if there is no whole frame.
    pub fn end(&self, bytes: &[u8], from: usize) -> Option<usize> {
        let to = match self {
            Rule::Length { field, at, add } => {
                let (value, behind) = field.read(bytes, from + at)?;
                let base = if field.width().is_some() {
                    from
                } else {
                    behind
                };
                let to = base.checked_add(value)?.checked_add(*add)?;
                (to > behind && to - from <= MOST_BYTES).then_some(to)?
            }
            Rule::Fixed(size) => from + size,
            Rule::End(end) => {
                let rest = bytes.get(from..)?;
                from + memchr::memmem::find(rest, end)? + end.len()
            }
        };
        (to <= bytes.len()).then_some(to)
    }

    /// The bytes with which its frames end by definition.
    pub fn ends(&self) -> Vec<Vec<u8>> {
        match self {
            Rule::End(end) => vec![end.clone()],
            Rule::Length { .. } | Rule::Fixed(_) => Vec::new(),
        }
    }

    /// Bits of surprise of this rule among all that are tried.
    pub fn cost(&self) -> f64 {
        match self {
            // Octets are counted in this way in front of what else are lines.
            Rule::Length {
                field: Field::Until(b' '),
                at: 0,
                add: 0,
            } => 5.0,
            Rule::Length { field, at, add } => {
                let behind = at + field.width().unwrap_or_default();
                let natural = match field.width() {
                    None => *add == 0,
                    Some(_) => *add == 0 || *add == behind,
                };
                let add = match add.checked_sub(behind) {
                    _ if natural => 0.0,
                    Some(1..=5) => 2.0,
                    _ => 4.0,
                };
                let field = match field {
                    // Before all else the usual width is this one.
                    Field::Big(4) if *at == 0 => 0.0,
                    field => field.cost(),
                };
                10.0 + field + add + super::trial::ratio(*at, 8)
            }
            Rule::Fixed(_) => 13.0,
            Rule::End(end) if end.iter().all(u8::is_ascii_control) => 3.0,
            Rule::End(end) => 4.0 + 8.0 * super::trial::ratio(end.len(), 1),
        }
    }

    /// In the notation of the settings.
    pub fn framing(&self) -> Value {
        match self {
            Rule::Length { field, at, add } => {
                let place = match (field.width(), at) {
                    (None, 0) => String::new(),
                    _ => format!(" at {at}"),
                };
                let mut framing = json!({ "type": "length", "length": format!("{field}{place}") });
                if *add > 0 {
                    framing["add"] = json!(add);
                }
                framing
            }
            Rule::Fixed(size) => json!({ "type": "fixed", "bytes": size }),
            Rule::End(end) => json!({ "type": "delimiter", "end": write_bytes(end) }),
        }
    }

    /// In words, for evidence.
    pub fn words(&self) -> String {
        match self {
            Rule::Length { field, at, add } => format!("length {field} at {at} + {add}"),
            Rule::Fixed(size) => format!("fixed, {size} bytes"),
            Rule::End(end) => format!("delimiter {}", shown(end)),
        }
    }
}

/// Bytes as they are shown in evidence.
pub fn shown(bytes: &[u8]) -> String {
    let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    hex.join(" ")
}

/// Cuts each stretch from its first byte for as long as the rule goes.
pub fn walk(stretches: &[Stretch], rule: impl Fn(&[u8], usize) -> Option<usize>) -> Vec<Span> {
    let mut spans = Vec::new();
    for (stretch, Stretch { bytes, .. }) in stretches.iter().enumerate() {
        let mut from = 0;
        while let Some(to) = rule(bytes, from).filter(|to| *to > from) {
            spans.push(Span { stretch, from, to });
            from = to;
        }
    }
    spans
}

/// Every rule with a length field.
pub fn lengths() -> Vec<Rule> {
    const FIELDS: [Field; 13] = [
        Field::Big(1),
        Field::Big(2),
        Field::Little(2),
        Field::Big(3),
        Field::Big(4),
        Field::Little(4),
        Field::Decimal(2),
        Field::Decimal(3),
        Field::Decimal(4),
        Field::Decimal(5),
        Field::Hexadecimal(2),
        Field::Hexadecimal(4),
        Field::Hexadecimal(8),
    ];
    let mut rules = Vec::new();
    for field in FIELDS {
        for at in 0..=32 {
            let behind = at + field.width().unwrap_or_default();
            rules.extend((0..=behind + 12).map(|add| Rule::Length { field, at, add }));
        }
    }
    for until in [b' ', b',', b':'] {
        let field = Field::Until(until);
        for at in 0..=8 {
            rules.extend((0..=4).map(|add| Rule::Length { field, at, add }));
        }
    }
    rules
}
