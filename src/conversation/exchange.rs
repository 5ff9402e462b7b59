//! A question to a device: what is sent, and how its answer is known.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use regex::bytes::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;

use super::actions::Awaited;
use crate::decoding::Decoder;
use crate::document::{Problems, Section, name_of, unknown_word};
use crate::message::{Fields, Name};
use crate::modbus;
use crate::notation::{Condition, Endian, Literal, NotationError};
use crate::schema::{ConditionText, HoleText};
use crate::template::{Context, Template};

/// Milliseconds that an answer may take.
pub(super) const WITHIN_MS: RangeInclusive<u32> = 1..=300_000;
/// Further tries.
pub(super) const RETRIES: RangeInclusive<u32> = 0..=10;
/// What an answer may take where nothing says it.
pub(super) const DEFAULT_WITHIN_MS: u32 = 5000;
/// The field that templates of questions have: the unit that is asked.
pub const UNIT: &str = "unit";
/// Bytes that the automaton of a pattern may take.
const PATTERN_BYTES: usize = 1 << 20;

/// What can be asked of a device, built once.
#[derive(Debug)]
pub struct Exchange {
    /// Its name in the settings.
    pub name: Name,
    /// What is sent.
    pub send: Sending,
    /// Whether the framing is put around it.
    pub frame: bool,
    /// How the device's answer is known; `None`: it does not answer.
    pub answer: Option<Expected>,
    /// How it is known that the device will not.
    pub refused: Option<Matching>,
    /// How long the answer may take, from the last byte of the question on.
    pub within: Duration,
    /// How often it is asked again when no answer came.
    pub retries: u32,
    /// Whether the answer to a command makes a message too.
    pub publish: bool,
}

/// What is sent.
#[derive(Debug)]
pub enum Sending {
    /// A text with holes; `None`: nothing, the device begins.
    Template(Option<Template>),
    /// Bytes as they are.
    Bytes(Bytes),
}

/// How an answer is known and read.
#[derive(Debug)]
pub struct Expected {
    /// Which frame it is.
    pub matching: Matching,
    /// What reads it, where that is not the protocol's own way.
    pub reads: Option<Decoder>,
    /// The layout by which it does.
    pub layout: Option<Name>,
    /// Whether it reads refusals too.
    pub reads_refusals: bool,
}

/// Which frame is meant.
#[derive(Debug)]
pub enum Matching {
    /// The next one.
    Next,
    /// The first that has these bytes.
    Pattern(Regex),
    /// The first of which all of these hold.
    Where(Vec<Term>),
}

/// What must hold of a frame.
#[derive(Debug)]
pub enum Term {
    /// Always the same.
    Condition(Condition),
    /// A field says what the question said.
    Same(Same),
}

/// A field, and what it must say.
#[derive(Debug)]
pub struct Same {
    /// The field.
    pub field: String,
    /// What the question said.
    pub value: Template,
    /// The counter that is all of it: what it says is cut to its type in the question.
    counter: Option<String>,
}

/// What a question said that its answer repeats: fields and their values, which tell it from the
/// answers to other questions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Echo(Vec<(String, Literal)>);

impl Echo {
    /// Whether a frame cannot be the answer to both questions.
    pub fn differs(&self, other: &Echo) -> bool {
        self.0.iter().any(|(field, value)| {
            let mut others = other.0.iter();
            others.any(|(name, other)| name == field && value.excludes(other))
        })
    }

    fn is_in(&self, fields: &Fields) -> bool {
        let mut all = self.0.iter();
        all.all(|(field, value)| fields.get(field).is_some_and(|found| value.equals(found)))
    }
}

/// The answer to a question: `"next"`, a pattern on the frame's bytes, or an object. An answer that
/// repeats nothing of its question is taken for the answer to the next one if it comes more than a
/// second time limit late, or twice.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "answer")]
pub struct AnswerOptions {
    /// What must hold of the answer; a value may be a hole, `seq = {count seq}`, and means what the
    /// question said. Without it the answer is the next frame.
    #[serde(rename = "where")]
    #[schemars(with = "Option<ConditionText>")]
    condition: Option<String>,
    /// The layout that reads it. Without it the answer is read as every frame is.
    layout: Option<String>,
}

/// The member `answer`.
#[derive(Debug, JsonSchema)]
#[schemars(rename = "answer-entry", untagged)]
#[expect(dead_code, reason = "only the schema of it is made")]
pub enum AnswerEntry {
    /// `next` for the next frame, or a pattern on the frame's bytes.
    Word(String),
    /// Conditions, and what reads it.
    Options(AnswerOptions),
}

/// The member `refused`: an answer that says no.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "refused")]
pub struct RefusedOptions {
    /// What must hold of it beside what the answer repeats of the question.
    #[serde(rename = "where")]
    #[schemars(with = "ConditionText")]
    condition: String,
}

/// The member `refused`.
#[derive(Debug, JsonSchema)]
#[schemars(rename = "refused-entry", untagged)]
#[expect(dead_code, reason = "only the schema of it is made")]
pub enum RefusedEntry {
    /// A pattern on the frame's bytes.
    Pattern(String),
    /// Conditions.
    Options(RefusedOptions),
}

/// What commands, polls and steps of an open sequence have in common.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "question")]
pub struct ExchangeOptions {
    /// The bytes, with holes for values.
    #[schemars(with = "Option<HoleText>")]
    send: Option<String>,
    /// Put the protocol's framing around the bytes.
    #[serde(default)]
    frame: bool,
    /// How the device's answer is known. Without it nothing is waited for.
    #[serde(rename = "answer")]
    #[schemars(with = "Option<AnswerEntry>")]
    _answer: Option<serde::de::IgnoredAny>,
    /// How it is known that the device refuses: looked at before `answer`.
    #[serde(rename = "refused")]
    #[schemars(with = "Option<RefusedEntry>")]
    _refused: Option<serde::de::IgnoredAny>,
    /// How long the answer may take, in milliseconds from the last byte of the question on.
    #[serde(default = "within_ms")]
    #[schemars(range(min = *WITHIN_MS.start(), max = *WITHIN_MS.end()))]
    within_ms: u32,
    /// How often it is asked again when no answer came in time.
    #[serde(default)]
    #[schemars(range(min = *RETRIES.start(), max = *RETRIES.end()))]
    retries: u32,
}

fn within_ms() -> u32 {
    DEFAULT_WITHIN_MS
}

/// Members that [`ExchangeOptions`] has, for those who read others beside them.
pub(super) const MEMBERS: [&str; 6] = ["send", "frame", "answer", "refused", "withinMs", "retries"];

impl Exchange {
    /// Reads the common members of a section; the others have been read, and are named in `others`.
    pub(super) fn read(
        (name, section, others): (&str, &Section<'_>, &[&str]),
        decoder: Option<&Decoder>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let before = problems.len();
        let options: ExchangeOptions = section.read(others, problems)?;
        bounded(section, "withinMs", options.within_ms, &WITHIN_MS, problems);
        bounded(section, "retries", options.retries, &RETRIES, problems);
        let send = options.send.as_deref().and_then(|send| {
            let template = Template::parse(send);
            let template = template.map_err(|error| problems.notation(section, "send", error));
            template.ok()
        });
        let answer = section.member("answer");
        let answer = answer.and_then(|answer| Expected::read(&answer, decoder, problems));
        let refused = section.member("refused");
        let refused = refused.and_then(|refused| read_refused(&refused, problems));
        let exchange = Exchange {
            name: name.into(),
            send: Sending::Template(send),
            frame: options.frame,
            answer,
            refused,
            within: Duration::from_millis(options.within_ms.into()),
            retries: options.retries,
            publish: false,
        };
        exchange.check(section, problems);
        (problems.len() == before).then_some(exchange)
    }

    /// What only an answer can be.
    pub(super) fn check_unanswered(&self, section: &Section<'_>, problems: &mut Problems) {
        if self.answer.is_some() {
            return;
        }
        if self.refused.is_some() {
            let message = "a refusal is an answer: say with \"answer\" how the other one is known";
            problems.member(section, "refused", message);
        }
        if self.retries > 0 {
            let message = "without \"answer\" nobody knows when to ask again";
            problems.member(section, "retries", message);
        }
    }

    /// What is sent as it is, by a caller who knows the protocol.
    pub(super) fn raw(bytes: Bytes, answer: Option<&Awaited>, within: Duration) -> Self {
        let answer = answer.map(|answer| Expected {
            matching: match answer {
                Awaited::Next => Matching::Next,
                Awaited::Pattern(pattern) => Matching::Pattern(pattern.clone()),
            },
            reads: None,
            layout: None,
            reads_refusals: false,
        });
        Exchange {
            name: "send".into(),
            send: Sending::Bytes(bytes),
            frame: false,
            answer,
            refused: None,
            within,
            retries: 0,
            publish: false,
        }
    }

    /// What reads or writes registers; refusals are read too.
    ///
    /// # Errors
    /// A part that cannot be read, and why.
    pub(super) fn of_registers(
        name: &str,
        question: modbus::Question,
    ) -> Result<Self, NotationError> {
        Ok(Exchange {
            name: name.into(),
            send: Sending::Template(Some(Template::parse(&question.send)?)),
            frame: false,
            answer: Some(Expected {
                matching: Matching::Where(terms(&question.answer)?),
                reads: Some(question.decoder),
                layout: None,
                reads_refusals: true,
            }),
            refused: Some(Matching::Where(terms(&question.refused)?)),
            within: Duration::from_millis(DEFAULT_WITHIN_MS.into()),
            retries: 0,
            publish: false,
        })
    }

    /// The template of what is sent.
    pub fn template(&self) -> Option<&Template> {
        match &self.send {
            Sending::Template(template) => template.as_ref(),
            Sending::Bytes(_) => None,
        }
    }

    /// All templates of it.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        let terms = [
            self.answer.as_ref().map(|answer| &answer.matching),
            self.refused.as_ref(),
        ];
        let terms = terms.into_iter().flatten().flat_map(Matching::terms);
        let values = terms.filter_map(|term| match term {
            Term::Same(same) => Some(&same.value),
            Term::Condition(_) => None,
        });
        self.template().into_iter().chain(values)
    }

    /// The fields of frames that it looks at.
    pub fn field_names(&self) -> impl Iterator<Item = &str> {
        let answer = self.answer.as_ref().map(|answer| &answer.matching);
        let matching = answer.into_iter().chain(&self.refused);
        matching.flat_map(Matching::field_names)
    }

    /// The bytes of a question.
    ///
    /// # Errors
    /// What cannot be filled or framed.
    pub(super) fn render(
        &self,
        context: &Context<'_>,
        framing: &crate::framing::Framing,
    ) -> Result<Bytes, String> {
        let bytes = match &self.send {
            Sending::Bytes(bytes) => return Ok(bytes.clone()),
            Sending::Template(None) => return Ok(Bytes::new()),
            Sending::Template(Some(template)) => template.render(context),
        };
        let bytes = bytes.map_err(|missing| missing.to_string())?;
        let framed = match self.frame {
            true => framing.wrap(&bytes).map_err(|error| error.to_string())?,
            false => bytes,
        };
        Ok(framed.into())
    }

    /// What its answer will repeat of the question.
    ///
    /// # Errors
    /// What cannot be filled.
    pub(super) fn echo(&self, context: &Context<'_>) -> Result<Echo, String> {
        let answer = self.answer.as_ref();
        let terms = answer.map(|answer| answer.matching.terms());
        let mut echo = Vec::new();
        for term in terms.into_iter().flatten() {
            if let Term::Same(same) = term {
                let value = same.said(self.template(), context)?;
                echo.push((same.field.clone(), Literal::new(&value)));
            }
        }
        Ok(Echo(echo))
    }

    /// Whether a frame must be decoded to know whether it is the answer.
    pub(super) fn needs_fields(&self) -> bool {
        let answer = self.answer.as_ref().map(|answer| &answer.matching);
        let matching = answer.into_iter().chain(&self.refused);
        matching.flat_map(Matching::terms).next().is_some()
    }

    /// What a frame is to this question; `fields` of what the protocol itself reads of it.
    pub(super) fn judge(&self, frame: &[u8], fields: &Fields, echo: &Echo) -> Option<Verdict> {
        if !echo.is_in(fields) {
            return None;
        }
        let refused = self.refused.as_ref();
        if refused.is_some_and(|refused| refused.fits(frame, fields)) {
            return Some(Verdict::Refused);
        }
        let answer = self.answer.as_ref()?;
        answer
            .matching
            .fits(frame, fields)
            .then_some(Verdict::Answer)
    }

    fn check(&self, section: &Section<'_>, problems: &mut Problems) {
        for name in self.templates().flat_map(Template::field_names) {
            if name != UNIT {
                let message = format!(
                    "a question answers no frame, which could have `{name}`: `{{unit}}` is the unit that is asked, `{{arg NAME}}` an argument, `{{last NAME}}` what an earlier frame said"
                );
                problems.member(section, "send", message);
            }
        }
        if self.templates().any(Template::shows_frame) {
            let message = "a question answers no frame, of which `raw` could show bytes";
            problems.member(section, "send", message);
        }
        let answer = self.answer.as_ref().map(|answer| &answer.matching);
        for term in answer.into_iter().flat_map(Matching::terms) {
            let Term::Same(Same {
                counter: Some(counter),
                ..
            }) = term
            else {
                continue;
            };
            let names = self
                .template()
                .into_iter()
                .flat_map(Template::counter_names);
            if !names.into_iter().any(|name| name == counter) {
                let message =
                    format!("`count {counter}` is not in `send`, so no answer repeats it");
                problems.member(section, "answer", message);
            }
        }
    }
}

/// What a frame is to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Its answer.
    Answer,
    /// An answer that says no.
    Refused,
}

impl Matching {
    fn terms(&self) -> &[Term] {
        match self {
            Matching::Where(terms) => terms,
            Matching::Next | Matching::Pattern(_) => &[],
        }
    }

    /// Whether all that is always the same holds; what repeats the question has been looked at.
    fn fits(&self, frame: &[u8], fields: &Fields) -> bool {
        match self {
            Matching::Next => true,
            Matching::Pattern(pattern) => pattern.is_match(frame),
            Matching::Where(terms) => terms.iter().all(|term| match term {
                Term::Condition(condition) => condition.holds(fields, frame),
                Term::Same(_) => true,
            }),
        }
    }

    /// The fields it looks at.
    pub fn field_names(&self) -> impl Iterator<Item = &str> {
        self.terms().iter().flat_map(|term| match term {
            Term::Condition(condition) => condition.field_names().collect::<Vec<_>>(),
            Term::Same(same) => vec![same.field.as_str()],
        })
    }
}

impl Same {
    fn said(&self, send: Option<&Template>, context: &Context<'_>) -> Result<String, String> {
        let counted = self.counter.as_ref().zip(send);
        if let Some((counter, send)) = counted {
            let count = send.count_as_written(counter, context);
            return count
                .map(|count| count.to_string())
                .ok_or_else(|| format!("count {counter} does not fit"));
        }
        let bytes = self.value.render(context);
        let bytes = bytes.map_err(|missing| missing.to_string())?;
        String::from_utf8(bytes).map_err(|_| format!("what {} must say is no text", self.field))
    }
}

impl Expected {
    fn read(
        section: &Section<'_>,
        decoder: Option<&Decoder>,
        problems: &mut Problems,
    ) -> Option<Self> {
        if let Json::String(text) = section.value {
            return Some(Expected {
                matching: match text.as_str() {
                    "next" => Matching::Next,
                    pattern => Matching::Pattern(read_pattern(section, pattern, problems)?),
                },
                reads: None,
                layout: None,
                reads_refusals: false,
            });
        }
        if !section.value.is_object() {
            let found = name_of(section.value);
            problems.add(
                section,
                format!("expected \"next\", a pattern, or an object with `where` or `layout`, found {found}"),
            );
            return None;
        }
        let options: AnswerOptions = section.read(&[], problems)?;
        if options.condition.is_none() && options.layout.is_none() {
            problems.add(section, "expected `where`, `layout`, or both");
            return None;
        }
        let matching = match options.condition.as_deref().map(terms) {
            None => Matching::Next,
            Some(Ok(terms)) => Matching::Where(terms),
            Some(Err(error)) => {
                problems.notation(section, "where", error);
                return None;
            }
        };
        let layout = options.layout;
        let reads = match (&layout, decoder) {
            (Some(layout), Some(decoder)) => {
                let found = decoder.with_layout(layout);
                if found.is_none() {
                    let known: Vec<&str> = decoder.layout_names().map(|name| &**name).collect();
                    problems.member(section, "layout", unknown_word("layout", layout, &known));
                }
                found
            }
            _ => None,
        };
        Some(Expected {
            matching,
            reads,
            layout: layout.map(Name::from),
            reads_refusals: false,
        })
    }
}

fn read_refused(section: &Section<'_>, problems: &mut Problems) -> Option<Matching> {
    if let Json::String(pattern) = section.value {
        return read_pattern(section, pattern, problems).map(Matching::Pattern);
    }
    let options: RefusedOptions = section.read(&[], problems)?;
    let terms = terms(&options.condition);
    let terms = terms.map_err(|error| problems.notation(section, "where", error));
    let terms = terms.ok()?;
    if terms.iter().any(|term| matches!(term, Term::Same(_))) {
        let message = "what the question said stands in \"answer\", and must hold of a refusal too: here only what tells a refusal from it";
        problems.member(section, "where", message);
        return None;
    }
    Some(Matching::Where(terms))
}

fn read_pattern(section: &Section<'_>, pattern: &str, problems: &mut Problems) -> Option<Regex> {
    let built = byte_pattern(pattern);
    built.map_err(|why| problems.add(section, why)).ok()
}

/// A pattern on the bytes of a frame: `.` is every byte, and it may stand anywhere.
///
/// # Errors
/// Why it is none.
pub fn byte_pattern(pattern: &str) -> Result<Regex, String> {
    if pattern.is_empty() {
        return Err("expected a pattern on the frame's bytes, or \"next\"".to_owned());
    }
    RegexBuilder::new(pattern)
        .unicode(false)
        .dot_matches_new_line(true)
        .size_limit(PATTERN_BYTES)
        .build()
        .map_err(|error| format!("this is no pattern: {error}"))
}

/// Reads conditions joined by `and`, of which some may say `FIELD = {HOLE}`.
fn terms(text: &str) -> Result<Vec<Term>, NotationError> {
    let mut terms = Vec::new();
    for (part, column) in parts(text) {
        let inside = |error: NotationError| error.inside(column);
        terms.push(match part.split_once('{') {
            None => Term::Condition(Condition::parse(part, Endian::Big).map_err(inside)?),
            Some((left, hole)) => {
                let wrong = || {
                    NotationError::new(
                        column,
                        "a hole stands behind a field and `=`: `seq = {count seq}`",
                    )
                };
                let field = left.trim().strip_suffix('=').ok_or_else(wrong)?.trim();
                let hole = hole.trim_end().strip_suffix('}').ok_or_else(wrong)?;
                if field.is_empty() || field.contains([' ', '&', '|', '!', '<', '>', '=']) {
                    return Err(wrong());
                }
                let at = left.chars().count();
                let value = Template::parse(&format!("{{{hole}}}"))
                    .map_err(|error| error.inside(column.saturating_add(at)))?;
                let words: Vec<&str> = hole.split_whitespace().collect();
                let counter = match words.as_slice() {
                    ["count", name] => Some((*name).to_owned()),
                    _ => None,
                };
                Term::Same(Same {
                    field: field.trim_matches('\'').to_owned(),
                    value,
                    counter,
                })
            }
        });
    }
    Ok(terms)
}

/// The parts between the words `and` outside quotes and braces, and their columns.
fn parts(text: &str) -> Vec<(&str, usize)> {
    let mut parts = Vec::new();
    let (mut from, mut quoted, mut braces) = (0, false, false);
    for (at, character) in text.char_indices() {
        match character {
            '\'' => quoted = !quoted,
            '{' if !quoted => braces = true,
            '}' if !quoted => braces = false,
            ' ' if !quoted && !braces => {
                let behind = text.get(at..).unwrap_or_default();
                if behind.starts_with(" and ") && at >= from {
                    parts.push((from, at));
                    from = at.saturating_add(" and ".len());
                }
            }
            _ => {}
        }
    }
    parts.push((from, text.len()));
    let part = |(from, to): (usize, usize)| {
        let part = text.get(from..to).unwrap_or_default();
        let before = text.get(..from).unwrap_or_default();
        (part, before.chars().count().saturating_add(1))
    };
    parts.into_iter().map(part).collect()
}

pub(super) fn bounded(
    section: &Section<'_>,
    member: &str,
    value: u32,
    allowed: &RangeInclusive<u32>,
    problems: &mut Problems,
) {
    if !allowed.contains(&value) {
        let (least, most) = (allowed.start(), allowed.end());
        problems.member(
            section,
            member,
            format!("{value} is outside of {least} to {most}"),
        );
    }
}

/// What can be asked, shared by the connections that ask it.
pub type Shared = Arc<Exchange>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::Memory;

    fn context<'a>(fields: &'a Fields, memory: &'a Memory) -> Context<'a> {
        Context {
            fields,
            frame: &[],
            device: None,
            arguments: fields,
            now: None,
            memory,
            checksum: None,
            caller: None,
            confidential: false,
        }
    }

    fn exchange(send: &str, answer: &str) -> Exchange {
        let raw = serde_json::json!({"type": "raw"});
        let decoder = crate::decoding::read(Some(&Section::root(&raw)), None, &mut Problems::new());
        let question = modbus::Question {
            name: "x".into(),
            send: send.to_owned(),
            answer: answer.to_owned(),
            refused: "length = 0".to_owned(),
            decoder: decoder.unwrap(),
        };
        Exchange::of_registers("x", question).unwrap()
    }

    #[test]
    fn an_answer_repeats_the_counter_as_it_was_written() {
        let exchange = exchange("0x{count seq: u8}", "seq = {count seq} and kind = 2");
        let mut memory = Memory::default();
        for _ in 0..257 {
            memory.advance(["seq"].into_iter());
        }
        let nothing = Fields::new();
        let echo = exchange.echo(&context(&nothing, &memory)).unwrap();
        let frame = |seq: i128, kind: i128| -> Fields {
            let seq = ("seq".into(), crate::message::Value::integer(seq));
            let kind = ("kind".into(), crate::message::Value::integer(kind));
            [seq, kind].into_iter().collect()
        };
        let judge = |fields: &Fields| exchange.judge(b"x", fields, &echo);
        assert_eq!(judge(&frame(1, 2)), Some(Verdict::Answer));
        assert_eq!(judge(&frame(257, 2)), None);
        assert_eq!(judge(&frame(1, 3)), None);
        assert_eq!(judge(&nothing), None);
    }

    #[test]
    fn two_questions_are_told_apart_by_what_both_repeat() {
        let exchange = exchange("0x00", "unit = {unit} and length = 1");
        let memory = Memory::default();
        let of_unit = |unit: i128| -> Fields {
            [("unit".into(), crate::message::Value::integer(unit))]
                .into_iter()
                .collect()
        };
        let echo = |unit| exchange.echo(&context(&of_unit(unit), &memory)).unwrap();
        assert!(echo(1).differs(&echo(2)));
        assert!(!echo(1).differs(&echo(1)));
        assert!(!echo(1).differs(&Echo::default()));
    }

    #[test]
    fn numbers_that_are_written_differently_are_the_same() {
        let echo = |text: &str| Echo(vec![("unit".to_owned(), Literal::new(text))]);
        for (one, other) in [("1", "01"), ("1", "1.0"), ("16", "0x10"), ("0x61", "a")] {
            assert!(!echo(one).differs(&echo(other)), "{one} {other}");
        }
        for (one, other) in [("1", "2"), ("a", "A"), ("1", "on"), ("0x10", "0x11")] {
            assert!(echo(one).differs(&echo(other)), "{one} {other}");
        }
    }

    #[test]
    fn what_a_refusal_repeats_stands_in_answer_alone() {
        let read = |text: &str| {
            let mut problems = Problems::new();
            let document = serde_json::json!({ "where": text });
            let refused = read_refused(&Section::root(&document), &mut problems);
            (refused.is_some(), problems)
        };
        assert!(read("kind = no and code = 3").0);
        let (taken, problems) = read("no = {count seq}");
        let [problem] = problems.as_slice() else {
            panic!("{problems:?}")
        };
        assert!(!taken && problem.message.contains("must hold of a refusal too"));
        assert_eq!(problem.pointer, "/where");
    }

    #[test]
    fn conditions_may_have_holes_in_them_and_mistakes_their_column() {
        for (text, terms_in_it) in [
            ("seq = {count seq}", 1),
            ("a = 'x and y' and b = {arg c + 1}", 2),
            ("u8 at 0 & 0x80 and length = 3..5", 2),
        ] {
            assert_eq!(terms(text).unwrap().len(), terms_in_it, "{text}");
        }
        for (text, column) in [
            ("a = 1 and b {count x}", 11),
            ("a = 1 and b = {count}", 21),
            ("a = 1 and =", 11),
            ("{count x}", 1),
        ] {
            assert_eq!(terms(text).unwrap_err().column, column, "{text}");
        }
    }
}
