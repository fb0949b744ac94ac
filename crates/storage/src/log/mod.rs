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

use std::time::Duration;

use myelin_model::StreamPos;

use crate::{Db, StorageError};

pub use self::{
    change::{Change, LogEntry},
    follow::{Log, LogSubscriber},
};
pub(crate) use self::{
    encoding::{Row, encode},
    follow::Feed,
    kind::Kind,
};

/// The time to wait for a position that this node has not reached yet, in milliseconds. The client heard of it from
/// another node.
const CATCH_UP_MILLIS_MAX: u64 = 5_000;

impl Db {
    /// Wait until this node has reached a position that a client heard of, perhaps from another node. One of a future that is not
    /// there any more, as after a restore, is taken for now. What comes back never comes after the newest entry. It takes one query at
    /// most, and none where this node is as far.
    pub async fn reach(&self, pos: StreamPos) -> Result<StreamPos, StorageError> {
        if pos <= self.log().applied() {
            return Ok(pos);
        }
        let pos = pos.min(self.find_log_head().await?);
        self.log().wait_for(pos, Duration::from_millis(CATCH_UP_MILLIS_MAX)).await;
        Ok(pos)
    }

    /// The position of the newest entry that is committed, whether or not this node has applied it. It takes one query.
    async fn find_log_head(&self) -> Result<StreamPos, StorageError> {
        read::end(self.pool()).await
    }
}
