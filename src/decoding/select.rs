//! `select`: the layout that a field chooses.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde_json::Value as Json;

use super::run::Run;
use super::trace::What;
use crate::document::{Problems, Section, name_of, unknown_word};
use crate::message::{Name, Value};
use crate::notation::{Literal, Values};
use crate::schema::Scalar;

/// Chooses by a field how the frame is read on.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "select")]
pub(super) struct SelectOptions {
    /// The field that chooses.
    by: String,
    /// Pairs of a value and the name of a layout.
    #[schemars(with = "Vec<(Scalar, String)>")]
    cases: Vec<(Json, String)>,
    /// The layout for all other values. Without it such a frame is undecoded.
    default: Option<String>,
}

/// Which layout reads on.
#[derive(Debug)]
pub(super) struct Select {
    pub by: Name,
    cases: Vec<(Values, usize)>,
    default: Option<usize>,
}

impl Select {
    /// The layouts that it may choose.
    pub fn targets(&self) -> impl Iterator<Item = usize> {
        let cases = self.cases.iter().map(|(_, layout)| *layout);
        cases.chain(self.default)
    }

    /// Notes what was chosen, and by what.
    pub fn note(&self, case: Option<usize>, run: &mut Run<'_>) {
        let note = run.begin_with(|run| What::Selected {
            by: self.by.clone(),
            value: run.reading.fields.get(&self.by).cloned(),
            case,
        });
        run.end(note, &Ok(()));
    }

    /// The case that fits, or else the default, and its layout.
    pub fn choose(&self, run: &Run<'_>) -> Result<(Option<usize>, usize), String> {
        let by = &self.by;
        let value = run.reading.fields.get(by);
        let mut cases = self.cases.iter().enumerate();
        let chosen = value.and_then(|value| cases.find(|(_, (values, _))| values.hold(value)));
        let chosen = chosen.map(|(at, (_, layout))| (Some(at), *layout));
        let chosen = chosen.or_else(|| Some((None, self.default?)));
        chosen.ok_or_else(|| match value {
            None => format!("{by} is missing, which selects the layout"),
            Some(Value::Integer(value)) => format!("no layout for {by} {value}"),
            Some(_) => format!("no layout for this {by}"),
        })
    }
}

/// Reads `select`; the outer `None` means that it is wrong.
pub(super) fn read_select(
    section: &Section<'_>,
    names: &[&str],
    problems: &mut Problems,
) -> Option<Option<Select>> {
    let Some(section) = section.member("select") else {
        return Some(None);
    };
    let options: SelectOptions = section.read(&[], problems)?;
    let before = problems.len();
    let mut cases = Vec::new();
    for (index, (value, layout)) in options.cases.iter().enumerate() {
        let case = section
            .member("cases")
            .and_then(|cases| cases.element(index));
        let case = case.as_ref().unwrap_or(&section);
        let layout = find_layout(case, "1", layout, names, problems);
        let Some(values) = read_values(case, value, problems) else {
            continue;
        };
        let earlier = |(earlier, _): &(Values, _)| values.hidden_by(earlier);
        if let Some(hidden) = cases.iter().find_map(earlier) {
            let message =
                format!("an earlier case has `{hidden}`, so that this one is never chosen");
            problems.member(case, "0", message);
        }
        cases.push((values, layout.unwrap_or_default()));
    }
    let default = options.default.as_deref();
    let default = default.and_then(|name| find_layout(&section, "default", name, names, problems));
    let by = options.by.into();
    (problems.len() == before).then_some(Some(Select { by, cases, default }))
}

fn find_layout(
    section: &Section<'_>,
    member: &str,
    name: &str,
    names: &[&str],
    problems: &mut Problems,
) -> Option<usize> {
    let found = names.iter().position(|known| *known == name);
    if found.is_none() {
        problems.member(section, member, unknown_word("layout", name, names));
    }
    found
}

/// A value of a pair's first element.
pub(super) fn literal(
    section: &Section<'_>,
    value: &Json,
    problems: &mut Problems,
) -> Option<Literal> {
    let text = first_text(section, value, problems)?;
    Some(Literal::new(&text))
}

/// The values of a case, one or several.
fn read_values(section: &Section<'_>, value: &Json, problems: &mut Problems) -> Option<Values> {
    let text = first_text(section, value, problems)?;
    Values::parse(&text)
        .map_err(|error| problems.notation(section, "0", error))
        .ok()
}

/// A pair's first element as text: a number, a flag or a text.
fn first_text<'v>(
    section: &Section<'_>,
    value: &'v Json,
    problems: &mut Problems,
) -> Option<Cow<'v, str>> {
    match value {
        Json::String(text) => Some(Cow::Borrowed(text)),
        Json::Number(_) | Json::Bool(_) => Some(Cow::Owned(value.to_string())),
        other => {
            let message = format!(
                "expected a text, a number or a flag, found {}",
                name_of(other)
            );
            problems.member(section, "0", message);
            None
        }
    }
}
