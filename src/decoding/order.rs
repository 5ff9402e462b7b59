//! What has been read by the time that something needs it, and layouts that go round in circles.

use std::collections::BTreeSet;

use super::layout::{Layout, Tree};
use super::{Body, Use, field_problem};
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
            if self.closure(layout.targets(), false).contains(&at) {
                let message = format!("\"{name}\" comes to itself again by what it selects");
                found.member(section, "select", message);
            }
        }
        let unused: Vec<_> = self.unused().collect();
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
                check_layout(layout, before.clone(), section, &mut found);
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
            for (target, known) in handed_on(layout, &before) {
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
}

fn index(place: Option<usize>) -> usize {
    place.map_or(0, |at| at.saturating_add(1))
}

/// What a layout hands on to the layouts that it selects, and to those of its lists.
fn handed_on<'a>(layout: &'a Layout, before: &Known<'a>) -> Vec<(usize, Known<'a>)> {
    let mut on = Vec::new();
    for (at, list) in layout.body.iter().flat_map(Body::lists) {
        if let Some(element) = list.layout {
            let earlier = |uses: &Use<'_>| uses.at.is_none_or(|place| place < at);
            on.push((element, with(layout, before, earlier)));
        }
    }
    let all = with(layout, before, |_| true);
    on.extend(
        layout
            .targets()
            .into_iter()
            .map(|target| (target, all.clone())),
    );
    on
}

/// The names before a layout, and those that some of its field strings set.
fn with<'a>(layout: &'a Layout, before: &Known<'a>, some: impl Fn(&Use<'_>) -> bool) -> Known<'a> {
    let mut known = before.clone()?;
    let Some(body) = &layout.body else {
        return Some(known);
    };
    if body.brings_names() {
        return None;
    }
    let uses = body.uses().into_iter().filter(some);
    known.extend(uses.flat_map(|uses| uses.sets));
    Some(known)
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

fn check_layout<'a>(
    layout: &'a Layout,
    before: BTreeSet<&'a str>,
    section: &Section<'_>,
    problems: &mut Problems,
) {
    let mut known = before;
    for uses in layout.body.iter().flat_map(Body::uses) {
        for name in uses.before.iter().filter(|name| !known.contains(*name)) {
            let message = format!("`{name}` is not read before this field");
            field_problem(section, uses.at.unwrap_or_default(), message, problems);
        }
        known.extend(uses.sets);
    }
    if layout.body.as_ref().is_some_and(Body::brings_names) {
        return;
    }
    let by = layout.select.as_ref().map(|select| &*select.by);
    if let (Some(by), Some(select)) = (
        by.filter(|by| !known.contains(by)),
        section.member("select"),
    ) {
        let message = format!("`{by}` is not read before it chooses a layout");
        problems.member(&select, "by", message);
    }
    for name in layout.type_fields() {
        if !known.contains(name) {
            let message = format!("`{name}` is read by no frame of this layout");
            problems.member(section, "type", message);
        }
    }
}
