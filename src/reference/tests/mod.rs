mod corpus;
mod mutations;
mod schema;

use super::{Arguments, run};

fn printed(reference: bool) -> String {
    let mut out = Vec::new();
    assert_eq!(run(&Arguments { reference }, &mut out).unwrap(), 0);
    String::from_utf8(out).unwrap()
}

#[test]
fn the_page_is_as_it_is_made() {
    let path = format!("{}/docs/reference.md", env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(path).unwrap();
    assert!(
        page == printed(true),
        "write it again: edge-tcp-gateway schema --reference > docs/reference.md"
    );
}

/// The names of headings as links to them say.
fn anchors(page: &str) -> Vec<String> {
    let headings = page.lines().filter(|line| line.starts_with('#'));
    let plain = |line: &str| {
        line.trim_start_matches('#')
            .trim()
            .to_lowercase()
            .replace(' ', "-")
    };
    headings.map(plain).collect()
}

#[test]
fn every_link_of_the_page_leads_to_a_heading() {
    let page = printed(true);
    let anchors = anchors(&page);
    let links = page
        .split("](#")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    let lost: Vec<&str> = links
        .filter(|link| !anchors.contains(&(*link).to_owned()))
        .collect();
    assert!(lost.is_empty(), "{lost:?}");
    let mut once = anchors.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), anchors.len(), "a heading stands there twice");
}
