//! An entry of `protocols`: put together from what framing, checksum, decoding, identity and
//! replies read of their own sections.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Resolved, Warning, cross, doubts, functions, later};
use crate::conversation::questions::{CommandEntry, PollOptions};
use crate::conversation::{
    Acknowledge, Login, OnBadChecksum, OnUndecoded, Protocol, Questions, Replies, ReplyEntry,
    Session, SessionOptions,
};
use crate::document::{Problem, Problems, Section};
use crate::identity::{IdentityOptions, IdentityRule, Secrets};
use crate::message::Name;
use crate::modbus::Transport;
use crate::schema::{Entries, HoleText, Key, RegisterText};
use crate::script::Script;
use crate::template::Template;
use crate::{checksum, decoding, framing};

/// How devices of one kind speak.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "protocol-whole")]
pub struct ProtocolOptions {
    /// How bytes are cut into frames.
    #[serde(rename = "framing")]
    #[schemars(with = "framing::schema::Framing")]
    _framing: Option<IgnoredAny>,
    /// What every frame is checked with: one checksum, or a list of them.
    #[serde(rename = "checksum")]
    #[schemars(with = "Option<checksum::schema::Checksums>")]
    _checksum: Option<IgnoredAny>,
    /// What happens to a frame whose checksum is wrong. It is counted in every case.
    #[serde(default)]
    on_bad_checksum: OnBadChecksum,
    /// How frames become values. Without it a frame stays raw.
    #[serde(rename = "decode")]
    #[schemars(with = "Option<decoding::schema::Decode>")]
    _decode: Option<IgnoredAny>,
    /// How kinds of frames are read on, by name.
    #[serde(rename = "layouts")]
    #[schemars(with = "Option<Entries<decoding::schema::Layout, Key>>")]
    _layouts: Option<IgnoredAny>,
    /// What happens to a well-formed frame that no rule decodes.
    #[serde(default)]
    on_undecoded: OnUndecoded,
    /// Which device speaks. Without it the peer's address says.
    #[serde(rename = "identity")]
    #[schemars(with = "Option<IdentityOptions>")]
    _identity: Option<IgnoredAny>,
    /// Login, heartbeats and silence.
    #[serde(rename = "session")]
    #[schemars(with = "Option<SessionOptions>")]
    _session: Option<IgnoredAny>,
    /// Functions in JavaScript, for the odd steps that others name.
    #[serde(rename = "script")]
    #[schemars(with = "Option<super::schema::ScriptSource>")]
    _script: Option<IgnoredAny>,
    /// What the gateway answers, by name.
    #[serde(rename = "replies")]
    #[schemars(with = "Option<Entries<ReplyEntry, Key>>")]
    _replies: Option<IgnoredAny>,
    /// What is asked again and again, by name.
    #[serde(rename = "polls")]
    #[schemars(with = "Option<Entries<PollOptions, Key>>")]
    _polls: Option<IgnoredAny>,
    /// What stands around requests of Modbus and their answers; `registers` need it.
    #[serde(rename = "modbus")]
    #[schemars(with = "Option<Transport>")]
    _modbus: Option<Transport>,
    /// Registers of Modbus, which polls and the commands `read` and `write` name.
    #[serde(rename = "registers")]
    #[schemars(with = "Option<Vec<RegisterText>>")]
    _registers: Option<IgnoredAny>,
    /// What the cloud may ask, by name.
    #[serde(rename = "commands")]
    #[schemars(with = "Option<Entries<CommandEntry, Key>>")]
    _commands: Option<IgnoredAny>,
    /// When a reply may leave.
    #[serde(rename = "acknowledge")]
    #[schemars(with = "Option<Acknowledge>")]
    _acknowledge: Option<IgnoredAny>,
    /// A template for message ids made of the device's own fields: `{device}-{seq}`. Without it the
    /// spool gives them.
    #[schemars(with = "Option<HoleText>")]
    message_id: Option<String>,
}

/// Reads what a protocol results in. Mistakes in what came from a preset or file say so.
pub fn read(
    name: &Name,
    pointer: &str,
    (resolved, secrets): (&Resolved, &Secrets),
    (problems, warnings): (&mut Problems, &mut Vec<Warning>),
) -> Option<Protocol> {
    let section = Section {
        value: &resolved.merged.value,
        pointer: pointer.to_owned(),
    };
    let mut found = Problems::new();
    let protocol = build(name, &section, (resolved, secrets), &mut found);
    if let Some(protocol) = &protocol {
        cross::protocol(&section, protocol, &mut found);
        functions::check(&section, protocol, &mut found);
        if found.is_empty() {
            warnings.extend(cross::silent_replies(&section, protocol));
            warnings.extend(cross::unused_layouts(&section, protocol));
            warnings.extend(cross::never_framed(&section, protocol));
            warnings.extend(doubts::slow_answers(&section, protocol));
            warnings.extend(doubts::escapes(&section));
        }
    }
    let clean = found.is_empty();
    for problem in found.as_slice() {
        problems.push(with_origin(problem, resolved));
    }
    protocol.filter(|_| clean)
}

fn with_origin(problem: &Problem, resolved: &Resolved) -> Problem {
    let mut problem = problem.clone();
    if let Some(origin) = resolved.origin_of(&problem.pointer) {
        problem.message = format!("{} (from {origin})", problem.message);
    }
    problem
}

fn build(
    name: &Name,
    section: &Section<'_>,
    (resolved, secrets): (&Resolved, &Secrets),
    problems: &mut Problems,
) -> Option<Protocol> {
    let without = later::members(section, later::PROTOCOL, problems);
    let options: Option<ProtocolOptions> = section.read(&without, problems);
    let member = |name: &str| section.member(name);
    let framing = read_framing(section, problems);
    let checksums: Arc<[_]> = checksum::read(section, "checksum", problems).into();
    let decoder = decoding::read(
        member("decode").as_ref(),
        member("layouts").as_ref(),
        problems,
    );
    let identity = read_identity(section, problems);
    let session = read_session(section, secrets, problems);
    let replies = Replies::read(member("replies").as_ref(), problems);
    let mut questions = Questions::read(section, decoder.as_ref(), problems);
    questions.remember(replies.iter().map(|reply| &reply.send));
    let script = member("script").map(|script| Script::read(&script, problems));
    let acknowledge = member("acknowledge").map_or(Some(Acknowledge::default()), |acknowledge| {
        acknowledge.read(&[], problems)
    });
    let options = options?;
    if member("modbus").is_none() && member("registers").is_some() {
        let message = "registers need \"modbus\": \"tcp\" or \"rtu\", which the presets modbus-tcp and modbus-rtu have";
        problems.member(section, "registers", message);
    }
    let message_id = options.message_id.as_deref().and_then(|text| {
        Template::parse(text)
            .map_err(|error| problems.notation(section, "messageId", error))
            .ok()
    });
    if let Some(what) = message_id.as_ref().and_then(Template::only_for_devices) {
        let message = format!("`{what}` is for what devices are sent, not for messages");
        problems.member(section, "messageId", message);
    }
    Some(Protocol {
        name: name.clone(),
        preset: resolved.origin.as_ref().map(|origin| origin.name().into()),
        framing: framing?,
        checksums,
        on_bad_checksum: options.on_bad_checksum,
        decoder: decoder?,
        session: with_login(session?, identity.as_ref()?),
        identity: Arc::new(identity?),
        replies,
        questions,
        acknowledge: acknowledge?,
        on_undecoded: options.on_undecoded,
        script: match script {
            Some(script) => Some(script?),
            None => None,
        },
        message_id,
    })
}

fn read_framing(section: &Section<'_>, problems: &mut Problems) -> Option<framing::Framing> {
    let Some(framing) = section.member("framing") else {
        problems.add(
            section,
            "\"framing\" is missing: how the bytes are cut into frames",
        );
        return None;
    };
    framing::read(&framing, problems)
}

fn read_identity(section: &Section<'_>, problems: &mut Problems) -> Option<IdentityRule> {
    let identity = section.member("identity");
    let later = identity
        .as_ref()
        .is_some_and(|identity| later::word(identity, "from", later::IDENTITIES, problems));
    if later {
        None
    } else {
        IdentityRule::read(identity.as_ref(), problems)
    }
}

fn read_session(
    section: &Section<'_>,
    secrets: &Secrets,
    problems: &mut Problems,
) -> Option<Session> {
    let session = section.member("session");
    if let Some(session) = &session
        && !later::members(session, later::SESSION, problems).is_empty()
    {
        return None;
    }
    Session::read(session.as_ref(), secrets, problems)
}

/// Where devices must say a secret, their frames need the login that says it.
fn with_login(mut session: Session, identity: &IdentityRule) -> Session {
    if identity.secret().is_some() {
        session.login.get_or_insert_with(Login::default);
    }
    session
}
