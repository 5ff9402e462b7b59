//! Frames that end where a pattern first matches: prompts, and ends that no fixed bytes are.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::{primitives::StateID, start, syntax};
use regex_automata::{Anchored, MatchKind};
use schemars::JsonSchema;
use serde::Deserialize;

use super::bounded::Common;
use super::needles::{Needles, length_at};
use super::{Explanation, Framer, More, Resync, Step};
use crate::document::{Problems, Section};
use crate::schema::PatternText;

/// Memory that the automaton of a pattern may take, and four times that while it is made.
const MOST_BYTES: usize = 1 << 20;

/// Frames that end where a pattern first matches, such as a prompt.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RegexOptions {
    /// The pattern. A frame ends with the first byte up to which what has come of it matches, as
    /// if nothing came behind; so the shortest match counts, whatever would match further on.
    #[schemars(with = "PatternText")]
    end: String,
}

/// The kind, read: an automaton that is stepped byte by byte.
pub(super) struct Regex {
    pattern: String,
    start: Option<Needles>,
    automaton: dense::DFA<Vec<u32>>,
    first: StateID,
}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Regex").field(&self.pattern).finish()
    }
}

/// Reads the kind's members.
pub(super) fn read(
    section: &Section<'_>,
    without: &[&str],
    common: &Common,
    problems: &mut Problems,
) -> Option<Regex> {
    let options: RegexOptions = section.read(without, problems)?;
    match build(options.end, common.start.clone()) {
        Ok(regex) if regex.matches(regex.first) => {
            let why = "the pattern matches nothing at all: it needs at least one byte";
            problems.member(section, "end", why);
            None
        }
        Ok(regex) => Some(regex),
        Err(why) => {
            problems.member(section, "end", why);
            None
        }
    }
}

fn build(pattern: String, marker: Option<Needles>) -> Result<Regex, String> {
    let config = dense::Config::new()
        .start_kind(StartKind::Unanchored)
        .match_kind(MatchKind::All)
        .dfa_size_limit(Some(MOST_BYTES))
        .determinize_size_limit(Some(MOST_BYTES.saturating_mul(4)));
    // As in decoding: without Unicode a class matches single bytes, which is what device protocols
    // mean; a pattern that itself holds letters beyond ASCII needs it for them.
    let syntax = syntax::Config::new()
        .unicode(!pattern.is_ascii())
        .utf8(false)
        .dot_matches_new_line(true);
    let nfa = thompson::Config::new()
        .utf8(false)
        .nfa_size_limit(Some(MOST_BYTES));
    let automaton = dense::Builder::new()
        .configure(config)
        .syntax(syntax)
        .thompson(nfa)
        .build(&pattern)
        .map_err(|error| explained(&error))?;
    let start = start::Config::new().anchored(Anchored::No);
    let first = automaton
        .start_state(&start)
        .map_err(|error| error.to_string())?;
    Ok(Regex {
        pattern,
        start: marker,
        automaton,
        first,
    })
}

fn explained(error: &dense::BuildError) -> String {
    let mut text = error.to_string();
    let mut inner = std::error::Error::source(error);
    while let Some(error) = inner {
        text = error.to_string();
        inner = error.source();
    }
    let line = text.lines().last().unwrap_or_default();
    format!(
        "not a pattern that can end frames: {}",
        line.trim_start_matches("error: ")
    )
}

impl Regex {
    /// Says why the frame ends where it does.
    pub fn explain(&self, into: &mut Explanation) {
        into.say(format!("regex: end {:?} matches", self.pattern));
    }

    /// Whether what has led to the state matches, if nothing comes behind it.
    fn matches(&self, state: StateID) -> bool {
        self.automaton
            .is_match_state(self.automaton.next_eoi_state(state))
    }
}

/// Remembers how far it has looked and the automaton's state there.
#[derive(Debug)]
pub(super) struct RegexFramer {
    kind: Arc<Regex>,
    at: usize,
    state: StateID,
    dropping: bool,
}

impl RegexFramer {
    pub fn new(kind: &Arc<Regex>) -> Self {
        RegexFramer {
            kind: Arc::clone(kind),
            at: 0,
            state: kind.first,
            dropping: false,
        }
    }

    /// Goes on to the end of the frame, which comes behind its start; `false` if it has not come.
    fn find(&mut self, bytes: &[u8], start: usize) -> bool {
        while let Some(byte) = bytes.get(self.at).copied() {
            #[cfg(test)]
            super::needles::work::add(1);
            self.at = self.at.saturating_add(1);
            self.state = self.kind.automaton.next_state(self.state, byte);
            if self.at > start && self.kind.matches(self.state) {
                return true;
            }
        }
        false
    }

    fn begin(&mut self) {
        self.at = 0;
        self.state = self.kind.first;
    }
}

impl Framer for RegexFramer {
    fn next<'b>(&mut self, bytes: &'b [u8], _more: More) -> Step<'b> {
        let start = length_at(self.kind.start.as_ref(), bytes);
        if !self.find(bytes, start) {
            return Step::Need(bytes.len().saturating_add(1));
        }
        let take = self.at;
        self.begin();
        Step::Frame {
            take,
            frame: Cow::Borrowed(bytes.get(..take).unwrap_or_default()),
            body: 0,
        }
    }

    fn consumed(&mut self, _count: usize) {
        match self.dropping {
            true => self.at = 0,
            false => self.begin(),
        }
    }

    fn resync(&self) -> Resync {
        Resync::End
    }

    /// What follows up to where the pattern next matches belongs to the broken frame.
    fn drop_broken(&mut self, bytes: &[u8]) -> (usize, bool) {
        let found = self.find(bytes, 0);
        self.dropping = !found;
        (if found { self.at } else { bytes.len() }, found)
    }
}
