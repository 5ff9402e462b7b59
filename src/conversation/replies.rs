//! What the gateway answers: the replies of a protocol, and which one answers a frame.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::document::{Problem, Problems, Section, name_of};
use crate::message::{Fields, Name, Reading};
use crate::notation::{Condition, Endian};
use crate::schema::{ConditionText, HoleText};
use crate::template::Template;

/// Name of the reply that refuses a frame.
pub const NAK: &str = "nak";

/// Name of the reply that refuses a login.
pub const DENIED: &str = "denied";

/// A reply with more than its bytes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "reply")]
pub struct ReplyOptions {
    /// The bytes, with holes for values.
    #[schemars(with = "HoleText")]
    pub send: String,
    /// A condition on the frame and its fields. For layouts that name no reply, and for undecoded
    /// frames, the first reply whose condition holds is sent.
    #[serde(default)]
    #[schemars(with = "Option<ConditionText>")]
    pub when: Option<String>,
    /// Among replies with a condition the smaller number is tried first, then the name.
    #[serde(default)]
    pub order: i64,
    /// Put the protocol's framing around the bytes.
    #[serde(default)]
    pub frame: bool,
    /// Close the connection behind it.
    #[serde(default)]
    pub close: bool,
}

/// An entry of `replies`: the bytes as a text with holes, or an object.
#[derive(Debug, JsonSchema)]
#[schemars(rename = "reply-entry", untagged)]
pub enum ReplyEntry {
    /// The bytes, with holes for values.
    Send(#[schemars(with = "HoleText")] String),
    /// The bytes, and when and how they are sent.
    Options(ReplyOptions),
}

/// One reply.
#[derive(Debug)]
pub struct Reply {
    /// Its name in the settings.
    pub name: Name,
    /// The bytes.
    pub send: Template,
    /// When it is the answer.
    pub when: Option<Condition>,
    /// Place among the replies with a condition.
    pub order: i64,
    /// Whether the framing is put around.
    pub frame: bool,
    /// Whether the connection ends with it.
    pub close: bool,
}

/// The replies of a protocol, in the order in which conditions are tried.
#[derive(Debug, Default)]
pub struct Replies(Vec<Reply>);

impl Replies {
    /// Reads the section `replies`: a template, or an object, for each name.
    pub fn read(section: Option<&Section<'_>>, problems: &mut Problems) -> Self {
        let Some(section) = section else {
            return Replies::default();
        };
        if !section.value.is_object() {
            problems.add(
                section,
                format!("expected replies by name, found {}", name_of(section.value)),
            );
        }
        let mut replies: Vec<Reply> = section
            .members()
            .filter_map(|(name, section)| Reply::read(name, &section, problems))
            .collect();
        replies.sort_by(|a, b| (a.order, &a.name).cmp(&(b.order, &b.name)));
        Replies(replies)
    }

    /// All replies.
    pub fn iter(&self) -> impl Iterator<Item = &Reply> {
        self.0.iter()
    }

    /// The reply of that name.
    pub fn get(&self, name: &str) -> Option<&Reply> {
        self.0.iter().find(|reply| &*reply.name == name)
    }

    /// The reply that refuses a frame.
    pub fn nak(&self) -> Option<&Reply> {
        self.get(NAK)
    }

    /// The reply to a frame: the first of those its layout names whose condition holds; if it
    /// names none, the first of all replies that have a condition which holds.
    pub fn choose(&self, reading: &Reading, frame: &[u8]) -> Option<&Reply> {
        if reading.replies.is_empty() {
            return self
                .0
                .iter()
                .find(|reply| reply.when.is_some() && reply.fits(&reading.fields, frame));
        }
        let mut named = reading.replies.iter().filter_map(|name| self.get(name));
        named.find(|reply| reply.fits(&reading.fields, frame))
    }
}

impl Reply {
    fn read(name: &str, section: &Section<'_>, problems: &mut Problems) -> Option<Self> {
        let (options, send_at) = match section.value.as_str() {
            Some(send) => (ReplyOptions::from(send), None),
            None => (section.read::<ReplyOptions>(&[], problems)?, Some("send")),
        };
        let send = Template::parse(&options.send)
            .map_err(|error| match send_at {
                Some(member) => problems.notation(section, member, error),
                None => problems.push(Problem {
                    pointer: section.pointer.clone(),
                    column: Some(error.column),
                    message: error.message,
                }),
            })
            .ok();
        if let Some(name) = send.as_ref().and_then(|send| send.argument_names().next()) {
            let message = format!("`arg {name}` is for commands: a reply has no arguments");
            match send_at {
                Some(member) => problems.member(section, member, message),
                None => problems.add(section, message),
            }
        }
        let when = match options
            .when
            .as_deref()
            .map(|when| Condition::parse(when, Endian::Big))
        {
            None => Some(None),
            Some(Ok(condition)) => Some(Some(condition)),
            Some(Err(error)) => {
                problems.notation(section, "when", error);
                None
            }
        };
        Some(Reply {
            name: name.into(),
            send: send?,
            when: when?,
            order: options.order,
            frame: options.frame,
            close: options.close,
        })
    }

    fn fits(&self, fields: &Fields, frame: &[u8]) -> bool {
        self.when
            .as_ref()
            .is_none_or(|when| when.holds(fields, frame))
    }
}

impl From<&str> for ReplyOptions {
    fn from(send: &str) -> Self {
        ReplyOptions {
            send: send.to_owned(),
            when: None,
            order: 0,
            frame: false,
            close: false,
        }
    }
}
