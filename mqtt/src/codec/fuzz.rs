//! What a stranger's bytes could break.

use bytes::BytesMut;

use super::{decode, encode};

const MAX: usize = 4096;

/// Reads any bytes as packets, and checks what decoding promises: nothing is read before it is
/// whole or beyond the maximum, and what was read can be written and read again.
///
/// # Panics
/// When a promise is broken.
pub fn fuzz(data: &[u8]) {
    let mut rest = data;
    while let Ok(Some((packet, used))) = decode(rest, MAX) {
        assert!(used > 0 && used <= MAX, "{used} bytes of a packet");
        for shorter in [used / 2, used.saturating_sub(1)] {
            let part = rest.get(..shorter).unwrap_or_default();
            let read = decode(part, MAX);
            assert!(matches!(read, Ok(None)), "{read:?} of {shorter} bytes");
        }
        let mut again = BytesMut::new();
        let written = encode(&packet, &mut again);
        assert!(written.is_ok(), "{packet:?} cannot be written: {written:?}");
        let whole = Ok(Some((packet, again.len())));
        assert_eq!(decode(&again, MAX), whole, "written and read again");
        rest = rest.get(used..).unwrap_or_default();
    }
}
