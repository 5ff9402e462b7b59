//! What devices answer that are called: `simulate.json` of a pack.

use bytes::Bytes;
use edge_tcp_gateway::message::{Fields, Frame};
use edge_tcp_gateway::notation;
use edge_tcp_gateway::pipeline::{Pipeline, Received};
use edge_tcp_gateway::template::{Context, Memory, Template};
use jiff::Timestamp;
use regex::bytes::Regex;
use serde::Deserialize;

use super::rename::{Place, rename};
use super::stage::Stage;

/// Memory that a compiled pattern may take.
const MOST_PATTERN_BYTES: usize = 1 << 20;

/// One request and its answer, as `simulate.json` has them in a list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// A pattern on the request as the framing hands it on, or `0x…`: the bytes it begins with.
    when: String,
    /// The answer, a template as in `replies`: fields and `raw A..B` are those of the request.
    send: String,
}

/// What a pack's devices answer.
#[derive(Debug)]
pub struct Answers(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    when: When,
    send: Template,
}

#[derive(Debug)]
enum When {
    Begins(Vec<u8>),
    Fits(Regex),
}

/// A device that is called, as one connection of it knows it.
#[derive(Debug)]
pub struct Called {
    pipeline: Pipeline,
    memory: Memory,
    /// The number of the device, from 0.
    number: u64,
    name: String,
}

impl Answers {
    /// Reads the list.
    ///
    /// # Errors
    /// The first mistake in it.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let written: Vec<Written> = serde_json::from_str(text)?;
        let rules = written.iter().map(|rule| {
            let wrong = |what: &str, error| anyhow::anyhow!("{what} {:?}: {error}", rule.when);
            let when = match rule.when.starts_with("0x") {
                true => notation::bytes(&rule.when)
                    .map(When::Begins)
                    .map_err(|error| wrong("\"when\"", error.to_string()))?,
                false => notation::pattern(&rule.when, MOST_PATTERN_BYTES)
                    .map(When::Fits)
                    .map_err(|error| wrong("\"when\"", error))?,
            };
            let send = Template::parse(&rule.send);
            let send = send.map_err(|error| wrong("\"send\" of", error.to_string()))?;
            Ok(Rule { when, send })
        });
        rules.collect::<anyhow::Result<_>>().map(Answers)
    }

    /// What a device answers to a request; `None` to one that it does not know.
    ///
    /// # Errors
    /// When the answer cannot be made of the request, or is not what the pack takes.
    pub fn answer(
        &self,
        stage: &Stage,
        called: &mut Called,
        (request, now): (&[u8], Timestamp),
    ) -> anyhow::Result<Option<Vec<u8>>> {
        let fits = |rule: &&Rule| match &rule.when {
            When::Begins(bytes) => request.starts_with(bytes),
            When::Fits(pattern) => pattern.is_match(request),
        };
        let Some(rule) = self.0.iter().find(fits) else {
            return Ok(None);
        };
        let reading = stage.protocol.decoder.decode(Frame {
            bytes: request,
            body: 0.into(),
        });
        let checksum = stage.protocol.checksums.first();
        let wire = rule.send.render(&Context {
            fields: &reading.fields,
            frame: request,
            device: Some(&called.name),
            arguments: &Fields::new(),
            now: Some(now),
            memory: &called.memory,
            checksum: checksum.map(|checksum| checksum.algorithm()),
            caller: None,
            confidential: false,
        })?;
        called.memory.advance(rule.send.counter_names());
        own(stage, &wire, called.number).map(Some)
    }
}

/// The answer with the identity of the device of that number, read as the gateway reads it.
fn own(stage: &Stage, wire: &[u8], number: u64) -> anyhow::Result<Vec<u8>> {
    let rehearsed = stage.rehearse([wire]);
    let mut own = Vec::new();
    for heard in &rehearsed.heard {
        let place = Place::find(stage, heard);
        let renamed = place.and_then(|place| {
            let text = place.text_of(number)?;
            rename(stage, heard, &place, &text)
        });
        own.extend_from_slice(&renamed.unwrap_or_else(|| heard.wire.to_vec()));
    }
    let good = |one: &Received| super::faults::is_good(one);
    if own.len() != wire.len() || !stage.received(&own).iter().all(good) {
        anyhow::bail!("an answer is not framed as its pack says");
    }
    Ok(own)
}

impl Called {
    /// A new connection of a device.
    pub fn new(stage: &Stage, pack: &str, number: u64) -> Self {
        Called {
            pipeline: stage.pipeline(),
            memory: Memory::default(),
            number,
            name: format!("{pack}-{}", number + 1),
        }
    }

    /// The requests that bytes complete.
    pub fn requests(&mut self, stage: &Stage, bytes: &[u8]) -> Vec<Bytes> {
        self.pipeline.push(bytes);
        let received = stage.all(&mut self.pipeline).into_iter();
        let requests = received.filter_map(|received| match received {
            Received::Frame { bytes, .. } => Some(bytes),
            _ => None,
        });
        requests.collect()
    }
}
