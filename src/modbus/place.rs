//! Where a register stands: `40001`, `465536`, `holding 0`.

use crate::notation::{NotationError, Word, Words, unknown_word};

/// Addresses of one table.
pub(super) const ADDRESSES: u32 = 65_536;

/// The four tables of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Table {
    Coil,
    Discrete,
    Input,
    Holding,
}

const TABLES: [Table; 4] = [Table::Coil, Table::Discrete, Table::Input, Table::Holding];

/// A register, counted from 0 in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub table: Table,
    pub address: u16,
}

impl Table {
    /// Its word in addresses.
    pub fn word(self) -> &'static str {
        match self {
            Table::Coil => "coil",
            Table::Discrete => "discrete",
            Table::Input => "input",
            Table::Holding => "holding",
        }
    }

    /// What stands in it.
    pub fn described(self) -> &'static str {
        match self {
            Table::Coil => "a coil",
            Table::Discrete => "a discrete input",
            Table::Input => "an input register",
            Table::Holding => "a holding register",
        }
    }

    /// Whether it holds single bits.
    pub fn is_bits(self) -> bool {
        matches!(self, Table::Coil | Table::Discrete)
    }

    /// The function that reads it.
    pub fn reading(self) -> u8 {
        match self {
            Table::Coil => 1,
            Table::Discrete => 2,
            Table::Holding => 3,
            Table::Input => 4,
        }
    }

    /// The most bits or registers that one request may ask for.
    pub fn most(self) -> u32 {
        if self.is_bits() { 2000 } else { 125 }
    }

    /// How many bits or registers that nobody wants are read along rather than asked around.
    pub fn gap(self) -> u32 {
        if self.is_bits() { 32 } else { 8 }
    }

    /// By the first digit of an address.
    fn of_digit(digit: &str) -> Option<Self> {
        Some(match digit {
            "0" => Table::Coil,
            "1" => Table::Discrete,
            "3" => Table::Input,
            "4" => Table::Holding,
            _ => return None,
        })
    }
}

impl Place {
    /// Reads an address behind `at`.
    pub fn parse(words: &mut Words<'_>) -> Result<Self, NotationError> {
        let word = words.require("an address such as 40001 or `holding 0`")?;
        if let Some(table) = TABLES.iter().find(|table| word.is(table.word())) {
            let number = words.require("the address, counted from 0")?;
            let address = u16::try_from(number.number("an address")?);
            let wrong = |_| number.error("addresses in a table go from 0 to 65535");
            return Ok(Place {
                table: *table,
                address: address.map_err(wrong)?,
            });
        }
        Self::of_digits(&word)
    }

    fn of_digits(word: &Word<'_>) -> Result<Self, NotationError> {
        let digits = &*word.text;
        if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            let words = TABLES.map(Table::word);
            let message = match crate::notation::nearest(digits, &words) {
                Some(_) => unknown_word("table", digits, &words),
                None => format!(
                    "expected an address such as 40001 or `holding 0`, found `{}`",
                    word.raw
                ),
            };
            return Err(word.error(message));
        }
        let most = match digits.len() {
            5 => 9999,
            6 => ADDRESSES,
            _ => {
                return Err(word.error(format!(
                    "an address has 5 or 6 digits, `{digits}` has {}; `holding {digits}` counts from 0",
                    digits.len()
                )));
            }
        };
        let (first, number) = digits.split_at_checked(1).unwrap_or_default();
        let table = Table::of_digit(first).ok_or_else(|| {
            word.error("an address begins with 0 (coils), 1 (discrete inputs), 3 (input registers) or 4 (holding registers)")
        })?;
        let number = number.parse::<u32>().ok();
        let number = number.filter(|number| (1..=most).contains(number));
        let address = number.and_then(|number| u16::try_from(number.checked_sub(1)?).ok());
        let address = address.ok_or_else(|| {
            word.error(format!(
                "addresses of {} digits go from {first}{:0>2$} to {first}{most}",
                digits.len(),
                1,
                digits.len().saturating_sub(1)
            ))
        })?;
        Ok(Place { table, address })
    }
}
