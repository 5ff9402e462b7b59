//! A CRC that the catalogue does not have, as an object: `{"crc": {…}, "over": "2..-4", "at": -4}`.

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use super::crc::Model;
use super::{Algorithm, Checksum, Scope, no_fields, type_of_value};
use crate::document::{Problems, Section, object};
use crate::notation::{Condition, Endian, NotationError, Span, Words, number};
use crate::schema::{ConditionText, NumberText, Range, TypeText};

/// A CRC that has no name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "checksum-object")]
pub(super) struct CustomOptions {
    /// What the CRC is.
    #[serde(deserialize_with = "object")]
    crc: CrcOptions,
    /// What it covers, `A..B`; without it everything before the check value.
    #[schemars(with = "Option<Range>")]
    over: Option<String>,
    /// Where the check value stands, negative from the end; without it in the last bytes.
    #[schemars(with = "Option<NumberText>")]
    at: Option<Number>,
    /// How it is written, such as `u16le`; without it as wide as it is, the highest byte first.
    #[serde(rename = "as")]
    #[schemars(with = "Option<TypeText>")]
    kind: Option<String>,
    /// When it is checked: a condition on the bytes of the frame.
    #[serde(rename = "if")]
    #[schemars(with = "Option<ConditionText>")]
    condition: Option<String>,
}

/// The parameters of a CRC, in the words of the CRC catalogue.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(rename = "crc")]
struct CrcOptions {
    /// How many bits it has.
    #[schemars(range(min = 3, max = 64))]
    width: u8,
    /// Without its highest term, not turned round.
    #[schemars(with = "NumberText")]
    polynomial: Number,
    /// The register before the first byte.
    #[serde(default)]
    #[schemars(with = "NumberText", extend("default" = 0))]
    init: Number,
    /// Whether the lowest bit of each byte comes first.
    #[serde(default)]
    reflect_in: bool,
    /// Whether the result is turned round.
    #[serde(default)]
    reflect_out: bool,
    /// What the result is XORed with.
    #[serde(default)]
    #[schemars(with = "NumberText", extend("default" = 0))]
    xor_out: Number,
}

/// A whole number, or a text such as `0x1021`.
#[derive(Clone, Copy, Debug, Default)]
struct Number(i128);

/// Reads the object form.
pub(super) fn read(section: &Section<'_>, problems: &mut Problems) -> Option<Checksum> {
    let options: CustomOptions = section.read(&[], problems)?;
    let crc = section.member("crc")?;
    let algorithm = Algorithm::custom(options.crc.model(&crc, problems)?);
    let mut part = |member: &str, error: NotationError| problems.notation(section, member, error);
    let over = options.over.as_deref().map(span).transpose();
    let over = over.map_err(|error| part("over", error)).ok();
    let kind = options.kind.as_deref().map(|text| {
        let mut words = Words::new(text)?;
        let kind = type_of_value(&mut words, Endian::Big)?;
        words.end().map(|()| kind)
    });
    let kind = kind.transpose().map_err(|error| part("as", error)).ok();
    let condition = options.condition.as_deref().map(|text| {
        let condition = Condition::parse(text, Endian::Big)?;
        no_fields(&condition, 1).map(|()| condition)
    });
    let condition = condition.transpose();
    let condition = condition.map_err(|error| part("if", error)).ok();
    let at = options.at.map(|at| i32::try_from(at.0).map(i64::from));
    let Ok(at) = at.transpose() else {
        problems.member(section, "at", "the offset is out of range");
        return None;
    };
    let kind = kind?.unwrap_or_else(|| algorithm.usual_kind(Endian::Big));
    Some(Checksum {
        algorithm,
        mask: u64::MAX,
        kind,
        scope: Scope::place(over?, at, kind),
        condition: condition?,
    })
}

fn span(text: &str) -> Result<Span, NotationError> {
    let mut words = Words::new(text)?;
    let span = Span::parse(&words.require("a range such as `2..-4`")?)?;
    words.end().map(|()| span)
}

impl CrcOptions {
    fn model(&self, crc: &Section<'_>, problems: &mut Problems) -> Option<Model> {
        if !(3..=64).contains(&self.width) {
            problems.member(crc, "width", "a CRC has 3 to 64 bits");
            return None;
        }
        let most = u64::MAX.wrapping_shr(64u32.saturating_sub(self.width.into()));
        let mut fits = |member: &str, number: Number| {
            let found = u64::try_from(number.0).ok().filter(|value| *value <= most);
            if found.is_none() {
                let message = format!("does not fit into {} bits", self.width);
                problems.member(crc, member, message);
            }
            found
        };
        let polynomial = fits("polynomial", self.polynomial);
        let init = fits("init", self.init);
        let xor_out = fits("xorOut", self.xor_out);
        if polynomial.is_some_and(|polynomial| polynomial & 1 == 0) {
            let message = "a polynomial is written without its highest term, the lowest bit last, which is 1 in all of them: 0x1021, 0x8005";
            problems.member(crc, "polynomial", message);
            return None;
        }
        Some(Model {
            width: self.width,
            polynomial: polynomial?,
            init: init?,
            reflect_in: self.reflect_in,
            reflect_out: self.reflect_out,
            xor_out: xor_out?,
        })
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a whole number, or a text such as \"0x1021\"")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Number, E> {
        Ok(Number(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Number, E> {
        Ok(Number(value.into()))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
        let wrong = || E::invalid_value(serde::de::Unexpected::Str(text), &self);
        number(text).map(Number).ok_or_else(wrong)
    }
}
