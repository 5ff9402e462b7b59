//! Layouts, and how a frame finds the one that fits it.

use std::sync::Arc;

use super::binary::Binary;
use super::run::Run;
use super::select::{Select, read_select};
use super::trace::What;
use super::{Body, Inherited, KINDS, script};
use crate::document::{Problems, Section, name_of};
use crate::message::{Known, Labels, Name, Reading};
use crate::template::{Context, Memory, Template};

/// Members of a layout that are read here and not by its decoder.
const OWN: [&str; 6] = ["type", "select", "script", "publish", "reply", "output"];

/// The decoder of a protocol and its layouts.
#[derive(Debug)]
pub(super) struct Tree {
    pub root: Layout,
    pub layouts: Vec<Layout>,
    /// The names of its fields.
    pub known: Known,
    undecoded: Name,
}

/// How one kind of frame is read and what becomes of it.
#[derive(Debug)]
pub(super) struct Layout {
    /// Its key among the layouts; `None` for the decoder above them.
    pub name: Option<Name>,
    pub replies: Arc<[Name]>,
    pub output: Option<Name>,
    pub body: Option<Body>,
    /// The function that is called when its fields have been read.
    pub script: Option<Name>,
    pub select: Option<Select>,
    kind: Kind,
    publish: bool,
}

/// The message's `type`.
#[derive(Debug)]
enum Kind {
    Name,
    Word(Name),
    Template(Template),
}

impl Tree {
    /// Reads `decode` and `layouts`.
    pub fn read(
        decode: Option<&Section<'_>>,
        layouts: Option<&Section<'_>>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let before = problems.len();
        let raw = serde_json::json!({"type": "raw"});
        let raw = Section::root(&raw);
        let decode = decode.unwrap_or(&raw);
        let sections: Vec<(&str, Section<'_>)> =
            layouts.into_iter().flat_map(Section::members).collect();
        if let Some(layouts) = layouts.filter(|layouts| !layouts.value.is_object()) {
            problems.add(
                layouts,
                format!("expected an object, found {}", name_of(layouts.value)),
            );
        }
        let names: Vec<&str> = sections.iter().map(|(name, _)| *name).collect();
        let kind = decode.kind(&KINDS, problems)?;
        let labels = Labels::default();
        let inherited = Inherited {
            kind,
            endian: Binary::endian(decode),
            layouts: &names,
            decode: decode.value,
            labels: &labels,
        };
        let root = Layout::root(decode, inherited, problems);
        // What tags name are fields; a layout of tags says so.
        let inherited = Inherited {
            kind: if kind == "tlv" { "binary" } else { kind },
            ..inherited
        };
        let read = |problems: &mut Problems| -> Vec<Layout> {
            let layouts = sections.iter();
            layouts
                .filter_map(|(name, section)| Layout::named(name, section, inherited, problems))
                .collect()
        };
        let layouts = read(problems);
        let tree = Tree {
            root: root?,
            layouts,
            known: labels.into_known(),
            undecoded: Name::from("undecoded"),
        };
        if problems.len() == before {
            tree.check(decode, &sections, problems);
            tree.check_order(decode, &sections, problems);
        }
        (problems.len() == before).then_some(tree)
    }

    /// Reads a frame by the decoder, then by the layouts that it and they select, or by the layout
    /// that is given.
    pub fn decode<'a>(&'a self, given: Option<usize>, run: &mut Run<'a>) -> Result<(), String> {
        let given = given.and_then(|given| self.layouts.get(given));
        let last = match given {
            None => read_on(&self.root, run)?,
            Some(given) => {
                // What reads texts reads the whole body, and need not fit an answer.
                if self.root.goes_on() {
                    self.root.read(run)?;
                }
                read_on(given, run)?
            }
        };
        run.finish()?;
        last.describe(run);
        run.check_copies()
    }

    /// The reading of a frame that no rule fits.
    pub fn undecoded(&self, reading: Reading, why: String) -> Reading {
        Reading {
            kind: Some(self.undecoded.clone()),
            parts: None,
            undecoded: Some(why),
            ..reading
        }
    }

    /// The decoder and all layouts.
    pub fn layouts(&self) -> impl Iterator<Item = &Layout> {
        std::iter::once(&self.root).chain(&self.layouts)
    }
}

/// Reads by a layout and by those that it selects; gives the last.
pub(super) fn read_on<'a>(first: &'a Layout, run: &mut Run<'a>) -> Result<&'a Layout, String> {
    let mut layout = first;
    // Each layout can be selected once; a longer way goes round in circles.
    for _ in 0..=run.layouts.len() {
        layout.read(run)?;
        let Some(select) = &layout.select else {
            return Ok(layout);
        };
        let (case, chosen) = select.choose(run)?;
        select.note(case, run);
        let chosen = run.layouts.get(chosen);
        layout = chosen.ok_or("no such layout")?;
    }
    Err("layouts select each other in a circle".to_owned())
}

impl Layout {
    /// Whether the next layout reads on where this one has stopped.
    fn goes_on(&self) -> bool {
        matches!(self.body, Some(Body::Binary(_) | Body::Csv(_)))
    }

    fn read<'a>(&'a self, run: &mut Run<'a>) -> Result<(), String> {
        self.note(run);
        if let Some(body) = &self.body {
            let tail = if body.in_bytes() {
                run.frame.body.tail
            } else {
                0
            };
            run.cursor = run.cursor.before_tail(tail);
            body.decode(run)?;
        }
        match &self.script {
            Some(function) => script::change(function, self.select.is_none(), run),
            None => Ok(()),
        }
    }

    fn root(
        section: &Section<'_>,
        inherited: Inherited<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let body = Body::read(section, &["type", "select", "script"], inherited, problems);
        let select = read_select(section, inherited.layouts, problems);
        Some(Layout {
            name: None,
            replies: Arc::from([]),
            output: None,
            kind: Kind::Name,
            body: Some(body?),
            script: read_word(section, "script", problems),
            select: select?,
            publish: true,
        })
    }

    fn named(
        name: &str,
        section: &Section<'_>,
        inherited: Inherited<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        if !section.value.is_object() {
            problems.add(
                section,
                format!("expected an object, found {}", name_of(section.value)),
            );
            return None;
        }
        let (own, kind) = layout_type(section, problems)?;
        let reads = own.is_some()
            || section.member("fields").is_some()
            || section.member("pattern").is_some();
        let decoder = if reads {
            own.unwrap_or(inherited.kind)
        } else if inherited.kind == "regex" {
            "text"
        } else {
            inherited.kind
        };
        let own = Inherited {
            kind: decoder,
            ..inherited
        };
        // Read also where nothing is decoded: unknown members are mistakes.
        let body = Body::read(section, &OWN, own, problems);
        let select = read_select(section, inherited.layouts, problems);
        let replies = read_replies(section, problems);
        let publish = read_flag(section, "publish", true, problems);
        let output = read_word(section, "output", problems);
        Some(Layout {
            name: Some(Name::from(name)),
            replies,
            output,
            kind,
            body: if reads { Some(body?) } else { None },
            script: read_word(section, "script", problems),
            select: select?,
            publish,
        })
    }

    /// The fields that its messages' `type` is made of.
    pub fn type_fields(&self) -> Vec<&str> {
        match &self.kind {
            Kind::Template(template) => template.field_names().collect(),
            Kind::Name | Kind::Word(_) => Vec::new(),
        }
    }

    /// The layouts that it may select.
    pub fn targets(&self) -> Vec<usize> {
        self.select.iter().flat_map(Select::targets).collect()
    }

    /// The layouts that read parts of what it reads.
    pub fn parts(&self) -> Vec<usize> {
        self.body.as_ref().map(Body::parts).unwrap_or_default()
    }

    /// All layouts whose fields join its own: those that it may select, and those of parts.
    pub fn readers(&self) -> Vec<usize> {
        let mut readers = self.targets();
        readers.extend(self.parts());
        readers
    }

    /// Whether a function is called when it reads.
    pub fn calls(&self) -> bool {
        self.script.is_some() || matches!(self.body, Some(Body::Script(_)))
    }

    /// The members of its section that only mean something for whole frames.
    pub fn of_frames(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::Name => &["publish", "reply", "output"],
            Kind::Word(_) | Kind::Template(_) => &["publish", "reply", "output", "type"],
        }
    }

    /// Notes that it reads on.
    fn note(&self, run: &mut Run<'_>) {
        let note = run.begin(|| What::Layout {
            name: self.name.clone(),
            kind: self.body.as_ref().map(Body::word),
        });
        run.end(note, &Ok(()));
    }

    /// Says what becomes of the frame.
    fn describe(&self, run: &mut Run<'_>) {
        run.reading.kind = match &self.kind {
            Kind::Name => self.name.clone(),
            Kind::Word(word) => Some(word.clone()),
            Kind::Template(template) => self.rendered(template, run).or_else(|| self.name.clone()),
        };
        run.reading.publish = self.publish;
        run.reading.replies = self.replies.clone();
        run.reading.output = self.output.clone();
    }

    fn rendered(&self, template: &Template, run: &Run<'_>) -> Option<Name> {
        let context = Context {
            fields: &run.reading.fields,
            frame: run.frame.bytes,
            device: None,
            arguments: &crate::message::Fields::new(),
            now: None,
            memory: &Memory::default(),
            checksum: None,
            caller: run.caller,
            confidential: false,
        };
        let bytes = template.render(&context).ok()?;
        Some(String::from_utf8_lossy(&bytes).into())
    }
}

/// A layout's `type`: a decoder's word, or else what its messages have as `type`.
fn layout_type(
    section: &Section<'_>,
    problems: &mut Problems,
) -> Option<(Option<&'static str>, Kind)> {
    let Some(text) = read_word(section, "type", problems) else {
        return Some((None, Kind::Name));
    };
    if let Some(kind) = KINDS.iter().find(|kind| **kind == &*text) {
        return Some((Some(kind), Kind::Name));
    }
    if !text.contains('{') {
        return Some((None, Kind::Word(text)));
    }
    match Template::parse(&text) {
        Ok(template) => {
            if let Some(what) = template.only_for_devices() {
                let message = format!("`{what}` is for what devices are sent, not for messages");
                problems.member(section, "type", message);
            }
            Some((None, Kind::Template(template)))
        }
        Err(error) => {
            problems.notation(section, "type", error);
            None
        }
    }
}

fn read_word(section: &Section<'_>, name: &str, problems: &mut Problems) -> Option<Name> {
    let member = section.member(name)?;
    if member.value.as_str().is_none() {
        problems.add(
            &member,
            format!("expected a text, found {}", name_of(member.value)),
        );
    }
    member.value.as_str().map(Name::from)
}

fn read_flag(section: &Section<'_>, name: &str, default: bool, problems: &mut Problems) -> bool {
    let Some(member) = section.member(name) else {
        return default;
    };
    if member.value.as_bool().is_none() {
        problems.add(
            &member,
            format!("expected true or false, found {}", name_of(member.value)),
        );
    }
    member.value.as_bool().unwrap_or(default)
}

/// A name or a list of names.
fn read_replies(section: &Section<'_>, problems: &mut Problems) -> Arc<[Name]> {
    let Some(member) = section.member("reply") else {
        return Arc::from([]);
    };
    let list: Vec<Section<'_>> = if member.value.is_array() {
        member.elements().collect()
    } else {
        vec![member]
    };
    let mut names = Vec::new();
    for element in list {
        match element.value.as_str() {
            Some(name) => names.push(Name::from(name)),
            None => problems.add(
                &element,
                format!(
                    "expected the name of a reply, found {}",
                    name_of(element.value)
                ),
            ),
        }
    }
    names.into()
}
