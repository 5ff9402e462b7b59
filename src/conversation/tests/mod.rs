//! Whole conversations as tables: inputs on the left, what follows on the right.

mod gt06;
mod messages;
mod model;
mod room;
mod script;
#[cfg(feature = "script")]
mod scripted;
mod tables;
mod teltonika;
