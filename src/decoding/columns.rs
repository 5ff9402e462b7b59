//! A text cut at separators: columns, pairs.

use std::borrow::Cow;

use memchr::memmem::Finder;

use super::Inherited;
use super::textual::Encoding;
use crate::cursor::Cursor;
use crate::document::{Problems, Section};
use crate::notation::bytes;

/// Bytes of a separator at most.
const MOST_SEPARATOR: usize = 16;

/// Bytes that part others.
#[derive(Clone, Debug)]
pub(super) enum Separator {
    Byte(u8),
    Bytes(Box<Finder<'static>>),
}

impl Separator {
    /// Reads the member `name`, or takes what the decoder above says, or else the default.
    pub fn of(
        section: &Section<'_>,
        inherited: &Inherited<'_>,
        (name, own): (&str, Option<&str>),
        default: &str,
        problems: &mut Problems,
    ) -> Option<Self> {
        match own {
            Some(text) => Self::read(section, name, text, problems),
            // What is wrong above is said there.
            None => {
                let text = inherited.option(name).unwrap_or(default);
                Self::read(section, name, text, &mut Problems::new())
            }
        }
    }

    /// Reads the member `name` out of its text, in byte notation.
    fn read(
        section: &Section<'_>,
        name: &str,
        text: &str,
        problems: &mut Problems,
    ) -> Option<Self> {
        let read = match bytes(text) {
            Ok(read) => read,
            Err(error) => {
                problems.notation(section, name, error);
                return None;
            }
        };
        match read.as_slice() {
            [byte] => Some(Separator::Byte(*byte)),
            bytes if (1..=MOST_SEPARATOR).contains(&bytes.len()) => {
                let finder = Finder::new(bytes).into_owned();
                Some(Separator::Bytes(Box::new(finder)))
            }
            bytes => {
                let found = bytes.len();
                let message = format!("expected 1 to {MOST_SEPARATOR} bytes, found {found}");
                problems.member(section, name, message);
                None
            }
        }
    }

    /// The two sides of the first of its kind.
    pub fn split<'a>(&self, bytes: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let at = self.find(bytes)?;
        let (left, right) = bytes.split_at_checked(at)?;
        Some((left, right.get(self.bytes().len()..)?))
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Separator::Byte(byte) => std::slice::from_ref(byte),
            Separator::Bytes(finder) => finder.needle(),
        }
    }

    /// The byte that it is.
    fn byte(&self) -> Option<u8> {
        match self {
            Separator::Byte(byte) => Some(*byte),
            Separator::Bytes(_) => None,
        }
    }

    fn find(&self, bytes: &[u8]) -> Option<usize> {
        match self {
            Separator::Byte(byte) => find_near(*byte, bytes),
            Separator::Bytes(finder) => finder.find(bytes),
        }
    }
}

impl PartialEq for Separator {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

/// How a line is cut into columns.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    pub separator: Separator,
    /// A column that begins with it goes on to the next one; twice in a row it stands for itself.
    pub quote: Option<u8>,
    pub encoding: Encoding,
}

impl Line {
    /// The column at a place, which is then the beginning of the next; `None` at the end of the line.
    pub fn take<'a>(&self, cursor: &mut Cursor<'a>) -> Option<&'a [u8]> {
        let rest = cursor.clone().rest();
        if rest.is_empty() {
            return None;
        }
        let column = cursor.take(self.length(rest))?;
        // Behind the last column there is no separator, and the place is the end.
        let _ = cursor.skip(self.separator.bytes().len());
        Some(column)
    }

    /// Where a column of a line begins; negative ones are counted from the end.
    pub fn start(&self, line: &[u8], column: i64) -> Option<usize> {
        let distance = usize::try_from(column.unsigned_abs()).ok()?;
        if column >= 0 {
            return self.starts(line).nth(distance);
        }
        match self.separator.byte().filter(|_| self.quote.is_none()) {
            Some(byte) => start_from_end(line, byte, distance),
            None => {
                let before = self.starts(line).count().checked_sub(distance)?;
                self.starts(line).nth(before)
            }
        }
    }

    /// Whether the line ends with a separator: an empty column follows it.
    pub fn ends_empty(&self, line: &[u8]) -> bool {
        line.ends_with(self.separator.bytes())
    }

    /// What a column says, without its quotes.
    pub fn value<'a>(&self, column: &'a [u8]) -> Cow<'a, [u8]> {
        match self.quote {
            Some(quote) if column.first() == Some(&quote) => unquoted(column, quote),
            _ => Cow::Borrowed(column),
        }
    }

    /// Where the columns of a line begin.
    fn starts<'a>(&'a self, line: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        std::iter::successors(Some(0), |start: &usize| {
            let rest = line.get(*start..)?;
            let end = start.checked_add(self.length(rest))?;
            let behind = end.checked_add(self.separator.bytes().len())?;
            (behind <= line.len()).then_some(behind)
        })
    }

    /// Bytes of the column that `rest` begins with.
    fn length(&self, rest: &[u8]) -> usize {
        let quote = self.quote.filter(|quote| rest.first() == Some(quote));
        let quoted = quote.map_or(0, |quote| quoted_length(rest, quote));
        let behind = rest.get(quoted..).unwrap_or_default();
        match self.separator.find(behind) {
            Some(at) => quoted.saturating_add(at),
            None => rest.len(),
        }
    }
}

/// Bytes in which looking at each is faster than to begin with many at once: most columns are short.
const NEAR: usize = 12;

fn find_near(byte: u8, bytes: &[u8]) -> Option<usize> {
    let near = bytes.get(..NEAR).unwrap_or(bytes);
    near.iter().position(|one| *one == byte).or_else(|| {
        let far = memchr::memchr(byte, bytes.get(NEAR..)?)?;
        far.checked_add(NEAR)
    })
}

/// Where the column so many before the end begins.
fn start_from_end(line: &[u8], separator: u8, distance: usize) -> Option<usize> {
    let before = distance.checked_sub(1)?;
    let mut separators = memchr::memrchr_iter(separator, line);
    if let Some(last) = before.checked_sub(1) {
        separators.nth(last)?;
    }
    Some(separators.next().map_or(0, |at| at.saturating_add(1)))
}

/// Bytes up to and with the quote that closes the first one; all, where none does.
fn quoted_length(text: &[u8], quote: u8) -> usize {
    let mut from = 1usize;
    while let Some(at) = text
        .get(from..)
        .and_then(|rest| memchr::memchr(quote, rest))
    {
        let behind = from.saturating_add(at).saturating_add(1);
        if text.get(behind) != Some(&quote) {
            return behind;
        }
        from = behind.saturating_add(1);
    }
    text.len()
}

/// A column without the quotes around it; what follows the closing one stays.
fn unquoted(column: &[u8], quote: u8) -> Cow<'_, [u8]> {
    let (quoted, behind) = column
        .split_at_checked(quoted_length(column, quote))
        .unwrap_or((column, &[]));
    let inside = quoted.get(1..).unwrap_or_default();
    let inside = inside.strip_suffix(&[quote]).unwrap_or(inside);
    if behind.is_empty() && !inside.contains(&quote) {
        return Cow::Borrowed(inside);
    }
    let mut text = Vec::with_capacity(column.len());
    let mut bytes = inside.iter().peekable();
    while let Some(byte) = bytes.next() {
        text.push(*byte);
        if *byte == quote {
            bytes.next_if_eq(&&quote);
        }
    }
    text.extend_from_slice(behind);
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::arithmetic_side_effects, reason = "numbers of tests are small")]

    use proptest::prelude::*;

    use super::*;

    fn line(separator: &str, quote: Option<u8>) -> Line {
        let document = serde_json::json!({});
        let section = Section::root(&document);
        let separator = Separator::read(&section, "separator", separator, &mut Problems::new());
        Line {
            separator: separator.unwrap(),
            quote,
            encoding: Encoding::Utf8,
        }
    }

    fn columns(line: &Line, text: &[u8]) -> Vec<String> {
        let mut cursor = Cursor::new(text);
        std::iter::from_fn(|| line.take(&mut cursor))
            .map(|column| String::from_utf8_lossy(&line.value(column)).into_owned())
            .collect()
    }

    #[test]
    fn lines_are_cut_at_separators_outside_quotes() {
        let quote = Some(b'"');
        for (separator, quote, text, expected) in [
            (",", None, "a,,b", &["a", "", "b"][..]),
            (",", None, "", &[]),
            (",", None, ",", &[""]),
            (",", None, "a,b,", &["a", "b"]),
            ("::", None, "a::b:c:::d", &["a", "b:c", ":d"]),
            ("0x09", None, "a\tb", &["a", "b"]),
            (",", quote, "\"a,b\",c", &["a,b", "c"]),
            (",", quote, "\"a\"\"b\",\"\"", &["a\"b", ""]),
            (",", quote, "\"a\"x,b\"c,d", &["ax", "b\"c", "d"]),
            (",", quote, "\"a,b", &["a,b"]),
            (",", quote, "\"", &[""]),
        ] {
            assert_eq!(
                columns(&line(separator, quote), text.as_bytes()),
                expected,
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn columns_are_where_they_are_counted(
            text in "[a,;\"]{0,24}", separator in prop_oneof![Just(","), Just(";;")], quoted: bool
        ) {
            let line = line(separator, quoted.then_some(b'"'));
            let text = text.as_bytes();
            let starts: Vec<usize> = line.starts(text).collect();
            for (at, start) in starts.iter().enumerate() {
                let at = i64::try_from(at).unwrap();
                let count = i64::try_from(starts.len()).unwrap();
                prop_assert_eq!(line.start(text, at), Some(*start));
                prop_assert_eq!(line.start(text, at - count), Some(*start));
                prop_assert_eq!((line.start(text, count), line.start(text, -count - 1)), (None, None));
            }
            let mut cursor = Cursor::new(text);
            for start in &starts {
                prop_assert_eq!(cursor.position(), *start);
                let taken = line.take(&mut cursor);
                prop_assert_eq!(taken.is_none(), *start == text.len());
            }
            prop_assert_eq!(line.take(&mut cursor), None);
            if !quoted {
                let text = String::from_utf8_lossy(text);
                let split: Vec<&str> = text.split(separator).collect();
                let own: Vec<_> = starts.iter().filter_map(|start| text.get(*start..)).collect();
                prop_assert_eq!(own.len(), split.len());
                prop_assert!(own.iter().zip(split).all(|(own, split)| own.starts_with(split)));
            }
        }

        #[test]
        fn what_is_quoted_comes_back(values in prop::collection::vec("[a,\" ]{1,6}", 1..5)) {
            let quoted = values.iter().map(|value| format!("\"{}\"", value.replace('"', "\"\"")));
            let text = quoted.collect::<Vec<_>>().join(",");
            prop_assert_eq!(columns(&line(",", Some(b'"')), text.as_bytes()), values);
        }
    }
}
