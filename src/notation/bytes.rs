//! Bytes as text: `\r\n`, `0x 7878 05`, `text:0x…`.

use super::NotationError;

const TEXT: &str = "text:";

/// Reads the byte notation: text as it stands, hex behind `0x` (spaces allowed), or text behind `text:`.
pub fn bytes(text: &str) -> Result<Vec<u8>, NotationError> {
    if let Some(plain) = text.strip_prefix(TEXT) {
        return Ok(plain.as_bytes().to_vec());
    }
    match hex_digits(text) {
        Some(digits) => hex(digits).map_err(|error| error.inside(3)),
        None => Ok(text.as_bytes().to_vec()),
    }
}

/// Writes bytes in the notation that reads back to them: text where a reader can see every character, else hex.
pub fn write_bytes(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.chars().all(visible) => {
            let prefix = if text.starts_with(TEXT) || hex_digits(text).is_some() {
                TEXT
            } else {
                ""
            };
            format!("{prefix}{text}")
        }
        _ => bytes
            .iter()
            .fold(String::from("0x"), |hex, byte| format!("{hex}{byte:02x}")),
    }
}

/// What follows the `0x` of hex notation.
fn hex_digits(text: &str) -> Option<&str> {
    text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))
}

fn visible(character: char) -> bool {
    matches!(character, '\r' | '\n' | '\t') || !character.is_control()
}

/// Reads pairs of hex digits with spaces anywhere.
fn hex(text: &str) -> Result<Vec<u8>, NotationError> {
    let mut bytes = Vec::with_capacity(text.len() / 2);
    let mut high = None;
    for (index, character) in text.chars().enumerate() {
        if character.is_whitespace() {
            continue;
        }
        let digit = character
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok());
        let Some(digit) = digit else {
            let message = format!(
                "`{character}` is no hex digit; text that begins with 0x is written `text:0x…`"
            );
            return Err(NotationError::new(index.saturating_add(1), message));
        };
        match high.take() {
            None => high = Some(digit),
            Some(high) => bytes.push((high << 4) | digit),
        }
    }
    match high {
        None => Ok(bytes),
        Some(_) => Err(NotationError::new(
            text.chars().count(),
            "a hex digit is missing: bytes are two digits each",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_hex_and_marked_text() {
        for (notation, expected) in [
            ("", &b""[..]),
            ("\r\n", b"\r\n"),
            ("0x 7878 05", b"\x78\x78\x05"),
            ("0x", b""),
            ("0xAbcD", b"\xab\xcd"),
            ("text:0x41", b"0x41"),
            ("text:text:a", b"text:a"),
            ("{a}", b"{a}"),
            ("\u{e9}", "\u{e9}".as_bytes()),
        ] {
            assert_eq!(bytes(notation).unwrap(), expected, "{notation:?}");
        }
    }

    #[test]
    fn mistakes_have_their_column() {
        for (notation, column) in [("0x7g", 4), ("0x 78 7", 7), ("0x 7 é8", 6)] {
            assert_eq!(bytes(notation).unwrap_err().column, column, "{notation:?}");
        }
    }

    #[test]
    fn writes_text_where_it_can_be_seen() {
        for (raw, expected) in [
            (&b"\r\n"[..], "\r\n"),
            (b"0x41", "text:0x41"),
            (b"text:", "text:text:"),
            (b"\x0b\x1c", "0x0b1c"),
            (b"\xff", "0xff"),
            (b"", ""),
        ] {
            assert_eq!(write_bytes(raw), expected, "{raw:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(raw: Vec<u8>) {
            prop_assert_eq!(bytes(&write_bytes(&raw)).unwrap(), raw);
        }

        #[test]
        fn any_text_written_reads_back(text in "(0x|0X|text:)?\\PC*") {
            prop_assert_eq!(bytes(&write_bytes(text.as_bytes())).unwrap(), text.as_bytes());
        }

        #[test]
        fn any_notation_is_read_or_refused_within_itself(text in "(0x)?[0-9a-g é]*") {
            if let Err(error) = bytes(&text) {
                prop_assert!((1..=text.chars().count()).contains(&error.column));
            }
        }
    }
}
