//! What the module says of itself in the reported properties.
//!
//! The outcome of the last settings document follows the convention for writable properties
//! (`ac`, `av`, `ad`: code, version, description). Everything is cut so that it fits a twin.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::document::{Problem, Problems};
use crate::message::Name;
use crate::presence::Summary;
use crate::quarantine::{Sample, Samples};
use crate::spool::{Condition, Note};

/// Errors listed at most; their count is always said.
const LISTED_ERRORS: usize = 20;
/// Notes listed at most.
const LISTED_NOTES: usize = 5;
/// Bytes of what is told of quarantine at most, about.
const QUARANTINE_BYTES: usize = 8 * 1024;
/// Bytes of all errors of `outbound` at most, about.
const OUTBOUND_ERROR_BYTES: usize = 4 * 1024;
/// Bytes of one text at most.
const TEXT_BYTES: usize = 512;

/// What became of the desired properties of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// They run.
    Applied,
    /// They are wrong; what ran before runs on.
    Refused(Problems),
    /// Nothing was asked yet.
    Waiting,
}

/// How a listener is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenerState {
    /// It accepts connections.
    Listening,
    /// Its port could not be bound; it is tried again.
    Degraded(String),
}

/// How many devices of an entry of `outbound` are connected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// Devices with a connection.
    pub connected: usize,
    /// Devices that there are.
    pub of: usize,
    /// Whether each of them has been connected or could not be; until then little is known.
    pub tried: bool,
    /// Why the last one that failed is not, unless all are connected.
    pub error: Option<String>,
}

/// Everything that is reported.
#[derive(Clone, Debug)]
pub struct Status {
    /// What became of the settings.
    pub outcome: Outcome,
    /// Their `$version`, if they had one.
    pub version: Option<i64>,
    /// Each listener's port and state.
    pub listeners: BTreeMap<Name, (u16, ListenerState)>,
    /// How many devices of each entry of `outbound` are connected.
    pub outbound: BTreeMap<Name, Reached>,
    /// Which devices are there, if it is wanted.
    pub presence: Option<Summary>,
    /// The presets in use, by protocol.
    pub presets: BTreeMap<Name, String>,
    /// How the spool's disk is.
    pub spool: Condition,
    /// What an operator should know of what the disk had at the start.
    pub notes: Vec<Note>,
    /// Unknown devices that are kept waiting, as they were last told.
    pub quarantine: Samples,
}

impl Status {
    /// The whole report as JSON.
    pub fn report(&self) -> Value {
        let listeners: Map<String, Value> = self
            .listeners
            .iter()
            .map(|(name, (port, state))| (name.to_string(), listener(*port, state)))
            .collect();
        let presets: Map<String, Value> = self
            .presets
            .iter()
            .map(|(name, preset)| (name.to_string(), json!(preset)))
            .collect();
        json!({
            "module": { "version": env!("CARGO_PKG_VERSION"), "presets": presets },
            "settings": self.settings(),
            "listeners": listeners,
            "outbound": outbound(&self.outbound),
            "presence": self.presence.as_ref().map(presence),
            "spool": spool(&self.spool, &self.notes),
            "quarantine": quarantine(&self.quarantine),
        })
    }

    fn settings(&self) -> Value {
        let (code, description, problems) = match &self.outcome {
            Outcome::Applied => (200, "applied".to_owned(), &[][..]),
            Outcome::Waiting => (202, "waiting for desired properties".to_owned(), &[][..]),
            Outcome::Refused(problems) => {
                let description = format!(
                    "refused, {} errors; the settings before run on",
                    problems.len()
                );
                (400, description, problems.as_slice())
            }
        };
        let mut settings = Map::new();
        settings.insert("ac".into(), json!(code));
        settings.insert("av".into(), json!(self.version.unwrap_or(0)));
        settings.insert("ad".into(), json!(description));
        // Without any, those that an earlier run of the module has reported are taken back.
        let listed: Vec<Value> = problems.iter().take(LISTED_ERRORS).map(error).collect();
        let some = (!listed.is_empty()).then_some(listed);
        let count = some.as_ref().map(|_| problems.len());
        settings.insert("errorCount".into(), json!(count));
        settings.insert("errors".into(), json!(some));
        Value::Object(settings)
    }
}

fn listener(port: u16, state: &ListenerState) -> Value {
    match state {
        ListenerState::Listening => json!({ "port": port, "state": "listening", "error": null }),
        ListenerState::Degraded(why) => {
            json!({ "port": port, "state": "degraded", "error": cut(why) })
        }
    }
}

/// Without any, those that an earlier run of the module has reported are taken back.
fn outbound(entries: &BTreeMap<Name, Reached>) -> Value {
    if entries.is_empty() {
        return Value::Null;
    }
    let mut bytes = 0;
    let entries = entries.iter().map(|(name, reached)| {
        let error = reached.error.as_deref().map(cut);
        bytes += error.as_ref().map_or(0, String::len);
        let error = error.filter(|_| bytes <= OUTBOUND_ERROR_BYTES);
        let told = json!({ "connected": reached.connected, "of": reached.of, "error": error });
        (name.to_string(), told)
    });
    Value::Object(entries.collect())
}

fn presence(summary: &Summary) -> Value {
    let away = summary.away.iter();
    let away = away.map(|(name, since)| (twin_key(name), json!(format!("{since:.0}"))));
    let away: Map<String, Value> = away.collect();
    json!({
        "connected": summary.connected,
        "silent": summary.silent,
        "disconnected": summary.disconnected,
        "away": away,
    })
}

fn spool(condition: &Condition, notes: &[Note]) -> Value {
    let (state, error) = match condition {
        Condition::Good => ("good", None),
        Condition::Full(why) => ("full", Some(cut(why))),
        Condition::Failing(why) => ("failing", Some(cut(why))),
        Condition::Absent(why) => ("memoryOnly", Some(cut(why))),
    };
    let listed = notes.iter().take(LISTED_NOTES);
    let listed: Vec<String> = listed.map(|note| cut(&note.text)).collect();
    let some = (!listed.is_empty()).then_some(listed);
    let count = some.as_ref().map(|_| notes.len());
    json!({ "state": state, "error": error, "noteCount": count, "notes": some })
}

/// Without any, those that an earlier run of the module has reported are taken back.
fn quarantine(samples: &Samples) -> Value {
    if samples.is_empty() {
        return Value::Null;
    }
    let mut told = Map::new();
    let mut bytes = 0;
    for (device, sample) in samples {
        let (key, sample) = (twin_key(device), waiting(device, sample));
        bytes += key.len() + sample.to_string().len();
        if bytes > QUARANTINE_BYTES {
            break;
        }
        told.insert(key, sample);
    }
    Value::Object(told)
}

fn waiting(device: &Name, sample: &Sample) -> Value {
    json!({
        "id": &**device,
        "listener": &*sample.listener,
        "address": sample.address.ip().to_string(),
        "frames": sample.frames,
        "lastFrame": sample.last_frame,
    })
}

/// A text as a key of a twin: what such a key may not have is written as `%` and its code in hex.
fn twin_key(text: &str) -> String {
    let mut key = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '.' | '$' | '#' | '%' | ' ') || character.is_control() {
            key.push_str(&format!("%{:02X}", u32::from(character)));
        } else {
            key.push(character);
        }
    }
    key
}

fn error(problem: &Problem) -> Value {
    let mut error = Map::new();
    error.insert("pointer".into(), json!(cut(&problem.pointer)));
    if let Some(column) = problem.column {
        error.insert("column".into(), json!(column));
    }
    error.insert("message".into(), json!(cut(&problem.message)));
    Value::Object(error)
}

/// The text, or its beginning where it is longer than a report may hold.
fn cut(text: &str) -> String {
    if text.len() <= TEXT_BYTES {
        return text.to_owned();
    }
    let mut end = TEXT_BYTES - '…'.len_utf8();
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut short = text.to_owned();
    short.truncate(end);
    short.push('…');
    short
}

/// The patch that turns one report into another; what is gone becomes null. `None` if they are equal.
pub fn difference(from: &Value, to: &Value) -> Option<Value> {
    let (Value::Object(old), Value::Object(new)) = (from, to) else {
        return (from != to).then(|| to.clone());
    };
    let gone = old
        .keys()
        .filter(|name| !new.contains_key(*name))
        .map(|name| (name.clone(), Value::Null));
    let changed = new.iter().filter_map(|(name, value)| match old.get(name) {
        Some(known) => Some((name.clone(), difference(known, value)?)),
        None => Some((name.clone(), value.clone())),
    });
    let patch: Map<String, Value> = gone.chain(changed).collect();
    (!patch.is_empty()).then_some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(outcome: Outcome) -> Status {
        Status {
            outcome,
            version: Some(7),
            listeners: BTreeMap::new(),
            outbound: BTreeMap::new(),
            presence: None,
            presets: BTreeMap::new(),
            spool: Condition::Good,
            notes: Vec::new(),
            quarantine: Samples::new(),
        }
    }

    #[test]
    fn of_outbound_counts_are_told_and_errors_while_there_is_room_for_them() {
        let mut all = status(Outcome::Applied);
        assert_eq!(all.report()["outbound"], Value::Null);
        for number in 0..50 {
            let reached = Reached {
                connected: number,
                of: 50,
                tried: true,
                error: Some("x".repeat(500)),
            };
            all.outbound.insert(format!("{number:02}").into(), reached);
        }
        let told = &all.report()["outbound"];
        assert_eq!(told["00"]["error"].as_str().unwrap().len(), 500);
        let last = json!({"connected": 49, "of": 50, "error": null});
        assert_eq!(told["49"], last);
        assert!(told.to_string().len() < 8 * 1024);
    }

    #[test]
    fn who_is_in_quarantine_has_a_key_that_a_twin_takes() {
        let mut waiting = status(Outcome::Applied);
        assert_eq!(waiting.report()["quarantine"], Value::Null);
        let sample = Sample {
            listener: "trackers".into(),
            address: "10.0.0.7:4000".parse().unwrap(),
            frames: 3,
            last_frame: "7878".into(),
        };
        waiting.quarantine.insert("10.0.0.7/3 $#%".into(), sample);
        let expected = json!({"10%2E0%2E0%2E7/3%20%24%23%25": {
            "id": "10.0.0.7/3 $#%", "listener": "trackers", "address": "10.0.0.7",
            "frames": 3, "lastFrame": "7878"
        }});
        assert_eq!(waiting.report()["quarantine"], expected);
        let sample = waiting.quarantine.values().next().cloned().unwrap();
        for number in 0..20 {
            let mut sample = sample.clone();
            sample.last_frame = "ab".repeat(64);
            let name = format!("{number}{}", " ".repeat(120));
            waiting.quarantine.insert(name.into(), sample);
        }
        let long = waiting.report()["quarantine"].to_string();
        assert!((5_000..9_000).contains(&long.len()), "{}", long.len());
    }

    #[test]
    fn a_refusal_lists_the_first_errors_with_short_texts_and_the_count_of_all() {
        let mut problems = Problems::new();
        for n in 0..30 {
            let message = format!("{n} {}", "ä".repeat(600));
            problems.push(Problem {
                pointer: format!("/listeners/{n}"),
                column: (n == 0).then_some(4),
                message,
            });
        }
        let report = status(Outcome::Refused(problems)).report();
        let settings = &report["settings"];
        assert_eq!(
            (&settings["ac"], &settings["av"], &settings["errorCount"]),
            (&json!(400), &json!(7), &json!(30))
        );
        let errors = settings["errors"].as_array().unwrap();
        assert_eq!(errors.len(), 20);
        assert_eq!(errors[0]["column"], 4);
        assert!(
            errors[1].get("column").is_none(),
            "a twin array may hold no null"
        );
        assert!(
            errors
                .iter()
                .all(|error| error["message"].as_str().unwrap().len() <= 512)
        );
        assert!(report.to_string().len() < 32 * 1024);
    }

    #[test]
    fn notes_of_the_spool_are_cut_counted_and_taken_back_where_there_are_none() {
        let mut noted = status(Outcome::Applied);
        assert_eq!(noted.report()["spool"]["notes"], Value::Null);
        let note = |n: usize| Note {
            text: format!("{n} {}", "ä".repeat(600)),
            damaged: 0,
        };
        noted.notes = (0..7).map(note).collect();
        let spool = noted.report()["spool"].clone();
        assert_eq!(spool["noteCount"], 7);
        let notes = spool["notes"].as_array().unwrap();
        assert_eq!(notes.len(), 5);
        assert!(notes[4].as_str().unwrap().starts_with("4 "));
        assert!(notes.iter().all(|note| note.as_str().unwrap().len() <= 512));
    }

    #[test]
    fn a_difference_nulls_what_is_gone_and_leaves_out_what_is_equal() {
        let old = json!({"listeners": {"a": {"port": 1, "state": "degraded", "error": "x"}, "b": {"port": 2}}, "m": 1});
        let new = json!({"listeners": {"a": {"port": 1, "state": "listening"}, "c": {"port": 3}}, "m": 1});
        assert_eq!(
            difference(&old, &new),
            Some(
                json!({"listeners": {"a": {"error": null, "state": "listening"}, "b": null, "c": {"port": 3}}})
            )
        );
        assert_eq!(difference(&new, &new), None);
    }
}
