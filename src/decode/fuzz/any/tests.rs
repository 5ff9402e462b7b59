use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::conversation::{Counted, Reason};
use crate::decoding::schema::{STEPS, TYPES};
use crate::settings::schema::schema;

/// Recipes of the tests that count.
const RECIPES: u32 = 1000;

fn recipes() -> impl Iterator<Item = Vec<u8>> {
    (0..RECIPES).map(|number| {
        let mut chance = chance(&number.to_be_bytes());
        (0..200).map(|_| chance()).collect()
    })
}

#[test]
fn recipes_differ() {
    let all: BTreeSet<_> = recipes().map(|recipe| recipe[..16].to_vec()).collect();
    assert_eq!(all.len(), RECIPES as usize);
}

/// The valid ones of the documents that the recipes make, and what is wrong with the others, how often.
fn documents_of_recipes() -> (Vec<Value>, BTreeMap<String, u32>) {
    let (mut valid, mut wrong) = (Vec::new(), BTreeMap::new());
    for recipe in recipes() {
        let document = documents::document(&mut Choices::new(&recipe));
        match Settings::parse(&document, &PRESETS) {
            Ok(_) => valid.push(document),
            Err(problems) => {
                for problem in problems.as_slice() {
                    let why = format!("{} {}", problem.pointer, problem.message);
                    *wrong.entry(why).or_default() += 1;
                }
            }
        }
    }
    (valid, wrong)
}

/// All words of type and all members of the sections of a protocol, as the schema has them.
fn words_of_schema() -> Vec<String> {
    let schema = schema();
    let sections = [
        "framing-",
        "decode-",
        "layout-",
        "reply",
        "session",
        "login",
        "heartbeat",
        "identity",
        "acknowledge",
        "protocol-whole",
        "question",
        "answer",
        "refused",
        "poll",
        "command",
    ];
    let definitions = schema["$defs"].as_object().unwrap().iter();
    let ours =
        definitions.filter(|(name, _)| sections.iter().any(|section| name.starts_with(section)));
    let members =
        ours.flat_map(|(_, definition)| definition["properties"].as_object().into_iter().flatten());
    let mut words = Vec::new();
    for (name, member) in members {
        if name != "required" {
            // A login that is not required is none.
            words.push(format!("\"{name}\":"));
        }
        words.extend(
            member["const"]
                .as_str()
                .map(|kind| format!("\"type\":\"{kind}\"")),
        );
    }
    words
}

/// The words of types and steps that the reference explains.
fn words_of_fields() -> Vec<String> {
    let rows = TYPES.iter().chain(&STEPS).map(|(words, _)| *words);
    let quoted = rows.flat_map(|words| words.split('`').skip(1).step_by(2));
    let words = quoted.filter_map(|words| words.split(' ').next());
    words.map(str::to_owned).collect()
}

#[test]
fn most_documents_are_valid_and_have_every_word_of_the_language() {
    let (valid, wrong) = documents_of_recipes();
    let mut wrong: Vec<_> = wrong.into_iter().map(|(why, count)| (count, why)).collect();
    wrong.sort_by(|a, b| b.cmp(a));
    wrong.truncate(25);
    let share = valid.len() * 100 / RECIPES as usize;
    assert!(share >= 75, "{share} of a hundred are valid: {wrong:#?}");
    let texts: String = valid.iter().map(Value::to_string).collect();
    let mut missing = words_of_schema();
    missing.extend(words_of_fields());
    missing.retain(|word| !texts.contains(word));
    assert_eq!(missing, Vec::<String>::new(), "{share}: {wrong:#?}");
}

/// What streams are made for is met: frames of all fates, and connections of many ends.
#[test]
fn streams_get_far() {
    fuzz_any(&[]);
    let (mut words, mut messages, mut decoded, mut split) = (BTreeSet::new(), 0, 0, 0);
    for recipe in recipes().take(500) {
        let (recipe, bytes) = recipe.split_at(120);
        let outcome = played(&[&[120], recipe, bytes].concat()).unwrap_or_default();
        words.extend(outcome.counted.iter().map(Counted::word));
        words.extend(outcome.closed.map(Reason::word));
        words.extend((!outcome.written.is_empty()).then_some("written"));
        words.extend((outcome.skipped > 0).then_some("skipped"));
        messages += outcome.submitted.len();
        let parts = outcome.submitted.iter().map(|(_, messages)| messages.len());
        split += parts.filter(|parts| *parts > 1).count();
        let undecoded = |counted: &&Counted| matches!(counted, Counted::Undecoded(..));
        decoded += outcome
            .submitted
            .len()
            .saturating_sub(outcome.counted.iter().filter(undecoded).count());
    }
    for word in [
        "frame",
        "bad_checksum",
        "too_long",
        "half_frame",
        "undecoded",
        "unknown_device",
        "reply_not_sent",
        "denied",
        "before_login",
        "unidentified",
        "rejected_device",
        "quarantined",
        "written",
        "skipped",
        "fin",
        "broken",
        "reply",
    ] {
        assert!(words.contains(word), "{word} not in {words:?}");
    }
    assert!(
        messages > 200 && decoded * 5 > messages && split >= 5,
        "{messages} messages, {decoded} decoded, {split} split"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 300, ..ProptestConfig::default() })]
    #[test]
    fn any_document_and_any_bytes(recipe in prop::collection::vec(any::<u8>(), 255), bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        fuzz_any(&[&[255], recipe.as_slice(), &bytes].concat());
    }
}
