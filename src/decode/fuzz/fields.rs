//! Any field string.

use super::choices::Choices;

/// What a field string reads from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// Bytes, one field after the other.
    Bytes,
    /// Columns, one after the other.
    Columns,
    /// Texts that have names, or one text.
    Texts,
}

const NUMBERS: [&str; 29] = [
    "u8",
    "u16",
    "u16le",
    "u24",
    "u32",
    "u40le",
    "u64",
    "i8",
    "i16le",
    "i24",
    "i32",
    "i64",
    "sm8",
    "sm16",
    "sm32le",
    "sm64",
    "varint",
    "zigzag",
    "f32",
    "f64le",
    "f64",
    "f32 badc",
    "i64 cdab",
    "decimal 2",
    "hexadecimal 2",
    "decimal until ,",
    "cp24",
    "const 7",
    "bcd 1 integer",
];
const TEXTS: [&str; 20] = [
    "ascii 2",
    "ascii until ,",
    "ascii until 0x00",
    "ascii n",
    "ascii rest",
    "utf8 3",
    "utf8 rest -1",
    "utf16 4",
    "utf16le 2",
    "utf16be 2",
    "latin1 2",
    "gbk 4",
    "bcd 2",
    "bcd 2 le",
    "hex 3",
    "hex n",
    "hex rest",
    "mac",
    "ipv4",
    "const 'a b'",
];
const TIMES: [&str; 4] = ["ymdhms", "dmyhms", "bcdtime", "cp56"];
const PARTS: [&str; 3] = ["bytes 4", "bytes n", "bytes rest -1"];
/// In an order in which they may stand behind one another: for whole numbers, for numbers, and what
/// makes something else of them.
const NUMBER_STEPS: [&str; 24] = [
    "& 15",
    ">> 2",
    "bits p@0 q@1:3",
    "null 0|255",
    "+ 1",
    "- 1",
    "* 10",
    "abs",
    "neg n",
    "neg !n",
    "neg n = 1|2",
    "* 0.5",
    "/ 10",
    "round 1",
    "radians",
    "dm",
    "dm 4",
    "text",
    "text prefix A",
    "enum 0=off 1=on",
    "unix",
    "unixms",
    "epoch 2000-01-01",
    "epoch 2000-01-01 ms",
];
/// Those of them that are for whole numbers.
const WHOLE_STEPS: usize = 3;
/// The same for texts.
const TEXT_STEPS: [&str; 19] = [
    "null 00",
    "trim 0",
    "ltrim 0",
    "rtrim 0x00",
    "until ,",
    "upper",
    "lower",
    "luhn",
    "prefix A",
    "unhex with part drop",
    "with part",
    "number",
    "integer",
    "hexadecimal",
    "bool",
    "dm",
    "time '%y%m%d%H%M%S'",
    "time digits",
    "unhex",
];
/// The first of each that makes something else.
const LAST_STEPS: [&str; 2] = ["dm", "number"];
const TEXT_TYPES: [&str; 6] = ["number", "integer", "hexadecimal", "bool", "text", "bytes"];
const TAILS: [&str; 7] = [
    "if n",
    "if n > 3 and length > 4",
    "if !n",
    "if id = A|AB",
    "unit km/h",
    "drop",
    "zone +08:00",
];
const LISTS_OF_BYTES: [&str; 9] = [
    "repeat 2 'u8'",
    "repeat u8 'u16'",
    "repeat n 'u8'",
    "repeat rest 'u16le'",
    "repeat 2 item",
    "repeat u8 item",
    "repeat rest -1 item",
    "repeat u8 map u8 'i16 / 10'",
    "repeat n map u8 u8",
];
const LISTS_OF_COLUMNS: [&str; 5] = [
    "repeat 2 'number'",
    "repeat n 'integer'",
    "repeat rest item",
    "repeat rest -1 item",
    "repeat rest map text number",
];

/// A field of that name; it may use the fields `n` and `id`, and the layouts `item`, `part` and `tags`.
pub fn field(name: &str, from: From, choices: &mut Choices<'_>) -> String {
    let made = match from {
        From::Bytes => of_bytes(choices),
        From::Columns => of_columns(choices),
        From::Texts => of_text("", choices),
    };
    format!("{name}: {made}")
}

fn of_bytes(choices: &mut Choices<'_>) -> String {
    let at = match choices.below(12) {
        0 => " at 0",
        1 => " at -8",
        _ => "",
    };
    match choices.below(16) {
        0..=6 => {
            let kind = choices.of(&NUMBERS);
            let at = if kind.starts_with("const") || kind.contains("integer") {
                ""
            } else {
                at
            };
            with_steps(&format!("{kind}{at}"), number_steps(kind), choices)
        }
        7..=9 => with_steps(choices.of(&TEXTS), &TEXT_STEPS, choices),
        11 => with_steps(&format!("{}{at}", choices.of(&TIMES)), &[], choices),
        10 | 12 => list(choices.of(&LISTS_OF_BYTES), choices),
        13 => format!(
            "{} with {}",
            choices.of(&PARTS),
            choices.of(&["part", "tags drop"])
        ),
        14 => choices.of(&["join n id", "join id id upper"]).to_owned(),
        _ => with_steps(choices.of(&PARTS), &[], choices),
    }
}

fn of_columns(choices: &mut Choices<'_>) -> String {
    match choices.below(8) {
        0 => list(choices.of(&LISTS_OF_COLUMNS), choices),
        1 => of_text("at -1", choices),
        2 => of_text("at 1", choices),
        3 => "join n id".to_owned(),
        _ => of_text("", choices),
    }
}

fn of_text(at: &str, choices: &mut Choices<'_>) -> String {
    let kind = choices.of(&TEXT_TYPES);
    let start = format!("{kind} {at}");
    let start = start.trim_end();
    match kind {
        "number" | "integer" | "hexadecimal" => with_steps(start, number_steps(kind), choices),
        "text" => with_steps(start, &TEXT_STEPS, choices),
        _ => with_steps(start, &[], choices),
    }
}

fn list(kind: &str, choices: &mut Choices<'_>) -> String {
    let elements = kind.ends_with("item");
    let collect = match choices.below(4) {
        0 | 3 if elements => " split",
        1 if elements => " map k v",
        2 => " if n",
        _ => "",
    };
    format!("{kind}{collect}")
}

fn with_steps(start: &str, steps: &[&str], choices: &mut Choices<'_>) -> String {
    let mut made = start.to_owned();
    let count = if steps.is_empty() {
        0
    } else {
        choices.of(&[0, 1, 1, 2])
    };
    let mut chosen: Vec<usize> = (0..count).map(|_| choices.below(steps.len())).collect();
    chosen.sort_unstable();
    let last = steps.iter().position(|step| LAST_STEPS.contains(step));
    let last = last.unwrap_or(steps.len());
    let first = chosen.iter().position(|at| *at >= last);
    chosen.truncate(first.map_or(count, |first| first + 1));
    for step in chosen.iter().filter_map(|at| steps.get(*at)) {
        made = format!("{made} {step}");
    }
    match choices.once_in(4) {
        true => format!("{made} {}", choices.of(&TAILS)),
        false => made,
    }
}

/// The steps that a type of numbers may have.
fn number_steps(kind: &str) -> &'static [&'static str] {
    let fraction = ["f32", "f64", "decimal", "number"];
    match fraction.iter().any(|word| kind.starts_with(word)) {
        true => NUMBER_STEPS.get(WHOLE_STEPS..).unwrap_or_default(),
        false => &NUMBER_STEPS,
    }
}
