//! The commands `read` and `write`.

use serde_json::{Map, Value as Json};

use super::blocks::Block;
use super::frames::{Answer, echoed, reading, told};
use super::place::Table;
use super::register::Register;
use super::{Question, Registers};
use crate::document::{name_of, unknown_word};
use crate::message::Value;

/// The commands that registers bring, each with its arguments.
pub const COMMANDS: [(&str, &[&str]); 2] =
    [("read", &["register"]), ("write", &["register", "value"])];

/// Whether registers bring a command of that name.
pub fn is_command(name: &str) -> bool {
    COMMANDS.iter().any(|(command, _)| *command == name)
}

/// What is written into a coil that shall be on.
const ON: u16 = 0xff00;

/// The question that a command is.
pub(super) fn question(
    registers: &Registers,
    name: &str,
    arguments: &Map<String, Json>,
) -> Result<Question, String> {
    let Some((_, known)) = COMMANDS.iter().find(|(command, _)| *command == name) else {
        let names = COMMANDS.map(|(command, _)| command);
        return Err(unknown_word("command", name, &names));
    };
    let mut wrong: Vec<String> = Vec::new();
    let unknown = arguments
        .keys()
        .filter(|argument| !known.contains(&argument.as_str()));
    wrong.extend(unknown.map(|argument| unknown_word("argument", argument, known)));
    let register = register(registers, arguments);
    let question = match register {
        Err(why) => Err(why),
        Ok(register) if name == "read" => reading(registers.transport, &Block::of(register)),
        Ok(register) => {
            written(arguments, register).and_then(|bytes| writing(registers, register, &bytes))
        }
    };
    if name == "write" && question.is_err() && !arguments.contains_key("value") {
        wrong.push("`value` is missing".to_owned());
    }
    match question {
        Ok(question) if wrong.is_empty() => Ok(question),
        Ok(_) => Err(wrong.join("; ")),
        Err(why) => {
            if !wrong.contains(&why) {
                wrong.insert(0, why);
            }
            Err(wrong.join("; "))
        }
    }
}

fn register<'r>(
    registers: &'r Registers,
    arguments: &Map<String, Json>,
) -> Result<&'r Register, String> {
    match arguments.get("register") {
        Some(Json::String(name)) => registers.find(name),
        Some(other) => Err(format!(
            "`register` must be the name of a register, found {}",
            name_of(other)
        )),
        None => Err("`register` is missing".to_owned()),
    }
}

/// The bytes that the argument `value` is in the register.
fn written(arguments: &Map<String, Json>, register: &Register) -> Result<Vec<u8>, String> {
    let table = register.place.table;
    let name = &register.name;
    if matches!(table, Table::Discrete | Table::Input) {
        let what = table.described();
        return Err(format!(
            "`{name}` cannot be written: it is {what}, which is only read"
        ));
    }
    if !table.is_bits() && register.bytes % 2 == 1 {
        return Err(format!(
            "`{name}` cannot be written: it has half of its last register"
        ));
    }
    let value = arguments.get("value").ok_or("`value` is missing")?;
    let value = value_of(value).ok_or_else(|| {
        let found = name_of(value);
        format!("`value` must be a number, a flag, a text or null, found {found}")
    })?;
    let bytes = register.inverse.bytes(&value);
    bytes.map_err(|why| match why.strip_prefix("cannot be written") {
        Some(why) => format!("`{name}` cannot be written{why}"),
        None => format!("`value` {why}"),
    })
}

fn value_of(json: &Json) -> Option<Value> {
    Some(match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Bool(*flag),
        Json::String(text) => Value::text(text.as_str()),
        Json::Number(number) => {
            let whole = number.as_i64().map(i128::from);
            let whole = whole.or_else(|| number.as_u64().map(i128::from));
            match whole {
                Some(whole) => Value::integer(whole),
                None => Value::Float(number.as_f64()?),
            }
        }
        Json::Array(_) | Json::Object(_) => return None,
    })
}

/// The question that writes these bytes.
fn writing(registers: &Registers, register: &Register, bytes: &[u8]) -> Result<Question, String> {
    let transport = registers.transport;
    let at = transport.behind_function();
    let value_at = at.saturating_add(2);
    let address = register.place.address;
    let mut body = address.to_be_bytes().to_vec();
    let mut expected = vec![format!("u16 at {at} = {address}")];
    let (function, values) = match (register.place.table.is_bits(), bytes) {
        (true, bytes) => {
            let state = if bytes == [1] { ON } else { 0 };
            body.extend(state.to_be_bytes());
            expected.push(format!("u16 at {value_at} = {state}"));
            (5, echoed(register, value_at))
        }
        (false, [high, low]) => {
            body.extend([high, low]);
            let value = u16::from_be_bytes([*high, *low]);
            expected.push(format!("u16 at {value_at} = {value}"));
            (6, echoed(register, value_at))
        }
        (false, bytes) => {
            let count = register.count;
            body.extend(count.to_be_bytes());
            body.extend(u8::try_from(bytes.len()));
            body.extend(bytes);
            expected.push(format!("u16 at {value_at} = {count}"));
            (16, told(register, bytes))
        }
    };
    let answer = Answer {
        function,
        bytes: 4,
        expected,
        word: "written",
        values,
    };
    answer.to(transport, &register.name, &body)
}
