//! Which names frames and the elements of lists have, and whether what needs a name finds it.

use std::collections::BTreeSet;

use super::binary::List;
use super::layout::{Layout, Tree};
use super::script::FRAMES_ONLY;
use super::steps::Collect;
use super::{Body, unknown_word};
use crate::document::{Problem, Problems, Section, child_pointer};
use crate::message::Name;

/// A list, the layout that has it, and the place of its field string.
struct Found<'a> {
    /// The place of the layout among all; the decoder is none of them.
    owner: Option<usize>,
    at: usize,
    list: List<'a>,
}

/// Which layouts belong to those that are read by a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follow {
    /// Those that it selects.
    Selects,
    /// Those too that read a part, whose fields join the others.
    Parts,
    /// Those too that read elements of lists.
    Lists,
}

impl Tree {
    /// Names of all fields of frames; `None` where frames bring names of their own.
    pub fn field_names(&self) -> Option<Vec<&str>> {
        let elements = self.elements_only();
        let frames = self
            .placed()
            .filter(|(place, _)| place.is_none_or(|at| !elements.contains(&at)));
        names(frames.map(|(_, layout)| layout))
    }

    /// The lists that are split, and what their elements add to messages; records of tags too, under
    /// the name of their layout. `None` where frames bring names of their own.
    pub fn split_lists(&self) -> Option<Vec<(&str, Vec<&str>)>> {
        let lists = self.lists().into_iter();
        let split = lists.filter(|found| found.list.collect == Some(&Collect::Split));
        let split = split.map(|found| {
            let name = &**found.list.name;
            match found.list.layout {
                None => Some((name, vec![name])),
                Some(layout) => Some((name, self.element_names(layout)?)),
            }
        });
        let records = self.records().map(|(_, layout)| {
            let parts = self.closure(layout.parts(), Follow::Parts).into_iter();
            let parts = parts.filter_map(|at| self.layouts.get(at));
            let name = layout.name.as_deref().unwrap_or("decode");
            Some((name, names(std::iter::once(layout).chain(parts))?))
        });
        split.chain(records).collect()
    }

    /// Finds what stands where it means nothing, and names that nothing sets.
    pub fn check(
        &self,
        decode: &Section<'_>,
        layouts: &[(&str, Section<'_>)],
        problems: &mut Problems,
    ) {
        let section = |place: Option<usize>| match place {
            None => Some(decode),
            Some(at) => layouts.get(at).map(|(_, section)| section),
        };
        for found in self.lists() {
            let wrong = self.wrong_list(&found);
            if let (Some(message), Some(section)) = (wrong, section(found.owner)) {
                problems.push(self.problem(found.owner, section, found.at, message));
            }
        }
        self.check_records(layouts, problems);
        self.check_members(layouts, problems);
        self.check_calls(layouts, problems);
        self.check_needs(section, problems);
    }

    /// A list's element can make no messages of its own, whatever tags it has.
    fn check_records(&self, layouts: &[(&str, Section<'_>)], problems: &mut Problems) {
        let elements = self.elements();
        for at in self.records().filter_map(|(place, _)| place) {
            if let (true, Some((_, section))) = (elements.contains(&at), layouts.get(at)) {
                let message = "`split` is for tags of the frame, not of a list's element";
                problems.member(section, "again", message);
            }
        }
    }

    /// What becomes of a message is said by the layouts that frames select.
    fn check_members(&self, layouts: &[(&str, Section<'_>)], problems: &mut Problems) {
        let elements = self.elements_only();
        for at in elements.union(&self.parts_only()) {
            let (Some(layout), Some((name, section))) = (self.layouts.get(*at), layouts.get(*at))
            else {
                continue;
            };
            let of = if elements.contains(at) {
                "a list's elements"
            } else {
                "a part of frames"
            };
            for member in layout.of_frames() {
                if section.member(member).is_some() {
                    let message = format!("is for frames; \"{name}\" is the layout of {of} only");
                    problems.member(section, member, message);
                }
            }
        }
    }

    /// As many calls as a frame has parts or elements would have no bound.
    fn check_calls(&self, layouts: &[(&str, Section<'_>)], problems: &mut Problems) {
        let parts = self.layouts().flat_map(Layout::parts);
        let parts = self.closure(parts, Follow::Lists);
        for at in self.elements().union(&parts) {
            let (Some(layout), Some((_, section))) = (self.layouts.get(*at), layouts.get(*at))
            else {
                continue;
            };
            let member = ["script", "type"];
            let member = member
                .iter()
                .find(|member| section.member(member).is_some());
            match (layout.calls(), member) {
                (false, _) => {}
                (true, Some(member)) => problems.member(section, member, FRAMES_ONLY),
                (true, None) => problems.add(section, FRAMES_ONLY),
            }
        }
    }

    /// Whether a list of frames is split, or their tags are.
    pub fn splits(&self) -> bool {
        let mut lists = self.lists().into_iter();
        lists.any(|found| found.list.collect == Some(&Collect::Split))
            || self.records().next().is_some()
    }

    /// The layouts of tags that begin records when they come again.
    fn records(&self) -> impl Iterator<Item = (Option<usize>, &Layout)> {
        let splits = |body: &Body| matches!(body, Body::Tlv(tlv) if tlv.splits());
        let placed = self.placed();
        placed.filter(move |(_, layout)| layout.body.as_ref().is_some_and(splits))
    }

    /// A mistake of a whole field string.
    pub(super) fn problem(
        &self,
        owner: Option<usize>,
        section: &Section<'_>,
        index: usize,
        message: String,
    ) -> Problem {
        let layout = owner.map_or(Some(&self.root), |at| self.layouts.get(at));
        let body = layout.and_then(|layout| layout.body.as_ref());
        let fields = child_pointer(&section.pointer, body.map_or("fields", Body::member));
        Problem {
            pointer: child_pointer(&fields, &index.to_string()),
            column: None,
            message,
        }
    }

    /// Every name that a field string or a `select` needs must be one that something sets.
    fn check_needs<'s>(
        &self,
        section: impl Fn(Option<usize>) -> Option<&'s Section<'s>>,
        problems: &mut Problems,
    ) {
        let (Some(frames), Some(all)) = (self.field_names(), names(self.layouts())) else {
            return;
        };
        let elements = self.elements();
        for (place, layout) in self.placed() {
            let Some(section) = section(place) else {
                continue;
            };
            let known = if place.is_some_and(|at| elements.contains(&at)) {
                &all
            } else {
                &frames
            };
            for uses in layout.body.iter().flat_map(Body::uses) {
                for name in uses.needs.iter().filter(|name| !known.contains(name)) {
                    let message = unknown_word("field", name, known);
                    let at = uses.at.unwrap_or_default();
                    problems.push(self.problem(place, section, at, message));
                }
            }
            let unknown = |name: &&str| !known.contains(name);
            let by = layout.select.as_ref().map(|select| &*select.by);
            if let (Some(by), Some(section)) = (by.filter(unknown), section.member("select")) {
                problems.member(&section, "by", unknown_word("field", by, known));
            }
            for name in layout.type_fields().into_iter().filter(unknown) {
                problems.member(section, "type", unknown_word("field", name, known));
            }
        }
    }

    /// What is wrong with a list.
    fn wrong_list(&self, found: &Found<'_>) -> Option<String> {
        let List {
            name,
            layout,
            collect,
        } = found.list;
        if let Some(message) = layout.and_then(|layout| self.wrong_elements(found.owner, layout)) {
            return Some(message);
        }
        match collect {
            None => None,
            Some(Collect::Split) => self.wrong_split(found),
            Some(Collect::Map { id, value }) => {
                let known = self.element_names(layout?)?;
                let mut unknown = [id, value]
                    .into_iter()
                    .filter(|name| !known.contains(&&***name));
                unknown
                    .next()
                    .map(|name| unknown_word("field", name, &known))
            }
        }
        .map(|message| format!("{name}: {message}"))
    }

    /// Elements are read one behind the other, in the way of the list.
    fn wrong_elements(&self, owner: Option<usize>, layout: usize) -> Option<String> {
        let owner = self.placed().find(|(place, _)| *place == owner);
        let owner = owner.and_then(|(_, owner)| owner.body.as_ref());
        let elements = self.closure([layout], Follow::Selects).into_iter();
        for layout in elements.filter_map(|at| self.layouts.get(at)) {
            let Some(body) = &layout.body else { continue };
            let name = layout.name.as_deref().unwrap_or_default();
            let wrong = match (owner, body) {
                (Some(Body::Csv(list)), Body::Csv(element)) if list.line != element.line => {
                    "has another separator, quote or encoding than the list that it is an element of"
                }
                (Some(Body::Csv(_)), Body::Csv(element))
                    if element.elsewhere().next().is_some() =>
                {
                    "has `at`; the elements of a list of columns are read one behind the other"
                }
                (Some(Body::Csv(_)), Body::Csv(_)) => continue,
                (Some(Body::Csv(_)), _) => {
                    "reads no columns; the elements of this list need layouts of type csv"
                }
                (_, Body::Binary(_)) => continue,
                _ => "reads the whole body; the elements of this list need layouts of type binary",
            };
            return Some(format!("\"{name}\" {wrong}"));
        }
        None
    }

    /// A frame has one list of messages, and only itself.
    fn wrong_split(&self, found: &Found<'_>) -> Option<String> {
        if found
            .owner
            .is_some_and(|owner| self.elements().contains(&owner))
        {
            return Some("`split` is for a list of the frame, not of an element".to_owned());
        }
        let owner = match found.owner {
            None => Some(&self.root),
            Some(owner) => self.layouts.get(owner),
        };
        let behind = owner.map(|owner| self.closure(owner.readers(), Follow::Parts));
        let behind = behind.unwrap_or_default();
        let met = |other: &Found<'_>| {
            other.owner == found.owner || other.owner.is_some_and(|at| behind.contains(&at))
        };
        let others = self.lists().into_iter().filter(met);
        let mut split = others.filter(|other| other.list.collect == Some(&Collect::Split));
        let other = split.find(|other| other.list.name != found.list.name)?;
        Some(format!(
            "only one list of a frame can be split, and `{}` is",
            other.list.name
        ))
    }

    /// All names of elements that a layout reads.
    pub(super) fn element_names(&self, layout: usize) -> Option<Vec<&str>> {
        let layouts = self.closure([layout], Follow::Parts).into_iter();
        names(layouts.filter_map(|at| self.layouts.get(at)))
    }

    pub(super) fn placed(&self) -> impl Iterator<Item = (Option<usize>, &Layout)> {
        let layouts = self
            .layouts
            .iter()
            .enumerate()
            .map(|(at, layout)| (Some(at), layout));
        std::iter::once((None, &self.root)).chain(layouts)
    }

    fn lists(&self) -> Vec<Found<'_>> {
        let placed = self.placed();
        let bodies = placed.filter_map(|(owner, layout)| Some((owner, layout.body.as_ref()?)));
        let lists = bodies.flat_map(|(owner, body)| {
            let lists = body.lists().into_iter();
            lists.map(move |(at, list)| Found { owner, at, list })
        });
        lists.collect()
    }

    /// The layouts that elements are read by.
    fn elements(&self) -> BTreeSet<usize> {
        let lists = self.lists().into_iter();
        self.closure(lists.filter_map(|found| found.list.layout), Follow::Lists)
    }

    /// The layouts that no frame is read by but as an element.
    fn elements_only(&self) -> BTreeSet<usize> {
        let frames = self.closure(self.root.readers(), Follow::Parts);
        self.elements().difference(&frames).copied().collect()
    }

    /// The layouts that no frame is read by but in a part of it.
    fn parts_only(&self) -> BTreeSet<usize> {
        let frames = self.closure(self.root.targets(), Follow::Selects);
        let parts = self.layouts().flat_map(Layout::parts);
        let parts = self.closure(parts, Follow::Parts);
        parts.difference(&frames).copied().collect()
    }

    /// The layouts that no frame, no part and no element is ever read by.
    pub fn unused(&self, named: &[&str]) -> Vec<&Name> {
        let mut first = self.root.readers();
        let lists = self.root.body.iter().flat_map(Body::lists);
        first.extend(lists.filter_map(|(_, list)| list.layout));
        let is_named = |layout: &Layout| {
            layout
                .name
                .as_deref()
                .is_some_and(|name| named.contains(&name))
        };
        let layouts = self.layouts.iter().enumerate();
        first.extend(
            layouts
                .filter(|(_, layout)| is_named(layout))
                .map(|(at, _)| at),
        );
        let used = self.closure(first, Follow::Lists);
        let layouts = self.layouts.iter().enumerate();
        let unused = layouts.filter(move |(at, _)| !used.contains(at));
        unused
            .filter_map(|(_, layout)| layout.name.as_ref())
            .collect()
    }

    /// Layouts, and those that read on from them.
    pub(super) fn closure(
        &self,
        from: impl IntoIterator<Item = usize>,
        follow: Follow,
    ) -> BTreeSet<usize> {
        let mut waiting: Vec<usize> = from.into_iter().collect();
        let mut reached = BTreeSet::new();
        while let Some(at) = waiting.pop() {
            let Some(layout) = self.layouts.get(at).filter(|_| reached.insert(at)) else {
                continue;
            };
            waiting.extend(layout.targets());
            if follow != Follow::Selects {
                waiting.extend(layout.parts());
            }
            if let (Follow::Lists, Some(body)) = (follow, &layout.body) {
                waiting.extend(body.lists().into_iter().filter_map(|(_, list)| list.layout));
            }
        }
        reached
    }
}

fn names<'a>(layouts: impl Iterator<Item = &'a Layout>) -> Option<Vec<&'a str>> {
    let mut names = Vec::new();
    for layout in layouts {
        if layout.script.is_some() {
            return None;
        }
        let Some(body) = &layout.body else { continue };
        names.extend(body.names()?);
    }
    Some(names)
}
