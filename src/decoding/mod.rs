//! Frames to readings: a decoder per kind, and layouts selected by what has been read.
//!
//! A kind is one file and its lines in `Body`. A frame that no rule fits is a reading too: *undecoded*,
//! with the fields read so far.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod binary;
mod degrees;
mod field_steps;
mod forms;
mod json;
mod layout;
mod made;
mod names;
mod numbers;
mod raw;
mod regex;
mod repeat;
mod run;
pub mod schema;
mod step_words;
mod steps;
mod text;
mod texts;
mod textual;
mod times;
mod tlv;
mod tree;
mod types;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use self::binary::{Binary, List};
use self::json::JsonDecoder;
use self::layout::Tree;
use self::raw::Raw;
use self::regex::Regex;
use self::run::Run;
use self::steps::Steps;
use self::text::Text;
use self::tlv::Tlv;
use crate::cursor::Endian;
use crate::document::{Problem, Problems, Section, child_pointer};
use crate::message::{Frame, Name, Reading};
use crate::notation::{NotationError, Word, unknown_word};

pub use self::field_steps::FieldSteps;

const KINDS: [&str; 6] = ["binary", "json", "raw", "regex", "text", "tlv"];
/// Kinds of the settings language that this version does not have.
const LATER: [&str; 6] = ["csv", "key-value", "hl7", "protobuf", "xml", "script"];

/// Whether a word is a kind of decoder, of this version or a later one: as a layout's `type` it
/// says how to decode, any other text is the message's type.
pub fn is_kind(word: &str) -> bool {
    KINDS.contains(&word) || LATER.contains(&word)
}

/// Decodes the frames of a protocol; built once, cheap to clone.
#[derive(Clone, Debug)]
pub struct Decoder(Arc<Tree>);

/// Reads the members `decode` and `layouts` of a protocol. Without `decode` frames stay raw.
pub fn read(
    decode: Option<&Section<'_>>,
    layouts: Option<&Section<'_>>,
    problems: &mut Problems,
) -> Option<Decoder> {
    Tree::read(decode, layouts, problems).map(|tree| Decoder(Arc::new(tree)))
}

impl Decoder {
    /// What a frame says.
    pub fn decode(&self, frame: Frame<'_>) -> Reading {
        let reading = Reading {
            publish: true,
            ..Reading::default()
        };
        let mut run = match Run::new(frame, reading, &self.0.layouts) {
            Ok(run) => run,
            Err(reading) => {
                let why = "the frame ends before its body".to_owned();
                return self.0.undecoded(*reading, why);
            }
        };
        match self.0.decode(&mut run) {
            Ok(()) => run.into_reading(),
            Err(why) => self.0.undecoded(run.into_reading(), why),
        }
    }

    /// The layouts and the replies that they name.
    pub fn replies(&self) -> impl Iterator<Item = (&Name, &Name)> {
        let layouts = self
            .0
            .layouts()
            .filter_map(|layout| Some((layout.name.as_ref()?, layout)));
        layouts.flat_map(|(name, layout)| layout.replies.iter().map(move |reply| (name, reply)))
    }

    /// The outputs that layouts name.
    pub fn outputs(&self) -> impl Iterator<Item = &Name> {
        self.0.layouts().filter_map(|layout| layout.output.as_ref())
    }

    /// Names of all fields that frames may have; `None` where frames bring names of their own. The
    /// elements of lists have others.
    pub fn field_names(&self) -> Option<Vec<&str>> {
        self.0.field_names()
    }

    /// The lists that are split, and the names that their elements add to messages; `None` where
    /// frames bring names of their own.
    pub fn split_lists(&self) -> Option<Vec<(&str, Vec<&str>)>> {
        self.0.split_lists()
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
    Json(JsonDecoder),
    Raw(Raw),
    Regex(Box<Regex>),
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
            "json" => JsonDecoder::read(section, without, inherited, problems).map(Body::Json),
            "raw" => Raw::read(section, without, problems).map(Body::Raw),
            "regex" => Regex::read(section, without, inherited, problems)
                .map(|regex| Body::Regex(Box::new(regex))),
            "tlv" => Tlv::read(section, without, inherited, problems).map(Body::Tlv),
            _ => Text::read(section, without, inherited, problems).map(Body::Text),
        }
    }

    fn decode(&self, run: &mut Run<'_>) -> Result<(), String> {
        match self {
            Body::Binary(binary) => binary.decode(run),
            Body::Json(json) => json.decode(run),
            Body::Raw(raw) => {
                raw.decode(run);
                Ok(())
            }
            Body::Regex(regex) => regex.decode(run),
            Body::Text(text) => text.decode(run),
            Body::Tlv(tlv) => tlv.decode(run),
        }
    }

    /// The names it sets; `None` where frames bring names of their own.
    fn names(&self) -> Option<Vec<&str>> {
        let names: Vec<&Name> = match self {
            Body::Binary(binary) => binary.names().collect(),
            Body::Json(_) => return None,
            Body::Raw(_) => return Some(vec!["raw"]),
            Body::Regex(regex) => regex.names().collect(),
            Body::Text(text) => text.names().collect(),
            Body::Tlv(tlv) => tlv.names().collect(),
        };
        Some(names.into_iter().map(|name| &**name).collect())
    }

    /// Its lists, with the places of their field strings.
    fn lists(&self) -> Vec<(usize, List<'_>)> {
        match self {
            Body::Binary(binary) => binary.lists().collect(),
            Body::Json(json) => json.lists().collect(),
            Body::Tlv(tlv) => tlv.lists().collect(),
            Body::Raw(_) | Body::Regex(_) | Body::Text(_) => Vec::new(),
        }
    }

    /// The layouts that read parts of what it reads; their fields join the others.
    fn parts(&self) -> Vec<usize> {
        let fields: Vec<&textual::Field> = match self {
            Body::Binary(binary) => return binary.parts().collect(),
            Body::Tlv(tlv) => return tlv.parts().collect(),
            Body::Raw(_) => return Vec::new(),
            Body::Json(json) => json.fields().collect(),
            Body::Regex(regex) => regex.fields().collect(),
            Body::Text(text) => text.fields().collect(),
        };
        let parts = fields.into_iter().filter_map(|field| field.steps.with);
        parts.collect()
    }

    /// The member that holds its field strings.
    fn member(&self) -> &'static str {
        match self {
            Body::Tlv(_) => "cases",
            _ => "fields",
        }
    }

    /// The names that its field strings need, with their places.
    fn needs(&self) -> Vec<(usize, &str)> {
        let fields: Vec<&textual::Field> = match self {
            Body::Binary(binary) => return binary.needs().collect(),
            Body::Tlv(tlv) => return tlv.needs().collect(),
            Body::Raw(_) => return Vec::new(),
            Body::Json(json) => json.fields().collect(),
            Body::Regex(regex) => regex.fields().collect(),
            Body::Text(text) => text.fields().collect(),
        };
        let all = fields.into_iter().enumerate();
        all.flat_map(|(at, field)| field.needs().map(move |name| (at, name)))
            .collect()
    }
}

/// The names that steps need.
fn needs(steps: &Steps) -> impl Iterator<Item = &str> {
    let condition = steps
        .condition
        .iter()
        .flat_map(|condition| condition.field_names());
    condition.chain(steps.negate.as_ref().map(|(name, _)| &**name))
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

/// Notes a mistake of a whole field string.
fn field_problem(section: &Section<'_>, index: usize, message: String, problems: &mut Problems) {
    problems.push(Problem {
        pointer: field_pointer(section, index),
        column: None,
        message,
    });
}

fn field_pointer(section: &Section<'_>, index: usize) -> String {
    child_pointer(
        &child_pointer(&section.pointer, "fields"),
        &index.to_string(),
    )
}

/// Any bytes as field strings, then as the frames they decode: nothing may panic or grow.
#[doc(hidden)]
pub fn fuzz_fields(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (fields, frame) = text.split_once('\0').unwrap_or((&text, ""));
    let fields: Vec<&str> = fields.lines().collect();
    for kind in KINDS {
        let document = match kind {
            "regex" => {
                serde_json::json!({"type": kind, "pattern": fields.first(), "fields": fields})
            }
            "tlv" => {
                let cases: Vec<_> = fields.iter().enumerate().collect();
                serde_json::json!({"type": kind, "tag": "u8", "size": "varint", "cases": cases})
            }
            _ => serde_json::json!({"type": kind, "fields": fields}),
        };
        let layouts = serde_json::json!({"a": {"type": "binary", "fields": ["a: u8", "b: bytes rest with a if a > 1"]}});
        let (document, layouts) = (Section::root(&document), Section::root(&layouts));
        if let Some(decoder) = read(Some(&document), Some(&layouts), &mut Problems::new()) {
            decoder.decode(Frame {
                bytes: frame.as_bytes(),
                body: 0,
            });
        }
    }
}

/// Any bytes as frames of decoders that use most of what there is.
#[doc(hidden)]
pub fn fuzz(data: &[u8]) {
    let (documents, layouts) = fuzz_documents();
    let layouts = Section::root(&layouts);
    let body = data.first().map_or(0, |first| usize::from(first & 7));
    for document in &documents {
        let document = Section::root(document);
        if let Some(decoder) = read(Some(&document), Some(&layouts), &mut Problems::new()) {
            decoder.decode(Frame { bytes: data, body });
        }
    }
}

/// The decoders of [`fuzz`], and their layouts.
fn fuzz_documents() -> (Vec<serde_json::Value>, serde_json::Value) {
    let tags = serde_json::json!({"type": "tlv", "tag": "varint", "size": "u8", "add": -1, "unknown": "others", "cases": [
        [1, "k: varint"], [2, "tags"], [3, "l: gbk rest with members drop"], [4, "list"]]});
    let layouts = serde_json::json!({
        "tags": tags,
        "members": {"type": "json"},
        "list": {"type": "binary", "fields": ["m: repeat rest pair map id v"]},
        "pair": {"type": "binary", "fields": ["id: zigzag", "v: bytes id with tags drop if id = 1..9", "v: join id id"]},
    });
    let document = serde_json::json!({"type": "binary", "endian": "little", "fields": [
        "size: u8", "id: ascii size if size > 3", "c: u24 bits a@0 b@1:10 drop", "d: ymdhms", "e: bcd 2 le rtrim f",
        "f: utf8 until ,", "g: decimal until ; * 1000000", "h: f32 round 2 neg a", "i: i64 at -8 * 3", "j: hex rest -1"
    ]});
    let parts = serde_json::json!({"type": "binary", "fields": [
        "n: varint null 0", "a: sm24le abs neg n", "t: cp56", "u: utf16le 4 until a", "more: bytes rest -3 with tags drop",
        "x: hex 2 luhn if n", "y: join a u t", "z: u8 epoch 2000-01-01 ms"
    ]});
    let decoders = vec![
        document,
        parts,
        tags,
        serde_json::json!({"type": "json"}),
        serde_json::json!({"type": "text", "fields": ["a: dm", "b: unhex with tags drop"]}),
    ];
    (decoders, layouts)
}
