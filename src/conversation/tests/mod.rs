//! Whole conversations as tables: inputs on the left, what follows on the right.

mod answers;
mod gt06;
mod messages;
mod model;
mod room;
mod script;
mod tables;
mod teltonika;
