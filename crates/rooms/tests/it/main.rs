//! Tests of the rooms on a database, most of them on two nodes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on shall fail"
)]

mod budget;
mod concurrent;
mod create;
mod fixture;
mod transactions;
mod unfinished;
mod upgrade;
