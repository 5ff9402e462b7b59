//! What has been read by the time that something needs it, and layouts that go round in circles.

use std::collections::BTreeSet;

use super::layout::{Layout, Tree};
use super::names::Follow;
use super::{Body, Use};
use crate::document::{Problems, Section};

/// Names that may have been read; `None` where frames bring names of their own.
type Known<'a> = Option<BTreeSet<&'a str>>;

impl Tree {
    /// Finds names that are needed before they are read, and layouts that select themselves.
    pub fn check_order(
        &self,
        decode: &Section<'_>,
        layouts: &[(&str, Section<'_>)],
        problems: &mut Problems,
    ) {
        let mut found = Problems::new();
        for (at, (name, section)) in layouts.iter().enumerate() {
            let Some(layout) = self.layouts.get(at) else {
                continue;
            };
            if self
                .closure(layout.targets(), Follow::Selects)
                .contains(&at)
            {
                let message = format!("\"{name}\" comes to itself again by what it selects");
                found.member(section, "select", message);
            }
        }
        let unused = self.unused(&[]);
        let befores = self.befores();
        for ((place, layout), before) in self.placed().zip(&befores) {
            let section = match place {
                None => Some(decode),
                Some(at) => layouts.get(at).map(|(_, section)| section),
            };
            let (Some(section), Some(before)) = (section, before) else {
                continue;
            };
            if !layout
                .name
                .as_ref()
                .is_some_and(|name| unused.contains(&name))
            {
                self.check_layout((place, layout), before, section, &mut found);
            }
        }
        // A name that nothing sets has been said already.
        let known: BTreeSet<String> = problems
            .as_slice()
            .iter()
            .map(|of| of.pointer.clone())
            .collect();
        let news = found
            .as_slice()
            .iter()
            .filter(|of| !known.contains(&of.pointer));
        news.for_each(|of| problems.push(of.clone()));
    }

    /// What may have been read before each layout begins, the decoder first.
    fn befores(&self) -> Vec<Known<'_>> {
        let mut befores = vec![Some(BTreeSet::new()); self.layouts.len().saturating_add(1)];
        let mut waiting: Vec<Option<usize>> = self.placed().map(|(place, _)| place).collect();
        while let Some(place) = waiting.pop() {
            let index = index(place);
            let layout = match place {
                None => Some(&self.root),
                Some(at) => self.layouts.get(at),
            };
            let (Some(layout), Some(before)) = (layout, befores.get(index).cloned()) else {
                continue;
            };
            for (target, known) in self.handed_on(layout, before) {
                let Some(slot) = befores.get_mut(target.saturating_add(1)) else {
                    continue;
                };
                if merge(slot, known) {
                    waiting.push(Some(target));
                }
            }
        }
        befores
    }

    /// What a layout hands on to the layouts that it selects, and to those of its lists and parts.
    fn handed_on<'a>(&'a self, layout: &'a Layout, before: Known<'a>) -> Vec<(usize, Known<'a>)> {
        let mut known = self.at_the_beginning(layout, before);
        let mut on = Vec::new();
        let lists = layout.body.as_ref().map(Body::lists).unwrap_or_default();
        for (at, uses) in layout.body.iter().flat_map(Body::uses).enumerate() {
            let elements = lists.iter().filter(|(place, _)| *place == at);
            let elements = elements.filter_map(|(_, list)| list.layout);
            on.extend(elements.map(|element| (element, known.clone())));
            if let Some(part) = uses.with {
                // What is made at the end may see whatever the frame has.
                let mut inside = known.clone().filter(|_| !uses.late);
                inside.iter_mut().for_each(|known| known.extend(&uses.sets));
                on.push((part, inside));
            }
            self.learn(&uses, &mut known);
        }
        let targets = layout.targets().into_iter();
        on.extend(targets.map(|target| (target, known.clone())));
        on
    }

    /// What may be known where a layout begins, and what its frames bring in any order.
    fn at_the_beginning<'a>(&'a self, layout: &'a Layout, before: Known<'a>) -> Known<'a> {
        let mut known = before;
        let Some(body) = &layout.body else {
            return known;
        };
        if body.brings_names() {
            return None;
        }
        if !body.in_order() {
            let uses = body.uses();
            uses.iter().for_each(|uses| self.learn(uses, &mut known));
        }
        known
    }

    /// Adds what a field string sets, and the layout that reads its value.
    fn learn<'a>(&'a self, uses: &Use<'a>, known: &mut Known<'a>) {
        if uses.late {
            return;
        }
        let part = uses.with.map(|part| self.element_names(part));
        match (known.as_mut(), part) {
            (None, _) => {}
            (_, Some(None)) => *known = None,
            (Some(names), part) => {
                names.extend(&uses.sets);
                names.extend(part.flatten().unwrap_or_default());
            }
        }
    }

    fn check_layout<'a>(
        &'a self,
        (place, layout): (Option<usize>, &'a Layout),
        before: &BTreeSet<&'a str>,
        section: &Section<'_>,
        problems: &mut Problems,
    ) {
        let brings_names = layout.body.as_ref().is_some_and(Body::brings_names);
        let mut known = Some(before.clone());
        if !brings_names {
            known = self.at_the_beginning(layout, known);
        }
        for uses in layout.body.iter().flat_map(Body::uses) {
            let Some(names) = &known else { return };
            for name in uses.before.iter().filter(|name| !names.contains(*name)) {
                let message = format!("`{name}` is not read before this field");
                let at = uses.at.unwrap_or_default();
                problems.push(self.problem(place, section, at, message));
            }
            self.learn(&uses, &mut known);
        }
        if let Some(known) = known.filter(|_| !brings_names) {
            self.check_end(layout, &known, section, problems);
        }
    }

    /// What needs the names that a layout knows when it has been read.
    fn check_end(
        &self,
        layout: &Layout,
        known: &BTreeSet<&str>,
        section: &Section<'_>,
        problems: &mut Problems,
    ) {
        let by = layout.select.as_ref().map(|select| &*select.by);
        if let (Some(by), Some(select)) = (
            by.filter(|by| !known.contains(by)),
            section.member("select"),
        ) {
            let message = format!("`{by}` is not read before it chooses a layout");
            problems.member(&select, "by", message);
        }
        let late = self.made_late();
        for name in layout.type_fields() {
            if !known.contains(name) && late.as_ref().is_some_and(|late| !late.contains(name)) {
                let message = format!("`{name}` is read by no frame of this layout");
                problems.member(section, "type", message);
            }
        }
    }

    /// Names that are there at the end only, wherever they are made.
    fn made_late(&self) -> Known<'_> {
        let mut names = Some(BTreeSet::new());
        let bodies = self.layouts().filter_map(|layout| layout.body.as_ref());
        for mut uses in bodies.flat_map(Body::uses).filter(|uses| uses.late) {
            uses.late = false;
            self.learn(&uses, &mut names);
        }
        names
    }
}

fn index(place: Option<usize>) -> usize {
    place.map_or(0, |at| at.saturating_add(1))
}

/// Adds names to a place; whether that is news there.
fn merge<'a>(slot: &mut Known<'a>, known: Known<'a>) -> bool {
    match (slot.as_mut(), known) {
        (None, _) => false,
        (Some(_), None) => {
            *slot = None;
            true
        }
        (Some(names), Some(more)) => {
            let before = names.len();
            names.extend(more);
            names.len() > before
        }
    }
}
