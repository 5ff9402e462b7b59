//! The units behind a device: what `{unit}` in polls goes round over.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::conversation::{Protocol, UNIT};
use crate::document::{Problems, Section, name_of};
use crate::message::Text;
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

fn unit(value: &Value) -> Result<Text, String> {
    match value {
        Value::Number(number)
            if number
                .as_u64()
                .is_some_and(|unit| u32::try_from(unit).is_ok()) =>
        {
            Ok(number.to_string().into())
        }
        Value::Number(number) => Err(format!(
            "unit {number} is no whole number from 0 to {}",
            u32::MAX
        )),
        Value::String(text) => {
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

/// Polls that name a unit need to know which there are.
pub fn check(section: &Section<'_>, protocol: &Protocol, units: &[Text], problems: &mut Problems) {
    let polls = protocol.questions.polls.iter();
    let named = polls.flat_map(|poll| &poll.asks).find(|asks| {
        let mut names = asks.templates().flat_map(Template::field_names);
        names.any(|name| name == UNIT)
    });
    if let Some(asks) = named.filter(|_| units.is_empty()) {
        let message = format!(
            "poll \"{}\" of the protocol asks a `unit`, and there is none here: add \"units\", such as [1]",
            asks.name
        );
        problems.add(section, message);
    }
}
