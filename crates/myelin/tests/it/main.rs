//! The program itself: its command line, its starts and stops, and its embedded database.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, which clippy takes for production code"
)]

mod command_line;
mod listeners;
mod server;
mod start_and_stop;
