//! Every pack is whole, registered and listed.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use edge_tcp_gateway::settings::{Presets, Settings};
use serde_json::Value;

use super::{folders, protocols};

/// What the page of a pack says in its table.
const ROWS: [&str; 5] = ["Devices", "Transport", "Limits", "Values", "Source"];

fn page(name: &str) -> String {
    let path = protocols().join(name).join("README.md");
    fs::read_to_string(path).unwrap_or_else(|error| panic!("protocols/{name}/README.md: {error}"))
}

fn title(page: &str) -> &str {
    let first = page.lines().next().and_then(|line| line.strip_prefix("# "));
    first.expect("the page begins with its title")
}

fn row<'p>(name: &str, page: &'p str, word: &str) -> &'p str {
    let start = format!("| {word} | ");
    let found = page
        .lines()
        .find_map(|line| line.strip_prefix(&*start)?.strip_suffix(" |"));
    found.unwrap_or_else(|| panic!("protocols/{name}/README.md: no row `{start}… |`"))
}

#[test]
fn every_folder_is_a_preset_and_every_preset_is_whole() {
    let registered: Vec<&str> = Presets::all().iter().map(|preset| preset.name).collect();
    let of_folders: Vec<String> = folders().iter().map(|name| format!("{name}@1")).collect();
    assert_eq!(
        registered, of_folders,
        "left: src/settings/presets.rs, right: protocols/"
    );
    for (preset, name) in Presets::all().iter().zip(folders()) {
        for file in ["protocol.json", "README.md", "golden.json"] {
            let path = protocols().join(&name).join(file);
            assert!(path.is_file(), "{} is missing", path.display());
        }
        let page = page(&name);
        assert_eq!(
            preset.title,
            title(&page),
            "left: src/settings/presets.rs, right: protocols/{name}/README.md"
        );
        for word in ROWS {
            assert!(!row(&name, &page, word).is_empty());
        }
    }
}

#[test]
fn the_page_of_every_pack_shows_valid_settings_that_use_it() {
    for name in folders() {
        let page = page(&name);
        let samples: Vec<&str> = page.split("```json\n").skip(1).collect();
        assert!(
            !samples.is_empty(),
            "protocols/{name}/README.md has no sample"
        );
        for sample in samples {
            let text = sample.split("```").next().expect("a sample");
            let settings: Value =
                serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"));
            assert!(
                text.contains(&format!("\"{name}@1\"")),
                "{text} does not use {name}@1"
            );
            if let Err(problems) = Settings::parse(&settings, &Presets::built_in()) {
                panic!("protocols/{name}/README.md: {:#?}", problems.as_slice());
            }
        }
    }
}

#[test]
fn the_list_of_protocols_is_up_to_date() {
    let mut list = String::from(
        "# Protocols\n\nShipped with the module: `{\"preset\": \"NAME@1\"}` in `protocols` uses one. \
         `edge-tcp-gateway presets` lists them, `edge-tcp-gateway presets NAME` prints one to begin from. \
         `workbench simulate NAME` plays its devices.\n\n\
         | preset | what it is | transport |\n|---|---|---|\n",
    );
    for name in folders() {
        let page = page(&name);
        let (title, transport) = (title(&page), row(&name, &page, "Transport"));
        writeln!(
            list,
            "| [`{name}@1`](../protocols/{name}/README.md) | {title} | {transport} |"
        )
        .expect("text");
    }
    list.push_str("\nThis page is made of the pages of the protocols: `WRITE_PAGES=1 cargo test --test integration list_of_protocols` writes it.\n");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/protocols.md");
    if std::env::vars().any(|(name, _)| name == "WRITE_PAGES") {
        fs::write(&path, &list).expect("the page is written");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == list,
        "docs/protocols.md is not what the protocols say; its last line tells how it is made"
    );
}
