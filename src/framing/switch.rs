//! Several framings, of which the first bytes of each frame choose one.

use std::time::Duration;

use super::bounded::{self, Bounded, Common};
use super::explain::written;
use super::needles::{Match, Needles};
use super::{
    Broken, Caller, Explanation, Framer, Framing, More, Resync, Skipped, Step, Taken, WrapError,
    only, read_with,
};
use crate::document::{Problems, Section};
use crate::notation::{Condition, Endian, write_bytes};

/// The members of a switch, beside the common ones: the cases in the order in which they are tried.
const MEMBERS: [&str; 2] = ["type", "cases"];

/// The kind, read.
#[derive(Clone, Debug)]
pub(super) struct Switch {
    cases: Vec<Case>,
    /// All starts, if every case has one: then the next frame can be found in garbage.
    starts: Option<Needles>,
}

/// One framing and what chooses it.
#[derive(Clone, Debug)]
struct Case {
    when: When,
    framing: Framing,
}

#[derive(Clone, Debug)]
enum When {
    Start(Needles),
    Holds(Condition),
    Otherwise,
}

/// Reads the kind's members.
pub(super) fn read(
    section: &Section<'_>,
    without: &[&str],
    common: &Common,
    problems: &mut Problems,
) -> Option<Switch> {
    only(section, without, &MEMBERS, problems);
    let cases = section.member("cases");
    let sections: Vec<Section<'_>> = cases
        .iter()
        .flat_map(|cases| cases.elements().collect::<Vec<_>>())
        .collect();
    if sections.is_empty() {
        problems.add(
            section,
            "\"cases\" is missing: a list of framings, each with \"start\" or \"when\"",
        );
        return None;
    }
    let last = sections.len().saturating_sub(1);
    let read =
        |(index, section): (usize, &Section<'_>)| case(section, index == last, common, problems);
    let cases: Vec<Option<Case>> = sections.iter().enumerate().map(read).collect();
    never_chosen(&sections, &cases, problems);
    let cases: Vec<Case> = cases.into_iter().collect::<Option<_>>()?;
    let starts = starts(&cases);
    Some(Switch { cases, starts })
}

fn case(
    section: &Section<'_>,
    last: bool,
    outer: &Common,
    problems: &mut Problems,
) -> Option<Case> {
    let common = outer.inner(section, "switch", problems);
    let when = when(section, last, common.start.clone(), problems);
    let without: Vec<&str> = bounded::MEMBERS.iter().copied().chain(["when"]).collect();
    let framing = read_with(section, common, &without, problems);
    Some(Case {
        when: when?,
        framing: framing?,
    })
}

fn when(
    section: &Section<'_>,
    last: bool,
    start: Option<Needles>,
    problems: &mut Problems,
) -> Option<When> {
    let Some(condition) = section.member("when") else {
        return match start {
            Some(start) => Some(When::Start(start)),
            None if last || section.member("start").is_some() => Some(When::Otherwise),
            None => {
                let why = "\"start\" or \"when\" is missing: only the last case may have neither, those behind it could never be chosen";
                problems.add(section, why);
                None
            }
        };
    };
    if section.member("start").is_some() {
        problems.member(
            section,
            "when",
            "a case has \"start\" or \"when\", not both",
        );
    }
    let Some(text) = condition.value.as_str() else {
        problems.add(&condition, "expected a condition as a text");
        return None;
    };
    match Condition::parse(text, Endian::Big) {
        Err(error) => problems.notation(section, "when", error),
        Ok(condition) if condition.needs_whole_frame() => {
            let why = "only `TYPE at N` from the first byte is known before a frame is complete";
            problems.member(section, "when", why);
        }
        Ok(condition) => return Some(When::Holds(condition)),
    }
    None
}

/// Names starts and conditions that can never count, because an earlier case takes all that they would.
fn never_chosen(sections: &[Section<'_>], cases: &[Option<Case>], problems: &mut Problems) {
    for (index, (section, case)) in sections.iter().zip(cases).enumerate() {
        let earlier = || {
            let numbered = cases.iter().enumerate().take(index);
            numbered.filter_map(|(index, case)| Some((index, case.as_ref()?)))
        };
        match case.as_ref().map(|case| &case.when) {
            Some(When::Start(start)) => {
                for own in start.iter() {
                    let before =
                        earlier().find_map(|(index, case)| Some((index, case.takes(own)?)));
                    if let Some((index, other)) = before {
                        let (own, other) = (write_bytes(own), write_bytes(other));
                        let why = format!(
                            "\"{own}\" can never be chosen: the earlier case {index} takes all that starts with \"{other}\""
                        );
                        problems.member(section, "start", why);
                    }
                }
            }
            Some(When::Holds(own)) => {
                let same = |case: &Case| matches!(&case.when, When::Holds(other) if other == own);
                if let Some((index, _)) = earlier().find(|(_, case)| same(case)) {
                    let why =
                        format!("can never be chosen: the earlier case {index} has this condition");
                    problems.member(section, "when", why);
                }
            }
            Some(When::Otherwise) | None => {}
        }
    }
}

fn starts(cases: &[Case]) -> Option<Needles> {
    let mut all = Vec::new();
    for case in cases {
        let When::Start(start) = &case.when else {
            return None;
        };
        all.extend(start.iter().map(<[u8]>::to_vec));
    }
    Needles::new(all)
}

impl Case {
    /// The start with which it takes every frame that begins with these bytes.
    fn takes(&self, bytes: &[u8]) -> Option<&[u8]> {
        match &self.when {
            When::Start(start) => start.iter().find(|own| bytes.starts_with(own)),
            When::Holds(_) | When::Otherwise => None,
        }
    }
}

impl When {
    /// Whether the case is chosen; `None` if more bytes are needed to know. That none will come
    /// decides nothing: what is left of a frame of one case must not pass as a frame of another.
    fn holds(&self, bytes: &[u8]) -> Option<bool> {
        match self {
            When::Otherwise => Some(true),
            When::Holds(condition) => condition.on_prefix(bytes),
            When::Start(start) => match start.at(bytes, true) {
                Match::Full(_) => Some(true),
                Match::Partial => None,
                Match::No => Some(false),
            },
        }
    }
}

impl Switch {
    pub fn framer(&self) -> SwitchFramer {
        SwitchFramer {
            switch: self.clone(),
            chosen: None,
            caller: None,
        }
    }

    /// Says how a frame was understood.
    pub fn explain(&self, taken: Taken<'_>, into: &mut Explanation) {
        let Choice::Case(index) = self.choose(taken.wire) else {
            return;
        };
        let Some(case) = self.cases.get(index) else {
            return;
        };
        let why = match &case.when {
            When::Start(start) => {
                let mut starts = start.iter().filter(|own| taken.wire.starts_with(own));
                format!("start {}", written(starts.next().unwrap_or_default()))
            }
            When::Holds(condition) => format!("when {condition}"),
            When::Otherwise => "no other fits".to_owned(),
        };
        into.say(format!("switch: case {index}, {why}"));
        case.framing.explain_in(taken, into);
    }

    /// Wraps as the first case that can and that the switch would choose again.
    pub fn wrap(&self, body: &[u8]) -> Result<Vec<u8>, WrapError> {
        let mut why = WrapError::Ambiguous;
        for (index, case) in self.cases.iter().enumerate() {
            match case.framing.wrap(body) {
                Ok(wrapped) if self.choose(&wrapped) == Choice::Case(index) => {
                    return Ok(wrapped);
                }
                Ok(_) => why = WrapError::Ambiguous,
                Err(error) => why = error,
            }
        }
        Err(why)
    }

    /// Why no case can be put around any bytes.
    pub fn never_wraps(&self) -> Option<WrapError> {
        let mut cases = self.cases.iter();
        cases.try_fold(WrapError::Ambiguous, |_, case| case.framing.never_wraps())
    }

    /// The most that any case allows.
    pub fn max_bytes(&self) -> usize {
        let all = self
            .cases
            .iter()
            .map(|case| case.framing.0.common.max_bytes);
        all.max().unwrap_or(usize::MAX)
    }

    /// The most that any case needs to see behind a frame.
    pub fn lookahead(&self) -> usize {
        let all = self
            .cases
            .iter()
            .map(|case| case.framing.0.kind.lookahead());
        all.max().unwrap_or(0)
    }

    pub fn can_resync(&self) -> bool {
        self.starts.is_some()
            || self
                .cases
                .iter()
                .any(|case| case.framing.0.kind.can_resync())
    }

    fn choose(&self, bytes: &[u8]) -> Choice {
        for (index, case) in self.cases.iter().enumerate() {
            match case.when.holds(bytes) {
                Some(true) => return Choice::Case(index),
                None => return Choice::Wait,
                Some(false) => {}
            }
        }
        Choice::None
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Case(usize),
    Wait,
    None,
}

/// Holds the framer of the frame at the head.
#[derive(Debug)]
pub(super) struct SwitchFramer {
    switch: Switch,
    chosen: Option<(usize, Bounded)>,
    /// For the framers of cases that are made later.
    caller: Option<Caller>,
}

impl SwitchFramer {
    fn case(&mut self, index: usize) -> Option<&mut Bounded> {
        if self
            .chosen
            .as_ref()
            .is_none_or(|(chosen, _)| *chosen != index)
        {
            let case = self.switch.cases.get(index)?;
            let mut framer = Bounded::new(&case.framing);
            if let Some(caller) = &self.caller {
                framer.attach(caller);
            }
            self.chosen = Some((index, framer));
        }
        self.chosen.as_mut().map(|(_, framer)| framer)
    }

    /// How many of the bytes that a case would skip are up to it: among them a frame of another
    /// case may begin, wherever the stream was cut.
    fn skipped_by(&self, index: usize, bytes: &[u8], count: usize) -> usize {
        let chosen = Choice::Case(index);
        let other = |at: &usize| {
            let rest = bytes.get(*at..).unwrap_or_default();
            self.switch.choose(rest) != chosen
        };
        (1..count).find(other).unwrap_or(count)
    }

    fn garbage(&self, bytes: &[u8]) -> Step<'static> {
        match &self.switch.starts {
            Some(starts) => Step::Skip {
                count: bounded::garbage(starts, bytes),
                why: Skipped::Garbage,
            },
            None => Step::Broken(Broken::NoCase),
        }
    }
}

impl Framer for SwitchFramer {
    fn next<'b>(&mut self, bytes: &'b [u8], more: More) -> Step<'b> {
        match self.switch.choose(bytes) {
            Choice::Case(index) => match self.case(index).map(|framer| framer.next(bytes, more)) {
                Some(Step::Skip {
                    count,
                    why: Skipped::Garbage,
                }) => Step::Skip {
                    count: self.skipped_by(index, bytes, count),
                    why: Skipped::Garbage,
                },
                Some(step) => step,
                None => Step::Broken(Broken::NoCase),
            },
            Choice::Wait => {
                self.chosen = None;
                Step::Need(bytes.len().saturating_add(1))
            }
            Choice::None => {
                let step = self.garbage(bytes);
                self.chosen = None;
                step
            }
        }
    }

    fn consumed(&mut self, count: usize) {
        if let Some((_, framer)) = &mut self.chosen {
            framer.consumed(count);
        }
    }

    fn attach(&mut self, caller: &Caller) {
        self.caller = Some(caller.clone());
        if let Some((_, framer)) = &mut self.chosen {
            framer.attach(caller);
        }
    }

    fn resync(&self) -> Resync {
        let chosen = self.chosen.as_ref().map(|(_, framer)| framer.resync());
        match chosen {
            Some(Resync::End) => Resync::End,
            _ if self.switch.starts.is_some() => Resync::Start,
            Some(Resync::Start | Resync::Never) | None => Resync::Never,
        }
    }

    fn drop_broken(&mut self, bytes: &[u8]) -> (usize, bool) {
        match &mut self.chosen {
            Some((_, framer)) if framer.resync() == Resync::End => framer.drop_broken(bytes),
            _ => (bytes.len().min(1), true),
        }
    }

    fn idle(&self) -> Option<Duration> {
        self.chosen.as_ref().and_then(|(_, framer)| framer.idle())
    }
}
