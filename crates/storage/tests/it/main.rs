//! The log and the writer against a real PostgreSQL.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a fixture that fails is a test that fails"
)]

mod auth_chains;
mod ephemeral;
mod fixture;
mod log;
mod plans;
mod state_garbage;
mod unreadable;
mod visibility_histories;
mod writer;
