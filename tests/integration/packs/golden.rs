//! `golden.json` of a protocol: streams, and what has to come of them.

use edge_tcp_gateway::notation;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A golden file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// Ranges of every frame that no checksum covers, such as `0..2`; a frame may say otherwise.
    #[serde(default)]
    pub unchecked: Vec<String>,
    /// Ranges that hold a check value in hexadecimal digits, whose case means nothing.
    #[serde(default)]
    pub hexadecimal: Vec<String>,
    /// Why a change outside of the checksum can make more frames of a stream; left out where it
    /// cannot.
    pub weak: Option<String>,
    /// The settings' `devices`, where devices have secrets.
    #[serde(default)]
    pub devices: Map<String, Value>,
    pub streams: Vec<Stream>,
}

/// What one device says on one connection.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stream {
    pub name: String,
    pub source: Source,
    /// In the notation of bytes; one after the other they are the stream.
    pub bytes: Vec<String>,
    pub frames: Vec<Frame>,
    /// Bytes that the framing skips in front of a stream.
    pub noise: Option<String>,
    /// It cannot be played a second time on the same connection: its replies count, or it ends it.
    #[serde(default)]
    pub once: bool,
    /// Bytes in the stream that belong to no frame.
    #[serde(default)]
    pub skipped: usize,
    /// What is wrong with the stream and not with a frame of it.
    #[serde(default)]
    pub troubles: Vec<String>,
    /// Why the gateway closes the connection before the device does.
    pub closed: Option<String>,
}

/// Where a stream is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Source {
    #[serde(rename = "capture")]
    Capture,
    #[serde(rename = "test vector")]
    TestVector,
    #[serde(rename = "specification")]
    Specification,
}

/// A frame, and all that follows from it.
#[derive(Clone, Debug, PartialEq, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Frame {
    /// As the framing hands it on, in the notation of bytes.
    pub frame: String,
    /// The device that it is from, where that is not the peer's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// What its message says, or what its reading would if nothing is published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<Map<String, Value>>,
    /// Where it makes several messages: each, instead of `time` and `values`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<Part>,
    /// The output that its layout names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published: Option<bool>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undecoded: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bad_checksum: bool,
    /// Whatever else is counted as trouble.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub troubles: Vec<String>,
    /// In the notation of bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply: Option<String>,
    /// Ranges of it that no checksum covers.
    #[serde(skip_serializing)]
    pub unchecked: Option<Vec<String>>,
}

/// One of several messages of a frame.
#[derive(Clone, Debug, PartialEq, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    pub values: Map<String, Value>,
}

impl Golden {
    /// Reads the file's text, all bytes brought into one form.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut golden: Golden = serde_json::from_str(text).map_err(|error| error.to_string())?;
        for stream in &mut golden.streams {
            for frame in &mut stream.frames {
                frame.frame = shown(&bytes(&frame.frame)?);
                if let Some(reply) = &mut frame.reply {
                    *reply = shown(&bytes(reply)?);
                }
                frame.unchecked.get_or_insert(golden.unchecked.clone());
            }
        }
        Ok(golden)
    }
}

impl Stream {
    pub fn content(&self) -> Vec<u8> {
        let pieces = self.bytes.iter();
        pieces
            .flat_map(|piece| bytes(piece).expect("bytes"))
            .collect()
    }
}

impl Frame {
    pub fn bytes(&self) -> Vec<u8> {
        bytes(&self.frame).expect("bytes")
    }

    /// Whether a checksum covers that byte.
    pub fn is_checked(&self, at: usize) -> bool {
        let unchecked = self.unchecked.as_deref().unwrap_or_default();
        !covers(unchecked, at, self.bytes().len())
    }
}

/// Whether one of the ranges has that byte of a frame.
pub fn covers(ranges: &[String], at: usize, length: usize) -> bool {
    let offset = |text: &str, open: usize| match text.parse::<isize>() {
        Ok(offset) if offset < 0 => length.saturating_sub(offset.unsigned_abs()),
        Ok(offset) => offset.unsigned_abs(),
        Err(_) => open,
    };
    ranges.iter().any(|range| {
        let (from, to) = range.split_once("..").expect("a range");
        (offset(from, 0)..offset(to, length)).contains(&at)
    })
}

pub fn bytes(text: &str) -> Result<Vec<u8>, String> {
    notation::bytes(text).map_err(|error| format!("{text:?}: {error}"))
}

/// Bytes in the notation of bytes: text where all of it can be read.
pub fn shown(bytes: &[u8]) -> String {
    let readable = |byte: &u8| matches!(byte, b'\t' | b'\r' | b'\n' | b' '..=b'~');
    match std::str::from_utf8(bytes) {
        Ok(text) if bytes.iter().all(readable) && !text.starts_with("0x") => text.to_owned(),
        _ => bytes
            .iter()
            .fold("0x".to_owned(), |hex, byte| format!("{hex}{byte:02x}")),
    }
}
