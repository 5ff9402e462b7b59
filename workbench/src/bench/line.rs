//! The lines of the load, and what the sink finds of them in the messages that they became.

use std::io::Write as _;

use memchr::memmem;
use rustix::time::{ClockId, clock_gettime};

/// Every line's length, its end included.
pub const BYTES: usize = 200;
const NUMBER: &[u8] = b"\"seq\":";
const SENT: &[u8] = b"\"at\":";
const END: &[u8] = b"\"}\n";

/// What the sink must know of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Its number in the whole load.
    pub number: u64,
    /// When it was written, by [`monotonic`].
    pub sent: u64,
}

/// Nanoseconds of the machine's own clock, the same in every process.
pub fn monotonic() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
    let nanos = u64::try_from(now.tv_nsec).unwrap_or_default();
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

/// Appends one line.
pub fn push(buffer: &mut Vec<u8>, device: u32, mark: Mark) {
    let end = buffer.len() + BYTES - END.len();
    let Mark { number, sent } = mark;
    let (hundredths, pressure) = (number % 100, 900 + number % 200);
    // Writing to a vector does not fail.
    drop(write!(
        buffer,
        "{{\"id\":\"device-{device:03}\",\"seq\":{number},\"at\":{sent},\"temperature\":21.{hundredths:02},\
         \"pressure\":{pressure},\"running\":true,\"text\":\""
    ));
    buffer.resize(end, b'x');
    buffer.extend_from_slice(END);
}

/// The marks of all lines that are in a message, however many it carries.
pub fn marks(message: &[u8]) -> impl Iterator<Item = Mark> + '_ {
    memmem::find_iter(message, NUMBER).filter_map(|at| {
        let rest = message.get(at + NUMBER.len()..)?;
        let number = digits(rest);
        let at = memmem::find(rest, SENT)? + SENT.len();
        let sent = digits(rest.get(at..)?);
        Some(Mark { number, sent })
    })
}

fn digits(text: &[u8]) -> u64 {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |value: u64, digit| {
        let digit = u64::from(digit - b'0');
        value.saturating_mul(10).saturating_add(digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_their_length_and_their_marks_are_found_again() {
        let marks_in = [(0, 7), (999_999_999, 123_456_789_012_345)];
        let mut text = Vec::new();
        for (count, (number, sent)) in (1..).zip(marks_in) {
            push(&mut text, 99, Mark { number, sent });
            assert_eq!(text.len(), count * BYTES);
        }
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let value: serde_json::Value = serde_json::from_slice(line).expect("JSON");
            assert_eq!(value["id"], "device-099");
        }
        let found = marks(&text).map(|mark| (mark.number, mark.sent));
        assert_eq!(found.collect::<Vec<_>>(), marks_in);
    }
}
