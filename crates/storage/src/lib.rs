//! The storage: all SQL, the log, the group-commit writer, and what a node keeps of them in memory.
//!
//! Reads go through [`Db`]; writes through [`Tx`] or, for room events and receipts, through the [`Writer`].

pub mod accounts;
mod auth_chains;
mod db;
pub mod e2ee;
mod ephemeral;
mod error;
mod event_cache;
mod heads;
mod hot_users;
mod inspect;
mod leases;
pub mod log;
mod migrate;
mod nids;
mod pool;
mod reads;
mod rooms;
mod spellings;
mod state;
mod tx;
mod unfinished_work;
mod unreadable;
pub mod upkeep;
pub mod writer;

pub use self::{
    auth_chains::{AuthChainIndex, AuthChains, ChainCover, ChainPosition, Covered},
    db::{Db, StorageSettings},
    ephemeral::{
        Ephemeral, EphemeralChange, EphemeralChanges, EphemeralSubscriber, Presence, PresenceState,
        PresenceTimers, Syncing,
    },
    error::StorageError,
    event_cache::EventCache,
    heads::{Extremity, Heads, RoomHead},
    hot_users::HotUserRows,
    inspect::DatabaseContents,
    leases::{Lease, Leases},
    log::{Change, Log, LogEntry, LogSubscriber},
    migrate::MIGRATOR,
    nids::Nids,
    pool::pool_options,
    rooms::{
        Alias, Aliases, AliasesTx, Awaited, Changes, Directory, DirectoryList, DirectoryScope,
        DirectoryTx, Events, Graph, GraphEvent, History, HistoryPage, JoinRow, KeptEvent,
        KeptEventsTx, ListedRoom, MemberSummary, MembershipRow, Memberships, MembershipsTx,
        OutsideState, OutsideStates, OwnMessage, Page, PageFilter, ReceiptRow, Receipts,
        RelatedRow, Relations, RelationsPage, Retrials, RetrialsTx, SUMMARY_MEMBERS_MAX,
        SearchRange, Stretch, StretchRow, ThreadsPage, Traces, Transactions, Uncounted,
        UnreadRange, UnreadThread, VisibilityHistories, VisibilityHistory,
    },
    spellings::spellings,
    state::{NewSnapshot, SnapshotChain, StateKey, StateKeys, StateMap, States, state_changes},
    tx::Tx,
    unfinished_work::{UnfinishedWork, UnfinishedWorks, UnfinishedWorksTx, WorkKind},
    writer::{Append, AppendError, Appended, Delivery, SentToDevice, Writer},
};
