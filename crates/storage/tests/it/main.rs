//! The log and the writer against a real PostgreSQL.

mod fixture;
mod log;
mod writer;
