//! The text of a route: `[SELECT *] FROM path [WHERE condition] INTO sink`.

use super::condition;
use super::{Route, Sink};

/// What is wrong with a route, or not known to the stand-in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {message}")]
pub struct RouteError {
    /// Where, in bytes from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

/// A piece of a route.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A keyword or name; with `$` if it has one.
    Word(String),
    Text(String),
    Number(f64),
    /// An operator, bracket, dot or comma.
    Sign(&'static str),
}

const SIGNS: [&str; 22] = [
    "<=", ">=", "!=", "<>", "||", "??", "=", "<", ">", "(", ")", "[", "]", "{", "}", ".", ",", "+",
    "-", "*", "/", "%",
];

/// Reads the pieces of a route one by one.
#[derive(Debug)]
pub(super) struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// An error at this place.
    pub(super) fn error(&self, message: impl Into<String>) -> RouteError {
        RouteError {
            column: self.at + 1,
            message: message.into(),
        }
    }

    fn skip_blanks(&mut self) {
        loop {
            let rest = self.rest();
            let comment = rest.strip_prefix("/*").and_then(|inside| inside.find("*/"));
            self.at += match comment {
                Some(length) => length + 4,
                None if rest.starts_with(char::is_whitespace) => {
                    rest.len() - rest.trim_start().len()
                }
                None => return,
            };
        }
    }

    /// The next piece; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<Token>, RouteError> {
        self.skip_blanks();
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return Ok(None);
        };
        if matches!(first, '\'' | '"') {
            return self.text(first).map(Some);
        }
        if first.is_ascii_digit() {
            return self.number().map(Some);
        }
        if first.is_ascii_alphabetic() || matches!(first, '$' | '_') {
            let inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '$');
            let word = rest.split(|c| !inside(c)).next().unwrap_or_default();
            self.at += word.len();
            return Ok(Some(Token::Word(word.to_owned())));
        }
        let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
        let sign = sign.ok_or_else(|| self.error(format!("unexpected \"{first}\"")))?;
        self.at += sign.len();
        Ok(Some(Token::Sign(sign)))
    }

    /// The next piece, left where it is.
    pub(super) fn peek(&mut self) -> Result<Option<Token>, RouteError> {
        let before = self.at;
        let token = self.next();
        self.at = before;
        token
    }

    /// Takes a sign if it is next.
    pub(super) fn accept(&mut self, sign: &str) -> Result<bool, RouteError> {
        let is_next = matches!(self.peek()?, Some(Token::Sign(next)) if next == sign);
        if is_next {
            self.next()?;
        }
        Ok(is_next)
    }

    /// Takes a keyword if it is next.
    pub(super) fn keyword(&mut self, keyword: &str) -> Result<bool, RouteError> {
        let is_next =
            matches!(self.peek()?, Some(Token::Word(word)) if word.eq_ignore_ascii_case(keyword));
        if is_next {
            self.next()?;
        }
        Ok(is_next)
    }

    /// Takes a sign or says that it is missing.
    pub(super) fn require(&mut self, sign: &str) -> Result<(), RouteError> {
        if self.accept(sign)? {
            Ok(())
        } else {
            Err(self.error(format!("\"{sign}\" is missing")))
        }
    }

    fn text(&mut self, quote: char) -> Result<Token, RouteError> {
        let mut text = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((place, c)) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some((_, escaped @ ('"' | '\'' | '\\'))) => text.push(escaped),
                    _ => return Err(self.error("only \\\" \\' \\\\ are known in texts")),
                },
                c if c == quote => {
                    self.at += place + 1;
                    return Ok(Token::Text(text));
                }
                c => text.push(c),
            }
        }
        Err(self.error("this text has no end"))
    }

    fn number(&mut self) -> Result<Token, RouteError> {
        let inside = |c: char| c.is_ascii_digit() || c == '.';
        let digits = self.rest().split(|c| !inside(c)).next().unwrap_or_default();
        let number = digits
            .parse()
            .map_err(|_| self.error(format!("{digits} is no number")))?;
        self.at += digits.len();
        Ok(Token::Number(number))
    }

    /// A path up to the next blank: here `/*` begins no comment.
    fn path(&mut self) -> Result<String, RouteError> {
        let blanks = self.rest().len() - self.rest().trim_start().len();
        self.at += blanks;
        let path = self
            .rest()
            .split(char::is_whitespace)
            .next()
            .unwrap_or_default();
        if !path.starts_with('/') {
            return Err(self.error("a source begins with \"/\""));
        }
        self.at += path.len();
        Ok(path.to_owned())
    }
}

pub(super) fn parse(text: &str) -> Result<Route, RouteError> {
    let mut tokens = Tokens { text, at: 0 };
    if tokens.keyword("SELECT")? {
        tokens.require("*")?;
    }
    if !tokens.keyword("FROM")? {
        return Err(tokens.error("FROM is missing"));
    }
    let path = tokens.path()?;
    let condition = if tokens.keyword("WHERE")? {
        Some(condition::parse(&mut tokens)?)
    } else {
        None
    };
    if !tokens.keyword("INTO")? {
        return Err(tokens.error("INTO is missing"));
    }
    let sink = sink(&mut tokens)?;
    match tokens.next()? {
        None => Ok(Route {
            source: source(&path),
            condition,
            sink,
        }),
        Some(_) => Err(tokens.error("nothing may follow the sink")),
    }
}

/// A trailing `*` and slash are taken off; any other `*` is a plain character.
fn source(path: &str) -> String {
    let path = path.strip_suffix('*').unwrap_or(path);
    format!("{}/", path.trim_end_matches('/').to_lowercase())
}

fn sink(tokens: &mut Tokens<'_>) -> Result<Sink, RouteError> {
    let expected = "expected $upstream or BrokeredEndpoint(\"/modules/NAME/inputs/NAME\")";
    if tokens.keyword("$upstream")? {
        return Ok(Sink::Upstream);
    }
    if !tokens.keyword("BrokeredEndpoint")? {
        return Err(tokens.error(expected));
    }
    tokens.require("(")?;
    let Some(Token::Text(path)) = tokens.next()? else {
        return Err(tokens.error(expected));
    };
    tokens.require(")")?;
    match *path.split('/').collect::<Vec<_>>() {
        ["", "modules", module, "inputs", input] if !module.is_empty() && !input.is_empty() => {
            Ok(Sink::Input {
                module: module.into(),
                input: input.into(),
            })
        }
        _ => Err(tokens.error(expected)),
    }
}
