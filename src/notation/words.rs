//! Notation strings cut into words, with columns and `'…'` quotes.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::{NotationError, bytes};

/// One word of a notation string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word<'a> {
    /// The word without its quotes.
    pub text: Cow<'a, str>,
    /// The word as it was written.
    pub raw: &'a str,
    /// Where it begins, in characters from 1.
    pub column: usize,
    /// Whether any part of it was quoted.
    pub quoted: bool,
}

impl<'a> Word<'a> {
    fn new(raw: &'a str, column: usize) -> Self {
        let quoted = raw.contains('\'');
        let text = if quoted {
            Cow::Owned(unquoted(raw))
        } else {
            Cow::Borrowed(raw)
        };
        Word {
            text,
            raw,
            column,
            quoted,
        }
    }

    fn trimmed(&self) -> Self {
        let start = self.raw.trim_start();
        let spaces = self
            .raw
            .chars()
            .count()
            .saturating_sub(start.chars().count());
        Word::new(start.trim_end(), self.column.saturating_add(spaces))
    }

    /// Whether it is this word, not quoted.
    pub fn is(&self, word: &str) -> bool {
        !self.quoted && self.raw == word
    }

    /// A mistake at this word.
    pub fn error(&self, message: impl Into<String>) -> NotationError {
        NotationError::new(self.column, message)
    }

    /// The two sides of the first `mark` outside quotes: `'a b'=c`, `bit@3`.
    pub fn split(&self, mark: char) -> Option<(Word<'a>, Word<'a>)> {
        let at = find_unquoted(self.raw, mark)?;
        let (left, rest) = self.raw.split_at_checked(at)?;
        let right = rest.strip_prefix(mark)?;
        let column = self
            .column
            .saturating_add(left.chars().count())
            .saturating_add(1);
        Some((Word::new(left, self.column), Word::new(right, column)))
    }

    /// The word as a whole number, decimal or `0x…`.
    pub fn number(&self, what: &str) -> Result<i128, NotationError> {
        let wrong = || {
            self.error(format!(
                "expected {what}, a whole number, found `{}`",
                self.raw
            ))
        };
        number(&self.text).ok_or_else(wrong)
    }

    /// The word as a count from `1` to `most`.
    pub fn count(&self, what: &str, most: usize) -> Result<usize, NotationError> {
        let count = usize::try_from(self.number(what)?).ok();
        let wrong = || {
            self.error(format!(
                "{what} must be from 1 to {most}, found `{}`",
                self.raw
            ))
        };
        count
            .filter(|count| (1..=most).contains(count))
            .ok_or_else(wrong)
    }

    /// The word as an offset, negative from the end.
    pub fn offset(&self, what: &str) -> Result<i64, NotationError> {
        let wrong = || self.error(format!("{what} is out of range: `{}`", self.raw));
        let offset = i32::try_from(self.number(what)?).map_err(|_| wrong())?;
        Ok(i64::from(offset))
    }

    /// The word as one byte in byte notation: `','`, `0x2c`.
    pub fn byte(&self, what: &str) -> Result<u8, NotationError> {
        let read = bytes(&self.text).map_err(|error| error.inside(self.column))?;
        match read.as_slice() {
            [byte] => Ok(*byte),
            _ => Err(self.error(format!("expected {what}, one byte, found `{}`", self.raw))),
        }
    }
}

/// The words of a notation string, in order.
///
/// Words are parted by spaces; `'…'` keeps spaces in a word, and `''` in it is one quote.
#[derive(Clone, Debug)]
pub struct Words<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Words<'a> {
    /// At the first word. A quote that is never closed is a mistake.
    pub fn new(text: &'a str) -> Result<Self, NotationError> {
        let quotes = text.chars().filter(|character| *character == '\'').count();
        if quotes % 2 == 1 {
            let column = text
                .chars()
                .enumerate()
                .filter(|(_, character)| *character == '\'')
                .map(|(index, _)| index.saturating_add(1))
                .last();
            let message = "this quote is not closed; a quote inside quotes is written `''`";
            return Err(NotationError::new(column.unwrap_or(1), message));
        }
        Ok(Words { text, position: 0 })
    }

    /// All of the string, whatever has been read of it.
    pub fn whole(&self) -> &'a str {
        self.text
    }

    /// The next word, without going on.
    pub fn peek(&self) -> Option<Word<'a>> {
        self.clone().next()
    }

    /// Goes over the next word if it is this one.
    pub fn accept(&mut self, word: &str) -> Option<Word<'a>> {
        self.peek().filter(|next| next.is(word))?;
        self.next()
    }

    /// The next word, which must be there; `what` says what is expected.
    pub fn require(&mut self, what: &str) -> Result<Word<'a>, NotationError> {
        let missing = || NotationError::new(self.end_column(), format!("expected {what} here"));
        self.peek().ok_or_else(missing)?;
        self.next()
            .ok_or_else(|| NotationError::new(1, format!("expected {what}")))
    }

    /// The parts of a text between marks outside quotes, without the spaces around them.
    pub fn parts(text: &'a str, mark: char) -> Result<Vec<Word<'a>>, NotationError> {
        Self::new(text)?;
        let mut parts = Vec::new();
        let mut rest = Some(Word::new(text, 1));
        while let Some(word) = rest {
            let (part, behind) = match word.split(mark) {
                Some((part, behind)) => (part, Some(behind)),
                None => (word, None),
            };
            parts.push(part.trimmed());
            rest = behind;
        }
        Ok(parts)
    }

    /// Nothing may follow.
    pub fn end(&mut self) -> Result<(), NotationError> {
        match self.next() {
            None => Ok(()),
            Some(word) => Err(word.error(format!("`{}` is not expected here", word.raw))),
        }
    }

    /// The next word where `= != < > & | !` are words of their own also without spaces around them.
    pub fn next_with_operators(&mut self) -> Option<Word<'a>> {
        self.advance(|rest| {
            let first = rest.chars().next()?;
            match first {
                '!' if rest.starts_with("!=") => Some(2),
                _ if is_operator(first) => Some(1),
                _ => None,
            }
        })
    }

    /// [`Words::peek`] for [`Words::next_with_operators`].
    pub fn peek_with_operators(&self) -> Option<Word<'a>> {
        self.clone().next_with_operators()
    }

    /// Goes over a leading `name:` and gives the name.
    pub fn name(&mut self) -> Option<Word<'a>> {
        let mut ahead = self.clone();
        let word = ahead.next()?;
        if let Some((name, rest)) = word.split(':') {
            self.position = ahead.position.checked_sub(rest.raw.len())?;
            return Some(name);
        }
        ahead.next().filter(|next| next.is(":"))?;
        self.position = ahead.position;
        Some(word)
    }

    /// The column behind the last character.
    pub fn end_column(&self) -> usize {
        self.text.trim_end().chars().count().saturating_add(1)
    }

    /// The next word; `operator` gives the length of one at the beginning of a text.
    fn advance(&mut self, operator: impl Fn(&str) -> Option<usize>) -> Option<Word<'a>> {
        let rest = self.text.get(self.position..)?;
        let trimmed = rest.trim_start();
        if trimmed.is_empty() {
            return None;
        }
        let start = self.text.len().checked_sub(trimmed.len())?;
        let length = operator(trimmed)
            .unwrap_or_else(|| word_length(trimmed, |rest| operator(rest).is_some()));
        self.position = start.checked_add(length)?;
        let column = self.text.get(..start)?.chars().count().saturating_add(1);
        Some(Word::new(self.text.get(start..self.position)?, column))
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = Word<'a>;

    fn next(&mut self) -> Option<Word<'a>> {
        self.advance(|_| None)
    }
}

fn is_operator(character: char) -> bool {
    matches!(character, '=' | '!' | '<' | '>' | '&' | '|')
}

/// Bytes up to the first space or `stop` outside quotes.
fn word_length(text: &str, stop: impl Fn(&str) -> bool) -> usize {
    let mut quoted = false;
    for (at, character) in text.char_indices() {
        if character == '\'' {
            quoted = !quoted;
        } else if !quoted && (character.is_whitespace() || text.get(at..).is_some_and(&stop)) {
            return at;
        }
    }
    text.len()
}

fn find_unquoted(text: &str, mark: char) -> Option<usize> {
    let mut quoted = false;
    text.char_indices().find_map(|(at, character)| {
        quoted ^= character == '\'';
        (!quoted && character == mark).then_some(at)
    })
}

/// Takes the quotes away; a doubled quote inside quotes stays as one.
fn unquoted(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut quoted = false;
    let mut characters = raw.chars().peekable();
    while let Some(character) = characters.next() {
        if character != '\'' {
            text.push(character);
        } else if quoted && characters.next_if_eq(&'\'').is_some() {
            text.push('\'');
        } else {
            quoted = !quoted;
        }
    }
    text
}

/// A text as one word: in quotes where it would else be several, or mean something.
pub fn quoted(text: &str) -> Cow<'_, str> {
    let parts =
        |character: char| character.is_whitespace() || character == '\'' || is_operator(character);
    if text.is_empty() || text.contains(parts) || text.contains("..") {
        return Cow::Owned(format!("'{}'", text.replace('\'', "''")));
    }
    Cow::Borrowed(text)
}

/// A whole number, decimal or behind `0x`, with an optional minus.
pub fn number(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (radix, digits) = match digits.strip_prefix("0x") {
        Some(digits) => (16, digits),
        None => (10, digits),
    };
    if !digits.starts_with(|first: char| first.is_ascii_hexdigit()) {
        return None;
    }
    let value = i128::from_str_radix(digits, radix).ok()?;
    if negative {
        value.checked_neg()
    } else {
        Some(value)
    }
}

/// Says that a word is not known, which are, and which was probably meant.
pub fn unknown_word(what: &str, word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(near) => format!("unknown {what} \"{word}\", did you mean \"{near}\"?"),
        None if known.is_empty() => format!("unknown {what} \"{word}\": there is none"),
        None => {
            let mut seen = BTreeSet::new();
            let known = known.iter().filter(|known| seen.insert(**known));
            let known: Vec<&str> = known.copied().collect();
            let known = known.join(", ");
            format!("unknown {what} \"{word}\", expected one of {known}")
        }
    }
}

/// The known word that a mistyped one most resembles.
pub fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let word = word.to_lowercase();
    known
        .iter()
        .map(|known| (strsim::jaro_winkler(&word, &known.to_lowercase()), *known))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::arithmetic_side_effects, reason = "numbers of tests are small")]

    use super::*;
    use proptest::prelude::*;

    fn texts(text: &str) -> Vec<(String, usize)> {
        let words = Words::new(text).unwrap();
        words
            .map(|word| (word.text.into_owned(), word.column))
            .collect()
    }

    #[test]
    fn words_with_columns_and_quotes() {
        for (text, expected) in [
            ("", &[][..]),
            ("  u8  at 3 ", &[("u8", 3), ("at", 7), ("3", 10)]),
            (
                "enum 'a b'='c d' ' '",
                &[("enum", 1), ("a b=c d", 6), (" ", 18)],
            ),
            ("é 'it''s' x", &[("é", 1), ("it's", 3), ("x", 11)]),
            ("''", &[("", 1)]),
        ] {
            let expected: Vec<_> = expected
                .iter()
                .map(|(word, column)| ((*word).to_owned(), *column))
                .collect();
            assert_eq!(texts(text), expected, "{text:?}");
        }
    }

    #[test]
    fn an_open_quote_is_a_mistake() {
        assert_eq!(Words::new("until 'a").unwrap_err().column, 7);
        assert_eq!(Words::new("é 'a' '").unwrap_err().column, 7);
    }

    #[test]
    fn operators_need_no_spaces() {
        let mut words = Words::new("!type!=1|'a=b'&0x0f").unwrap();
        let found: Vec<_> = std::iter::from_fn(|| words.next_with_operators())
            .map(|word| (word.text.into_owned(), word.column))
            .collect();
        let expected = [
            ("!", 1),
            ("type", 2),
            ("!=", 6),
            ("1", 8),
            ("|", 9),
            ("a=b", 10),
            ("&", 15),
            ("0x0f", 16),
        ];
        assert_eq!(
            found,
            expected.map(|(word, column)| (word.to_owned(), column))
        );
    }

    #[test]
    fn names_stand_before_a_colon() {
        for (text, name, rest) in [
            ("seq: u16", Some("seq"), "u16"),
            ("seq:u16", Some("seq"), "u16"),
            ("seq : u16", Some("seq"), "u16"),
            ("'a b': u8", Some("a b"), "u8"),
            ("skip 4", None, "skip"),
            ("skip", None, "skip"),
        ] {
            let mut words = Words::new(text).unwrap();
            assert_eq!(
                words.name().map(|word| word.text.into_owned()).as_deref(),
                name,
                "{text}"
            );
            assert_eq!(words.next().unwrap().text, rest, "{text}");
        }
    }

    #[test]
    fn pairs_split_outside_quotes() {
        let word = Words::new("'a=b'='c d'").unwrap().next().unwrap();
        let (left, right) = word.split('=').unwrap();
        assert_eq!((&*left.text, left.column), ("a=b", 1));
        assert_eq!((&*right.text, right.column), ("c d", 7));
        assert!(
            Words::new("'a=b'")
                .unwrap()
                .next()
                .unwrap()
                .split('=')
                .is_none()
        );
    }

    #[test]
    fn each_known_word_is_listed_once() {
        assert_eq!(
            unknown_word("field", "zz", &["b", "a", "b"]),
            "unknown field \"zz\", expected one of b, a"
        );
        assert_eq!(
            unknown_word("layout", "zz", &[]),
            "unknown layout \"zz\": there is none"
        );
    }

    #[test]
    fn numbers_are_decimal_or_hex() {
        for (text, value) in [
            ("12", Some(12)),
            ("-6", Some(-6)),
            ("0x80", Some(128)),
            ("-0x1", Some(-1)),
            ("+1", None),
            ("--1", None),
            ("0x-1", None),
            ("", None),
            ("1a", None),
        ] {
            assert_eq!(number(text), value, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_cut_within_its_columns(text in "[a-z'=!&|: é\t]*") {
            let Ok(words) = Words::new(&text) else { return Ok(()) };
            let mut operators = words.clone();
            let mut named = words.clone();
            let _ = named.name();
            for word in words.chain(std::iter::from_fn(|| operators.next_with_operators())).chain(named) {
                prop_assert!(!word.raw.is_empty());
                let written: String = text.chars().skip(word.column - 1).take(word.raw.chars().count()).collect();
                prop_assert_eq!(&*written, word.raw);
            }
        }
    }
}
