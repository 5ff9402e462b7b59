//! Modbus by the names of registers: requests that read neighbours together, requests that write,
//! and decoders of their answers.
//!
//! Nothing is spoken here: a [`Question`] is text in the notations of the settings, and whoever
//! polls or commands fills its holes. Source: MODBUS Application Protocol V1.1b3, MODBUS Messaging
//! on TCP/IP V1.0b, MODBUS over Serial Line V1.02.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod blocks;
mod commands;
mod frames;
mod place;
mod register;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde_json::{Map, Value as Json};

use self::blocks::blocks;
use self::register::Register;
use crate::decoding::Decoder;
use crate::document::{Problems, Section, name_of, unknown_word};
use crate::message::Name;

pub use self::commands::{COMMANDS, is_command};

/// The field that every frame of Modbus has.
pub const FUNCTION: &str = "function";

/// What stands around a request and its answer: the protocol member `modbus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub enum Transport {
    /// The header of Modbus TCP, in which transactions are numbered.
    Tcp,
    /// The address and the CRC of Modbus RTU, passed on by a serial device server.
    Rtu,
}

/// One request and how its answer is known and read.
#[derive(Clone, Debug)]
pub struct Question {
    /// What it is about, for logs: the first register and how many more.
    pub name: Name,
    /// A template, with the holes `{unit: u8}` and, in TCP, `{count transaction: u16}`.
    pub send: String,
    /// The condition that the answer fulfils, with the holes `{unit}` and `{count transaction}`.
    pub answer: String,
    /// The condition that a refusal fulfils, with the same holes.
    pub refused: String,
    /// Reads the answer and the refusal. The fields of the head are hidden; a refusal has the field
    /// `exception`, in words. An answer of another length than was asked for is undecoded.
    pub decoder: Decoder,
}

/// The registers of a protocol.
#[derive(Clone, Debug)]
pub struct Registers {
    transport: Transport,
    registers: Box<[Register]>,
}

impl Registers {
    /// Reads the protocol's member `registers`, a list of `NAME: TYPE at ADDRESS [steps]`.
    pub fn read(
        section: &Section<'_>,
        transport: Transport,
        problems: &mut Problems,
    ) -> Option<Self> {
        let before = problems.len();
        let Some(list) = section.value.as_array() else {
            let message = format!(
                "expected a list of registers, found {}",
                name_of(section.value)
            );
            problems.add(section, message);
            return None;
        };
        if list.is_empty() {
            problems.add(section, "expected at least one register");
        }
        let mut registers = Vec::with_capacity(list.len());
        // Every name that a register sets, parts of `bits` included.
        let mut taken = BTreeSet::new();
        for element in section.elements() {
            let Some(register) = Register::read(&element, problems) else {
                continue;
            };
            match frames::names_of(transport, &register) {
                Err(why) => problems.add(&element, why),
                Ok(names) => {
                    for name in names {
                        if !taken.insert(name.clone()) {
                            problems.add(&element, format!("another register sets `{name}` too"));
                        }
                    }
                }
            }
            registers.push(register);
        }
        (problems.len() == before).then_some(Registers {
            transport,
            registers: registers.into(),
        })
    }

    /// The names of all registers, as they are written in the list.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        self.registers.iter().map(|register| &register.name)
    }

    /// Reads which registers a poll asks for: `"all"`, or a list of names.
    pub fn chosen(&self, section: &Section<'_>, problems: &mut Problems) -> Vec<Name> {
        if section.value.as_str() == Some("all") {
            return self.names().cloned().collect();
        }
        let Some(list) = section.value.as_array() else {
            let found = name_of(section.value);
            problems.add(
                section,
                format!("expected \"all\" or a list of registers, found {found}"),
            );
            return Vec::new();
        };
        if list.is_empty() {
            problems.add(section, "expected at least one register");
        }
        let mut names: Vec<Name> = Vec::new();
        for element in section.elements() {
            match element.value.as_str() {
                None => problems.add(&element, "expected the name of a register"),
                Some(name) => match self.find(name) {
                    Ok(_) if names.iter().any(|known| **known == *name) => {
                        problems.add(&element, format!("register {name} is already in the list"));
                    }
                    Ok(register) => names.push(register.name.clone()),
                    Err(why) => problems.add(&element, why),
                },
            }
        }
        names
    }

    /// The requests that read these registers, as few as may be: neighbours are read together,
    /// with what stands between them where that is little. Names that are none are left out.
    pub fn questions<N: AsRef<str>>(&self, names: &[N]) -> Vec<Question> {
        let names: BTreeSet<&str> = names.iter().map(AsRef::as_ref).collect();
        let registers = self.registers.iter();
        let chosen = registers.filter(|register| names.contains(&*register.name));
        let blocks = blocks(chosen.collect());
        // Each of the registers has been tried when it was read.
        let questions = blocks
            .iter()
            .map(|block| frames::reading(self.transport, block));
        questions.filter_map(Result::ok).collect()
    }

    /// The request of a command: `read` with the argument `register`, or `write` with `register` and
    /// `value`. Who reads is answered with the register's value.
    ///
    /// # Errors
    /// All that is wrong with the arguments.
    pub fn command(&self, name: &str, arguments: &Map<String, Json>) -> Result<Question, String> {
        commands::question(self, name, arguments)
    }

    fn find(&self, name: &str) -> Result<&Register, String> {
        let found = self
            .registers
            .iter()
            .find(|register| &*register.name == name);
        found.ok_or_else(|| {
            let names: Vec<&str> = self.names().map(|name| &**name).collect();
            unknown_word("register", name, &names)
        })
    }
}
