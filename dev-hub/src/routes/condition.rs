//! The condition of a route. What edgeHub could answer and the stand-in could not is refused
//! when the route is read, so that no message ever goes another way than it would there.

use serde_json::Value;

use super::grammar::{RouteError, Token, Tokens};
use crate::message::Message;

const MAX_DEPTH: usize = 32;

/// A condition in three-valued logic: what cannot be compared is neither true nor false.
#[derive(Debug)]
pub(super) enum Condition {
    Always(bool),
    Compare(Operand, Operator, Operand),
    Not(Box<Condition>),
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, PartialEq)]
pub(super) enum Operand {
    Literal(Value),
    /// `name`: an application property.
    Property(String),
    /// `$name`: such an application property if there is one, else a system property.
    Either(String),
    /// `{$name}`.
    System(String),
    /// `$body.a[0]` as a JSON pointer.
    Body(String),
}

/// Reads a condition up to `INTO`.
pub(super) fn parse(tokens: &mut Tokens<'_>) -> Result<Condition, RouteError> {
    any(tokens, 0)
}

fn any(tokens: &mut Tokens<'_>, depth: usize) -> Result<Condition, RouteError> {
    if depth > MAX_DEPTH {
        return Err(tokens.error("too many brackets"));
    }
    let mut condition = all(tokens, depth)?;
    while tokens.keyword("OR")? {
        condition = Condition::Or(Box::new(condition), Box::new(all(tokens, depth)?));
    }
    Ok(condition)
}

fn all(tokens: &mut Tokens<'_>, depth: usize) -> Result<Condition, RouteError> {
    let mut condition = single(tokens, depth)?;
    while tokens.keyword("AND")? {
        condition = Condition::And(Box::new(condition), Box::new(single(tokens, depth)?));
    }
    Ok(condition)
}

fn single(tokens: &mut Tokens<'_>, depth: usize) -> Result<Condition, RouteError> {
    if tokens.keyword("NOT")? {
        if !matches!(tokens.peek()?, Some(Token::Sign("("))) {
            return Err(tokens.error("edgeHub binds NOT closer than a comparison: write NOT (…)"));
        }
        return single(tokens, depth + 1).map(|inner| Condition::Not(Box::new(inner)));
    }
    if tokens.accept("(")? {
        let inner = any(tokens, depth + 1)?;
        tokens.require(")")?;
        return Ok(inner);
    }
    comparison(tokens)
}

fn comparison(tokens: &mut Tokens<'_>) -> Result<Condition, RouteError> {
    let left = operand(tokens)?;
    let operator = match tokens.peek()? {
        Some(Token::Sign(sign)) => operator(sign),
        _ => None,
    };
    let Some(operator) = operator else {
        return match left {
            Operand::Literal(Value::Bool(always)) => Ok(Condition::Always(always)),
            _ => Err(tokens
                .error("expected a comparison; arithmetic and other operators are not known here")),
        };
    };
    tokens.next()?;
    let right = operand(tokens)?;
    let text_only = |one: &Operand, other: &Operand| {
        matches!(
            one,
            Operand::Property(_) | Operand::Either(_) | Operand::System(_)
        ) && matches!(other, Operand::Literal(literal) if !literal.is_string())
    };
    if text_only(&left, &right) || text_only(&right, &left) {
        return Err(tokens.error("properties are text: compare with a text in quotes"));
    }
    Ok(Condition::Compare(left, operator, right))
}

fn operator(sign: &str) -> Option<Operator> {
    Some(match sign {
        "=" => Operator::Equal,
        "!=" | "<>" => Operator::Unequal,
        "<" => Operator::Less,
        "<=" => Operator::LessOrEqual,
        ">" => Operator::Greater,
        ">=" => Operator::GreaterOrEqual,
        _ => return None,
    })
}

fn operand(tokens: &mut Tokens<'_>) -> Result<Operand, RouteError> {
    match tokens.next()? {
        Some(Token::Text(text)) => Ok(Operand::Literal(text.into())),
        Some(Token::Number(number)) => Ok(Operand::Literal(number.into())),
        Some(Token::Sign("-")) => match tokens.next()? {
            Some(Token::Number(number)) => Ok(Operand::Literal((-number).into())),
            _ => Err(tokens.error("expected a number behind \"-\"")),
        },
        Some(Token::Sign("{")) => braced(tokens),
        Some(Token::Word(word)) => named(tokens, word),
        _ => Err(tokens.error("expected a property, $body or a literal")),
    }
}

fn braced(tokens: &mut Tokens<'_>) -> Result<Operand, RouteError> {
    let Some(Token::Word(word)) = tokens.next()? else {
        return Err(tokens.error("expected {$name}"));
    };
    let name = word
        .strip_prefix('$')
        .ok_or_else(|| tokens.error("expected {$name}"))?;
    tokens.require("}")?;
    Ok(Operand::System(name.to_owned()))
}

fn named(tokens: &mut Tokens<'_>, word: String) -> Result<Operand, RouteError> {
    match word.as_str() {
        "true" => return Ok(Operand::Literal(true.into())),
        "false" => return Ok(Operand::Literal(false.into())),
        "null" => return Ok(Operand::Literal(Value::Null)),
        "undefined" => return Err(tokens.error("undefined is not known to the stand-in")),
        "$body" => return body(tokens),
        _ => {}
    }
    if matches!(tokens.peek()?, Some(Token::Sign("("))) {
        return Err(tokens.error(format!("the function {word} is not known to the stand-in")));
    }
    Ok(match word.strip_prefix('$') {
        Some(name) => Operand::Either(name.to_owned()),
        None => Operand::Property(word),
    })
}

fn body(tokens: &mut Tokens<'_>) -> Result<Operand, RouteError> {
    let mut pointer = String::new();
    loop {
        if tokens.accept(".")? {
            let Some(Token::Word(name)) = tokens.next()? else {
                return Err(tokens.error("expected a name behind \".\""));
            };
            pointer = format!("{pointer}/{name}");
        } else if tokens.accept("[")? {
            let Some(Token::Number(index)) = tokens.next()? else {
                return Err(tokens.error("expected a number in brackets"));
            };
            tokens.require("]")?;
            pointer = format!("{pointer}/{index}");
        } else if pointer.is_empty() {
            return Err(tokens.error("expected $body.NAME"));
        } else {
            return Ok(Operand::Body(pointer));
        }
    }
}

impl Condition {
    /// Whether it is true, and neither false nor undefined.
    pub(super) fn holds(&self, message: &Message) -> bool {
        self.truth(message) == Some(true)
    }

    fn truth(&self, message: &Message) -> Option<bool> {
        match self {
            Condition::Always(always) => Some(*always),
            Condition::Not(inner) => inner.truth(message).map(|truth| !truth),
            Condition::And(one, two) => match (one.truth(message), two.truth(message)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Condition::Or(one, two) => match (one.truth(message), two.truth(message)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
            Condition::Compare(left, operator, right) => {
                compare(&left.value(message)?, *operator, &right.value(message)?)
            }
        }
    }
}

/// Values of different kinds cannot be compared.
fn compare(left: &Value, operator: Operator, right: &Value) -> Option<bool> {
    let order = match (left, right) {
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Number(left), Value::Number(right)) => {
            left.as_f64()?.partial_cmp(&right.as_f64()?)?
        }
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Null, Value::Null) => std::cmp::Ordering::Equal,
        _ => return None,
    };
    Some(match operator {
        Operator::Equal => order.is_eq(),
        Operator::Unequal => order.is_ne(),
        Operator::Less => order.is_lt(),
        Operator::LessOrEqual => order.is_le(),
        Operator::Greater => order.is_gt(),
        Operator::GreaterOrEqual => order.is_ge(),
    })
}

impl Operand {
    fn value(&self, message: &Message) -> Option<Value> {
        match self {
            Operand::Literal(value) => Some(value.clone()),
            Operand::Property(name) => message.property(name).map(Value::from),
            Operand::System(name) => message.system(name).map(Value::from),
            Operand::Either(name) => {
                let own = message.property(&format!("${name}"));
                own.or_else(|| message.system(name)).map(Value::from)
            }
            Operand::Body(pointer) => read_body(message)?.pointer(pointer).cloned(),
        }
    }
}

/// The body, if the message says in so many words that it is JSON in a known encoding.
fn read_body(message: &Message) -> Option<Value> {
    let is = |name, wanted: &str| {
        message
            .system(name)
            .is_some_and(|value| value.eq_ignore_ascii_case(wanted))
    };
    let readable = is("contentType", "application/json") && is("contentEncoding", "utf-8");
    let value: Value = readable.then(|| serde_json::from_slice(&message.body).ok())??;
    value.is_object().then_some(value)
}
