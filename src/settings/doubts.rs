//! What a protocol asks and answers that can run as it is, and is hardly meant.

use serde_json::Value;

use super::Warning;
use crate::conversation::Protocol;
use crate::document::Section;

/// Polls whose answer may take longer than the time to the next one.
pub fn slow_answers(section: &Section<'_>, protocol: &Protocol) -> Vec<Warning> {
    let polls = section.member("polls");
    let polls = polls.iter().flat_map(Section::members);
    let slow = polls.filter_map(|(name, entry)| {
        let place = entry.member("withinMs")?;
        let mut known = protocol.questions.polls.iter();
        let poll = known.find(|poll| *poll.name == *name)?;
        let within = poll.asks.iter().map(|asks| asks.within).max()?;
        let (within, every) = (within.as_millis(), poll.every.as_millis());
        let message = format!(
            "an answer that takes these {within} ms comes behind the next poll, which is due after {every} ms (\"everyMs\") and is left out then"
        );
        (within > every).then(|| warning(&place, None, message))
    });
    slow.collect()
}

/// Texts of bytes that hold a backslash and a letter where JSON's escape was meant.
pub fn escapes(section: &Section<'_>) -> Vec<Warning> {
    let mut texts = Vec::new();
    for name in ["replies", "polls", "commands"] {
        let entries = section.member(name);
        for (_, entry) in entries.iter().flat_map(Section::members) {
            texts.extend(sent(entry));
        }
    }
    if let Some(session) = section.member("session") {
        let open = session.member("open");
        texts.extend(open.iter().flat_map(Section::elements).filter_map(sent));
        texts.extend(session.member("heartbeat").and_then(sent));
    }
    if let Some(framing) = section.member("framing") {
        markers(&framing, &mut texts);
    }
    texts.iter().filter_map(escaped).collect()
}

/// The template of an entry, which may be no more than that.
fn sent(entry: Section<'_>) -> Option<Section<'_>> {
    match entry.value {
        Value::String(_) => Some(entry),
        _ => entry.member("send"),
    }
}

/// The texts of a framing that are bytes, those inside of it included.
fn markers<'a>(framing: &Section<'a>, texts: &mut Vec<Section<'a>>) {
    let kind = framing.member("type");
    let is_pattern = kind.is_some_and(|kind| kind.value == "regex");
    for (name, member) in framing.members() {
        match name {
            // Words, conditions, notations of numbers, and patterns.
            "type" | "when" | "length" | "plus" | "onTooLong" | "body" => {}
            "end" if is_pattern => {}
            _ => inside(member, texts),
        }
    }
}

fn inside<'a>(section: Section<'a>, texts: &mut Vec<Section<'a>>) {
    match section.value {
        Value::String(_) => texts.push(section),
        Value::Array(_) => section
            .elements()
            .for_each(|element| inside(element, texts)),
        _ => markers(&section, texts),
    }
}

fn escaped(place: &Section<'_>) -> Option<Warning> {
    let text = place
        .value
        .as_str()
        .filter(|text| !text.starts_with("0x"))?;
    let characters: Vec<char> = text.chars().collect();
    let pairs = characters.windows(2).enumerate();
    let (at, means) = pairs.into_iter().find_map(|(at, pair)| {
        let means = match pair {
            ['\\', 'r'] => "a carriage return is \"\\r\" in JSON",
            ['\\', 'n'] => "a line feed is \"\\n\" in JSON",
            ['\\', 't'] => "a tab is \"\\t\" in JSON",
            ['\\', '0'] => "a zero byte is \"\\u0000\" in JSON",
            _ => return None,
        };
        Some((at, means))
    })?;
    let letter = characters.get(at + 1)?;
    let message = format!(
        "a backslash and `{letter}` are the bytes here, as JSON's two backslashes say: {means}, with one"
    );
    Some(warning(place, Some(at + 1), message))
}

fn warning(place: &Section<'_>, column: Option<usize>, message: String) -> Warning {
    Warning {
        pointer: place.pointer.clone(),
        column,
        message,
    }
}
