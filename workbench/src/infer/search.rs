//! Which framings are worth a run by the product.

use std::collections::HashMap;

use edge_tcp_gateway::notation::write_bytes;
use serde_json::{Value, json};

use super::Patience;
use super::capture::Stretch;
use super::evidence::{self, Background};
use super::rule::{self, Rule};
use super::trial::{Span, ratio};

/// Bytes in which rules are tried at first.
const SAMPLE: usize = 32 << 10;
/// Bytes of each stretch in it, so that several connections are seen.
const SAMPLE_OF_STRETCH: usize = 8 << 10;
/// Rules of each kind that are run by the product.
const MOST_OF_KIND: usize = 8;
/// Other rules with the same frames that are named.
const MOST_ALSO: usize = 3;
/// Where a length field stands that is believed though it never changes.
const HEADER: usize = 8;
/// Longest frames of one length that are looked for.
const MOST_FIXED: usize = 512;

/// A framing to be run.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// In the notation of the settings.
    pub framing: Value,
    /// Bits of surprise that it is this one.
    pub cost: f64,
    /// Bytes with which each frame ends by definition.
    pub end: Vec<u8>,
    /// Rules that give the same frames, in words.
    pub also: Vec<String>,
}

impl Candidate {
    /// One without end.
    pub fn new(framing: Value, cost: f64) -> Self {
        Candidate {
            framing,
            cost,
            end: Vec::new(),
            also: Vec::new(),
        }
    }
}

/// Beginnings of the first stretches.
pub fn sample(stretches: &[Stretch]) -> Vec<Stretch> {
    let mut left = SAMPLE;
    let mut sample = Vec::new();
    for stretch in stretches {
        let beginning = stretch.beginning(left.min(SAMPLE_OF_STRETCH));
        left = left.saturating_sub(beginning.bytes.len());
        sample.push(beginning);
        if left == 0 {
            break;
        }
    }
    sample
}

/// Framings that end with certain bytes: the usual ones, and those with which pieces end.
pub fn delimiters(stretches: &[Stretch]) -> Vec<Candidate> {
    const USUAL: [(&[u8], f64); 24] = [
        (b"\r\n", 1.0),
        (b"\n", 2.0),
        (b"\r", 2.0),
        (b"\x1c\r", 3.0),
        (b"\x03", 4.0),
        (b"\0", 5.0),
        (b"\x04", 5.0),
        (b"\n\r", 5.0),
        (b"\x17", 6.0),
        (b"#", 6.0),
        (b";", 7.0),
        (b"##", 7.0),
        (b"##\r\n", 7.0),
        (b"$", 8.0),
        (b")", 7.0),
        (b"]", 7.0),
        (b"}", 7.0),
        (b"*", 9.0),
        (b"&", 10.0),
        (b"!", 10.0),
        (b"^", 10.0),
        (b"|", 10.0),
        (b",", 14.0),
        (b" ", 16.0),
    ];
    let occurs = |end: &[u8]| {
        let found = |stretch: &Stretch| memchr::memmem::find(&stretch.bytes, end).is_some();
        stretches.iter().any(found)
    };
    let usual = USUAL.iter().map(|(end, cost)| (end.to_vec(), *cost));
    let met = ends_of_pieces(stretches).into_iter();
    let met = met.map(|end| (end.clone(), Rule::End(end).cost()));
    let mut candidates: Vec<Candidate> = Vec::new();
    for (end, cost) in usual.chain(met) {
        if occurs(&end) && candidates.iter().all(|known| known.end != end) {
            candidates.push(Candidate {
                end: end.clone(),
                ..Candidate::new(Rule::End(end).framing(), cost)
            });
        }
    }
    let pairs = [["\r\n", "\n"], ["\r\n", "\r"], ["\r", "\n"]];
    for ends in pairs
        .iter()
        .filter(|ends| ends.iter().all(|end| occurs(end.as_bytes())))
    {
        let framing = json!({ "type": "delimiter", "end": ends });
        candidates.push(Candidate::new(framing, 5.0));
    }
    candidates
}

/// The last one and two bytes of pieces, the most frequent first.
fn ends_of_pieces(stretches: &[Stretch]) -> Vec<Vec<u8>> {
    let mut counts: HashMap<&[u8], usize> = HashMap::new();
    for piece in stretches.iter().flat_map(Stretch::pieces).take(4096) {
        for count in 1..=2 {
            let end = piece
                .len()
                .checked_sub(count)
                .map(|at| piece.split_at(at).1);
            // Letters and digits end frames in the rarest cases, and words in the most.
            if let Some(end) = end.filter(|end| !end.iter().any(u8::is_ascii_alphanumeric)) {
                *counts.entry(end).or_default() += 1;
            }
        }
    }
    let mut ends: Vec<(&[u8], usize)> = counts.into_iter().collect();
    ends.sort_by_key(|(end, count)| (std::cmp::Reverse(*count), end.to_vec()));
    ends.into_iter()
        .take(6)
        .map(|(end, _)| end.to_vec())
        .collect()
}

/// Framings with flags and stuffed bytes. Those that this version does not have are not run.
pub fn stuffed() -> Vec<Candidate> {
    let pairs = |flag: &str, escapes: Value| json!({ "type": "stuffed", "start": flag, "end": flag, "escapes": escapes });
    [
        (pairs("0x7e", json!([["0x7d01", "0x7d"], ["0x7d02", "0x7e"]])), 4.0),
        (pairs("0x7e", json!([["0x7d5d", "0x7d"], ["0x7d5e", "0x7e"]])), 4.0),
        (pairs("0xc0", json!([["0xdbdd", "0xdb"], ["0xdbdc", "0xc0"]])), 5.0),
        (pairs("0xf8", json!([["0xf700", "0xf7"], ["0xf70f", "0xf8"]])), 8.0),
        (
            json!({ "type": "stuffed", "start": "0x1002", "end": "0x1003", "escapes": [["0x1010", "0x10"]] }),
            5.0,
        ),
        (json!({ "type": "slip" }), 4.0),
        (json!({ "type": "cobs" }), 6.0),
        (json!({ "type": "json" }), 6.0),
    ]
    .into_iter()
    .map(|(framing, cost)| Candidate::new(framing, cost))
    .collect()
}

/// Length fields and fixed lengths that explain the sample best.
pub fn rules(sample: &[Stretch], background: &Background, patience: &Patience) -> Vec<Candidate> {
    let mut candidates = best(rule::lengths(), sample, background, patience);
    let longest = sample.iter().map(|stretch| stretch.bytes.len()).max();
    let most = longest.unwrap_or_default().min(MOST_FIXED);
    let fixed = (2..=most).map(Rule::Fixed).collect();
    candidates.extend(best(fixed, sample, background, patience));
    candidates
}

/// A rule that has been tried on the sample.
struct Screened {
    rule: Rule,
    cost: f64,
    net: f64,
    /// Other rules with the same frames, with their costs.
    also: Vec<(f64, Rule)>,
}

fn best(
    rules: Vec<Rule>,
    sample: &[Stretch],
    background: &Background,
    patience: &Patience,
) -> Vec<Candidate> {
    let total: usize = sample.iter().map(|stretch| stretch.bytes.len()).sum();
    let mut found: HashMap<Vec<Span>, Screened> = HashMap::new();
    for rule in rules {
        if patience.is_over() {
            break;
        }
        let spans = rule::walk(sample, |bytes, from| rule.end(bytes, from));
        if !is_promising(sample, &spans, total) {
            continue;
        }
        let cost = rule.cost() + constant_field(&rule, &spans);
        match found.get_mut(&spans) {
            Some(known) if known.cost <= cost => known.also.push((cost, rule)),
            Some(known) => {
                let other = std::mem::replace(&mut known.rule, rule);
                known.also.push((known.cost, other));
                known.net += known.cost - cost;
                known.cost = cost;
            }
            None => {
                let net = saved(sample, &spans, &[], background) - cost;
                let also = Vec::new();
                found.insert(
                    spans,
                    Screened {
                        rule,
                        cost,
                        net,
                        also,
                    },
                );
            }
        }
    }
    let mut best: Vec<Screened> = found.into_values().collect();
    best.sort_by(|one, other| {
        other
            .net
            .total_cmp(&one.net)
            .then(one.cost.total_cmp(&other.cost))
    });
    let best = best.into_iter().take(MOST_OF_KIND);
    best.map(|screened| Candidate {
        also: screened.others(),
        ..Candidate::new(screened.rule.framing(), screened.cost)
    })
    .collect()
}

impl Screened {
    /// Of the many ways to say the same, those that read well, in words.
    fn others(&self) -> Vec<String> {
        let near = |(cost, _): &&(f64, Rule)| *cost < self.cost + 4.0;
        let mut others: Vec<&(f64, Rule)> = self.also.iter().filter(near).collect();
        others.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        let others = others.into_iter().take(MOST_ALSO);
        others.map(|(_, rule)| rule.words()).collect()
    }
}

/// Whether it is worth to look at the columns of these frames.
fn is_promising(sample: &[Stretch], spans: &[Span], total: usize) -> bool {
    let covered: usize = spans.iter().map(|span| span.to - span.from).sum();
    if spans.len() < 2 || ratio(covered, total) < 0.5 {
        return false;
    }
    let mut counts = [0_usize; 256];
    for span in spans {
        let stretch = sample.get(span.stretch);
        if let Some(first) = stretch.and_then(|stretch| stretch.bytes.get(span.from)) {
            counts[usize::from(*first)] += 1;
        }
    }
    let most = counts.into_iter().max().unwrap_or_default();
    // A counter or an id may stand first; then few frames say little, and many have other columns.
    spans.len() < 8 || ratio(most, spans.len()) > 0.02
}

/// What holds the same in all frames has not been seen to be a length. Two bytes of a header that
/// fit are hardly chance.
fn constant_field(rule: &Rule, spans: &[Span]) -> f64 {
    let mut lengths = spans.iter().map(|span| span.to - span.from);
    let first = lengths.next();
    let constant = lengths.all(|length| Some(length) == first);
    match rule {
        Rule::Length { field, at, .. } if constant => {
            let credible = field.width() >= Some(2) && *at <= HEADER;
            if credible { 0.0 } else { 6.0 }
        }
        _ => 0.0,
    }
}

/// Bits that these frames explain of the sample.
pub fn saved(sample: &[Stretch], spans: &[Span], ends: &[Vec<u8>], background: &Background) -> f64 {
    let total = sample.iter().map(|stretch| stretch.bytes.len()).sum();
    let covered: usize = spans.iter().map(|span| span.to - span.from).sum();
    let columns = evidence::columns(sample, spans, ends, (background, evidence::SHORT));
    let cuts = evidence::cuts(sample, spans);
    let cuts = evidence::cuts_saved(cuts, (spans.len(), total), columns);
    (columns + cuts) * ratio(covered, total) * evidence::whole(sample, spans)
}

/// The usual notation of bytes in a member of a framing.
pub fn notation(bytes: &[u8]) -> Value {
    Value::String(write_bytes(bytes))
}
