//! Support for tests: a whole server without a socket, and a clock that stands still until it is told to move.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "only tests use it, and a test that cannot go on shall fail"
)]

mod clock;
mod server;
mod statements;

pub use self::{
    clock::TestClock,
    server::{TestParts, TestResponse, TestServer, TestUser},
    statements::Statements,
};
