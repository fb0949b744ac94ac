//! The states of rooms that this server is not in, as other servers told them.

use std::collections::HashMap;

use myelin_model::EventNid;

use crate::{Db, StorageError};

/// The state of a room as it was told with a member event.
#[derive(Debug, Clone)]
pub struct OutsideState {
    /// The member event.
    pub event_nid: EventNid,
    /// A JSON array of stripped events.
    pub stripped: Box<str>,
}

/// Reads of what was told of rooms.
#[derive(Debug, Clone, Copy)]
pub struct OutsideStates<'db> {
    db: &'db Db,
}

impl Db {
    /// The states of rooms that this server is not in, as they were told.
    pub fn outside_states(&self) -> OutsideStates<'_> {
        OutsideStates { db: self }
    }
}

impl OutsideStates<'_> {
    /// The states that were told with these member events. It takes one query.
    #[tracing::instrument(name = "db.outside_states.find_many", skip_all)]
    pub async fn find_many(
        &self,
        event_nids: &[EventNid],
    ) -> Result<HashMap<EventNid, Box<str>>, StorageError> {
        let nids: Vec<i64> = event_nids.iter().map(|nid| nid.0).collect();
        let rows = sqlx::query!(
            "SELECT event_nid, stripped FROM outside_states WHERE event_nid = ANY ($1)",
            &nids
        )
        .fetch_all(self.db.pool())
        .await?;
        let told = rows.into_iter().map(|row| (EventNid(row.event_nid), row.stripped.into()));
        Ok(told.collect())
    }
}
