//! The read side: `/sync` and what stood in its place before, wake-ups and unread counts. Reads and never writes; knows nothing
//! of HTTP.
//!
//! A node follows the log and keeps its newest part in memory by room and by user (`view`), with the rooms of the
//! users who sync on it. A user who has kept up is answered from there without a query; the cost grows with what happened in the
//! user's rooms. Who has been away longer is answered from the database, by a fixed number of queries for all rooms together.

mod context;
pub mod filter;
mod member_summaries;
pub mod old_sync;
mod reader;
mod sent_members;
#[cfg(test)]
mod test_events;
mod token;
mod unread;
pub mod v3;
mod view;

pub use self::{
    context::{PrejoinState, Sync, SyncSettings},
    token::{InvalidToken, SyncToken},
    v3::{DeviceLists, SyncError, SyncRequest, key_changes, sync},
    view::ViewSettings,
};
