//! Frames to readings: a decoder per kind, and layouts selected by what has been read.
//!
//! A kind is one file and its lines in `Body`. A frame that no rule fits is a reading too: *undecoded*,
//! with the fields read so far.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod binary;
mod columns;
mod conceal;
mod csv;
mod degrees;
mod elements;
mod field_steps;
mod forms;
mod fuzz;
mod inverse;
mod json;
mod key_value;
mod layout;
mod made;
mod moments;
mod names;
mod numbers;
mod order;
mod places;
mod raw;
mod regex;
mod repeat;
mod run;
pub mod schema;
mod script;
mod select;
mod shapes;
mod step_words;
mod steps;
mod swaps;
mod text;
mod texts;
mod textual;
mod times;
mod tlv;
mod trace;
mod tree;
mod types;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::Deserialize;

use self::binary::{Binary, List};
use self::csv::Csv;
use self::json::JsonDecoder;
use self::key_value::KeyValue;
use self::layout::Tree;
use self::raw::Raw;
use self::regex::Regex;
use self::run::Run;
use self::script::ScriptDecoder;
use self::steps::Steps;
use self::text::Text;
use self::textual::{Encoding, Keyed};
use self::tlv::Tlv;
use self::trace::Recorder;
use crate::cursor::Endian;
use crate::document::{Problem, Problems, Section, child_pointer};
use crate::message::{Fields, Frame, Label, Labels, Name, Reading};
use crate::notation::{Condition, NotationError, Word, unknown_word};
use crate::script::Caller;

pub use self::field_steps::FieldSteps;
pub use self::fuzz::{fuzz, fuzz_fields};
pub use self::inverse::Inverse;
pub use self::trace::{Field, Noted, Trace, What};

const KINDS: [&str; 9] = [
    "binary",
    "csv",
    "json",
    "key-value",
    "raw",
    "regex",
    "script",
    "text",
    "tlv",
];

/// Whether a word is a kind of decoder: as a layout's `type` it says how to decode, any other text
/// is the message's type.
pub fn is_kind(word: &str) -> bool {
    KINDS.contains(&word)
}

/// Decodes the frames of a protocol; built once, cheap to clone.
#[derive(Clone, Debug)]
pub struct Decoder {
    tree: Arc<Tree>,
    /// The layout that reads whatever frames select, for the answer to a question.
    layout: Option<usize>,
}

/// Reads the members `decode` and `layouts` of a protocol. Without `decode` frames stay raw.
pub fn read(
    decode: Option<&Section<'_>>,
    layouts: Option<&Section<'_>>,
    problems: &mut Problems,
) -> Option<Decoder> {
    Tree::read(decode, layouts, problems).map(|tree| Decoder {
        tree: Arc::new(tree),
        layout: None,
    })
}

impl Decoder {
    /// The same for answers that one layout reads, whatever they would select; `None` if there is no
    /// such layout.
    pub fn with_layout(&self, name: &str) -> Option<Self> {
        let mut layouts = self.tree.layouts.iter();
        let layout = layouts.position(|layout| layout.name.as_deref() == Some(name))?;
        Some(Decoder {
            tree: Arc::clone(&self.tree),
            layout: Some(layout),
        })
    }

    /// Names of all layouts.
    pub fn layout_names(&self) -> impl Iterator<Item = &Name> {
        self.tree
            .layouts
            .iter()
            .filter_map(|layout| layout.name.as_ref())
    }

    /// What a frame says, where no script is asked.
    pub fn decode(&self, frame: Frame<'_>) -> Reading {
        self.decode_for(frame, None)
    }

    /// What a frame of a connection says.
    pub fn decode_for(&self, frame: Frame<'_>, caller: Option<&Caller>) -> Reading {
        self.read(frame, caller, None).0
    }

    /// [`Decoder::decode_for`], and how it was read.
    pub fn explain(&self, frame: Frame<'_>, caller: Option<&Caller>) -> (Reading, Trace) {
        let (reading, recorder) = self.read(frame, caller, Some(Box::new(Recorder::new())));
        let trace = recorder.map(|recorder| recorder.into_trace());
        (reading, trace.unwrap_or_default())
    }

    fn read(
        &self,
        frame: Frame<'_>,
        caller: Option<&Caller>,
        recorder: Option<Box<Recorder>>,
    ) -> (Reading, Option<Box<Recorder>>) {
        let reading = Reading {
            publish: true,
            fields: Fields::of(&self.tree.known),
            ..Reading::default()
        };
        let mut run = match Run::new(frame, reading, &self.tree.layouts) {
            Ok(run) => run,
            Err(reading) => {
                let why = "the frame ends before its body".to_owned();
                return (self.tree.undecoded(*reading, why), recorder);
            }
        };
        run.caller = caller;
        run.trace = recorder;
        let decoded = self.tree.decode(self.layout, &mut run);
        let recorder = run.trace.take();
        let reading = match decoded {
            Ok(()) => run.into_reading(),
            Err(why) => self.tree.undecoded(run.into_reading(), why),
        };
        (reading, recorder)
    }

    /// The layouts and the replies that they name.
    pub fn replies(&self) -> impl Iterator<Item = (&Name, &Name)> {
        let layouts = self
            .tree
            .layouts()
            .filter_map(|layout| Some((layout.name.as_ref()?, layout)));
        layouts.flat_map(|(name, layout)| layout.replies.iter().map(move |reply| (name, reply)))
    }

    /// The outputs that layouts name.
    pub fn outputs(&self) -> impl Iterator<Item = &Name> {
        self.tree
            .layouts()
            .filter_map(|layout| layout.output.as_ref())
    }

    /// Names of all fields that frames may have; `None` where frames bring names of their own. The
    /// elements of lists have others.
    pub fn field_names(&self) -> Option<Vec<&str>> {
        self.tree.field_names()
    }

    /// Whether the `type` of a layout's messages is made of that field.
    pub fn types_say(&self, layout: &str, field: &str) -> bool {
        let mut layouts = self.tree.layouts.iter();
        let layout = layouts.find(|known| known.name.as_deref() == Some(layout));
        layout.is_some_and(|layout| layout.type_fields().contains(&field))
    }

    /// Layouts that no frame, no element of a list and none of these reads by.
    pub fn unused_layouts(&self, named: &[&str]) -> Vec<&Name> {
        self.tree.unused(named)
    }

    /// Whether frames may make several messages.
    pub fn splits(&self) -> bool {
        self.tree.splits()
    }

    /// The lists that are split, and the names that their elements add to messages; `None` where
    /// frames bring names of their own.
    pub fn split_lists(&self) -> Option<Vec<(&str, Vec<&str>)>> {
        self.tree.split_lists()
    }
}

/// What field strings take from what stands around them.
#[derive(Clone, Copy, Debug)]
struct Inherited<'a> {
    /// The decoder.
    kind: &'static str,
    endian: Endian,
    /// Names of all layouts, in their order.
    layouts: &'a [&'a str],
    /// The decoder above the layouts.
    decode: &'a serde_json::Value,
    labels: &'a Labels,
}

impl<'a> Inherited<'a> {
    /// What a field is set by.
    fn label(&self, name: &str) -> Label {
        self.labels.of(name)
    }

    /// What a decoder of the same kind above says in a member.
    fn option(&self, member: &str) -> Option<&'a str> {
        let above = self.decode.get("type")?.as_str()?;
        let said = self.decode.get(member)?.as_str()?;
        (above == self.kind).then_some(said)
    }

    /// The encoding of its texts: its own, else that of the decoder above.
    fn encoding(&self, own: Option<Encoding>) -> Encoding {
        let above = || Encoding::deserialize(self.decode.get("encoding")?).ok();
        own.or_else(above).unwrap_or_default()
    }
}

/// What a field string sets and needs.
#[derive(Debug, Default)]
struct Use<'a> {
    /// Its place; none has a field that no field string names.
    at: Option<usize>,
    sets: Vec<&'a str>,
    /// Names that must have been read before it.
    before: Vec<&'a str>,
    /// All names that it needs, those that may be read later included.
    needs: Vec<&'a str>,
    /// The layout that reads its value.
    with: Option<usize>,
    /// Whether it is made at the end, when all others have been read.
    late: bool,
}

/// The layout that a word names.
fn layout_index(word: &Word<'_>, inherited: &Inherited<'_>) -> Result<usize, NotationError> {
    let mut names = inherited.layouts.iter();
    let unknown = || word.error(unknown_word("layout", word.raw, inherited.layouts));
    names.position(|name| *name == word.raw).ok_or_else(unknown)
}

/// How the body of a frame is read.
#[derive(Clone, Debug)]
enum Body {
    Binary(Binary),
    Csv(Csv),
    Json(JsonDecoder),
    KeyValue(KeyValue),
    Raw(Raw),
    Regex(Box<Regex>),
    Script(ScriptDecoder),
    Text(Text),
    Tlv(Tlv),
}

impl Body {
    fn read(
        section: &Section<'_>,
        without: &[&str],
        inherited: Inherited<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        match inherited.kind {
            "binary" => Binary::read(section, without, inherited, problems).map(Body::Binary),
            "csv" => Csv::read(section, without, inherited, problems).map(Body::Csv),
            "json" => JsonDecoder::read(section, without, inherited, problems).map(Body::Json),
            "key-value" => {
                KeyValue::read(section, without, inherited, problems).map(Body::KeyValue)
            }
            "raw" => Raw::read(section, without, inherited, problems).map(Body::Raw),
            "regex" => Regex::read(section, without, inherited, problems)
                .map(|regex| Body::Regex(Box::new(regex))),
            "script" => {
                ScriptDecoder::read(section, without, inherited, problems).map(Body::Script)
            }
            "tlv" => Tlv::read(section, without, inherited, problems).map(Body::Tlv),
            _ => Text::read(section, without, inherited, problems).map(Body::Text),
        }
    }

    fn decode(&self, run: &mut Run<'_>) -> Result<(), String> {
        match self {
            Body::Binary(binary) => binary.decode(run),
            Body::Csv(csv) => csv.decode(run),
            Body::Json(json) => json.decode(run),
            Body::KeyValue(pairs) => pairs.decode(run),
            Body::Raw(raw) => {
                raw.decode(run);
                Ok(())
            }
            Body::Regex(regex) => regex.decode(run),
            Body::Script(script) => script.decode(run),
            Body::Text(text) => text.decode(run),
            Body::Tlv(tlv) => tlv.decode(run),
        }
    }

    /// The names it sets; `None` where frames bring names of their own.
    fn names(&self) -> Option<Vec<&str>> {
        if self.brings_names() {
            return None;
        }
        Some(self.uses().into_iter().flat_map(|uses| uses.sets).collect())
    }

    /// The word that is its kind.
    fn word(&self) -> &'static str {
        match self {
            Body::Binary(_) => "binary",
            Body::Csv(_) => "csv",
            Body::Json(_) => "json",
            Body::KeyValue(_) => "key-value",
            Body::Raw(_) => "raw",
            Body::Regex(_) => "regex",
            Body::Script(_) => "script",
            Body::Text(_) => "text",
            Body::Tlv(_) => "tlv",
        }
    }

    /// Whether frames bring names of their own.
    fn brings_names(&self) -> bool {
        matches!(self, Body::Json(_) | Body::KeyValue(_) | Body::Script(_))
    }

    /// Its lists, with the places of their field strings.
    fn lists(&self) -> Vec<(usize, List<'_>)> {
        match self {
            Body::Binary(binary) => binary.lists().collect(),
            Body::Csv(csv) => csv.lists().collect(),
            Body::Json(json) => json.lists().collect(),
            Body::Tlv(tlv) => tlv.lists().collect(),
            Body::Script(script) => script.members().lists().collect(),
            Body::KeyValue(_) | Body::Raw(_) | Body::Regex(_) | Body::Text(_) => Vec::new(),
        }
    }

    /// Its field strings of members and pairs, each with its key.
    fn keyed(&self) -> Vec<&Keyed> {
        match self {
            Body::Json(json) => json.fields().collect(),
            Body::KeyValue(pairs) => pairs.fields().collect(),
            Body::Script(script) => script.members().fields().collect(),
            Body::Binary(_)
            | Body::Csv(_)
            | Body::Raw(_)
            | Body::Regex(_)
            | Body::Text(_)
            | Body::Tlv(_) => Vec::new(),
        }
    }

    /// The layouts that read parts of what it reads; their fields join the others.
    fn parts(&self) -> Vec<usize> {
        let uses = self.uses().into_iter();
        uses.filter_map(|uses| uses.with).collect()
    }

    /// The member that holds its field strings.
    fn member(&self) -> &'static str {
        match self {
            Body::Tlv(_) => "cases",
            _ => "fields",
        }
    }

    /// Whether it reads bytes one behind the other; others read the whole body.
    fn in_bytes(&self) -> bool {
        matches!(self, Body::Binary(_) | Body::Tlv(_))
    }

    /// Whether what it reads stands in the order of its field strings.
    fn in_order(&self) -> bool {
        !matches!(self, Body::Tlv(_))
    }

    /// What its field strings set and need, in the order in which they are read.
    fn uses(&self) -> Vec<Use<'_>> {
        match self {
            Body::Binary(binary) => binary.uses().collect(),
            Body::Csv(csv) => csv.uses().collect(),
            Body::Json(_) | Body::KeyValue(_) | Body::Script(_) => {
                let fields = self.keyed().into_iter().enumerate();
                fields.map(|(at, of)| of.field.uses(Some(at))).collect()
            }
            Body::Raw(_) => vec![Use {
                sets: vec!["raw"],
                ..Use::default()
            }],
            Body::Regex(regex) => regex.uses().collect(),
            Body::Text(text) => text.uses().collect(),
            Body::Tlv(tlv) => tlv.uses().collect(),
        }
    }
}

/// The names that steps need.
fn needs(steps: &Steps) -> impl Iterator<Item = &str> {
    let negates = steps.negate.iter().map(|when| &**when.field);
    read_before(steps).chain(negates)
}

/// The names that must have been read before steps.
fn read_before(steps: &Steps) -> impl Iterator<Item = &str> {
    steps.condition.iter().flat_map(Condition::field_names)
}

/// Reads the field strings of the member `fields`, noting the mistakes of each.
fn each_field<T>(
    section: &Section<'_>,
    fields: &[String],
    problems: &mut Problems,
    parse: impl Fn(&str) -> Result<T, NotationError>,
) -> Vec<T> {
    let mut read = Vec::with_capacity(fields.len());
    for (index, text) in fields.iter().enumerate() {
        match parse(text) {
            Ok(field) => read.push(field),
            Err(error) => problems.push(Problem {
                pointer: field_pointer(section, index),
                column: Some(error.column),
                message: error.message,
            }),
        }
    }
    read
}

fn field_pointer(section: &Section<'_>, index: usize) -> String {
    child_pointer(
        &child_pointer(&section.pointer, "fields"),
        &index.to_string(),
    )
}
