//! What a protocol asks its devices: the open sequence, polls, and commands.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value as Json;

use super::arguments::Argument;
use super::exchange::{self, AnswerEntry, Exchange, RefusedEntry, Sending, Shared, bounded};
use crate::decoding::Decoder;
use crate::document::{Problem, Problems, Section, name_of};
use crate::message::Name;
use crate::modbus::{Registers, Transport};
use crate::schema::{ArgumentText, Entries, HoleText, Key};
use crate::template::Template;

/// Milliseconds between two polls.
const EVERY_MS: RangeInclusive<u32> = 20..=86_400_000;
/// Seconds at most between two tries of a unit that does not answer.
pub(super) const BACKOFF_SECONDS: RangeInclusive<u32> = 1..=86_400;
/// What the answer to a poll may take where nothing says it.
const POLL_WITHIN: Duration = Duration::from_secs(1);
/// Steps of an open sequence, and polls of a protocol.
const MOST: usize = 100;

/// Everything that a protocol asks.
#[derive(Debug, Default)]
pub struct Questions {
    /// What is asked one after the other when a connection stands, before all else.
    pub open: Vec<Shared>,
    /// What is asked again and again.
    pub polls: Vec<Poll>,
    /// What the cloud may ask, by name.
    pub commands: BTreeMap<Name, Command>,
    /// Whether one question at a time is outstanding.
    pub half_duplex: bool,
    /// How long a unit that does not answer is left alone at most.
    pub backoff: Duration,
    /// The registers that polls and the commands `read` and `write` name.
    pub registers: Option<Registers>,
    /// How long the answers to these commands may take: as long as those to the slowest of the polls.
    pub registers_within: Duration,
    /// The fields of frames that templates show later.
    pub remembered: Vec<Name>,
    /// Those that they show when the frame has been answered.
    pub answered: Vec<Name>,
}

/// One poll.
#[derive(Debug)]
pub struct Poll {
    /// Its name in the settings.
    pub name: Name,
    /// What is asked; several where one question cannot ask it all.
    pub asks: Vec<Shared>,
    /// How often.
    pub every: Duration,
}

/// A command that callers know by name.
#[derive(Debug)]
pub struct Command {
    /// What is asked.
    pub asks: Shared,
    /// What callers must say.
    pub arguments: Vec<Argument>,
}

/// A poll: a question that is asked again and again.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "poll")]
pub struct PollOptions {
    /// How often it is asked, in milliseconds. With `units` each of them is asked so often.
    #[schemars(range(min = *EVERY_MS.start(), max = *EVERY_MS.end()))]
    every_ms: u32,
    /// The bytes, with holes for values; `{unit}` is the unit that is asked.
    #[serde(rename = "send")]
    #[schemars(with = "Option<HoleText>")]
    _send: Option<IgnoredAny>,
    /// In place of `send`: the registers that are read, or `all` of them.
    #[serde(rename = "registers")]
    #[schemars(with = "Option<RegistersChosen>")]
    _registers: Option<IgnoredAny>,
    /// Put the protocol's framing around the bytes.
    #[serde(rename = "frame")]
    #[schemars(with = "Option<bool>")]
    _frame: Option<IgnoredAny>,
    /// How the answer is known; without it the next frame is the answer.
    #[serde(rename = "answer")]
    #[schemars(with = "Option<AnswerEntry>")]
    _answer: Option<IgnoredAny>,
    /// How it is known that the device refuses: looked at before `answer`.
    #[serde(rename = "refused")]
    #[schemars(with = "Option<RefusedEntry>")]
    _refused: Option<IgnoredAny>,
    /// How long the answer may take, in milliseconds from the last byte of the question on; 1000
    /// without it.
    #[serde(rename = "withinMs")]
    #[schemars(with = "Option<u32>", range(min = *exchange::WITHIN_MS.start(), max = *exchange::WITHIN_MS.end()))]
    _within_ms: Option<IgnoredAny>,
    /// How often it is asked again at once when no answer came in time; 0 without it.
    #[serde(rename = "retries")]
    #[schemars(with = "Option<u32>", range(min = *exchange::RETRIES.start(), max = *exchange::RETRIES.end()))]
    _retries: Option<IgnoredAny>,
}

/// The registers of a poll.
#[derive(Debug, JsonSchema)]
#[schemars(rename = "registers-chosen", untagged)]
pub enum RegistersChosen {
    /// `all` of them.
    All(String),
    /// Their names.
    Names(Vec<String>),
}

/// A command with more than its bytes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "command")]
pub struct CommandOptions {
    /// What callers must say, by name: `integer 0..7`, `number`, `text 1..20`, `boolean`, `hex 2`,
    /// `enum on=1 off=0`, each with `default VALUE` behind it where it may be left out.
    #[serde(rename = "arguments")]
    #[schemars(with = "Option<Entries<ArgumentText, Key>>")]
    _arguments: Option<IgnoredAny>,
    /// The answer makes a message too.
    #[serde(default)]
    publish: bool,
    /// The bytes, with holes for values; `{arg NAME}` is what the caller said.
    #[serde(rename = "send")]
    #[schemars(with = "HoleText")]
    _send: Option<IgnoredAny>,
    /// Put the protocol's framing around the bytes.
    #[serde(rename = "frame")]
    #[schemars(with = "Option<bool>")]
    _frame: Option<IgnoredAny>,
    /// How the device's answer is known. Without it the outcome is `sent`.
    #[serde(rename = "answer")]
    #[schemars(with = "Option<AnswerEntry>")]
    _answer: Option<IgnoredAny>,
    /// How it is known that the device refuses: looked at before `answer`.
    #[serde(rename = "refused")]
    #[schemars(with = "Option<RefusedEntry>")]
    _refused: Option<IgnoredAny>,
    /// How long the answer may take, in milliseconds from the last byte of the question on; 5000
    /// without it. The caller's own limit counts where it is earlier.
    #[serde(rename = "withinMs")]
    #[schemars(with = "Option<u32>", range(min = *exchange::WITHIN_MS.start(), max = *exchange::WITHIN_MS.end()))]
    _within_ms: Option<IgnoredAny>,
    /// How often it is asked again when no answer came in time; 0 without it.
    #[serde(rename = "retries")]
    #[schemars(with = "Option<u32>", range(min = *exchange::RETRIES.start(), max = *exchange::RETRIES.end()))]
    _retries: Option<IgnoredAny>,
}

/// An entry of `commands`: the bytes, or an object.
#[derive(Debug, JsonSchema)]
#[schemars(rename = "command-entry", untagged)]
pub enum CommandEntry {
    /// The bytes. The device does not answer.
    Send(#[schemars(with = "HoleText")] String),
    /// The bytes, and how the answer is known.
    Options(CommandOptions),
}

/// The members of `session` that are read here.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct LineOptions {
    #[serde(default)]
    half_duplex: bool,
    #[serde(default = "backoff_seconds")]
    backoff_seconds: u32,
}

fn backoff_seconds() -> u32 {
    60
}

impl Questions {
    /// Reads what a protocol's `session`, `polls` and `commands` ask.
    pub fn read(section: &Section<'_>, decoder: Option<&Decoder>, problems: &mut Problems) -> Self {
        let session = section.member("session");
        let line = session
            .as_ref()
            .and_then(|session| read_line(session, problems));
        let open = session.and_then(|session| session.member("open"));
        let registers = read_registers(section, problems);
        let mut questions = Questions {
            open: open.map_or_else(Vec::new, |open| read_open(&open, decoder, problems)),
            polls: entries(section, "polls", problems)
                .into_iter()
                .filter_map(|(name, entry)| match entry.member("registers") {
                    None => Poll::read(name, &entry, decoder, problems),
                    Some(chosen) => {
                        let declared = section.member("registers").is_some();
                        let known = registers.as_ref().map(Some);
                        let known = if declared { known } else { Some(None) };
                        Poll::of_registers((name, &entry), &chosen, known, problems)
                    }
                })
                .collect(),
            commands: entries(section, "commands", problems)
                .into_iter()
                .filter_map(|(name, entry)| {
                    let command = Command::read(name, &entry, decoder, problems)?;
                    Some((Name::from(name), command))
                })
                .collect(),
            half_duplex: line.as_ref().is_some_and(|line| line.half_duplex),
            backoff: Duration::from_secs(
                line.map_or_else(backoff_seconds, |line| line.backoff_seconds)
                    .into(),
            ),
            registers,
            registers_within: Duration::ZERO,
            remembered: Vec::new(),
            answered: Vec::new(),
        };
        let polls = questions.polls.iter().flat_map(|poll| &poll.asks);
        let slowest = polls.map(|asks| asks.within).max();
        let usual = Duration::from_millis(exchange::DEFAULT_WITHIN_MS.into());
        questions.registers_within = slowest.unwrap_or(usual);
        questions.remembered = names(questions.templates().flat_map(Template::last_names));
        questions.answered = names(questions.templates().flat_map(Template::answered_names));
        questions
    }

    /// All questions.
    pub fn iter(&self) -> impl Iterator<Item = &Shared> {
        let polls = self.polls.iter().flat_map(|poll| &poll.asks);
        let commands = self.commands.values().map(|command| &command.asks);
        self.open.iter().chain(polls).chain(commands)
    }

    /// All questions, and where in the protocol's section each stands.
    pub fn places<'a>(&'a self, protocol: &Section<'a>) -> Vec<(Section<'a>, &'a Exchange)> {
        let session = protocol.member("session");
        let open = session.and_then(|session| session.member("open"));
        let steps = open.iter().flat_map(Section::elements).enumerate();
        let steps = steps.filter_map(|(at, place)| {
            let name = step_name(at);
            let step = self.open.iter().find(|step| *step.name == *name)?;
            Some((place, &**step))
        });
        let in_section = |member: &str, name: &str| protocol.member(member)?.member(name);
        let polls = self.polls.iter().flat_map(|poll| {
            let place = in_section("polls", &poll.name);
            poll.asks
                .iter()
                .filter_map(move |asks| Some((place.clone()?, &**asks)))
        });
        let commands = self
            .commands
            .iter()
            .filter_map(|(name, command)| Some((in_section("commands", name)?, &*command.asks)));
        steps.chain(polls).chain(commands).collect()
    }

    /// Takes note of the fields that other templates of the protocol show later.
    pub fn remember<'a>(&mut self, templates: impl Iterator<Item = &'a Template>) {
        for template in templates {
            add(&mut self.remembered, template.last_names());
            add(&mut self.answered, template.answered_names());
        }
    }

    fn templates(&self) -> impl Iterator<Item = &Template> {
        self.iter().flat_map(|asks| asks.templates())
    }
}

fn names<'a>(all: impl Iterator<Item = &'a str>) -> Vec<Name> {
    let mut names = Vec::new();
    add(&mut names, all);
    names
}

fn add<'a>(known: &mut Vec<Name>, names: impl Iterator<Item = &'a str>) {
    for name in names.map(Name::from) {
        if !known.contains(&name) {
            known.push(name);
        }
    }
}

fn entries<'a>(
    section: &Section<'a>,
    member: &str,
    problems: &mut Problems,
) -> Vec<(&'a str, Section<'a>)> {
    let Some(section) = section.member(member) else {
        return Vec::new();
    };
    if !section.value.is_object() {
        let found = name_of(section.value);
        problems.add(
            &section,
            format!("expected {member} by name, found {found}"),
        );
    }
    let entries: Vec<_> = section.members().collect();
    if entries.len() > MOST {
        problems.add(&section, format!("more than {MOST} {member}"));
    }
    entries.into_iter().take(MOST).collect()
}

fn read_line(session: &Section<'_>, problems: &mut Problems) -> Option<LineOptions> {
    // The session itself names members that nobody knows.
    let line = LineOptions::deserialize(session.value).ok()?;
    bounded(
        session,
        "backoffSeconds",
        line.backoff_seconds,
        &BACKOFF_SECONDS,
        problems,
    );
    Some(line)
}

fn read_registers(section: &Section<'_>, problems: &mut Problems) -> Option<Registers> {
    let registers = section.member("registers")?;
    // The protocol itself names a word that is none.
    let transport = section.member("modbus")?;
    let transport = Transport::deserialize(transport.value).ok()?;
    Registers::read(&registers, transport, problems)
}

/// What a step of an open sequence is called.
fn step_name(at: usize) -> String {
    format!("open {}", at.saturating_add(1))
}

fn read_open(
    open: &Section<'_>,
    decoder: Option<&Decoder>,
    problems: &mut Problems,
) -> Vec<Shared> {
    let Json::Array(steps) = open.value else {
        let found = name_of(open.value);
        problems.add(open, format!("expected a list of steps, found {found}"));
        return Vec::new();
    };
    if steps.len() > MOST {
        problems.add(open, format!("more than {MOST} steps"));
    }
    let mut read = Vec::new();
    for (at, step) in open.elements().take(MOST).enumerate() {
        let name = step_name(at);
        let Some(exchange) = Exchange::read((&name, &step, &[]), decoder, problems) else {
            continue;
        };
        if step.member("send").is_none() && step.member("answer").is_none() {
            problems.add(&step, "expected `send`, `answer`, or both");
        }
        exchange.check_unanswered(&step, problems);
        no_arguments(&exchange, &step, "a step of the open sequence", problems);
        read.push(Arc::new(exchange));
    }
    read
}

impl Poll {
    fn read(
        name: &str,
        section: &Section<'_>,
        decoder: Option<&Decoder>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let every = read_every(section, problems);
        if !section.value.is_object() {
            return None;
        }
        let mut exchange = Exchange::read_beside((name, section), decoder, problems)?;
        exchange.within = poll_within(section, &exchange);
        if section.member("send").is_none() {
            problems.member(section, "send", "missing: the bytes that ask");
        }
        exchange.check_empty(section, problems);
        exchange.answer.get_or_insert(exchange::Expected {
            matching: exchange::Matching::Next,
            reads: None,
            layout: None,
            reads_refusals: false,
        });
        no_arguments(&exchange, section, "a poll", problems);
        Some(Poll {
            name: name.into(),
            asks: vec![Arc::new(exchange)],
            every,
        })
    }
}

/// How often a poll asks; what else is wrong with it is found without knowing that.
fn read_every(section: &Section<'_>, problems: &mut Problems) -> Duration {
    let options: Option<PollOptions> = section.read_in_bounds(&exchange::MEMBERS, problems);
    let Some(options) = options else {
        return Duration::ZERO;
    };
    bounded(section, "everyMs", options.every_ms, &EVERY_MS, problems);
    Duration::from_millis(options.every_ms.into())
}

impl Poll {
    /// What reads registers: as many questions as it takes.
    fn of_registers(
        (name, section): (&str, &Section<'_>),
        chosen: &Section<'_>,
        registers: Option<Option<&Registers>>,
        problems: &mut Problems,
    ) -> Option<Self> {
        for member in ["send", "frame", "answer", "refused"] {
            if section.member(member).is_some() {
                let message = "a poll of `registers` knows what to send and how the answer looks";
                problems.member(section, member, message);
            }
        }
        let every = read_every(section, problems);
        let common = Exchange::read_beside((name, section), None, problems)?;
        let within = poll_within(section, &common);
        // What is wrong with them is told where they are.
        let registers = registers?;
        let Some(registers) = registers else {
            let message = "the protocol has no \"registers\" with \"modbus\": \"tcp\" or \"rtu\"";
            problems.add(chosen, message);
            return None;
        };
        let names = registers.chosen(chosen, problems);
        let mut asks = Vec::new();
        let questions = registers.questions(&names);
        let several = questions.len() > 1;
        for question in questions {
            let name = match several {
                true => format!("{name} ({})", question.name),
                false => name.to_string(),
            };
            match Exchange::of_registers(&name, question) {
                Ok(exchange) => asks.push(Arc::new(Exchange {
                    within,
                    retries: common.retries,
                    ..exchange
                })),
                Err(error) => problems.add(chosen, error.to_string()),
            }
        }
        Some(Poll {
            name: name.into(),
            asks,
            every,
        })
    }
}

impl Command {
    fn read(
        name: &str,
        section: &Section<'_>,
        decoder: Option<&Decoder>,
        problems: &mut Problems,
    ) -> Option<Self> {
        if let Json::String(send) = section.value {
            let send = Template::parse(send).map_err(|error| {
                problems.push(Problem {
                    pointer: section.pointer.clone(),
                    column: Some(error.column),
                    message: error.message,
                });
            });
            let exchange = Exchange {
                send: Sending::Template(Some(send.ok()?)),
                ..Exchange::raw(bytes::Bytes::new(), None, Duration::ZERO)
            };
            let exchange = Exchange {
                name: name.into(),
                ..exchange
            };
            exchange.check_empty(section, problems);
            no_arguments(
                &exchange,
                section,
                "a command without `arguments`",
                problems,
            );
            return Some(Command {
                asks: Arc::new(exchange),
                arguments: Vec::new(),
            });
        }
        let options: CommandOptions = section.read(&exchange::MEMBERS, problems)?;
        let exchange = Exchange::read_beside((name, section), decoder, problems);
        let arguments = read_arguments(section, problems);
        let mut exchange = exchange?;
        exchange.publish = options.publish;
        if section.member("send").is_none() {
            problems.member(section, "send", "missing: the bytes of the command");
        }
        exchange.check_unanswered(section, problems);
        check_arguments(section, &exchange, problems);
        check_ranges(section, &exchange, &arguments, problems);
        Some(Command {
            asks: Arc::new(exchange),
            arguments,
        })
    }
}

/// Polls wait for others, so they have less time than commands where nothing says it.
fn poll_within(section: &Section<'_>, exchange: &Exchange) -> Duration {
    match section.member("withinMs") {
        Some(_) => exchange.within,
        None => POLL_WITHIN,
    }
}

fn read_arguments(section: &Section<'_>, problems: &mut Problems) -> Vec<Argument> {
    let Some(declared) = section.member("arguments") else {
        return Vec::new();
    };
    if !declared.value.is_object() {
        let found = name_of(declared.value);
        problems.add(
            &declared,
            format!("expected arguments by name, found {found}"),
        );
    }
    let mut arguments = Vec::new();
    for (name, declaration) in declared.members().take(MOST) {
        let Some(text) = declaration.value.as_str() else {
            let found = name_of(declaration.value);
            let message = format!("expected a text such as `integer 0..7`, found {found}");
            problems.add(&declaration, message);
            continue;
        };
        match Argument::parse(name, text) {
            Ok(argument) => arguments.push(argument),
            Err(error) => problems.notation_here(&declaration, error),
        }
    }
    arguments
}

/// What templates say must be declared, and what is declared should be said. A declaration with a
/// mistake in it is one all the same.
fn check_arguments(section: &Section<'_>, exchange: &Exchange, problems: &mut Problems) {
    let arguments = section.member("arguments");
    let declared = |name: &str| {
        let arguments = arguments.as_ref();
        arguments.is_some_and(|arguments| arguments.member(name).is_some())
    };
    for name in exchange.templates().flat_map(Template::argument_names) {
        if !declared(name) {
            let message = format!("`arg {name}` is not declared: add it to \"arguments\"");
            problems.member(section, "send", message);
        }
    }
    // What cannot be read may say them.
    let answer = section.member("answer").is_none() || exchange.answer.is_some();
    if exchange.template().is_none() || !answer {
        return;
    }
    for (name, declaration) in arguments.iter().flat_map(Section::members).take(MOST) {
        let mut used = exchange.templates().flat_map(Template::argument_names);
        if !used.any(|used| *used == *name) {
            problems.add(&declaration, format!("nothing says `arg {name}`"));
        }
    }
}

/// All that callers may say of an argument must fit where it is written.
fn check_ranges(
    section: &Section<'_>,
    exchange: &Exchange,
    arguments: &[Argument],
    problems: &mut Problems,
) {
    let declared = section.member("arguments");
    for argument in arguments {
        let declaration = declared
            .as_ref()
            .and_then(|declared| declared.member(argument.name()));
        let text = declaration
            .as_ref()
            .and_then(|declaration| declaration.value.as_str());
        let mut templates = exchange.templates();
        let wrong =
            text.and_then(|text| templates.find_map(|template| argument.misfit(text, template)));
        if let (Some(declaration), Some(wrong)) = (declaration, wrong) {
            problems.notation_here(&declaration, wrong);
        }
    }
}

fn no_arguments(exchange: &Exchange, section: &Section<'_>, what: &str, problems: &mut Problems) {
    let mut named = exchange.templates().flat_map(Template::argument_names);
    if let Some(name) = named.next() {
        problems.add(section, format!("`arg {name}`: {what} has no arguments"));
    }
}
