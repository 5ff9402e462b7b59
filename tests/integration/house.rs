//! What ARCHITECTURE.md says of the source tree, held against the source tree.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;
use serde_json::Value;

/// Packages that would bring a C library, or a second TLS, into the product.
const UNWANTED: [&str; 5] = [
    "openssl",
    "openssl-sys",
    "native-tls",
    "aws-lc-rs",
    "aws-lc-sys",
];

/// Words that no pure room says.
const IMPURE: [&str; 10] = [
    "tokio::",
    "std::net::Tcp",
    "std::net::Udp",
    "std::fs",
    "std::io::",
    "async ",
    "fastrand",
    "getrandom",
    "Instant::now",
    "SystemTime::now",
];

/// A row of the map of rooms.
struct Room {
    name: String,
    imports: BTreeSet<String>,
    pure: bool,
}

#[test]
fn each_room_imports_what_the_map_says_and_only_from_above() {
    let map = map();
    let mapped: BTreeSet<String> = map.iter().map(|room| room.name.clone()).collect();
    assert_eq!(mapped, room_names(), "left: ARCHITECTURE.md, right: src/");
    let mut above = BTreeSet::new();
    for Room { name, imports, .. } in map {
        assert_eq!(
            imports,
            imports_of(&name),
            "what `{name}` imports; left: ARCHITECTURE.md, right: src/"
        );
        let below: Vec<_> = imports.difference(&above).collect();
        assert!(below.is_empty(), "`{name}` imports {below:?} from below");
        above.insert(name);
    }
}

#[test]
fn pure_rooms_know_no_runtime_socket_file_clock_or_chance() {
    let pure: Vec<Room> = map().into_iter().filter(|room| room.pure).collect();
    assert!(pure.len() > 10, "the map marks the pure rooms");
    for file in pure.iter().flat_map(|room| product_files(&room.name)) {
        let text = product_text(&file);
        for word in IMPURE {
            assert!(!text.contains(word), "`{word}` in {}", file.display());
        }
    }
}

#[test]
fn every_direct_dependency_has_its_reason_and_every_reason_its_dependency() {
    let explained: BTreeSet<String> = table("Dependencies")
        .iter()
        .flat_map(|row| {
            assert!(row[1].len() > 10, "the reason for {} is missing", row[0]);
            names(&row[0]).collect::<Vec<_>>()
        })
        .collect();
    let metadata = metadata();
    let used: BTreeSet<String> = members(&metadata)
        .flat_map(|package| array(&package["dependencies"]))
        .map(|dependency| text(&dependency["name"]))
        .collect();
    assert_eq!(explained, used, "left: ARCHITECTURE.md, right: Cargo.toml");
}

#[test]
fn the_product_holds_no_openssl_and_c_of_ring_and_the_script_engine_alone() {
    let metadata = metadata();
    let product = product_packages(&metadata);
    let packages: Vec<&Value> = array(&metadata["packages"])
        .filter(|package| product.contains(&text(&package["id"])))
        .collect();
    assert!(
        packages.len() > 50,
        "the whole tree was walked: {}",
        packages.len()
    );
    let linking: BTreeSet<String> = packages
        .iter()
        .filter(|package| !package["links"].is_null())
        .map(|package| text(&package["name"]))
        .collect();
    assert_eq!(linking, BTreeSet::from(["ring".to_owned()]));
    let compiling: BTreeSet<String> = packages
        .iter()
        .filter(|package| array(&package["dependencies"]).any(|needs| needs["name"] == "cc"))
        .map(|package| text(&package["name"]))
        .collect();
    let known = ["ring", "rquickjs-sys"].map(str::to_owned);
    assert_eq!(compiling, BTreeSet::from(known));
    for package in packages {
        let name = text(&package["name"]);
        assert!(
            !UNWANTED.contains(&name.as_str()),
            "{name} is in the product"
        );
    }
}

#[test]
fn the_images_know_every_package_of_the_workspace() {
    let metadata = metadata();
    for processor in ["amd64", "arm32v7", "arm64v8"] {
        let name = format!("Dockerfile.{processor}");
        let dockerfile = read(Path::new(&name));
        for package in members(&metadata) {
            let manifest = text(&package["manifest_path"]);
            let manifest = Path::new(&manifest)
                .strip_prefix(env!("CARGO_MANIFEST_DIR"))
                .expect("a member lies inside the workspace");
            let copied = dockerfile
                .lines()
                .filter(|line| line.starts_with("COPY "))
                .any(|line| {
                    line.split_whitespace()
                        .any(|word| Path::new(word) == manifest)
                });
            assert!(copied, "{name} does not copy {}", manifest.display());
        }
    }
}

fn map() -> Vec<Room> {
    let rows = table("Rooms and what they import").into_iter();
    rows.map(|row| Room {
        name: names(&row[0]).collect(),
        imports: names(&row[1]).collect(),
        pure: row[2].starts_with("pure"),
    })
    .collect()
}

/// The rows of the first table behind that heading of ARCHITECTURE.md, without its head.
fn table(heading: &str) -> Vec<Vec<String>> {
    let page = read(Path::new("ARCHITECTURE.md"));
    let rows: Vec<Vec<String>> = page
        .lines()
        .skip_while(|line| *line != format!("## {heading}"))
        .skip(1)
        .take_while(|line| !line.starts_with("## "))
        .filter(|line| line.starts_with('|'))
        .skip(2)
        .map(|line| {
            line.trim_matches('|')
                .split('|')
                .map(|cell| cell.trim().to_owned())
                .collect()
        })
        .collect();
    assert!(!rows.is_empty(), "ARCHITECTURE.md has no table {heading}");
    rows
}

/// The names in a cell, which stand between commas.
fn names(cell: &str) -> impl Iterator<Item = String> {
    cell.split(',')
        .map(|name| name.trim().trim_matches('`').to_owned())
        .filter(|name| !name.is_empty())
}

fn room_names() -> BTreeSet<String> {
    fs::read_dir(root().join("src"))
        .expect("src/ is readable")
        .map(|entry| entry.expect("src/ is readable").path())
        .filter_map(|path| path.file_stem()?.to_str().map(str::to_owned))
        .filter(|name| name != "lib")
        .collect()
}

/// The other rooms that a room's product code names.
fn imports_of(room: &str) -> BTreeSet<String> {
    let path = Regex::new(r"\b(?:crate|edge_tcp_gateway)::(\w+|\{[^}]*\})").expect("a pattern");
    let name = Regex::new(r"(?:^|[{,])\s*(\w+)").expect("a pattern");
    let rooms = room_names();
    let mut found = BTreeSet::new();
    for file in product_files(room) {
        let text = product_text(&file);
        for named in path.captures_iter(&text) {
            found.extend(name.captures_iter(&named[1]).map(|name| name[1].to_owned()));
        }
    }
    found.retain(|name| name != room && rooms.contains(name));
    found
}

/// A room's files but its tests.
fn product_files(room: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open = vec![
        root().join("src").join(room),
        root().join("src").join(format!("{room}.rs")),
    ];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(
                fs::read_dir(&path)
                    .expect("src/ is readable")
                    .map(|entry| entry.expect("src/ is readable").path())
                    .filter(|path| path.file_stem().is_some_and(|stem| stem != "tests")),
            );
        } else if path.is_file() {
            files.push(path);
        }
    }
    files
}

/// A file without its comments and its tests.
fn product_text(file: &Path) -> String {
    let text = read(file);
    let mut lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let mut product = String::new();
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]" {
            match lines.next() {
                Some(module) if module.ends_with(';') => continue,
                _ => break,
            }
        }
        product.push_str(line);
        product.push('\n');
    }
    product
}

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("cargo writes JSON")
}

fn members(metadata: &Value) -> impl Iterator<Item = &Value> {
    let ids: BTreeSet<String> = array(&metadata["workspace_members"]).map(text).collect();
    array(&metadata["packages"]).filter(move |package| ids.contains(&text(&package["id"])))
}

/// The ids of all packages that the module is built from, on any processor, without what only tests use.
fn product_packages(metadata: &Value) -> BTreeSet<String> {
    let nodes: BTreeMap<String, &Value> = array(&metadata["resolve"]["nodes"])
        .map(|node| (text(&node["id"]), node))
        .collect();
    let mut product = BTreeSet::new();
    let mut open = vec![text(&metadata["resolve"]["root"])];
    while let Some(id) = open.pop() {
        if !product.insert(id.clone()) {
            continue;
        }
        open.extend(
            array(&nodes[&id]["deps"])
                .filter(|dependency| {
                    array(&dependency["dep_kinds"]).any(|kind| kind["kind"] != "dev")
                })
                .map(|dependency| text(&dependency["pkg"])),
        );
    }
    product
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().expect("an array").iter()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn read(path: &Path) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
