//! Requests as templates, and the decoders of their answers.

use serde_json::{Value as Json, json};

use super::blocks::Block;
use super::register::Register;
use super::{Question, Transport};
use crate::decoding::{self, Decoder};
use crate::document::{Problems, Section};

/// Set where the answer is one to this request; its name is none that a register would have.
const EXPECTED: &str = "answer as asked";
/// The bytes that were written, where the answer does not repeat them.
const WRITTEN: &str = "bytes as asked";

/// What an exception's code means (MODBUS Application Protocol V1.1b3, section 7).
const EXCEPTIONS: &str = "1='illegal function' 2='illegal data address' 3='illegal data value' 4='server device failure' 5=acknowledge 6='server device busy' 8='memory parity error' 10='gateway path unavailable' 11='gateway target device failed to respond'";

impl Transport {
    /// The fields in front of what the function says.
    fn head(self) -> &'static [&'static str] {
        match self {
            Transport::Tcp => &[
                "transaction: u16 drop",
                "skip 4",
                "unit: u8 drop",
                "function: u8 drop",
            ],
            Transport::Rtu => &["unit: u8 drop", "function: u8 drop"],
        }
    }

    /// Where the byte behind the function stands.
    pub fn behind_function(self) -> usize {
        match self {
            Transport::Tcp => 8,
            Transport::Rtu => 2,
        }
    }

    /// Bytes of a frame that has so many behind its function.
    fn length(self, bytes: usize) -> usize {
        let check = match self {
            Transport::Tcp => 0,
            Transport::Rtu => 2,
        };
        bytes
            .saturating_add(self.behind_function())
            .saturating_add(check)
    }

    /// The template of a request, from its function on.
    pub fn request(self, function: u8, body: &[u8]) -> String {
        let digits = hex(body);
        let length = body.len().saturating_add(2);
        match self {
            Transport::Tcp => format!(
                "0x {{count transaction: u16}} 0000 {length:04x} {{unit: u8}} {function:02x} {digits}"
            ),
            Transport::Rtu => {
                format!("0x {{unit: u8}} {function:02x} {digits} {{crc-16/modbus over 0..: u16le}}")
            }
        }
    }

    /// The condition that a frame with this function answers the request.
    fn answers(self, function: u8) -> String {
        match self {
            Transport::Tcp => format!(
                "transaction = {{count transaction}} and unit = {{unit}} and function = {function}"
            ),
            Transport::Rtu => format!("unit = {{unit}} and function = {function}"),
        }
    }
}

/// What is to be read out of an answer.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    pub function: u8,
    /// Bytes behind the function.
    pub bytes: usize,
    /// What must stand in these bytes, as conditions.
    pub expected: Vec<String>,
    /// The `type` of its values.
    pub word: &'a str,
    pub values: Values,
}

/// The values of an answer.
#[derive(Debug, Default)]
pub(super) struct Values {
    fields: Vec<String>,
    /// What reads the bytes that were written, if the answer does not repeat them.
    of_question: Option<String>,
}

impl Answer<'_> {
    /// The question that it answers.
    pub fn to(&self, transport: Transport, name: &str, body: &[u8]) -> Result<Question, String> {
        let mut answer = vec![transport.answers(self.function)];
        // A read in TCP is known by its transaction alone: an answer that is not as asked shall be
        // seen as one. RTU has nothing but the length to tell it from that to another request.
        if self.word == "written" || transport == Transport::Rtu {
            answer.extend(self.expected.iter().cloned());
        }
        if transport == Transport::Rtu {
            answer.push(format!("length = {}", transport.length(self.bytes)));
        }
        Ok(Question {
            name: name.into(),
            send: transport.request(self.function, body),
            answer: answer.join(" and "),
            refused: transport.answers(self.function | 0x80),
            decoder: self.decoder(transport, name)?,
        })
    }

    fn decoder(&self, transport: Transport, name: &str) -> Result<Decoder, String> {
        let mut fields: Vec<String> = transport.head().iter().map(|&field| field.into()).collect();
        let function = self.function;
        let length = transport.length(self.bytes);
        let head = format!("function = {function} and length = {length}");
        let expected = std::iter::once(&head).chain(&self.expected);
        let expected: Vec<&str> = expected.map(String::as_str).collect();
        let expected = expected.join(" and ");
        fields.push(format!("'{EXPECTED}': const yes if {expected} drop"));
        let refused = function | 0x80;
        let length = transport.length(1);
        fields.push(format!(
            "'{EXPECTED}': const no if function = {refused} and length = {length} drop"
        ));
        let decode = json!({
            "type": "binary",
            "fields": fields,
            "select": { "by": EXPECTED, "cases": [["yes", "values"], ["no", "refused"]] },
        });
        let Values {
            fields,
            of_question,
        } = &self.values;
        let registers = name.replace('\'', "''");
        let layouts = json!({
            "values": { "type": self.word, "fields": fields },
            "refused": { "fields": [
                format!("exception: u8 enum {EXCEPTIONS}"),
                format!("registers: const '{registers}'"),
            ] },
            "question": { "fields": Vec::from_iter(of_question) },
        });
        read(&decode, &layouts)
    }
}

fn read(decode: &Json, layouts: &Json) -> Result<Decoder, String> {
    let mut problems = Problems::new();
    let (decode, layouts) = (Section::root(decode), Section::root(layouts));
    let decoder = decoding::read(Some(&decode), Some(&layouts), &mut problems);
    match problems.as_slice().first() {
        Some(problem) => Err(problem.message.clone()),
        None => decoder.ok_or_else(|| "cannot be decoded".to_owned()),
    }
}

/// The question that reads a block.
pub(super) fn reading(transport: Transport, block: &Block<'_>) -> Result<Question, String> {
    let [high, low] = block.start.to_be_bytes();
    let [more, less] = block.count.to_be_bytes();
    answer(transport, block).to(transport, &title(block), &[high, low, more, less])
}

fn answer(transport: Transport, block: &Block<'_>) -> Answer<'static> {
    let bits = block.table.is_bits();
    let count = usize::from(block.count);
    let bytes = if bits {
        count.div_ceil(8)
    } else {
        count.saturating_mul(2)
    };
    let at = transport.behind_function();
    let first = at.saturating_add(1);
    let field = |register: &&Register| {
        let place = register.place.address.saturating_sub(block.start).into();
        value_at(register, first, place)
    };
    Answer {
        function: block.table.reading(),
        bytes: bytes.saturating_add(1),
        expected: vec![format!("u8 at {at} = {bytes}")],
        word: if bits { "bits" } else { "registers" },
        values: Values {
            fields: block.registers.iter().map(field).collect(),
            of_question: None,
        },
    }
}

/// The field that reads a register, so many registers or bits behind the first byte of an answer's.
fn value_at(register: &Register, first: usize, place: usize) -> String {
    let Register {
        quoted,
        kind,
        steps,
        ..
    } = register;
    if register.place.table.is_bits() {
        let (byte, bit) = (first.saturating_add(place / 8), place % 8);
        return format!("{quoted}: u8 at {byte} >> {bit} & 1 bool {steps}");
    }
    let byte = first.saturating_add(place.saturating_mul(2));
    format!("{quoted}: {kind} at {byte} {steps}")
}

/// The register in the echo of a request that wrote it.
pub(super) fn echoed(register: &Register, first: usize) -> Values {
    Values {
        fields: vec![value_at(register, first, 0)],
        of_question: None,
    }
}

/// The register as it was written, where the answer says only that it was.
pub(super) fn told(register: &Register, written: &[u8]) -> Values {
    // The letter in front keeps digits a text.
    let written = format!("const h{} ltrim h unhex", hex(written));
    Values {
        fields: vec![format!("'{WRITTEN}': {written} with question drop")],
        of_question: Some(value_at(register, 0, 0)),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The names that a register sets.
pub(super) fn names_of(transport: Transport, register: &Register) -> Result<Vec<String>, String> {
    let fields = answer(transport, &Block::of(register)).values.fields;
    let decode = json!({ "type": "binary", "fields": fields });
    let decoder = read(&decode, &json!({}))?;
    let names = decoder.field_names().unwrap_or_default();
    Ok(names.into_iter().map(str::to_owned).collect())
}

/// The first register and how many more.
fn title(block: &Block<'_>) -> String {
    let first = block
        .registers
        .first()
        .map_or("", |register| &register.name);
    match block.registers.len() {
        0 | 1 => first.to_owned(),
        count => format!("{first} and {} more", count.saturating_sub(1)),
    }
}
