//! What only shows when sections are read together: names that must meet, ports that must not.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::bounds::wrong_name;
use super::{ListenerOptions, Settings, Warning};
use crate::conversation::replies::{DENIED, NAK};
use crate::conversation::{OnBadChecksum, Otherwise, Protocol};
use crate::document::{Problem, Problems, Section, child_pointer, nearest, unknown_word};
use crate::framing::WrapError;
use crate::message::COMMAND_RESULTS;
use crate::notation::{Condition, NotationError};
use crate::template::Template;

/// The sockets that listeners have claimed so far.
#[derive(Debug, Default)]
pub struct Ports<'a>(Vec<(u16, Option<IpAddr>, &'a str)>);

impl<'a> Ports<'a> {
    /// Claims a listener's socket; two listeners cannot have the same.
    pub fn claim(
        &mut self,
        entry: &Section<'_>,
        name: &'a str,
        options: &ListenerOptions,
        problems: &mut Problems,
    ) {
        let claims = |address: Option<IpAddr>| address.filter(|address| !address.is_unspecified());
        let (port, address) = (options.port, claims(options.address));
        let overlap =
            |other: Option<IpAddr>| address.is_none() || other.is_none() || address == other;
        if let Some((_, _, other)) = self
            .0
            .iter()
            .find(|(known, other, _)| *known == port && overlap(*other))
        {
            problems.member(
                entry,
                "port",
                format!("port {port} is already listener \"{other}\"'s"),
            );
        }
        self.0.push((port, address, name));
    }
}

/// Names inside a protocol that must meet.
pub fn protocol(section: &Section<'_>, protocol: &Protocol, problems: &mut Problems) {
    layout_replies(section, problems);
    refusals(section, protocol, problems);
    own_checksums(section, protocol, problems);
    calls_for_ids(section, protocol, problems);
    logins(section, protocol, problems);
    fields(section, protocol, problems);
    published_secrets(section, protocol, problems);
    output_names(section.member("layouts").as_ref(), problems);
}

/// The secret of a login must not stand in the type of a message.
fn published_secrets(section: &Section<'_>, protocol: &Protocol, problems: &mut Problems) {
    let (Some(secret), Some(layouts)) = (protocol.identity.secret(), section.member("layouts"))
    else {
        return;
    };
    for (_, layout) in layouts
        .members()
        .filter(|(name, _)| protocol.decoder.types_say(name, secret))
    {
        let message =
            format!("`{secret}` is the secret of the identity, and messages would show it");
        problems.member(&layout, "type", message);
    }
}

/// What identity, message id and replies name must be a field that some frame can have.
fn fields(section: &Section<'_>, protocol: &Protocol, problems: &mut Problems) {
    let Some(mut known) = protocol.decoder.field_names() else {
        return;
    };
    // An undecoded frame has it beside what was read of it.
    known.push("raw");
    message_ids(section, protocol, &known, problems);
    for (member, at, name) in protocol.identity.fields() {
        let identity = section.member("identity");
        let place = identity
            .as_ref()
            .and_then(|identity| identity.member(member));
        let element = place.as_ref().and_then(|place| place.element(at));
        if let (Some(place), false) = (element.or(place), known.contains(&&**name)) {
            problems.add(&place, unknown_word("field", name, &known));
        }
    }
    let check = |problems: &mut Problems, section: &Section<'_>, member: &str, name: &str| {
        if !known.contains(&name) {
            problems.member(section, member, unknown_word("field", name, &known));
        }
    };
    for (place, asks) in protocol.questions.places(section) {
        for (member, name) in asks.field_names() {
            if !known.contains(&name) {
                let condition = place.member(member);
                let condition = condition.and_then(|member| member.member("where"));
                let message = unknown_word("field", name, &known);
                in_condition(
                    condition.as_ref().unwrap_or(&place),
                    name,
                    message,
                    problems,
                );
            }
        }
        let last = asks.templates().flat_map(Template::last_names);
        for name in last.chain(asks.templates().flat_map(Template::answered_names)) {
            if !known.contains(&name) {
                let send = place.member("send");
                let message = unknown_word("field", name, &known);
                problems.add(send.as_ref().unwrap_or(&place), message);
            }
        }
    }
    let Some(replies) = section.member("replies") else {
        return;
    };
    for reply in protocol.replies.iter() {
        let (place, send) = template_of(&replies, &reply.name);
        for name in (reply.send.last_names()).chain(reply.send.answered_names()) {
            check(problems, &place, send, name);
        }
        for name in reply.send.field_names() {
            match name {
                "checksum" if !known.contains(&name) => {
                    problems.member(&place, send, no_own_checksum(protocol));
                }
                name => check(problems, &place, send, name),
            }
        }
        for name in (reply.when.iter()).flat_map(Condition::field_names) {
            if let (Some(when), false) = (place.member("when"), known.contains(&name)) {
                in_condition(&when, name, unknown_word("field", name, &known), problems);
            }
        }
    }
}

/// Notes a mistake at the field of that name in a condition.
fn in_condition(place: &Section<'_>, name: &str, message: String, problems: &mut Problems) {
    let text = place.value.as_str().unwrap_or_default();
    match Condition::column_of(text, name) {
        Some(column) => problems.notation_here(place, NotationError::new(column, message)),
        None => problems.add(place, message),
    }
}

/// The section and member in which the template of a reply stands.
fn template_of<'a, 'n>(replies: &Section<'a>, name: &'n str) -> (Section<'a>, &'n str) {
    match replies.member(name) {
        Some(entry) if entry.value.is_object() => (entry, "send"),
        _ => (replies.clone(), name),
    }
}

/// A template can have the protocol's own checksum only if there is one.
fn own_checksums(section: &Section<'_>, protocol: &Protocol, problems: &mut Problems) {
    for (place, asks) in protocol.questions.places(section) {
        if protocol.checksums.is_empty() && asks.templates().any(Template::needs_own_checksum) {
            let message = "`checksum over` is the protocol's own checksum, and it has none";
            problems.member(&place, "send", message);
        }
    }
    let Some(replies) = section.member("replies") else {
        return;
    };
    let mut all = protocol.replies.iter();
    let wrong = all.find(|reply| reply.send.needs_own_checksum());
    if let Some(reply) = wrong.filter(|_| protocol.checksums.is_empty()) {
        let (place, member) = template_of(&replies, &reply.name);
        let message = "`checksum over` is the protocol's own checksum, and it has none";
        problems.member(&place, member, message);
    }
}

/// What to write instead of a field that no frame has, where its name is that of the own checksum.
fn no_own_checksum(protocol: &Protocol) -> String {
    let none = if protocol.checksums.is_empty() {
        ", and it has none"
    } else {
        ""
    };
    format!(
        "no field is called \"checksum\"; the protocol's own checksum is `checksum over A..B`{none}"
    )
}

/// As many calls as a frame makes messages would have no bound.
fn calls_for_ids(section: &Section<'_>, protocol: &Protocol, problems: &mut Problems) {
    let template = protocol.message_id.as_ref();
    let calls = template.is_some_and(|id| id.function_names().next().is_some());
    if calls && protocol.decoder.splits() {
        let message = "a script is called for whole frames, and one of them makes several messages";
        problems.member(section, "messageId", message);
    }
}

/// Message ids are made of the fields of frames and of the elements that are messages of their own.
fn message_ids(
    section: &Section<'_>,
    protocol: &Protocol,
    known: &[&str],
    problems: &mut Problems,
) {
    let template = protocol.message_id.as_ref();
    let (Some(template), Some(lists)) = (template, protocol.decoder.split_lists()) else {
        return;
    };
    let elements = lists.iter().flat_map(|(_, names)| names).copied();
    let known: Vec<&str> = known.iter().copied().chain(elements).collect();
    for name in template.field_names() {
        if !known.contains(&name) {
            problems.member(section, "messageId", unknown_word("field", name, &known));
        }
    }
    for (list, names) in &lists {
        if !template.field_names().any(|name| names.contains(&name)) {
            let message = format!(
                "names no field of the elements of `{list}`, whose messages would all have the same id"
            );
            problems.member(section, "messageId", message);
        }
    }
}

/// The names of all replies, also of those in which something is wrong: that is one mistake.
fn reply_names<'a>(section: &Section<'a>) -> Vec<&'a str> {
    let replies = section.member("replies");
    let entries = replies.iter().flat_map(Section::members);
    entries.map(|(name, _)| name).collect()
}

fn layout_replies(section: &Section<'_>, problems: &mut Problems) {
    let known = reply_names(section);
    let layouts = section.member("layouts");
    for (_, layout) in layouts.iter().flat_map(Section::members) {
        let Some(reply) = layout.member("reply") else {
            continue;
        };
        let names: Vec<_> = if reply.value.is_array() {
            reply.elements().collect()
        } else {
            vec![reply]
        };
        for name in names {
            let unknown = name.value.as_str().filter(|text| !known.contains(text));
            if let Some(text) = unknown {
                let message = if known.is_empty() {
                    format!("reply \"{text}\" is not defined; add it to \"replies\"")
                } else {
                    unknown_word("reply", text, &known)
                };
                problems.add(&name, message);
            }
        }
    }
}

/// A refusal is the reply named `nak`.
fn refusals(section: &Section<'_>, protocol: &Protocol, problems: &mut Problems) {
    if reply_names(section).contains(&NAK) {
        return;
    }
    let message = "the protocol has no reply named \"nak\"";
    if protocol.on_bad_checksum == OnBadChecksum::Nak {
        problems.member(section, "onBadChecksum", message);
    }
    if protocol.acknowledge.otherwise == Otherwise::Nak {
        let acknowledge = section.member("acknowledge");
        problems.member(acknowledge.as_ref().unwrap_or(section), "else", message);
    }
}

/// A login says who speaks for the rest of the connection, and a secret is held against it.
fn logins(section: &Section<'_>, protocol: &Protocol, problems: &mut Problems) {
    let session = section.member("session");
    let (Some(session), Some(login)) = (session, &protocol.session.login) else {
        return;
    };
    if !protocol.identity.has_login() {
        let message = "a login needs an \"identity\" of \"scope\": \"connection\"";
        problems.member(&session, "login", message);
    }
    if login.secret.is_some() && protocol.identity.secret().is_none() {
        let message = "\"identity\" does not say which field carries the \"secret\"";
        let place = session.member("login");
        problems.member(place.as_ref().unwrap_or(&session), "secret", message);
    }
    if let (Some(place), true) = (
        requires_none(&session),
        protocol.identity.secret().is_some(),
    ) {
        let message = "a secret needs a login that is required";
        problems.member(&place, "required", message);
    }
}

/// The member `login`, if it says that none is required.
fn requires_none<'a>(session: &Section<'a>) -> Option<Section<'a>> {
    let login = session.member("login")?;
    let required = login.member("required")?.value.as_bool();
    (required == Some(false)).then_some(login)
}

/// Replies that nothing ever sends: no layout names them and they have no condition of their own.
pub fn silent_replies(section: &Section<'_>, protocol: &Protocol) -> Vec<Warning> {
    let named: BTreeSet<&str> = protocol
        .decoder
        .replies()
        .map(|(_, reply)| &**reply)
        .collect();
    let replies = section.member("replies");
    let entries: Vec<_> = replies.iter().flat_map(Section::members).collect();
    let silent = entries.into_iter().filter(|(name, reply)| {
        let denies = *name == DENIED && protocol.identity.secret().is_some();
        *name != NAK && !denies && !named.contains(name) && reply.member("when").is_none()
    });
    silent
        .map(|(name, reply)| Problem {
            pointer: reply.pointer,
            column: None,
            message: format!(
                "reply \"{name}\" is never sent: no layout names it and it has no \"when\""
            ),
        })
        .collect()
}

/// What has `frame` and is never sent, because the framing cannot be put around any bytes.
pub fn never_framed(section: &Section<'_>, protocol: &Protocol) -> Vec<Warning> {
    let Some(why) = protocol.framing.never_wraps() else {
        return Vec::new();
    };
    let replies = section.member("replies");
    let replies = replies.iter().flat_map(Section::members);
    let replies = replies.filter(|(name, _)| {
        let reply = protocol.replies.get(name);
        reply.is_some_and(|reply| reply.frame)
    });
    let session = section.member("session");
    let heartbeat = session.and_then(|session| session.member("heartbeat"));
    let heartbeat = heartbeat.filter(|_| {
        let heartbeat = protocol.session.heartbeat.as_ref();
        heartbeat.is_some_and(|heartbeat| heartbeat.reply.frame)
    });
    let remedy = match why {
        WrapError::Header => ": it must stand right behind `start`, and `body` not behind it",
        _ => "",
    };
    let framed = replies.map(|(_, reply)| reply).chain(heartbeat);
    framed
        .map(|place| {
            warning(
                &place.pointer,
                "frame",
                format!("it is never sent, {why}{remedy}"),
            )
        })
        .collect()
}

/// Layouts that nothing reads by: often a name mistyped in one of two places.
pub fn unused_layouts(section: &Section<'_>, protocol: &Protocol) -> Vec<Warning> {
    let Some(layouts) = section.member("layouts") else {
        return Vec::new();
    };
    let asked = protocol.questions.iter();
    let answers = asked.filter_map(|asks| asks.answer.as_ref()?.layout.as_deref());
    let unused = protocol
        .decoder
        .unused_layouts(&answers.collect::<Vec<_>>());
    unused
        .into_iter()
        .map(|name| {
            let message = format!("no `select`, no field and no answer names layout \"{name}\"");
            warning(&layouts.pointer, name, message)
        })
        .collect()
}

/// Devices and rules that match nobody, because others match the same.
pub fn hidden_devices(settings: &Settings) -> Vec<Warning> {
    let hidden = settings.devices.hidden().into_iter();
    hidden
        .map(|(pointer, earlier)| Problem {
            pointer: pointer.to_string(),
            column: None,
            message: format!("its \"match\" finds nobody: {earlier} has the same and comes first"),
        })
        .collect()
}

/// The output that an entry says, as a name that IoT Edge takes.
pub fn output_names(collection: Option<&Section<'_>>, problems: &mut Problems) {
    for (_, entry) in collection.into_iter().flat_map(Section::members) {
        let Some(output) = entry.member("output") else {
            continue;
        };
        if let Some(wrong) = output.value.as_str().and_then(wrong_name) {
            problems.add(&output, wrong);
        }
    }
}

/// Entries that nothing refers to: often a name mistyped in one of two places.
pub fn unused(settings: &Settings) -> Vec<Warning> {
    let outputs = settings.outputs_in_use();
    let used: Vec<&str> = outputs.iter().map(|name| &**name).collect();
    let unused_outputs = settings
        .outputs
        .keys()
        .filter(|name| !outputs.contains(*name) && &***name != COMMAND_RESULTS)
        .map(|name| {
            let near = nearest(name, &used)
                .map(|near| format!(", did you mean \"{near}\"?"))
                .unwrap_or_default();
            warning(
                "/outputs",
                name,
                format!(
                    "no layout, device, listener or outbound entry names output \"{name}\"{near}"
                ),
            )
        });
    let protocols: BTreeSet<&str> = settings
        .speaking()
        .map(|(protocol, _)| &*protocol.name)
        .collect();
    let idle = settings
        .protocols
        .keys()
        .filter(|name| !protocols.contains(&***name));
    let unused_protocols = idle.map(|name| {
        warning(
            "/protocols",
            name,
            format!("no listener and no outbound entry uses protocol \"{name}\""),
        )
    });
    let none = settings.speaking().next().is_none();
    let nothing = none.then(|| Problem {
        pointer: "/listeners".into(),
        column: None,
        message: "no listener and nothing outbound: the module has nothing to do".into(),
    });
    unused_outputs
        .chain(unused_protocols)
        .chain(nothing)
        .collect()
}

fn warning(collection: &str, name: &str, message: String) -> Warning {
    Problem {
        pointer: child_pointer(collection, name),
        column: None,
        message,
    }
}
