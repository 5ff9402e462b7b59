//! The best framings, run by the product, with the checksum of their frames.

use std::collections::HashSet;
use std::sync::Arc;

use edge_tcp_gateway::checksum::Algorithm;
use edge_tcp_gateway::conversation::Protocol;
use serde_json::{Value, json};

use super::Patience;
use super::capture::Stretch;
use super::checks;
use super::evidence::{self, Background, Cuts};
use super::rule::shown;
use super::search::{self, Candidate, notation};
use super::switch;
use super::trial::{self, Cutting, Span, Trial};

/// Proposals that are shown.
const MOST_PROPOSALS: usize = 3;
/// Framings that are run on the whole capture.
const MOST_RUN: usize = 6;
/// What a framing must explain to be proposed.
pub const ENOUGH: f64 = 0.4;
/// Bits that an end which is the only control character of a text is worth.
const LINES: f64 = 24.0;
/// What a checksum can weigh: more than all else.
const MOST_FOR_CHECKSUM: f64 = 400.0;
/// Bytes of a start marker at most.
const MOST_START: usize = 4;
/// Other framings with the same frames that are named.
const MOST_ALSO: usize = 3;

/// A framing, perhaps with a checksum, and what speaks for it.
#[derive(Debug)]
pub struct Proposal {
    /// The protocol in the notation of the settings.
    pub document: Value,
    /// The same as the module reads it.
    pub protocol: Arc<Protocol>,
    /// What it makes of the capture.
    pub trial: Trial,
    /// Whether the frames are the same in the pieces in which they were captured.
    pub same_in_pieces: bool,
    /// Agreement with these pieces.
    pub cuts: Cuts,
    /// The checksum of the frames.
    pub checksum: Option<checks::Found>,
    /// Rules with the same frames, in words.
    pub also: Vec<String>,
    /// From 0 to 1: what it explains of the capture.
    pub score: f64,
    net: f64,
    cost: f64,
}

/// What was found in a group.
#[derive(Debug, Default)]
pub struct Finding {
    /// The best ones, best first; none explains less than [`ENOUGH`].
    pub proposals: Vec<Proposal>,
    /// What the best rule explains, proposed or not.
    pub best: f64,
}

/// Looks for the framing of these stretches.
pub fn find(stretches: &[Stretch], patience: &Patience) -> Finding {
    let background = Background::of(stretches);
    let sample = search::sample(stretches);
    let mut candidates = search::delimiters(&sample);
    candidates.extend(search::stuffed());
    candidates.extend(search::rules(&sample, &background, patience));
    candidates.extend(switch::switches(&sample, &background, patience));
    let tried = candidates.into_iter();
    let tried = tried.filter_map(|candidate| Proposal::new(candidate, &sample, &background));
    let mut proposals: Vec<Proposal> = different(tried.collect())
        .into_iter()
        .take(MOST_RUN)
        .map(|proposal| proposal.on(stretches, &background))
        .collect();
    let algorithms = checks::algorithms();

    for proposal in &mut proposals {
        proposal.refine(stretches);
        if proposal.trial.share() > ENOUGH {
            proposal.look_for_checksum(stretches, algorithms, patience);
        }
    }
    let mut proposals = different(proposals);
    let scores = proposals.iter().map(|proposal| proposal.score);
    let best = scores.fold(0.0, f64::max);
    let leading = proposals.first().map_or(0.0, Proposal::worth);
    proposals.retain(|proposal| proposal.score >= ENOUGH && proposal.worth() > leading / 2.0);
    proposals.truncate(MOST_PROPOSALS);
    Finding { proposals, best }
}

/// The best first, of those with the same frames only the one that says it best.
fn different(mut proposals: Vec<Proposal>) -> Vec<Proposal> {
    proposals.sort_by(|one, other| other.worth().total_cmp(&one.worth()));
    let mut different: Vec<Proposal> = Vec::new();
    for mut proposal in proposals {
        let same = |known: &&mut Proposal| known.trial.spans == proposal.trial.spans;
        let Some(known) = different.iter_mut().find(same) else {
            different.push(proposal);
            continue;
        };
        if proposal.rank() < known.rank() {
            std::mem::swap(known, &mut proposal);
            known.weigh(proposal.net.max(known.net));
        }
        let words = proposal.document["framing"].to_string();
        if known.also.len() < MOST_ALSO && !known.also.contains(&words) {
            known.also.push(words);
        }
    }
    different
}

impl Proposal {
    /// `None` if the module does not know the framing, or finds no two frames by it.
    fn new(candidate: Candidate, stretches: &[Stretch], background: &Background) -> Option<Self> {
        let document = json!({ "framing": candidate.framing });
        let protocol = trial::protocol(&document)?;
        let bits = evidence::sequence(stretches, &candidate.end, background);
        let ends = ends_of(&candidate.framing);
        let mut proposal = Proposal {
            document,
            protocol,
            trial: Trial::default(),
            same_in_pieces: false,
            cuts: Cuts::default(),
            checksum: None,
            also: candidate.also,
            score: 0.0,
            net: 0.0,
            cost: candidate.cost - bits,
        };
        let controls = ends.iter().flatten().all(u8::is_ascii_control);
        if controls && !ends.is_empty() && proposal.is_lines(stretches) {
            proposal.cost -= LINES;
        }
        proposal = proposal.on(stretches, background);
        (proposal.trial.spans.len() > 1).then_some(proposal)
    }

    fn is_lines(&self, stretches: &[Stretch]) -> bool {
        let trial = trial::run(&self.protocol, stretches, Cutting::Whole);
        let bytes = trial.frames.iter().flat_map(|frame| frame.iter().copied());
        evidence::is_text(bytes)
    }

    /// Runs it on these stretches and weighs what comes of it.
    fn on(mut self, stretches: &[Stretch], background: &Background) -> Self {
        self.trial = trial::run(&self.protocol, stretches, Cutting::Whole);
        let pieces = trial::run(&self.protocol, stretches, Cutting::AsCaptured);
        self.same_in_pieces = pieces.is_like(&self.trial);
        let ends = ends_of(&self.document["framing"]);
        let Trial { spans, total, .. } = &self.trial;
        self.cuts = evidence::cuts(stretches, spans);
        let columns = evidence::columns(stretches, spans, &ends, (background, evidence::LONG));
        let cuts = evidence::cuts_saved(self.cuts, (spans.len(), *total), columns);
        let saved = (columns + cuts) * self.trial.share();
        self.weigh(saved * evidence::whole(stretches, spans) - self.cost);
        self
    }

    fn weigh(&mut self, net: f64) {
        self.net = net;
        let certain = 1.0 - (-net.max(0.0) / 8.0).exp2();
        self.score = self.trial.share() * certain;
    }

    /// What it explains; bytes that it leaves over weigh more than what it saves on others.
    fn worth(&self) -> f64 {
        self.net * self.trial.share().powi(4)
    }

    /// Of framings with the same frames the smallest says it best: an end in texts, a length
    /// that varies in what is binary, where an end may turn up inside.
    fn rank(&self) -> (usize, f64) {
        let mut lengths = self.trial.spans.iter().map(|span| span.to - span.from);
        let first = lengths.next();
        let varies = lengths.any(|length| Some(length) != first);
        let wide = self.cost < 13.0;
        let kind = match self.document["framing"]["type"].as_str() {
            Some("delimiter") if self.is_text() => 0,
            Some("length") if varies || wide => 1,
            Some("delimiter") => 2,
            Some("fixed") => 3,
            Some("length") => 4,
            Some("switch") => 5,
            _ => 0,
        };
        (kind, self.cost)
    }

    /// The frames as they stand in the capture.
    pub fn raw<'s>(&self, stretches: &'s [Stretch]) -> Vec<&'s [u8]> {
        let span = |span: &Span| stretches.get(span.stretch)?.bytes.get(span.from..span.to);
        self.trial.spans.iter().filter_map(span).collect()
    }

    /// Names the bytes with which all frames begin and end, which finds the next frame after garbage.
    fn refine(&mut self, stretches: &[Stretch]) {
        let raw = self.raw(stretches);
        let common = |at_end| evidence::common(&raw, MOST_START, at_end);
        let (start, end) = (common(false), common(true));
        let kind = self.document["framing"]["type"].clone();
        match kind.as_str() {
            Some("delimiter") => {
                let mark = start.first().copied().filter(|first| is_mark(*first));
                let same = start.iter().take_while(|byte| Some(**byte) == mark).count();
                let start = start.get(..same).unwrap_or_default();
                // The start is taken off, and what it opens would be left without it.
                if !self.closes(mark) {
                    self.adopt("start", start, stretches);
                }
            }
            Some("length") => {
                let header = self.field_at().min(MOST_START);
                let known = start.get(..header).unwrap_or(&start);
                let whole = known.len() == header;
                if known.iter().any(|byte| *byte != 0) && (whole || self.is_start(known, &raw)) {
                    self.adopt("start", known, stretches);
                }
                const ENDS: [&[u8]; 6] = [b"\r\n", b"\r", b"\n", b"\x03", b"\x16", b"\x7e"];
                if let Some(end) = ENDS.iter().find(|known| end.ends_with(known)) {
                    self.adopt("end", end, stretches);
                }
            }
            Some("fixed") if start.first().is_some_and(|first| is_mark(*first)) => {
                self.adopt("start", start.get(..1).unwrap_or_default(), stretches);
            }
            _ => {}
        }
    }

    /// Whether frames hold the bracket that closes this one.
    fn closes(&self, bracket: Option<u8>) -> bool {
        let close = match bracket {
            Some(b'{') => b'}',
            Some(b'[') => b']',
            Some(b'(') => b')',
            Some(b'<') => b'>',
            _ => return false,
        };
        let mut frames = self.trial.frames.iter();
        frames.any(|frame| memchr::memchr(close, frame).is_some())
    }

    /// Whether bytes that are the same in all frames, and end before the length field, are a start
    /// marker. The upper bytes of a number, a time or a counter, are alike too: behind a marker
    /// stands nothing that differs much.
    fn is_start(&self, known: &[u8], raw: &[&[u8]]) -> bool {
        let marks = |byte: &u8| is_mark(*byte) || !byte.is_ascii();
        let few = |at: usize| {
            let values: HashSet<Option<&u8>> = raw.iter().map(|frame| frame.get(at)).collect();
            values.len() * 4 <= raw.len()
        };
        known.len() > 1
            && known.first().is_some_and(marks)
            && (known.len()..self.field_at()).all(few)
    }

    fn field_at(&self) -> usize {
        let length = self.document["framing"]["length"].as_str();
        let at = length.and_then(|length| length.rsplit_once(" at "));
        at.and_then(|(_, at)| at.parse().ok()).unwrap_or_default()
    }

    /// Takes a member into the framing, if the frames stay what they are.
    fn adopt(&mut self, member: &str, bytes: &[u8], stretches: &[Stretch]) {
        if bytes.is_empty() || self.trial.spans.len() < 3 {
            return;
        }
        let mut document = self.document.clone();
        document["framing"][member] = notation(bytes);
        if let Some(protocol) = trial::protocol(&document) {
            let trial = trial::run(&protocol, stretches, Cutting::Whole);
            if trial.spans == self.trial.spans {
                (self.document, self.protocol, self.trial) = (document, protocol, trial);
            }
        }
    }

    fn look_for_checksum(
        &mut self,
        stretches: &[Stretch],
        algorithms: &[Algorithm],
        patience: &Patience,
    ) {
        let Some(found) = checks::find(&self.trial.frames, algorithms, patience) else {
            return;
        };
        let mut document = self.document.clone();
        document["checksum"] = json!(found.notation);
        if let Some(protocol) = trial::protocol(&document) {
            let bits = found.bits.min(MOST_FOR_CHECKSUM);
            let net = self.net + bits * evidence::whole(stretches, &self.trial.spans);
            (self.document, self.protocol) = (document, protocol);
            self.checksum = Some(found);
            self.weigh(net);
        }
    }

    /// What speaks for it, a line each.
    pub fn evidence(&self, stretches: &[Stretch]) -> Vec<String> {
        let Trial {
            spans,
            covered,
            total,
            broken,
            why,
            ..
        } = &self.trial;
        let frames = spans.len();
        let raw = self.raw(stretches);
        let (least, most) = raw.iter().fold((usize::MAX, 0), |(least, most), frame| {
            (least.min(frame.len()), most.max(frame.len()))
        });
        let mut lines = vec![format!(
            "{covered} of {total} bytes are in {frames} frames of {least} to {most} bytes"
        )];
        lines.extend(self.of_the_framing(&raw));
        lines.extend(self.checksum.as_ref().map(checksum_line));
        let Cuts { agree, all } = self.cuts;
        lines.push(format!(
            "{agree} of {all} pieces of the capture end with a frame"
        ));
        lines.push(if self.same_in_pieces {
            "the frames are the same in one go and in these pieces".to_owned()
        } else {
            "the frames are NOT the same in one go and in these pieces".to_owned()
        });
        if let Some(why) = why {
            lines.push(format!(
                "{} could not be followed to the end: {why}",
                streams(*broken)
            ));
        }
        if !self.also.is_empty() {
            let also: Vec<&str> = self
                .also
                .iter()
                .take(MOST_ALSO)
                .map(|also| &**also)
                .collect();
            lines.push(format!("gives the same frames: {}", also.join("; ")));
        }
        lines
    }

    fn of_the_framing(&self, raw: &[&[u8]]) -> Vec<String> {
        let framing = &self.document["framing"];
        let count = |holds: &dyn Fn(&[u8]) -> bool| {
            let held = raw.iter().filter(|frame| holds(frame)).count();
            format!("{held} of {}", raw.len())
        };
        let bytes = |member: &str| {
            let bytes = framing[member]
                .as_str()
                .map(edge_tcp_gateway::notation::bytes);
            bytes.and_then(Result::ok)
        };
        let mut lines = Vec::new();
        if let Some(length) = framing["length"].as_str() {
            let add = framing["add"].as_u64().unwrap_or_default();
            let all = count(&|_| true);
            lines.push(format!(
                "length {length} + {add} = the frame's bytes in {all}"
            ));
        }
        if let Some(start) = bytes("start") {
            let begin = count(&|frame| frame.starts_with(&start));
            lines.push(format!("{begin} begin with {}", shown(&start)));
        }
        if let Some(end) = bytes("end") {
            let ends = count(&|frame| frame.ends_with(&end));
            lines.push(format!("{ends} end with {}", shown(&end)));
        }
        lines
    }

    /// Whether nearly all frames can be read as text.
    pub fn is_text(&self) -> bool {
        let bytes = self
            .trial
            .frames
            .iter()
            .flat_map(|frame| frame.iter().copied());
        evidence::is_text(bytes.filter(|byte| !b"\r\n".contains(byte)))
    }
}

fn checksum_line(found: &checks::Found) -> String {
    let checks::Found {
        notation,
        right,
        all,
        wrong,
        bits,
        also,
    } = found;
    let mut line = format!(
        "{notation}: right in {right} of {all} different frames; by chance once in 2^{bits:.0}"
    );
    if !wrong.is_empty() {
        let wrong: Vec<String> = wrong
            .iter()
            .take(5)
            .map(|index| (index + 1).to_string())
            .collect();
        line += &format!("; wrong in frames {}", wrong.join(", "));
    }
    if !also.is_empty() {
        line += &format!("; as right: {}", also.join(", "));
    }
    line
}

/// The bytes with which the frames of delimiters end by definition.
fn ends_of(framing: &Value) -> Vec<Vec<u8>> {
    let cases = framing["cases"].as_array();
    let inside = cases.into_iter().flatten().flat_map(ends_of);
    let ends = match &framing["end"] {
        Value::Array(ends) => ends.iter().collect(),
        end => vec![end],
    };
    let ends = ends
        .into_iter()
        .filter_map(Value::as_str)
        .filter(|_| framing["type"] == "delimiter");
    let ends = ends.filter_map(|end| edge_tcp_gateway::notation::bytes(end).ok());
    ends.chain(inside).collect()
}

/// Bytes with which protocols mark the beginning of a frame.
fn is_mark(byte: u8) -> bool {
    (byte.is_ascii_control() && !matches!(byte, 0 | b'\t')) || b"$#*([{<!&@:+~".contains(&byte)
}

/// A number of streams.
pub fn streams(count: usize) -> String {
    match count {
        1 => "1 stream".to_owned(),
        count => format!("{count} streams"),
    }
}

/// A share in percent.
pub fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}
