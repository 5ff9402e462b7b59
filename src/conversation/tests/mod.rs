//! Whole conversations as tables: inputs on the left, what follows on the right.

mod answers;
mod asking;
mod gt06;
mod late;
mod login;
mod messages;
mod model;
mod questions_model;
mod room;
mod script;
#[cfg(feature = "script")]
mod scripted;
mod session;
mod tables;
mod teltonika;
mod unasked;
mod units;
