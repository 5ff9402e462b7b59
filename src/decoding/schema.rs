//! The schemas of `decode` and of layouts, and the words of field strings.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::json;

use super::select::SelectOptions;
use super::{binary, csv, json as json_kind, key_value, raw, regex, text, tlv};
use crate::schema::{EntryName, Family, Kind, Members, OneOrMore, TextField, members_of, one_of};

/// The kinds, in the order in which they are explained.
const KINDS: [Kind; 9] = [
    Kind::of::<binary::Options>("binary"),
    Kind::of::<regex::Options>("regex"),
    Kind::of::<csv::Options>("csv"),
    Kind::of::<key_value::Options>("key-value"),
    Kind::of::<json_kind::Options>("json"),
    Kind::of::<text::Options>("text"),
    Kind::of::<tlv::Options>("tlv"),
    Kind::of::<ScriptOptions>("script"),
    Kind::of::<raw::Options>("raw"),
];
/// What a layout inherits where it does not say its kind.
const INHERITED: [&str; 7] = ["binary", "regex", "csv", "key-value", "json", "text", "raw"];

/// What fields can be, in the order of the page.
#[rustfmt::skip]
pub const TYPES: [(&str, &str); 18] = [
    ("`u8` … `u64`, `i8` … `i64`", "integers of any whole number of bytes; `le` or `be` behind it: `u24le`"),
    ("`sm8` … `sm64`", "the same, the highest bit being the sign of the others"),
    ("`varint`, `zigzag`", "LEB128 as in protobuf, at most 10 bytes; `zigzag` with a sign: 0, -1, 1, -2 …"),
    ("`f32`, `f64`", "floats, `le` or `be`"),
    ("`u32 cdab`, `f64 badc`", "any of these numbers of 32, 48 or 64 bits whose words of 16 bits stand in another order: `abcd` the highest byte first, `cdab` the lowest word first, `badc` in each word the lower byte first, `dcba` both, the lowest byte first"),
    ("`decimal N`, `hexadecimal N`", "ASCII digits; N a number or `until BYTE`"),
    ("`bcd N`, `bcd N le`", "two digits to a byte, as text; `le`: the last byte has the first digits. `bcd 2 integer` is a number"),
    ("`hex N`", "bytes as hex digits"),
    ("`ascii N`, `utf8 N`, `latin1 N`, `gbk N`, `utf16 N`", "text; `utf16le`, `utf16be`. What is not valid is replaced, and the message says so"),
    ("`bytes N`", "bytes, base64 in JSON"),
    ("`mac`, `ipv4`", "an address of six or four bytes, as text"),
    ("`ymdhms`, `dmyhms`, `bcdtime`", "six bytes of date and time: year or day first, or year first in BCD"),
    ("`cp56`", "seven bytes of time of IEC 60870-5; null where its invalid bit is set"),
    ("`cp24`", "its first three bytes: milliseconds of the hour"),
    ("`const VALUE`", "nothing: the field always has this value"),
    ("`join A B …`", "nothing: the texts of these fields in a row, made when all fields have been read, later ones too. Without one of them it is left out. `join A` is a copy"),
    ("`skip N`", "nothing, or in `csv` N columns; needs no name"),
    ("`number`, `integer`, `hexadecimal`, `bool`, `text`", "in text decoders. There `bytes` takes what stands there as it is, in base64"),
];

/// What can be done with their values.
#[rustfmt::skip]
pub const STEPS: [(&str, &str); 28] = [
    ("`* F`, `+ N`, `- N`, `& N`, `>> N`", "whole numbers stay exact; what overflows makes the frame undecoded"),
    ("`/ F`", "gives a float"),
    ("`round N`", "to N decimals; without it a float is what it is: an `f32` of 20.8 is 20.799999237060547"),
    ("`abs`", "without its sign"),
    ("`neg FLAG`, `neg !FLAG`, `neg FIELD = VALUES`", "negative if that field is set, is not, or has one of the values: `neg ns = S`"),
    ("`dm`, `dm N`", "degrees and minutes as degrees: `5231.79283` as text or number; with N, digits without a point of which the last N are decimals of a minute"),
    ("`radians`", "radians as degrees"),
    ("`null A`, `null A|B`", "these values mean none"),
    ("`enum A=x B=y`", "names for values; others stay"),
    ("`bits a@0 b@1:10`", "parts of an integer: bit 0 as a flag, ten bits from bit 1. Pairs behind one are names for its values: `bits fix@0:2 0=none 1=gps door@2 true=open`"),
    ("`unix`, `unixms`", "seconds or milliseconds since 1970 as a time"),
    ("`epoch DATE`, `epoch DATE ms`", "the same since another date: `u32 epoch 2000-01-01`"),
    ("`time FORMAT`", "a text as a time: `time '%d%m%y %H%M%S'`; `%.f` for a fraction, `%z` for a zone. `time digits`: a date and what follows as far as the digits go, `YYYY[MM[DD[HH[MM[SS[.f]]]]]][±HHMM]`"),
    ("`zone +08:00`", "the zone of a time that has none; UTC without it"),
    ("`number`, `integer`, `hexadecimal`, `bool`", "a text as a number or flag"),
    ("`text`", "a number as text"),
    ("`trim C`, `ltrim C`, `rtrim C`", "takes characters off the ends of a text, in byte notation: `rtrim 0x00`"),
    ("`until C`", "a text up to this one, or all of it"),
    ("`prefix C`", "puts a text in front"),
    ("`upper`, `lower`", "the letters A to Z"),
    ("`luhn`", "adds the check digit to digits (IMEI)"),
    ("`unhex`", "hex digits as bytes"),
    ("`with LAYOUT`", "a layout reads the value: see [parts](settings.md#parts)"),
    ("`split`", "on a list: one message for each element"),
    ("`map ID VALUE`", "on a list of objects: one object, keyed by their field ID, of their field VALUE"),
    ("`unit U`", "for the reader only"),
    ("`if CONDITION`", "the field is read only then"),
    ("`drop`", "the field is not in the message; conditions, replies and identity still see it"),
];

/// Lists, which are read like fields.
#[rustfmt::skip]
pub const OF_LISTS: [(&str, &str); 2] = [
    ("`repeat N LAYOUT`", "N elements one after the other, each read by a layout, or by one field in quotes: `repeat 4 'u16'`. N can also be the type of a number in front of them: `repeat u8 record`"),
    ("`repeat N map KEY VALUE`", "N pairs of a key and a value as one object: `repeat u8 map u8 'i16 / 10'`"),
];

/// Members of every decoder.
#[derive(JsonSchema)]
#[schemars(rename = "decode-common")]
#[expect(dead_code, reason = "only the schema of it is made")]
struct DecodeOptions {
    /// Chooses by a field that has been read how the frame is read on.
    select: Option<SelectOptions>,
    /// A function of the protocol's script that is called when the fields have been read.
    script: Option<String>,
}

/// The function `decode` of the protocol's script says the fields.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only the schema of it is made")]
struct ScriptOptions {
    /// What members of its object are, and other names for them (`at 'KEY'`, or a JSON pointer); all others stay as they come.
    #[schemars(with = "Option<Vec<TextField>>")]
    fields: Vec<String>,
}

/// Members that say what becomes of a frame that a layout has read.
#[derive(JsonSchema)]
#[schemars(rename = "layout-common")]
#[expect(dead_code, reason = "only the schema of it is made")]
struct LayoutOptions {
    /// `false`: no message.
    #[schemars(extend("default" = true))]
    publish: Option<bool>,
    /// The reply to such a frame: a name, or a list of which the first counts whose `when` holds.
    #[schemars(with = "Option<OneOrMore<String>>")]
    reply: Option<String>,
    /// The output of its messages.
    #[schemars(with = "Option<EntryName>")]
    output: Option<String>,
}

/// The member `decode`.
#[derive(Debug)]
pub struct Decode;

/// An entry of `layouts`.
#[derive(Debug)]
pub struct Layout;

impl JsonSchema for Decode {
    fn schema_name() -> Cow<'static, str> {
        "decode".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let family = Family {
            name: "decode",
            like: None,
            kinds: &KINDS,
            common: members_of::<DecodeOptions>(generator),
        };
        one_of(&family, "How frames become values.", generator)
    }
}

impl JsonSchema for Layout {
    fn schema_name() -> Cow<'static, str> {
        "layout".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        // Layouts take what their kinds have from there.
        generator.subschema_for::<Decode>();
        let mut common = members_of::<LayoutOptions>(generator);
        common.extend(members_of::<DecodeOptions>(generator));
        let family = Family {
            name: "layout",
            like: Some("decode"),
            kinds: &KINDS,
            common,
        };
        let mut choices = family.define(generator);
        let inherits = inheriting(&family, generator);
        generator
            .definitions_mut()
            .insert("layout-inherits".into(), inherits);
        choices.insert(0, json!({ "$ref": "#/$defs/layout-inherits" }));
        json_schema!({
            "title": "layout",
            "description": "How a kind of frames is read on, and what becomes of them: all members of `decode`, of which `type` and `endian` are inherited, and its own.",
            "anyOf": choices,
        })
    }
}

/// A layout of the decoder's own kind: any member that the kinds have which can be inherited.
fn inheriting(family: &Family<'_>, generator: &mut SchemaGenerator) -> serde_json::Value {
    let no_kinds = family.words();
    let mut members = Members::new();
    members.insert(
        "type".into(),
        json!({
            "description": "A word that is no decoder, or a template: the message's `type`. Without it the layout's name.",
            "type": "string",
            "not": { "enum": no_kinds },
        }),
    );
    members.extend(family.common.clone());
    for word in INHERITED {
        let own = generator.definitions().get(&format!("layout-{word}"));
        let own = own.and_then(|kind| kind.get("properties")?.as_object());
        for (name, member) in own.into_iter().flatten() {
            members.entry(name).or_insert_with(|| member.clone());
        }
    }
    // Texts of one kind are no fields of another.
    members.insert(
        "fields".into(),
        json!({
            "description": "The fields, in the notation of the decoder's kind.",
            "type": "array",
            "items": { "type": "string" },
        }),
    );
    json!({
        "title": "layout",
        "description": "A layout that does not say its kind has the members of the kind that it inherits.",
        "type": "object",
        "properties": members,
        "additionalProperties": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_schema() {
        let mut words: Vec<&str> = KINDS.iter().map(|kind| kind.word).collect();
        words.sort_unstable();
        assert_eq!(words, super::super::KINDS);
    }

    /// Types of some bits, of which there are many.
    fn is_one_of_many(word: &str) -> bool {
        let bits = word.trim_start_matches(['u', 'i', 's', 'm', 'f']);
        !bits.is_empty() && bits.chars().all(|digit| digit.is_ascii_digit())
    }

    #[test]
    fn every_type_and_step_is_explained() {
        let explained = |rows: &[(&str, &str)], word: &str| {
            let mut words = rows.iter().flat_map(|(words, _)| words.split('`'));
            words.any(|known| known.split(' ').next() == Some(word))
        };
        for word in super::super::types::TYPES {
            let listed = explained(&TYPES, word) || explained(&OF_LISTS, word);
            assert!(listed || is_one_of_many(word), "{word}");
        }
        for word in super::super::step_words::STEPS {
            assert!(explained(&STEPS, word), "{word}");
        }
    }
}
