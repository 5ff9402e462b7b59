//! What an operator sees: metrics and log lines. Reads; never stands on the data's way.

pub mod accounts;
pub mod health;
pub mod http;
pub mod logging;
pub mod metrics;
