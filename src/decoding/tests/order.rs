//! Mistakes between field strings, cases and layouts.

use serde_json::{Value as Json, json};

use crate::decoding::{Problems, Section, read};

fn problems(decode: &Json, layouts: &Json) -> Vec<(String, Option<usize>, String)> {
    let mut problems = Problems::new();
    read(
        Some(&Section::root(decode)),
        Some(&Section::root(layouts)),
        &mut problems,
    );
    let problems = problems.as_slice().iter();
    problems
        .map(|of| (of.pointer.clone(), of.column, of.message.clone()))
        .collect()
}

fn check(decode: &Json, layouts: &Json, expected: &[(&str, Option<usize>, &str)]) {
    let found = problems(decode, layouts);
    let fits = found.iter().zip(expected).all(|(found, expected)| {
        found.0 == expected.0 && found.1 == expected.1 && found.2.contains(expected.2)
    });
    assert!(
        fits && found.len() == expected.len(),
        "{found:#?} for {decode} {layouts}"
    );
}

#[test]
fn csv_and_key_value_say_what_is_wrong() {
    for (decode, expected) in [
        (
            json!({"separator": ""}),
            &[("/separator", None, "1 to 16 bytes")][..],
        ),
        (json!({"separator": "0x1"}), &[("/separator", Some(3), "")]),
        (json!({"quote": "''"}), &[("/quote", None, "one byte")]),
        (
            json!({"encoding": "latin2"}),
            &[("/encoding", None, "latin1")],
        ),
        (
            json!({"seperator": ","}),
            &[("/seperator", None, "did you mean \"separator\"")],
        ),
        (
            json!({"fields": ["skip", "skip 0", "skip 2 round 1", "a: at x"]}),
            &[
                ("/fields/0", Some(5), "how many columns"),
                ("/fields/1", Some(6), "from 1"),
                ("/fields/2", Some(8), "not expected"),
                ("/fields/3", Some(7), "column"),
            ],
        ),
        (
            json!({"fields": ["weight number", "a: nummer", "b: repeat 2 'number drop'", "c: repeat 2 lay", "d: repeat 2 'at 1'", "e: repeat 2 'join a'",
                "f: repeat 2 'text with x'"]}),
            &[
                ("/fields/0", Some(8), "name: type"),
                ("/fields/1", Some(4), "unknown step"),
                ("/fields/2", Some(14), "use a layout"),
                ("/fields/3", Some(13), "layout"),
                ("/fields/4", Some(14), "use a layout"),
                ("/fields/5", Some(14), "use a layout"),
                ("/fields/6", Some(24), "layout"),
            ],
        ),
    ] {
        let mut decode = decode;
        decode["type"] = json!("csv");
        check(&decode, &json!({}), expected);
    }
    let pairs = json!({"type": "key-value", "equals": "", "quote": ",", "fields": ["skip 2", "a: repeat 2 'text'"]});
    check(
        &pairs,
        &json!({}),
        &[
            ("/quote", None, "unknown"),
            ("/fields/0", Some(6), "name: type"),
            ("/fields/1", Some(4), "csv"),
            ("/equals", None, "1 to 16"),
        ],
    );
    let text = json!({"type": "text", "fields": ["a: number at 3"]});
    check(
        &text,
        &json!({}),
        &[("/fields/0", Some(14), "`at` says nothing")],
    );
}

#[test]
fn elements_are_read_in_the_way_of_their_list() {
    let csv = |layout: Json| {
        (
            json!({"type": "csv", "fields": ["v: repeat rest a"]}),
            json!({"a": layout}),
        )
    };
    for (layout, part) in [
        (json!({"fields": ["x: at 2"]}), "has `at`"),
        (
            json!({"separator": ";", "fields": ["x"]}),
            "another separator",
        ),
        (json!({"type": "binary", "fields": ["x: u8"]}), "type csv"),
        (json!({"type": "key-value"}), "type csv"),
    ] {
        let (decode, layouts) = csv(layout);
        check(&decode, &layouts, &[("/fields/0", None, part)]);
    }
    check(
        &json!({"type": "binary", "fields": ["v: repeat rest a"]}),
        &json!({"a": {"type": "csv", "fields": ["x"]}}),
        &[("/fields/0", None, "type binary")],
    );
}

#[test]
fn a_case_that_an_earlier_one_hides_is_a_mistake() {
    let decode = json!({"type": "csv", "fields": ["k: integer"], "select": {"by": "k", "cases": [
        [1, "a"], ["2|3", "a"], ["0x03", "b"], ["1..9", "b"], [7, "a"], ["8 | ", "a"], ["9..8", "a"], [[1], "a"], ["x|'y", "a"]]}});
    check(
        &decode,
        &json!({"a": {}, "b": {}}),
        &[
            ("/select/cases/2/0", None, "`0x03`"),
            ("/select/cases/4/0", None, "`7`"),
            ("/select/cases/5/0", Some(5), "expected a value"),
            ("/select/cases/6/0", Some(1), "holds nothing"),
            ("/select/cases/7/0", None, "an array"),
            ("/select/cases/8/0", Some(3), "not closed"),
        ],
    );
}

#[test]
fn names_must_have_been_read() {
    let select = |by: &str, layout: &str| json!({"by": by, "cases": [], "default": layout});
    for (decode, layouts, expected) in [
        // Only later, in the same layout and in the next.
        (
            json!({"type": "binary", "fields": ["a: u8 if b = 1", "b: u8", "c: ascii d", "d: u8", "e: repeat e 'u8'"]}),
            json!({}),
            &[
                ("/fields/0", None, "`b` is not read before"),
                ("/fields/2", None, "`d`"),
                ("/fields/4", None, "`e`"),
            ][..],
        ),
        (
            json!({"type": "csv", "fields": ["a", "b: if c = 1"], "select": select("x", "l")}),
            json!({"l": {"fields": ["x", "c"]}}),
            &[
                ("/fields/1", None, "`c` is not read before"),
                ("/select/by", None, "`x` is not read before"),
            ],
        ),
        // In another branch only.
        (
            json!({"type": "csv", "fields": ["k"], "select": {"by": "k", "cases": [["1", "l"], ["2", "m"]]}}),
            json!({"l": {"fields": ["x"]}, "m": {"fields": ["y: if x = 1"], "type": "{x}-{k}"}}),
            &[
                ("/m/fields/0", None, "`x` is not read before"),
                ("/m/type", None, "`x` is read by no frame"),
            ],
        ),
        // Elements see what stands before their list.
        (
            json!({"type": "csv", "fields": ["k", "v: repeat 2 l", "w"]}),
            json!({"l": {"fields": ["x: if k = 1 and w = 1"]}}),
            &[("/l/fields/0", None, "`w`")],
        ),
        (
            json!({"type": "regex", "pattern": "(?P<a>.)(?P<b>.)", "fields": ["b", "a: if b = 1"]}),
            json!({}),
            &[("/fields/1", None, "`b`")],
        ),
        (
            json!({"type": "json", "fields": ["a: if x = 1", "b: if a = 1"], "select": select("a", "l")}),
            json!({"l": {"type": "csv", "fields": ["c: if y = 1"]}}),
            &[("/fields/0", None, "`x`")],
        ),
        (
            json!({"type": "csv", "fields": ["k"], "select": select("k", "l")}),
            json!({"l": {"fields": ["x"], "type": "{kk}"}}),
            &[("/l/type", None, "did you mean \"k\"")],
        ),
        // What is made at the end has its condition in its place.
        (
            json!({"type": "binary", "fields": ["all: join a if a = 8", "a: u8"]}),
            json!({}),
            &[("/fields/0", None, "`a` is not read before")],
        ),
        // Nothing can wait for what is made at the end; a message's type can.
        (
            json!({"type": "csv", "fields": ["a", "b: join a a", "c: if b = 1"], "select": select("b", "l")}),
            json!({"l": {"fields": ["d: if b = 1"], "type": "{b}-{d}"}}),
            &[
                ("/fields/2", None, "`b` is not read before"),
                ("/select/by", None, "`b` is not read before"),
                ("/l/fields/0", None, "`b` is not read before"),
            ],
        ),
        (
            json!({"type": "csv", "fields": ["b: join a a with l", "a"], "select": select("a", "m")}),
            json!({"l": {"fields": ["d: if a = 1 and e = 1"]}, "m": {"fields": ["e"], "type": "{d}"}}),
            &[],
        ),
        // A part sees what stands before its field, and what stands behind it sees the part.
        (
            json!({"type": "csv", "fields": ["a", "p: with l if x = 1", "b: if x = 1 and y = 2 and z = 3", "z"]}),
            json!({"l": {"type": "binary", "fields": ["x: u8 if a = 1 and z = 1"], "select": select("x", "m")},
                "m": {"fields": ["y: if p = 1 and b = 1"]}}),
            &[
                ("/fields/1", None, "`x` is not read before"),
                ("/fields/2", None, "`z` is not read before"),
                ("/l/fields/0", None, "`z` is not read before"),
                ("/m/fields/0", None, "`b` is not read before"),
            ],
        ),
        // Frames choose the order of tags; a mistake is said at its case.
        (
            json!({"type": "tlv", "tag": "u8", "size": "u8", "cases": [
                [1, "a: u8 if b = 1"], [2, "b: u8 if x = 1"], [3, "l"], [4, "c: ascii rest with m if y = 1"]]}),
            json!({"l": {"fields": ["x: u8 if a = 1 and other = 1"]}, "m": {"fields": ["y: u8"]},
                "n": {"fields": ["other: u8"]}}),
            &[("/l/fields/0", None, "`other` is not read before")],
        ),
        (
            json!({"type": "binary", "fields": ["t: bytes 2 with l", "later: u8"]}),
            json!({"l": {"type": "tlv", "tag": "u8", "size": "u8", "cases": [[1, "a: u8"], [2, "b: u8 if later = 1"]]}}),
            &[("/l/cases/1", None, "`later` is not read before")],
        ),
        // Nothing is known of what a part of JSON has.
        (
            json!({"type": "csv", "fields": ["p: with l", "b: if x = 1"], "select": select("y", "m")}),
            json!({"l": {"type": "json"}, "m": {}}),
            &[],
        ),
        // None of these is one.
        (
            json!({"type": "binary", "fields": ["n: u8", "a: u8 neg b", "b: ascii n if a = 1"], "select": select("b", "l")}),
            json!({"l": {"fields": ["c: u8 if b = 1", "d: u8 if c = 1"], "type": "{n}-{d}"}}),
            &[],
        ),
    ] {
        check(&decode, &layouts, expected);
    }
}

#[test]
fn layouts_that_select_each_other_in_a_circle_are_mistakes() {
    let select = |layout: &str| json!({"select": {"by": "k", "cases": [], "default": layout}});
    check(
        &json!({"type": "csv", "fields": ["k"], "select": {"by": "k", "cases": [["1", "a"]], "default": "c"}}),
        &json!({"a": select("b"), "b": select("a"), "c": select("a")}),
        &[
            ("/a/select", None, "comes to itself"),
            ("/b/select", None, "comes to itself"),
        ],
    );
    // A part in a part ends with the bytes.
    check(
        &json!({"type": "binary", "fields": ["k: u8"], "select": {"by": "k", "cases": [], "default": "a"}}),
        &json!({"a": select("b"), "b": {"fields": ["more: bytes rest with a"]}}),
        &[],
    );
    // A list in a list of its own kind ends with the bytes.
    let tree = json!({"tree": {"fields": ["n: u8", "nodes: repeat n tree"]}});
    check(
        &json!({"type": "binary", "fields": ["t: repeat rest tree"]}),
        &tree,
        &[],
    );
}

#[test]
fn layouts_that_nothing_selects_are_known() {
    let decode = json!({"type": "csv", "fields": ["k", "v: repeat 1 e", "w: with p"], "select": {"by": "k", "cases": [["1", "a"]]}});
    let layouts = json!({"a": {}, "e": {"fields": ["x: with q"]}, "p": {"fields": ["y: repeat 1 r"]}, "q": {}, "r": {}, "b": {"select": {"by": "k", "cases": [["1", "c"]]}}, "c": {}});
    let decoder = read(
        Some(&Section::root(&decode)),
        Some(&Section::root(&layouts)),
        &mut Problems::new(),
    );
    let decoder = decoder.unwrap();
    let unused: Vec<_> = decoder
        .unused_layouts(&[])
        .into_iter()
        .map(|name| &**name)
        .collect();
    assert_eq!(unused, ["b", "c"]);
}
