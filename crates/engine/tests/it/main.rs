//! Stories of the engine on a real database.

#![allow(clippy::unwrap_used, reason = "a fixture that fails is a test that fails")]

mod fixture;
mod policy;
mod redacted;
mod unknown;
