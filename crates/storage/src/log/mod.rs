//! The log: what changed, in one order for all nodes.
//!
//! [`Log`] follows the log: it hands every entry to the subscribers, in position order, each once, and then moves
//! [`Log::applied`]. A node's own writes come straight from the commit; those of others by `NOTIFY` and one query.

mod change;
mod encoding;
mod follow;
mod kind;
mod listen;
mod read;
mod unknown;

pub use self::{
    change::{Change, LogEntry},
    follow::{Log, LogSubscriber},
};
pub(crate) use self::{
    encoding::{decode_row, encode},
    follow::Feed,
};

impl crate::Db {
    /// The position of the newest entry that is committed, whether or not this node has applied it. It takes one query.
    pub async fn find_log_head(&self) -> Result<myelin_model::StreamPos, crate::StorageError> {
        read::end(self.pool()).await
    }
}
