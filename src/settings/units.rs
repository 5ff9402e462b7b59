//! The units behind a device: what `{unit}` in polls goes round over.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use crate::conversation::{Exchange, Protocol, UNIT};
use crate::document::{Problems, Section, name_of};
use crate::message::{Text, Value};
use crate::template::Template;

/// As many devices as one connection can have commands for.
pub const MOST_UNITS: usize = 1000;
const MOST_UNIT_CHARS: usize = 64;

/// Reads the member `units`.
pub fn units(section: &Section<'_>, problems: &mut Problems) -> Vec<Text> {
    let Some(list) = section.member("units") else {
        return Vec::new();
    };
    if !list.value.is_array() {
        let found = name_of(list.value);
        problems.add(&list, format!("expected a list of units, found {found}"));
    }
    let (mut units, mut known) = (Vec::new(), BTreeSet::new());
    for (count, place) in list.elements().enumerate() {
        if count == MOST_UNITS {
            problems.add(&list, format!("more than {MOST_UNITS} units"));
            break;
        }
        match unit(place.value) {
            Ok(unit) if !known.insert(unit.clone()) => {
                problems.add(&place, format!("unit {unit} is already in the list"));
            }
            Ok(unit) => units.push(unit),
            Err(wrong) => problems.add(&place, wrong),
        }
    }
    units
}

fn unit(value: &Json) -> Result<Text, String> {
    match value {
        Json::Number(number)
            if number
                .as_u64()
                .is_some_and(|unit| u32::try_from(unit).is_ok()) =>
        {
            Ok(number.to_string().into())
        }
        Json::Number(number) => Err(format!(
            "unit {number} is no whole number from 0 to {}",
            u32::MAX
        )),
        Json::String(text) => {
            let plain = |c: char| matches!(c, '!'..='~') && c != '/';
            let fits = (1..=MOST_UNIT_CHARS).contains(&text.len()) && text.chars().all(plain);
            let wrong = || {
                format!(
                    "unit \"{text}\" is not 1 to {MOST_UNIT_CHARS} printable ASCII characters without / and spaces"
                )
            };
            fits.then(|| text.as_str().into()).ok_or_else(wrong)
        }
        other => Err(format!(
            "expected a number or text, found {}",
            name_of(other)
        )),
    }
}

/// Polls that name a unit need to know which there are, and every unit must fit where it is written.
pub fn check(section: &Section<'_>, protocol: &Protocol, problems: &mut Problems) {
    let list = section.member("units");
    let none = list
        .as_ref()
        .is_none_or(|list| list.value.as_array().is_some_and(Vec::is_empty));
    let polls = protocol.questions.polls.iter();
    let named = polls.flat_map(|poll| &poll.asks).find(|asks| {
        let mut names = asks.templates().flat_map(Template::field_names);
        names.any(|name| name == UNIT)
    });
    if let Some(asks) = named.filter(|_| none) {
        let message = format!(
            "poll \"{}\" of the protocol asks a `unit`, and there is none here: add \"units\", such as [1]",
            asks.name
        );
        problems.add(section, message);
    }
    let registers = list.as_ref().and_then(|_| of_registers(protocol));
    let mut known = BTreeSet::new();
    for place in list.iter().flat_map(Section::elements).take(MOST_UNITS) {
        if let Ok(text) = unit(place.value)
            && known.insert(text.clone())
            && let Some(message) = misfit(protocol, registers.as_ref(), &text)
        {
            problems.add(&place, message);
        }
    }
}

/// What the commands say that registers bring.
fn of_registers(protocol: &Protocol) -> Option<Template> {
    let registers = protocol.questions.registers.as_ref()?;
    let first = registers.names().next()?;
    let question = registers.questions(&[&**first]).pop()?;
    Template::parse(&question.send).ok()
}

/// Why a question of the protocol cannot say the unit, if one cannot.
fn misfit(protocol: &Protocol, registers: Option<&Template>, unit: &Text) -> Option<String> {
    let questions = &protocol.questions;
    let value = Value::Text(unit.clone());
    let misfit = |asks: &Exchange| {
        let mut templates = asks.templates();
        templates.find_map(|template| template.misfit(UNIT, &value))
    };
    let polls = questions.polls.iter().flat_map(|poll| {
        let asks = poll.asks.iter();
        asks.map(move |asks| ("poll", &poll.name, asks))
    });
    let commands = questions.commands.iter();
    let commands = commands.map(|(name, command)| ("command", name, &command.asks));
    let mut asked = polls.chain(commands);
    let found =
        asked.find_map(|(what, name, asks)| Some((format!("{what} \"{name}\""), misfit(asks)?)));
    let of_registers = || {
        let misfit = registers?.misfit(UNIT, &value)?;
        Some(("the commands `read` and `write`".to_owned(), misfit))
    };
    let (who, misfit) = found.or_else(of_registers)?;
    let expected = misfit
        .expected
        .map(|expected| format!(": expected {expected}"));
    Some(format!(
        "unit {unit} does not fit `{}` of {who}{}",
        misfit.hole,
        expected.unwrap_or_default()
    ))
}
