//! The log and the writer against a real PostgreSQL.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a fixture that fails is a test that fails")]

mod ephemeral;
mod fixture;
mod log;
mod plans;
mod state_garbage;
mod unreadable;
mod visibility_histories;
mod writer;
