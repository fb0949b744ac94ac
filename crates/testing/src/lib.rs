//! Support for tests: a whole server without a socket, a clock that stands still until it is told to move, and other servers that
//! build and sign events.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "only tests use it, and a test that cannot go on shall fail"
)]

mod clock;
mod complaints;
mod graph;
mod ledger;
mod recorder;
mod remote;
mod server;
mod statements;

pub use self::{
    clock::TestClock,
    complaints::Complaints,
    graph::{Graph, Judged, NamedState},
    ledger::Ledger,
    remote::{Remote, ServerKeys, server_key, sign},
    server::{TestParts, TestResponse, TestServer, TestUser},
    statements::Statements,
};
