//! A question to a device: what is sent, and how its answer is known.

mod matching;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use regex::bytes::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value as Json;

use self::matching::{Same, terms};
use super::actions::Awaited;
use crate::decoding::Decoder;
use crate::document::{Problems, Section, name_of, unknown_word};
use crate::message::{Fields, Name, Value};
use crate::modbus;
use crate::notation::{Literal, NotationError};
use crate::schema::{ConditionText, HoleText};
use crate::template::{Context, MissingField, Template};

pub(super) use self::matching::Verdict;
pub use self::matching::{Echo, Matching, Term, byte_pattern};

/// Milliseconds that an answer may take.
pub(super) const WITHIN_MS: RangeInclusive<u32> = 1..=300_000;
/// Further tries.
pub(super) const RETRIES: RangeInclusive<u32> = 0..=10;
/// What an answer may take where nothing says it.
pub(super) const DEFAULT_WITHIN_MS: u32 = 5000;
/// The field that templates of questions have: the unit that is asked.
pub const UNIT: &str = "unit";

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
        let options: ExchangeOptions = section.read_in_bounds(others, problems)?;
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
        // With mistakes too: others look for more of them in what could be read.
        Some(exchange)
    }

    /// The same where others stand beside them, which somebody else has read.
    pub(super) fn read_beside(
        (name, section): (&str, &Section<'_>),
        decoder: Option<&Decoder>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let others = section.members().map(|(name, _)| name);
        let others: Vec<&str> = others.filter(|name| !MEMBERS.contains(name)).collect();
        Exchange::read((name, section, &others), decoder, problems)
    }

    /// What only an answer can be.
    pub(super) fn check_unanswered(&self, section: &Section<'_>, problems: &mut Problems) {
        if section.member("answer").is_some() {
            return;
        }
        self.check_empty(section, problems);
        if self.refused.is_some() {
            let message = "a refusal is an answer: say with \"answer\" how the other one is known";
            problems.member(section, "refused", message);
        }
        if self.retries > 0 {
            let message = "without \"answer\" nobody knows when to ask again";
            problems.member(section, "retries", message);
        }
    }

    /// What sends nothing at all does not ask.
    pub(super) fn check_empty(&self, section: &Section<'_>, problems: &mut Problems) {
        let empty = self.template().is_some_and(Template::is_empty);
        if empty && !self.frame {
            let message = "it is empty: expected the bytes to send";
            let place = section.member("send");
            problems.add(place.as_ref().unwrap_or(section), message);
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

    /// The fields of frames that it looks at, each with the member whose condition names it.
    pub fn field_names(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let answer = self
            .answer
            .as_ref()
            .map(|answer| ("answer", &answer.matching));
        let refused = self.refused.as_ref().map(|refused| ("refused", refused));
        let matching = answer.into_iter().chain(refused);
        matching
            .flat_map(|(member, matching)| matching.field_names().map(move |name| (member, name)))
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
        let bytes = bytes.map_err(|missing| not_filled(&missing, context))?;
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

    /// What reads its answer, or its refusal, where that is not the protocol's own way.
    pub(super) fn reads(&self, refused: bool) -> Option<&Decoder> {
        let answer = self.answer.as_ref();
        let answer = answer.filter(|answer| answer.reads_refusals || !refused);
        answer.and_then(|answer| answer.reads.as_ref())
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
        // Of bytes that cannot be read nobody knows what they count.
        let read = self.template().is_some() || section.member("send").is_none();
        let answer = answer.filter(|_| read);
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
                    pattern => {
                        if let Some(wrong) = no_pattern(pattern) {
                            problems.add(section, wrong);
                            return None;
                        }
                        Matching::Pattern(read_pattern(section, pattern, problems)?)
                    }
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
        let before = problems.len();
        let options: AnswerOptions = section.read(&[], problems)?;
        let says_none = options.condition.is_none() && options.layout.is_none();
        if says_none && problems.len() == before {
            problems.add(section, "expected `where`, `layout`, or both");
        }
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
        let matching = match options.condition.as_deref().map(terms) {
            None => Matching::Next,
            Some(Ok(terms)) => Matching::Where(terms),
            Some(Err(error)) => {
                problems.notation(section, "where", error);
                return None;
            }
        };
        Some(Expected {
            matching,
            reads,
            layout: layout.map(Name::from),
            reads_refusals: false,
        })
    }
}

/// Why a text is no pattern for an answer although it could be one: it looks like a word of the language.
fn no_pattern(text: &str) -> Option<String> {
    match text.to_lowercase().as_str() {
        "next" => Some(format!(
            "unknown word \"{text}\", did you mean \"next\"? As a pattern it is written \"^{text}\""
        )),
        "none" => Some(format!(
            "\"{text}\" is no word here: where the device does not answer, leave \"answer\" out, or say false beside a preset. As a pattern it is written \"^{text}\""
        )),
        _ => None,
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

/// Why a hole of a question stays empty; of a unit also which it is.
fn not_filled(missing: &MissingField, context: &Context<'_>) -> String {
    match context.fields.get(UNIT) {
        Some(Value::Text(unit)) if missing.name == UNIT => format!("unit {unit} does not fit"),
        _ => missing.to_string(),
    }
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
mod tests;
