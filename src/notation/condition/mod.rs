//! Conditions: `WHAT [& MASK] [OP VALUES]`, several joined by `and`.

mod shown;
mod values;

use std::cmp::Ordering;

use super::{IntegerAt, IntegerKind, NotationError, ReadError, Word, Words, bytes, number};
use crate::cursor::Endian;
use crate::message::{Fields, Value};

pub use self::values::Values;

/// A condition on the fields and the bytes of a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    clauses: Vec<Clause>,
}

#[derive(Clone, Debug, PartialEq)]
struct Clause {
    negated: bool,
    what: What,
    mask: Option<i128>,
    test: Test,
}

#[derive(Clone, Debug, PartialEq)]
enum What {
    Field(String),
    Frame(IntegerAt),
    Length,
}

#[derive(Clone, Debug, PartialEq)]
enum Test {
    /// Present and not false, zero or empty.
    True,
    Equal(Vec<Choice>),
    Unequal(Vec<Choice>),
    Less(Literal),
    Greater(Literal),
}

#[derive(Clone, Debug, PartialEq)]
enum Choice {
    One(Literal),
    Between(Literal, Literal),
}

/// A value written in a notation string, which a decoded value can be compared with.
#[derive(Clone, Debug, PartialEq)]
pub struct Literal {
    text: String,
    integer: Option<i128>,
    float: Option<f64>,
}

impl Condition {
    /// Reads a whole condition; `default` is the order of bytes where a type does not say one.
    pub fn parse(text: &str, default: Endian) -> Result<Self, NotationError> {
        let mut words = Words::new(text)?;
        let condition = Self::read(&mut words, default)?;
        words.end()?;
        Ok(condition)
    }

    /// Reads the condition at the next word, as far as it goes.
    pub fn read(words: &mut Words<'_>, default: Endian) -> Result<Self, NotationError> {
        let mut clauses = vec![clause(words, default)?];
        while words.accept("and").is_some() {
            clauses.push(clause(words, default)?);
        }
        Ok(Condition { clauses })
    }

    /// Whether it holds for a frame and what was decoded of it. What cannot be read does not hold; `!` negates that too.
    pub fn holds(&self, fields: &Fields, frame: &[u8]) -> bool {
        self.clauses
            .iter()
            .all(|clause| clause.holds(fields, frame))
    }

    /// Whether it holds for a frame that begins with `bytes`; `None` if more of it is needed to know.
    pub fn on_prefix(&self, bytes: &[u8]) -> Option<bool> {
        let mut known = Some(true);
        for clause in &self.clauses {
            match clause.on_prefix(bytes) {
                Some(false) => return Some(false),
                Some(true) => {}
                None => known = None,
            }
        }
        known
    }

    /// Whether a prefix of a frame can never decide it: it names fields, the length or places from the end.
    pub fn needs_whole_frame(&self) -> bool {
        self.clauses.iter().any(|clause| match &clause.what {
            What::Field(_) | What::Length => true,
            What::Frame(place) => place.at.is_some_and(|at| at < 0),
        })
    }

    /// The column at which a condition, as it is written, names that field.
    pub fn column_of(text: &str, field: &str) -> Option<usize> {
        let mut words = Words::new(text).ok()?;
        // A field stands first, behind `!`, and behind `and`.
        let mut expected = true;
        while let Some(word) = words.next_with_operators() {
            if expected && word.text == field {
                return Some(word.column);
            }
            expected = word.is("and") || expected && word.is("!");
        }
        None
    }

    /// The fields it names.
    pub fn field_names(&self) -> impl Iterator<Item = &str> {
        self.clauses.iter().filter_map(|clause| match &clause.what {
            What::Field(name) => Some(name.as_str()),
            What::Frame(_) | What::Length => None,
        })
    }
}

impl Clause {
    fn holds(&self, fields: &Fields, frame: &[u8]) -> bool {
        let read = match &self.what {
            What::Length => {
                i128::try_from(frame.len()).is_ok_and(|length| self.test_integer(length))
            }
            What::Frame(place) => place
                .read(frame, 0)
                .is_ok_and(|read| self.test_integer(read.value)),
            What::Field(name) => fields.get(name).is_some_and(|value| self.test_value(value)),
        };
        read != self.negated
    }

    fn on_prefix(&self, bytes: &[u8]) -> Option<bool> {
        let What::Frame(place) = &self.what else {
            return None;
        };
        if place.at.is_some_and(|at| at < 0) {
            return None;
        }
        let read = match place.read(bytes, 0) {
            Ok(read) => self.test_integer(read.value),
            Err(ReadError::Invalid(_)) => false,
            Err(ReadError::Short { .. }) => return None,
        };
        Some(read != self.negated)
    }

    fn test_integer(&self, value: i128) -> bool {
        self.test
            .holds(&Value::integer(value & self.mask.unwrap_or(-1)))
    }

    fn test_value(&self, value: &Value) -> bool {
        match (self.mask, value) {
            (None, value) => self.test.holds(value),
            (Some(_), Value::Integer(value)) => self.test_integer(value.get()),
            (Some(_), _) => false,
        }
    }
}

impl Test {
    fn holds(&self, value: &Value) -> bool {
        match self {
            Test::True => is_true(value),
            Test::Equal(choices) => choices.iter().any(|choice| choice.holds(value)),
            Test::Unequal(choices) => !choices.iter().any(|choice| choice.holds(value)),
            Test::Less(literal) => literal.compare(value) == Some(Ordering::Greater),
            Test::Greater(literal) => literal.compare(value) == Some(Ordering::Less),
        }
    }
}

impl Choice {
    /// Whether it is a range whose ends are the wrong way round.
    fn holds_nothing(&self) -> bool {
        match self {
            Choice::One(_) => false,
            Choice::Between(low, high) => low.compare(&high.value()) == Some(Ordering::Greater),
        }
    }

    fn holds(&self, value: &Value) -> bool {
        match self {
            Choice::One(literal) => literal.equals(value),
            Choice::Between(low, high) => {
                matches!(low.compare(value), Some(Ordering::Less | Ordering::Equal))
                    && matches!(
                        high.compare(value),
                        Some(Ordering::Greater | Ordering::Equal)
                    )
            }
        }
    }
}

impl Literal {
    /// A literal as it was written.
    pub fn new(text: &str) -> Self {
        let integer = number(text);
        let float = text.parse().ok().filter(|float: &f64| float.is_finite());
        Literal {
            text: text.to_owned(),
            integer,
            float,
        }
    }

    /// The literal as a value: a whole number, a float, true, false or text.
    pub fn value(&self) -> Value {
        match (&*self.text, self.integer, self.float) {
            ("true", ..) => Value::Bool(true),
            ("false", ..) => Value::Bool(false),
            (_, Some(integer), _) => Value::integer(integer),
            (_, None, Some(float)) => Value::Float(float),
            (text, None, None) => Value::text(text),
        }
    }

    /// The literal as a whole number.
    pub fn integer(&self) -> Option<i128> {
        self.integer
    }

    /// Whether a decoded value is this one: numbers by value, texts and flags as they are written.
    pub fn equals(&self, value: &Value) -> bool {
        match value {
            Value::Integer(value) if self.integer.is_some() => self.integer == Some(value.get()),
            Value::Integer(_) | Value::Float(_) => self.compare(value) == Some(Ordering::Equal),
            Value::Text(value) => self.equals_text(value),
            Value::Bool(value) => self.text == if *value { "true" } else { "false" },
            Value::Bytes(value) => bytes(&self.text).is_ok_and(|bytes| *bytes == **value),
            Value::Null | Value::List(_) | Value::Object(_) => false,
        }
    }

    /// Whether no value can be both.
    pub fn excludes(&self, other: &Literal) -> bool {
        let float = |literal: &Literal| {
            let whole = literal.integer.map(|integer| integer as f64);
            literal.float.or(whole)
        };
        let integers = self.integer.is_some() && self.integer == other.integer;
        let floats = float(self).is_some() && float(self) == float(other);
        let same = |own: Vec<u8>| bytes(&other.text).is_ok_and(|other| other == own);
        let alike = self.text == other.text || bytes(&self.text).is_ok_and(same);
        !(alike || integers || floats)
    }

    /// [`Literal::equals`] for a text.
    pub fn equals_text(&self, text: &str) -> bool {
        self.text == text
    }

    /// How the literal compares with a decoded number, also one that stands in a text.
    fn compare(&self, value: &Value) -> Option<Ordering> {
        match (value, self.integer, self.float) {
            (Value::Integer(value), Some(integer), _) => Some(integer.cmp(&value.get())),
            (Value::Integer(value), None, Some(float)) => float.partial_cmp(&(value.get() as f64)),
            (Value::Float(value), _, Some(float)) => float.partial_cmp(value),
            (Value::Float(value), Some(integer), None) => (integer as f64).partial_cmp(value),
            (Value::Text(text), ..) => self.compare_text(text.trim()),
            _ => None,
        }
    }

    fn compare_text(&self, text: &str) -> Option<Ordering> {
        match Literal::new(text).value() {
            value @ (Value::Integer(_) | Value::Float(_)) => self.compare(&value),
            _ => None,
        }
    }
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Integer(value) => value.get() != 0,
        Value::Float(value) => *value != 0.0,
        Value::Text(text) => !text.is_empty(),
        Value::Bytes(bytes) => !bytes.is_empty(),
        Value::List(values) => !values.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

fn clause(words: &mut Words<'_>, default: Endian) -> Result<Clause, NotationError> {
    let negated = accept_operator(words, "!");
    let what = what(words, default)?;
    let mask = if accept_operator(words, "&") {
        Some(required(words, "a mask")?.number("a mask")?)
    } else {
        None
    };
    let test = test(words)?;
    Ok(Clause {
        negated,
        what,
        mask,
        test,
    })
}

fn what(words: &mut Words<'_>, default: Endian) -> Result<What, NotationError> {
    let first = required(words, "a field, `TYPE at N` or `length`")?;
    if let Some(kind) = IntegerKind::parse(&first, words, default)? {
        let place = IntegerAt::with_place(kind, words)?;
        return match place.at {
            Some(_) => Ok(What::Frame(place)),
            None => Err(first.error(format!(
                "`{}` needs a place: `{} at N`",
                first.raw, first.raw
            ))),
        };
    }
    if first.is("length") {
        return Ok(What::Length);
    }
    Ok(What::Field(first.text.into_owned()))
}

fn test(words: &mut Words<'_>) -> Result<Test, NotationError> {
    let operator = words.peek_with_operators().filter(|word| !word.quoted);
    let operator = operator.map_or("", |word| word.raw);
    if !matches!(operator, "=" | "!=" | "<" | ">") {
        return Ok(Test::True);
    }
    words.next_with_operators();
    Ok(match operator {
        "=" => Test::Equal(choices(words)?),
        "!=" => Test::Unequal(choices(words)?),
        "<" => Test::Less(ordered(words)?),
        _ => Test::Greater(ordered(words)?),
    })
}

fn choices(words: &mut Words<'_>) -> Result<Vec<Choice>, NotationError> {
    let mut choices = vec![choice(words)?];
    while accept_operator(words, "|") {
        choices.push(choice(words)?);
    }
    Ok(choices)
}

fn choice(words: &mut Words<'_>) -> Result<Choice, NotationError> {
    let word = required(words, "a value")?;
    if word.quoted {
        return Ok(Choice::One(Literal::new(&word.text)));
    }
    let Some((low, high)) = word.raw.split_once("..") else {
        return Ok(Choice::One(Literal::new(word.raw)));
    };
    let (low, high) = (Literal::new(low), Literal::new(high));
    if low.float.is_none() && low.integer.is_none()
        || high.float.is_none() && high.integer.is_none()
    {
        return Err(word.error(format!(
            "expected a range of numbers such as `1..9`, found `{}`",
            word.raw
        )));
    }
    let between = Choice::Between(low, high);
    if between.holds_nothing() {
        return Err(word.error(format!("`{}` holds nothing", word.raw)));
    }
    Ok(between)
}

fn ordered(words: &mut Words<'_>) -> Result<Literal, NotationError> {
    let word = required(words, "a number")?;
    let literal = Literal::new(&word.text);
    if literal.integer.is_none() && literal.float.is_none() {
        return Err(word.error(format!("expected a number, found `{}`", word.raw)));
    }
    Ok(literal)
}

fn accept_operator(words: &mut Words<'_>, operator: &str) -> bool {
    let found = words
        .peek_with_operators()
        .is_some_and(|word| word.is(operator));
    if found {
        words.next_with_operators();
    }
    found
}

fn required<'a>(words: &mut Words<'a>, what: &str) -> Result<Word<'a>, NotationError> {
    let missing = NotationError::new(words.end_column(), format!("expected {what} here"));
    let word = words.next_with_operators().ok_or(missing)?;
    match word.raw {
        "=" | "!=" | "<" | ">" | "&" | "|" | "!" => {
            Err(word.error(format!("expected {what}, found `{}`", word.raw)))
        }
        _ => Ok(word),
    }
}

#[cfg(test)]
mod tests;
