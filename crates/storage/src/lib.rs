//! Everything stored: all SQL, the log, the group-commit writer, and what a node keeps of them in memory.
//!
//! Reads go through [`Db`]; writes through [`Tx`] or, for room events and receipts, through the [`Writer`].

pub mod accounts;
mod aliases;
mod auth_chains;
mod db;
mod directory;
mod ephemeral;
mod erased;
mod error;
mod event_cache;
mod events;
mod heads;
mod history;
mod ignored;
mod leases;
pub mod log;
mod member_summaries;
mod memberships;
mod migrate;
mod nids;
mod read_markers;
mod relations;
mod room_reads;
mod state;
mod sync_reads;
mod sync_relations;
mod transactions;
mod tx;
pub mod upkeep;
mod visibility;
pub mod writer;

pub use self::{
    aliases::{Alias, Aliases, AliasesTx},
    auth_chains::{AuthChainIndex, ChainCover, ChainPosition, Covered},
    db::{Db, StorageSettings},
    directory::{Directory, DirectoryList, DirectoryScope, DirectoryTx, ListedRoom},
    ephemeral::{
        Ephemeral, EphemeralChange, EphemeralChanges, EphemeralSubscriber, Presence, PresenceState,
        PresenceTimers, Syncing,
    },
    error::StorageError,
    event_cache::EventCache,
    events::Events,
    heads::{Extremity, Heads, RoomHead},
    history::{HistoryPage, Page, PageFilter},
    leases::{Lease, Leases},
    log::{Change, Log, LogEntry, LogSubscriber},
    member_summaries::{MemberSummary, SUMMARY_MEMBERS_MAX},
    migrate::{MIGRATOR, pool_options},
    nids::Nids,
    read_markers::ReadMarkers,
    relations::{Aggregation, Relations, RelationsPage},
    room_reads::RoomReads,
    state::{NewSnapshot, SnapshotChain, StateKey, StateKeys, StateMap},
    sync_reads::{AccountDataRow, MembershipRow, ReceiptRow, Stretch, StretchRow, SyncReads},
    sync_relations::RelatedRow,
    tx::Tx,
    visibility::VisibilityHistory,
    writer::{Append, AppendError, Appended, Writer},
};
