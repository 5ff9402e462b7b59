//! The single odd step of a protocol, written by the integrator as a function in JavaScript.
//!
//! Values in, values out: a function sees the bytes, the fields and the state of its connection,
//! and nothing else; there is no clock, no chance and no way out. What a call may take is counted
//! in steps and bytes and not in time, so that it ends in the same way everywhere. A function that
//! fails costs what it was called for and nothing more.
//!
//! Protocols are shared by threads and an engine serves one call at a time, so each script has an
//! engine of its own behind a lock. It lives as long as its protocol.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

#[cfg(not(feature = "script"))]
#[path = "absent.rs"]
mod engine;
#[cfg(feature = "script")]
mod engine;
#[cfg(feature = "script")]
mod helpers;
#[cfg(feature = "script")]
#[cfg(test)]
mod tests;
#[cfg(feature = "script")]
mod values;

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value as Json;
use thiserror::Error;

use self::engine::Engine;
use crate::document::{Problem, Problems, Section, name_of};
use crate::message::{Fields, Name, Value};

/// The function that finds frames.
pub const FRAME: &str = "frame";
/// The function that decodes frames.
pub const DECODE: &str = "decode";

/// The state of a connection that has none yet.
const NO_STATE: &str = "{}";

/// The script of a protocol, ready to be called; cheap to clone.
#[derive(Clone)]
pub struct Script(Arc<Engine>);

/// Why a function gave no value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}{}", in_words(*place))]
pub struct Failure {
    /// What is wrong.
    pub message: String,
    /// Line and column in the script, from 1.
    pub place: Option<(usize, usize)>,
}

/// What a function is called with.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Its name.
    pub function: &'a str,
    /// Its first argument.
    pub first: First<'a>,
    /// `ctx.frame`: the whole frame.
    pub frame: Option<&'a [u8]>,
    /// `ctx.device`: the device's name, once it is known.
    pub device: Option<&'a str>,
}

/// The first argument of a function.
#[derive(Clone, Copy, Debug)]
pub enum First<'a> {
    /// Bytes, and as `ctx.fields` what has been read so far.
    Bytes(&'a [u8], Option<&'a Fields>),
    /// Fields that have been read.
    Fields(&'a Fields),
}

/// The connection for which functions are called: its state, and where it is from. Cheap to clone;
/// all clones are the same connection.
#[derive(Clone, Debug)]
pub struct Caller(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    script: Script,
    own: Mutex<Own>,
}

#[derive(Debug)]
struct Own {
    /// `ctx.state` as JSON.
    state: String,
    listener: Option<Name>,
    address: Option<String>,
    /// The last failure that nobody has been told of.
    failure: Option<String>,
    /// Failures show their place alone.
    is_quiet: bool,
}

impl Script {
    /// Reads the member `script` of a protocol: a text, or the lines of one.
    pub fn read(section: &Section<'_>, problems: &mut Problems) -> Option<Self> {
        let source = source(section, problems)?;
        match Engine::new(&source) {
            Ok(engine) => Some(Script(Arc::new(engine))),
            Err(failure) => {
                problems.push(problem(section, &source, failure));
                None
            }
        }
    }

    /// Whether it has a function of that name.
    pub fn has(&self, function: &str) -> bool {
        self.0.has(function)
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
    }
}

impl Caller {
    /// A connection without state.
    pub fn new(script: &Script) -> Self {
        let own = Own {
            state: NO_STATE.to_owned(),
            listener: None,
            address: None,
            failure: None,
            is_quiet: false,
        };
        Caller(Arc::new(Inner {
            script: script.clone(),
            own: Mutex::new(own),
        }))
    }

    /// Says where the connection is from.
    pub fn introduce(&self, listener: &Name, address: IpAddr) {
        let mut own = self.own();
        own.listener = Some(listener.clone());
        own.address = Some(address.to_string());
    }

    /// Shows of failures no more than their place.
    pub fn keep_quiet(&self) {
        self.own().is_quiet = true;
    }

    /// Calls a function; what it did to the state counts.
    ///
    /// # Errors
    /// Why there is no value; the state is as it was before.
    pub fn call(&self, call: &Call<'_>) -> Result<Value, Failure> {
        self.call_and_keep(call, |_| true)
    }

    /// Calls a function; what it did to the state counts if `keep` says so of its value. What is
    /// asked again when more bytes have come must not leave traces: the way TCP cuts the stream
    /// would show in them.
    ///
    /// # Errors
    /// Why there is no value; the state is as it was before.
    pub fn call_and_keep(
        &self,
        call: &Call<'_>,
        keep: impl FnOnce(&Value) -> bool,
    ) -> Result<Value, Failure> {
        let mut own = self.own();
        let called = Called {
            call,
            state: &own.state,
            listener: own.listener.as_deref(),
            address: own.address.as_deref(),
        };
        let called = self.0.script.0.call(&called);
        let (value, state) = called.map_err(|failure| match own.is_quiet {
            true => failure.quiet(),
            false => failure,
        })?;
        if keep(&value) {
            own.state = state;
        }
        Ok(value)
    }

    /// Calls a function where there is no place for a failure; it is told later.
    pub fn call_or_note(&self, call: &Call<'_>) -> Option<Value> {
        let called = self.call(call);
        called
            .map_err(|failure| self.note(call.function, &failure))
            .ok()
    }

    /// Remembers a failure for [`Caller::take_failure`].
    pub fn note(&self, function: &str, failure: &Failure) {
        self.own().failure = Some(format!("{function}: {failure}"));
    }

    /// The last failure that was noted, once.
    pub fn take_failure(&self) -> Option<String> {
        self.own().failure.take()
    }

    fn own(&self) -> MutexGuard<'_, Own> {
        self.0.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call with what its connection gives.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(feature = "script"),
    expect(dead_code, reason = "nothing reads it where there is no engine")
)]
struct Called<'a> {
    call: &'a Call<'a>,
    state: &'a str,
    listener: Option<&'a str>,
    address: Option<&'a str>,
}

impl Failure {
    fn quiet(self) -> Self {
        Failure {
            message: "failed".to_owned(),
            ..self
        }
    }

    fn new(message: impl Into<String>) -> Self {
        Failure {
            message: message.into(),
            place: None,
        }
    }
}

fn in_words(place: Option<(usize, usize)>) -> String {
    place.map_or_else(String::new, |(line, column)| {
        format!(" (line {line}, column {column})")
    })
}

fn source(section: &Section<'_>, problems: &mut Problems) -> Option<String> {
    match section.value {
        Json::String(text) => Some(text.clone()),
        Json::Array(_) => {
            let mut lines = Vec::new();
            let before = problems.len();
            for element in section.elements() {
                match element.value.as_str() {
                    Some(line) => lines.push(line),
                    None => problems.add(
                        &element,
                        format!(
                            "expected a line of the script, found {}",
                            name_of(element.value)
                        ),
                    ),
                }
            }
            (problems.len() == before).then(|| lines.join("\n"))
        }
        other => {
            let message = format!(
                "expected a script as a text, a list of lines or {{\"file\": \"NAME.js\"}}, found {}",
                name_of(other)
            );
            problems.add(section, message);
            None
        }
    }
}

/// A mistake in the script, at its line where the script is a list of lines.
fn problem(section: &Section<'_>, source: &str, failure: Failure) -> Problem {
    let whole = Problem {
        pointer: section.pointer.clone(),
        column: None,
        message: failure.to_string(),
    };
    let Some((line, column)) = failure.place else {
        return whole;
    };
    let Some(lines) = section.value.as_array() else {
        let before = source.split('\n').take(line.saturating_sub(1));
        let before = before.fold(0usize, |sum, line| {
            sum.saturating_add(line.chars().count()).saturating_add(1)
        });
        return Problem {
            column: Some(before.saturating_add(column)),
            ..whole
        };
    };
    let mut first = 1usize;
    for (index, text) in lines.iter().enumerate() {
        let count = text.as_str().map_or(1, |text| text.split('\n').count());
        let next = first.saturating_add(count);
        if line < next {
            return Problem {
                pointer: format!("{}/{index}", section.pointer),
                column: Some(column),
                message: failure.message,
            };
        }
        first = next;
    }
    whole
}
