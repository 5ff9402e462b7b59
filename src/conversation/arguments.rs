//! The arguments of a command: what is declared of them, and what a caller gives.

use std::ops::RangeInclusive;

use serde_json::{Map, Value as Json};

use crate::document::nearest;
use crate::message::{Fields, Name, Value};
use crate::notation::{Literal, NotationError, Word, Words, bytes, unknown_word};
use crate::template::{Given, Misfit, Template};

const KINDS: [&str; 6] = ["integer", "number", "text", "boolean", "hex", "enum"];

/// Characters of a text, and bytes behind `hex`, at most.
const MOST: usize = 4096;

/// An argument as it is declared: `integer 0..7`, `enum on=1 off=0 default on`.
#[derive(Clone, Debug)]
pub struct Argument {
    name: Name,
    kind: Kind,
    default: Option<Value>,
}

#[derive(Clone, Debug)]
enum Kind {
    Integer(RangeInclusive<i128>),
    Number(RangeInclusive<f64>),
    /// So many characters.
    Text(RangeInclusive<usize>),
    Boolean,
    /// So many bytes, said in hex digits.
    Hex(RangeInclusive<usize>),
    /// Words, and what each stands for.
    Enum(Vec<(String, Value)>),
}

impl Argument {
    /// Reads a declaration.
    pub fn parse(name: &str, text: &str) -> Result<Self, NotationError> {
        let mut words = Words::new(text)?;
        let kind = Kind::read(&mut words)?;
        let default = match words.accept("default") {
            None => None,
            Some(_) => {
                let word = words.require("the value that is taken when none is given")?;
                let given = kind.literal(&word.text);
                let value = kind.check(&given);
                Some(value.map_err(|why| word.error(format!("expected {why}")))?)
            }
        };
        words.end()?;
        Ok(Argument {
            name: name.into(),
            kind,
            default,
        })
    }

    /// Its name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// What callers may say of it, and its hole in the template cannot write; with the column in the
    /// declaration. What has no bounds of its own is not looked at: callers hear of it.
    pub fn misfit(&self, declaration: &str, template: &Template) -> Option<NotationError> {
        let words: Vec<Word<'_>> = Words::new(declaration).ok()?.collect();
        let error = |said: &str, at: usize, misfit: Misfit| {
            let column = words.get(at).map_or(1, |word| word.column);
            let expected = misfit
                .expected
                .map(|expected| format!(": expected {expected}"));
            let expected = expected.unwrap_or_default();
            let hole = misfit.hole;
            NotationError::new(column, format!("{said} does not fit `{hole}`{expected}"))
        };
        self.kind.outermost().into_iter().find_map(|most| {
            let misfit = template.misfit_of_argument(&self.name, most.given())?;
            Some(error(&most.said(), most.word(), misfit))
        })
    }
}

/// Checks what a caller gives against what is declared.
///
/// # Errors
/// All mistakes in one text.
pub fn check(declared: &[Argument], given: &Map<String, Json>) -> Result<Fields, String> {
    let mut mistakes = Vec::new();
    for name in given.keys() {
        if !declared.iter().any(|argument| *argument.name == **name) {
            let known: Vec<&str> = declared.iter().map(|argument| &*argument.name).collect();
            mistakes.push(unknown(name, &known));
        }
    }
    let mut fields = Fields::new();
    for Argument {
        name,
        kind,
        default,
    } in declared
    {
        let value = match (given.get(&**name), default) {
            (Some(given), _) => kind
                .check(given)
                .map_err(|why| format!("argument \"{name}\": expected {why}, found {given}")),
            (None, Some(default)) => Ok(default.clone()),
            (None, None) => Err(format!(
                "argument \"{name}\" is missing: {}",
                kind.expected()
            )),
        };
        match value {
            Ok(value) => fields.set(Name::clone(name), value),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    if mistakes.is_empty() {
        Ok(fields)
    } else {
        Err(mistakes.join("; "))
    }
}

fn unknown(name: &str, known: &[&str]) -> String {
    match (known, nearest(name, known)) {
        ([], _) => format!("there is no argument \"{name}\": the command has none"),
        (_, Some(near)) => format!("there is no argument \"{name}\"; did you mean \"{near}\"?"),
        _ => format!(
            "there is no argument \"{name}\"; there is {}",
            known.join(", ")
        ),
    }
}

/// One of the outermost of what callers may say.
enum Outermost {
    /// A value, and the word of the declaration that it stands in.
    Value(Value, String, usize),
    /// A text of so many characters, or so many bytes.
    Length(usize, &'static str),
}

impl Outermost {
    fn given(&self) -> Given<'_> {
        match self {
            Outermost::Value(value, ..) => Given::Value(value),
            Outermost::Length(length, _) => Given::Length(*length),
        }
    }

    fn said(&self) -> String {
        match self {
            Outermost::Value(_, said, _) => said.clone(),
            Outermost::Length(length, of) => format!("a text of {length} {of}"),
        }
    }

    /// The first word is the kind.
    fn word(&self) -> usize {
        match self {
            Outermost::Value(.., at) => *at,
            Outermost::Length(..) => 1,
        }
    }
}

impl Kind {
    /// The ends of a range, or all choices.
    fn outermost(&self) -> Vec<Outermost> {
        let value = |value: Value, said: String| Outermost::Value(value, said, 1);
        match self {
            Kind::Integer(range) if *range.start() == i128::MIN => Vec::new(),
            Kind::Integer(range) => [range.start(), range.end()]
                .map(|end| value(Value::integer(*end), end.to_string()))
                .into(),
            Kind::Number(range) if *range.start() == f64::MIN => Vec::new(),
            // A whole number is taken as one.
            Kind::Number(range) => [range.start(), range.end()]
                .map(|end| {
                    let given = integer(&Json::from(*end));
                    let given = given.map_or(Value::Float(*end), Value::integer);
                    value(given, end.to_string())
                })
                .into(),
            Kind::Text(range) if *range == (0..=MOST) => Vec::new(),
            Kind::Hex(range) if *range == (0..=MOST) => Vec::new(),
            Kind::Text(range) => vec![Outermost::Length(*range.end(), "characters")],
            Kind::Hex(range) => vec![Outermost::Length(*range.end(), "bytes")],
            Kind::Boolean => Vec::new(),
            Kind::Enum(choices) => (1..)
                .zip(choices)
                .map(|(at, (word, value))| Outermost::Value(value.clone(), word.clone(), at))
                .collect(),
        }
    }

    fn read(words: &mut Words<'_>) -> Result<Self, NotationError> {
        let word = words.require("a kind of argument such as `integer 0..7`")?;
        Ok(match word.raw {
            "integer" => Kind::Integer(range(words, whole)?.unwrap_or(i128::MIN..=i128::MAX)),
            "number" => Kind::Number(range(words, float)?.unwrap_or(f64::MIN..=f64::MAX)),
            "text" => Kind::Text(range(words, length)?.unwrap_or(0..=MOST)),
            "boolean" => Kind::Boolean,
            "hex" => Kind::Hex(range(words, length)?.unwrap_or(0..=MOST)),
            "enum" => Kind::Enum(choices(&word, words)?),
            _ => return Err(word.error(unknown_word("kind of argument", word.raw, &KINDS))),
        })
    }

    /// A word of a declaration as a caller would say it.
    fn literal(&self, text: &str) -> Json {
        let literal = Literal::new(text).value();
        match (self, literal) {
            (Kind::Text(_) | Kind::Hex(_) | Kind::Enum(_), _) => Json::from(text),
            (_, Value::Bool(value)) => Json::from(value),
            (_, Value::Integer(value)) => i64::try_from(value.get()).map_or(Json::Null, Json::from),
            (_, Value::Float(value)) => Json::from(value),
            _ => Json::from(text),
        }
    }

    /// The value that a caller gives.
    ///
    /// # Errors
    /// What was expected instead.
    fn check(&self, given: &Json) -> Result<Value, String> {
        let value = match self {
            Kind::Integer(range) => integer(given)
                .filter(|value| range.contains(value))
                .map(Value::integer),
            Kind::Number(range) => given
                .as_f64()
                .filter(|value| range.contains(value))
                .map(|float| integer(given).map_or(Value::Float(float), Value::integer)),
            Kind::Text(range) => given
                .as_str()
                .filter(|text| range.contains(&text.chars().count()))
                .map(Value::text),
            Kind::Boolean => given.as_bool().map(Value::Bool),
            Kind::Hex(range) => given
                .as_str()
                .and_then(|text| bytes(&format!("0x{}", text.trim_start_matches("0x"))).ok())
                .filter(|bytes| range.contains(&bytes.len()))
                .map(|bytes| Value::Bytes(bytes.into())),
            Kind::Enum(choices) => choices
                .iter()
                .find(|(word, _)| given.as_str() == Some(word))
                .map(|(_, value)| value.clone()),
        };
        value.ok_or_else(|| self.expected())
    }

    fn expected(&self) -> String {
        match self {
            Kind::Integer(range) if *range.start() == i128::MIN => "a whole number".to_owned(),
            Kind::Integer(range) => {
                format!("a whole number from {} to {}", range.start(), range.end())
            }
            Kind::Number(range) if *range.start() == f64::MIN => "a number".to_owned(),
            Kind::Number(range) => format!("a number from {} to {}", range.start(), range.end()),
            Kind::Text(range) => {
                format!("a text of {} to {} characters", range.start(), range.end())
            }
            Kind::Boolean => "true or false".to_owned(),
            Kind::Hex(range) => format!(
                "a text of hex digits, {} to {} bytes",
                range.start(),
                range.end()
            ),
            Kind::Enum(choices) => {
                let words: Vec<&str> = choices.iter().map(|(word, _)| word.as_str()).collect();
                format!("one of {}", words.join(", "))
            }
        }
    }
}

/// A whole number, also one written with a point such as `5.0`.
fn integer(given: &Json) -> Option<i128> {
    let whole = given.as_i64().map(i128::from);
    let large = || given.as_u64().map(i128::from);
    let float = || {
        let float = given.as_f64()?;
        let exact = float.fract() == 0.0 && float.abs() < 9_007_199_254_740_992.0;
        // No fraction, and small enough to be exact.
        exact.then_some(float as i128)
    };
    whole.or_else(large).or_else(float)
}

/// `A..B`, or `N` for `N..N`, at the next word, if there is a range.
fn range<T: PartialOrd + Copy>(
    words: &mut Words<'_>,
    end: fn(&str) -> Option<T>,
) -> Result<Option<RangeInclusive<T>>, NotationError> {
    if words.peek().is_none_or(|word| word.is("default")) {
        return Ok(None);
    }
    let word = words.require("a range")?;
    let (low, high) = word.raw.split_once("..").unwrap_or((word.raw, word.raw));
    match (end(low), end(high)) {
        (Some(low), Some(high)) if low <= high => Ok(Some(low..=high)),
        _ => Err(word.error(format!(
            "expected a range such as `0..7`, found `{}`",
            word.raw
        ))),
    }
}

fn whole(text: &str) -> Option<i128> {
    crate::notation::number(text)
}

fn float(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

fn length(text: &str) -> Option<usize> {
    text.parse().ok().filter(|length| *length <= MOST)
}

fn choices(first: &Word<'_>, words: &mut Words<'_>) -> Result<Vec<(String, Value)>, NotationError> {
    let mut choices: Vec<(String, Value)> = Vec::new();
    while words.peek().is_some_and(|word| !word.is("default")) {
        let word = words.require("a choice")?;
        let (name, value) = match word.split('=') {
            Some((name, value)) => (name.text.into_owned(), Literal::new(&value.text).value()),
            None => (word.text.clone().into_owned(), Value::text(&*word.text)),
        };
        if choices.iter().any(|(known, _)| *known == name) {
            return Err(word.error(format!("`{name}` stands here twice")));
        }
        choices.push((name, value));
    }
    if choices.is_empty() {
        return Err(first.error("expected choices behind it: `enum on=1 off=0`"));
    }
    Ok(choices)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn given(declaration: &str, given: Json) -> Result<Value, String> {
        let declared = [Argument::parse("a", declaration).unwrap()];
        let given = match given {
            Json::Null => Map::new(),
            given => [("a".to_owned(), given)].into_iter().collect(),
        };
        check(&declared, &given).map(|fields| fields.get("a").unwrap().clone())
    }

    #[test]
    fn what_fits_is_taken_and_what_does_not_is_named() {
        for (declaration, value, expected) in [
            ("integer", json!(-5), Ok(Value::integer(-5))),
            ("integer", json!(u64::MAX), Ok(Value::integer(u64::MAX))),
            ("integer 0..7", json!(7), Ok(Value::integer(7))),
            ("integer 0..7", json!(7.0), Ok(Value::integer(7))),
            ("integer 0..7", json!(8), Err("from 0 to 7, found 8")),
            ("integer 0..7", json!(0.5), Err("from 0 to 7")),
            ("integer 0..7", json!("7"), Err("from 0 to 7")),
            ("integer -0x10..0", json!(-16), Ok(Value::integer(-16))),
            ("integer 0x10..0x20", json!(32), Ok(Value::integer(32))),
            ("number", json!(1.5), Ok(Value::Float(1.5))),
            ("number -10..50.5", json!(50.5), Ok(Value::Float(50.5))),
            ("number -10..50.5", json!(51), Err("from -10 to 50.5")),
            ("number", json!(3), Ok(Value::integer(3))),
            ("text", json!(""), Ok(Value::text(""))),
            ("text 1..2", json!("äö"), Ok(Value::text("äö"))),
            ("text 1..2", json!("abc"), Err("1 to 2 characters")),
            ("text 3", json!("abc"), Ok(Value::text("abc"))),
            ("boolean", json!(true), Ok(Value::Bool(true))),
            ("boolean", json!(1), Err("true or false")),
            (
                "hex 2",
                json!("0a0B"),
                Ok(Value::Bytes(vec![10, 11].into())),
            ),
            (
                "hex 2",
                json!("0x 0a 0b"),
                Ok(Value::Bytes(vec![10, 11].into())),
            ),
            ("hex 2", json!("0a"), Err("2 to 2 bytes")),
            ("enum on=1 off=0", json!("on"), Ok(Value::integer(1))),
            ("enum open closed", json!("open"), Ok(Value::text("open"))),
            ("enum on=1 off=0", json!(1), Err("one of on, off")),
            (
                "enum on=1 off=0 default off",
                Json::Null,
                Ok(Value::integer(0)),
            ),
            ("integer 0..7 default 3", Json::Null, Ok(Value::integer(3))),
            ("boolean default true", Json::Null, Ok(Value::Bool(true))),
            ("text", Json::Null, Err("is missing")),
        ] {
            match (given(declaration, value.clone()), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{declaration} {value}"),
                (Err(found), Err(part)) => {
                    assert!(found.contains(part), "{declaration} {value}: {found}");
                }
                (found, expected) => panic!("{declaration} {value}: {found:?}, not {expected:?}"),
            }
        }
    }

    #[test]
    fn an_argument_that_is_not_declared_is_a_mistake_and_all_are_told() {
        let declared = [Argument::parse("relay", "integer 0..7").unwrap()];
        let given = json!({"relais": 1, "state": true});
        let mistakes = check(&declared, given.as_object().unwrap()).unwrap_err();
        for part in [
            "\"relais\"",
            "mean \"relay\"",
            "\"state\"",
            "\"relay\" is missing",
        ] {
            assert!(mistakes.contains(part), "{part} in {mistakes}");
        }
    }

    #[test]
    fn mistakes_of_a_declaration_have_their_column() {
        for (text, column) in [
            ("integr", 1),
            ("integer 7..0", 9),
            ("integer a", 9),
            ("text 1..9999", 6),
            ("enum", 1),
            ("enum a=1 a=2", 10),
            ("integer 0..7 default 9", 22),
            ("boolean 1", 9),
            ("", 1),
        ] {
            assert_eq!(
                Argument::parse("a", text).unwrap_err().column,
                column,
                "{text}"
            );
        }
    }
}
