//! What was read of a frame, in words.

use super::dump::{Claim, Rank};
use crate::decoding::{Field, Noted, Trace, What};
use crate::message::Value;

/// Characters of a value that are shown.
const MOST_SHOWN: usize = 80;

/// The layouts that read the frame, and how they were selected.
pub(super) fn layouts(trace: &Trace) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    let mut selected = String::new();
    for noted in trace.0.iter().filter(|noted| noted.depth == 0) {
        match &noted.what {
            What::Selected { by, value, case } => {
                let value = value.as_ref().map_or("nothing".to_owned(), shown);
                selected = match case {
                    Some(case) => format!(", case {case} for {by} = {value}"),
                    None => format!(", the default for {by} = {value}"),
                };
            }
            What::Layout { name, kind } => {
                let name = name.as_deref().unwrap_or("decode");
                let kind = kind.unwrap_or("no fields");
                texts.push(format!("{name} ({kind}){selected}"));
                selected.clear();
            }
            _ => {}
        }
    }
    texts
}

/// What the fields say of the frame's bytes.
pub(super) fn claims(trace: &Trace) -> Vec<Claim> {
    let mut claims = Vec::new();
    let mut path = Path::default();
    let mut folded = Folded::default();
    let mut place = 0..0;
    for (at, noted) in trace.0.iter().enumerate() {
        path.enter(noted);
        if !path.is_in_list() {
            claims.extend(folded.unfold(place.end));
        }
        let behind = trace.0.get(at + 1);
        let holds = behind.is_some_and(|next| next.depth > noted.depth);
        let text = match &noted.what {
            What::Field(field) => field_text(field, holds),
            What::Own(text) => text.clone(),
            What::Element(_) | What::Layout { .. } | What::Selected { .. } => continue,
        };
        place = match &noted.place {
            Some(place) => place.clone(),
            None => place.end..place.end,
        };
        if let Some(list) = path.lists().filter(|_| is_left_out(noted)) {
            folded.add(list, text);
            continue;
        }
        claims.push(Claim {
            place: place.clone(),
            rank: rank(noted, holds),
            depth: noted.depth,
            holds,
            text: format!("{}{text}", path.before(noted)),
        });
        if holds {
            // What stands in it begins where it begins.
            place = place.start..place.start;
        }
    }
    claims.extend(folded.unfold(place.end));
    claims
}

fn is_left_out(noted: &Noted) -> bool {
    matches!(&noted.what, What::Field(field) if field.left_out.is_some() && field.failed.is_none())
}

/// What is left out in elements of a list, to be said once behind it: in which list, what, and in
/// how many elements.
#[derive(Default)]
struct Folded(Vec<(String, String, usize)>);

impl Folded {
    fn add(&mut self, list: String, text: String) {
        let mut known = self.0.iter_mut();
        match known.find(|(place, known, _)| *place == list && *known == text) {
            Some((.., count)) => *count += 1,
            None => self.0.push((list, text, 1)),
        }
    }

    fn unfold(&mut self, at: usize) -> impl Iterator<Item = Claim> {
        let all = std::mem::take(&mut self.0);
        all.into_iter().map(move |(list, text, count)| {
            let elements = if count == 1 { "element" } else { "elements" };
            Claim {
                place: at..at,
                rank: Rank::Field,
                depth: 0,
                holds: false,
                text: format!("{list}: {text}, in {count} {elements}"),
            }
        })
    }
}

fn rank(noted: &Noted, holds: bool) -> Rank {
    match noted.what {
        What::Own(_) => Rank::Decoder,
        // Its bytes are those of what stands in it.
        _ if holds => Rank::Decoder,
        // What is gone over may still be framing or checked.
        What::Field(ref field) if field.written.starts_with("skip ") => Rank::Decoder,
        _ if noted.elsewhere => Rank::Elsewhere,
        _ => Rank::Field,
    }
}

/// The lists in which something stands, with the numbers of their elements.
#[derive(Default)]
struct Path(Vec<Place>);

struct Place {
    depth: usize,
    /// Its name, or the number of an element.
    word: String,
    is_element: bool,
}

impl Path {
    fn enter(&mut self, noted: &Noted) {
        let depth = noted.depth;
        self.0.retain(|place| place.depth < depth);
        let (word, is_element) = match &noted.what {
            What::Field(field) => (field.name.to_string(), false),
            What::Element(number) => (number.to_string(), true),
            What::Layout { .. } | What::Selected { .. } | What::Own(_) => return,
        };
        self.0.push(Place {
            depth,
            word,
            is_element,
        });
    }

    fn is_in_list(&self) -> bool {
        self.0.iter().any(|place| place.is_element)
    }

    /// The names of the lists in whose elements something stands, if it does.
    fn lists(&self) -> Option<String> {
        let behind = self.0.iter().skip(1);
        let lists = self
            .0
            .iter()
            .zip(behind)
            .filter(|(_, next)| next.is_element);
        let words: Vec<&str> = lists.map(|(list, _)| list.word.as_str()).collect();
        (!words.is_empty()).then(|| words.join(" "))
    }

    /// The path of what stands there, without its own name.
    fn before(&self, noted: &Noted) -> String {
        let outer = self.0.iter().filter(|place| place.depth < noted.depth);
        let outer: Vec<&Place> = outer.collect();
        // Which part of a value it stands in is said by the line above.
        let last = outer.iter().rposition(|place| place.is_element);
        let words = outer.iter().take(last.map_or(0, |last| last + 1));
        let words: Vec<&str> = words.map(|place| place.word.as_str()).collect();
        match words.is_empty() {
            true => String::new(),
            false => format!("{}: ", words.join(" ")),
        }
    }
}

fn field_text(field: &Field, holds: bool) -> String {
    let written = &field.written;
    if let Some(why) = field.failed.as_ref().filter(|_| !holds) {
        return format!("{written}: FAILED, {why}");
    }
    if let Some(why) = field.left_out {
        return format!("{written}: left out, {why}");
    }
    let mut text = written.to_string();
    if let Some((_, value)) = field.set.iter().find(|(name, _)| *name == field.name) {
        text.push_str(&format!(" = {}", shown(value)));
        if let Some(raw) = field.raw.as_ref().filter(|raw| *raw != value) {
            text.push_str(&format!(", read as {}", shown(raw)));
        }
    }
    let bits = field.set.iter().filter(|(name, _)| *name != field.name);
    let bits: Vec<String> = bits
        .map(|(name, value)| format!("{name} = {}", shown(value)))
        .collect();
    if !bits.is_empty() {
        text.push_str(&format!("; {}", bits.join(", ")));
    }
    text
}

/// A value, as far as a line can hold it.
fn shown(value: &Value) -> String {
    let text = match value {
        Value::Bytes(bytes) => return format!("{} bytes", bytes.len()),
        Value::List(values) => return format!("{} elements", values.len()),
        Value::Float(value) if !value.is_finite() => value.to_string(),
        value => serde_json::to_string(value).unwrap_or_default(),
    };
    match text.char_indices().nth(MOST_SHOWN) {
        Some((at, _)) => format!("{} …", text.get(..at).unwrap_or_default()),
        None => text,
    }
}
