//! The words of holes, as they are explained.

/// What can stand in a hole.
#[rustfmt::skip]
pub const HOLES: [(&str, &str); 13] = [
    ("a field", "as it was decoded; `{id -6..}` is a part of a text. A field that is called like a word of this table is quoted: `{'count': u8}`"),
    ("`device`", "the device's name"),
    ("`raw A..B`", "bytes of the frame answered"),
    ("`0x1c0d`", "bytes inside text"),
    ("`length A..B`", "how many of the reply's own bytes that is. An open end is the place of the hole: in front of what it counts the end is said, `{length 4..-2: u16}`, and `{length 0..-1 + 1: u16}` counts all"),
    ("`NAME over A..B`", "a [checksum](#checksum) of the reply's own bytes; it may stand before what it covers, and cover lengths and other checksums. `nmea` and, for all bytes before the hole, the names of the first column and those with `-` or `/` also go without `over`; `modbus`, `bcc` and other plain words need it, because fields may be called so. It is cut to its TYPE"),
    ("`checksum over A..B`", "with the algorithm of the protocol's first checksum"),
    ("`count NAME`", "a number of the connection: 0 in the first reply that says it, one more in each further one. It starts anew at the end of its TYPE"),
    ("`last NAME`", "what a field said in the last frame of the connection that had it; `{last seq else 0}` says what is taken before there was one"),
    ("`answered NAME`", "the same of the last frame with it whose reply has left: what it confirmed, a device has been told. `{last NAME}` also shows frames whose reply still waits for its promise"),
    ("`arg NAME`", "of a command: what an argument says"),
    ("`script NAME`", "what a function of the [script](#script) says"),
    ("`now`", "the moment at which the frame was answered, in UTC"),
];

/// What can be done with it.
#[rustfmt::skip]
pub const STEPS: [(&str, &str); 4] = [
    ("`+ N`, `- N`, `* N`, `& N`", "whole numbers"),
    ("`unix`, `unixms`", "of a time: seconds or milliseconds since 1970"),
    ("`time FORMAT`", "of a time: as text, `time '%Y%m%d %H:%M'`"),
    ("`zone +08:00`", "the zone in which `time`, `ymdhms` and `bcdtime` are written"),
];

/// How it is written.
#[rustfmt::skip]
pub const TYPES: [(&str, &str); 7] = [
    ("none", "text and numbers as they are, bytes as they are, `now` as RFC 3339; a checksum as wide as it is"),
    ("`u8` … `u64`, `i8` … `i64`, `f32`, `f64`", "big-endian, or with `le` little-endian: `u16le`"),
    ("`decimal N`, `hexadecimal N`", "N digits, zeros in front, capitals"),
    ("`bcd N`", "N bytes of two digits, also of a text of digits"),
    ("`hex`", "the bytes of a text or of `raw` as hex digits, small letters"),
    ("`ascii N`, `utf8 N`", "a text in N bytes, zero bytes behind it"),
    ("`ymdhms`, `bcdtime`", "a time in six bytes, binary or BCD"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_and_type_is_explained() {
        let explained = |rows: &[(&str, &str)], word: &str| {
            let mut words = rows.iter().flat_map(|(words, _)| words.split('`'));
            words.any(|known| known.split(' ').next() == Some(word))
        };
        for word in super::super::steps::STEPS {
            // The part of a text stands with the field.
            assert!(explained(&STEPS, word) || word == "A..B", "{word}");
        }
        for word in super::super::forms::FORMS {
            let bits = word.trim_start_matches(['u', 'i', 'f']);
            let many = bits.parse::<u8>().is_ok();
            assert!(many || explained(&TYPES, word), "{word}");
        }
    }
}
