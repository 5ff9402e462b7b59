//! Patterns on bytes.

use regex::Error;
use regex::bytes::{Regex, RegexBuilder};

/// Compiles a pattern on the bytes of a device. It may match anywhere, and `.` is every byte.
///
/// `most_bytes` bounds what it compiles to, and what a search in it keeps.
///
/// # Errors
/// Why it is none, without repeating it.
pub fn pattern(text: &str, most_bytes: usize) -> Result<Regex, String> {
    // Without Unicode a class matches single bytes, which is what device protocols mean; a pattern
    // that itself holds letters beyond ASCII needs it for them.
    let pattern = RegexBuilder::new(text)
        .unicode(!text.is_ascii())
        .dot_matches_new_line(true)
        .size_limit(most_bytes)
        .dfa_size_limit(most_bytes)
        .build();
    pattern.map_err(|error| match error {
        Error::CompiledTooBig(_) => "the pattern is too large when compiled".to_owned(),
        error => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            format!("not a pattern: {}", last.trim_start_matches("error: "))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::pattern;

    #[test]
    fn bytes_are_matched_as_devices_mean_them() {
        let rows: [(&str, &[u8], bool); 6] = [
            ("^A.B$", b"A\nB", true),
            ("^.$", &[0xff], true),
            (r"^\w$", "é".as_bytes(), false),
            ("°C", "21 °C".as_bytes(), true),
            (r"(?-u)^\xff\x00", &[0xff, 0, 1], true),
            ("B", b"ABC", true),
        ];
        for (text, bytes, fits) in rows {
            let pattern = pattern(text, 1 << 20).unwrap();
            assert_eq!(pattern.is_match(bytes), fits, "{text}");
        }
    }

    #[test]
    fn what_is_none_is_said_in_a_line() {
        for (text, most, why) in [
            ("(", 1 << 20, "not a pattern: unclosed group"),
            (r"\w{500}", 1000, "the pattern is too large when compiled"),
        ] {
            assert_eq!(pattern(text, most).unwrap_err(), why);
        }
    }
}
