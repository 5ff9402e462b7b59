//! The guide's commands, run as it shows them, and its links into the page of settings.

use std::collections::BTreeSet;

use crate::page;

const PROGRAM: &str = env!("CARGO_BIN_EXE_edge-tcp-gateway");

#[test]
fn the_commands_of_the_guide_print_what_it_shows() {
    let folder = tempfile::tempdir().expect("a folder");
    page::write_files(folder.path());
    let commands = page::commands("edge-tcp-gateway");
    assert_eq!(commands.len(), 7);
    for shown in commands {
        shown.check(folder.path(), PROGRAM);
    }
}

#[test]
fn the_links_of_the_guide_lead_to_sections() {
    let settings = include_str!("../../docs/settings.md");
    let headings = settings.lines().filter(|line| line.starts_with("##"));
    let sections: BTreeSet<String> = headings
        .map(|line| line.trim_start_matches('#').trim().to_lowercase())
        .map(|heading| heading.replace(' ', "-"))
        .collect();
    let guide = include_str!("../../docs/guide.md");
    let links = guide.split("(settings.md#").skip(1);
    let links: BTreeSet<&str> = links.filter_map(|rest| rest.split(')').next()).collect();
    assert!(links.len() > 10);
    for link in links {
        assert!(sections.contains(link), "{link} is no section");
    }
}
