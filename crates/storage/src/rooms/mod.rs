//! Rooms: their events and what is derived of them, who is in them, and what lists name them.

mod aliases;
mod changes;
mod directory;
mod events;
mod graph;
mod history;
mod kept_events;
mod member_summaries;
mod memberships;
mod next_events;
mod outside_states;
mod past_states;
mod receipts;
mod related;
mod relations;
mod retrials;
mod stretches;
mod transactions;
mod unread;
mod visibility_histories;

pub use self::{
    aliases::{Alias, Aliases, AliasesTx},
    changes::Changes,
    directory::{Directory, DirectoryList, DirectoryScope, DirectoryTx, ListedRoom},
    events::Events,
    graph::{Graph, GraphEvent, Traces},
    history::{History, HistoryPage, Page, PageFilter},
    kept_events::{KeptEvent, KeptEventsTx},
    member_summaries::{MemberSummary, SUMMARY_MEMBERS_MAX},
    memberships::{JoinRow, MembershipRow, Memberships, MembershipsTx},
    outside_states::{OutsideState, OutsideStates},
    receipts::{ReceiptRow, Receipts},
    related::RelatedRow,
    relations::{Relations, RelationsPage, ThreadsPage},
    retrials::{Awaited, Retrials, RetrialsTx},
    stretches::{Stretch, StretchRow},
    transactions::Transactions,
    unread::{OwnMessage, SearchRange, Uncounted, UnreadRange, UnreadThread},
    visibility_histories::{VisibilityHistories, VisibilityHistory},
};

pub(crate) use self::{
    events::{EventRow, HIDDEN, read_rows},
    history::like_exactly,
    visibility_histories::KnownHistories,
};
