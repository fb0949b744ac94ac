//! Queries over `transactions`: what clients' transaction IDs became.

use std::sync::Arc;

use myelin_model::{Event, EventNid, RoomNid};
use ruma::{DeviceId, UserId};

use crate::{Db, StorageError};

/// Reads of what clients' transaction IDs became.
#[derive(Debug, Clone, Copy)]
pub struct Transactions<'db> {
    db: &'db Db,
}

impl Db {
    /// Reads of transactions: the events that clients' transaction IDs became.
    pub fn transactions(&self) -> Transactions<'_> {
        Transactions { db: self }
    }
}

impl Transactions<'_> {
    /// The event that a device sent with this transaction ID in a room, if there is one. `path` is
    /// [`myelin_model::Transaction::path`]: the same ID under another path is another transaction.
    #[tracing::instrument(name = "db.transactions.find", skip_all, fields(room.nid = %room_nid))]
    pub async fn find(
        &self,
        user_id: &UserId,
        device_id: &DeviceId,
        room_nid: RoomNid,
        path: &str,
        txn_id: &str,
    ) -> Result<Option<Arc<Event>>, StorageError> {
        let nid = sqlx::query_scalar!(
            "SELECT event_nid FROM transactions
             WHERE user_id = $1 AND device_id = $2 AND room_nid = $3 AND event_type = $4 AND txn_id = $5",
            user_id.as_str(),
            device_id.as_str(),
            room_nid.0,
            path,
            txn_id,
        )
        .fetch_optional(self.db.pool())
        .await?;
        match nid {
            Some(nid) => self.db.events().find(EventNid(nid)).await,
            None => Ok(None),
        }
    }
}
