//! Stories of the engine on a real database.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a fixture that fails is a test that fails"
)]

mod attacks;
mod backfill;
mod budgets;
mod extremities;
mod fixture;
mod late;
mod lies;
mod partial;
mod policy;
mod random;
mod readers;
mod received;
mod receiver;
mod redacted;
mod resolving;
mod sight;
mod taken_back;
mod two_nodes;
mod unknown;
mod world;
