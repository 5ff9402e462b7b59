//! Two kinds of frames, of which the first bytes choose one.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Patience;
use super::capture::Stretch;
use super::evidence::Background;
use super::rule::{self, Field, Rule};
use super::search::{Candidate, notation, saved};
use super::trial::{Span, ratio};

/// Kinds of beginnings that are told apart.
const MOST_HEADS: usize = 4;
/// Rules of one kind of frame that are combined with those of the other.
const MOST_RULES: usize = 10;
/// Places at which a rule is tried.
const MOST_PLACES: usize = 200;
/// Switches that are run by the product.
const MOST_SWITCHES: usize = 3;

/// How frames of one kind begin.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Head {
    Bytes(Vec<u8>),
    /// A digit from 1 to 9: a length in decimal digits.
    Digit,
}

impl Head {
    fn fits(&self, bytes: &[u8], at: usize) -> bool {
        let rest = bytes.get(at..).unwrap_or_default();
        match self {
            Head::Bytes(head) => rest.starts_with(head),
            Head::Digit => matches!(rest.first(), Some(b'1'..=b'9')),
        }
    }

    /// Bits of surprise that frames of one kind begin so.
    fn cost(&self) -> f64 {
        match self {
            Head::Bytes(head) => 4.0 + 6.0 * ratio(head.len(), 1),
            Head::Digit => 4.0,
        }
    }

    fn choose(&self, framing: &mut Value) {
        match self {
            Head::Bytes(head) => framing["start"] = notation(head),
            Head::Digit => framing["when"] = json!("u8 at 0 = 49..57"),
        }
    }
}

/// A kind of frame: how it begins and how it may be cut.
struct Case {
    head: Head,
    rules: Vec<Rule>,
}

/// The best switches of two; none where frames begin in one way.
pub fn switches(
    sample: &[Stretch],
    background: &Background,
    patience: &Patience,
) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for heads in [heads(sample, 1), heads(sample, 2)] {
        if !(2..=MOST_HEADS).contains(&heads.len()) {
            continue;
        }
        let cases: Vec<Case> = heads
            .iter()
            .map(|(head, places)| Case {
                head: head.clone(),
                rules: rules(sample, places, &heads, patience),
            })
            .collect();
        candidates.extend(combined(&cases, sample, background, patience));
    }
    candidates
}

type Places = Vec<(usize, usize)>;

/// With what pieces begin, and where.
fn heads(sample: &[Stretch], length: usize) -> BTreeMap<Head, Places> {
    let mut heads: BTreeMap<Head, Places> = BTreeMap::new();
    for (index, stretch) in sample.iter().enumerate() {
        let starts = std::iter::once(0).chain(stretch.cuts.iter().copied());
        for at in starts {
            let Some(bytes) = stretch.bytes.get(at..at + length) else {
                continue;
            };
            let head = match bytes {
                [b'1'..=b'9'] => Head::Digit,
                _ => Head::Bytes(bytes.to_vec()),
            };
            let places = heads.entry(head).or_default();
            if places.len() < MOST_PLACES {
                places.push((index, at));
            }
        }
    }
    heads
}

/// Rules that lead from these places to where a frame may begin, or to an end.
fn rules(
    sample: &[Stretch],
    places: &Places,
    heads: &BTreeMap<Head, Places>,
    patience: &Patience,
) -> Vec<Rule> {
    let lengths = rule::lengths().into_iter().filter(|rule| match rule {
        Rule::Length { field, at, .. } => *at <= 12 || matches!(field, Field::Until(_)),
        _ => true,
    });
    let ends = [&b"\r\n"[..], b"\n", b"\r", b"\x03", b"#", b"\0"];
    let ends = ends.iter().map(|end| Rule::End(end.to_vec()));
    let all = lengths.chain((1..=64).map(Rule::Fixed)).chain(ends);
    let mut good: Vec<(f64, Rule)> = Vec::new();
    for rule in all {
        if patience.is_over() {
            break;
        }
        let lands = |(stretch, at): &(usize, usize)| {
            let bytes = sample.get(*stretch).map(|stretch| &stretch.bytes[..]);
            let bytes = bytes.unwrap_or_default();
            let to = rule.end(bytes, *at);
            to.is_some_and(|to| to == bytes.len() || heads.keys().any(|head| head.fits(bytes, to)))
        };
        let landed = places.iter().filter(|place| lands(place)).count();
        if ratio(landed, places.len()) > 0.6 {
            good.push((ratio(landed, places.len()) * 20.0 - rule.cost(), rule));
        }
    }
    good.sort_by(|one, other| other.0.total_cmp(&one.0));
    good.into_iter()
        .take(MOST_RULES)
        .map(|(_, rule)| rule)
        .collect()
}

fn combined(
    cases: &[Case],
    sample: &[Stretch],
    background: &Background,
    patience: &Patience,
) -> Vec<Candidate> {
    let mut tried: Vec<(f64, Vec<Span>, Candidate)> = Vec::new();
    for (index, one) in cases.iter().enumerate() {
        for other in cases.iter().skip(index + 1) {
            for (first, second) in pairs(one, other) {
                if patience.is_over() {
                    break;
                }
                let cut = |bytes: &[u8], at: usize| match () {
                    () if one.head.fits(bytes, at) => first.end(bytes, at),
                    () if other.head.fits(bytes, at) => second.end(bytes, at),
                    () => None,
                };
                let spans = rule::walk(sample, cut);
                let heads = one.head.cost() + other.head.cost();
                let cost = heads + first.cost() + second.cost();
                let ends = [first.ends(), second.ends()].concat();
                let net = saved(sample, &spans, &ends, background) - cost;
                if net > 0.0
                    && tried
                        .iter()
                        .all(|(known, other, _)| *other != spans || *known < net)
                {
                    let framing = framing([(&one.head, first), (&other.head, second)]);
                    tried.retain(|(_, other, _)| *other != spans);
                    tried.push((net, spans, Candidate::new(framing, cost)));
                }
            }
        }
    }
    tried.sort_by(|one, other| other.0.total_cmp(&one.0));
    let best = tried.into_iter().take(MOST_SWITCHES);
    best.map(|(_, _, candidate)| candidate).collect()
}

fn pairs<'c>(one: &'c Case, other: &'c Case) -> impl Iterator<Item = (&'c Rule, &'c Rule)> {
    let firsts = one.rules.iter();
    firsts.flat_map(|first| other.rules.iter().map(move |second| (first, second)))
}

fn framing(cases: [(&Head, &Rule); 2]) -> Value {
    let cases = cases.map(|(head, rule)| {
        let mut framing = rule.framing();
        match (head, rule) {
            // What lies between start and end is handed on: the first byte belongs to it here.
            (Head::Bytes(head), Rule::End(_)) => {
                if let [byte] = head[..] {
                    framing["when"] = json!(format!("u8 at 0 = {byte}"));
                } else {
                    head_condition(head, &mut framing);
                }
            }
            _ => head.choose(&mut framing),
        }
        if matches!(
            rule,
            Rule::Length {
                field: Field::Until(_),
                ..
            }
        ) {
            framing["body"] = json!("after");
        }
        framing
    });
    json!({ "type": "switch", "cases": cases })
}

fn head_condition(head: &[u8], framing: &mut Value) {
    let value = head
        .iter()
        .fold(0_u64, |value, byte| (value << 8) | u64::from(*byte));
    framing["when"] = json!(format!("u{} at 0 = {value}", head.len() * 8));
}
