//! The log and the writer against a real PostgreSQL.

mod ephemeral;
mod fixture;
mod log;
mod writer;
