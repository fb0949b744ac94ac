//! Everything stored: all SQL, the log, the group-commit writer, and what a node keeps of them in memory.
//!
//! Reads go through [`Db`]; writes through [`Tx`] or, for room events and receipts, through the [`Writer`].

mod db;
mod error;
mod event_cache;
mod events;
mod heads;
pub mod log;
mod nids;
mod state;
mod tx;
pub mod writer;

pub use self::{
    db::{Db, MIGRATOR, StorageSettings},
    error::StorageError,
    event_cache::EventCache,
    events::Events,
    heads::{Extremity, Heads, RoomHead},
    log::{Change, Log, LogEntry, LogSubscriber},
    nids::Nids,
    state::{NewSnapshot, SnapshotChain, StateKey, StateKeys, StateMap},
    tx::Tx,
    writer::{Append, AppendError, Appended, Writer},
};
