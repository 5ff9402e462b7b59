//! The functions that the places of a protocol call must be in its script.

use crate::conversation::Protocol;
use crate::document::{Problems, Section};
use crate::script::{DECODE, FRAME};
use crate::template::Template;

/// A function, and the place that names it.
struct Use<'a> {
    place: Section<'a>,
    function: String,
}

/// Finds functions that are called and are not there.
pub fn check(section: &Section<'_>, protocol: &Protocol, problems: &mut Problems) {
    for Use { place, function } in uses(section, protocol) {
        let message = match &protocol.script {
            Some(script) if script.has(&function) => continue,
            Some(_) => format!("the script has no function `{function}`"),
            None => format!("needs a function `{function}`: the protocol has no \"script\""),
        };
        problems.add(&place, message);
    }
}

fn uses<'a>(section: &Section<'a>, protocol: &'a Protocol) -> Vec<Use<'a>> {
    let mut uses = Vec::new();
    if let Some(framing) = section.member("framing") {
        framings(&framing, &mut uses);
    }
    let layouts = section.member("layouts");
    let layouts = layouts.iter().flat_map(Section::members);
    for decoder in section
        .member("decode")
        .into_iter()
        .chain(layouts.map(|(_, layout)| layout))
    {
        typed(&decoder, DECODE, &mut uses);
        named(&decoder, "script", &mut uses);
        if let Some(kind) = decoder.member("type") {
            in_template(kind, &mut uses);
        }
    }
    let identity = section.member("identity");
    let place = identity.and_then(|identity| identity.member("script"));
    uses.extend(
        place
            .zip(protocol.identity.function())
            .map(|(place, name)| Use {
                place,
                function: name.to_string(),
            }),
    );
    if let Some(send) = heartbeat(section) {
        in_template(send, &mut uses);
    }
    if let Some(id) = section.member("messageId") {
        in_template(id, &mut uses);
    }
    for (place, asks) in protocol.questions.places(section) {
        let names = asks.templates().flat_map(Template::function_names);
        uses.extend(names.map(|name| Use {
            place: place.clone(),
            function: name.to_owned(),
        }));
    }
    if let Some(replies) = section.member("replies") {
        for reply in protocol.replies.iter() {
            let Some(entry) = replies.member(&reply.name) else {
                continue;
            };
            let place = entry.member("send").unwrap_or(entry);
            uses.extend(reply.send.function_names().map(|name| Use {
                place: place.clone(),
                function: name.to_owned(),
            }));
        }
    }
    uses
}

/// What is sent as a sign of life.
fn heartbeat<'a>(section: &Section<'a>) -> Option<Section<'a>> {
    let session = section.member("session")?;
    session.member("heartbeat")?.member("send")
}

/// A framing, and those that stand in it.
fn framings<'a>(section: &Section<'a>, uses: &mut Vec<Use<'a>>) {
    typed(section, FRAME, uses);
    let inner = section.members().map(|(_, member)| member);
    for member in inner.chain(section.elements()) {
        framings(&member, uses);
    }
}

/// A section of type `script` calls the function of its place.
fn typed<'a>(section: &Section<'a>, function: &str, uses: &mut Vec<Use<'a>>) {
    let kind = section.member("type");
    uses.extend(kind.filter(|kind| kind.value == "script").map(|place| Use {
        place,
        function: function.to_owned(),
    }));
}

fn named<'a>(section: &Section<'a>, member: &str, uses: &mut Vec<Use<'a>>) {
    let place = section.member(member);
    uses.extend(place.and_then(|place| {
        let function = place.value.as_str()?.to_owned();
        Some(Use { place, function })
    }));
}

fn in_template<'a>(place: Section<'a>, uses: &mut Vec<Use<'a>>) {
    let template = place.value.as_str().map(Template::parse);
    if let Some(Ok(template)) = template {
        uses.extend(template.function_names().map(|name| Use {
            place: place.clone(),
            function: name.to_owned(),
        }));
    }
}
