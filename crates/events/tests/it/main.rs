//! Tests of the rules over whole room histories.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should stop"
)]

mod auth_members;
mod auth_rules;
mod forks;
mod histories;
mod history;
mod hostile;
mod redaction;
mod room;
mod ruma_twin;
mod synapse;
mod wire;
