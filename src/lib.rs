//! Carries TCP field devices of any protocol to Azure IoT Hub and back, as an IoT Edge module.
//!
//! ```text
//! device ══▶ southbound ══bytes══▶ conversation ═ messages ═▶ forwarder ═ entries ═▶ northbound ══▶ edgeHub
//!    ▲       connection            (pure)          outbox     (spool)  ◀ reports ═   link             │
//!    ╰── reply / command ◀═══════════╯  ◀═ progress of a ticket ═╯                                    │
//!       listeners ◀── gateway ◀── Plan ◀── settings ◀── desired properties ──────────────────────────┤
//!       conversations ◀── registry ◀── commands ◀── direct methods ──────────────────────────────────╯
//! ```
//!
//! Data goes right, once; what comes back has an arrow of its own each. [`app`] is the wiring,
//! [`conversation`] the state machine of one connection: start reading there. The rooms and what
//! each may import stand in ARCHITECTURE.md, held against the source by a test.

pub mod app;
pub mod backoff;
pub mod check;
pub mod checksum;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod connections;
pub mod conversation;
pub mod cursor;
pub mod decode;
pub mod decoding;
pub mod document;
pub mod edge;
pub mod forwarder;
pub mod framing;
pub mod gateway;
pub mod identity;
pub mod inbox;
pub mod journal;
pub mod message;
pub mod modbus;
pub mod mounted;
pub mod northbound;
pub mod notation;
pub mod ops;
pub mod outbox;
pub mod pipeline;
pub mod presence;
pub mod quarantine;
pub mod reference;
pub mod registry;
pub mod report;
pub mod schema;
pub mod script;
pub mod settings;
pub mod southbound;
pub mod spool;
pub mod storage;
pub mod template;
