//! Stories of the engine on a real database.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a fixture that fails is a test that fails"
)]

mod fixture;
mod late;
mod lies;
mod policy;
mod random;
mod received;
mod redacted;
mod sight;
mod unknown;
mod world;
